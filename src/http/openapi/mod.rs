//! The OpenAPI document, generated from the handlers and the wire types.
//!
//! What the generator cannot derive is added to its result: the errors of operations ([`refusals`]), the bounds of
//! requests ([`bounds`]), the headers of answers ([`headers`]), and schema forms that client generators support
//! ([`shapes`]).

mod bounds;
mod caching;
mod headers;
pub(super) mod params;
mod refusals;
mod shapes;

use serde_json::Value;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::{Modify, OpenApi as _};

use super::state::Documents;
use super::{
    about, admin, alerts, change_requests, drafts, events, govern, library, observed, operate, otlp, prices, read,
    replicate, report, responses, rule_sets, stats, telemetry, telemetry_files, webhooks, write,
};
use crate::api::prices::KeptTable;
use crate::api::problem::Problem;
use crate::api::telemetry::RpcStatus;
use crate::model::content_id::ContentId;
use crate::model::handle::Handle;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::position::Position;
use crate::model::public_url::PublicUrl;
use crate::model::reference::{Reference, Selector};
use crate::model::since::Since;
use crate::model::time::Timestamp;
use crate::web::docs;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Bookholder",
        description = "A registry of prompts: it keeps every version and serves the right one to applications.\n\nNames of prompts contain slashes, such as `support/agent`. Client libraries encode the `/` in a path as `%2F`. A plain `/` works too (`/v1/prompts/support/agent/versions`), unless a segment of the name is also a word of these paths (`team/versions`).\n\nErrors are `application/problem+json` (RFC 9457) with a stable `code`; each operation lists its codes. Where the access token is optional, clients on the same machine may omit it (setting `open_reads`); all others must send one. An unknown access token is always rejected with 401, even where a token is optional. A replica accepts only its own token (`BOOKHOLDER_READ_TOKEN`), not those of its primary.\n\nRequests that fail before they reach an operation are answered with a problem, too: 400 if the head is not valid HTTP, 408 if it does not arrive in time, 413 if the body is too large, 414 if path and query are longer than 65,534 bytes, 431 if the head is longer than 64 KiB or has more than 100 headers, and 503 if the node has too many connections.\n\nLists are paginated: pass `next` as `cursor`. Later versions may add words to an `x-extensible-enum`, and fields to answers.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    servers(
        (url = "/", description = "The node that served this document."),
        (url = "http://127.0.0.1:7070", description = "A node on this machine, at its default address."),
    ),
    tags(
        (name = "resolve", description = "For applications: resolve, render, listen for changes."),
        (name = "prompts", description = "Prompts and their versions."),
        (name = "telemetry", description = "Reporting and reading responses of models, their cost and their scores."),
        (name = "deployments", description = "Deploying to labels and rolling back."),
        (name = "drafts", description = "Unpublished work."),
        (name = "change_requests", description = "Proposing, reviewing and deploying changes."),
        (name = "governance", description = "Label policies, risk rules, retention."),
        (name = "access", description = "Principals, roles, grants and access tokens."),
        (name = "audit", description = "Who changed what, when and why; signed reports."),
        (name = "webhooks", description = "Sending events to other programs."),
        (name = "operations", description = "Health, metrics, backups, bundles, this documentation."),
        (name = "replication", description = "What replicas fetch; signed, so nothing in between has to be trusted."),
    ),
    paths(
        read::resolve, read::resolve_batch, read::render, events::events, telemetry::responses, telemetry::scores, stats::all, stats::prompt,
        observed::list, observed::one, observed::adopt,
        alerts::alerts, alerts::put_alert, alerts::remove_alert,
        prices::prices, prices::price_table, prices::put_price_table, prices::remove_price_table, prices::recost,
        responses::response, responses::session, telemetry_files::export, telemetry_files::trust, telemetry_files::progress,
        telemetry_files::batch, telemetry_files::forget, telemetry_files::erase, otlp::traces, otlp::logs, otlp::metrics,
        library::prompts, library::prompt, write::remove, library::versions, write::publish, library::version,
        write::retire, write::reinstate, about::about, about::describe, library::diff, library::labels, library::label, write::unlabel,
        write::rollback, write::deploy, write::import,
        drafts::drafts, drafts::draft, drafts::save_draft, drafts::discard_draft, drafts::draft_saves,
        drafts::draft_save, drafts::merge_draft, drafts::publish_draft,
        change_requests::requests, change_requests::propose, change_requests::request, change_requests::amend,
        change_requests::review, change_requests::apply,
        govern::policies, govern::put_policy, govern::remove_policy,
        rule_sets::rule_sets, rule_sets::rule_set, rule_sets::put_rule_set, rule_sets::remove_rule_set,
        rule_sets::classify, rule_sets::findings, rule_sets::archive,
        govern::whoami, govern::can, govern::principals, govern::create_principal, govern::set_grants,
        govern::disable, govern::enable, govern::create_sign_in_link, govern::roles, govern::put_role, govern::remove_role, govern::rotate_token,
        library::deployments, library::content, admin::audit, admin::audit_verify, report::report,
        operate::status, admin::tokens, admin::create_token, admin::revoke_token, admin::backup, admin::bundle,
        operate::healthz, operate::readyz, operate::metrics, operate::openapi, operate::docs, operate::docs_style,
        operate::home,
        webhooks::webhooks, webhooks::put_webhook, webhooks::remove_webhook, webhooks::rotate_webhook,
        webhooks::test_webhook, webhooks::disable_webhook, webhooks::enable_webhook, webhooks::webhook_deliveries,
        webhooks::redeliver,
        replicate::root, replicate::epoch, replicate::checkpoint, replicate::show_checkpoint, replicate::next, replicate::report, replicate::telemetry,
    ),
    components(schemas(
        Problem, RpcStatus, PromptName, Label, Reference, Selector, Pattern, ContentId, Position, Timestamp, Since, Handle, KeptTable,
        params::Attribute,
    )),
    modifiers(&Security),
)]
struct Document;

/// The OpenAPI document of this program.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Document::openapi()).unwrap_or_default();
    shapes::refine(&mut document);
    bounds::document(&mut document);
    caching::document(&mut document);
    refusals::describe_codes(&mut document);
    refusals::document(&mut document);
    shapes::drop_unused(&mut document);
    document
}

/// The document and its page, for a node that people reach by this address.
pub(super) fn documents(public_url: Option<&PublicUrl>) -> Documents {
    let mut document = document();
    if let Some((public, document)) = public_url.zip(document.as_object_mut()) {
        document.insert("servers".to_owned(), serde_json::json!([{"url": public.as_str()}]));
    }
    let openapi = serde_json::to_vec_pretty(&document).unwrap_or_default().into();
    Documents { openapi, page: docs::page(&document).into() }
}

/// How an access token is sent.
struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "An access token, such as the one in the file admin-token, which is created on first \
                start.",
            ))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::router::ROUTES;
    use super::*;

    #[test]
    fn every_route_is_documented_and_every_document_routed() {
        let routed: BTreeSet<(String, String)> =
            ROUTES.iter().map(|route| (route.method.to_owned(), route.path.replace("{*", "{"))).collect();
        let document = document();
        let paths = document["paths"].as_object().expect("paths");
        let documented: BTreeSet<(String, String)> = paths
            .iter()
            .flat_map(|(path, item)| {
                let methods = item.as_object().expect("operations").keys();
                methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(routed, documented);
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn every_answer_that_may_be_revalidated_is_documented_as_such() {
        let document = document();
        let mut number = 0;
        for (path, item) in document["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                let route = ROUTES
                    .iter()
                    .find(|one| one.method.eq_ignore_ascii_case(method) && one.path.replace("{*", "{") == *path);
                let route = route.expect("a route");
                if super::super::caching::is_revalidated(route.method, route.path) {
                    number += 1;
                    assert!(!operation["responses"]["304"].is_null(), "{method} {path}");
                    assert!(!operation["responses"]["200"]["headers"]["ETag"].is_null(), "{method} {path}");
                    let parameters = operation["parameters"].as_array().expect("parameters");
                    let known = parameters.iter().filter(|one| one["name"] == "If-None-Match").count();
                    assert_eq!(known, 1, "{method} {path}");
                }
            }
        }
        assert_eq!(number, 14);
    }

    #[test]
    fn every_reference_of_the_document_leads_somewhere_and_no_component_is_unused() {
        let document = document();
        let text = document.to_string();
        let parts = text.split("\"#/components/").skip(1).filter_map(|rest| rest.split('"').next());
        let named: BTreeSet<String> = parts.map(str::to_owned).collect();
        let kinds = ["schemas", "responses", "headers"].into_iter();
        let there = kinds.flat_map(|kind| {
            let components = document["components"][kind].as_object().expect("components");
            components.keys().map(move |name| format!("{kind}/{name}")).collect::<Vec<_>>()
        });
        assert_eq!(there.collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn openapi_document_is_the_one_in_fixtures() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/openapi.json");
        let found = serde_json::to_string_pretty(&document()).expect("JSON") + "\n";
        if std::env::var_os("UPDATE_FIXTURES").is_some() {
            std::fs::write(&path, &found).expect("the fixture is written");
        }
        let expected = std::fs::read_to_string(&path).unwrap_or_default();
        let changes = similar::TextDiff::from_lines(&expected, &found);
        let changes =
            changes.unified_diff().context_radius(4).header("fixtures/openapi.json", "this build").to_string();
        assert!(
            changes.is_empty(),
            "the OpenAPI document changed. If that is meant, run `UPDATE_FIXTURES=1 cargo test openapi` and commit it:\n{changes}"
        );
    }
}

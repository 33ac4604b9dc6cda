//! The OpenAPI document, generated from the handlers and the wire types.

use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{OpenApi, Ref, RefOr, Response};
use utoipa::{Modify, OpenApi as _};

use super::{
    about, admin, change_requests, drafts, events, govern, library, operate, read, replicate, report, rule_sets,
    webhooks, write,
};
use crate::api::problem::{PROBLEM_JSON, Problem};
use crate::api::read::PromptView;
use crate::model::audit::AuditEntry;
use crate::model::deployment::Deployment;
use crate::model::version::Version;

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Bookholder",
        description = "Keeps every version of every prompt, and whispers the right one to the application beside it.\n\nThe slashes of a name may stand as they are in every path (`/v1/prompts/support/agent/versions`), or be written `%2F`; a name with a part that is a word of these paths (`team/versions`) needs `%2F`. Errors are RFC 9457 problems with a stable `code`. Changing anything takes an access token of somebody who may; reading what is published is open to local callers.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "application", description = "What applications call: resolve, render, listen."),
        (name = "author", description = "Prompts, their versions and drafts, and proposing changes."),
        (name = "engineer", description = "What labels serve, change requests, and taking it back."),
        (name = "compliance", description = "What was served when, by whom, and why; label policies and risk rules."),
        (name = "operator", description = "Health, metrics, principals, roles, access tokens, backups, bundles."),
        (name = "replica", description = "What replicas fetch; signed, so that nobody on the way is trusted."),
    ),
    paths(
        read::resolve, read::resolve_batch, read::render, events::events,
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
        govern::disable, govern::enable, govern::roles, govern::put_role, govern::remove_role, govern::rotate_token,
        library::deployments, library::content, admin::audit, admin::audit_verify, report::report,
        operate::status, admin::tokens, admin::create_token, admin::revoke_token, admin::backup, admin::bundle,
        operate::healthz, operate::readyz, operate::metrics, operate::openapi, operate::docs, operate::docs_style,
        operate::home,
        webhooks::webhooks, webhooks::put_webhook, webhooks::remove_webhook, webhooks::rotate_webhook,
        webhooks::test_webhook, webhooks::disable_webhook, webhooks::enable_webhook, webhooks::webhook_deliveries,
        webhooks::redeliver,
        replicate::root, replicate::epoch, replicate::checkpoint, replicate::show_checkpoint, replicate::next, replicate::report,
    ),
    components(schemas(Problem, AuditEntry, Deployment, PromptView, Version)),
    modifiers(&Common),
)]
struct Document;

/// What handlers say of a prompt's name in a path, and what is told of it.
const SEGMENT: &str = "Percent-encoded: one segment.";
const NAME: &str = "Its slashes may stand as they are, or be written `%2F`.";

/// What all operations share: how errors look, and how an access token is sent.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut OpenApi) {
        let problem = RefOr::Ref(Ref::from_schema_name("Problem"));
        let mut error = Response::new("What went wrong: `code` for programs, `detail` and `hint` for people.");
        error.content.insert(PROBLEM_JSON.to_owned(), ContentBuilder::new().schema(Some(problem)).build());
        for item in document.paths.paths.values_mut() {
            let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete];
            for operation in operations.into_iter().filter_map(Option::as_mut) {
                operation.responses.responses.insert("default".to_owned(), error.clone().into());
                let names = operation.parameters.iter_mut().flatten();
                for parameter in names.filter(|one| one.name == "name" && one.description.as_deref() == Some(SEGMENT)) {
                    parameter.description = Some(NAME.to_owned());
                }
            }
        }
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An access token, such as the one that the first start writes to the file admin-token."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer));
        document.security = Some(vec![SecurityRequirement::new("token", [""; 0])]);
    }
}

/// The OpenAPI document of this program.
#[must_use]
pub fn document() -> OpenApi {
    Document::openapi()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::router::ROUTES;
    use super::*;

    #[test]
    fn every_route_is_documented_and_every_document_routed() {
        let routed: BTreeSet<(String, String)> =
            ROUTES.iter().map(|(method, path, _)| ((*method).to_owned(), path.replace("{*", "{"))).collect();
        let document = serde_json::to_value(document()).expect("a JSON value");
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
    fn every_reference_of_the_document_leads_somewhere() {
        let document = serde_json::to_value(document()).expect("a JSON value");
        let text = document.to_string();
        for name in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"].get(name).is_some(), "{name} is missing");
        }
    }
}

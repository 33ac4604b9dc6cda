//! All routes on one page, grouped by who calls them.
//!
//! The table is the list that the router, the OpenAPI document and the tests share.

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn;
use axum::routing::{MethodRouter, delete, get, post, put};

use super::caching::{is_revalidated, revalidate};
use super::error::Failure;
use super::request::RequestError;
use super::state::App;
use super::{
    about, admin, change_requests, drafts, events, govern, library, operate, read, replicate, report, rule_sets, ui,
    webhooks, write,
};

/// One operation: its method, its path, and what answers it.
pub(super) type Route = (&'static str, &'static str, fn() -> MethodRouter<App>);

/// Every operation there is.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    // The application.
    ("GET",    "/v1/resolve/{*reference}",                            || get(read::resolve)),
    ("POST",   "/v1/resolve",                                         || post(read::resolve_batch)),
    ("POST",   "/v1/render/{*reference}",                             || post(read::render)),
    ("GET",    "/v1/events",                                          || get(events::events)),
    // The author and the engineer.
    ("GET",    "/v1/prompts",                                         || get(library::prompts)),
    ("GET",    "/v1/prompts/{name}",                                  || get(library::prompt)),
    ("DELETE", "/v1/prompts/{name}",                                  || delete(write::remove)),
    ("GET",    "/v1/prompts/{name}/versions",                         || get(library::versions)),
    ("POST",   "/v1/prompts/{name}/versions",                         || post(write::publish)),
    ("GET",    "/v1/prompts/{name}/versions/{version}",               || get(library::version)),
    ("POST",   "/v1/prompts/{name}/versions/{version}/retirement",    || post(write::retire)),
    ("DELETE", "/v1/prompts/{name}/versions/{version}/retirement",    || delete(write::reinstate)),
    ("GET",    "/v1/prompts/{name}/about",                            || get(about::about)),
    ("PUT",    "/v1/prompts/{name}/about",                            || put(about::describe)),
    ("GET",    "/v1/prompts/{name}/diff",                             || get(library::diff)),
    ("GET",    "/v1/prompts/{name}/labels",                           || get(library::labels)),
    ("GET",    "/v1/prompts/{name}/labels/{label}",                   || get(library::label)),
    ("DELETE", "/v1/prompts/{name}/labels/{label}",                   || delete(write::unlabel)),
    ("POST",   "/v1/prompts/{name}/labels/{label}/rollback",          || post(write::rollback)),
    ("POST",   "/v1/deployments",                                     || post(write::deploy)),
    ("POST",   "/v1/import",                                          || post(write::import)),
    ("GET",    "/v1/prompts/{name}/drafts",                           || get(drafts::drafts)),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}",                   || get(drafts::draft)),
    ("PUT",    "/v1/prompts/{name}/drafts/{draft}",                   || put(drafts::save_draft)),
    ("DELETE", "/v1/prompts/{name}/drafts/{draft}",                   || delete(drafts::discard_draft)),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}/saves",             || get(drafts::draft_saves)),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}/saves/{revision}",  || get(drafts::draft_save)),
    ("GET",    "/v1/prompts/{name}/drafts/{draft}/merge",             || get(drafts::merge_draft)),
    ("POST",   "/v1/prompts/{name}/drafts/{draft}/publication",       || post(drafts::publish_draft)),
    ("GET",    "/v1/requests",                                        || get(change_requests::requests)),
    ("POST",   "/v1/requests",                                        || post(change_requests::propose)),
    ("GET",    "/v1/requests/{id}",                                   || get(change_requests::request)),
    ("POST",   "/v1/requests/{id}/amendments",                        || post(change_requests::amend)),
    ("POST",   "/v1/requests/{id}/reviews",                           || post(change_requests::review)),
    ("POST",   "/v1/requests/{id}/application",                       || post(change_requests::apply)),
    ("POST",   "/v1/classify",                                        || post(rule_sets::classify)),
    // Compliance.
    ("GET",    "/v1/deployments",                                     || get(library::deployments)),
    ("GET",    "/v1/contents/{content_id}",                           || get(library::content)),
    ("GET",    "/v1/audit",                                           || get(admin::audit)),
    ("GET",    "/v1/report",                                          || get(report::report)),
    ("GET",    "/v1/audit/verify",                                    || get(admin::audit_verify)),
    ("GET",    "/v1/prompts/{name}/versions/{version}/findings",      || get(rule_sets::findings)),
    ("GET",    "/v1/policies",                                        || get(govern::policies)),
    ("PUT",    "/v1/policies/{name}",                                 || put(govern::put_policy)),
    ("DELETE", "/v1/policies/{name}",                                 || delete(govern::remove_policy)),
    ("GET",    "/v1/rules",                                           || get(rule_sets::rule_sets)),
    ("GET",    "/v1/rules/{name}",                                    || get(rule_sets::rule_set)),
    ("PUT",    "/v1/rules/{name}",                                    || put(rule_sets::put_rule_set)),
    ("DELETE", "/v1/rules/{name}",                                    || delete(rule_sets::remove_rule_set)),
    ("POST",   "/v1/archive",                                         || post(rule_sets::archive)),
    // The operator.
    ("GET",    "/v1/status",                                          || get(operate::status)),
    ("GET",    "/v1/whoami",                                          || get(govern::whoami)),
    ("GET",    "/v1/can",                                             || get(govern::can)),
    ("GET",    "/v1/principals",                                      || get(govern::principals)),
    ("POST",   "/v1/principals",                                      || post(govern::create_principal)),
    ("PUT",    "/v1/principals/{name}/grants",                        || put(govern::set_grants)),
    ("POST",   "/v1/principals/{name}/suspension",                    || post(govern::disable)),
    ("DELETE", "/v1/principals/{name}/suspension",                    || delete(govern::enable)),
    ("POST",   "/v1/principals/{name}/sign-in-link",                  || post(govern::create_sign_in_link)),
    ("GET",    "/v1/roles",                                           || get(govern::roles)),
    ("PUT",    "/v1/roles/{name}",                                    || put(govern::put_role)),
    ("DELETE", "/v1/roles/{name}",                                    || delete(govern::remove_role)),
    ("GET",    "/v1/tokens",                                          || get(admin::tokens)),
    ("POST",   "/v1/tokens",                                          || post(admin::create_token)),
    ("DELETE", "/v1/tokens/{name}",                                   || delete(admin::revoke_token)),
    ("POST",   "/v1/tokens/{name}/rotation",                          || post(govern::rotate_token)),
    ("GET",    "/v1/webhooks",                                        || get(webhooks::webhooks)),
    ("PUT",    "/v1/webhooks/{name}",                                 || put(webhooks::put_webhook)),
    ("DELETE", "/v1/webhooks/{name}",                                 || delete(webhooks::remove_webhook)),
    ("POST",   "/v1/webhooks/{name}/rotation",                        || post(webhooks::rotate_webhook)),
    ("POST",   "/v1/webhooks/{name}/test",                            || post(webhooks::test_webhook)),
    ("POST",   "/v1/webhooks/{name}/suspension",                      || post(webhooks::disable_webhook)),
    ("DELETE", "/v1/webhooks/{name}/suspension",                      || delete(webhooks::enable_webhook)),
    ("GET",    "/v1/webhooks/{name}/deliveries",                      || get(webhooks::webhook_deliveries)),
    ("POST",   "/v1/webhooks/{name}/deliveries/{seq}/redelivery",     || post(webhooks::redeliver)),
    ("GET",    "/v1/backup",                                          || get(admin::backup)),
    ("POST",   "/v1/bundle",                                          || post(admin::bundle)),
    ("GET",    "/healthz",                                            || get(operate::healthz)),
    ("GET",    "/readyz",                                             || get(operate::readyz)),
    ("GET",    "/metrics",                                            || get(operate::metrics)),
    ("GET",    "/openapi.json",                                       || get(operate::openapi)),
    ("GET",    "/docs",                                               || get(operate::docs)),
    ("GET",    "/docs/style.css",                                     || get(operate::docs_style)),
    ("GET",    "/",                                                   || get(operate::home)),
    // The replica.
    ("GET",    "/replication/v1/root/{n}",                            || get(replicate::root)),
    ("GET",    "/replication/v1/epoch/{e}",                           || get(replicate::epoch)),
    ("GET",    "/replication/v1/view/{view}/checkpoint",              || get(replicate::checkpoint)),
    ("POST",   "/replication/v1/view/{view}/checkpoint",              || post(replicate::show_checkpoint)),
    ("GET",    "/replication/v1/view/{view}/next/{position}",         || get(replicate::next)),
    ("POST",   "/replication/v1/report",                              || post(replicate::report)),
];

/// The router over the table.
pub(super) fn router(app: App) -> Router {
    let routes = ROUTES.iter().chain(ui::routes::ROUTES);
    let routes = routes.fold(Router::new(), |router, (method, path, answer)| {
        let answer = if is_revalidated(method, path) { answer().route_layer(from_fn(revalidate)) } else { answer() };
        router.route(path, answer)
    });
    routes.fallback(no_such_path).method_not_allowed_fallback(other_method).with_state(app)
}

async fn no_such_path() -> Failure {
    RequestError::NoSuchPath.into()
}

async fn other_method(method: Method) -> Failure {
    RequestError::Method { method: method.as_str().chars().take(32).collect() }.into()
}

/// What a request is for, as metrics name it.
pub(super) fn class(path: &str) -> &'static str {
    let under = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    if under(&["/v1/resolve", "/v1/render"]) {
        "resolve"
    } else if under(&["/v1/events"]) {
        "events"
    } else if under(&["/v1/prompts", "/v1/deployments", "/v1/contents", "/v1/import", "/v1/requests"]) {
        "registry"
    } else if under(&["/v1/whoami", "/v1/can", "/v1/principals", "/v1/roles", "/v1/tokens"])
        || under(&["/v1/policies", "/v1/rules", "/v1/classify", "/v1/archive"])
    {
        "governance"
    } else if under(&["/ui/"]) {
        "pages"
    } else if under(&["/replication/"]) {
        "replication"
    } else {
        "operate"
    }
}

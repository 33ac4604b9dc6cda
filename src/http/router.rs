//! All routes on one page, grouped by who calls them.
//!
//! The table is the list that the router, the OpenAPI document and the tests share.

use axum::Router;
use axum::http::Method;
use axum::routing::{MethodRouter, delete, get, post};

use super::error::Failure;
use super::request::RequestError;
use super::state::App;
use super::{admin, events, library, operate, read, replicate, write};

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
    ("GET",    "/v1/prompts/{name}/diff",                             || get(library::diff)),
    ("GET",    "/v1/prompts/{name}/labels",                           || get(library::labels)),
    ("GET",    "/v1/prompts/{name}/labels/{label}",                   || get(library::label)),
    ("DELETE", "/v1/prompts/{name}/labels/{label}",                   || delete(write::unlabel)),
    ("POST",   "/v1/prompts/{name}/labels/{label}/rollback",          || post(write::rollback)),
    ("POST",   "/v1/deployments",                                     || post(write::deploy)),
    ("POST",   "/v1/import",                                          || post(write::import)),
    // Compliance.
    ("GET",    "/v1/deployments",                                     || get(library::deployments)),
    ("GET",    "/v1/contents/{content_id}",                           || get(library::content)),
    ("GET",    "/v1/audit",                                           || get(admin::audit)),
    ("GET",    "/v1/audit/verify",                                    || get(admin::audit_verify)),
    // The operator.
    ("GET",    "/v1/status",                                          || get(operate::status)),
    ("GET",    "/v1/tokens",                                          || get(admin::tokens)),
    ("POST",   "/v1/tokens",                                          || post(admin::create_token)),
    ("DELETE", "/v1/tokens/{name}",                                   || delete(admin::revoke_token)),
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
    ("GET",    "/replication/v1/view/{view}/next/{position}",         || get(replicate::next)),
    ("POST",   "/replication/v1/report",                              || post(replicate::report)),
];

/// The router over the table.
pub(super) fn router(app: App) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, (_, path, answer)| router.route(path, answer()));
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
    } else if under(&["/v1/prompts", "/v1/deployments", "/v1/contents", "/v1/import"]) {
        "registry"
    } else if under(&["/replication/"]) {
        "replication"
    } else {
        "operate"
    }
}

//! All routes on one page, grouped by who calls them.
//!
//! The table is shared by the router, the OpenAPI document and the tests.

use axum::Router;
use axum::http::Method;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post, put};

use super::caching::{is_revalidated, revalidate};
use super::error::Failure;
use super::request::RequestError;
use super::route::Route;
use super::state::App;
use super::{
    about, admin, alerts, batches, change_requests, drafts, evaluations, events, govern, library, observed, operate,
    otlp, prices, promotions, read, replicate, report, responses, rule_sets, stats, telemetry, telemetry_files, ui,
    webhooks, write,
};

/// All operations.
#[rustfmt::skip]
pub(super) const ROUTES: &[Route] = &[
    // The application.
    Route::new("GET",    "/v1/resolve/{*reference}",                            || get(read::resolve)),
    Route::new("GET",    "/v1/resolve",                                         || get(batches::resolve_matching)),
    Route::new("POST",   "/v1/resolve",                                         || post(batches::resolve_batch)),
    Route::new("POST",   "/v1/render/{*reference}",                             || post(read::render)),
    Route::new("GET",    "/v1/events",                                          || get(events::events)),
    // Authors and engineers.
    Route::new("POST",   "/v1/responses",                                       || post(telemetry::responses)),
    Route::new("POST",   "/v1/scores",                                          || post(telemetry::scores)),
    Route::new("GET",    "/v1/stats",                                           || get(stats::all)),
    Route::new("GET",    "/v1/prompts/{name}/stats",                            || get(stats::prompt)),
    Route::new("GET",    "/v1/observed",                                        || get(observed::list)),
    Route::new("GET",    "/v1/observed/{id}",                                   || get(observed::one)),
    Route::new("POST",   "/v1/observed/{id}/adopt",                             || post(observed::adopt)),
    Route::new("GET",    "/v1/alerts",                                          || get(alerts::alerts)),
    Route::new("PUT",    "/v1/alerts/{name}",                                   || put(alerts::put_alert)),
    Route::new("DELETE", "/v1/alerts/{name}",                                   || delete(alerts::remove_alert)),
    Route::new("GET",    "/v1/prices",                                          || get(prices::prices)),
    Route::new("GET",    "/v1/prices/{table}",                                  || get(prices::price_table)),
    Route::new("PUT",    "/v1/prices/{table}",                                  || put(prices::put_price_table)),
    Route::new("DELETE", "/v1/prices/{table}",                                  || delete(prices::remove_price_table)),
    Route::new("POST",   "/v1/prices/recost",                                   || post(prices::recost)),
    Route::new("GET",    "/v1/responses/{id}",                                  || get(responses::response)),
    Route::new("GET",    "/v1/sessions/{id}",                                   || get(responses::session)),
    Route::new("GET",    "/v1/telemetry/export",                                || get(telemetry_files::export)),
    Route::new("PUT",    "/v1/telemetry/keys/{node}",                           || put(telemetry_files::trust)),
    Route::new("GET",    "/v1/telemetry/spools/{node}",                         || get(telemetry_files::progress)),
    Route::new("DELETE", "/v1/telemetry/replicas/{replica}",                    || delete(telemetry_files::forget)),
    Route::new("POST",   "/v1/telemetry/erasures",                              || post(telemetry_files::erase)),
    Route::new("POST",   "/v1/telemetry/batches",                               || post(telemetry_files::batch)),
    Route::new("POST",   "/v1/traces",                                          || post(otlp::traces)),
    Route::new("POST",   "/v1/logs",                                            || post(otlp::logs)),
    Route::new("POST",   "/v1/metrics",                                         || post(otlp::metrics)),
    Route::new("GET",    "/v1/prompts",                                         || get(library::prompts)),
    Route::new("GET",    "/v1/prompts/{name}",                                  || get(library::prompt)),
    Route::new("DELETE", "/v1/prompts/{name}",                                  || delete(write::remove)),
    Route::new("GET",    "/v1/prompts/{name}/versions",                         || get(library::versions)),
    Route::new("POST",   "/v1/prompts/{name}/versions",                         || post(write::publish)),
    Route::new("GET",    "/v1/prompts/{name}/versions/{version}",               || get(library::version)),
    Route::new("POST",   "/v1/prompts/{name}/versions/{version}/retirement",    || post(write::retire)),
    Route::new("DELETE", "/v1/prompts/{name}/versions/{version}/retirement",    || delete(write::reinstate)),
    Route::new("GET",    "/v1/prompts/{name}/about",                            || get(about::about)),
    Route::new("PUT",    "/v1/prompts/{name}/about",                            || put(about::describe)),
    Route::new("GET",    "/v1/prompts/{name}/diff",                             || get(library::diff)),
    Route::new("GET",    "/v1/prompts/{name}/labels",                           || get(library::labels)),
    Route::new("GET",    "/v1/prompts/{name}/labels/{label}",                   || get(library::label)),
    Route::new("DELETE", "/v1/prompts/{name}/labels/{label}",                   || delete(write::unlabel)),
    Route::new("POST",   "/v1/prompts/{name}/labels/{label}/rollback",          || post(write::rollback)),
    Route::new("POST",   "/v1/deployments",                                     || post(write::deploy)),
    Route::new("GET",    "/v1/promotions",                                      || get(promotions::plan)),
    Route::new("POST",   "/v1/promotions",                                      || post(promotions::promote)),
    Route::new("POST",   "/v1/import",                                          || post(write::import)),
    Route::new("GET",    "/v1/prompts/{name}/drafts",                           || get(drafts::drafts)),
    Route::new("GET",    "/v1/prompts/{name}/drafts/{draft}",                   || get(drafts::draft)),
    Route::new("PUT",    "/v1/prompts/{name}/drafts/{draft}",                   || put(drafts::save_draft)),
    Route::new("DELETE", "/v1/prompts/{name}/drafts/{draft}",                   || delete(drafts::discard_draft)),
    Route::new("GET",    "/v1/prompts/{name}/drafts/{draft}/saves",             || get(drafts::draft_saves)),
    Route::new("GET",    "/v1/prompts/{name}/drafts/{draft}/saves/{revision}",  || get(drafts::draft_save)),
    Route::new("GET",    "/v1/prompts/{name}/drafts/{draft}/merge",             || get(drafts::merge_draft)),
    Route::new("POST",   "/v1/prompts/{name}/drafts/{draft}/publication",       || post(drafts::publish_draft)),
    Route::new("GET",    "/v1/requests",                                        || get(change_requests::requests)),
    Route::new("POST",   "/v1/requests",                                        || post(change_requests::propose)),
    Route::new("GET",    "/v1/requests/{id}",                                   || get(change_requests::request)),
    Route::new("POST",   "/v1/requests/{id}/amendments",                        || post(change_requests::amend)),
    Route::new("POST",   "/v1/requests/{id}/reviews",                           || post(change_requests::review)),
    Route::new("POST",   "/v1/requests/{id}/application",                       || post(change_requests::apply)),
    Route::new("POST",   "/v1/classify",                                        || post(rule_sets::classify)),
    Route::new("GET",    "/v1/suites",                                          || get(evaluations::suites)),
    Route::new("GET",    "/v1/suites/{name}",                                   || get(evaluations::suite)),
    Route::new("PUT",    "/v1/suites/{name}",                                   || put(evaluations::push_suite)),
    Route::new("DELETE", "/v1/suites/{name}",                                   || delete(evaluations::remove_suite)),
    Route::new("GET",    "/v1/suites/{name}/versions",                          || get(evaluations::suite_versions)),
    Route::new("GET",    "/v1/suites/{name}/calibration",                       || get(evaluations::calibration)),
    Route::new("GET",    "/v1/runs",                                            || get(evaluations::runs)),
    Route::new("POST",   "/v1/runs",                                            || post(evaluations::start_run)),
    Route::new("POST",   "/v1/runs/import",                                     || post(evaluations::import_run)),
    Route::new("GET",    "/v1/runs/{id}",                                       || get(evaluations::run)),
    Route::new("GET",    "/v1/runs/{id}/results",                               || get(evaluations::results)),
    Route::new("PUT",    "/v1/runs/{id}/results/{place}/label",                 || put(evaluations::label_result)),
    Route::new("POST",   "/v1/runs/{id}/cancellation",                          || post(evaluations::cancel_run)),
    Route::new("GET",    "/v1/providers",                                       || get(evaluations::providers)),
    Route::new("GET",    "/v1/prompts/{name}/versions/{version}/gates",         || get(evaluations::gates)),
    // Compliance.
    Route::new("GET",    "/v1/deployments",                                     || get(library::deployments)),
    Route::new("GET",    "/v1/contents/{content_id}",                           || get(library::content)),
    Route::new("GET",    "/v1/audit",                                           || get(admin::audit)),
    Route::new("GET",    "/v1/report",                                          || get(report::report)),
    Route::new("GET",    "/v1/audit/verify",                                    || get(admin::audit_verify)),
    Route::new("GET",    "/v1/prompts/{name}/versions/{version}/findings",      || get(rule_sets::findings)),
    Route::new("GET",    "/v1/policies",                                        || get(govern::policies)),
    Route::new("PUT",    "/v1/policies/{name}",                                 || put(govern::put_policy)),
    Route::new("DELETE", "/v1/policies/{name}",                                 || delete(govern::remove_policy)),
    Route::new("GET",    "/v1/rules",                                           || get(rule_sets::rule_sets)),
    Route::new("GET",    "/v1/rules/{name}",                                    || get(rule_sets::rule_set)),
    Route::new("PUT",    "/v1/rules/{name}",                                    || put(rule_sets::put_rule_set)),
    Route::new("DELETE", "/v1/rules/{name}",                                    || delete(rule_sets::remove_rule_set)),
    Route::new("POST",   "/v1/archive",                                         || post(rule_sets::archive)),
    // The operator.
    Route::new("GET",    "/v1/status",                                          || get(operate::status)),
    Route::new("GET",    "/v1/whoami",                                          || get(govern::whoami)),
    Route::new("GET",    "/v1/can",                                             || get(govern::can)),
    Route::new("GET",    "/v1/principals",                                      || get(govern::principals)),
    Route::new("POST",   "/v1/principals",                                      || post(govern::create_principal)),
    Route::new("PUT",    "/v1/principals/{name}/grants",                        || put(govern::set_grants)),
    Route::new("POST",   "/v1/principals/{name}/suspension",                    || post(govern::disable)),
    Route::new("DELETE", "/v1/principals/{name}/suspension",                    || delete(govern::enable)),
    Route::new("POST",   "/v1/principals/{name}/sign-in-link",                  || post(govern::create_sign_in_link)),
    Route::new("GET",    "/v1/roles",                                           || get(govern::roles)),
    Route::new("PUT",    "/v1/roles/{name}",                                    || put(govern::put_role)),
    Route::new("DELETE", "/v1/roles/{name}",                                    || delete(govern::remove_role)),
    Route::new("GET",    "/v1/tokens",                                          || get(admin::tokens)),
    Route::new("POST",   "/v1/tokens",                                          || post(admin::create_token)),
    Route::new("DELETE", "/v1/tokens/{name}",                                   || delete(admin::revoke_token)),
    Route::new("POST",   "/v1/tokens/{name}/rotation",                          || post(govern::rotate_token)),
    Route::new("GET",    "/v1/webhooks",                                        || get(webhooks::webhooks)),
    Route::new("PUT",    "/v1/webhooks/{name}",                                 || put(webhooks::put_webhook)),
    Route::new("DELETE", "/v1/webhooks/{name}",                                 || delete(webhooks::remove_webhook)),
    Route::new("POST",   "/v1/webhooks/{name}/rotation",                        || post(webhooks::rotate_webhook)),
    Route::new("POST",   "/v1/webhooks/{name}/test",                            || post(webhooks::test_webhook)),
    Route::new("POST",   "/v1/webhooks/{name}/suspension",                      || post(webhooks::disable_webhook)),
    Route::new("DELETE", "/v1/webhooks/{name}/suspension",                      || delete(webhooks::enable_webhook)),
    Route::new("GET",    "/v1/webhooks/{name}/deliveries",                      || get(webhooks::webhook_deliveries)),
    Route::new("POST",   "/v1/webhooks/{name}/deliveries/{seq}/redelivery",     || post(webhooks::redeliver)),
    Route::new("GET",    "/v1/backup",                                          || get(admin::backup)),
    Route::new("POST",   "/v1/bundle",                                          || post(admin::bundle)),
    Route::new("GET",    "/healthz",                                            || get(operate::healthz)),
    Route::new("GET",    "/readyz",                                             || get(operate::readyz)),
    Route::new("GET",    "/metrics",                                            || get(operate::metrics)),
    Route::new("GET",    "/openapi.json",                                       || get(operate::openapi)),
    Route::new("GET",    "/docs",                                               || get(operate::docs)),
    Route::new("GET",    "/docs/style.css",                                     || get(operate::docs_style)),
    Route::new("GET",    "/",                                                   || get(operate::home)),
    // The replica.
    Route::new("GET",    "/replication/v1/root/{n}",                            || get(replicate::root)),
    Route::new("GET",    "/replication/v1/epoch/{e}",                           || get(replicate::epoch)),
    Route::new("GET",    "/replication/v1/view/{view}/checkpoint",              || get(replicate::checkpoint)),
    Route::new("POST",   "/replication/v1/view/{view}/checkpoint",              || post(replicate::show_checkpoint)),
    Route::new("GET",    "/replication/v1/view/{view}/next/{position}",         || get(replicate::next)),
    Route::new("POST",   "/replication/v1/report",                              || post(replicate::report)),
    Route::new("POST",   "/replication/v1/telemetry",                           || post(replicate::telemetry)),
];

/// The router for the table.
pub(super) fn router(app: App) -> Router {
    let routes = ROUTES.iter().chain(ui::routes::ROUTES);
    let routes = routes.fold(Router::new(), |router, Route { method, path, answer }| {
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

/// The purpose of a request, as a metric label.
pub(super) fn class(path: &str) -> &'static str {
    let under = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    if under(&["/v1/resolve", "/v1/render"]) {
        "resolve"
    } else if under(&["/v1/events"]) {
        "events"
    } else if under(&["/v1/prompts", "/v1/deployments", "/v1/promotions", "/v1/contents", "/v1/import", "/v1/requests"])
    {
        "registry"
    } else if under(&["/v1/whoami", "/v1/can", "/v1/principals", "/v1/roles", "/v1/tokens"])
        || under(&["/v1/policies", "/v1/rules", "/v1/classify", "/v1/archive"])
    {
        "governance"
    } else if under(&["/v1/responses", "/v1/scores", "/v1/sessions", "/v1/telemetry", "/v1/traces"])
        || under(&["/v1/logs", "/v1/metrics", "/v1/stats", "/v1/alerts", "/v1/observed", "/v1/prices"])
    {
        "telemetry"
    } else if under(&["/v1/suites", "/v1/runs", "/v1/providers"]) {
        "evaluations"
    } else if under(&["/ui/"]) {
        "pages"
    } else if under(&["/replication/"]) {
        "replication"
    } else {
        "operate"
    }
}

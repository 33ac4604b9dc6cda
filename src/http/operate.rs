//! For operators: health, metrics, status, and the documentation.

use axum::Json as Said;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::auth::Reader;
use super::error::Failure;
use super::extract::{NoParams, Params, blocking};
use super::measure;
use super::request::RequestError;
use super::state::{App, Shared};
use crate::api::alerts::FiringAlert;
use crate::api::completeness::TelemetryStatus;
use crate::api::status::{Status, Trouble};
use crate::metrics::Format;
use crate::replication::health::DAMAGED;
use crate::replication::publisher::Publisher;
use crate::resolve::ReadScope;
use crate::web::docs;

/// What the documentation page can load: its own stylesheet, and nothing else.
const DOCS_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'");

/// Returns the status of this node: its position, how fresh that is, and since when.
#[utoipa::path(get, path = "/v1/status", operation_id = "get_status", tag = "operations", security((), ("token" = [])), responses((status = 200, body = Status)))]
pub(super) async fn status(State(app): State<App>, reader: Reader, _: NoParams) -> Result<Said<Status>, Failure> {
    let scope = reader.scope();
    let status = move || Status { alerts: firing(&app, &scope), telemetry: kept_telemetry(&app), ..(app.status)() };
    Ok(Said(blocking(status).await?))
}

/// What this node keeps of telemetry.
fn kept_telemetry(app: &Shared) -> Option<TelemetryStatus> {
    let kept = app.recorder.as_ref()?.status();
    kept.inspect_err(|error| tracing::warn!(error = error as &dyn std::error::Error, "telemetry cannot be read")).ok()
}

/// The alerts that fire, of those that the caller can see; none where they cannot be read, which the status says too.
fn firing(app: &Shared, scope: &ReadScope) -> Vec<FiringAlert> {
    app.registry.as_ref().and_then(|registry| registry.firing_alerts(scope).ok()).unwrap_or_default()
}

/// Whether the process is alive.
#[utoipa::path(get, path = "/healthz", operation_id = "get_liveness", tag = "operations", security(()), responses((status = 200, description = "The \
    process is alive.", body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Whether this node should receive requests: it has a verified state that is fresh enough, readable and not known to
/// be damaged.
#[utoipa::path(
    get, path = "/readyz", operation_id = "get_readiness", tag = "operations", security(()),
    params(("max_age" = Option<u64>, Query, description = "Maximum age of the state, in seconds since the last \
        verified contact.")),
    responses((status = 200, description = "Ready.", body = String), (status = 503, description = "Not ready.", body = crate::api::problem::Problem)),
)]
pub(super) async fn readyz(State(app): State<App>, mut params: Params) -> Result<&'static str, Failure> {
    let max_age_s = params.number("max_age")?.or(app.ready_max_age_s);
    params.finish(&["max_age"])?;
    if !app.resolver.is_ready() {
        let damaged = (app.status)().trouble.filter(|trouble| trouble.reason == DAMAGED);
        let faulty = |trouble: Trouble| RequestError::Faulty { detail: trouble.detail };
        return Err(damaged.map_or(RequestError::NotReady, faulty).into());
    }
    if let Some((_, outdated)) = app.publisher.as_ref().and_then(Publisher::outdated) {
        return Err(outdated.into());
    }
    let condition = app.resolver.condition();
    if let Some(fault) = condition.not_ready() {
        return Err(RequestError::Faulty { detail: fault.detail }.into());
    }
    let age_s = app.freshness.now().age_s;
    match max_age_s.filter(|max_age_s| age_s > *max_age_s) {
        Some(max_age_s) => Err(RequestError::TooOld { age_s, max_age_s }.into()),
        None if condition.fault().is_some() => Ok("ready, read-only: the disk cannot be written\n"),
        None if app.recorder.as_ref().is_some_and(|recorder| recorder.pause().is_some()) => {
            Ok("ready, without telemetry: see the status\n")
        }
        None => Ok("ready\n"),
    }
}

/// Returns all metrics of this process for Prometheus: as OpenMetrics if `Accept` contains it, else as text 0.0.4.
#[utoipa::path(
    get, path = "/metrics", operation_id = "get_metrics", tag = "operations", security((), ("token" = [])),
    responses((status = 200, description = "The measurements.", content(
        (String = "text/plain"), (String = "application/openmetrics-text"),
    ))),
)]
pub(super) async fn metrics(State(app): State<App>, reader: Reader, headers: HeaderMap) -> Result<Response, Failure> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let format = Format::asked(accept);
    let scope = reader.scope();
    let text = blocking(move || {
        measure::all(&app);
        let calls = app.recorder.as_ref().map(|recorder| recorder.calls_by_prompt(&scope));
        app.metrics.encode(format, calls.unwrap_or_default())
    })
    .await?;
    Ok(([(header::CONTENT_TYPE, format.media_type()), (header::VARY, "accept, accept-encoding")], text).into_response())
}

/// Returns this OpenAPI document.
#[utoipa::path(get, path = "/openapi.json", operation_id = "get_openapi", tag = "operations", security(()), responses((status = 200, description = "OpenAPI 3.1.", body = serde_json::Value)))]
pub(super) async fn openapi(State(app): State<App>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], app.documents.openapi.clone()).into_response()
}

/// Returns this documentation as a page.
#[utoipa::path(get, path = "/docs", operation_id = "get_docs", tag = "operations", security(()), responses((status = 200, description = "A page.", body = String, content_type = "text/html")))]
pub(super) async fn docs(State(app): State<App>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, DOCS_POLICY),
    ];
    (headers, app.documents.page.clone()).into_response()
}

/// Returns the stylesheet of the page.
#[utoipa::path(get, path = "/docs/style.css", operation_id = "get_docs_style", tag = "operations", security(()), responses((status = 200, description = "A stylesheet.", body = String, content_type = "text/css")))]
pub(super) async fn docs_style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], docs::STYLE).into_response()
}

/// Redirects browsers to the web UI, and other clients to the documentation.
#[utoipa::path(get, path = "/", operation_id = "get_home", tag = "operations", security(()), responses((status = 302, description = "To \
    `/ui/` if the header `Accept` contains `text/html`, else to `/docs`.")))]
pub(super) async fn home(headers: HeaderMap) -> Response {
    let accepts = headers.get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    let to = if accepts.contains("text/html") { "/ui/" } else { "/docs" };
    (StatusCode::FOUND, [(header::LOCATION, to), (header::VARY, "accept")]).into_response()
}

//! Alerts over HTTP. The value of an alert is read when it is put, and at short intervals from then on.

use axum::Json as Said;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{Json, NoParams, Segments, blocking};
use super::request::RequestError;
use super::state::{App, Shared};
use crate::api::alerts::AlertView;
use crate::ingest::IngestError;
use crate::model::alert::AlertRule;
use crate::model::handle::Handle;
use crate::registry::{Actor, Registry};
use crate::resolve::ReadScope;

/// The alerts that a reader can see, on a primary.
pub(super) fn seen(app: &Shared, scope: &ReadScope) -> Result<Vec<AlertView>, Failure> {
    let replica = || RequestError::Replica { what: "reading alerts", upstream: app.upstream.clone() };
    Ok(app.registry.as_ref().ok_or_else(replica)?.alerts(scope)?)
}

/// Lists alerts with their states and newest values: all of them for callers who can read every prompt, for others those
/// on single prompts that they can read.
#[utoipa::path(get, path = "/v1/alerts", operation_id = "list_alerts", tag = "telemetry", security((), ("token" = [])), responses((status = 200, body = Vec<AlertView>)))]
pub(super) async fn alerts(
    State(app): State<App>,
    reader: Reader,
    _: NoParams,
) -> Result<Said<Vec<AlertView>>, Failure> {
    let scope = reader.scope();
    Ok(Said(blocking(move || seen(&app, &scope)).await??))
}

/// Creates or replaces an alert, and reads its value. Webhooks get `alert.firing` when it begins to fire, and
/// `alert.resolved` when it no longer does.
#[utoipa::path(
    put, path = "/v1/alerts/{name}", operation_id = "put_alert", tag = "telemetry",
    params(("name" = Handle, Path, description = "The name of the alert.", example = "support-spend")),
    request_body(content = AlertRule, example = json!({"metric": "spend", "threshold": 20, "prompts": "support/**", "per_s": 86_400})),
    responses((status = 201, description = "It was created.", body = AlertView), (status = 200, description = "It was changed.", body = AlertView)),
)]
pub(super) async fn put_alert(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(rule): Json<AlertRule>,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    let is_new = put(&app, &writer.registry, &writer.actor, &name, rule).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Said(blocking(move || writer.registry.alert(&name)).await??)).into_response())
}

/// Stores an alert and reads its value; returns whether it is new.
pub(super) async fn put(
    app: &Shared,
    registry: &Registry,
    actor: &Actor,
    name: &str,
    rule: AlertRule,
) -> Result<bool, Failure> {
    let is_new = registry.put_alert(actor, name.to_owned(), rule).await?;
    read(app, registry, name).await?;
    Ok(is_new)
}

/// Reads the value of one alert, where telemetry is recorded.
async fn read(app: &Shared, registry: &Registry, name: &str) -> Result<(), Failure> {
    let Some(recorder) = app.recorder.clone() else { return Ok(()) };
    let (stored, name) = (registry.clone(), name.to_owned());
    let reading = move || -> Result<_, Failure> {
        let alerts = stored.stored_alerts().map_err(crate::registry::RegistryError::from)?;
        let one = alerts.into_iter().filter(|alert| alert.name == name).collect();
        recorder.read_alerts(one).map_err(|error: IngestError| error.into())
    };
    let readings = blocking(reading).await??;
    Ok(registry.note_readings(readings).await?)
}

/// Removes an alert. Nothing is sent to webhooks, even if it fires.
#[utoipa::path(
    delete, path = "/v1/alerts/{name}", operation_id = "delete_alert", tag = "telemetry",
    params(("name" = Handle, Path, description = "The name of the alert.", example = "support-spend")),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn remove_alert(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    writer.registry.remove_alert(&writer.actor, segments.text("name").to_owned()).await?;
    Ok(StatusCode::NO_CONTENT)
}

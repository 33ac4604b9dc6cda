//! Reading recorded responses, on the primary.

use axum::Json;
use axum::extract::State;

use super::auth::Reader;
use super::error::Failure;
use super::extract::{NoParams, Segments, blocking};
use super::request::RequestError;
use super::state::{App, Shared};
use super::telemetry::recorder;
use crate::api::telemetry::RecordedResponses;
use crate::ingest::{IngestError, Recorder};
use crate::resolve::CatalogueView;

/// Returns one response with the others of its trace, or the responses of a trace: the newest 1,000, oldest first.
///
/// A response can be read by whoever can read its prompt; one that belongs to no known version, by whoever can read
/// every prompt. Recorded inputs and outputs are only shown to callers with an access token.
#[utoipa::path(
    get, path = "/v1/responses/{id}", operation_id = "get_response", tag = "telemetry", security((), ("token" = [])),
    params(("id" = String, Path, description = "The ID of a response, of a trace (32 hex digits), or of a span (trace ID, `-`, span ID).", example = "chatcmpl-9x", min_length = 1)),
    responses((status = 200, body = RecordedResponses)),
)]
pub(super) async fn response(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Json<RecordedResponses>, Failure> {
    let id = segments.text("id").to_owned();
    let what = format!("response or trace `{id}`");
    found(app, &reader, what, move |recorder, view, with_content| recorder.response(&id, view, with_content)).await
}

/// Returns the responses of a session: the newest 1,000, oldest first.
#[utoipa::path(
    get, path = "/v1/sessions/{id}", operation_id = "get_session", tag = "telemetry", security((), ("token" = [])),
    params(("id" = String, Path, description = "The ID of a session, as the application reports it.", example = "chat-4711", min_length = 1)),
    responses((status = 200, body = RecordedResponses)),
)]
pub(super) async fn session(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Json<RecordedResponses>, Failure> {
    let id = segments.text("id").to_owned();
    let what = format!("session `{id}`");
    found(app, &reader, what, move |recorder, view, with_content| recorder.session(&id, view, with_content)).await
}

/// What is recorded, where it can be read.
pub(super) fn readable(app: &Shared) -> Result<&Recorder, Failure> {
    if app.registry.is_none() {
        return Err(RequestError::Replica { what: "reading responses", upstream: app.upstream.clone() }.into());
    }
    recorder(app)
}

async fn found(
    app: App,
    reader: &Reader,
    what: String,
    look: impl FnOnce(&Recorder, &CatalogueView, bool) -> Result<Option<RecordedResponses>, IngestError> + Send + 'static,
) -> Result<Json<RecordedResponses>, Failure> {
    let recorder = readable(&app)?.clone();
    let (scope, with_content) = (reader.scope(), reader.seat().is_some());
    let looked = move || -> Result<_, Failure> {
        let view = app.catalogue.as_reader(&scope)?;
        Ok(look(&recorder, &view, with_content)?)
    };
    let found = blocking(looked).await??;
    found.map(Json).ok_or_else(|| RequestError::NoRecord { what: super::extract::excerpt(&what) }.into())
}

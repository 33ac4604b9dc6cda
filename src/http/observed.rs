//! Observed prompts: reading them, and turning one into a prompt.

use axum::Json as Said;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{Json, NoParams, Params, Segments, SerializedAnswer, blocking, excerpt};
use super::request::RequestError;
use super::state::{App, Shared};
use super::telemetry::recorder;
use crate::api::observed::{AdoptRequest, OBSERVED_ROWS_DEFAULT, OBSERVED_ROWS_MAX, ObservedPrompt, ObservedPrompts};
use crate::api::write::{PublishRequest, Published};
use crate::ingest::Recorder;
use crate::model::name::PromptName;
use crate::registry::{Actor, Registry};
use crate::resolve::ReadScope;

/// What records telemetry here, if this is where observed prompts are.
pub(super) fn observing(app: &Shared) -> Result<Recorder, Failure> {
    if app.registry.is_none() {
        let upstream = app.upstream.clone();
        return Err(RequestError::Replica { what: "reading observed prompts", upstream }.into());
    }
    Ok(recorder(app)?.clone())
}

/// Returns the observed prompts: system messages that applications sent and that belong to no version, with calls,
/// models and cost, those with the most calls first.
///
/// Texts that differ in a few places are one prompt with variables. They are observed only where the node records content
/// (`record_content`), and kept as long as it after their last call. An access token that can read every prompt is needed.
#[utoipa::path(
    get, path = "/v1/observed", operation_id = "list_observed_prompts", tag = "telemetry", security(("token" = [])),
    params(("limit" = Option<u32>, Query, description = "Prompts in the answer.", minimum = 1, maximum = 1000)),
    responses((status = 200, body = ObservedPrompts)),
)]
pub(super) async fn list(
    State(app): State<App>,
    reader: Reader,
    mut params: Params,
) -> Result<SerializedAnswer, Failure> {
    let limit = params.number("limit")?;
    let limit = limit.map_or(OBSERVED_ROWS_DEFAULT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    params.finish(&["limit"])?;
    if !(1..=OBSERVED_ROWS_MAX).contains(&limit) {
        let reason = format!("use 1 to {OBSERVED_ROWS_MAX}");
        return Err(RequestError::Parameter { name: "limit", reason }.into());
    }
    let (recorder, scope) = (observing(&app)?, with_token(&reader)?);
    app.work.heavy_json(move |_| recorder.observed(&scope, limit).map_err(Failure::from)).await
}

/// Returns one observed prompt with its whole text.
#[utoipa::path(
    get, path = "/v1/observed/{id}", operation_id = "get_observed_prompt", tag = "telemetry", security(("token" = [])),
    params(("id" = String, Path, description = "The ID: 16 hex digits.", example = "4f2a9c0d1e3b5a67", min_length = 1)),
    responses((status = 200, body = ObservedPrompt)),
)]
pub(super) async fn one(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<ObservedPrompt>, Failure> {
    let id = segments.text("id").to_owned();
    let (recorder, scope) = (observing(&app)?, with_token(&reader)?);
    let asked = id.clone();
    let found = blocking(move || recorder.observed_prompt(&scope, &asked)).await??;
    found.map(Said).ok_or_else(|| absent(&id))
}

/// Publishes an observed prompt as a version of a prompt. Calls with its text belong to that version from then on.
///
/// The message of the version says what was observed. Publishing it again creates nothing, unless the prompt changed since.
#[utoipa::path(
    post, path = "/v1/observed/{id}/adopt", operation_id = "adopt_observed_prompt", tag = "telemetry",
    params(("id" = String, Path, description = "The ID: 16 hex digits.", example = "4f2a9c0d1e3b5a67", min_length = 1)),
    request_body(content = AdoptRequest, example = json!({"name": "support/agent"})),
    responses((status = 201, description = "A version was created.", body = Published), (status = 200, description = "The \
        latest version already has this content.", body = Published)),
)]
pub(super) async fn adopt(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<AdoptRequest>,
) -> Result<(StatusCode, Said<Published>), Failure> {
    let (id, recorder, scope) = (segments.text("id"), observing(&app)?, writer.scope());
    let published = publish(&recorder, scope, (&writer.registry, &writer.actor), id, request.name).await?;
    Ok((if published.created { StatusCode::CREATED } else { StatusCode::OK }, Said(published)))
}

/// Publishes an observed prompt, and notes which version it became.
pub(super) async fn publish(
    recorder: &Recorder,
    scope: ReadScope,
    (registry, actor): (&Registry, &Actor),
    id: &str,
    name: PromptName,
) -> Result<Published, Failure> {
    let (reading, asked) = (recorder.clone(), id.to_owned());
    let adoption = blocking(move || reading.adoption(&scope, &asked)).await??.ok_or_else(|| absent(id))?;
    let request = PublishRequest {
        content: adoption.content.clone(),
        message: adoption.message.clone(),
        bump: None,
        expected_parent: None,
        labels: Vec::new(),
        allow_major: false,
        break_glass: None,
    };
    let published = registry.publish(actor, name, request).await?;
    recorder.adopted(&adoption, published.name.clone(), published.version.number).await?;
    Ok(published)
}

/// The scope of a reader, who needs an access token for recorded content.
fn with_token(reader: &Reader) -> Result<ReadScope, Failure> {
    reader.seat().map(|seat| seat.scope().clone()).ok_or_else(|| RequestError::TokenMissing.into())
}

/// There is no such observed prompt.
pub(super) fn absent(id: &str) -> Failure {
    RequestError::NoRecord { what: excerpt(&format!("observed prompt `{id}`")) }.into()
}

//! Owner, tags and description of a prompt.

use axum::Json as Said;
use axum::extract::State;

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{Json, NoParams, Segments, blocking};
use super::rule_sets::primary;
use super::state::App;
use crate::model::about::About;
use crate::model::name::PromptName;

/// Returns owner, tags and description of a prompt. Only on the primary.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/about", operation_id = "get_about", tag = "prompts", security((), ("token" = [])),
    params(("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or \
        as `%2F`.", example = "support/agent")),
    responses((status = 200, body = About)),
)]
pub(super) async fn about(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<About>, Failure> {
    let name: PromptName = segments.get("name")?;
    primary(&app, "showing the details of a prompt")?;
    let about = move || Ok::<_, Failure>(app.catalogue.as_reader(&reader.scope())?.prompt(&name)?.about);
    Ok(Said(blocking(about).await??.unwrap_or_default()))
}

/// Replaces owner, tags and description of a prompt.
#[utoipa::path(
    put, path = "/v1/prompts/{name}/about", operation_id = "put_about", tag = "prompts",
    params(("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or \
        as `%2F`.", example = "support/agent")),
    request_body(content = About, example = json!({"owner": "support-team", "tags": ["customers", "chat"], "description": "Answers customers of the shop."})),
    responses((status = 200, body = About)),
)]
pub(super) async fn describe(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(about): Json<About>,
) -> Result<Said<About>, Failure> {
    let name: PromptName = segments.get("name")?;
    Ok(Said(writer.registry.describe(&writer.actor, name, about).await?))
}

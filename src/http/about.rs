//! What people say about a prompt.

use axum::Json as Said;
use axum::extract::State;

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{Json, NoParams, Segments, blocking};
use super::rule_sets::primary;
use super::state::App;
use crate::model::about::About;
use crate::model::name::PromptName;

/// Who answers for a prompt, under which tags it is found, and what it is for. Kept by the primary alone.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/about", operation_id = "get_about", tag = "prompts", security((), ("token" = [])),
    params(("name" = PromptName, Path, description = "The prompt. Its slashes may stand as they are, or be written `%2F`.", example = "support/agent")),
    responses((status = 200, body = About)),
)]
pub(super) async fn about(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<About>, Failure> {
    let name: PromptName = segments.get("name")?;
    primary(&app, "saying who owns a prompt")?;
    let about = move || Ok::<_, Failure>(app.catalogue.as_reader(&reader.scope())?.prompt(&name)?.about);
    Ok(Said(blocking(about).await??.unwrap_or_default()))
}

/// Says who answers for a prompt, under which tags it is found, and what it is for, in place of what was said before.
#[utoipa::path(
    put, path = "/v1/prompts/{name}/about", operation_id = "put_about", tag = "prompts",
    params(("name" = PromptName, Path, description = "The prompt. Its slashes may stand as they are, or be written `%2F`.", example = "support/agent")),
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

//! Changes of prompts: each handler passes one command to the registry.

use axum::Extension;
use axum::Json as Said;
use axum::http::StatusCode;

use super::auth::Writer;
use super::error::Failure;
use super::extract::{IMPORT_BODY_BYTES_MAX, Json, NoParams, Segments};
use super::publication::PublishBody;
use super::request_id::RequestId;
use crate::api::write::{
    DeployRequest, Deployed, ImportRequest, Imported, MessageRequest, PublishRequest, Published, RefusedChange,
    RemoveRequest, RollbackRequest,
};
use crate::model::name::{Label, PromptName};
use crate::model::reference::{Selector, VersionRef};
use crate::model::version::{Bump, Version};

/// Publishes a version; nothing is created if the latest version has the same content.
///
/// The body is JSON, or a prompt file as it is. The query then has what the file does not say, and the version is also
/// deployed to the labels in its front matter.
#[utoipa::path(
    post, path = "/v1/prompts/{name}/versions", operation_id = "publish_version", tag = "prompts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("message" = Option<String>, Query, description = "Required with a prompt file: the reason; 1 to 2,000 \
            characters. With JSON, all of these are fields of the body."),
        ("label" = Option<Label>, Query, description = "With a prompt file: a label to deploy the new version to, \
            besides those of the file."),
        ("bump" = Option<Bump>, Query, description = "With a prompt file: the effect on callers; derived when absent, \
            rejected if too small."),
        ("expected_parent" = Option<u64>, Query, description = "With a prompt file: the version it is based on (0: \
            none yet); rejected if there is a newer one."),
        ("allow_major" = Option<bool>, Query, description = "With a prompt file: whether to deploy even if it breaks \
            current callers."),
        ("break_glass" = Option<String>, Query, description = "With a prompt file: the reason for overriding unmet \
            requirements of policies (admins only)."),
    ),
    request_body(content(
        (PublishRequest = "application/json", example = json!({"content": {"syntax": "mustache", "text": "Hello {{customer}}."}, "message": "Greet by name", "labels": ["staging"]})),
        (String = "text/vnd.bookholder.prompt", example = "---\nlabels: [staging]\n---\nHello {{customer}}.\n"),
    ), description = "A version, or a prompt file in UTF-8 of at most 2 MiB."),
    responses((status = 201, description = "A version was created.", body = Published), (status = 200, description = "The \
        latest version already has this content.", body = Published)),
)]
pub(super) async fn publish(
    writer: Writer,
    segments: Segments,
    PublishBody(request): PublishBody,
) -> Result<(StatusCode, Said<Published>), Failure> {
    let name = segments.get("name")?;
    let published = writer.registry.publish(&writer.actor, name, request).await?;
    Ok((if published.created { StatusCode::CREATED } else { StatusCode::OK }, Said(published)))
}

/// Removes a prompt: nothing is served under its name until it is published again. Its history remains.
#[utoipa::path(
    delete, path = "/v1/prompts/{name}", operation_id = "remove_prompt", tag = "prompts",
    params(("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or \
        as `%2F`.", example = "support/agent")),
    request_body(content = RemoveRequest, example = json!({"message": "Replaced by support/concierge"})),
    responses((status = 200, body = Deployed)),
)]
pub(super) async fn remove(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<RemoveRequest>,
) -> Result<Said<Deployed>, Failure> {
    Ok(Said(writer.registry.remove(&writer.actor, segments.get("name")?, request).await?))
}

/// Retires a version, so it can no longer be deployed.
#[utoipa::path(
    post, path = "/v1/prompts/{name}/versions/{version}/retirement", operation_id = "retire_version", tag = "prompts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("version" = u64, Path, description = "The number.", minimum = 1, example = 7),
    ),
    request_body(content = MessageRequest, example = json!({"message": "Promises refunds"})),
    responses((status = 200, body = Version)),
)]
pub(super) async fn retire(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(why): Json<MessageRequest>,
) -> Result<Said<Version>, Failure> {
    let VersionRef { name, version: number } = version(&segments)?;
    Ok(Said(writer.registry.retire(&writer.actor, name, number, why).await?))
}

/// Un-retires a version.
#[utoipa::path(
    delete, path = "/v1/prompts/{name}/versions/{version}/retirement", operation_id = "reinstate_version", tag = "prompts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("version" = u64, Path, description = "The number.", minimum = 1, example = 7),
    ),
    request_body(content = MessageRequest, example = json!({"message": "It was version 6"})),
    responses((status = 200, body = Version)),
)]
pub(super) async fn reinstate(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(why): Json<MessageRequest>,
) -> Result<Said<Version>, Failure> {
    let VersionRef { name, version: number } = version(&segments)?;
    Ok(Said(writer.registry.reinstate(&writer.actor, name, number, why).await?))
}

/// Deploys to labels of one or more prompts, all at once or not at all.
#[utoipa::path(
    post, path = "/v1/deployments", operation_id = "deploy", tag = "deployments",
    request_body(content = DeployRequest, example = json!({"moves": [{"name": "support/agent", "label": "production", "serving": {"version": 7}}], "message": "Greets by name; staging was fine for a week"})),
    responses((status = 200, body = Deployed)),
)]
pub(super) async fn deploy(
    writer: Writer,
    _: NoParams,
    Json(request): Json<DeployRequest>,
) -> Result<Said<Deployed>, Failure> {
    Ok(Said(writer.registry.deploy(&writer.actor, request).await?))
}

/// Removes a label: requests for it fail from then on.
#[utoipa::path(
    delete, path = "/v1/prompts/{name}/labels/{label}", operation_id = "remove_label", tag = "deployments",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("label" = Label, Path, description = "A label.", example = "trial"),
    ),
    request_body(content = MessageRequest, example = json!({"message": "The trial is over"})),
    responses((status = 200, body = Deployed)),
)]
pub(super) async fn unlabel(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(why): Json<MessageRequest>,
) -> Result<Said<Deployed>, Failure> {
    let (name, label) = label(&segments)?;
    Ok(Said(writer.registry.unlabel(&writer.actor, name, label, why).await?))
}

/// Rolls a label back to what it served before, or to the version `to`. A second rollback goes further back.
#[utoipa::path(
    post, path = "/v1/prompts/{name}/labels/{label}/rollback", operation_id = "roll_back_label", tag = "deployments",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("label" = Label, Path, description = "A label.", example = "production"),
    ),
    request_body(content = RollbackRequest, example = json!({"message": "Answers in French"})),
    responses((status = 200, body = Deployed)),
)]
pub(super) async fn rollback(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<RollbackRequest>,
) -> Result<Said<Deployed>, Failure> {
    let (name, label) = label(&segments)?;
    Ok(Said(writer.registry.rollback(&writer.actor, name, label, request).await?))
}

/// Imports history from elsewhere, oldest first, each change once.
#[utoipa::path(
    post, path = "/v1/import", operation_id = "import_history", tag = "prompts",
    request_body(content = ImportRequest, example = json!({"changes": [{"id": "c1", "at": "2026-03-20T15:00:00Z", "author": "ada", "message": "First text", "name": "support/agent", "text": "Hello."}]})),
    responses((status = 200, body = Imported)),
)]
pub(super) async fn import(
    writer: Writer,
    _: NoParams,
    Extension(id): Extension<RequestId>,
    Json(request): Json<ImportRequest, IMPORT_BODY_BYTES_MAX>,
) -> Result<Said<Imported>, Failure> {
    let outcome = writer.registry.import(&writer.actor, request).await?;
    let refused = |(change, error)| RefusedChange { id: change, problem: Failure::Registry(error).problem(id) };
    Ok(Said(Imported { refused: outcome.refused.into_iter().map(refused).collect(), ..outcome.imported }))
}

fn label(segments: &Segments) -> Result<(PromptName, Label), Failure> {
    Ok((segments.get("name")?, segments.get("label")?))
}

/// A version by number: changes to a version must not depend on a label.
pub(super) fn version(segments: &Segments) -> Result<VersionRef, Failure> {
    let name = segments.get("name")?;
    match segments.get::<Selector>("version")? {
        Selector::Version(version) => Ok(VersionRef { name, version }),
        Selector::Label(_) | Selector::Content(_) => Ok(VersionRef { name, version: segments.number("version")? }),
    }
}

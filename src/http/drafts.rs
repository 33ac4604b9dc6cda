//! Drafts, for callers with an access token who can publish or review the prompt.
//!
//! Local applications can read published versions without a token, but not drafts. Invariant: a list contains no
//! content, which could be a hundred megabytes.

use axum::Json as Said;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::Writer;
use super::error::Failure;
use super::extract::{Json, NoParams, Segments, SerializedAnswer, blocking};
use super::state::App;
use crate::api::govern::{DraftMerge, DraftRequest, PublishDraftRequest};
use crate::api::write::Published;
use crate::clock::Cancellation;
use crate::model::draft::{Draft, DraftSummary};
use crate::model::handle::Handle;
use crate::model::name::PromptName;
use crate::registry::RegistryError;
use crate::resolve::CatalogueView;

/// Lists the drafts of a prompt, which does not have to exist yet, by name and without their content.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/drafts", operation_id = "list_drafts", tag = "drafts",
    params(("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or \
        as `%2F`.", example = "support/agent")),
    responses((status = 200, body = Vec<DraftSummary>)),
)]
pub(super) async fn drafts(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Vec<DraftSummary>>, Failure> {
    let (name, _) = draft_of(&segments)?;
    Ok(Said(ask(app, writer, move |view, writer| writer.registry.drafts(view, &writer.actor, &name)).await?))
}

/// Returns a draft as last saved.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/drafts/{draft}", operation_id = "get_draft", tag = "drafts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("draft" = Handle, Path, description = "The draft.", example = "friendlier"),
    ),
    responses((status = 200, body = Draft)),
)]
pub(super) async fn draft(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Draft>, Failure> {
    let (name, draft) = draft_of(&segments)?;
    Ok(Said(ask(app, writer, move |view, writer| writer.registry.draft(view, &writer.actor, &name, &draft)).await?))
}

/// Saves a draft, creating it if needed. Nothing is published.
#[utoipa::path(
    put, path = "/v1/prompts/{name}/drafts/{draft}", operation_id = "save_draft", tag = "drafts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("draft" = Handle, Path, description = "The draft; 1 to 64 characters from a-z 0-9 . _ - @.",
            example = "friendlier"),
    ),
    request_body(content = DraftRequest, example = json!({"content": {"syntax": "mustache", "text": "Hello {{customer}}!"}, "expected_revision": 3})),
    responses((status = 200, body = Draft)),
)]
pub(super) async fn save_draft(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<DraftRequest>,
) -> Result<Said<Draft>, Failure> {
    let (name, draft) = draft_of(&segments)?;
    Ok(Said(writer.registry.save_draft(&writer.actor, name, draft, request).await?))
}

/// Discards a draft and its save history.
#[utoipa::path(
    delete, path = "/v1/prompts/{name}/drafts/{draft}", operation_id = "discard_draft", tag = "drafts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("draft" = Handle, Path, description = "The draft.", example = "friendlier"),
    ),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn discard_draft(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    let (name, draft) = draft_of(&segments)?;
    writer.registry.discard_draft(&writer.actor, name, draft).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists the saves of a draft, newest first and without their content: at most the last 100, and the last 8 MiB.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/drafts/{draft}/saves", operation_id = "list_draft_saves", tag = "drafts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("draft" = Handle, Path, description = "The draft.", example = "friendlier"),
    ),
    responses((status = 200, body = Vec<DraftSummary>)),
)]
pub(super) async fn draft_saves(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Vec<DraftSummary>>, Failure> {
    let (name, draft) = draft_of(&segments)?;
    Ok(Said(
        ask(app, writer, move |view, writer| writer.registry.draft_saves(view, &writer.actor, &name, &draft)).await?,
    ))
}

/// Returns a draft as of one of its saves.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/drafts/{draft}/saves/{revision}", operation_id = "get_draft_save", tag = "drafts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("draft" = Handle, Path, description = "The draft.", example = "friendlier"),
        ("revision" = u64, Path, description = "The save.", minimum = 1, example = 3),
    ),
    responses((status = 200, body = Draft)),
)]
pub(super) async fn draft_save(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Draft>, Failure> {
    let (name, draft) = draft_of(&segments)?;
    let revision = segments.number("revision")?;
    Ok(Said(
        ask(app, writer, move |view, writer| writer.registry.draft_save(view, &writer.actor, &name, &draft, revision))
            .await?,
    ))
}

/// Merges a draft with what was published since it began; conflicts are shown, and nothing is saved.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/drafts/{draft}/merge", operation_id = "merge_draft", tag = "drafts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("draft" = Handle, Path, description = "The draft.", example = "friendlier"),
    ),
    responses((status = 200, body = DraftMerge)),
)]
pub(super) async fn merge_draft(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<SerializedAnswer, Failure> {
    let (name, draft) = draft_of(&segments)?;
    let held = app.clone();
    let merge = move |_: &Cancellation| {
        let view = app.catalogue.as_reader(&writer.scope())?;
        writer.registry.merge_draft(&view, &writer.actor, &name, &draft)
    };
    held.work.heavy_json(merge).await
}

/// Publishes a draft and deletes it; rejected if someone else published since it began.
#[utoipa::path(
    post, path = "/v1/prompts/{name}/drafts/{draft}/publication", operation_id = "publish_draft", tag = "drafts",
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("draft" = Handle, Path, description = "The draft.", example = "friendlier"),
    ),
    request_body(content = PublishDraftRequest, example = json!({"message": "Greet by name", "labels": ["staging"]})),
    responses((status = 201, description = "A version was created.", body = Published), (status = 200, description = "The \
        latest version already has this content.", body = Published)),
)]
pub(super) async fn publish_draft(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<PublishDraftRequest>,
) -> Result<(StatusCode, Said<Published>), Failure> {
    let (name, draft) = draft_of(&segments)?;
    let published = writer.registry.publish_draft(&writer.actor, name, draft, request).await?;
    Ok((if published.created { StatusCode::CREATED } else { StatusCode::OK }, Said(published)))
}

/// Runs a query about drafts on one snapshot, on a thread that can block.
async fn ask<T: Send + 'static>(
    app: App,
    writer: Writer,
    question: impl FnOnce(&CatalogueView, &Writer) -> Result<T, RegistryError> + Send + 'static,
) -> Result<T, Failure> {
    Ok(blocking(move || question(&app.catalogue.as_reader(&writer.scope())?, &writer)).await??)
}

fn draft_of(segments: &Segments) -> Result<(PromptName, String), Failure> {
    Ok((segments.get("name")?, segments.text("draft").to_owned()))
}

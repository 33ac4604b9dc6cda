//! Reading prompts, versions, labels, deployments and contents.

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::auth::Reader;
use super::error::Failure;
use super::etag::matches;
use super::extract::{NoParams, Params, Segments, SerializedAnswer, blocking};
use super::freshness_headers::text;
use super::openapi::params::Paging;
use super::request::RequestError;
use super::state::App;
use crate::api::read::{DeploymentPage, DiffAnswer, PromptPage, PromptView, VersionPage, VersionView};
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::model::prompt::LabelState;
use crate::model::reference::Selector;
use crate::resolve::{CatalogueView, ResolveError};

/// How long caches can keep the bytes of a content id: without limit, as they never change.
pub(super) const IMMUTABLE: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");

/// Queries one snapshot of the catalogue on a thread that can block.
async fn query_blocking<T: Send + 'static>(
    app: App,
    reader: &Reader,
    question: impl Fn(&CatalogueView) -> Result<T, ResolveError> + Send + 'static,
) -> Result<Json<T>, Failure> {
    let scope = reader.scope();
    Ok(Json(blocking(move || app.catalogue.query(&scope, |view| question(&view))).await??))
}

/// Returns the exact bytes of a content; their `b3sum` is the id.
#[utoipa::path(
    get, path = "/v1/contents/{content_id}", operation_id = "get_content", tag = "prompts", security((), ("token" = [])),
    params(("content_id" = ContentId, Path, description = "`b3:` and 64 hex digits.",
        example = "b3:3f9a1c2b7d410e5568a0c4d2f6b8e19a7c3d5f0e2b4a6c8d0f1e3a5b7c9d2e4f")),
    responses((status = 200, description = "JSON without white space, with keys in the author's order: the bytes \
        that the id is the hash of.", body = crate::model::content::Content), (status = 304, description = "The \
        client's copy is current.")),
)]
pub(super) async fn content(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let wrong = |error: crate::model::content_id::ContentIdError| RequestError::Path { reason: error.to_string() };
    let id: ContentId = segments.text("content_id").parse().map_err(wrong)?;
    let Json(bytes) = query_blocking(app, &reader, move |view| view.content(&id)).await?;
    let etag = format!("\"{id}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|header| matches(header, etag.as_bytes()));
    let said = [(header::ETAG, text(etag)), (header::CACHE_CONTROL, IMMUTABLE)];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, said).into_response()
    } else {
        (said, [(header::CONTENT_TYPE, "application/json")], Bytes::from(bytes)).into_response()
    })
}

/// Lists prompts by name.
#[utoipa::path(
    get, path = "/v1/prompts", operation_id = "list_prompts", tag = "prompts", security((), ("token" = [])),
    params(
        ("prefix" = Option<String>, Query, description = "Prefix of the names, for example `support/`."),
        ("removed" = Option<bool>, Query, description = "Whether to include removed prompts."),
        Paging,
    ),
    responses((status = 200, body = PromptPage)),
)]
pub(super) async fn prompts(
    State(app): State<App>,
    reader: Reader,
    mut params: Params,
) -> Result<Json<PromptPage>, Failure> {
    let prefix = params.text("prefix").unwrap_or_default();
    let removed = params.get::<bool>("removed")?.unwrap_or(false);
    let (cursor, limit) = params.page()?;
    params.finish(&["prefix", "removed", "cursor", "limit"])?;
    query_blocking(app, &reader, move |view| view.prompts(&prefix, removed, cursor.as_deref(), limit)).await
}

/// Returns one prompt with its labels and the prompts that include it, even if it is removed.
#[utoipa::path(
    get, path = "/v1/prompts/{name}", operation_id = "get_prompt", tag = "prompts", security((), ("token" = [])),
    params(("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or \
        as `%2F`.", example = "support/agent")),
    responses((status = 200, body = PromptView)),
)]
pub(super) async fn prompt(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Json<PromptView>, Failure> {
    let name: PromptName = segments.get("name")?;
    query_blocking(app, &reader, move |view| view.prompt(&name)).await
}

/// Lists the versions of a prompt, newest first.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/versions", operation_id = "list_versions", tag = "prompts", security((), ("token" = [])),
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        Paging,
    ),
    responses((status = 200, body = VersionPage)),
)]
pub(super) async fn versions(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    mut params: Params,
) -> Result<Json<VersionPage>, Failure> {
    let name: PromptName = segments.get("name")?;
    let (cursor, limit) = params.page()?;
    params.finish(&["cursor", "limit"])?;
    query_blocking(app, &reader, move |view| view.versions(&name, cursor.as_deref(), limit)).await
}

/// Returns one version with its content, and the content as written.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/versions/{version}", operation_id = "get_version", tag = "prompts", security((), ("token" = [])),
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("version" = Selector, Path, description = "A version number, `b3:…`, or a label.", example = "7"),
    ),
    responses((status = 200, body = VersionView)),
)]
pub(super) async fn version(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Json<VersionView>, Failure> {
    let name: PromptName = segments.get("name")?;
    let selector: Selector = segments.get("version")?;
    query_blocking(app, &reader, move |view| view.version(&name, &selector)).await
}

/// Returns the differences between two versions.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/diff", operation_id = "diff_versions", tag = "prompts", security((), ("token" = [])),
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("from" = Selector, Query, description = "A version number, `b3:…`, or a label.", example = "production"),
        ("to" = Selector, Query, description = "A version number, `b3:…`, or a label.", example = "latest"),
    ),
    responses((status = 200, body = DiffAnswer)),
)]
pub(super) async fn diff(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    mut params: Params,
) -> Result<SerializedAnswer, Failure> {
    let name: PromptName = segments.get("name")?;
    let (from, to) = (params.require::<Selector>("from")?, params.require::<Selector>("to")?);
    params.finish(&["from", "to"])?;
    let held = app.clone();
    held.work.heavy_json(move |_| app.catalogue.as_reader(&reader.scope())?.diff(&name, &from, &to)).await
}

/// Lists the labels of a prompt and what they serve, without `latest`.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/labels", operation_id = "list_labels", tag = "deployments", security((), ("token" = [])),
    params(("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or \
        as `%2F`.", example = "support/agent")),
    responses((status = 200, body = Vec<LabelState>)),
)]
pub(super) async fn labels(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Json<Vec<LabelState>>, Failure> {
    let name: PromptName = segments.get("name")?;
    query_blocking(app, &reader, move |view| view.prompt(&name).map(|prompt| prompt.labels)).await
}

/// Returns what one label serves.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/labels/{label}", operation_id = "get_label", tag = "deployments", security((), ("token" = [])),
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("label" = Label, Path, description = "A label.", example = "production"),
    ),
    responses((status = 200, body = LabelState)),
)]
pub(super) async fn label(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Json<LabelState>, Failure> {
    let name: PromptName = segments.get("name")?;
    let label: Label = segments.get("label")?;
    query_blocking(app, &reader, move |view| view.label(&name, &label)).await
}

/// Lists deployments, newest first: all, those of a prompt, or those of one of its labels.
#[utoipa::path(
    get, path = "/v1/deployments", operation_id = "list_deployments", tag = "deployments", security((), ("token" = [])),
    params(
        ("name" = Option<PromptName>, Query, description = "Only for this prompt.", example = "support/agent"),
        ("label" = Option<Label>, Query, description = "Only for this label of the prompt."),
        Paging,
    ),
    responses((status = 200, body = DeploymentPage)),
)]
pub(super) async fn deployments(
    State(app): State<App>,
    reader: Reader,
    mut params: Params,
) -> Result<Json<DeploymentPage>, Failure> {
    let (name, label) = (params.get::<PromptName>("name")?, params.get::<Label>("label")?);
    let (cursor, limit) = params.page()?;
    params.finish(&["name", "label", "cursor", "limit"])?;
    if name.is_none() && label.is_some() {
        let reason = "a label belongs to a prompt; give `name` too".to_owned();
        return Err(RequestError::Unfit { reason }.into());
    }
    query_blocking(app, &reader, move |view| match &name {
        Some(name) => view.deployments(name, label.as_ref(), cursor.as_deref(), limit),
        None => view.all_deployments(cursor.as_deref(), limit),
    })
    .await
}

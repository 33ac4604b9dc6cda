//! Change requests: opened, reviewed, deployed.

use axum::Json as Said;
use axum::extract::State;
use axum::http::StatusCode;

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{Json, NoParams, Params, Segments, SerializedAnswer, blocking};
use super::openapi::params::Paging;
use super::rule_sets::primary;
use super::state::App;
use crate::api::govern::{
    AmendRequest, ApplyRequest, ProposeRequest, RequestPage, RequestView, ReviewRequest, ReviewedRequest,
};
use crate::api::write::Deployed;
use crate::model::change_request::{ChangeRequest, RequestState};

/// The hint on a replica, which cannot do this.
const KEEPING: &str = "working with change requests";

/// Lists change requests, newest first: those whose prompts the caller can all read.
#[utoipa::path(
    get, path = "/v1/requests", operation_id = "list_change_requests", tag = "change_requests", security((), ("token" = [])),
    params(
        ("state" = Option<RequestState>, Query, description = "Only change requests in this state: `open`, \
            `applied`, `rejected`, `withdrawn` or `expired`.", example = "open"),
        Paging,
    ),
    responses((status = 200, body = RequestPage)),
)]
pub(super) async fn requests(
    State(app): State<App>,
    reader: Reader,
    mut params: Params,
) -> Result<Said<RequestPage>, Failure> {
    let state: Option<RequestState> = params.get("state")?;
    let (cursor, limit) = params.page()?;
    params.finish(&["state", "cursor", "limit"])?;
    let registry = primary(&app, KEEPING)?;
    let page = move || {
        let view = app.catalogue.as_reader(&reader.scope())?;
        registry.change_requests(&view, state, cursor.as_deref(), limit)
    };
    Ok(Said(blocking(page).await??))
}

/// Returns one change request with everything a reviewer needs: diff, risk, dependents, callers, requirements.
#[utoipa::path(
    get, path = "/v1/requests/{id}", operation_id = "get_change_request", tag = "change_requests", security((), ("token" = [])),
    params(("id" = u64, Path, description = "The number.", minimum = 1, example = 12)),
    responses((status = 200, body = RequestView)),
)]
pub(super) async fn request(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<SerializedAnswer, Failure> {
    let id = segments.number("id")?;
    let (registry, held) = (primary(&app, KEEPING)?, app.clone());
    held.work.heavy_json(move |_| registry.change_request(&app.catalogue.as_reader(&reader.scope())?, id)).await
}

/// Opens a change request: publishes its version, if it has one, and waits for reviews.
#[utoipa::path(
    post, path = "/v1/requests", operation_id = "propose_change_request", tag = "change_requests",
    request_body(content = ProposeRequest, example = json!({"message": "Greet by name", "publish": {"name": "support/agent", "content": {"syntax": "mustache", "text": "Hello {{customer}}."}, "labels": ["production"]}, "automatic": true})),
    responses((status = 201, body = ChangeRequest)),
)]
pub(super) async fn propose(
    writer: Writer,
    _: NoParams,
    Json(request): Json<ProposeRequest>,
) -> Result<(StatusCode, Said<ChangeRequest>), Failure> {
    let proposed = writer.registry.propose(&writer.actor, request).await?;
    Ok((StatusCode::CREATED, Said(proposed)))
}

/// Replaces the proposal of a change request; approvals of other content do not count for it.
#[utoipa::path(
    post, path = "/v1/requests/{id}/amendments", operation_id = "amend_change_request", tag = "change_requests",
    params(("id" = u64, Path, description = "The number.", minimum = 1, example = 12)),
    request_body(content = AmendRequest, example = json!({"message": "Without the loan offer", "moves": [{"name": "support/agent", "label": "production", "serving": {"version": 8}}]})),
    responses((status = 200, body = ChangeRequest)),
)]
pub(super) async fn amend(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<AmendRequest>,
) -> Result<Said<ChangeRequest>, Failure> {
    Ok(Said(writer.registry.amend(&writer.actor, segments.number("id")?, request).await?))
}

/// Approves, rejects, comments on or withdraws a change request; returns it as it is afterwards.
#[utoipa::path(
    post, path = "/v1/requests/{id}/reviews", operation_id = "review_change_request", tag = "change_requests",
    params(("id" = u64, Path, description = "The number.", minimum = 1, example = 12)),
    request_body(content = ReviewRequest, example = json!({"kind": "approve", "message": "Does not mention loans"})),
    responses((status = 200, body = ReviewedRequest)),
)]
pub(super) async fn review(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<ReviewRequest>,
) -> Result<Said<ReviewedRequest>, Failure> {
    let id = segments.number("id")?;
    writer.registry.review(&writer.actor, id, request).await?;
    let scope = writer.scope();
    let shown = move || writer.registry.reviewed_request(&app.catalogue.as_reader(&scope)?, id);
    Ok(Said(blocking(shown).await??))
}

/// Deploys a change request if all requirements are met.
#[utoipa::path(
    post, path = "/v1/requests/{id}/application", operation_id = "apply_change_request", tag = "change_requests",
    params(("id" = u64, Path, description = "The number.", minimum = 1, example = 12)),
    request_body(content = ApplyRequest, example = json!({"message": "Approved by compliance"})),
    responses((status = 200, body = Deployed)),
)]
pub(super) async fn apply(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<ApplyRequest>,
) -> Result<Said<Deployed>, Failure> {
    let id = segments.number("id")?;
    Ok(Said(writer.registry.apply(&writer.actor, id, request).await?))
}

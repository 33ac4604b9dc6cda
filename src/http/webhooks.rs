//! Webhooks over HTTP: each handler passes one command to the registry.

use axum::Json as Said;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::auth::Writer;
use super::error::Failure;
use super::extract::{Json, NoParams, Params, Segments, blocking};
use super::openapi::params::Paging;
use crate::api::webhooks::{DeliveryPage, SuspensionRequest, TestAnswer, WebhookRequest, WebhookRotation, WebhookView};
use crate::model::handle::Handle;
use crate::model::webhook::Delivery;

/// Lists webhooks, without their secrets.
#[utoipa::path(get, path = "/v1/webhooks", operation_id = "list_webhooks", tag = "webhooks", responses((status = 200, body = Vec<WebhookView>)))]
pub(super) async fn webhooks(writer: Writer, _: NoParams) -> Result<Said<Vec<WebhookView>>, Failure> {
    Ok(Said(blocking(move || writer.registry.webhooks(&writer.actor)).await??))
}

/// Creates or replaces a webhook; its secret is only shown in the response that creates it.
#[utoipa::path(
    put, path = "/v1/webhooks/{name}", operation_id = "put_webhook", tag = "webhooks",
    params(("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot")),
    request_body(content = WebhookRequest, example = json!({"url": "https://bot.example.com/bookholder", "events": ["prompt.label.*"], "prompts": "support/**"})),
    responses((status = 201, description = "It was created.", body = WebhookView), (status = 200, description = "It was changed.", body = WebhookView)),
)]
pub(super) async fn put_webhook(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<WebhookRequest>,
) -> Result<Response, Failure> {
    let kept = writer.registry.put_webhook(&writer.actor, segments.text("name").to_owned(), request).await?;
    Ok(with_secret(if kept.secret.is_some() { StatusCode::CREATED } else { StatusCode::OK }, kept))
}

/// Removes a webhook and its deliveries.
#[utoipa::path(
    delete, path = "/v1/webhooks/{name}", operation_id = "delete_webhook", tag = "webhooks",
    params(("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot")),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn remove_webhook(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    writer.registry.remove_webhook(&writer.actor, segments.text("name").to_owned()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Rotates the secret of a webhook; both secrets sign during the overlap.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/rotation", operation_id = "rotate_webhook_secret", tag = "webhooks",
    params(("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot")),
    request_body(content = WebhookRotation, example = json!({"overlap_s": 86_400})),
    responses((status = 201, description = "The new secret; it is not shown again.", body = WebhookView)),
)]
pub(super) async fn rotate_webhook(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<WebhookRotation>,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    let rotated = writer.registry.rotate_webhook_secret(&writer.actor, name, request).await?;
    Ok(with_secret(StatusCode::CREATED, rotated))
}

/// Sends a webhook an event of type `webhook.test`.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/test", operation_id = "test_webhook", tag = "webhooks",
    params(("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot")),
    responses((status = 202, description = "The test event was queued.", body = TestAnswer)),
)]
pub(super) async fn test_webhook(
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<(StatusCode, Said<TestAnswer>), Failure> {
    let seq = writer.registry.test_webhook(&writer.actor, segments.text("name").to_owned()).await?;
    Ok((StatusCode::ACCEPTED, Said(TestAnswer { seq })))
}

/// Disables a webhook until it is enabled; events in between are not sent.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/suspension", operation_id = "suspend_webhook", tag = "webhooks",
    params(("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot")),
    request_body(content = SuspensionRequest, example = json!({"message": "The bot moves house"})),
    responses((status = 200, body = WebhookView)),
)]
pub(super) async fn disable_webhook(
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<SuspensionRequest>,
) -> Result<Said<WebhookView>, Failure> {
    let name = segments.text("name").to_owned();
    Ok(Said(writer.registry.disable_webhook(&writer.actor, name, request).await?))
}

/// Enables a webhook: pending and new events are sent.
#[utoipa::path(
    delete, path = "/v1/webhooks/{name}/suspension", operation_id = "resume_webhook", tag = "webhooks",
    params(("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot")),
    responses((status = 200, body = WebhookView)),
)]
pub(super) async fn enable_webhook(
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<Said<WebhookView>, Failure> {
    Ok(Said(writer.registry.enable_webhook(&writer.actor, segments.text("name").to_owned()).await?))
}

/// Lists the deliveries of a webhook, newest first: pending ones, and the last 1,000 completed within 30 days.
#[utoipa::path(
    get, path = "/v1/webhooks/{name}/deliveries", operation_id = "list_webhook_deliveries", tag = "webhooks",
    params(
        ("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot"),
        Paging,
    ),
    responses((status = 200, body = DeliveryPage)),
)]
pub(super) async fn webhook_deliveries(
    writer: Writer,
    segments: Segments,
    mut params: Params,
) -> Result<Said<DeliveryPage>, Failure> {
    let (cursor, limit) = params.page()?;
    params.finish(&["cursor", "limit"])?;
    let name = segments.text("name").to_owned();
    let read = move || writer.registry.deliveries(&writer.actor, &name, cursor.as_deref(), limit);
    Ok(Said(blocking(read).await??))
}

/// Sends the events of an audit entry to a webhook again, with the same `webhook-id`s; rejected if none matches its
/// filters and prompts.
#[utoipa::path(
    post, path = "/v1/webhooks/{name}/deliveries/{seq}/redelivery", operation_id = "redeliver_webhook", tag = "webhooks",
    params(
        ("name" = Handle, Path, description = "The name of the webhook.", example = "deploy-bot"),
        ("seq" = u64, Path, description = "The audit entry of the events.", minimum = 1, example = 17),
    ),
    responses((status = 202, description = "The events were queued.", body = Vec<Delivery>)),
)]
pub(super) async fn redeliver(
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<(StatusCode, Said<Vec<Delivery>>), Failure> {
    let (name, seq) = (segments.text("name").to_owned(), segments.number("seq")?);
    Ok((StatusCode::ACCEPTED, Said(writer.registry.redeliver(&writer.actor, name, seq).await?)))
}

/// A response that can contain a secret and must not be cached.
fn with_secret(status: StatusCode, view: WebhookView) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Said(view)).into_response()
}

//! For admins: access tokens, the audit log, backups, bundles.

use axum::Json as Said;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::auth::Writer;
use super::download::send;
use super::error::Failure;
use super::extract::{Json, NoParams, Params, Segments, blocking};
use super::request::RequestError;
use super::state::App;
use crate::api::govern::{TokenRequest, TokenView};
use crate::api::read::AuditPage;
use crate::ingest::IngestError;
use crate::model::audit::{AuditVerdict, Command, Subject};
use crate::model::handle::Handle;
use crate::model::principal::Permission;

/// Lifetime of a bundle's checkpoint if the request does not set one, in days.
const BUNDLE_LIFETIME_DAYS: u32 = 90;
/// Number of backups and bundles that are created and sent at once.
static COPIES: Semaphore = Semaphore::const_new(2);
/// `Retry-After` of a backup or bundle beyond that limit, in seconds.
const RETRY_AFTER_S: u64 = 5;

/// Lists access tokens, without the tokens themselves.
#[utoipa::path(get, path = "/v1/tokens", operation_id = "list_tokens", tag = "access", responses((status = 200, body = Vec<TokenView>)))]
pub(super) async fn tokens(writer: Writer, _: NoParams) -> Result<Said<Vec<TokenView>>, Failure> {
    Ok(Said(writer.registry.tokens(&writer.actor)?))
}

/// Creates an access token; it is only shown in this response.
#[utoipa::path(
    post, path = "/v1/tokens", operation_id = "create_token", tag = "access",
    request_body(content = TokenRequest, example = json!({"name": "replica-plant-7", "role": "replica"})),
    responses((status = 201, body = TokenView)),
)]
pub(super) async fn create_token(
    writer: Writer,
    _: NoParams,
    Json(request): Json<TokenRequest>,
) -> Result<Response, Failure> {
    let token = writer.registry.create_token(&writer.actor, request).await?;
    let never_kept = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, never_kept, Said(token)).into_response())
}

/// Revokes an access token immediately. Open change requests that its principal opened, amended or approved are no
/// longer deployed automatically.
#[utoipa::path(
    delete, path = "/v1/tokens/{name}", operation_id = "revoke_token", tag = "access",
    params(("name" = Handle, Path, description = "The name of the access token.", example = "replica-plant-7")),
    responses((status = 204, description = "It is revoked.")),
)]
pub(super) async fn revoke_token(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    writer.registry.revoke_token(&writer.actor, segments.text("name").to_owned()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Lists audit entries, oldest first.
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "list_audit_entries", tag = "audit",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the previous page; or the commit to start at."),
        ("limit" = Option<u32>, Query, description = "Rows per page.", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = AuditPage)),
)]
pub(super) async fn audit(
    State(app): State<App>,
    writer: Writer,
    mut params: Params,
) -> Result<Said<AuditPage>, Failure> {
    writer.holds(Permission::Audit)?;
    let (cursor, limit) = params.page()?;
    params.finish(&["cursor", "limit"])?;
    let page = move || app.catalogue.as_reader(&writer.scope())?.audit(cursor.as_deref(), limit);
    Ok(Said(blocking(page).await??))
}

/// Verifies the hash chain of the audit log.
#[utoipa::path(get, path = "/v1/audit/verify", operation_id = "verify_audit_log", tag = "audit", responses((status = 200, body = AuditVerdict)))]
pub(super) async fn audit_verify(
    State(app): State<App>,
    writer: Writer,
    _: NoParams,
) -> Result<Said<AuditVerdict>, Failure> {
    writer.holds(Permission::Audit)?;
    let held = app.clone();
    Ok(Said(held.work.heavy(move |_| app.catalogue.as_reader(&writer.scope())?.verify_audit()).await??))
}

/// Returns a consistent copy of everything but the keys, while serving.
#[utoipa::path(get, path = "/v1/backup", operation_id = "download_backup", tag = "operations", responses((status = 200, description = "A file for `bookholder restore`.", body = Vec<u8>, content_type = "application/octet-stream")))]
pub(super) async fn backup(State(app): State<App>, writer: Writer, _: NoParams) -> Result<Response, Failure> {
    let claim = claim_copy()?;
    writer.registry.permit(&writer.actor, Command::Backup, None).await?;
    let file = app.publisher()?.backup().await?;
    send(file, "bookholder.backup", "application/octet-stream", claim).await
}

/// Returns a bundle for replicas without a network: root, epoch, a checkpoint with this lifetime, and a snapshot, as a
/// tar archive.
#[utoipa::path(
    post, path = "/v1/bundle", operation_id = "create_bundle", tag = "operations",
    params(("lifetime_days" = Option<u32>, Query, description = "Lifetime of the checkpoint, in days; 90 by default, \
        limited by the root document.")),
    responses((status = 200, description = "A tar archive.", body = Vec<u8>, content_type = "application/x-tar")),
)]
pub(super) async fn bundle(State(app): State<App>, writer: Writer, mut params: Params) -> Result<Response, Failure> {
    let lifetime_days = params.get::<u32>("lifetime_days")?.unwrap_or(BUNDLE_LIFETIME_DAYS);
    params.finish(&["lifetime_days"])?;
    let claim = claim_copy()?;
    writer.registry.permit(&writer.actor, Command::Bundle, Some(Subject::Bundle { lifetime_days })).await?;
    let merged = match app.recorder.clone() {
        Some(recorder) => blocking(move || recorder.store().merged(None)).await?.map_err(IngestError::from)?,
        None => Vec::new(),
    };
    let file = app.publisher()?.bundle(lifetime_days, merged).await?;
    send(file, "bookholder-bundle.tar", "application/x-tar", claim).await
}

/// A slot for copying the registry: each copy takes as much disk space as the registry.
fn claim_copy() -> Result<SemaphorePermit<'static>, Failure> {
    let busy = |_| RequestError::Busy { what: "too many backups and bundles", retry_after_s: RETRY_AFTER_S }.into();
    COPIES.try_acquire().map_err(busy)
}

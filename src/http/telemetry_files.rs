//! Telemetry that is carried: a replica writes what waits into a file, a primary merges it batch by batch.

use std::io::{BufWriter, Seek};

use axum::Json as Said;
use axum::body::Body;
use axum::extract::{FromRequestParts, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::Semaphore;

use super::auth::{Reporter, Writer};
use super::download::send;
use super::error::Failure;
use super::extract::{Json, NoParams, Params, Segments, blocking, body_in_time, excerpt};
use super::request::RequestError;
use super::state::{App, Shared};
use super::telemetry::recorder;
use crate::api::erasure::{EraseTelemetryRequest, ErasedTelemetry};
use crate::api::telemetry::{MergedTelemetry, TELEMETRY_BATCH_BYTES_MAX};
use crate::api::telemetry_files::{MergedSpool, TelemetryKeyRequest, TelemetryProgress};
use crate::crypto::key::VerifyingKey;
use crate::crypto::secret::AccessToken;
use crate::ingest::{IngestError, Recorder};
use crate::model::audit::{Command, Subject};
use crate::model::principal::Permission;
use crate::model::time::Timestamp;
use crate::replication::publish_error::PublishError;
use crate::replication::telemetry_file::{FileBatch, FileSigner, TelemetryFileError, is_signed};
use crate::telemetry::event::hex;
use crate::telemetry::store::{Erase, SentBatch, SpoolId, TelemetryError};

/// Files that are written and sent at once: each takes as much disk space as the spool.
static EXPORTS: Semaphore = Semaphore::const_new(1);
/// `Retry-After` of a file beyond that limit, in seconds.
const RETRY_AFTER_S: u64 = 5;
/// Batches that are read at once: a small one may decompress to the largest.
static READING: Semaphore = Semaphore::const_new(2);
/// Hex digits of the hash of an ID in the audit log.
const HASH_DIGITS: usize = 16;
/// Hex digits of the node of a spool.
const NODE_DIGITS: usize = 32;

/// Who may take the telemetry of a replica: the owner of its data directory, who can read its key. Nobody takes that of
/// a primary; its operator learns that there is none.
pub(super) struct Exporter;

impl FromRequestParts<App> for Exporter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        if app.registry.is_some() {
            Writer::from_request_parts(parts, app).await?.holds(Permission::Operate)?;
            return Ok(Self);
        }
        let shown = parts.headers.get(header::AUTHORIZATION).ok_or(RequestError::TokenMissing)?;
        let shown = shown.to_str().ok().and_then(|shown| AccessToken::parse(shown.strip_prefix("Bearer ")?).ok());
        let own = app.file_signer.as_ref().and_then(FileSigner::token);
        match (shown, own) {
            (Some(shown), Some(own)) if shown.hash() == own.hash() => Ok(Self),
            (_, None) => Err(IngestError::Off.into()),
            _ => Err(RequestError::TokenUnknown.into()),
        }
    }
}

/// Returns what waits in the spool of a replica for its primary, as a signed file for `bookholder telemetry import`.
///
/// It stays in the spool until the primary has it. The access token is derived from the key in the data directory:
/// `bookholder telemetry export` does that.
#[utoipa::path(
    get, path = "/v1/telemetry/export", operation_id = "export_telemetry", tag = "telemetry",
    responses(
        (status = 200, description = "The file.", body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 204, description = "This is a primary: nothing waits."),
    ),
)]
pub(super) async fn export(State(app): State<App>, _: Exporter, _: NoParams) -> Result<Response, Failure> {
    let recorder = recorder(&app)?.clone();
    if app.registry.is_some() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let busy = |_| RequestError::Busy { what: "exports of telemetry", retry_after_s: RETRY_AFTER_S };
    let permit = EXPORTS.try_acquire().map_err(busy)?;
    let now_ms = recorder.now_ms();
    recorder.store().mark_spool(now_ms).await.map_err(IngestError::from)?;
    let held = app.clone();
    let write = move || -> Result<_, TelemetryFileError> {
        let Some(signer) = &held.file_signer else { return Err(TelemetryError::Stopped.into()) };
        let store = recorder.store();
        let spool = store.read_spool()?;
        let mut out = BufWriter::new(tempfile::tempfile_in(store.path().with_file_name("."))?);
        signer.write(spool.batches()?, spool, Timestamp::from_ms(now_ms), &mut out, &mut |_| {})?;
        let mut file = out.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        file.rewind()?;
        Ok(file)
    };
    let file = blocking(write).await?.map_err(|error| match error {
        TelemetryFileError::Io(error) => Failure::from(PublishError::Io(error)),
        TelemetryFileError::Telemetry(error) => IngestError::from(error).into(),
        other => RequestError::Task(other.to_string()).into(),
    })?;
    send(file, "bookholder.telemetry", "application/octet-stream", permit).await
}

/// Trusts a key with the telemetry files of a replica; a key that was trusted before is replaced.
#[utoipa::path(
    put, path = "/v1/telemetry/keys/{node}", operation_id = "trust_telemetry_key", tag = "telemetry",
    params(("node" = String, Path, description = "The spool of the replica: 32 hex digits, as `bookholder telemetry \
        export` prints them.", example = "000102030405060708090a0b0c0d0e0f", pattern = "^[0-9a-f]{32}$")),
    request_body(content = TelemetryKeyRequest, example = json!({"key": "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="})),
    responses((status = 204, description = "It is trusted.")),
)]
pub(super) async fn trust(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<TelemetryKeyRequest>,
) -> Result<StatusCode, Failure> {
    let node = node_of(segments.text("node"))?;
    let key: VerifyingKey = (request.key.parse()).map_err(|error: crate::crypto::key::KeyError| {
        RequestError::Unfit { reason: format!("invalid `key`: {error}") }
    })?;
    let recorder = recorder(&app)?;
    let subject = Subject::TelemetryKey { node: segments.text("node").to_owned(), key: key.to_string() };
    writer.registry.permit(&writer.actor, Command::TrustTelemetryKey, Some(subject)).await?;
    recorder.store().trust_file_key(node, *key.as_bytes()).await.map_err(IngestError::from)?;
    Ok(StatusCode::NO_CONTENT)
}

/// Returns which batches of a replica's telemetry are merged, and the key that signs its files.
#[utoipa::path(
    get, path = "/v1/telemetry/spools/{node}", operation_id = "get_telemetry_progress", tag = "telemetry",
    security((), ("token" = [])),
    params(("node" = String, Path, description = "The spool of the replica: 32 hex digits.",
        example = "000102030405060708090a0b0c0d0e0f", pattern = "^[0-9a-f]{32}$")),
    responses((status = 200, body = TelemetryProgress)),
)]
pub(super) async fn progress(
    State(app): State<App>,
    _: Reporter,
    segments: Segments,
    _: NoParams,
) -> Result<Said<TelemetryProgress>, Failure> {
    let node = node_of(segments.text("node"))?;
    let store = on_primary(&app)?.store().clone();
    let read = move || -> Result<_, TelemetryError> {
        let key = store.file_key(&node)?.and_then(|key| VerifyingKey::from_bytes(&key).ok());
        let spools = store.merged(Some(&node))?.into_iter();
        let spools = spools.map(|(spool, merged)| MergedSpool { spool: spool.to_string(), merged }).collect();
        Ok(TelemetryProgress { key: key.map(|key| key.to_string()), spools })
    };
    Ok(Said(blocking(read).await?.map_err(IngestError::from)?))
}

/// Merges a batch from a telemetry file, once. Batches of a spool are merged in order of their numbers.
#[utoipa::path(
    post, path = "/v1/telemetry/batches", operation_id = "import_telemetry", tag = "telemetry",
    security((), ("token" = [])),
    params(
        ("spool" = String, Query, description = "The spool of the replica, as `node.epoch`: 32 and 16 hex digits.", pattern = "^[0-9a-f]{32}\\.[0-9a-f]{16}$"),
        ("number" = u64, Query, description = "The number of the batch.", minimum = 1),
        ("replica" = String, Query, description = "The ID of the replica.", min_length = 1),
        ("signature" = String, Query, description = "The signature of the batch: 128 hex digits.", pattern = "^[0-9a-f]{128}$"),
        ("first" = Option<u64>, Query, description = "The first batch that is left of the spool, to go on although \
            batches before it were lost; refused otherwise.", minimum = 1),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The batch, as it is in the file. At most 16 MiB."),
    responses((status = 200, body = MergedTelemetry)),
)]
pub(super) async fn batch(
    State(app): State<App>,
    _: Reporter,
    mut params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<Said<MergedTelemetry>, Failure> {
    let spool: SpoolId = params.require("spool")?;
    let (number, replica): (u64, String) = (params.require("number")?, params.require("replica")?);
    let signature: String = params.require("signature")?;
    let first = params.number("first")?.unwrap_or(1);
    params.finish(&["spool", "number", "replica", "signature", "first"])?;
    let recorder = on_primary(&app)?;
    let signature = hex(&signature)
        .ok_or_else(|| RequestError::Parameter { name: "signature", reason: "use 128 hex digits".to_owned() })?;
    let key = recorder.store().file_key(&spool.node).map_err(IngestError::from)?;
    let key = key.and_then(|key| VerifyingKey::from_bytes(&key).ok()).ok_or(IngestError::FileKey)?;
    let (batch, _share) = body_in_time(&app, &headers, body, TELEMETRY_BATCH_BYTES_MAX).await?;
    let (sent, replica) = read_batch(move || {
        let batch = FileBatch { spool, number, signature, batch };
        if !is_signed(&key, &replica, &batch) {
            return Err(IngestError::FileSignature);
        }
        Ok((SentBatch::decode(first, number, &batch.batch)?, replica))
    })
    .await?;
    let merged = recorder.merge(spool, sent, Some(&replica)).await.map_err(IngestError::from)?;
    Ok(Said(MergedTelemetry { merged }))
}

/// Stops waiting for the telemetry of a replica that no longer exists: it no longer holds back what numbers are complete
/// up to.
#[utoipa::path(
    delete, path = "/v1/telemetry/replicas/{replica}", operation_id = "forget_telemetry_replica", tag = "telemetry",
    params(("replica" = String, Path, description = "The ID of the replica.", example = "plant-7", min_length = 1)),
    responses((status = 204, description = "It is forgotten. If it reports again, it is known again.")),
)]
pub(super) async fn forget(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
) -> Result<StatusCode, Failure> {
    let (recorder, replica) = (recorder(&app)?, segments.text("replica").to_owned());
    let subject = Subject::Replica { name: replica.clone() };
    writer.registry.permit(&writer.actor, Command::ForgetReplica, Some(subject)).await?;
    if !recorder.store().forget_replica(&replica) {
        return Err(RequestError::NoRecord { what: format!("replica `{}`", excerpt(&replica)) }.into());
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Erases inputs, outputs, sessions and users from recorded responses, and explanations of their scores. Counts of calls,
/// cost and scores are unchanged.
///
/// What arrives later and ended before this moment, such as telemetry that a replica has not sent yet, is erased as it
/// arrives. The audit log has a hash of the ID instead of the ID.
#[utoipa::path(
    post, path = "/v1/telemetry/erasures", operation_id = "erase_telemetry", tag = "telemetry",
    request_body(content = EraseTelemetryRequest, example = json!({"user": "user-4711"})),
    responses((status = 200, body = ErasedTelemetry)),
)]
pub(super) async fn erase(
    State(app): State<App>,
    writer: Writer,
    _: NoParams,
    Json(request): Json<EraseTelemetryRequest>,
) -> Result<Said<ErasedTelemetry>, Failure> {
    let (of, id, what) = match request {
        EraseTelemetryRequest { response: Some(id), session: None, user: None } => {
            ("response", id.clone(), Erase::Response(id))
        }
        EraseTelemetryRequest { response: None, session: Some(id), user: None } => {
            ("session", id.clone(), Erase::Session(id))
        }
        EraseTelemetryRequest { response: None, session: None, user: Some(id) } => {
            ("user", id.clone(), Erase::User(id))
        }
        _ => {
            let reason = "use exactly one of `response`, `session` and `user`".to_owned();
            return Err(RequestError::Unfit { reason }.into());
        }
    };
    let recorder = recorder(&app)?;
    let hash = blake3::hash(id.as_bytes()).to_hex().chars().take(HASH_DIGITS).collect();
    let subject = Subject::Telemetry { of: of.to_owned(), hash };
    writer.registry.permit(&writer.actor, Command::EraseTelemetry, Some(subject)).await?;
    let responses = recorder.store().erase(what, recorder.now_ms()).await.map_err(IngestError::from)?;
    Ok(Said(ErasedTelemetry { responses }))
}

/// Reads a batch as soon as few others are read.
pub(super) async fn read_batch<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, IngestError> + Send + 'static,
) -> Result<T, Failure> {
    let _turn = READING.acquire().await.map_err(|error| RequestError::Task(error.to_string()))?;
    Ok(blocking(read).await??)
}

/// What records telemetry, on a primary.
fn on_primary(app: &Shared) -> Result<&Recorder, Failure> {
    if app.registry.is_none() {
        return Err(RequestError::Replica { what: "importing telemetry", upstream: app.upstream.clone() }.into());
    }
    recorder(app)
}

fn node_of(text: &str) -> Result<[u8; 16], Failure> {
    let node = (text.len() == NODE_DIGITS).then(|| hex(text)).flatten();
    node.ok_or_else(|| RequestError::Path { reason: "the node of a spool has 32 hex digits".to_owned() }.into())
}

//! What replicas fetch from this node and report to it. The data is already signed; this module only sends it.

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, stream};

use super::auth::Follower;
use super::error::Failure;
use super::etag::matches;
use super::extract::{Json, NoParams, Params, Segments, blocking, body_in_time};
use super::freshness_headers::text;
use super::peer::Peer;
use super::request::RequestError;
use super::state::App;
use super::telemetry::recorder;
use super::telemetry_files::read_batch;
use crate::api::govern::VersionUse;
use crate::api::status::ReplicaReport;
use crate::api::telemetry::{MergedTelemetry, TELEMETRY_BATCH_BYTES_MAX};
use crate::ingest::IngestError;
use crate::model::position::Position;
use crate::replication::connected_replicas::{ID_BYTES_MAX, REPLICA, is_replica_id};
use crate::replication::witness::PROOF_BYTES_MAX;
use crate::resolve::usage::LOCAL;
use crate::telemetry::store::{SentBatch, SpoolId};
use crate::trust::checkpoint::VIEW_ALL;

/// Largest report, in bytes, and most uses in one.
const REPORT_BYTES_MAX: usize = 1024 * 1024;
const USES_MAX: usize = 4_000;
/// Longest name of a caller in a report, in characters.
const USER_CHARACTERS_MAX: usize = 64;
const NOTE: &str = "text/plain; charset=utf-8";
/// How long a replica waits before it reconnects to a server that is shutting down, in milliseconds.
const RECONNECT_MS: &str = "bookholder-reconnect-ms";
const STREAM: &str = "application/octet-stream";

/// How long caches can keep an answer: shared ones only public answers.
fn caching(follower: &Follower, seconds: &str) -> HeaderValue {
    text(format!("{}, max-age={seconds}", if follower.open() { "public" } else { "private" }))
}

/// Returns a signed root document.
#[utoipa::path(
    get, path = "/replication/v1/root/{n}", operation_id = "get_root", tag = "replication", security((), ("token" = [])),
    params(("n" = u64, Path, description = "The number, from 1.", minimum = 1)),
    responses((status = 200, description = "A signed note.", body = String)),
)]
pub(super) async fn root(
    State(app): State<App>,
    follower: Follower,
    segments: Segments,
    _: NoParams,
) -> Result<Response, Failure> {
    let (publisher, number) = (app.publisher()?.clone(), segments.number("n")?);
    let note = blocking(move || publisher.root(number)).await??;
    immutable(&follower, note, || format!("root document {number}"))
}

/// Returns the signed record of an epoch.
#[utoipa::path(
    get, path = "/replication/v1/epoch/{e}", operation_id = "get_epoch", tag = "replication", security((), ("token" = [])),
    params(("e" = u64, Path, description = "The number, from 1.", minimum = 1)),
    responses((status = 200, description = "A signed note.", body = String)),
)]
pub(super) async fn epoch(
    State(app): State<App>,
    follower: Follower,
    segments: Segments,
    _: NoParams,
) -> Result<Response, Failure> {
    let (publisher, number) = (app.publisher()?.clone(), segments.number("e")?);
    let note = blocking(move || publisher.epoch(number)).await??;
    immutable(&follower, note, || format!("epoch {number}"))
}

/// Returns the latest checkpoint of a view.
#[utoipa::path(
    get, path = "/replication/v1/view/{view}/checkpoint", operation_id = "get_checkpoint", tag = "replication", security((), ("token" = [])),
    params(("view" = String, Path, description = "The name.", example = "all")),
    responses((status = 200, description = "A signed note.", body = String), (status = 304, description = "The \
        client's copy is current.")),
)]
pub(super) async fn checkpoint(
    State(app): State<App>,
    follower: Follower,
    segments: Segments,
    _: NoParams,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let (publisher, view) = (app.publisher()?.clone(), segments.text("view").to_owned());
    follower.check(&view)?;
    let absent = no_view(&view);
    let note = blocking(move || publisher.checkpoint(&view)).await??.ok_or(absent)?;
    let etag = format!("\"{}\"", blake3::hash(&note).to_hex());
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|header| matches(header, etag.as_bytes()));
    let said = [(header::CACHE_CONTROL, caching(&follower, "2, stale-if-error=86400")), (header::ETAG, text(etag))];
    Ok(if known {
        (StatusCode::NOT_MODIFIED, said).into_response()
    } else {
        (said, [(header::CONTENT_TYPE, NOTE)], note).into_response()
    })
}

/// Accepts the proof of a checkpoint that a replica holds, if this node sent it an older one or a different history: a
/// primary that finds its registry's signature on a state that it does not know stops writing and signing until a new
/// epoch begins.
#[utoipa::path(
    post, path = "/replication/v1/view/{view}/checkpoint", operation_id = "submit_checkpoint", tag = "replication", security((), ("token" = [])),
    params(("view" = String, Path, description = "The name.", example = "all")),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The checkpoint, the record of its epoch, and the root documents after the first in ascending order: signed notes, each after its length (`u32`, big-endian). At most 1 MiB."),
    responses((status = 204, description = "The checkpoint was checked."), (status = 400, description = "It is not signed by a key of this registry.", body = crate::api::problem::Problem)),
)]
pub(super) async fn show_checkpoint(
    State(app): State<App>,
    follower: Follower,
    segments: Segments,
    _: NoParams,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Failure> {
    let (publisher, view) = (app.publisher()?, segments.text("view"));
    follower.check(view)?;
    if view != VIEW_ALL {
        return Err(no_view(view));
    }
    let (proof, _share) = body_in_time(&app, &headers, body, PROOF_BYTES_MAX).await?;
    let shown = publisher.shown(proof).await;
    if publisher.outdated().is_some() {
        app.freshness.update(|facts| facts.outdated = true);
    }
    Ok(shown.map(|()| StatusCode::NO_CONTENT)?)
}

/// Waits for a change after a position, then returns the checkpoint and the delta.
#[utoipa::path(
    get, path = "/replication/v1/view/{view}/next/{position}", operation_id = "poll_view", tag = "replication", security((), ("token" = [])),
    params(
        ("view" = String, Path, description = "The name.", example = "all"),
        ("position" = Position, Path, description = "The position of the replica, as `epoch.seq`.", example = "1.4529"),
        ("b" = Option<String>, Query, description = "Any value, to bypass broken caches."),
        ("Bookholder-Replica" = Option<String>, Header, description = "The id of the replica, 1 to 200 bytes: the \
            primary then shows its position without waiting for a report."),
    ),
    responses((status = 200, description = "A checkpoint, and a delta if there is a change. If the server is \
        shutting down, `Bookholder-Reconnect-Ms` says when to reconnect.", body = Vec<u8>, content_type = "application/octet-stream")),
)]
pub(super) async fn next(
    State(app): State<App>,
    peer: Peer,
    follower: Follower,
    segments: Segments,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let _gets_past_a_broken_cache = params.text("b");
    params.finish(&["b"])?;
    let view = segments.text("view").to_owned();
    let from: Position = segments.get("position")?;
    follower.check(&view)?;
    let publisher = app.publisher()?;
    let share = app.polls.take(app.share_holder(peer, follower.seat()))?;
    let replica = headers.get(REPLICA).and_then(|name| std::str::from_utf8(name.as_bytes()).ok());
    if let Some(replica) = replica.filter(|_| view == VIEW_ALL) {
        publisher.record_replica(replica, from, follower.follows_as());
    }
    let caching = caching(&follower, "1");
    let taker = follower.who().to_owned();
    let seated = follower.seated();
    // Ten thousand of these wait at once, so the request and its buffer are released.
    drop((segments, headers));
    let answer = tokio::select! {
        answer = publisher.next(&view, from, &taker, &app.stop) => answer?.ok_or_else(|| no_view(&view))?,
        () = seated.lost() => return Err(RequestError::TokenUnknown.into()),
    };
    drop(share);
    let body = match answer.rest {
        None => Body::from(answer.head),
        Some(rest) => {
            let rest = stream::unfold(rest, |mut rest| async move { rest.recv().await.map(|piece| (piece, rest)) });
            let whole = stream::once(async move { Ok(answer.head) }).chain(rest);
            // A replica that lost its permission gets no further data.
            Body::from_stream(whole.take_until(Box::pin(async move { seated.lost().await })))
        }
    };
    let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(STREAM)), (header::CACHE_CONTROL, caching)];
    let mut response = (headers, body).into_response();
    if let Some(reconnect_ms) = answer.reconnect_ms {
        response.headers_mut().insert(RECONNECT_MS, reconnect_ms.into());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

/// Stores the status of a replica, for `/v1/status`.
#[utoipa::path(
    post, path = "/replication/v1/report", operation_id = "report_replica", tag = "replication", security((), ("token" = [])),
    request_body = ReplicaReport,
    responses((status = 204, description = "The report was stored.")),
)]
pub(super) async fn report(
    State(app): State<App>,
    follower: Follower,
    _: NoParams,
    Json(report): Json<ReplicaReport, REPORT_BYTES_MAX>,
) -> Result<StatusCode, Failure> {
    if !is_replica_id(&report.replica) || !is_replica_id(&report.version) {
        let reason = format!("`replica` and `version` must have 1 to {ID_BYTES_MAX} bytes");
        return Err(RequestError::Json { reason }.into());
    }
    // Usage reported without an access token is ignored.
    if let (Some(registry), false) = (&app.registry, follower.open()) {
        let by = format!("{} via {}", follower.who(), report.replica);
        let named = |one: VersionUse| {
            let by = if one.by == LOCAL { by.clone() } else { format!("{} at {by}", one.by) };
            VersionUse { by: by.chars().filter(|c| !c.is_control()).take(USER_CHARACTERS_MAX).collect(), ..one }
        };
        let uses = report.uses.into_iter().take(USES_MAX).map(named).collect();
        registry.keep_uses(uses).await?;
    }
    if let (Some(recorder), Some(telemetry)) = (&app.recorder, report.telemetry) {
        let (store, now_ms) = (recorder.store(), app.clock.now_ms());
        if telemetry.stopped {
            // It holds nothing back any more; when it reports again, it is known again.
            let _was_known = store.forget_replica(&report.replica);
        } else {
            store.note_replica(&report.replica, telemetry.complete_until.ms(), now_ms);
        }
    }
    app.publisher()?.report(ReplicaReport { at: None, uses: Vec::new(), ..report }, follower.follows_as());
    Ok(StatusCode::NO_CONTENT)
}

/// Merges a batch of telemetry from a replica, once.
#[utoipa::path(
    post, path = "/replication/v1/telemetry", operation_id = "merge_telemetry", tag = "replication", security((), ("token" = [])),
    params(
        ("spool" = String, Query, description = "The spool of the replica, as `node.epoch`: 32 and 16 hex digits.", pattern = "^[0-9a-f]{32}\\.[0-9a-f]{16}$"),
        ("first" = u64, Query, description = "The first batch that the spool still has.", minimum = 1),
        ("number" = u64, Query, description = "The number of this batch.", minimum = 1),
        ("Bookholder-Replica" = Option<String>, Header, description = "The id of the replica, 1 to 200 bytes: statistics \
            then say up to when its telemetry is merged."),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "The batch, as the replica stored it. At most 16 MiB."),
    responses((status = 200, body = MergedTelemetry)),
)]
pub(super) async fn telemetry(
    State(app): State<App>,
    _follower: Follower,
    mut params: Params,
    headers: HeaderMap,
    body: Body,
) -> Result<axum::Json<MergedTelemetry>, Failure> {
    let from: SpoolId = params.require("spool")?;
    let (first, number) = (params.require("first")?, params.require("number")?);
    params.finish(&["spool", "first", "number"])?;
    let recorder = recorder(&app)?;
    app.publisher()?;
    let replica = headers.get(REPLICA).and_then(|name| std::str::from_utf8(name.as_bytes()).ok());
    let replica = replica.filter(|name| is_replica_id(name)).map(str::to_owned);
    let (body, _share) = body_in_time(&app, &headers, body, TELEMETRY_BATCH_BYTES_MAX).await?;
    let sent = read_batch(move || Ok(SentBatch::decode(first, number, &body)?)).await?;
    let merged = recorder.merge(from, sent, replica.as_deref()).await.map_err(IngestError::from)?;
    Ok(axum::Json(MergedTelemetry { merged }))
}

fn immutable(follower: &Follower, note: Option<Vec<u8>>, what: impl Fn() -> String) -> Result<Response, Failure> {
    let note = note.ok_or_else(|| RequestError::NoRecord { what: what() })?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(NOTE)),
        (header::CACHE_CONTROL, caching(follower, "31536000, immutable")),
    ];
    Ok((headers, Bytes::from(note)).into_response())
}

fn no_view(view: &str) -> Failure {
    let shown: String = view.chars().take(64).filter(|c| !c.is_control()).collect();
    RequestError::NoRecord { what: format!("view `{shown}`") }.into()
}

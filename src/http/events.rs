//! Streams the names of changed prompts as events, to invalidate local caches.
//!
//! A listener gets every name that changed between its position and the newest; commits at the same time are combined.
//! `Last-Event-ID` resumes an interrupted stream. An event without names means that anything may have changed.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::auth::{AuthWatch, Reader};
use super::error::Failure;
use super::extract::{Params, blocking};
use super::peer::Peer;
use super::request::RequestError;
use super::shares::Share;
use super::state::App;
use crate::api::read::ChangeEvent;
use crate::metrics::Metrics;
use crate::model::name::PromptName;
use crate::model::position::Position;
use crate::resolve::{Catalogue, ReadScope};
use crate::store::Committed;

/// Most names in one event; if more changed, it has none.
const EVENT_NAMES_MAX: usize = 1_000;
/// Interval of keep-alive comments on an idle stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Reconnection delay for clients, in milliseconds.
const RECONNECT_MS: u32 = 2_000;

/// Streams changes of prompts as server-sent events.
#[utoipa::path(
    get, path = "/v1/events", operation_id = "stream_events", tag = "resolve", security((), ("token" = [])),
    params(
        ("prefix" = Option<String>, Query, description = "Only prompts whose names start with this."),
        ("Last-Event-ID" = Option<Position>, Header, description = "The position of the client's last event; all \
            later ones are sent."),
    ),
    responses((status = 200, description = "`change` events with the position as id; without names, any prompt may \
        have changed.", body = ChangeEvent, content_type = "text/event-stream")),
)]
pub(super) async fn events(
    State(app): State<App>,
    peer: Peer,
    reader: Reader,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let prefix = params.text("prefix").unwrap_or_default();
    params.finish(&["prefix"])?;
    let known = match headers.get("last-event-id") {
        Some(id) => Some(position(id)?),
        None => None,
    };
    let share = app.listeners.take(app.share_holder(peer, reader.seat()))?;
    let mut committed = app.committed.clone();
    let newest = committed.borrow_and_update().head.position;
    let listener = Listener {
        scope: reader.scope(),
        seated: reader.seated(),
        catalogue: app.catalogue.clone(),
        stop: app.stop.clone(),
        known: known.unwrap_or(newest),
        behind: known.is_some_and(|known| known != newest),
        greeted: false,
        _open: StreamGuard::new(&app.metrics, share),
        committed,
        prefix,
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    Ok((headers, Body::from_stream(stream::unfold(listener, Listener::next))).into_response())
}

fn position(header: &HeaderValue) -> Result<Position, Failure> {
    let wrong = |reason: String| RequestError::Query { reason: format!("the header Last-Event-ID: {reason}") };
    let text = header.to_str().map_err(|_| wrong("it is not ASCII".to_owned()))?;
    Ok(text.parse::<Position>().map_err(|error| wrong(error.to_string()))?)
}

/// One open stream.
struct Listener {
    catalogue: Catalogue,
    /// Ends the stream when the listener loses the permission to read.
    seated: AuthWatch,
    /// What the listener can read; other changes are not reported.
    scope: ReadScope,
    committed: watch::Receiver<Arc<Committed>>,
    stop: CancellationToken,
    /// The last position that was reported to the client.
    known: Position,
    /// Whether there is something to send before the next commit.
    behind: bool,
    greeted: bool,
    prefix: String,
    _open: StreamGuard,
}

/// Counts a stream for as long as it is open.
struct StreamGuard(Metrics, #[allow(dead_code, reason = "it is released when the stream ends")] Share);

impl StreamGuard {
    fn new(metrics: &Metrics, share: Share) -> Self {
        metrics.event_listeners.inc();
        Self(metrics.clone(), share)
    }
}

impl Drop for StreamGuard {
    fn drop(&mut self) {
        self.0.event_listeners.dec();
    }
}

impl Listener {
    /// The next chunk of the stream; `None` at the end.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.greeted {
            self.greeted = true;
            // Without `data` this is not an event; it only sets the ID that a reconnecting client will send.
            let hello = format!("retry: {RECONNECT_MS}\nid: {}\n\n", self.known);
            return Some((Ok(hello.into()), self));
        }
        loop {
            if !std::mem::take(&mut self.behind) {
                tokio::select! {
                    () = self.stop.cancelled() => return None,
                    () = self.seated.lost() => return None,
                    changed = self.committed.changed() => changed.ok()?,
                    () = tokio::time::sleep(HEARTBEAT) => return Some((Ok(Bytes::from_static(b":\n\n")), self)),
                }
            }
            let (catalogue, scope, since) = (self.catalogue.clone(), self.scope.clone(), self.known);
            let changes =
                blocking(move || catalogue.as_reader(&scope)?.changed_since(since.seq, EVENT_NAMES_MAX)).await;
            let (position, names) = match changes {
                Ok(Ok(changes)) => changes,
                Ok(Err(error)) => {
                    tracing::error!(%error, "an event stream ended: cannot read the changes");
                    return None;
                }
                Err(_) => return None,
            };
            self.known = position;
            if let Some(event) = event(since, position, names.as_ref(), &self.prefix) {
                return Some((Ok(event), self));
            }
        }
    }
}

/// Writes an event; none if it does not concern the listener, as for a commit that changes no prompt. Without names,
/// any prompt may have changed.
fn event(since: Position, position: Position, names: Option<&BTreeSet<String>>, prefix: &str) -> Option<Bytes> {
    let rewound = position.epoch != since.epoch || position.seq < since.seq;
    if position == since {
        return None;
    }
    let concerned = |names: &BTreeSet<String>| -> Vec<PromptName> {
        names.iter().filter(|name| name.starts_with(prefix)).filter_map(|name| name.parse().ok()).collect()
    };
    let names = match names.filter(|_| !rewound).map(concerned) {
        Some(names) if names.is_empty() => return None,
        names => names.unwrap_or_default(),
    };
    let data = serde_json::to_string(&ChangeEvent { position, names }).ok()?;
    Some(format!("id: {position}\nevent: change\ndata: {data}\n\n").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_stream_sends_only_matching_prompts() {
        let at = |epoch, seq| Position { epoch, seq };
        let check = |since, now, names: Option<&[&str]>, expected: Option<&str>| {
            let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            let told = event(since, now, names.as_ref(), "a/");
            let told = told.map(|bytes| String::from_utf8(bytes.to_vec()).expect("text"));
            let expected = expected.map(|data| format!("id: {now}\nevent: change\ndata: {data}\n\n"));
            assert_eq!(told, expected);
        };
        let anything = Some(r#"{"position":"1.6","names":[]}"#);
        check(at(1, 4), at(1, 6), Some(&["a/x", "b"]), Some(r#"{"position":"1.6","names":["a/x"]}"#));
        check(at(1, 4), at(1, 6), Some(&["b"]), None);
        check(at(1, 4), at(1, 6), Some(&[]), None);
        check(at(1, 6), at(1, 6), Some(&[]), None);
        check(at(1, 4), at(1, 6), None, anything);
        check(at(2, 4), at(1, 6), Some(&["b"]), anything);
        check(at(1, 9), at(1, 6), Some(&["b"]), anything);
    }
}

//! Notifies open pages of changes, so that their scripts refresh. The notification has no content: a page fetches
//! itself again, with the permissions of its visitor. It names its position, so that nothing is missed between
//! rendering and the stream, or between two streams.
//!
//! A stream lives for a minute. The browser then reconnects and authenticates again, so that no one listens for long
//! after losing access.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::error::Failure;
use super::super::extract::Params;
use super::super::peer::Peer;
use super::super::shares::Share;
use super::super::state::App;
use super::visitor::Visitor;
use crate::model::position::Position;
use crate::store::Committed;

/// Lifetime of a stream.
const LIFE: Duration = Duration::from_secs(60);
/// Minimum interval of notifications on one stream: changes in between are combined.
const PAUSE: Duration = Duration::from_millis(400);
/// Reconnection delay for browsers, in milliseconds.
const AGAIN_MS: u32 = 1_000;

/// Reports every commit, as server-sent events without names.
pub(super) async fn live(
    State(app): State<App>,
    peer: Peer,
    visitor: Visitor,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Failure> {
    let from: Option<Position> = params.get("from")?;
    params.finish(&["from"])?;
    // A reconnecting browser sends the last event ID, which is only a hint.
    let heard = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let share = app.watchers.take(app.share_holder(peer, visitor.seat()))?;
    let mut committed = app.committed.clone();
    let newest = committed.borrow_and_update().head.position;
    if heard.or(from).is_some_and(|known| known != newest) {
        committed.mark_changed();
    }
    let ends = Instant::now() + LIFE;
    let listener = Listener { committed, stop: app.stop.clone(), ends, greeted: false, _share: share };
    let media = [(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"))];
    Ok((media, Body::from_stream(stream::unfold(listener, Listener::next))).into_response())
}

/// One open stream.
struct Listener {
    committed: watch::Receiver<Arc<Committed>>,
    stop: CancellationToken,
    ends: Instant,
    greeted: bool,
    _share: Share,
}

impl Listener {
    /// The next notification; `None` at the end of the stream.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        if !self.greeted {
            self.greeted = true;
            return Some((Ok(format!("retry: {AGAIN_MS}\n\n").into()), self));
        }
        tokio::select! {
            () = self.stop.cancelled() => return None,
            () = sleep_until(self.ends) => return None,
            changed = self.committed.changed() => changed.ok()?,
        }
        sleep(PAUSE).await;
        let position = self.committed.borrow_and_update().head.position;
        Some((Ok(format!("id: {position}\ndata: {position}\n\n").into()), self))
    }
}

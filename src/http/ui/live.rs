//! Tells open pages that something changed, so that their scripts look again. What changed is not said here: a page
//! asks for itself anew, and is answered as its visitor may read. A page says from which position on; so nothing is missed
//! between its making and the stream, or between two streams.
//!
//! A stream lives for a minute. A browser then comes again and shows again who it is, so that nobody listens for long who
//! may no longer look.

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

/// How long a stream lives.
const LIFE: Duration = Duration::from_secs(60);
/// Least time between two words of one stream: changes that come together are told together.
const PAUSE: Duration = Duration::from_millis(400);
/// What a browser waits before it comes again, in milliseconds.
const AGAIN_MS: u32 = 1_000;

/// Tells of every commit, as server-sent events without names.
pub(super) async fn live(
    State(app): State<App>,
    peer: Peer,
    visitor: Visitor,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Failure> {
    let from: Option<Position> = params.get("from")?;
    params.finish(&["from"])?;
    // A browser that comes again says what it heard last; what it says is no more than a hint.
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
    /// The next word; none when the stream ends.
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

//! One fetch: what is asked of an upstream, and the event that comes of it.

use super::engine::{Event, Failure};
use super::transport::{Data, Polled, Upstream};
use crate::model::position::Position;

/// What to fetch; a note that waits for trust keeps its data.
pub(super) enum Request {
    Root(u64, Option<Data>),
    Epoch(u64, Option<Data>),
    Next(Position, Option<u64>),
}

pub(super) enum Fetched {
    Root(u64, Result<Vec<u8>, (Failure, String)>, Option<Data>),
    Epoch(u64, Result<Vec<u8>, (Failure, String)>, Option<Data>),
    Next(Result<Polled, (Failure, String)>),
}

impl Request {
    pub(super) async fn fetch(self, upstream: &Upstream) -> Fetched {
        match self {
            Self::Root(number, data) => Fetched::Root(number, upstream.root(number).await, data),
            Self::Epoch(number, data) => Fetched::Epoch(number, upstream.epoch(number).await, data),
            Self::Next(after, bust) => Fetched::Next(upstream.next(after, bust).await),
        }
    }
}

impl Fetched {
    pub(super) fn into_event(self) -> (Event, Option<Data>) {
        match self {
            Self::Root(number, Ok(note), data) => (Event::Root(number, note), data),
            Self::Epoch(number, Ok(note), data) => (Event::Epoch(number, note), data),
            Self::Next(Ok(polled)) => {
                let delta = polled.data.is_some();
                (Event::Answer { note: polled.note, delta, reconnect_ms: polled.reconnect_ms }, polled.data)
            }
            Self::Root(_, Err((failure, detail)), _)
            | Self::Epoch(_, Err((failure, detail)), _)
            | Self::Next(Err((failure, detail))) => (Event::Failed(failure, detail), None),
        }
    }
}

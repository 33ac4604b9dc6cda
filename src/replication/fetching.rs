//! One fetch from an upstream, and its result.
//!
//! It runs in a task beside the follower: a slow note, or data that takes an hour, blocks nothing else.

use std::path::PathBuf;

use super::engine::{Event, FetchFailure, Rejection, Step};
use super::transport::{Data, PollResponse, ReceivedData, Upstream};
use crate::model::position::Position;

/// Overhead of a compressed delta over the signed size of its entries, per entry, in bytes.
const SPOOL_OVERHEAD_BYTES: u64 = 64;
/// Fixed overhead of a spool, in bytes.
const SPOOL_EXTRA_BYTES: u64 = 64 * 1_024;

/// What to fetch; a note that waits for signed records keeps its data.
pub(super) enum Request {
    Root(u64, Option<Data>),
    Epoch(u64, Option<Data>),
    Next(Position, Option<u64>),
    /// The rest of the data of a verified checkpoint, into a folder.
    Data(Box<Step>, Data, PathBuf),
}

/// The result of a fetch.
pub(super) enum Fetched {
    /// A note for the engine, and the data that follows it.
    Event(Event, Option<Data>),
    /// Data to apply.
    Data(Box<Step>, Result<ReceivedData, Rejection>),
}

impl Request {
    pub(super) async fn fetch(self, upstream: &Upstream) -> Fetched {
        let failed = |(failure, detail): (FetchFailure, String)| Fetched::Event(Event::Failed(failure, detail), None);
        match self {
            Self::Root(number, data) => {
                upstream.root(number).await.map_or_else(failed, |note| Fetched::Event(Event::Root(number, note), data))
            }
            Self::Epoch(number, data) => upstream
                .epoch(number)
                .await
                .map_or_else(failed, |note| Fetched::Event(Event::Epoch(number, note), data)),
            Self::Next(after, bust) => upstream.next(after, bust).await.map_or_else(failed, answered),
            Self::Data(step, data, folder) => {
                let spooled = data.spool(bytes_max(&step), &folder).await;
                let reject = |(failure, detail): (FetchFailure, String)| Rejection { reason: failure.reason(), detail };
                Fetched::Data(step, spooled.map_err(reject))
            }
        }
    }
}

fn answered(polled: PollResponse) -> Fetched {
    let PollResponse { note, reconnect_ms, data } = polled;
    Fetched::Event(Event::Answer { note, delta: data.is_some(), reconnect_ms }, data)
}

/// Most bytes of the data of a verified checkpoint.
fn bytes_max(step: &Step) -> u64 {
    let checkpoint = &step.accepted.checkpoint;
    let operations = checkpoint.entries.saturating_add(checkpoint.tombstones);
    checkpoint.bytes.saturating_add(operations.saturating_mul(SPOOL_OVERHEAD_BYTES)).saturating_add(SPOOL_EXTRA_BYTES)
}

//! What a body of OTLP says, and what of it was not taken as it was sent.

use super::node::Node;
use super::reason::{Reason, Reasons, Rejected};
use crate::event::{Event, Score};

/// What a body carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans: `/v1/traces`.
    Traces,
    /// Log records: `/v1/logs`.
    Logs,
    /// Metrics: `/v1/metrics`; accepted and ignored.
    Metrics,
}

/// How a body is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When it arrived, in milliseconds since 1970.
    pub now_ms: i64,
    /// Whether what was sent to models and what they answered is kept.
    pub record_content: bool,
}

/// What a body says.
#[derive(Debug, Default)]
pub struct Batch {
    pub(super) nodes: Vec<Node>,
    pub(super) scores: Vec<Score>,
    pub(super) reasons: Reasons,
    pub(super) rejected_items: u64,
    pub(super) items: u64,
}

impl Batch {
    /// How many spans or log records it had.
    #[must_use]
    pub const fn items(&self) -> u64 {
        self.items
    }

    /// How many of them were rejected as a whole.
    #[must_use]
    pub const fn rejected_items(&self) -> u64 {
        self.rejected_items
    }

    /// Everything that was not taken as it was sent, by reason; more than the rejected items.
    #[must_use]
    pub fn rejected(&self) -> Vec<Rejected> {
        self.reasons.iter().collect()
    }

    /// What to tell the one who sent it; none if everything was taken as it was sent.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let reasons: Vec<_> = self.reasons.iter().map(|it| format!("{} {}", it.count, it.reason.text())).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    /// Rejects calls and scores from before a moment.
    pub fn reject_before(&mut self, oldest_ms: i64) {
        let mut too_old = 0_u64;
        for node in &mut self.nodes {
            if node.call.take_if(|call| call.response.ended_ms < oldest_ms).is_some() {
                too_old = too_old.saturating_add(1);
            }
        }
        let scores = self.scores.len();
        self.scores.retain(|score| score.at_ms >= oldest_ms);
        too_old = too_old.saturating_add(u64::try_from(scores.saturating_sub(self.scores.len())).unwrap_or(u64::MAX));
        if too_old > 0 {
            self.reasons.add(Reason::TooOld, too_old);
            self.rejected_items = self.rejected_items.saturating_add(too_old).min(self.items);
        }
    }

    /// The scores of it, as events; [`super::TraceMemory::settle`] gives the responses.
    pub(super) fn take_scores(&mut self) -> impl Iterator<Item = Event> + use<> {
        std::mem::take(&mut self.scores).into_iter().map(Event::Score)
    }
}

/// A body that cannot be decoded at all: answered with status 400, and not sent again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Protobuf that ends too early, or is none.
    #[error("invalid protobuf: the body is cut off or is not an OTLP message")]
    Protobuf,
    /// JSON with a mistake.
    #[error("invalid JSON: {0}")]
    Json(String),
    /// Log records on the path of traces, or spans on that of logs.
    #[error("wrong signal: send this body to {0}")]
    WrongSignal(&'static str),
}

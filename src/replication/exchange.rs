//! Events and actions of the [engine](super::engine).

use crate::model::position::Position;
use crate::trust::accept::{Accepted, Refusal, StateRank};
use crate::trust::epoch::VerifiedEpoch;
use crate::trust::root::RootKeyId;
use crate::trust::root_chain::RootChain;

/// The time of an event, and a random number for it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Seconds since 1970, by the local clock.
    pub wall_s: i64,
    /// Milliseconds of a monotonic clock.
    pub monotonic_ms: u64,
    /// A random number, which spreads replicas apart.
    pub random: u64,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The wait is over.
    Due,
    /// A root document arrived.
    Root(u64, Vec<u8>),
    /// An epoch record arrived.
    Epoch(u64, Vec<u8>),
    /// An upstream answered a poll.
    Answer {
        /// The signed note.
        note: Vec<u8>,
        /// Whether a delta follows it.
        delta: bool,
        /// The reconnection delay that the upstream asks for, in milliseconds.
        reconnect_ms: Option<u64>,
    },
    /// A bundle was found: signed records, and a note with a manifest.
    Offered {
        /// Root documents with their numbers, ascending.
        roots: Vec<(u64, Vec<u8>)>,
        /// Epoch records with their numbers, ascending.
        epochs: Vec<(u64, Vec<u8>)>,
        /// The signed note.
        note: Vec<u8>,
    },
    /// A fetch failed.
    Failed(FetchFailure, String),
    /// Data was applied durably, or rejected. A bundle can be applied while the data of a poll is still being
    /// downloaded, so this tells which.
    Applied(Box<Step>, Result<(), Rejection>),
    /// Stored data is not what was signed: download the whole state again.
    Damaged,
}

/// Why a fetch failed; only affects how long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum FetchFailure {
    Unreachable,
    Denied,
    UnknownView,
    Busy { retry_after_s: u64 },
    Slow,
    Malformed,
}

impl FetchFailure {
    /// A stable code for metrics and status.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Denied => "denied",
            Self::UnknownView => "unknown_view",
            Self::Busy { .. } => "busy",
            Self::Slow => "slow",
            Self::Malformed => "malformed",
        }
    }
}

/// Why data was not applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// A stable code for metrics and status.
    pub reason: &'static str,
    /// What exactly.
    pub detail: String,
}

impl Rejection {
    /// Whether the data was at fault, and not its transport or the local disk: those would fail for the whole state,
    /// too, at a higher cost.
    pub(super) fn blames_data(&self) -> bool {
        !matches!(self.reason, "store" | "unreachable" | "slow" | "slow_medium")
    }
}

/// The source of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An upstream that is polled.
    Live,
    /// A bundle.
    Bundle,
}

/// What to do.
#[derive(Debug)]
pub enum Action {
    /// Fetch the root document with this number.
    FetchRoot(u64),
    /// Fetch the record of this epoch.
    FetchEpoch(u64),
    /// Poll for what comes after this position.
    FetchNext {
        /// The last change in the current state; `0.0` requests everything.
        after: Position,
        /// Makes the request unique, to bypass a broken cache.
        bust: Option<u64>,
    },
    /// Store a verified root document.
    KeepRoot(u64, Vec<u8>),
    /// Store a verified epoch record.
    KeepEpoch(u64, Vec<u8>),
    /// Store a note for the current state, and its position.
    KeepNote(Box<Step>),
    /// Store a note of another history, and the current note beside it.
    KeepEvidence(Vec<u8>),
    /// Show the upstream the current note: it sent something older, or another history.
    ShowHeld,
    /// Apply the data of a verified note, then report the result.
    Apply(Box<Step>),
    /// The upstream is reachable: it sent something verified.
    Contact,
    /// Report a problem.
    Trouble {
        /// A stable code.
        reason: &'static str,
        /// What happened.
        detail: String,
    },
    /// Send [`Event::Due`] after this many milliseconds.
    Wait(u64),
}

/// A verified state to move to.
#[derive(Clone, Debug)]
pub struct Step {
    /// The verified checkpoint.
    pub accepted: Accepted,
    /// The signed note.
    pub note: Vec<u8>,
    /// Where the data comes from.
    pub source: Source,
    /// Whether the note proves contact with the upstream now.
    pub contact: bool,
    /// The history that the new state must contain; absent if there is none, or if a root key allowed going back.
    pub settled: Option<RequiredHistory>,
}

impl Step {
    /// Whether another history is rejected.
    pub(super) fn guarded(&self) -> bool {
        self.settled.is_some_and(|settled| !settled.given_up)
    }
}

/// The history at the start of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredHistory {
    /// Its last commit.
    pub seq: u64,
    /// The operator gave it up.
    pub given_up: bool,
}

/// The settings of a replica.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The trusted root.
    pub root_key: RootKeyId,
    /// Do not go beyond this position.
    pub hold_at: Option<Position>,
    /// Accept an expired checkpoint as the first state; for a first start from old media.
    pub accept_expired: bool,
    /// Give up the history at this position for another one that is signed.
    pub accept_fork: Option<Position>,
    /// Do not compare checkpoints with the clock of this machine before the first state; for a first start without a
    /// clock.
    pub ignore_clock: bool,
}

impl Settings {
    /// Follows this root, with all checks and without limits.
    #[must_use]
    pub const fn of(root_key: RootKeyId) -> Self {
        Self { root_key, hold_at: None, accept_expired: false, accept_fork: None, ignore_clock: false }
    }

    /// Whether a first state is accepted although its times do not fit.
    pub(super) const fn takes_in_spite_of(&self, refusal: &Refusal) -> bool {
        match refusal {
            Refusal::Expired { .. } => self.accept_expired || self.ignore_clock,
            Refusal::Future { .. } => self.ignore_clock,
            _ => false,
        }
    }
}

/// What a replica has stored when it starts.
#[derive(Debug, Default)]
pub struct Memory {
    /// Root documents, verified against the pinned root.
    pub chain: Option<RootChain>,
    /// Epoch records, verified.
    pub epochs: Vec<VerifiedEpoch>,
    /// The current state.
    pub held: Option<Accepted>,
    /// The highest rank ever accepted.
    pub watermark: Option<StateRank>,
}

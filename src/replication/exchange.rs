//! Events and actions of the [engine](super::engine).

use crate::model::position::Position;
use crate::trust::accept::{Accepted, Refusal, StateRank};
use crate::trust::epoch::VerifiedEpoch;
use crate::trust::root::RootKeyId;
use crate::trust::root_chain::RootChain;

/// The moment of an event, and a random number for it.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Seconds since 1970, as the local clock believes.
    pub wall_s: i64,
    /// Milliseconds of a clock that never steps.
    pub monotonic_ms: u64,
    /// Anything; spreads replicas apart.
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
        /// How long the upstream asks to stay away, in milliseconds.
        reconnect_ms: Option<u64>,
    },
    /// A bundle was found: trust, and a note with a manifest.
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
    /// What was to be applied is applied and durable, or was refused. A bundle can be applied while the data of a poll
    /// is still on its way, so this says which.
    Applied(Box<Step>, Result<(), Rejection>),
    /// What is stored is not what was signed: fetch the whole state again.
    Damaged,
}

/// Why a fetch failed; decides only how long to wait.
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
    /// A stable word for metrics and status.
    #[must_use]
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
    /// A stable word for metrics and status.
    pub reason: &'static str,
    /// What exactly.
    pub detail: String,
}

impl Rejection {
    /// Whether the data was at fault, and not the way that it came or the disk that it should go to:
    /// those will fail for the whole state, too, and cost more.
    pub(super) fn blames_data(&self) -> bool {
        !matches!(self.reason, "store" | "unreachable" | "slow")
    }
}

/// Where data comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// An upstream that is asked again and again.
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
        /// The last change that is held; `0.0` asks for everything.
        after: Position,
        /// Makes the request unlike others, when a cache on the way is broken.
        bust: Option<u64>,
    },
    /// Keep a verified root document.
    KeepRoot(u64, Vec<u8>),
    /// Keep a verified epoch record.
    KeepEpoch(u64, Vec<u8>),
    /// Keep a note for the state that is held, and the position that it names.
    KeepNote(Box<Step>),
    /// Keep a note of another history than the one that is held, and the held note beside it.
    KeepEvidence(Vec<u8>),
    /// Show the upstream the note that is held: it sent something older, or another history.
    ShowHeld,
    /// Apply the data that belongs to a verified note, then say how it went.
    Apply(Box<Step>),
    /// The upstream is there: it showed something verified.
    Contact,
    /// Say what is wrong.
    Trouble {
        /// A stable word.
        reason: &'static str,
        /// What happened.
        detail: String,
    },
    /// Come back after so many milliseconds with [`Event::Due`].
    Wait(u64),
}

/// A verified state to move to.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was verified.
    pub accepted: Accepted,
    /// The signed note itself.
    pub note: Vec<u8>,
    /// Where the data comes from.
    pub source: Source,
    /// Whether the note proves contact with the upstream now.
    pub contact: bool,
    /// What must be part of the new state; none when nothing is held, or a root key allowed to go back.
    pub settled: Option<RequiredHistory>,
}

impl Step {
    /// Whether another history than the held one is refused.
    pub(super) fn guarded(&self) -> bool {
        self.settled.is_some_and(|settled| !settled.given_up)
    }
}

/// The history that is held when a step begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequiredHistory {
    /// Its last commit.
    pub seq: u64,
    /// The operator gave it up.
    pub given_up: bool,
}

/// What a replica is set up to follow.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The root that is trusted.
    pub root_key: RootKeyId,
    /// Do not go beyond this position.
    pub hold_at: Option<Position>,
    /// Take an expired checkpoint for a new state; for a first start from old media.
    pub accept_expired: bool,
    /// Give up the history that is held at this position for another one that is signed.
    pub accept_fork: Option<Position>,
    /// Compare no checkpoint with the clock of this machine while nothing is held; for a first start without a clock.
    pub ignore_clock: bool,
}

impl Settings {
    /// Follows this root, with every check and without an end.
    #[must_use]
    pub const fn of(root_key: RootKeyId) -> Self {
        Self { root_key, hold_at: None, accept_expired: false, accept_fork: None, ignore_clock: false }
    }

    /// Whether a first state is taken although its times do not fit.
    pub(super) const fn takes_in_spite_of(&self, refusal: &Refusal) -> bool {
        match refusal {
            Refusal::Expired { .. } => self.accept_expired || self.ignore_clock,
            Refusal::Future { .. } => self.ignore_clock,
            _ => false,
        }
    }
}

/// What a replica remembered when it was started.
#[derive(Debug, Default)]
pub struct Memory {
    /// Root documents, verified against the pinned root.
    pub chain: Option<RootChain>,
    /// Epoch records, verified.
    pub epochs: Vec<VerifiedEpoch>,
    /// The state that is held.
    pub held: Option<Accepted>,
    /// The highest rank ever accepted.
    pub watermark: Option<StateRank>,
}

//! The reasons for rejecting a checkpoint, one variant each, with the evidence and a name for metrics.
//!
//! The reaction (walk the roots, try another source, raise an alert) is decided elsewhere.
//!
//! Invariant: [`Refusal::reason`] never changes for a variant; dashboards and alerts depend on it.

use super::lines::SyntaxError;
use super::state_rank::StateRank;
use crate::crypto::note::NoteError;
use crate::model::position::Position;
use crate::model::time::Timestamp;

/// Two checkpoints that cannot be in one history: proof, signed by one key, that a primary was copied or set back, or
/// that its key was stolen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForkEvidence {
    /// The position of the current checkpoint.
    pub held: Position,
    /// The current state.
    pub held_state: [u8; 32],
    /// The hash of the current note.
    pub held_note: [u8; 32],
    /// The position of the offered checkpoint.
    pub offered: Position,
    /// The offered state.
    pub offered_state: [u8; 32],
    /// The hash of the offered note; keep its bytes, too.
    pub offered_note: [u8; 32],
}

/// Why a checkpoint is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Longer than the limit.
    #[error("the checkpoint has {bytes} bytes, over the limit of {bytes_max}; try another source")]
    Size {
        /// The actual length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// Not a signed note.
    #[error("the checkpoint is not a signed note: {0}")]
    Note(NoteError),
    /// A signed note, but not the lines of a checkpoint.
    #[error("invalid checkpoint: {0}")]
    Syntax(SyntaxError),
    /// It belongs to another registry.
    #[error("the checkpoint is for the registry `{found}`, not `{expected}`; check the upstream's address")]
    WrongRegistry {
        /// The registry that this replica follows.
        expected: String,
        /// The registry of the checkpoint.
        found: String,
    },
    /// It belongs to another view.
    #[error(
        "the checkpoint is for the view `{found}`, not `{expected}`; check the upstream's address and any cache before it"
    )]
    WrongView {
        /// The view that this replica follows.
        expected: String,
        /// The view of the checkpoint.
        found: String,
    },
    /// It describes another definition of that view.
    #[error(
        "the checkpoint has generation {found} of the view's definition, not {expected}; fetch the definition again"
    )]
    WrongDefinition {
        /// The generation on this replica.
        expected: u64,
        /// The generation of the checkpoint; equal to `expected` when only the hash differs.
        found: u64,
    },
    /// It names an unknown root document.
    #[error("the checkpoint needs root document {needs}; fetch the root documents up to it first")]
    UnknownRoot {
        /// The version.
        needs: u64,
    },
    /// It belongs to an epoch whose record is unknown.
    #[error("the checkpoint belongs to epoch {needs}; fetch and verify that epoch record first")]
    UnknownEpoch {
        /// The epoch.
        needs: u64,
    },
    /// Not signed by the one key bound to its epoch, or that key is no longer trusted.
    #[error(
        "the checkpoint is not signed by the key `{key}` of its epoch as the current root document lists it; fetch it from a source that follows the current primary"
    )]
    WrongKey {
        /// The key's name in the epoch record.
        key: String,
    },
    /// The right key's signature does not verify.
    #[error("the signature of `{signer}` does not match the checkpoint; discard it and try another source")]
    BadSignature {
        /// The claimed signer.
        signer: String,
    },
    /// Issued in the future.
    #[error(
        "the checkpoint was issued at {}, {ahead_s} s after this machine's clock; correct the clock; if it is right, the checkpoint key may be stolen",
        Timestamp::from_seconds(*issued)
    )]
    Future {
        /// Its `issued`, in unix seconds.
        issued: i64,
        /// How far in the future.
        ahead_s: i64,
    },
    /// Its lifetime exceeds what the roots allow.
    #[error(
        "the checkpoint is valid for {lifetime_s} s, but the root document allows {allowed_s} s; shorten the lifetime setting of the primary"
    )]
    Lifetime {
        /// From `issued` to `expires`.
        lifetime_s: u64,
        /// The limit of the root document.
        allowed_s: u64,
    },
    /// Older than what was accepted before.
    #[error(
        "the checkpoint is at {offered}, behind {lowest}, which was already reached; try a source that is up to date"
    )]
    Rollback {
        /// The lowest acceptable rank.
        lowest: StateRank,
        /// The offered rank.
        offered: StateRank,
    },
    /// Newer than what was accepted, but from an earlier primary.
    #[error("the checkpoint at {offered} comes from a primary that was replaced at {lowest}; stop that primary")]
    Fenced {
        /// The accepted rank.
        lowest: StateRank,
        /// The offered rank.
        offered: StateRank,
    },
    /// Another history than the current one.
    #[error("{}", two_histories(.0))]
    Fork(Box<ForkEvidence>),
    /// Expired, and not acceptable as a first state.
    #[error(
        "the checkpoint expired at {} and it is now {}; fetch a new one, or check this machine's clock",
        Timestamp::from_seconds(*expires), Timestamp::from_seconds(*now_s)
    )]
    Expired {
        /// Its `expires`, in unix seconds.
        expires: i64,
        /// The time of the decision.
        now_s: i64,
    },
    /// A format that this program cannot read.
    #[error("the checkpoint needs reader version {needs}, but this program has {has}; upgrade bookholder on this node")]
    MinReader {
        /// The required version.
        needs: u32,
        /// The version of this program.
        has: u32,
    },
}

fn two_histories(evidence: &ForkEvidence) -> String {
    let (held, offered) = (evidence.held, evidence.offered);
    let what = if evidence.held_state == evidence.offered_state {
        format!("two different audit logs are signed for position {held}")
    } else if held == offered {
        format!("two different states are signed for position {held}")
    } else {
        format!("the checkpoint at {offered} belongs to a different history than the one held at {held}")
    };
    format!("{what}; keep both notes and find out who else has the checkpoint key")
}

impl Refusal {
    /// The name of this reason in metrics and status: short, stable, lower case.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Size { .. } => "size",
            Self::Note(_) | Self::Syntax(_) => "syntax",
            Self::WrongRegistry { .. } => "wrong_registry",
            Self::WrongView { .. } => "wrong_view",
            Self::WrongDefinition { .. } => "wrong_definition",
            Self::UnknownRoot { .. } => "unknown_root",
            Self::UnknownEpoch { .. } => "unknown_epoch",
            Self::WrongKey { .. } => "wrong_key",
            Self::BadSignature { .. } => "bad_signature",
            Self::Future { .. } => "future",
            Self::Lifetime { .. } => "lifetime",
            Self::Rollback { .. } => "rollback",
            Self::Fenced { .. } => "fenced",
            Self::Fork(_) => "fork",
            Self::Expired { .. } => "expired",
            Self::MinReader { .. } => "upgrade_required",
        }
    }
}

impl From<NoteError> for Refusal {
    fn from(error: NoteError) -> Self {
        match error {
            NoteError::TooLarge { bytes, bytes_max } => Self::Size { bytes, bytes_max },
            NoteError::BadSignature { signer } => Self::BadSignature { signer },
            other => Self::Note(other),
        }
    }
}

impl From<SyntaxError> for Refusal {
    fn from(error: SyntaxError) -> Self {
        Self::Syntax(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_printed_as_rfc_3339() {
        let future = Refusal::Future { issued: 1_774_018_800, ahead_s: 7_200 }.to_string();
        assert!(future.contains("issued at 2026-03-20T15:00:00Z, 7200 s after"), "{future}");
        let expired = Refusal::Expired { expires: 1_774_018_800, now_s: 1_774_022_400 }.to_string();
        assert!(expired.contains("expired at 2026-03-20T15:00:00Z and it is now 2026-03-20T16:00:00Z"), "{expired}");
    }
}

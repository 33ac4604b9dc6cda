//! Why a delta is rejected.

use crate::model::position::Position;

/// Why a delta is rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum DeltaError {
    #[error("it is truncated, or its compression is damaged ({0})")]
    Truncated(String),
    #[error("it has trailing bytes")]
    Trailing,
    #[error("it is larger than the checkpoint allows")]
    TooLarge,
    #[error("it has more operations than the checkpoint allows")]
    TooMany,
    #[error("invalid operation: {0}")]
    Operation(String),
    #[error("its keys are duplicated or out of order")]
    Order,
    #[error("an entry has changed at {found}, outside the range {from} to {to}")]
    Sequence { found: u64, from: u64, to: u64 },
    #[error("it is of {found}, not of {expected}")]
    Foreign { found: String, expected: String },
    #[error("it goes from {from} to {to}, but this node is at {held} and the checkpoint at {target}")]
    Positions { from: Position, to: Position, held: Position, target: Position },
    #[error("it results in {found} entries, but the checkpoint signs {signed}")]
    Count { found: u64, signed: u64 },
    #[error("it results in a different state than the checkpoint signs")]
    State,
    #[error(
        "a different history is signed for {to}: it differs from the one held here from commit {from} on; find out which primary was copied or reset; to discard what this replica holds, start it with --accept-fork {held}"
    )]
    Fork { held: Position, to: Position, from: u64 },
}

impl DeltaError {
    /// A stable code for metrics and status.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Truncated(_) | Self::Trailing | Self::Operation(_) => "parse",
            Self::TooLarge | Self::TooMany => "size",
            Self::Order => "order",
            Self::Sequence { .. } => "sequence",
            Self::Foreign { .. } | Self::Positions { .. } => "scope",
            Self::Count { .. } | Self::State => "state",
            Self::Fork { .. } => "fork",
        }
    }
}

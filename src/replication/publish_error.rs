//! Why a primary did not provide something to a replica or an operator.

use super::witness::WitnessError;
use crate::signing::signer::SealError;
use crate::store::StoreError;

/// Why a request was not served.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum PublishError {
    #[error("too many replicas are polling; try again in {retry_after_s} s")]
    Busy { retry_after_s: u64 },
    #[error("invalid lifetime of {days} days: the root document allows 1 to {max}")]
    BadLifetime { days: u32, max: u64 },
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write a temporary file in the data directory")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Witness(#[from] WitnessError),
    #[error("the work was interrupted")]
    Stopped,
}

//! Why a report is not recorded or read.

use crate::resolve::ResolveError;
use crate::telemetry::otlp::DecodeError;
use crate::telemetry::store::TelemetryError;

/// Why a report is not recorded or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum IngestError {
    #[error("this node does not record telemetry; its log says why")]
    Off,
    #[error("invalid `{field}`: {reason}")]
    Field { field: String, reason: &'static str },
    #[error(
        "this `Idempotency-Key` was sent with other reports: use a new key for each request, and the same for a repeat"
    )]
    KeyReused,
    #[error("the key that signs the telemetry files of this replica is not trusted here")]
    FileKey,
    #[error("the batch is not signed by the trusted key of its replica")]
    FileSignature,
    #[error(transparent)]
    Otlp(#[from] DecodeError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
}

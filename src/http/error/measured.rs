//! How errors of telemetry and evaluations are presented.

use super::{ErrorFormat, INSIDE, hint, registry, resolve};
use crate::api::problem::ErrorCode;
use crate::evaluate::EvaluationError;
use crate::ingest::IngestError;
use crate::telemetry::store::TelemetryError;

/// What to know about a failed disk.
const DISK: &str = "telemetry is read and recorded again as soon as the disk works; the log has the cause";

pub(super) fn ingest(error: &IngestError) -> ErrorFormat {
    match error {
        IngestError::Off => (ErrorCode::TelemetryOff, hint("resolving and everything else work without it")),
        IngestError::Field { .. } => (ErrorCode::InvalidRequest, None),
        IngestError::KeyReused => (ErrorCode::IdempotencyKeyReused, None),
        IngestError::Otlp(_) | IngestError::FileSignature => (ErrorCode::BadRequest, None),
        IngestError::FileKey => {
            let way = "compare the key with the one that the export printed, and import with `--trust KEY`";
            (ErrorCode::Forbidden, hint(way))
        }
        IngestError::Telemetry(error) => telemetry(error),
        IngestError::Resolve(error) => resolve(error),
    }
}

pub(super) fn evaluation(error: &EvaluationError) -> ErrorFormat {
    match error {
        EvaluationError::Registry(error) => registry(error),
        EvaluationError::Resolve(error) => resolve(error),
        EvaluationError::NoRun(_) | EvaluationError::NoResult { .. } => (ErrorCode::RecordNotFound, None),
        EvaluationError::Over(_) | EvaluationError::Unfit(_) | EvaluationError::NoProvider { .. } => {
            (ErrorCode::InvalidRequest, None)
        }
        EvaluationError::Split { .. } => (
            ErrorCode::InvalidRequest,
            hint(
                "a run evaluates and compares one version; `bookholder eval run` starts one for each version of a split",
            ),
        ),
        EvaluationError::NoKey { .. } => (
            ErrorCode::InvalidRequest,
            hint("set the variable and restart the primary, or use a model of another provider"),
        ),
        EvaluationError::TooManyRuns => (ErrorCode::Busy, None),
        EvaluationError::Off => (ErrorCode::NotReady, hint("the log of the node says why; everything else works")),
        EvaluationError::Telemetry(error) => telemetry(error),
        EvaluationError::NoThread | EvaluationError::Store(_) => INSIDE,
    }
}

fn telemetry(error: &TelemetryError) -> ErrorFormat {
    match error {
        TelemetryError::Busy | TelemetryError::Write(_) | TelemetryError::Full => (ErrorCode::Busy, None),
        TelemetryError::Paused { .. } => {
            (ErrorCode::TelemetryPaused, hint("what is recorded can be read, and everything else works"))
        }
        TelemetryError::DiskFailed => (ErrorCode::DiskFailed, hint(DISK)),
        TelemetryError::Database(_) if error.is_of_disk() => (ErrorCode::DiskFailed, hint(DISK)),
        TelemetryError::TooMany(_) => (ErrorCode::TooLarge, None),
        TelemetryError::Encoding(_) => (ErrorCode::BadRequest, None),
        TelemetryError::Gap { .. } | TelemetryError::Conflict(_) => (ErrorCode::BatchOutOfTurn, None),
        TelemetryError::Damaged => {
            (ErrorCode::DataDamaged, hint("the log of this node names the file and what to do; everything else works"))
        }
        // The node stops.
        TelemetryError::Stopped => (ErrorCode::TelemetryOff, hint("resolving and everything else work without it")),
        TelemetryError::Database(_) | TelemetryError::File(_) => INSIDE,
    }
}

//! What each code of an error means to HTTP: its status, and a title.
//!
//! One code has one status, so the OpenAPI document can list for each operation the codes of each status.

use axum::http::StatusCode;

use crate::api::problem::ErrorCode;

/// Whether an error means that an access token is missing or unknown.
pub(super) fn refuses_token(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED
}

/// The status of a code.
pub(super) const fn status(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::BadRequest | ErrorCode::InvalidField | ErrorCode::InvalidName | ErrorCode::InvalidMessage => {
            StatusCode::BAD_REQUEST
        }
        ErrorCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden | ErrorCode::PolicyNotMet | ErrorCode::PrimaryOnly => StatusCode::FORBIDDEN,
        ErrorCode::NotFound
        | ErrorCode::PromptNotFound
        | ErrorCode::VersionNotFound
        | ErrorCode::LabelNotFound
        | ErrorCode::ContentNotFound
        | ErrorCode::RecordNotFound => StatusCode::NOT_FOUND,
        ErrorCode::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        ErrorCode::Timeout => StatusCode::REQUEST_TIMEOUT,
        ErrorCode::ParentMoved
        | ErrorCode::VersionRetired
        | ErrorCode::VersionServed
        | ErrorCode::StillIncluded
        | ErrorCode::NothingToRollBack
        | ErrorCode::HistoryOrder
        | ErrorCode::Exists
        | ErrorCode::InUse
        | ErrorCode::BreaksCallers
        | ErrorCode::RequestClosed
        | ErrorCode::LabelMoved
        | ErrorCode::RequestMoved
        | ErrorCode::DraftMoved
        | ErrorCode::BatchOutOfTurn
        | ErrorCode::LastAdmin => StatusCode::CONFLICT,
        ErrorCode::PromptRemoved | ErrorCode::VersionArchived | ErrorCode::CursorExpired => StatusCode::GONE,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::UnsupportedMediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ErrorCode::WrongHost => StatusCode::MISDIRECTED_REQUEST,
        ErrorCode::InvalidRequest
        | ErrorCode::InvalidContent
        | ErrorCode::InvalidServing
        | ErrorCode::InvalidVariables
        | ErrorCode::RenderFailed
        | ErrorCode::BumpTooSmall
        | ErrorCode::InvalidPolicy
        | ErrorCode::InvalidRules
        | ErrorCode::IdempotencyKeyReused
        | ErrorCode::HoldsSecrets => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::NotReady
        | ErrorCode::OutdatedPrimary
        | ErrorCode::Busy
        | ErrorCode::DiskFailed
        | ErrorCode::DataDamaged
        | ErrorCode::TelemetryOff
        | ErrorCode::TelemetryPaused
        | ErrorCode::ClockUntrusted => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Internal | ErrorCode::Unknown => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A short name of the kind of error.
pub(super) const fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => "Malformed request",
        ErrorCode::InvalidField => "Invalid field",
        ErrorCode::InvalidRequest => "Invalid request",
        ErrorCode::InvalidName => "Invalid name",
        ErrorCode::InvalidContent => "Invalid content",
        ErrorCode::InvalidServing => "Invalid deployment",
        ErrorCode::InvalidVariables => "Invalid variables",
        ErrorCode::RenderFailed => "Rendering failed",
        ErrorCode::InvalidMessage => "Message missing or too long",
        ErrorCode::TooLarge => "Over a limit",
        ErrorCode::UnsupportedMediaType => "Unsupported content type",
        ErrorCode::Unauthorized => "Access token missing or unknown",
        ErrorCode::WrongHost => "Wrong host",
        ErrorCode::RateLimited => "Too many requests from one client",
        ErrorCode::Forbidden => "Permission denied",
        ErrorCode::NotFound => "No such path",
        ErrorCode::MethodNotAllowed => "Method not allowed",
        ErrorCode::PromptNotFound => "No such prompt",
        ErrorCode::PromptRemoved => "Prompt removed",
        ErrorCode::VersionNotFound => "No such version",
        ErrorCode::LabelNotFound => "No such label",
        ErrorCode::ContentNotFound => "No such content",
        ErrorCode::RecordNotFound => "No such record",
        ErrorCode::ParentMoved => "Someone else published",
        ErrorCode::VersionRetired => "Version retired",
        ErrorCode::VersionServed => "Version in use",
        ErrorCode::Exists => "Already exists",
        ErrorCode::InUse => "In use",
        ErrorCode::InvalidPolicy => "Invalid policy",
        ErrorCode::InvalidRules => "Invalid rules",
        ErrorCode::PolicyNotMet => "Policy not met",
        ErrorCode::BreaksCallers => "Would break callers",
        ErrorCode::HoldsSecrets => "Content contains a secret",
        ErrorCode::RequestClosed => "Change request is closed",
        ErrorCode::LabelMoved => "Label changed",
        ErrorCode::RequestMoved => "Change request amended",
        ErrorCode::DraftMoved => "Someone else saved",
        ErrorCode::VersionArchived => "Version archived",
        ErrorCode::CursorExpired => "Cursor expired",
        ErrorCode::LastAdmin => "Last admin",
        ErrorCode::BumpTooSmall => "Declared change too small",
        ErrorCode::StillIncluded => "Still included by others",
        ErrorCode::NothingToRollBack => "Nothing to roll back to",
        ErrorCode::HistoryOrder => "Older than existing history",
        ErrorCode::PrimaryOnly => "Primary only",
        ErrorCode::NotReady => "Not ready",
        ErrorCode::OutdatedPrimary => "Older than published state",
        ErrorCode::Busy => "Busy",
        ErrorCode::StorageFull => "Disk full",
        ErrorCode::TelemetryOff => "Telemetry is off",
        ErrorCode::TelemetryPaused => "Telemetry is paused",
        ErrorCode::BatchOutOfTurn => "Batch out of turn",
        ErrorCode::IdempotencyKeyReused => "Idempotency key reused",
        ErrorCode::DiskFailed => "Disk failed",
        ErrorCode::DataDamaged => "Stored data damaged",
        ErrorCode::Timeout => "Timed out",
        ErrorCode::ClockUntrusted => "Clock not plausible",
        ErrorCode::Internal | ErrorCode::Unknown => "Internal error",
    }
}

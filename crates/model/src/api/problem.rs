//! Errors as clients see them: RFC 9457 problem details with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What went wrong, for people (`detail`, `hint`) and for programs (`code`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema, thiserror::Error)]
#[error("{detail}")]
pub struct Problem {
    /// A short name of the kind of error; the same for every error with this code.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The stable code; programs can match on it.
    pub code: ErrorCode,
    /// What is wrong with this request.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Each problem, if there can be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// The stable codes. New ones may be added; existing ones keep their meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is malformed: its JSON, a query parameter, a path.
    BadRequest,
    /// A field of the body or a query parameter is invalid: `detail` has the field, value and rule.
    InvalidField,
    /// The request is well-formed but breaks another rule.
    InvalidRequest,
    /// A name, label or reference is invalid.
    InvalidName,
    /// The content is invalid: its form, a limit, its template, its variables, an include.
    InvalidContent,
    /// The deployment has no versions, or invalid weights.
    InvalidServing,
    /// Variables for rendering are missing, unknown or of the wrong type.
    InvalidVariables,
    /// The template failed or exceeded a limit while rendering.
    RenderFailed,
    /// The message (the reason for the change) is missing or too long.
    InvalidMessage,
    /// A body, batch, page or header is over its limit.
    TooLarge,
    /// The `Content-Type` of the body is not one that this operation takes; `detail` names those.
    UnsupportedMediaType,
    /// The access token is missing or unknown.
    Unauthorized,
    /// The access token does not allow this.
    Forbidden,
    /// The node does not accept this host without an access token.
    WrongHost,
    /// This principal or address exceeds its share; the header `Retry-After` says when to try again.
    RateLimited,
    /// The path does not exist.
    NotFound,
    /// The path exists, but not with this method.
    MethodNotAllowed,
    /// No prompt has this name.
    PromptNotFound,
    /// The prompt was removed.
    PromptRemoved,
    /// The prompt has no such version.
    VersionNotFound,
    /// The prompt has no such label, or had none at that time.
    LabelNotFound,
    /// No version has this content.
    ContentNotFound,
    /// The deployment, audit entry, access token or replication object does not exist.
    RecordNotFound,
    /// The prompt has a newer version than the expected parent.
    ParentMoved,
    /// The version is retired.
    VersionRetired,
    /// The version is deployed to a label.
    VersionServed,
    /// The change affects callers more than the declared bump.
    BumpTooSmall,
    /// The prompt is included by others.
    StillIncluded,
    /// The label has no earlier deployment.
    NothingToRollBack,
    /// The change is dated before the latest change to the prompt.
    HistoryOrder,
    /// The name is already taken.
    Exists,
    /// It is still in use, or built in.
    InUse,
    /// The label policy is invalid.
    InvalidPolicy,
    /// The risk rules are invalid, or one of their tests fails.
    InvalidRules,
    /// Requirements of a label's policy are not met; `errors` lists them.
    PolicyNotMet,
    /// The deployment would break current callers; it needs an explicit flag.
    BreaksCallers,
    /// The content contains a secret.
    HoldsSecrets,
    /// The change request is already applied, rejected, withdrawn or expired.
    RequestClosed,
    /// The label changed since the caller read it.
    LabelMoved,
    /// The change request was amended.
    RequestMoved,
    /// Someone else saved the draft.
    DraftMoved,
    /// The content of the version was archived.
    VersionArchived,
    /// The state that the pages of a list are of can no longer be read here: start again without `cursor`.
    CursorExpired,
    /// It is the only one that can manage access.
    LastAdmin,
    /// This node is a read-only replica: send changes to the primary.
    PrimaryOnly,
    /// This node has no verified state yet.
    NotReady,
    /// The data of this primary is older than the published state; it accepts no changes until a new epoch begins.
    OutdatedPrimary,
    /// Overloaded; try again.
    Busy,
    /// The disk is full.
    StorageFull,
    /// This node does not record telemetry; its log says why.
    TelemetryOff,
    /// No telemetry is recorded now, because the disk is nearly full; what is recorded can be read.
    TelemetryPaused,
    /// A batch of telemetry came before the one that must come next, or came twice with different contents.
    BatchOutOfTurn,
    /// The `Idempotency-Key` was used for a request with another body.
    IdempotencyKeyReused,
    /// The disk of this node failed; nothing was written. Stored data is still served if the disk allows it.
    DiskFailed,
    /// Stored data of this node is damaged and not served; another node may have it.
    DataDamaged,
    /// The request took too long to arrive.
    Timeout,
    /// The clock of this node is not plausible, so nothing is committed.
    ClockUntrusted,
    /// Internal error; see the log.
    Internal,
    /// A code that this program does not know, because it is older than the node.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The code as clients see it, for example `prompt_not_found`.
    pub fn as_str(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

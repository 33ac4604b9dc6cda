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
    /// Stable: programs may match on it.
    pub code: ErrorCode,
    /// What exactly is wrong in this request.
    pub detail: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Each thing that is wrong, where there may be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
}

/// The stable codes. New ones may be added; none changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request is malformed: its JSON, a query parameter, a path.
    BadRequest,
    /// A field of the body or a query parameter breaks the rule for its kind: `detail` has the field, value and rule.
    InvalidField,
    /// The request has the right form and breaks a rule that its form does not show.
    InvalidRequest,
    /// A name, label or reference breaks the rule for it.
    InvalidName,
    /// The content breaks a rule: its shape, a limit, its template, its variables, an include.
    InvalidContent,
    /// The serving names no versions, or weights that cannot be.
    InvalidServing,
    /// Rendering lacks variables, has unknown ones, or some of the wrong type.
    InvalidVariables,
    /// The template failed, or passed a limit, while it was rendered.
    RenderFailed,
    /// A message (the why) is missing or too long.
    InvalidMessage,
    /// A body, batch, page or header is over its limit.
    TooLarge,
    /// The body is not `application/json`.
    UnsupportedMediaType,
    /// No access token was given, or one that does not exist.
    Unauthorized,
    /// The access token does not allow this.
    Forbidden,
    /// Without an access token the node does not answer under this host.
    WrongHost,
    /// This principal, or this address, asks for more than its share; the header `Retry-After` says when to try again.
    RateLimited,
    /// There is no such path.
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
    /// There is no such deployment, audit entry, access token or replication object.
    RecordNotFound,
    /// The prompt has a newer version than the expected parent.
    ParentMoved,
    /// The version is retired.
    VersionRetired,
    /// A label serves the version.
    VersionServed,
    /// The change breaks callers more than the declared bump says.
    BumpTooSmall,
    /// The prompt is included by others.
    StillIncluded,
    /// The label never served anything else.
    NothingToRollBack,
    /// The change is dated before the prompt's last one.
    HistoryOrder,
    /// Something has this name already.
    Exists,
    /// It is still in use, or comes with the program.
    InUse,
    /// The label policy breaks a rule.
    InvalidPolicy,
    /// The risk rules break a rule, or one of their own tests fails.
    InvalidRules,
    /// A label's policy demands something that is missing; `errors` lists it.
    PolicyNotMet,
    /// Callers of what the label serves would break; it takes an explicit flag.
    BreaksCallers,
    /// The content holds a secret.
    HoldsSecrets,
    /// The change request was applied, rejected, withdrawn, or has expired.
    RequestClosed,
    /// The label has moved since whoever asks looked at it.
    LabelMoved,
    /// The change request proposes something else by now.
    RequestMoved,
    /// The draft was saved by somebody meanwhile.
    DraftMoved,
    /// The version's content was dropped.
    VersionArchived,
    /// Without this access token nobody could change anything.
    LastAdmin,
    /// This node is a replica: changes go to the primary.
    PrimaryOnly,
    /// This node holds no verified state yet.
    NotReady,
    /// This primary's data is older than what its registry published; it takes no changes until a new epoch begins.
    OutdatedPrimary,
    /// Too much at once; try again.
    Busy,
    /// The disk is full.
    StorageFull,
    /// The disk of this node failed; nothing was written. What was stored is still read, if the disk lets it.
    DiskFailed,
    /// What this node stored is not what was stored, and is not served; another node may have it.
    DataDamaged,
    /// The request took too long to arrive.
    Timeout,
    /// The clock of this node cannot be right, so that nothing is committed.
    ClockUntrusted,
    /// Something inside failed; the log says what.
    Internal,
    /// A code that this program is too old to know.
    #[serde(other)]
    Unknown,
}

impl ErrorCode {
    /// The code as clients see it, for example `prompt_not_found`.
    #[must_use]
    pub fn as_str(self) -> String {
        serde_json::to_value(self).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
    }
}

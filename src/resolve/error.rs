//! Why reading failed.

use crate::model::content::ContentError;
use crate::model::content_id::ContentId;
use crate::model::name::{Label, NameError, PromptName};
use crate::model::position::Position;
use crate::model::reference::{ReferenceError, Selector};
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::template::render::RenderError;

/// Why reading failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ResolveError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("permission denied: `{name}` cannot read {prompt}")]
    Unreadable { name: String, prompt: String },
    #[error("permission denied: {what} needs permission to read all prompts, which `{name}` does not have")]
    Narrow { name: String, what: &'static str },
    #[error("permission denied: reading the audit log needs the permission `audit`")]
    AuditUnreadable,
    #[error("there is no prompt `{name}`")]
    PromptNotFound { name: PromptName },
    #[error("the prompt `{name}` was removed at {at}")]
    PromptRemoved { name: PromptName, at: Timestamp },
    #[error("the prompt `{name}` has no version {selector}; its latest is {latest}")]
    VersionNotFound { name: PromptName, selector: Selector, latest: u64 },
    #[error("the prompt `{name}` {}", match at {
        None => format!("has no label `{label}`"),
        Some(at) => format!("had no label `{label}` at {at}"),
    })]
    LabelNotFound { name: PromptName, label: Label, at: Option<Timestamp> },
    #[error("no version has the content {0}")]
    ContentNotFound(ContentId),
    #[error("the content of version {number} of `{name}` was archived at {at}; its id and history remain")]
    VersionArchived { name: PromptName, number: u64, at: Timestamp },
    #[error("{what} {number} is over the limit of {max}")]
    Limit { what: &'static str, number: usize, max: usize },
    #[error("the answers to this batch exceed the limit of {bytes_max} bytes at `{reference}`")]
    BatchTooLarge { reference: String, bytes_max: usize },
    #[error("this replica has no verified state yet")]
    NotReady,
    #[error("the cursor `{0}` is not from this list")]
    Cursor(String),
    #[error("cannot continue a list of the state {position} at {here}, the state of this node")]
    CursorExpired { position: Position, here: Position },
    #[error(transparent)]
    Render(#[from] RenderError),
    #[error("cannot read a stored content")]
    Content(#[from] ContentError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

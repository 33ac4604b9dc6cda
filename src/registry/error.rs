//! Why a command was refused.

use crate::experiment::assignment::AssignmentError;
use crate::governance::interface::InterfaceError;
use crate::model::content::ContentError;
use crate::model::name::{Label, PromptName};
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::template::error::{IncludeError, TemplateError};

/// Why a command was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RegistryError {
    #[error("`{actor}` may not {command}: that takes the role admin")]
    Forbidden { actor: String, command: &'static str },
    #[error("a message is missing: say why")]
    MessageMissing,
    #[error("the message has {characters} characters; the limit is 2,000")]
    MessageTooLong { characters: usize },
    #[error("{what} is {length} bytes long; the limit is {max}")]
    TextTooLong { what: &'static str, length: usize, max: usize },
    #[error("there are {count} {what}; the limit is {max}")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("there is no prompt `{name}`")]
    PromptNotFound { name: PromptName },
    #[error("the prompt `{name}` was removed at {at}; publish a version to bring it back")]
    PromptRemoved { name: PromptName, at: Timestamp },
    #[error("the prompt `{name}` has no version {number}; its newest is {latest}")]
    VersionNotFound { name: PromptName, number: u64, latest: u64 },
    #[error("the prompt `{name}` has no label `{label}`")]
    LabelNotFound { name: PromptName, label: Label },
    #[error("the prompt `{name}` is at version {found}, not {expected}: somebody published meanwhile")]
    ParentMoved { name: PromptName, expected: u64, found: u64 },
    #[error("version {number} of `{name}` was retired by {by}: {why}")]
    VersionRetired { name: PromptName, number: u64, by: String, why: String },
    #[error("version {number} of `{name}` is served by the label `{label}`; deploy another there first")]
    VersionServed { name: PromptName, number: u64, label: Label },
    #[error("the label `latest` moves by itself to the newest version")]
    LatestIsAutomatic,
    #[error("the label `{label}` of `{name}` is moved twice in one deployment")]
    MovedTwice { name: PromptName, label: Label },
    #[error("a deployment moves at least one label")]
    NothingToDeploy,
    #[error("what `{name}@{label}` shall serve is no serving: {reason}")]
    Serving { name: PromptName, label: Label, reason: String },
    #[error("the label `{label}` of `{name}` never served anything else")]
    NothingToRollBack { name: PromptName, label: Label },
    #[error("`{name}` is included by {}; change those first", by.join(", "))]
    StillIncluded { name: PromptName, by: Vec<String> },
    #[error("the include `{reference}` cannot be pinned: {reason}")]
    Include { reference: String, reason: String },
    #[error("the change of {at} is older than the last one of `{name}`, of {last}; a history only grows at its end")]
    HistoryOrder { name: PromptName, at: Timestamp, last: Timestamp },
    #[error("there is an access token `{name}` already; revoke it first, or choose another name")]
    TokenExists { name: String },
    #[error("there is no access token `{name}`")]
    TokenNotFound { name: String },
    #[error("`{name}` is no name for an access token; use 1 to 64 of a-z 0-9 . _ -")]
    TokenName { name: String },
    #[error("`{name}` is the last access token that may change anything; create another first")]
    LastAdmin { name: String },
    #[error("no random numbers can be had from the system: {0}")]
    Random(String),
    #[error("an include is refused: {0}")]
    Included(Box<IncludeError<std::convert::Infallible>>),
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<IncludeError<RegistryError>> for RegistryError {
    fn from(error: IncludeError<RegistryError>) -> Self {
        let included = match error {
            IncludeError::Source(error) => return error,
            IncludeError::Template(error) => return error.into(),
            IncludeError::TooLong { max } => IncludeError::TooLong { max },
            IncludeError::Syntax { reference, expected } => IncludeError::Syntax { reference, expected },
            IncludeError::Delimiter { reference, delimiter, expected } => {
                IncludeError::Delimiter { reference, delimiter, expected }
            }
            IncludeError::Joined { reference } => IncludeError::Joined { reference },
        };
        Self::Included(Box::new(included))
    }
}

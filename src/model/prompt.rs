//! A prompt: a name with a line of versions, and its labels.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::{Label, PromptName};
use super::serving::Serving;
use super::time::Timestamp;

/// A name with a line of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prompt {
    /// Its name.
    pub name: PromptName,
    /// When its first version was published.
    pub created: Timestamp,
    /// When anything of it changed last; no later change can be dated before.
    pub changed: Timestamp,
    /// The number of its newest version.
    pub latest: u64,
    /// Since when it is removed; a new version brings it back and goes on counting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

/// What a label serves now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelState {
    /// Which label.
    pub label: Label,
    /// What it serves.
    pub serving: Serving,
    /// The deployment that made it so.
    pub deployment: u64,
    /// Since when.
    pub since: Timestamp,
}

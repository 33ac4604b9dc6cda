//! A prompt: a name with a line of versions, and its labels.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::{Label, PromptName};
use super::serving::Serving;
use super::time::Timestamp;

/// A name with a sequence of versions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prompt {
    /// Its name.
    pub name: PromptName,
    /// When its first version was published.
    pub created: Timestamp,
    /// When it last changed; later changes cannot be dated before.
    pub changed: Timestamp,
    /// The number of its latest version.
    pub latest: u64,
    /// When it was removed; publishing restores it and continues the version numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Timestamp>,
}

/// What a label serves now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelState {
    /// The label.
    pub label: Label,
    /// What it serves.
    pub serving: Serving,
    /// The current deployment.
    pub deployment: u64,
    /// Since when.
    pub since: Timestamp,
}

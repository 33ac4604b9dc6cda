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
    #[schema(value_type = String)]
    pub name: PromptName,
    /// When its first version was published.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// When anything of it changed last; no later change can be dated before.
    #[schema(value_type = String)]
    pub changed: Timestamp,
    /// The number of its newest version.
    pub latest: u64,
    /// Since when it is removed; a new version brings it back and goes on counting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub removed: Option<Timestamp>,
}

/// What a label serves now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LabelState {
    /// Which label.
    #[schema(value_type = String)]
    pub label: Label,
    /// What it serves.
    pub serving: Serving,
    /// The deployment that made it so.
    pub deployment: u64,
    /// Since when.
    #[schema(value_type = String)]
    pub since: Timestamp,
}

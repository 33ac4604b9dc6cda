//! A deployment: the record that what a label serves has changed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::{Label, PromptName};
use super::serving::Serving;
use super::time::Timestamp;

/// What happened to one label of one prompt. Several with one `id` happened at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// The commit that made it; the same for all labels that it moved.
    pub id: u64,
    /// Which prompt.
    pub name: PromptName,
    /// Which of its labels; `latest` only when the prompt was removed.
    pub label: Label,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub actor: String,
    /// Why.
    pub message: String,
    /// What was asked for.
    pub action: Action,
    /// What the label served before; none when it did not exist.
    pub from: Option<Serving>,
    /// What it serves from then on; none when it was removed.
    pub to: Option<Serving>,
    /// Who had approved it, where a policy asked for that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// The change request behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_request: Option<u64>,
}

/// What a deployment was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Serve something.
    Deploy,
    /// Serve again what was served before.
    Rollback,
    /// Take the label away.
    Unlabel,
    /// Remove the prompt, and with it every label.
    Remove,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Unlabel => "unlabel",
            Self::Remove => "remove",
        })
    }
}

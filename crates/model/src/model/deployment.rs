//! A deployment: the record of a change to what a label serves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::name::{Label, PromptName};
use super::serving::Serving;
use super::time::Timestamp;

/// A deployment to one label of one prompt. Deployments with the same `id` were made at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployment {
    /// The commit that made it; the same for all its labels.
    pub id: u64,
    /// The prompt.
    pub name: PromptName,
    /// The label; `latest` only if the prompt was removed.
    pub label: Label,
    /// The time.
    pub at: Timestamp,
    /// The principal that deployed.
    pub actor: String,
    /// The reason.
    pub message: String,
    /// The kind of deployment.
    pub action: Action,
    /// What the label served before; absent if it did not exist.
    pub from: Option<Serving>,
    /// What the label serves from then on; absent if it was removed.
    pub to: Option<Serving>,
    /// The approvers, if a policy required approval.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// The change request that it applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_request: Option<u64>,
}

/// The kind of a deployment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A deployment.
    Deploy,
    /// A rollback to an earlier deployment.
    Rollback,
    /// Removal of the label.
    Unlabel,
    /// Removal of the prompt with all its labels.
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

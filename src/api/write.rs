//! Changing: publishing, deploying, removing, importing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::problem::Problem;
use crate::json;
use crate::model::content::{Content, Syntax};
use crate::model::deployment::Deployment;
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::time::Timestamp;
use crate::model::version::{Bump, Version};
use crate::template::lint::Warning;

/// A new version of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// What it says.
    pub content: Content,
    /// Why; 1 to 2,000 characters.
    pub message: String,
    /// How much it changes for callers; derived when absent, refused when it says too little.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bump: Option<Bump>,
    /// The version this was written from (0: none yet); refused when another is newer by now.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_parent: Option<u64>,
    /// Labels that serve the new version at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Whether to deploy although callers of what is served now break.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
    /// The reason for which an admin overrides what policies demand; it is recorded loudly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// The version that now says what was published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Which prompt.
    pub name: PromptName,
    /// The version; an old one when the latest already says the same.
    pub version: Version,
    /// Whether a version was made.
    pub created: bool,
    /// What to log beside a response.
    pub stamp: String,
    /// The deployment that moved the labels, if any moved.
    pub deployment: Option<u64>,
    /// What other clients or models may take differently.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Prompts that include an older version of this one, as `name@version`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<String>,
    /// What the risk rules found, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// How the version before it is changed for callers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<super::govern::InterfaceChange>,
}

/// Labels to move, all at once or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// At most 1,000; each label of a prompt at most once.
    pub moves: Vec<Move>,
    /// Why; 1 to 2,000 characters.
    pub message: String,
    /// Whether to deploy although callers of what is served now break.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
    /// The reason for which an admin overrides what policies demand; it is recorded loudly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// One label to move.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Which prompt.
    pub name: PromptName,
    /// Which label.
    pub label: Label,
    /// What it shall serve.
    pub serving: ServingRequest,
    /// The deployment that made the label serve what it serves now (0: it serves nothing); refused when it has moved since.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_deployment: Option<u64>,
}

/// What a label shall serve: `version` or `split`, and rules that come first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServingRequest {
    /// This version.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// A weighted choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitRequest>,
    /// Tried in order before the above.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleRequest>,
}

/// A weighted choice between versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitRequest {
    /// Version to weight; only their proportions count.
    #[serde(deserialize_with = "json::whole_values")]
    pub weights: BTreeMap<u64, u32>,
    /// Mixed into the subject's bucket; by default that of the split it replaces, or a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// One rule: `version` or `split` for those whose attributes match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleRequest {
    /// Attribute to pattern; `*` stands for any text.
    pub when: BTreeMap<String, String>,
    /// This version.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// A weighted choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitRequest>,
}

/// What a deployment, a rollback or a removal did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployed {
    /// One for each label whose serving changed; none when all served that already.
    pub deployments: Vec<Deployment>,
}

/// Back to what a label served before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// Why.
    pub message: String,
    /// This version; by default the last serving that was different. Another than that needs what a deployment needs.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The deployment that is taken back; refused when the label has moved since.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_deployment: Option<u64>,
    /// Whether to deploy although callers of what is served now break.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
    /// The reason for which an admin overrides what policies demand; it is recorded loudly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// A change that needs nothing but its why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Why {
    /// Why; 1 to 2,000 characters.
    pub message: String,
}

/// A prompt to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRequest {
    /// Why; 1 to 2,000 characters.
    pub message: String,
    /// The reason for which an admin overrides what the policies of its labels demand; it is recorded loudly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

impl From<Why> for RemoveRequest {
    fn from(Why { message }: Why) -> Self {
        Self { message, break_glass: None }
    }
}

/// Changes of another library's history, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// At most 1,000.
    pub changes: Vec<ImportChange>,
    /// How the imported texts write their variables.
    #[serde(default = "plain")]
    pub syntax: Syntax,
    /// The label that serves each version from its time on.
    #[serde(default = "Label::production")]
    pub label: Label,
}

/// One change: a version deployed at its time, or a removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportChange {
    /// Names this change for ever, so that a repeated import skips it; at most 64 bytes.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub author: String,
    /// Why.
    pub message: String,
    /// Which prompt.
    pub name: PromptName,
    /// What it said from then on; null when it was removed.
    pub text: Option<String>,
    /// What the prompt was called elsewhere, where that cannot be its name here: the description of a prompt that the
    /// import makes, of which 1,000 characters are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Versions made and deployed.
    pub published: u64,
    /// Prompts removed.
    pub removed: u64,
    /// Changes that an earlier import had brought.
    pub known: u64,
    /// Changes that could not be.
    pub refused: Vec<RefusedChange>,
}

/// A change that could not be imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedChange {
    /// Which change.
    pub id: String,
    /// Why not.
    pub problem: Problem,
}

const fn plain() -> Syntax {
    Syntax::Plain
}

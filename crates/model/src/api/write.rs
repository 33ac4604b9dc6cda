//! Requests and answers for changes: publishing, deploying, removing, importing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::evaluations::DownstreamSuite;
use super::problem::Problem;
use crate::json;
use crate::model::content::{Content, Syntax};
use crate::model::deployment::Deployment;
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::reference::VersionRef;
use crate::model::time::Timestamp;
use crate::model::version::{Bump, Version};
use crate::model::warning::Warning;

/// A new version of a prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishRequest {
    /// The content.
    pub content: Content,
    /// The reason; 1 to 2,000 characters.
    pub message: String,
    /// The effect on callers; derived when absent, rejected if too small.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bump: Option<Bump>,
    /// The version it is based on (0: none yet); rejected if there is a newer one.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_parent: Option<u64>,
    /// Labels to deploy the new version to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Whether to deploy even if it breaks current callers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
    /// The reason for overriding unmet requirements of policies (admins only); it is recorded in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// The published version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// The prompt.
    pub name: PromptName,
    /// The version; the existing one if the latest version has the same content.
    pub version: Version,
    /// Whether a version was created.
    pub created: bool,
    /// A stamp to log with a model's response.
    pub stamp: String,
    /// The deployment to the labels, if any.
    pub deployment: Option<u64>,
    /// Warnings about texts that other clients or models may interpret differently.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Prompts that include an older version of this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<VersionRef>,
    /// The findings of the risk rules, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// The effect on callers of the previous version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<crate::model::version::InterfaceChange>,
}

/// Deployments to labels, all at once or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// At most 1,000; each label of a prompt at most once.
    pub moves: Vec<Move>,
    /// The reason; 1 to 2,000 characters.
    pub message: String,
    /// Whether to deploy even if it breaks current callers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
    /// The reason for overriding unmet requirements of policies (admins only); it is recorded in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// A deployment to one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// The prompt.
    pub name: PromptName,
    /// The label.
    pub label: Label,
    /// What it will serve.
    pub serving: ServingRequest,
    /// The current deployment of the label (0: none); rejected if it has changed since.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_deployment: Option<u64>,
}

/// What a label serves: `version` or `split`, and rules that take precedence.
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
    /// Weights by version; only their proportions count.
    #[serde(deserialize_with = "json::whole_values")]
    pub weights: BTreeMap<u64, u32>,
    /// Part of the hash of a subject's bucket; by default that of the replaced split, or a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub salt: Option<String>,
}

/// One rule: `version` or `split` for those whose attributes match.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleRequest {
    /// Patterns by attribute; `*` stands for any text.
    pub when: BTreeMap<String, String>,
    /// This version.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// A weighted choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<SplitRequest>,
}

/// The result of a deployment, a rollback or a removal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Deployed {
    /// One for each changed label; empty if nothing changed.
    pub deployments: Vec<Deployment>,
    /// Suites to run for the prompts that these feed: they have not passed with what is deployed now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downstream: Vec<DownstreamSuite>,
}

/// A rollback of a label to what it served before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// The reason.
    pub message: String,
    /// The version to return to; by default what the label served before, unless that was rolled back. Only undoing the
    /// newest deployment has fewer requirements than a deployment.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
    /// The deployment to undo; rejected if the label has changed since.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_deployment: Option<u64>,
    /// Whether to deploy even if it breaks current callers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
    /// The reason for overriding unmet requirements of policies (admins only); it is recorded in the audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// A change that only needs a reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageRequest {
    /// The reason; 1 to 2,000 characters.
    pub message: String,
}

/// A prompt to remove.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RemoveRequest {
    /// The reason; 1 to 2,000 characters.
    pub message: String,
    /// The reason for overriding unmet requirements of the policies of its labels (admins only); it is recorded in the
    /// audit log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

impl From<MessageRequest> for RemoveRequest {
    fn from(MessageRequest { message }: MessageRequest) -> Self {
        Self { message, break_glass: None }
    }
}

/// History from elsewhere, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportRequest {
    /// At most 1,000.
    pub changes: Vec<ImportChange>,
    /// The syntax of the imported texts.
    #[serde(default = "plain")]
    pub syntax: Syntax,
    /// The label to deploy each version to, from its time on.
    #[serde(default = "Label::production")]
    pub label: Label,
}

/// One change: a version deployed at its time, or a removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportChange {
    /// Permanent id of the change, so that a repeated import skips it; at most 64 bytes.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// Who did it.
    pub author: String,
    /// The reason.
    pub message: String,
    /// The prompt.
    pub name: PromptName,
    /// The new text; null if the prompt was removed.
    pub text: Option<String>,
    /// The original name of the prompt, if it is not valid here: it becomes the description of a prompt created by the
    /// import (up to 1,000 characters).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub original: Option<String>,
}

/// The result of an import.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// Versions created and deployed.
    pub published: u64,
    /// Prompts removed.
    pub removed: u64,
    /// Changes that were imported earlier.
    pub known: u64,
    /// Changes that could not be imported.
    pub refused: Vec<RefusedChange>,
}

/// A change that could not be imported.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RefusedChange {
    /// The change.
    pub id: String,
    /// Why it could not be imported.
    pub problem: Problem,
}

const fn plain() -> Syntax {
    Syntax::Plain
}

//! Requests and answers of governance: principals, access tokens, roles, policies, change requests, drafts, risk rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::evaluations::DownstreamSuite;
use super::read::Page;
use super::write::Move;
use crate::json;
use crate::model::change_request::{ChangeRequest, EventKind};
use crate::model::comparison::Merge;
use crate::model::content::Content;
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::principal::{Grant, Permission, PrincipalKind};
use crate::model::reference::VersionRef;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::verdict::Requirement;
use crate::model::verdict::Verdict;
use crate::model::version::{Bump, Include, InterfaceChange};
use crate::model::warning::Warning;

/// A new principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalRequest {
    /// Unique; 1 to 64 characters from a-z 0-9 . _ - @.
    pub name: String,
    /// Person or service.
    pub kind: PrincipalKind,
    /// Its grants.
    #[serde(default)]
    pub grants: Vec<Grant>,
}

/// How long a sign-in link should work.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInLinkRequest {
    /// How long it works, in seconds; an hour by default, a day at most.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

/// A link that signs a person in to the pages once. The answer is the only place that contains it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    /// The person it signs in.
    pub principal: String,
    /// When it stops working, whether it was used or not.
    pub expires: Timestamp,
    /// Where to open it: below `public_url`, or below the address that this request was sent to.
    pub url: String,
}

/// The grants that replace those of a principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantsRequest {
    /// All grants of the principal.
    pub grants: Vec<Grant>,
}

/// A custom role.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleRequest {
    /// The permissions it gives.
    pub permissions: std::collections::BTreeSet<Permission>,
    /// What it is for.
    #[serde(default)]
    pub description: String,
}

/// A new access token.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenRequest {
    /// What it is for, for example `replica-plant-7`; unique.
    pub name: String,
    /// The existing principal that owns it. Without one, a service with the token's name is created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The role, for all prompts, of the service that is created; only without `principal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Seconds until it expires; absent: never.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// The prompts it is limited to, whatever its principal is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Pattern>,
    /// The views it can replicate; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
}

/// How to replace an access token by a new one with the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationRequest {
    /// Seconds for which the old one remains valid; 0 for none.
    #[serde(default, deserialize_with = "json::whole")]
    pub overlap_s: u64,
    /// Seconds until the new one expires; absent: it expires when the old one would have.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

/// An access token without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// What it is for.
    pub name: String,
    /// The principal that owns it.
    pub principal: String,
    /// When it was created.
    pub created: Timestamp,
    /// When it expires; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Until when the token before the last rotation remains valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// When it was last used, to the minute; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// The prompts it is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Pattern>,
    /// The views it can replicate; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
    /// The token itself; only in the response that creates it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// The principal of an access token and its permissions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// The principal.
    pub name: String,
    /// Person, service or system.
    pub kind: PrincipalKind,
    /// How the caller authenticated.
    pub method: String,
    /// Its grants.
    pub grants: Vec<Grant>,
    /// Every permission that any grant gives for at least one prompt or label.
    pub permissions: Vec<Permission>,
    /// The prompts that the access token is limited to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Pattern>,
    /// When the access token expires; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Whether a principal is allowed to do something now, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CanAnswer {
    /// Whether it is allowed.
    pub allowed: bool,
    /// The grant that allows it, or what is missing.
    pub permission: Verdict,
    /// The requirements of the label's policies, met or not; only for deploying.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
    /// Suites of the prompts that it feeds, for what they serve on this label; only for deploying a version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downstream: Vec<DownstreamSuite>,
}

/// A change to be reviewed: publish and deploy in one step, or deploy existing versions.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeRequest {
    /// The reason; 1 to 2,000 characters.
    pub message: String,
    /// A version to publish with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<ProposedVersion>,
    /// Deployments of existing versions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// Whether to deploy it as soon as all requirements are met.
    #[serde(default)]
    pub automatic: bool,
    /// Days until it expires, 1 to 365; default 30.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<u32>,
    /// Principals asked to review it, at most 10; others with permission can review it too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
}

/// A version that a change request publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposedVersion {
    /// The prompt.
    pub name: PromptName,
    /// The content.
    pub content: Content,
    /// The effect on callers; derived when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bump: Option<Bump>,
    /// The version it is based on; rejected if there is a newer one.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_parent: Option<u64>,
    /// The labels to deploy it to.
    pub labels: Vec<Label>,
}

/// A new proposal that replaces the one of a change request; approvals of other content do not count for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendRequest {
    /// The reason.
    pub message: String,
    /// A version to publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<ProposedVersion>,
    /// The deployments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
}

/// A review of a change request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewRequest {
    /// The decision.
    #[schema(value_type = ReviewKind)]
    pub kind: EventKind,
    /// A comment; can be empty for an approval.
    #[serde(default)]
    pub message: String,
    /// Fingerprints of the reviewed moves: an approval of anything else is rejected.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
}

/// The kinds of review in the OpenAPI document.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, missing_docs, reason = "it names those kinds of events that a client can send")]
enum ReviewKind {
    Approve,
    Reject,
    Comment,
    Withdraw,
}

/// How to deploy a change request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// The reason; the message of the request when empty.
    #[serde(default)]
    pub message: String,
    /// Whether to deploy even if it breaks callers.
    #[serde(default)]
    pub allow_major: bool,
    /// The reason for overriding unmet requirements (admins only).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// A change request with everything a reviewer needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The change request.
    pub request: ChangeRequest,
    /// Each move with its diff, findings, requirements and reviewers.
    pub moves: Vec<MoveReview>,
    /// Whether all requirements are met and it only has to be deployed.
    pub complete: bool,
    /// What it waits for although its policies are met: it would break callers, or someone with permission has to
    /// deploy it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// A change request after a review, and what it still needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ReviewedRequest {
    /// The change request as it is now.
    pub request: ChangeRequest,
    /// Whether all requirements are met and it only has to be deployed.
    pub complete: bool,
    /// Requirements of policies that are not met, if it is open.
    pub unmet: Vec<UnmetRequirement>,
    /// What it waits for although its policies are met: it would break callers, or someone with permission has to
    /// deploy it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// A requirement that one move of a change request does not meet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnmetRequirement {
    /// The prompt.
    pub name: PromptName,
    /// The label.
    pub label: Label,
    /// The requirement.
    pub requirement: Requirement,
    /// Principals who can review this move, with the roles that allow it.
    pub reviewers: Vec<Reviewer>,
}

/// One move of a change request with its diff, findings, requirements and reviewers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MoveReview {
    /// The prompt.
    pub name: PromptName,
    /// The label.
    pub label: Label,
    /// What the label serves now, which the proposal is compared with; once the request is closed, what it served then,
    /// before the deployment. Absent if it served nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Serving>,
    /// The diff, if one version replaces another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<crate::model::comparison::Diff>,
    /// The effect on callers, with reasons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceChange>,
    /// The findings of the risk rules.
    pub findings: Vec<Finding>,
    /// The requirements of the label's policies, met or not; none once the request is closed.
    pub requirements: Vec<Requirement>,
    /// Approvers of exactly this change who count now: they still have permission to review, and the label was not
    /// moved away from it since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// Who can approve it, with their roles.
    pub reviewers: Vec<Reviewer>,
    /// Prompts that include this one.
    pub dependents: Vec<VersionRef>,
    /// Suites of the prompts that it feeds, for what they serve on this label.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub downstream: Vec<DownstreamSuite>,
    /// Callers that used the currently served version in the last 24 hours; none once the request is closed.
    pub used_by: Vec<String>,
}

/// The result that publishing a content would have.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionPreview {
    /// The content as served: includes replaced, variables complete.
    pub content: Content,
    /// The versions that its includes resolve to now.
    pub includes: Vec<Include>,
    /// Warnings about texts that other clients or models may interpret differently.
    pub warnings: Vec<Warning>,
    /// The findings of the risk rules, worst first.
    pub findings: Vec<Finding>,
    /// The effect on callers of the latest version; absent if there is none.
    pub interface: Option<InterfaceChange>,
}

/// The result that a deployment to a label would have.
#[derive(Clone, Debug, PartialEq)]
pub struct MovePreview {
    /// What the label serves now.
    pub from: Option<Serving>,
    /// The current deployment.
    pub deployment: Option<u64>,
    /// What the label would serve, with the slots of its splits.
    pub to: Serving,
    /// Whether the caller is allowed to deploy there.
    pub deploys: Verdict,
    /// Why it would break current callers, if a policy protects the label.
    pub breaks: Vec<String>,
    /// The move with its diff, findings, requirements and reviewers.
    pub review: MoveReview,
}

/// A principal who can approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reviewer {
    /// The principal.
    pub name: String,
    /// Its roles that allow it.
    pub roles: Vec<String>,
}

/// Change requests, newest first.
pub type RequestPage = Page<ChangeRequest>;

/// A draft to save.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftRequest {
    /// The content; a draft can break rules that a version cannot.
    pub content: Content,
    /// The version it is based on; the latest when absent. Send the new one with the result of a merge to rebase the
    /// draft.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// The revision that this was made from (0: none yet); rejected if someone else saved since.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
}

/// How to publish a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishDraftRequest {
    /// The reason; 1 to 2,000 characters.
    pub message: String,
    /// The effect on callers; derived when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bump: Option<Bump>,
    /// Labels to deploy the new version to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// The revision that was reviewed; rejected if someone else saved since.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
    /// Whether to deploy even if it breaks current callers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
}

/// A draft merged with what was published since it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DraftMerge {
    /// The version it is based on.
    pub base: u64,
    /// The latest version.
    pub parent: u64,
    /// The merge result and its conflicts.
    pub merge: Merge,
}

/// A custom rule set, as TOML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSetRequest {
    /// The rules.
    pub toml: String,
    /// Whether it is a gitleaks configuration.
    #[serde(default)]
    pub gitleaks: bool,
}

/// A stored rule set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleSetView {
    /// Its name.
    pub name: String,
    /// Number of rules.
    pub rules: usize,
    /// The rules; only when a single set is requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// Rules of another format that could not be imported, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// An unpublished content to run the risk rules on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifyRequest {
    /// The content.
    pub content: Content,
}

/// The findings of the risk rules.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Classified {
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// Which old versions to archive: their contents are deleted, their ids and everything else remain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRequest {
    /// The prompts.
    #[serde(default = "Pattern::everything")]
    pub prompts: Pattern,
    /// Days without deployment or use; at least 184.
    #[serde(deserialize_with = "json::whole")]
    pub unused_days: u32,
    /// Content ids to keep, for example those of a lockfile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// Whether to only report what would be archived; default true.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// The reason; required unless it is a dry run.
    #[serde(default)]
    pub message: String,
}

const fn yes() -> bool {
    true
}

/// What was archived, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Archived {
    /// The archived versions.
    pub versions: Vec<VersionRef>,
    /// Bytes of the deleted contents.
    pub bytes: u64,
    /// Number of old versions that are kept, by reason.
    pub kept: BTreeMap<String, u64>,
    /// Whether this was a dry run.
    pub dry_run: bool,
}

/// One use of a version: the caller and the hour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionUse {
    /// The prompt.
    pub name: PromptName,
    /// The version.
    #[serde(deserialize_with = "json::whole")]
    pub version: u64,
    /// The access token of the caller, or `local`.
    pub by: String,
    /// Hours since 1970.
    #[serde(deserialize_with = "json::whole")]
    pub hour: u64,
}

//! Governing: principals, access tokens, roles, policies, change requests, drafts, risk rules.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::read::Page;
use super::write::Move;
use crate::governance::interface::required_bump;
use crate::governance::label_policy::Requirement;
use crate::governance::merge::Merge;
use crate::governance::rulebook::Verdict;
use crate::json;
use crate::model::change_request::{ChangeRequest, EventKind};
use crate::model::content::Content;
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::principal::{Grant, Permission, PrincipalKind};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::{Bump, Include};
use crate::template::lint::Warning;

/// A new principal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PrincipalRequest {
    /// Unique; 1 to 64 of a-z 0-9 . _ - @.
    pub name: String,
    /// Person or service.
    pub kind: PrincipalKind,
    /// What they are allowed.
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

/// A link that signs a person in to the pages once. The answer is the only place where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignInLink {
    /// Whom it signs in.
    pub principal: String,
    /// When it stops working, whether it was used or not.
    pub expires: Timestamp,
    /// Where to open it: below `public_url`, or below the address that this request was sent to.
    pub url: String,
}

/// What a principal is allowed from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GrantsRequest {
    /// All of it.
    pub grants: Vec<Grant>,
}

/// A role of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleRequest {
    /// What it allows.
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
    /// Whose it is; a principal that exists. Without one, a service of the token's name is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// The role, everywhere, of the service that is made; only without `principal`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Seconds from now until it is refused; none for ever.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
    /// The prompts it is bound to, whatever its principal may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Pattern>,
    /// The views that it may follow; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
}

/// How to replace an access token by another of the same name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotationRequest {
    /// Seconds for which the old one is still good; 0 for none.
    #[serde(default, deserialize_with = "json::whole")]
    pub overlap_s: u64,
    /// Seconds from now until the new one is refused; none for ever.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expires_s: Option<u64>,
}

/// An access token as it can be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// What it is for.
    pub name: String,
    /// Whose it is.
    pub principal: String,
    /// Since when.
    pub created: Timestamp,
    /// Until when; none for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// Until when the one before the last rotation is still good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Timestamp>,
    /// When it was used last, to the minute; none for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
    /// The prompts it is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Pattern>,
    /// The views that it may follow; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub views: Vec<String>,
    /// The token itself; only in the answer that makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}

/// Who an access token stands for, and what they may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WhoAmI {
    /// The principal.
    pub name: String,
    /// Person, service or system.
    pub kind: PrincipalKind,
    /// How they proved it.
    pub method: String,
    /// What they are allowed.
    pub grants: Vec<Grant>,
    /// Every permission that some grant gives somewhere.
    pub permissions: Vec<Permission>,
    /// The prompts that the access token is bound to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompts: Option<Pattern>,
    /// Until when the access token is good; none for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// Whether somebody could do something now, and the rules behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CanAnswer {
    /// Whether they could.
    pub allowed: bool,
    /// The grant, or the lack of one.
    pub permission: Verdict,
    /// What the label's policies demand, met or not; only for deploying.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<Requirement>,
}

/// A change for others to look at: publish and deploy in one, or deploy what is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposeRequest {
    /// Why; 1 to 2,000 characters.
    pub message: String,
    /// A version to publish with the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<ProposedVersion>,
    /// What shall be served where, of versions that are there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// Whether to apply it as soon as nothing is missing.
    #[serde(default)]
    pub automatic: bool,
    /// Days until it closes by itself; 30 when not said, 1 to 365.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expires_days: Option<u32>,
    /// Who is asked to review it, at most 10 principals; others who may review it still can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reviewers: Vec<String>,
}

/// A version that a change request publishes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProposedVersion {
    /// Of which prompt.
    pub name: PromptName,
    /// What it says.
    pub content: Content,
    /// How much it changes for callers; derived when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bump: Option<Bump>,
    /// The version it was written from; refused when another is newer by now.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_parent: Option<u64>,
    /// The labels that shall serve it.
    pub labels: Vec<Label>,
}

/// A new proposal in place of what a change request proposed; approvals of other content do not count for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AmendRequest {
    /// Why.
    pub message: String,
    /// A version to publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<ProposedVersion>,
    /// What shall be served where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
}

/// What somebody says of a change request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReviewRequest {
    /// What they decide.
    #[schema(value_type = ReviewKind)]
    pub kind: EventKind,
    /// In their words; may be empty for an approval.
    #[serde(default)]
    pub message: String,
    /// The moves that they looked at, by fingerprint: an approval of anything else is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<String>,
}

/// What can be said of a change request, in the document.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[allow(dead_code, missing_docs, reason = "it names those kinds of events that somebody may send")]
enum ReviewKind {
    Approve,
    Reject,
    Comment,
    Withdraw,
}

/// How to apply a change request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Why; the request's own message when empty.
    #[serde(default)]
    pub message: String,
    /// Whether to deploy although callers break.
    #[serde(default)]
    pub allow_major: bool,
    /// The reason for which an admin overrides what is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub break_glass: Option<String>,
}

/// A change request with everything that a reviewer needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The change request.
    pub request: ChangeRequest,
    /// Each move, looked at from all sides.
    pub moves: Vec<MoveReview>,
    /// Whether nothing is missing but somebody who deploys it.
    pub complete: bool,
    /// What it waits for although its policies are met: callers that would break, or somebody who may deploy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
}

/// One move of a change request, looked at from all sides.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MoveReview {
    /// Which prompt.
    pub name: PromptName,
    /// Which label.
    pub label: Label,
    /// The version that differs is compared with this one, which the label serves now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// What changes, where one version replaces another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<crate::governance::diff::Diff>,
    /// How much it changes for callers, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<InterfaceChange>,
    /// What the risk rules found in it.
    pub findings: Vec<Finding>,
    /// What the label's policies demand, met or not.
    pub requirements: Vec<Requirement>,
    /// Whose approvals of exactly this count now: given since the label last moved away from it, by who may still review.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// Who could approve it, with their roles.
    pub reviewers: Vec<Reviewer>,
    /// Prompts that include this one.
    pub dependents: Vec<String>,
    /// Who used what the label serves now, in the last day.
    pub used_by: Vec<String>,
}

/// What publishing a content would make of it.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionPreview {
    /// What would be served: includes flattened, variables complete.
    pub content: Content,
    /// The versions that its includes mean now.
    pub includes: Vec<Include>,
    /// What other clients or models may take differently.
    pub warnings: Vec<Warning>,
    /// What the risk rules find, worst first.
    pub findings: Vec<Finding>,
    /// How the newest version is changed for callers; none where there is none.
    pub interface: Option<InterfaceChange>,
}

/// What moving a label would do.
#[derive(Clone, Debug, PartialEq)]
pub struct MovePreview {
    /// What it serves now.
    pub from: Option<Serving>,
    /// The deployment that made it so.
    pub deployment: Option<u64>,
    /// What it would serve, its splits laid out.
    pub to: Serving,
    /// Whether whoever asks has the grant to deploy there.
    pub deploys: Verdict,
    /// Why callers of what is served now would break, on a label that a policy protects.
    pub breaks: Vec<String>,
    /// The move, looked at from all sides.
    pub review: MoveReview,
}

/// Somebody who could approve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reviewer {
    /// Who.
    pub name: String,
    /// Under which roles.
    pub roles: Vec<String>,
}

/// How much a change means for callers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceChange {
    /// Major when a caller may break.
    pub bump: Bump,
    /// Why.
    pub reasons: Vec<String>,
}

impl InterfaceChange {
    /// Compares two contents.
    #[must_use]
    pub fn between(previous: &Content, next: &Content) -> Self {
        let (bump, reasons) = required_bump(previous, next);
        Self { bump, reasons }
    }
}

/// Change requests, newest first.
pub type RequestPage = Page<ChangeRequest>;

/// A working copy to save.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DraftRequest {
    /// What it says; may break rules that a version may not.
    pub content: Content,
    /// The version it began from; the newest when absent. Sent again with what a merge made, it moves the draft there.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub parent: Option<u64>,
    /// The revision that this was made from (0: none yet); refused when somebody saved meanwhile.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
}

/// How to publish a draft.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishDraftRequest {
    /// Why; 1 to 2,000 characters.
    pub message: String,
    /// How much it changes for callers; derived when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bump: Option<Bump>,
    /// Labels that serve the new version at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// The revision that was looked at; refused when somebody saved since.
    #[serde(default, deserialize_with = "json::whole_option", skip_serializing_if = "Option::is_none")]
    pub expected_revision: Option<u64>,
    /// Whether to deploy although callers of what is served now break.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub allow_major: bool,
}

/// A draft brought together with what was published since it began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DraftMerge {
    /// The version it began from.
    pub base: u64,
    /// The newest version.
    pub parent: u64,
    /// The result, and where people have to decide.
    pub merge: Merge,
}

/// Rules of one's own, as TOML.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RuleSetRequest {
    /// The rules.
    pub toml: String,
    /// Whether it is a gitleaks configuration.
    #[serde(default)]
    pub gitleaks: bool,
}

/// A rule set as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RuleSetView {
    /// Its name.
    pub name: String,
    /// How many rules it has.
    pub rules: usize,
    /// The rules; only where one set is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub toml: Option<String>,
    /// Rules of another format that could not be taken over, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<String>,
}

/// What the risk rules say of a text that nobody published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassifyRequest {
    /// What to look at.
    pub content: Content,
}

/// What the risk rules found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Classified {
    /// Worst first.
    pub findings: Vec<Finding>,
}

/// Which old versions to archive: their contents are dropped, their ids and everything else stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArchiveRequest {
    /// Of which prompts.
    #[serde(default = "Pattern::everything")]
    pub prompts: Pattern,
    /// Days for which nothing may have served or used it; at least 184.
    #[serde(deserialize_with = "json::whole")]
    pub unused_days: u32,
    /// Content ids that are kept, for example those of a lockfile.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// Whether to only say what would be archived: by default yes.
    #[serde(default = "yes")]
    pub dry_run: bool,
    /// Why; needed when it is no dry run.
    #[serde(default)]
    pub message: String,
}

const fn yes() -> bool {
    true
}

/// What was archived, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Archived {
    /// As `name@version`.
    pub versions: Vec<String>,
    /// Bytes of contents that are dropped.
    pub bytes: u64,
    /// How many old versions stay, by why.
    pub kept: BTreeMap<String, u64>,
    /// Whether nothing was done.
    pub dry_run: bool,
}

/// One use of a version: by whom, and in which hour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VersionUse {
    /// Which prompt.
    pub name: PromptName,
    /// Which version.
    #[serde(deserialize_with = "json::whole")]
    pub version: u64,
    /// The access token that asked, or `local`.
    pub by: String,
    /// Hours since 1970.
    #[serde(deserialize_with = "json::whole")]
    pub hour: u64,
}

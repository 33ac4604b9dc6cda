//! Why a command was refused.

use super::access::Actor;
use crate::experiment::assignment::AssignmentError;
use crate::governance::interface::InterfaceError;
use crate::governance::label_policy::PolicyError;
use crate::governance::risk::{RuleError, worst};
use crate::model::change_request::RequestState;
use crate::model::content::ContentError;
use crate::model::finding::{Finding, Severity};
use crate::model::name::{Label, NameError, PromptName};
use crate::model::pattern::Pattern;
use crate::model::reference::VersionRef;
use crate::model::time::Timestamp;
use crate::model::verdict::{Requirement, Verdict};
use crate::resolve::ResolveError;
use crate::signing::primary_clock::ClockError;
use crate::store::StoreError;
use crate::template::error::{IncludeError, TemplateError};

/// Why a command was refused; nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RegistryError {
    #[error("permission denied: {reason}")]
    Forbidden { actor: String, reason: String, roles: Vec<String>, risk: Option<Severity> },
    #[error("cannot deploy to {place}: {}", said(missing))]
    PolicyNotMet { place: String, missing: Vec<Requirement>, rollback: bool, risk: Option<Severity> },
    #[error("cannot deploy to {place}: it would break current callers: {}", reasons.join("; "))]
    BreaksCallers { place: String, reasons: Vec<String>, by: Vec<String>, risk: Option<Severity> },
    #[error("the content of `{name}` contains {}", secrets(findings))]
    HoldsSecrets { name: PromptName, findings: Vec<Finding> },
    #[error("a message is required (--message)")]
    MessageMissing,
    #[error("the message has {characters} characters; the limit is 2,000")]
    MessageTooLong { characters: usize },
    #[error("{what} is {length} bytes long; the limit is {max}")]
    TextTooLong { what: &'static str, length: usize, max: usize },
    #[error(
        "`{actor}` wrote {} MiB in the last minute, the limit; try again in {retry_after_s} s", max_bytes / 1_048_576
    )]
    TooFast { actor: String, max_bytes: u64, retry_after_s: u64 },
    #[error("{whose} drafts would need {found} {unit}; the limit is {max}")]
    DraftLimit { whose: String, found: u64, max: u64, unit: &'static str },
    #[error("there are {count} {what}; the limit is {max}")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("there is no prompt `{name}`")]
    PromptNotFound { name: PromptName },
    #[error("the prompt `{name}` was removed at {at}; publish a version to bring it back")]
    PromptRemoved { name: PromptName, at: Timestamp },
    #[error("the prompt `{name}` has no version {number}; its latest is {latest}")]
    VersionNotFound { name: PromptName, number: u64, latest: u64 },
    #[error("the prompt `{name}` has no label `{label}`")]
    LabelNotFound { name: PromptName, label: Label },
    #[error("the prompt `{name}` is now at version {found}, not {expected}: someone else published")]
    ParentMoved { name: PromptName, expected: u64, found: u64 },
    #[error("version {number} of `{name}` was retired by {by}: {why}")]
    VersionRetired { name: PromptName, number: u64, by: String, why: String },
    #[error(
        "a rollback of the label `{label}` would deploy version {number} of `{name}`; deploy another version there first"
    )]
    VersionRolledBackTo { name: PromptName, number: u64, label: Label },
    #[error("version {number} of `{name}` is deployed to `{label}`; deploy another version there first")]
    VersionServed { name: PromptName, number: u64, label: Label },
    #[error("the label `latest` always serves the latest version and cannot be deployed to")]
    LatestIsAutomatic,
    #[error("the label `{label}` of `{name}` appears twice in one deployment; list it once")]
    MovedTwice { name: PromptName, label: Label },
    #[error("a deployment needs at least one label")]
    NothingToDeploy,
    #[error("invalid deployment for `{name}@{label}`: {reason}")]
    Serving { name: PromptName, label: Label, reason: String },
    #[error("`{name}@{label}` has no earlier deployment to roll back to")]
    NothingToRollBack { name: PromptName, label: Label },
    #[error("`{name}` is included by {}; change those first", includers(by, *hidden))]
    StillIncluded { name: PromptName, by: Vec<VersionRef>, hidden: usize },
    #[error("the include `{reference}` cannot be pinned: {reason}")]
    Include { reference: String, reason: String },
    #[error("the change to `{name}` is dated in the future ({at}); correct its date")]
    FromTheFuture { name: PromptName, at: Timestamp },
    #[error("the change at {at} is older than the latest change to `{name}` ({last}); import changes in order of time")]
    HistoryOrder { name: PromptName, at: Timestamp, last: Timestamp },
    #[error(
        "the prompt `{name}` was changed here since the last import (version {brought} then, version {newest} now); publish the text yourself"
    )]
    ImportedOver { name: PromptName, brought: u64, newest: u64 },
    #[error("{what} `{name}` already exists; choose another name")]
    Exists { what: &'static str, name: String },
    #[error("there is no {what} `{name}`")]
    NotFound { what: &'static str, name: String },
    #[error("invalid name `{name}` for {what}: use 1 to 64 characters from a-z 0-9 . _ - @")]
    Handle { what: &'static str, name: String },
    #[error("`{name}` is the only one who can manage access; grant the permission `access` to someone else first")]
    LastAdmin { name: String },
    #[error("the role `{name}` is still granted to {}; remove those grants first", to.join(", "))]
    RoleInUse { name: String, to: Vec<String> },
    #[error("{what} `{name}` is built in and cannot be changed")]
    BuiltIn { what: &'static str, name: String },
    #[error("{0}")]
    Unfit(String),
    #[error("the webhook `{name}` has been disabled since {since}, {why}; enable it first")]
    Disabled { name: String, since: Timestamp, why: String },
    #[error("change request {id} is already {state}")]
    RequestClosed { id: u64, state: RequestState },
    #[error("there is no change request `{id}` that `{actor}` can read")]
    RequestUnreadable { id: u64, actor: String },
    #[error("change request {id} was amended; review it again")]
    RequestMoved { id: u64 },
    #[error("what `{from}` would give to `{to}` has changed since it was planned")]
    PlanOutdated { from: Label, to: Label },
    #[error("no prompt that matches `{pattern}` and that you can read has the label `{from}`")]
    NothingToPromote { pattern: Pattern, from: Label },
    #[error("{place} changed: its current deployment is {found}, not {expected}")]
    LabelMoved { place: String, expected: u64, found: u64 },
    #[error("the draft `{draft}` of `{name}` is now at revision {found}, not {expected}: someone else saved it")]
    DraftMoved { name: PromptName, draft: String, expected: u64, found: u64 },
    #[error("the content of version {number} of `{name}` was archived at {at}")]
    VersionArchived { name: PromptName, number: u64, at: Timestamp },
    #[error("the system's random number generator failed: {0}")]
    Random(String),
    #[error("invalid include: {0}")]
    Included(Box<IncludeError<std::convert::Infallible>>),
    #[error(transparent)]
    Policy(#[from] PolicyError),
    #[error(transparent)]
    Rules(#[from] RuleError),
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    #[error(transparent)]
    Assignment(#[from] AssignmentError),
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error(transparent)]
    Name(#[from] NameError),
    #[error(transparent)]
    Content(#[from] ContentError),
    #[error(transparent)]
    Clock(#[from] ClockError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistryError {
    /// Whether it was denied, by a rule or a quota, which the audit log records; everything else is a mistake or a
    /// failure.
    #[must_use]
    pub const fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::Forbidden { .. }
                | Self::RequestUnreadable { .. }
                | Self::PolicyNotMet { .. }
                | Self::BreaksCallers { .. }
                | Self::HoldsSecrets { .. }
                | Self::TooFast { .. }
                | Self::DraftLimit { .. }
        )
    }
}

impl RegistryError {
    /// The denial that a verdict means.
    pub(super) fn denied(actor: &Actor, verdict: Verdict) -> Self {
        Self::Forbidden { actor: actor.name.clone(), reason: verdict.reason, roles: verdict.roles, risk: None }
    }

    /// A denial for a reason that no role lifts.
    pub(super) fn denied_to(who: &str, reason: String) -> Self {
        Self::Forbidden { actor: who.to_owned(), reason, roles: Vec::new(), risk: None }
    }

    /// The same denial of a content with this risk.
    pub(super) fn with_risk(mut self, found: Option<Severity>) -> Self {
        if let Self::Forbidden { risk, .. } | Self::PolicyNotMet { risk, .. } | Self::BreaksCallers { risk, .. } =
            &mut self
        {
            *risk = found;
        }
        self
    }

    /// The highest risk of what was denied, for the audit log.
    pub(super) fn risk(&self) -> Option<Severity> {
        match self {
            Self::Forbidden { risk, .. } | Self::PolicyNotMet { risk, .. } | Self::BreaksCallers { risk, .. } => *risk,
            Self::HoldsSecrets { findings, .. } => worst(findings),
            _ => None,
        }
    }
}

fn said(missing: &[Requirement]) -> String {
    let says: Vec<String> =
        missing.iter().map(|demand| format!("policy {} requires {}", demand.policy, demand.says)).collect();
    says.join("; ")
}

/// The prompts that include a prompt, without names that the caller cannot read.
fn includers(by: &[VersionRef], hidden: usize) -> String {
    let hidden = (hidden > 0).then(|| "prompts that you cannot read".to_owned());
    by.iter().map(VersionRef::to_string).chain(hidden).collect::<Vec<_>>().join(", ")
}

fn secrets(findings: &[Finding]) -> String {
    let place = |finding: &Finding| format!("a secret in {} line {} ({})", finding.target, finding.line, finding.rule);
    findings.iter().take(5).map(place).collect::<Vec<_>>().join(", ")
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

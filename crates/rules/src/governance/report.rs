//! The report: who changed what, when, why, who approved it, with what risk, and what was live when.
//!
//! It is streamed row by row from a [`Source`], so its length costs no memory; nothing here reads the time or checks
//! permissions. A denied entry is a row like any other.
//!
//! Invariant: rows are in the order of the audit log, so that its chain can be verified from them.

mod build;
pub mod csv;
pub mod jsonl;
#[doc(hidden)]
pub mod samples;
mod tally;

use std::fmt;
use std::io;
use std::str::FromStr;

use semver::Version as Semver;
use serde::Serialize;

pub use self::tally::Tally;
use crate::model::audit::AuditEntry;
use crate::model::content_id::ContentId;
use crate::model::deployment::{Action, Deployment};
use crate::model::finding::Severity;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::{Bump, Version};

/// Minimum retention of an audit entry, in days: the longest six months.
pub const RETENTION_DAYS_MIN: i64 = 184;

/// The scope of a report: from `from` (inclusive) to `to` (exclusive), matching prompts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "said above")]
pub struct ReportScope {
    pub from: Timestamp,
    pub to: Timestamp,
    pub prompts: Pattern,
}

impl ReportScope {
    /// Whether a time is in scope. A decision is in a report if it happened or was recorded in the period.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether an audit entry is about a matching prompt; if the pattern matches all prompts, every entry is, including
    /// those about access or policies.
    #[must_use]
    pub fn concerns(&self, entry: &AuditEntry) -> bool {
        self.prompts.is_everything() || entry.names_prompt(|prompt| self.prompts.matches(prompt))
    }
}

/// Who requested a report, of which registry, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "said above")]
pub struct ReportHeader {
    pub registry: String,
    pub generated_at: Timestamp,
    pub generated_by: String,
}

/// A snapshot of a registry, from which a report is read.
#[allow(clippy::missing_errors_doc, reason = "every method fails when the state cannot be read, or its visitor fails")]
pub trait Source {
    /// Why it cannot be read, or the report cannot be written.
    type Error: From<io::Error>;

    /// Visits every audit entry, oldest first.
    fn entries(&self, visitor: &mut dyn FnMut(AuditEntry) -> Result<(), Self::Error>) -> Result<(), Self::Error>;

    /// The audit entry of a commit.
    fn entry(&self, seq: u64) -> Result<Option<AuditEntry>, Self::Error>;

    /// Visits the names of matching prompts in order, including removed ones.
    fn prompts(
        &self,
        prompts: &Pattern,
        visitor: &mut dyn FnMut(PromptName) -> Result<(), Self::Error>,
    ) -> Result<(), Self::Error>;

    /// Visits the deployments of a prompt, by label and then by commit.
    fn deployments(
        &self,
        name: &PromptName,
        visitor: &mut dyn FnMut(Deployment) -> Result<(), Self::Error>,
    ) -> Result<(), Self::Error>;

    /// The deployment of a commit to a label, and the previous one.
    fn deployment(
        &self,
        name: &PromptName,
        label: &Label,
        commit: u64,
    ) -> Result<Option<(Deployment, Option<Deployment>)>, Self::Error>;

    /// The facts about a version.
    fn version(&self, name: &PromptName, number: u64) -> Result<Option<ReportedVersion>, Self::Error>;

    /// Whether a change request is about a matching prompt.
    fn request_concerns(&self, number: u64, prompts: &Pattern) -> Result<bool, Self::Error>;
}

/// A report that can be read repeatedly.
#[derive(Debug)]
pub struct Report<'s, S> {
    /// The registry, the requester, and the time.
    pub heading: ReportHeader,
    /// Its scope.
    pub question: ReportScope,
    /// Its source.
    pub source: &'s S,
}

/// Number and hash (hex) of an audit entry.
pub type AuditPoint = (u64, String);

/// The contents of a report, for its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Number of decisions.
    pub rows: u64,
    /// How many deployments: each time that a label served something.
    pub deployments: u64,
    /// The first and last decision.
    pub ends: Option<(AuditPoint, AuditPoint)>,
    /// The newest audit entry at the time of the report, whatever its subject.
    pub head: Option<AuditPoint>,
}

/// One decision, and the facts about its versions.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// The audit entry, as in the chain.
    pub entry: AuditEntry,
    /// When it happened: for imported changes the original time, otherwise when it was recorded.
    pub occurred_at: Timestamp,
    /// The versions that it published or deployed, or was denied.
    pub versions: Vec<ReportedVersion>,
    /// Its changes of labels, done or denied.
    pub moves: Vec<ServingChange>,
    /// The highest known risk.
    pub risk: Option<Severity>,
}

/// The facts about one version.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedVersion {
    /// Which prompt.
    pub name: PromptName,
    /// Its number.
    pub number: u64,
    /// The content that it serves.
    pub content_id: ContentId,
    /// Its author.
    pub author: String,
    /// When it was published.
    pub created: Timestamp,
    /// The commit that published it.
    pub commit: u64,
    /// The previous version.
    pub parent: Option<u64>,
    /// Derived from what changed for callers.
    pub semver: Semver,
    /// The effect on callers; absent for a first version.
    pub bump: Option<Bump>,
    /// The highest risk of its findings.
    pub risk: Option<Severity>,
}

impl ReportedVersion {
    /// A version, with facts derived from its predecessor and its findings.
    #[must_use]
    pub fn new(name: PromptName, version: Version, parent: Option<&Version>, risk: Option<Severity>) -> Self {
        let bump = parent.map(|parent| build::bump(parent, &version));
        let Version { number, content_id, author, created, commit, semver, .. } = version;
        let parent = parent.map(|parent| parent.number);
        Self { name, number, content_id, author, created, commit, parent, semver, bump, risk }
    }

    /// Whether it is a substantial modification: callers may break.
    #[must_use]
    pub fn is_substantial(&self) -> bool {
        self.bump == Some(Bump::Major)
    }
}

/// What a label served before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServingChange {
    /// Which prompt.
    pub prompt: String,
    /// The label.
    pub label: String,
    /// What it served; absent if it did not exist, or is not recorded.
    pub from: Option<Serving>,
    /// What it serves, or was requested to serve; absent if it was removed.
    pub to: Option<Serving>,
    /// How long it had served that, in milliseconds: for a rollback, the time to react.
    pub served_ms: Option<i64>,
    /// Whether it was done, and not only proposed or denied.
    pub done: bool,
}

/// A period in which one label of one prompt served something.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Which prompt.
    pub name: PromptName,
    /// The label.
    pub label: Label,
    /// The start; may be before the report.
    pub from: Timestamp,
    /// The end; absent if it is current.
    pub until: Option<Timestamp>,
    /// What it served.
    pub serving: Serving,
    /// The versions that it served.
    pub versions: Vec<ReportedVersion>,
    /// The highest risk among them.
    pub risk: Option<Severity>,
    /// The deployment at its start.
    pub deployment: u64,
    /// The kind of that deployment.
    pub action: Action,
    /// The deployment at its end.
    pub ended_by: Option<Action>,
    /// Who made it.
    pub by: String,
    /// Why.
    pub message: String,
    /// The approvers.
    pub approved_by: Vec<String>,
    /// The change request that caused it.
    pub change_request: Option<u64>,
}

/// The totals of a report.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Granted commands.
    pub granted: u64,
    /// Denied and recorded commands.
    pub denied: u64,
    /// Denied commands that were not recorded one by one.
    pub unrecorded: u64,
    /// Versions that were published.
    pub versions: u64,
    /// How many of these break callers.
    pub substantial: u64,
    /// Changed or removed labels.
    pub moves: u64,
    /// Granted rollbacks.
    pub rollbacks: u64,
    /// Decisions with approval.
    pub approved: u64,
    /// Decisions in which a policy was overridden.
    pub overrode: u64,
    /// Changed prompts.
    pub prompts: u64,
    /// Actors.
    pub actors: u64,
}

/// The operator's description of the system, for the group `system` of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SystemInfo {
    /// The program.
    pub software: String,
    /// Its version.
    pub software_version: String,
    /// The registry.
    pub registry: String,
    /// The provider of the system, with contact.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The intended purpose.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intended_purpose: Option<String>,
    /// The name of the key that signs the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// The format of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportFormat {
    /// One printable page for people.
    #[default]
    Html,
    /// One table for spreadsheets.
    Csv,
    /// JSON Lines, with the raw audit entries.
    Jsonl,
}

/// A text is not a format of a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no report format `{0}`; choose html, csv or jsonl")]
pub struct ReportFormatError(String);

impl ReportFormat {
    /// Its name, which is also the file name extension.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Html => "html",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        }
    }
}

impl fmt::Display for ReportFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ReportFormat {
    type Err = ReportFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = [Self::Html, Self::Csv, Self::Jsonl].into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| ReportFormatError(text.chars().take(64).collect()))
    }
}

/// The end of the minimum retention of a record.
pub fn retain_until(recorded: Timestamp) -> Timestamp {
    Timestamp::from_ms(recorded.ms().saturating_add(RETENTION_DAYS_MIN * 24 * 3_600 * 1_000))
}

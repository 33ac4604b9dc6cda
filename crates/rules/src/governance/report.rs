//! The report: who changed what, when, why, who approved it, with what risk, and what was live when.
//!
//! It is read row by row from a [`Source`] and written as it is read, so its length costs no memory; nothing here asks
//! for the time or decides who may read it. An entry that was refused is a row like any other.
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

/// Days for which an audit entry is kept at least: six months, whichever they are.
pub const RETENTION_DAYS_MIN: i64 = 184;

/// What a report is about: from `from` (included) to `to` (excluded), the prompts that fit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "said above")]
pub struct ReportScope {
    pub from: Timestamp,
    pub to: Timestamp,
    pub prompts: Pattern,
}

impl ReportScope {
    /// Whether a moment lies within. A decision is in a report when it happened or was recorded then.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether an audit entry is about a prompt that fits; every entry is when all prompts do, also one about access or
    /// policies.
    #[must_use]
    pub fn concerns(&self, entry: &AuditEntry) -> bool {
        self.prompts.is_everything() || entry.names_prompt(|prompt| self.prompts.matches(prompt))
    }
}

/// Who asked for a report, of which registry, and when it was made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "said above")]
pub struct ReportHeader {
    pub registry: String,
    pub generated_at: Timestamp,
    pub generated_by: String,
}

/// One state of a registry, which does not change while a report is read from it.
#[allow(clippy::missing_errors_doc, reason = "every method fails when the state cannot be read, or its visitor fails")]
pub trait Source {
    /// Why it cannot be read, or what is made of it cannot be written.
    type Error: From<io::Error>;

    /// Shows every audit entry, oldest first.
    fn entries(&self, visitor: &mut dyn FnMut(AuditEntry) -> Result<(), Self::Error>) -> Result<(), Self::Error>;

    /// The audit entry of a commit.
    fn entry(&self, seq: u64) -> Result<Option<AuditEntry>, Self::Error>;

    /// Shows the name of every prompt that fits, removed ones too, in order.
    fn prompts(
        &self,
        prompts: &Pattern,
        visitor: &mut dyn FnMut(PromptName) -> Result<(), Self::Error>,
    ) -> Result<(), Self::Error>;

    /// Shows the deployments of a prompt, by label and then by commit.
    fn deployments(
        &self,
        name: &PromptName,
        visitor: &mut dyn FnMut(Deployment) -> Result<(), Self::Error>,
    ) -> Result<(), Self::Error>;

    /// What a commit deployed to a label, and the label's deployment before it.
    fn deployment(
        &self,
        name: &PromptName,
        label: &Label,
        commit: u64,
    ) -> Result<Option<(Deployment, Option<Deployment>)>, Self::Error>;

    /// What is known of a version.
    fn version(&self, name: &PromptName, number: u64) -> Result<Option<ReportedVersion>, Self::Error>;

    /// Whether a change request is about a prompt that fits.
    fn request_concerns(&self, number: u64, prompts: &Pattern) -> Result<bool, Self::Error>;
}

/// A report that can be read, as often as it takes to write it.
#[derive(Debug)]
pub struct Report<'s, S> {
    /// The registry, who made the report, and when.
    pub heading: ReportHeader,
    /// What it is about.
    pub question: ReportScope,
    /// What it is read from.
    pub source: &'s S,
}

/// Number and hash (hex) of an audit entry.
pub type AuditPoint = (u64, String);

/// What a report holds, for its manifest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// How many decisions.
    pub rows: u64,
    /// How many deployments: each time that a label served something.
    pub deployments: u64,
    /// The first decision and the last.
    pub ends: Option<(AuditPoint, AuditPoint)>,
    /// The newest audit entry when the report was made, whatever it is about.
    pub head: Option<AuditPoint>,
}

/// One decision, and what is known of the versions that it is about.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportRow {
    /// The audit entry as it is chained.
    pub entry: AuditEntry,
    /// When it happened: for what was imported, when it happened there; else when it was recorded.
    pub occurred_at: Timestamp,
    /// The versions that it published, served, or was refused to.
    pub versions: Vec<ReportedVersion>,
    /// What it did to labels, or was refused to do.
    pub moves: Vec<ServingChange>,
    /// The worst risk that is known of it.
    pub risk: Option<Severity>,
}

/// What is known of one version.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedVersion {
    /// Which prompt.
    pub name: PromptName,
    /// Which version of it.
    pub number: u64,
    /// Which bytes it serves.
    pub content_id: ContentId,
    /// Who wrote it.
    pub author: String,
    /// When it was published.
    pub created: Timestamp,
    /// The commit that published it.
    pub commit: u64,
    /// The version before it.
    pub parent: Option<u64>,
    /// Derived from what changed for callers.
    pub semver: Semver,
    /// How much it changed for callers; none for a first version.
    pub bump: Option<Bump>,
    /// The worst risk that the rules found in it.
    pub risk: Option<Severity>,
}

impl ReportedVersion {
    /// A version, with what follows from the one before it and from what the rules found.
    #[must_use]
    pub fn new(name: PromptName, version: Version, parent: Option<&Version>, risk: Option<Severity>) -> Self {
        let bump = parent.map(|parent| build::bump(parent, &version));
        let Version { number, content_id, author, created, commit, semver, .. } = version;
        let parent = parent.map(|parent| parent.number);
        Self { name, number, content_id, author, created, commit, parent, semver, bump, risk }
    }

    /// Whether it is a substantial modification: callers must change, or break.
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
    /// Which of its labels.
    pub label: String,
    /// What it served; none when it was not there, or when nobody noted it.
    pub from: Option<Serving>,
    /// What it serves, or was asked to serve; none when it was taken away.
    pub to: Option<Serving>,
    /// For how long it had served that before, in milliseconds: the time to act of a rollback.
    pub served_ms: Option<i64>,
    /// Whether it was done, and not only proposed or refused.
    pub done: bool,
}

/// What one label of one prompt served from when until when.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Which prompt.
    pub name: PromptName,
    /// Which of its labels.
    pub label: Label,
    /// Since when; may lie before the report.
    pub from: Timestamp,
    /// Until when; none when it still does.
    pub until: Option<Timestamp>,
    /// What it served.
    pub serving: Serving,
    /// The versions that it served.
    pub versions: Vec<ReportedVersion>,
    /// The worst risk among them.
    pub risk: Option<Severity>,
    /// The deployment that began it.
    pub deployment: u64,
    /// What that was asked to do.
    pub action: Action,
    /// What ended it.
    pub ended_by: Option<Action>,
    /// Who did it.
    pub by: String,
    /// Why.
    pub message: String,
    /// Who had approved it.
    pub approved_by: Vec<String>,
    /// The change request behind it.
    pub change_request: Option<u64>,
}

/// What a report counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Commands that were done.
    pub granted: u64,
    /// Commands that were refused and recorded.
    pub denied: u64,
    /// Refused commands that were too many to be recorded one by one.
    pub unrecorded: u64,
    /// Versions that were published.
    pub versions: u64,
    /// Of these, how many break callers.
    pub substantial: u64,
    /// Labels that were moved or taken away.
    pub moves: u64,
    /// Rollbacks that were done.
    pub rollbacks: u64,
    /// Decisions with approval.
    pub approved: u64,
    /// Decisions in which a policy was overridden.
    pub overrode: u64,
    /// Prompts that were changed.
    pub prompts: u64,
    /// People and services that asked for something.
    pub actors: u64,
}

/// What is known of the system that a report comes from, for the group `system` of an export.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SystemInfo {
    /// The program.
    pub software: String,
    /// Its version.
    pub software_version: String,
    /// The registry.
    pub registry: String,
    /// Who provides the system, with a way to reach them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What the system is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intended_purpose: Option<String>,
    /// The name of the key that signs the manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing_key: Option<String>,
}

/// How a report is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReportFormat {
    /// One page for people, which prints.
    #[default]
    Html,
    /// One table for spreadsheets.
    Csv,
    /// One JSON object a line, with the raw audit entries.
    Jsonl,
}

/// A text names no format of a report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no report format `{0}`; choose html, csv or jsonl")]
pub struct ReportFormatError(String);

impl ReportFormat {
    /// As it is written, and the extension of its files.
    #[must_use]
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

/// Until when a record of this moment is kept at least.
#[must_use]
pub fn retain_until(recorded: Timestamp) -> Timestamp {
    Timestamp::from_ms(recorded.ms().saturating_add(RETENTION_DAYS_MIN * 24 * 3_600 * 1_000))
}

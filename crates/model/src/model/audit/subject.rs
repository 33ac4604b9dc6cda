//! What a command was about.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::name::{Label, PromptName};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;

/// What a command was about. Names are unchecked strings, because a denied command may contain invalid names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[schema(as = AuditSubject)]
#[allow(missing_docs, reason = "each field is named after what it holds")]
pub enum Subject {
    Prompt {
        prompt: String,
    },
    Version {
        prompt: String,
        version: u64,
    },
    Label {
        prompt: String,
        label: String,
        /// What the command asked it to serve; absent if it named nothing.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Serving>,
    },
    /// A deployment of a label at one time.
    Deployment {
        prompt: String,
        label: String,
        deployment: u64,
    },
    Draft {
        prompt: String,
        draft: String,
    },
    /// Every prompt that matches a pattern.
    Prompts {
        pattern: String,
    },
    ChangeRequest {
        number: u64,
    },
    Principal {
        name: String,
    },
    Token {
        name: String,
    },
    Role {
        name: String,
    },
    Policy {
        name: String,
    },
    RuleSet {
        name: String,
    },
    Webhook {
        name: String,
    },
    Alert {
        name: String,
    },
    /// A suite of cases.
    Suite {
        name: String,
    },
    /// A run of a suite.
    Run {
        number: u64,
    },
    /// A table of prices of models.
    Prices {
        table: String,
    },
    Registry {
        name: String,
    },
    Replica {
        name: String,
    },
    Root {
        version: u64,
    },
    Epoch {
        number: u64,
    },
    /// An entry of the audit log.
    Entry {
        seq: u64,
    },
    /// A report about some prompts and a period.
    Report {
        prompts: String,
        from: Timestamp,
        to: Timestamp,
    },
    /// The key that signs the telemetry files of a replica.
    TelemetryKey {
        node: String,
        key: String,
    },
    /// Telemetry of a response, a session or a user.
    Telemetry {
        of: String,
        /// The start of the BLAKE3 hash of its ID: the log keeps no ID that was to be erased.
        hash: String,
    },
    /// A bundle for an air-gapped network.
    Bundle {
        lifetime_days: u32,
    },
}

impl Subject {
    /// A prompt.
    #[must_use]
    pub fn of_prompt(prompt: &PromptName) -> Self {
        Self::Prompt { prompt: prompt.to_string() }
    }

    /// A version of a prompt.
    #[must_use]
    pub fn of_version(prompt: &PromptName, version: u64) -> Self {
        Self::Version { prompt: prompt.to_string(), version }
    }

    /// A label of a prompt, and what it was asked to serve.
    #[must_use]
    pub fn of_label(prompt: &PromptName, label: &Label, to: Option<Serving>) -> Self {
        Self::Label { prompt: prompt.to_string(), label: label.to_string(), to }
    }

    /// The prompt that it is or belongs to.
    pub fn prompt(&self) -> Option<&str> {
        match self {
            Self::Prompt { prompt }
            | Self::Version { prompt, .. }
            | Self::Label { prompt, .. }
            | Self::Deployment { prompt, .. }
            | Self::Draft { prompt, .. } => Some(prompt),
            _ => None,
        }
    }

    /// The versions that it names.
    pub fn versions(&self) -> Vec<u64> {
        match self {
            Self::Version { version, .. } => vec![*version],
            Self::Label { to: Some(to), .. } => to.versions(),
            _ => Vec::new(),
        }
    }

    /// The texts that the caller supplied.
    pub fn texts_mut(&mut self) -> Vec<&mut String> {
        match self {
            Self::Prompt { prompt: text }
            | Self::Version { prompt: text, .. }
            | Self::Prompts { pattern: text }
            | Self::Report { prompts: text, .. }
            | Self::Principal { name: text }
            | Self::Token { name: text }
            | Self::Role { name: text }
            | Self::Policy { name: text }
            | Self::RuleSet { name: text }
            | Self::Webhook { name: text }
            | Self::Alert { name: text }
            | Self::Suite { name: text }
            | Self::Prices { table: text }
            | Self::Registry { name: text }
            | Self::Replica { name: text } => vec![text],
            Self::Label { prompt, label, .. } | Self::Deployment { prompt, label, .. } => vec![prompt, label],
            Self::Draft { prompt, draft } => vec![prompt, draft],
            Self::TelemetryKey { node, key } => vec![node, key],
            Self::Telemetry { of, hash } => vec![of, hash],
            Self::ChangeRequest { .. }
            | Self::Run { .. }
            | Self::Root { .. }
            | Self::Epoch { .. }
            | Self::Entry { .. }
            | Self::Bundle { .. } => Vec::new(),
        }
    }
}

/// For display, for example `support/agent@7`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version { prompt, version } => write!(f, "{prompt}@{version}"),
            Self::Label { prompt, label, to: None } => write!(f, "{prompt}@{label}"),
            Self::Label { prompt, label, to: Some(to) } => write!(f, "{prompt}@{label} → {to}"),
            Self::Deployment { prompt, label, deployment } => write!(f, "{prompt}@{label} deployment {deployment}"),
            Self::Draft { prompt, draft } => write!(f, "{prompt} draft {draft}"),
            Self::ChangeRequest { number } => write!(f, "change request {number}"),
            Self::Prompt { prompt: text }
            | Self::Prompts { pattern: text }
            | Self::Principal { name: text }
            | Self::Token { name: text }
            | Self::Role { name: text }
            | Self::Policy { name: text }
            | Self::RuleSet { name: text }
            | Self::Webhook { name: text }
            | Self::Alert { name: text }
            | Self::Suite { name: text }
            | Self::Prices { table: text }
            | Self::Registry { name: text }
            | Self::Replica { name: text } => f.write_str(text),
            Self::Run { number } => write!(f, "run {number}"),
            Self::Root { version } => write!(f, "root {version}"),
            Self::Epoch { number } => write!(f, "epoch {number}"),
            Self::Entry { seq } => write!(f, "entry {seq}"),
            Self::Report { prompts, from, to } => write!(f, "{prompts} from {from} to {to}"),
            Self::TelemetryKey { node, key } => write!(f, "telemetry key {key} of {node}"),
            Self::Telemetry { of, hash } => write!(f, "telemetry of the {of} {hash}"),
            Self::Bundle { lifetime_days } => write!(f, "the state, for {lifetime_days} days"),
        }
    }
}

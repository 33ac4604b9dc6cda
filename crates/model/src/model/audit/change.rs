//! What a command changed.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::subject::Subject;
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;

/// What a command changed, as values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
#[allow(missing_docs, reason = "each field is named after what it holds")]
pub enum AuditChange {
    /// A version was published.
    Version { prompt: PromptName, version: u64, content_id: ContentId },
    /// What a label serves has changed.
    Label {
        prompt: PromptName,
        label: Label,
        /// What it served; absent if the label did not exist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<Serving>,
        /// What it serves; absent if the label was removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<Serving>,
    },
    /// A prompt was removed.
    Removed { prompt: PromptName },
    /// Settings of an object have changed.
    Settings {
        subject: Subject,
        /// The old settings; absent if it did not exist.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        before: Option<Value>,
        /// The new settings; absent if it was removed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<Value>,
    },
    /// A recorded date was corrected.
    Date { subject: Subject, before: Timestamp, after: Timestamp },
}

impl AuditChange {
    /// Settings that changed, as JSON.
    #[must_use]
    pub fn settings<T: Serialize>(subject: Subject, before: Option<&T>, after: Option<&T>) -> Self {
        let json = |settings: &T| serde_json::to_value(settings).unwrap_or_default();
        Self::Settings { subject, before: before.map(json), after: after.map(json) }
    }

    /// What a deployment changed.
    #[must_use]
    pub fn of_deployment(deployment: &Deployment) -> Self {
        let (prompt, label) = (deployment.name.clone(), deployment.label.clone());
        if label.is_latest() {
            return Self::Removed { prompt };
        }
        Self::Label { prompt, label, from: deployment.from.clone(), to: deployment.to.clone() }
    }

    /// What changed.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Version { prompt, version, .. } => Subject::of_version(prompt, *version),
            Self::Label { prompt, label, .. } => Subject::of_label(prompt, label, None),
            Self::Removed { prompt } => Subject::of_prompt(prompt),
            Self::Settings { subject, .. } | Self::Date { subject, .. } => subject.clone(),
        }
    }

    /// Old and new value, for display.
    pub fn sides(&self) -> (Option<String>, Option<String>) {
        fn text<T: ToString>(side: Option<&T>) -> Option<String> {
            side.map(ToString::to_string)
        }
        match self {
            Self::Version { content_id, .. } => (None, Some(content_id.to_string())),
            Self::Label { from, to, .. } => (text(from.as_ref()), text(to.as_ref())),
            Self::Removed { .. } => (Some("there".to_owned()), None),
            Self::Settings { before, after, .. } => (text(before.as_ref()), text(after.as_ref())),
            Self::Date { before, after, .. } => (Some(before.to_string()), Some(after.to_string())),
        }
    }

    /// The prompt whose callers see a change.
    pub const fn prompt(&self) -> Option<&PromptName> {
        match self {
            Self::Version { prompt, .. } | Self::Label { prompt, .. } | Self::Removed { prompt } => Some(prompt),
            Self::Settings { .. } | Self::Date { .. } => None,
        }
    }
}

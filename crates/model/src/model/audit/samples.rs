//! Subjects and changes for tests, here and in the crates above, from short texts.

use super::{AuditChange, Subject};
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};
use crate::model::serving::Serving;

fn name(text: &str) -> PromptName {
    text.parse().expect("a name")
}

fn place(text: &str) -> (PromptName, Label) {
    let (prompt, label) = text.split_once('@').expect("a place");
    (name(prompt), label.parse().expect("a label"))
}

/// A version was published.
pub fn published(prompt: &str, version: u64) -> AuditChange {
    AuditChange::Version { prompt: name(prompt), version, content_id: ContentId::of(prompt.as_bytes()) }
}

/// A label of `prompt@label` changed from one version to another.
pub fn moved(at: &str, from: Option<u64>, to: Option<u64>) -> AuditChange {
    let (prompt, label) = place(at);
    AuditChange::Label { prompt, label, from: from.map(Serving::version), to: to.map(Serving::version) }
}

/// A prompt was removed.
pub fn removed(prompt: &str) -> AuditChange {
    AuditChange::Removed { prompt: name(prompt) }
}

/// The details of a prompt were changed.
pub fn described(prompt: &str) -> AuditChange {
    AuditChange::settings(Subject::of_prompt(&name(prompt)), None, Some(&"{}"))
}

/// A version of a prompt.
pub fn version(prompt: &str, version: u64) -> Subject {
    Subject::of_version(&name(prompt), version)
}

/// The label of `prompt@label`, and the version to deploy to it.
pub fn label(at: &str, to: Option<u64>) -> Subject {
    let (prompt, label) = place(at);
    Subject::of_label(&prompt, &label, to.map(Serving::version))
}

/// An access token.
pub fn token(name: &str) -> Subject {
    Subject::Token { name: name.to_owned() }
}

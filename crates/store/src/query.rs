//! Typed queries on the map of entries, for readers and writers.

use std::ops::ControlFlow;

use super::codec;
use super::entry::{EntryKey, Kind, Parts};
use super::error::StoreError;
use super::read::{Entries, Entry};
use super::record::{LabelV1, PromptV1, decode_deployment, decode_version, parse};
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::model::time::Timestamp;
use crate::model::version::Version;

/// Queries on prompts. Methods fail only if the database or a record does.
#[allow(clippy::missing_errors_doc, reason = "said above, once")]
pub trait Queries: Entries {
    /// The prompt with this name, removed or not.
    fn prompt(&self, name: &PromptName) -> Result<Option<Prompt>, StoreError> {
        let entry = self.entry(EntryKey::prompt(name).as_bytes())?;
        entry.map(|entry| Ok(codec::decode::<PromptV1>(&entry.value)?.into_model(name.clone()))).transpose()
    }

    /// One version.
    fn version(&self, name: &PromptName, number: u64) -> Result<Option<Version>, StoreError> {
        let entry = self.entry(EntryKey::version(name, number).as_bytes())?;
        entry.map(|entry| decode_version(&entry.value, number)).transpose()
    }

    /// The encoding of a content in the namespace of a prompt.
    fn content_of(&self, name: &PromptName, id: &ContentId) -> Result<Vec<u8>, StoreError> {
        self.content_in(name.namespace(), id)?
            .map(|entry| entry.value)
            .ok_or_else(|| StoreError::Record { kind: "content", reason: format!("{id} is missing") })
    }

    /// What a label serves.
    fn label(&self, name: &PromptName, label: &Label) -> Result<Option<LabelState>, StoreError> {
        let entry = self.entry(EntryKey::label(name, label).as_bytes())?;
        entry.map(|entry| Ok(codec::decode::<LabelV1>(&entry.value)?.into_model(label.clone()))).transpose()
    }

    /// Every label of a prompt, sorted.
    fn labels(&self, name: &PromptName) -> Result<Vec<LabelState>, StoreError> {
        let prefix = EntryKey::labels_of(name);
        let mut labels = Vec::new();
        self.visit(prefix.as_bytes(), &prefix.after(), false, &mut |key, _, value| {
            let label = Parts::of(key).and_then(|parts| parts.label()).unwrap_or_default();
            labels.push(codec::decode::<LabelV1>(value)?.into_model(parse(label)?));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(labels)
    }

    /// Visits the deployments of one label, or of all labels of a prompt, newest first within a label, before the
    /// commit `before` (exclusive).
    fn visit_deployments(
        &self,
        name: &PromptName,
        label: &Label,
        before: u64,
        visitor: &mut dyn FnMut(Deployment) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let from = EntryKey::deployment(name, label, 0);
        let to = EntryKey::deployment(name, label, before);
        self.visit(from.as_bytes(), to.as_bytes(), true, &mut |key, _, value| {
            let id = Parts::of(key).and_then(|parts| parts.number()).unwrap_or_default();
            visitor(decode_deployment(value, name.clone(), label.clone(), id)?)
        })
    }

    /// Visits every deployment of a prompt, by label and then oldest first.
    fn visit_deployments_of(
        &self,
        name: &PromptName,
        visitor: &mut dyn FnMut(Deployment) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let prefix = EntryKey::deployments_of(name);
        self.visit(prefix.as_bytes(), &prefix.after(), false, &mut |key, _, value| visitor(deployment(key, value)?))
    }

    /// Every deployment of a prompt, newest first.
    fn deployments(&self, name: &PromptName) -> Result<Vec<Deployment>, StoreError> {
        let mut found = Vec::new();
        self.visit_deployments_of(name, &mut |deployment| {
            found.push(deployment);
            Ok(ControlFlow::Continue(()))
        })?;
        found.sort_by_key(|deployment: &Deployment| std::cmp::Reverse(deployment.id));
        Ok(found)
    }

    /// The last deployment of a label at or before a time.
    fn deployment_at(&self, name: &PromptName, label: &Label, at: Timestamp) -> Result<Option<Deployment>, StoreError> {
        self.find_deployment(name, label, u64::MAX, &mut |deployment| deployment.at <= at)
    }

    /// The newest deployment of a label that passes a test, before the commit `before` (exclusive).
    fn find_deployment(
        &self,
        name: &PromptName,
        label: &Label,
        before: u64,
        test: &mut dyn FnMut(&Deployment) -> bool,
    ) -> Result<Option<Deployment>, StoreError> {
        let mut found = None;
        self.visit_deployments(name, label, before, &mut |deployment| {
            Ok(if test(&deployment) {
                found = Some(deployment);
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(found)
    }

    /// Visits versions of a prompt, newest first, below the number `before` (exclusive).
    fn visit_versions(
        &self,
        name: &PromptName,
        before: u64,
        visitor: &mut dyn FnMut(Version) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let from = EntryKey::version(name, 0);
        let to = EntryKey::version(name, before);
        self.visit(from.as_bytes(), to.as_bytes(), true, &mut |key, _, value| {
            let number = Parts::of(key).and_then(|parts| parts.number()).unwrap_or_default();
            visitor(decode_version(value, number)?)
        })
    }

    /// The newest version that was published at or before a time.
    fn version_at(&self, name: &PromptName, at: Timestamp) -> Result<Option<Version>, StoreError> {
        self.find_version(name, &mut |version| version.created <= at)
    }

    /// The newest version whose content id begins with these hex digits.
    fn version_with_content(&self, name: &PromptName, hex: &str) -> Result<Option<Version>, StoreError> {
        self.find_version(name, &mut |version| version.content_id.hex().starts_with(hex))
    }

    /// The newest version that passes a test.
    fn find_version(
        &self,
        name: &PromptName,
        test: &mut dyn FnMut(&Version) -> bool,
    ) -> Result<Option<Version>, StoreError> {
        let mut found = None;
        self.visit_versions(name, u64::MAX, &mut |version| {
            Ok(if test(&version) {
                found = Some(version);
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(found)
    }

    /// Visits the prompts of a namespace by name, from `from` (inclusive).
    fn visit_prompts(
        &self,
        namespace: &str,
        from: &str,
        visitor: &mut dyn FnMut(Prompt) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let all = EntryKey::all(namespace, Kind::Prompt);
        let mut start = all.as_bytes().to_vec();
        start.extend_from_slice(from.as_bytes());
        self.visit(&start, &all.after(), false, &mut |key, _, value| {
            let name = Parts::of(key).and_then(|parts| parts.name()).unwrap_or_default();
            visitor(codec::decode::<PromptV1>(value)?.into_model(parse(name)?))
        })
    }

    /// The entry of a content, checked against its ID.
    fn content_in(&self, namespace: &str, id: &ContentId) -> Result<Option<Entry>, StoreError> {
        let entry = self.entry(EntryKey::content(namespace, id).as_bytes())?;
        if let Some(entry) = &entry {
            self.check_content(id, &entry.value)?;
        }
        Ok(entry)
    }

    /// Fails if the bytes of a content do not match its ID, and records the damage.
    fn check_content(&self, id: &ContentId, bytes: &[u8]) -> Result<(), StoreError> {
        let found = ContentId::of(bytes);
        if found == *id {
            return Ok(());
        }
        let damage = StoreError::Content { id: *id, found };
        self.notice_damage(&damage);
        Err(damage)
    }
}

impl<E: Entries + ?Sized> Queries for E {}

/// Decodes a deployment from its key and value.
///
/// # Errors
/// They are not a deployment.
pub fn deployment(key: &[u8], value: &[u8]) -> Result<Deployment, StoreError> {
    let refuse = || StoreError::Record { kind: "deployment", reason: "its key is truncated".to_owned() };
    let parts = Parts::of(key).ok_or_else(refuse)?;
    let (name, label) = parts.name().zip(parts.label()).ok_or_else(refuse)?;
    decode_deployment(value, parse(name)?, parse(label)?, parts.number().ok_or_else(refuse)?)
}

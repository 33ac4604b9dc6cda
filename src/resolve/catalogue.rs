//! Everything about prompts that is not an answer to a reference: lists, histories, differences.
//!
//! Each method reads one consistent state and takes as long as the database needs, so callers in
//! async code put it on a blocking thread.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::error::ResolveError;
use super::resolver::content_bytes;
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::{AuditPage, DeploymentPage, DiffAnswer, Page, PromptPage, PromptView, VersionPage, VersionView};
use crate::governance::diff::{Context, diff_in};
use crate::model::about::About;
use crate::model::audit::{AuditEntry, AuditVerdict};
use crate::model::content::Content;
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::{DEFAULT_NAMESPACE, Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::model::reference::Selector;
use crate::model::stamp::stamp;
use crate::model::version::Version;
use crate::store::documents::Documents;
use crate::store::entry::{Kind, Parts};
use crate::store::query::{Queries, deployment};
use crate::store::read::{Entries, ReadTxn};
use crate::store::{Store, StoreError};

/// Audit entries that one look for those that fit reads: about a tenth of a second of work.
const AUDIT_LOOK_MAX: usize = 20_000;

/// Answers questions about prompts; clones share the store.
#[derive(Clone)]
pub struct Catalogue {
    store: Store,
}

impl Catalogue {
    /// Size of the database's file, where that can be read.
    #[must_use]
    pub fn database_bytes(&self) -> Option<u64> {
        Some(std::fs::metadata(self.store.file()).ok()?.len())
    }

    /// Answers from a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    pub(super) const fn store(&self) -> &Store {
        &self.store
    }

    /// Prompts that `reads` lets through and whose names begin with `prefix`, by namespace and then by name.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
    pub fn prompts(
        &self,
        reads: &dyn Fn(&str) -> bool,
        prefix: &str,
        removed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<PromptPage, ResolveError> {
        let txn = self.store.read()?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let after: Option<PromptName> = cursor
            .map(str::parse)
            .transpose()
            .map_err(|_| ResolveError::Cursor(cursor.unwrap_or_default().to_owned()))?;
        let mut prompts: Vec<Prompt> = Vec::new();
        for namespace in txn.namespace_names()? {
            // A prefix with a folder names its namespace; one without may be the begin of any.
            let fits = match prefix.split_once('/') {
                Some((folder, _)) => folder == namespace,
                None => namespace.starts_with(prefix) || namespace == DEFAULT_NAMESPACE,
            };
            let passed = after.as_ref().is_some_and(|after| namespace.as_str() < after.namespace());
            if !fits || passed || prompts.len() > limit {
                continue;
            }
            let resumes = after.as_ref().filter(|after| after.namespace() == namespace);
            let from = resumes.map_or(prefix, |after| after.as_str().max(prefix));
            txn.visit_prompts(&namespace, from, &mut |prompt| {
                let wanted = (removed || prompt.removed.is_none()) && resumes.is_none_or(|after| prompt.name > *after);
                let name = prompt.name.as_str();
                // The cursor is a name of this page, so what may not be read is left out before the page is cut.
                if name.starts_with(prefix) && wanted && reads(name) {
                    prompts.push(prompt);
                } else if !name.starts_with(prefix) && name > prefix {
                    return Ok(ControlFlow::Break(()));
                }
                Ok(if prompts.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        let next = cut(&mut prompts, limit, |prompt| prompt.name.to_string());
        let view = |prompt: Prompt| {
            let (labels, about) = (txn.labels(&prompt.name)?, about(&txn, &prompt.name)?);
            Ok(PromptView { labels, dependents: Vec::new(), about, prompt })
        };
        Ok(Page { items: prompts.into_iter().map(view).collect::<Result<_, ResolveError>>()?, next })
    }

    /// One prompt, removed or not.
    ///
    /// # Errors
    /// There is none with this name, or the store fails.
    pub fn prompt(&self, name: &PromptName) -> Result<PromptView, ResolveError> {
        let txn = self.store.read()?;
        let prompt = existing(&txn, name)?;
        let dependents = live_dependents(&txn, name, u64::MAX)?;
        Ok(PromptView { labels: txn.labels(name)?, dependents, about: about(&txn, name)?, prompt })
    }

    /// What one label of a prompt serves.
    ///
    /// # Errors
    /// There is no such prompt or label, or the store fails.
    pub fn label(&self, name: &PromptName, label: &Label) -> Result<LabelState, ResolveError> {
        let txn = self.store.read()?;
        existing(&txn, name)?;
        let absent = || ResolveError::LabelNotFound { name: name.clone(), label: label.clone(), at: None };
        txn.label(name, label)?.ok_or_else(absent)
    }

    /// Versions of a prompt, newest first.
    ///
    /// # Errors
    /// There is no such prompt, the cursor is none of this list, or the store fails.
    pub fn versions(&self, name: &PromptName, cursor: Option<&str>, limit: usize) -> Result<VersionPage, ResolveError> {
        let txn = self.store.read()?;
        existing(&txn, name)?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut versions: Vec<Version> = Vec::new();
        txn.visit_versions(name, number(cursor)?, &mut |version| {
            versions.push(version);
            Ok(if versions.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let next = cut(&mut versions, limit, |version| version.number.to_string());
        Ok(Page { items: versions, next })
    }

    /// One version with what it says.
    ///
    /// # Errors
    /// There is no such prompt or version, or the store fails.
    pub fn version(&self, name: &PromptName, selector: &Selector) -> Result<VersionView, ResolveError> {
        let txn = self.store.read()?;
        let version = select(&txn, name, selector)?;
        let source = version.source_id.map(|id| read_content(&txn, name, &version, &id)).transpose()?;
        Ok(VersionView {
            stamp: stamp(name, version.number, &version.content_id),
            content: read_content(&txn, name, &version, &version.content_id)?,
            source,
            version,
        })
    }

    /// What differs between two versions, as their authors wrote them.
    ///
    /// # Errors
    /// There is no such prompt or version, or the store fails.
    pub fn diff(&self, name: &PromptName, from: &Selector, to: &Selector) -> Result<DiffAnswer, ResolveError> {
        self.diff_in(name, from, to, Context::Around)
    }

    /// The same, with more or less of what stayed as it was.
    ///
    /// # Errors
    /// There is no such prompt or version, or the store fails.
    pub fn diff_in(
        &self,
        name: &PromptName,
        from: &Selector,
        to: &Selector,
        context: Context,
    ) -> Result<DiffAnswer, ResolveError> {
        let txn = self.store.read()?;
        let (from, to) = (select(&txn, name, from)?, select(&txn, name, to)?);
        let written = |version: &Version| {
            read_content(&txn, name, version, version.source_id.as_ref().unwrap_or(&version.content_id))
        };
        let diff = diff_in(&written(&from)?, &written(&to)?, context);
        Ok(DiffAnswer { name: name.clone(), from: from.number, to: to.number, diff })
    }

    /// Deployments of a prompt, or of one of its labels, newest first.
    ///
    /// # Errors
    /// There is no such prompt, the cursor is none of this list, or the store fails.
    pub fn deployments(
        &self,
        name: &PromptName,
        label: Option<&Label>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<DeploymentPage, ResolveError> {
        let txn = self.store.read()?;
        existing(&txn, name)?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let before = number(cursor)?;
        let mut found = Vec::new();
        if let Some(label) = label {
            txn.visit_deployments(name, label, before, &mut |deployment| {
                found.push(deployment);
                Ok(if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        } else {
            found = txn.deployments(name)?;
            found.retain(|deployment| deployment.id < before);
        }
        // Labels that moved together stay on one page, because the cursor is the deployment's id.
        let mut end = limit.min(found.len());
        while end > 0
            && found.get(end).map(|next| next.id) == found.get(end - 1).map(|last| last.id)
            && end < found.len()
        {
            end += 1;
        }
        let next = (end < found.len()).then(|| found.get(end - 1).map(|last| last.id.to_string())).flatten();
        found.truncate(end);
        Ok(Page { items: found, next })
    }

    /// Deployments of all prompts that `reads` lets through, newest first.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
    pub fn all_deployments(
        &self,
        reads: &dyn Fn(&str) -> bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<DeploymentPage, ResolveError> {
        let txn = self.store.read()?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut found: Vec<Deployment> = Vec::new();
        let mut next = None;
        txn.visit_changes_back(number(cursor)?.saturating_sub(1), &mut |seq, key, deleted| {
            let shown = |parts: Parts<'_>| parts.kind == Kind::Deployment as u8 && parts.name().is_some_and(reads);
            if deleted || !Parts::of(key).is_some_and(shown) {
                return Ok(ControlFlow::Continue(()));
            }
            // Labels that moved together stay on one page, because the cursor is the deployment's id.
            if let Some(last) = found.last().filter(|last| found.len() >= limit && last.id != seq) {
                next = Some(last.id.to_string());
                return Ok(ControlFlow::Break(()));
            }
            if let Some(entry) = txn.entry(key)? {
                found.push(deployment(key, &entry.value)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Page { items: found, next })
    }

    /// The encoding of a content, wherever it is used.
    ///
    /// # Errors
    /// No version has it, or the store fails.
    pub fn content(&self, id: &ContentId) -> Result<Vec<u8>, ResolveError> {
        let txn = self.store.read()?;
        let home = txn.content_home(id.as_hash())?;
        let entry = home.map(|namespace| txn.content_in(&namespace, id)).transpose()?.flatten();
        entry.map(|entry| entry.value).ok_or(ResolveError::ContentNotFound(*id))
    }

    /// Audit entries, oldest first.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
    pub fn audit(&self, cursor: Option<&str>, limit: usize) -> Result<AuditPage, ResolveError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let from = cursor.map_or(Ok(0), |cursor| number(Some(cursor)))?;
        let mut entries = self.store.read()?.audit_from(from, limit + 1)?;
        let next = entries.get(limit).map(|entry| entry.seq.to_string());
        entries.truncate(limit);
        Ok(Page { items: entries, next })
    }

    /// Audit entries that fit, newest first; a page can have fewer rows than `limit`, or none, and still go on, because
    /// one look reads only so many entries.
    ///
    /// # Errors
    /// The cursor is none of this list, or the store fails.
    pub fn audit_newest(
        &self,
        fits: &dyn Fn(&AuditEntry) -> bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<AuditPage, ResolveError> {
        let (mut items, mut next, mut read, mut last) = (Vec::new(), None, 0, u64::MAX);
        self.store.read()?.visit_audit_before(number(cursor)?, &mut |entry| {
            if items.len() == limit || read == AUDIT_LOOK_MAX {
                next = Some(last.to_string());
                return ControlFlow::Break(());
            }
            (read, last) = (read + 1, entry.seq);
            if fits(&entry) {
                items.push(entry);
            }
            ControlFlow::Continue(())
        })?;
        Ok(Page { items, next })
    }

    /// Checks the chain of audit entries.
    ///
    /// # Errors
    /// The store fails.
    pub fn verify_audit(&self) -> Result<AuditVerdict, ResolveError> {
        Ok(self.store.read()?.verify_audit()?)
    }

    /// Names of the prompts that changed after a commit, and the commit that this is as of; none instead of names when
    /// they are more than `limit`.
    ///
    /// # Errors
    /// The store fails.
    pub fn changed_since(
        &self,
        seq: u64,
        limit: usize,
    ) -> Result<(crate::model::position::Position, Option<BTreeSet<String>>), ResolveError> {
        let txn = self.store.read()?;
        let changes = txn.changes_after(seq, limit.saturating_mul(4))?;
        let names = changes.iter().filter_map(|(_, key, _)| Parts::of(key)?.name().map(str::to_owned));
        let names: BTreeSet<String> = names.collect();
        let too_many = names.len() > limit || changes.len() == limit.saturating_mul(4);
        Ok((txn.head()?.position, (!too_many).then_some(names)))
    }
}

/// Prompts whose newest or served versions include `name` below version `below`, as `name@version`.
pub(crate) fn live_dependents(
    entries: &impl Entries,
    name: &PromptName,
    below: u64,
) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    for (dependent, version, included) in entries.dependents(name.as_str())? {
        let Ok(dependent) = dependent.parse::<PromptName>() else { continue };
        let Some(prompt) = entries.prompt(&dependent)?.filter(|prompt| prompt.removed.is_none()) else { continue };
        let live = prompt.latest == version
            || entries.labels(&dependent)?.iter().any(|label| label.serving.versions().contains(&version));
        if live && included < below {
            found.push(format!("{dependent}@{version}"));
        }
    }
    Ok(found)
}

/// What people say about a prompt.
pub(super) fn about(txn: &ReadTxn, name: &PromptName) -> Result<Option<About>, StoreError> {
    txn.get::<About>(name)
}

fn existing(txn: &ReadTxn, name: &PromptName) -> Result<Prompt, ResolveError> {
    txn.prompt(name)?.ok_or_else(|| ResolveError::PromptNotFound { name: name.clone() })
}

/// The version that a selector means; a label must serve exactly one.
fn select(txn: &ReadTxn, name: &PromptName, selector: &Selector) -> Result<Version, ResolveError> {
    let prompt = existing(txn, name)?;
    let version = match selector {
        Selector::Version(number) => txn.version(name, *number)?,
        Selector::Content(hex) => txn.version_with_content(name, hex)?,
        Selector::Label(label) if label.is_latest() => txn.version(name, prompt.latest)?,
        Selector::Label(label) => {
            let absent = || ResolveError::LabelNotFound { name: name.clone(), label: label.clone(), at: None };
            let serving = txn.label(name, label)?.ok_or_else(absent)?.serving;
            serving.versions().first().map(|number| txn.version(name, *number)).transpose()?.flatten()
        }
    };
    version.ok_or_else(|| ResolveError::VersionNotFound {
        name: name.clone(),
        selector: selector.clone(),
        latest: prompt.latest,
    })
}

fn read_content(txn: &ReadTxn, name: &PromptName, version: &Version, id: &ContentId) -> Result<Content, ResolveError> {
    Ok(Content::from_json(&content_bytes(txn, name, version, id)?)?)
}

fn number(cursor: Option<&str>) -> Result<u64, ResolveError> {
    cursor.map_or(Ok(u64::MAX), |text| text.parse().map_err(|_| ResolveError::Cursor(text.chars().take(64).collect())))
}

/// Cuts a list that was read one row too far; the cursor of the next page when it was.
fn cut<T>(rows: &mut Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Option<String> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(cursor)
}

//! All queries about prompts other than resolving: lists, histories, diffs.
//!
//! A [`CatalogueView`] is one snapshot as one reader can see it: its methods reject or leave out what the reader cannot
//! see, and all read the same snapshot. They block on the database, so async callers run them on a blocking thread.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::error::ResolveError;
use super::resolver::content_bytes;
use super::scope::ReadScope;
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::{AuditPage, DeploymentPage, DiffAnswer, Page, PromptPage, PromptView, VersionPage, VersionView};
use crate::governance::diff::{Context, diff_in};
use crate::model::about::About;
use crate::model::audit::{AuditEntry, AuditVerdict};
use crate::model::content::Content;
use crate::model::content_id::ContentId;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::prompt::{LabelState, Prompt};
use crate::model::reference::{Selector, VersionRef};
use crate::model::stamp::stamp;
use crate::model::time::Timestamp;
use crate::model::version::Version;
use crate::store::documents::Documents;
use crate::store::entry::{Kind, Parts};
use crate::store::query::{Queries, deployment};
use crate::store::read::{Dependent, Entries, ReadTxn};
use crate::store::{Store, StoreError};

/// Most audit entries that one filtered query reads: about a tenth of a second of work.
const AUDIT_LOOK_MAX: usize = 20_000;

/// Answers queries about prompts within a [`ReadScope`]; clones share the store.
#[derive(Clone)]
pub struct Catalogue {
    store: Store,
}

/// One snapshot, as one reader can see it.
pub struct CatalogueView {
    txn: ReadTxn,
    scope: ReadScope,
}

impl Catalogue {
    /// Size of the database's file, if it can be read.
    pub fn database_bytes(&self) -> Option<u64> {
        Some(std::fs::metadata(self.store.file()).ok()?.len())
    }

    /// Answers from a store.
    #[must_use]
    pub const fn new(store: Store) -> Self {
        Self { store }
    }

    /// Number of snapshots opened so far.
    #[cfg(test)]
    pub(crate) fn snapshots(&self) -> u64 {
        self.store.snapshots()
    }

    /// The current snapshot, as a reader can see it.
    pub fn as_reader(&self, scope: &ReadScope) -> Result<CatalogueView, StoreError> {
        Ok(CatalogueView { txn: self.store.read()?, scope: scope.clone() })
    }

    /// Queries the current snapshot, and retries if the database was reopened in the meantime.
    pub fn query<T>(
        &self,
        scope: &ReadScope,
        question: impl Fn(CatalogueView) -> Result<T, ResolveError>,
    ) -> Result<T, ResolveError> {
        self.store.query(|txn| question(CatalogueView { txn, scope: scope.clone() }))
    }
}

impl CatalogueView {
    /// Who reads.
    pub const fn scope(&self) -> &ReadScope {
        &self.scope
    }

    /// The snapshot itself, for the write path, which has rules of its own.
    pub(crate) const fn txn(&self) -> &ReadTxn {
        &self.txn
    }

    /// The same, owned.
    pub(super) fn into_txn(self) -> ReadTxn {
        self.txn
    }

    /// A readable prompt, removed or not.
    fn existing(&self, name: &PromptName) -> Result<Prompt, ResolveError> {
        self.scope.check(name.as_str())?;
        existing(&self.txn, name)
    }

    /// The version of a readable prompt that a selector means; a label must serve exactly one.
    fn select(&self, name: &PromptName, selector: &Selector) -> Result<Version, ResolveError> {
        self.scope.check(name.as_str())?;
        select(&self.txn, name, selector)
    }

    /// Prompts whose names begin with `prefix`, by namespace and then by name.
    ///
    /// # Errors
    /// The cursor is not of this list, or the store fails.
    pub fn prompts(
        &self,
        prefix: &str,
        removed: bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<PromptPage, ResolveError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let after: Option<PromptName> = cursor
            .map(str::parse)
            .transpose()
            .map_err(|_| ResolveError::Cursor(cursor.unwrap_or_default().to_owned()))?;
        let mut prompts: Vec<Prompt> = Vec::new();
        for namespace in self.txn.namespace_names()? {
            let fits = PromptName::may_be_in(prefix, &namespace);
            let passed = after.as_ref().is_some_and(|after| namespace.as_str() < after.namespace());
            if !fits || passed || prompts.len() > limit {
                continue;
            }
            let resumes = after.as_ref().filter(|after| after.namespace() == namespace);
            let from = resumes.map_or(prefix, |after| after.as_str().max(prefix));
            self.txn.visit_prompts(&namespace, from, &mut |prompt| {
                let wanted = (removed || prompt.removed.is_none()) && resumes.is_none_or(|after| prompt.name > *after);
                let name = prompt.name.as_str();
                // The cursor is a name of this page, so unreadable prompts are left out before the page is cut.
                if name.starts_with(prefix) && wanted && self.scope.reads(name) {
                    prompts.push(prompt);
                } else if !name.starts_with(prefix) && name > prefix {
                    return Ok(ControlFlow::Break(()));
                }
                Ok(if prompts.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        }
        let next = cut(&mut prompts, limit, |prompt| prompt.name.to_string());
        let view = |prompt: Prompt| {
            let (labels, about) = (self.txn.labels(&prompt.name)?, about(&self.txn, &self.scope, &prompt.name)?);
            Ok(PromptView { labels, dependents: Vec::new(), about, prompt })
        };
        Ok(Page { items: prompts.into_iter().map(view).collect::<Result<_, ResolveError>>()?, next })
    }

    /// Visits the names of all prompts that are not removed, in the same order, until the visitor ends it.
    ///
    /// # Errors
    /// The store fails.
    pub fn visit_names(&self, mut visit: impl FnMut(PromptName) -> ControlFlow<()>) -> Result<(), ResolveError> {
        let mut next = ControlFlow::Continue(());
        for namespace in self.txn.namespace_names()? {
            self.txn.visit_prompts(&namespace, "", &mut |prompt| {
                if prompt.removed.is_none() && self.scope.reads(prompt.name.as_str()) {
                    next = visit(prompt.name);
                }
                Ok(next)
            })?;
            if next.is_break() {
                break;
            }
        }
        Ok(())
    }

    /// One prompt, removed or not.
    ///
    /// # Errors
    /// It cannot be read, does not exist, or the store fails.
    pub fn prompt(&self, name: &PromptName) -> Result<PromptView, ResolveError> {
        let prompt = self.existing(name)?;
        let mut dependents = live_dependents(&self.txn, name, u64::MAX)?;
        self.scope.hide_unreadable(&mut dependents);
        let about = about(&self.txn, &self.scope, name)?;
        Ok(PromptView { labels: self.txn.labels(name)?, dependents, about, prompt })
    }

    /// What one label of a prompt serves.
    ///
    /// # Errors
    /// It cannot be read, the prompt or label does not exist, or the store fails.
    pub fn label(&self, name: &PromptName, label: &Label) -> Result<LabelState, ResolveError> {
        self.existing(name)?;
        let absent = || ResolveError::LabelNotFound { name: name.clone(), label: label.clone(), at: None };
        self.txn.label(name, label)?.ok_or_else(absent)
    }

    /// Versions of a prompt, newest first.
    ///
    /// # Errors
    /// It cannot be read, the prompt does not exist, the cursor is not of this list, or the store fails.
    pub fn versions(&self, name: &PromptName, cursor: Option<&str>, limit: usize) -> Result<VersionPage, ResolveError> {
        self.existing(name)?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut versions: Vec<Version> = Vec::new();
        self.txn.visit_versions(name, number(cursor)?, &mut |version| {
            versions.push(version);
            Ok(if versions.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
        })?;
        let next = cut(&mut versions, limit, |version| version.number.to_string());
        Ok(Page { items: versions, next })
    }

    /// One version with its content.
    ///
    /// # Errors
    /// It cannot be read, the prompt or version does not exist, or the store fails.
    pub fn version(&self, name: &PromptName, selector: &Selector) -> Result<VersionView, ResolveError> {
        let version = self.select(name, selector)?;
        let source = version.source_id.map(|id| read_content(&self.txn, name, &version, &id)).transpose()?;
        Ok(VersionView {
            stamp: stamp(name, version.number, &version.content_id),
            content: read_content(&self.txn, name, &version, &version.content_id)?,
            source,
            version,
        })
    }

    /// The differences between two versions, as written by their authors.
    ///
    /// # Errors
    /// It cannot be read, the prompt or version does not exist, or the store fails.
    pub fn diff(&self, name: &PromptName, from: &Selector, to: &Selector) -> Result<DiffAnswer, ResolveError> {
        self.diff_in(name, from, to, Context::Around)
    }

    /// The same, with a given number of context lines.
    ///
    /// # Errors
    /// It cannot be read, the prompt or version does not exist, or the store fails.
    pub fn diff_in(
        &self,
        name: &PromptName,
        from: &Selector,
        to: &Selector,
        context: Context,
    ) -> Result<DiffAnswer, ResolveError> {
        let (from, to) = (self.select(name, from)?, self.select(name, to)?);
        let written = |version: &Version| {
            read_content(&self.txn, name, version, version.source_id.as_ref().unwrap_or(&version.content_id))
        };
        let diff = diff_in(&written(&from)?, &written(&to)?, context);
        Ok(DiffAnswer { name: name.clone(), from: from.number, to: to.number, diff })
    }

    /// Deployments of a prompt, or of one of its labels, newest first.
    ///
    /// # Errors
    /// It cannot be read, the prompt does not exist, the cursor is not of this list, or the store fails.
    pub fn deployments(
        &self,
        name: &PromptName,
        label: Option<&Label>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<DeploymentPage, ResolveError> {
        self.existing(name)?;
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let before = number(cursor)?;
        let mut found = Vec::new();
        if let Some(label) = label {
            self.txn.visit_deployments(name, label, before, &mut |deployment| {
                found.push(deployment);
                Ok(if found.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
            })?;
        } else {
            found = self.txn.deployments(name)?;
            found.retain(|deployment| deployment.id < before);
        }
        // Labels that were deployed together stay on one page, because the cursor is the deployment's ID.
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

    /// The deployments by which labels served a version at a time: that of one label, or of each that the prompt has.
    ///
    /// # Errors
    /// It cannot be read, or the store fails.
    pub fn deployments_serving(
        &self,
        name: &PromptName,
        version: u64,
        label: Option<&Label>,
        at: Timestamp,
    ) -> Result<Vec<Deployment>, ResolveError> {
        self.scope.check(name.as_str())?;
        let labels = match label {
            Some(label) => vec![label.clone()],
            None => self.txn.labels(name)?.into_iter().map(|state| state.label).collect(),
        };
        let mut found = Vec::new();
        for label in labels {
            let deployment = self.txn.deployment_at(name, &label, at)?;
            let serves =
                |one: &Deployment| one.to.as_ref().is_some_and(|serving| serving.versions().contains(&version));
            found.extend(deployment.filter(serves));
        }
        Ok(found)
    }

    /// Deployments of all prompts, newest first.
    ///
    /// # Errors
    /// The cursor is not of this list, or the store fails.
    pub fn all_deployments(&self, cursor: Option<&str>, limit: usize) -> Result<DeploymentPage, ResolveError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut found: Vec<Deployment> = Vec::new();
        let mut next = None;
        self.txn.visit_changes_back(number(cursor)?.saturating_sub(1), &mut |seq, key, deleted| {
            let shown = |parts: Parts<'_>| {
                parts.kind == Kind::Deployment as u8 && parts.name().is_some_and(|name| self.scope.reads(name))
            };
            if deleted || !Parts::of(key).is_some_and(shown) {
                return Ok(ControlFlow::Continue(()));
            }
            // Labels that were deployed together stay on one page, because the cursor is the deployment's ID.
            if let Some(last) = found.last().filter(|last| found.len() >= limit && last.id != seq) {
                next = Some(last.id.to_string());
                return Ok(ControlFlow::Break(()));
            }
            if let Some(entry) = self.txn.entry(key)? {
                found.push(deployment(key, &entry.value)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(Page { items: found, next })
    }

    /// The encoding of a content, in any prompt.
    ///
    /// # Errors
    /// Not every prompt can be read, no version has it, or the store fails.
    pub fn content(&self, id: &ContentId) -> Result<Vec<u8>, ResolveError> {
        self.scope.check_everything("contents by their ids; read them by version")?;
        let home = self.txn.content_home(id.as_hash())?;
        let entry = home.map(|namespace| self.txn.content_in(&namespace, id)).transpose()?.flatten();
        entry.map(|entry| entry.value).ok_or(ResolveError::ContentNotFound(*id))
    }

    /// Audit entries, oldest first.
    ///
    /// # Errors
    /// The log cannot be read, the cursor is not of this list, or the store fails.
    pub fn audit(&self, cursor: Option<&str>, limit: usize) -> Result<AuditPage, ResolveError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        self.scope.check_audit()?;
        let from = cursor.map_or(Ok(0), |cursor| number(Some(cursor)))?;
        let mut entries = self.txn.audit_from(from, limit + 1)?;
        let next = entries.get(limit).map(|entry| entry.seq.to_string());
        entries.truncate(limit);
        Ok(Page { items: entries, next })
    }

    /// Matching audit entries, newest first; a page can have fewer rows than `limit`, or none, and still have a next
    /// page, because one query reads a limited number of entries.
    ///
    /// # Errors
    /// The log cannot be read, the cursor is not of this list, or the store fails.
    pub fn audit_newest(
        &self,
        fits: &dyn Fn(&AuditEntry) -> bool,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<AuditPage, ResolveError> {
        self.scope.check_audit()?;
        audit_newest(&self.txn, fits, cursor, limit)
    }

    /// Verifies the chain of audit entries.
    ///
    /// # Errors
    /// The log cannot be read, or the store fails.
    pub fn verify_audit(&self) -> Result<AuditVerdict, ResolveError> {
        self.scope.check_audit()?;
        Ok(self.txn.verify_audit()?)
    }

    /// Names of readable prompts that changed after a commit, and the commit of this snapshot; no names if there are
    /// more than `limit`.
    pub fn changed_since(
        &self,
        seq: u64,
        limit: usize,
    ) -> Result<(crate::model::position::Position, Option<BTreeSet<String>>), ResolveError> {
        let changes = self.txn.changes_after(seq, limit.saturating_mul(4))?;
        let names = changes.iter().filter_map(|change| Parts::of(&change.key)?.name().map(str::to_owned));
        let names: BTreeSet<String> = names.collect();
        let too_many = names.len() > limit || changes.len() == limit.saturating_mul(4);
        let readable = |names: BTreeSet<String>| names.into_iter().filter(|name| self.scope.reads(name)).collect();
        Ok((self.txn.head()?.position, (!too_many).then(|| readable(names))))
    }
}

/// Matching audit entries, newest first, regardless of the reader.
pub(crate) fn audit_newest(
    txn: &ReadTxn,
    fits: &dyn Fn(&AuditEntry) -> bool,
    cursor: Option<&str>,
    limit: usize,
) -> Result<AuditPage, ResolveError> {
    let (mut items, mut next, mut read, mut last) = (Vec::new(), None, 0, u64::MAX);
    txn.visit_audit_before(number(cursor)?, &mut |entry| {
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

/// The latest and served versions that include `name` below version `below`.
pub(crate) fn live_dependents(
    entries: &impl Entries,
    name: &PromptName,
    below: u64,
) -> Result<Vec<VersionRef>, StoreError> {
    let mut found = Vec::new();
    for Dependent { by, included } in entries.dependents(name.as_str())? {
        let Some(prompt) = entries.prompt(&by.name)?.filter(|prompt| prompt.removed.is_none()) else { continue };
        let live = prompt.latest == by.version
            || entries.labels(&by.name)?.iter().any(|label| label.serving.versions().contains(&by.version));
        if live && included < below {
            found.push(by);
        }
    }
    Ok(found)
}

/// The details of a prompt: owner, tags and description, and those that it feeds and that can be read.
pub(super) fn about(txn: &ReadTxn, scope: &ReadScope, name: &PromptName) -> Result<Option<About>, StoreError> {
    let mut about = txn.get::<About>(name)?;
    if let Some(about) = &mut about {
        about.feeds.retain(|one| scope.reads(one.as_str()));
    }
    Ok(about.filter(|about| !about.is_empty()))
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

/// Cuts a list that was read with one extra row; returns the cursor of the next page, if any.
fn cut<T>(rows: &mut Vec<T>, limit: usize, cursor: impl Fn(&T) -> String) -> Option<String> {
    let more = rows.len() > limit;
    rows.truncate(limit);
    rows.last().filter(|_| more).map(cursor)
}

//! Drafts: unpublished work, saved often and published when ready.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::command::{Attempt, Ctx};
use super::contributors::makers_of;
use super::draft_usage;
use super::publish::publish;
use super::{Actor, Registry, RegistryError, check_handle, check_message};
use crate::api::govern::{DraftMerge, DraftRequest, PublishDraftRequest};
use crate::api::write::{PublishRequest, Published};
use crate::governance::merge::merge_with;
use crate::model::audit::{Command, Subject};
use crate::model::content::{Content, Syntax};
use crate::model::draft::{DRAFT_SAVES_BYTES_MAX, DRAFT_SAVES_MAX, DRAFTS_MAX, Draft, DraftSummary};
use crate::model::name::PromptName;
use crate::model::principal::Permission;
use crate::resolve::CatalogueView;
use crate::store::StoreError;
use crate::store::documents::{Document, Documents, DraftSave, DraftSaveKey, Excerpt, Scan};
use crate::store::query::Queries;
use crate::store::write::WriteTxn;

impl Registry {
    /// Saves a draft. Nothing is served, and the audit log has no entry, except for a denied save or one that exceeds a
    /// quota.
    ///
    /// # Errors
    /// The actor lacks permission, someone else saved since, a quota is exceeded, or the store fails.
    pub async fn save_draft(
        &self,
        actor: &Actor,
        name: PromptName,
        draft: String,
        request: DraftRequest,
    ) -> Result<Draft, RegistryError> {
        check_handle("a draft", &draft)?;
        request.content.to_canonical()?;
        let about = Attempt::new(Command::SaveDraft, [subject(&name, &draft)], "");
        self.command(actor, about, move |txn, ctx, granted| {
            granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?).unrecorded();
            let before = txn.get::<Draft>((&name, &draft))?;
            let found = before.as_ref().map_or(0, |before| before.revision);
            if let Some(expected) = request.expected_revision.filter(|expected| *expected != found) {
                return Err(RegistryError::DraftMoved { name, draft, expected, found });
            }
            // Revisions restart with each draft: an older revision belongs to a deleted draft.
            if let (Some(expected), Some(before)) = (request.expected_revision, &before)
                && request.parent.is_some_and(|parent| parent < before.parent)
            {
                return Err(RegistryError::DraftMoved { name, draft, expected, found });
            }
            if before.as_ref().is_some_and(|before| {
                before.content == request.content && request.parent.is_none_or(|parent| parent == before.parent)
            }) {
                return before.ok_or_else(|| absent(&draft));
            }
            let prompt = txn.prompt(&name)?;
            if prompt.is_none() && before.is_none() {
                name.check_new()?;
            }
            let latest = prompt.map_or(0, |prompt| prompt.latest);
            let parent = request.parent.or(before.as_ref().map(|before| before.parent)).unwrap_or(latest);
            if parent > latest {
                return Err(RegistryError::VersionNotFound { name, number: parent, latest });
            }
            if before.is_none() {
                let (mut count, max) = (1, DRAFTS_MAX);
                txn.visit_documents(&Scan::<Draft>::under(&name), &mut |_| {
                    count += 1;
                    Ok(ControlFlow::Continue(()))
                })?;
                if count > max {
                    return Err(RegistryError::TooMany { what: "drafts of one prompt", count, max });
                }
            }
            let mut makers = before.as_ref().map(|before| before.makers.clone()).unwrap_or_default();
            makers.insert(ctx.actor.name.clone());
            // A draft that is rebased on a newer version includes what others wrote since.
            for number in before.as_ref().map_or(parent, |before| before.parent).saturating_add(1)..=parent {
                if let Some(version) = txn.version(&name, number)? {
                    makers.extend(makers_of(txn, &name, &version)?);
                }
            }
            let saved = Draft {
                prompt: name.clone(),
                name: draft.clone(),
                parent,
                revision: found + 1,
                content: request.content,
                author: before.map_or_else(|| ctx.actor.name.clone(), |before| before.author),
                saved_by: ctx.actor.name.clone(),
                makers,
                saved: ctx.now,
            };
            draft_usage::check(txn, &saved, saved.revision == 1)?;
            ctx.written(serde_json::to_vec(&saved.content).map_or(0, |bytes| bytes.len()))?;
            draft_usage::put(txn, saved.clone())?;
            forget_old_saves(txn, &name, &draft)?;
            Ok(saved)
        })
        .await
    }

    /// Every draft of a prompt, by name.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor can neither publish nor review it, or the store fails.
    pub fn drafts(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
    ) -> Result<Vec<DraftSummary>, RegistryError> {
        self.may_see_drafts(view, actor, name)?;
        Ok(summaries(view.txn(), &Scan::<Draft>::under(name))?)
    }

    /// One draft.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor can neither publish nor review it, the draft does not exist, or the store
    /// fails.
    pub fn draft(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
        draft: &str,
    ) -> Result<Draft, RegistryError> {
        self.may_see_drafts(view, actor, name)?;
        view.txn().get::<Draft>((name, draft))?.ok_or_else(|| absent(draft))
    }

    /// The saved revisions of a draft, newest first; at most the last hundred and the last 8 MiB.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor can neither publish nor review it, or the store fails.
    pub fn draft_saves(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
        draft: &str,
    ) -> Result<Vec<DraftSummary>, RegistryError> {
        self.may_see_drafts(view, actor, name)?;
        check_handle("a draft", draft)?;
        Ok(summaries(view.txn(), &Scan::<DraftSave>::under((name.as_str(), draft)).backwards())?)
    }

    /// One saved revision of a draft.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor can neither publish nor review it, the revision is not stored, or the store
    /// fails.
    pub fn draft_save(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
        draft: &str,
        revision: u64,
    ) -> Result<Draft, RegistryError> {
        self.may_see_drafts(view, actor, name)?;
        let key = DraftSaveKey { prompt: name.as_str(), draft, revision };
        let found = view.txn().get::<DraftSave>(key)?.map(|DraftSave(saved)| saved);
        let shown = || format!("{} {revision}", draft.chars().take(64).collect::<String>());
        found.ok_or_else(|| RegistryError::NotFound { what: "remembered save", name: shown() })
    }

    /// Merges a draft with what was published since it began. Nothing is saved.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor can neither publish nor review it, the draft does not exist, its base was
    /// archived, or the store fails.
    pub fn merge_draft(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
        draft: &str,
    ) -> Result<DraftMerge, RegistryError> {
        self.merge_draft_with(view, actor, name, draft, &BTreeSet::new())
    }

    /// The same, taking theirs in the conflicts of these numbers.
    ///
    /// # Errors
    /// As [`Registry::merge_draft`].
    pub fn merge_draft_with(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
        draft: &str,
        take_theirs: &BTreeSet<usize>,
    ) -> Result<DraftMerge, RegistryError> {
        self.may_see_drafts(view, actor, name)?;
        let txn = view.txn();
        let ours = txn.get::<Draft>((name, draft))?.ok_or_else(|| absent(draft))?;
        let parent = txn.prompt(name)?.map_or(0, |prompt| prompt.latest);
        let written = |number: u64| -> Result<Content, RegistryError> {
            let Some(version) = txn.version(name, number)? else {
                return Ok(Content::text(Syntax::default(), ""));
            };
            let id = version.source_id.as_ref().unwrap_or(&version.content_id);
            match (txn.content_in(name.namespace(), id)?, version.archived) {
                (None, Some(at)) => Err(RegistryError::VersionArchived { name: name.clone(), number, at }),
                _ => Ok(Content::from_json(&txn.content_of(name, id)?)?),
            }
        };
        let (base, theirs) = (written(ours.parent)?, written(parent)?);
        // Variables that were derived when publishing are not an edit.
        let merge = merge_with(&base, &ours.content, &theirs, take_theirs);
        Ok(DraftMerge { base: ours.parent, parent, merge })
    }

    /// Publishes a draft and deletes it. Refused if there is a newer version: merge it first.
    ///
    /// # Errors
    /// The actor lacks permission, it does not exist, there is a newer version, or publishing is refused for another
    /// reason.
    pub async fn publish_draft(
        &self,
        actor: &Actor,
        name: PromptName,
        draft: String,
        request: PublishDraftRequest,
    ) -> Result<Published, RegistryError> {
        let message = check_message(&request.message)?;
        let places = request.labels.iter().map(|label| Subject::of_label(&name, label, None));
        let about = Attempt::new(Command::Publish, std::iter::once(subject(&name, &draft)).chain(places), &message);
        self.command(actor, about, move |txn, ctx, granted| {
            let granted = granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?);
            let found = txn.get::<Draft>((&name, &draft))?.ok_or_else(|| absent(&draft))?;
            if let Some(expected) = request.expected_revision.filter(|expected| *expected != found.revision) {
                return Err(RegistryError::DraftMoved { name, draft, expected, found: found.revision });
            }
            let request = PublishRequest {
                content: found.content,
                message: message.clone(),
                bump: request.bump,
                expected_parent: Some(found.parent),
                labels: request.labels,
                allow_major: request.allow_major,
                break_glass: None,
            };
            // Everyone who saved part of it is a contributor, no matter who publishes it.
            let makers = found.makers.into_iter().collect();
            let published = publish(txn, ctx, granted, name.clone(), request, (message, makers))?;
            discard(txn, &name, &draft)?;
            Ok(published)
        })
        .await
    }

    /// Deletes a draft with all its revisions.
    ///
    /// # Errors
    /// The actor lacks permission, it does not exist, or the store fails.
    pub async fn discard_draft(&self, actor: &Actor, name: PromptName, draft: String) -> Result<(), RegistryError> {
        let about = Attempt::new(Command::DiscardDraft, [subject(&name, &draft)], "");
        self.command(actor, about, move |txn, ctx: &Ctx, granted| {
            granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?).unrecorded();
            if !txn.has::<Draft>((&name, &draft))? {
                return Err(absent(&draft));
            }
            Ok(discard(txn, &name, &draft)?)
        })
        .await
    }
}

/// Drafts or revisions without their content, which is never held in memory as a whole.
fn summaries<D: Document>(txn: &impl Documents, scan: &Scan<D>) -> Result<Vec<DraftSummary>, StoreError>
where
    DraftSummary: Excerpt<D>,
{
    let mut summaries = Vec::new();
    txn.visit_documents(scan, &mut |found| {
        summaries.push(DraftSummary { bytes: found.json().len() as u64, ..found.excerpt()? });
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(summaries)
}

/// Drops the oldest revisions of a draft beyond the limit; the newest always remains.
fn forget_old_saves(txn: &mut WriteTxn<'_>, name: &PromptName, draft: &str) -> Result<(), StoreError> {
    let (mut count, mut total_bytes, mut old) = (0, 0, Vec::new());
    txn.visit_documents(&Scan::<DraftSave>::under((name.as_str(), draft)).backwards(), &mut |found| {
        (count, total_bytes) = (count + 1, total_bytes + found.json().len());
        if count > 1 && (count > DRAFT_SAVES_MAX || total_bytes > DRAFT_SAVES_BYTES_MAX) {
            old.push(found.key()?.revision);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    remove_saves(txn, name, draft, old)
}

fn discard(txn: &mut WriteTxn<'_>, name: &PromptName, draft: &str) -> Result<(), StoreError> {
    draft_usage::remove_draft(txn, name, draft)?;
    let mut saves = Vec::new();
    txn.visit_documents(&Scan::<DraftSave>::under((name.as_str(), draft)), &mut |found| {
        saves.push(found.key()?.revision);
        Ok(ControlFlow::Continue(()))
    })?;
    remove_saves(txn, name, draft, saves)
}

fn remove_saves(txn: &mut WriteTxn<'_>, name: &PromptName, draft: &str, revisions: Vec<u64>) -> Result<(), StoreError> {
    revisions
        .into_iter()
        .try_for_each(|revision| draft_usage::remove_save(txn, DraftSaveKey { prompt: name.as_str(), draft, revision }))
}

fn subject(name: &PromptName, draft: &str) -> Subject {
    Subject::Draft { prompt: name.to_string(), draft: draft.to_owned() }
}

fn absent(draft: &str) -> RegistryError {
    RegistryError::NotFound { what: "draft", name: draft.chars().take(64).collect() }
}

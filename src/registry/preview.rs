//! Previews of changes. Nothing is stored, decided or recorded.

use std::collections::BTreeMap;

use serde_json::Value;

use super::change_requests::review_of;
use super::command::Attempt;
use super::deploy::{build, check_moves};
use super::label_move::{DeployAttempt, LabelMove};
use super::move_policy::{self, breaks};
use super::publish::prepare;
use super::{Actor, Registry, RegistryError};
use crate::api::govern::{MovePreview, VersionPreview};
use crate::api::write::Move;
use crate::governance::interface;
use crate::model::audit::{Command, Subject};
use crate::model::content::Content;
use crate::model::name::PromptName;
use crate::model::principal::Permission;
use crate::model::time::Timestamp;
use crate::resolve::CatalogueView;
use crate::store::documents::{Documents, Samples};
use crate::store::query::Queries;
use crate::template::lint::lint;

/// Largest sample values of one prompt, in bytes of their JSON.
const SAMPLES_BYTES_MAX: usize = 256 * 1024;

impl Registry {
    /// The result that publishing a content would have.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor is not allowed to publish; the content or an include is invalid; or the
    /// store fails.
    pub fn preview_version(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
        written: &Content,
    ) -> Result<VersionPreview, RegistryError> {
        view.scope().check(name.as_str())?;
        self.may_publish(actor, name)?;
        let (txn, known) = (view.txn(), self.0.known.load());
        let parent = txn.prompt(name)?.map_or(0, |prompt| prompt.latest);
        let prepared = prepare(txn, &known.rules, actor, name, written)?;
        let previous = move_policy::content(txn, name, parent)?;
        let interface = previous.map(|previous| interface::between(&previous, &prepared.content));
        let warnings = lint(&prepared.content);
        let (content, includes, findings) = (prepared.content, prepared.includes, prepared.findings);
        Ok(VersionPreview { content, includes, warnings, findings, interface })
    }

    /// A content as publishing it would store it, for an evaluation.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor is not allowed to run evaluations of it; the content or an include is
    /// invalid; or the store fails.
    pub fn evaluated_content(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
        written: &Content,
    ) -> Result<Content, RegistryError> {
        view.scope().check(name.as_str())?;
        self.may_run(actor, name)?;
        Ok(prepare(view.txn(), &self.0.known.load().rules, actor, name, written)?.content)
    }

    /// What a move of a label would change, what its policies require, and whether the actor is allowed to make it.
    ///
    /// # Errors
    /// The prompt cannot be read, the serving is invalid, or the store fails.
    pub fn preview_move(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        wanted: Move,
        message: &str,
    ) -> Result<MovePreview, RegistryError> {
        check_moves(std::slice::from_ref(&wanted))?;
        let Move { name, label, serving, .. } = wanted;
        if label.is_latest() {
            return Err(RegistryError::LatestIsAutomatic);
        }
        view.scope().check(name.as_str())?;
        let (txn, known) = (view.txn(), self.0.known.load());
        let prompt = txn.prompt(&name)?.filter(|prompt| prompt.removed.is_none());
        let latest = prompt.ok_or_else(|| RegistryError::PromptNotFound { name: name.clone() })?.latest;
        let to = build(txn, txn.head()?.position.seq.saturating_add(1), &name, &label, serving)?;
        for number in to.versions() {
            if txn.version(&name, number)?.is_none() {
                return Err(RegistryError::VersionNotFound { name, number, latest });
            }
        }
        let state = txn.label(&name, &label)?;
        let from = state.as_ref().map(|state| &state.serving);
        let wanted = LabelMove::new((&name, &label), from, Some(&to));
        let ask = actor.ask(Permission::Deploy, Some(name.as_str()), Some(label.as_str()));
        let (book, now) = (&known.rules.book, Timestamp::from_ms(self.0.clock.now_ms()));
        let reads = |name: &str| view.scope().reads(name);
        let attempt = DeployAttempt { now, message, roles: book.roles_of(&ask), reads: &reads };
        let mut review = review_of(txn, &known.rules, &wanted, now, Some(attempt))?;
        view.scope().hide_unreadable(&mut review.dependents);
        let breaks = breaks(txn, &wanted)?.unwrap_or_default();
        let deployment = state.as_ref().map(|state| state.deployment);
        let from = from.cloned();
        Ok(MovePreview { from, deployment, to, deploys: book.decide(&ask), breaks, review })
    }

    /// The sample values of a prompt, by variable and placeholder.
    ///
    /// # Errors
    /// The prompt cannot be read, the actor can neither publish nor review it, or the store fails.
    pub fn samples(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
    ) -> Result<BTreeMap<String, Value>, RegistryError> {
        self.may_see_drafts(view, actor, name)?;
        let Samples(samples) = view.txn().get(name)?.unwrap_or_default();
        Ok(samples)
    }

    /// Stores the sample values of a prompt. They belong to no version and are never served.
    ///
    /// # Errors
    /// The actor is not allowed to publish, there are too many values, or the store fails.
    pub async fn keep_samples(
        &self,
        actor: &Actor,
        name: PromptName,
        samples: BTreeMap<String, Value>,
    ) -> Result<(), RegistryError> {
        let bytes = serde_json::to_vec(&samples).map_or(usize::MAX, |json| json.len());
        if bytes > SAMPLES_BYTES_MAX {
            let max = SAMPLES_BYTES_MAX;
            return Err(RegistryError::TooMany { what: "bytes of sample values", count: bytes, max });
        }
        let about = Attempt::new(Command::KeepSamples, [Subject::of_prompt(&name)], "");
        self.command(actor, about, move |txn, ctx, granted| {
            granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?).unrecorded();
            Ok(txn.put(&name, &Samples(samples))?)
        })
        .await
    }

    /// Allows those who can write versions of a prompt; other attempts are recorded.
    ///
    /// # Errors
    /// They are not allowed to, or the store fails.
    pub async fn permit_writing(&self, actor: &Actor, name: PromptName) -> Result<(), RegistryError> {
        if self.may_publish(actor, &name).is_ok() {
            return Ok(());
        }
        let about = Attempt::new(Command::SaveDraft, [Subject::of_prompt(&name)], "");
        self.command(actor, about, move |_, ctx, granted| {
            granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?).unrecorded();
            Ok(())
        })
        .await
    }

    /// Whether the caller can write versions of a prompt. A refusal is not recorded.
    pub fn may_publish(&self, actor: &Actor, name: &PromptName) -> Result<(), RegistryError> {
        let ask = actor.ask(Permission::Publish, Some(name.as_str()), None);
        let verdict = self.0.known.load().rules.book.decide(&ask);
        if verdict.allowed {
            return Ok(());
        }
        Err(RegistryError::denied(actor, verdict))
    }
}

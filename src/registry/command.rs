//! What all commands share: the actor, the rules, and the audit entry of the decision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::access::Rules;
use super::clearance::Clearance;
use super::write_quota::WriteQuota;
use super::{Actor, Registry, RegistryError};
use crate::model::audit::{AuditChange, AuditEntry, Command, Decision, Subject};
use crate::model::commit_message::MESSAGE_CHARACTERS_MAX;
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::write::WriteTxn;

/// Number of denials per principal and command that are recorded one by one in a minute; further ones are counted.
const REFUSALS_PER_MINUTE: u32 = 60;
const MINUTE_MS: i64 = 60_000;

/// Most subjects, and most bytes of each, that the log records of a denied command.
const SUBJECTS_MAX: usize = 1_000;
const SUBJECT_BYTES_MAX: usize = 300;
/// Longest reason of a denial in the log, in bytes.
const REASON_BYTES_MAX: usize = 4_000;

/// A requested command, as the log records it if it is denied.
pub(super) struct Attempt {
    command: Command,
    subjects: Vec<Subject>,
    message: String,
    /// The change request that it is about.
    change_request: Option<u64>,
}

impl Attempt {
    pub(super) fn new(command: Command, subjects: impl IntoIterator<Item = Subject>, message: &str) -> Self {
        let clipped = |mut subject: Subject| {
            for text in subject.texts_mut() {
                *text = clip(text, SUBJECT_BYTES_MAX);
            }
            subject
        };
        let subjects = subjects.into_iter().take(SUBJECTS_MAX).map(clipped).collect();
        let message = message.chars().take(MESSAGE_CHARACTERS_MAX).collect();
        Self { command, subjects, message, change_request: None }
    }

    /// The same, about a change request.
    pub(super) const fn of_request(mut self, id: u64) -> Self {
        self.change_request = Some(id);
        self
    }
}

/// The start of a text, up to a number of bytes.
pub(super) fn clip(text: &str, bytes_max: usize) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= bytes_max).last().unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}

/// A command in progress on the writer thread: who asks, when, and the rules that decide.
pub(super) struct Ctx {
    pub(super) now: Timestamp,
    pub(super) actor: Actor,
    pub(super) rules: Arc<Rules>,
    written: Arc<WriteQuota>,
}

impl Ctx {
    /// A copy for another actor.
    pub(super) fn as_actor(&self, actor: Actor) -> Self {
        Self { now: self.now, actor, rules: Arc::clone(&self.rules), written: Arc::clone(&self.written) }
    }

    /// Whether the actor is allowed to do this; the one decision of every command.
    pub(super) fn authorise(
        &self,
        permission: Permission,
        prompt: Option<&PromptName>,
        label: Option<&Label>,
    ) -> Result<Clearance, RegistryError> {
        let ask = self.actor.ask(permission, prompt.map(PromptName::as_str), label.map(Label::as_str));
        let verdict = self.rules.book.decide(&ask);
        if verdict.allowed {
            Ok(Clearance::because(verdict.reason))
        } else {
            Err(RegistryError::denied(&self.actor, verdict))
        }
    }

    /// Counts bytes that the actor is about to write, or refuses them if the quota is exceeded.
    pub(super) fn written(&self, bytes: usize) -> Result<(), RegistryError> {
        self.written.charge(&self.actor, bytes)
    }

    /// The audit entry of the pending change.
    pub(super) fn audit(
        &self,
        clearance: Clearance,
        command: Command,
        subjects: Vec<Subject>,
        message: String,
        changes: Vec<AuditChange>,
    ) -> AuditEntry {
        let reasons: Vec<String> = clearance.reasons.into_iter().collect();
        AuditEntry {
            actor: self.actor.name.clone(),
            actor_kind: Some(self.actor.kind),
            method: self.actor.method.to_string(),
            request_id: self.actor.request_id.clone(),
            client: self.actor.client,
            reason: reasons.join("; "),
            subjects,
            message,
            changes,
            change_request: clearance.change_request,
            approved_by: clearance.approved_by.into_iter().collect(),
            risk: clearance.risk,
            overrode: clearance.overrode,
            ..AuditEntry::of(command)
        }
    }

    /// Commits an audit entry by itself.
    pub(super) fn record(
        &self,
        txn: &mut WriteTxn<'_>,
        clearance: Clearance,
        command: Command,
        subjects: Vec<Subject>,
    ) -> Result<(), StoreError> {
        txn.commit(self.now, Vec::new(), self.audit(clearance, command, subjects, String::new(), Vec::new()))?;
        Ok(())
    }

    /// Commits the audit entry of changed settings.
    pub(super) fn record_settings<T: Serialize>(
        &self,
        txn: &mut WriteTxn<'_>,
        clearance: Clearance,
        command: Command,
        subject: Subject,
        SettingsChange { before, after }: SettingsChange<'_, T>,
    ) -> Result<(), StoreError> {
        let change = AuditChange::settings(subject.clone(), before, after);
        let audit = self.audit(clearance, command, vec![subject], String::new(), vec![change]);
        txn.commit(self.now, Vec::new(), audit)?;
        Ok(())
    }

    fn refusal(&self, about: Attempt, error: &RegistryError, unrecorded: u64) -> AuditEntry {
        let known = Clearance { change_request: about.change_request, risk: error.risk(), ..Clearance::default() };
        AuditEntry {
            decision: Decision::Denied,
            reason: clip(&error.to_string(), REASON_BYTES_MAX),
            unrecorded,
            ..self.audit(known, about.command, about.subjects, about.message, Vec::new())
        }
    }
}

/// Settings before and after a change; absent where there were or are none.
pub(super) struct SettingsChange<'a, T> {
    pub(super) before: Option<&'a T>,
    pub(super) after: Option<&'a T>,
}

impl Registry {
    /// Runs a command on the writer thread if the actor has the permission that it always needs, and tells `plan` why
    /// that was allowed. A denial changes nothing and is recorded.
    pub(super) async fn command<T: Send + 'static>(
        &self,
        actor: &Actor,
        about: Attempt,
        plan: impl FnOnce(&mut WriteTxn<'_>, &Ctx, Clearance) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let now = self.commit_time()?;
        let Attempt { command, .. } = about;
        let (registry, actor) = (self.clone(), actor.clone());
        let job = move |txn: &mut WriteTxn<'_>| -> Result<Result<T, RegistryError>, RegistryError> {
            let ctx = Ctx { now, actor, rules: registry.rules_in(txn)?, written: Arc::clone(&registry.0.written) };
            let needed = command.permission();
            let granted = needed.map_or_else(|| Ok(Clearance::default()), |needed| ctx.authorise(needed, None, None));
            match granted.and_then(|granted| plan(txn, &ctx, granted)) {
                Err(error) if error.is_refusal() => {
                    registry.record_refusal(txn, &ctx, about, &error)?;
                    Ok(Err(error))
                }
                result => Ok(Ok(result?)),
            }
        };
        let uses = async {
            if command.reads_uses()
                && let Err(error) = self.keep_noted_uses().await
            {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "usage could not be written; trying again \
                    later"
                );
            }
        };
        let decided = async {
            if command.stops_harm() { self.0.store.write_urgently(job).await? } else { self.0.store.write(job).await? }
        };
        // The writer runs jobs in order: both are in one group, at the cost of one.
        tokio::join!(biased; uses, decided).1
    }

    /// Records a denial, unless this principal has had too many in the last minute.
    pub(super) fn record_refusal(
        &self,
        txn: &mut WriteTxn<'_>,
        ctx: &Ctx,
        about: Attempt,
        error: &RegistryError,
    ) -> Result<(), RegistryError> {
        if let Some(unrecorded) = self.0.refusals.admit(&ctx.actor.name, about.command, ctx.now) {
            txn.commit(ctx.now, Vec::new(), ctx.refusal(about, error, unrecorded))?;
        }
        Ok(())
    }
}

/// Counts recent denials per principal and command, so that they cannot fill the disk or hide each other.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<(String, Command), Window>>);

#[derive(Clone, Copy, Default)]
struct Window {
    begin_ms: i64,
    recorded: u32,
    unrecorded: u64,
}

impl Window {
    const fn is_over(&self, now: Timestamp) -> bool {
        now.ms().saturating_sub(self.begin_ms) >= MINUTE_MS
    }
}

impl Refusals {
    /// Whether to record another one, and how many were not recorded before it.
    fn admit(&self, who: &str, command: Command, now: Timestamp) -> Option<u64> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry((who.to_owned(), command)).or_default();
        if window.is_over(now) {
            (window.begin_ms, window.recorded) = (now.ms(), 0);
        }
        if window.recorded >= REFUSALS_PER_MINUTE {
            window.unrecorded += 1;
            return None;
        }
        window.recorded += 1;
        Some(std::mem::take(&mut window.unrecorded))
    }

    /// Counts of past minutes that are not in the log yet.
    fn overdue(&self, now: Timestamp) -> Vec<(String, Command, u64)> {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let over = windows.iter().filter(|(_, window)| window.is_over(now));
        let counted = over.filter(|(_, window)| window.unrecorded > 0);
        let counted = counted.map(|((who, command), window)| (who.clone(), *command, window.unrecorded)).collect();
        windows.retain(|_, window| !window.is_over(now));
        counted
    }
}

impl Registry {
    /// Records the number of denials that were not logged one by one, after their minute has passed.
    ///
    /// # Errors
    /// The clock is implausible, or the store fails.
    pub async fn record_counted_refusals(&self) -> Result<(), RegistryError> {
        let now = self.commit_time()?;
        for (who, command, unrecorded) in self.0.refusals.overdue(now) {
            let entry = AuditEntry {
                actor: who,
                decision: Decision::Denied,
                reason: format!("{unrecorded} more were denied in one minute"),
                unrecorded,
                method: "counted".to_owned(),
                ..AuditEntry::of(command)
            };
            self.0.store.write(move |txn| txn.commit(now, Vec::new(), entry)).await?;
        }
        Ok(())
    }

    /// Decides and records access that changes nothing: a backup, a bundle, a report.
    ///
    /// # Errors
    /// The actor lacks permission, or the store fails.
    pub async fn permit(&self, actor: &Actor, command: Command, what: Option<Subject>) -> Result<(), RegistryError> {
        self.command(actor, Attempt::new(command, what.clone(), ""), move |txn, ctx, granted| {
            Ok(ctx.record(txn, granted, command, what.into_iter().collect())?)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_beyond_the_limit_are_counted_and_recorded_later() {
        let refusals = Refusals::default();
        let at = Timestamp::from_ms;
        for _ in 0..REFUSALS_PER_MINUTE {
            assert_eq!(refusals.admit("ann", Command::Deploy, at(1_000_000)), Some(0));
        }
        assert_eq!(refusals.admit("ann", Command::Deploy, at(1_000_001)), None);
        assert_eq!(refusals.admit("ann", Command::Deploy, at(1_059_999)), None);
        assert_eq!(refusals.admit("bob", Command::Deploy, at(1_059_999)), Some(0), "another principal");
        assert_eq!(refusals.admit("ann", Command::Publish, at(1_059_999)), Some(0), "something else");
        assert_eq!(refusals.admit("ann", Command::Deploy, at(1_060_000)), Some(2));
        assert_eq!(refusals.admit("ann", Command::Deploy, at(1_060_000)), Some(0));
        for _ in 0..REFUSALS_PER_MINUTE {
            refusals.admit("ann", Command::Deploy, at(1_060_000));
        }
        assert!(refusals.overdue(at(1_060_001)).is_empty(), "the minute is not over");
        assert_eq!(refusals.overdue(at(1_120_000)), [("ann".to_owned(), Command::Deploy, 2)]);
        assert!(refusals.overdue(at(1_120_000)).is_empty(), "told once");
    }
}

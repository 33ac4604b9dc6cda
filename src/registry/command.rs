//! What all commands share: the actor, the rules, and the audit entry of the decision.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::access::Rules;
use super::write_quota::WriteQuota;
use super::{Actor, Registry, RegistryError};
use crate::governance::risk::worst;
use crate::model::audit::{AuditChange, AuditEntry, Command, Decision, Subject};
use crate::model::commit_message::MESSAGE_CHARACTERS_MAX;
use crate::model::finding::{Finding, Severity};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::time::Timestamp;
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
        Self { command, subjects, message: message.chars().take(MESSAGE_CHARACTERS_MAX).collect() }
    }
}

/// The start of a text, up to a number of bytes.
pub(super) fn clip(text: &str, bytes_max: usize) -> String {
    let ends = text.char_indices().map(|(at, c)| at + c.len_utf8());
    let end = ends.take_while(|end| *end <= bytes_max).last().unwrap_or_default();
    text.get(..end).unwrap_or_default().to_owned()
}

/// A command in progress on the writer thread.
pub(super) struct Ctx {
    pub(super) now: Timestamp,
    pub(super) actor: Actor,
    pub(super) rules: Arc<Rules>,
    written: Arc<WriteQuota>,
    granted: RefCell<BTreeSet<String>>,
    approved_by: RefCell<BTreeSet<String>>,
    overrode: RefCell<Vec<String>>,
    change_request: Cell<Option<u64>>,
    applies: Cell<Option<u64>>,
    risk: Cell<Option<Severity>>,
}

impl Ctx {
    fn new(now: Timestamp, actor: Actor, rules: Arc<Rules>, written: Arc<WriteQuota>) -> Self {
        Self {
            now,
            actor,
            rules,
            written,
            granted: RefCell::default(),
            approved_by: RefCell::default(),
            overrode: RefCell::default(),
            change_request: Cell::new(None),
            applies: Cell::new(None),
            risk: Cell::new(None),
        }
    }

    /// A copy in which nothing is decided yet: for commands with several decisions.
    pub(super) fn afresh(&self) -> Self {
        Self::new(self.now, self.actor.clone(), Arc::clone(&self.rules), Arc::clone(&self.written))
    }

    /// A copy for another actor, in which nothing is decided yet.
    pub(super) fn as_actor(&self, actor: Actor) -> Self {
        Self::new(self.now, actor, Arc::clone(&self.rules), Arc::clone(&self.written))
    }

    /// Remembers which change request is being applied; it stands behind the deployment.
    pub(super) fn apply_request(&self, id: u64) {
        self.applies.set(Some(id));
        self.change_request.set(Some(id));
    }

    /// Whether this change request is being applied.
    pub(super) fn applies(&self, id: u64) -> bool {
        self.applies.get() == Some(id)
    }

    /// The change request behind the deployment: the one that is being applied, or whose approvals count.
    pub(super) const fn change_request(&self) -> Option<u64> {
        self.change_request.get()
    }

    /// Whether the actor is allowed to do this; the one decision of every command.
    pub(super) fn authorise(
        &self,
        permission: Permission,
        prompt: Option<&PromptName>,
        label: Option<&Label>,
    ) -> Result<(), RegistryError> {
        let ask = self.actor.ask(permission, prompt.map(PromptName::as_str), label.map(Label::as_str));
        let verdict = self.rules.book.decide(&ask);
        if verdict.allowed {
            self.granted.borrow_mut().insert(verdict.reason);
            Ok(())
        } else {
            let (actor, reason, roles) = (self.actor.name.clone(), verdict.reason, verdict.roles);
            Err(RegistryError::Forbidden { actor, reason, roles })
        }
    }

    /// Counts bytes that the actor is about to write, or refuses them if the quota is exceeded.
    pub(super) fn written(&self, bytes: usize) -> Result<(), RegistryError> {
        self.written.charge(&self.actor, bytes)
    }

    /// Records a reason, other than a grant, for which it was allowed.
    pub(super) fn because(&self, reason: String) {
        self.granted.borrow_mut().insert(reason);
    }

    pub(super) fn approved(&self, by: impl IntoIterator<Item = String>, request: Option<u64>) {
        self.approved_by.borrow_mut().extend(by);
        if request.is_some() {
            self.change_request.set(request);
        }
    }

    pub(super) fn overrode(&self, what: impl IntoIterator<Item = String>) {
        self.overrode.borrow_mut().extend(what);
    }

    /// The requirements that were overridden so far, and why.
    pub(super) fn overridden(&self) -> Vec<String> {
        self.overrode.borrow().clone()
    }

    pub(super) fn found(&self, findings: &[Finding]) {
        self.risk.set(self.risk.get().max(worst(findings)));
    }

    /// The audit entry of the pending change.
    pub(super) fn audit(
        &self,
        command: Command,
        subjects: Vec<Subject>,
        message: String,
        changes: Vec<AuditChange>,
    ) -> AuditEntry {
        let reasons: Vec<String> = self.granted.borrow().iter().cloned().collect();
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
            change_request: self.change_request.get(),
            approved_by: self.approved_by.borrow().iter().cloned().collect(),
            risk: self.risk.get(),
            overrode: self.overrode.borrow().clone(),
            ..AuditEntry::of(command)
        }
    }

    fn refusal(&self, about: Attempt, error: &RegistryError, unrecorded: u64) -> AuditEntry {
        AuditEntry {
            decision: Decision::Denied,
            reason: clip(&error.to_string(), REASON_BYTES_MAX),
            unrecorded,
            approved_by: Vec::new(),
            overrode: Vec::new(),
            ..self.audit(about.command, about.subjects, about.message, Vec::new())
        }
    }
}

impl Registry {
    /// Runs a command on the writer thread if the actor has the permission that it always needs. A denial changes
    /// nothing and is recorded.
    pub(super) async fn command<T: Send + 'static>(
        &self,
        actor: &Actor,
        about: Attempt,
        plan: impl FnOnce(&mut WriteTxn<'_>, &Ctx) -> Result<T, RegistryError> + Send + 'static,
    ) -> Result<T, RegistryError> {
        let now = self.commit_time()?;
        let Attempt { command, .. } = about;
        let (registry, actor) = (self.clone(), actor.clone());
        let job = move |txn: &mut WriteTxn<'_>| -> Result<Result<T, RegistryError>, RegistryError> {
            let ctx = Ctx::new(now, actor, registry.rules_in(txn)?, Arc::clone(&registry.0.written));
            let allowed = command.permission().map_or(Ok(()), |needed| ctx.authorise(needed, None, None));
            match allowed.and_then(|()| plan(txn, &ctx)) {
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
        self.command(actor, Attempt::new(command, what.clone(), ""), move |txn, ctx| {
            let subjects = what.into_iter().collect();
            txn.commit(ctx.now, Vec::new(), ctx.audit(command, subjects, String::new(), Vec::new()))?;
            Ok(())
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

//! Gates: what runs decided about contents, for policies that demand it.
//!
//! A result is stored for each content and suite; the newest one counts. It is about exactly this content, whichever
//! prompt and version has it. It becomes stale when its suite, a model that answered, an include or an upstream prompt
//! changes.

use std::collections::BTreeMap;

use super::chains::changed_around;
use super::command::Attempt;
use super::epochs::by_itself;
use super::label_move::LabelMove;
use super::suites;
use super::{Actor, Registry, RegistryError};
use crate::governance::label_policy::GateFacts;
use crate::model::audit::{AuditChange, AuditEntry, Command, Subject};
use crate::model::content_id::ContentId;
use crate::model::evaluation::{Evaluated, GateResult, GateState};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::serving::Serving;
use crate::resolve::CatalogueView;
use crate::store::StoreError;
use crate::store::documents::{Documents, Scan};
use crate::store::query::Queries;
use crate::store::read::ReadTxn;
use crate::store::write::WriteTxn;

/// Most conditions that were not met, in the reason of an entry and a requirement.
const REASONS_MAX: usize = 5;

impl Registry {
    /// Records that a run begins, if the actor is allowed to run evaluations of the prompt.
    ///
    /// # Errors
    /// The actor lacks permission, or the store fails.
    pub async fn permit_run(
        &self,
        actor: &Actor,
        command: Command,
        prompt: &PromptName,
        subjects: Vec<Subject>,
        message: &str,
    ) -> Result<(), RegistryError> {
        let prompt = prompt.clone();
        let about = Attempt::new(command, subjects.clone(), message);
        let message = message.to_owned();
        self.command(actor, about, move |txn, ctx, _| {
            let granted = ctx.authorise(Permission::Run, Some(&prompt), None)?;
            let audit = ctx.audit(granted, command, subjects, message, Vec::new());
            txn.commit(ctx.now, Vec::new(), audit)?;
            Ok(())
        })
        .await
    }

    /// Whether an actor may run evaluations of a prompt; nothing is recorded.
    ///
    /// # Errors
    /// It may not.
    pub fn may_run(&self, actor: &Actor, prompt: &PromptName) -> Result<(), RegistryError> {
        let ask = actor.ask(Permission::Run, Some(prompt.as_str()), None);
        let verdict = self.0.known.load().rules.book.decide(&ask);
        if verdict.allowed { Ok(()) } else { Err(RegistryError::denied(actor, verdict)) }
    }

    /// Whether a policy of a label demands that a suite passed.
    #[must_use]
    pub fn demands_gate(&self, prompt: &PromptName, label: &Label, suite: &str) -> bool {
        let known = self.0.known.load();
        let mut policies = known.rules.book.policies_of(prompt.as_str(), label.as_str());
        policies.any(|policy| policy.policy().gates.iter().any(|gate| gate == suite))
    }

    /// Records what a run decided. The audit log has the hashes of the content, the suite and the results.
    ///
    /// # Errors
    /// The clock is implausible, or the store fails.
    pub async fn record_gate(&self, gate: GateResult) -> Result<(), RegistryError> {
        let now = self.commit_time()?;
        let job = move |txn: &mut WriteTxn<'_>| {
            let (content, suite) = (gate.candidate.content_id.hex(), gate.suite.name.clone());
            let before = txn.get::<GateResult>((&content, &suite))?;
            // The newest result counts. One that says nothing does not replace one that passed.
            let holds = |before: &GateResult| {
                before.at > gate.at
                    || gate.state == GateState::Inconclusive
                        && before.state == GateState::Passed
                        && before.suite.id == gate.suite.id
                        && before.stale.is_none()
            };
            if before.as_ref().is_some_and(holds) {
                return Ok::<_, StoreError>(());
            }
            txn.put::<GateResult>((&content, &suite), &gate)?;
            txn.commit(now, Vec::new(), entry(Command::RecordGate, before.as_ref(), &gate))?;
            Ok(())
        };
        Ok(self.0.store.write(job).await?)
    }

    /// Marks results that pass as stale if `why` gives a reason, and records it. Returns how many.
    ///
    /// # Errors
    /// The clock is implausible, or the store fails.
    pub async fn mark_gates_stale(
        &self,
        why: impl Fn(&GateResult) -> Option<String> + Send + 'static,
    ) -> Result<usize, RegistryError> {
        let stale =
            self.gates_where(|gate| gate.stale.is_none() && gate.state == GateState::Passed && why(gate).is_some())?;
        if stale.is_empty() {
            return Ok(0);
        }
        let now = self.commit_time()?;
        let job = move |txn: &mut WriteTxn<'_>| {
            let mut marked = 0;
            for found in stale {
                let (content, suite) = (found.candidate.content_id.hex(), found.suite.name.clone());
                let Some(before) = txn.get::<GateResult>((&content, &suite))?.filter(|now| *now == found) else {
                    continue;
                };
                let gate = GateResult { stale: why(&before), ..before.clone() };
                txn.put::<GateResult>((&content, &suite), &gate)?;
                txn.commit(now, Vec::new(), entry(Command::MarkGateStale, Some(&before), &gate))?;
                marked += 1;
            }
            Ok::<_, StoreError>(marked)
        };
        Ok(self.0.store.write(job).await?)
    }

    /// The results about a content, by suite.
    ///
    /// # Errors
    /// The store fails.
    pub fn gates_of(&self, content: &ContentId) -> Result<Vec<GateResult>, RegistryError> {
        gates_about(&self.0.store.read()?, content)
    }

    /// The results about a content, by suite, as of the moment of a view.
    ///
    /// # Errors
    /// The store fails.
    pub fn gates_seen(&self, view: &CatalogueView, content: &ContentId) -> Result<Vec<GateResult>, RegistryError> {
        gates_about(view.txn(), content)
    }

    /// The results that are wanted, of all contents.
    ///
    /// # Errors
    /// The store fails.
    pub fn gates_where(&self, wanted: impl Fn(&GateResult) -> bool) -> Result<Vec<GateResult>, RegistryError> {
        let mut gates = self.0.store.read()?.list::<GateResult>()?;
        gates.retain(|gate| wanted(gate));
        Ok(gates)
    }

    /// The version with the content that a result is about, which may have been published after the run.
    ///
    /// # Errors
    /// The store fails.
    pub fn version_of_gate(&self, gate: &GateResult) -> Result<Option<u64>, RegistryError> {
        let Evaluated { prompt, version, content_id } = &gate.candidate;
        if version.is_some() {
            return Ok(*version);
        }
        let found = self.0.store.read()?.version_with_content(prompt, &content_id.hex())?;
        Ok(found.map(|version| version.number))
    }

    /// Marks results stale whose suite, include or upstream prompt has changed since. The commands that change them do not
    /// look for results themselves: there may be thousands.
    ///
    /// # Errors
    /// The clock is implausible, or the store fails.
    pub async fn mark_changed_gates(&self) -> Result<usize, RegistryError> {
        let registry = self.clone();
        let look = move || -> Result<BTreeMap<(u64, String), String>, StoreError> {
            let txn = registry.0.store.read()?;
            let mut changed = BTreeMap::new();
            for gate in txn.list::<GateResult>()? {
                let holds = gate.stale.is_none() && gate.state == GateState::Passed;
                if let Some(why) = if holds { staleness(&txn, &gate, None)? } else { None } {
                    changed.insert((gate.run, gate.suite.name), why);
                }
            }
            Ok(changed)
        };
        let changed = tokio::task::spawn_blocking(look).await;
        let changed = changed.map_err(|error| StoreError::from(std::io::Error::other(error)))??;
        if changed.is_empty() {
            return Ok(0);
        }
        self.mark_gates_stale(move |gate| changed.get(&(gate.run, gate.suite.name.clone())).cloned()).await
    }
}

/// Why a result does not hold any more when its suite has another version.
const SUITE_CHANGED: &str = "the suite has changed";

/// Why a result should be decided again; for what a label would serve, or for all labels that serve it.
pub(super) fn staleness<Q: Queries + Documents>(
    txn: &Q,
    gate: &GateResult,
    place: Option<&Label>,
) -> Result<Option<String>, StoreError> {
    if gate.stale.is_some() {
        return Ok(gate.stale.clone());
    }
    let latest = suites::latest(txn, &gate.suite.name)?;
    if latest.is_none_or(|latest| latest.id != gate.suite.id) {
        return Ok(Some(SUITE_CHANGED.to_owned()));
    }
    changed_around(txn, gate, place)
}

/// What is known of a gate for what a move would newly serve.
pub(super) fn gate_facts<Q: Queries + Documents>(
    txn: &Q,
    wanted: &LabelMove<'_>,
    suite: &str,
) -> Result<GateFacts, StoreError> {
    let mut facts = GateFacts { passed: true, ..GateFacts::default() };
    for number in wanted.new_versions() {
        let fresh = wanted.fresh.filter(|fresh| fresh.version.number == number);
        let id = match fresh {
            Some(fresh) => Some(fresh.version.content_id),
            None => txn.version(wanted.name, number)?.map(|version| version.content_id),
        };
        let found = match id {
            Some(id) => txn.get::<GateResult>((&id.hex(), suite))?,
            None => None,
        };
        let missing = match &found {
            Some(gate) if gate.state == GateState::Passed => {
                facts.stale = facts.stale.or(staleness(txn, gate, Some(wanted.label))?);
                facts.senders.extend(gate.sent_by.clone());
                if let Some(missing) = other_baseline(txn, wanted, gate)? {
                    facts.passed = false;
                    facts.missing = missing;
                }
                continue;
            }
            Some(gate) => format!("{} in run {}{}", gate.state, gate.run, unmet(gate)),
            None => format!("version {number} has no run of it; start one with `bookholder eval run`"),
        };
        facts.passed = false;
        if facts.missing.is_empty() {
            facts.missing = missing;
        }
    }
    Ok(facts)
}

/// Why a comparison does not count: it was not made with the version that most callers of the label get now, apart from the
/// candidate itself. With itself it counts only where there is nothing else to compare with.
fn other_baseline<Q: Queries>(
    txn: &Q,
    wanted: &LabelMove<'_>,
    gate: &GateResult,
) -> Result<Option<String>, StoreError> {
    let Some(baseline) = &gate.baseline else { return Ok(None) };
    let other = |number: u64| format!("run {} compared it with something else; add `--against @{number}`", gate.run);
    for number in wanted.from.map(Serving::main_versions).unwrap_or_default() {
        match txn.version(wanted.name, number)? {
            Some(version) if version.content_id == gate.candidate.content_id => {}
            Some(version) if version.content_id == baseline.content_id => return Ok(None),
            _ => return Ok(Some(other(number))),
        }
    }
    let is_itself = baseline.content_id == gate.candidate.content_id;
    let before =
        if is_itself { txn.prompt(wanted.name)?.map_or(0, |prompt| prompt.latest).checked_sub(1) } else { None };
    Ok(before.filter(|before| *before > 0).map(other))
}

/// The conditions that were not met, after a colon.
fn unmet(gate: &GateResult) -> String {
    let unmet = gate.checks.iter().filter(|check| check.state == gate.state).take(REASONS_MAX);
    let unmet: Vec<&str> = unmet.map(|check| check.says.as_str()).collect();
    if unmet.is_empty() { String::new() } else { format!(": {}", unmet.join("; ")) }
}

fn entry(command: Command, before: Option<&GateResult>, gate: &GateResult) -> AuditEntry {
    let evaluated = match gate.candidate.version {
        Some(version) => Subject::of_version(&gate.candidate.prompt, version),
        None => Subject::of_prompt(&gate.candidate.prompt),
    };
    let suite = Subject::Suite { name: gate.suite.name.clone() };
    let reason = match &gate.stale {
        Some(why) => format!("gate {} is stale: {why}", gate.suite.name),
        None => format!("gate {} {}{}", gate.suite.name, gate.state, unmet(gate)),
    };
    AuditEntry {
        reason,
        subjects: vec![evaluated, suite.clone(), Subject::Run { number: gate.run }],
        changes: vec![AuditChange::settings(suite, before, Some(gate))],
        ..by_itself(command, "evaluation")
    }
}

fn gates_about(txn: &ReadTxn, content: &ContentId) -> Result<Vec<GateResult>, RegistryError> {
    let mut gates = txn.list_of::<GateResult>(&Scan::under(content.hex().as_str()))?;
    for gate in &mut gates {
        gate.stale = staleness(txn, gate, None)?;
    }
    Ok(gates)
}

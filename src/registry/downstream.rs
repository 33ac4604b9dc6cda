//! The gates of the prompts that a move feeds: what its preview offers, and what a policy can demand.

use std::collections::BTreeMap;

use super::access::Rules;
use super::chains::{CHAIN_PROMPTS_MAX, Chain, downstream};
use super::gates::staleness;
use super::label_move::LabelMove;
use crate::api::evaluations::DownstreamSuite;
use crate::governance::label_policy::GateFacts;
use crate::model::evaluation::{GateResult, GateState};
use crate::model::name::{Label, PromptName};
use crate::model::serving::Serving;
use crate::store::StoreError;
use crate::store::documents::{Documents, Scan};
use crate::store::query::Queries;

/// A suite of a prompt behind the one that moves, and what is known of it.
struct Behind {
    prompt: PromptName,
    suite: String,
    /// Whether a policy of the label demands its gate.
    demanded: bool,
    facts: GateFacts,
}

/// The suites of the prompts that a move feeds, for what they serve on its label: those that policies demand there, and
/// those that have a result.
fn behind<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    wanted: &LabelMove<'_>,
    chain: &Chain,
) -> Result<Vec<Behind>, StoreError> {
    let Some(newest) = wanted.new_versions().into_iter().max() else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for prompt in &chain.prompts {
        let Some(state) = txn.label(prompt, wanted.label)? else { continue };
        let policies = rules.book.policies_of(prompt.as_str(), wanted.label.as_str());
        let mut suites: BTreeMap<String, bool> =
            policies.flat_map(|policy| &policy.policy().gates).map(|suite| (suite.clone(), true)).collect();
        for number in state.serving.versions() {
            let Some(version) = txn.version(prompt, number)? else { continue };
            let scan = Scan::<GateResult>::under(version.content_id.hex().as_str());
            for gate in txn.list_of::<GateResult>(&scan)? {
                suites.entry(gate.suite.name).or_insert(false);
            }
        }
        for (suite, demanded) in suites {
            let served = (prompt, &state.serving);
            let facts = standing(txn, served, &suite, (wanted.name, newest), wanted.label)?;
            found.push(Behind { prompt: prompt.clone(), suite, demanded, facts });
        }
    }
    Ok(found)
}

/// What is known of a gate for all that a downstream prompt serves, knowing a version of the one that feeds it.
fn standing<Q: Queries + Documents>(
    txn: &Q,
    (prompt, serving): (&PromptName, &Serving),
    suite: &str,
    (feeds, newest): (&PromptName, u64),
    label: &Label,
) -> Result<GateFacts, StoreError> {
    let mut facts = GateFacts { passed: true, ..GateFacts::default() };
    for number in serving.versions() {
        let Some(version) = txn.version(prompt, number)? else { continue };
        let found = txn.get::<GateResult>((&version.content_id.hex(), suite))?;
        let missing = match found {
            Some(gate) if gate.state == GateState::Passed => {
                if gate.upstream.get(feeds).is_some_and(|known| *known >= newest) {
                    facts.stale = facts.stale.or(staleness(txn, &gate, Some(label))?);
                    facts.senders.extend(gate.sent_by);
                    continue;
                }
                format!("run {} began before version {newest} was there", gate.run)
            }
            Some(gate) => format!("{} in run {}", gate.state, gate.run),
            None => format!("version {number} has no run of it"),
        };
        facts.passed = false;
        if facts.missing.is_empty() {
            facts.missing = missing;
        }
    }
    Ok(facts)
}

/// The suites of the prompts that a move feeds, of those that can be read.
pub(super) fn downstream_suites<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    wanted: &LabelMove<'_>,
    reads: &dyn Fn(&str) -> bool,
) -> Result<Vec<DownstreamSuite>, StoreError> {
    let chain = downstream(txn, wanted.name)?;
    let found = behind(txn, rules, wanted, &chain)?.into_iter().filter(|one| reads(one.prompt.as_str()));
    let suite = |Behind { prompt, suite, facts, .. }: Behind| DownstreamSuite {
        prompt,
        label: wanted.label.clone(),
        suite,
        passed: facts.passed && facts.stale.is_none(),
        missing: facts.stale.filter(|_| facts.passed).map_or(facts.missing, |why| format!("stale: {why}")),
    };
    Ok(found.map(suite).collect())
}

/// What is known of the gates that policies demand of the prompts that a move feeds, by what they are called.
pub(super) fn downstream_facts<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    wanted: &LabelMove<'_>,
    reads: &dyn Fn(&str) -> bool,
) -> Result<BTreeMap<String, GateFacts>, StoreError> {
    let chain = downstream(txn, wanted.name)?;
    let mut facts: BTreeMap<String, GateFacts> = BTreeMap::new();
    if chain.is_cut {
        let missing = format!("it feeds more than {CHAIN_PROMPTS_MAX} prompts; shorten the chain");
        facts.insert("of each prompt that it feeds".to_owned(), GateFacts { missing, ..GateFacts::default() });
    }
    for Behind { prompt, suite, facts: known, .. } in
        behind(txn, rules, wanted, &chain)?.into_iter().filter(|one| one.demanded)
    {
        let (named, known) = if reads(prompt.as_str()) {
            (format!("`{suite}` of {prompt}"), known)
        } else {
            let missing = if known.passed { String::new() } else { "ask who can read it".to_owned() };
            ("of a prompt that you cannot read".to_owned(), GateFacts { missing, ..known })
        };
        // Several that cannot be named count as one, which passes if all of them do.
        let before = facts.remove(&named).unwrap_or_else(|| GateFacts { passed: true, ..GateFacts::default() });
        let senders = before.senders.iter().chain(&known.senders).cloned().collect();
        let worse = if before.passed && before.stale.is_none() { known } else { before };
        facts.insert(named, GateFacts { senders, ..worse });
    }
    Ok(facts)
}

//! Checks a move against label policies: gathers the facts and finds unmet requirements.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::access::Rules;
use super::approvals::spent_at;
use super::clearance::Clearance;
use super::command::Ctx;
use super::contributors::{makers_of_move, proposers};
use super::downstream::downstream_facts;
use super::gates::gate_facts;
use super::label_move::{DeployAttempt, LabelMove, MoveOptions, proposed};
use super::stored_requests::open_requests;
use super::uses::used_lately;
use super::{RegistryError, check_message};
use crate::governance::interface;
use crate::governance::label_policy::{Approval, LabelPolicy, PolicyFacts};
use crate::governance::rollout::serves_share;
use crate::governance::rulebook::AccessQuery;
use crate::model::change_request::ChangeRequest;
use crate::model::content::Content;
use crate::model::deployment::Action;
use crate::model::finding::{Category, Finding, Severity};
use crate::model::name::{Label, PromptName};
use crate::model::policy::Policy;
use crate::model::principal::Permission;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::verdict::{Requirement, RequirementKind};
use crate::model::version::Bump;
use crate::store::StoreError;
use crate::store::documents::{Documents, Findings, ScannedUnder};
use crate::store::query::Queries;
use crate::store::write::WriteTxn;

/// Decides whether a move is allowed now: the grant, each policy of the label, and the callers of what it serves.
pub(super) fn authorize_move(
    txn: &WriteTxn<'_>,
    ctx: &Ctx,
    wanted: &LabelMove<'_>,
    terms: &MoveOptions,
) -> Result<Clearance, RegistryError> {
    let granted = ctx.authorise(Permission::Deploy, Some(wanted.name), Some(wanted.label))?;
    let found = findings_of_new(txn, &ctx.rules, wanted)?;
    let clearance = granted.and(Clearance::of_findings(&found));
    let risk = clearance.risk;
    let met = meet_policies(txn, ctx, wanted, terms, found).map_err(|error| error.with_risk(risk))?;
    Ok(clearance.and(met))
}

/// Checks a move against the policies of its label and the callers of what it serves.
fn meet_policies(
    txn: &WriteTxn<'_>,
    ctx: &Ctx,
    wanted: &LabelMove<'_>,
    terms: &MoveOptions,
    found: Vec<Finding>,
) -> Result<Clearance, RegistryError> {
    let book = &ctx.rules.book;
    let (name, label) = (wanted.name.as_str(), wanted.label.as_str());
    let mut clearance = Clearance::default();
    let governed = book.policies_of(name, label).next().is_some();
    let (facts, request) = if governed {
        let roles = book.roles_of(&ctx.actor.ask(Permission::Deploy, Some(name), Some(label)));
        let reads = |name: &str| ctx.rules.reads(&ctx.actor, name);
        let attempt = DeployAttempt { now: ctx.now, message: &terms.message, roles, reads: &reads };
        collect_facts(txn, &ctx.rules, wanted, attempt, found)?
    } else {
        (PolicyFacts::default(), None)
    };
    let mut unmet: Vec<Requirement> =
        book.policies_of(name, label).flat_map(|policy| policy.demands(&facts)).filter(|demand| !demand.met).collect();
    if terms.stops {
        let asked = |demand: &Requirement| demand.kind == RequirementKind::Deployers;
        let not_asked;
        (unmet, not_asked) = unmet.into_iter().partition(asked);
        if unmet.is_empty() {
            let policies = book.policies_of(name, label).map(LabelPolicy::policy);
            clearance.reasons.extend(policies.map(|policy| stops_under(policy, &not_asked)));
            return Ok(clearance);
        }
    }
    // Callers are protected on every label, with or without a policy.
    let broken = if terms.stops || (terms.history && !governed) { None } else { breaks(txn, wanted)? };
    if broken.is_some() && terms.allow_major {
        clearance.reasons.insert(format!("it may break callers of {}: `allow_major` was set", place(wanted)));
    }
    let overridden = match (unmet.is_empty(), &terms.break_glass) {
        (true, _) => None,
        (false, None) => {
            let (place, rollback) = (place(wanted), terms.rollback);
            return Err(RegistryError::PolicyNotMet { place, missing: unmet, rollback, risk: None });
        }
        (false, Some(why)) => {
            check_message(why)?;
            let granted = ctx.authorise(Permission::Override, Some(wanted.name), Some(wanted.label))?;
            clearance = clearance.and(granted);
            Some(why)
        }
    };
    // Breaking callers needs a separate decision: overriding policies does not cover it.
    if let Some(reasons) = broken.filter(|_| !terms.allow_major) {
        let by = wanted.from.map_or(Ok(Vec::new()), |from| used_by(txn, wanted.name, from, ctx.now))?;
        return Err(RegistryError::BreaksCallers { place: place(wanted), reasons, by, risk: None });
    }
    if let Some(why) = overridden {
        tracing::warn!(actor = ctx.actor.name, place = place(wanted), reason = why, "a policy was overridden");
        let says = |demand: &Requirement| format!("{}: {} — overridden because {why}", demand.policy, demand.says);
        clearance.overrode.extend(unmet.iter().map(says));
    } else {
        let policies = book.policies_of(name, label).map(|policy| &policy.policy().name);
        clearance.reasons.extend(policies.map(|policy| format!("policy {policy} is met")));
    }
    // Approvals of authors do not count, unless a policy allows it.
    let own = book.policies_of(name, label).any(|policy| policy.policy().self_approval);
    let counts = |approval: &Approval| own || !facts.makers.contains(&approval.by);
    clearance.approved_by = facts.approvals.iter().filter(|one| counts(one)).map(|one| one.by.clone()).collect();
    clearance.change_request = request;
    Ok(clearance)
}

/// What a policy requires of a move that stops a deployment, for the log: only the permission to deploy.
fn stops_under(policy: &Policy, not_asked: &[Requirement]) -> String {
    let asks = if policy.deployers.is_empty() { "nothing" } else { "only its deployers" };
    let missing = not_asked.iter().filter(|demand| demand.policy == policy.name).map(|demand| demand.says.as_str());
    let missing = missing.collect::<Vec<_>>().join(", ");
    let missing = if missing.is_empty() { missing } else { format!(" (not required: {missing})") };
    format!("policy {} requires {asks} for stopping a deployment{missing}", policy.name)
}

/// The requirements of all policies of a label for a move, met or not, and its approvers, for previews.
pub(super) fn evaluate_policies<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    wanted: &LabelMove<'_>,
    attempt: DeployAttempt<'_>,
) -> Result<(Vec<Requirement>, Vec<String>), StoreError> {
    let found = findings_of_new(txn, rules, wanted)?;
    let (facts, _) = collect_facts(txn, rules, wanted, attempt, found)?;
    let policies = rules.book.policies_of(wanted.name.as_str(), wanted.label.as_str());
    let demands = policies.flat_map(|policy| policy.demands(&facts)).collect();
    let approved_by: BTreeSet<String> = facts.approvals.into_iter().map(|approval| approval.by).collect();
    Ok((demands, approved_by.into_iter().collect()))
}

/// The findings in one version when it was published.
pub(super) fn findings_of(txn: &impl Documents, name: &PromptName, number: u64) -> Result<Vec<Finding>, StoreError> {
    let Findings(findings) = txn.get((name, number))?.unwrap_or_default();
    Ok(findings)
}

/// Refuses contents with secrets; only an admin can override that.
pub(super) fn refuse_secrets(
    ctx: &Ctx,
    name: &PromptName,
    findings: &[Finding],
    break_glass: Option<&String>,
) -> Result<Clearance, RegistryError> {
    let secret = |finding: &&Finding| finding.category == Category::Secrets && finding.severity >= Severity::High;
    let secrets: Vec<Finding> = findings.iter().filter(secret).cloned().collect();
    let mut clearance = Clearance::of_findings(&secrets);
    if secrets.is_empty() {
        return Ok(clearance);
    }
    let Some(why) = break_glass else {
        return Err(RegistryError::HoldsSecrets { name: name.clone(), findings: secrets });
    };
    check_message(why)?;
    let granted = ctx.authorise(Permission::Override, Some(name), None);
    let granted = granted.map_err(|error| error.with_risk(clearance.risk))?;
    tracing::warn!(actor = ctx.actor.name, %name, reason = why, "a content with a secret was published");
    clearance.overrode.push(format!("{} secrets in {name} — overridden because {why}", secrets.len()));
    Ok(clearance.and(granted))
}

/// The findings in the new versions. Contents classified by other rules, or by none, are classified again.
fn findings_of_new<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    wanted: &LabelMove<'_>,
) -> Result<Vec<Finding>, StoreError> {
    let mut found = Vec::new();
    for number in wanted.new_versions() {
        if let Some(fresh) = wanted.fresh.filter(|fresh| fresh.version.number == number) {
            found.extend_from_slice(fresh.findings);
            continue;
        }
        let scanned = txn.get::<ScannedUnder>((wanted.name, number))?.map(|ScannedUnder(id)| id);
        if scanned.is_some_and(|scanned| scanned == rules.scan_id) {
            found.extend(findings_of(txn, wanted.name, number)?);
        } else if let Some(content) = content(txn, wanted.name, number).map_err(|error| match error {
            RegistryError::Store(error) => error,
            other => StoreError::Record { kind: "content", reason: other.to_string() },
        })? {
            found.extend(rules.classify(&content));
        }
    }
    Ok(found)
}

/// Stores the findings in a version, and the rules that they were made with.
pub(super) fn keep_findings(
    txn: &mut WriteTxn<'_>,
    rules: &Rules,
    name: &PromptName,
    number: u64,
    findings: &[Finding],
) -> Result<(), StoreError> {
    if !findings.is_empty() {
        txn.put((name, number), &Findings(findings.to_vec()))?;
    }
    txn.put((name, number), &ScannedUnder(rules.scan_id.clone()))
}

/// The facts of a move, and the open change request that proposes exactly it.
fn collect_facts<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    wanted: &LabelMove<'_>,
    DeployAttempt { now, message, roles: deployer_roles, reads }: DeployAttempt<'_>,
    findings: Vec<Finding>,
) -> Result<(PolicyFacts, Option<u64>), StoreError> {
    let (name, label) = (wanted.name, wanted.label);
    let mut facts =
        PolicyFacts { now, message: message.to_owned(), deployer_roles, findings, ..PolicyFacts::default() };
    let new = wanted.new_versions();
    facts.makers = makers_of_move(txn, wanted)?.into_keys().collect();
    let mut request = None;
    let fingerprint = wanted.to.map(|to| match proposed(txn, name, label, to, wanted.fresh) {
        Ok(proposed) => Ok(Some(proposed.fingerprint)),
        Err(RegistryError::Store(error)) => Err(error),
        Err(_) => Ok(None),
    });
    if let Some((to, fingerprint)) = wanted.to.zip(fingerprint.transpose()?.flatten()) {
        let concerned =
            |open: &ChangeRequest| open.expires > now && open.moves.iter().any(|one| one.fingerprint == fingerprint);
        let open: Vec<_> = open_requests(txn)?.into_iter().filter(concerned).collect();
        let spent = if open.is_empty() { None } else { spent_at(txn, (name, label), to, &new)? };
        for open in open {
            facts.makers.extend(proposers(&open));
            for event in open.approvals_of(&fingerprint).filter(|event| Some(event.commit) > spent) {
                // Approvers must still have the permission to review.
                let ask = AccessQuery::on_label(&event.by, Permission::Review, name.as_str(), label.as_str());
                let roles = rules.book.roles_of(&ask);
                if !roles.is_empty() {
                    facts.approvals.push(Approval { by: event.by.clone(), roles });
                }
            }
            request = Some(open.id);
        }
    }
    let policies = rules.book.policies_of(name.as_str(), label.as_str());
    let before: BTreeSet<&Label> =
        policies.filter_map(|policy| policy.policy().after.as_ref()).map(|after| &after.label).collect();
    for label in before {
        if let Some(served_ms) = served_for(txn, name, label, &new, now)? {
            facts.served_ms.insert(label.clone(), served_ms);
        }
    }
    let gates: BTreeSet<&String> =
        rules.book.policies_of(name.as_str(), label.as_str()).flat_map(|policy| &policy.policy().gates).collect();
    for gate in gates {
        facts.gates.insert(gate.clone(), gate_facts(txn, wanted, gate)?);
    }
    if rules.book.policies_of(name.as_str(), label.as_str()).any(|policy| policy.policy().downstream_gates) {
        facts.downstream = downstream_facts(txn, rules, wanted, reads)?;
    }
    Ok((facts, request))
}

/// The shortest time for which a label has served each of these versions; absent if one was never served. If one was
/// stopped there, only the time since counts.
fn served_for<Q: Queries + Documents>(
    txn: &Q,
    name: &PromptName,
    label: &Label,
    versions: &[u64],
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let mut served: BTreeMap<u64, i64> = BTreeMap::new();
    let mut spans = Vec::new();
    let mut end = now;
    let mut stopped: BTreeSet<u64> = BTreeSet::new();
    txn.visit_deployments(name, label, u64::MAX, &mut |deployment| {
        let tried = |to: &Serving| versions.iter().copied().filter(|number| serves_share(to, *number)).collect();
        let mut tried: Vec<u64> = deployment.to.as_ref().map(tried).unwrap_or_default();
        tried.retain(|number| !stopped.contains(number));
        spans.push((tried, deployment.at, end, deployment.id));
        end = deployment.at;
        if deployment.action != Action::Deploy {
            stopped.extend(deployment.from.iter().flat_map(Serving::versions));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for (tried, at, end, id) in spans {
        if tried.is_empty() {
            continue;
        }
        // An imported deployment counts from its import, regardless of its own time.
        let at = at.max(txn.audit_entry(id)?.map_or(at, |entry| entry.at));
        for number in tried {
            *served.entry(number).or_default() += (end.ms() - at.ms()).max(0);
        }
    }
    // What is already served needs no more time.
    Ok(versions.iter().map(|number| served.get(number).copied()).min().unwrap_or(Some(i64::MAX)))
}

/// Why callers of what a label serves would break; absent if they would not.
pub(super) fn breaks<Q: Queries>(txn: &Q, wanted: &LabelMove<'_>) -> Result<Option<Vec<String>>, RegistryError> {
    let (Some(from), Some(_)) = (wanted.from, wanted.to) else { return Ok(None) };
    let mut reasons: Vec<String> = Vec::new();
    for old in from.versions() {
        let Some(old) = content(txn, wanted.name, old)? else { continue };
        for number in wanted.new_versions() {
            let new = match wanted.fresh.filter(|fresh| fresh.version.number == number) {
                Some(fresh) => Some(fresh.content.clone()),
                None => content(txn, wanted.name, number)?,
            };
            let Some(new) = new else { continue };
            let change = interface::between(&old, &new);
            if change.bump == Bump::Major {
                reasons.extend(change.reasons);
            }
        }
    }
    reasons.sort();
    reasons.dedup();
    Ok((!reasons.is_empty()).then_some(reasons))
}

/// The content of a version, unless it does not exist or is archived.
pub(super) fn content<Q: Queries>(txn: &Q, name: &PromptName, number: u64) -> Result<Option<Content>, RegistryError> {
    let Some(version) = txn.version(name, number)? else { return Ok(None) };
    let entry = txn.content_in(name.namespace(), &version.content_id)?;
    Ok(entry.map(|entry| Content::from_json(&entry.value)).transpose()?)
}

/// Callers that used what a label serves, in the last day.
pub(super) fn used_by(
    txn: &impl Documents,
    name: &PromptName,
    serving: &Serving,
    now: Timestamp,
) -> Result<Vec<String>, RegistryError> {
    let mut by = BTreeSet::new();
    for number in serving.versions() {
        by.extend(used_lately(txn, name, number, now)?);
    }
    Ok(by.into_iter().collect())
}

fn place(wanted: &LabelMove<'_>) -> String {
    format!("{}@{}", wanted.name, wanted.label)
}

//! Views of change requests: lists, and one with everything a reviewer needs.

use std::ops::ControlFlow;

use super::applying::waits_for;
use super::proposal::four_eyes;
use crate::api::govern::{MoveReview, RequestPage, RequestView, ReviewedRequest, Reviewer, UnmetRequirement};
use crate::governance::diff::diff;
use crate::governance::interface;
use crate::model::change_request::{ChangeRequest, ProposedMove, RequestState};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::registry::access::Rules;
use crate::registry::downstream::downstream_suites;
use crate::registry::label_move::{DeployAttempt, LabelMove};
use crate::registry::move_policy::{self, evaluate_policies, used_by};
use crate::registry::stored_requests::{absent, open_requests};
use crate::registry::{Actor, Registry, RegistryError};
use crate::resolve::CatalogueView;
use crate::resolve::catalogue::live_dependents;
use crate::store::StoreError;
use crate::store::documents::{Documents, OpenRequest, Scan};
use crate::store::query::Queries;
use crate::store::read::ReadTxn;

impl Registry {
    /// Change requests whose prompts the caller can read, newest first.
    ///
    /// # Errors
    /// The cursor is not of this list, or the store fails.
    pub fn change_requests(
        &self,
        view: &CatalogueView,
        state: Option<RequestState>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<RequestPage, RegistryError> {
        let before = match cursor {
            Some(cursor) => cursor.parse::<u64>().map_err(|_| {
                RegistryError::Unfit(
                    "the cursor is not from this list; pass \
                    `next` from the previous page"
                        .to_owned(),
                )
            })?,
            None => u64::MAX,
        };
        let (mut requests, mut next) = (Vec::new(), None);
        view.txn().visit_documents(&Scan::<ChangeRequest>::all().backwards(), &mut |found| {
            let request = found.read()?;
            let shown =
                request.id < before && state.is_none_or(|state| state == request.state) && reads_all(view, &request);
            if shown && requests.len() == limit {
                next = requests.last().map(|last: &ChangeRequest| last.id.to_string());
                return Ok(ControlFlow::Break(()));
            }
            if shown {
                requests.push(request);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(RequestPage { items: requests, next })
    }

    /// Open change requests whose prompts the caller can read, newest first.
    pub fn open_change_requests(&self, view: &CatalogueView) -> Result<Vec<ChangeRequest>, RegistryError> {
        let mut open = open_requests(view.txn())?;
        open.retain(|request| reads_all(view, request));
        open.reverse();
        Ok(open)
    }

    /// Number of open change requests, for metrics.
    pub fn open_change_request_count(&self) -> Result<usize, StoreError> {
        let mut count = 0;
        self.0.store.read()?.visit_documents(&Scan::<OpenRequest>::all(), &mut |_| {
            count += 1;
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// Why a principal cannot approve a change request as it is now; absent if they can.
    pub fn approval_barred(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        request: &ChangeRequest,
    ) -> Result<Option<String>, RegistryError> {
        let known = self.0.known.load();
        for one in &request.moves {
            let ask = actor.ask(Permission::Review, Some(one.name.as_str()), Some(one.label.as_str()));
            let verdict = known.rules.book.decide(&ask);
            if !verdict.allowed {
                return Ok(Some(verdict.lacks()));
            }
            match four_eyes(view.txn(), &known.rules, &actor.name, request, one) {
                Err(RegistryError::Forbidden { reason, .. }) => return Ok(Some(reason)),
                other => other?,
            }
        }
        Ok(None)
    }

    /// One change request after a review, with what it still needs.
    ///
    /// # Errors
    /// It does not exist, its prompts cannot be read, or the store fails.
    pub fn reviewed_request(&self, view: &CatalogueView, id: u64) -> Result<ReviewedRequest, RegistryError> {
        let (txn, known) = (view.txn(), self.0.known.load());
        let (rules, now) = (&known.rules, Timestamp::from_ms(self.0.clock.now_ms()));
        let request = readable(view, id)?;
        if request.state != RequestState::Open || request.expires <= now {
            return Ok(ReviewedRequest { request, complete: false, unmet: Vec::new(), waits_for: None });
        }
        let mut unmet = Vec::new();
        for one in &request.moves {
            let (name, label) = (&one.name, &one.label);
            let from = txn.label(name, label)?.map(|state| state.serving);
            let reads = |name: &str| view.scope().reads(name);
            let attempt = DeployAttempt { now, message: &request.message, roles: all_roles(rules), reads: &reads };
            let (requirements, _) =
                evaluate_policies(txn, rules, &LabelMove::of_proposal(one, from.as_ref()), attempt)?;
            let reviewers = reviewers_of(rules, name, label);
            unmet.extend(requirements.into_iter().filter(|demand| !demand.met).map(|requirement| UnmetRequirement {
                name: name.clone(),
                label: label.clone(),
                requirement,
                reviewers: reviewers.clone(),
            }));
        }
        let complete = unmet.is_empty();
        let waits_for = if complete { self.waits_for(txn, rules, &request, now)? } else { None };
        Ok(ReviewedRequest { request, complete, unmet, waits_for })
    }

    /// What a change request whose policies are met still waits for on this node.
    fn waits_for(
        &self,
        txn: &ReadTxn,
        rules: &Rules,
        request: &ChangeRequest,
        now: Timestamp,
    ) -> Result<Option<String>, RegistryError> {
        let waits = waits_for(txn, rules, request, now)?;
        let held = || format!("this node holds automation; deploy it with `bookholder request apply {}`", request.id);
        Ok(waits.or_else(|| (request.automatic && self.automation_is_held()).then(held)))
    }

    /// One change request, with everything that a reviewer needs.
    ///
    /// # Errors
    /// There is none, its prompts cannot be read, or the store fails.
    pub fn change_request(&self, view: &CatalogueView, id: u64) -> Result<RequestView, RegistryError> {
        let txn = view.txn();
        let request = readable(view, id)?;
        let rules = &self.0.known.load().rules;
        let now = Timestamp::from_ms(self.0.clock.now_ms());
        let reads = |name: &str| view.scope().reads(name);
        let review = |one: &ProposedMove| {
            let from = served_before(txn, &request, one)?;
            let asked = (request.state == RequestState::Open).then(|| DeployAttempt {
                now,
                message: &request.message,
                roles: all_roles(rules),
                reads: &reads,
            });
            review_of(txn, rules, &LabelMove::of_proposal(one, from.as_ref()), now, asked)
        };
        let mut moves = request.moves.iter().map(review).collect::<Result<Vec<_>, _>>()?;
        for one in &mut moves {
            view.scope().hide_unreadable(&mut one.dependents);
        }
        let open = request.state == RequestState::Open && request.expires > now;
        let complete = open && moves.iter().all(|one| one.requirements.iter().all(|demand| demand.met));
        let waits_for = if complete { self.waits_for(txn, rules, &request, now)? } else { None };
        Ok(RequestView { request, moves, complete, waits_for })
    }
}

/// What a label serves without a change request: now if it is open, and otherwise when it was closed, before it was
/// deployed.
fn served_before(txn: &ReadTxn, request: &ChangeRequest, one: &ProposedMove) -> Result<Option<Serving>, RegistryError> {
    if request.state == RequestState::Open {
        return Ok(txn.label(&one.name, &one.label)?.map(|state| state.serving));
    }
    // Closing is the last event; the commit that deployed it comes before the one of its event.
    let closed = request.events.last().map_or(u64::MAX, |event| event.commit);
    let mut before = None;
    txn.visit_deployments(&one.name, &one.label, closed, &mut |deployment| {
        // A request about several labels can be deployed in parts, with other commands.
        let fulfils = deployment.id > request.commit && deployment.to.as_ref() == Some(&one.serving);
        before = if fulfils { deployment.from } else { deployment.to };
        Ok(ControlFlow::Break(()))
    })?;
    Ok(before)
}

/// A change request all of whose prompts can be read.
fn readable(view: &CatalogueView, id: u64) -> Result<ChangeRequest, RegistryError> {
    let request = view.txn().get::<ChangeRequest>(id)?;
    request.filter(|request| reads_all(view, request)).ok_or_else(|| absent(id))
}

/// Every role: the deployer will have the right one, and a review shows what else is missing.
fn all_roles(rules: &Rules) -> Vec<String> {
    rules.book.roles.keys().cloned().collect()
}

/// Who can review a move, with the roles that allow it.
fn reviewers_of(rules: &Rules, name: &PromptName, label: &Label) -> Vec<Reviewer> {
    let holders = rules.book.principals_allowed(Permission::Review, name.as_str(), label.as_str());
    holders.into_iter().map(|(name, roles)| Reviewer { name, roles }).collect()
}

/// Whether every prompt of a change request can be read.
fn reads_all(view: &CatalogueView, request: &ChangeRequest) -> bool {
    request.moves.iter().all(|one| view.scope().reads(one.name.as_str()))
}

/// A move with everything a reviewer needs, including the label's requirements for an attempt to deploy it.
pub(in crate::registry) fn review_of(
    txn: &ReadTxn,
    rules: &Rules,
    wanted: &LabelMove<'_>,
    now: Timestamp,
    attempt: Option<DeployAttempt<'_>>,
) -> Result<MoveReview, RegistryError> {
    let &LabelMove { name, label, from, to, .. } = wanted;
    let mut findings = Vec::new();
    for number in wanted.new_versions() {
        findings.extend(move_policy::findings_of(txn, name, number)?);
    }
    let pair = from.and_then(Serving::fixed).zip(to.and_then(Serving::fixed)).filter(|(old, new)| old != new);
    let mut review = MoveReview {
        name: name.clone(),
        label: label.clone(),
        from: from.cloned(),
        diff: None,
        interface: None,
        findings,
        requirements: Vec::new(),
        approved_by: Vec::new(),
        reviewers: Vec::new(),
        dependents: live_dependents(txn, name, u64::MAX)?,
        downstream: Vec::new(),
        used_by: Vec::new(),
    };
    if let Some((old, new)) = pair
        && let (Some(old), Some(new)) = (move_policy::content(txn, name, old)?, move_policy::content(txn, name, new)?)
    {
        review.diff = Some(diff(&old, &new));
        review.interface = Some(interface::between(&old, &new));
    }
    let Some(attempt) = attempt else { return Ok(review) };
    review.downstream = downstream_suites(txn, rules, wanted, attempt.reads)?;
    review.used_by = from.map_or(Ok(Vec::new()), |from| used_by(txn, name, from, now))?;
    (review.requirements, review.approved_by) = evaluate_policies(txn, rules, wanted, attempt)?;
    review.reviewers = reviewers_of(rules, name, label);
    Ok(review)
}

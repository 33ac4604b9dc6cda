//! When a change request is deployed, in whose name, and what closes it.

use crate::api::write::Deployed;
use crate::governance::rulebook::AccessQuery;
use crate::model::audit::Command;
use crate::model::change_request::{ChangeRequest, EventKind, RequestEvent};
use crate::model::deployment::Action;
use crate::model::principal::Permission;
use crate::model::time::Timestamp;
use crate::registry::access::Rules;
use crate::registry::approvals::spent_at;
use crate::registry::clearance::Clearance;
use crate::registry::command::Ctx;
use crate::registry::contributors::proposers;
use crate::registry::deploy::authorize_moves;
use crate::registry::label_move::{DeployAttempt, LabelMove, MoveOptions, PlannedMove, proposed};
use crate::registry::move_policy::{self, evaluate_policies};
use crate::registry::stored_requests::{Closing, close, event, keep, open_requests, own_message, record};
use crate::registry::{Actor, AuthMethod, RegistryError};
use crate::store::documents::Documents;
use crate::store::query::Queries;
use crate::store::write::WriteTxn;

/// The principal in whose name a change request is deployed automatically; absent if no one who wanted exactly this is
/// allowed to deploy it.
fn applier<'a, Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    request: &'a ChangeRequest,
) -> Result<Option<&'a String>, RegistryError> {
    let may = |who: &str| {
        request.moves.iter().all(|one| {
            let ask = AccessQuery::on_label(who, Permission::Deploy, one.name.as_str(), one.label.as_str());
            rules.book.decide(&ask).allowed
        })
    };
    // What was rolled back since is not deployed again automatically.
    let mut spent = Vec::with_capacity(request.moves.len());
    for one in &request.moves {
        let from = txn.label(&one.name, &one.label)?.map(|state| state.serving);
        let wanted = LabelMove::of_proposal(one, from.as_ref());
        let served = from.as_ref() == Some(&one.serving);
        let place = (&one.name, &one.label);
        spent.push(if served { None } else { spent_at(txn, place, &one.serving, &wanted.new_versions())? });
    }
    // Only those who wanted exactly this: approvers of all of it as it is now, or its author if no one else amended it.
    let stands = |who: &String| {
        request.moves.iter().zip(&spent).all(|(one, spent)| {
            request.approvals_of(&one.fingerprint).any(|event| event.by == *who && Some(event.commit) > *spent)
        })
    };
    let approvers = request.events.iter().rev().filter(|event| event.kind == EventKind::Approve).map(|event| &event.by);
    let amended = request.events.iter().filter(|event| event.kind == EventKind::Amend).map(|event| event.commit);
    let asked = amended.fold(request.commit, u64::max);
    let author =
        (proposers(request).len() == 1 && spent.iter().all(|spent| Some(asked) > *spent)).then_some(&request.author);
    Ok(approvers.filter(|who| stands(who)).chain(author).find(|who| may(who)))
}

/// What an open change request still waits for, as a sentence; absent if all requirements are met.
pub(super) fn waits_for<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    request: &ChangeRequest,
    now: Timestamp,
) -> Result<Option<String>, RegistryError> {
    let by = applier(txn, rules, request)?;
    let mut broken = Vec::new();
    for one in &request.moves {
        let from = txn.label(&one.name, &one.label)?.map(|state| state.serving);
        let wanted = LabelMove::of_proposal(one, from.as_ref());
        let roles = match by.filter(|_| request.automatic) {
            Some(by) => {
                let ask = AccessQuery::on_label(by, Permission::Deploy, one.name.as_str(), one.label.as_str());
                rules.book.roles_of(&ask)
            }
            None => rules.book.roles.keys().cloned().collect(),
        };
        // The sentence is for everybody who can read the request.
        let attempt = DeployAttempt { now, message: &request.message, roles, reads: &|_| false };
        let (requirements, _) = evaluate_policies(txn, rules, &wanted, attempt)?;
        if let Some(missing) = requirements.into_iter().find(|demand| !demand.met) {
            return Ok(Some(format!("policy {} requires {}", missing.policy, missing.says)));
        }
        broken.extend(move_policy::breaks(txn, &wanted)?.unwrap_or_default());
    }
    if !broken.is_empty() {
        return Ok(Some(format!(
            "it would break current callers ({}); deploy it with --allow-major",
            broken.join("; ")
        )));
    }
    if request.automatic && by.is_none() {
        let waits = "neither its author nor an approver is allowed to deploy there; someone who is has to deploy it";
        return Ok(Some(waits.to_owned()));
    }
    Ok(None)
}

/// Deploys a request in the name of the approver or author who is allowed to, if all requirements are met; otherwise
/// leaves it open.
pub(super) fn apply_if_complete(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    request: &ChangeRequest,
) -> Result<(), RegistryError> {
    let Some(who) = applier(txn, &ctx.rules, request)? else { return Ok(()) };
    let deployer = Actor {
        name: who.clone(),
        kind: ctx.rules.book.principals.get(who).map_or(ctx.actor.kind, |principal| principal.kind),
        method: AuthMethod::Other(format!("change request {}, deployed automatically", request.id)),
        request_id: ctx.actor.request_id.clone(),
        client: ctx.actor.client,
        bound: None,
    };
    let ctx = ctx.as_actor(deployer);
    match apply(txn, &ctx, Clearance::default(), request, MoveOptions::of(&request.message)) {
        Err(RegistryError::Store(error)) => Err(error.into()),
        // A requirement is still not met, or is no longer met; nothing was changed, and the page of the request shows
        // why.
        Err(_) | Ok(_) => Ok(()),
    }
}

/// Turns off automatic deployment of open change requests that a principal opened, amended or approved, as its access
/// token is revoked; returns their numbers.
pub(in crate::registry) fn stop_automatic(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    principal: &str,
    token: &str,
) -> Result<Vec<u64>, RegistryError> {
    let mut stopped = Vec::new();
    for mut request in open_requests(txn)? {
        let approved = |event: &RequestEvent| event.kind == EventKind::Approve && event.by == principal;
        let concerned = proposers(&request).contains(principal) || request.events.iter().any(approved);
        if request.automatic && concerned {
            let message =
                format!("no longer deployed automatically: the access token {token} of {principal} was revoked");
            request.automatic = false;
            request.events.push(event(txn, ctx, EventKind::Comment, &message, Vec::new(), Vec::new()));
            keep(txn, &request)?;
            stopped.push(request.id);
        }
    }
    Ok(stopped)
}

pub(super) fn apply(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    granted: Clearance,
    request: &ChangeRequest,
    terms: MoveOptions,
) -> Result<Deployed, RegistryError> {
    for one in &request.moves {
        // Content IDs are what was approved; those of a version never change, but this is checked anyway.
        if proposed(txn, &one.name, &one.label, &one.serving, None)?.fingerprint != one.fingerprint {
            return Err(RegistryError::RequestMoved { id: request.id });
        }
    }
    let granted = granted.and(Clearance::of_request(request.id));
    let terms = MoveOptions { applies: Some(request.id), ..terms };
    let moves = request.moves.iter().map(PlannedMove::of_proposal).collect();
    let allowed = authorize_moves(txn, ctx, granted, &terms, Action::Deploy, moves)?;
    if !allowed.deployments.is_empty() {
        return allowed.commit(txn, ctx, &terms, Action::Deploy);
    }
    // Everything is already served, as requested.
    let (message, overrode) = (own_message(request, &terms.message), allowed.clearance.overrode.clone());
    close(txn, ctx, request.clone(), Closing { deployment: None, message, directly: None, overrode })?;
    record(txn, ctx, allowed.clearance, Command::Apply, request, terms.message.clone())?;
    Ok(Deployed::default())
}

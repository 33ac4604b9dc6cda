//! The proposal of a change request, and who cannot approve it.

use std::collections::BTreeSet;

use crate::api::govern::ProposedVersion;
use crate::api::limits::{MOVES_MAX, REVIEWERS_MAX};
use crate::api::write::{Move, PublishRequest};
use crate::model::audit::Subject;
use crate::model::change_request::{ChangeRequest, ProposedMove};
use crate::model::handle::{HANDLE_BYTES_MAX, is_handle};
use crate::model::name::{Label, PromptName};
use crate::model::principal::{Permission, Principal};
use crate::model::serving::Serving;
use crate::registry::access::Rules;
use crate::registry::clearance::Clearance;
use crate::registry::command::Ctx;
use crate::registry::contributors::{makers_of_move, proposers};
use crate::registry::deploy::{asked, build, check_moves, check_unmoved};
use crate::registry::label_move::{LabelMove, proposed};
use crate::registry::publish::publish;
use crate::registry::{RegistryError, live_prompt};
use crate::store::documents::Documents;
use crate::store::query::Queries;
use crate::store::write::WriteTxn;

/// What is proposed, and why that is allowed.
pub(super) struct Proposal {
    pub(super) moves: Vec<ProposedMove>,
    pub(super) clearance: Clearance,
}

/// Checks what is proposed, publishes its version, and binds the moves to their contents.
pub(super) fn propose(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    mut clearance: Clearance,
    version: Option<ProposedVersion>,
    moves: Vec<Move>,
    message: &str,
) -> Result<Proposal, RegistryError> {
    let mut places: Vec<(PromptName, Label)> = moves.iter().map(|one| (one.name.clone(), one.label.clone())).collect();
    if let Some(version) = &version {
        places.extend(version.labels.iter().map(|label| (version.name.clone(), label.clone())));
    }
    // Everything that can be refused is checked before the version is published.
    for (name, label) in &places {
        clearance = clearance.and(ctx.authorise(Permission::Publish, Some(name), None)?);
        if label.is_latest() {
            return Err(RegistryError::LatestIsAutomatic);
        }
    }
    if places.is_empty() {
        return Err(RegistryError::NothingToDeploy);
    }
    let (count, max) = (places.len(), MOVES_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "moves", count, max });
    }
    let mut seen = BTreeSet::new();
    if let Some((name, label)) = places.iter().find(|place| !seen.insert(*place)) {
        return Err(RegistryError::MovedTwice { name: name.clone(), label: label.clone() });
    }
    if !moves.is_empty() {
        check_moves(&moves)?;
    }
    let mut proposals = Vec::new();
    for Move { name, label, serving, expected_deployment } in moves {
        live_prompt(txn, &name)?;
        check_unmoved(txn, &name, &label, expected_deployment)?;
        let serving = build(txn, txn.next_seq(), &name, &label, serving)?;
        proposals.push(proposed(txn, &name, &label, &serving, None)?);
    }
    if let Some(ProposedVersion { name, content, bump, expected_parent, labels }) = version {
        let request = PublishRequest {
            content,
            message: message.to_owned(),
            bump,
            expected_parent,
            labels: Vec::new(),
            allow_major: false,
            break_glass: None,
        };
        let published = publish(txn, ctx, clearance.clone(), name.clone(), request, (message.to_owned(), Vec::new()))?;
        clearance = clearance.and(Clearance::of_findings(&published.findings));
        let serving = Serving::version(published.version.number);
        for label in labels {
            proposals.push(proposed(txn, &name, &label, &serving, None)?);
        }
    }
    Ok(Proposal { moves: proposals, clearance })
}

/// The requested reviewers without duplicates: principals other than the author.
pub(super) fn reviewers(txn: &WriteTxn<'_>, ctx: &Ctx, asked: Vec<String>) -> Result<Vec<String>, RegistryError> {
    let (count, max) = (asked.len(), REVIEWERS_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "reviewers", count, max });
    }
    let asked: Vec<String> = asked.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    for name in &asked {
        if *name == ctx.actor.name {
            return Err(RegistryError::Unfit(format!(
                "`{name}` is the author and cannot be a reviewer; choose someone \
                else"
            )));
        }
        let known = is_handle(name) && txn.has::<Principal>(name)?;
        if !known {
            return Err(RegistryError::NotFound {
                what: "principal",
                name: name.chars().take(HANDLE_BYTES_MAX).collect(),
            });
        }
    }
    Ok(asked)
}

pub(super) fn places(version: Option<&ProposedVersion>, moves: &[Move]) -> Vec<Subject> {
    let of_version = version
        .iter()
        .flat_map(|version| version.labels.iter().map(|label| Subject::of_label(&version.name, label, None)));
    moves.iter().map(asked).chain(of_version).collect()
}

/// Authors cannot approve their own changes, unless every policy of the label allows it.
pub(super) fn four_eyes<Q: Queries + Documents>(
    txn: &Q,
    rules: &Rules,
    who: &str,
    request: &ChangeRequest,
    one: &ProposedMove,
) -> Result<(), RegistryError> {
    let mut policies = rules.book.policies_of(one.name.as_str(), one.label.as_str()).peekable();
    if policies.peek().is_some() && policies.all(|policy| policy.policy().self_approval) {
        return Ok(());
    }
    let from = txn.label(&one.name, &one.label)?.map(|state| state.serving);
    let wanted = LabelMove::of_proposal(one, from.as_ref());
    let did = match makers_of_move(txn, &wanted)?.get(who) {
        Some(version) => format!("wrote part of {version}"),
        None if proposers(request).contains(who) => format!("opened change request {}", request.id),
        None => return Ok(()),
    };
    let (name, label) = (&one.name, &one.label);
    let reason = format!("`{who}` {did}; authors cannot approve their own changes to {name}@{label} (four eyes)");
    Err(RegistryError::denied_to(who, reason))
}

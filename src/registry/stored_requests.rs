//! Stored change requests: finding, changing and closing them, and their audit entries.

use std::ops::ControlFlow;

use super::RegistryError;
use super::clearance::Clearance;
use super::command::Ctx;
use crate::model::audit::{Command, Subject};
use crate::model::change_request::{ChangeRequest, EVENTS_MAX, EventKind, RequestEvent, RequestState};
use crate::model::principal::Permission;
use crate::store::StoreError;
use crate::store::documents::{Documents, OpenRequest, Scan};
use crate::store::write::WriteTxn;

/// Most comments of a change request, and most events before its end, so that comments cannot block its decision.
const COMMENTS_MAX: usize = 300;
const TALK_MAX: usize = EVENTS_MAX - 20;

/// Every open change request.
pub(super) fn open_requests(txn: &impl Documents) -> Result<Vec<ChangeRequest>, StoreError> {
    let mut open = Vec::new();
    txn.visit_documents(&Scan::<OpenRequest>::all(), &mut |found| {
        open.extend(txn.get::<ChangeRequest>(found.key()?)?);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(open)
}

pub(super) fn authorise_all(
    ctx: &Ctx,
    request: &ChangeRequest,
    permission: Permission,
) -> Result<Clearance, RegistryError> {
    let labelled = permission == Permission::Review;
    request.moves.iter().try_fold(Clearance::of_request(request.id), |clearance, one| {
        Ok(clearance.and(ctx.authorise(permission, Some(&one.name), labelled.then_some(&one.label))?))
    })
}

/// An open request. For callers who cannot read all of it, it is the same as an absent one; both are recorded.
pub(super) fn open(txn: &WriteTxn<'_>, ctx: &Ctx, id: u64) -> Result<ChangeRequest, RegistryError> {
    let found = txn.get::<ChangeRequest>(id)?;
    let reads =
        |request: &ChangeRequest| request.moves.iter().all(|one| ctx.rules.reads(&ctx.actor, one.name.as_str()));
    let Some(found) = found.filter(reads) else {
        let everything = ctx.actor.ask(Permission::Read, None, None);
        let actor = ctx.actor.name.clone();
        return Err(if ctx.rules.book.decide(&everything).allowed {
            absent(id)
        } else {
            RegistryError::RequestUnreadable { id, actor }
        });
    };
    match found.state {
        RequestState::Open if found.expires <= ctx.now => {
            Err(RegistryError::RequestClosed { id, state: RequestState::Expired })
        }
        RequestState::Open => Ok(found),
        state => Err(RegistryError::RequestClosed { id, state }),
    }
}

pub(super) fn room(request: &ChangeRequest, kind: EventKind) -> Result<(), RegistryError> {
    let max = match kind {
        EventKind::Comment => COMMENTS_MAX,
        EventKind::Approve | EventKind::Amend => TALK_MAX,
        EventKind::Reject | EventKind::Withdraw | EventKind::Apply | EventKind::Expire => return Ok(()),
    };
    let count = request.events.len() + 1;
    if count > max { Err(RegistryError::TooMany { what: "events of one change request", count, max }) } else { Ok(()) }
}

pub(super) fn keep(txn: &mut WriteTxn<'_>, request: &ChangeRequest) -> Result<(), StoreError> {
    if request.state == RequestState::Open {
        txn.put(request.id, &OpenRequest)?;
    } else {
        txn.remove::<OpenRequest>(request.id)?;
    }
    txn.put(request.id, request)
}

pub(super) fn record(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    clearance: Clearance,
    command: Command,
    request: &ChangeRequest,
    message: String,
) -> Result<(), StoreError> {
    let moves = request.moves.iter().map(|one| Subject::of_label(&one.name, &one.label, Some(one.serving.clone())));
    let clearance = clearance.and(Clearance::of_request(request.id));
    txn.commit(ctx.now, Vec::new(), ctx.audit(clearance, command, moves.collect(), message, Vec::new()))?;
    Ok(())
}

/// An event of a request in the pending commit.
pub(super) fn event(
    txn: &WriteTxn<'_>,
    ctx: &Ctx,
    kind: EventKind,
    message: &str,
    roles: Vec<String>,
    fingerprints: Vec<String>,
) -> RequestEvent {
    let (at, commit, by) = (ctx.now, txn.next_seq(), ctx.actor.name.clone());
    let message = message.to_owned();
    RequestEvent { at, commit, by, roles, kind, message, fingerprints, directly: None, overrode: Vec::new() }
}

pub(super) fn absent(id: u64) -> RegistryError {
    RegistryError::NotFound { what: "change request", name: id.to_string() }
}

/// How a request is closed as deployed.
pub(super) struct Closing<'a> {
    /// The commit that deployed it; absent if everything was already served.
    pub(super) deployment: Option<u64>,
    pub(super) message: &'a str,
    /// The command that deployed the same without applying the request.
    pub(super) directly: Option<Command>,
    /// The requirements that were overridden, and why.
    pub(super) overrode: Vec<String>,
}

/// Closes a request as deployed, with who did that and how.
pub(super) fn close(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    mut request: ChangeRequest,
    Closing { deployment, message, directly, overrode }: Closing<'_>,
) -> Result<(), RegistryError> {
    request.state = RequestState::Applied;
    request.deployment = deployment;
    let applied = event(txn, ctx, EventKind::Apply, message, Vec::new(), Vec::new());
    request.events.push(RequestEvent { directly, overrode, ..applied });
    Ok(keep(txn, &request)?)
}

/// The message of applying a request, unless it is the request's own.
pub(super) fn own_message<'a>(request: &ChangeRequest, message: &'a str) -> &'a str {
    if message == request.message { "" } else { message }
}

//! The one commit of what labels serve, which also closes the change requests that are fulfilled by it.

use super::RegistryError;
use super::command::Ctx;
use super::stored_requests::{close, open_requests, own_message};
use crate::model::audit::{AuditEntry, Command};
use crate::model::change_request::ProposedMove;
use crate::model::deployment::Deployment;
use crate::store::query::Queries;
use crate::store::write::{Change, WriteTxn};

/// Commits deployments with the changes that belong to them, and closes every open change request whose moves are all
/// served by then. Returns the number of the commit.
pub(super) fn commit(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    changes: Vec<Change>,
    audit: AuditEntry,
    deployments: &[Deployment],
) -> Result<u64, RegistryError> {
    let command = audit.command;
    let seq = txn.commit(ctx.now, changes, audit)?;
    close_fulfilled(txn, ctx, command, deployments, seq)?;
    Ok(seq)
}

fn close_fulfilled(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    command: Command,
    deployments: &[Deployment],
    seq: u64,
) -> Result<(), RegistryError> {
    let Some(message) = deployments.first().map(|first| &first.message) else { return Ok(()) };
    for request in open_requests(txn)? {
        let concerned = |one: &ProposedMove| deployments.iter().any(|d| d.name == one.name && d.label == one.label);
        if !request.moves.iter().any(concerned) {
            continue;
        }
        let mut served = true;
        for one in &request.moves {
            served &= txn.label(&one.name, &one.label)?.is_some_and(|state| state.serving == one.serving);
        }
        if served {
            let directly = (!ctx.applies(request.id)).then_some(command);
            let message = own_message(ctx, &request, message);
            close(txn, ctx, request, Some(seq), (message, directly))?;
        }
    }
    Ok(())
}

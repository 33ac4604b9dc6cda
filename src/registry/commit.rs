//! The one commit of what labels serve, which also closes the change requests that are fulfilled by it.

use super::RegistryError;
use super::command::Ctx;
use super::stored_requests::{Closing, close, open_requests, own_message};
use crate::model::audit::AuditEntry;
use crate::model::change_request::ProposedMove;
use crate::model::deployment::Deployment;
use crate::store::query::Queries;
use crate::store::write::{Change, WriteTxn};

/// Commits deployments with the changes that belong to them, and closes every open change request whose moves are all
/// served by then; `applies` is the one that is being applied. Returns the number of the commit.
pub(super) fn commit(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    changes: Vec<Change>,
    audit: AuditEntry,
    deployments: &[Deployment],
    applies: Option<u64>,
) -> Result<u64, RegistryError> {
    let (command, overrode) = (audit.command, audit.overrode.clone());
    let seq = txn.commit(ctx.now, changes, audit)?;
    let Some(message) = deployments.first().map(|first| &first.message) else { return Ok(seq) };
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
            let applied = applies == Some(request.id);
            let message = if applied { own_message(&request, message) } else { message };
            let directly = (!applied).then_some(command);
            let overrode = overrode.clone();
            close(txn, ctx, request, Closing { deployment: Some(seq), message, directly, overrode })?;
        }
    }
    Ok(seq)
}

//! Removes a prompt with its labels; its history remains.

use super::clearance::Clearance;
use super::command::{Attempt, Ctx};
use super::label_move::{LabelMove, MoveOptions};
use super::move_policy::authorize_move;
use super::publish::ChangeStamp as Stamped;
use super::{Actor, Registry, RegistryError, check_message, live_prompt, time_of_change};
use crate::api::write::{Deployed, RemoveRequest};
use crate::model::audit::{AuditChange, Command, Subject};
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::prompt::Prompt;
use crate::model::serving::Serving;
use crate::resolve::catalogue::live_dependents;
use crate::store::query::Queries;
use crate::store::write::{Change, WriteTxn};

impl Registry {
    /// Removes a prompt. Publishing restores it and continues the version numbers.
    ///
    /// # Errors
    /// The actor lacks permission, or is not allowed to remove a label that has a policy; the prompt does not exist,
    /// others include it, or the store fails.
    pub async fn remove(
        &self,
        actor: &Actor,
        name: PromptName,
        request: RemoveRequest,
    ) -> Result<Deployed, RegistryError> {
        let message = check_message(&request.message)?;
        let about = Attempt::new(Command::Remove, [Subject::of_prompt(&name)], &message);
        self.command(actor, about, move |txn, ctx, granted| {
            let granted = granted.and(ctx.authorise(Permission::Remove, Some(&name), None)?);
            let prompt = live_prompt(txn, &name)?;
            let at = time_of_change(ctx.now, prompt.changed);
            let terms = MoveOptions { break_glass: request.break_glass, ..MoveOptions::of(&message) };
            let why = Stamped { at, author: ctx.actor.name.clone(), message };
            let (_, deployments) = remove(txn, ctx, granted, Command::Remove, prompt, &why, terms)?;
            Ok(Deployed { deployments, ..Deployed::default() })
        })
        .await
    }
}

/// Commits the removal of an existing prompt.
pub(super) fn remove(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    mut granted: Clearance,
    command: Command,
    prompt: Prompt,
    why: &Stamped,
    terms: MoveOptions,
) -> Result<(u64, Vec<Deployment>), RegistryError> {
    let name = prompt.name.clone();
    let mut by = live_dependents(txn, &name, u64::MAX)?;
    if !by.is_empty() {
        let hidden = ctx.rules.hide_unreadable(&ctx.actor, &mut by);
        return Err(RegistryError::StillIncluded { name, by, hidden });
    }
    let id = txn.next_seq();
    let record = |label: Label, from: Serving| Deployment {
        id,
        name: name.clone(),
        label,
        at: why.at,
        actor: why.author.clone(),
        message: why.message.clone(),
        action: Action::Remove,
        from: Some(from),
        to: None,
        approved_by: Vec::new(),
        change_request: None,
    };
    let terms = MoveOptions { stops: true, ..terms };
    let mut changes = Vec::new();
    let mut deployments = vec![record(Label::latest(), Serving::version(prompt.latest))];
    for state in txn.labels(&name)? {
        // Without a policy, the permission to remove is enough; with one, each label needs what `unlabel` needs.
        if ctx.rules.book.policies_of(name.as_str(), state.label.as_str()).next().is_some() {
            let wanted = LabelMove::new((&name, &state.label), Some(&state.serving), None);
            granted = granted.and(authorize_move(txn, ctx, &wanted, &terms)?);
        }
        changes.push(Change::Unlabel(name.clone(), state.label.clone()));
        deployments.push(record(state.label, state.serving));
    }
    changes.extend(deployments.iter().cloned().map(Change::Deployment));
    changes.push(Change::Prompt(Prompt { changed: why.at, removed: Some(why.at), ..prompt }));
    let subjects = vec![Subject::of_prompt(&name)];
    let audited = deployments.iter().map(AuditChange::of_deployment).collect();
    let mut audit = ctx.audit(granted, command, subjects, why.message.clone(), audited);
    if command == Command::Import {
        audit = why.imported(audit);
    }
    Ok((txn.commit(ctx.now, changes, audit)?, deployments))
}

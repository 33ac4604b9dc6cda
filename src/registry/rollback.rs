//! Rollbacks: what a label served before, and when returning to it needs no further requirements.

use std::ops::ControlFlow;

use super::command::Attempt;
use super::deploy::{check_unmoved, move_labels};
use super::label_move::{MoveOptions, PlannedMove};
use super::{Actor, Registry, RegistryError, check_message, live_prompt};
use crate::api::write::{Deployed, RollbackRequest};
use crate::model::audit::{Command, Subject};
use crate::model::deployment::{Action, Deployment, rollback_target};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::serving::Serving;
use crate::store::StoreError;
use crate::store::documents::Documents;
use crate::store::query::Queries;

impl Registry {
    /// Returns a label to what it served before and was not rolled back from, or to one version.
    ///
    /// Going directly back over the newest deployment needs only the permission to deploy; anything else needs what a
    /// deployment needs.
    ///
    /// # Errors
    /// The actor lacks permission, there is no earlier deployment, it was retired, or the store fails.
    pub async fn rollback(
        &self,
        actor: &Actor,
        name: PromptName,
        label: Label,
        request: RollbackRequest,
    ) -> Result<Deployed, RegistryError> {
        let message = check_message(&request.message)?;
        let about = Attempt::new(
            Command::Rollback,
            [Subject::of_label(&name, &label, request.to.map(Serving::version))],
            &message,
        );
        self.command(actor, about, move |txn, ctx, granted| {
            let granted = granted.and(ctx.authorise(Permission::Deploy, Some(&name), Some(&label))?);
            live_prompt(txn, &name)?;
            check_unmoved(txn, &name, &label, request.expected_deployment)?;
            let back = way_back(txn, &name, &label)?;
            let serving = match (request.to, &back) {
                (Some(version), _) => Serving::version(version),
                (None, Some(back)) => back.serving.clone(),
                (None, None) => return Err(RegistryError::NothingToRollBack { name, label }),
            };
            let terms = MoveOptions {
                allow_major: request.allow_major,
                break_glass: request.break_glass,
                stops: back.is_some_and(|back| back.free && back.serving == serving),
                rollback: true,
                ..MoveOptions::of(&message)
            };
            move_labels(txn, ctx, granted, &terms, Action::Rollback, vec![PlannedMove { name, label, serving }])
        })
        .await
    }
}

/// What a rollback without a version returns to.
pub(super) struct RollbackTarget {
    pub(super) serving: Serving,
    /// Whether that needs only the grant and the role to deploy.
    pub(super) free: bool,
}

/// The target of a rollback of a label, and whether it is free.
///
/// It needs no requirements only directly back over the newest deployment. What was unlabelled, removed or rolled back
/// stays stopped regardless of later deployments, and what was deployed by overriding a policy was never approved.
pub(super) fn way_back<Q: Queries + Documents>(
    txn: &Q,
    name: &PromptName,
    label: &Label,
) -> Result<Option<RollbackTarget>, StoreError> {
    let mut deployments = Vec::new();
    txn.visit_deployments(name, label, u64::MAX, &mut |deployment| {
        deployments.push(deployment);
        Ok(ControlFlow::Continue(()))
    })?;
    let Some(Deployment { id, to: Some(serving), .. }) = rollback_target(deployments.iter().rev()) else {
        return Ok(None);
    };
    let direct = deployments
        .first()
        .is_some_and(|newest| newest.action == Action::Deploy && newest.from.as_ref() == Some(serving));
    let free = direct && txn.audit_entry(*id)?.is_none_or(|entry| entry.overrode.is_empty());
    Ok(Some(RollbackTarget { serving: serving.clone(), free }))
}

/// The label with a policy whose rollback would return to a version.
pub(super) fn rolls_back_to<Q: Queries + Documents>(
    txn: &Q,
    name: &PromptName,
    number: u64,
    governed: impl Fn(&Label) -> bool,
) -> Result<Option<Label>, StoreError> {
    for state in txn.labels(name)?.into_iter().filter(|state| governed(&state.label)) {
        let back = way_back(txn, name, &state.label)?.filter(|back| back.free);
        if back.is_some_and(|back| back.serving.versions().contains(&number)) {
            return Ok(Some(state.label));
        }
    }
    Ok(None)
}

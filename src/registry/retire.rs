//! Retires versions, so they can no longer be deployed, and un-retires them.

use super::command::Attempt;
use super::rollback::rolls_back_to;
use super::{Actor, Registry, RegistryError, check_message, live_prompt};
use crate::api::write::MessageRequest;
use crate::model::audit::{AuditChange, Command, Subject};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::version::{Retired, Version};
use crate::store::query::Queries;
use crate::store::write::Change;

impl Registry {
    /// Retires a version that no label serves, and to which no label with a policy would roll back.
    ///
    /// # Errors
    /// The actor lacks permission, the version does not exist, a label serves it or would roll back to it, or the store
    /// fails.
    pub async fn retire(
        &self,
        actor: &Actor,
        name: PromptName,
        number: u64,
        request: MessageRequest,
    ) -> Result<Version, RegistryError> {
        self.set_retired(actor, name, number, request, true).await
    }

    /// Allows a retired version to be deployed again.
    ///
    /// # Errors
    /// The actor lacks permission, the version does not exist, or the store fails.
    pub async fn reinstate(
        &self,
        actor: &Actor,
        name: PromptName,
        number: u64,
        request: MessageRequest,
    ) -> Result<Version, RegistryError> {
        self.set_retired(actor, name, number, request, false).await
    }

    async fn set_retired(
        &self,
        actor: &Actor,
        name: PromptName,
        number: u64,
        request: MessageRequest,
        retired: bool,
    ) -> Result<Version, RegistryError> {
        let command = if retired { Command::Retire } else { Command::Reinstate };
        let message = check_message(&request.message)?;
        let about = Attempt::new(command, [Subject::of_version(&name, number)], &message);
        self.command(actor, about, move |txn, ctx, granted| {
            let granted = granted.and(ctx.authorise(Permission::Retire, Some(&name), None)?);
            let prompt = live_prompt(txn, &name)?;
            let absent = || RegistryError::VersionNotFound { name: name.clone(), number, latest: prompt.latest };
            let mut version = txn.version(&name, number)?.ok_or_else(absent)?;
            if version.retired.is_some() == retired {
                return Ok(version);
            }
            let serving = txn.labels(&name)?.into_iter().find(|state| state.serving.versions().contains(&number));
            if let Some(state) = serving.filter(|_| retired) {
                return Err(RegistryError::VersionServed { name, number, label: state.label });
            }
            if retired {
                let governed =
                    |label: &Label| ctx.rules.book.policies_of(name.as_str(), label.as_str()).next().is_some();
                if let Some(label) = rolls_back_to(txn, &name, number, governed)? {
                    return Err(RegistryError::VersionRolledBackTo { name, number, label });
                }
            }
            let mark = Retired { at: ctx.now, actor: ctx.actor.name.clone(), message: message.clone() };
            let before = std::mem::replace(&mut version.retired, retired.then_some(mark));
            let subject = Subject::of_version(&name, number);
            let change = AuditChange::settings(subject.clone(), before.as_ref(), version.retired.as_ref());
            let changes = vec![Change::Version(name.clone(), version.clone())];
            let audit = ctx.audit(granted, command, vec![subject], message, vec![change]);
            txn.commit(ctx.now, changes, audit)?;
            Ok(version)
        })
        .await
    }
}

//! Owner, tags and description of prompts.

use super::command::{Attempt, SettingsChange};
use super::{Actor, Registry, RegistryError, live_prompt};
use crate::model::about::About;
use crate::model::audit::{Command, Subject};
use crate::model::name::PromptName;
use crate::model::principal::Permission;
use crate::store::documents::Documents;

impl Registry {
    /// Replaces the owner, tags and description of a prompt.
    ///
    /// # Errors
    /// The actor lacks permission, the prompt does not exist, a limit is exceeded, or the store fails.
    pub async fn describe(&self, actor: &Actor, name: PromptName, about: About) -> Result<About, RegistryError> {
        self.command(
            actor,
            Attempt::new(Command::Describe, [Subject::of_prompt(&name)], ""),
            move |txn, ctx, granted| {
                let granted = granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?);
                let about = about.checked().map_err(|error| RegistryError::Unfit(error.to_string()))?;
                live_prompt(txn, &name)?;
                let before = txn.get::<About>(&name)?;
                if before.clone().unwrap_or_default() == about {
                    return Ok(about);
                }
                if about.is_empty() {
                    txn.remove::<About>(&name)?;
                } else {
                    txn.put(&name, &about)?;
                }
                let subject = Subject::of_prompt(&name);
                let after = (!about.is_empty()).then_some(&about);
                let change = SettingsChange { before: before.as_ref(), after };
                ctx.record_settings(txn, granted, Command::Describe, subject, change)?;
                Ok(about)
            },
        )
        .await
    }
}

//! Owner, tags and description of prompts, and which prompts they feed.

use super::command::{Attempt, SettingsChange};
use super::{Actor, Registry, RegistryError, live_prompt};
use crate::model::about::About;
use crate::model::audit::{Command, Subject};
use crate::model::name::PromptName;
use crate::model::principal::Permission;
use crate::store::documents::Documents;
use crate::store::query::Queries;

impl Registry {
    /// Replaces the owner, tags and description of a prompt, and the prompts that it feeds. Of those, the ones that the
    /// actor cannot read stay: they are not shown to them.
    ///
    /// # Errors
    /// The actor lacks permission, the prompt or one that it feeds does not exist, a limit is exceeded, or the store
    /// fails.
    pub async fn describe(&self, actor: &Actor, name: PromptName, about: About) -> Result<About, RegistryError> {
        self.command(
            actor,
            Attempt::new(Command::Describe, [Subject::of_prompt(&name)], ""),
            move |txn, ctx, granted| {
                let granted = granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?);
                live_prompt(txn, &name)?;
                let before = txn.get::<About>(&name)?;
                let reads = |one: &PromptName| ctx.rules.reads(&ctx.actor, one.as_str());
                let mut about = about;
                let kept = before.as_ref().map(|before| &before.feeds);
                for fed in &about.feeds {
                    let is_new = !kept.is_some_and(|kept| kept.contains(fed));
                    let exists = || Ok::<_, RegistryError>(txn.prompt(fed)?.is_some_and(|it| it.removed.is_none()));
                    if is_new && !(reads(fed) && exists()?) {
                        return Err(RegistryError::Unfit(format!("there is no prompt `{fed}` that you can read")));
                    }
                }
                if about.feeds.contains(&name) {
                    return Err(RegistryError::Unfit("a prompt cannot feed itself".to_owned()));
                }
                about.feeds.extend(kept.into_iter().flatten().filter(|one| !reads(one)).cloned());
                let about = about.checked().map_err(|error| RegistryError::Unfit(error.to_string()))?;
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

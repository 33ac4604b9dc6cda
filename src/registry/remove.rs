//! Removing a prompt: its labels serve nothing any more; its history stays.

use super::publish::Why as Stamped;
use super::{Actor, Registry, RegistryError, check_message, live_prompt};
use crate::api::write::{Deployed, Why};
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};
use crate::model::prompt::Prompt;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::resolve::catalogue::live_dependents;
use crate::store::query::Queries;
use crate::store::write::{AuditDraft, Change, WriteTxn};

impl Registry {
    /// Removes a prompt. A later version brings it back, and goes on counting.
    ///
    /// # Errors
    /// The actor may not, there is no such prompt, others include it, or the store fails.
    pub async fn remove(&self, actor: &Actor, name: PromptName, request: Why) -> Result<Deployed, RegistryError> {
        actor.authorise("remove prompts")?;
        let message = check_message(&request.message)?;
        let author = actor.name.clone();
        self.command(move |txn, now| {
            let prompt = live_prompt(txn, &name)?;
            let at = now.max(prompt.changed);
            let (_, deployments) = remove(txn, now, prompt, Stamped { at, author, message })?;
            Ok(Deployed { deployments })
        })
        .await
    }
}

/// Commits the removal of a prompt that is there.
pub(super) fn remove(
    txn: &mut WriteTxn<'_>,
    now: Timestamp,
    prompt: Prompt,
    why: Stamped,
) -> Result<(u64, Vec<Deployment>), RegistryError> {
    let name = prompt.name.clone();
    let by: Vec<String> = live_dependents(txn, &name, u64::MAX)?;
    if !by.is_empty() {
        return Err(RegistryError::StillIncluded { name, by });
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
    };
    let mut changes = Vec::new();
    let mut deployments = vec![record(Label::latest(), Serving::version(prompt.latest))];
    for state in txn.labels(&name)? {
        changes.push(Change::Unlabel(name.clone(), state.label.clone()));
        deployments.push(record(state.label, state.serving));
    }
    changes.extend(deployments.iter().cloned().map(Change::Deployment));
    changes.push(Change::Prompt(Prompt { changed: why.at, removed: Some(why.at), ..prompt }));
    let subjects = vec![name.to_string()];
    let audit = AuditDraft { actor: why.author, command: "remove", subjects, message: why.message };
    Ok((txn.commit(now, changes, audit)?, deployments))
}

//! Imports history from another system: each change once, with its own time and author.

use super::command::{Attempt, Ctx};
use super::label_move::MoveOptions;
use super::move_policy::refuse_secrets;
use super::publish::{ChangeStamp, Plan, prepare};
use super::remove::remove;
use super::{Actor, Registry, RegistryError, check_message};
use crate::api::limits::IMPORT_CHANGES_MAX;
use crate::api::write::{ImportChange, ImportRequest, Imported};
use crate::model::about::{About, DESCRIPTION_CHARACTERS_MAX};
use crate::model::audit::{Command, Subject};
use crate::model::content::{Content, Syntax};
use crate::model::name::Label;
use crate::model::principal::Permission;
use crate::model::source::ImportedPrompt;
use crate::model::version::ACTOR_BYTES_MAX;
use crate::store::documents::Documents;
use crate::store::query::Queries;
use crate::store::write::WriteTxn;

/// How far ahead the other system's clock can be, in milliseconds.
const CLOCK_SLACK_MS: i64 = 60_000;
/// Longest id of an imported change, in bytes.
const IMPORT_ID_BYTES_MAX: usize = 64;

/// The result of one change.
enum ChangeOutcome {
    Published,
    Removed,
    Known,
}

/// The result of an import, with the changes that could not be imported.
pub struct ImportOutcome {
    /// Counts of the results.
    pub imported: Imported,
    /// Ids of refused changes, and why.
    pub refused: Vec<(String, RegistryError)>,
}

impl Registry {
    /// Imports changes, oldest first. A change that was imported before is skipped; one that is refused is listed, and
    /// does not affect the others.
    ///
    /// # Errors
    /// The actor lacks permission, there are too many changes, or the store fails: then none was imported.
    pub async fn import(&self, actor: &Actor, request: ImportRequest) -> Result<ImportOutcome, RegistryError> {
        let (count, max) = (request.changes.len(), IMPORT_CHANGES_MAX);
        if count > max {
            return Err(RegistryError::TooMany { what: "changes in one import", count, max });
        }
        let registry = self.clone();
        let about = Attempt::new(
            Command::Import,
            request.changes.iter().map(|one| Subject::of_label(&one.name, &request.label, None)),
            "",
        );
        self.command(actor, about, move |txn, ctx, _| {
            ctx.written(request.changes.iter().filter_map(|change| change.text.as_ref()).map(String::len).sum())?;
            let mut imported = Imported::default();
            let mut refused = Vec::new();
            for change in request.changes {
                let id = change.id.clone();
                let about = Attempt::new(
                    Command::Import,
                    [Subject::of_label(&change.name, &request.label, None)],
                    &change.message,
                );
                // Each change is decided and recorded separately.
                match import(txn, ctx, change, request.syntax, &request.label) {
                    Ok(ChangeOutcome::Published) => imported.published += 1,
                    Ok(ChangeOutcome::Removed) => imported.removed += 1,
                    Ok(ChangeOutcome::Known) => imported.known += 1,
                    Err(RegistryError::Store(error)) => return Err(error.into()),
                    Err(error) => {
                        if error.is_refusal() {
                            registry.record_refusal(txn, ctx, about, &error)?;
                        }
                        refused.push((id, error));
                    }
                }
            }
            Ok(ImportOutcome { imported, refused })
        })
        .await
    }
}

/// Imports one change under its own commit.
fn import(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    change: ImportChange,
    syntax: Syntax,
    label: &Label,
) -> Result<ChangeOutcome, RegistryError> {
    let granted = ctx.authorise(Permission::Import, Some(&change.name), None)?;
    let limit = |what, length: usize, max: usize| {
        if length > max { Err(RegistryError::TextTooLong { what, length, max }) } else { Ok(()) }
    };
    limit("the id of an imported change", change.id.len(), IMPORT_ID_BYTES_MAX)?;
    limit("an author's name", change.author.len(), ACTOR_BYTES_MAX)?;
    if txn.imported(&change.id)?.is_some() {
        return Ok(ChangeOutcome::Known);
    }
    let ImportChange { id, at, author, message, name, text, original } = change;
    let why = ChangeStamp { at, author, message: check_message(&message)? };
    let prompt = txn.prompt(&name)?;
    let is_new = prompt.is_none();
    if let Some(prompt) = &prompt {
        // Changes made here to an imported prompt since are not overwritten.
        let done = txn.get::<ImportedPrompt>(&name)?;
        let now = ImportedPrompt { version: prompt.latest, removed: prompt.removed.is_some() };
        if let Some(done) = done.filter(|done| *done != now) {
            return Err(RegistryError::ImportedOver { name, brought: done.version, newest: now.version });
        }
    }
    if at.ms() > ctx.now.ms().saturating_add(CLOCK_SLACK_MS) {
        return Err(RegistryError::FromTheFuture { name, at });
    }
    if let Some(last) = prompt.as_ref().map(|prompt| prompt.changed).filter(|last| at < *last) {
        return Err(RegistryError::HistoryOrder { name, at, last });
    }
    let (seq, outcome) = match text {
        None => match prompt.filter(|prompt| prompt.removed.is_none()) {
            None => return Err(RegistryError::PromptNotFound { name }),
            Some(prompt) => {
                let granted = granted.and(ctx.authorise(Permission::Remove, Some(&name), None)?);
                let terms = MoveOptions::of(&why.message);
                (remove(txn, ctx, granted, Command::Import, prompt, &why, terms)?.0, ChangeOutcome::Removed)
            }
        },
        Some(text) => {
            let prepared = prepare(txn, &ctx.rules, &ctx.actor, &name, &Content::text(syntax, text))?;
            let granted = granted.and(refuse_secrets(ctx, &name, &prepared.findings, None)?);
            let mut plan = Plan::new(txn, &name, prompt, prepared, None, &why)?;
            let terms = MoveOptions { history: true, ..MoveOptions::of(&why.message) };
            let granted = granted.and(plan.deploy(txn, ctx, &terms, &why, std::slice::from_ref(label))?);
            if plan.changes.is_empty() {
                // Later changes would make this one look out of order when the import is repeated.
                txn.remember_import(&id, plan.version.commit)?;
                return Ok(ChangeOutcome::Known);
            }
            (plan.commit(txn, ctx, granted, Command::Import, &why)?, ChangeOutcome::Published)
        }
    };
    txn.remember_import(&id, seq)?;
    if let Some(original) = original.filter(|_| is_new) {
        let description = original.chars().take(DESCRIPTION_CHARACTERS_MAX).collect();
        let about = About { description, ..About::default() }.checked();
        let about = about.map_err(|error| RegistryError::Unfit(error.to_string()))?;
        txn.put(&name, &about)?;
    }
    if let Some(prompt) = txn.prompt(&name)? {
        let brought = ImportedPrompt { version: prompt.latest, removed: prompt.removed.is_some() };
        txn.put(&name, &brought)?;
    }
    Ok(outcome)
}

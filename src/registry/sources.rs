//! Publishes from external sources: a watched folder, and uploaded files.
//!
//! The registry records what was last done from a place, in the same transaction. [`compare`] alone decides whether
//! anything has to be done, within that transaction.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::access::Rules;
use super::clearance::Clearance;
use super::command::{Attempt, Ctx};
use super::deploy::move_labels;
use super::label_move::{MoveOptions, PlannedMove};
use super::publish::publish;
use super::{Actor, Registry, RegistryError, check_message};
use crate::api::write::PublishRequest;
use crate::files::compare::{FileIds, LabelPresent, ParsedFile, Plan, RegistryState, compare};
use crate::model::audit::{Command, Subject};
use crate::model::deployment::{Action, Deployment};
use crate::model::name::{Label, PromptName};
use crate::model::principal::Permission;
use crate::model::serving::Serving;
use crate::model::source::PublishedFile;
use crate::store::StoreError;
use crate::store::documents::Documents;
use crate::store::query::Queries;
use crate::store::write::WriteTxn;

/// The result of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutcome {
    /// The decision.
    pub plan: Plan,
    /// The stamp to log with a response, if a version was created.
    pub stamp: Option<String>,
    /// The version with the content of the file, if there is one now.
    pub version: Option<u64>,
    /// Whether a version was created or a label moved.
    pub changed: bool,
}

impl Registry {
    /// Publishes and deploys a prompt file, compared with what was last done from its place.
    ///
    /// Nothing is recorded for a place without a name (`source`). A plan that changes nothing ([`Plan::Left`],
    /// [`Plan::Conflict`]) is a result, not an error.
    ///
    /// # Errors
    /// Publishing or deploying is refused.
    pub async fn publish_file(
        &self,
        actor: &Actor,
        source: Option<&str>,
        name: PromptName,
        written: ParsedFile,
        message: &str,
    ) -> Result<FileOutcome, RegistryError> {
        let message = check_message(message)?;
        let source = source.map(str::to_owned);
        let labels: BTreeSet<Label> = written.file.labels.iter().cloned().collect();
        {
            let (txn, known) = (self.0.store.read()?, self.0.known.load());
            if reads(&known.rules, actor, &name) {
                let (plan, done) = plan(&txn, source.as_deref(), &name, &written.ids, &labels)?;
                if is_up_to_date(&plan, &written.ids, source.is_some(), done.as_ref()) {
                    return Ok(FileOutcome::unchanged(plan));
                }
            }
        }
        let places = labels.iter().map(|label| Subject::of_label(&name, label, None));
        let about = Attempt::new(Command::Publish, std::iter::once(Subject::of_prompt(&name)).chain(places), &message);
        self.command(actor, about, move |txn, ctx, granted| {
            let granted = granted.and(ctx.authorise(Permission::Publish, Some(&name), None)?);
            let (plan, done) = plan(txn, source.as_deref(), &name, &written.ids, &labels)?;
            let content_id = written.ids.written();
            let outcome = carry_out(txn, ctx, granted, File { name: name.clone(), written, labels, message }, plan)?;
            if let (Some(source), Some(version)) = (source, outcome.version) {
                let now = PublishedFile { version, content_id };
                if done.as_ref() != Some(&now) {
                    txn.put::<PublishedFile>((&source, &name), &now)?;
                }
            }
            Ok(outcome)
        })
        .await
    }
}

impl FileOutcome {
    fn unchanged(plan: Plan) -> Self {
        let version = if let Plan::Same { version, .. } = plan { Some(version) } else { None };
        Self { plan, stamp: None, version, changed: false }
    }
}

/// Whether the caller can read a prompt; otherwise the command refuses.
fn reads(rules: &Rules, actor: &Actor, name: &PromptName) -> bool {
    rules.reads(actor, name.as_str())
}

/// Whether a plan has nothing to do or to record.
fn is_up_to_date(plan: &Plan, ids: &FileIds, remembers: bool, done: Option<&PublishedFile>) -> bool {
    match plan {
        Plan::Publish { .. } => false,
        Plan::Same { version, deploy, .. } => {
            let known = PublishedFile { version: *version, content_id: ids.written() };
            deploy.is_empty() && (!remembers || done == Some(&known))
        }
        Plan::Left(_) | Plan::Conflict(_) => true,
    }
}

/// A prompt file to publish.
struct File {
    name: PromptName,
    written: ParsedFile,
    labels: BTreeSet<Label>,
    message: String,
}

fn carry_out(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    granted: Clearance,
    File { name, written, labels, message }: File,
    plan: Plan,
) -> Result<FileOutcome, RegistryError> {
    match &plan {
        Plan::Publish { parent } => {
            let request = PublishRequest {
                content: written.file.content,
                message: message.clone(),
                bump: None,
                expected_parent: Some(*parent),
                labels: labels.into_iter().collect(),
                allow_major: false,
                break_glass: None,
            };
            let published = publish(txn, ctx, granted, name, request, (message, Vec::new()))?;
            let changed = published.created || published.deployment.is_some();
            let stamp = published.created.then_some(published.stamp);
            Ok(FileOutcome { plan, stamp, version: Some(published.version.number), changed })
        }
        Plan::Same { version, deploy, .. } if !deploy.is_empty() => {
            let moves = deploy.iter().map(|label| PlannedMove {
                name: name.clone(),
                label: label.clone(),
                serving: Serving::version(*version),
            });
            let deployed = move_labels(txn, ctx, granted, &MoveOptions::of(&message), Action::Deploy, moves.collect())?;
            Ok(FileOutcome { changed: !deployed.deployments.is_empty(), ..FileOutcome::unchanged(plan) })
        }
        _ => Ok(FileOutcome::unchanged(plan)),
    }
}

/// What to do with a file, and what was last done from its place.
fn plan<T: Queries + Documents>(
    txn: &T,
    source: Option<&str>,
    name: &PromptName,
    ids: &FileIds,
    labels: &BTreeSet<Label>,
) -> Result<(Plan, Option<PublishedFile>), StoreError> {
    let done = source.map(|source| txn.get::<PublishedFile>((source, name))).transpose()?.flatten();
    let present = present(txn, name, ids, labels)?;
    Ok((compare(ids, labels, done.as_ref(), present.as_ref()), done))
}

/// What the registry has under the name of a file.
fn present<T: Queries>(
    txn: &T,
    name: &PromptName,
    ids: &FileIds,
    labels: &BTreeSet<Label>,
) -> Result<Option<RegistryState>, StoreError> {
    let Some(prompt) = txn.prompt(name)? else { return Ok(None) };
    let newest = prompt.latest;
    let mut present = RegistryState { newest, gone: prompt.removed.is_some(), ..RegistryState::default() };
    txn.visit_versions(name, u64::MAX, &mut |version| {
        present.gone |= version.number == newest && version.retired.is_some();
        if ids.matches(&version) {
            present.same = Some(version.number);
            return Ok(ControlFlow::Break(()));
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for label in labels.iter().filter(|label| !label.is_latest()) {
        let serves = txn.label(name, label)?.is_some_and(|state| state.serving.fixed() == Some(newest));
        let mut has_newest =
            |deployment: &Deployment| deployment.to.as_ref().is_some_and(|to| to.versions().contains(&newest));
        let served = serves || txn.find_deployment(name, label, u64::MAX, &mut has_newest)?.is_some();
        present.labels.insert(label.clone(), LabelPresent { serves, served });
    }
    Ok(Some(present))
}

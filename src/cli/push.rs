//! `push`: publishes the prompt files of a folder that changed since the last pull or push.
//!
//! `bookholder.lock` records what was last done, and `files::compare` decides. Nothing is removed without `--prune`. A
//! file whose includes are not published yet is retried after the others, as long as a round makes progress.

mod advice;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::TryStreamExt;
use serde::Serialize;

use self::advice::Advice;
use super::args::values::WhyArgs;
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::findings::summary;
use super::folder::{self, FolderFile};
use super::output::{ACCENT, BAD, DIM, GOOD, WARN, one_line, paint};
use super::{Verdict, disk, why};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::problem::ErrorCode;
use crate::api::read::PromptView;
use crate::api::write::{DeployRequest, Move, PublishRequest, RemoveRequest, ServingRequest};
use crate::client::{ClientError, DeploymentFilter, PromptFilter};
use crate::files::compare::{FileIds, LabelPresent, Plan, RegistryChange, RegistryState, compare};
use crate::files::folder::{RetryRounds, may_wait};
use crate::files::lockfile::{LOCKFILE_NAME, LockedPrompt, Lockfile};
use crate::model::content_id::ContentId;
use crate::model::count::count;
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::prompt::Prompt;
use crate::model::source::PublishedFile;
use crate::model::version::Version;

const EXAMPLES: &str = "\
Examples:
  bookholder push prompts/ -m 'Release 14' --dry-run
  bookholder push prompts/ -m 'Release 14' --label staging
  bookholder push prompts/ -m 'Release 14' --prune   also remove deleted files

bookholder.lock in the folder records which version each file is. Unchanged
files are skipped; a changed file is rejected if someone else published a newer
version. Without bookholder.lock, a file is rejected if it equals an older
version.";

/// `push`
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PushArgs {
    /// Folder of prompt files; support/agent.prompt is the prompt support/agent
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    why: WhyArgs,
    /// Label to deploy to, in addition to the labels in the files; repeatable
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<Label>,
    /// Remove prompts whose file was deleted since the last pull or push
    #[arg(long)]
    prune: bool,
    /// Show what would be done without doing it
    #[arg(long)]
    dry_run: bool,
    /// Publish and deploy even if others published, deployed or rolled back since the last pull or push;
    /// with --prune, remove every prompt without a file
    #[arg(long)]
    force: bool,
    /// Deploy even if it breaks current callers
    #[arg(long)]
    allow_major: bool,
    /// Do not ask before removing prompts
    #[arg(short, long)]
    yes: bool,
}

/// The settings of a push.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub struct Push {
    pub folder: PathBuf,
    pub message: String,
    pub labels: Vec<Label>,
    pub prune: bool,
    pub dry_run: bool,
    pub force: bool,
    pub allow_major: bool,
    pub yes: bool,
}

/// The result for one prompt.
#[derive(Clone, Debug, Serialize)]
struct PushResult {
    name: PromptName,
    what: PushOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
    /// The new state of the file, for the lock file.
    #[serde(skip)]
    locked: Option<LockedPrompt>,
}

impl PushResult {
    const fn new(name: PromptName, what: PushOutcome) -> Self {
        Self { name, what, version: None, reason: None, findings: Vec::new(), locked: None }
    }

    fn refused(name: PromptName, reason: String) -> Self {
        Self { reason: Some(reason), ..Self::new(name, PushOutcome::Refused) }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum PushOutcome {
    Published,
    Labelled,
    Removed,
    Unchanged,
    Refused,
}

pub async fn run(args: PushArgs, context: Context) -> Result<Verdict, CliError> {
    let PushArgs { folder, why, label, prune, dry_run, force, allow_major, yes } = args;
    // Nothing is recorded by a dry run.
    let message = if dry_run { String::new() } else { why::message(why, &format!("Push {}", folder.display()))? };
    push(&context, Push { folder, message, labels: label, prune, dry_run, force, allow_major, yes }).await
}

/// What to do with one file.
struct PushTask<'a> {
    name: PromptName,
    file: &'a FolderFile,
    labels: BTreeSet<Label>,
    plan: Plan,
    advice: Advice,
    /// Whether the label that the folder follows serves the version of the file.
    in_step: bool,
    /// Prompts that the latest version includes, and whose text the file has instead.
    inlined: Vec<String>,
}

/// Pushes a folder and prints the result for each prompt.
pub async fn push(context: &Context, what: Push) -> Result<Verdict, CliError> {
    let files = folder::read(&what.folder, context.output)?;
    if files.is_empty() {
        let message = format!("{} has no prompt files", what.folder.display());
        return Err(CliError::usage(message).hint("the names of prompt files end in .prompt"));
    }
    let registry = context.client.status().await?.registry;
    let old = folder::read_lockfile(&what.folder)?.filter(|lock| lock.registry == registry);
    let filter = PromptFilter { prefix: None, removed: true };
    let prompts: Vec<PromptView> = context.client.prompts(&filter, PAGE_ROWS_MAX).try_collect().await?;
    let prompts: BTreeMap<_, _> = prompts.into_iter().map(|view| (view.prompt.name.clone(), view)).collect();
    let mut done = Vec::new();
    let mut waiting = Vec::new();
    for (name, file) in &files {
        let labels: BTreeSet<_> = file.file.labels.iter().chain(&what.labels).cloned().collect();
        let last = old.as_ref().and_then(|old| old.get(name)).map(LockedPrompt::done);
        let follows = old.as_ref().and_then(|old| old.label.as_ref());
        let inline = old.as_ref().is_some_and(|old| old.inline) && last.is_some();
        let (mut state, mut inlined, mut served) = (None, Vec::new(), None);
        if let Some(view) = prompts.get(name) {
            let latest = context.client.version(name, view.prompt.latest).await?.version;
            if inline && !what.force {
                inlined.extend(latest.includes.iter().map(|include| include.name.to_string()));
            }
            served = view.labels.iter().find(|state| Some(&state.label) == follows);
            state = Some(present(context, (view, &latest), &file.ids, &labels, last.as_ref()).await?);
        }
        let served = served.and_then(|state| state.serving.fixed());
        let serves_newest = served.is_some() && served == state.as_ref().map(|state| state.newest);
        let plan = compare(&file.ids, &labels, last.as_ref(), state.as_ref());
        let plan = if what.force { force(plan) } else { plan };
        let advice = Advice::new((&what.folder, &file.path), (follows, serves_newest), inline);
        let in_step = served.is_some() && served == last.map(|last| last.version);
        waiting.push(PushTask { name: name.clone(), file, labels, plan, advice, in_step, inlined });
    }
    let mut gone = Vec::new();
    let live = prompts.values().map(|view| &view.prompt).filter(|prompt| prompt.removed.is_none());
    for prompt in live.filter(|prompt| what.prune && !files.contains_key(&prompt.name)) {
        match kept_reason(old.as_ref().and_then(|old| old.get(&prompt.name)), prompt) {
            Some(kept) if !what.force => done.push(kept),
            _ => gone.push(prompt.name.clone()),
        }
    }
    if what.dry_run {
        done.extend(waiting.into_iter().map(predicted_result));
        done.extend(gone.into_iter().map(|name| PushResult::new(name, PushOutcome::Removed)));
    } else {
        if !gone.is_empty() {
            let question =
                format!("Remove {} without a file in {}?", count(gone.len(), "prompt"), what.folder.display());
            let names = gone.iter().map(ToString::to_string).collect();
            confirm(context.output, what.yes, &question, names)?;
        }
        publish(context, (&what.message, what.allow_major), waiting, &mut done).await?;
        for name in gone {
            let mut pushed = PushResult::new(name, PushOutcome::Removed);
            let why = RemoveRequest { message: what.message.clone(), break_glass: None };
            let removed = context.client.remove(&pushed.name, &why).await.map(drop);
            refuse(&mut pushed, removed)?;
            done.push(pushed);
        }
        remember(context, &what.folder, old, registry, &done).await?;
    }
    done.sort_by(|a, b| a.name.cmp(&b.name));
    print(context, &done, what.dry_run)
}

/// The state of the registry for the name of a file.
async fn present(
    context: &Context,
    (view, latest): (&PromptView, &Version),
    ids: &FileIds,
    labels: &BTreeSet<Label>,
    last: Option<&PublishedFile>,
) -> Result<RegistryState, CliError> {
    let (name, newest) = (&view.prompt.name, view.prompt.latest);
    let gone = view.prompt.removed.is_some() || latest.retired.is_some();
    let mut present =
        RegistryState { newest, gone, same: ids.matches(latest).then_some(newest), labels: BTreeMap::new() };
    if present.same.is_none() && last.is_none() {
        // The base of the file is unknown: it may have the content of an older version.
        let mut versions = context.client.versions(name, PAGE_ROWS_MAX);
        while let Some(version) = versions.try_next().await? {
            if ids.matches(&version) {
                present.same = Some(version.number);
                break;
            }
        }
    }
    for label in labels.iter().filter(|label| !label.is_latest()) {
        let state = view.labels.iter().find(|state| state.label == *label);
        let serves = state.is_some_and(|state| state.serving.fixed() == Some(newest));
        let mut served = serves;
        if !serves {
            let filter = DeploymentFilter { name: Some(name.clone()), label: Some(label.clone()) };
            let mut deployments = context.client.deployments(&filter, PAGE_ROWS_MAX);
            while let Some(deployment) = deployments.try_next().await? {
                served |= deployment.to.is_some_and(|to| to.versions().contains(&newest));
            }
        }
        present.labels.insert(label.clone(), LabelPresent { serves, served });
    }
    Ok(present)
}

/// A plan in which the folder overrides others' changes (`--force`).
fn force(plan: Plan) -> Plan {
    match plan {
        Plan::Conflict(moved) | Plan::Left(moved) => Plan::Publish { parent: moved.newest },
        Plan::Same { version, mut deploy, left } => {
            deploy.extend(left);
            Plan::Same { version, deploy, left: Vec::new() }
        }
        plan @ Plan::Publish { .. } => plan,
    }
}

/// Why a prompt without a file is not removed: others created it, or published since the last pull or push.
fn kept_reason(last: Option<&LockedPrompt>, prompt: &Prompt) -> Option<PushResult> {
    let Some(last) = last else {
        let reason = "it never had a file here; get it with `bookholder pull`, or remove it with --force".to_owned();
        return Some(PushResult {
            reason: Some(reason),
            ..PushResult::new(prompt.name.clone(), PushOutcome::Unchanged)
        });
    };
    let moved = RegistryChange { from: last.version, newest: prompt.latest, gone: false };
    let reason = || format!("{moved}; get it back with `bookholder pull`, or remove it with --force");
    (last.version < prompt.latest).then(|| PushResult::refused(prompt.name.clone(), reason()))
}

/// The result of a plan, unless the server rejects it.
fn predicted_result(job: PushTask<'_>) -> PushResult {
    let PushTask { name, plan, advice, in_step, inlined, .. } = job;
    match plan {
        Plan::Publish { parent } if !inlined.is_empty() => {
            let included = inlined.join(", ");
            let reason = format!(
                "version {parent} includes {included}, and the file was pulled with --inline: publishing it would lose \
                 that; pull without --inline and edit that file, or use --force to publish it without includes"
            );
            PushResult::refused(name, reason)
        }
        Plan::Publish { parent } => match name.check_new() {
            Err(error) if parent == 0 => PushResult::refused(name, error.to_string()),
            _ => PushResult::new(name, PushOutcome::Published),
        },
        Plan::Same { version, deploy, left } => same(name, version, &deploy, &left),
        Plan::Left(moved) => {
            // A file as its label serves it is up to date, also after a rollback.
            let reason = (!in_step || moved.gone).then(|| format!("{moved}; {}", advice.update()));
            PushResult { version: Some(moved.from), reason, ..PushResult::new(name, PushOutcome::Unchanged) }
        }
        Plan::Conflict(moved) => {
            let reason = format!("{moved}; {}", advice.merge(&name, moved));
            PushResult::refused(name, reason)
        }
    }
}

/// The result for a file that the latest version matches.
fn same(name: PromptName, version: u64, deploy: &[Label], left: &[Label]) -> PushResult {
    let what = if deploy.is_empty() { PushOutcome::Unchanged } else { PushOutcome::Labelled };
    PushResult { version: Some(version), reason: labels_left_reason(version, left), ..PushResult::new(name, what) }
}

/// Why labels were left unchanged.
fn labels_left_reason(version: u64, left: &[Label]) -> Option<String> {
    let labels: Vec<&str> = left.iter().map(Label::as_str).collect();
    let labels = labels.join(", ");
    (!left.is_empty())
        .then(|| format!("{labels} served version {version} and has been deployed to since; left unchanged"))
}

/// Executes the plans, included prompts first.
async fn publish(
    context: &Context,
    (message, allow_major): (&str, bool),
    jobs: Vec<PushTask<'_>>,
    done: &mut Vec<PushResult>,
) -> Result<(), CliError> {
    let mut rounds = RetryRounds::new(jobs.into_iter().map(|job| (job, None)).collect());
    while let Some((job, _)) = rounds.next_to_try() {
        let mut pushed = PushResult::new(job.name.clone(), PushOutcome::Published);
        let written = job.file.ids.written();
        match &job.plan {
            Plan::Publish { parent } if job.inlined.is_empty() => {
                let request = PublishRequest {
                    content: job.file.file.content.clone(),
                    message: message.to_owned(),
                    bump: None,
                    expected_parent: Some(*parent),
                    labels: job.labels.iter().cloned().collect(),
                    allow_major,
                    break_glass: None,
                };
                let published = context.client.publish(&job.name, &request).await;
                let retry = matches!(&published, Err(ClientError::Problem(problem)) if may_wait(problem.code));
                if let Ok(published) = &published {
                    let version = &published.version;
                    pushed.version = Some(version.number);
                    pushed.findings.clone_from(&published.findings);
                    pushed.locked = Some(locked(&job.name, version, written));
                    if !published.created {
                        pushed.what =
                            if published.deployment.is_some() { PushOutcome::Labelled } else { PushOutcome::Unchanged };
                    }
                }
                refuse(&mut pushed, published.map(drop))?;
                if retry {
                    rounds.put_back((job, Some(pushed)));
                    continue;
                }
            }
            Plan::Same { version, deploy, left } => {
                let (version, deploy, left) = (*version, deploy.clone(), left.clone());
                pushed = same(job.name.clone(), version, &deploy, &left);
                let latest = context.client.version(&pushed.name, version).await?.version;
                pushed.locked = Some(locked(&pushed.name, &latest, written));
                if !deploy.is_empty() {
                    let to = |label: &Label| Move {
                        name: pushed.name.clone(),
                        label: label.clone(),
                        serving: ServingRequest { version: Some(version), ..ServingRequest::default() },
                        expected_deployment: None,
                    };
                    let request = DeployRequest {
                        moves: deploy.iter().map(to).collect(),
                        message: message.to_owned(),
                        allow_major,
                        ..DeployRequest::default()
                    };
                    let deployed = context.client.deploy(&request).await.map(drop);
                    refuse(&mut pushed, deployed)?;
                }
            }
            Plan::Publish { .. } | Plan::Left(_) | Plan::Conflict(_) => pushed = predicted_result(job),
        }
        done.push(pushed);
    }
    done.extend(rounds.left().into_iter().filter_map(|(_, refused)| refused));
    Ok(())
}

fn locked(name: &PromptName, version: &Version, written: ContentId) -> LockedPrompt {
    LockedPrompt::new(name.clone(), version.number, version.content_id).written_as(written)
}

/// Records the new state of each file in the lock file.
async fn remember(
    context: &Context,
    folder: &Path,
    old: Option<Lockfile>,
    registry: String,
    done: &[PushResult],
) -> Result<(), CliError> {
    let removed: BTreeSet<&PromptName> =
        done.iter().filter(|pushed| pushed.what == PushOutcome::Removed).map(|pushed| &pushed.name).collect();
    // The first of two with one name counts.
    let mut prompts: Vec<LockedPrompt> = done.iter().filter_map(|pushed| pushed.locked.clone()).collect();
    let label = old.as_ref().and_then(|old| old.label.clone());
    let inline = old.as_ref().is_some_and(|old| old.inline);
    let before = old.iter().flat_map(Lockfile::prompts).filter(|prompt| !removed.contains(&prompt.name)).cloned();
    prompts.extend(before);
    let position = context.client.status().await?.position;
    let mut new = Lockfile::new(label, registry, position, prompts);
    new.inline = inline;
    if old.is_some_and(|old| old.prompts() == new.prompts()) {
        return Ok(());
    }
    let written = new.write().map_err(|error| CliError::no(error.to_string()));
    let written = written.and_then(|text| disk::write(&folder.join(LOCKFILE_NAME), text.as_bytes()));
    if let Err(error) = written {
        let warning = paint(WARN.bold(), "warning");
        context.output.note(format!("{warning}: could not update bookholder.lock: {error}"));
    }
    Ok(())
}

/// Records a rejection by the server; any other error ends the push.
fn refuse(pushed: &mut PushResult, result: Result<(), ClientError>) -> Result<(), CliError> {
    match result {
        Ok(()) => Ok(()),
        Err(ClientError::Problem(problem))
            if !matches!(problem.code, ErrorCode::Unauthorized | ErrorCode::Forbidden) =>
        {
            pushed.what = PushOutcome::Refused;
            let reasons: Vec<String> = std::iter::once(problem.detail).chain(problem.errors).collect();
            pushed.reason = Some(reasons.join("; "));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn print(context: &Context, done: &[PushResult], dry_run: bool) -> Result<Verdict, CliError> {
    let output = context.output;
    let number = |what: PushOutcome| done.iter().filter(|pushed| pushed.what == what).count();
    let refused = number(PushOutcome::Refused);
    output.show(&serde_json::json!({ "dry_run": dry_run, "prompts": done }), || {
        for pushed in done.iter().filter(|pushed| pushed.what != PushOutcome::Unchanged || pushed.reason.is_some()) {
            let (sign, style) = match pushed.what {
                PushOutcome::Removed => ("-", BAD),
                PushOutcome::Refused => ("✗", BAD),
                PushOutcome::Labelled => ("→", WARN),
                PushOutcome::Published => ("+", GOOD),
                PushOutcome::Unchanged => ("=", DIM),
            };
            let version = pushed.version.map(|number| format!("@{number}")).unwrap_or_default();
            let reason = pushed.reason.as_deref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
            let name = paint(ACCENT, format!("{}{version}", pushed.name));
            let found = summary(&pushed.findings).map(|found| format!(" ({found})")).unwrap_or_default();
            output.line(format!("{} {name}{found}{reason}", paint(style, sign)))?;
        }
        let would = if dry_run { "would be " } else { "" };
        let parts = [
            (PushOutcome::Published, "published"),
            (PushOutcome::Labelled, "labelled"),
            (PushOutcome::Removed, "removed"),
            (PushOutcome::Refused, "refused"),
            (PushOutcome::Unchanged, "unchanged"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(what, _)| number(*what) > 0)
            .map(|(what, word)| format!("{} {word}", number(what)))
            .collect();
        output.line(paint(DIM, format!("{} {would}{}", count(done.len(), "prompt") + ":", parts.join(", "))))
    })?;
    Ok(if refused == 0 { Verdict::Done } else { Verdict::No })
}

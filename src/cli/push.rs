//! `push`: publishes the prompt files of a folder that differ from the newest versions.
//!
//! Nothing is removed unless `--prune` asks for it. A file that cannot be published because what it includes is not
//! published yet is tried again after the others, as long as a round brings anything forward.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use futures_util::TryStreamExt;
use serde::Serialize;

use super::Verdict;
use super::args::values::WhyArgs;
use super::context::Context;
use super::error::CliError;
use super::findings::summary;
use super::folder::{self, FolderFile};
use super::output::{ACCENT, BAD, DIM, GOOD, WARN, count, one_line, paint};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::problem::ErrorCode;
use crate::api::read::PromptView;
use crate::api::write::{PublishRequest, Why};
use crate::client::{ClientError, PromptFilter};
use crate::files::folder::{Rounds, may_wait};
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};

const EXAMPLES: &str = "\
Examples:
  bookholder push prompts/ -m 'Release 14' --dry-run
  bookholder push prompts/ -m 'Release 14' --label staging
  bookholder push prompts/ -m 'Release 14' --prune       also removes prompts that have no file";

/// `push`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct PushArgs {
    /// The folder; support/agent.prompt in it is the prompt support/agent
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    why: WhyArgs,
    /// A label that serves what is pushed, besides those in the files; may be repeated
    #[arg(short, long, value_name = "LABEL")]
    label: Vec<Label>,
    /// Remove every prompt of the registry that has no file in the folder
    #[arg(long)]
    prune: bool,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
}

/// What to push, and how.
pub struct Push {
    pub folder: PathBuf,
    pub message: String,
    pub labels: Vec<Label>,
    pub prune: bool,
    pub dry_run: bool,
}

/// What became of one prompt.
#[derive(Clone, Debug, Serialize)]
struct Pushed {
    name: PromptName,
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
}

impl Pushed {
    const fn new(name: PromptName, what: What) -> Self {
        Self { name, what, version: None, reason: None, findings: Vec::new() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Published,
    Labelled,
    Removed,
    Unchanged,
    Refused,
}

pub async fn run(args: PushArgs, context: Context) -> Result<Verdict, CliError> {
    let PushArgs { folder, why, label, prune, dry_run } = args;
    push(&context, Push { folder, message: why.message, labels: label, prune, dry_run }).await
}

/// Pushes a folder and prints what became of each prompt.
pub async fn push(context: &Context, what: Push) -> Result<Verdict, CliError> {
    let files = folder::read(&what.folder)?;
    if files.is_empty() {
        let message = format!("{} holds no prompt files", what.folder.display());
        return Err(CliError::usage(message).hint("a prompt file ends in .prompt"));
    }
    let filter = PromptFilter { prefix: None, removed: true };
    let prompts: Vec<PromptView> = context.client.prompts(&filter, PAGE_ROWS_MAX).try_collect().await?;
    let prompts: BTreeMap<_, _> = prompts.into_iter().map(|view| (view.prompt.name.clone(), view)).collect();
    let mut done = Vec::new();
    let mut waiting = Vec::new();
    for (name, file) in &files {
        let labels: BTreeSet<_> = file.file.labels.iter().chain(&what.labels).cloned().collect();
        match differs(context, name, file, prompts.get(name), &labels).await? {
            None => done.push(Pushed::new(name.clone(), What::Unchanged)),
            Some(kind) if what.dry_run => done.push(Pushed::new(name.clone(), kind)),
            Some(_) => {
                let request = PublishRequest {
                    content: file.file.content.clone(),
                    message: what.message.clone(),
                    bump: None,
                    expected_parent: Some(prompts.get(name).map_or(0, |view| view.prompt.latest)),
                    labels: labels.into_iter().collect(),
                    allow_major: false,
                    break_glass: None,
                };
                waiting.push((name.clone(), request));
            }
        }
    }
    publish(context, waiting, &mut done).await?;
    if what.prune {
        for (name, _) in
            prompts.iter().filter(|(name, view)| view.prompt.removed.is_none() && !files.contains_key(name))
        {
            let mut pushed = Pushed::new(name.clone(), What::Removed);
            if !what.dry_run {
                let why = Why { message: what.message.clone() };
                refuse(&mut pushed, context.client.remove(name, &why).await.map(drop))?;
            }
            done.push(pushed);
        }
    }
    done.sort_by(|a, b| a.name.cmp(&b.name));
    print(context, &done, what.dry_run)
}

/// Whether a file says something else than the newest version, or a label should serve it and does not.
async fn differs(
    context: &Context,
    name: &PromptName,
    file: &FolderFile,
    prompt: Option<&PromptView>,
    labels: &BTreeSet<Label>,
) -> Result<Option<What>, CliError> {
    let Some(view) = prompt.filter(|view| view.prompt.removed.is_none()) else { return Ok(Some(What::Published)) };
    let latest = context.client.version(name, view.prompt.latest).await?.version;
    // A pulled file says what is served; one that its author keeps says what was written, before includes.
    if latest.content_id != file.content_id && latest.source_id != Some(file.content_id) {
        return Ok(Some(What::Published));
    }
    let serves = |label: &Label| {
        label.is_latest()
            || view.labels.iter().any(|state| state.label == *label && state.serving.fixed() == Some(latest.number))
    };
    Ok((!labels.iter().all(serves)).then_some(What::Labelled))
}

async fn publish(
    context: &Context,
    waiting: Vec<(PromptName, PublishRequest)>,
    done: &mut Vec<Pushed>,
) -> Result<(), CliError> {
    let mut rounds = Rounds::new(waiting.into_iter().map(|(name, request)| (name, request, None)).collect());
    while let Some((name, request, _)) = rounds.next_to_try() {
        let mut pushed = Pushed::new(name.clone(), What::Published);
        let published = context.client.publish(&name, &request).await;
        let retry = matches!(&published, Err(ClientError::Problem(problem)) if may_wait(problem.code));
        if let Ok(published) = &published {
            pushed.version = Some(published.version.number);
            pushed.findings.clone_from(&published.findings);
            if !published.created {
                pushed.what = What::Labelled;
            }
        }
        refuse(&mut pushed, published.map(drop))?;
        if retry {
            rounds.put_back((name, request, Some(pushed)));
        } else {
            done.push(pushed);
        }
    }
    done.extend(rounds.left().into_iter().filter_map(|(_, _, refused)| refused));
    Ok(())
}

/// Notes a no of the server; anything else ends the push.
fn refuse(pushed: &mut Pushed, result: Result<(), ClientError>) -> Result<(), CliError> {
    match result {
        Ok(()) => Ok(()),
        Err(ClientError::Problem(problem))
            if !matches!(problem.code, ErrorCode::Unauthorized | ErrorCode::Forbidden) =>
        {
            pushed.what = What::Refused;
            let reasons: Vec<String> = std::iter::once(problem.detail).chain(problem.errors).collect();
            pushed.reason = Some(reasons.join("; "));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

fn print(context: &Context, done: &[Pushed], dry_run: bool) -> Result<Verdict, CliError> {
    let output = context.output;
    let number = |what: What| done.iter().filter(|pushed| pushed.what == what).count();
    let refused = number(What::Refused);
    if output.json {
        output.json(&serde_json::json!({ "dry_run": dry_run, "prompts": done }))?;
    } else {
        for pushed in done.iter().filter(|pushed| pushed.what != What::Unchanged) {
            let (sign, style) = match pushed.what {
                What::Removed => ("-", BAD),
                What::Refused => ("✗", BAD),
                What::Labelled => ("→", WARN),
                What::Published | What::Unchanged => ("+", GOOD),
            };
            let version = pushed.version.map(|number| format!("@{number}")).unwrap_or_default();
            let reason = pushed.reason.as_deref().map(|reason| format!(": {}", one_line(reason))).unwrap_or_default();
            let name = paint(ACCENT, format!("{}{version}", pushed.name));
            let found = summary(&pushed.findings).map(|found| format!(" ({found})")).unwrap_or_default();
            output.line(format!("{} {name}{found}{reason}", paint(style, sign)))?;
        }
        let would = if dry_run { "would be " } else { "" };
        let parts = [
            (What::Published, "published"),
            (What::Labelled, "labelled"),
            (What::Removed, "removed"),
            (What::Refused, "refused"),
            (What::Unchanged, "unchanged"),
        ];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(what, _)| number(*what) > 0)
            .map(|(what, word)| format!("{} {word}", number(what)))
            .collect();
        output.line(paint(DIM, format!("{} {would}{}", count(done.len(), "prompt") + ":", parts.join(", "))))?;
    }
    Ok(if refused == 0 { Verdict::Done } else { Verdict::No })
}

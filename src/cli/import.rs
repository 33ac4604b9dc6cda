//! `import`: imports another library's history, change by change with its times and authors, or a folder.
//!
//! An import can be repeated: changes that were imported before are skipped. Invalid prompt names are mapped by the
//! rule of `files::mapping`, and listed; the original name becomes the description.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;

use super::args::values::one_of;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, DIM, GOOD, one_line, paint};
use super::{Verdict, progress, push};
use crate::api::problem::ErrorCode;
use crate::api::write::{ImportChange, ImportRequest, Imported};
use crate::client::ClientError;
use crate::files::batches::{BatchError, Batches, unpack};
use crate::files::mapping::RULE;
use crate::model::content::Syntax;
use crate::model::count::count;
use crate::model::name::{Label, PromptName};

/// Window of a compressed history, as a power of two: the default maximum of zstd.
const WINDOW_LOG_MAX: u32 = 27;

/// How long to wait, and how often, if the write quota is exceeded.
const PAUSE: Duration = Duration::from_secs(5);
const PAUSES_MAX: u32 = 15;

/// Most listed names.
const LISTED_MAX: usize = 20;

const EXAMPLES: &str = "\
Examples:
  bookholder import history.jsonl.zst
  export-history | bookholder import - --label staging --syntax mustache
  bookholder import prompts/ -m 'Moved from the old repository'

A history file has one change per line, oldest first; it can be zstd-compressed:
  {\"at\": \"2026-03-20T15:00:00Z\", \"author\": \"ada\", \"message\": \"Shorter\",
   \"name\": \"support/agent\", \"text\": \"…\"}
(on one line). A text of null removes the prompt. Importing a file again adds
only changes that are new.";

/// `import`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ImportArgs {
    /// Folder of prompt files, or history file (- for standard input)
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Label that each version is deployed to as of its date
    #[arg(short, long, value_name = "LABEL", default_value = "production")]
    label: Label,
    /// Template syntax of the history
    #[arg(long, value_name = "SYNTAX", default_value = "plain", value_parser = one_of(["plain", "mustache", "jinja"], syntax))]
    syntax: Syntax,
    /// Message, for a folder (a history contains its own messages)
    #[arg(short, long, value_name = "WHY")]
    message: Option<String>,
}

fn syntax(text: &str) -> Result<Syntax, String> {
    match text {
        "mustache" => Ok(Syntax::Mustache),
        "jinja" => Ok(Syntax::Jinja),
        "plain" => Ok(Syntax::Plain),
        _ => Err("use plain, mustache or jinja".to_owned()),
    }
}

/// The result of a whole import.
#[derive(Debug, Default, Serialize)]
struct Total {
    published: u64,
    removed: u64,
    known: u64,
    /// Original name to prompt name, if they differ.
    renamed: BTreeMap<String, PromptName>,
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    id: String,
    name: Option<PromptName>,
    reason: String,
}

pub async fn run(args: ImportArgs, context: Context) -> Result<Verdict, CliError> {
    if args.file.is_dir() {
        let message = args.message.unwrap_or_else(|| format!("Imported from {}", args.file.display()));
        let labels = vec![args.label];
        let push = push::Push {
            folder: args.file,
            message,
            labels,
            prune: false,
            dry_run: false,
            force: false,
            allow_major: false,
            yes: false,
        };
        return push::push(&context, push).await;
    }
    if args.message.is_some() {
        return Err(CliError::usage("a history file contains its own messages; remove -m"));
    }
    let length = args.file.metadata().ok().map(|data| data.len());
    let bar = progress::bytes(context.output, "import", length);
    let mut batches = open(&args.file, &bar)?;
    let mut total = Total::default();
    let result = import(&context, &mut batches, &args.label, args.syntax, &mut total).await;
    bar.finish_and_clear();
    let verdict = print(&context, &total)?;
    result.map(|()| verdict)
}

/// Opens a history, compressed or not.
fn open(path: &Path, bar: &ProgressBar) -> Result<Batches<'static>, CliError> {
    let fail = |error: std::io::Error| CliError::file("read", path, &error);
    let source: Box<dyn Read + Send> =
        if path == Path::new("-") { Box::new(std::io::stdin()) } else { Box::new(File::open(path).map_err(fail)?) };
    Ok(Batches::new(unpack(bar.wrap_read(source), WINDOW_LOG_MAX).map_err(fail)?, u64::MAX))
}

async fn import(
    context: &Context,
    batches: &mut Batches<'_>,
    label: &Label,
    syntax: Syntax,
    total: &mut Total,
) -> Result<(), CliError> {
    let wrong = |error: BatchError| {
        let hint = "fix the line and import again; earlier changes are skipped";
        CliError::usage(error.to_string()).hint(hint)
    };
    loop {
        let batch = batches.next_batch().map_err(wrong)?;
        if batch.is_empty() {
            return Ok(());
        }
        let mut changes = Vec::with_capacity(batch.len());
        for read in batch {
            if let Some(original) = read.renamed_from {
                total.renamed.insert(original, read.change.name.clone());
            }
            changes.push(read.change);
        }
        send(context, changes, label, syntax, total).await?;
    }
}

async fn send(
    context: &Context,
    changes: Vec<ImportChange>,
    label: &Label,
    syntax: Syntax,
    total: &mut Total,
) -> Result<(), CliError> {
    let request = ImportRequest { changes, syntax, label: label.clone() };
    let mut pauses = 0;
    let imported = loop {
        match context.client.import(&request).await {
            // A long history exceeds one principal's write quota.
            Err(ClientError::Problem(problem)) if problem.code == ErrorCode::RateLimited && pauses < PAUSES_MAX => {
                pauses += 1;
                tokio::time::sleep(PAUSE).await;
            }
            imported => break imported?,
        }
    };
    let Imported { published, removed, known, refused } = imported;
    total.published += published;
    total.removed += removed;
    total.known += known;
    total.refused.extend(refused.into_iter().map(|refused| Refused {
        name: request.changes.iter().find(|change| change.id == refused.id).map(|change| change.name.clone()),
        id: refused.id,
        reason: refused.problem.detail,
    }));
    Ok(())
}

fn print(context: &Context, total: &Total) -> Result<Verdict, CliError> {
    let output = context.output;
    output.show(total, || {
        if !total.renamed.is_empty() {
            output.line(format!("{} renamed:", count(total.renamed.len(), "prompt")))?;
            for (original, name) in total.renamed.iter().take(LISTED_MAX) {
                let original: String = one_line(original).chars().take(100).collect();
                output.line(format!("  {} → {}", paint(DIM, original), paint(ACCENT, name)))?;
            }
            if total.renamed.len() > LISTED_MAX {
                output.line(format!(
                    "  and {} more; use --json to list all",
                    total.renamed.len().saturating_sub(LISTED_MAX)
                ))?;
            }
            output.line(paint(DIM, RULE))?;
        }
        for refused in &total.refused {
            let name = refused.name.as_ref().map(ToString::to_string).unwrap_or_default();
            let reason = one_line(&refused.reason);
            output.line(format!(
                "{} {} {}: {reason}",
                paint(BAD, "✗"),
                paint(ACCENT, name),
                paint(DIM, &refused.id)
            ))?;
        }
        output.line(format!(
            "{} {} published, {} removed, {} already present, {} refused",
            if total.refused.is_empty() { paint(GOOD, "✓") } else { paint(BAD, "✗") },
            count(total.published, "version"),
            total.removed,
            total.known,
            total.refused.len()
        ))
    })?;
    Ok(if total.refused.is_empty() { Verdict::Done } else { Verdict::No })
}

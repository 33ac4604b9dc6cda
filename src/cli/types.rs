//! `types`: the names, variables and outputs of prompts as types of Python or TypeScript.

use std::path::{Path, PathBuf};

use clap::Args;
use futures_util::TryStreamExt;
use serde::Serialize;

use super::args::values::one_of;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, Output, WARN, one_line, paint};
use super::{Verdict, batches, disk};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::PromptView;
use crate::client::PromptFilter;
use crate::files::types::{Language, ServedPrompts, ServedVersion, TypesDifference, compare, generate};
use crate::model::count::count;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;

/// Largest file to compare with, in bytes.
const FILE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How often a reading with several requests starts again because the registry changed in between.
const ATTEMPTS_MAX: usize = 5;

const EXAMPLES: &str = "\
Examples:
  bookholder types --lang python --out app/prompts.py
  bookholder types --lang ts --out src/prompts.gen.ts
  bookholder types 'support/**' --lang ts --label staging --out prompts.gen.ts
  bookholder types --lang python --out app/prompts.py --check    for CI

mypy, pyright and tsc then report a wrong name, a missing or unknown variable
and a wrong output; at run time nothing changes. If a label is split between
versions, the types fit all of them. --check exits with 1 if the types differ;
versions that differ only in their text pass.";

/// `types`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TypesArgs {
    /// Only prompts whose names match, e.g. 'support/**'
    #[arg(value_name = "PATTERN", default_value = "**")]
    pattern: Pattern,
    /// Language of the file
    #[arg(long, value_name = "LANGUAGE", value_parser = one_of(Language::WORDS, str::parse::<Language>))]
    lang: Language,
    /// Label whose versions are typed
    #[arg(short, long, value_name = "LABEL", default_value = "production")]
    label: Label,
    /// File to write; without it, the types are printed
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write nothing; show what differs, and exit with 1 if the types do
    #[arg(long, requires = "out")]
    check: bool,
}

pub async fn run(args: TypesArgs, context: Context) -> Result<Verdict, CliError> {
    let output = context.output;
    let served = served(&context, &args.pattern, &args.label).await?;
    let text = generate(args.lang, &args.label, &served);
    let Some(out) = &args.out else {
        output.exactly(&text)?;
        return Ok(Verdict::Done);
    };
    if args.check {
        return check(output, out, args.lang, &text, served.len());
    }
    disk::write(out, text.as_bytes())?;
    let written = Written { file: out.display().to_string(), prompts: served.len() };
    output.show(&written, || {
        let prompts = count(served.len(), "prompt");
        output.line(format!("{} types of {prompts} in {}", paint(GOOD, "✓"), paint(ACCENT, one_line(&written.file))))
    })?;
    Ok(Verdict::Done)
}

/// What was written.
#[derive(Serialize)]
struct Written {
    file: String,
    prompts: usize,
}

/// How a file differs.
#[derive(Serialize)]
struct Checked {
    file: String,
    /// Whether it has the types of now.
    current: bool,
    /// The prompts whose versions differ.
    prompts: Vec<String>,
}

/// Compares a file with the types of now.
fn check(output: Output, out: &Path, language: Language, now: &str, prompts: usize) -> Result<Verdict, CliError> {
    let file = one_line(&out.display().to_string());
    let difference = compare(language, &disk::read_text(out, FILE_BYTES_MAX)?, now).unwrap_or_default();
    let TypesDifference { types, prompts: moved } = difference;
    let checked = Checked { file: file.clone(), current: !types, prompts: moved };
    output.show(&checked, || {
        for line in &checked.prompts {
            output.line(paint(if types { WARN } else { DIM }, one_line(line)))?;
        }
        let prompts = count(prompts, "prompt");
        match (types, checked.prompts.is_empty()) {
            (false, true) => output.line(format!("{} {file} has the types of {prompts}", paint(GOOD, "✓"))),
            (false, false) => output.line(format!(
                "{} {file} has the types of {prompts}; only texts differ from the versions that it lists",
                paint(GOOD, "✓")
            )),
            (true, true) => output.line(format!("{file} was edited, or written by another version of this program")),
            (true, false) => output.line(format!("{file} has other types than {prompts} now")),
        }
    })?;
    if types {
        output.note(format!("{}: write it again without --check", paint(ACCENT.bold(), "hint")));
    }
    Ok(if types { Verdict::No } else { Verdict::Done })
}

/// The versions that a label serves.
async fn served(context: &Context, pattern: &Pattern, label: &Label) -> Result<ServedPrompts, CliError> {
    let prefix = Some(pattern.literal_prefix().to_owned()).filter(|prefix| !prefix.is_empty());
    let filter = PromptFilter { prefix, removed: false };
    for _ in 0..ATTEMPTS_MAX {
        let views: Vec<PromptView> = context.client.prompts(&filter, PAGE_ROWS_MAX).try_collect().await?;
        let versions: Vec<(PromptName, u64)> = views
            .into_iter()
            .filter(|view| pattern.matches(view.prompt.name.as_str()))
            .flat_map(|view| versions(&view, label).into_iter().map(move |number| (view.prompt.name.clone(), number)))
            .collect();
        if versions.is_empty() {
            let hint = "see `bookholder list` for the labels of each prompt";
            return Err(CliError::no(format!("no prompt that matches {pattern} has the label {label}")).hint(hint));
        }
        let references: Vec<String> = versions.iter().map(|(name, number)| format!("{name}@{number}")).collect();
        let Some(answers) = batches::resolve(context, &references, |_| false).await? else { continue };
        let mut served = ServedPrompts::new();
        for one in answers.resolved {
            let version = ServedVersion { number: one.version, content_id: one.content_id, content: one.content };
            served.entry(one.name).or_default().push(version);
        }
        return Ok(served);
    }
    Err(CliError::no("the registry kept changing while it was read").hint("try again"))
}

/// The versions that a label of a prompt serves.
fn versions(view: &PromptView, label: &Label) -> Vec<u64> {
    if label.is_latest() {
        return vec![view.prompt.latest];
    }
    let state = view.labels.iter().find(|state| state.label == *label);
    state.map(|state| state.serving.versions()).unwrap_or_default()
}

//! Suites: pushed from files, converted from other tools, listed, shown and removed.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use clap::Args;

use super::show::print_run;
use crate::api::evaluations::{ImportRunRequest, PushSuiteRequest};
use crate::cli::Verdict;
use crate::cli::args::values::YesArgs;
use crate::cli::confirm::confirm;
use crate::cli::context::Context;
use crate::cli::disk;
use crate::cli::error::CliError;
use crate::cli::output::{ACCENT, Cell, DIM, GOOD, Table, WARN, moment, one_line, paint};
use crate::evaluation::check::check_scorers;
use crate::evaluation::import::{self, Effect, ImportOptions};
use crate::model::count::count;
use crate::model::evaluation::GateState;
use crate::model::handle::is_handle;
use crate::model::suite::{ModelName, ModelNameError, SUITE_BYTES_MAX, Suite, SuiteError, SuiteVersion};

/// Cases that `eval suite` prints.
const CASES_SHOWN_MAX: usize = 50;

#[derive(Clone, Debug, Args)]
pub struct PushArgs {
    /// Suite files, as YAML or JSON
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name of the suite, instead of the one in the file or the name of the file
    #[arg(long)]
    name: Option<String>,
    /// Why it changes
    #[arg(short, long, value_name = "WHY")]
    message: Option<String>,
    /// Check the files, and push nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// File of another tool
    file: PathBuf,
    /// Its format
    #[arg(long, value_enum)]
    format: Format,
    /// Suite file to write, as JSON
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Leave out cases with parts that are not supported
    #[arg(long)]
    skip_unsupported: bool,
    /// Model that judges, where the file names none
    #[arg(long, value_name = "PROVIDER:MODEL")]
    judge: Option<ModelName>,
    /// Model that computes embeddings, where the file names none
    #[arg(long, value_name = "PROVIDER:MODEL")]
    embeddings: Option<ModelName>,
    /// File with the testing criteria of OpenAI evals
    #[arg(long, value_name = "FILE")]
    criteria: Option<PathBuf>,
}

/// What other tools write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// `promptfooconfig.yaml`
    Promptfoo,
    /// Rows with a column for each variable, and `__expected`
    Csv,
    /// One case a line
    Jsonl,
    /// Dataset items of Langfuse, as JSON
    Langfuse,
    /// Rows of OpenAI evals, as JSON lines
    OpenaiEvals,
}

#[derive(Clone, Debug, Args)]
pub struct SuiteArgs {
    /// Name of the suite
    name: String,
    /// Number of the version [default: the latest]
    #[arg(long, value_name = "N")]
    version: Option<u64>,
}

#[derive(Clone, Debug, Args)]
pub struct RemoveArgs {
    /// Name of the suite
    name: String,
    #[command(flatten)]
    yes: YesArgs,
}

#[derive(Clone, Debug, Args)]
pub struct ImportResultsArgs {
    /// Results of `promptfoo eval --output results.json`
    file: PathBuf,
    /// Prompt that was run, with @LABEL, @7 or @b3:... for one version [default: the latest]
    #[arg(long, value_name = "PROMPT")]
    prompt: String,
    /// Suite with these cases
    #[arg(long, value_name = "NAME")]
    suite: String,
    /// Which of several prompts in the results, by its label
    #[arg(long, value_name = "LABEL")]
    only: Option<String>,
    /// Model of the suite that a provider of the results means, such as http://localhost:8080=local:llama3.2; repeatable
    #[arg(long, value_name = "FROM=TO", value_parser = meaning)]
    provider: Vec<(String, ModelName)>,
    /// Why you import them
    #[arg(short, long, value_name = "WHY", default_value = "", hide_default_value = true)]
    message: String,
}

/// What a provider of another tool means: its ID, which may have a `=`, and a model.
fn meaning(text: &str) -> Result<(String, ModelName), String> {
    let (from, to) = text.rsplit_once('=').filter(|(from, _)| !from.is_empty()).ok_or(
        "use FROM=TO, with the provider in the results and a model, for example openai:chat:gpt-5=openai:gpt-5",
    )?;
    Ok((from.to_owned(), to.parse().map_err(|error: ModelNameError| error.to_string())?))
}

/// Reads a suite file; its name is in the file, or that of the file.
fn read(path: &Path) -> Result<(String, Suite), CliError> {
    let wrong = |reason: String| CliError::usage(format!("{}: {reason}", path.display()));
    let text = disk::read_text(path, SUITE_BYTES_MAX)?;
    let (name, suite) =
        import::suite_file(&text, &path.display().to_string()).map_err(|error| CliError::usage(error.to_string()))?;
    suite.to_canonical().map_err(|error| wrong(error.to_string()))?;
    let stem = || path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase());
    let name = name.or_else(stem).unwrap_or_default();
    Ok((name, suite))
}

pub async fn push(args: PushArgs, context: &Context) -> Result<Verdict, CliError> {
    if args.name.is_some() && args.files.len() > 1 {
        return Err(CliError::usage("--name is for one file; push the others by themselves"));
    }
    let mut suites = Vec::new();
    for path in &args.files {
        let (name, suite) = read(path)?;
        let name = args.name.clone().unwrap_or(name);
        if !is_handle(&name) {
            let shown = path.display();
            return Err(CliError::usage(format!("{shown}: invalid name `{name}` of a suite"))
                .hint("use 1 to 64 characters from a-z 0-9 . _ - @, with --name or as `name:` in the file"));
        }
        suites.push((name, path, suite));
    }
    let output = context.output;
    let mut pushed: Vec<SuiteVersion> = Vec::new();
    for (name, path, suite) in suites {
        let cases = count(suite.cases.len(), "case");
        if args.dry_run {
            output.note(format!("{} {} is valid: {cases}", paint(GOOD, "✓"), path.display()));
            continue;
        }
        let message = args.message.clone().unwrap_or_else(|| format!("Push {}", path.display()));
        let version = context.client.push_suite(&name, &PushSuiteRequest { suite, message }).await?;
        if !output.json {
            let said = format!("{} {} version {} {}", paint(GOOD, "✓"), paint(ACCENT, &name), version.number, cases);
            output.line(format!("{said} {}", paint(DIM, version.id.short())))?;
        }
        pushed.push(version);
    }
    if output.json {
        output.json(&serde_json::json!({ "items": pushed }))?;
    }
    Ok(Verdict::Done)
}

pub fn import(args: &ImportArgs, context: &Context) -> Result<Verdict, CliError> {
    let path = &args.file;
    let wrong = |reason: String| CliError::usage(format!("{}: {reason}", path.display()));
    let text = disk::read_text(path, SUITE_BYTES_MAX)?;
    let folder = disk::parent(path).to_owned();
    let beside = move |name: &str| {
        let relative = Path::new(name);
        let inside = relative
            .components()
            .all(|part| matches!(part, std::path::Component::Normal(_) | std::path::Component::CurDir));
        if !inside {
            return Err(std::io::Error::other("only files below the folder of the configuration are read"));
        }
        std::fs::read_to_string(folder.join(relative))
    };
    let criteria = args.criteria.as_deref().map(|path| disk::read_text(path, SUITE_BYTES_MAX)).transpose()?;
    let file = path.display().to_string();
    let (judge, embeddings) = (args.judge.as_ref(), args.embeddings.as_ref());
    let options = ImportOptions { judge, embeddings, ..ImportOptions::default() };
    let imported = match args.format {
        Format::Promptfoo => import::promptfoo(&text, &beside, options),
        Format::Csv => import::csv(&text, &file, options),
        Format::Jsonl => import::jsonl(&text, &file, options),
        Format::Langfuse => import::langfuse(&text, &file),
        Format::OpenaiEvals => import::openai_evals(&text, criteria.as_deref(), &file, options),
    };
    let imported = imported.map_err(|error| wrong(error.to_string()))?;
    let output = context.output;
    for part in &imported.unsupported {
        let kind = if part.effect == Effect::Remark { "note" } else { "not supported" };
        output.note(format!("{}: {}", paint(WARN.bold(), kind), one_line(&part.to_string())));
    }
    let left_out = imported.left_out;
    if left_out > 0 && !args.skip_unsupported {
        let cases = count(left_out, "case");
        return Err(CliError::no(format!("{cases} cannot be judged as they are; nothing was written"))
            .hint("leave them out with --skip-unsupported, or run them with the other tool"));
    }
    // What is missing can be added to the file; `eval push` refuses the suite until then.
    let warn = |missing: &dyn std::fmt::Display| output.note(format!("{}: {missing}", paint(WARN.bold(), "warning")));
    match imported.suite.to_canonical() {
        Err(error @ SuiteError::NoScorer { .. }) => warn(&error),
        valid => drop(valid.map_err(|error| wrong(error.to_string()))?),
    }
    if let Err(error) = check_scorers(&imported.suite) {
        warn(&error);
    }
    let json = serde_json::to_vec_pretty(&imported.suite).map_err(|error| CliError::no(error.to_string()))?;
    disk::write(&args.out, &json)?;
    let cases = imported.suite.cases.len();
    let told = serde_json::json!({
        "cases": cases, "left_out": left_out, "unsupported": imported.unsupported.len(), "out": args.out,
    });
    output.show(&told, || {
        let out = paint(ACCENT, args.out.display());
        output.line(format!("{} wrote {out}: {}", paint(GOOD, "✓"), count(cases, "case")))
    })?;
    Ok(Verdict::Done)
}

pub async fn import_results(args: ImportResultsArgs, context: &Context) -> Result<Verdict, CliError> {
    let path = &args.file;
    let mut seen = HashSet::new();
    if let Some((twice, _)) = args.provider.iter().find(|(from, _)| !seen.insert(from)) {
        return Err(CliError::usage(format!("--provider {twice} is there twice; say once what it means")));
    }
    let text = disk::read_text(path, import::RESULTS_BYTES_MAX)?;
    let imported = import::promptfoo_results(&text, args.only.as_deref(), &args.provider)
        .map_err(|error| CliError::usage(format!("{}: {error}", path.display())))?;
    for remark in &imported.remarks {
        context.output.note(format!("{}: {}", paint(WARN.bold(), "note"), one_line(&remark.to_string())));
    }
    let (name, at) = match args.prompt.split_once('@') {
        Some((name, at)) => (name, Some(format!("@{at}"))),
        None => (args.prompt.as_str(), None),
    };
    let request = ImportRunRequest {
        prompt: name.parse().map_err(|error| CliError::usage(format!("{error}")))?,
        at,
        suite: args.suite,
        tool: "promptfoo".to_owned(),
        results: imported.results,
        message: args.message,
    };
    let run = context.client.import_run(&request).await?;
    if context.output.json {
        context.output.json(&run)?;
    } else {
        print_run(context, &run).await?;
    }
    let passed = run.verdict.as_ref().is_some_and(|verdict| verdict.state == GateState::Passed);
    Ok(if passed { Verdict::Done } else { Verdict::No })
}

pub async fn list(context: &Context) -> Result<Verdict, CliError> {
    let suites = context.client.suites().await?;
    context.output.list(&suites, || {
        let mut table = Table::new(&["NAME", "VERSION", "CASES", "PUSHED (ZONE)", "BY", "MESSAGE"]);
        for suite in &suites {
            table.row([
                Cell::new(ACCENT, &suite.name),
                suite.number.to_string().into(),
                suite.cases.to_string().into(),
                Cell::new(DIM, moment(suite.at)),
                one_line(&suite.author).into(),
                one_line(&suite.message).into(),
            ]);
        }
        context.output.table(&table, "no suites; push one with `bookholder eval push FILE`")
    })?;
    Ok(Verdict::Done)
}

pub async fn show(args: SuiteArgs, context: &Context) -> Result<Verdict, CliError> {
    let view = context.client.suite(&args.name, args.version).await?;
    let output = context.output;
    output.show(&view, || {
        let version = &view.version;
        let name = paint(ACCENT, &version.name);
        output.line(format!("{name} version {} {}", version.number, paint(DIM, version.id)))?;
        let suite = &view.suite;
        if !suite.models.is_empty() {
            let models: Vec<String> = suite.models.iter().map(ToString::to_string).collect();
            output.line(format!("models   {}", one_line(&models.join(", "))))?;
        }
        let scorers: Vec<String> = suite.scorers.iter().map(|scorer| scorer.check.to_string()).collect();
        if !scorers.is_empty() {
            output.line(format!("scorers  {}", scorers.join(", ")))?;
        }
        let mut table = Table::new(&["CASE", "MUST PASS", "TAGS", "SCORERS"]);
        for case in suite.cases.iter().take(CASES_SHOWN_MAX) {
            let scorers: Vec<String> = case.scorers.iter().map(|scorer| scorer.check.to_string()).collect();
            table.row([
                Cell::new(ACCENT, one_line(&case.name)),
                (if case.must_pass { "yes" } else { "" }).into(),
                one_line(&case.tags.iter().cloned().collect::<Vec<_>>().join(", ")).into(),
                scorers.join(", ").into(),
            ]);
        }
        output.table(&table, "no cases")?;
        if let Some(more) = suite.cases.len().checked_sub(CASES_SHOWN_MAX).filter(|more| *more > 0) {
            output.line(paint(DIM, format!("and {} more; see them with --json", count(more, "case"))))?;
        }
        Ok(())
    })?;
    Ok(Verdict::Done)
}

pub async fn remove(args: RemoveArgs, context: &Context) -> Result<Verdict, CliError> {
    let RemoveArgs { name, yes } = args;
    confirm(context.output, yes.yes, &format!("Remove the suite {name} with all its versions?"), Vec::new())?;
    context.client.remove_suite(&name).await?;
    context.output.show(&serde_json::json!({ "removed": name }), || {
        context.output.line(format!("{} removed suite {}", paint(GOOD, "✓"), paint(ACCENT, &name)))
    })?;
    Ok(Verdict::Done)
}

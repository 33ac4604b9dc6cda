//! `eval run`: starts a run, follows it, and says what its gate decided.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::ProgressBar;

use super::numbered;
use super::show::{deploys, print_run, write_report};
use crate::api::evaluations::{StartRunRequest, WhenPassed};
use crate::cli::Verdict;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::folder::read_file;
use crate::cli::output::{DIM, paint};
use crate::cli::progress;
use crate::model::evaluation::{GateState, Run};
use crate::model::name::{Label, PromptName};
use crate::model::suite::{Budget, ModelName};
use crate::model::usd::Usd;

/// How often the node is asked how far a run is.
const ASK_EVERY: Duration = Duration::from_millis(300);

/// What to do when a run passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Then {
    /// Deploy the version to `--label` as soon as everything else is met, too
    Deploy,
}

#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// Prompt, with @LABEL, @7 or @b3:...; each version of a split has its run [default: the latest]
    #[arg(value_name = "PROMPT")]
    reference: String,
    /// Suite to run
    #[arg(long, value_name = "NAME")]
    suite: String,
    /// Version of the suite [default: the latest]
    #[arg(long, value_name = "N")]
    suite_version: Option<u64>,
    /// Prompt file to run instead of a published version
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Version to compare with, case by case: @LABEL, @7 or @b3:...
    #[arg(long, value_name = "VERSION")]
    against: Option<String>,
    /// Model to use in place of those of the suite, as PROVIDER:MODEL; repeatable
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<ModelName>,
    /// Only cases with this tag; repeatable
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Number of times to run each case
    #[arg(long, value_name = "N")]
    repeats: Option<u32>,
    /// Spending limit of the run, in US dollars
    #[arg(long, value_name = "USD")]
    max_cost: Option<Usd>,
    /// Maximum number of calls to models
    #[arg(long, value_name = "N")]
    max_calls: Option<u64>,
    /// Ask models again, even where an earlier answer is stored
    #[arg(long)]
    no_cache: bool,
    /// What to do when the run passes
    #[arg(long, value_enum, value_name = "ACTION", requires = "label")]
    when_passed: Option<Then>,
    /// Label to deploy to with --when-passed deploy
    #[arg(long, requires = "when_passed")]
    label: Option<Label>,
    /// Start the run without waiting for it to end
    #[arg(long, conflicts_with_all = ["junit", "html"])]
    no_wait: bool,
    /// Write a JUnit report to this file
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write an HTML report to this file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Why you run it
    #[arg(short, long, value_name = "WHY", default_value = "", hide_default_value = true)]
    message: String,
}

impl RunArgs {
    fn request(&self) -> Result<StartRunRequest, CliError> {
        let (name, at) = match self.reference.split_once('@') {
            Some((name, at)) => (name, Some(format!("@{at}"))),
            None => (self.reference.as_str(), None),
        };
        let prompt: PromptName = name.parse().map_err(|error| CliError::usage(format!("{error}")))?;
        let content = self.file.as_deref().map(read_file).transpose()?.map(|parsed| parsed.file.content);
        if content.is_some() && at.is_some() {
            return Err(CliError::usage("name either a version or a file, not both"));
        }
        let budget = (self.max_cost.is_some() || self.max_calls.is_some())
            .then_some(Budget { max_cost_usd: self.max_cost, max_calls: self.max_calls });
        let when_passed = self.when_passed.and(self.label.clone()).map(|deploy| WhenPassed {
            deploy,
            message: Some(self.message.clone())
                .filter(|message| !message.is_empty())
                .unwrap_or_else(|| format!("Deploy when {} passed", self.suite)),
        });
        Ok(StartRunRequest {
            prompt,
            at,
            content,
            suite: self.suite.clone(),
            suite_version: self.suite_version,
            against: self.against.clone(),
            models: self.models.clone(),
            tags: self.tags.clone(),
            repeats: self.repeats,
            budget,
            no_cache: self.no_cache,
            when_passed,
            message: self.message.clone(),
        })
    }
}

pub async fn run(args: RunArgs, context: &Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    let request = args.request()?;
    let versions = split(&request, context).await?;
    let is_split = !versions.is_empty();
    if is_split && (args.junit.is_some() || args.html.is_some() || args.when_passed.is_some()) {
        return Err(CliError::usage(
            "--junit, --html and --when-passed are for one version, and this label serves a split",
        )
        .hint("name one version, or write reports with `bookholder eval report`"));
    }
    let mut started = Vec::new();
    if is_split {
        for version in versions {
            let one = StartRunRequest { at: Some(format!("@{version}")), ..request.clone() };
            started.push(client.start_run(&one).await?);
        }
    } else {
        started.push(client.start_run(&request).await?);
    }
    let mut runs = Vec::new();
    for run in started {
        if let Some(id) = run.change_request.filter(|_| args.no_wait) {
            output.note(deploys(id));
        }
        runs.push(if args.no_wait { run } else { wait(context, run.id).await? });
    }
    for run in runs.iter().filter(|_| !args.no_wait) {
        for (path, format) in
            [(&args.junit, super::show::ReportFormat::Junit), (&args.html, super::show::ReportFormat::Html)]
        {
            if let Some(path) = path {
                write_report(context, run, format, Some(path)).await?;
            }
        }
    }
    match runs.as_slice() {
        [run] if output.json => output.json(run)?,
        runs if output.json => output.json(&serde_json::json!({ "items": runs }))?,
        runs => {
            for (place, run) in runs.iter().enumerate() {
                if args.no_wait {
                    output.line(format!("started {}", numbered(run.id)))?;
                    output.line(paint(DIM, format!("look at it with `bookholder eval show {}`", run.id)))?;
                    continue;
                }
                if place > 0 {
                    output.line("")?;
                }
                print_run(context, run).await?;
            }
        }
    }
    let passed = |run: &Run| run.verdict.as_ref().is_some_and(|verdict| verdict.state == GateState::Passed);
    Ok(if args.no_wait || runs.iter().all(passed) { Verdict::Done } else { Verdict::No })
}

/// The versions of a label that serves several; else none.
async fn split(request: &StartRunRequest, context: &Context) -> Result<Vec<u64>, CliError> {
    let label = request.at.as_deref().and_then(|at| at.trim_start_matches('@').parse::<Label>().ok());
    let Some(label) = label.filter(|label| !label.is_latest()) else { return Ok(Vec::new()) };
    let prompt = context.client.prompt(&request.prompt).await?;
    let served = prompt.labels.into_iter().find(|state| state.label == label);
    let versions = served.map(|state| state.serving.versions()).unwrap_or_default();
    Ok(if versions.len() > 1 { versions } else { Vec::new() })
}

/// Waits for the end of a run, with a bar.
async fn wait(context: &Context, id: u64) -> Result<Run, CliError> {
    let bar = progress::parts(context.output, "running");
    let done = follow(context, id, &bar).await;
    bar.finish_and_clear();
    done.map_err(|error| error.hint(format!("the run goes on; look at it with `bookholder eval show {id}`")))
}

/// Waits for the end of a run.
async fn follow(context: &Context, id: u64, bar: &ProgressBar) -> Result<Run, CliError> {
    let mut interval = tokio::time::interval(ASK_EVERY);
    loop {
        interval.tick().await;
        let run = context.client.run(id).await?;
        let summary = &run.summary;
        bar.set_length(summary.planned.max(1));
        bar.set_position(summary.passed + summary.failed + summary.errors);
        bar.set_message(format!("{} passed, {} failed, {} errors", summary.passed, summary.failed, summary.errors));
        if run.state.is_over() {
            return Ok(run);
        }
    }
}

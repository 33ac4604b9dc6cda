//! `eval`: suites of cases, and runs of them on models.

mod label;
mod run;
mod show;
mod suites;

use clap::{Args, Subcommand};

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, Table, WARN, paint};

const EXAMPLES: &str = "\
Examples:
  bookholder eval push suites/regress.yaml
  bookholder eval run support/agent --suite regress --against @production
  bookholder eval run support/agent --file agent.prompt --suite regress
  bookholder eval results 12 --failed
  bookholder eval report 12 --format junit --out report.xml

A policy with `gates = [\"regress\"]` lets a version through only if a run of the
suite passed for exactly its content.";

/// `eval`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct EvalArgs {
    #[command(subcommand)]
    command: EvalCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum EvalCommand {
    /// Push suites from files
    Push(suites::PushArgs),
    /// Convert cases of other tools to a suite
    Import(suites::ImportArgs),
    /// List suites
    Suites,
    /// Show a suite
    Suite(suites::SuiteArgs),
    /// Remove a suite
    RemoveSuite(suites::RemoveArgs),
    /// Store results of promptfoo as a run, and decide its gate
    ImportResults(suites::ImportResultsArgs),
    /// Run a suite
    Run(Box<run::RunArgs>),
    /// List runs
    Runs(show::RunsArgs),
    /// Show a run
    Show(show::ShowArgs),
    /// List the results of a run
    Results(show::ResultsArgs),
    /// Say whether an answer that a judge scored passes
    Label(label::LabelArgs),
    /// Show how far the judges of a suite agree with people
    Calibration(label::CalibrationArgs),
    /// Cancel a run
    Cancel(show::CancelArgs),
    /// Write a report of a run
    Report(show::ReportArgs),
    /// List the providers of models that the primary can ask
    Providers,
}

pub async fn run(args: EvalArgs, context: Context) -> Result<Verdict, CliError> {
    match args.command {
        EvalCommand::Push(args) => suites::push(args, &context).await,
        EvalCommand::Import(args) => suites::import(&args, &context),
        EvalCommand::Suites => suites::list(&context).await,
        EvalCommand::Suite(args) => suites::show(args, &context).await,
        EvalCommand::RemoveSuite(args) => suites::remove(args, &context).await,
        EvalCommand::ImportResults(args) => suites::import_results(args, &context).await,
        EvalCommand::Run(args) => run::run(*args, &context).await,
        EvalCommand::Runs(args) => show::runs(args, &context).await,
        EvalCommand::Show(args) => show::show(args, &context).await,
        EvalCommand::Results(args) => show::results(args, &context).await,
        EvalCommand::Label(args) => label::label(args, &context).await,
        EvalCommand::Calibration(args) => label::calibration(args, &context).await,
        EvalCommand::Cancel(args) => show::cancel(args, &context).await,
        EvalCommand::Report(args) => show::report(args, &context).await,
        EvalCommand::Providers => providers(&context).await,
    }
}

async fn providers(context: &Context) -> Result<Verdict, CliError> {
    let providers = context.client.providers().await?;
    context.output.list(&providers, || {
        if providers.is_empty() {
            context.output.note(NO_PROVIDERS);
            return Ok(());
        }
        let mut table = Table::new(&["NAME", "ENDPOINT", "MODELS", "KEY"]);
        for provider in &providers {
            let missing = provider.missing_key.as_ref().map(|variable| format!("{variable} is not set"));
            table.row([
                Cell::new(ACCENT, &provider.name),
                Cell::new(DIM, &provider.endpoint),
                provider.models.join(", ").into(),
                Cell::new(WARN, missing.unwrap_or_default()),
            ]);
        }
        context.output.table(&table, "")
    })?;
    Ok(Verdict::Done)
}

/// What to do without a provider.
const NO_PROVIDERS: &str = "\
no providers; add one to bookholder.toml (in the folder where the primary is started, or named by --config), and \
restart it:

[providers.openai]
kind = \"openai\"
base_url = \"https://api.openai.com/v1\"
key_env = \"OPENAI_API_KEY\"
models = [\"gpt-*\"]";

/// The number of a run, painted.
fn numbered(id: u64) -> String {
    paint(ACCENT, format!("run {id}"))
}

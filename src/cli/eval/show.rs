//! Runs and their results: listed, shown, canceled and reported.

use std::path::{Path, PathBuf};

use clap::Args;

use super::numbered;
use crate::api::evaluations::{PlacedResult, RESULTS_PAGE_MAX};
use crate::cli::Verdict;
use crate::cli::context::Context;
use crate::cli::disk;
use crate::cli::error::CliError;
use crate::cli::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, STRONG, Table, WARN, moment, one_line, paint};
use crate::evaluation::report;
use crate::model::count::count;
use crate::model::evaluation::{CaseResult, CaseVerdict, Evaluated, GateState, Run, ScoreChange, Side};
use crate::model::name::PromptName;
use crate::model::time::Timestamp;

/// Results that a shown run lists.
const FAILED_SHOWN_MAX: usize = 10;
/// Most characters of a reason in a table.
const REASON_CHARACTERS_MAX: usize = 160;

#[derive(Clone, Debug, Args)]
pub struct RunsArgs {
    /// Only runs of this prompt
    #[arg(long, value_name = "NAME")]
    prompt: Option<PromptName>,
    /// Only runs of this suite
    #[arg(long, value_name = "NAME")]
    suite: Option<String>,
    /// Number of runs
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
}

#[derive(Clone, Debug, Args)]
pub struct ShowArgs {
    /// Number of the run
    id: u64,
}

#[derive(Clone, Debug, Args)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct ResultsArgs {
    /// Number of the run
    id: u64,
    /// Only results that failed
    #[arg(long, conflicts_with = "errors")]
    failed: bool,
    /// Only results without a verdict
    #[arg(long)]
    errors: bool,
    /// Results of the baseline
    #[arg(long)]
    baseline: bool,
    /// Whole answers, each with what every scorer says
    #[arg(long)]
    answers: bool,
    /// Number of results
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

#[derive(Clone, Debug, Args)]
pub struct CancelArgs {
    /// Number of the run
    id: u64,
}

#[derive(Clone, Debug, Args)]
pub struct ReportArgs {
    /// Number of the run
    id: u64,
    /// Format of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    format: ReportFormat,
    /// File to write; standard output without one
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Formats of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReportFormat {
    /// One self-contained page
    Html,
    /// JUnit XML, for CI systems
    Junit,
    /// The run with all results
    Json,
    /// For comments on pull requests
    Markdown,
}

pub async fn runs(args: RunsArgs, context: &Context) -> Result<Verdict, CliError> {
    let page =
        context.client.runs(args.prompt.as_ref(), args.suite.as_deref(), None, args.limit.clamp(1, 1_000)).await?;
    context.output.list(&page.items, || {
        let mut table = Table::new(&[
            "RUN",
            "PROMPT",
            "SUITE",
            "STATE",
            "PASSED",
            "FAILED",
            "ERRORS",
            "COST",
            "STARTED (ZONE)",
            "BY",
        ]);
        for run in &page.items {
            let (style, state) = state(run);
            table.row([
                Cell::new(ACCENT, run.id),
                one_line(&named(&run.candidate)).into(),
                format!("{} version {}", run.suite.name, run.suite.number).into(),
                Cell::new(style, state),
                run.summary.passed.to_string().into(),
                run.summary.failed.to_string().into(),
                run.summary.errors.to_string().into(),
                run.summary.cost.short().into(),
                Cell::new(DIM, moment(run.at)),
                one_line(&run.by).into(),
            ]);
        }
        context.output.table(&table, "no runs; start one with `bookholder eval run`")
    })?;
    Ok(Verdict::Done)
}

pub async fn show(args: ShowArgs, context: &Context) -> Result<Verdict, CliError> {
    let run = context.client.run(args.id).await?;
    if context.output.json {
        context.output.json(&run)?;
    } else {
        print_run(context, &run).await?;
    }
    Ok(Verdict::Done)
}

pub async fn cancel(args: CancelArgs, context: &Context) -> Result<Verdict, CliError> {
    let run = context.client.cancel_run(args.id).await?;
    context.output.show(&run, || context.output.line(format!("{} canceled {}", paint(GOOD, "✓"), numbered(run.id))))?;
    Ok(Verdict::Done)
}

pub async fn results(args: ResultsArgs, context: &Context) -> Result<Verdict, CliError> {
    let verdict = match (args.failed, args.errors) {
        (true, _) => Some(CaseVerdict::Failed),
        (_, true) => Some(CaseVerdict::Error),
        _ => None,
    };
    let side = if args.baseline { Side::Baseline } else { Side::Candidate };
    let limit = args.limit.clamp(1, RESULTS_PAGE_MAX);
    let page = context.client.run_results(args.id, 0, verdict, Some(side), limit).await?;
    if page.items.is_empty()
        && let Some(removed) = context.client.run(args.id).await?.results_removed
    {
        context.output.note(were_removed(removed));
    }
    context.output.list(&page.items, || {
        if args.answers {
            for placed in &page.items {
                print_answer(context.output, &placed.result)?;
            }
        } else {
            context.output.table(&table(&page.items), "no such results")?;
        }
        if page.next.is_some() {
            context.output.line(paint(DIM, "there are more; see them with --limit or --json"))?;
        }
        Ok(())
    })?;
    Ok(Verdict::Done)
}

pub async fn report(args: ReportArgs, context: &Context) -> Result<Verdict, CliError> {
    let run = context.client.run(args.id).await?;
    if let Some(removed) = run.results_removed {
        context.output.note(were_removed(removed));
    }
    write_report(context, &run, args.format, args.out.as_deref()).await?;
    Ok(Verdict::Done)
}

/// Writes a report of a run to a file, or to standard output.
pub async fn write_report(
    context: &Context,
    run: &Run,
    format: ReportFormat,
    out: Option<&Path>,
) -> Result<(), CliError> {
    let mut results = Vec::new();
    let mut from = 0;
    loop {
        let page = context.client.run_results(run.id, from, None, None, RESULTS_PAGE_MAX).await?;
        results.extend(page.items.into_iter().map(|placed| placed.result));
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    let mut text = Vec::new();
    let written = match format {
        ReportFormat::Html => report::html(run, results, &mut text),
        ReportFormat::Junit => report::junit(run, results, &mut text),
        ReportFormat::Json => report::json(run, results, &mut text),
        ReportFormat::Markdown => {
            text = report::markdown(run, results, None).into_bytes();
            Ok(())
        }
    };
    written.map_err(|error| CliError::no(error.to_string()))?;
    match out {
        Some(path) => {
            disk::write(path, &text)?;
            context.output.note(format!("{} wrote {}", paint(GOOD, "✓"), path.display()));
            Ok(())
        }
        None => context.output.exactly(&String::from_utf8_lossy(&text)),
    }
}

/// Prints a run: what, how far, what its gate says, and what failed.
pub async fn print_run(context: &Context, run: &Run) -> Result<(), CliError> {
    let output = context.output;
    let (style, state) = state(run);
    let suite = format!("{} version {}", run.suite.name, run.suite.number);
    output.line(format!(
        "{} of {} on {}: {}",
        numbered(run.id),
        paint(STRONG, suite),
        paint(ACCENT, one_line(&named(&run.candidate))),
        paint(style.bold(), state)
    ))?;
    let summary = &run.summary;
    output.line(format!(
        "{} passed, {} failed, {} of {}; {}, {}",
        summary.passed,
        summary.failed,
        count(summary.errors, "error"),
        summary.planned,
        count(summary.calls, "call"),
        summary.cost.short()
    ))?;
    for (metric, mean) in &summary.metrics {
        let before = run.comparison.as_ref().and_then(|comparison| comparison.metrics.get(metric));
        let before = before.map(|before| format!(", before {before:.3}")).unwrap_or_default();
        output.line(format!("  {}: {mean:.3}{before}", one_line(metric)))?;
    }
    if let Some(consistency) = summary.consistency {
        output.line(format!("  consistency: {consistency:.3} of the repeated cases agree"))?;
    }
    if let Some(reason) = &run.reason {
        output.line(paint(WARN, format!("{}: {}", run.state, one_line(reason))))?;
    }
    for check in run.verdict.iter().flat_map(|verdict| &verdict.checks) {
        let (style, sign) = sign(check.state);
        output.line(format!("  {} {}", paint(style, sign), one_line(&check.says)))?;
    }
    if let Some(why) = &run.stale {
        output.line(paint(WARN, format!("stale: {}; run it again", one_line(why))))?;
    }
    if let (Some(id), true) = (run.change_request, run.state.is_over()) {
        output.line(paint(DIM, deploys(id)))?;
    }
    if !run.decides_gate && run.state.is_over() {
        let why = if run.imported_from.is_some() {
            "its models or repeats are not those of the suite, or the gate has a margin"
        } else {
            "it has other models, some of the cases, fewer repeats or an older suite"
        };
        output.line(paint(WARN, format!("this run decides no gate: {why}")))?;
    }
    if let Some(comparison) = &run.comparison {
        let against = one_line(&named(&comparison.baseline));
        output.line(format!(
            "against {}: score {:+.3} on {}; {} worse, {} better (McNemar p = {:.3})",
            paint(ACCENT, against),
            comparison.difference,
            count(comparison.pairs, "case"),
            comparison.worse.len(),
            comparison.better.len(),
            comparison.mcnemar_p
        ))?;
        for (names, style, sign) in [(&comparison.worse, BAD, "-"), (&comparison.better, GOOD, "+")] {
            for name in names.iter().take(FAILED_SHOWN_MAX) {
                output.line(format!("  {}", paint(style, format!("{sign} {}", one_line(name)))))?;
            }
        }
        for ScoreChange { case, before, after } in comparison.lower.iter().take(FAILED_SHOWN_MAX) {
            let lower = format!("↓ {}: score {before:.2} → {after:.2}", one_line(case));
            output.line(format!("  {}", paint(WARN, lower)))?;
        }
    }
    if !summary.flaky.is_empty() {
        output.line(paint(WARN, format!("flaky: {}", one_line(&summary.flaky.join(", ")))))?;
    }
    if let Some(removed) = run.results_removed {
        return output.line(paint(DIM, were_removed(removed)));
    }
    if summary.failed + summary.errors > 0 {
        let failed = context
            .client
            .run_results(run.id, 0, Some(CaseVerdict::Failed), Some(Side::Candidate), FAILED_SHOWN_MAX)
            .await?;
        let errors = context
            .client
            .run_results(run.id, 0, Some(CaseVerdict::Error), Some(Side::Candidate), FAILED_SHOWN_MAX)
            .await?;
        let shown: Vec<PlacedResult> = failed.items.into_iter().chain(errors.items).take(FAILED_SHOWN_MAX).collect();
        output.line("")?;
        output.table(&table(&shown), "")?;
    }
    Ok(())
}

/// Prints an answer, and what each scorer says about it.
fn print_answer(output: Output, result: &CaseResult) -> Result<(), CliError> {
    output.line(format!(
        "{} on {}, repeat {}: {} {:.2}",
        paint(ACCENT, one_line(&result.case)),
        one_line(&result.model.to_string()),
        u64::from(result.repeat) + 1,
        paint(style(result.verdict), result.verdict),
        result.score
    ))?;
    if let Some(error) = &result.error {
        output.line(format!("  {}", paint(WARN, one_line(error))))?;
    }
    for scorer in &result.scorers {
        let verdict = paint(style(scorer.verdict), scorer.verdict);
        output.line(format!("  {} {verdict}: {}", one_line(&scorer.scorer), one_line(&scorer.reason)))?;
    }
    let Some(answer) = &result.answer else { return Ok(()) };
    for line in answer.text.lines() {
        output.line(format!("    {}", one_line(line)))?;
    }
    for call in &answer.tool_calls {
        output.line(format!("    {}", one_line(&call.to_string())))?;
    }
    Ok(())
}

const fn style(verdict: CaseVerdict) -> anstyle::Style {
    match verdict {
        CaseVerdict::Passed => GOOD,
        CaseVerdict::Failed => BAD,
        CaseVerdict::Error => WARN,
    }
}

/// What a change request does for a run.
pub fn deploys(id: u64) -> String {
    format!(
        "change request {id} deploys it when everything that policies require is met: `bookholder request show {id}`"
    )
}

/// What stands in place of results that are not kept any more.
fn were_removed(at: Timestamp) -> String {
    format!("the results of this run were removed on {} (evaluation_days, evaluation_mib)", moment(at))
}

fn table(results: &[PlacedResult]) -> Table {
    let mut table = Table::new(&["CASE", "MODEL", "VERDICT", "SCORE", "WHY"]);
    for PlacedResult { result, .. } in results {
        let unmet = result.scorers.iter().filter(|scorer| scorer.verdict != CaseVerdict::Passed);
        let unmet: Vec<String> = unmet.map(|scorer| format!("{}: {}", scorer.scorer, scorer.reason)).collect();
        let why = result.error.clone().unwrap_or_else(|| unmet.join("; "));
        let why: String = one_line(&why).chars().take(REASON_CHARACTERS_MAX).collect();
        table.row([
            Cell::new(ACCENT, one_line(&result.case)),
            one_line(&result.model.to_string()).into(),
            Cell::new(style(result.verdict), result.verdict),
            format!("{:.2}", result.score).into(),
            why.into(),
        ]);
    }
    table
}

fn named(evaluated: &Evaluated) -> String {
    match evaluated.version {
        Some(version) => format!("{}@{version}", evaluated.prompt),
        None => format!("{} (not published)", evaluated.prompt),
    }
}

/// The verdict of a run that is over, or how far it is.
fn state(run: &Run) -> (anstyle::Style, String) {
    match &run.verdict {
        Some(verdict) if run.stale.is_some() => (WARN, format!("{}, stale", verdict.state)),
        Some(verdict) => (sign(verdict.state).0, verdict.state.to_string()),
        None => (DIM, run.state.to_string()),
    }
}

const fn sign(state: GateState) -> (anstyle::Style, &'static str) {
    match state {
        GateState::Passed => (GOOD, "✓"),
        GateState::Failed => (BAD, "✗"),
        GateState::Inconclusive => (WARN, "?"),
    }
}

//! What people say about answers that judges scored, and how far the judges agree with them.

use clap::Args;

use crate::api::evaluations::{LabelRequest, PlacedResult, RESULTS_PAGE_MAX};
use crate::cli::Verdict;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::output::{ACCENT, Cell, GOOD, Table, WARN, one_line, paint};
use crate::model::calibration::Calibration;
use crate::model::evaluation::Side;
use crate::model::suite::ModelName;

#[derive(Clone, Debug, Args)]
pub struct LabelArgs {
    /// Number of the run
    run: u64,
    /// Name of the case
    case: String,
    /// The answer passes
    #[arg(long, conflicts_with = "failed", required_unless_present = "failed")]
    passed: bool,
    /// The answer fails
    #[arg(long)]
    failed: bool,
    /// Model that answered, if the run has several
    #[arg(long, value_name = "PROVIDER:MODEL")]
    model: Option<ModelName>,
    /// Which repeat, from 1
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    repeat: u32,
    /// Answer of the baseline
    #[arg(long)]
    baseline: bool,
    /// Which scorer, if several are judges, counted from 0
    #[arg(long, value_name = "N")]
    scorer: Option<u32>,
}

#[derive(Clone, Debug, Args)]
pub struct CalibrationArgs {
    /// Name of the suite
    suite: String,
}

pub async fn label(args: LabelArgs, context: &Context) -> Result<Verdict, CliError> {
    let side = if args.baseline { Side::Baseline } else { Side::Candidate };
    let fits = |placed: &PlacedResult| {
        let PlacedResult { result, .. } = placed;
        result.case == args.case
            && result.repeat.saturating_add(1) == args.repeat
            && args.model.as_ref().is_none_or(|model| *model == result.model)
    };
    let (mut found, mut from) = (Vec::new(), 0);
    loop {
        let page = context.client.run_results(args.run, from, None, Some(side), RESULTS_PAGE_MAX).await?;
        found.extend(page.items.into_iter().filter(fits));
        match page.next {
            Some(next) if found.len() < 2 => from = next,
            _ => break,
        }
    }
    let mut found = found.into_iter();
    let (first, second) = (found.next(), found.next());
    let placed = first.ok_or_else(|| {
        CliError::no(format!("run {} has no such result of the case `{}`", args.run, one_line(&args.case)))
            .hint("list its results with `bookholder eval results`")
    })?;
    if let Some(second) = second {
        return Err(CliError::usage(format!(
            "the case was asked on {} and {}",
            placed.result.model, second.result.model
        ))
        .hint("name one with --model"));
    }
    let request = LabelRequest { passed: args.passed, scorer: args.scorer };
    let label = context.client.label_result(args.run, placed.place, request).await?;
    context.output.show(&label, || {
        let says = |passes: bool| if passes { "passes" } else { "fails" };
        let case = paint(ACCENT, one_line(&label.case));
        let judge = one_line(&label.judge.scorer);
        let agrees = if label.judged == label.passed { "as" } else { "against" };
        context.output.line(format!("{} {case} {}, {agrees} {judge}", paint(GOOD, "✓"), says(label.passed)))
    })?;
    Ok(Verdict::Done)
}

pub async fn calibration(args: CalibrationArgs, context: &Context) -> Result<Verdict, CliError> {
    let judges = context.client.calibration(&args.suite).await?;
    let output = context.output;
    output.list(&judges, || {
        if judges.is_empty() {
            output.note(
                "no labels; say whether a judged answer passes with `bookholder eval label RUN CASE --passed` or `--failed`, \
                 or on the page of the run",
            );
            return Ok(());
        }
        let mut table = Table::new(&["JUDGE", "MODEL", "METRIC", "LABELS", "AGREEMENT", "KAPPA"]);
        for Calibration { judge, labels, agreement, kappa, .. } in &judges {
            table.row([
                Cell::new(ACCENT, one_line(&judge.scorer)),
                one_line(&judge.model.as_ref().map(ToString::to_string).unwrap_or_default()).into(),
                one_line(judge.metric.as_deref().unwrap_or_default()).into(),
                labels.to_string().into(),
                format!("{:.0}%", agreement * 100.0).into(),
                kappa.map_or_else(|| "-".to_owned(), |kappa| format!("{kappa:.2}")).into(),
            ]);
        }
        output.table(&table, "")?;
        for Calibration { judge, warning, .. } in &judges {
            if let Some(warning) = warning {
                output.line(format!("{}: {}: {warning}", paint(WARN, "warning"), one_line(&judge.scorer)))?;
            }
        }
        Ok(())
    })?;
    Ok(Verdict::Done)
}

//! `costs`: what prompts cost, the most expensive first.

use clap::Args;

use super::Verdict;
use super::args::times;
use super::context::Context;
use super::error::CliError;
use super::figures::{csv, sparkline};
use super::output::{ACCENT, Cell, DIM, Output, STRONG, Table, WARN, paint};
use super::pager;
use super::stats::{COUNT_COLUMNS, complete, count_cells, period, place};
use crate::api::stats::{PromptUsage, SpendCounts, StatsCounts, USAGE_PROMPTS_MAX, UsageStats, share};
use crate::model::since::Since;
use crate::model::usd::Usd;
use crate::web::figures::{UNKNOWN, change, percent, unattributed_reason, version_change};

const EXAMPLES: &str = "\
Examples:
  bookholder costs                       most expensive prompts, last 30 days
  bookholder costs --since 24h --limit 5
  bookholder costs --since 2026-03-01 --until 2026-03-31 --csv > march.csv

SHARE is the share of all spend, CACHED the share of input tokens that came from
a cache, GROWTH the change in cost from the period of the same length before,
VERSION the newest version and its change in cost per call from the one before.
TEXT is the estimated share of a prompt's spend that is its own text, SAVES what
a text one tenth shorter would have saved. VERSION, TEXT and SAVES are shown for
the 25 most expensive prompts.";

/// Narrowest terminal, in columns, that has room for costs over time beside the figures.
const SERIES_WIDTH_MIN: u16 = 130;

/// `costs`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CostsArgs {
    /// Start of the period: an age such as 24h or 7d, a date, or a time such as 'monday 09:00'
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = times::since)]
    since: Since,
    /// End of the period, written like its start; a date is included [default: now]
    #[arg(long, value_name = "TIME", value_parser = times::until)]
    until: Option<Since>,
    /// Maximum number of prompts
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print comma-separated values for spreadsheets
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

pub async fn run(args: CostsArgs, context: Context) -> Result<Verdict, CliError> {
    let limit = args.limit.clamp(1, USAGE_PROMPTS_MAX);
    let usage = context.client.usage_stats(args.since, args.until, limit).await?;
    let output = context.output;
    if output.json {
        output.json(&usage)?;
    } else if args.csv {
        csv(output, &rows_csv(&usage))?;
    } else {
        print(output, &usage)?;
    }
    Ok(Verdict::Done)
}

fn print(output: Output, usage: &UsageStats) -> Result<(), CliError> {
    let total = &usage.total;
    output.line(format!(
        "{}  {}",
        paint(STRONG, cost(total.priced_calls, total)),
        paint(DIM, period(usage.since, usage.until, usage.newest))
    ))?;
    complete(output, &usage.completeness)?;
    if usage.prompts.is_empty() && total.calls == 0 {
        return output.line("no calls were reported in this period");
    }
    let with_series = output.terminal && pager::width().is_none_or(|width| width >= SERIES_WIDTH_MIN);
    output.table(&table(usage, with_series), "")?;
    if usage.more_prompts > 0 {
        output.line(paint(DIM, format!("{} more; show them with --limit", usage.more_prompts)))?;
    }
    if total.priced_calls < total.calls {
        let known = percent(usage.cost_coverage);
        output.line(paint(
            DIM,
            format!("cost is known for {known} of calls; the rest has no reported cost and no price"),
        ))?;
    }
    if let Some(unattributed) = usage.unattributed.as_ref().filter(|unattributed| unattributed.counts.calls > 0) {
        let of_all = percent(share(unattributed.counts.calls, total.calls));
        let calls = unattributed.counts.calls;
        output.line(paint(WARN, format!("calls of no known version: {calls} of {} ({of_all})", total.calls)))?;
        for one in &unattributed.reasons {
            output.line(format!("  {:>8}  {}", one.counts.calls, unattributed_reason(&one.reason)))?;
        }
    }
    Ok(())
}

fn cost(priced_calls: u64, counts: &StatsCounts) -> String {
    if priced_calls == 0 { UNKNOWN.to_owned() } else { counts.cost_usd.short() }
}

fn table(usage: &UsageStats, with_series: bool) -> Table {
    let mut headings =
        vec!["PROMPT", "COST", "SHARE", "CALLS", "COST/CALL", "CACHED", "GROWTH", "VERSION", "TEXT", "SAVES"];
    if with_series {
        headings.push("COST OVER TIME");
    }
    let mut table = Table::new(&headings);
    let trend = |prompt: &PromptUsage| {
        let points = prompt.series.iter();
        sparkline(points.map(|point| (place(usage.since, usage.until, point.at), point.cost_usd.dollars())))
    };
    let mut push = |name: Cell, counts: &StatsCounts, growth: String, prompt: Option<&PromptUsage>| {
        let cells = row(name, counts, growth, &usage.total).into_iter().chain(text_cells(prompt));
        let series = with_series.then(|| Cell::new(ACCENT, prompt.map(trend).unwrap_or_default()));
        table.push(cells.chain(series).collect());
    };
    for prompt in &usage.prompts {
        let growth = growth(&prompt.counts, &prompt.previous);
        push(Cell::new(ACCENT, &prompt.name), &prompt.counts, growth, Some(prompt));
    }
    if let Some(unattributed) = usage.unattributed.as_ref().filter(|unattributed| unattributed.counts.calls > 0) {
        let SpendCounts { calls, priced_calls, cost_usd } = unattributed.counts;
        let counts = StatsCounts { calls, priced_calls, cost_usd, ..StatsCounts::default() };
        push(Cell::new(WARN, "(unattributed)"), &counts, UNKNOWN.to_owned(), None);
    }
    push(Cell::new(STRONG, "total"), &usage.total, growth(&usage.total, &usage.previous), None);
    table
}

fn growth(counts: &StatsCounts, previous: &SpendCounts) -> String {
    if counts.priced_calls == 0 && previous.priced_calls == 0 {
        return UNKNOWN.to_owned();
    }
    change(previous.cost_usd.dollars(), counts.cost_usd.dollars())
}

fn row(name: Cell, counts: &StatsCounts, growth: String, total: &StatsCounts) -> Vec<Cell> {
    let of_all = (total.cost_usd.pico() > 0).then(|| counts.cost_usd.dollars() / total.cost_usd.dollars());
    vec![
        name,
        cost(counts.priced_calls, counts).into(),
        percent(of_all).into(),
        counts.calls.into(),
        counts.cost_per_call().map_or_else(|| UNKNOWN.to_owned(), Usd::short).into(),
        percent(counts.cached_share()).into(),
        growth.into(),
    ]
}

/// How the newest version changed the cost per call, and what the text costs.
fn text_cells(prompt: Option<&PromptUsage>) -> [Cell; 3] {
    let text = prompt.and_then(|prompt| prompt.text);
    let version = prompt.and_then(|prompt| prompt.version_change);
    let saves = text.map_or_else(|| UNKNOWN.to_owned(), |text| text.tenth_shorter_saves_usd.short());
    [
        version.map_or_else(|| UNKNOWN.to_owned(), version_change).into(),
        percent(text.map(|text| text.share)).into(),
        saves.into(),
    ]
}

/// The columns behind the counts in tables for spreadsheets.
const PROMPT_COLUMNS: [&str; 9] = [
    "previous_calls",
    "previous_cost_usd",
    "text_tokens_per_call",
    "text_cost_usd",
    "text_of_cost_usd",
    "version",
    "version_cost_per_call_usd",
    "version_before",
    "version_before_cost_per_call_usd",
];

fn rows_csv(usage: &UsageStats) -> Vec<Vec<String>> {
    let mut heading: Vec<String> = ["prompt", "since", "until"].map(str::to_owned).to_vec();
    heading.extend(COUNT_COLUMNS.map(str::to_owned));
    heading.extend(PROMPT_COLUMNS.map(str::to_owned));
    let mut rows = vec![heading];
    for prompt in &usage.prompts {
        let mut row = vec![prompt.name.to_string(), usage.since.to_string(), usage.until.to_string()];
        row.extend(count_cells(&prompt.counts));
        row.extend([prompt.previous.calls.to_string(), prompt.previous.cost_usd.to_string()]);
        let (text, version) = (prompt.text.as_ref(), prompt.version_change.as_ref());
        let said = |text: Option<String>| text.unwrap_or_default();
        row.extend([
            said(text.map(|text| text.tokens_per_call.to_string())),
            said(text.map(|text| text.cost_usd.to_string())),
            said(text.map(|text| text.of_cost_usd.to_string())),
            said(version.map(|version| version.version.to_string())),
            said(version.map(|version| version.cost_per_call_usd.to_string())),
            said(version.map(|version| version.before.to_string())),
            said(version.map(|version| version.cost_per_call_before_usd.to_string())),
        ]);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn usage() -> UsageStats {
        let counts = |calls: u64, cost: &str| {
            json!({
                "calls": calls, "errors": 0, "priced_calls": calls, "cost_usd": cost, "input_counted_calls": calls, "output_counted_calls": calls,
                "tokens": {"input": 1000, "cache_read": 250, "cache_write": 0, "output": 10, "reasoning": 0},
                "latency_ms": null, "first_token_ms": null, "scores": [],
            })
        };
        let spend = |calls: u64, cost: &str| json!({"calls": calls, "priced_calls": calls, "cost_usd": cost});
        serde_json::from_value(json!({
            "since": "2026-03-01T00:00:00Z", "until": "2026-03-31T00:00:00Z", "previous_since": "2026-01-30T00:00:00Z",
            "bucket_s": 86400, "newest": null, "total": counts(40, "4"), "cost_coverage": 1.0, "previous": spend(10, "2"),
            "unattributed": {"counts": spend(4, "0.4"), "reasons": [{"reason": "no_prompt", "counts": spend(4, "0.4")}]},
            "series": [], "more_prompts": 2,
            "prompts": [
                {"name": "support/agent", "counts": counts(30, "3"), "previous": spend(10, "2"),
                 "text": {"tokens_per_call": 900, "cost_usd": "1.2", "of_cost_usd": "3", "share": 0.4, "tenth_shorter_saves_usd": "0.12"},
                 "version_change": {"version": 7, "before": 5, "cost_per_call_usd": "0.15", "cost_per_call_before_usd": "0.12"},
                 "series": [{"at": "2026-03-02T00:00:00Z", "calls": 30, "errors": 0, "cost_usd": "3"}]},
                {"name": "=cmd", "counts": counts(6, "0.6"), "previous": spend(0, "0"), "series": []},
            ],
        }))
        .expect("usage")
    }

    #[test]
    fn most_expensive_prompt_is_first_with_its_share_and_growth() {
        let expected = "\
PROMPT          COST   SHARE  CALLS  COST/CALL  CACHED  GROWTH   VERSION    TEXT  SAVES
support/agent   $3.00  75%    30     $0.10      25%     +50.0%   v7 +25.0%  40%   $0.12
=cmd            $0.60  15%    6      $0.10      25%     new      —          —     —
(unattributed)  $0.40  10%    4      $0.10      —       —        —          —     —
total           $4.00  100%   40     $0.10      25%     +100.0%  —          —     —
";
        assert_eq!(table(&usage(), false).render(false, None), expected);
        assert!(table(&usage(), true).render(false, None).contains('█'));
    }

    #[test]
    fn spreadsheet_rows_have_the_period_before_and_no_formulas() {
        let rows = rows_csv(&usage());
        assert_eq!(rows[1][0], "support/agent");
        let of_prompt = |row: &[String]| row[row.len() - PROMPT_COLUMNS.len()..].to_vec();
        assert_eq!(of_prompt(&rows[0]), PROMPT_COLUMNS);
        assert_eq!(of_prompt(&rows[1]), ["10", "2", "900", "1.2", "3", "7", "0.15", "5", "0.12"]);
        assert_eq!(of_prompt(&rows[2]), ["0", "0", "", "", "", "", "", "", ""]);
        let mut bytes = Vec::new();
        crate::governance::report::csv::write_row(&mut bytes, &rows[2]).expect("a row");
        assert!(bytes.starts_with(b"'=cmd,"), "{}", String::from_utf8_lossy(&bytes));
    }
}

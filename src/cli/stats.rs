//! `stats`: what the responses of a prompt cost, how long they took, and how good they were.

use clap::Args;

use super::Verdict;
use super::args::times;
use super::args::values::one_of;
use super::context::Context;
use super::error::CliError;
use super::figures::{csv, sparkline};
use super::output::{ACCENT, Cell, DIM, Output, STRONG, Table, WARN, moment, one_line, paint, zoned};
use crate::api::completeness::Completeness;
use crate::api::stats::{FollowingPrompt, PromptStats, StatsBy, StatsCounts, StatsGroup, StatsQuantiles};
use crate::model::name::PromptName;
use crate::model::since::Since;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::web::figures::{UNKNOWN, change, compact, duration, float, percent, score};

const EXAMPLES: &str = "\
Examples:
  bookholder stats support/agent                    each version, last 7 days
  bookholder stats support/agent --by model --since 30d
  bookholder stats support/agent --compare @6 @7    two versions side by side
  bookholder stats support/agent --since 2026-03-01 --csv > agent.csv

Applications report responses to POST /v1/responses and scores to /v1/scores.
A call whose cost is not known counts as a call, but not in cost or COST/CALL.";

/// `stats`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct StatsArgs {
    /// Name of the prompt
    name: PromptName,
    /// What to group by
    #[arg(long, value_name = "WHAT", default_value = "version", conflicts_with = "compare",
        value_parser = one_of(StatsBy::ALL.map(StatsBy::as_str), str::parse::<StatsBy>))]
    by: StatsBy,
    /// Start of the period: an age such as 24h or 7d, a date, or a time such as 'monday 09:00'
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = times::since)]
    since: Since,
    /// End of the period, written like its start; a date is included [default: now]
    #[arg(long, value_name = "TIME", value_parser = times::until)]
    until: Option<Since>,
    /// Compare two versions, e.g. @6 @7
    #[arg(long, value_names = ["VERSION", "VERSION"], num_args = 2, value_parser = version)]
    compare: Option<Vec<u64>>,
    /// Print comma-separated values for spreadsheets
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// Parses `@7`, `7` or `v7`.
fn version(text: &str) -> Result<u64, String> {
    let number = text.strip_prefix('@').or_else(|| text.strip_prefix('v')).unwrap_or(text);
    number.parse().map_err(|_| "name versions by number, e.g. @6 @7".to_owned())
}

pub async fn run(args: StatsArgs, context: Context) -> Result<Verdict, CliError> {
    let stats = context.client.prompt_stats(&args.name, args.by, args.since, args.until).await?;
    let output = context.output;
    if let Some([one, other]) = args.compare.as_deref() {
        let (before, after) = (of_version(&stats, *one)?, of_version(&stats, *other)?);
        if output.json {
            output.json(
                &serde_json::json!({ "since": stats.since, "until": stats.until, "before": before, "after": after }),
            )?;
        } else {
            let rows = compared(&before.counts, &after.counts);
            if args.csv {
                csv(output, &compared_csv((*one, *other), &rows))?;
            } else {
                print_compared(output, &stats, (*one, *other), &rows)?;
            }
        }
    } else if output.json {
        output.json(&stats)?;
    } else if args.csv {
        csv(output, &rows_csv(&stats))?;
    } else {
        print(output, &stats)?;
    }
    Ok(Verdict::Done)
}

fn of_version(stats: &PromptStats, number: u64) -> Result<&StatsGroup, CliError> {
    let found = stats.groups.iter().find(|group| group.key.as_deref() == Some(number.to_string().as_str()));
    found.ok_or_else(|| {
        let known: Vec<&str> = stats.groups.iter().filter_map(|group| group.key.as_deref()).take(10).collect();
        let hint = if known.is_empty() {
            "use an earlier --since".to_owned()
        } else {
            format!("versions with calls in this period: {}; or use an earlier --since", known.join(", "))
        };
        let since = zoned(stats.since);
        CliError::no(format!("{}@{number} has no calls since {since}", stats.name)).hint(hint)
    })
}

/// The period of an answer, and how far its data reaches.
pub fn period(since: Timestamp, until: Timestamp, newest: Option<Timestamp>) -> String {
    let newest = newest.map_or_else(|| "nothing reported yet".to_owned(), |at| format!("newest report {}", moment(at)));
    format!("{} to {} · {newest}", moment(since), zoned(until))
}

fn print(output: Output, stats: &PromptStats) -> Result<(), CliError> {
    let total = &stats.total;
    output.line(format!(
        "{}  {}",
        paint(STRONG, &stats.name),
        paint(DIM, period(stats.since, stats.until, stats.newest))
    ))?;
    complete(output, &stats.completeness)?;
    for FollowingPrompt { name, traces } in &stats.followed_by {
        output.note(format!(
            "{}: in {traces} of the newest traces, {name} is called after it; if it gets its output, name it with --feeds of \
             `bookholder describe`",
            paint(ACCENT.bold(), "note")
        ));
    }
    if stats.groups.is_empty() {
        return output.line("no calls were reported in this period");
    }
    output.table(&table(stats, output.terminal), "")?;
    if total.priced_calls < total.calls {
        let known = percent(total.cost_coverage());
        output.line(paint(
            DIM,
            format!("cost is known for {known} of calls; the rest has no reported cost and no price"),
        ))?;
    }
    let scores = scores(stats);
    if stats.groups.iter().any(|group| !group.counts.scores.is_empty()) {
        output.line("")?;
        output.table(&scores, "")?;
    }
    Ok(())
}

/// Replicas that are named as behind.
const BEHIND_SHOWN: usize = 3;

/// What the numbers are complete up to, where a replica has not sent everything.
pub fn complete(output: Output, completeness: &Completeness) -> Result<(), CliError> {
    let Completeness { complete_until, behind, more_behind } = completeness;
    if behind.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = behind
        .iter()
        .take(BEHIND_SHOWN)
        .map(|one| format!("{} since {}", one_line(&one.replica), zoned(one.complete_until)))
        .collect();
    let left = behind.len().saturating_sub(BEHIND_SHOWN) as u64 + more_behind;
    let more = if left > 0 { format!(" and {left} more") } else { String::new() };
    let what = format!("complete up to {}; missing: {}{more}", zoned(*complete_until), names.join(", "));
    output.line(paint(WARN, what))
}

const fn heading(by: StatsBy) -> &'static str {
    match by {
        StatsBy::Version => "VERSION",
        StatsBy::Model => "MODEL",
        StatsBy::Label => "LABEL",
        StatsBy::Arm => "ARM",
        StatsBy::Environment => "ENVIRONMENT",
    }
}

/// The name of a group, or a dash where the application did not say.
fn name(by: StatsBy, group: &StatsGroup) -> String {
    match (&group.key, by) {
        (None, _) => "(not reported)".to_owned(),
        (Some(key), StatsBy::Version) if key.parse::<u64>().is_ok() => format!("v{key}"),
        (Some(key), _) => one_line(key),
    }
}

fn table(stats: &PromptStats, with_series: bool) -> Table {
    let mut headings =
        vec![heading(stats.by), "CALLS", "COST", "COST/CALL", "P50", "P90", "P99", "ERRORS", "IN", "OUT"];
    // Only calls that stream their answer have it.
    let with_first = stats.total.first_token_ms.is_some();
    let first =
        |counts: &StatsCounts| with_first.then(|| Cell::from(duration(counts.first_token_ms.map(|first| first.p50))));
    if with_first {
        headings.push("FIRST TOKEN P50");
    }
    if with_series {
        headings.push("CALLS OVER TIME");
    }
    let mut table = Table::new(&headings);
    for group in &stats.groups {
        let row = cells(Cell::new(ACCENT, name(stats.by, group)), &group.counts);
        let trend = with_series.then(|| Cell::new(ACCENT, trend(stats, group)));
        table.push(row.into_iter().chain(first(&group.counts)).chain(trend).collect());
    }
    if stats.groups.len() > 1 {
        let all = cells(Cell::new(STRONG, "total"), &stats.total);
        table.push(all.into_iter().chain(first(&stats.total)).chain(with_series.then(|| "".into())).collect());
    }
    table
}

fn cells(name: Cell, counts: &StatsCounts) -> Vec<Cell> {
    let latency = counts.latency_ms;
    let cost = if counts.priced_calls == 0 { UNKNOWN.to_owned() } else { counts.cost_usd.short() };
    let errors = match counts.errors {
        0 => "0".into(),
        errors => Cell::new(super::output::BAD, format!("{errors} ({})", percent(counts.error_rate()))),
    };
    let tokens = |calls, number| if calls == 0 { UNKNOWN.to_owned() } else { compact(number) };
    vec![
        name,
        counts.calls.into(),
        cost.into(),
        counts.cost_per_call().map_or_else(|| UNKNOWN.to_owned(), Usd::short).into(),
        duration(latency.map(|latency| latency.p50)).into(),
        duration(latency.map(|latency| latency.p90)).into(),
        duration(latency.map(|latency| latency.p99)).into(),
        errors,
        tokens(counts.input_counted_calls, counts.tokens.input).into(),
        tokens(counts.output_counted_calls, counts.tokens.output).into(),
    ]
}

fn trend(stats: &PromptStats, group: &StatsGroup) -> String {
    sparkline(group.series.iter().map(|point| (place(stats.since, stats.until, point.at), float(point.calls))))
}

/// Where a time is in a period, from 0 to 1.
#[allow(clippy::cast_precision_loss, reason = "a place on a line of a few characters")]
pub fn place(since: Timestamp, until: Timestamp, at: Timestamp) -> f64 {
    (at.ms() - since.ms()) as f64 / (until.ms() - since.ms()).max(1) as f64
}

/// The scores of each group: means with their numbers, categories with their counts.
fn scores(stats: &PromptStats) -> Table {
    let mut table = Table::new(&[heading(stats.by), "SCORE", "MEAN", "N", "MIN", "MAX", "CATEGORIES"]);
    for group in &stats.groups {
        for one in &group.counts.scores {
            let categories: Vec<String> =
                one.categories.iter().map(|(category, count)| format!("{} {count}", one_line(category))).collect();
            table.row([
                Cell::new(ACCENT, name(stats.by, group)),
                Cell::from(&one.name),
                score(one.mean).into(),
                one.n.into(),
                score(one.min).into(),
                score(one.max).into(),
                Cell::new(DIM, categories.join(" · ")),
            ]);
        }
    }
    table
}

/// One figure of two versions: its name, and each side with the number of calls or scores behind it.
struct Compared {
    what: String,
    before: Option<f64>,
    after: Option<f64>,
    counts: (u64, u64),
    shown: fn(Option<f64>) -> String,
}

fn plain(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), |value| format!("{value:.0}"))
}

fn dollars(value: Option<f64>) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "for display; negative is nothing")]
    value.map_or_else(
        || UNKNOWN.to_owned(),
        |value| {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", Usd::from_pico((value.abs() * 1e12) as u128).short())
        },
    )
}

fn compared(before: &StatsCounts, after: &StatsCounts) -> Vec<Compared> {
    type Of<'f, T> = &'f dyn Fn(&StatsCounts) -> T;
    let row = |what: &str, of: Of<'_, Option<f64>>, n: Of<'_, u64>, shown| Compared {
        what: what.to_owned(),
        before: of(before),
        after: of(after),
        counts: (n(before), n(after)),
        shown,
    };
    let per_call = |calls: u64, tokens: u64| (calls > 0).then(|| float(tokens) / float(calls));
    let input = |counts: &StatsCounts| per_call(counts.input_counted_calls, counts.tokens.input);
    let output = |counts: &StatsCounts| per_call(counts.output_counted_calls, counts.tokens.output);
    let cost = |counts: &StatsCounts| {
        (counts.priced_calls > 0).then(|| counts.cost_usd.dollars() / float(counts.priced_calls))
    };
    let latency = |of: fn(StatsQuantiles) -> f64| move |counts: &StatsCounts| counts.latency_ms.map(of);
    let timed = |counts: &StatsCounts| counts.latency_ms.map_or(0, |latency| latency.n);
    let first = |of: fn(StatsQuantiles) -> f64| move |counts: &StatsCounts| counts.first_token_ms.map(of);
    let streamed = |counts: &StatsCounts| counts.first_token_ms.map_or(0, |first| first.n);
    let mut rows = vec![
        row("calls", &|counts| Some(float(counts.calls)), &|counts| counts.calls, plain),
        row("cost per call", &cost, &|counts| counts.priced_calls, dollars),
        row("latency p50", &latency(|latency| latency.p50), &timed, duration),
        row("latency p90", &latency(|latency| latency.p90), &timed, duration),
        row("latency p99", &latency(|latency| latency.p99), &timed, duration),
        row("errors", &StatsCounts::error_rate, &|counts| counts.calls, percent),
        row("input tokens per call", &input, &|counts| counts.input_counted_calls, plain),
        row("output tokens per call", &output, &|counts| counts.output_counted_calls, plain),
    ];
    if streamed(before) + streamed(after) > 0 {
        rows.push(row("first token p50", &first(|first| first.p50), &streamed, duration));
        rows.push(row("first token p90", &first(|first| first.p90), &streamed, duration));
    }
    let names: std::collections::BTreeSet<&str> =
        before.scores.iter().chain(&after.scores).map(|one| one.name.as_str()).collect();
    for name in names {
        let of = |counts: &StatsCounts| {
            let found = counts.scores.iter().find(|one| one.name == name);
            found.map_or((None, 0), |one| (one.mean, one.n))
        };
        let ((before, n), (after, m)) = (of(before), of(after));
        if n + m > 0 {
            rows.push(Compared {
                what: format!("{} (mean)", one_line(name)),
                before,
                after,
                counts: (n, m),
                shown: score,
            });
        }
    }
    rows
}

fn print_compared(
    output: Output,
    stats: &PromptStats,
    (one, other): (u64, u64),
    rows: &[Compared],
) -> Result<(), CliError> {
    output.line(format!(
        "{}  {}",
        paint(STRONG, format!("{}: v{one} and v{other}", stats.name)),
        paint(DIM, period(stats.since, stats.until, stats.newest))
    ))?;
    let mut table = Table::new(&["", &format!("V{one}"), "N", &format!("V{other}"), "N", "DIFFERENCE", "CHANGE"]);
    for row in rows {
        let both = row.before.zip(row.after);
        let difference = both.map_or_else(|| UNKNOWN.to_owned(), |(before, after)| signed(after - before, row.shown));
        table.row([
            Cell::from(&row.what),
            (row.shown)(row.before).into(),
            Cell::new(DIM, row.counts.0),
            (row.shown)(row.after).into(),
            Cell::new(DIM, row.counts.1),
            difference.into(),
            both.map_or_else(|| UNKNOWN.to_owned(), |(before, after)| change(before, after)).into(),
        ]);
    }
    output.table(&table, "")
}

/// A difference with its sign, in the form of its figure; that of two shares is in percentage points.
fn signed(difference: f64, shown: fn(Option<f64>) -> String) -> String {
    let text = shown(Some(difference.abs()));
    let text = if text.ends_with('%') { text.replace('%', " points") } else { text };
    let is_nothing = difference == 0.0;
    let sign = if is_nothing {
        ""
    } else if difference > 0.0 {
        "+"
    } else {
        "-"
    };
    format!("{sign}{text}")
}

fn compared_csv((one, other): (u64, u64), rows: &[Compared]) -> Vec<Vec<String>> {
    let mut all = vec![vec![
        "figure".to_owned(),
        format!("v{one}"),
        format!("v{one}_n"),
        format!("v{other}"),
        format!("v{other}_n"),
    ]];
    let value = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    all.extend(rows.iter().map(|row| {
        vec![row.what.clone(), value(row.before), row.counts.0.to_string(), value(row.after), row.counts.1.to_string()]
    }));
    all
}

fn rows_csv(stats: &PromptStats) -> Vec<Vec<String>> {
    let names: std::collections::BTreeSet<&str> = stats.total.scores.iter().map(|one| one.name.as_str()).collect();
    let mut heading: Vec<String> = [stats.by.as_str(), "since", "until"].map(str::to_owned).to_vec();
    heading.extend(COUNT_COLUMNS.map(str::to_owned));
    heading.extend(names.iter().flat_map(|name| [format!("{name}_mean"), format!("{name}_n")]));
    let mut rows = vec![heading];
    for group in &stats.groups {
        let mut row = vec![group.key.clone().unwrap_or_default(), stats.since.to_string(), stats.until.to_string()];
        row.extend(count_cells(&group.counts));
        for name in &names {
            let one = group.counts.scores.iter().find(|one| one.name == *name);
            let mean = one.and_then(|one| one.mean).map(|mean| mean.to_string());
            row.extend([mean.unwrap_or_default(), one.map_or(0, |one| one.n).to_string()]);
        }
        rows.push(row);
    }
    rows
}

/// The columns of counts in tables for spreadsheets.
pub const COUNT_COLUMNS: [&str; 17] = [
    "calls",
    "errors",
    "priced_calls",
    "cost_usd",
    "input_counted_calls",
    "output_counted_calls",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p95_ms",
    "latency_p99_ms",
    "first_token_p50_ms",
    "first_token_p95_ms",
];

/// Counts in those columns; empty where they are not known.
pub fn count_cells(counts: &StatsCounts) -> [String; 17] {
    let tokens = &counts.tokens;
    let known = |calls: u64, number: u64| if calls == 0 { String::new() } else { number.to_string() };
    let (inputs, outputs) = (counts.input_counted_calls, counts.output_counted_calls);
    let of = |quantiles: Option<StatsQuantiles>, of: fn(StatsQuantiles) -> f64| {
        quantiles.map(|quantiles| of(quantiles).to_string()).unwrap_or_default()
    };
    let ms = |part: fn(StatsQuantiles) -> f64| of(counts.latency_ms, part);
    [
        counts.calls.to_string(),
        counts.errors.to_string(),
        counts.priced_calls.to_string(),
        if counts.priced_calls == 0 { String::new() } else { counts.cost_usd.to_string() },
        inputs.to_string(),
        outputs.to_string(),
        known(inputs, tokens.input),
        known(inputs, tokens.cache_read),
        known(inputs, tokens.cache_write),
        known(outputs, tokens.output),
        known(outputs, tokens.reasoning),
        ms(|latency| latency.p50),
        ms(|latency| latency.p90),
        ms(|latency| latency.p95),
        ms(|latency| latency.p99),
        of(counts.first_token_ms, |first| first.p50),
        of(counts.first_token_ms, |first| first.p95),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counts(calls: u64, cost: &str, p50: f64, score: f64) -> serde_json::Value {
        json!({
            "calls": calls, "errors": calls / 10, "priced_calls": calls, "cost_usd": cost, "input_counted_calls": calls, "output_counted_calls": calls,
            "tokens": {"input": calls * 1000, "cache_read": 0, "cache_write": 0, "output": calls * 100, "reasoning": 0},
            "latency_ms": {"n": calls, "p50": p50, "p90": p50 * 2.0, "p95": p50 * 2.5, "p99": p50 * 3.0}, "first_token_ms": null,
            "scores": [{"name": "tone", "n": 4, "mean": score, "min": 0.0, "max": 1.0, "categories": {"ok": 3}}],
        })
    }

    fn stats() -> PromptStats {
        let series = json!([{"at": "2026-03-14T00:00:00Z", "calls": 20, "errors": 0, "priced_calls": 20, "cost_usd": "1",
            "input_tokens": 1, "output_tokens": 1, "latency_p50_ms": 1, "latency_p95_ms": 1, "scores": []}]);
        serde_json::from_value(json!({
            "name": "support/agent", "since": "2026-03-13T00:00:00Z", "until": "2026-03-20T00:00:00Z", "bucket_s": 3600,
            "newest": "2026-03-19T23:59:00Z", "by": "version", "total": counts(30, "0.9", 1000.0, 0.5),
            "groups": [
                {"key": "7", "counts": counts(20, "0.5", 800.0, 0.75), "series": series},
                {"key": "6", "counts": counts(10, "0.4", 1200.0, 0.5), "series": []},
            ],
            "deployments": [],
        }))
        .expect("statistics")
    }

    #[test]
    fn each_version_is_a_row_with_cost_latency_and_errors() {
        let expected = "\
VERSION  CALLS  COST   COST/CALL  P50     P90     P99     ERRORS   IN   OUT
v7       20     $0.50  $0.025     800 ms  1.60 s  2.40 s  2 (10%)  20k  2000
v6       10     $0.40  $0.04      1.20 s  2.40 s  3.60 s  1 (10%)  10k  1000
total    30     $0.90  $0.03      1.00 s  2.00 s  3.00 s  3 (10%)  30k  3000
";
        assert_eq!(table(&stats(), false).render(false, None), expected);
        assert!(table(&stats(), true).render(false, None).contains('█'), "a terminal shows the series");
        let scores = scores(&stats()).render(false, None);
        assert!(scores.contains("v7       tone   0.75  4  0    1    ok 3"), "{scores}");
    }

    #[test]
    fn compared_versions_have_differences_and_counts() {
        let stats = stats();
        let rows = compared(&of_version(&stats, 6).expect("v6").counts, &of_version(&stats, 7).expect("v7").counts);
        let csv = compared_csv((6, 7), &rows);
        assert_eq!(csv[0], ["figure", "v6", "v6_n", "v7", "v7_n"]);
        assert_eq!(csv[2], ["cost per call", "0.04", "10", "0.025", "20"]);
        let cost = &rows[1];
        assert_eq!(signed(cost.after.unwrap() - cost.before.unwrap(), cost.shown), "-$0.015");
        assert_eq!(change(cost.before.unwrap(), cost.after.unwrap()), "-37.5%");
        assert_eq!(signed(0.02, percent), "+2.0 points");
        let missing = of_version(&stats, 9).expect_err("no calls");
        assert!(missing.message.contains("support/agent@9 has no calls"), "{missing:?}");
        assert!(missing.hint.expect("a hint").contains("7, 6"));
        assert_eq!((version("@6"), version("v6"), version("6")), (Ok(6), Ok(6), Ok(6)));
        assert!(version("@production").is_err());
    }

    #[test]
    fn spreadsheet_rows_keep_full_precision() {
        let rows = rows_csv(&stats());
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[0].last().map(String::as_str), Some("tone_n"));
        assert_eq!(rows[1][..7], ["7", "2026-03-13T00:00:00Z", "2026-03-20T00:00:00Z", "20", "2", "20", "0.5"]);
    }
}

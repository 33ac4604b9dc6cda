//! How the versions of a prompt do in use: calls, cost, latency, errors and scores, as figures and over time.

use maud::{Markup, html};

use crate::api::completeness::Completeness;
use crate::api::stats::{PromptStats, StatsCounts, StatsGroup, StatsPoint};
use crate::chart::{Chart, Line, Mark, Period, Style, Unit, legend};
use crate::figures::{UNKNOWN, duration, float, percent, score};
use crate::format::{Escaped, grouped, plain, when};
use crate::layout::{Frame, query, series_colour};
use crate::model::deployment::Deployment;
use crate::model::name::PRODUCTION;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;

/// Versions in the charts: those with the most calls.
const DRAWN_MAX: usize = 6;
/// Charts of scores: those with the most scores.
const SCORE_CHARTS_MAX: usize = 4;
/// Marks of a chart, the newest.
const MARKS_MAX: usize = 40;
/// The periods of the pages, and what they are called.
pub const PERIODS: [(&str, &str); 3] = [("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days")];

/// The contents of the section.
#[derive(Clone, Debug)]
pub struct InUse {
    /// The period, as it was asked for.
    pub since: String,
    /// What was counted, by version.
    pub stats: PromptStats,
}

/// Renders the section.
pub(super) fn in_use(frame: &Frame, data: &InUse) -> Markup {
    let stats = &data.stats;
    html! {
        section #in-use aria-labelledby="in-use-title" {
            div.head {
                h2 #in-use-title { "In use" }
                (periods(&data.since, |since| format!("{}#in-use", query(&[("since", since)]))))
            }
            @if stats.groups.is_empty() { (nothing(stats.newest.is_some())) } @else {
                (reported(frame, stats.newest, &stats.completeness))
                (table(stats))
                (charts(stats))
            }
        }
    }
}

/// Links to other periods.
pub(super) fn periods(chosen: &str, path: impl Fn(&str) -> String) -> Markup {
    html! {
        nav.tabs.periods aria-label="Period" {
            @for (since, name) in PERIODS {
                a href=(path(since)) aria-current=[(chosen == since).then_some("true")] { (name) }
            }
        }
    }
}

/// How far the figures reach.
pub(super) fn reported(frame: &Frame, newest: Option<Timestamp>, completeness: &Completeness) -> Markup {
    let Completeness { complete_until, behind, more_behind } = completeness;
    html! {
        @if let Some(newest) = newest {
            p.quiet {
                "Newest report: " (when(newest, frame.now)) ". "
                @if behind.is_empty() { "Complete up to " (when(*complete_until, frame.now)) "." }
            }
        }
        @if let Some(first) = behind.first() {
            p.note.warn {
                "Complete up to " (when(*complete_until, frame.now)) ". Replica " (Escaped(&first.replica))
                " has not sent what it recorded since " (when(first.complete_until, frame.now))
                @let more = u64::try_from(behind.len()).unwrap_or(u64::MAX).saturating_add(*more_behind) - 1;
                @if more > 0 { ", nor have " (grouped(more)) " more" } "."
            }
        }
    }
}

/// What to do where nothing was reported.
pub(super) fn nothing(is_recorded: bool) -> Markup {
    html! {
        div.empty {
            p {
                @if is_recorded { "No calls were reported in this period. " } @else { "No calls were reported yet. " }
                "After each call of a model, send its tokens, latency and the " code { "stamp" }
                " of the resolved prompt to " code { "POST /v1/responses" } "."
            }
            p {
                "See " a href="/docs#post-v1-responses" { "how to report responses" } " and "
                a href="/docs#post-v1-scores" { "how to report scores" } "."
            }
        }
    }
}

/// The name of a version's group.
fn name(group: &StatsGroup) -> String {
    match &group.key {
        Some(key) if key.parse::<u64>().is_ok() => format!("v{key}"),
        _ => "other versions".to_owned(),
    }
}

fn colour(group: &StatsGroup) -> String {
    series_colour(group.key.as_ref().and_then(|key| key.parse().ok()).unwrap_or_default())
}

/// The cost of calls, if it is known of any.
pub(super) fn cost(counts: &StatsCounts) -> String {
    if counts.priced_calls == 0 { UNKNOWN.to_owned() } else { counts.cost_usd.short() }
}

/// The cost of a call, if it is known of any.
pub(super) fn cost_per_call(counts: &StatsCounts) -> String {
    counts.cost_per_call().map_or_else(|| UNKNOWN.to_owned(), Usd::short)
}

fn table(stats: &PromptStats) -> Markup {
    let latency =
        |counts: &StatsCounts, of: fn(crate::api::stats::StatsQuantiles) -> f64| duration(counts.latency_ms.map(of));
    // Only calls that stream their answer have it.
    let with_first = stats.total.first_token_ms.is_some();
    html! {
        table.list.cards.figures {
            thead { tr {
                th scope="col" { "Version" } th scope="col" { "Calls" } th scope="col" { "Cost" }
                th scope="col" { "Cost per call" } th scope="col" { "Latency p50" } th scope="col" { "Latency p95" }
                @if with_first { th scope="col" { "First token p50" } }
                th scope="col" { "Errors" } th scope="col" { "Scores" }
            } }
            tbody {
                @for group in &stats.groups {
                    @let counts = &group.counts;
                    tr {
                        th scope="row" { span.version { (name(group)) } }
                        td data-label="Calls" { (grouped(counts.calls)) }
                        td data-label="Cost" { (cost(counts)) (coverage(counts)) }
                        td data-label="Cost per call" { (cost_per_call(counts)) }
                        td data-label="Latency p50" { (latency(counts, |one| one.p50)) }
                        td data-label="Latency p95" { (latency(counts, |one| one.p95)) }
                        @if with_first {
                            td data-label="First token p50" { (duration(counts.first_token_ms.map(|one| one.p50))) }
                        }
                        td data-label="Errors" {
                            (percent(counts.error_rate()))
                            @if counts.errors > 0 { " " span.quiet { "(" (grouped(counts.errors)) ")" } }
                        }
                        td data-label="Scores" { (scores(counts)) }
                    }
                }
            }
        }
    }
}

/// How much of the cost is known, where that is not all.
pub(super) fn coverage(counts: &StatsCounts) -> Markup {
    html! {
        @if counts.priced_calls < counts.calls && counts.priced_calls > 0 {
            " " span.quiet { "(known for " (percent(counts.cost_coverage())) ")" }
        }
    }
}

/// Means with their numbers, and categories with their counts.
fn scores(counts: &StatsCounts) -> Markup {
    html! {
        @if counts.scores.is_empty() { span.quiet.none { "–" } }
        @for one in &counts.scores {
            div {
                (Escaped(&one.name)) " "
                @if let Some(mean) = one.mean { b { (score(Some(mean))) } " " span.quiet { "n=" (grouped(one.n)) } }
                @if !one.categories.is_empty() {
                    " " span.quiet {
                        @for (index, (category, count)) in one.categories.iter().enumerate() {
                            @if index > 0 { ", " } (Escaped(category)) " " (grouped(*count))
                        }
                    }
                }
            }
        }
    }
}

fn charts(stats: &PromptStats) -> Markup {
    let period = Period {
        from_ms: stats.since.ms(),
        to_ms: stats.until.ms(),
        bucket_ms: i64::try_from(stats.bucket_s).unwrap_or(3_600).saturating_mul(1_000),
    };
    let drawn = drawn(stats);
    let marks: Vec<Mark> = stats.deployments.iter().rev().take(MARKS_MAX).rev().filter_map(mark).collect();
    let lines = |of: &dyn Fn(&StatsPoint) -> Option<f64>| -> Vec<Line> {
        let line = |group: &&StatsGroup| Line {
            name: name(group),
            colour: colour(group),
            is_dashed: false,
            points: group.series.iter().filter_map(|point| Some((point.at.ms(), of(point)?))).collect(),
        };
        drawn.iter().map(line).filter(|line| !line.points.is_empty()).collect()
    };
    let chart = |id: &str, title: &str, unit, style, lines: Vec<Line>| {
        let is_empty = lines.iter().all(|line| line.points.is_empty());
        let chart = Chart { id: format!("chart-{id}"), title, unit, style, period, lines, marks: &marks };
        html! { @if !is_empty { (chart.render()) } }
    };
    let times = |median: &dyn Fn(&StatsPoint) -> Option<f64>, slow: &dyn Fn(&StatsPoint) -> Option<f64>| -> Vec<Line> {
        let named =
            |line: Line, part: &str, is_dashed| Line { name: format!("{} {part}", line.name), is_dashed, ..line };
        let median = lines(median).into_iter().map(|line| named(line, "p50", false));
        median.chain(lines(slow).into_iter().map(|line| named(line, "p95", true))).collect()
    };
    let latency = times(&|point| point.latency_p50_ms, &|point| point.latency_p95_ms);
    let first = times(&|point| point.first_token_p50_ms, &|point| point.first_token_p95_ms);
    let calls = |point: &StatsPoint| (point.calls > 0).then(|| float(point.calls));
    let failed = |point: &StatsPoint| (point.calls > 0).then(|| float(point.errors) / float(point.calls));
    let names: Vec<(String, String)> = drawn.iter().map(|group| (name(group), colour(group))).collect();
    let spent = |point: &StatsPoint| (point.priced_calls > 0).then(|| point.cost_usd.dollars());
    html! {
        (legend(names.iter().map(|(name, colour)| (name.as_str(), colour.as_str()))))
        @if drawn.len() < stats.groups.len() {
            p.quiet { "The charts show the " (DRAWN_MAX) " versions with the most calls." }
        }
        div.charts {
            (chart("calls", "Calls", Unit::Count, Style::Bars, lines(&calls)))
            (chart("cost", "Cost", Unit::Usd, Style::Bars, lines(&spent)))
            (chart("latency", "Latency (solid p50, dashed p95)", Unit::Ms, Style::Lines, latency))
            (chart("first-token", "Time to the first token (solid p50, dashed p95)", Unit::Ms, Style::Lines, first))
            @if stats.total.errors > 0 {
                (chart("errors", "Share of calls that failed", Unit::Share, Style::Lines, lines(&failed)))
            }
            @for (index, score) in score_names(stats).iter().enumerate() {
                @let of = |point: &StatsPoint| point.scores.iter().find(|one| one.name == *score).map(|one| one.mean);
                @let (id, title) = (format!("score-{index}"), format!("Score: {}", plain(score)));
                (chart(&id, &title, Unit::Score, Style::Lines, lines(&of)))
            }
        }
    }
}

/// The versions with the most calls, the oldest first.
fn drawn(stats: &PromptStats) -> Vec<&StatsGroup> {
    let mut ranked: Vec<&StatsGroup> = stats.groups.iter().collect();
    ranked.sort_by_key(|group| std::cmp::Reverse(group.counts.calls));
    ranked.truncate(DRAWN_MAX);
    ranked.sort_by_key(|group| group.key.as_ref().and_then(|key| key.parse::<u64>().ok()).unwrap_or(0));
    ranked
}

/// The names of the scores with the most numbers.
fn score_names(stats: &PromptStats) -> Vec<&str> {
    let mut ranked: Vec<(u64, &str)> =
        stats.total.scores.iter().filter(|one| one.n > 0).map(|one| (one.n, one.name.as_str())).collect();
    ranked.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(b.1)));
    ranked.into_iter().take(SCORE_CHARTS_MAX).map(|(_, name)| name).collect()
}

/// A deployment as a mark; those of `latest` only record removals.
fn mark(one: &Deployment) -> Option<Mark> {
    if one.label.is_latest() {
        return None;
    }
    let versions = one.to.as_ref().map(Serving::versions).unwrap_or_default();
    let short = match versions.as_slice() {
        [] => "×".to_owned(),
        [only] => format!("v{only}"),
        [first, ..] => format!("v{first}…"),
    };
    let to = one.to.as_ref().map_or_else(|| "nothing".to_owned(), ToString::to_string);
    let text = format!("{} → {to} ({} by {}: {})", one.label, one.action, one.actor, one.message);
    Some(Mark { at_ms: one.at.ms(), short, text, is_main: one.label.as_str() == PRODUCTION })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn data(groups: usize) -> InUse {
        let group = |number: usize| {
            json!({
                "key": number.to_string(),
                "counts": {
                    "calls": 10 * number, "errors": 1, "priced_calls": 5, "cost_usd": "0.5", "input_counted_calls": 1, "output_counted_calls": 1,
                    "tokens": {"input": 1, "cache_read": 0, "cache_write": 0, "output": 1, "reasoning": 0},
                    "latency_ms": {"n": 2, "p50": 800, "p90": 900, "p95": 950, "p99": 990}, "first_token_ms": null,
                    "scores": [{"name": "tone<b>", "n": 3, "mean": 0.5, "min": 0, "max": 1, "categories": {"<i>": 2}}],
                },
                "series": [{
                    "at": "2026-03-14T00:00:00Z", "calls": 5, "errors": 1, "priced_calls": 5, "cost_usd": "0.5",
                    "input_tokens": 1, "output_tokens": 1, "latency_p50_ms": 800, "latency_p95_ms": 950,
                    "scores": [{"name": "tone<b>", "n": 3, "mean": 0.5}],
                }],
            })
        };
        let all: Vec<_> = (1..=groups).rev().map(group).collect();
        let total = if groups > 0 {
            group(1)["counts"].clone()
        } else {
            json!({
                "calls": 0, "errors": 0, "priced_calls": 0, "cost_usd": "0", "input_counted_calls": 0, "output_counted_calls": 0, "latency_ms": null, "scores": [],
                "tokens": {"input": 0, "cache_read": 0, "cache_write": 0, "output": 0, "reasoning": 0}, "first_token_ms": null,
            })
        };
        let deployment = json!({"id": 5, "name": "a", "label": "production", "at": "2026-03-15T00:00:00Z", "actor": "rob<u>",
            "message": "</title>", "action": "rollback", "from": null, "to": {"version": 2}});
        InUse {
            since: "7d".to_owned(),
            stats: serde_json::from_value(json!({
                "name": "a", "since": "2026-03-13T00:00:00Z", "until": "2026-03-20T15:00:00Z", "bucket_s": 3600,
                "newest": "2026-03-20T14:58:00Z", "by": "version", "total": total, "groups": all, "deployments": [deployment],
            }))
            .expect("statistics"),
        }
    }

    #[test]
    fn versions_have_figures_charts_and_marks_without_markup_of_others() {
        let html = in_use(&sample(Who::Local), &data(2)).into_string();
        for part in [
            "<span class=\"version\">v2</span>",
            "known for 25%",
            "800 ms",
            "10% <span class=\"quiet\">(1)</span>",
            "tone&lt;b&gt; <b>0.5</b>",
            "&lt;i&gt; 2",
            "chart-cost",
            "Score: tone&lt;b&gt;",
            "production → 2 (rollback by rob&lt;u&gt;: &lt;/title&gt;)",
            "href=\"?since=30d#in-use\"",
            "Newest report: ",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<i>") && !html.contains("<u>"), "{html}");
    }

    #[test]
    fn charts_show_the_versions_with_the_most_calls() {
        let found = data(9);
        let names: Vec<_> = drawn(&found.stats).into_iter().map(name).collect();
        assert_eq!(names, ["v4", "v5", "v6", "v7", "v8", "v9"]);
        assert!(in_use(&sample(Who::Local), &found).into_string().contains("the 6 versions with the most calls"));
    }

    #[test]
    fn without_calls_the_section_says_how_to_report_them() {
        let html = in_use(&sample(Who::Local), &data(0)).into_string();
        assert!(html.contains("POST /v1/responses") && html.contains("/docs#post-v1-responses"), "{html}");
        assert!(!html.contains("<svg"), "{html}");
    }
}

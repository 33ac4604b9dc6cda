//! What all prompts use: spend, calls, what cannot be attributed, the most expensive prompts, and those without calls.

use maud::{Markup, html};

use super::in_use::{cost, cost_per_call, coverage, nothing, periods, reported};
use super::responses::search;
use crate::api::stats::{PromptUsage, SpendPoint, StatsCounts, UnattributedUsage, UsageStats, share};
use crate::chart::{Chart, Line, Period, Style, Unit, spark};
use crate::figures::{UNKNOWN, change, float, percent, unattributed_reason, version_change};
use crate::format::{Escaped, counted, grouped, sentence};
use crate::layout::{Frame, Page, Part, prompt_path, query};
use crate::model::name::PromptName;

/// Prompts in the table.
pub const PROMPTS_SHOWN: usize = 25;
/// Prompts without calls that are named.
pub const UNUSED_SHOWN: usize = 50;

/// The contents of the page.
#[derive(Clone, Debug)]
pub struct UsagePageData {
    /// The period, as it was asked for.
    pub since: String,
    /// What was counted.
    pub usage: UsageStats,
    /// Prompts without calls in the period.
    pub unused: Vec<PromptName>,
    /// How many more there are.
    pub more_unused: usize,
}

/// Renders the page.
pub fn page(frame: &Frame, data: &UsagePageData) -> String {
    let usage = &data.usage;
    let main = html! {
        div.head {
            h1 { "Usage" }
            p.quiet { "What prompts cost and how often they are called. " a href="/ui/alerts" { "Alerts" } }
        }
        (periods(&data.since, |since| format!("/ui/usage{}", query(&[("since", since)]))))
        (search())
        @if usage.total.calls == 0 && usage.previous.calls == 0 { (nothing(usage.newest.is_some())) } @else {
            (reported(frame, usage.newest, &usage.completeness))
            (tiles(usage))
            (charts(usage))
            section aria-labelledby="most" {
                h2 #most { "Most expensive prompts" }
                (prompts(data, usage))
            }
            @if let Some(unattributed) = &usage.unattributed {
                section aria-labelledby="unattributed" {
                    h2 #unattributed { "Unattributed calls" }
                    (reasons(unattributed, &usage.total))
                }
            }
            section aria-labelledby="unused" {
                h2 #unused { "Prompts without calls" }
                (unused(data))
            }
        }
    };
    frame.page_of(Part::Usage, &Page { title: "Usage", above: &[], done: None, searches: false, main })
}

/// The large figures.
fn tiles(usage: &UsageStats) -> Markup {
    let total = &usage.total;
    let tile = |name: &str, figure: String, note: Markup| {
        html! { div { dt { (name) } dd { b { (figure) } p.quiet { (note) } } } }
    };
    let before = |text: String| {
        html! { @if text == "new" { "none in the period before" } @else { (text) " against the period before" } }
    };
    let spent = change(usage.previous.cost_usd.dollars(), total.cost_usd.dollars());
    let called = change(float(usage.previous.calls), float(total.calls));
    html! {
        dl.tiles {
            (tile("Spend", cost(total), before(spent)))
            (tile("Calls", grouped(total.calls), before(called)))
            (tile("Cost per call", cost_per_call(total), html! {
                "cost known for " (percent(usage.cost_coverage)) " of calls"
            }))
            (tile("Failed", percent(total.error_rate()), html! { (counted(total.errors, "call")) }))
            (tile("Cached input", percent(total.cached_share()), html! { "of input tokens" }))
            @if let Some(unattributed) = &usage.unattributed {
                (tile("Unattributed", percent(share(unattributed.counts.calls, total.calls)), html! {
                    (counted(unattributed.counts.calls, "call"))
                }))
            }
        }
    }
}

fn period(usage: &UsageStats) -> Period {
    Period {
        from_ms: usage.since.ms(),
        to_ms: usage.until.ms(),
        bucket_ms: i64::try_from(usage.bucket_s).unwrap_or(3_600).saturating_mul(1_000),
    }
}

fn charts(usage: &UsageStats) -> Markup {
    let chart = |id: &str, title: &str, unit, of: fn(&SpendPoint) -> f64| {
        let points: Vec<(i64, f64)> = usage.series.iter().map(|point| (point.at.ms(), of(point))).collect();
        let line = Line { name: title.to_owned(), colour: "s0".to_owned(), is_dashed: false, points };
        Chart {
            id: id.to_owned(),
            title,
            unit,
            style: Style::Bars,
            period: period(usage),
            lines: vec![line],
            marks: &[],
        }
        .render()
    };
    html! {
        @if !usage.series.is_empty() {
            div.charts {
                (chart("chart-spend", "Spend", Unit::Usd, |point| point.cost_usd.dollars()))
                (chart("chart-calls", "Calls", Unit::Count, |point| float(point.calls)))
            }
        }
    }
}

fn prompts(data: &UsagePageData, usage: &UsageStats) -> Markup {
    let of_all = |counts: &StatsCounts| {
        (usage.total.cost_usd.pico() > 0).then(|| counts.cost_usd.dollars() / usage.total.cost_usd.dollars())
    };
    let link = |prompt: &PromptUsage| {
        format!("{}{}#in-use", prompt_path(prompt.name.as_str()), query(&[("since", &data.since)]))
    };
    let spent = |prompt: &PromptUsage| {
        let points = prompt.series.iter().map(|point| (point.at.ms(), point.cost_usd.dollars()));
        spark(period(usage), points)
    };
    let shown: Vec<&PromptUsage> = usage.prompts.iter().filter(|prompt| prompt.counts.calls > 0).collect();
    html! {
        @if shown.is_empty() { p.quiet { "No prompt was called in this period." } } @else {
            table.list.cards.figures {
                thead { tr {
                    th scope="col" { "Prompt" } th scope="col" { "Cost" } th scope="col" { "Share" }
                    th scope="col" { "Growth" } th scope="col" { "Calls" } th scope="col" { "Cost per call" }
                    th scope="col" { "Cached" } th scope="col" { "Prompt text" } th scope="col" { "Failed" }
                    th scope="col" { "Cost over time" }
                } }
                tbody {
                    @for prompt in shown.iter().take(PROMPTS_SHOWN) {
                        @let counts = &prompt.counts;
                        tr {
                            th scope="row" { a.name href=(link(prompt)) { (Escaped(prompt.name.as_str())) } }
                            td data-label="Cost" { (cost(counts)) (coverage(counts)) }
                            td data-label="Share" { (percent(of_all(counts))) }
                            td data-label="Growth" { (growth(prompt)) }
                            td data-label="Calls" { (grouped(counts.calls)) }
                            td data-label="Cost per call" {
                                (cost_per_call(counts))
                                @if let Some(change) = prompt.version_change {
                                    " " span.quiet title={ "compared with v" (change.before) } {
                                        (version_change(change))
                                    }
                                }
                            }
                            td data-label="Cached" { (percent(counts.cached_share())) }
                            td data-label="Prompt text" { (text(prompt)) }
                            td data-label="Failed" { (percent(counts.error_rate())) }
                            td.sparked { (spent(prompt)) }
                        }
                    }
                }
            }
            p.quiet {
                "Prompt text is the estimated share of the cost that is the prompt's own text. The version beside the \
                 cost per call is the newest one, compared with the version before it. Both are shown for the 25 most \
                 expensive prompts."
            }
            @let left = u64::try_from(shown.len().saturating_sub(PROMPTS_SHOWN)).unwrap_or(0) + usage.more_prompts;
            @if left > 0 { p.quiet { "and " (grouped(left)) " more: " code { "bookholder costs --limit 1000" } } }
        }
    }
}

/// The share of spend that is the prompt's own text, and what a shorter one would save.
fn text(prompt: &PromptUsage) -> Markup {
    html! {
        (percent(prompt.text.map(|text| text.share)))
        @if let Some(saved) = prompt.text.map(|text| text.tenth_shorter_saves_usd).filter(|saved| saved.pico() > 0) {
            " " span.quiet { "(one tenth shorter saves " (saved.short()) ")" }
        }
    }
}

fn growth(prompt: &PromptUsage) -> String {
    if prompt.counts.priced_calls == 0 {
        return UNKNOWN.to_owned();
    }
    change(prompt.previous.cost_usd.dollars(), prompt.counts.cost_usd.dollars())
}

/// Why calls belong to no known version.
fn reasons(unattributed: &UnattributedUsage, total: &StatsCounts) -> Markup {
    html! {
        @if unattributed.reasons.is_empty() { p.quiet { "Every call belongs to a known version." } } @else {
            table.list.cards {
                thead { tr {
                    th scope="col" { "Reason" } th scope="col" { "Calls" } th scope="col" { "Share of calls" }
                    th scope="col" { "Cost" }
                } }
                tbody {
                    @for one in &unattributed.reasons {
                        @let known = one.counts.priced_calls > 0;
                        tr {
                            th scope="row" { (sentence(unattributed_reason(&one.reason))) }
                            td data-label="Calls" { (grouped(one.counts.calls)) }
                            td data-label="Share" { (percent(share(one.counts.calls, total.calls))) }
                            td data-label="Cost" { @if known { (one.counts.cost_usd.short()) } @else { (UNKNOWN) } }
                        }
                    }
                }
            }
            p { a href="/ui/observed" { "Observed prompts" } " shows the texts of calls that name no prompt." }
            p.quiet {
                "To attribute a call, report the " code { "stamp" } " of the resolved prompt with it. "
                a href="/docs#post-v1-responses" { "How to report responses" }
            }
        }
    }
}

fn unused(data: &UsagePageData) -> Markup {
    html! {
        @if data.unused.is_empty() { p.quiet { "Every prompt was called in this period." } } @else {
            ul.inline {
                @for name in data.unused.iter().take(UNUSED_SHOWN) {
                    li { a.tag href=(prompt_path(name.as_str())) { (Escaped(name.as_str())) } }
                }
            }
            @let left = data.unused.len().saturating_sub(UNUSED_SHOWN) + data.more_unused;
            @if left > 0 { p.quiet { "and " (grouped(u64::try_from(left).unwrap_or(0))) " more" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn data(calls: u64) -> UsagePageData {
        let counts = json!({
            "calls": calls, "errors": calls / 4, "priced_calls": calls / 2, "cost_usd": "1.5", "input_counted_calls": calls, "output_counted_calls": calls,
            "tokens": {"input": 100, "cache_read": 25, "cache_write": 0, "output": 1, "reasoning": 0},
            "latency_ms": null, "first_token_ms": null, "scores": [],
        });
        let spend = |calls: u64, cost: &str| json!({"calls": calls, "priced_calls": calls, "cost_usd": cost});
        let series = json!([{"at": "2026-03-14T00:00:00Z", "calls": calls, "errors": 0, "cost_usd": "1.5"}]);
        UsagePageData {
            since: "30d".to_owned(),
            usage: serde_json::from_value(json!({
                "since": "2026-02-18T00:00:00Z", "until": "2026-03-20T15:00:00Z", "previous_since": "2026-01-19T00:00:00Z",
                "bucket_s": 86400, "newest": null, "total": counts, "cost_coverage": 0.5, "previous": spend(calls / 2, "1"),
                "unattributed": {"counts": spend(2, "0.1"), "reasons": [{"reason": "ambiguous_split", "counts": spend(2, "0.1")}]},
                "series": series, "more_prompts": 3,
                "prompts": [{"name": "a<b>", "counts": counts, "previous": spend(0, "0"), "series": series,
                    "text": {"tokens_per_call": 9, "cost_usd": "0.6", "of_cost_usd": "1.5", "share": 0.4, "tenth_shorter_saves_usd": "0.06"},
                    "version_change": {"version": 7, "before": 5, "cost_per_call_usd": "0.15", "cost_per_call_before_usd": "0.12"},
                }],
            }))
            .expect("usage"),
            unused: vec!["old/<i>".parse().expect("a name")],
            more_unused: 2,
        }
    }

    #[test]
    fn page_shows_spend_reasons_and_unused_prompts_without_markup_of_others() {
        let html = page(&sample(Who::Local), &data(8));
        for part in [
            "<b>$1.50</b>",
            "+50.0% against the period before",
            "cost known for 50% of calls",
            "a&lt;b&gt;",
            "40% <span class=\"quiet\">(one tenth shorter saves $0.06)",
            "compared with v5\">v7 +25.0%",
            "href=\"/ui/prompts/a%3Cb%3E?since=30d#in-use\"",
            "The label serves several versions and no stamp or subject was reported.",
            "old/&lt;i&gt;",
            "and 2 more",
            "and 3 more",
            "id=\"chart-spend\"",
            "aria-current=\"true\">30 days",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
        assert!(!html.contains("<i>"), "{html}");
    }

    #[test]
    fn page_says_up_to_when_it_is_complete_and_who_is_behind() {
        let mut behind = data(8);
        behind.usage.completeness = serde_json::from_value(json!({
            "complete_until": "2026-03-20T10:42:00Z", "more_behind": 2,
            "behind": [{"replica": "edge-<3>", "complete_until": "2026-03-20T10:42:00Z", "heard": "2026-03-20T10:42:30Z"}],
        }))
        .expect("a completeness");
        let html = page(&sample(Who::Local), &behind);
        for part in
            ["Complete up to ", "Replica edge-&lt;3&gt; has not sent what it recorded since ", ", nor have 2 more."]
        {
            assert!(html.contains(part), "{part} in {html}");
        }
    }

    #[test]
    fn page_without_calls_says_how_to_report_them() {
        let mut empty = data(0);
        empty.usage.previous =
            serde_json::from_value(json!({"calls": 0, "priced_calls": 0, "cost_usd": "0"})).expect("none");
        let html = page(&sample(Who::Local), &empty);
        assert!(html.contains("No calls were reported yet.") && !html.contains("chart-spend"), "{html}");
    }
}

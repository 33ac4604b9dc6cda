//! A run as one HTML page: the verdict, the comparison, and every case that did not pass.
//!
//! One file without scripts that loads nothing, in light and dark. Text from others is escaped, and invisible
//! characters are shown by their code points. Of a long run the cases that passed are left out first, and counted.

use std::collections::HashMap;
use std::io::{self, Write};

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use super::text::{cut, evaluated, moment, outcome};
use crate::model::evaluation::{CaseResult, CaseVerdict, Comparison, GateState, Run, ScorerResult, Side};
use crate::model::finding::is_hidden;
use crate::model::usd::Usd;

/// The inlined stylesheet.
const STYLE: &str = include_str!("report.css");
/// Most cases in the table.
const ROWS_MAX: usize = 2_000;
/// Most answers of the baseline that are shown beside.
const BASELINES_MAX: usize = 10_000;
/// Most names in one list.
const NAMES_MAX: usize = 1_000;
/// Longest answer, in characters.
const ANSWER_CHARACTERS_MAX: usize = 8_000;
/// Longest reason, in characters.
const REASON_CHARACTERS_MAX: usize = 2_000;
/// The text for what is not known.
const NONE: &str = "–";

/// The results on the page: of each verdict as many as there is room for.
#[derive(Default)]
struct Rows {
    failed: Vec<CaseResult>,
    errors: Vec<CaseResult>,
    passed: Vec<CaseResult>,
    count: usize,
    baseline: HashMap<(String, String, u32), String>,
}

/// Writes a run as a page.
///
/// # Errors
/// It cannot be written.
pub fn html(run: &Run, results: impl IntoIterator<Item = CaseResult>, out: &mut dyn Write) -> io::Result<()> {
    let mut rows = Rows::default();
    for result in results {
        rows.add(result);
    }
    let title = format!("Evaluation of {}", evaluated(&run.candidate));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (Shown(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (head(run, &title))
                main {
                    (gate(run))
                    (figures(run))
                    (metrics(run))
                    @if let Some(comparison) = &run.comparison { (compared(comparison)) }
                    (names("Cases whose repeats differ", &run.summary.flaky))
                    h2 id="cases" { "Cases" }
                }
            }
        }
    }
    .into_string();
    // The table is written row by row, within `main`.
    let end = "</main></body></html>";
    let (top, end) = page.rsplit_once(end).map_or((page.as_str(), ""), |(top, _)| (top, end));
    out.write_all(top.as_bytes())?;
    rows.write(run, out)?;
    out.write_all(end.as_bytes())
}

impl Rows {
    fn add(&mut self, mut result: CaseResult) {
        if let Some(answer) = &mut result.answer {
            answer.text = cut(&answer.text, ANSWER_CHARACTERS_MAX);
        }
        if result.side == Side::Baseline {
            if let Some(answer) = result.answer.filter(|_| self.baseline.len() < BASELINES_MAX) {
                self.baseline.insert((result.case, result.model.to_string(), result.repeat), answer.text);
            }
            return;
        }
        self.count += 1;
        let list = match result.verdict {
            CaseVerdict::Failed => &mut self.failed,
            CaseVerdict::Error => &mut self.errors,
            CaseVerdict::Passed => &mut self.passed,
        };
        if list.len() < ROWS_MAX {
            list.push(result);
        }
    }

    fn write(&self, run: &Run, out: &mut dyn Write) -> io::Result<()> {
        if self.count == 0 {
            return out.write_all(b"<p>No results.</p>");
        }
        let columns = ["Verdict", "Case", "Model", "Repeat", "Score", "Latency", "Cost", "Answer and reasons"];
        let top = html! { thead { tr { @for column in columns { th scope="col" { (column) } } } } };
        out.write_all(b"<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-labelledby=\"cases\"><table>")?;
        out.write_all(top.into_string().as_bytes())?;
        out.write_all(b"<tbody>")?;
        let all = self.failed.iter().chain(&self.errors).chain(&self.passed);
        let mut shown = 0;
        for result in all.take(ROWS_MAX) {
            let key = (result.case.clone(), result.model.to_string(), result.repeat);
            let row = row(run, result, self.baseline.get(&key).map(String::as_str));
            out.write_all(row.into_string().as_bytes())?;
            shown += 1;
        }
        out.write_all(b"</tbody></table></div>")?;
        if shown < self.count {
            let rest =
                html! { p { (self.count - shown) " more results are not on this page; the JSON report has all." } };
            out.write_all(rest.into_string().as_bytes())?;
        }
        Ok(())
    }
}

fn head(run: &Run, title: &str) -> Markup {
    html! {
        header {
            h1 { (Shown(title)) }
            p.outcome.(outcome_class(run)) { (sentence(&outcome(run))) }
            @if let Some(reason) = &run.reason { p { "The run ended early: " (Shown(reason)) } }
            dl.facts {
                dt { "Content" } dd { code { (run.candidate.content_id) } }
                dt { "Suite" }
                dd { (Shown(&run.suite.name)) " version " (run.suite.number) " " code { (run.suite.id) } }
                dt { "Models" }
                dd { @for (index, model) in run.models.iter().enumerate() {
                    @if index > 0 { ", " } (Shown(&model.to_string()))
                } }
                @if run.repeats > 1 { dt { "Repeats" } dd { (run.repeats) } }
                dt { "Run" }
                dd {
                    (run.id) ", " (run.state) ", started " (moment(run.at)) " by " (Shown(&run.by))
                    @if let Some(ended) = run.ended { ", ended " (moment(ended)) }
                }
                @if let Some(tool) = &run.imported_from { dt { "Run by" } dd { (Shown(tool)) } }
            }
        }
    }
}

fn outcome_class(run: &Run) -> &'static str {
    run.verdict.as_ref().map_or("warn", |verdict| state_class(verdict.state))
}

fn state_class(state: GateState) -> &'static str {
    match state {
        GateState::Passed => "good",
        GateState::Failed => "bad",
        GateState::Inconclusive => "warn",
    }
}

fn verdict_class(verdict: CaseVerdict) -> &'static str {
    match verdict {
        CaseVerdict::Passed => "good",
        CaseVerdict::Failed => "bad",
        CaseVerdict::Error => "warn",
    }
}

fn gate(run: &Run) -> Markup {
    let Some(verdict) = &run.verdict else { return html! {} };
    html! {
        h2 { "Gate" }
        table {
            thead { tr { th scope="col" { "Result" } th scope="col" { "Condition" } } }
            tbody {
                @for check in &verdict.checks {
                    tr { td.(state_class(check.state)) { (check.state) } td { (Shown(&check.says)) } }
                }
            }
        }
    }
}

fn figures(run: &Run) -> Markup {
    let summary = &run.summary;
    let ms = |value: Option<u64>| value.map_or_else(|| NONE.to_owned(), |ms| format!("{ms} ms"));
    let share = |value: Option<f64>| value.map_or_else(|| NONE.to_owned(), |value| format!("{value:.3}"));
    let figure = |value: String, name: &str, alarm: bool| html! { li.alarm[alarm] { b { (value) } (name) } };
    html! {
        ul.figures {
            (figure(summary.passed.to_string(), "passed", false))
            (figure(summary.failed.to_string(), "failed", summary.failed > 0))
            (figure(summary.errors.to_string(), "errors", summary.errors > 0))
            (figure(share(summary.score), "score", false))
            @if summary.consistency.is_some() { (figure(share(summary.consistency), "consistency of repeats", false)) }
            (figure(summary.calls.to_string(), "calls", false))
            (figure(summary.cost.short(), "cost", false))
            (figure(ms(summary.latency_p50_ms), "median latency", false))
            (figure(ms(summary.latency_p95_ms), "95th percentile", false))
        }
    }
}

fn metrics(run: &Run) -> Markup {
    if run.summary.metrics.is_empty() {
        return html! {};
    }
    html! {
        h2 { "Metrics" }
        table {
            thead { tr { th scope="col" { "Metric" } th scope="col" { "Mean" } th scope="col" { "Required" } } }
            tbody {
                @for (metric, mean) in run.summary.metrics.iter().take(NAMES_MAX) {
                    tr {
                        th scope="row" { (Shown(metric)) }
                        td { (format!("{mean:.3}")) }
                        td { (run.gate.metrics.get(metric).map_or_else(|| NONE.to_owned(), ToString::to_string)) }
                    }
                }
            }
        }
    }
}

fn compared(comparison: &Comparison) -> Markup {
    html! {
        h2 { "Compared with " (Shown(&evaluated(&comparison.baseline))) }
        p {
            "On " (comparison.pairs) " cases the score is " (format!("{:+.3}", comparison.difference))
            ", and with 95% confidence not lower than " (format!("{:+.3}", comparison.lower_bound))
            ". Exact McNemar test: p = " (format!("{:.3}", comparison.mcnemar_p)) "."
        }
        (names("Got worse", &comparison.worse))
        (names("Got better", &comparison.better))
    }
}

fn names(heading: &str, names: &[String]) -> Markup {
    if names.is_empty() {
        return html! {};
    }
    html! {
        h3 { (heading) " (" (names.len()) ")" }
        ul.names {
            @for name in names.iter().take(NAMES_MAX) { li { (Shown(name)) } }
            @if names.len() > NAMES_MAX { li { "and " (names.len() - NAMES_MAX) " more" } }
        }
    }
}

fn row(run: &Run, result: &CaseResult, baseline: Option<&str>) -> Markup {
    let answer = result.answer.as_ref();
    let cost = answer.and_then(|answer| answer.usage.cost);
    let open = result.verdict != CaseVerdict::Passed;
    html! {
        tr {
            td.(verdict_class(result.verdict)) { (result.verdict) }
            th scope="row" { (Shown(&result.case)) }
            td { (Shown(&result.model.to_string())) }
            td { @if run.repeats > 1 { (u64::from(result.repeat) + 1) } @else { (NONE) } }
            td { (format!("{:.2}", result.score)) }
            td { @match answer {
                Some(answer) => { (answer.latency_ms) " ms" @if answer.cached { ", earlier run" } }
                None => (NONE),
            } }
            td { (cost.map_or_else(|| NONE.to_owned(), Usd::short)) }
            td {
                @if let Some(error) = &result.error { p.warn { (Shown(&cut(error, REASON_CHARACTERS_MAX))) } }
                @if open {
                    @for scorer in result.scorers.iter().filter(|scorer| scorer.verdict != CaseVerdict::Passed) {
                        p { code { (Shown(&scorer.scorer)) } " " (Shown(&cut(&scorer.reason, REASON_CHARACTERS_MAX))) }
                    }
                }
                details {
                    summary { "Answer and " (result.scorers.len()) " scorers" }
                    @match answer {
                        Some(answer) => {
                            pre { (Shown(&answer.text)) }
                            @if !answer.tool_calls.is_empty() { pre { (Shown(&calls(&answer.tool_calls))) } }
                        }
                        None => p { "No answer." },
                    }
                    @if let Some(baseline) = baseline { p.quiet { "Answer of the baseline" } pre { (Shown(baseline)) } }
                    (scorers(&result.scorers))
                }
            }
        }
    }
}

fn calls(calls: &[serde_json::Value]) -> String {
    let all: Vec<String> = calls.iter().map(ToString::to_string).collect();
    cut(&all.join("\n"), ANSWER_CHARACTERS_MAX)
}

fn scorers(scorers: &[ScorerResult]) -> Markup {
    if scorers.is_empty() {
        return html! {};
    }
    let columns = ["Scorer", "Verdict", "Score", "Weight", "Metric", "Reason"];
    html! {
        table {
            thead { tr { @for column in columns { th scope="col" { (column) } } } }
            tbody {
                @for scorer in scorers {
                    tr {
                        th scope="row" { (Shown(&scorer.scorer)) }
                        td.(verdict_class(scorer.verdict)) { (scorer.verdict) }
                        td { (format!("{:.2}", scorer.score)) }
                        td { (scorer.weight) }
                        td { (Shown(scorer.metric.as_deref().unwrap_or(NONE))) }
                        td { (Shown(&cut(&scorer.reason, REASON_CHARACTERS_MAX))) }
                    }
                }
            }
        }
    }
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default() + letters.as_str()
}

/// Text from others: escaped, with invisible characters shown by their code points.
struct Shown<'a>(&'a str);

impl Render for Shown<'_> {
    fn render_to(&self, buffer: &mut String) {
        let mut rest = self.0;
        while let Some((at, hidden)) = rest.char_indices().find(|(_, c)| is_hidden(*c)) {
            let (before, after) = rest.split_at(at);
            before.render_to(buffer);
            html! { span.odd { "U+" (format!("{:04X}", u32::from(hidden))) } }.render_to(buffer);
            rest = after.get(hidden.len_utf8()..).unwrap_or_default();
        }
        rest.render_to(buffer);
    }
}

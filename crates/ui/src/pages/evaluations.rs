//! Evaluations: suites and runs, one run with its results, one suite with its cases.

use maud::{Markup, html};

use super::calibration::judges;
use super::gates::{
    NEW_RUN, NEW_SUITE, case_path, checks, form_path, new_run_path, no_provider, run_path, state, suite_path,
};
use crate::api::evaluations::{PlacedResult, ProviderView, ResultsPage, SuiteView};
use crate::form::{hidden, session};
use crate::format::{Escaped, counted, grouped, plain, start_of, when};
use crate::layout::{Frame, Page, Part, command, empty, prompt_path, query, request_path};
use crate::model::calibration::Calibration;
use crate::model::evaluation::{CaseVerdict, Comparison, Evaluated, Run, RunState, ScorerResult, Side};
use crate::model::suite::{Case, Check, CheckKind, Scorer, SuiteVersion};

/// Cases that the page of a suite shows.
const CASES_SHOWN_MAX: usize = 500;
/// Characters of an answer that a page shows; reports have all of it.
const ANSWER_CHARACTERS_MAX: usize = 4_000;
/// Most names of cases in a list.
const NAMES_SHOWN_MAX: usize = 50;

/// What the list of evaluations shows.
pub struct Overview<'a> {
    /// Runs, newest first.
    pub runs: &'a [Run],
    /// Suites; absent for visitors who cannot read every prompt.
    pub suites: Option<&'a [SuiteVersion]>,
    /// Whether the visitor may change suites.
    pub changes: bool,
    /// The providers of the settings.
    pub providers: &'a [ProviderView],
}

/// Renders the list.
#[must_use]
pub fn list(frame: &Frame, overview: &Overview<'_>) -> String {
    let main = html! {
        div.head {
            h1 { "Evaluations" }
            p.quiet { "Suites of cases, run on models, and what their gates decided." }
            div.inline.end {
                a.button href="/ui/playground" { "Playground" }
                @if overview.changes { a.button href=(NEW_SUITE) { "New suite" } }
                @if frame.form().is_some() { a.button.primary href=(NEW_RUN) { "Run a suite" } }
            }
        }
        @if overview.providers.is_empty() { (no_provider()) }
        @for provider in overview.providers.iter().filter(|_| frame.form().is_some()) {
            @if let Some(variable) = &provider.missing_key {
                p.note {
                    "The provider " (Escaped(&provider.name)) " has no key: " code { (Escaped(variable)) }
                    " is not set where the primary runs. Set it and restart the primary."
                }
            }
        }
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            @if overview.runs.is_empty() {
                (empty("No runs", "A run tries a version on the cases of a suite, and scores the answers."))
                (command("bookholder eval run support/agent --suite regress --against @production"))
            } @else {
                table.list.cards {
                    thead { tr {
                        th scope="col" { "Run" } th scope="col" { "Version" } th scope="col" { "Suite" }
                        th scope="col" { "Verdict" } th scope="col" { "Results" } th scope="col" { "Cost" }
                        th scope="col" { "Started" }
                    } }
                    tbody { @for run in overview.runs { (row(frame, run)) } }
                }
            }
        }
        @if let Some(suites) = overview.suites {
            section aria-labelledby="suites" {
                h2 #suites { "Suites" }
                @if suites.is_empty() {
                    (empty("No suites", "A suite has cases, and scorers that judge the answers."))
                    (command("bookholder eval push suites/regress.yaml"))
                } @else {
                    table.list.cards {
                        thead { tr {
                            th scope="col" { "Suite" } th scope="col" { "Cases" } th scope="col" { "Changed" }
                            th scope="col" { "Message" }
                        } }
                        tbody { @for suite in suites {
                            tr {
                                th scope="row" {
                                    a.name href=(suite_path(&suite.name)) { (Escaped(&suite.name)) }
                                    " " span.quiet { "version " (suite.number) }
                                }
                                td data-label="Cases" { (grouped(suite.cases)) }
                                td data-label="Changed" { (when(suite.at, frame.now)) " by " (Escaped(&suite.author)) }
                                td data-label="Message" { (Escaped(&suite.message)) }
                            }
                        } }
                    }
                }
            }
        }
    };
    frame.page_of(Part::Evaluations, &Page { title: "Evaluations", above: &[], done: None, searches: false, main })
}

fn row(frame: &Frame, run: &Run) -> Markup {
    let summary = &run.summary;
    html! {
        tr {
            th scope="row" { a.name href=(run_path(run.id)) { "Run " (run.id) } }
            td data-label="Version" { (evaluated(&run.candidate)) }
            td data-label="Suite" { (Escaped(&run.suite.name)) " " span.quiet { "version " (run.suite.number) } }
            td data-label="Verdict" { (verdict(run)) }
            td data-label="Results" {
                (grouped(summary.passed)) " passed, " (grouped(summary.failed)) " failed"
                @if summary.errors > 0 { ", " (counted(summary.errors, "error")) }
            }
            td data-label="Cost" { (summary.cost.short()) }
            td data-label="Started" { (when(run.at, frame.now)) " by " (Escaped(&run.by)) }
        }
    }
}

/// How the page of a run is shown.
pub struct RunView {
    /// Which of its results.
    pub filter: ResultFilter,
    /// Whether the visitor may say whether answers pass.
    pub labels: bool,
    /// A confirmation.
    pub done: Option<&'static str>,
}

/// What the page of a run shows of its results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResultFilter {
    /// Only results with this verdict.
    pub verdict: Option<CaseVerdict>,
    /// From this place on.
    pub from: u32,
}

/// Renders one run.
#[must_use]
pub fn run(frame: &Frame, run: &Run, results: &ResultsPage, view: &RunView) -> String {
    let summary = &run.summary;
    let tile = |name: &str, figure: String, note: String| {
        html! { div { dt { (name) } dd { b { (figure) } p.quiet { (note) } } } }
    };
    let came = summary.passed + summary.failed + summary.errors;
    let title = format!("Run {}", run.id);
    let models: Vec<String> = run.models.iter().map(ToString::to_string).collect();
    let main = html! {
        div.head {
            h1 { (title) " " (verdict(run)) }
            p.quiet {
                (evaluated(&run.candidate)) " on " a href=(suite_path(&run.suite.name)) { (Escaped(&run.suite.name)) }
                " version " (run.suite.number) ", " (Escaped(&models.join(", ")))
                @if run.repeats > 1 { ", " (run.repeats) " times each" }
                ". Started " (when(run.at, frame.now)) " by " (Escaped(&run.by))
                @if let Some(tool) = &run.imported_from { ", imported from " (Escaped(tool)) }
                "."
            }
            @if run.state.is_over() { (downloads(frame, run)) }
        }
        @if !run.state.is_over() {
            p role="status" {
                progress max=(summary.planned) value=(came) { (came) " of " (summary.planned) }
                " " (grouped(came)) " of " (grouped(summary.planned))
            }
            (canceling(frame, run))
        }
        @if let Some(why) = &run.stale { p.note { "Stale: " (Escaped(why)) ". Run it again." } }
        @if !run.decides_gate && run.state.is_over() {
            p.note {
                "This run decides no gate: "
                @if run.imported_from.is_some() {
                    "its models or repeats are not those of the suite, or the gate has a margin."
                } @else {
                    "it has other models, some of the cases, fewer repeats or an older suite."
                }
            }
        }
        @if let Some(id) = run.change_request {
            p {
                a href=(request_path(id)) { "Change request " (id) }
                " deploys it when everything that policies require is met."
            }
        }
        @if let Some(reason) = &run.reason {
            p.note { @if run.state == RunState::Stopped { "Stopped: " } (Escaped(reason)) }
        }
        dl.tiles {
            (tile("Passed", grouped(summary.passed), format!("of {}", grouped(summary.planned))))
            (tile("Failed", grouped(summary.failed), counted(summary.errors, "error")))
            (tile("Score", summary.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.3}")), metrics(run)))
            (tile("Cost", summary.cost.short(), counted(summary.calls, "call")))
            @if let Some(p95) = summary.latency_p95_ms {
                (tile("Latency", format!("{} ms", grouped(p95)), format!(
                    "95th percentile, median {} ms", grouped(summary.latency_p50_ms.unwrap_or_default())
                )))
            }
        }
        @if let Some(verdict) = &run.verdict {
            section aria-labelledby="gate" { h2 #gate { "Gate" } (checks(&verdict.checks)) }
        }
        @if let Some(comparison) = &run.comparison { (compared(comparison)) }
        @if !summary.flaky.is_empty() {
            section aria-labelledby="flaky" {
                h2 #flaky { "Flaky cases" }
                p.quiet { "Repeats of these have different verdicts." }
                (names(&summary.flaky))
            }
        }
        (result_list(frame, run, results, view))
    };
    let above = [("Evaluations", "/ui/evaluations".to_owned())];
    let page = Page { title: &title, above: &above, done: view.done, searches: false, main };
    frame.page_of(Part::Evaluations, &page)
}

/// Another run like it, and its reports.
fn downloads(frame: &Frame, run: &Run) -> Markup {
    let reference = run.candidate.version.map(|version| format!("{}@{version}", run.candidate.prompt));
    let report = |format: &str| format!("{}/report{}", run_path(run.id), query(&[("format", format)]));
    html! {
        div.inline.end {
            @if let Some(reference) = reference.filter(|_| frame.form().is_some()) {
                a.button href=(new_run_path(&reference, &run.suite.name)) { "Run again" }
            }
            details.act {
                summary { "Download" }
                ul {
                    @for (format, says) in [
                        ("html", "Report for people (HTML)"),
                        ("markdown", "Comment (Markdown)"),
                        ("junit", "For CI (JUnit XML)"),
                        ("json", "All results (JSON)"),
                    ] { li { a href=(report(format)) download { (says) } } }
                }
            }
        }
    }
}

fn canceling(frame: &Frame, run: &Run) -> Markup {
    html! {
        @if let Some(form) = frame.form() {
            form method="post" action=(run_path(run.id)) {
                (session(form))
                button type="submit" name="act" value="cancel" { "Cancel the run" }
            }
        }
    }
}

fn metrics(run: &Run) -> String {
    let metrics = run.summary.metrics.iter().map(|(metric, mean)| format!("{metric} {mean:.3}"));
    let metrics: Vec<String> = metrics.collect();
    if metrics.is_empty() { "weighted mean".to_owned() } else { metrics.join(", ") }
}

fn compared(comparison: &Comparison) -> Markup {
    html! {
        section aria-labelledby="compared" {
            h2 #compared { "Compared with " (evaluated(&comparison.baseline)) }
            p {
                "Score " b { (format!("{:+.3}", comparison.difference)) } " on " (grouped(comparison.pairs))
                " cases, with 95% confidence not lower than " (format!("{:+.3}", comparison.lower_bound))
                ". Exact McNemar test: p = " (format!("{:.3}", comparison.mcnemar_p)) "."
            }
            @if !comparison.worse.is_empty() {
                h3 { (grouped(u64::try_from(comparison.worse.len()).unwrap_or_default())) " worse" }
                (names(&comparison.worse))
            }
            @if !comparison.better.is_empty() {
                h3 { (grouped(u64::try_from(comparison.better.len()).unwrap_or_default())) " better" }
                (names(&comparison.better))
            }
        }
    }
}

fn names(names: &[String]) -> Markup {
    html! {
        ul { @for name in names.iter().take(NAMES_SHOWN_MAX) { li { (Escaped(name)) } } }
        @if let Some(more) = names.len().checked_sub(NAMES_SHOWN_MAX).filter(|more| *more > 0) {
            p.quiet { "and " (more) " more" }
        }
    }
}

fn result_list(frame: &Frame, run: &Run, results: &ResultsPage, view: &RunView) -> Markup {
    let filter = view.filter;
    let tab = |verdict: Option<CaseVerdict>, name: &str| {
        let path = run_path(run.id);
        let path = match verdict {
            Some(verdict) => format!("{path}{}", query(&[("verdict", verdict.as_str())])),
            None => format!("{path}{}", query(&[("verdict", "all")])),
        };
        html! {
            @if filter.verdict == verdict { b aria-current="true" { (name) } } @else { a href=(path) { (name) } }
        }
    };
    html! {
        section aria-labelledby="results" {
            h2 #results { "Results" }
            p.tabs {
                (tab(Some(CaseVerdict::Failed), "Failed")) " " (tab(Some(CaseVerdict::Error), "Errors")) " "
                (tab(Some(CaseVerdict::Passed), "Passed")) " " (tab(None, "All"))
            }
            @if let Some(removed) = run.results_removed {
                p.quiet { "The results of this run were removed on " (removed) "." }
            } @else if results.items.is_empty() {
                p.quiet { "None." }
            } @else {
                @for result in &results.items {
                    @let label = frame.form().filter(|_| view.labels).map(|form| LabelForm { form, run, filter });
                    (one_result(result, label))
                }
            }
            @if let Some(next) = results.next {
                @let verdict = filter.verdict.map_or("all", CaseVerdict::as_str);
                @let more = query(&[("verdict", verdict), ("from", &next.to_string())]);
                p { a href={ (run_path(run.id)) (more) } { "More" } }
            }
        }
    }
}

/// What a form needs with which a visitor says whether an answer passes.
#[derive(Clone, Copy)]
struct LabelForm<'a> {
    form: &'a str,
    run: &'a Run,
    filter: ResultFilter,
}

fn one_result(placed: &PlacedResult, label: Option<LabelForm<'_>>) -> Markup {
    let PlacedResult { place, result, labels } = placed;
    html! {
        details.result #{ "result-" (place) } {
            summary {
                (case_verdict(result.verdict)) " " b { (Escaped(&result.case)) } " "
                @if !labels.is_empty() { span.tag { "labeled" } " " }
                span.quiet {
                    (Escaped(&result.model.to_string()))
                    @if result.side == Side::Baseline { ", baseline" }
                    @if result.repeat > 0 { ", repeat " (result.repeat + 1) }
                    ", score " (format!("{:.2}", result.score))
                }
            }
            @if let Some(error) = &result.error { p.note { (Escaped(error)) } }
            @if !result.scorers.is_empty() {
                ul.checks {
                    @for (index, scorer) in (0_u32..).zip(&result.scorers) {
                        (one_scorer(scorer))
                        @if is_judge(scorer) { (by_people(placed, index, label)) }
                    }
                }
            }
            @if let Some(answer) = &result.answer {
                pre.answer { (Escaped(&start_of(&answer.text, ANSWER_CHARACTERS_MAX))) }
                @for call in &answer.tool_calls { pre.answer { (Escaped(&call.to_string())) } }
                p.quiet {
                    @if let Some(model) = &answer.model { (Escaped(model)) ", " }
                    (grouped(answer.latency_ms)) " ms"
                    @if answer.cached { " in an earlier run" }
                    @if let Some(cost) = answer.usage.cost { ", " (cost.short()) }
                }
            }
        }
    }
}

fn one_scorer(scorer: &ScorerResult) -> Markup {
    html! {
        li {
            (case_verdict(scorer.verdict)) " " code { (Escaped(&scorer.scorer)) } " " (Escaped(&scorer.reason))
        }
    }
}

/// Whether the verdict of a scorer is one that people should check.
fn is_judge(scorer: &ScorerResult) -> bool {
    let kind = scorer.scorer.parse::<Check>().ok().map(|check| check.kind);
    kind.is_some_and(CheckKind::is_judge) && scorer.verdict != CaseVerdict::Error && scorer.weight > 0.0
}

/// What people say about an answer that a judge scored, and the form to say it.
fn by_people(placed: &PlacedResult, index: u32, label: Option<LabelForm<'_>>) -> Markup {
    let PlacedResult { place, result, labels } = placed;
    let said = labels.iter().find(|label| label.scorer == index);
    html! {
        li {
            @if let Some(said) = said {
                p.quiet {
                    (Escaped(&said.by)) " says that it " b { @if said.passed { "passes" } @else { "fails" } }
                    @if said.passed == said.judged { ", as the judge." } @else { ", against the judge." }
                }
            }
            @if let Some(LabelForm { form, run, filter }) = label {
                form.inline method="post" action=(run_path(run.id)) {
                    (session(form))
                    (hidden("place", place)) (hidden("scorer", index))
                    (hidden("verdict", filter.verdict.map_or("all", CaseVerdict::as_str)))
                    (hidden("from", filter.from))
                    span.quiet { "Does this answer pass, in your eyes?" }
                    @for (act, says) in [("passed", "It passes"), ("failed", "It fails")] {
                        button type="submit" name="act" value=(act) {
                            (says) span.hidden { " " (plain(&result.case)) ", " (plain(&result.model.to_string())) }
                        }
                    }
                }
            }
        }
    }
}

/// What the page of a suite shows.
pub struct SuitePage<'a> {
    /// The version.
    pub suite: &'a SuiteView,
    /// All versions, newest first.
    pub versions: &'a [SuiteVersion],
    /// How far its judges agree with people.
    pub calibration: &'a [Calibration],
    /// Whether the visitor may change suites.
    pub changes: bool,
    /// A confirmation.
    pub done: Option<&'static str>,
}

/// Renders one suite.
#[must_use]
pub fn suite(frame: &Frame, page: &SuitePage<'_>) -> String {
    let SuitePage { suite: SuiteView { version, suite }, versions, calibration, changes, done } = *page;
    let models: Vec<String> = suite.models.iter().map(ToString::to_string).collect();
    // Only the latest version is changed.
    let changes = changes && versions.first().is_some_and(|latest| latest.number == version.number);
    let main = html! {
        div.head {
            h1 { (Escaped(&version.name)) }
            p.quiet {
                "Version " (version.number) ", " (counted(version.cases, "case")) ", by " (Escaped(&version.author)) " "
                (when(version.at, frame.now)) ". " code { (version.id.short()) }
            }
            div.inline.end {
                @if changes {
                    a.button href=(form_path(&version.name, "settings")) { "Settings" }
                    a.button href=(form_path(&version.name, "text")) { "Edit as text" }
                }
                @if frame.form().is_some() {
                    a.button.primary href=(new_run_path("", &version.name)) { "Run" }
                }
            }
        }
        @if !suite.description.is_empty() { p { (Escaped(&suite.description)) } }
        dl.pairs {
            dt { "Models" }
            dd { @if models.is_empty() { "that of the version" } @else { (Escaped(&models.join(", "))) } }
            dt { "Repeats" } dd { (suite.repeats) }
            dt { "Pass rate" } dd { (format!("{:.0}%", suite.gate.pass_rate * 100.0)) }
        }
        (judges(suite, calibration))
        @if !suite.scorers.is_empty() {
            section aria-labelledby="scorers" {
                h2 #scorers { "Scorers of every case" }
                ul { @for scorer in &suite.scorers { (suite_scorer(scorer)) } }
            }
        }
        section aria-labelledby="cases" {
            div.head {
                h2 #cases { "Cases" }
                @if changes { a.button.end href=(case_path(&version.name, "")) { "Add a case" } }
            }
            @for case in suite.cases.iter().take(CASES_SHOWN_MAX) {
                (one_case(case, changes.then(|| case_path(&version.name, &case.name))))
            }
            @if suite.cases.len() > CASES_SHOWN_MAX {
                p.quiet {
                    "The first " (CASES_SHOWN_MAX) " are shown; all are in "
                    code { "bookholder eval suite NAME --json" } "."
                }
            }
        }
        section aria-labelledby="versions" {
            h2 #versions { "Versions" }
            table.list.cards {
                thead { tr {
                    th scope="col" { "Version" } th scope="col" { "Cases" } th scope="col" { "Pushed" }
                    th scope="col" { "Message" }
                } }
                tbody { @for one in versions {
                    tr {
                        th scope="row" {
                            @let number = query(&[("version", &one.number.to_string())]);
                            a.name href={ (suite_path(&one.name)) (number) } { (one.number) }
                        }
                        td data-label="Cases" { (grouped(one.cases)) }
                        td data-label="Pushed" { (when(one.at, frame.now)) " by " (Escaped(&one.author)) }
                        td data-label="Message" { (Escaped(&one.message)) }
                    }
                } }
            }
        }
    };
    let above = [("Evaluations", "/ui/evaluations".to_owned())];
    frame.page_of(Part::Evaluations, &Page { title: &version.name, above: &above, done, searches: false, main })
}

fn one_case(case: &Case, change: Option<String>) -> Markup {
    html! {
        details {
            summary {
                b { (Escaped(&case.name)) }
                @if case.must_pass { " " span.tag.wait { "must pass" } }
                @for tag in &case.tags { " " span.tag { (Escaped(tag)) } }
            }
            @if !case.variables.is_empty() {
                dl.facts { @for (name, value) in &case.variables {
                    dt { code { (Escaped(name)) } } dd { (text(value)) }
                } }
            }
            @for message in &case.messages { pre { (Escaped(&message.to_string())) } }
            @if let Some(expected) = &case.expected { p { "Expected: " (text(expected)) } }
            ul { @for scorer in &case.scorers { (suite_scorer(scorer)) } }
            @if let Some(change) = change {
                p { a.button href=(change) { "Change" span.hidden { " " (plain(&case.name)) } } }
            }
        }
    }
}

fn suite_scorer(scorer: &Scorer) -> Markup {
    html! { li { code { (scorer.check.to_string()) } " " (value(scorer.value.as_ref())) } }
}

fn value(value: Option<&serde_json::Value>) -> Markup {
    html! { @if let Some(value) = value { (text(value)) } }
}

fn text(value: &serde_json::Value) -> Markup {
    html! {
        @if let Some(text) = value.as_str() { (Escaped(text)) } @else { code { (Escaped(&value.to_string())) } }
    }
}

fn evaluated(evaluated: &Evaluated) -> Markup {
    let name = evaluated.prompt.as_str();
    html! {
        @if let Some(version) = evaluated.version {
            @let number = query(&[("version", &version.to_string())]);
            a href={ (prompt_path(name)) (number) } { (Escaped(name)) "@" (version) }
        } @else {
            a href=(prompt_path(name)) { (Escaped(name)) } " " span.quiet { "not published" }
        }
    }
}

/// The verdict of a run, or how far it is.
#[must_use]
pub fn verdict(run: &Run) -> Markup {
    match &run.verdict {
        Some(verdict) if run.state != RunState::Canceled => html! {
            (state(verdict.state)) @if run.stale.is_some() { " " span.tag.wait { "stale" } }
        },
        _ => html! { span.tag { (run.state.as_str()) } },
    }
}

fn case_verdict(verdict: CaseVerdict) -> Markup {
    let class = match verdict {
        CaseVerdict::Passed => "live",
        CaseVerdict::Failed => "high",
        CaseVerdict::Error => "wait",
    };
    html! { span.tag.(class) { (verdict.as_str()) } }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::layout::{Who, sample};

    fn finished() -> Run {
        serde_json::from_value(json!({
            "id": 12, "candidate": {"prompt": "support/agent", "version": 7, "content_id": format!("b3:{}", "0".repeat(64))},
            "suite": {"name": "regress", "number": 3, "id": format!("b3:{}", "1".repeat(64))},
            "models": ["local:tiny"], "repeats": 1, "by": "ann<b>", "at": "2026-03-01T00:00:00Z", "state": "finished",
            "summary": {"planned": 2, "passed": 1, "failed": 1, "errors": 0, "calls": 2, "cost": "0.01", "score": 0.5},
            "verdict": {"state": "failed", "checks": [{"says": "100% of cases pass (1 of 2; failed: a<b>)", "state": "failed"}]},
        }))
        .expect("a run")
    }

    #[test]
    fn page_of_a_run_shows_its_gate_and_escapes_texts_of_others() {
        let result: PlacedResult = serde_json::from_value(json!({
            "place": 0, "case": "a<b>", "model": "local:tiny", "repeat": 0, "verdict": "failed", "score": 0.0, "judging": "0",
            "answer": {"text": "<script>alert(1)</script>", "latency_ms": 3, "usage": {}},
            "scorers": [{"scorer": "contains", "weight": 1.0, "verdict": "failed", "score": 0.0, "reason": "no <b>"}],
        }))
        .expect("a result");
        let results = ResultsPage { items: vec![result], next: Some(4) };
        let filter = ResultFilter { verdict: Some(CaseVerdict::Failed), from: 0 };
        let html = run(&sample(Who::Local), &finished(), &results, &RunView { filter, labels: true, done: None });
        assert!(html.contains("failed: a&lt;b&gt;)") && html.contains("&lt;script&gt;"), "{html}");
        assert!(!html.contains("<script>alert") && !html.contains("ann<b>"), "{html}");
        assert!(html.contains("verdict=failed&amp;from=4"), "{html}");
    }

    #[test]
    fn person_who_may_says_whether_a_judged_answer_passes() {
        let result: PlacedResult = serde_json::from_value(json!({
            "place": 4, "case": "a<b>", "model": "local:tiny", "repeat": 0, "verdict": "passed", "score": 1.0, "judging": "0",
            "scorers": [
                {"scorer": "contains", "weight": 1.0, "verdict": "passed", "score": 1.0, "reason": "passed"},
                {"scorer": "llm-rubric", "weight": 1.0, "verdict": "passed", "score": 1.0, "reason": "kind"}],
            "labels": [{"run": 12, "place": 4, "scorer": 1, "case": "a<b>", "judge": {"scorer": "llm-rubric"},
                "judged": true, "passed": false, "by": "ann<b>", "at": "2026-03-01T00:00:00Z"}],
        }))
        .expect("a result");
        let results = ResultsPage { items: vec![result], next: None };
        let filter = ResultFilter { verdict: None, from: 0 };
        let shown = |labels| {
            let frame = sample(Who::Signed { name: "ann".into(), token: "t".into(), form: "f".into() });
            run(&frame, &finished(), &results, &RunView { filter, labels, done: None })
        };
        let html = shown(true);
        assert_eq!(html.matches("It passes").count(), 1, "only judges: {html}");
        assert!(html.contains("name=\"place\" value=\"4\"") && html.contains("name=\"scorer\" value=\"1\""), "{html}");
        assert!(html.contains("ann&lt;b&gt; says that it <b>fails</b>, against the judge."), "{html}");
        assert!(!shown(false).contains("It passes"));
    }

    #[test]
    fn list_without_a_provider_says_how_to_add_one() {
        let overview = Overview { runs: &[finished()], suites: Some(&[]), changes: false, providers: &[] };
        let html = list(&sample(Who::Local), &overview);
        assert!(html.contains("[providers.openai]") && html.contains("/ui/evaluations/12"), "{html}");
        assert!(html.contains("bookholder eval push"), "{html}");
        let providers = [ProviderView {
            name: "openai".to_owned(),
            endpoint: "Openai https://api.openai.com/v1".to_owned(),
            models: Vec::new(),
            missing_key: Some("OPENAI_API_KEY".to_owned()),
        }];
        let overview = Overview { providers: &providers, ..overview };
        let signed = Who::Signed { name: "rob".to_owned(), token: "r".to_owned(), form: "f00".to_owned() };
        let html = list(&sample(signed), &overview);
        assert!(html.contains("<code>OPENAI_API_KEY</code> is not set"), "{html}");
        assert!(!list(&sample(Who::Local), &overview).contains("OPENAI_API_KEY"), "settings are for those who sign in");
    }
}

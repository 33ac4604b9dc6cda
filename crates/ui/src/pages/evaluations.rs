//! Evaluations: suites and runs, one run with its results, one suite with its cases.

use maud::{Markup, html};

use crate::api::evaluations::{PlacedResult, ResultsPage, SuiteView};
use crate::form::session;
use crate::format::{Escaped, grouped, start_of, when};
use crate::layout::{Frame, Page, Part, command, empty, prompt_path, query};
use crate::model::evaluation::{
    CaseResult, CaseVerdict, Comparison, Evaluated, GateCheck, GateState, Run, RunState, ScorerResult, Side,
};
use crate::model::suite::{Case, Scorer, SuiteVersion};

/// Cases that the page of a suite shows.
const CASES_SHOWN_MAX: usize = 500;
/// Characters of an answer that a page shows; reports have all of it.
const ANSWER_CHARACTERS_MAX: usize = 4_000;
/// Most names of cases in a list.
const NAMES_SHOWN_MAX: usize = 50;

/// The path of a run.
#[must_use]
pub fn run_path(id: u64) -> String {
    format!("/ui/evaluations/{id}")
}

/// The path of a suite.
#[must_use]
pub fn suite_path(name: &str) -> String {
    format!("/ui/suites/{}", crate::layout::segment(name))
}

/// What the list of evaluations shows.
pub struct Overview<'a> {
    /// Runs, newest first.
    pub runs: &'a [Run],
    /// Suites; absent for visitors who cannot read every prompt.
    pub suites: Option<&'a [SuiteVersion]>,
    /// Whether the settings name a provider.
    pub has_providers: bool,
}

/// Renders the list.
#[must_use]
pub fn list(frame: &Frame, overview: &Overview<'_>) -> String {
    let main = html! {
        div.head {
            h1 { "Evaluations" }
            p.quiet {
                "Suites of cases, run on models, and what their gates decided. "
                a href="/ui/playground" { "Playground" }
            }
        }
        @if !overview.has_providers { (no_provider()) }
        section aria-labelledby="runs" {
            h2 #runs { "Runs" }
            @if overview.runs.is_empty() {
                (empty("No runs", "A run asks models the cases of a suite with a version, and scores the answers."))
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

/// What to do without a provider.
pub(super) fn no_provider() -> Markup {
    html! {
        div.note {
            p {
                "No provider of models is set, so nothing can be run. Add one to the settings of the primary, "
                "and restart it:"
            }
            pre { code {
                "[providers.openai]\nkind = \"openai\"\nbase_url = \"https://api.openai.com/v1\"\n"
                "key_env = \"OPENAI_API_KEY\"\nmodels = [\"gpt-*\"]"
            } }
            p.quiet {
                "A server on this machine works too, for example Ollama at " code { "http://127.0.0.1:11434/v1" }
                ", without a key."
            }
        }
    }
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
                @if summary.errors > 0 { ", " (grouped(summary.errors)) " errors" }
            }
            td data-label="Cost" { (summary.cost.short()) }
            td data-label="Started" { (when(run.at, frame.now)) " by " (Escaped(&run.by)) }
        }
    }
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
pub fn run(
    frame: &Frame,
    run: &Run,
    results: &ResultsPage,
    filter: ResultFilter,
    done: Option<&'static str>,
) -> String {
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
        }
        @if !run.state.is_over() {
            p role="status" {
                progress max=(summary.planned) value=(came) { (came) " of " (summary.planned) }
                " " (grouped(came)) " of " (grouped(summary.planned))
            }
            (canceling(frame, run))
        }
        @if !run.decides_gate && run.state.is_over() {
            p.note {
                "This run decides no gate: it has other models, some of the cases, fewer repeats or an older suite."
            }
        }
        @if let Some(reason) = &run.reason {
            p.note { @if run.state == RunState::Stopped { "Stopped: " } (Escaped(reason)) }
        }
        dl.tiles {
            (tile("Passed", grouped(summary.passed), format!("of {}", grouped(summary.planned))))
            (tile("Failed", grouped(summary.failed), format!("{} errors", grouped(summary.errors))))
            (tile("Score", summary.score.map_or_else(|| "-".to_owned(), |score| format!("{score:.3}")), metrics(run)))
            (tile("Cost", summary.cost.short(), format!("{} calls", grouped(summary.calls))))
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
        (result_list(run, results, filter))
    };
    let above = [("Evaluations", "/ui/evaluations".to_owned())];
    frame.page_of(Part::Evaluations, &Page { title: &title, above: &above, done, searches: false, main })
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

/// A list of the conditions of a gate.
#[must_use]
pub fn checks(checks: &[GateCheck]) -> Markup {
    html! {
        ul.checks { @for check in checks {
            li { (state(check.state)) " " (Escaped(&check.says)) }
        } }
    }
}

fn compared(comparison: &Comparison) -> Markup {
    html! {
        section aria-labelledby="compared" {
            h2 #compared { "Compared with " (evaluated(&comparison.baseline)) }
            p {
                "Score " b { (format!("{:+.3}", comparison.difference)) } " on " (grouped(comparison.pairs))
                " cases, with 95 % confidence not lower than " (format!("{:+.3}", comparison.lower_bound))
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

fn result_list(run: &Run, results: &ResultsPage, filter: ResultFilter) -> Markup {
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
                @for PlacedResult { result, .. } in &results.items { (one_result(result)) }
            }
            @if let Some(next) = results.next {
                @let verdict = filter.verdict.map_or("all", CaseVerdict::as_str);
                @let more = query(&[("verdict", verdict), ("from", &next.to_string())]);
                p { a href={ (run_path(run.id)) (more) } { "More" } }
            }
        }
    }
}

fn one_result(result: &CaseResult) -> Markup {
    html! {
        details.result {
            summary {
                (case_verdict(result.verdict)) " " b { (Escaped(&result.case)) } " "
                span.quiet {
                    (Escaped(&result.model.to_string()))
                    @if result.side == Side::Baseline { ", baseline" }
                    @if result.repeat > 0 { ", repeat " (result.repeat + 1) }
                    ", score " (format!("{:.2}", result.score))
                }
            }
            @if let Some(error) = &result.error { p.note { (Escaped(error)) } }
            @if !result.scorers.is_empty() {
                ul.checks { @for scorer in &result.scorers { (one_scorer(scorer)) } }
            }
            @if let Some(answer) = &result.answer {
                pre.answer { (Escaped(&start_of(&answer.text, ANSWER_CHARACTERS_MAX))) }
                @for call in &answer.tool_calls { pre.answer { (Escaped(&call.to_string())) } }
                p.quiet {
                    @if let Some(model) = &answer.model { (Escaped(model)) ", " }
                    @if answer.cached { "from an earlier run" } @else { (grouped(answer.latency_ms)) " ms" }
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

/// Renders one suite.
#[must_use]
pub fn suite(frame: &Frame, view: &SuiteView, versions: &[SuiteVersion], done: Option<&'static str>) -> String {
    let SuiteView { version, suite } = view;
    let models: Vec<String> = suite.models.iter().map(ToString::to_string).collect();
    let main = html! {
        div.head {
            h1 { (Escaped(&version.name)) }
            p.quiet {
                "Version " (version.number) ", " (grouped(version.cases)) " cases, by " (Escaped(&version.author)) " "
                (when(version.at, frame.now)) ". " code { (version.id.short()) }
            }
        }
        @if !suite.description.is_empty() { p { (Escaped(&suite.description)) } }
        dl.facts {
            dt { "Models" }
            dd { @if models.is_empty() { "that of the version" } @else { (Escaped(&models.join(", "))) } }
            dt { "Repeats" } dd { (suite.repeats) }
            dt { "Pass rate" } dd { (format!("{:.0} %", suite.gate.pass_rate * 100.0)) }
        }
        (starting(frame, version))
        @if !suite.scorers.is_empty() {
            section aria-labelledby="scorers" {
                h2 #scorers { "Scorers of every case" }
                ul { @for scorer in &suite.scorers { (suite_scorer(scorer)) } }
            }
        }
        section aria-labelledby="cases" {
            h2 #cases { "Cases" }
            @for case in suite.cases.iter().take(CASES_SHOWN_MAX) { (one_case(case)) }
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

/// The form that starts a run.
fn starting(frame: &Frame, version: &SuiteVersion) -> Markup {
    html! {
        section aria-labelledby="start" {
            h2 #start { "Run" }
            @if let Some(form) = frame.form() {
                form.stack method="post" action=(suite_path(&version.name)) {
                    (session(form))
                    label for="run-prompt" { "Prompt" }
                    input #run-prompt name="prompt" required maxlength="220" autocomplete="off" spellcheck="false"
                        placeholder="support/agent@staging";
                    label for="run-against" { "Compare with" }
                    input #run-against name="against" maxlength="100" autocomplete="off" spellcheck="false"
                        placeholder="@production";
                    button.primary type="submit" { "Start" }
                }
            } @else {
                p.quiet { "Sign in to start a run." }
            }
        }
    }
}

fn one_case(case: &Case) -> Markup {
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
            ul { @for scorer in &case.scorers { (suite_scorer(scorer)) } }
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
        Some(verdict) if run.state != RunState::Canceled => state(verdict.state),
        _ => html! { span.tag { (run.state.as_str()) } },
    }
}

/// The state of a gate.
#[must_use]
pub fn state(state: GateState) -> Markup {
    let class = match state {
        GateState::Passed => "live",
        GateState::Failed => "high",
        GateState::Inconclusive => "wait",
    };
    html! { span.tag.(class) { (state.as_str()) } }
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
            "verdict": {"state": "failed", "checks": [{"says": "100 % of cases pass (1 of 2; failed: a<b>)", "state": "failed"}]},
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
        let html = run(&sample(Who::Local), &finished(), &results, filter, None);
        assert!(html.contains("failed: a&lt;b&gt;)") && html.contains("&lt;script&gt;"), "{html}");
        assert!(!html.contains("<script>alert") && !html.contains("ann<b>"), "{html}");
        assert!(html.contains("verdict=failed&amp;from=4"), "{html}");
    }

    #[test]
    fn list_without_a_provider_says_how_to_add_one() {
        let overview = Overview { runs: &[finished()], suites: Some(&[]), has_providers: false };
        let html = list(&sample(Who::Local), &overview);
        assert!(html.contains("[providers.openai]") && html.contains("/ui/evaluations/12"), "{html}");
        assert!(html.contains("bookholder eval push"), "{html}");
    }
}

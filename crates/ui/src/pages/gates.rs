//! What runs decided about versions, and the paths of runs and suites.

use maud::{Markup, html};

use crate::format::{Escaped, plain};
use crate::layout::query;
use crate::model::evaluation::{GateCheck, GateResult, GateState};

/// The path of the form that starts a run.
pub const NEW_RUN: &str = "/ui/new-run";
/// The path of the page for a new suite.
pub const NEW_SUITE: &str = "/ui/new-suite";
/// Most conditions that were not met, beside a gate.
const CHECKS_SHOWN_MAX: usize = 3;

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

/// The path of the form of a case; without one, of a new case.
#[must_use]
pub fn case_path(suite: &str, case: &str) -> String {
    format!("{}/case{}", suite_path(suite), query(&[("case", case)]))
}

/// The path of another form of a suite: `settings` or `text`.
#[must_use]
pub fn form_path(suite: &str, which: &str) -> String {
    format!("{}/{which}", suite_path(suite))
}

/// The path of the form for a version of a prompt, or for a suite, or for both.
#[must_use]
pub fn new_run_path(prompt: &str, suite: &str) -> String {
    format!("{NEW_RUN}{}", query(&[("prompt", prompt), ("suite", suite)]))
}

/// What to do without a provider.
pub(super) fn no_provider() -> Markup {
    html! {
        div.note {
            p {
                "No model provider is set, so nothing can run. Add one to " code { "bookholder.toml" }
                " (in the folder where the primary is started, or named by " code { "--config" }
                "), and restart it:"
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

/// What runs decided about a version: each gate with its run, and the suites that policies demand and nothing decided.
#[must_use]
pub fn gate_list(reference: &str, gates: &[GateResult], demanded: &[String], runs: bool) -> Markup {
    let missing = demanded.iter().filter(|suite| !gates.iter().any(|gate| gate.suite.name == **suite));
    html! {
        ul.checks {
            @for gate in gates {
                li {
                    (state(gate.state)) " " b { (Escaped(&gate.suite.name)) } " "
                    a href=(run_path(gate.run)) { "run " (gate.run) }
                    @if let Some(why) = &gate.stale { " " span.tag.wait { "stale" } " " span.quiet { (Escaped(why)) } }
                    @if gate.state != GateState::Passed {
                        @let decisive = gate.checks.iter().filter(|check| check.state == gate.state);
                        @for check in decisive.take(CHECKS_SHOWN_MAX) {
                            p.quiet { (Escaped(&check.says)) }
                        }
                    }
                    @if runs && (gate.stale.is_some() || gate.state != GateState::Passed) {
                        " " a href=(new_run_path(reference, &gate.suite.name)) {
                            "Run again" span.hidden { " " (plain(&gate.suite.name)) }
                        }
                    }
                }
            }
            @for suite in missing {
                li {
                    span.tag.wait { "no run" } " " b { (Escaped(suite)) }
                    @if runs {
                        " " a href=(new_run_path(reference, suite)) { "Run" span.hidden { " " (plain(suite)) } }
                    }
                }
            }
        }
    }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn gates_of_a_version_name_their_runs_and_suites_without_one() {
        let gate = |suite: &str, state: &str, stale: Option<&str>| -> GateResult {
            serde_json::from_value(json!({
                "candidate": {"prompt": "a", "version": 7, "content_id": format!("b3:{}", "0".repeat(64))},
                "suite": {"name": suite, "number": 1, "id": format!("b3:{}", "1".repeat(64))}, "run": 12, "state": state,
                "checks": [{"says": "failed: <b>", "state": "failed"}], "models": {}, "decided_by": "test", "stale": stale,
                "results": format!("b3:{}", "2".repeat(64)), "at": "2026-03-01T00:00:00Z",
            }))
            .expect("a gate")
        };
        let gates = [gate("sums", "passed", None), gate("tone", "failed", None), gate("old", "passed", Some("<i>"))];
        let demanded = ["sums".to_owned(), "safety".to_owned()];
        let html = gate_list("support/agent@7", &gates, &demanded, true).into_string();
        assert!(
            html.contains("/ui/evaluations/12") && html.contains("failed: &lt;b&gt;") && html.contains("stale"),
            "{html}"
        );
        assert!(html.contains("no run") && html.contains("prompt=support/agent%407&amp;suite=safety"), "{html}");
        assert_eq!(html.matches("Run again").count(), 2, "{html}");
        assert!(!gate_list("a@7", &gates, &demanded, false).into_string().contains("/ui/new-run"));
    }
}

//! A primary is killed again and again in the middle of a run, while it asks models and judges.
//!
//! The run ends as that of another primary that nothing happened to: the same verdicts, scores, calls and cost, and one
//! idempotency key for each call, so a provider that knows such keys is paid once for each.

use std::time::Duration;

use bookholder_evaluation::provider::ProviderKind;
use bookholder_evaluation::provider::testing::TestServer;
use serde_json::{Value, json};

use super::run::{Run, number};
use super::support::node::{Launch, Node, PATIENCE, eventually};

/// Cases of the run.
const CASES: u64 = 1_000;
/// Kills in the middle of it, where nothing else is asked for.
const KILLS: u64 = 50;
/// Of the cases, one in so many is judged by a model, too.
const JUDGED_EACH: u64 = 10;
/// Cases that a run asks at the same time: calls of a killed process that may have been on their way.
const CASES_AT_ONCE: u64 = 8;
/// Longest pause between the call that is waited for and the kill, in microseconds.
const PAUSE_US: u64 = 20_000;

/// A primary with models of its own, on which the run was started.
struct Evaluating {
    node: Node,
    models: TestServer,
    run: String,
}

impl Evaluating {
    fn start() -> Self {
        let models = TestServer::start();
        let launch = Launch::primary();
        let file = launch.data.with_file_name("bookholder.toml");
        let base_url = models.settings("local", ProviderKind::Openai).base_url;
        let text = format!("[providers.local]\nkind = \"openai\"\nbase_url = \"{base_url}\"\n");
        std::fs::write(&file, text).expect("written");
        let node = launch.args(["--config".into(), file.into_os_string()]).start();
        let content = json!({
            "syntax": "mustache", "model": {"name": "sum"},
            "messages": [{"role": "system", "content": "You {{how}}."}, {"role": "user", "content": "{{question}}"}],
        });
        node.publish_content("support/sums", &content, &[]);
        assert_eq!(node.change("PUT", "/v1/prices/overrides", &prices()).status, 204);
        assert_eq!(node.change("PUT", "/v1/suites/sums", &suite()).status, 201);
        let run = node.change("POST", "/v1/runs", &json!({"prompt": "support/sums", "suite": "sums"})).ok();
        Self { node, models, run: format!("/v1/runs/{}", run["id"]) }
    }

    fn is_over(&self) -> bool {
        self.node.get(&self.run).ok()["ended"].is_string()
    }

    /// The run and its results when it is over, without times.
    fn ended(&self) -> (Value, Vec<Value>) {
        self.node.until("the end of the run", || self.is_over().then_some(()));
        let run = self.node.get(&self.run).ok();
        let mut summary = run["summary"].clone();
        let mut results = Vec::new();
        let mut path = format!("{}/results?limit=1000", self.run);
        loop {
            let page = self.node.get(&path).ok();
            results.extend(page["items"].as_array().expect("results").iter().map(timeless));
            match page["next"].as_u64() {
                Some(next) => path = format!("{}/results?limit=1000&from={next}", self.run),
                None => break,
            }
        }
        for time in ["latency_p50_ms", "latency_p95_ms"] {
            summary.as_object_mut().expect("a summary").remove(time);
        }
        (json!([run["state"], run["reason"], summary, run["verdict"]]), results)
    }
}

fn timeless(result: &Value) -> Value {
    let mut result = result.clone();
    for time in ["latency_ms", "first_token_ms"] {
        result["answer"].as_object_mut().expect("an answer").remove(time);
    }
    result
}

fn prices() -> Value {
    let model =
        |id: &str, rate: u64| json!({"id": id, "tiers": [{"when": {}, "rate": {"input": rate, "output": 3 * rate}}]});
    json!({"schema": 1, "updated": "2026-11-20", "currency": "USD", "unit": "pico_usd_per_token",
        "models": [model("sum", 1_000_000), model("judge", 7_000_000)]})
}

/// Sums: every seventh is guessed, every tenth is judged by a model, and scores are thirds.
fn suite() -> Value {
    let case = |number: u64| {
        let (sum, how) = (2 * number, if number % 7 == 3 { "guess" } else { "add" });
        let mut case = json!({
            "name": format!("case {number}"), "expected": sum.to_string(), "weight": 1 + number % 3,
            "variables": {"question": format!("{number} + {number}"), "how": how},
        });
        if number.is_multiple_of(JUDGED_EACH) {
            let rubric = format!("The answer contains \"{sum}\" and nothing else.");
            case["scorers"] = json!([{"type": "llm-rubric", "value": rubric, "model": "local:judge"}]);
        }
        case
    };
    let cases: Vec<Value> = (0..CASES).map(case).collect();
    let scorers = json!([
        {"type": "equals", "weight": 2, "metric": "accuracy"},
        {"type": "regex", "value": "^[0-9]+$", "metric": "format"},
    ]);
    json!({"suite": {"scorers": scorers, "cases": cases}, "message": "Many sums"})
}

#[test]
fn killed_run_equals_an_undisturbed_one_and_pays_for_no_call_twice() {
    let mut run = Run::start("evaluation");
    let kills = number("TORTURE_KILLS").unwrap_or(KILLS);
    let calm = Evaluating::start();
    let expected = calm.ended();
    let calls = calm.models.paid();
    assert!(calls.values().all(|times| *times == 1), "an undisturbed run asks once");

    let mut torn = Evaluating::start();
    let mut killed = 0;
    while killed < kills {
        let wanted = calls.len() as u64 * (killed + 1) / (kills + 2);
        let so_far = || (torn.models.paid().len() as u64 >= wanted || torn.is_over()).then_some(());
        eventually(PATIENCE, so_far).expect("the run goes on");
        std::thread::sleep(Duration::from_micros(run.random.below(PAUSE_US)));
        if torn.is_over() {
            break;
        }
        torn.node.kill9();
        killed += 1;
        torn.node.restart();
    }
    let found = torn.ended();
    if found.0 != expected.0 {
        run.fail(torn.node.home(), &format!("an undisturbed run says {}, this one {}", expected.0, found.0));
    }
    if let Some((torn_result, calm_result)) = found.1.iter().zip(&expected.1).find(|(torn, calm)| torn != calm) {
        run.fail(torn.node.home(), &format!("an undisturbed run has {calm_result}, this one {torn_result}"));
    }
    assert_eq!(found.1.len() as u64, CASES);

    let paid = torn.models.paid();
    let again: u64 = paid.values().map(|times| times - 1).sum();
    assert_eq!(paid.len(), calls.len(), "one key for each call");
    assert!(again <= killed * CASES_AT_ONCE, "{again} calls were sent again after {killed} kills");
    assert!(killed > 0, "nothing happened");
    torn.node.stop();
    run.report(&format!("{} calls of {CASES} cases, {killed} kills, {again} calls were on their way", calls.len()));
}

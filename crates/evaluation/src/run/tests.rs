//! Runs against a backend that answers by rule: complete, interrupted, out of money, canceled.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::json;

use super::*;
use crate::model::content::Syntax;
use crate::model::evaluation::{AnswerUsage, Evaluated, GateState, JudgeUse, ScorerResult, SuiteRef};

/// Echoes the last message; fails, or stops the run, at given calls.
#[derive(Default)]
struct Echo {
    calls: AtomicU64,
    keys: Mutex<Vec<String>>,
    fails: Option<CallError>,
    shutdown_at: Option<(u64, CancellationToken)>,
}

impl Backend for Echo {
    async fn chat(&self, model: &ModelName, request: &ChatRequest, key: &str) -> Result<Answer, CallError> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed) + 1;
        self.keys.lock().expect("a lock").push(key.to_owned());
        // Others ask before this is answered.
        tokio::task::yield_now().await;
        if let Some((at, token)) = &self.shutdown_at
            && number >= *at
        {
            token.cancel();
        }
        if let Some(error) = &self.fails {
            return Err(error.clone());
        }
        let text = request.messages.last().and_then(|message| message["content"].as_str()).unwrap_or_default();
        let (text, answered) = match model.model.as_str() {
            "judge" if text.contains("\"steps\"") => (r#"{"steps": ["Look."]}"#, Some("judge-2026-01-01")),
            "judge" => (r#"{"reason": "good", "score": 9}"#, Some("judge-2026-01-01")),
            _ => (text, None),
        };
        let usage = AnswerUsage { output_tokens: Some(3), ..AnswerUsage::default() };
        let model = answered.map(str::to_owned);
        Ok(Answer { text: text.to_owned(), latency_ms: 10, model, usage, ..Answer::default() })
    }

    async fn embed(&self, _: &ModelName, _: &[String]) -> Result<Embeddings, CallError> {
        Err(CallError::Failed("no embeddings".to_owned()))
    }

    async fn post(&self, _: &str, _: &Value) -> Result<Value, CallError> {
        Err(CallError::Failed("no endpoint".to_owned()))
    }

    fn concurrency_max(&self, _: &ModelName) -> usize {
        16
    }

    fn endpoint(&self, _: &ModelName) -> String {
        "http://localhost".to_owned()
    }

    fn price(&self, _: &ModelName, _: &Answer) -> Option<Usd> {
        Some(Usd::from_pico(10))
    }

    fn price_at_most(&self, _: &ModelName, _: &ChatRequest) -> Option<Usd> {
        Some(Usd::from_pico(20))
    }

    fn embedding_price_at_most(&self, _: &ModelName, _: &[String]) -> Option<Usd> {
        Some(Usd::from_pico(20))
    }

    fn now_ms(&self) -> i64 {
        2_000
    }
}

fn plan(store: &EvaluationStore, cases: usize) -> Plan {
    let cases: Vec<Value> =
        (0..cases).map(|n| json!({ "name": format!("case {n}"), "variables": { "who": n } })).collect();
    let suite: Suite = serde_json::from_value(json!({ "cases": cases })).expect("a suite");
    let content = Content::text(Syntax::Mustache, "Hello {{who}}");
    let mut content = content;
    content.variables = vec![serde_json::from_value(json!({ "name": "who", "required": true })).expect("a variable")];
    let id = content.to_canonical().map(|bytes| crate::model::content_id::ContentId::of(&bytes)).expect("a content");
    Plan {
        run: Run {
            id: store.next_run(),
            candidate: Evaluated { prompt: "greeting".parse().expect("a name"), version: Some(1), content_id: id },
            baseline: None,
            suite: SuiteRef { name: "regress".to_owned(), number: 1, id },
            models: vec!["local:tiny".parse().expect("a model")],
            repeats: 1,
            budget: crate::model::suite::Budget::default(),
            gate: suite.gate.clone(),
            by: "ann".to_owned(),
            at: Timestamp::from_ms(1_000),
            ended: None,
            state: RunState::Queued,
            decides_gate: true,
            change_request: None,
            reason: None,
            summary: RunSummary { planned: planned(&suite, 1, 1, 1), ..RunSummary::default() },
            comparison: None,
            verdict: None,
            imported_from: None,
            results_removed: None,
            stale: None,
        },
        suite,
        candidate: content,
        baseline: None,
        no_cache: false,
        includes: BTreeMap::new(),
        upstream: BTreeMap::new(),
    }
}

fn store() -> (tempfile::TempDir, EvaluationStore) {
    let directory = tempfile::tempdir().expect("a directory");
    let store = EvaluationStore::open(directory.path()).expect("a file");
    (directory, store)
}

#[tokio::test]
async fn every_case_has_a_result_and_the_same_run_again_calls_nothing() {
    let (_directory, store) = store();
    let backend = Echo::default();
    let first = run(&store, &backend, &plan(&store, 20), &Stops::default()).await.expect("a run");
    assert_eq!((first.state, first.summary.passed, first.summary.calls), (RunState::Finished, 20, 20));
    assert_eq!(first.summary.cost, Usd::from_pico(200));
    assert_eq!(first.verdict.map(|verdict| verdict.state), Some(GateState::Passed));
    assert_eq!(store.result(first.id, 2).expect("read").and_then(|it| it.answer).expect("an answer").text, "Hello 1");
    let again = Plan { run: Run { at: Timestamp::from_ms(3_000), ..plan(&store, 20).run }, ..plan(&store, 20) };
    let again = run(&store, &backend, &again, &Stops::default()).await.expect("a run");
    assert_eq!((again.summary.passed, again.summary.calls, again.summary.cost), (20, 0, Usd::default()));
    let fresh = Plan { no_cache: true, ..plan(&store, 20) };
    let fresh = run(&store, &backend, &fresh, &Stops::default()).await.expect("a run");
    assert_eq!(fresh.summary.calls, 20);
}

#[tokio::test]
async fn interrupted_run_continues_and_asks_nothing_twice() {
    let (_directory, store) = store();
    let plan = plan(&store, 50);
    let stops = Stops::default();
    let first = Echo { shutdown_at: Some((20, stops.shutdown.clone())), ..Echo::default() };
    assert!(matches!(run(&store, &first, &plan, &stops).await, Err(RunError::Shutdown)));
    let second = Echo::default();
    let done = run(&store, &second, &plan, &Stops::default()).await.expect("a run");
    assert_eq!((done.state, done.summary.passed), (RunState::Finished, 50));
    assert_eq!((done.summary.calls, done.summary.cost), (50, Usd::from_pico(500)), "both parts together");
    let mut keys = [first.keys.into_inner().expect("keys"), second.keys.into_inner().expect("keys")].concat();
    keys.sort();
    let calls = keys.len();
    keys.dedup();
    assert_eq!((calls, keys.len()), (50, 50));
}

#[tokio::test]
async fn answer_without_a_result_when_the_process_was_killed_is_counted_and_not_paid_for_again() {
    let (_directory, store) = store();
    let plan = plan(&store, 20);
    for case in &plan.suite.cases[..5] {
        let request = request(&plan.candidate, &plan.suite, case).expect("a request");
        let key = cache_key("http://localhost", &plan.run.models[0], &request, 0, None);
        let usage = AnswerUsage { cost: Some(Usd::from_pico(10)), ..Default::default() };
        let answer = Box::new(Answer { usage, ..Answer::default() });
        store.apply(vec![Change::Answer { key, at_ms: 1_500, answer }]).await.expect("written");
    }
    let backend = Echo::default();
    let done = run(&store, &backend, &plan, &Stops::default()).await.expect("a run");
    assert_eq!(backend.calls.load(Ordering::Relaxed), 15);
    assert_eq!((done.summary.calls, done.summary.cost), (20, Usd::from_pico(200)));
}

#[tokio::test]
async fn budget_is_checked_before_each_call_and_makes_the_run_inconclusive() {
    let (_directory, store) = store();
    let limited = |budget: Value| {
        let mut plan = plan(&store, 30);
        plan.run.budget = serde_json::from_value(budget).expect("a budget");
        plan.no_cache = true;
        plan
    };
    let calls = Echo::default();
    let done = run(&store, &calls, &limited(json!({ "max_calls": 12 })), &Stops::default()).await.expect("a run");
    assert_eq!(calls.calls.load(Ordering::Relaxed), 12);
    assert_eq!(
        (done.state, done.reason.as_deref()),
        (RunState::Stopped, Some("all 12 calls of `max_calls` were made"))
    );
    let verdict = done.verdict.expect("a verdict");
    assert_eq!(verdict.state, GateState::Inconclusive);
    let why = "complete run (stopped: all 12 calls of `max_calls` were made)";
    assert!(verdict.checks.iter().any(|check| check.says == why), "{verdict:?}");
    let money = Echo::default();
    let plan = limited(json!({ "max_cost_usd": "0.000000000105" }));
    let done = run(&store, &money, &plan, &Stops::default()).await.expect("a run");
    assert_eq!(
        (done.state, done.summary.cost),
        (RunState::Stopped, Usd::from_pico(90)),
        "calls on their way come first"
    );
}

#[tokio::test]
async fn run_whose_calls_all_fail_is_stopped_with_the_reason() {
    let (_directory, store) = store();
    let failing = Echo { fails: Some(CallError::Failed("401 Unauthorized".to_owned())), ..Echo::default() };
    let done = run(&store, &failing, &plan(&store, 500), &Stops::default()).await.expect("a run");
    assert_eq!(done.state, RunState::Stopped);
    let reason = done.reason.expect("a reason");
    assert!(reason.starts_with("none of the first 1") && reason.contains("401 Unauthorized"), "{reason}");
    assert!(failing.calls.load(Ordering::Relaxed) < 50);
}

#[tokio::test]
async fn call_that_reached_no_model_costs_nothing_and_one_that_may_have_is_charged() {
    let (_directory, store) = store();
    let unreachable = "cannot connect".to_owned();
    for (fails, cost) in [(CallError::Unpaid(unreachable), 0), (CallError::Failed("timed out".to_owned()), 5 * 20)] {
        let failing = Echo { fails: Some(fails.clone()), ..Echo::default() };
        let mut plan = plan(&store, 5);
        plan.run.budget = serde_json::from_value(json!({ "max_cost_usd": "1" })).expect("a budget");
        let done = run(&store, &failing, &plan, &Stops::default()).await.expect("a run");
        assert_eq!((done.summary.calls, done.summary.cost), (5, Usd::from_pico(cost)), "{fails}");
    }
}

#[tokio::test]
async fn canceled_run_is_over_and_keeps_its_results() {
    let (_directory, store) = store();
    let stops = Stops::default();
    let backend = Echo { shutdown_at: Some((40, stops.canceled.clone())), ..Echo::default() };
    let plan = plan(&store, 100);
    let done = run(&store, &backend, &plan, &stops).await.expect("a run");
    assert_eq!(done.state, RunState::Canceled);
    assert!(done.summary.passed >= 1 && done.summary.passed < 100);
}

#[tokio::test]
async fn steps_of_g_eval_are_asked_once_for_all_repeats_and_judges_are_recorded_with_each_result() {
    let (_directory, store) = store();
    let judged = |no_cache| {
        let mut plan = plan(&store, 4);
        let scorer = json!({ "type": "g-eval", "value": "is kind", "model": "local:judge" });
        plan.suite.scorers = vec![serde_json::from_value(scorer).expect("a scorer")];
        (plan.run.repeats, plan.no_cache) = (3, no_cache);
        plan.run.summary.planned = 12;
        plan
    };
    let backend = Echo::default();
    let done = run(&store, &backend, &judged(false), &Stops::default()).await.expect("a run");
    assert_eq!((done.summary.passed, done.summary.calls), (12, 12 + 12 + 1), "answers, verdicts, and the steps once");
    let result = store.result(done.id, 4).expect("read").expect("a result");
    let usage = AnswerUsage { output_tokens: Some(6), cost: Some(Usd::from_pico(20)), ..AnswerUsage::default() };
    let expected = JudgeUse {
        model: "local:judge".parse().expect("a model"),
        answered: Some("judge-2026-01-01".to_owned()),
        calls: 2,
        cached: 1,
        usage,
    };
    assert_eq!(result.judges, [expected]);
    let again = run(&store, &backend, &judged(true), &Stops::default()).await.expect("a run");
    assert_eq!(again.summary.calls, 24, "without the cache, the steps are still the same");
}

#[test]
fn case_passes_by_each_scorer_or_by_its_threshold() {
    let scorer = |verdict, score, weight| ScorerResult {
        scorer: "contains".to_owned(),
        metric: None,
        weight,
        verdict,
        score,
        reason: String::new(),
    };
    let (pass, fail) = (scorer(CaseVerdict::Passed, 1.0, 1.0), scorer(CaseVerdict::Failed, 0.0, 1.0));
    assert_eq!(case_verdict(&[pass.clone(), fail.clone()], None), (CaseVerdict::Failed, 0.5));
    assert_eq!(case_verdict(&[pass.clone(), fail.clone()], Some(0.5)), (CaseVerdict::Passed, 0.5));
    let shown = scorer(CaseVerdict::Failed, 0.0, 0.0);
    assert_eq!(case_verdict(&[pass.clone(), shown], None), (CaseVerdict::Passed, 1.0));
    let error = scorer(CaseVerdict::Error, 0.0, 1.0);
    assert_eq!(case_verdict(&[pass, error.clone()], None).0, CaseVerdict::Error);
    assert_eq!(case_verdict(&[fail, error], None).0, CaseVerdict::Failed);
    assert_eq!(case_verdict(&[], None), (CaseVerdict::Passed, 1.0));
}

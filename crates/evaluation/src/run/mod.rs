//! Runs a plan: every case of a suite, on every model, as often as it says, for the candidate and the baseline.
//!
//! Each answer is stored before it is scored, and each result when it is there, so a run that was interrupted continues
//! where it was and asks no model twice for the same thing. A call that was on its way when the process was killed is
//! sent again under the same idempotency key. Before each call the limits of the run are checked with the most that
//! the call can cost.

mod meter;
mod request;

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Mutex;

use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use self::meter::cache_key;
use self::meter::{Meter, Metered, Used};
pub use self::request::{RequestError, request};
use crate::gate::{self, Tally};
use crate::judge::score_all;
use crate::model::content::Content;
use crate::model::evaluation::{Answer, CaseResult, CaseVerdict, Run, RunState, RunSummary, Side};
use crate::model::name::PromptName;
use crate::model::suite::{Case, ModelName, Scorer, Suite};
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::provider::{Ask as _, CallError, ChatRequest, Embeddings};
use crate::score::Scoring;
pub use crate::score::case_verdict;
use crate::store::{Change, EvaluationStore, EvaluationStoreError, ResultFilter};

/// Most cases that are run at the same time; fewer where the providers take fewer calls, which they limit further by
/// what they answer.
const CASES_AT_ONCE_MAX: usize = 256;
/// Most results of a run.
pub const RESULTS_MAX: u32 = 1_000_000;
/// Errors at the start of a run, without any verdict, after which it is stopped.
const FIRST_ERRORS_MAX: u64 = 10;
/// Changes that may wait for the disk; above it, no further case is begun.
const CHANGES_WAITING_MAX: usize = 256;

/// Everything that a run needs, stored until it is over.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Plan {
    /// The run as it began.
    pub run: Run,
    /// The suite.
    pub suite: Suite,
    /// What is evaluated.
    pub candidate: Content,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Content>,
    /// Whether answers of earlier runs are not used again.
    #[serde(default)]
    pub no_cache: bool,
    /// What each include of the candidate that does not name a version meant, by how it is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub includes: BTreeMap<String, u64>,
    /// The latest version of each prompt that feeds the candidate.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstream: BTreeMap<PromptName, u64>,
}

/// What answers the calls of runs, and what they cost.
pub trait Backend: Send + Sync {
    /// Asks a model; the same key means the same call, sent again.
    fn chat(
        &self,
        model: &ModelName,
        request: &ChatRequest,
        idempotency_key: &str,
    ) -> impl Future<Output = Result<Answer, CallError>> + Send;

    /// Computes the embedding of each text, with what that used and cost.
    fn embed(&self, model: &ModelName, texts: &[String]) -> impl Future<Output = Result<Embeddings, CallError>> + Send;

    /// Posts a JSON body to an endpoint that scores.
    fn post(&self, url: &str, body: &Value) -> impl Future<Output = Result<Value, CallError>> + Send;

    /// The most calls at the same time that the provider of a model takes.
    fn concurrency_max(&self, model: &ModelName) -> usize;

    /// Where the calls of a model go, for the key of its answers.
    fn endpoint(&self, model: &ModelName) -> String;

    /// What an answer cost; absent if no price is known.
    fn price(&self, model: &ModelName, answer: &Answer) -> Option<Usd>;

    /// The most that a request can cost; absent if no price is known.
    fn price_at_most(&self, model: &ModelName, request: &ChatRequest) -> Option<Usd>;

    /// The most that embeddings of texts can cost; absent if no price is known.
    fn embedding_price_at_most(&self, model: &ModelName, texts: &[String]) -> Option<Usd>;

    /// The time, in milliseconds since 1970.
    fn now_ms(&self) -> i64;
}

/// How a run is told to end.
#[derive(Clone, Debug, Default)]
pub struct Stops {
    /// The run was canceled: it is over.
    pub canceled: CancellationToken,
    /// The node stops: the run continues when it starts again.
    pub shutdown: CancellationToken,
}

/// Why a run did not take its course.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RunError {
    #[error(transparent)]
    Store(#[from] EvaluationStoreError),
    #[error("the node is stopping; the run continues when it starts again")]
    Shutdown,
}

/// How many results a run has in all.
#[must_use]
pub fn planned(suite: &Suite, models: usize, repeats: u32, sides: u32) -> u64 {
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    count(suite.cases.len()).saturating_mul(count(models)).saturating_mul(repeats.into()).saturating_mul(sides.into())
}

/// One case on one model, once.
#[derive(Clone, Copy, Debug)]
struct Unit<'a> {
    case: &'a Case,
    model: &'a ModelName,
    repeat: u32,
    /// The place of the candidate's result; the baseline's is the next one.
    place: u32,
}

fn units(plan: &Plan) -> impl Iterator<Item = Unit<'_>> {
    let repeats = plan.run.repeats;
    let cases = plan.suite.cases.iter();
    let all = cases.flat_map(move |case| {
        plan.run.models.iter().flat_map(move |model| (0..repeats).map(move |repeat| (case, model, repeat)))
    });
    (0_u32..).step_by(2).zip(all).map(|(place, (case, model, repeat))| Unit { case, model, repeat, place })
}

/// Runs a plan to its end, from where it was left. The run and its plan are stored already; the plan is dropped by the
/// caller when it has done what depends on the end of the run.
///
/// # Errors
/// Results cannot be stored, or the node stops.
pub async fn run<B: Backend>(
    store: &EvaluationStore,
    backend: &B,
    plan: &Plan,
    stops: &Stops,
) -> Result<Run, RunError> {
    let stored = store.run(plan.run.id)?;
    if let Some(over) = stored.as_ref().filter(|stored| stored.state.is_over()) {
        return Ok(over.clone());
    }
    let summary = stored.map_or_else(|| plan.run.summary.clone(), |stored| stored.summary);
    let mut run = Run { state: RunState::Running, summary, ..plan.run.clone() };
    let there = store.places(run.id)?;
    let metered = Metered::new(&plan.run, run.summary.calls, run.summary.cost);
    store.apply(vec![Change::Run(Box::new(run.clone()))]).await?;

    let concurrency = plan.run.models.iter().map(|model| (&model.provider, backend.concurrency_max(model)));
    let at_once: usize = concurrency.collect::<BTreeMap<_, _>>().values().sum();
    let at_once = at_once.clamp(1, CASES_AT_ONCE_MAX);
    let is_missing =
        |unit: &Unit<'_>| !there.contains(&unit.place) || plan.baseline.is_some() && !there.contains(&(unit.place + 1));
    let mut waiting = units(plan).filter(is_missing);
    let (mut running, mut writing) = (FuturesUnordered::new(), FuturesUnordered::new());
    let mut changes: Vec<Change> = Vec::new();
    let mut stopped: Option<String> = None;
    let mut last_error: Option<String> = None;
    let mut whole = false;
    loop {
        let ends = stopped.is_some() || stops.canceled.is_cancelled() || stops.shutdown.is_cancelled();
        while !ends && !whole && running.len() < at_once && changes.len() < CHANGES_WAITING_MAX {
            let Some(unit) = waiting.next() else {
                whole = true;
                break;
            };
            let done = (there.contains(&unit.place), there.contains(&(unit.place + 1)));
            let meter = Meter { store, backend, plan, metered: &metered, repeat: unit.repeat, used: Mutex::default() };
            running.push(evaluate_unless(&stops.canceled, plan, unit, meter, done));
        }
        // Results are written together while others are on their way: a model never waits for the disk.
        if writing.is_empty() && !changes.is_empty() {
            changes.push(Change::Run(Box::new(run.clone())));
            writing.push(store.apply(std::mem::take(&mut changes)));
        }
        let finished = tokio::select! {
            Some(finished) = running.next() => finished,
            Some(written) = writing.next() => {
                written?;
                continue;
            }
            else => break,
        };
        run.summary.calls = run.summary.calls.saturating_add(finished.used.calls);
        run.summary.cost = run.summary.cost.plus(finished.used.cost);
        for (place, result) in finished.results {
            match result {
                Ok(result) => {
                    count(&mut run.summary, &result);
                    last_error = result.error.clone().or(last_error);
                    changes.push(Change::Result { run: run.id, place, result: Box::new(result) });
                }
                Err(reason) => stopped = stopped.or(Some(reason)),
            }
        }
        let RunSummary { passed, failed, errors, .. } = run.summary;
        if passed + failed == 0 && errors >= FIRST_ERRORS_MAX && stopped.is_none() {
            let error = last_error.clone().unwrap_or_default();
            stopped = Some(format!("none of the first {errors} answers has a verdict; the last error: {error}"));
        }
    }
    drop((running, writing));
    if stops.shutdown.is_cancelled() && !stops.canceled.is_cancelled() && stopped.is_none() && !whole {
        return Err(RunError::Shutdown);
    }
    run.state = match () {
        () if stops.canceled.is_cancelled() => RunState::Canceled,
        () if stopped.is_some() => RunState::Stopped,
        () => RunState::Finished,
    };
    run.reason = stopped;
    run.ended = Some(Timestamp::from_ms(backend.now_ms()));
    let (calls, cost) = (run.summary.calls, run.summary.cost);
    let tally = tally(store, run.id).await?;
    finish(&mut run, plan, &tally);
    (run.summary.calls, run.summary.cost) = (calls, cost);
    store.apply(vec![Change::Run(Box::new(run.clone()))]).await?;
    Ok(run)
}

/// Reads all results again, in the order of the suite, so that sums do not depend on when which answer came.
async fn tally(store: &EvaluationStore, run: u64) -> Result<Tally, EvaluationStoreError> {
    let store = store.clone();
    let read = move || {
        let mut tally = Tally::default();
        store.visit_results(run, 0, ResultFilter::default(), |_, result| {
            tally.add(&result);
            true
        })?;
        Ok(tally)
    };
    tokio::task::spawn_blocking(read).await.map_err(|_| EvaluationStoreError::Stopped)?
}

/// Fills in the sums, the comparison and the verdict of a run that is over.
pub fn finish(run: &mut Run, plan: &Plan, tally: &Tally) {
    run.summary = tally.summarize(&plan.suite.cases, run.summary.planned);
    run.comparison = run.baseline.as_ref().and_then(|baseline| tally.compare(&plan.suite.cases, baseline));
    run.verdict = Some(gate::decide(
        &plan.suite,
        tally,
        (run.state, run.reason.as_deref()),
        &run.summary,
        run.comparison.as_ref(),
    ));
}

fn count(summary: &mut RunSummary, result: &CaseResult) {
    if result.side == Side::Candidate {
        match result.verdict {
            CaseVerdict::Passed => summary.passed += 1,
            CaseVerdict::Failed => summary.failed += 1,
            CaseVerdict::Error => summary.errors += 1,
        }
    }
}

/// Results by their places; an error is why the run must stop.
type UnitResults = Vec<(u32, Result<CaseResult, String>)>;

/// What one unit came to.
struct Finished {
    results: UnitResults,
    used: Used,
}

/// Runs a unit, unless the run is canceled before it has answers.
fn evaluate_unless<'a, B: Backend>(
    canceled: &'a CancellationToken,
    plan: &'a Plan,
    unit: Unit<'a>,
    meter: Meter<'a, B>,
    done: (bool, bool),
) -> BoxFuture<'a, Finished> {
    Box::pin(async move {
        let results = tokio::select! {
            results = evaluate(plan, unit, &meter, done) => results,
            () = canceled.cancelled() => Vec::new(),
        };
        Finished { results, used: meter.used() }
    })
}

/// Runs one case on one model for both sides. `done` says which sides have a result already.
async fn evaluate<B: Backend>(plan: &Plan, unit: Unit<'_>, meter: &Meter<'_, B>, done: (bool, bool)) -> UnitResults {
    let mut results = Vec::new();
    let mut before: Option<String> = None;
    let mut shared: Option<Result<Answer, CallError>> = None;
    if let Some(content) = &plan.baseline {
        let answer = ask(plan, content, unit, meter).await;
        before = answer.as_ref().ok().map(|answer| answer.text.clone());
        shared = (*content == plan.candidate).then(|| answer.clone());
        if !done.1 {
            // Compared with itself, it is a tie.
            let same = before.as_deref();
            results.push((unit.place + 1, judged(plan, content, unit, meter, Side::Baseline, answer, same).await));
        }
    }
    if !done.0 {
        let content = &plan.candidate;
        // A version that is compared with itself has one answer.
        let answer = match shared {
            Some(answer) => answer,
            None => ask(plan, content, unit, meter).await,
        };
        let result = judged(plan, content, unit, meter, Side::Candidate, answer, before.as_deref()).await;
        results.push((unit.place, result));
    }
    results
}

async fn ask<B: Backend>(
    plan: &Plan,
    content: &Content,
    unit: Unit<'_>,
    meter: &Meter<'_, B>,
) -> Result<Answer, CallError> {
    let request = request(content, &plan.suite, unit.case).map_err(|error| CallError::Unpaid(error.to_string()))?;
    meter.chat(unit.model, &request).await
}

async fn judged<B: Backend>(
    plan: &Plan,
    content: &Content,
    unit: Unit<'_>,
    meter: &Meter<'_, B>,
    side: Side,
    answer: Result<Answer, CallError>,
    baseline: Option<&str>,
) -> Result<CaseResult, String> {
    let mut result = CaseResult {
        case: unit.case.name.clone(),
        model: unit.model.clone(),
        repeat: unit.repeat,
        side,
        verdict: CaseVerdict::Error,
        score: 0.0,
        error: None,
        answer: None,
        scorers: Vec::new(),
        judging: Usd::default(),
        judges: Vec::new(),
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(CallError::OverBudget(reason)) => return Err(reason),
        Err(error) => {
            result.error = Some(error.to_string());
            return Ok(result);
        }
    };
    let variables = request::variables(&plan.suite, unit.case);
    let scoring = Scoring { content, case: unit.case, variables: &variables, answer: &answer };
    let scorers: Vec<&Scorer> = plan.suite.scorers.iter().chain(&unit.case.scorers).collect();
    let judge = meter.judge();
    result.scorers = score_all(&scorers, scoring, baseline, &judge).await;
    if let Some(reason) = judge.over_budget() {
        return Err(reason);
    }
    (result.judging, result.judges) = judge.spent();
    (result.verdict, result.score) = case_verdict(&result.scorers, unit.case.threshold.or(plan.suite.threshold));
    if result.verdict == CaseVerdict::Error {
        let unjudged = result.scorers.iter().find(|scorer| scorer.verdict == CaseVerdict::Error);
        result.error = unjudged.map(|scorer| format!("{}: {}", scorer.scorer, scorer.reason));
    }
    result.answer = Some(answer);
    Ok(result)
}

/// The cases of each model that has results, and how many passed, for people.
#[must_use]
pub fn by_model(results: &[CaseResult]) -> Vec<(ModelName, u64, u64)> {
    let mut counts: HashMap<&ModelName, (u64, u64)> = HashMap::new();
    for result in results.iter().filter(|result| result.side == Side::Candidate) {
        let (passed, all) = counts.entry(&result.model).or_default();
        *passed += u64::from(result.verdict == CaseVerdict::Passed);
        *all += 1;
    }
    let mut rows: Vec<(ModelName, u64, u64)> =
        counts.into_iter().map(|(model, (passed, all))| (model.clone(), passed, all)).collect();
    rows.sort();
    rows
}

#[cfg(test)]
mod tests;

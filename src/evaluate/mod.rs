//! Runs evaluations on a primary: starts them, continues them after a restart, and records what their gates decide.
//!
//! Runs have a thread of their own with a lower priority, so that scoring never stands in front of an answer. Whatever
//! costs money is recorded in the audit log with who started it. Keys of providers are in the settings' environment
//! variables and nowhere else.

mod backend;
mod error;
mod imported;
mod labels;
mod playground;
mod stale;
mod start;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::backend::NodeBackend;
pub use self::backend::Spending;
pub use self::error::EvaluationError;
pub use self::playground::Question;
use self::stale::Snapshots;
use crate::api::evaluations::{PlacedResult, ProviderView, ResultsPage, RunsPage};
use crate::clock::Clock;
use crate::evaluation::provider::Providers;
use crate::evaluation::run::{self, Plan, RunError, Stops};
use crate::evaluation::store::{Change, EvaluationStore, EvaluationStoreError, ResultFilter};
use crate::ingest::Recorder;
use crate::model::content_id::ContentId;
use crate::model::evaluation::{CaseVerdict, GateResult, JudgeUse, Run, RunState, Side};
use crate::model::name::PromptName;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::registry::Registry;
use crate::resolve::{Catalogue, ReadScope};

/// Runs that are run at the same time; others wait for their turn.
const RUNS_AT_ONCE: usize = 2;
/// Most names of cases in each list of a run that is listed with others; alone it has all.
const NAMES_LISTED_MAX: usize = 50;
/// How long the results of runs are kept, if nothing else is set, in days.
pub const RESULTS_DAYS_DEFAULT: u16 = 90;
/// Most space of results and of answers that are used again, if nothing else is set, in bytes.
pub const RESULTS_BYTES_DEFAULT: u64 = 4 * 1_024 * 1_024 * 1_024;
/// The part of it that answers may take: a quarter.
const ANSWERS_SHARE: u64 = 4;
/// Most runs that are kept without their results: a few hundred megabytes.
const RUNS_KEPT_MAX: u64 = 100_000;
/// Most runs whose results are removed in one turn of the job.
const RUNS_EXPIRED_AT_ONCE: usize = 1_000;
/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// Most runs that wait.
const RUNS_WAITING_MAX: usize = 100;
/// Nice value of the thread: a third of the CPU time of a thread that answers requests, on a busy machine.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;

/// What a node needs to run evaluations.
pub struct EvaluationParts {
    /// Where runs and results are.
    pub store: EvaluationStore,
    /// Where gates are recorded.
    pub registry: Registry,
    /// Where versions are read.
    pub catalogue: Catalogue,
    /// What answers.
    pub providers: Providers,
    /// Models of each provider, for the pages and to find the provider of a version's model.
    pub models: BTreeMap<String, Vec<String>>,
    /// What a person may spend in the playground.
    pub spending: Spending,
    /// How long the results of runs are kept, in days.
    pub results_days: u16,
    /// Most space of results and of answers that are used again, in bytes.
    pub results_bytes: u64,
    /// Prices; none if telemetry is not recorded.
    pub recorder: Option<Recorder>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

/// The evaluations of a primary; clones share them.
#[derive(Clone)]
pub struct Evaluations(Arc<Inner>);

struct Inner {
    store: EvaluationStore,
    registry: Registry,
    catalogue: Catalogue,
    backend: NodeBackend,
    spending: Spending,
    results_days: u16,
    results_bytes: u64,
    /// Held while a person's allowance is checked and taken from.
    paying: tokio::sync::Mutex<()>,
    /// The most that questions of each person which are not answered yet can cost.
    on_its_way: Mutex<BTreeMap<String, Usd>>,
    /// Told when such a question is over.
    settled: Notify,
    running: Mutex<BTreeMap<u64, Stops>>,
    turns: Semaphore,
    shutdown: CancellationToken,
    tasks: TaskTracker,
    runtime: OnceLock<Option<Runtime>>,
}

impl Evaluations {
    /// Nothing runs until [`Self::resume`] or a start.
    #[must_use]
    pub fn new(parts: EvaluationParts) -> Self {
        let EvaluationParts {
            store,
            registry,
            catalogue,
            providers,
            models,
            spending,
            results_days,
            results_bytes,
            recorder,
            clock,
        } = parts;
        Self(Arc::new(Inner {
            store,
            registry,
            catalogue,
            backend: NodeBackend { providers, models, recorder, clock },
            spending,
            results_days,
            results_bytes,
            paying: tokio::sync::Mutex::default(),
            on_its_way: Mutex::default(),
            settled: Notify::new(),
            running: Mutex::default(),
            turns: Semaphore::new(RUNS_AT_ONCE),
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
            runtime: OnceLock::new(),
        }))
    }

    /// The registry whose prompts are evaluated.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// The providers of the settings.
    #[must_use]
    pub fn providers(&self) -> Vec<ProviderView> {
        self.0.backend.views()
    }

    /// The folder of the file with runs, for temporary files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        self.0.store.path().parent().unwrap_or_else(|| Path::new("."))
    }

    /// Continues the runs that did not end when the node stopped.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn resume(&self) -> Result<usize, EvaluationError> {
        let plans = self.0.store.unfinished()?;
        let count = plans.len();
        for (id, plan) in plans {
            match serde_json::from_slice::<Plan>(&plan) {
                Ok(plan) => self.launch(plan),
                Err(error) => {
                    tracing::error!(run = id, error = &error as &dyn std::error::Error, "a run cannot be continued");
                }
            }
        }
        Ok(count)
    }

    /// Stops taking cases, and waits for calls on their way. Runs continue when the node starts again.
    pub async fn stop(&self) {
        self.0.shutdown.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// One run.
    ///
    /// # Errors
    /// It does not exist, its prompt cannot be read, or the file cannot be read.
    pub fn run(&self, scope: &ReadScope, id: u64) -> Result<Run, EvaluationError> {
        let run = self.0.store.run(id)?.filter(|run| scope.reads(run.candidate.prompt.as_str()));
        let mut run = run.ok_or(EvaluationError::NoRun(id))?;
        run.stale = self.staleness(&run)?;
        Ok(run)
    }

    /// Why what the gate of a run decided should be decided again.
    fn staleness(&self, run: &Run) -> Result<Option<String>, EvaluationError> {
        if !run.decides_gate {
            return Ok(None);
        }
        let gates = self.0.registry.gates_of(&run.candidate.content_id)?;
        Ok(gates.into_iter().find(|gate| gate.run == run.id).and_then(|gate| gate.stale))
    }

    /// Runs with numbers below `before`, newest first, of prompts that can be read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn runs(
        &self,
        scope: &ReadScope,
        prompt: Option<&PromptName>,
        suite: Option<&str>,
        before: Option<u64>,
        limit: usize,
    ) -> Result<RunsPage, EvaluationError> {
        let wanted =
            |run: &Run| scope.reads(run.candidate.prompt.as_str()) && suite.is_none_or(|suite| run.suite.name == suite);
        let mut items = self.0.store.runs(prompt, before.unwrap_or(u64::MAX), limit.saturating_add(1), wanted)?;
        let more = items.len() > limit;
        items.truncate(limit);
        for run in &mut items {
            run.stale = self.staleness(run)?;
            run.summary.flaky.truncate(NAMES_LISTED_MAX);
            for names in run.comparison.iter_mut().flat_map(|it| [&mut it.worse, &mut it.better]) {
                names.truncate(NAMES_LISTED_MAX);
            }
        }
        let next = items.last().map(|run| run.id).filter(|_| more);
        Ok(RunsPage { items, next })
    }

    /// Results of a run in the order of its suite, from a place on.
    ///
    /// # Errors
    /// The run does not exist or cannot be read, or the file cannot be read.
    pub fn results(
        &self,
        scope: &ReadScope,
        id: u64,
        (from, limit): (u32, usize),
        verdict: Option<CaseVerdict>,
        side: Option<Side>,
    ) -> Result<ResultsPage, EvaluationError> {
        let run = self.run(scope, id)?;
        let labels = self.0.registry.human_labels(&run.suite.name, Some(id))?;
        let (mut items, mut next) = (Vec::new(), None);
        self.0.store.visit_results(id, from, ResultFilter { verdict, side }, |place, result| {
            if items.len() >= limit {
                next = Some(place);
                return false;
            }
            let labels = labels.iter().filter(|label| label.place == place).cloned().collect();
            items.push(PlacedResult { place, result, labels });
            true
        })?;
        Ok(ResultsPage { items, next })
    }

    /// Cancels a run; its results stay.
    fn cancel_running(&self, id: u64) -> bool {
        let running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&id).map(|stops| stops.canceled.cancel()).is_some()
    }

    fn runtime(&self) -> Option<&Runtime> {
        let created = self.0.runtime.get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).thread_name("evaluation").enable_all().on_thread_start(lower_priority);
            builder
                .build()
                .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "no thread for runs"))
                .ok()
        });
        created.as_ref()
    }

    /// Runs a stored plan when it is its turn.
    fn launch(&self, plan: Plan) {
        let Some(runtime) = self.runtime() else { return };
        let stops = Stops { canceled: CancellationToken::new(), shutdown: self.0.shutdown.clone() };
        let id = plan.run.id;
        {
            let mut running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
            running.insert(id, stops.clone());
        }
        let evaluations = self.clone();
        let work = async move {
            let plan = Arc::new(plan);
            let inner = &evaluations.0;
            let turn = tokio::select! {
                turn = inner.turns.acquire() => turn.ok(),
                () = stops.canceled.cancelled() => None,
                () = stops.shutdown.cancelled() => None,
            };
            if turn.is_none() && stops.shutdown.is_cancelled() {
                return;
            }
            match run::run(&inner.store, &inner.backend, &plan, &stops).await {
                Ok(done) => evaluations.conclude(&plan, &done).await,
                Err(RunError::Shutdown) => {}
                Err(error) => {
                    tracing::error!(run = id, error = &error as &dyn std::error::Error, "a run could not go on");
                }
            }
            inner.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        };
        self.0.tasks.spawn_on(work, runtime.handle());
    }

    /// Does something on the thread of runs; the node waits for it when it stops.
    ///
    /// # Errors
    /// There is no such thread.
    pub fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), EvaluationError> {
        let runtime = self.runtime().ok_or(EvaluationError::NoThread)?;
        self.0.tasks.spawn_on(work, runtime.handle());
        Ok(())
    }

    /// Refuses another run if too many wait.
    fn check_room(&self) -> Result<(), EvaluationError> {
        let running = self.0.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.len() >= RUNS_WAITING_MAX || self.runtime().is_none() {
            return Err(EvaluationError::TooManyRuns);
        }
        Ok(())
    }

    /// Records what the gate of a run decided, and marks those stale that other snapshots of the models decided.
    async fn conclude(&self, plan: &Plan, done: &Run) {
        tracing::info!(run = done.id, state = %done.state, passed = done.summary.passed, failed = done.summary.failed,
            errors = done.summary.errors, cost_usd = %done.summary.cost, "a run is over");
        let (here, of, run) = (self.clone(), plan.clone(), done.clone());
        let gate = tokio::task::spawn_blocking(move || here.gate_of(&of, &run)).await;
        let gate = gate.map_err(|_| EvaluationError::NoThread).and_then(|gate| gate);
        let concluded = match gate {
            Ok((gate, seen)) => {
                let decides = done.decides_gate && done.state != RunState::Canceled;
                let recorded = if decides { self.0.registry.record_gate(gate).await } else { Ok(()) };
                // Nobody can check what another tool says that answered.
                if done.imported_from.is_none() {
                    self.mark_stale_before(done.at, seen).await;
                }
                recorded.map_err(EvaluationError::from)
            }
            Err(error) => Err(error),
        };
        if let Err(error) = concluded {
            // The plan stays, so it is tried again when the node starts.
            tracing::error!(run = done.id, error = &error as &dyn std::error::Error, "a gate was not recorded");
            return;
        }
        if let Err(error) = self.0.store.apply(vec![Change::DropPlan(done.id)]).await {
            tracing::warn!(run = done.id, error = &error as &dyn std::error::Error, "the plan of a run stays");
        }
    }

    /// What a run decides, and the snapshots that answered it; remembered answers may be of earlier ones.
    fn gate_of(&self, plan: &Plan, done: &Run) -> Result<(GateResult, Snapshots), EvaluationError> {
        let verdict = done.verdict.clone().ok_or(EvaluationError::NoRun(done.id))?;
        let mut hash = blake3::Hasher::new();
        let mut models: Snapshots = done.models.iter().map(|model| (model.to_string(), BTreeSet::new())).collect();
        let (mut judges, mut seen) = (Snapshots::new(), Snapshots::new());
        self.0.store.visit_results(done.id, 0, ResultFilter::default(), |_, result| {
            hash.update(&serde_json::to_vec(&result).unwrap_or_default());
            if let Some((answered, cached)) = result.answer.and_then(|it| Some((it.model?, it.cached))) {
                if !cached {
                    seen.entry(result.model.to_string()).or_default().insert(answered.clone());
                }
                models.entry(result.model.to_string()).or_default().insert(answered);
            }
            for JudgeUse { model, answered, calls, cached, .. } in result.judges {
                if cached < calls {
                    seen.entry(model.to_string()).or_default().extend(answered.clone());
                }
                judges.entry(model.to_string()).or_default().extend(answered);
            }
            true
        })?;
        let gate = GateResult {
            candidate: done.candidate.clone(),
            suite: done.suite.clone(),
            state: verdict.state,
            checks: verdict.checks,
            run: done.id,
            baseline: plan.suite.gate.margin.and(done.baseline.clone()),
            includes: plan.includes.clone(),
            upstream: plan.upstream.clone(),
            models,
            judges,
            results: ContentId::from_hash(*hash.finalize().as_bytes()),
            decided_by: concat!("bookholder ", env!("CARGO_PKG_VERSION")).to_owned(),
            sent_by: done.imported_from.as_ref().map(|_| done.by.clone()),
            at: done.ended.unwrap_or(done.at),
            stale: None,
        };
        Ok((gate, seen))
    }

    /// Removes answers that are too old to be used again, results that are older than they are kept for, and the oldest
    /// of both beyond the space that they may take. Runs, and what their gates decided, stay; only the oldest of very
    /// many go. Returns how many runs lost their results.
    ///
    /// # Errors
    /// The file cannot be read, or the disk does not take it.
    pub async fn expire(&self) -> Result<usize, EvaluationError> {
        let (now_ms, max) = (self.0.backend.clock.now_ms(), self.0.results_bytes);
        let before_ms = now_ms.saturating_sub(i64::from(self.0.results_days) * DAY_MS);
        let store = self.0.store.clone();
        let look = move || -> Result<_, EvaluationStoreError> {
            let answers_max = max / ANSWERS_SHARE;
            let (results, answers) = store.bytes()?;
            let answers_since_ms = if answers > answers_max { store.answers_since(answers_max)? } else { i64::MIN };
            let excess = results.saturating_add(answers.min(answers_max)).saturating_sub(max);
            let clear = store.runs_to_clear(before_ms, excess, RUNS_EXPIRED_AT_ONCE)?;
            Ok((answers_since_ms, clear, store.runs_beyond(RUNS_KEPT_MAX, RUNS_EXPIRED_AT_ONCE)?))
        };
        let looked = tokio::task::spawn_blocking(look).await.map_err(|_| EvaluationError::NoThread)?;
        let (answers_since_ms, clear, remove) = looked?;
        let store = &self.0.store;
        store.apply(vec![Change::Expire { now_ms, answers_since_ms }]).await?;
        for run in &clear {
            store.apply(vec![Change::RemoveResults { run: *run, now_ms }]).await?;
        }
        for run in remove {
            store.apply(vec![Change::Remove(run)]).await?;
        }
        Ok(clear.len())
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.backend.clock.now_ms())
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take().flatten() {
            // Dropping it would wait, which is not allowed inside of another runtime.
            runtime.shutdown_background();
        }
    }
}

/// Lets threads that answer requests go first; only Linux has priorities for single threads.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(error = &error as &dyn std::error::Error, "the thread keeps its priority");
    }
}

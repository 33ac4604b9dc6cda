//! The periodic jobs of a node, as one table: name, interval, action, and what a failure means.
//!
//! A job does not overlap with itself; a failure is logged, and the job runs again at its next turn. Work that waits
//! for something other than time (webhooks, healing, watched folders) is a task of its own.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::evaluate::{EvaluationError, Evaluations};
use crate::http::HttpService;
use crate::ingest::Recorder;
use crate::metrics::Metrics;
use crate::registry::{Registry, RegistryError};
use crate::signing::primary_clock::{CLOCK_HINT, ClockState, PrimaryClock};
use crate::telemetry::store::{Expired, TelemetryError};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3_600);
/// How often the values of alerts are read: half of the shortest interval that is counted.
const ALERTS_EVERY: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Outcome = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>>;

/// A periodic job, which runs for the first time when a node starts.
pub(super) struct Job {
    /// The name of its task.
    pub(super) name: &'static str,
    every: Duration,
    /// The log message of a failure.
    failure: &'static str,
    /// Whether it runs once more when the node stops.
    at_stop: bool,
    work: Box<dyn Fn() -> Outcome + Send + Sync>,
}

impl Job {
    fn new<F, E>(
        name: &'static str,
        every: Duration,
        failure: &'static str,
        work: impl Fn() -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<Failure>,
    {
        let work = move || -> Outcome {
            let work = work();
            Box::pin(async move { work.await.map_err(Into::into) })
        };
        Self { name, every, failure, at_stop: false, work: Box::new(work) }
    }

    fn and_at_stop(self) -> Self {
        Self { at_stop: true, ..self }
    }

    /// Runs it until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        let mut interval = tokio::time::interval(self.every);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let stopping = tokio::select! {
                () = stop.cancelled() => true,
                _ = interval.tick() => false,
            };
            if stopping && !self.at_stop {
                return;
            }
            if let Err(error) = (self.work)().await {
                tracing::warn!(error = &*error as &dyn std::error::Error, job = self.name, "{}", self.failure);
            }
            if stopping {
                return;
            }
        }
    }
}

/// The jobs of a primary.
pub(super) fn of_primary(
    registry: &Registry,
    clock: &Arc<PrimaryClock>,
    metrics: &Metrics,
    archive_unused_days: Option<u32>,
    hold_automation: bool,
) -> Vec<Job> {
    let told = Arc::new(Mutex::new(ClockState::Trusted));
    let (watched, metrics) = (Arc::clone(clock), metrics.clone());
    let (apply, forget, bookkeep, compare) = (registry.clone(), registry.clone(), registry.clone(), registry.clone());
    let clock = Arc::clone(clock);
    let mut jobs = vec![
        Job::new("clock", 15 * SECOND, "could not record that the clock was set back; trying again later", move || {
            report_clock(&watched, &metrics, &told);
            let registry = compare.clone();
            async move { registry.record_set_back_clock().await }
        }),
        Job::new("bookkeeping", 15 * SECOND, "uses and refusals are written the next time", move || {
            let (registry, clock) = (bookkeep.clone(), Arc::clone(&clock));
            async move { write_down(&registry, &clock).await }
        })
        .and_at_stop(),
        Job::new("forgetting", HOUR, "could not remove old deletion records; trying again later", move || {
            let registry = forget.clone();
            async move { forget_old_deletions(&registry).await }
        }),
    ];
    if hold_automation {
        return jobs;
    }
    jobs.push(Job::new("applying", SECOND, "could not deploy change requests; trying again later", move || {
        let registry = apply.clone();
        async move { registry.tend_change_requests().await }
    }));
    if let Some(unused_days) = archive_unused_days {
        let registry = registry.clone();
        jobs.push(Job::new("archiving", 24 * HOUR, "could not archive old versions; trying again later", move || {
            let registry = registry.clone();
            async move { archive(&registry, unused_days).await }
        }));
    }
    jobs
}

/// Reads the values of alerts, and records those that begin to fire or no longer do.
pub(super) fn alerts(registry: &Registry, recorder: &Recorder) -> Job {
    let (registry, recorder) = (registry.clone(), recorder.clone());
    let read = move || {
        let (registry, recorder) = (registry.clone(), recorder.clone());
        async move {
            let stored = registry.clone();
            let reading = move || -> Result<_, Failure> { Ok(recorder.read_alerts(stored.stored_alerts()?)?) };
            let readings = tokio::task::spawn_blocking(reading).await??;
            Ok::<_, Failure>(registry.note_readings(readings).await?)
        }
    };
    Job::new("alerts", ALERTS_EVERY, "could not read the values of alerts; trying again later", read)
}

/// The jobs of a node that keeps telemetry: recording calls that waited, and removing what is older than it is kept for.
pub(super) fn of_telemetry(recorder: &Recorder) -> [Job; 4] {
    let kept = recorder.clone();
    let expire = move || {
        let recorder = kept.clone();
        async move {
            log_expired(recorder.store().expire(recorder.retention(), recorder.now_ms()).await?);
            Ok::<_, TelemetryError>(())
        }
    };
    let failure = "old telemetry was not removed; trying again later";
    let expiry = Job::new("telemetry", HOUR, failure, expire);
    let full = recorder.clone();
    let expire_if_over = move || {
        let recorder = full.clone();
        async move {
            log_expired(recorder.store().expire_if_over(recorder.now_ms()).await?);
            Ok::<_, TelemetryError>(())
        }
    };
    let cap = Job::new("telemetry size", SECOND, failure, expire_if_over);
    let noted = recorder.clone();
    let write = move || {
        let recorder = noted.clone();
        async move { recorder.store().write_replicas(recorder.now_ms()).await }
    };
    let failure = "the progress of replicas is written the next time";
    let progress = Job::new("replica progress", 30 * SECOND, failure, write).and_at_stop();
    [waiting_calls(recorder), expiry, cap, progress]
}

fn log_expired(expired: Expired) {
    if expired != Expired::default() {
        let Expired { blocks, bodies, rollups } = expired;
        tracing::info!(blocks, bodies, rollups, "removed old telemetry");
    }
}

/// Removes answers and results of evaluations that are older than they are kept for.
pub(super) fn of_evaluations(evaluations: &Evaluations) -> Job {
    let evaluations = evaluations.clone();
    let expire = move || {
        let evaluations = evaluations.clone();
        async move {
            let runs = evaluations.expire().await?;
            if runs > 0 {
                tracing::info!(runs, "removed old results of evaluations");
            }
            Ok::<_, EvaluationError>(())
        }
    };
    Job::new("evaluation results", HOUR, "old results of evaluations were not removed; trying again later", expire)
}

/// Records the calls that have waited long enough for the spans around them.
pub(super) fn waiting_calls(recorder: &Recorder) -> Job {
    let recorder = recorder.clone();
    let record = move || {
        let recorder = recorder.clone();
        async move { recorder.record_due().await }
    };
    Job::new("waiting calls", SECOND, "reported calls are recorded the next time", record)
}

/// The jobs of every node that answers over HTTP.
pub(super) fn of_pages(face: &HttpService) -> Vec<Job> {
    let face = face.clone();
    let keep = move || {
        let face = face.clone();
        async move { face.keep_sessions().await }
    };
    vec![Job::new("sessions", 15 * SECOND, "could not store sessions; trying again later", keep).and_at_stop()]
}

/// Writes buffered uses.
async fn write_down(registry: &Registry, clock: &PrimaryClock) -> Result<(), RegistryError> {
    if clock.standing() == ClockState::Impossible {
        return Ok(());
    }
    registry.keep_latest_time().await?;
    registry.keep_noted_uses().await?;
    registry.keep_token_uses().await?;
    registry.record_counted_refusals().await
}

/// Archives unused versions.
async fn archive(registry: &Registry, unused_days: u32) -> Result<(), RegistryError> {
    let archived = registry.archive_by_settings(unused_days).await?;
    if !archived.versions.is_empty() {
        tracing::info!(versions = archived.versions.len(), bytes = archived.bytes, "archived old versions");
    }
    Ok(())
}

async fn forget_old_deletions(registry: &Registry) -> Result<(), RegistryError> {
    let forgotten = registry.forget_old_deletions().await?;
    if forgotten > 0 {
        tracing::info!(forgotten, "removed old deletion records");
    }
    Ok(())
}

/// Logs when the clock becomes implausible, and when it is plausible again.
fn report_clock(clock: &PrimaryClock, metrics: &Metrics, told: &Mutex<ClockState>) {
    let standing = clock.standing();
    metrics.clock_untrusted.set(i64::from(standing != ClockState::Trusted));
    let before = std::mem::replace(&mut *told.lock().unwrap_or_else(PoisonError::into_inner), standing);
    if standing == before {
        return;
    }
    match standing {
        ClockState::Trusted => tracing::info!("the clock agrees with signatures and commits again"),
        ClockState::Behind => tracing::warn!(
            latest = %clock.latest(),
            "the clock is behind the latest signature or commit: it is wrong now, or was then; correct it, or if it \
                is right now, stop the node and run `bookholder repair-dates`"
        ),
        ClockState::Impossible => {
            if let Err(error) = clock.commit_ms() {
                tracing::error!(%error, hint = CLOCK_HINT, "nothing is committed");
            }
        }
    }
}

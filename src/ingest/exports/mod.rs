//! Sends on what is recorded: in order, each destination by itself, at least once.
//!
//! It reads recorded blocks and a durable cursor, so nothing waits for it: a destination that is away is caught up with
//! as far as events are still kept, and a slow one delays no other.

pub mod bucket;
pub mod collector;
pub mod files;
pub mod state;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::state::ExportStates;
use crate::metrics::{Kind, Metrics};
use crate::telemetry::event::Event;
use crate::telemetry::store::{ExportDue, TelemetryError};

/// How often new blocks are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest time between two tries while a destination does not take anything.
const PAUSE_MAX: Duration = Duration::from_secs(300);

/// Why something was not sent on.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ExportError {
    #[error("{0}")]
    Destination(String),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

/// What one step did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Events that the destination has now.
    pub events: u64,
    /// Events that it refused, and those that were removed before they were sent.
    pub lost: u64,
    /// Blocks that wait.
    pub waiting: u64,
    /// Whether there is more to do now.
    pub more: bool,
}

/// A destination.
pub trait Destination: Send + Sync + 'static {
    /// Its name in metrics and logs.
    const NAME: &'static str;

    /// Sends some of what is due.
    fn step(&self) -> impl Future<Output = Result<Step, ExportError>> + Send;
}

/// Sends until told to stop.
pub async fn run<D: Destination>(destination: D, states: ExportStates, metrics: Metrics, stop: CancellationToken) {
    let kind = Kind { kind: D::NAME };
    let exported = metrics.telemetry_exported.get_or_create_owned(&kind);
    let lost = metrics.telemetry_export_lost.get_or_create_owned(&kind);
    let failures = metrics.telemetry_export_failures.get_or_create_owned(&kind);
    let waiting = metrics.telemetry_export_waiting.get_or_create_owned(&kind);
    let mut pause = LOOK_EVERY;
    loop {
        let step = tokio::select! {
            () = stop.cancelled() => return,
            step = destination.step() => step,
        };
        match step {
            Ok(step) => {
                exported.inc_by(step.events);
                lost.inc_by(step.lost);
                waiting.set(i64::try_from(step.waiting).unwrap_or(i64::MAX));
                states.succeeded(D::NAME, step.waiting);
                if step.lost > 0 {
                    tracing::warn!(
                        destination = D::NAME,
                        events = step.lost,
                        "telemetry was not sent on and is given up"
                    );
                }
                pause = if step.more { Duration::ZERO } else { LOOK_EVERY };
            }
            Err(error) => {
                failures.inc();
                states.failed(D::NAME, &error);
                pause = pause.max(LOOK_EVERY).saturating_mul(2).min(PAUSE_MAX);
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, destination = D::NAME, again_s = pause.as_secs(), "telemetry was not sent on");
            }
        }
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ExportError> + Send + 'static,
) -> Result<T, ExportError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ExportError::Destination(error.to_string()))?
}

/// The size of a recorded input and output.
fn body_bytes(event: &Event) -> usize {
    let Event::Response(response) = event else { return 0 };
    let Some(body) = &response.body else { return 0 };
    [&body.input, &body.output].into_iter().flatten().map(String::len).sum()
}

/// Blocks that wait.
const fn waiting(due: &ExportDue) -> u64 {
    due.end.saturating_sub(due.first)
}

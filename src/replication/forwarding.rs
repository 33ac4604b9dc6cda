//! Sends the telemetry of a replica to its primary: batch by batch, each until the primary has it.
//!
//! It runs beside the follower, and slowly: a replica that was offline for a week has much to send, and applications go
//! on asking it in the meantime.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::transport::{SendFailure, Upstream};
use crate::telemetry::store::{SpoolId, Spooled, TelemetryError, TelemetryStore};

/// How often it looks for new batches.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The longest time between two tries while the primary does not answer.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// What is sent, and where to.
pub(super) struct Forwarding {
    pub(super) upstream: Arc<Upstream>,
    pub(super) store: TelemetryStore,
}

impl Forwarding {
    /// Sends until told to stop.
    pub(super) async fn run(self, stop: &CancellationToken) {
        let mut pause = LOOK_EVERY;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            let sent = tokio::select! {
                () = stop.cancelled() => return,
                sent = self.send_all() => sent,
            };
            pause = if sent { LOOK_EVERY } else { pause.saturating_mul(2).min(PAUSE_MAX) };
        }
    }

    /// Sends what waits; whether all of it is sent.
    pub(super) async fn send_all(&self) -> bool {
        loop {
            match self.send_some().await {
                Ok(Progress::More) => {}
                Ok(Progress::Done) => return true,
                Ok(Progress::Stuck) => return false,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "telemetry was not sent");
                    return false;
                }
            }
        }
    }

    async fn send_some(&self) -> Result<Progress, TelemetryError> {
        let store = self.store.clone();
        let batches = tokio::task::spawn_blocking(move || store.spooled());
        let batches = batches.await.map_err(|_| TelemetryError::Stopped)??;
        if batches.is_empty() {
            return Ok(Progress::Done);
        }
        let mut next: Option<(SpoolId, u64)> = None;
        for Spooled { id, number, batch, .. } in batches {
            // Of each epoch, the first that is here is the first that waits.
            let first = next.filter(|(of, _)| *of == id).map_or(number, |(_, first)| first);
            match self.upstream.send_telemetry(&format!("spool={id}&first={first}&number={number}"), batch).await {
                Ok(merged) => {
                    let merged = merged.min(number);
                    self.store.forget_spooled(vec![(id.epoch, merged)]).await?;
                    next = Some((id, first.max(merged.saturating_add(1))));
                }
                Err(SendFailure::Unreachable) => return Ok(Progress::Stuck),
                Err(SendFailure::OutOfTurn) => {
                    tracing::warn!(batch = number, "the primary has another batch of this spool; numbering them again");
                    self.store.renew_spool().await?;
                    return Ok(Progress::Stuck);
                }
                Err(SendFailure::Refused(reason)) => {
                    tracing::warn!(batch = number, reason, "the primary did not take a batch of telemetry");
                    return Ok(Progress::Stuck);
                }
            }
        }
        Ok(Progress::More)
    }
}

enum Progress {
    /// Some is sent, and there may be more.
    More,
    /// All is sent.
    Done,
    /// The primary does not take more now.
    Stuck,
}

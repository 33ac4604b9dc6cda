//! Reports the status of this replica to the upstream: at once when it has caught up, and then every half minute.
//!
//! It runs beside the follower, so that a stuck replica still reports.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::transport::Upstream;
use crate::api::completeness::{ReplicaTelemetry, SETTLING_MS};
use crate::api::status::{Freshness, ReplicaReport};
use crate::clock::Clock;
use crate::model::time::Timestamp;
use crate::resolve::usage::Usage;
use crate::telemetry::store::{SpoolState, TelemetryStore};

/// How often a replica reports.
const REPORT_EVERY: Duration = Duration::from_secs(30);
/// How often it checks whether it has caught up.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Most uses in one report: with the longest names they fit into the upstream's limit. Others wait for the next.
const USES_MAX: usize = 2_000;

/// The sources of reports, and their destination.
pub(super) struct Reports {
    pub(super) upstream: Arc<Upstream>,
    pub(super) health: Health,
    /// The ID of this replica.
    pub(super) replica: String,
    pub(super) usage: Usage,
    pub(super) telemetry: Option<TelemetryStore>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Reports {
    /// Reports until told to stop.
    pub(super) async fn run(self, stop: &CancellationToken) {
        let mut report = tokio::time::interval(REPORT_EVERY);
        let mut look = tokio::time::interval(LOOK_EVERY);
        for interval in [&mut report, &mut look] {
            interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        }
        let mut before = Freshness::Empty;
        loop {
            let due = tokio::select! {
                () = stop.cancelled() => return,
                _ = report.tick() => true,
                _ = look.tick() => false,
            };
            let now = self.health.freshness().now();
            let caught_up = now.freshness == Freshness::Fresh && before != now.freshness;
            before = now.freshness;
            if !due && !caught_up {
                continue;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                _ = self.send(self.telemetry()) => {}
            }
        }
    }

    /// Reports that nothing more is recorded here; whether the upstream knows that it has everything.
    pub(super) async fn sign_off(&self) -> bool {
        let spool = self.telemetry.as_ref().and_then(|telemetry| telemetry.spool().ok()?);
        let Some(SpoolState { batches: 0, .. }) = spool else { return false };
        self.send(Some(ReplicaTelemetry { stopped: true, ..self.progress(None) })).await
    }

    /// Sends a report; whether it was taken.
    async fn send(&self, telemetry: Option<ReplicaTelemetry>) -> bool {
        let now = self.health.freshness().now();
        let report = ReplicaReport {
            replica: self.replica.clone(),
            position: now.position,
            freshness: now.freshness,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uses: self.usage.pending().into_iter().take(USES_MAX).collect(),
            telemetry,
            at: None,
        };
        let taken = self.upstream.report(&report).await;
        if taken {
            self.usage.forget(&report.uses);
        }
        taken
    }

    /// Up to when the telemetry of this replica was sent.
    fn telemetry(&self) -> Option<ReplicaTelemetry> {
        Some(self.progress(self.telemetry.as_ref()?.spool().ok()??.oldest_ms))
    }

    fn progress(&self, oldest_ms: Option<i64>) -> ReplicaTelemetry {
        let now_ms = self.clock.now_ms();
        let until_ms = oldest_ms.unwrap_or(now_ms).min(now_ms).saturating_sub(SETTLING_MS);
        ReplicaTelemetry { complete_until: Timestamp::from_ms(until_ms), stopped: false }
    }
}

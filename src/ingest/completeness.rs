//! Up to when the numbers of a primary are complete, and what a node says of its telemetry.

use super::Recorder;
use crate::api::completeness::{
    BEHIND_MAX, Completeness, ReplicaBehind, SETTLING_MS, SpoolStatus, TelemetryPause, TelemetryRetention,
    TelemetryStatus,
};
use crate::model::time::Timestamp;
use crate::telemetry::store::{Obstacle, Role, TelemetryError, TelemetryStore};

/// The reason of a pause because the disk failed.
const DISK_FAILED: &str = "disk_failed";
/// A replica further back than this is behind, in milliseconds: one in contact reports every half minute.
const BEHIND_MS: i64 = 120_000;

/// Up to when everything that was recorded anywhere is counted at a primary.
#[must_use]
pub fn completeness(store: &TelemetryStore, now_ms: i64) -> Completeness {
    let here_ms = now_ms.saturating_sub(SETTLING_MS);
    let replicas = store.replicas();
    let earliest = replicas.iter().map(|(_, one)| one.complete_until_ms).fold(here_ms, i64::min);
    let mut behind: Vec<ReplicaBehind> = replicas
        .into_iter()
        .filter(|(_, one)| one.complete_until_ms < now_ms.saturating_sub(BEHIND_MS))
        .map(|(replica, one)| ReplicaBehind {
            replica,
            complete_until: Timestamp::from_ms(one.complete_until_ms),
            heard: Timestamp::from_ms(one.heard_ms),
        })
        .collect();
    behind.sort_by(|a, b| (a.complete_until, &a.replica).cmp(&(b.complete_until, &b.replica)));
    let more = behind.len().saturating_sub(BEHIND_MAX);
    behind.truncate(BEHIND_MAX);
    Completeness {
        complete_until: Timestamp::from_ms(earliest),
        behind,
        more_behind: u64::try_from(more).unwrap_or(u64::MAX),
    }
}

/// What is read, or nothing where it is known that nothing can be.
fn readable<T>(read: Result<T, TelemetryError>, is_failed: bool) -> Result<Option<T>, TelemetryError> {
    if is_failed { Ok(read.ok()) } else { read.map(Some) }
}

impl Recorder {
    /// Why nothing is recorded now; none if it is.
    #[must_use]
    pub fn pause(&self) -> Option<TelemetryPause> {
        let Obstacle { error, since } = self.store().obstacle()?;
        let reason = if matches!(error, TelemetryError::DiskFailed) { DISK_FAILED } else { "disk_full" };
        let for_ms = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
        let since = Timestamp::from_ms(self.now_ms().saturating_sub(for_ms));
        Some(TelemetryPause { reason: reason.to_owned(), detail: error.to_string(), since })
    }

    /// What this node keeps of telemetry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn status(&self) -> Result<TelemetryStatus, TelemetryError> {
        let store = self.store();
        let paused = self.pause();
        let is_failed = paused.as_ref().is_some_and(|paused| paused.reason == DISK_FAILED);
        let spool = readable(store.spool(), is_failed)?.flatten().map(|spool| SpoolStatus {
            batches: spool.batches,
            bytes: spool.bytes,
            oldest: spool.oldest_ms.map(Timestamp::from_ms),
            content_dropped: spool.bodies_dropped,
        });
        let keeps = store.role() == Role::Keep;
        let retention = self.0.options.retention;
        Ok(TelemetryStatus {
            content_per_mille: self.0.options.content.per_mille(),
            completeness: keeps.then(|| completeness(store, self.now_ms())),
            bytes: if keeps { readable(store.holdings(), is_failed)?.map(|held| held.bytes) } else { None },
            paused,
            retention: keeps.then_some(TelemetryRetention {
                events_days: retention.events_days,
                content_days: retention.bodies_days,
                minutes_days: retention.minutes_days,
                hours_days: retention.hours_days,
                days_days: retention.days_days,
                events_bytes_max: retention.events_bytes,
            }),
            spool,
            exports: self.0.exports.read(),
        })
    }
}

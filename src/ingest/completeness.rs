//! Up to when the numbers of a primary are complete, and what a node says of its telemetry.

use super::Recorder;
use crate::api::completeness::{
    BEHIND_MAX, Completeness, ReplicaBehind, SETTLING_MS, SpoolStatus, TelemetryRetention, TelemetryStatus,
};
use crate::model::time::Timestamp;
use crate::telemetry::store::{TelemetryError, TelemetryStore};

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

impl Recorder {
    /// What this node keeps of telemetry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn status(&self) -> Result<TelemetryStatus, TelemetryError> {
        let store = self.store();
        let spool = store.spool()?.map(|spool| SpoolStatus {
            batches: spool.batches,
            bytes: spool.bytes,
            oldest: spool.oldest_ms.map(Timestamp::from_ms),
            content_dropped: spool.bodies_dropped,
        });
        let keeps = spool.is_none();
        let retention = self.0.options.retention;
        Ok(TelemetryStatus {
            content_per_mille: self.0.options.content.per_mille(),
            completeness: keeps.then(|| completeness(store, self.now_ms())),
            bytes: if keeps { Some(store.holdings()?.bytes) } else { None },
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

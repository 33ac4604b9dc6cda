//! Room on the disk. Telemetry leaves a floor above the one of the registry, so that a flood of reports never takes the
//! space that a rollback needs.

use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::{Shared, TelemetryError, TelemetryStore};

/// Free disk space below which no reports are recorded, in bytes: sixteen times the floor of the registry, because one
/// transaction of reports with inputs and outputs writes tens of megabytes.
pub(super) const RECORD_FREE_BYTES_MIN: u64 = 64 * 1024 * 1024;
/// The same for expiry, erasing and the other small writes, which often free space; still above that of the registry.
pub(super) const UPKEEP_FREE_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// Why nothing is recorded now.
#[derive(Debug)]
pub struct Obstacle {
    /// What recording fails with.
    pub error: TelemetryError,
    /// When that was noticed.
    pub since: Instant,
}

/// Refuses what may leave too little space on the disk of a file.
pub(super) fn check_room(file: &Path, needed_bytes: u64) -> Result<(), TelemetryError> {
    let Some(Ok(disk)) = file.parent().map(rustix::fs::statvfs) else { return Ok(()) };
    let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free_bytes < needed_bytes {
        return Err(TelemetryError::Paused { free_bytes, needed_bytes });
    }
    Ok(())
}

impl Shared {
    /// Notes whether reports are recorded, and logs when that changes; since when they are not.
    pub(super) fn note(&self, error: Option<&TelemetryError>) -> Option<Instant> {
        let mut noticed = self.noticed.lock().unwrap_or_else(PoisonError::into_inner);
        match error {
            Some(error) if noticed.is_none() => {
                tracing::warn!(error = error as &dyn std::error::Error, "telemetry is not recorded");
                *noticed = Some(Instant::now());
            }
            None if noticed.take().is_some() => tracing::info!("telemetry is recorded again"),
            _ => {}
        }
        *noticed
    }
}

impl TelemetryStore {
    /// Why no reports are recorded now; none if they are.
    #[must_use]
    pub fn obstacle(&self) -> Option<Obstacle> {
        let error = if self.shared.is_failed.load(Ordering::Relaxed) {
            Some(TelemetryError::DiskFailed)
        } else {
            check_room(&self.shared.path, RECORD_FREE_BYTES_MIN).err()
        };
        let since = self.shared.note(error.as_ref());
        error.zip(since).map(|(error, since)| Obstacle { error, since })
    }
}

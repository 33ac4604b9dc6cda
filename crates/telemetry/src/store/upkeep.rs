//! Expiry and erasing, one small transaction after the other: reports are recorded between them.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::erase::Erase;
use super::expire::{Expired, Expiry, Retention, Step};
use super::{TelemetryError, TelemetryStore, writer};

/// Pause before a step is asked for again that found the queue of the writer full.
const BUSY_PAUSE: Duration = Duration::from_millis(20);

impl TelemetryStore {
    /// Removes what is older than it is kept for.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn expire(&self, retention: Retention, now_ms: i64) -> Result<Expired, TelemetryError> {
        self.run(Expiry { retention, now_ms, only_over: false }).await
    }

    /// Removes the oldest events if they take more bytes than they may, as recording noticed. Costs nothing otherwise.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn expire_if_over(&self, now_ms: i64) -> Result<Expired, TelemetryError> {
        let Some(retention) = self.shared.retention.get().copied() else { return Ok(Expired::default()) };
        if !self.shared.is_over.swap(false, Ordering::Relaxed) {
            return Ok(Expired::default());
        }
        let done = self.run(Expiry { retention, now_ms, only_over: true }).await;
        if done.is_err() {
            self.shared.is_over.store(true, Ordering::Relaxed);
        }
        done
    }

    async fn run(&self, run: Expiry) -> Result<Expired, TelemetryError> {
        let mut expired = Expired::default();
        let mut next = Some(Step::Blocks { was_over: false, unpruned: 0 });
        while let Some(step) = next {
            let asked = step.clone();
            match self.ask(|reply| writer::Job::Expire { run, step: asked, reply }).await {
                Ok((removed, then)) => {
                    expired.blocks = expired.blocks.saturating_add(removed.blocks);
                    expired.bodies = expired.bodies.saturating_add(removed.bodies);
                    expired.rollups = expired.rollups.saturating_add(removed.rollups);
                    next = then;
                }
                Err(TelemetryError::Busy) => {
                    tokio::time::sleep(BUSY_PAUSE).await;
                    next = Some(step);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(expired)
    }

    /// Removes what could identify a person, now and from what arrives later; how many responses there were. Counts stay.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn erase(&self, what: Erase, now_ms: i64) -> Result<u64, TelemetryError> {
        let (mut erased, mut after) = (0_u64, None);
        loop {
            let what = what.clone();
            let step = self.ask(|reply| writer::Job::Erase { what, after, now_ms, reply }).await?;
            erased = erased.saturating_add(step.erased);
            match step.after {
                Some(next) => after = Some(next),
                None => return Ok(erased),
            }
        }
    }
}

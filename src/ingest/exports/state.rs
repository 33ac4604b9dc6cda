//! Whether telemetry is sent on, for the status of a node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ExportError;
use crate::api::completeness::{ExportFailure, ExportStatus};
use crate::clock::Clock;
use crate::model::time::Timestamp;

/// The state of each destination; clones share it.
#[derive(Clone)]
pub struct ExportStates {
    clock: Arc<dyn Clock>,
    states: Arc<Mutex<BTreeMap<&'static str, ExportStatus>>>,
}

impl ExportStates {
    /// Of no destination.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, states: Arc::default() }
    }

    /// The state of each destination that something was sent to, or should have been.
    #[must_use]
    pub fn read(&self) -> Vec<ExportStatus> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn succeeded(&self, destination: &'static str, waiting_blocks: u64) {
        let state = ExportStatus { destination: destination.to_owned(), waiting_blocks, failure: None };
        self.lock().insert(destination, state);
    }

    pub(super) fn failed(&self, destination: &'static str, error: &ExportError) {
        let now = Timestamp::from_ms(self.clock.now_ms());
        let mut states = self.lock();
        let state = states.entry(destination).or_insert_with(|| ExportStatus {
            destination: destination.to_owned(),
            waiting_blocks: 0,
            failure: None,
        });
        let before = state.failure.take();
        state.failure = Some(ExportFailure {
            reason: error.to_string(),
            since: before.as_ref().map_or(now, |before| before.since),
            attempts: before.map_or(0, |before| before.attempts).saturating_add(1),
        });
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, ExportStatus>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

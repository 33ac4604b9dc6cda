//! Every command that was decided, as a line in the log: who did what to what, and whether they might.
//!
//! The audit log has more (messages, changes, reasons in full); this is for whoever watches the log of all machines.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::model::audit::{AuditEntry, Decision};
use crate::store::{Committed, Store, StoreError};

/// Entries that are read at once.
const ENTRIES_MAX: usize = 200;
/// Subjects of one entry that are named.
const SUBJECTS_MAX: usize = 10;

/// Writes a line for each command, from the next one on, until told to stop.
pub(super) async fn run(store: Store, mut committed: watch::Receiver<Arc<Committed>>, stop: CancellationToken) {
    let mut last = committed.borrow_and_update().head.position.seq;
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            changed = committed.changed() => changed.is_err(),
        };
        if committed.borrow_and_update().head.position.seq > last {
            match tell(&store, last).await {
                Ok(told) => last = told,
                Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "commands are not in this log"),
            }
        }
        if stopping {
            return;
        }
    }
}

/// Writes a line for each entry behind this one; the last that was told.
async fn tell(store: &Store, mut last: u64) -> Result<u64, StoreError> {
    loop {
        let store = store.clone();
        let read = tokio::task::spawn_blocking(move || store.read()?.audit_from(last.saturating_add(1), ENTRIES_MAX));
        let entries = read.await.map_err(|error| StoreError::Io(std::io::Error::other(error)))??;
        for entry in &entries {
            log(entry);
            last = entry.seq;
        }
        if entries.len() < ENTRIES_MAX {
            return Ok(last);
        }
    }
}

fn log(entry: &AuditEntry) {
    let AuditEntry { seq, command, actor, method, reason, .. } = entry;
    let mut subjects = entry.subjects.iter().take(SUBJECTS_MAX).cloned().collect::<Vec<_>>().join(", ");
    let more = entry.subjects.len().saturating_sub(SUBJECTS_MAX);
    if more > 0 {
        subjects = format!("{subjects} and {more} more");
    }
    // A text is escaped in the log, whatever it was sent.
    let (client, request) = (entry.client.map(tracing::field::display), entry.request_id.as_deref());
    match entry.decision {
        Decision::Granted => tracing::info!(command, actor, subjects, method, client, request, seq, "command granted"),
        Decision::Denied => {
            tracing::warn!(command, actor, subjects, reason, method, client, request, seq, "command refused");
        }
    }
}

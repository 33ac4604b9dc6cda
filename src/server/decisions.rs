//! Logs every decided command: who did what, and whether it was granted.
//!
//! The audit log has more (messages, changes, full reasons); this is for central monitoring. An import of thousands of
//! changes is one line at its end, and a line for each at debug level.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::model::audit::{AuditEntry, Command, Decision};
use crate::store::{Committed, Store, StoreError};

/// Number of entries read at once.
const ENTRIES_MAX: usize = 200;
/// Most subjects of an entry in its line.
const SUBJECTS_MAX: usize = 10;
/// An import counts as finished after this time without changes; a client sends it in several requests.
const IMPORT_QUIET: Duration = Duration::from_secs(3);

/// Logs each command, starting with the next one, until told to stop.
pub(super) async fn run(store: Store, mut committed: watch::Receiver<Arc<Committed>>, stop: CancellationToken) {
    let mut last = committed.borrow_and_update().head.position.seq;
    let mut import: Option<Import> = None;
    loop {
        let quiet = import.as_ref().map(|import| import.grew + IMPORT_QUIET);
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep_until(quiet.unwrap_or_else(Instant::now)), if quiet.is_some() => {
                tell_import(&mut import);
                continue;
            }
            changed = committed.changed() => changed.is_err(),
        };
        if committed.borrow_and_update().head.position.seq > last {
            match log_entries(&store, last, &mut import).await {
                Ok(told) => last = told,
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "some commands are missing \
                    from this log"
                ),
            }
        }
        if stopping {
            tell_import(&mut import);
            return;
        }
    }
}

/// Logs each entry after this one except those of an import, which are collected; returns the last one.
async fn log_entries(store: &Store, mut last: u64, import: &mut Option<Import>) -> Result<u64, StoreError> {
    loop {
        let store = store.clone();
        let read = tokio::task::spawn_blocking(move || store.read()?.audit_from(last.saturating_add(1), ENTRIES_MAX));
        let entries = read.await.map_err(|error| StoreError::Io(std::io::Error::other(error)))??;
        for entry in &entries {
            let belongs = import.as_ref().is_none_or(|import| import.has(entry));
            if !belongs {
                tell_import(import);
            }
            if is_imported(entry) {
                import.get_or_insert_with(|| Import::begin(entry)).add(entry);
            }
            log(entry);
            last = entry.seq;
        }
        if entries.len() < ENTRIES_MAX {
            return Ok(last);
        }
    }
}

/// Consecutive imported changes of one actor.
struct Import {
    first: AuditEntry,
    last: AuditEntry,
    changes: u64,
    grew: Instant,
}

impl Import {
    fn begin(first: &AuditEntry) -> Self {
        Self { first: first.clone(), last: first.clone(), changes: 0, grew: Instant::now() }
    }

    /// Whether an entry belongs to the import.
    fn has(&self, entry: &AuditEntry) -> bool {
        let AuditEntry { actor, method, client, .. } = &self.first;
        is_imported(entry) && (&entry.actor, &entry.method, &entry.client) == (actor, method, client)
    }

    fn add(&mut self, entry: &AuditEntry) {
        (self.last, self.grew) = (entry.clone(), Instant::now());
        self.changes = self.changes.saturating_add(1);
    }
}

fn is_imported(entry: &AuditEntry) -> bool {
    entry.command == Command::Import && entry.decision == Decision::Granted
}

/// Logs an import that is finished.
fn tell_import(import: &mut Option<Import>) {
    let Some(Import { first, last, changes, .. }) = import.take() else { return };
    let AuditEntry { actor, method, .. } = &first;
    let client = first.client.map(tracing::field::display);
    let (command, elapsed_ms) = (Command::Import.as_str(), last.at.ms().saturating_sub(first.at.ms()).max(0));
    let (first_seq, seq) = (first.seq, last.seq);
    tracing::info!(command, actor, changes, elapsed_ms, method, client, first_seq, seq, "changes imported");
}

fn log(entry: &AuditEntry) {
    let AuditEntry { seq, actor, method, reason, .. } = entry;
    let command = entry.command.as_str();
    let mut subjects = entry.subjects.iter().take(SUBJECTS_MAX).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = entry.subjects.len().saturating_sub(SUBJECTS_MAX);
    if more > 0 {
        subjects = format!("{subjects} and {more} more");
    }
    // A text is escaped in the log, whatever it contains.
    let (client, request) = (entry.client.map(tracing::field::display), entry.request_id.as_deref());
    match entry.decision {
        Decision::Granted if is_imported(entry) => {
            tracing::debug!(command, actor, subjects, method, client, request, seq, "command granted");
        }
        Decision::Granted => tracing::info!(command, actor, subjects, method, client, request, seq, "command granted"),
        Decision::Denied => {
            tracing::warn!(command, actor, subjects, reason, method, client, request, seq, "command refused");
        }
    }
}

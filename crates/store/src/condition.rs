//! Problems with the disk or data of this node, for readiness, status, metrics and the log.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// A problem, and since when it exists.
#[derive(Clone, Debug)]
pub struct Fault {
    /// A stable code: `closed`, `damaged` or `disk_failed`.
    pub reason: &'static str,
    /// What happened.
    pub detail: String,
    /// Since when it is so.
    pub since: Instant,
    /// How often it was noticed since then.
    pub times: u64,
}

/// Whether the disk and the data work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StorageHealth {
    /// Whether the database can be read.
    pub readable: bool,
    /// Whether it can be written.
    pub writable: bool,
    /// Whether stored data is known to be damaged.
    pub damaged: bool,
}

/// The condition of a node's disk and data; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Condition(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    faults: Mutex<Faults>,
    noticed: Notify,
}

#[derive(Debug, Default)]
struct Faults {
    /// Nothing can be read.
    closed: Option<Fault>,
    /// Stored data is damaged.
    damaged: Option<Fault>,
    /// Nothing can be written; existing data can be read.
    disk_failed: Option<Fault>,
    /// Contents that were refused because their bytes do not match their ID, since the start.
    contents_refused: u64,
    /// The remedy for damaged data; empty if there is none.
    remedy: String,
}

impl Faults {
    fn set_damaged(&mut self, detail: Option<String>) {
        let with_remedy = |detail| if self.remedy.is_empty() { detail } else { format!("{detail}; {}", self.remedy) };
        let detail = detail.map(with_remedy);
        set(&mut self.damaged, "damaged", detail);
    }
}

impl Condition {
    fn lock(&self) -> MutexGuard<'_, Faults> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_closed(&self, detail: Option<String>) {
        set(&mut self.lock().closed, "closed", detail);
    }

    pub(super) fn set_disk_failed(&self, detail: Option<String>) {
        set(&mut self.lock().disk_failed, "disk_failed", detail);
    }

    pub(super) fn closed(&self) -> Option<String> {
        self.lock().closed.as_ref().map(|fault| fault.detail.clone())
    }

    pub(super) fn disk_failed(&self) -> Option<String> {
        self.lock().disk_failed.as_ref().map(|fault| fault.detail.clone())
    }

    /// Records that stored data is damaged, or that a full check found it intact.
    pub fn set_damaged(&self, detail: Option<String>) {
        self.lock().set_damaged(detail);
    }

    /// Sets the remedy for damaged data; reported with all damage from now on.
    pub fn set_remedy(&self, remedy: String) {
        self.lock().remedy = remedy;
    }

    /// Records damage and requests a full check.
    pub(super) fn notice_damage(&self, detail: String, content: bool) {
        let mut faults = self.lock();
        faults.contents_refused += u64::from(content);
        if let Some(known) = &mut faults.damaged {
            // A full check knows more than a single read.
            known.times += 1;
            return;
        }
        faults.set_damaged(Some(detail));
        let detail = faults.damaged.as_ref().map(|fault| fault.detail.as_str());
        tracing::error!(detail, "stored data is damaged and is not served");
        drop(faults);
        self.0.noticed.notify_one();
    }

    /// Requests a full check of the data.
    pub fn ask_for_audit(&self) {
        self.0.noticed.notify_one();
    }

    /// Waits until a full check is requested.
    pub async fn audit_wanted(&self) {
        self.0.noticed.notified().await;
    }

    /// The problems, worst first.
    pub fn fault(&self) -> Option<Fault> {
        let faults = self.lock();
        faults.closed.as_ref().or(faults.damaged.as_ref()).or(faults.disk_failed.as_ref()).cloned()
    }

    /// Why this node should get no requests: it cannot read, or its data is damaged.
    pub fn not_ready(&self) -> Option<Fault> {
        let faults = self.lock();
        faults.closed.as_ref().or(faults.damaged.as_ref()).cloned()
    }

    /// What works.
    pub fn health(&self) -> StorageHealth {
        let faults = self.lock();
        let readable = faults.closed.is_none();
        StorageHealth {
            readable,
            writable: readable && faults.disk_failed.is_none(),
            damaged: faults.damaged.is_some(),
        }
    }

    /// Contents that were refused because their bytes do not match their ID, since the start.
    pub fn contents_refused(&self) -> u64 {
        self.lock().contents_refused
    }
}

fn set(place: &mut Option<Fault>, reason: &'static str, detail: Option<String>) {
    match (place, detail) {
        (place, None) => *place = None,
        (Some(fault), Some(detail)) => {
            fault.times += 1;
            fault.detail = detail;
        }
        (place, Some(detail)) => *place = Some(Fault { reason, detail, since: Instant::now(), times: 1 }),
    }
}

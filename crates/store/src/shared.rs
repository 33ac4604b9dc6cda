//! What the handles of a store, its writer thread and its readers share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use super::condition::Condition;
use super::create::DirectoryLock;
use super::disk::StorageMedium;
use super::opening::Handle;

/// How long a reader waits for a database that is being reopened: this takes milliseconds.
const REOPEN_WAIT: Duration = Duration::from_millis(250);

/// What the handles of a store, its writer thread and its readers share.
pub(super) struct Shared {
    pub(super) directory: PathBuf,
    pub(super) path: PathBuf,
    pub(super) medium: Arc<dyn StorageMedium>,
    pub(super) condition: Condition,
    pub(super) handle: ArcSwapOption<Handle>,
    /// Whether the writer thread knows that the handle is unusable.
    pub(super) woken: AtomicBool,
    /// Wakes readers that wait for another handle.
    pub(super) swapped: (Mutex<()>, Condvar),
    /// Number of snapshots opened so far.
    pub(super) snapshots: std::sync::atomic::AtomicU64,
    /// Excludes other processes; declared after the handle, so that it is released last.
    pub(super) lock: Mutex<Option<DirectoryLock>>,
}

impl Shared {
    /// The currently open database.
    pub(super) fn handle(&self) -> Option<Arc<Handle>> {
        self.handle.load_full()
    }

    /// Replaces the handle and cuts off the old one: its readers are interrupted, without waiting for them.
    pub(super) fn swap(&self, handle: Option<Handle>) {
        let before = self.handle.swap(handle.map(Arc::new));
        if let Some(before) = before {
            before.health().give_up();
        }
        self.woken.store(false, Ordering::Release);
        let _guard = self.swapped.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.swapped.1.notify_all();
    }

    /// Closes the database cleanly, and releases the directory.
    pub(super) fn close(&self) {
        drop(self.handle.swap(None));
        self.lock.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// Waits briefly until another handle is available.
    pub(super) fn wait_for_another(&self, than: &Arc<Handle>) {
        let until = Instant::now() + REOPEN_WAIT;
        let mut guard = self.swapped.0.lock().unwrap_or_else(PoisonError::into_inner);
        while self.handle().is_some_and(|handle| Arc::ptr_eq(&handle, than)) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            guard = self.swapped.1.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

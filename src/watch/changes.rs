//! Waits for a folder to change, and then for it to come to rest.

use std::path::Path;
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Quiet that ends a burst of changes.
const QUIET: Duration = Duration::from_millis(150);
/// Longest wait for quiet, where changes never stop.
const BURST_MAX: Duration = Duration::from_secs(2);
/// How often to look without any event, in case one was lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);

/// A folder cannot be watched.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be watched: {source}", path.display())]
pub struct WatchError {
    path: std::path::PathBuf,
    source: notify::Error,
}

/// Changes of a folder and everything below it.
pub(super) struct Changes {
    /// Keeps the events coming.
    _watcher: RecommendedWatcher,
    signal: mpsc::Receiver<()>,
}

impl Changes {
    pub(super) fn of(directory: &Path) -> Result<Self, WatchError> {
        // One waiting signal says all there is to say: look again.
        let (sender, signal) = mpsc::channel(1);
        let fault = |source| WatchError { path: directory.to_owned(), source };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if !event.is_ok_and(|event| event.kind.is_access()) {
                let _one_waits_already = sender.try_send(());
            }
        })
        .map_err(fault)?;
        watcher.watch(directory, RecursiveMode::Recursive).map_err(fault)?;
        Ok(Self { _watcher: watcher, signal })
    }

    /// Waits until the folder has changed and come to rest; false when told to stop.
    pub(super) async fn next(&mut self, stop: &CancellationToken) -> bool {
        tokio::select! {
            () = stop.cancelled() => return false,
            _ = self.signal.recv() => {}
            () = tokio::time::sleep(LOOK_ANYWAY) => return true,
        }
        let burst = async {
            while tokio::time::timeout(QUIET, self.signal.recv()).await.is_ok_and(|signal| signal.is_some()) {}
        };
        tokio::select! {
            () = stop.cancelled() => false,
            _ = tokio::time::timeout(BURST_MAX, burst) => true,
        }
    }
}

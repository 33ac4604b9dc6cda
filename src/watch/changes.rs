//! Waits for a folder to change, and then to become quiet.
//!
//! The folder can be missing, and it can be replaced: by a mount, or a link to another folder. The system does not
//! report that, so the target of the path is checked every two seconds.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Quiet time that ends a burst of changes.
const QUIET: Duration = Duration::from_millis(150);
/// Longest wait for quiet.
const BURST_MAX: Duration = Duration::from_secs(2);
/// Interval of scans without events, in case one was lost.
const LOOK_ANYWAY: Duration = Duration::from_secs(60);
/// Interval of checks whether the path leads to another folder.
const IDENTITY_EVERY: Duration = Duration::from_secs(2);

/// Changes of a folder and everything below it.
pub(super) struct Changes {
    directory: PathBuf,
    /// The target of the path: device and inode; absent if there is none.
    identity: Option<(u64, u64)>,
    /// The watcher; absent if the system provides none.
    watcher: Option<RecommendedWatcher>,
    sender: mpsc::Sender<()>,
    signal: mpsc::Receiver<()>,
}

impl Changes {
    pub(super) async fn of(directory: PathBuf) -> Self {
        // One pending signal is enough: scan again.
        let (sender, signal) = mpsc::channel(1);
        let mut changes = Self { identity: identity_of(&directory).await, directory, watcher: None, sender, signal };
        changes.watch().await;
        changes
    }

    /// Starts to watch the current target of the path.
    async fn watch(&mut self) {
        self.watcher = None;
        if self.identity.is_none() {
            return;
        }
        let (sender, directory) = (self.sender.clone(), self.directory.clone());
        // This visits every subfolder.
        let watched = tokio::task::spawn_blocking(move || {
            let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if !event.is_ok_and(|event| event.kind.is_access()) {
                    let _one_waits_already = sender.try_send(());
                }
            })?;
            watcher.watch(&directory, RecursiveMode::Recursive)?;
            Ok(watcher)
        });
        match watched.await.unwrap_or_else(|error| Err(notify::Error::generic(&error.to_string()))) {
            Ok(watcher) => self.watcher = Some(watcher),
            Err(error) => {
                let folder = self.directory.display();
                tracing::warn!(%folder, %error, "cannot watch the folder for changes; checking it once a minute \
                    instead");
            }
        }
    }

    /// Waits until the folder has changed and become quiet, or until the next scan is due; false when told to stop.
    pub(super) async fn next(&mut self, stop: &CancellationToken, again: Option<Duration>) -> bool {
        let anyway = Instant::now() + again.unwrap_or(LOOK_ANYWAY).min(LOOK_ANYWAY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return false,
                _ = self.signal.recv() => break,
                () = tokio::time::sleep_until(anyway) => {
                    if again.is_none() && self.watcher.is_none() {
                        self.watch().await;
                    }
                    return true;
                }
                () = tokio::time::sleep(IDENTITY_EVERY) => {
                    let identity = identity_of(&self.directory).await;
                    if identity != self.identity {
                        self.identity = identity;
                        self.watch().await;
                        return true;
                    }
                }
            }
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

/// The target of a path.
async fn identity_of(path: &Path) -> Option<(u64, u64)> {
    let folder = tokio::fs::metadata(path).await.ok().filter(std::fs::Metadata::is_dir)?;
    Some((folder.dev(), folder.ino()))
}

//! An inbox: says which directories in it may hold a bundle, whenever something arrived.

use std::path::{Path, PathBuf};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::WatchError;
use super::changes::Changes;

/// Most directories of an inbox that are offered.
const DIRECTORIES_MAX: usize = 1_000;

/// Offers the inbox and the directories in it, at the start and after every change, until told to stop.
///
/// # Errors
/// The folder cannot be watched.
pub async fn watch(inbox: PathBuf, offers: mpsc::Sender<PathBuf>, stop: CancellationToken) -> Result<(), WatchError> {
    let mut changes = Changes::of(&inbox)?;
    loop {
        for directory in candidates(&inbox) {
            if offers.send(directory).await.is_err() {
                return Ok(());
            }
        }
        if !changes.next(&stop).await {
            return Ok(());
        }
    }
}

/// The inbox itself, then the directories in it by name.
fn candidates(inbox: &Path) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = std::fs::read_dir(inbox)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .take(DIRECTORIES_MAX)
        .collect();
    directories.sort();
    directories.insert(0, inbox.to_owned());
    directories
}

//! An inbox: triggers scans at the start, whenever something arrives, and every minute.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;

/// Requests a scan at the start and after every change, until told to stop. The inbox need not exist: a stick may be
/// plugged in later.
pub async fn watch(inbox: PathBuf, looking: mpsc::Sender<PathBuf>, stop: CancellationToken) {
    let mut changes = Changes::of(inbox.clone()).await;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            sent = looking.send(inbox.clone()) => if sent.is_err() { return },
        }
        if !changes.next(&stop, None).await {
            return;
        }
    }
}

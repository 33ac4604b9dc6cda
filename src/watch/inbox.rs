//! An inbox: says when to look through it, at the start, whenever something arrived, and each minute.

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::changes::Changes;

/// Names the inbox at the start and after every change, until told to stop. It need not be there: a stick may be
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

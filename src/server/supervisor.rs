//! Under a supervisor: says when the node is ready and that it is alive, and stops when told to.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use super::Running;

/// Runs a node until the process is told to end, then drains it.
pub async fn run_until_told(node: Running) {
    let listening = format!("listening on {}", node.url());
    tell(&[NotifyState::Ready, NotifyState::Status(&listening)]);
    let watchdog = tokio::spawn(keep_watchdog());
    let stopping = node.stopping();
    tokio::select! {
        () = told_to_end() => {}
        () = stopping.cancelled() => {}
    }
    tracing::info!("stopping: answering what is under way");
    tell(&[NotifyState::Stopping]);
    watchdog.abort();
    node.stop().await;
    tracing::info!("stopped");
}

async fn told_to_end() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
    }
}

/// Tells the supervisor that the runtime still turns, twice as often as it asks.
async fn keep_watchdog() {
    let mut microseconds = 0;
    if !sd_notify::watchdog_enabled(false, &mut microseconds) {
        return;
    }
    let mut interval = tokio::time::interval(Duration::from_micros((microseconds / 2).max(1_000)));
    loop {
        interval.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "the supervisor was not told");
    }
}

//! Under a supervisor: says when the node is ready and that it is alive, and stops when told to.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Running;

/// The signals that tell a process to end. They are kept from the moment this is made: make it before a node starts,
/// or a signal that comes just then kills the process instead.
pub struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
}

impl EndSignals {
    /// Takes the signals from now on.
    ///
    /// # Errors
    /// The operating system refuses.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn told(mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs a node until the process is told to end, then drains it.
pub async fn run_until_told(node: Running, signals: EndSignals) {
    let listening = format!("listening on {}", node.url());
    tell(&[NotifyState::Ready, NotifyState::Status(&listening)]);
    let watchdog = tokio::spawn(keep_watchdog());
    let stopping = node.stopping();
    tokio::select! {
        () = signals.told() => {}
        () = stopping.cancelled() => {}
    }
    tracing::info!("stopping: answering what is under way");
    tell(&[NotifyState::Stopping]);
    watchdog.abort();
    node.stop().await;
    tracing::info!("stopped");
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

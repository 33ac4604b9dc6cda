//! For a supervisor: reports that the node is ready and alive, and stops it on request.

use std::time::Duration;

use futures_util::future::select_all;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Running;

/// The signal for a file that exceeds the size limit of the process; the write fails too.
const FILE_TOO_LARGE: i32 = 25;

/// Handled signals. They are queued from here on: create this before a node starts, or an early signal kills the
/// process.
///
/// SIGINT and SIGTERM stop the node. SIGHUP conventionally reloads settings: certificates are reloaded automatically,
/// and nothing else while a node runs, so it has no effect. SIGUSR1, SIGUSR2 and SIGXFSZ have no effect either;
/// unhandled, they would kill the process.
pub struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    minded: Vec<(&'static str, Signal)>,
}

impl EndSignals {
    /// Starts to handle the signals.
    ///
    /// # Errors
    /// The operating system fails.
    pub fn take() -> std::io::Result<Self> {
        let minded = [
            ("SIGHUP", SignalKind::hangup()),
            ("SIGUSR1", SignalKind::user_defined1()),
            ("SIGUSR2", SignalKind::user_defined2()),
            ("SIGXFSZ", SignalKind::from_raw(FILE_TOO_LARGE)),
        ];
        let mind = |(name, kind)| signal(kind).map(|signal| (name, signal));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            minded: minded.into_iter().map(mind).collect::<std::io::Result<_>>()?,
        })
    }

    async fn mark_notified(mut self) {
        let mut minded = std::mem::take(&mut self.minded);
        loop {
            let others = minded.iter_mut().map(|(name, signal)| {
                Box::pin(async move {
                    signal.recv().await;
                    *name
                })
            });
            tokio::select! {
                _ = self.interrupt.recv() => return,
                _ = self.terminate.recv() => return,
                (name, ..) = select_all(others) => log_signal(name),
            }
        }
    }
}

/// Logs that a signal has no effect.
fn log_signal(name: &'static str) {
    match name {
        "SIGHUP" => tracing::info!(
            "SIGHUP ignored: certificates are reloaded automatically; other settings need a \
            restart"
        ),
        "SIGXFSZ" => tracing::error!("a file reached the maximum size for this process (see `ulimit -f`)"),
        name => tracing::info!(name, "signal ignored"),
    }
}

/// Runs a node until the process is told to stop, then shuts it down.
pub async fn run_until_told(node: Running, signals: EndSignals) {
    let listening = format!("listening on {}", node.url());
    notify_states(&[NotifyState::Ready, NotifyState::Status(&listening)]);
    let watchdog = tokio::spawn(keep_watchdog());
    let stopping = node.stopping();
    tokio::select! {
        () = signals.mark_notified() => {}
        () = stopping.cancelled() => {}
    }
    tracing::info!("stopping: finishing open requests");
    notify_states(&[NotifyState::Stopping]);
    watchdog.abort();
    node.stop().await;
    tracing::info!("stopped");
}

/// Sends keep-alive messages to the supervisor, twice as often as required.
async fn keep_watchdog() {
    let mut microseconds = 0;
    if !sd_notify::watchdog_enabled(false, &mut microseconds) {
        return;
    }
    let mut interval = tokio::time::interval(Duration::from_micros((microseconds / 2).max(1_000)));
    loop {
        interval.tick().await;
        notify_states(&[NotifyState::Watchdog]);
    }
}

fn notify_states(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(false, states) {
        tracing::debug!(%error, "could not notify the supervisor");
    }
}

//! Under a supervisor: says when the node is ready and that it is alive, and stops when told to.

use std::time::Duration;

use futures_util::future::select_all;
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::Running;

/// The number of the signal that says that a file became larger than the process may write; the write fails too.
const FILE_TOO_LARGE: i32 = 25;

/// The signals that a node minds. They are kept from the moment this is made: make it before a node starts, or a signal
/// that comes just then kills the process instead.
///
/// SIGINT and SIGTERM end it. SIGHUP asks daemons to read their settings again: certificates are read again by
/// themselves, and nothing else is read while a node runs, so it changes nothing. Nor do SIGUSR1, SIGUSR2 and SIGXFSZ,
/// which would kill a process that does not mind them.
pub struct EndSignals {
    interrupt: Signal,
    terminate: Signal,
    minded: Vec<(&'static str, Signal)>,
}

impl EndSignals {
    /// Takes the signals from now on.
    ///
    /// # Errors
    /// The operating system refuses.
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

/// Logs what a signal means here that does not end the node.
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

/// Runs a node until the process is told to end, then drains it.
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

/// Tells the supervisor that the runtime still turns, twice as often as it asks.
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

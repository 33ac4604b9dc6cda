//! Makes a background thread yield to the threads that answer requests.
//!
//! A low priority is not enough: once such a thread runs, the scheduler gives it a time slice of milliseconds, although
//! a thread with a request was woken on the same core. So it also pauses during large work. On other threads
//! [`give_way`] does nothing.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// Nice value of a yielding thread: a tenth of the CPU time on a busy machine.
#[cfg(target_os = "linux")]
const NICE: i32 = 10;
/// Longest stretch of work without a pause: less than the acceptable delay of an answer.
const STRETCH: Duration = Duration::from_micros(100);
/// Shortest pause; the system adds the delay of its timers, about 50 µs.
const PAUSE: Duration = Duration::from_micros(1);

thread_local! {
    /// When the thread last paused; absent if it does not yield.
    static PAUSED: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Makes this thread yield; only Linux has priorities for single threads.
pub(super) fn lower() {
    PAUSED.set(Some(Instant::now()));
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(error = &error as &dyn std::error::Error, "the thread keeps its priority");
    }
}

/// Starts work after an idle time, which counts as a pause.
pub(super) fn begin() {
    if PAUSED.get().is_some() {
        PAUSED.set(Some(Instant::now()));
    }
}

/// Pauses if this thread yields and has worked for long enough.
pub(super) fn give_way() {
    if PAUSED.get().is_some_and(|paused| paused.elapsed() >= STRETCH) {
        std::thread::sleep(PAUSE);
        PAUSED.set(Some(Instant::now()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lowered_thread_pauses_and_only_after_a_stretch_of_work() {
        assert_eq!(PAUSED.get(), None);
        give_way();
        assert_eq!(PAUSED.get(), None, "another thread's work has no pauses");
        std::thread::spawn(|| {
            lower();
            let long_ago = Instant::now().checked_sub(STRETCH).expect("a clock that runs");
            PAUSED.set(Some(long_ago));
            give_way();
            let paused = PAUSED.get().expect("lowered");
            assert!(paused > long_ago, "it paused");
            // If the clock is ahead, no stretch of work is over.
            let later = Instant::now() + Duration::from_secs(3_600);
            PAUSED.set(Some(later));
            give_way();
            assert_eq!(PAUSED.get(), Some(later), "it goes on");
        })
        .join()
        .expect("no panic");
    }
}

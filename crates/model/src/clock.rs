//! Sources of time: one trait, the system clock, a clock for tests, and deadlines.
//!
//! It only knows milliseconds: no calendars, time zones or timers, and it does not judge whether the wall clock is
//! right (see `trust::time::TrustedTime`).
//!
//! Invariant: `monotonic_ms` never goes back, even if the wall clock is set.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time, handed to everything that needs one.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock, in milliseconds since 1970-01-01T00:00:00Z; may jump either way.
    fn now_ms(&self) -> i64;

    /// Milliseconds since an arbitrary start; never goes back, so differences are durations.
    fn monotonic_ms(&self) -> u64;
}

/// The clock of the machine.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    fn now_ms(&self) -> i64 {
        unix_ms(SystemTime::now())
    }

    fn monotonic_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// Milliseconds since 1970, negative before it, saturating at the ends of `i64`.
fn unix_ms(time: SystemTime) -> i64 {
    let millis = |distance: Duration| i64::try_from(distance.as_millis()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => millis(after),
        Err(before) => -millis(before.duration()),
    }
}

/// A clock that stands still until it is told otherwise. Clones share one time.
#[derive(Debug, Clone, Default)]
pub struct ManualClock {
    time: Arc<ManualTime>,
}

#[derive(Debug, Default)]
struct ManualTime {
    wall_ms: AtomicI64,
    monotonic_ms: AtomicU64,
}

impl ManualClock {
    /// A clock whose wall shows `wall_ms` and whose monotonic time is zero.
    pub fn at(wall_ms: i64) -> Self {
        let clock = Self::default();
        clock.set(wall_ms);
        clock
    }

    /// Steps the wall clock to `wall_ms`, as an operator or NTP would; monotonic time does not move.
    pub fn set(&self, wall_ms: i64) {
        self.time.wall_ms.store(wall_ms, Ordering::SeqCst);
    }

    /// Lets `elapsed_ms` pass on both clocks.
    pub fn advance(&self, elapsed_ms: u64) {
        let wall_step = i64::try_from(elapsed_ms).unwrap_or(i64::MAX);
        self.time.wall_ms.fetch_add(wall_step, Ordering::SeqCst);
        self.time.monotonic_ms.fetch_add(elapsed_ms, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_ms(&self) -> i64 {
        self.time.wall_ms.load(Ordering::SeqCst)
    }

    fn monotonic_ms(&self) -> u64 {
        self.time.monotonic_ms.load(Ordering::SeqCst)
    }
}

/// Tells long-running work when to stop: at a moment of a clock, or when its result is no longer needed. Clones share
/// it.
#[derive(Debug, Clone, Default)]
pub struct Cancellation {
    /// The clock, and the monotonic time at which to end.
    until: Option<(Arc<dyn Clock>, u64)>,
    abandoned: Arc<AtomicBool>,
}

impl Cancellation {
    /// Never due, unless it is cancelled with `abandon`.
    #[must_use]
    pub fn never() -> Self {
        Self::default()
    }

    /// Due once `limit_ms` have passed from now.
    #[must_use]
    pub fn after(clock: Arc<dyn Clock>, limit_ms: u64) -> Self {
        let until_ms = clock.monotonic_ms().saturating_add(limit_ms);
        Self { until: Some((clock, until_ms)), abandoned: Arc::default() }
    }

    /// Signals that the result is no longer needed.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    /// Whether the work must stop now.
    #[must_use]
    pub fn is_due(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
            || self.until.as_ref().is_some_and(|(clock, until_ms)| clock.monotonic_ms() >= *until_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_stops_at_its_moment_or_when_it_is_abandoned() {
        let clock = ManualClock::default();
        let stop = Cancellation::after(Arc::new(clock.clone()), 20);
        clock.advance(19);
        assert!(!stop.is_due());
        clock.advance(1);
        assert!(stop.is_due());
        let never = Cancellation::never();
        let same = never.clone();
        assert!(!same.is_due());
        never.abandon();
        assert!(same.is_due());
    }

    #[test]
    fn wall_clock_before_1970_is_negative() {
        for (time, expected) in [
            (UNIX_EPOCH, 0),
            (UNIX_EPOCH + Duration::from_millis(1_500), 1_500),
            (UNIX_EPOCH - Duration::from_millis(1_500), -1_500),
        ] {
            assert_eq!(unix_ms(time), expected);
        }
    }

    #[test]
    fn stepping_the_wall_clock_leaves_monotonic_time_alone() {
        let clock = ManualClock::at(1_000);
        let seen_elsewhere = clock.clone();
        clock.advance(250);
        clock.set(-5);
        clock.advance(50);
        assert_eq!((seen_elsewhere.now_ms(), seen_elsewhere.monotonic_ms()), (45, 300));
    }

    #[test]
    fn system_clock_is_after_2020_and_monotonic() {
        let clock: &dyn Clock = &SystemClock::new();
        assert!(clock.now_ms() > 1_577_836_800_000);
        let earlier = clock.monotonic_ms();
        assert!(clock.monotonic_ms() >= earlier);
    }
}

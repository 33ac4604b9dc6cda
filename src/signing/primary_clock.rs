//! The clock of a primary, compared with the latest time that was signed or committed.
//!
//! The time of a commit becomes history, so a primary does not trust its clock blindly. Three rules:
//!
//! - A step back of up to [`BACK_MS_MAX`] is normal time synchronization: the time of signatures continues at half
//!   speed until the clock has caught up. Replicas take only a later signature as a sign of life, because an earlier
//!   one may be replayed; and no signature is further ahead of the clock than the step, which replicas tolerate.
//! - A clock further back is reported and used. Either it is wrong now or it was wrong before, and only an operator
//!   knows; refusing would also prevent rollbacks in an emergency. Signatures go back with it, so the registry makes
//!   one commit ([`PrimaryClock::is_set_back`]): replicas accept a higher position whatever its time.
//! - A clock more than [`AHEAD_MS_MAX`] ahead of the latest time plus the time that passed since, or before
//!   [`EARLIEST_MS`], commits nothing: changes dated in the future would answer queries about a time wrongly until
//!   then.
//!
//! The latest time advances while the process runs, with each commit and signature, and is stored with each group of
//! commits and at least once a day. So the rules measure how long the machine was off, not how long nothing was
//! published.

use std::sync::{Arc, Mutex, PoisonError};

use crate::clock::Clock;
use crate::crypto::note::Note;
use crate::model::time::Timestamp;
use crate::store::meta;
use crate::store::{Store, StoreError};
use crate::trust::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::trust::time::CLOCK_BEHIND_S_MAX;

/// How far the clock can go back before it is reported, in milliseconds: as far as replicas allow.
pub const BACK_MS_MAX: i64 = CLOCK_BEHIND_S_MAX * 1_000;
/// How far the clock can be ahead of the latest time plus the time that passed since, in milliseconds: 90 days. Every
/// checkpoint that a root document allows by default expires within that time, so a registry that was off for longer
/// has no followers, and asking its operator costs little. A wrong year is always further away.
pub const AHEAD_MS_MAX: i64 = 90 * 24 * 3_600_000;
/// No registry is older than the program: 2026-01-01.
pub const EARLIEST_MS: i64 = 1_767_225_600_000;
/// Maximum age of the stored latest time, in milliseconds: a day.
const KEEP_EVERY_MS: i64 = 24 * 3_600_000;

/// The state of a clock, compared with the latest time that was signed or committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockState {
    /// Plausible.
    Trusted,
    /// Far behind the latest time.
    Behind,
    /// Far ahead of it, or before this program existed.
    Impossible,
}

/// Why nothing can be committed at the clock's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockError {
    /// The clock is far ahead of the latest time.
    #[error(
        "the clock says {now}, {days} days after the last commit or signature at {latest}; nothing is committed until it is corrected"
    )]
    Ahead {
        /// The clock's time.
        now: Timestamp,
        /// The latest time that was signed or committed.
        latest: Timestamp,
        /// The difference, in days.
        days: i64,
    },
    /// The clock is before this program existed.
    #[error("the clock says {now}, which is before this program existed; nothing is committed until it is corrected")]
    Unset {
        /// The clock's time.
        now: Timestamp,
    },
}

/// The remedy for a [`ClockError`].
pub const CLOCK_HINT: &str = "set the clock of the primary; if it is right, restart with `serve --trust-clock`";

/// The clock of a primary.
#[derive(Debug)]
pub struct PrimaryClock {
    clock: Arc<dyn Clock>,
    /// Whether the operator confirms that the clock is right.
    vouched: bool,
    latest: Mutex<LatestTime>,
    signing: Mutex<SigningTime>,
}

/// The latest time that was signed or committed, and the monotonic time at that moment.
#[derive(Clone, Copy, Debug)]
struct LatestTime {
    at_ms: Option<i64>,
    monotonic_ms: u64,
}

impl LatestTime {
    /// The earliest time that is possible now.
    fn extrapolated_ms(self, monotonic_ms: u64) -> Option<i64> {
        let passed = i64::try_from(monotonic_ms.saturating_sub(self.monotonic_ms)).unwrap_or(i64::MAX);
        self.at_ms.map(|at_ms| at_ms.saturating_add(passed))
    }
}

/// The time of signatures, when it was last equal to the clock's.
#[derive(Clone, Copy, Debug)]
struct SigningTime {
    mark: LatestTime,
    /// Whether it went back with the clock, and no commit has followed.
    set_back: bool,
}

impl SigningTime {
    /// The earliest time for the next signature: what passed since counts half, so that the clock can catch up.
    fn slewed_ms(self, monotonic_ms: u64) -> Option<i64> {
        let passed = i64::try_from(monotonic_ms.saturating_sub(self.mark.monotonic_ms)).unwrap_or(i64::MAX);
        self.mark.at_ms.map(|at_ms| at_ms.saturating_add(passed / 2))
    }
}

impl PrimaryClock {
    /// The clock of a registry that has signed nothing yet; `vouched` means that the operator confirms it.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, vouched: bool) -> Self {
        Self::from(clock, vouched, None)
    }

    /// The clock of the registry in a store, compared with the stored latest time.
    pub fn open(store: &Store, clock: Arc<dyn Clock>, vouched: bool) -> Result<Self, StoreError> {
        let txn = store.read()?;
        let kept = txn.meta(&meta::LATEST_TIME_MS)?;
        let note = txn.meta(&meta::NOTE)?.and_then(|note| Note::parse(&note, CHECKPOINT_BYTES_MAX).ok());
        let signed = note.and_then(|note| Checkpoint::parse(note.text()).ok());
        let signed_ms = signed.map(|checkpoint| checkpoint.issued.saturating_mul(1_000));
        Ok(Self::from(clock, vouched, kept.or(signed_ms)))
    }

    fn from(clock: Arc<dyn Clock>, vouched: bool, at_ms: Option<i64>) -> Self {
        let mark = LatestTime { at_ms, monotonic_ms: clock.monotonic_ms() };
        let signing = Mutex::new(SigningTime { mark, set_back: false });
        Self { clock, vouched, latest: Mutex::new(mark), signing }
    }

    /// The clock's time, plausible or not: for queries, not for commits.
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// The underlying clock.
    pub(crate) fn source(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    /// Compares the clock with the latest time, and advances that if the clock is plausible.
    pub fn standing(&self) -> ClockState {
        self.read().1
    }

    /// The latest time that was signed or committed; the current time if there is none.
    pub fn latest(&self) -> Timestamp {
        let (now_ms, _, latest) = self.read();
        Timestamp::from_ms(latest.at_ms.unwrap_or(now_ms))
    }

    /// The time for a commit, in milliseconds since 1970.
    ///
    /// # Errors
    /// The clock is implausible, so history would be dated wrongly.
    pub fn commit_ms(&self) -> Result<i64, ClockError> {
        let (now_ms, standing, latest) = self.read();
        if standing != ClockState::Impossible {
            return Ok(now_ms);
        }
        let now = Timestamp::from_ms(now_ms);
        match latest.at_ms {
            Some(at_ms) if now_ms > at_ms => {
                let days = now_ms.saturating_sub(at_ms) / (24 * 3_600_000);
                Err(ClockError::Ahead { now, latest: Timestamp::from_ms(at_ms), days })
            }
            _ => Err(ClockError::Unset { now }),
        }
    }

    /// The time for a signature, in seconds since 1970. After a small step back, it continues at half speed; if the
    /// clock is implausible, it is the latest time plus what passed since.
    pub fn signing_s(&self) -> i64 {
        let (now_ms, standing, latest) = self.read();
        let monotonic_ms = self.clock.monotonic_ms();
        let clock_ms = match standing {
            ClockState::Trusted | ClockState::Behind => now_ms,
            ClockState::Impossible => latest.extrapolated_ms(monotonic_ms).unwrap_or(now_ms),
        };
        let mut signing = self.signing.lock().unwrap_or_else(PoisonError::into_inner);
        let ahead_ms = signing.slewed_ms(monotonic_ms).map_or(0, |slewed_ms| slewed_ms.saturating_sub(clock_ms));
        if (1..=BACK_MS_MAX).contains(&ahead_ms) {
            return clock_ms.saturating_add(ahead_ms).div_euclid(1_000);
        }
        signing.set_back |= ahead_ms > BACK_MS_MAX;
        signing.mark = LatestTime { at_ms: Some(clock_ms), monotonic_ms };
        clock_ms.div_euclid(1_000)
    }

    /// Whether signatures went back with the clock and no commit has followed, so that an idle registry signs nothing
    /// that replicas recognize as new.
    pub fn is_set_back(&self) -> bool {
        self.signing_s();
        self.signing.lock().unwrap_or_else(PoisonError::into_inner).set_back
    }

    /// Records that a commit followed.
    pub(crate) fn set_back_is_committed(&self) {
        self.signing.lock().unwrap_or_else(PoisonError::into_inner).set_back = false;
    }

    /// The latest time that was signed or committed, in milliseconds since 1970.
    pub(crate) fn latest_ms(&self) -> Option<i64> {
        self.read().2.at_ms
    }

    /// Whether the stored latest time is old.
    pub(crate) fn is_kept_long_ago(&self, store: &Store) -> Result<bool, StoreError> {
        let kept = store.read()?.meta(&meta::LATEST_TIME_MS)?;
        let latest = self.read().2.at_ms;
        Ok(latest.is_some_and(|latest| kept.is_none_or(|kept| latest.saturating_sub(kept).abs() >= KEEP_EVERY_MS)))
    }

    fn read(&self) -> (i64, ClockState, LatestTime) {
        let (now_ms, monotonic_ms) = (self.clock.now_ms(), self.clock.monotonic_ms());
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let standing = match latest.extrapolated_ms(monotonic_ms) {
            _ if self.vouched => ClockState::Trusted,
            _ if now_ms < EARLIEST_MS => ClockState::Impossible,
            Some(expected_ms) if now_ms > expected_ms.saturating_add(AHEAD_MS_MAX) => ClockState::Impossible,
            _ if latest.at_ms.is_some_and(|at_ms| now_ms < at_ms.saturating_sub(BACK_MS_MAX)) => ClockState::Behind,
            _ => ClockState::Trusted,
        };
        if standing == ClockState::Trusted && (self.vouched || latest.at_ms.is_none_or(|at_ms| now_ms > at_ms)) {
            *latest = LatestTime { at_ms: Some(now_ms), monotonic_ms };
        }
        (now_ms, standing, *latest)
    }
}

impl Clock for PrimaryClock {
    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    fn monotonic_ms(&self) -> u64 {
        self.clock.monotonic_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const NOW_MS: i64 = 1_800_000_000_000;
    const DAY_MS: i64 = 24 * 3_600_000;

    /// A clock that shows `now_ms`, over a registry whose latest time is `NOW_MS`.
    fn clock(now_ms: i64, vouched: bool) -> (ManualClock, PrimaryClock) {
        let manual = ManualClock::at(now_ms);
        let clock = PrimaryClock::from(Arc::new(manual.clone()), vouched, Some(NOW_MS));
        (manual, clock)
    }

    #[test]
    fn clock_far_from_the_latest_time_is_not_trusted() {
        for (distance_ms, standing, signing_ms) in [
            (0, ClockState::Trusted, NOW_MS),
            (60 * DAY_MS, ClockState::Trusted, NOW_MS + 60 * DAY_MS),
            (AHEAD_MS_MAX, ClockState::Trusted, NOW_MS + AHEAD_MS_MAX),
            (AHEAD_MS_MAX + 1, ClockState::Impossible, NOW_MS),
            (12 * 365 * DAY_MS, ClockState::Impossible, NOW_MS),
            (-1_000, ClockState::Trusted, NOW_MS),
            (-BACK_MS_MAX, ClockState::Trusted, NOW_MS),
            (-BACK_MS_MAX - 1, ClockState::Behind, NOW_MS - BACK_MS_MAX - 1),
            (-300 * DAY_MS, ClockState::Behind, NOW_MS - 300 * DAY_MS),
            (-NOW_MS, ClockState::Impossible, NOW_MS),
        ] {
            let (_, clock) = clock(NOW_MS + distance_ms, false);
            assert_eq!(clock.standing(), standing, "{distance_ms}");
            assert_eq!(clock.signing_s(), signing_ms.div_euclid(1_000), "{distance_ms}");
            assert_eq!(clock.commit_ms().is_ok(), standing != ClockState::Impossible, "{distance_ms}");
        }
    }

    #[test]
    fn year_of_uptime_does_not_count_as_a_clock_jump() {
        let (manual, clock) = clock(NOW_MS, false);
        manual.advance(366 * 24 * 3_600_000);
        assert_eq!(clock.standing(), ClockState::Trusted);
        manual.set(NOW_MS + 800 * DAY_MS);
        assert_eq!(clock.standing(), ClockState::Impossible);
        manual.set(NOW_MS + 366 * DAY_MS);
        assert_eq!(clock.standing(), ClockState::Trusted, "it was set right again");
    }

    #[test]
    fn impossible_clock_signs_with_monotonic_time() {
        let (manual, clock) = clock(NOW_MS, false);
        manual.set(0);
        manual.advance(5_000);
        assert_eq!(clock.signing_s(), NOW_MS / 1_000 + 5);
        assert_eq!(clock.commit_ms(), Err(ClockError::Unset { now: Timestamp::from_ms(5_000) }));
    }

    #[test]
    fn signature_time_runs_at_half_speed_after_a_small_step_back() {
        let (manual, clock) = clock(NOW_MS, false);
        manual.set(NOW_MS - BACK_MS_MAX);
        let mut last_s = NOW_MS / 1_000;
        for polls in 1..=60 {
            manual.advance(25_000);
            let (signed_s, clock_s) = (clock.signing_s(), manual.now_ms() / 1_000);
            assert!(signed_s > last_s, "poll {polls}: {signed_s} is not after {last_s}");
            let ahead_s = if polls < 48 { (600 - polls * 25 / 2).max(0) } else { 0 };
            assert!((signed_s - clock_s - ahead_s).abs() <= 1, "poll {polls}: {} s ahead", signed_s - clock_s);
            last_s = signed_s;
        }
        assert!(!clock.is_set_back());
    }

    #[test]
    fn second_step_back_beyond_the_tolerance_of_replicas_is_signed_with_the_clock() {
        let (manual, clock) = clock(NOW_MS, false);
        manual.set(NOW_MS - BACK_MS_MAX);
        manual.advance(10_000);
        assert_eq!(clock.signing_s(), NOW_MS / 1_000 + 5);
        manual.set(NOW_MS - BACK_MS_MAX - 60_000);
        assert_eq!(clock.signing_s(), (NOW_MS - BACK_MS_MAX) / 1_000 - 60);
        assert!(clock.is_set_back(), "until a commit follows");
        clock.set_back_is_committed();
        manual.advance(25_000);
        assert!(!clock.is_set_back());
    }

    #[test]
    fn operator_can_confirm_the_clock_in_both_directions() {
        for distance_ms in [-NOW_MS, -DAY_MS, 0, 4_000 * DAY_MS] {
            let (_, clock) = clock(NOW_MS + distance_ms, true);
            assert_eq!((clock.standing(), clock.commit_ms()), (ClockState::Trusted, Ok(NOW_MS + distance_ms)));
            assert_eq!(clock.latest_ms(), Some(NOW_MS + distance_ms));
        }
    }

    #[test]
    fn refused_time_is_reported_with_the_latest_one() {
        let (_, clock) = clock(NOW_MS + 1_000 * DAY_MS, false);
        let said = clock.commit_ms().expect_err("too far").to_string();
        assert!(said.contains("1000 days after") && said.contains("2027-01-15T08:00:00Z"), "{said}");
    }
}

//! The current time for trust decisions, on a machine whose clock may be wrong.
//!
//! The clock is read elsewhere. The *floor of time* is the `issued` of the current checkpoint: it follows positions and
//! not clocks, so that a primary whose clock was in 2038 for one commit is trusted again after the next. The local
//! clock never raises it.
//!
//! Invariant: the time for decisions is never below the floor.

/// How far a clock can be below the floor before it is untrusted, in seconds.
pub const CLOCK_BEHIND_S_MAX: i64 = 600;
/// How far ahead of a trusted clock something can be issued, in seconds; at most the tolerance below the floor, so that
/// nothing that is accepted makes a right clock untrusted.
pub const CLOCK_AHEAD_S_MAX: i64 = CLOCK_BEHIND_S_MAX;

/// The time of one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedTime {
    /// The time for the decision, in unix seconds.
    pub now_s: i64,
    /// The wall clock, in unix seconds.
    pub wall_s: i64,
    /// False if the wall clock is far below verified times; then nothing is rejected as being from the future, and the
    /// operator is notified.
    pub clock_trusted: bool,
}

impl TrustedTime {
    /// Combines the wall clock with the floor of time; a floor of 0 means that nothing is verified yet.
    pub fn at(wall_s: i64, floor_s: i64) -> Self {
        Self { now_s: wall_s.max(floor_s), wall_s, clock_trusted: wall_s >= floor_s.saturating_sub(CLOCK_BEHIND_S_MAX) }
    }

    /// Whether an issue time is in the future, by the wall clock itself, so that the floor cannot be raised step by
    /// step.
    pub fn is_future(&self, issued_s: i64) -> bool {
        self.clock_trusted && issued_s > self.wall_s.saturating_add(CLOCK_AHEAD_S_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_far_below_the_floor_is_reported_and_ignored() {
        for (wall, floor, now, trusted) in [
            (1_000_000, 0, 1_000_000, true),
            (1_000_000, 1_000_600, 1_000_600, true),
            (1_000_000, 1_000_601, 1_000_601, false),
            (0, i64::MAX, i64::MAX, false),
            (-5, i64::MIN, -5, true),
        ] {
            let time = TrustedTime::at(wall, floor);
            assert_eq!((time.now_s, time.clock_trusted), (now, trusted), "{wall} {floor}");
        }
    }

    #[test]
    fn future_check_needs_a_trusted_clock() {
        for (wall, floor, issued, future) in [
            (10_000, 9_000, 10_600, false),
            (10_000, 9_000, 10_601, true),
            (10_000, 10_600, 10_601, true),
            (0, 9_000, 20_000, false),
        ] {
            assert_eq!(TrustedTime::at(wall, floor).is_future(issued), future, "{wall} {floor} {issued}");
        }
    }
}

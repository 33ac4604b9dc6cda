//! What time it is, as far as it matters for trust, on a machine whose clock may be wrong.
//!
//! The clock is read elsewhere. The *floor of time* is the `issued` of the checkpoint that is held: it follows positions
//! and not clocks, so that a primary whose clock was in 2038 for one commit is believed again after the next. It is
//! never raised from the local clock.
//!
//! Invariant: the time that decisions use never lies below the floor.

/// How far below the floor a clock may lie before it is called untrusted, in seconds.
pub const CLOCK_BEHIND_S_MAX: i64 = 600;
/// How far beyond a trusted clock something may claim to have been issued, in seconds; no more than a clock may lie
/// below the floor, so that nothing that is accepted makes a right clock untrusted.
pub const CLOCK_AHEAD_S_MAX: i64 = CLOCK_BEHIND_S_MAX;

/// The time of one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedTime {
    /// The time to decide by, in unix seconds.
    pub now_s: i64,
    /// What the clock says, in unix seconds.
    pub wall_s: i64,
    /// False when the wall clock lies far below what has been verified; then nothing is refused as being from the
    /// future, and an operator is told.
    pub clock_trusted: bool,
}

impl TrustedTime {
    /// Combines the wall clock with the floor of time; a floor of 0 says that nothing was verified yet.
    pub fn at(wall_s: i64, floor_s: i64) -> Self {
        Self { now_s: wall_s.max(floor_s), wall_s, clock_trusted: wall_s >= floor_s.saturating_sub(CLOCK_BEHIND_S_MAX) }
    }

    /// Whether something claims to have been issued later than can be true: by the clock itself, so that the floor
    /// cannot be raised step by step.
    pub fn is_future(&self, issued_s: i64) -> bool {
        self.clock_trusted && issued_s > self.wall_s.saturating_add(CLOCK_AHEAD_S_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_far_below_the_floor_is_reported_and_not_obeyed() {
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
    fn only_a_trusted_clock_says_that_something_is_from_the_future() {
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

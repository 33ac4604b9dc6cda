//! What time it is, as far as it matters for trust, on a machine whose clock may be wrong.
//!
//! The clock is read elsewhere. Kept from one decision to the next is only the *floor of time*: the highest `issued`
//! of anything verified. It is never raised from the local clock, which may have been in 2038 for one boot.
//!
//! Invariant: the time that decisions use never lies below the floor.

/// How far below the floor a clock may lie before it is called untrusted, in seconds.
pub const CLOCK_BEHIND_S_MAX: i64 = 300;
/// How far beyond a trusted clock something may claim to have been issued, in seconds.
pub const CLOCK_AHEAD_S_MAX: i64 = 600;

/// The time of one decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedTime {
    /// The time to decide by, in unix seconds.
    pub now_s: i64,
    /// False when the wall clock lies far below what has been verified; then nothing is refused as being from the
    /// future, and an operator is told.
    pub clock_trusted: bool,
    /// The floor that this was computed with, in unix seconds.
    pub floor_s: i64,
}

impl TrustedTime {
    /// Combines the wall clock with the floor of time; a floor of 0 says that nothing was verified yet.
    pub fn at(wall_s: i64, floor_s: i64) -> Self {
        Self {
            now_s: wall_s.max(floor_s),
            clock_trusted: wall_s >= floor_s.saturating_sub(CLOCK_BEHIND_S_MAX),
            floor_s,
        }
    }

    /// Whether something claims to have been issued later than can be true.
    pub fn is_future(&self, issued_s: i64) -> bool {
        self.clock_trusted && issued_s > self.now_s.saturating_add(CLOCK_AHEAD_S_MAX)
    }

    /// The floor after something issued at `issued_s` was verified. What comes from the future does not raise it; a
    /// root reset clears it, by letting the caller start again at 0.
    pub fn raised_floor(&self, issued_s: i64) -> i64 {
        if self.is_future(issued_s) { self.floor_s } else { self.floor_s.max(issued_s) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_far_below_the_floor_is_reported_and_not_obeyed() {
        for (wall, floor, now, trusted) in [
            (1_000_000, 0, 1_000_000, true),
            (1_000_000, 1_000_300, 1_000_300, true),
            (1_000_000, 1_000_301, 1_000_301, false),
            (0, i64::MAX, i64::MAX, false),
            (-5, i64::MIN, -5, true),
        ] {
            let time = TrustedTime::at(wall, floor);
            assert_eq!((time.now_s, time.clock_trusted), (now, trusted), "{wall} {floor}");
        }
    }

    #[test]
    fn the_floor_rises_with_what_was_issued_unless_it_is_from_the_future() {
        let trusted = TrustedTime::at(10_000, 9_000);
        let untrusted = TrustedTime::at(0, 9_000);
        for (time, issued, floor) in [
            (trusted, 8_000, 9_000),
            (trusted, 9_500, 9_500),
            (trusted, 10_600, 10_600),
            (trusted, 10_601, 9_000),
            (untrusted, 20_000, 20_000),
        ] {
            assert_eq!(time.raised_floor(issued), floor, "{time:?} {issued}");
        }
    }
}

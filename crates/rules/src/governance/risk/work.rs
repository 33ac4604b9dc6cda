//! The work budget of custom rules in one classification.
//!
//! A search takes time linear in the text, and in the worst case in the size of the compiled regex too, and each match
//! begins a new one that may read to the end. So every search is paid for before it begins, at its worst, from one
//! budget of all rules; what cannot be paid for is not searched, and the caller says so. No clock is asked: the same
//! content and rules find the same everywhere.

/// The whole budget, in bytes searched times KiB of compiled regex: some seconds at worst, of which usual searches take
/// a hundredth. A text of 10 KiB is searched 400 times by a regex of 32 KiB, one of 1 MiB 64 times by one of 2 KiB.
const UNITS_MAX: u64 = 128 * 1024 * 1024;
/// What beginning a search costs beside what it reads.
const SEARCH_UNITS: u64 = 64;

/// What is left of a budget.
#[derive(Debug)]
pub(super) struct Work(u64);

impl Work {
    /// The budget of one classification, or of the tests of one set.
    pub const fn whole() -> Self {
        Self(UNITS_MAX)
    }

    /// No limit: for rules that come with the program, whose cost is known.
    pub const fn endless() -> Self {
        Self(u64::MAX)
    }

    /// Pays for reading so many bytes at so many units each; false, and nothing is paid, when that is not left.
    pub fn pay(&mut self, bytes: usize, units: u64) -> bool {
        let cost = u64::try_from(bytes).unwrap_or(u64::MAX).saturating_mul(units).saturating_add(SEARCH_UNITS);
        let left = self.0.checked_sub(cost);
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_beyond_the_budget_is_refused() {
        let mut work = Work(1_000);
        assert!(work.pay(100, 9));
        assert!(!work.pay(usize::MAX, u64::MAX));
        assert!(!work.pay(1, 0));
        assert_eq!(work.0, 36);
        assert!(Work::whole().pay(1024 * 1024, 64) && !Work::whole().pay(1024 * 1024, 128));
    }
}

//! The work budget of custom rules in one classification.
//!
//! A search takes time linear in the text and, in the worst case, in the size of the compiled regex, and each match
//! starts a new one that may read to the end. So every search is paid for in advance, at its worst-case cost, from one
//! budget of all rules; a search that exceeds the budget is skipped and reported. No clock is involved: the same
//! content and rules give the same findings everywhere.

/// The whole budget, in bytes searched times KiB of compiled regex: a few seconds in the worst case, of which typical
/// searches use a hundredth. It allows 400 searches of 10 KiB with a regex of 32 KiB, or 64 searches of 1 MiB with one
/// of 2 KiB.
const UNITS_MAX: u64 = 128 * 1024 * 1024;
/// The fixed cost of a search.
const SEARCH_UNITS: u64 = 64;

/// The rest of a budget.
#[derive(Debug)]
pub(super) struct Work(u64);

impl Work {
    /// The budget of one classification, or of the tests of one set.
    pub const fn whole() -> Self {
        Self(UNITS_MAX)
    }

    /// No limit: for built-in rules, whose cost is known.
    pub const fn endless() -> Self {
        Self(u64::MAX)
    }

    /// Pays for reading this many bytes at this many units each; false, without paying, if the rest is not enough.
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

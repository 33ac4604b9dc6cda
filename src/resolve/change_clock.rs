//! Detects whether a prompt may have changed since a moment, without a lock or a list.
//!
//! Names share a fixed number of clocks. A writer advances the clocks of changed names after its commit is visible; a
//! reader notes the clock before it reads the database, and its result is valid while the clock stays the same. Two
//! names on one clock cause an unnecessary read, never a wrong answer.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::store::Touched;

/// Number of clocks: 128 KiB, and one unnecessary read in thousands.
const CLOCKS: u64 = 16_384;

/// Clocks that names share.
pub(super) struct ChangeClocks(Box<[AtomicU64]>);

/// The clock of one name, at a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading {
    clock: usize,
    stood: u64,
}

impl ChangeClocks {
    pub(super) fn new() -> Self {
        Self((0..CLOCKS).map(|_| AtomicU64::new(0)).collect())
    }

    /// Notes the clock of a name; to be called before reading the database.
    pub(super) fn read(&self, name: &str) -> Reading {
        let clock = Self::clock(name);
        Reading { clock, stood: self.0.get(clock).map_or(0, |clock| clock.load(Ordering::Acquire)) }
    }

    /// Whether nothing with this clock has changed since.
    pub(super) fn is_current(&self, reading: Reading) -> bool {
        self.0.get(reading.clock).is_some_and(|clock| clock.load(Ordering::Acquire) == reading.stood)
    }

    /// Advances the clocks of changed names.
    pub(super) fn advance(&self, touched: &Touched) {
        let advance = |clock: &AtomicU64| clock.fetch_add(1, Ordering::AcqRel);
        match touched {
            Touched::Names(names) => {
                for name in names.iter() {
                    self.0.get(Self::clock(name)).map(advance);
                }
            }
            Touched::Everything => self.0.iter().for_each(|clock| {
                advance(clock);
            }),
        }
    }

    fn clock(name: &str) -> usize {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        usize::try_from(hasher.finish() % CLOCKS).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn cached_answer_is_valid_until_its_prompt_changes() {
        let clocks = ChangeClocks::new();
        let (a, b) = (clocks.read("a"), clocks.read("b"));
        clocks.advance(&Touched::Names(Arc::new(BTreeSet::from(["a".to_owned()]))));
        assert!(!clocks.is_current(a));
        assert!(clocks.is_current(b), "`a` and `b` are on different clocks");
        clocks.advance(&Touched::Everything);
        assert!(!clocks.is_current(b));
    }
}

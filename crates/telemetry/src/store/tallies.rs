//! Tallies of calls in memory: which prompts and labels have one, and how they are read.

use std::collections::HashMap;

use redb::ReadableTable;

use super::codec::{decode_series, decode_spend};
use super::tables::{DAY_MS, ROLLUPS, SERIES, bucket};
use super::{Level, TelemetryError, TelemetryStore};
use crate::tally::{CallTallies, PromptLabel, SharedTallies};

/// How far back the calls are counted that decide who has a tally from the start, in milliseconds: a week.
const RANKED_MS: i64 = 7 * DAY_MS;

impl TelemetryStore {
    /// Tallies what is recorded from now on, for at most so many prompts and labels apart: those with the most calls of
    /// the last week, and new ones until there are as many. Call it once, before anything is recorded. Blocks.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn tally_calls(&self, each_max: usize, now_ms: i64) -> Result<(), TelemetryError> {
        let tallies = SharedTallies::new(each_max, self.calls_since(now_ms.saturating_sub(RANKED_MS))?);
        // A second time, the first tallies stay.
        let _set = self.shared.tallies.set(tallies);
        Ok(())
    }

    /// What was counted since [`Self::tally_calls`]; none before it.
    #[must_use]
    pub fn call_tallies(&self) -> Option<CallTallies> {
        self.shared.tallies.get().map(SharedTallies::read)
    }

    /// Calls by prompt and label, in days from a moment.
    fn calls_since(&self, from_ms: i64) -> Result<HashMap<PromptLabel, u64>, TelemetryError> {
        self.read(|txn| {
            let [.., days] = ROLLUPS;
            let days = txn.open_table(days)?;
            let first = bucket(from_ms, Level::Day as usize);
            let mut found: HashMap<PromptLabel, u64> = HashMap::new();
            for entry in txn.open_table(SERIES)?.iter()? {
                let (number, series) = decode_series(entry?.1.value())?;
                let Some(of) = PromptLabel::of(series) else { continue };
                for entry in days.range((number, first)..=(number, u32::MAX))? {
                    let calls = decode_spend(entry?.1.value())?.calls;
                    if calls > 0 {
                        let sum = found.entry(of.clone()).or_default();
                        *sum = sum.saturating_add(calls);
                    }
                }
            }
            Ok(found)
        })
    }
}

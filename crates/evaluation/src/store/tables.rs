//! The tables of `evaluations.redb` and their keys.

use redb::{TableDefinition, WriteTransaction};

use crate::model::evaluation::{CaseVerdict, Side};

/// The bit of a mark that says that the result is of the baseline.
const BASELINE: u8 = 4;

/// Runs as JSON, by number.
pub(super) const RUNS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("runs");
/// The runs of each prompt, by its name and their number.
pub(super) const RUNS_OF: TableDefinition<'_, (&str, u64), ()> = TableDefinition::new("runs_of_prompts");
/// What is needed to continue the runs that did not end, compressed, by number.
pub(super) const PLANS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("plans");
/// Results as compressed JSON after their mark ([`mark`]), by run and place in its plan.
pub(super) const RESULTS: TableDefinition<'_, (u64, u32), (u8, &[u8])> = TableDefinition::new("results");
/// Answers of models as compressed JSON, with when they came in milliseconds, by the hash of the request.
pub(super) const ANSWERS: TableDefinition<'_, &[u8; 32], (i64, &[u8])> = TableDefinition::new("answers");
/// What each person has spent on each day, in pico-dollars, by the number of the day since 1970.
pub(super) const SPENT: TableDefinition<'_, (u32, &str), u128> = TableDefinition::new("spent");

/// What a result is selected by, without reading it.
pub(super) const fn mark(verdict: CaseVerdict, side: Side) -> u8 {
    let verdict = match verdict {
        CaseVerdict::Passed => 0,
        CaseVerdict::Failed => 1,
        CaseVerdict::Error => 2,
    };
    match side {
        Side::Candidate => verdict,
        Side::Baseline => verdict | BASELINE,
    }
}

/// Creates those that do not exist.
pub(super) fn create(write: &WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(RUNS)?;
    write.open_table(RUNS_OF)?;
    write.open_table(PLANS)?;
    write.open_table(RESULTS)?;
    write.open_table(ANSWERS)?;
    write.open_table(SPENT)?;
    Ok(())
}

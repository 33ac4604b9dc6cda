//! Computes the totals of a report, row by row.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{ReportRow, ReportScope, Totals};
use crate::model::audit::{AuditChange, Command, Decision};

/// The totals so far.
#[derive(Debug, Default)]
pub struct Tally {
    totals: Totals,
    prompts: Distinct,
    actors: Distinct,
}

/// Counts distinct texts by a 64-bit hash of each: a collision among a million happens once in thirty million reports.
#[derive(Debug, Default)]
struct Distinct(HashSet<u64>);

impl Distinct {
    fn add(&mut self, text: &str) {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        self.0.insert(hasher.finish());
    }
}

impl Tally {
    /// Adds a row.
    pub fn add(&mut self, row: &ReportRow, question: &ReportScope) {
        let (entry, totals) = (&row.entry, &mut self.totals);
        self.actors.add(&entry.actor);
        totals.unrecorded += entry.unrecorded;
        totals.overrode += u64::from(!entry.overrode.is_empty());
        if entry.decision == Decision::Denied {
            totals.denied += 1;
            return;
        }
        totals.granted += 1;
        totals.approved += u64::from(!entry.approved_by.is_empty());
        totals.rollbacks += u64::from(entry.command == Command::Rollback);
        totals.moves += row.moves.iter().filter(|moved| moved.done).count() as u64;
        if matches!(entry.command, Command::Publish | Command::Import) {
            // A version that existed before is only deployed again.
            let published = row.versions.iter().filter(|version| version.commit == entry.seq);
            let (all, major) =
                published.fold((0, 0), |(n, m), version| (n + 1, m + u64::from(version.is_substantial())));
            totals.versions += all;
            totals.substantial += major;
        }
        for subject in entry.changes.iter().map(AuditChange::subject) {
            if let Some(name) = subject.prompt().filter(|name| question.prompts.matches(name)) {
                self.prompts.add(name);
            }
        }
    }

    /// The totals, after all rows were added.
    pub fn totals(self) -> Totals {
        Totals { prompts: self.prompts.0.len() as u64, actors: self.actors.0.len() as u64, ..self.totals }
    }
}

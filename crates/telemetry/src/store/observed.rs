//! Observed prompts on disk: what was counted of each, and apart from it the text, which changes seldom.
//!
//! The groups are read into memory with the first text that belongs to no version, and forgotten whenever a transaction
//! fails or something else changed the tables.

use redb::{Database, ReadableTable, WriteTransaction};

use super::codec::{pack, unpack};
use super::tables::{OBSERVED, OBSERVED_TEXTS};
use super::{TelemetryError, TelemetryStore};
use crate::event::Response;
use crate::observed::{Adopted, Groups, OTHER, ObservedCounts, ObservedPrompt};
use crate::text_pattern::TextPattern;

/// The groups, as far as they are in memory.
pub(super) type Observed = Option<Groups>;

/// Counts a call that belongs to no version for the group of its text, if it has one.
pub(super) fn count(
    observed: &mut Observed,
    txn: &WriteTransaction,
    response: &mut Response,
) -> Result<(), TelemetryError> {
    let Some(text) = response.system_text.take() else { return Ok(()) };
    let groups = match observed {
        Some(groups) => groups,
        None => observed.insert(read(txn)?),
    };
    response.observed = Some(groups.add(&text, response));
    Ok(())
}

/// Writes what changed.
pub(super) fn write(observed: &mut Observed, txn: &WriteTransaction) -> Result<(), TelemetryError> {
    let Some(groups) = observed else { return Ok(()) };
    let changes = groups.take_changes();
    if changes.counts.is_empty() {
        return Ok(());
    }
    let (mut counts, mut texts) = (txn.open_table(OBSERVED)?, txn.open_table(OBSERVED_TEXTS)?);
    for id in changes.counts {
        if let Some(counted) = groups.counts(id) {
            counts.insert(id, pack(counted)?.as_slice())?;
        }
    }
    for id in changes.texts {
        if let Some(text) = groups.pattern(id) {
            texts.insert(id, pack(&text)?.as_slice())?;
        }
    }
    Ok(())
}

fn read(txn: &WriteTransaction) -> Result<Groups, TelemetryError> {
    let mut groups = Groups::default();
    let texts = txn.open_table(OBSERVED_TEXTS)?;
    for entry in txn.open_table(OBSERVED)?.iter()? {
        let (id, counts) = entry?;
        let (pattern, first_weight) = text_of(texts.get(id.value())?.map(|text| text.value().to_vec()))?;
        groups.restore(ObservedPrompt { id: id.value(), pattern, counts: unpack(counts.value())? }, first_weight);
    }
    Ok(groups)
}

/// A text as it was written; [`OTHER`] has none.
fn text_of(packed: Option<Vec<u8>>) -> Result<(TextPattern, usize), TelemetryError> {
    packed.map_or_else(|| Ok((TextPattern::exact(String::new()), 0)), |packed| unpack(&packed))
}

/// Notes that a group became a version; whether there is such a group.
pub(super) fn adopt(database: &Database, id: u64, adopted: &Adopted) -> Result<bool, TelemetryError> {
    let txn = database.begin_write()?;
    {
        let mut table = txn.open_table(OBSERVED)?;
        let Some(packed) = table.get(id)?.filter(|_| id != OTHER).map(|packed| packed.value().to_vec()) else {
            return Ok(false);
        };
        let mut counts: ObservedCounts = unpack(&packed)?;
        counts.adopted = Some(adopted.clone());
        table.insert(id, pack(&counts)?.as_slice())?;
    }
    txn.commit()?;
    Ok(true)
}

/// Forgets groups without a call since a moment.
pub(super) fn expire(txn: &WriteTransaction, oldest_ms: i64) -> Result<(), TelemetryError> {
    let mut table = txn.open_table(OBSERVED)?;
    let mut gone = Vec::new();
    for entry in table.iter()? {
        let (id, packed) = entry?;
        if unpack::<ObservedCounts>(packed.value())?.last_ms < oldest_ms {
            gone.push(id.value());
        }
    }
    let mut texts = txn.open_table(OBSERVED_TEXTS)?;
    for id in gone {
        table.remove(id)?;
        texts.remove(id)?;
    }
    Ok(())
}

/// Notes that the content of a call was erased. A group all of whose calls were erased goes with its text: what is left
/// of others was sent by others too.
pub(super) fn erase(txn: &WriteTransaction, id: u64) -> Result<(), TelemetryError> {
    let mut table = txn.open_table(OBSERVED)?;
    let Some(packed) = table.get(id)?.map(|packed| packed.value().to_vec()) else { return Ok(()) };
    let mut counts: ObservedCounts = unpack(&packed)?;
    counts.erased = counts.erased.saturating_add(1);
    if id != OTHER && counts.erased >= counts.calls {
        table.remove(id)?;
        txn.open_table(OBSERVED_TEXTS)?.remove(id)?;
    } else {
        table.insert(id, pack(&counts)?.as_slice())?;
    }
    Ok(())
}

impl TelemetryStore {
    /// The observed prompts, those with the most calls first; and what exceeded the limits.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn observed(&self) -> Result<(Vec<ObservedPrompt>, ObservedCounts), TelemetryError> {
        self.read(|txn| {
            let texts = txn.open_table(OBSERVED_TEXTS)?;
            let (mut found, mut other) = (Vec::new(), ObservedCounts::default());
            for entry in txn.open_table(OBSERVED)?.iter()? {
                let (id, packed) = entry?;
                let (id, counts) = (id.value(), unpack(packed.value())?);
                if id == OTHER {
                    other = counts;
                    continue;
                }
                let (pattern, _) = text_of(texts.get(id)?.map(|text| text.value().to_vec()))?;
                found.push(ObservedPrompt { id, pattern, counts });
            }
            found.sort_by_key(|one: &ObservedPrompt| (u64::MAX - one.counts.calls, one.id));
            Ok((found, other))
        })
    }

    /// One observed prompt.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn observed_prompt(&self, id: u64) -> Result<Option<ObservedPrompt>, TelemetryError> {
        self.read(|txn| {
            let table = txn.open_table(OBSERVED)?;
            let Some(packed) = table.get(id)?.filter(|_| id != OTHER) else { return Ok(None) };
            let texts = txn.open_table(OBSERVED_TEXTS)?;
            let (pattern, _) = text_of(texts.get(id)?.map(|text| text.value().to_vec()))?;
            Ok(Some(ObservedPrompt { id, pattern, counts: unpack(packed.value())? }))
        })
    }
}

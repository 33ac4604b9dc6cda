//! What is kept for how long. Removing goes in many small transactions, and reports are recorded between them.

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::TelemetryError;
use super::codec::decode_series;
use super::observed;
use super::tables::{
    BLOCK_ENDS, BLOCKS, BODIES, CURSORS, DAY_MS, ERASED, INDEX, INDEX_KEY_BYTES, Kind, META, Place, ROLLUPS, SERIES,
    SERIES_TOTALS, SPEND, WAITING, bucket, day, index_bytes, index_key, place_of,
};

/// Most blocks that are removed in one transaction.
const BLOCKS_PER_STEP: usize = 200;
/// Most bytes of blocks, inputs and outputs that are removed in one transaction, apart from the last block.
const BYTES_PER_STEP: u64 = 16 * 1024 * 1024;
/// Most inputs and outputs that are removed in one transaction.
const BODIES_PER_STEP: usize = 1_000;
/// Most entries of the index that are looked at in one transaction.
const INDEX_PER_STEP: usize = 20_000;
/// Most series whose counts are looked at in one transaction.
const SERIES_PER_STEP: u32 = 5_000;
/// Most buckets of totals whose calls and cost are removed in one transaction.
const SPEND_PER_STEP: usize = 20_000;
/// Most spools whose last batch is remembered, so that it is not counted again.
const CURSORS_MAX: usize = 200_000;
/// How long a score waits for its response, in days.
const WAITING_DAYS: u16 = 2;
/// How long what was erased is remembered, in days: what arrives later is older than anything that is kept.
const ERASED_DAYS: u16 = 400;

/// How long telemetry is kept, in days, and how much of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Single events.
    pub events_days: u16,
    /// Recorded inputs and outputs.
    pub bodies_days: u16,
    /// Counts by minute.
    pub minutes_days: u16,
    /// Counts by hour.
    pub hours_days: u16,
    /// Counts by day.
    pub days_days: u16,
    /// Single events, inputs and outputs together, in bytes; beyond it the oldest go first, until an eighth is free.
    pub events_bytes: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            events_days: 30,
            bodies_days: 14,
            minutes_days: 2,
            hours_days: 90,
            days_days: 5 * 365,
            events_bytes: 8 * 1024 * 1024 * 1024,
        }
    }
}

impl Retention {
    /// The first moment whose events are kept at a time: days are kept as a whole.
    #[must_use]
    pub fn oldest_event_ms(&self, now_ms: i64) -> i64 {
        days_before(now_ms, self.events_days).div_euclid(DAY_MS).saturating_mul(DAY_MS)
    }
}

/// What was removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    /// Blocks of events.
    pub blocks: u64,
    /// Inputs and outputs.
    pub bodies: u64,
    /// Rollups.
    pub rollups: u64,
}

/// What is removed in the next transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Blocks that are too old, or too many; with the bytes of the index that lead to those which are gone already.
    Blocks { was_over: bool, unpruned: u64 },
    /// Entries of the index that lead to blocks which are gone, from a key on.
    Prune { from: [u8; INDEX_KEY_BYTES] },
    /// Entries of the index that are too old.
    Index,
    /// Inputs and outputs that are too old.
    Bodies,
    /// Scores whose response never came, and what is remembered of spools and of what was erased.
    Small,
    /// Counts of a level, of the series from a number on.
    Rollups { level: usize, from: u32 },
    /// Calls and cost of totals of a level.
    Spend { level: usize },
    /// Series without counts, from a key on.
    Series { from: Vec<u8> },
}

/// One run of expiry.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expiry {
    pub(super) retention: Retention,
    pub(super) now_ms: i64,
    /// Whether only what exceeds the bytes that single events may take is removed.
    pub(super) only_over: bool,
}

impl Expiry {
    fn before(&self, days: u16) -> i64 {
        days_before(self.now_ms, days)
    }

    /// Does one step in one transaction; the next one, if there is any.
    pub(super) fn step(&self, database: &Database, step: Step) -> Result<(Expired, Option<Step>), TelemetryError> {
        match step {
            Step::Blocks { was_over, unpruned } => self.blocks(database, was_over, unpruned),
            Step::Prune { from } => {
                let next = prune(database, &from)?;
                Ok((Expired::default(), next.or_else(|| (!self.only_over).then_some(Step::Index))))
            }
            Step::Index => Ok((Expired::default(), Some(self.index(database)?))),
            Step::Bodies => self.bodies(database),
            Step::Small => {
                self.small(database)?;
                Ok((Expired::default(), Some(Step::Rollups { level: 0, from: 0 })))
            }
            Step::Rollups { level, from } => self.rollups(database, level, from),
            Step::Spend { level } => Ok((Expired::default(), Some(self.spend(database, level)?))),
            Step::Series { from } => Ok((Expired::default(), series(database, &from)?)),
        }
    }

    fn blocks(
        &self,
        database: &Database,
        was_over: bool,
        unpruned: u64,
    ) -> Result<(Expired, Option<Step>), TelemetryError> {
        let mut used = Used::of(database, unpruned)?;
        // Finding what leads to removed blocks reads the whole index, so that is not done for each block above the limit.
        let (most, enough) = (self.retention.events_bytes, self.retention.events_bytes / 8 * 7);
        let (mut unpruned, mut in_step, mut is_more) = (unpruned, 0, true);
        let oldest_ms = self.before(self.retention.events_days);
        let mut expired = Expired::default();
        let (mut removed, mut over) = (0, was_over);
        let txn = database.begin_write()?;
        {
            let mut meta = txn.open_table(META)?;
            let mut bytes = meta.get("bytes")?.map_or(0, |value| value.value());
            let mut blocks = txn.open_table(BLOCKS)?;
            let mut ends = txn.open_table(BLOCK_ENDS)?;
            let mut bodies = txn.open_table(BODIES)?;
            while removed < BLOCKS_PER_STEP && in_step < BYTES_PER_STEP {
                let first = ends.first()?.map(|(block, end)| (block.value(), end.value()));
                let is_over = used.bytes > if over { enough } else { most };
                let is_old = |end| end < oldest_ms && !self.only_over;
                let Some((block, _)) = first.filter(|(_, end)| is_old(*end) || is_over) else {
                    is_more = false;
                    break;
                };
                over |= is_over;
                ends.remove(block)?;
                let mut freed = blocks.remove(block)?.map_or(0, |bytes| bytes.value().len());
                for entry in bodies.extract_from_if((block, 0)..=(block, u8::MAX), |_, _| true)? {
                    freed += entry?.1.value().len();
                    expired.bodies = expired.bodies.saturating_add(1);
                }
                let freed = u64::try_from(freed).unwrap_or(u64::MAX);
                bytes = bytes.saturating_sub(freed);
                in_step = in_step.saturating_add(freed);
                unpruned = unpruned.saturating_add(used.index_of_block);
                used.bytes = used.bytes.saturating_sub(freed.saturating_add(used.index_of_block));
                removed += 1;
            }
            meta.insert("bytes", bytes)?;
        }
        if removed > 0 {
            txn.commit()?;
        }
        expired.blocks = u64::try_from(removed).unwrap_or(u64::MAX);
        let next = match (is_more, over) {
            (true, _) => Some(Step::Blocks { was_over: over, unpruned }),
            (false, true) => Some(Step::Prune { from: [0; INDEX_KEY_BYTES] }),
            (false, false) => (!self.only_over).then_some(Step::Index),
        };
        Ok((expired, next))
    }

    fn index(&self, database: &Database) -> Result<Step, TelemetryError> {
        let oldest = index_key(day(self.before(self.retention.events_days)), Kind::Span, &[0; 16], Place::FIRST);
        if database.begin_read()?.open_table(INDEX)?.first()?.is_none_or(|(first, _)| *first.value() >= oldest) {
            return Ok(Step::Bodies);
        }
        let txn = database.begin_write()?;
        {
            let mut index = txn.open_table(INDEX)?;
            let old = index.extract_from_if::<&[u8; INDEX_KEY_BYTES], _>(..&oldest, |_, _| true)?;
            for entry in old.take(INDEX_PER_STEP) {
                entry?;
            }
        }
        txn.commit()?;
        Ok(Step::Index)
    }

    fn bodies(&self, database: &Database) -> Result<(Expired, Option<Step>), TelemetryError> {
        let oldest_ms = self.before(self.retention.bodies_days);
        let txn = database.begin_read()?;
        let first = txn.open_table(BODIES)?.first()?.map(|(key, _)| key.value().0);
        let mut last = None;
        for entry in txn.open_table(BLOCK_ENDS)?.range(first.unwrap_or(u64::MAX)..)? {
            let (block, end) = entry?;
            if end.value() >= oldest_ms {
                break;
            }
            last = Some(block.value());
        }
        drop(txn);
        let Some(last) = last else { return Ok((Expired::default(), Some(Step::Small))) };
        let (mut removed, mut freed) = (0_usize, 0_usize);
        let txn = database.begin_write()?;
        {
            let mut bodies = txn.open_table(BODIES)?;
            for entry in bodies.extract_from_if((0, 0)..=(last, u8::MAX), |_, _| true)?.take(BODIES_PER_STEP) {
                freed = freed.saturating_add(entry?.1.value().len());
                removed += 1;
            }
            less_bytes(&txn, freed)?;
        }
        txn.commit()?;
        let expired = Expired { bodies: u64::try_from(removed).unwrap_or(u64::MAX), ..Expired::default() };
        let next = if removed == BODIES_PER_STEP { Step::Bodies } else { Step::Small };
        Ok((expired, Some(next)))
    }

    fn small(&self, database: &Database) -> Result<(), TelemetryError> {
        let txn = database.begin_write()?;
        {
            let oldest = day(self.before(WAITING_DAYS));
            let mut scores = txn.open_table(WAITING)?;
            let before = scores.len()?;
            scores.retain(|_, score| {
                super::codec::decode::<crate::event::Score>(score).is_ok_and(|score| day(score.at_ms) >= oldest)
            })?;
            let left = scores.len()?;
            let mut meta = txn.open_table(META)?;
            let orphans = meta.get("orphan_scores")?.map_or(0, |value| value.value());
            meta.insert("orphan_scores", orphans.saturating_add(before.saturating_sub(left)))?;
            meta.insert("waiting", left)?;
            // A batch counts again if nothing is known of its spool: that is remembered for as long as its counts are.
            let mut cursors = txn.open_table(CURSORS)?;
            let mut oldest_ms = self.before(self.retention.days_days);
            if cursors.len()? > CURSORS_MAX as u64 {
                let mut moments = Vec::new();
                for entry in cursors.iter()? {
                    moments.push(entry?.1.value().2);
                }
                moments.sort_unstable_by_key(|at| std::cmp::Reverse(*at));
                oldest_ms = oldest_ms.max(moments.get(CURSORS_MAX).map_or(oldest_ms, |at| at.saturating_add(1)));
            }
            cursors.retain(|_, (_, _, at)| at >= oldest_ms)?;
            let oldest_ms = self.before(ERASED_DAYS);
            txn.open_table(ERASED)?.retain(|_, at| at >= oldest_ms)?;
            observed::expire(&txn, self.before(self.retention.bodies_days))?;
        }
        txn.commit()?;
        Ok(())
    }

    /// The first bucket of a level that is kept.
    fn oldest_bucket(&self, level: usize) -> Option<u32> {
        let Retention { minutes_days, hours_days, days_days, .. } = self.retention;
        [minutes_days, hours_days, days_days].get(level).map(|days| bucket(self.before(*days), level))
    }

    fn spend(&self, database: &Database, level: usize) -> Result<Step, TelemetryError> {
        let next = Step::Rollups { level: level.saturating_add(1), from: 0 };
        let (Some(spend), Some(oldest)) = (SPEND.get(level).copied(), self.oldest_bucket(level)) else {
            return Ok(next);
        };
        if database.begin_read()?.open_table(spend)?.first()?.is_none_or(|(first, _)| first.value().0 >= oldest) {
            return Ok(next);
        }
        let txn = database.begin_write()?;
        {
            let mut table = txn.open_table(spend)?;
            for entry in table.extract_from_if(..(oldest, 0), |_, _| true)?.take(SPEND_PER_STEP) {
                entry?;
            }
        }
        txn.commit()?;
        Ok(Step::Spend { level })
    }

    fn rollups(&self, database: &Database, level: usize, from: u32) -> Result<(Expired, Option<Step>), TelemetryError> {
        let (Some(rollups), Some(oldest)) = (ROLLUPS.get(level).copied(), self.oldest_bucket(level)) else {
            return Ok((Expired::default(), Some(Step::Series { from: Vec::new() })));
        };
        let end = from.saturating_add(SERIES_PER_STEP);
        let txn = database.begin_read()?;
        let series = txn.open_table(META)?.get("series")?.map_or(0, |value| value.value());
        let table = txn.open_table(rollups)?;
        let mut old = Vec::new();
        for number in from..end {
            if table.range((number, 0)..(number, oldest))?.next().is_some() {
                old.push(number);
            }
        }
        drop((table, txn));
        let mut expired = Expired::default();
        if !old.is_empty() {
            let txn = database.begin_write()?;
            {
                let mut table = txn.open_table(rollups)?;
                for number in old {
                    for entry in table.extract_from_if((number, 0)..(number, oldest), |_, _| true)? {
                        entry?;
                        expired.rollups = expired.rollups.saturating_add(1);
                    }
                }
            }
            txn.commit()?;
        }
        let next = if u64::from(end) > series { Step::Spend { level } } else { Step::Rollups { level, from: end } };
        Ok((expired, Some(next)))
    }
}

/// The moment so many days before another one.
fn days_before(now_ms: i64, days: u16) -> i64 {
    now_ms.saturating_sub(i64::from(days).saturating_mul(DAY_MS))
}

/// How much single events take of the file.
struct Used {
    /// Bytes of blocks, bodies and their index.
    bytes: u64,
    /// Bytes of the index of one block, on average.
    index_of_block: u64,
}

impl Used {
    /// Without so many bytes of the index that lead to blocks which are gone.
    fn of(database: &Database, unpruned: u64) -> Result<Self, TelemetryError> {
        let txn = database.begin_read()?;
        let events = txn.open_table(META)?.get("bytes")?.map_or(0, |value| value.value());
        let index = index_bytes(txn.open_table(INDEX)?.len()?).saturating_sub(unpruned);
        let blocks = txn.open_table(BLOCK_ENDS)?.len()?;
        let index_of_block = index.checked_div(blocks).unwrap_or(0);
        Ok(Self { bytes: events.saturating_add(index), index_of_block })
    }
}

/// Removes series that have no counts, so that others have room, among those from a key on.
fn series(database: &Database, from: &[u8]) -> Result<Option<Step>, TelemetryError> {
    let txn = database.begin_read()?;
    let mut empty = Vec::new();
    let mut next = None;
    let rollups = ROLLUPS.iter().map(|table| txn.open_table(*table)).collect::<Result<Vec<_>, _>>()?;
    for (looked, entry) in txn.open_table(SERIES)?.range(from..)?.enumerate() {
        let (key, value) = entry?;
        if looked >= SERIES_PER_STEP as usize {
            next = Some(Step::Series { from: key.value().to_vec() });
            break;
        }
        let (number, _) = decode_series(value.value())?;
        let mut has_counts = false;
        for table in &rollups {
            has_counts = has_counts || table.range((number, 0)..=(number, u32::MAX))?.next().is_some();
        }
        if !has_counts {
            empty.push((key.value().to_vec(), number));
        }
    }
    drop((rollups, txn));
    if !empty.is_empty() {
        let txn = database.begin_write()?;
        {
            let (mut series, mut totals) = (txn.open_table(SERIES)?, txn.open_table(SERIES_TOTALS)?);
            for (key, number) in empty {
                series.remove(key.as_slice())?;
                totals.remove(number)?;
            }
        }
        txn.commit()?;
    }
    Ok(next)
}

/// Counts bytes of events that are gone.
pub(super) fn less_bytes(txn: &redb::WriteTransaction, freed: usize) -> Result<(), TelemetryError> {
    let mut meta = txn.open_table(META)?;
    let bytes = meta.get("bytes")?.map_or(0, |value| value.value());
    meta.insert("bytes", bytes.saturating_sub(u64::try_from(freed).unwrap_or(u64::MAX)))?;
    Ok(())
}

/// Removes entries of the index that lead to blocks which are gone, among those from a key on.
fn prune(database: &Database, from: &[u8; INDEX_KEY_BYTES]) -> Result<Option<Step>, TelemetryError> {
    let txn = database.begin_read()?;
    let first_block = txn.open_table(BLOCK_ENDS)?.first()?.map_or(u64::MAX, |(block, _)| block.value());
    let index = txn.open_table(INDEX)?;
    let (mut to, mut is_old) = (None, false);
    for (number, entry) in index.range::<&[u8; INDEX_KEY_BYTES]>(from..)?.enumerate() {
        let key = *entry?.0.value();
        if number >= INDEX_PER_STEP {
            to = Some(key);
            break;
        }
        is_old |= place_of(&key).block < first_block;
    }
    drop((index, txn));
    if is_old {
        let txn = database.begin_write()?;
        let leads_somewhere = |key: &[u8; INDEX_KEY_BYTES], _| place_of(key).block >= first_block;
        match &to {
            Some(to) => txn.open_table(INDEX)?.retain_in::<&[u8; INDEX_KEY_BYTES], _>(from..to, leads_somewhere)?,
            None => txn.open_table(INDEX)?.retain_in::<&[u8; INDEX_KEY_BYTES], _>(from.., leads_somewhere)?,
        }
        txn.commit()?;
    }
    Ok(to.map(|from| Step::Prune { from }))
}

//! The tables of `telemetry.redb` and their keys.
//!
//! Everything that is looked up by a hash begins with the day of the event, so that a day's entries lie together: new
//! ones touch few pages, and old ones go away as a range.

use std::ops::RangeInclusive;

use redb::{ReadableTable, TableDefinition};

use crate::event::SpanContext;
use crate::rollup::{Series, SeriesOf, Total};

/// Numbers about the file, by name: `schema`, `block`, `bytes`, `series`, `waiting`, `spool`, `spool_bytes`, `node_high`,
/// `node_low`, and the cursors of exports.
pub(super) use bookholder_database::META;
/// Blocks of events, compressed, by number.
pub(super) const BLOCKS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("blocks");
/// Last time in each block, in milliseconds, by number.
pub(super) const BLOCK_ENDS: TableDefinition<'_, u64, i64> = TableDefinition::new("block_ends");
/// Recorded inputs and outputs, compressed, by block and place in it.
pub(super) const BODIES: TableDefinition<'_, (u64, u8), &[u8]> = TableDefinition::new("bodies");
/// Where events are, by [`index_key`], with the number of their series (0 for a score).
pub(super) const INDEX: TableDefinition<'_, &[u8; INDEX_KEY_BYTES], u32> = TableDefinition::new("index");
/// Series with their numbers, by [`series_key`].
pub(super) const SERIES: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("series");
/// Totals with their numbers, by what the keys of their series begin with. A total is counted like a series, and has a
/// number of the same sequence.
pub(super) const TOTALS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("totals");
/// The number of the total that a series is part of, by the number of the series.
pub(super) const SERIES_TOTALS: TableDefinition<'_, u32, u32> = TableDefinition::new("series_totals");
/// The number of the total of everything.
pub(super) const TOTAL_OF_ALL: u32 = 0;
/// Rollups of minutes, hours and days, by series (or total) and number of the bucket.
pub(super) const ROLLUPS: [TableDefinition<'_, (u32, u32), &[u8]>; 3] =
    [TableDefinition::new("rollups_minute"), TableDefinition::new("rollups_hour"), TableDefinition::new("rollups_day")];
/// Calls and cost of totals in the same buckets, by number of the bucket and total: what all of them spent in a stretch
/// of time lies together.
pub(super) const SPEND: [TableDefinition<'_, (u32, u32), &[u8]>; 3] =
    [TableDefinition::new("spend_minute"), TableDefinition::new("spend_hour"), TableDefinition::new("spend_day")];
/// Scores that wait for their response, by hash of the response and number.
pub(super) const WAITING: TableDefinition<'_, (&[u8; 16], u64), &[u8]> = TableDefinition::new("waiting_scores");
/// Calls that wait for the spans around them, by hash of their span.
pub(super) const PARKED: TableDefinition<'_, &[u8; 16], &[u8]> = TableDefinition::new("parked");
/// What was counted of observed prompts, by their number.
pub(super) const OBSERVED: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("observed");
/// The texts of observed prompts, by their number.
pub(super) const OBSERVED_TEXTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("observed_texts");
/// Batches that the primary does not have yet, with when they were recorded, by number.
pub(super) const SPOOL: TableDefinition<'_, u64, (i64, &[u8])> = TableDefinition::new("spool");
/// Epochs of the spool, by the number of their first batch.
pub(super) const SPOOL_EPOCHS: TableDefinition<'_, u64, u64> = TableDefinition::new("spool_epochs");
/// Up to when everything is here that a replica recorded, and when that was last heard, by the name of the replica.
pub(super) const REPLICAS: TableDefinition<'_, &str, (i64, i64)> = TableDefinition::new("replicas");
/// The keys that sign the telemetry files of replicas, by node of the spool.
pub(super) const FILE_KEYS: TableDefinition<'_, &[u8; 16], &[u8; 32]> = TableDefinition::new("file_keys");
/// The last batch of each replica's spool that was merged, by node and epoch of the spool: its number, its hash, and when.
pub(super) const CURSORS: TableDefinition<'_, SpoolKey, Cursor> = TableDefinition::new("cursors");

/// What was erased, and when, by kind and hash of the ID.
pub(super) const ERASED: TableDefinition<'_, (u8, &[u8; 16]), i64> = TableDefinition::new("erased");

/// Node and epoch of a spool.
type SpoolKey = (&'static [u8; 16], u64);
/// Number and hash of the last batch, and when it was merged.
type Cursor = (u64, &'static [u8; 32], i64);

/// Bytes of a hash that a key of [`INDEX`] keeps: the index is most of the file, and 80 bits are enough to tell a
/// thousand million events of a day apart.
const INDEX_HASH_BYTES: usize = 10;
/// Bytes of the number of a block in a key of [`INDEX`].
const INDEX_BLOCK_BYTES: usize = 5;
/// Bytes of a key of [`INDEX`]: day, kind, hash, block, and place in the block.
pub(super) const INDEX_KEY_BYTES: usize = 2 + 1 + INDEX_HASH_BYTES + INDEX_BLOCK_BYTES + 1;
/// Milliseconds of a bucket of each level.
pub const LEVEL_MS: [i64; 3] = [60_000, 3_600_000, DAY_MS];
/// Milliseconds of a day.
pub(super) const DAY_MS: i64 = 86_400_000;

/// What an entry of the index leads to events by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Trace and span of a response; unique.
    Span = 1,
    /// Id of a response.
    Response = 2,
    /// Trace of a response.
    Trace = 3,
    /// Conversation of a response.
    Session = 4,
    /// User of a response.
    User = 5,
    /// What makes a score or a report without an id recognizable when it comes again; unique.
    Repeat = 6,
    /// What a score is about, as the hash of its target.
    Target = 7,
}

/// Where a rollup is stored; the order is that in which rollups are written, one level after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RollupKey {
    /// The level, as an index of [`ROLLUPS`].
    pub(super) level: usize,
    /// The number of the series.
    pub(super) series: u32,
    /// The number of the bucket.
    pub(super) bucket: u32,
}

/// A place of an event: block, and index in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) block: u64,
    pub(super) index: u8,
}

impl Place {
    /// The first of all places.
    pub(super) const FIRST: Self = Self { block: 0, index: 0 };
    /// The last one that a key can hold.
    pub(super) const LAST: Self = Self { block: (1 << (8 * INDEX_BLOCK_BYTES)) - 1, index: u8::MAX };
}

/// The day of a moment, from 1970; the first or the last one that can be written where it lies beyond.
pub(super) fn day(ms: i64) -> u16 {
    u16::try_from(ms.div_euclid(DAY_MS).max(0)).unwrap_or(u16::MAX)
}

/// The bucket of a moment on a level.
pub(super) fn bucket(ms: i64, level: usize) -> u32 {
    let length = LEVEL_MS.get(level).copied().unwrap_or(DAY_MS);
    u32::try_from(ms.div_euclid(length).max(0)).unwrap_or(u32::MAX)
}

/// A hash of what is looked up: 16 bytes, so that no two things meet by chance or on purpose.
pub(super) fn hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_le_bytes());
        hasher.update(part);
    }
    let mut short = [0; 16];
    hasher.finalize_xof().fill(&mut short);
    short
}

/// The hash of a span.
pub(super) fn span_hash(span: &SpanContext) -> [u8; 16] {
    hash(&[&span.trace, &span.span])
}

/// A key of the index: day, kind, hash, place.
pub(super) fn index_key(day: u16, kind: Kind, hash: &[u8; 16], place: Place) -> [u8; INDEX_KEY_BYTES] {
    let mut key = [0; INDEX_KEY_BYTES];
    let block = place.block.to_be_bytes();
    let parts = (day.to_be_bytes().into_iter())
        .chain([kind as u8])
        .chain(hash.iter().copied().take(INDEX_HASH_BYTES))
        .chain(block.into_iter().skip(block.len() - INDEX_BLOCK_BYTES))
        .chain([place.index]);
    for (to, from) in key.iter_mut().zip(parts) {
        *to = from;
    }
    key
}

/// The keys of the index that begin with a day, a kind and a hash.
pub(super) fn index_range(day: u16, kind: Kind, hash: &[u8; 16]) -> RangeInclusive<[u8; INDEX_KEY_BYTES]> {
    index_key(day, kind, hash, Place::FIRST)..=index_key(day, kind, hash, Place::LAST)
}

/// The days that have entries in the index, in order. Days without any cost nothing: one report with a wrong date must not
/// make others slower to find.
pub(super) fn indexed_days(
    index: &impl ReadableTable<&'static [u8; INDEX_KEY_BYTES], u32>,
) -> Result<Vec<u16>, redb::Error> {
    let mut days = Vec::new();
    let mut newest = index.last()?.map(|(key, _)| day_of(key.value()));
    while let Some(day) = newest {
        days.push(day);
        let begin = index_key(day, Kind::Span, &[0; 16], Place::FIRST);
        let before = index.range::<&[u8; INDEX_KEY_BYTES]>(..&begin)?.next_back().transpose()?;
        newest = before.map(|(key, _)| day_of(key.value()));
    }
    days.reverse();
    Ok(days)
}

/// Bytes that entries of the index take in the file: keys and values, in pages that are two thirds full.
pub(super) fn index_bytes(entries: u64) -> u64 {
    const ENTRY_BYTES: u64 = (INDEX_KEY_BYTES as u64 + 4) * 3 / 2;
    entries.saturating_mul(ENTRY_BYTES)
}

/// The day at the beginning of a key of the index.
pub(super) fn day_of(key: &[u8; INDEX_KEY_BYTES]) -> u16 {
    let [high, low, ..] = *key;
    u16::from_be_bytes([high, low])
}

/// The place at the end of a key of the index.
pub(super) fn place_of(key: &[u8; INDEX_KEY_BYTES]) -> Place {
    let [.., index] = *key;
    let block = key.iter().rev().skip(1).take(INDEX_BLOCK_BYTES).rev();
    Place { block: block.fold(0, |block, byte| block << 8 | u64::from(*byte)), index }
}

/// The key of a series: what it is of, in order, then the rest.
pub(super) fn series_key(series: &Series) -> Vec<u8> {
    let mut key = series_prefix(&series.of);
    for text in [&series.model, &series.environment, &series.label] {
        key.extend_from_slice(text.replace('\0', " ").as_bytes());
        key.push(0);
    }
    key.extend_from_slice(&series.rule.map_or(0, |rule| rule.saturating_add(1)).to_be_bytes());
    key
}

/// What the keys of all series of a version, or of a reason, begin with.
pub(super) fn series_prefix(of: &SeriesOf) -> Vec<u8> {
    match of {
        SeriesOf::Unattributed(reason) => vec![0, *reason as u8],
        SeriesOf::Version { prompt, version } => {
            let mut key = prompt_prefix(prompt.as_str());
            key.extend_from_slice(&version.to_be_bytes());
            key
        }
    }
}

/// What the keys of all series of a total begin with.
pub(super) fn total_prefix(total: &Total) -> Vec<u8> {
    match total {
        Total::All => Vec::new(),
        Total::Unattributed(reason) => series_prefix(&SeriesOf::Unattributed(*reason)),
        Total::Prompt(prompt) => prompt_prefix(prompt.as_str()),
    }
}

/// What the keys of all series of a prompt begin with.
pub(super) fn prompt_prefix(prompt: &str) -> Vec<u8> {
    let mut key = vec![1];
    key.extend_from_slice(prompt.as_bytes());
    key.push(0);
    key
}

/// Opens every table once, so that readers find all of them.
pub(super) fn create(write: &redb::WriteTransaction) -> Result<(), redb::Error> {
    write.open_table(BLOCKS)?;
    write.open_table(BLOCK_ENDS)?;
    write.open_table(BODIES)?;
    write.open_table(INDEX)?;
    write.open_table(SERIES)?;
    write.open_table(TOTALS)?;
    write.open_table(SERIES_TOTALS)?;
    for rollups in ROLLUPS.into_iter().chain(SPEND) {
        write.open_table(rollups)?;
    }
    write.open_table(WAITING)?;
    write.open_table(PARKED)?;
    write.open_table(OBSERVED)?;
    write.open_table(OBSERVED_TEXTS)?;
    write.open_table(SPOOL)?;
    write.open_table(SPOOL_EPOCHS)?;
    write.open_table(REPLICAS)?;
    write.open_table(FILE_KEYS)?;
    write.open_table(ERASED)?;
    write.open_table(CURSORS)?;
    Ok(())
}

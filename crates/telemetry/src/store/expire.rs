//! What is kept for how long, and removed on request.

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};

use super::TelemetryError;
use super::codec::{decode_series, pack, unpack};
use super::observed;
use super::tables::{
    BLOCK_ENDS, BLOCKS, BODIES, CURSORS, DAY_MS, INDEX, INDEX_KEY_BYTES, Kind, META, Place, ROLLUPS, SERIES, WAITING,
    bucket, day, day_of, hash, index_bytes, index_key, index_range, place_of,
};
use crate::event::Event;

/// Most blocks that are removed in one transaction.
const BLOCKS_PER_TRANSACTION: usize = 2_000;

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
    /// Single events with their index, inputs and outputs, in bytes; beyond it the oldest go first.
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

pub(super) fn expire(database: &Database, retention: Retention, now_ms: i64) -> Result<Expired, TelemetryError> {
    let mut expired = Expired::default();
    let before = |days: u16| now_ms.saturating_sub(i64::from(days).saturating_mul(DAY_MS));
    let mut used = Used::of(database)?;
    while expire_blocks(database, retention, before(retention.events_days), &mut used, &mut expired)? {}
    if used.was_over {
        prune_index(database)?;
    }
    let txn = database.begin_write()?;
    {
        let ends = txn.open_table(BLOCK_ENDS)?;
        let mut last = None;
        for entry in ends.iter()? {
            let (block, end) = entry?;
            if end.value() >= before(retention.bodies_days) {
                break;
            }
            last = Some(block.value());
        }
        if let Some(last) = last {
            let mut bodies = txn.open_table(BODIES)?;
            for entry in bodies.extract_from_if((0, 0)..=(last, u8::MAX), |_, _| true)? {
                entry?;
                expired.bodies = expired.bodies.saturating_add(1);
            }
        }
        observed::expire(&txn, before(retention.bodies_days))?;
        let oldest = index_key(day(before(retention.events_days)), Kind::Span, &[0; 16], Place::FIRST);
        txn.open_table(INDEX)?.retain_in::<&[u8; INDEX_KEY_BYTES], _>(..&oldest, |_, _| false)?;
        let waiting = day(before(2));
        let mut scores = txn.open_table(WAITING)?;
        let before_waiting = scores.len()?;
        scores.retain(|_, score| {
            super::codec::decode::<crate::event::Score>(score).is_ok_and(|score| day(score.at_ms) >= waiting)
        })?;
        let left = scores.len()?;
        let mut meta = txn.open_table(META)?;
        let orphans = meta.get("orphan_scores")?.map_or(0, |value| value.value());
        meta.insert("orphan_scores", orphans.saturating_add(before_waiting.saturating_sub(left)))?;
        meta.insert("waiting", left)?;
        txn.open_table(CURSORS)?.retain(|_, (_, _, at)| at >= before(retention.hours_days))?;
        let mut numbers = Vec::new();
        for entry in txn.open_table(SERIES)?.iter()? {
            numbers.push(decode_series(entry?.1.value())?.0);
        }
        let days = [retention.minutes_days, retention.hours_days, retention.days_days];
        for (level, (rollups, days)) in ROLLUPS.into_iter().zip(days).enumerate() {
            let oldest = bucket(before(days), level);
            let mut table = txn.open_table(rollups)?;
            for number in &numbers {
                for entry in table.extract_from_if((*number, 0)..(*number, oldest), |_, _| true)? {
                    entry?;
                    expired.rollups = expired.rollups.saturating_add(1);
                }
            }
        }
    }
    txn.commit()?;
    Ok(expired)
}

/// How much single events take of the file.
struct Used {
    /// Bytes of blocks, bodies and their index.
    bytes: u64,
    /// Bytes of the index of one block, on average.
    index_of_block: u64,
    /// Whether it was more than it may be.
    was_over: bool,
}

impl Used {
    fn of(database: &Database) -> Result<Self, TelemetryError> {
        let txn = database.begin_read()?;
        let events = txn.open_table(META)?.get("bytes")?.map_or(0, |value| value.value());
        let index = index_bytes(txn.open_table(INDEX)?.len()?);
        let blocks = txn.open_table(BLOCK_ENDS)?.len()?;
        let index_of_block = index.checked_div(blocks).unwrap_or(0);
        Ok(Self { bytes: events.saturating_add(index), index_of_block, was_over: false })
    }
}

/// Removes some blocks that are too old, or too many; whether there may be more.
fn expire_blocks(
    database: &Database,
    retention: Retention,
    oldest_ms: i64,
    used: &mut Used,
    expired: &mut Expired,
) -> Result<bool, TelemetryError> {
    let txn = database.begin_write()?;
    let mut removed = 0;
    {
        let mut meta = txn.open_table(META)?;
        let mut bytes = meta.get("bytes")?.map_or(0, |value| value.value());
        let mut blocks = txn.open_table(BLOCKS)?;
        let mut ends = txn.open_table(BLOCK_ENDS)?;
        let mut bodies = txn.open_table(BODIES)?;
        while removed < BLOCKS_PER_TRANSACTION {
            let Some(block) = ends.first()?.map(|(block, end)| (block.value(), end.value())) else { break };
            let (block, end) = block;
            let over = used.bytes > retention.events_bytes;
            if end >= oldest_ms && !over {
                break;
            }
            used.was_over |= over;
            ends.remove(block)?;
            let mut freed = blocks.remove(block)?.map_or(0, |bytes| bytes.value().len());
            for entry in bodies.extract_from_if((block, 0)..=(block, u8::MAX), |_, _| true)? {
                freed += entry?.1.value().len();
                expired.bodies = expired.bodies.saturating_add(1);
            }
            let freed = u64::try_from(freed).unwrap_or(u64::MAX);
            bytes = bytes.saturating_sub(freed);
            used.bytes = used.bytes.saturating_sub(freed.saturating_add(used.index_of_block));
            removed += 1;
        }
        meta.insert("bytes", bytes)?;
    }
    txn.commit()?;
    expired.blocks = expired.blocks.saturating_add(u64::try_from(removed).unwrap_or(u64::MAX));
    Ok(removed == BLOCKS_PER_TRANSACTION)
}

/// Removes the entries of the index that lead to blocks which are gone, a part of a day in each transaction.
fn prune_index(database: &Database) -> Result<(), TelemetryError> {
    let txn = database.begin_read()?;
    let first_block = txn.open_table(BLOCK_ENDS)?.first()?.map_or(u64::MAX, |(block, _)| block.value());
    let index = txn.open_table(INDEX)?;
    let (Some((first, _)), Some((last, _))) = (index.first()?, index.last()?) else { return Ok(()) };
    let days = day_of(first.value())..=day_of(last.value());
    for (day, kind) in days.flat_map(|day| Kind::ALL.into_iter().map(move |kind| (day, kind))) {
        for part in (0..=u8::MAX).step_by(16) {
            let (mut from, mut to) = ([0; 16], [u8::MAX; 16]);
            (from[0], to[0]) = (part, part | 0x0f);
            let from = index_key(day, kind, &from, Place::FIRST);
            let to = index_key(day, kind, &to, Place::LAST);
            let txn = database.begin_write()?;
            let leads_somewhere = |key: &[u8; INDEX_KEY_BYTES], _| place_of(key).block >= first_block;
            txn.open_table(INDEX)?.retain_in::<&[u8; INDEX_KEY_BYTES], _>(&from..=&to, leads_somewhere)?;
            txn.commit()?;
        }
    }
    Ok(())
}

/// Whose inputs, outputs, user and session are removed. Counts stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Erase {
    /// Of one response, by its id.
    Response(String),
    /// Of one conversation.
    Session(String),
    /// Of one user.
    User(String),
}

/// Removes what could identify somebody from events; how many there were.
pub(super) fn erase(database: &Database, what: &Erase) -> Result<u64, TelemetryError> {
    let (kind, id) = match what {
        Erase::Response(id) => (Kind::Response, id),
        Erase::Session(id) => (Kind::Session, id),
        Erase::User(id) => (Kind::User, id),
    };
    let hash = hash(&[id.as_bytes()]);
    let mut erased = 0_u64;
    let txn = database.begin_write()?;
    {
        let mut index = txn.open_table(INDEX)?;
        let mut blocks = txn.open_table(BLOCKS)?;
        let mut bodies = txn.open_table(BODIES)?;
        let days = match (index.first()?, index.last()?) {
            (Some((first, _)), Some((last, _))) => day_of(first.value())..=day_of(last.value()),
            _ => return Ok(0),
        };
        for day in days {
            let range = index_range(day, kind, &hash);
            let mut places = Vec::new();
            for entry in index.range::<&[u8; INDEX_KEY_BYTES]>(range.start()..=range.end())? {
                places.push(place_of(entry?.0.value()));
            }
            for place in places {
                let Some(packed) = blocks.get(place.block)?.map(|block| block.value().to_vec()) else { continue };
                let mut events: Vec<Event> = unpack(&packed)?;
                let Some(Event::Response(response)) = events.get_mut(usize::from(place.index)) else { continue };
                let of_group = response.observed.take();
                let gone = [(Kind::Session, response.session.take()), (Kind::User, response.user.take())];
                for (kind, id) in gone {
                    let Some(id) = id else { continue };
                    index.remove(&index_key(day, kind, &super::tables::hash(&[id.as_bytes()]), place))?;
                }
                if let Some(id) = of_group {
                    observed::erase(&txn, id)?;
                }
                blocks.insert(place.block, pack(&events)?.as_slice())?;
                bodies.remove((place.block, place.index))?;
                erased = erased.saturating_add(1);
            }
        }
    }
    txn.commit()?;
    Ok(erased)
}

//! The way from a replica to the primary: numbered batches that are merged once.
//!
//! A replica appends what is reported to its spool, sends the batches in order, and forgets those that the primary has.
//! The primary keeps the number of the last batch of each spool in the transaction that merges it. An epoch begins
//! whenever the file is opened, so a spool that was copied or restored is another one; events that come again in it are
//! recognized by themselves.

use std::fmt;
use std::str::FromStr;

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};

use super::codec::{Batch, Recorded};
use super::tables::{CURSORS, META, SPOOL};
use super::{Role, TelemetryError, TelemetryStore};
use crate::event::Event;

/// Most events of one batch.
const BATCH_EVENTS_MAX: usize = 2_000;
/// Most bytes of the batches that are read at once.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whose batches they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SpoolId {
    /// The file, for as long as it exists.
    pub node: [u8; 16],
    /// This time of opening it.
    pub epoch: u64,
}

/// The text is not the id of a spool.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use 32 hex digits, `.`, and 16 hex digits")]
pub struct SpoolIdError;

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}.{:016x}", u128::from_be_bytes(self.node), self.epoch)
    }
}

impl FromStr for SpoolId {
    type Err = SpoolIdError;

    fn from_str(text: &str) -> Result<Self, SpoolIdError> {
        let (node, epoch) =
            text.split_once('.').filter(|(node, epoch)| (node.len(), epoch.len()) == (32, 16)).ok_or(SpoolIdError)?;
        let node = u128::from_str_radix(node, 16).map_err(|_| SpoolIdError)?.to_be_bytes();
        Ok(Self { node, epoch: u64::from_str_radix(epoch, 16).map_err(|_| SpoolIdError)? })
    }
}

/// A batch to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spooled {
    /// Its number, from 1 in each epoch.
    pub number: u64,
    /// Its bytes, as [`TelemetryStore::merge`] takes them.
    pub batch: Vec<u8>,
}

/// A batch as it arrives at the primary.
#[derive(Clone, Debug, PartialEq)]
pub struct SentBatch {
    /// The first batch that the spool still has: the primary had all before it.
    pub first: u64,
    /// Its number.
    pub number: u64,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
    /// What is in it.
    pub batch: Batch,
}

impl SentBatch {
    /// Reads the bytes of a batch.
    ///
    /// # Errors
    /// They are not a batch, or one of a newer program.
    pub fn decode(first: u64, number: u64, bytes: &[u8]) -> Result<Self, TelemetryError> {
        Ok(Self { first, number, hash: *blake3::hash(bytes).as_bytes(), batch: Batch::decode(bytes)? })
    }
}

/// How much waits in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpoolState {
    /// Whose batches they are.
    pub id: SpoolId,
    /// The first batch that the primary does not have.
    pub first: u64,
    /// How many wait.
    pub batches: u64,
    /// How large they are together, in bytes.
    pub bytes: u64,
    /// Inputs and outputs that were left out because the spool was more than half full.
    pub bodies_dropped: u64,
}

/// Whether it is a batch's turn.
pub(super) enum Turn {
    /// It is the next.
    Next,
    /// It is merged already, and all through this one.
    Merged(u64),
}

/// Begins an epoch: batches that wait are numbered from 1.
pub(super) fn begin_epoch(database: &Database) -> Result<(), TelemetryError> {
    let random = || {
        let mut bytes = [0; 8];
        getrandom::fill(&mut bytes).map_err(|error| TelemetryError::Write(error.to_string()))?;
        Ok::<_, TelemetryError>(u64::from_le_bytes(bytes))
    };
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        let spool = txn.open_table(SPOOL)?;
        for half in ["node_high", "node_low"] {
            if meta.get(half)?.is_none() {
                meta.insert(half, random()?)?;
            }
        }
        meta.insert("epoch", random()?)?;
        let before = match spool.first()? {
            Some((first, _)) => first.value().saturating_sub(1),
            None => meta.get("spool")?.map_or(0, |value| value.value()),
        };
        meta.insert("spool_base", before)?;
    }
    txn.commit()?;
    Ok(())
}

/// Appends events to the spool.
pub(super) fn append(
    txn: &WriteTransaction,
    meta: &mut super::apply::Meta<'_>,
    mut events: Vec<Recorded>,
    bytes_max: u64,
) -> Result<(), TelemetryError> {
    let mut bytes = meta.get("spool_bytes")?;
    if bytes >= bytes_max {
        return Err(TelemetryError::Full);
    }
    let mut spool = txn.open_table(SPOOL)?;
    for Recorded { event, repeat } in &mut events {
        let Event::Response(response) = event else { continue };
        if response.id.is_none() && response.span.is_none() && repeat.is_none() {
            let mut unique = [0; 16];
            getrandom::fill(&mut unique).map_err(|error| TelemetryError::Write(error.to_string()))?;
            *repeat = Some(unique);
        }
        if bytes <= bytes_max / 2 {
            continue;
        }
        let (body, text) = (response.body.take(), response.system_text.take());
        if body.is_some() || text.is_some() {
            meta.set("bodies_dropped", meta.get("bodies_dropped")?.saturating_add(1))?;
        }
    }
    let mut events = events.into_iter().peekable();
    while events.peek().is_some() {
        let batch = Batch { events: events.by_ref().take(BATCH_EVENTS_MAX).collect() }.encode()?;
        let number = meta.get("spool")?.saturating_add(1);
        spool.insert(number, batch.as_slice())?;
        bytes = bytes.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        meta.set("spool", number)?;
        meta.set("spool_bytes", bytes)?;
    }
    Ok(())
}

/// Forgets batches of this epoch through a number.
pub(super) fn forget(database: &Database, through: u64) -> Result<(), TelemetryError> {
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        let mut spool = txn.open_table(SPOOL)?;
        let base = meta.get("spool_base")?.map_or(0, |value| value.value());
        let mut freed = 0_u64;
        for entry in spool.extract_from_if(0..=base.saturating_add(through), |_, _| true)? {
            freed = freed.saturating_add(u64::try_from(entry?.1.value().len()).unwrap_or(u64::MAX));
        }
        let bytes = meta.get("spool_bytes")?.map_or(0, |value| value.value());
        meta.insert("spool_bytes", bytes.saturating_sub(freed))?;
    }
    txn.commit()?;
    Ok(())
}

/// Whether it is the turn of a batch; `first` is the first one that its spool still has.
pub(super) fn turn(txn: &WriteTransaction, from: SpoolId, sent: &SentBatch) -> Result<Turn, TelemetryError> {
    let SentBatch { first, number, hash, .. } = *sent;
    let cursors = txn.open_table(CURSORS)?;
    let cursor = cursors.get((&from.node, from.epoch))?;
    let merged = match cursor {
        Some(cursor) => {
            let (merged, kept, _) = cursor.value();
            if merged == number && *kept != hash {
                return Err(TelemetryError::Conflict(number));
            }
            merged
        }
        None => 0,
    };
    let expected = merged.saturating_add(1).max(first);
    if number > expected {
        return Err(TelemetryError::Gap { expected, got: number });
    }
    if number < expected { Ok(Turn::Merged(expected.saturating_sub(1))) } else { Ok(Turn::Next) }
}

/// Notes that a batch is merged.
pub(super) fn advance(
    txn: &WriteTransaction,
    from: SpoolId,
    sent: &SentBatch,
    now_ms: i64,
) -> Result<(), TelemetryError> {
    let mut cursors = txn.open_table(CURSORS)?;
    cursors.insert((&from.node, from.epoch), (sent.number, &sent.hash, now_ms))?;
    Ok(())
}

impl TelemetryStore {
    /// The batches that wait, oldest first; some of them, if they are many.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn spooled(&self) -> Result<Vec<Spooled>, TelemetryError> {
        let txn = self.shared.database.begin_read()?;
        let base = txn.open_table(META)?.get("spool_base")?.map_or(0, |value| value.value());
        let (mut found, mut bytes) = (Vec::new(), 0_usize);
        for entry in txn.open_table(SPOOL)?.iter()? {
            let (key, batch) = entry?;
            let batch = batch.value().to_vec();
            bytes = bytes.saturating_add(batch.len());
            found.push(Spooled { number: key.value().saturating_sub(base), batch });
            if bytes >= READ_BYTES_MAX {
                break;
            }
        }
        Ok(found)
    }

    /// How much waits in the spool; none on a node that keeps telemetry itself.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn spool(&self) -> Result<Option<SpoolState>, TelemetryError> {
        if self.shared.role == Role::Keep {
            return Ok(None);
        }
        let txn = self.shared.database.begin_read()?;
        let meta = txn.open_table(META)?;
        let number = |name: &str| Ok::<_, TelemetryError>(meta.get(name)?.map_or(0, |value| value.value()));
        let mut node = [0; 16];
        let halves = [number("node_high")?.to_be_bytes(), number("node_low")?.to_be_bytes()];
        for (to, from) in node.iter_mut().zip(halves.into_iter().flatten()) {
            *to = from;
        }
        let (base, last) = (number("spool_base")?, number("spool")?);
        let spool = txn.open_table(SPOOL)?;
        let first = spool.first()?.map_or(last.saturating_add(1), |(first, _)| first.value());
        Ok(Some(SpoolState {
            id: SpoolId { node, epoch: number("epoch")? },
            first: first.saturating_sub(base),
            batches: last.saturating_add(1).saturating_sub(first),
            bytes: number("spool_bytes")?,
            bodies_dropped: number("bodies_dropped")?,
        }))
    }
}

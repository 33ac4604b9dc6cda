//! The way from a replica to the primary: numbered batches that are merged once.
//!
//! A replica appends what is reported to its spool, sends the batches in order, and forgets those that the primary has.
//! The primary keeps the number of the last batch of each spool in the transaction that merges it.
//!
//! An epoch begins whenever the file is opened, for the batches from then on; those that wait keep theirs. So the copy
//! of a disk sends what both have under the same numbers, which is merged once, and what is new under others.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use redb::{Database, ReadTransaction, ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::codec::{BATCH_EVENTS_MAX, Batch, Recorded};
use super::tables::{CURSORS, FILE_KEYS, META, SPOOL, SPOOL_EPOCHS};
use super::{Role, Shared, TelemetryError, TelemetryStore};
use crate::event::Event;
use crate::system_text::SentText;

/// Most spools that are listed.
const MERGED_MAX: usize = 100_000;
/// Most bytes of inputs, outputs and other long texts in one batch: the primary takes batches of 16 MiB, and texts can
/// compress to hardly less.
const BATCH_TEXT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of the batches that are read at once.
const READ_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Whose batches they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpoolId {
    /// The file, for as long as it exists.
    pub node: [u8; 16],
    /// The time of opening it in which they were recorded.
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
    /// Whose it is.
    pub id: SpoolId,
    /// Its number, from 1 in each epoch.
    pub number: u64,
    /// When it was recorded, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its bytes, as [`TelemetryStore::merge`] takes them.
    pub batch: Vec<u8>,
}

/// A batch as it arrives at the primary.
#[derive(Clone, Debug, PartialEq)]
pub struct SentBatch {
    /// The first batch of its epoch that the spool still has: the primary had all before it.
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
    /// The file and its newest epoch.
    pub id: SpoolId,
    /// How many batches wait.
    pub batches: u64,
    /// How large they are together, in bytes.
    pub bytes: u64,
    /// When the oldest was recorded; none if none waits.
    pub oldest_ms: Option<i64>,
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

/// Begins an epoch for the batches from now on.
pub(super) fn begin_epoch(database: &Database) -> Result<(), TelemetryError> {
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        for half in ["node_high", "node_low"] {
            if meta.get(half)?.is_none() {
                meta.insert(half, random()?)?;
            }
        }
        let next = meta.get("spool")?.map_or(0, |value| value.value()).saturating_add(1);
        txn.open_table(SPOOL_EPOCHS)?.insert(next, random()?)?;
    }
    txn.commit()?;
    Ok(())
}

/// Numbers all batches that wait in another epoch.
pub(super) fn renew(database: &Database) -> Result<(), TelemetryError> {
    let txn = database.begin_write()?;
    {
        let next = txn.open_table(META)?.get("spool")?.map_or(0, |value| value.value()).saturating_add(1);
        let first = txn.open_table(SPOOL)?.first()?.map_or(next, |(first, _)| first.value());
        let mut epochs = txn.open_table(SPOOL_EPOCHS)?;
        epochs.retain(|_, _| false)?;
        epochs.insert(first, random()?)?;
    }
    txn.commit()?;
    Ok(())
}

fn random() -> Result<u64, TelemetryError> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| TelemetryError::Write(error.to_string()))?;
    Ok(u64::from_le_bytes(bytes))
}

/// Appends events to the spool.
pub(super) fn append(
    txn: &WriteTransaction,
    meta: &mut super::apply::Meta<'_>,
    mut events: Vec<Recorded>,
    bytes_max: u64,
    at_ms: i64,
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
        let (mut batch, mut text_bytes) = (Vec::new(), 0_usize);
        while let Some(next) = events.next_if(|_| batch.len() < BATCH_EVENTS_MAX && text_bytes < BATCH_TEXT_BYTES_MAX) {
            text_bytes = text_bytes.saturating_add(long_texts(&next.event));
            batch.push(next);
        }
        let batch = Batch { at_ms, events: batch }.encode()?;
        let number = meta.get("spool")?.saturating_add(1);
        spool.insert(number, (at_ms, batch.as_slice()))?;
        bytes = bytes.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX));
        meta.set("spool", number)?;
        meta.set("spool_bytes", bytes)?;
    }
    Ok(())
}

/// Bytes of the texts of an event that can be long.
fn long_texts(event: &Event) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    match event {
        Event::Response(response) => {
            let body =
                response.body.as_ref().map_or(0, |body| length(&body.input).saturating_add(length(&body.output)));
            body.saturating_add(response.system_text.as_ref().map_or(0, SentText::bytes))
        }
        Event::Score(score) => length(&score.explanation),
    }
}

/// Appends a batch without events, which says that everything before it is there.
pub(super) fn mark(
    txn: &WriteTransaction,
    meta: &mut super::apply::Meta<'_>,
    at_ms: i64,
) -> Result<(), TelemetryError> {
    let batch = Batch { at_ms, events: Vec::new() }.encode()?;
    let number = meta.next("spool")?;
    txn.open_table(SPOOL)?.insert(number, (at_ms, batch.as_slice()))?;
    let bytes = meta.get("spool_bytes")?;
    meta.set("spool_bytes", bytes.saturating_add(u64::try_from(batch.len()).unwrap_or(u64::MAX)))
}

/// Forgets batches of epochs, each through a number.
pub(super) fn forget(database: &Database, merged: &[(u64, u64)]) -> Result<(), TelemetryError> {
    let txn = database.begin_write()?;
    {
        let mut meta = txn.open_table(META)?;
        let mut spool = txn.open_table(SPOOL)?;
        let mut epochs = txn.open_table(SPOOL_EPOCHS)?;
        let begun = epochs.iter()?.map(|entry| entry.map(|(start, epoch)| (start.value(), epoch.value())));
        let begun = begun.collect::<Result<Vec<_>, _>>()?;
        let mut freed = 0_u64;
        for (index, (start, epoch)) in begun.iter().enumerate() {
            let next = begun.get(index.saturating_add(1)).map(|(next, _)| *next);
            let Some(through) = merged.iter().filter(|(of, _)| of == epoch).map(|(_, through)| *through).max() else {
                continue;
            };
            let end = start.saturating_add(through).min(next.unwrap_or(u64::MAX));
            for entry in spool.extract_from_if(*start..end, |_, _| true)? {
                freed = freed.saturating_add(u64::try_from(entry?.1.value().1.len()).unwrap_or(u64::MAX));
            }
            if let Some(next) = next
                && spool.range(*start..next)?.next().is_none()
            {
                epochs.remove(start)?;
            }
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

/// One state of a spool, for reading all of it.
pub struct SpoolReading {
    shared: Arc<Shared>,
    txn: ReadTransaction,
    node: [u8; 16],
    next: u64,
}

impl SpoolReading {
    /// What names the file.
    #[must_use]
    pub const fn node(&self) -> [u8; 16] {
        self.node
    }

    /// How many batches there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn batches(&self) -> Result<u64, TelemetryError> {
        self.shared.guarded(|| Ok(self.txn.open_table(SPOOL)?.len()?))
    }

    /// The next batches, oldest first; none at the end.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next_batches(&mut self) -> Result<Vec<Spooled>, TelemetryError> {
        let Self { shared, txn, node, next } = self;
        shared.guarded(|| {
            let epochs = txn.open_table(SPOOL_EPOCHS)?;
            let (mut found, mut bytes) = (Vec::new(), 0_usize);
            for entry in txn.open_table(SPOOL)?.range(*next..)? {
                let (key, value) = entry?;
                let (key, (at_ms, batch)) = (key.value(), value.value());
                // Every batch is in the epoch that began last before it.
                let epoch = epochs.range(..=key)?.next_back().transpose()?;
                let (start, epoch) = epoch.map_or((1, 0), |(start, epoch)| (start.value(), epoch.value()));
                bytes = bytes.saturating_add(batch.len());
                *next = key.saturating_add(1);
                let (id, number) = (SpoolId { node: *node, epoch }, key.saturating_sub(start).saturating_add(1));
                found.push(Spooled { id, number, at_ms, batch: batch.to_vec() });
                if bytes >= READ_BYTES_MAX {
                    break;
                }
            }
            Ok(found)
        })
    }
}

impl TelemetryStore {
    /// What waits in the spool now, for reading all of it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_spool(&self) -> Result<SpoolReading, TelemetryError> {
        let txn = self.shared.begin_read()?;
        let node = self.shared.guarded(|| node(&txn))?;
        Ok(SpoolReading { shared: Arc::clone(&self.shared), txn, node, next: 0 })
    }

    /// The batches that wait, oldest first; some of them, if they are many.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn spooled(&self) -> Result<Vec<Spooled>, TelemetryError> {
        self.read_spool()?.next_batches()
    }

    /// What is merged of the spools that belong to a node, or to any that sends files: those wait for it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn merged(&self, of: Option<&[u8; 16]>) -> Result<Vec<(SpoolId, u64)>, TelemetryError> {
        self.read(|txn| {
            let mut nodes = Vec::new();
            match of {
                Some(node) => nodes.push(*node),
                None => {
                    for entry in txn.open_table(FILE_KEYS)?.iter()? {
                        nodes.push(*entry?.0.value());
                    }
                }
            }
            let cursors = txn.open_table(CURSORS)?;
            let mut merged = Vec::new();
            for node in nodes {
                for entry in
                    cursors.range((&node, 0)..=(&node, u64::MAX))?.take(MERGED_MAX.saturating_sub(merged.len()))
                {
                    let (key, cursor) = entry?;
                    merged.push((SpoolId { node, epoch: key.value().1 }, cursor.value().0));
                }
            }
            Ok(merged)
        })
    }

    /// How much waits in the spool; none on a node that keeps telemetry itself.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn spool(&self) -> Result<Option<SpoolState>, TelemetryError> {
        if self.shared.role == Role::Keep {
            return Ok(None);
        }
        self.read(|txn| {
            let meta = txn.open_table(META)?;
            let number = |name: &str| Ok::<_, TelemetryError>(meta.get(name)?.map_or(0, |value| value.value()));
            let spool = txn.open_table(SPOOL)?;
            let epoch = txn.open_table(SPOOL_EPOCHS)?.last()?.map_or(0, |(_, epoch)| epoch.value());
            Ok(Some(SpoolState {
                id: SpoolId { node: node(txn)?, epoch },
                batches: spool.len()?,
                bytes: number("spool_bytes")?,
                oldest_ms: spool.first()?.map(|(_, batch)| batch.value().0),
                bodies_dropped: number("bodies_dropped")?,
            }))
        })
    }
}

/// What names the file.
fn node(txn: &ReadTransaction) -> Result<[u8; 16], TelemetryError> {
    let meta = txn.open_table(META)?;
    let mut node = [0; 16];
    for (half, name) in node.chunks_exact_mut(8).zip(["node_high", "node_low"]) {
        half.copy_from_slice(&meta.get(name)?.map_or(0, |value| value.value()).to_be_bytes());
    }
    Ok(node)
}

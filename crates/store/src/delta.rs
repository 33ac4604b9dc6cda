//! Deltas: the net change between two positions, and the whole state as a delta from nothing.
//!
//! The form, inside one zstd frame: records in the envelope of `codec`, each after its length (`u32`, little-endian): a
//! header, then operations in strictly ascending order of their entry key, then a length of 0. A message carries no old
//! value and no count. Applying it stops at the bounds that a checkpoint signs, and stores nothing unless the result is
//! the signed state.

use std::io::{Read, Write};

use super::codec;
pub use super::delta_error::DeltaError;
use super::entry::{EntryKey, Parts};
use super::error::StoreError;
use super::history::History;
use super::priority::give_way;
use super::query::Queries;
use super::read::{ChangedKey, Entries, Head, ReadTxn};
use super::record::{DeltaHeaderV1, OperationV1};
use super::write::WriteTxn;
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::trust::checkpoint::Checkpoint;

/// Largest encoded operation, in bytes: a content at its limit, and its key.
const OPERATION_BYTES_MAX: usize = 2 * 1024 * 1024;
/// Overhead of one operation, besides what the checkpoint counts as the bytes of its entry.
const OPERATION_OVERHEAD_BYTES: u64 = 64;
/// Limit of one deletion: the longest key.
const DELETION_BYTES: u64 = 1_100;
/// Limit of a header.
const HEADER_BYTES: u64 = 4_096;
/// Largest window of a zstd frame, as a power of two: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;
/// Compression level: zstd's default.
const COMPRESSION_LEVEL: i32 = 3;

/// The state of a delta.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The registry's name.
    pub registry: String,
    /// The view's name.
    pub view: String,
    /// The version of the view's definition.
    pub view_generation: u64,
}

/// The result of writing or applying a delta.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Entries put.
    pub puts: u64,
    /// Entries deleted.
    pub deletes: u64,
    /// Whether it was the whole state.
    pub whole: bool,
    /// Commits of this node that are not part of the new state.
    pub given_up: u64,
}

/// Writes the net change from `from` to the state that `txn` sees; the whole state if `from` is before everything, or
/// below the floor.
///
/// # Errors
/// The database or the writer fails.
pub fn write(txn: &ReadTxn, scope: &Scope, from: Position, out: impl Write) -> Result<Counts, StoreError> {
    let head = txn.head()?;
    let whole = from.seq == 0 || from.seq < head.floor;
    let from = if whole { Position::default() } else { from };
    let mut encoder = zstd::stream::write::Encoder::new(out, COMPRESSION_LEVEL)?;
    let header = DeltaHeaderV1 {
        registry: scope.registry.clone(),
        view: scope.view.clone(),
        view_generation: scope.view_generation,
        from: (from.epoch, from.seq),
        to: (head.position.epoch, head.position.seq),
    };
    frame(&mut encoder, &codec::encode(&header)?)?;
    let mut counts = Counts { whole, ..Counts::default() };
    if whole {
        let everything: (&[u8], &[u8]) = (&[], &[0xff; 4]);
        super::read::visit(txn.entries_table(), everything, false, &mut |key, mod_seq, value| {
            counts.puts += 1;
            frame(&mut encoder, &codec::encode(&put(txn, key, mod_seq, value)?)?)?;
            Ok(std::ops::ControlFlow::Continue(()))
        })?;
    } else {
        let mut changes = txn.changes_after(from.seq, usize::MAX)?;
        changes.sort_by(|a, b| a.key.cmp(&b.key));
        for ChangedKey { mod_seq: seq, key, deleted } in changes {
            let operation = if deleted {
                counts.deletes += 1;
                let parts = parts(&key)?;
                OperationV1::Delete {
                    namespace: parts.namespace.to_owned(),
                    kind: parts.kind,
                    key: parts.key.to_vec(),
                    seq,
                }
            } else {
                counts.puts += 1;
                let entry = txn
                    .entry(&key)?
                    .ok_or_else(|| StoreError::Record { kind: "change", reason: "its entry is missing".to_owned() })?;
                put(txn, &key, entry.mod_seq, &entry.value)?
            };
            frame(&mut encoder, &codec::encode(&operation)?)?;
        }
    }
    encoder.write_all(&0_u32.to_le_bytes())?;
    encoder.finish()?;
    Ok(counts)
}

fn put(txn: &ReadTxn, key: &[u8], mod_seq: u64, value: &[u8]) -> Result<OperationV1, StoreError> {
    let parts = parts(key)?;
    if let Some(id) = parts.content_id() {
        // No replica would accept it, and this one would request it again and again.
        txn.check_content(&id, value)?;
    }
    Ok(OperationV1::Put {
        namespace: parts.namespace.to_owned(),
        kind: parts.kind,
        key: parts.key.to_vec(),
        mod_seq,
        value: value.to_vec(),
    })
}

fn parts(key: &[u8]) -> Result<Parts<'_>, StoreError> {
    Parts::of(key).ok_or_else(|| StoreError::Record { kind: "key", reason: "it is truncated".to_owned() })
}

fn frame(out: &mut impl Write, record: &[u8]) -> Result<(), StoreError> {
    let length = u32::try_from(record.len())
        .map_err(|_| StoreError::Record { kind: "delta operation", reason: "it is too long".to_owned() })?;
    out.write_all(&length.to_le_bytes())?;
    Ok(out.write_all(record)?)
}

/// The result of a delta, according to an accepted checkpoint.
#[derive(Clone, Debug)]
pub struct DeltaTarget {
    /// Which state.
    pub scope: Scope,
    /// The position of this node after the delta.
    pub head: Head,
    /// The signed number of entries.
    pub entries: u64,
    /// The signed size of the entries, in bytes.
    pub bytes: u64,
    /// The signed number of stored deletions.
    pub tombstones: u64,
    /// The signed hash of the state.
    pub state: [u8; 32],
    /// When it is applied: the time of its deletions.
    pub now: Timestamp,
}

impl DeltaTarget {
    /// The result of a delta, according to a checkpoint.
    #[must_use]
    pub fn of(checkpoint: &Checkpoint, now: Timestamp) -> Self {
        Self {
            scope: Scope {
                registry: checkpoint.registry.clone(),
                view: checkpoint.view.clone(),
                view_generation: checkpoint.view_definition.0,
            },
            head: Head {
                position: checkpoint.position(),
                changed: checkpoint.changed,
                floor: checkpoint.floor,
                tombstones: checkpoint.tombstones,
            },
            entries: checkpoint.entries,
            bytes: checkpoint.bytes,
            tombstones: checkpoint.tombstones,
            state: checkpoint.state,
            now,
        }
    }
}

/// The history of a node before a delta, which must be part of the result.
pub struct HeldHistory {
    /// A reader of that history.
    pub state: ReadTxn,
    /// Its last commit.
    pub seq: u64,
    /// Whether another history can replace it; the number of lost commits is counted.
    pub given_up: bool,
}

/// Applies a delta inside a transaction, and compares the result with the signed state.
///
/// # Errors
/// The delta is malformed, exceeds a signed bound, has another result, or belongs to another history than `before`;
/// then the transaction must be aborted.
pub fn apply(
    txn: &mut WriteTxn<'_>,
    source: impl Read,
    target: &DeltaTarget,
    before: Option<&HeldHistory>,
) -> Result<Counts, StoreError> {
    let bound = target
        .bytes
        .saturating_add(target.entries.saturating_mul(OPERATION_OVERHEAD_BYTES))
        .saturating_add(target.tombstones.saturating_mul(DELETION_BYTES))
        .saturating_add(HEADER_BYTES);
    let mut reader = DeltaReader::new(source, bound)?;
    let header: DeltaHeaderV1 = codec::decode(reader.record()?.ok_or(DeltaError::Truncated("no header".to_owned()))?)
        .map_err(|error| DeltaError::Operation(error.to_string()))?;
    let held = txn.head();
    let from = check_header(&header, target, held)?;
    let mut counts = Counts { whole: from == Position::default(), ..Counts::default() };
    let mut history = before.map(|before| History::new(&before.state, before.seq));
    if counts.whole {
        txn.clear()?;
    }
    let to = target.head.position.seq;
    let mut previous: Option<EntryKey> = None;
    while let Some(record) = reader.record()? {
        give_way();
        let operation: OperationV1 = codec::decode(record).map_err(|error| DeltaError::Operation(error.to_string()))?;
        let key = |namespace: &str, kind, key: &[u8]| {
            EntryKey::from_parts(namespace, kind, key)
                .ok_or_else(|| DeltaError::Operation("its key is invalid".to_owned()))
        };
        let in_order = |seq: u64| {
            let found = seq;
            if seq > from.seq && seq <= to { Ok(()) } else { Err(DeltaError::Sequence { found, from: from.seq, to }) }
        };
        let this = match &operation {
            OperationV1::Put { namespace, kind, key: bytes, .. }
            | OperationV1::Delete { namespace, kind, key: bytes, .. } => key(namespace, *kind, bytes)?,
            OperationV1::DropNamespace { namespace } => key(namespace, 0, &[])?,
        };
        if previous.as_ref().is_some_and(|previous| *previous >= this) {
            return Err(DeltaError::Order.into());
        }
        match operation {
            OperationV1::Put { mod_seq, value, .. } => {
                counts.puts += 1;
                in_order(mod_seq)?;
                if let Some(history) = &mut history {
                    history.put(&this, mod_seq, &value)?;
                }
                txn.put_entry(&this, mod_seq, &value).map_err(refused)?;
            }
            OperationV1::Delete { seq, .. } => {
                counts.deletes += 1;
                in_order(seq)?;
                txn.delete_entry(&this, seq, target.now)?;
            }
            OperationV1::DropNamespace { namespace } => txn.drop_namespace(&namespace, to, target.now)?,
        }
        if counts.puts > target.entries || counts.deletes > target.tombstones {
            return Err(DeltaError::TooMany.into());
        }
        previous = Some(this);
    }
    reader.end()?;
    let state = txn.view_state();
    if state.entries != target.entries {
        return Err(DeltaError::Count { found: state.entries, signed: target.entries }.into());
    }
    if state.hash != target.state {
        return Err(DeltaError::State.into());
    }
    if let (Some(before), Some(mut history)) = (before, history) {
        if counts.whole {
            history.kept(txn)?;
        }
        // Damage here is not the sender's fault.
        if let Some(seq) = history.first_difference()? {
            if !before.given_up {
                return Err(DeltaError::Fork { held: held.position, to: target.head.position, from: seq }.into());
            }
            counts.given_up = before.seq.saturating_sub(seq).saturating_add(1);
        }
    }
    let floor = if counts.whole { to } else { txn.head().floor.max(target.head.floor) };
    txn.set_head(Head { floor, ..target.head });
    Ok(counts)
}

/// A record that this program cannot read is the sender's fault, not the database's.
fn refused(error: StoreError) -> StoreError {
    match error {
        StoreError::Record { kind, reason } => DeltaError::Operation(format!("{kind}: {reason}")).into(),
        error @ StoreError::RecordVersion { .. } => DeltaError::Operation(error.to_string()).into(),
        other => other,
    }
}

fn check_header(header: &DeltaHeaderV1, target: &DeltaTarget, head: Head) -> Result<Position, DeltaError> {
    let describe = |registry: &str, view: &str, generation: u64| format!("{registry}, view {view} ({generation})");
    let found = describe(&header.registry, &header.view, header.view_generation);
    let expected = describe(&target.scope.registry, &target.scope.view, target.scope.view_generation);
    if found != expected {
        return Err(DeltaError::Foreign { found, expected });
    }
    let from = Position { epoch: header.from.0, seq: header.from.1 };
    let to = Position { epoch: header.to.0, seq: header.to.1 };
    // A delta that begins before the last change could replace existing entries.
    let (held, whole) = (head.position, from == Position::default());
    if to != target.head.position || from.seq > held.seq || (!whole && from.seq < head.changed) {
        return Err(DeltaError::Positions { from, to, held, target: target.head.position });
    }
    Ok(from)
}

/// Parses a delta record by record, with a limit on its decompressed size.
struct DeltaReader<R: Read> {
    source: std::io::Take<zstd::stream::read::Decoder<'static, std::io::BufReader<R>>>,
    record: Vec<u8>,
}

impl<R: Read> DeltaReader<R> {
    fn new(source: R, bound: u64) -> Result<Self, StoreError> {
        let mut decoder = zstd::stream::read::Decoder::new(source)?.single_frame();
        decoder.window_log_max(WINDOW_LOG_MAX)?;
        Ok(Self { source: decoder.take(bound), record: Vec::new() })
    }

    /// The next record; none at the end.
    fn record(&mut self) -> Result<Option<&[u8]>, DeltaError> {
        let mut length = [0; 4];
        self.fill(&mut length)?;
        let length = u32::from_le_bytes(length) as usize;
        if length == 0 {
            return Ok(None);
        }
        if length > OPERATION_BYTES_MAX {
            return Err(DeltaError::TooLarge);
        }
        let mut record = std::mem::take(&mut self.record);
        record.resize(length, 0);
        self.fill(&mut record)?;
        self.record = record;
        Ok(Some(&self.record))
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), DeltaError> {
        let at_bound = |source: &std::io::Take<_>| source.limit() < buffer.len() as u64;
        if at_bound(&self.source) {
            return Err(DeltaError::TooLarge);
        }
        self.source.read_exact(buffer).map_err(|error| DeltaError::Truncated(error.to_string()))
    }

    /// Checks that nothing follows.
    fn end(self) -> Result<(), DeltaError> {
        let Self { mut source, .. } = self;
        source.set_limit(1);
        let mut rest = [0; 1];
        if source.read(&mut rest).map_err(|error| DeltaError::Truncated(error.to_string()))? > 0 {
            return Err(DeltaError::Trailing);
        }
        let mut inner = source.into_inner().finish();
        match inner.read(&mut rest) {
            Ok(0) => Ok(()),
            Ok(_) => Err(DeltaError::Trailing),
            Err(error) => Err(DeltaError::Truncated(error.to_string())),
        }
    }
}

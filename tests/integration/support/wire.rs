//! The bytes between a primary and its replicas, taken apart and put together again by hand.

use std::io::Write;

use bookholder::crypto::note::{NOTE_BYTES_MAX, Note};
use bookholder::model::position::Position;
use bookholder::model::time::Timestamp;
use bookholder::store::delta::DeltaTarget;
use bookholder::trust::checkpoint::Checkpoint;

/// An answer to a poll, taken apart: the note, and the data behind it.
pub fn unframe(answer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (length, rest) = answer.split_first_chunk::<4>().expect("a length");
    let (note, data) = rest.split_at(u32::from_be_bytes(*length) as usize);
    (note.to_vec(), data.to_vec())
}

/// An answer to a poll.
pub fn frame(note: &[u8], data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(note.len()).expect("a short note").to_be_bytes();
    [&length, note, data].concat()
}

/// The contents of a note, verified or not.
pub fn read_note(note: &[u8]) -> Checkpoint {
    let note = Note::parse(note, NOTE_BYTES_MAX).expect("a note");
    Checkpoint::parse(note.text()).expect("a checkpoint")
}

/// The result of a delta, according to a checkpoint.
pub fn target(checkpoint: &Checkpoint) -> DeltaTarget {
    DeltaTarget::of(checkpoint, Timestamp::from_ms(checkpoint.issued * 1_000))
}

/// The records of a delta: a header, then operations; `None` if it is not a delta.
pub fn try_records(delta: &[u8]) -> Option<Vec<Vec<u8>>> {
    let plain = zstd::decode_all(delta).ok()?;
    let mut rest = plain.as_slice();
    let mut records = Vec::new();
    loop {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (record, behind) = behind.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = behind;
        if record.is_empty() {
            return rest.is_empty().then_some(records);
        }
        records.push(record.to_vec());
    }
}

/// The records of a good delta.
pub fn records(delta: &[u8]) -> Vec<Vec<u8>> {
    try_records(delta).expect("a delta")
}

/// A delta of these records, in this order.
pub fn pack(records: &[Vec<u8>]) -> Vec<u8> {
    compress(&plain(records), 3)
}

/// The records behind their lengths, with the end mark.
pub fn plain(records: &[Vec<u8>]) -> Vec<u8> {
    let mut plain = Vec::new();
    for record in records {
        plain.extend_from_slice(&u32::try_from(record.len()).expect("a short record").to_le_bytes());
        plain.extend_from_slice(record);
    }
    plain.extend_from_slice(&0_u32.to_le_bytes());
    plain
}

/// One zstd frame.
pub fn compress(plain: &[u8], level: i32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).expect("an encoder");
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

/// The header of a delta.
pub fn header(registry: &str, view: &str, generation: u64, from: Position, to: Position) -> Vec<u8> {
    let mut bytes = vec![32, 1];
    text(&mut bytes, registry.as_bytes());
    text(&mut bytes, view.as_bytes());
    for number in [generation, from.epoch, from.seq, to.epoch, to.seq] {
        varint(&mut bytes, number);
    }
    bytes
}

/// An operation that puts an entry.
pub fn put(namespace: &str, kind: u8, key: &[u8], mod_seq: u64, value: &[u8]) -> Vec<u8> {
    let mut bytes = vec![33, 1, 0];
    text(&mut bytes, namespace.as_bytes());
    bytes.push(kind);
    text(&mut bytes, key);
    varint(&mut bytes, mod_seq);
    text(&mut bytes, value);
    bytes
}

/// An operation that deletes an entry.
pub fn delete(namespace: &str, kind: u8, key: &[u8], seq: u64) -> Vec<u8> {
    let mut bytes = vec![33, 1, 1];
    text(&mut bytes, namespace.as_bytes());
    bytes.push(kind);
    text(&mut bytes, key);
    varint(&mut bytes, seq);
    bytes
}

/// An operation that drops a namespace.
pub fn drop_namespace(namespace: &str) -> Vec<u8> {
    let mut bytes = vec![33, 1, 2];
    text(&mut bytes, namespace.as_bytes());
    bytes
}

/// The parts of a put; `None` for other operations.
#[allow(clippy::type_complexity, reason = "the fields of a put")]
pub fn read_put(record: &[u8]) -> Option<(String, u8, Vec<u8>, u64, Vec<u8>)> {
    let mut rest = record.strip_prefix(&[33, 1, 0])?;
    let namespace = String::from_utf8(take(&mut rest)?).ok()?;
    let (kind, mut rest) = rest.split_first().map(|(kind, rest)| (*kind, rest))?;
    let key = take(&mut rest)?;
    let mod_seq = number(&mut rest)?;
    Some((namespace, kind, key, mod_seq, take(&mut rest)?))
}

/// The parts of a deletion; `None` for other operations.
pub fn read_delete(record: &[u8]) -> Option<(String, u8, Vec<u8>)> {
    let mut rest = record.strip_prefix(&[33, 1, 1])?;
    let namespace = String::from_utf8(take(&mut rest)?).ok()?;
    let (kind, mut rest) = rest.split_first().map(|(kind, rest)| (*kind, rest))?;
    Some((namespace, kind, take(&mut rest)?))
}

fn text(bytes: &mut Vec<u8>, text: &[u8]) {
    varint(bytes, text.len() as u64);
    bytes.extend_from_slice(text);
}

fn varint(bytes: &mut Vec<u8>, number: u64) {
    let (mark, width) = match number {
        0..=250 => (None, 1),
        251..=0xffff => (Some(251), 2),
        0x1_0000..=0xffff_ffff => (Some(252), 4),
        _ => (Some(253), 8),
    };
    bytes.extend(mark);
    bytes.extend_from_slice(&number.to_le_bytes()[..width]);
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (first, behind) = rest.split_first()?;
    let width = match first {
        251 => 2,
        252 => 4,
        253 => 8,
        _ => 0,
    };
    let (digits, behind) = behind.split_at_checked(width)?;
    *rest = behind;
    let little_endian = digits.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Some(if width == 0 { u64::from(*first) } else { little_endian })
}

fn take(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (text, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(text.to_vec())
}

//! The envelope of a stored record: one byte of kind, one of version, then bincode.
//!
//! No other file uses bincode. Decoding is bounded, and trailing bytes are an error. A number can have a longer
//! encoding than necessary, so hashes and comparisons use the stored bytes, never a re-encoded record.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::StoreError;

/// Limit of what decoding one record can allocate, in bytes; a version's record is far smaller, and a delta's operation
/// carries at most one content.
const RECORD_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A stored struct, with the numbers that identify its encoding.
pub(super) trait Record: Serialize + DeserializeOwned {
    /// First byte of the envelope: the kind of record; never reused.
    const KIND: u8;
    /// Second byte of the envelope: the version of its layout.
    const VERSION: u8;
    /// Its name in error messages.
    const NAME: &'static str;
}

/// Encodes a record in its envelope.
pub(super) fn encode<R: Record>(record: &R) -> Result<Vec<u8>, StoreError> {
    let mut bytes = vec![R::KIND, R::VERSION];
    bincode::serde::encode_into_std_write(record, &mut bytes, bincode::config::standard())
        .map_err(|error| StoreError::Record { kind: R::NAME, reason: error.to_string() })?;
    // A record that could not be decoded is not written.
    if bytes.len() > RECORD_BYTES_MAX {
        let reason = format!("it is {} bytes long; the limit is {RECORD_BYTES_MAX}", bytes.len());
        return Err(StoreError::Record { kind: R::NAME, reason });
    }
    Ok(bytes)
}

/// Decodes a record from its envelope.
pub(super) fn decode<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    let refuse = |reason: &str| StoreError::Record { kind: R::NAME, reason: reason.to_owned() };
    let (&kind, rest) = bytes.split_first().ok_or_else(|| refuse("it is empty"))?;
    let (&version, body) = rest.split_first().ok_or_else(|| refuse("it is truncated"))?;
    if kind != R::KIND {
        return Err(refuse("it is a record of a different kind"));
    }
    if version != R::VERSION {
        return Err(StoreError::RecordVersion { kind: R::NAME, version });
    }
    let config = bincode::config::standard().with_limit::<RECORD_BYTES_MAX>();
    let (record, read) = bincode::serde::decode_from_slice(body, config).map_err(|error| refuse(&error.to_string()))?;
    if read == body.len() { Ok(record) } else { Err(refuse("it has trailing bytes")) }
}

//! Stored forms: JSON, compressed where it is long.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EvaluationStoreError;

/// Longest stored record after it is decompressed, in bytes: two versions of a prompt and a suite at their limits.
const UNPACKED_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Shortest bytes that are worth compressing.
const PACKED_BYTES_MIN: usize = 256;
/// First byte of a record that is stored as it is, and of one that is compressed with Zstandard.
const PLAIN: u8 = 0;
const ZSTD: u8 = 1;

pub(super) fn write<T: Serialize>(value: &T) -> Result<Vec<u8>, EvaluationStoreError> {
    serde_json::to_vec(value).map_err(|error| EvaluationStoreError::Encoding(error.to_string()))
}

pub(super) fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, EvaluationStoreError> {
    serde_json::from_slice(bytes).map_err(|error| EvaluationStoreError::Encoding(error.to_string()))
}

pub(super) fn pack(bytes: &[u8]) -> Result<Vec<u8>, EvaluationStoreError> {
    let (form, stored) = if bytes.len() < PACKED_BYTES_MIN {
        (PLAIN, bytes.to_vec())
    } else {
        let packed = zstd::bulk::compress(bytes, 1);
        (ZSTD, packed.map_err(|error| EvaluationStoreError::Encoding(error.to_string()))?)
    };
    Ok([&[form], stored.as_slice()].concat())
}

pub(super) fn unpack(stored: &[u8]) -> Result<Vec<u8>, EvaluationStoreError> {
    match stored.split_first() {
        Some((&PLAIN, bytes)) => Ok(bytes.to_vec()),
        Some((&ZSTD, bytes)) => zstd::bulk::decompress(bytes, UNPACKED_BYTES_MAX)
            .map_err(|error| EvaluationStoreError::Encoding(error.to_string())),
        _ => Err(EvaluationStoreError::Encoding("a record of an unknown form".to_owned())),
    }
}

//! Stored forms: JSON, compressed where it is long.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::EvaluationStoreError;

/// Longest stored record after it is decompressed, in bytes: two versions of a prompt and a suite at their limits.
const UNPACKED_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Shortest bytes that are worth compressing.
const PACKED_BYTES_MIN: usize = 256;
/// First byte of a record that is stored as it is, and of one that is compressed with Zstandard; its length before that
/// follows, in four bytes.
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
    let length = u32::try_from(bytes.len()).map_err(|error| EvaluationStoreError::Encoding(error.to_string()))?;
    Ok([&[form], length.to_le_bytes().as_slice(), stored.as_slice()].concat())
}

pub(super) fn unpack(stored: &[u8]) -> Result<Vec<u8>, EvaluationStoreError> {
    let wrong = |reason: &str| EvaluationStoreError::Encoding(reason.to_owned());
    let (form, rest) = stored.split_first().ok_or_else(|| wrong("an empty record"))?;
    let (length, bytes) = rest.split_first_chunk::<4>().ok_or_else(|| wrong("a record without its length"))?;
    let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    match *form {
        PLAIN if bytes.len() == length => Ok(bytes.to_vec()),
        ZSTD if length <= UNPACKED_BYTES_MAX => {
            zstd::bulk::decompress(bytes, length).map_err(|error| EvaluationStoreError::Encoding(error.to_string()))
        }
        _ => Err(wrong("a record of an unknown form")),
    }
}

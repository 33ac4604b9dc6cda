//! Splits a history, optionally compressed with zstd, into batches that each fit one import.
//!
//! It streams, so a history can be larger than memory. Invariant: changes before an invalid line are returned before
//! the error.

use std::io::{self, BufRead, BufReader, Read};

use super::history::{HistoryChange, HistoryError, HistoryReader, LINE_BYTES_MAX};

/// Changes of one batch.
const BATCH_CHANGES: usize = 200;
/// Bytes of changes in one batch, as JSON; well within what a server takes.
const BATCH_BYTES: usize = 3 * 1024 * 1024;
/// The magic bytes of a zstd file.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum BatchError {
    #[error("cannot read it: {0}")]
    Read(#[from] io::Error),
    #[error(transparent)]
    History(#[from] HistoryError),
    #[error("it is longer than {max} bytes when unpacked; import it in parts, or with `bookholder import`")]
    TooLong { max: u64 },
}

/// The lines of a history, decompressed if necessary with a window of at most two to this power of bytes.
///
/// # Errors
/// It cannot be read.
pub fn unpack<'a>(source: impl Read + Send + 'a, window_log_max: u32) -> io::Result<Box<dyn BufRead + Send + 'a>> {
    let mut source = BufReader::new(source);
    if source.fill_buf()?.starts_with(&ZSTD_MAGIC) {
        let mut unpacked = zstd::Decoder::with_buffer(source)?;
        unpacked.window_log_max(window_log_max)?;
        return Ok(Box::new(BufReader::new(unpacked)));
    }
    Ok(Box::new(source))
}

/// Reads a history batch by batch.
pub struct Batches<'a> {
    lines: Box<dyn BufRead + Send + 'a>,
    reader: HistoryReader,
    line: Vec<u8>,
    /// The change that did not fit into the previous batch.
    held: Option<HistoryChange>,
    /// The error after the previous batch.
    wrong: Option<BatchError>,
    bytes_left: u64,
    bytes_max: u64,
}

impl<'a> Batches<'a> {
    /// A reader at the start of a history, with a limit in bytes.
    #[must_use]
    pub fn new(lines: Box<dyn BufRead + Send + 'a>, bytes_max: u64) -> Self {
        let (reader, line) = (HistoryReader::new(), Vec::new());
        Self { lines, reader, line, held: None, wrong: None, bytes_left: bytes_max, bytes_max }
    }

    /// The next batch; empty at the end.
    ///
    /// # Errors
    /// A line is not a change, the history is too long, or it cannot be read.
    pub fn next_batch(&mut self) -> Result<Vec<HistoryChange>, BatchError> {
        let (mut batch, mut bytes) = (Vec::new(), 0_usize);
        loop {
            let change = match self.held.take().map_or_else(|| self.next_change(), |held| Ok(Some(held))) {
                Ok(Some(change)) => change,
                Ok(None) => return Ok(batch),
                Err(error) if batch.is_empty() => return Err(error),
                Err(error) => {
                    self.wrong = Some(error);
                    return Ok(batch);
                }
            };
            let length = serde_json::to_vec(&change.change).map_or(0, |json| json.len());
            if batch.len() >= BATCH_CHANGES || (bytes > 0 && bytes.saturating_add(length) > BATCH_BYTES) {
                self.held = Some(change);
                return Ok(batch);
            }
            bytes = bytes.saturating_add(length);
            batch.push(change);
        }
    }

    fn next_change(&mut self) -> Result<Option<HistoryChange>, BatchError> {
        if let Some(error) = self.wrong.take() {
            return Err(error);
        }
        loop {
            self.line.clear();
            let limit = (LINE_BYTES_MAX as u64).saturating_add(1);
            let read = (&mut *self.lines).take(limit).read_until(b'\n', &mut self.line)?;
            if read == 0 {
                return Ok(None);
            }
            let too_long = BatchError::TooLong { max: self.bytes_max };
            self.bytes_left = self.bytes_left.checked_sub(read as u64).ok_or(too_long)?;
            if let Some(change) = self.reader.read(&self.line)? {
                return Ok(Some(change));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"at":"2022-12-14T00:44:50Z","author":"ada","message":"why","name":"a","text":"Hi"}"#;

    fn lengths(bytes: &[u8], bytes_max: u64) -> (Vec<usize>, String) {
        let mut batches = Batches::new(unpack(bytes, 27).expect("readable"), bytes_max);
        let mut lengths = Vec::new();
        loop {
            match batches.next_batch() {
                Ok(batch) if batch.is_empty() => return (lengths, String::new()),
                Ok(batch) => lengths.push(batch.len()),
                Err(error) => return (lengths, error.to_string()),
            }
        }
    }

    #[test]
    fn history_is_read_in_batches_compressed_or_not() {
        let text = format!("{LINE}\n\n").repeat(450);
        let packed = zstd::encode_all(text.as_bytes(), 1).expect("packed");
        for bytes in [text.as_bytes(), &packed] {
            assert_eq!(lengths(bytes, u64::MAX), (vec![200, 200, 50], String::new()));
        }
        assert_eq!(lengths(b"", 10), (vec![], String::new()));
        let cut = packed.get(..packed.len() / 2).expect("a part");
        assert!(lengths(cut, u64::MAX).1.contains("cannot read it"), "{:?}", lengths(cut, u64::MAX));
    }

    #[test]
    fn changes_before_an_invalid_line_are_returned_first() {
        let (before, wrong) = lengths(format!("{LINE}\n{LINE}\nno\n{LINE}\n").as_bytes(), u64::MAX);
        assert!(before == [2] && wrong.contains("line 3"), "{before:?} {wrong}");
        let bomb = zstd::encode_all("\n".repeat(1 << 20).as_bytes(), 1).expect("packed");
        assert!(lengths(&bomb, 1 << 16).1.contains("longer than 65536 bytes"));
    }
}

//! History files: the same changes, packed or not, with the same ids.
#![no_main]

use bookholder::files::batches::{Batches, unpack};
use bookholder::files::history::HistoryChange;
use libfuzzer_sys::fuzz_target;

/// Limit of an unpacked history, in bytes.
const UNPACKED_BYTES_MAX: u64 = 1024 * 1024;

fn changes(bytes: &[u8]) -> (Vec<HistoryChange>, Option<String>) {
    let mut all = Vec::new();
    let lines = match unpack(bytes, 20) {
        Ok(lines) => lines,
        Err(error) => return (all, Some(error.to_string())),
    };
    let mut batches = Batches::new(lines, UNPACKED_BYTES_MAX);
    loop {
        match batches.next_batch() {
            Ok(batch) if batch.is_empty() => return (all, None),
            Ok(batch) => all.extend(batch),
            Err(error) => return (all, Some(error.to_string())),
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let read = changes(bytes);
    if !bytes.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        let packed = zstd::encode_all(bytes, 1).expect("packed");
        assert_eq!(changes(&packed), read);
    }
});

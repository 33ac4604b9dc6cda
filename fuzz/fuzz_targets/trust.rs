//! What is signed: root documents, epoch records, checkpoints and manifests of reports have one form each.
#![no_main]

use bookholder::trust::checkpoint::Checkpoint;
use bookholder::trust::epoch::EpochRecord;
use bookholder::trust::manifest::Manifest;
use bookholder::trust::records::read_back;
use bookholder::trust::root::RootDocument;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    // A chain of records, as in a directory.
    let records: Vec<Vec<u8>> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let (roots, epochs) = records.split_at(1);
    let _ = read_back(None, roots, epochs);
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(document) = RootDocument::parse(text) {
        assert_eq!(document.to_text(), text);
    }
    if let Ok(record) = EpochRecord::parse(text) {
        assert_eq!(record.to_text(), text);
    }
    if let Ok(checkpoint) = Checkpoint::parse(text) {
        assert_eq!(checkpoint.to_text(), text);
    }
    if let Ok(manifest) = Manifest::parse(text) {
        assert_eq!(manifest.to_text(), text);
    }
});

//! Bundles: an archive is unpacked into its folder and nowhere else, and what is in it is offered or refused.
#![no_main]

use std::fs;

use bookholder::cli::unpack_bundle;
use bookholder::replication::bundle::Bundle;
use bookholder::trust::checkpoint::Checkpoint;
use libfuzzer_sys::fuzz_target;

fn is_plain(folder: &std::path::Path) -> bool {
    fs::read_dir(folder).expect("a folder").all(|entry| {
        let path = entry.expect("an entry").path();
        let kind = fs::symlink_metadata(&path).expect("what it is").file_type();
        kind.is_file() || (kind.is_dir() && is_plain(&path))
    })
}

fuzz_target!(|bytes: &[u8]| {
    let outer = tempfile::tempdir().expect("a folder");
    let folder = outer.path().join("in");
    fs::create_dir(&folder).expect("a folder");
    let unpacked = unpack_bundle(bytes, &folder);
    assert_eq!(fs::read_dir(outer.path()).expect("a folder").count(), 1, "something lies outside of its folder");
    assert!(is_plain(&folder));
    if unpacked.is_err() {
        return;
    }
    let Some(bundle) = Bundle::find(&folder) else { return };
    let _ = bundle.offer();
    let note = fs::read_to_string(folder.join("replication/v1/view/all/checkpoint")).unwrap_or_default();
    if let Some(checkpoint) = note.split_once("\n\n").and_then(|(text, _)| Checkpoint::parse(text).ok()) {
        let _ = bundle.snapshot(&checkpoint);
    }
});

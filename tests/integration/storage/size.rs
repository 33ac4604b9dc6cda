//! File sizes: unused space is returned to the disk, and a backup is no larger than its contents.

use bookholder::store::backup::copy;
use bookholder::store::{Options, Store, StoreError};

use crate::support::filler;
use crate::support::primary::outside;

/// Size of one text, in bytes.
const TEXT: usize = 100_000;

fn length(directory: &std::path::Path) -> u64 {
    std::fs::metadata(directory.join("registry.redb")).expect("the file").len()
}

fn options(directory: &tempfile::TempDir) -> Options {
    Options { directory: directory.path().to_owned(), create: true }
}

/// Puts values and takes most of their bytes away again, so that most of the file is unused.
async fn mostly_unused(directory: &tempfile::TempDir, values: usize) {
    let store = Store::open(&options(directory)).expect("a store");
    for round in 0..2 {
        for number in 0..values {
            let text = if round == 0 { char::from(b'a' + u8::try_from(number % 26).unwrap_or_default()) } else { '1' };
            let text = text.to_string().repeat(if round == 0 { TEXT } else { 10 });
            let put = store.write(move |txn| filler::put(txn, &format!("key-{number}"), &text)).await;
            put.map_err(|error: StoreError| error).expect("written");
        }
    }
    store.close().await;
}

#[tokio::test]
async fn mostly_unused_database_is_compacted_at_start() {
    let directory = tempfile::tempdir().expect("a folder");
    mostly_unused(&directory, 1_300).await;
    let before = length(directory.path());
    assert!(before > 80_000_000, "{before}");
    let store = Store::open_to_serve(&options(&directory)).expect("a store");
    let kept = filler::get(&store.read().expect("a state"), "key-7").expect("a table");
    assert_eq!(kept, Some("1".repeat(10)));
    store.close().await;
    let after = length(directory.path());
    assert!(after < before / 10, "{before} to {after}");
}

#[tokio::test]
async fn small_database_is_compacted_only_by_command() {
    let directory = tempfile::tempdir().expect("a folder");
    mostly_unused(&directory, 100).await;
    let before = length(directory.path());
    Store::open_to_serve(&options(&directory)).expect("a store").close().await;
    assert!(length(directory.path()) > before / 2);
    let freed = Store::compact(directory.path()).expect("compacted");
    let after = length(directory.path());
    assert!(freed > 0 && after < before / 10, "{before} to {after}, {freed} freed");
    let store = Store::open(&options(&directory)).expect("a store");
    let in_use = Store::compact(directory.path()).expect_err("a node runs on it");
    assert!(matches!(in_use, StoreError::InUse { .. }), "{in_use}");
    store.close().await;
}

#[tokio::test]
async fn backup_is_compact() {
    let directory = tempfile::tempdir().expect("a folder");
    let store = Store::open(&options(&directory)).expect("a store");
    let mut held = 0_u64;
    for number in 0..400_usize {
        // Of every length, as texts are.
        let text = "7".repeat(500 + number * 7_919 % 30_000);
        held += text.len() as u64;
        let put = store.write(move |txn| filler::put(txn, &format!("key-{number}"), &text)).await;
        put.map_err(|error: StoreError| error).expect("written");
    }
    let backup = directory.path().join("backup");
    let (txn, path) = (store.read().expect("a state"), backup.clone());
    outside(move || copy(&txn, &path).expect("a copy"));
    let size = std::fs::metadata(backup).expect("a backup").len();
    println!("{held} bytes held, {size} in the backup, {} in the database", length(directory.path()));
    assert!(size < held * 2, "{size} for {held}");
    store.close().await;
}

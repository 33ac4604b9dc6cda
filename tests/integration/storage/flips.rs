//! Single bit flips in a database file: each one in data in use is detected, and none causes a panic.

use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bookholder::server::offline::verify_transaction;
use bookholder::store::Store;
use bookholder::store::inspect::Inspection;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableHandle};

use crate::support::primary::Primary;

/// Flips that must be found.
const FOUND: u64 = 1_000;
/// Number of flips tried; the rest is in free pages.
const TRIED_MAX: u64 = 40_000;

/// A closed registry with prompts, labels, governance and an audit log.
async fn registry() -> Vec<u8> {
    let primary = Primary::found();
    for number in 0..12 {
        let name = format!("folder/prompt-{number}");
        primary.publish(&name, &format!("the first text of number {number}")).await;
        primary.publish(&name, &format!("unmistakable words number {number} for {{{{who}}}}")).await;
        primary.deploy(&name, 2, "production").await;
    }
    primary.unlabel("folder/prompt-3", "production").await.expect("a label");
    let directory = primary.directory();
    primary.store.close().await;
    // With few free pages, in which flips mean nothing.
    Store::compact(directory.path()).expect("compacted");
    std::fs::read(directory.path().join("registry.redb")).expect("the file")
}

/// The result of `verify` for these bytes.
fn look(folder: &Path, bytes: &[u8]) -> Result<Vec<String>, String> {
    std::fs::write(folder.join("registry.redb"), bytes).expect("written");
    let inspection = Inspection::open(folder).map_err(|error| error.to_string())?;
    let proof = inspection.look(verify_transaction).map_err(|error| error.to_string())?;
    let mut differences = proof.report.differences;
    differences.extend((!inspection.pages_are_whole()).then(|| "a page".to_owned()));
    Ok(differences)
}

/// Everything that a full read of these bytes returns.
fn dump(folder: &Path, bytes: &[u8]) -> blake3::Hash {
    let path = folder.join("registry.redb");
    std::fs::write(&path, bytes).expect("written");
    let database = Database::open(path).expect("a database");
    let txn = database.begin_read().expect("a state");
    let mut names: Vec<String> = txn.list_tables().expect("tables").map(|table| table.name().to_owned()).collect();
    names.sort();
    let mut hasher = blake3::Hasher::new();
    macro_rules! read {
        ($name:expr, $key:ty, $value:ty) => {{
            let table = txn.open_table(TableDefinition::<$key, $value>::new($name)).expect($name);
            for row in table.iter().expect($name) {
                let (key, value) = row.expect($name);
                hasher.update(format!("{:?} {:?}\n", key.value(), value.value()).as_bytes());
            }
        }};
    }
    for name in &names {
        hasher.update(name.as_bytes());
        match name.as_str() {
            "entries/v1" => read!(name, &[u8], (u64, &[u8])),
            "changes/v1" => read!(name, (u64, &[u8]), bool),
            "tombstones/v1" => read!(name, &[u8], (u64, i64)),
            "lattices/v1" => read!(name, &str, (u64, u64, &[u8])),
            "content_homes/v1" => read!(name, ([u8; 32], &str), ()),
            "dependents/v1" => read!(name, (&str, &str, u64), u64),
            "imports/v1" => read!(name, &str, u64),
            "documents/v1" => read!(name, &[u8], &[u8]),
            "audit/v1" | "roots/v1" | "epochs/v1" => read!(name, u64, &[u8]),
            "meta/v1" => read!(name, &str, &[u8]),
            other => panic!("the test does not know the table {other}"),
        }
    }
    hasher.finalize()
}

#[tokio::test]
async fn thousand_random_bit_flips_are_detected_without_panic() {
    let bytes = registry().await;
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(look(folder.path(), &bytes), Ok(Vec::new()));
    let expected = dump(folder.path(), &bytes);
    let (found, tried, missed) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::new(Vec::new()));
    let flip = |worker: u64| {
        let folder = tempfile::tempdir().expect("a folder");
        while found.load(Ordering::SeqCst) < FOUND {
            let round = tried.fetch_add(1, Ordering::SeqCst);
            assert!(round < TRIED_MAX, "only {} of {round} flips were found", found.load(Ordering::SeqCst));
            let mut random = [0; 8];
            blake3::Hasher::new().update(&round.to_le_bytes()).finalize_xof().fill(&mut random);
            let at = usize::try_from(u64::from_le_bytes(random) % (bytes.len() as u64 * 8)).expect("small");
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            let verdict = catch_unwind(|| look(folder.path(), &flipped));
            match verdict {
                Err(_) => missed.lock().expect("a lock").push(format!("bit {at} panics ({worker})")),
                Ok(Ok(differences)) if differences.is_empty() => {
                    let same = catch_unwind(|| dump(folder.path(), &flipped)).is_ok_and(|read| read == expected);
                    if !same {
                        missed.lock().expect("a lock").push(format!("bit {at} changes what is read"));
                    }
                }
                Ok(_) => {
                    found.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    };
    let threads = std::thread::available_parallelism().map_or(2, usize::from) as u64;
    std::thread::scope(|scope| {
        for worker in 0..threads {
            scope.spawn(move || flip(worker));
        }
    });
    assert_eq!(missed.into_inner().expect("a lock"), Vec::<String>::new());
    println!("{} flips found of {} tried", found.into_inner(), tried.into_inner());
}

#[tokio::test]
async fn changed_text_is_reported_with_its_version() {
    let bytes = registry().await;
    let folder = tempfile::tempdir().expect("a folder");
    let text = b"unmistakable words number 7 for";
    let places: Vec<usize> =
        bytes.windows(text.len()).enumerate().filter(|(_, window)| window == text).map(|(at, _)| at).collect();
    let mut named = 0;
    for at in places {
        let mut flipped = bytes.clone();
        flipped[at + 3] ^= 4;
        let differences = look(folder.path(), &flipped).expect("readable");
        if let Some(first) = differences.first() {
            assert!(first.starts_with("the text of folder/prompt-7@2 was changed: its id is b3:"), "{first}");
            assert!(differences.iter().any(|difference| difference == "a page"), "{differences:?}");
            named += 1;
        }
    }
    assert_eq!(named, 1, "the one that counts");
}

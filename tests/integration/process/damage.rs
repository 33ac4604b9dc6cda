//! Changed bytes of a database file: `verify` reports them, or nothing depends on them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::support::command::bookholder;
use crate::support::node::Node;

const DATABASE: &str = "registry.redb";
/// Offsets that are flipped anywhere in the file.
const ANYWHERE: usize = 120;
/// Places of one text that are looked at, at most.
const EACH: usize = 12;
/// Bytes that are flipped, one at a time, in each.
const BYTES: usize = 5;

/// The result of `verify` for a copy.
#[derive(Clone, Debug, PartialEq)]
enum Found {
    /// It proved this state.
    Proved(Value),
    /// It reported a difference, or that it cannot read the file.
    Refused,
}

/// A stopped replica's verified files, and their contents.
struct Closed {
    database: Vec<u8>,
    state: Value,
    content_id: String,
}

/// Flips one bit of a copy of the database and asks `verify`, which must end, not panic, and give its reason.
fn flip(closed: &Closed, offset: usize, bit: usize) -> Found {
    let folder = tempfile::tempdir().expect("a folder");
    let mut database = closed.database.clone();
    database[offset] ^= 1 << bit;
    std::fs::write(folder.path().join(DATABASE), database).expect("a file");
    let (code, said) = bookholder(["verify", "--json", "--data"]).arg(folder.path()).run();
    match code {
        Some(0) => Found::Proved(said.json()["state"].clone()),
        Some(1) if !said.stdout.is_empty() => {
            let proof = said.json();
            assert!(
                proof["proved"] == false && !proof["differences"].as_array().expect("a list").is_empty(),
                "{proof}"
            );
            Found::Refused
        }
        Some(1 | 2) => {
            assert!(said.stderr.contains("\"message\": "), "at {offset}: {said:#?}");
            Found::Refused
        }
        other => panic!("at {offset}: {other:?} {said:#?}"),
    }
}

/// Flips at many offsets, on as many threads as there are processors; offset to what was found.
fn flip_all(closed: &Closed, offsets: &[usize]) -> BTreeMap<usize, Found> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(offset) = offsets.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let what = flip(closed, *offset, offset % 8);
                    found.lock().expect("a lock").insert(*offset, what);
                }
            });
        }
    });
    found.into_inner().expect("a lock")
}

/// The position of a text in the file.
fn places(bytes: &[u8], text: &[u8]) -> Vec<usize> {
    let windows = bytes.windows(text.len()).enumerate();
    windows.filter(|(_, window)| *window == text).map(|(offset, _)| offset).collect()
}

fn closed_replica(folder: &Path) -> Closed {
    let primary = Node::primary();
    for number in 0..12 {
        primary.publish(
            &format!("folder/prompt-{number}"),
            &format!("unmistakable words number {number} for {{{{who}}}}"),
        );
    }
    let resolved = primary.get("/v1/resolve/folder/prompt-3").ok();
    let content_id = resolved["content_id"].as_str().expect("an id").to_owned();
    let bundle = folder.join("bundle");
    let _said = bookholder(["bundle", "export"]).arg(&bundle).server(&primary).ok();
    let data = folder.join("replica");
    let import = bookholder(["bundle", "import"]).arg(&bundle).arg("--data").arg(&data);
    let _said = import.arg("--root-key").arg(primary.root_key()).ok().says("verified:");
    let read = |name: &str| std::fs::read(data.join(name)).expect("a file");
    Closed { database: read(DATABASE), state: primary.status()["state"].clone(), content_id }
}

/// Offsets all over the file, and in its header.
fn everywhere(closed: &Closed) -> Vec<usize> {
    let step = closed.database.len() / ANYWHERE;
    (0..ANYWHERE).map(|n| n * step + n * 7_919 % step).chain((0..320).step_by(9)).collect()
}

#[test]
fn flipped_byte_is_detected_or_harmless() {
    let folder = tempfile::tempdir().expect("a folder");
    let closed = closed_replica(folder.path());
    let proved = Found::Proved(closed.state.clone());
    let id = &closed.content_id;

    // The database keeps old pages until it needs their space, so a text may occur several times in the file; this
    // finds the current one.
    let text = |number: usize| format!("unmistakable words number {number} for").into_bytes();
    let hash: Vec<u8> =
        (3..id.len()).step_by(2).map(|at| u8::from_str_radix(&id[at..at + 2], 16).expect("hex")).collect();
    let mut needles: Vec<(String, Vec<u8>)> = (0..12).map(|number| (format!("text {number}"), text(number))).collect();
    needles.push(("a content id".to_owned(), hash));
    for (what, needle) in [
        ("a name", "folder/prompt-7"),
        ("the checkpoint", "bookholder/checkpoint"),
        ("the root document", "bookholder/root"),
        ("the epoch", "bookholder/epoch"),
        ("a reason", "because"),
    ] {
        needles.push((what.to_owned(), needle.as_bytes().to_vec()));
    }
    let mut wanted = 0;
    for (what, needle) in &needles {
        let places = places(&closed.database, needle);
        assert!(!places.is_empty(), "{what} is nowhere");
        let within = |at: &usize| (0..BYTES).map(|n| at + n * needle.len() / BYTES).collect::<Vec<_>>();
        let offsets: Vec<usize> = places.iter().take(EACH).flat_map(within).collect();
        wanted += offsets.len();
        let found = flip_all(&closed, &offsets);
        assert!(found.values().any(|found| *found == Found::Refused), "no flip of {what} is found: {found:?}");
        assert!(found.values().all(|found| *found == Found::Refused || *found == proved), "{what}: {found:?}");
    }
    assert!(wanted >= 100, "{wanted}");

    for (offset, found) in flip_all(&closed, &everywhere(&closed)) {
        assert!(found == Found::Refused || found == proved, "at {offset}: {found:?}");
    }
}

#[test]
fn truncated_or_foreign_file_is_reported_as_damaged() {
    let folder = tempfile::tempdir().expect("a folder");
    let bytes = closed_replica(folder.path()).database;
    let check = |bytes: &[u8], part: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(DATABASE), bytes).expect("a file");
        let (code, said) = bookholder(["verify", "--data"]).arg(folder.path()).run();
        assert!(matches!(code, Some(1 | 2)), "{code:?} {said:#?}");
        let _said = said.says(part);
    };
    check(&bytes[..bytes.len() / 2], "damaged");
    check(&bytes[..4_096], "damaged");
    check(&bytes[..100], "damaged");
    check(b"no database at all, but long enough to be looked at more closely than an empty file would be", "damaged");
    let empty = tempfile::tempdir().expect("a folder");
    let _said = bookholder(["verify", "--data"]).arg(empty.path()).fails(2).says("does not contain a registry");
}

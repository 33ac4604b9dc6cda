//! Tampering with a node's own files: its database edited behind its back, its bundles changed, its memory taken away.

use std::path::Path;

use bookholder::model::audit::AUDIT_CONTEXT;
use bookholder::replication::replica_state::{OpenError, load_replica_state};
use bookholder::store::{Options, Store};
use redb::{Database, ReadableTable, TableDefinition};
use tempfile::TempDir;

use crate::support::primary::{Primary, open_store, verify_store};
use crate::support::replica::{Replica, open_follower};
use crate::support::upstream::Reply;

const ENTRIES: TableDefinition<'_, &[u8], (u64, &[u8])> = TableDefinition::new("entries/v1");
const CHANGES: TableDefinition<'_, (u64, &[u8]), bool> = TableDefinition::new("changes/v1");
const LATTICES: TableDefinition<'_, &str, (u64, u64, &[u8])> = TableDefinition::new("lattices/v1");
const CONTENT_HOMES: TableDefinition<'_, ([u8; 32], &str), ()> = TableDefinition::new("content_homes/v1");
const DEPENDENTS: TableDefinition<'_, (&str, &str, u64), u64> = TableDefinition::new("dependents/v1");
const TOMBSTONES: TableDefinition<'_, &[u8], (u64, i64)> = TableDefinition::new("tombstones/v1");
const AUDIT: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("audit/v1");
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta/v1");

async fn primary() -> Primary {
    let primary = Primary::found();
    primary.publish("tone", "kind").await;
    primary.publish("a", "{{> tone@1}}").await;
    primary.deploy("a", 1, "production").await;
    primary.deploy("a", 1, "staging").await;
    primary.unlabel("a", "staging").await.expect("a label");
    primary
}

/// A stopped replica's directory, and its expected state.
async fn stopped_replica() -> (Primary, std::sync::Arc<TempDir>) {
    let primary = primary().await;
    let replica = Replica::synced(&primary).await;
    let directory = replica.stop().await;
    (primary, directory)
}

/// Edits a copy of a database.
fn edited(original: &Path, edit: impl FnOnce(&redb::WriteTransaction)) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("registry.redb");
    std::fs::copy(original.join("registry.redb"), &path).expect("a copy");
    let database = Database::open(path).expect("a database");
    let txn = database.begin_write().expect("a transaction");
    edit(&txn);
    txn.commit().expect("a commit");
    directory
}

fn open(directory: &TempDir) -> Store {
    Store::open(&Options { directory: directory.path().to_owned(), create: false }).expect("a store")
}

/// The first entry whose key has this kind, with its value changed by one bit.
fn flip_entry(txn: &redb::WriteTransaction, kind: u8) {
    let mut table = txn.open_table(ENTRIES).expect("a table");
    let found = table.iter().expect("rows").map(|row| row.expect("a row")).find_map(|(key, value)| {
        let (seq, bytes) = value.value();
        let at = key.value().iter().position(|byte| *byte == 0).expect("a namespace");
        (key.value()[at + 1] == kind).then(|| (key.value().to_vec(), seq, bytes.to_vec()))
    });
    let (key, seq, mut bytes) = found.expect("an entry of the kind");
    *bytes.last_mut().expect("a value") ^= 1;
    table.insert(key.as_slice(), (seq, bytes.as_slice())).expect("written");
}

#[tokio::test]
async fn verify_detects_a_changed_entry_of_any_kind() {
    let (primary, directory) = stopped_replica().await;
    let good = open_store(directory.path());
    let report = verify_store(&good);
    assert_eq!((report.differences.clone(), report.state), (Vec::new(), primary.state().1));
    good.close().await;
    for kind in 1..=5 {
        let store = open(&edited(directory.path(), |txn| flip_entry(txn, kind)));
        let report = verify_store(&store);
        assert!(!report.differences.is_empty(), "kind {kind}");
        assert_ne!(report.state.hash, primary.state().1.hash, "kind {kind}");
    }
}

#[tokio::test]
async fn every_table_that_follows_from_the_entries_is_checked_against_them() {
    let (_primary, directory) = stopped_replica().await;
    let check = |what: &str, edit: &dyn Fn(&redb::WriteTransaction)| {
        let store = open(&edited(directory.path(), edit));
        let report = verify_store(&store);
        assert!(
            report.differences.iter().any(|difference| difference.contains(what)),
            "{what}: {:?}",
            report.differences
        );
    };
    check("is missing from the change index", &|txn| {
        txn.open_table(CHANGES).expect("a table").pop_first().expect("a row");
    });
    check("the change index has", &|txn| {
        txn.open_table(CHANGES).expect("a table").insert((1, &b"zzz\0\x01z"[..]), false).expect("written");
    });
    check("the stored counts of the namespace `default`", &|txn| {
        txn.open_table(LATTICES).expect("a table").insert("default", (1, 1, &[0; 2_048][..])).expect("written");
    });
    check("the stored counts of the namespace `ghost`", &|txn| {
        txn.open_table(LATTICES).expect("a table").insert("ghost", (1, 1, &[0; 2_048][..])).expect("written");
    });
    check("the content index", &|txn| {
        txn.open_table(CONTENT_HOMES).expect("a table").insert(([7; 32], "default"), ()).expect("written");
    });
    check("the include index", &|txn| {
        txn.open_table(DEPENDENTS).expect("a table").insert(("x", "y", 1), 1).expect("written");
    });
    check("deletion", &|txn| {
        txn.open_table(TOMBSTONES).expect("a table").insert(&b"zzz\0\x01z"[..], (1, 1)).expect("written");
    });
}

#[tokio::test]
async fn replica_does_not_start_on_an_unsigned_state() {
    let (primary, directory) = stopped_replica().await;
    let check = |message: &str, edit: &dyn Fn(&redb::WriteTransaction)| {
        let edited = edited(directory.path(), edit);
        let store = open(&edited);
        let error = load_replica_state(&store.read().expect("a state"), edited.path(), &primary.root_key).err();
        assert!(error.map(|error| error.to_string()).unwrap_or_default().contains(message), "{message}");
    };
    check("does not match its signed checkpoint; run `bookholder verify`", &|txn| {
        txn.open_table(LATTICES).expect("a table").remove("default").expect("removed");
    });
    let flip = |key: &'static str, at: usize| {
        move |txn: &redb::WriteTransaction| {
            let mut meta = txn.open_table(META).expect("a table");
            let mut bytes = meta.get(key).expect("a table").expect("a row").value().to_vec();
            bytes[at] ^= 1;
            meta.insert(key, bytes.as_slice()).expect("written");
        }
    };
    check("the stored state does not verify", &flip("note", 60));
    check("does not match its signed checkpoint", &flip("head", 3));
    check("this directory belongs to the root key", &|txn| {
        let other = format!("bk1-{}", "0".repeat(64));
        let mut meta = txn.open_table(META).expect("a table");
        meta.insert("trusted_root", other.as_bytes()).expect("written");
    });
    check("the stored state does not verify", &|txn| {
        txn.open_table(TableDefinition::<u64, &[u8]>::new("roots/v1"))
            .expect("a table")
            .insert(1, &b"x"[..])
            .expect("written");
    });
    check("the stored state does not verify", &|txn| {
        txn.open_table(TableDefinition::<u64, &[u8]>::new("epochs/v1")).expect("a table").remove(1).expect("removed");
    });
}

#[tokio::test]
async fn directory_has_one_role_and_one_root() {
    let (primary, directory) = stopped_replica().await;
    let store = open_store(directory.path());
    let other = Primary::found();
    let error = open_follower(&store, &primary.clock, None, other.root_key).err().expect("another root");
    assert!(matches!(error, OpenError::OtherRoot { .. }), "{error}");
    let error = open_follower(&primary.store, &primary.clock, None, primary.root_key).err().expect("a primary");
    assert_eq!(
        error.to_string(),
        "this directory belongs to a primary; start it with `bookholder serve`, or use a different --data for the \
            replica"
    );
}

#[tokio::test]
async fn broken_audit_chain_is_reported_at_the_broken_entry() {
    let primary = primary().await;
    let check = |broken_at: u64, edit: &dyn Fn(&redb::WriteTransaction)| {
        let verdict = open(&edited(primary.path(), edit)).read().expect("a state").verify_audit().expect("a log");
        assert_eq!((verdict.whole, verdict.broken_at), (false, Some(broken_at)));
    };
    check(4, &|txn| {
        txn.open_table(AUDIT).expect("a table").remove(3).expect("removed");
    });
    check(3, &|txn| {
        let mut audit = txn.open_table(AUDIT).expect("a table");
        let mut bytes = audit.get(3).expect("a table").expect("a row").value().to_vec();
        let at = bytes.windows(5).position(|part| part == b"admin").expect("the actor");
        bytes[at] = b'h';
        audit.insert(3, bytes.as_slice()).expect("written");
    });
}

#[tokio::test]
async fn audit_entry_of_a_newer_program_is_verified_but_not_shown() {
    let primary = primary().await;
    let last = primary.state().0.seq;
    let edited = edited(primary.path(), |txn: &redb::WriteTransaction| {
        let mut audit = txn.open_table(AUDIT).expect("a table");
        let bytes = audit.get(last).expect("a table").expect("a row").value().to_vec();
        // Kind, version, and a length of two bytes after its marker precede the JSON.
        let mut entry: serde_json::Value = serde_json::from_slice(&bytes[5..]).expect("JSON");
        entry["command"] = "dance".into();
        entry.as_object_mut().expect("fields").remove("hash");
        let unhashed = serde_json_canonicalizer::to_vec(&entry).expect("JSON");
        let hash = blake3::Hasher::new_derive_key(AUDIT_CONTEXT).update(&unhashed).finalize();
        entry["hash"] = hash.to_hex().as_str().into();
        let json = serde_json_canonicalizer::to_vec(&entry).expect("JSON");
        let length = u16::try_from(json.len()).expect("short").to_le_bytes();
        audit.insert(last, [&[16, 1, 251][..], &length, &json].concat().as_slice()).expect("written");
    });
    let store = open(&edited);
    let txn = store.read().expect("a state");
    let verdict = txn.verify_audit().expect("a log");
    assert_eq!((verdict.entries, verdict.broken_at, verdict.anchored), (last, None, Some(false)));
    let error = txn.audit_from(last, 1).expect_err("not known").to_string();
    let begin = format!("entry {last} of the audit log says what this program does not know (unknown variant `dance`");
    assert!(error.starts_with(&begin) && error.ends_with("upgrade it"), "{error}");
}

#[tokio::test]
async fn wiped_replica_rejects_older_states() {
    let primary = primary().await;
    let old = primary.crashed_copy();
    primary.publish("a", "newer").await;
    let replica = Replica::synced(&primary).await;
    let directory = replica.stop().await;
    std::fs::remove_file(directory.path().join("registry.redb")).expect("the data is gone");
    let mut replica = Replica::reopen(&primary, directory, primary.clock.clone()).await;
    let trouble = replica.offer(Reply::Bytes(old.answer(replica.asks_after()).await)).await.expect("refused");
    assert_eq!(trouble.reason, "rollback");
    assert!(replica.text("a@1").is_err(), "it holds nothing yet");
    replica.sync(&primary).await;
}

#[tokio::test]
async fn any_changed_byte_of_a_bundle_is_refused_and_the_whole_one_is_imported() {
    let primary = primary().await;
    let bundle = primary.bundle().await;
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open_store(directory.path());
    let (mut follower, resolver, _) = open_follower(&store, &primary.clock, None, primary.root_key).expect("a replica");
    let tree = bundle.path().join("replication/v1");
    let only =
        |folder: &str| std::fs::read_dir(tree.join(folder)).expect(folder).next().expect(folder).expect(folder).path();
    let files = ["root/1".into(), "epoch/1".into(), "view/all/checkpoint".into()];
    let files = files.map(|file: std::path::PathBuf| tree.join(file)).into_iter();
    for file in files.chain([only("view/all/manifest"), only("view/all/snapshot")]) {
        let original = std::fs::read(&file).expect("a file");
        for at in (0..original.len()).step_by(original.len() / 40 + 1) {
            let mut changed = original.clone();
            changed[at] ^= 1 << (at % 8);
            std::fs::write(&file, changed).expect("written");
            assert!(follower.import(bundle.path()).await.is_err(), "{} at {at}", file.display());
            assert!(!resolver.is_ready());
        }
        std::fs::write(&file, &original[..original.len() / 2]).expect("written");
        assert!(follower.import(bundle.path()).await.is_err(), "{} cut", file.display());
        std::fs::remove_file(&file).expect("removed");
        assert!(follower.import(bundle.path()).await.is_err(), "{} missing", file.display());
        std::fs::write(&file, original).expect("written");
    }
    follower.import(bundle.path()).await.expect("a good bundle");
    follower.import(bundle.path()).await.expect("the same again is known");
    assert_eq!(crate::support::primary::state_of(&store), primary.state());
    assert_eq!(
        crate::support::primary::text_of(&resolver, "a", &bookholder::resolve::Query::default()).expect("it"),
        "kind"
    );
    assert!(verify_store(&store).differences.is_empty());
}

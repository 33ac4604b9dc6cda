//! What is acknowledged stays: through refusals, failures half-way, crashes, second processes and broken files.

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bookholder::model::position::Position;
use bookholder::store::backup::copy;
use bookholder::store::{Options, Store, StoreError};
use redb::{Database, TableDefinition};

use crate::support::filler;
use crate::support::primary::{Primary, open_store, outside, state_of, verify_store};
use crate::support::replica::Replica;
use crate::support::wire::{read_note, records, unframe};

/// Deadline for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta/v1");
/// Other encodings of the name.
const FOREIGN: TableDefinition<'_, u64, u64> = TableDefinition::new("meta/v1");
const DAY_MS: u64 = 24 * 3_600_000;

fn open(directory: &Path, create: bool) -> Result<Store, StoreError> {
    Store::open(&Options { directory: directory.to_owned(), create })
}

fn refusal(directory: &Path, create: bool) -> String {
    open(directory, create).err().expect("a refusal").to_string()
}

/// Blocks the writer thread until the returned sender is dropped, so that writes meanwhile form one group.
fn hold(store: &Store) -> mpsc::Sender<()> {
    let (release, held) = mpsc::channel::<()>();
    let (started, wait) = mpsc::channel();
    let store = store.clone();
    std::thread::spawn(move || {
        store.write_blocking(move |_| -> Result<(), StoreError> {
            started.send(()).expect("somebody waits");
            let _released = held.recv();
            Ok(())
        })
    });
    wait.recv_timeout(PATIENCE).expect("the writer is held");
    release
}

/// Puts a value, or refuses before or after having done so.
enum Job {
    Good,
    Refuses,
    FailsHalfWay,
}

async fn group(jobs: Vec<Job>) -> (Vec<Result<(), String>>, usize, Store, tempfile::TempDir) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open_store(directory.path());
    let release = hold(&store);
    let mut waits = Vec::new();
    for (number, job) in jobs.into_iter().enumerate() {
        let write = store.write(move |txn| -> Result<(), StoreError> {
            let key = format!("job-{number}");
            match job {
                Job::Good => filler::put(txn, &key, "done"),
                Job::Refuses => Err(StoreError::Absent { path: key.into() }),
                Job::FailsHalfWay => filler::put(txn, &key, "half").and(Err(StoreError::Absent { path: key.into() })),
            }
        });
        let mut write = Box::pin(write);
        // The first poll puts it into the queue.
        assert!(futures_util::FutureExt::now_or_never(write.as_mut()).is_none());
        waits.push(write);
    }
    drop(release);
    let mut outcomes = Vec::new();
    for wait in waits {
        outcomes.push(wait.await.map_err(|error| error.to_string()));
    }
    let txn = store.read().expect("a state");
    let kept =
        (0..outcomes.len()).filter(|n| filler::get(&txn, &format!("job-{n}")).expect("a table").is_some()).count();
    drop(txn);
    (outcomes, kept, store, directory)
}

#[tokio::test]
async fn rejected_job_changes_nothing_and_its_group_commits() {
    let (outcomes, kept, ..) = group(vec![Job::Good, Job::Refuses, Job::Good]).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    assert!(outcomes[1].as_ref().expect_err("it refused").contains("job-1 does not contain a registry"));
    assert_eq!(kept, 2);
}

#[tokio::test]
async fn failed_job_aborts_its_group_and_the_next_group_commits() {
    let (outcomes, kept, store, _directory) = group(vec![Job::Good, Job::FailsHalfWay, Job::Good]).await;
    let aborted = "another write in the same group failed; nothing was written, try again";
    assert_eq!(outcomes[0], Err(aborted.to_owned()));
    assert!(
        outcomes[1].as_ref().expect_err("it failed").contains("job-1 does not contain a registry"),
        "its own error"
    );
    assert_eq!(outcomes[2], Err(aborted.to_owned()));
    assert_eq!(kept, 0);
    store.write(|txn| filler::put(txn, "next", "done")).await.expect("the next group is written");
}

#[tokio::test]
async fn full_write_queue_rejects_at_once() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open_store(directory.path());
    let release = hold(&store);
    let mut waits = Vec::new();
    let refused = loop {
        let mut write = Box::pin(store.write(|_| -> Result<(), StoreError> { Ok(()) }));
        match futures_util::FutureExt::now_or_never(write.as_mut()) {
            None => waits.push(write),
            Some(outcome) => break outcome,
        }
        assert!(waits.len() <= 4_096, "the queue is bounded");
    };
    assert_eq!(refused.expect_err("it is full").to_string(), "too many writes are already waiting; try again");
    drop(release);
    for wait in waits {
        wait.await.expect("those that wait are served");
    }
}

#[tokio::test]
async fn closed_store_returns_an_error() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let store = open_store(directory.path());
    store.close().await;
    let outcome = store.write(|txn| filler::put(txn, "a", "b")).await;
    assert_eq!(outcome.expect_err("it is closed").to_string(), "the writer has stopped; see the log for the cause");
}

#[test]
fn second_process_on_a_directory_is_rejected() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let _first = open_store(directory.path());
    let file = directory.path().join("registry.redb");
    assert_eq!(
        refusal(directory.path(), true),
        format!("another process is using {}; stop it, or use a different directory with --data", file.display())
    );
}

#[test]
fn newer_schema_and_foreign_database_are_refused_unchanged() {
    let check = |edit: &dyn Fn(&redb::WriteTransaction), part: &str| {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("registry.redb");
        let database = Database::create(&path).expect("a database");
        let txn = database.begin_write().expect("a transaction");
        edit(&txn);
        txn.commit().expect("a commit");
        drop(database);
        for create in [true, false] {
            let message = refusal(directory.path(), create);
            assert!(message.contains(part), "{message}");
        }
    };
    check(
        &|txn| drop(txn.open_table(META).expect("a table").insert("schema", &2_u64.to_le_bytes()[..])),
        "was written by a newer bookholder (schema 2, this one reads up to 1); upgrade this program",
    );
    check(&|txn| drop(txn.open_table(FOREIGN).expect("a table").insert(1, 1)), "is damaged: it is not a registry");
}

#[test]
fn unusable_directories_have_a_hint() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let empty = directory.path().join("empty");
    let shown = empty.display();
    assert_eq!(
        refusal(&empty, false),
        format!("{shown} does not contain a registry; start one with `bookholder serve --data {shown}`")
    );
    assert!(!empty.exists(), "looking makes nothing");
    let file = directory.path().join("file");
    std::fs::write(&file, "not a directory").expect("written");
    let write = "cannot be written to; check its owner and permissions, and that its file system is not read-only";
    assert!(refusal(&file, true).contains(write));
    assert!(refusal(&file.join("below"), true).contains(write));
    // Even root cannot write here.
    assert!(refusal(Path::new("/proc/bookholder"), true).contains(write));
}

#[test]
fn other_file_is_rejected_and_left_unchanged() {
    for garbage in [&b"x"[..], &vec![0xff; 100_000], &vec![0; 100_000], "PRAGMA user_version".repeat(400).as_bytes()] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("registry.redb");
        std::fs::write(&path, garbage).expect("written");
        let message = refusal(directory.path(), true);
        assert!(message.contains("is damaged: ") && message.contains("restore a backup"), "{message}");
        assert_eq!(std::fs::read(&path).expect("the file"), garbage);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backup_during_writes_is_consistent_and_usable() {
    let primary = Primary::found();
    let writer = {
        let (registry, admin) = (primary.registry.clone(), primary.admin.clone());
        tokio::spawn(async move {
            for round in 0..120 {
                let request = crate::support::primary::request(&format!("text {round}"));
                let name = crate::support::primary::name(&format!("p{}", round % 5));
                registry.publish(&admin, name, request).await.expect("no refusal");
            }
        })
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let mut copies = 0;
    while !writer.is_finished() || copies == 0 {
        let place = directory.path().join(copies.to_string());
        std::fs::create_dir(&place).expect("a folder");
        let txn = primary.store.read().expect("a state");
        let (path, expected) = (place.join("registry.redb"), txn.head().expect("a head"));
        outside(move || copy(&txn, &path).expect("a copy"));
        let restored = open(&place, false).expect("a store");
        let report = verify_store(&restored);
        assert_eq!((report.head, report.differences), (expected, Vec::<String>::new()));
        assert!(restored.read().expect("a state").verify_audit().expect("a log").whole);
        copies += 1;
    }
    writer.await.expect("no panic");
    let txn = primary.store.read().expect("a state");
    let taken = directory.path().join("0/registry.redb");
    let before = std::fs::read(&taken).expect("a backup");
    assert!(copy(&txn, &taken).is_err(), "a backup never overwrites anything");
    assert_eq!(std::fs::read(&taken).expect("a backup"), before);
}

#[tokio::test]
async fn acknowledged_writes_survive_a_crash_at_any_commit() {
    let primary = Primary::found();
    for round in 1..=12 {
        primary.publish("a", &format!("text {round}")).await;
        primary.deploy("a", round, "production").await;
        let crashed = primary.crashed_copy();
        assert_eq!(crashed.state(), primary.state(), "round {round}");
        assert_eq!(crashed.text("a").expect("acknowledged"), format!("text {round}"));
        crashed.verify();
        assert!(crashed.view().verify_audit().expect("a log").whole);
        assert_eq!(crashed.publish("a", "after the crash").await.version.number, round + 1);
    }
}

#[tokio::test]
async fn store_dropped_without_closing_opens_again() {
    let primary = Primary::found();
    primary.publish("a", "text").await;
    let (directory, clock, state, root_key) =
        (primary.directory(), primary.clock.clone(), primary.state(), primary.root_key);
    drop(primary);
    let deadline = Instant::now() + PATIENCE;
    // Its writer thread lets go of the file by itself.
    let again = loop {
        match open(directory.path(), false) {
            Ok(store) => break store,
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(state_of(&again), state);
    again.close().await;
    let primary = Primary::open(directory, clock, "another name is not taken");
    assert_eq!((primary.root_key, primary.signer.registry.as_str()), (root_key, "example"));
    assert_eq!(primary.publish("a", "more").await.version.number, 2);
}

#[tokio::test]
async fn forgotten_deletions_raise_the_floor_and_replicas_below_it_get_everything() {
    let primary = Primary::found();
    for prompt in ["a", "b"] {
        primary.publish(prompt, "text").await;
        primary.deploy(prompt, 1, "production").await;
    }
    let mut replica = Replica::synced(&primary).await;
    let below = replica.asks_after();
    primary.unlabel("a", "production").await.expect("a label");
    let at_floor = primary.state().0;
    primary.wait(29 * DAY_MS).unlabel("b", "production").await.expect("a label");
    let before = primary.state();
    assert_eq!(primary.registry.forget_old_deletions().await.expect("nothing is old yet"), 0);
    primary.wait(2 * DAY_MS);
    assert_eq!(primary.registry.forget_old_deletions().await.expect("one is old"), 1);
    assert_eq!(primary.state(), before, "deletions are not part of the state");
    let report = primary.verify();
    assert_eq!((report.head.floor, report.head.tombstones), (at_floor.seq, 1));

    let data = |answer: Vec<u8>| records(&unframe(&answer).1);
    let delta = data(primary.answer(at_floor).await);
    assert!(delta.len() <= 4, "from the floor on, a delta: {}", delta.len());
    let whole = data(primary.answer(below).await);
    assert_eq!(
        whole.len() as u64 - 1,
        read_note(&unframe(&primary.answer(below).await).0).entries,
        "below it, everything"
    );
    assert_eq!(whole, data(primary.answer(Position::default()).await));
    replica.clock.advance(31 * DAY_MS);
    replica.sync(&primary).await;
    assert!(replica.text("a").is_err() && replica.text("b").is_err());
    assert_eq!(verify_store(&replica.store).differences, Vec::<String>::new());
}

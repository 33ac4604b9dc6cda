//! Errors of the disk beneath a store: reads continue, writes recover automatically, and errors are accurate.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bookholder::resolve::resolver::{Query, Resolver};
use bookholder::store::disk::{Access, FileMedium, StorageMedium};
use bookholder::store::read::ReadTxn;
use bookholder::store::{Options, Store, StoreError};
use redb::StorageBackend;

use crate::support::filler;
use crate::support::node::{PATIENCE, eventually};
use crate::support::primary::{Primary, text_of};

/// How long a reader may be without an answer while the database is reopened; a generous limit.
const GAP: Duration = Duration::from_secs(5);

/// Large values beside the prompts.
const BIG: usize = 60;

fn big(number: usize) -> String {
    format!("big-{number}")
}

/// What fails, switched by a test.
#[derive(Debug, Default)]
struct Switches {
    read: AtomicBool,
    write: AtomicBool,
    flush: AtomicBool,
    open_to_write: AtomicBool,
    /// Of a hundred writes and flushes, so many fail.
    percent: AtomicU32,
    /// Of a hundred reads, so many fail.
    read_percent: AtomicU32,
    asked: AtomicU32,
}

impl Switches {
    fn check_percent(&self, percent: &AtomicU32) -> io::Result<()> {
        let asked = self.asked.fetch_add(1, Ordering::SeqCst);
        let fails = asked.wrapping_mul(2_654_435_761) % 100 < percent.load(Ordering::SeqCst);
        if fails { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    }
}

const EIO: i32 = 5;
const EROFS: i32 = 30;

fn check(switch: &AtomicBool, code: i32) -> io::Result<()> {
    if switch.load(Ordering::SeqCst) { Err(io::Error::from_raw_os_error(code)) } else { Ok(()) }
}

/// A file whose disk fails on request.
struct FailingDisk {
    file: FileMedium,
    switches: Arc<Switches>,
}

#[derive(Debug)]
struct FailingBytes {
    inner: Box<dyn StorageBackend>,
    switches: Arc<Switches>,
}

impl FailingDisk {
    fn of(directory: &Path) -> (Arc<Self>, Arc<Switches>) {
        let switches = Arc::new(Switches::default());
        let file = FileMedium::new(directory.join("registry.redb"));
        (Arc::new(Self { file, switches: Arc::clone(&switches) }), switches)
    }
}

impl StorageMedium for FailingDisk {
    fn open(&self, access: Access) -> io::Result<Box<dyn StorageBackend>> {
        if access == Access::Write {
            check(&self.switches.open_to_write, EROFS)?;
        }
        let inner = self.file.open(access)?;
        Ok(Box::new(FailingBytes { inner, switches: Arc::clone(&self.switches) }))
    }

    fn create(&self) -> io::Result<Box<dyn StorageBackend>> {
        self.file.create()
    }

    fn install(&self, keep: bool) -> io::Result<()> {
        self.file.install(keep)
    }
}

impl StorageBackend for FailingBytes {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        check(&self.switches.read, EIO)?;
        self.switches.check_percent(&self.switches.read_percent)?;
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        check(&self.switches.write, EIO)?;
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        check(&self.switches.flush, EIO)?;
        self.switches.check_percent(&self.switches.percent)?;
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        check(&self.switches.write, EIO)?;
        self.switches.check_percent(&self.switches.percent)?;
        self.inner.write(offset, data)
    }
}

/// A registry with prompts `p0` to `p19`, on a disk that works so far; nothing of it is in the cache of answers.
async fn registry() -> (Store, Resolver, Arc<Switches>, Arc<tempfile::TempDir>) {
    let primary = Primary::found();
    for number in 0..20 {
        primary.publish(&format!("p{number}"), &format!("text {number}")).await;
    }
    let directory = primary.directory();
    primary.store.close().await;
    drop(primary);
    let (disk, switches) = FailingDisk::of(directory.path());
    let store = open(directory.path(), disk).expect("a store");
    // More than redb caches in memory.
    let fill = store.write(|txn| (0..BIG).try_for_each(|number| filler::put(txn, &big(number), &"7".repeat(100_000))));
    fill.await.map_err(|error: StoreError| error).expect("written");
    let resolver = Resolver::new(store.clone(), 0);
    (store, resolver, switches, directory)
}

fn open(directory: &Path, disk: Arc<FailingDisk>) -> Result<Store, StoreError> {
    Store::open_on(&Options { directory: directory.to_owned(), create: false }, disk)
}

fn text(resolver: &Resolver, number: usize) -> Result<String, String> {
    let reference = format!("p{}@latest", number % 20);
    text_of(resolver, &reference, &Query::default()).map_err(|error| error.to_string())
}

async fn put(store: &Store, key: &'static str) -> Result<(), StoreError> {
    store.write(move |txn| filler::put(txn, key, "kept")).await
}

fn until_writable(store: &Store) {
    let writable = || store.condition().health().writable.then_some(());
    eventually(PATIENCE, writable).unwrap_or_else(|| panic!("never: {:?}", store.condition().fault()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_continue_while_writes_fail_and_writes_recover_by_themselves() {
    for (what, switch) in [("write", 0), ("flush", 1)] {
        let (store, resolver, switches, _directory) = registry().await;
        let switch = if switch == 0 { &switches.write } else { &switches.flush };
        switch.store(true, Ordering::SeqCst);
        let refused = put(&store, "refused").await.expect_err("the disk fails").to_string();
        assert!(refused.starts_with("the disk failed: ") && refused.contains("Input/output error"), "{refused}");
        for number in 0..20 {
            assert_eq!(text(&resolver, number), Ok(format!("text {number}")), "{what}");
        }
        let fault = store.condition().fault().expect("a fault");
        assert_eq!(fault.reason, "disk_failed");
        assert!(store.condition().not_ready().is_none(), "it can be read");
        assert!(put(&store, "refused").await.expect_err("it still fails").to_string().starts_with("the disk failed: "));
        switch.store(false, Ordering::SeqCst);
        until_writable(&store);
        put(&store, "kept").await.expect("writes work");
        let txn = store.read().expect("a state");
        assert_eq!(filler::get(&txn, "refused").expect("a table"), None);
        assert_eq!(filler::get(&txn, "kept").expect("a table").as_deref(), Some("kept"));
        drop(txn);
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transient_read_error_recovers_without_a_write() {
    let (store, resolver, switches, _directory) = registry().await;
    switches.read.store(true, Ordering::SeqCst);
    let read = |number| store.view(|txn| filler::get(txn, &big(number)));
    let refused = (0..BIG).find_map(|number| read(number).err()).expect("a refusal").to_string();
    assert!(!refused.contains("too many writes"), "{refused}");
    let closed = eventually(PATIENCE, || {
        let refused = text(&resolver, 3).err()?;
        refused.starts_with("the database is closed after a disk error: ").then_some(refused)
    });
    let closed = closed.expect("the truth");
    assert!(closed.contains("Input/output error"), "{closed}");
    assert_eq!(store.condition().not_ready().expect("not ready").reason, "closed");
    let refused = put(&store, "refused").await.expect_err("closed").to_string();
    assert!(refused.starts_with("the database is closed after a disk error: "), "{refused}");
    switches.read.store(false, Ordering::SeqCst);
    eventually(PATIENCE, || text(&resolver, 3).ok()).expect("it reads again");
    until_writable(&store);
    assert!(store.condition().fault().is_none());
    put(&store, "kept").await.expect("writes work");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_a_third_of_all_reads_failing_every_question_is_answered_and_writes_work() {
    let (store, resolver, switches, _directory) = registry().await;
    switches.read_percent.store(33, Ordering::SeqCst);
    let before = switches.asked.load(Ordering::SeqCst);
    for number in 0..10 * BIG {
        let value = store.view(|txn| filler::get(txn, &big(number % BIG))).expect("it is read");
        assert_eq!(value, Some("7".repeat(100_000)));
        assert_eq!(text(&resolver, number), Ok(format!("text {}", number % 20)));
        assert_eq!(store.condition().fault().map(|fault| fault.detail), None, "question {number}");
    }
    let asked = switches.asked.load(Ordering::SeqCst) - before;
    assert!(asked > 300, "the disk was asked {asked} times");
    put(&store, "kept").await.expect("writes work");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn node_starts_and_reads_on_a_read_only_file() {
    let (store, _, _, directory) = registry().await;
    store.close().await;
    let before = std::fs::read(directory.path().join("registry.redb")).expect("the file");
    let (disk, switches) = FailingDisk::of(directory.path());
    switches.open_to_write.store(true, Ordering::SeqCst);
    switches.write.store(true, Ordering::SeqCst);
    switches.flush.store(true, Ordering::SeqCst);
    let store = open(directory.path(), disk).expect("it opens for reading");
    let resolver = Resolver::new(store.clone(), 0);
    assert_eq!(text(&resolver, 7), Ok("text 7".to_owned()));
    let refused = put(&store, "refused").await.expect_err("read-only").to_string();
    assert!(refused.contains("Read-only file system"), "{refused}");
    assert_eq!(store.condition().fault().expect("a fault").reason, "disk_failed");
    assert_eq!(std::fs::read(directory.path().join("registry.redb")).expect("the file"), before);
    switches.open_to_write.store(false, Ordering::SeqCst);
    switches.write.store(false, Ordering::SeqCst);
    switches.flush.store(false, Ordering::SeqCst);
    until_writable(&store);
    put(&store, "kept").await.expect("writes work");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_reader_is_interrupted_during_recovery() {
    let (store, resolver, switches, _directory) = registry().await;
    let slow: ReadTxn = store.read().expect("a state");
    switches.flush.store(true, Ordering::SeqCst);
    put(&store, "refused").await.expect_err("the disk fails");
    switches.flush.store(false, Ordering::SeqCst);
    let began = Instant::now();
    put(&store, "kept").await.expect("writes work at once");
    assert_eq!(text(&resolver, 1), Ok("text 1".to_owned()));
    assert!(began.elapsed() < GAP, "{:?}", began.elapsed());
    let interrupted = (0..BIG).find_map(|number| filler::get(&slow, &big(number)).err()).expect("it was given up");
    assert!(matches!(interrupted, StoreError::Interrupted), "{interrupted}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn query_is_repeated_when_the_database_is_reopened_during_it() {
    let (store, _, switches, _directory) = registry().await;
    let asked = AtomicU32::new(0);
    let question = |txn: ReadTxn| {
        if asked.fetch_add(1, Ordering::SeqCst) == 0 {
            switches.flush.store(true, Ordering::SeqCst);
            let refused: Result<(), StoreError> = store.write_blocking(|txn| filler::put(txn, "refused", "kept"));
            refused.expect_err("the disk fails");
            switches.flush.store(false, Ordering::SeqCst);
        }
        (0..BIG).map(|number| filler::get(&txn, &big(number))).collect::<Result<Vec<_>, _>>()
    };
    let answer = std::thread::scope(|scope| scope.spawn(|| store.query(question)).join().expect("no panic"));
    assert_eq!(answer.expect("it is read").len(), BIG);
    assert!(asked.load(Ordering::SeqCst) > 1, "the first snapshot was cut off");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn flaky_disk_loses_no_acknowledged_write_and_serves_reads() {
    let (store, resolver, switches, directory) = registry().await;
    switches.percent.store(2, Ordering::SeqCst);
    let stop = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..2)
        .map(|offset| {
            let (resolver, stop) = (resolver.clone(), Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut number = offset;
                while !stop.load(Ordering::SeqCst) {
                    let began = Instant::now();
                    assert_eq!(text(&resolver, number), Ok(format!("text {}", number % 20)));
                    assert!(began.elapsed() < GAP, "{:?}", began.elapsed());
                    number += 1;
                }
                number
            })
        })
        .collect();
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0..300 {
        let key = format!("key-{number}");
        let kept = key.clone();
        match store.write(move |txn| filler::put(txn, &key, "kept")).await {
            Ok(()) => acknowledged.push(kept),
            Err(StoreError::Disk { .. }) => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    switches.percent.store(0, Ordering::SeqCst);
    stop.store(true, Ordering::SeqCst);
    let asked: usize = readers.into_iter().map(|reader| reader.join().expect("no read failed")).sum();
    assert!(refused > 20 && acknowledged.len() > 20 && asked > 50, "{refused} {} {asked}", acknowledged.len());
    until_writable(&store);
    store.close().await;
    let store = Store::open(&Options { directory: directory.path().to_owned(), create: false }).expect("a store");
    let txn = store.read().expect("a state");
    for key in acknowledged {
        assert!(filler::get(&txn, &key).expect("a table").is_some(), "{key} was acknowledged");
    }
    assert_eq!(
        bookholder::store::verify::verify(&txn, &mut |_| {}).expect("readable").differences,
        Vec::<String>::new()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_write_of_a_group_reports_the_disk_error() {
    let (store, _, switches, _directory) = registry().await;
    let (release, held) = std::sync::mpsc::channel::<()>();
    let (started, wait) = std::sync::mpsc::channel();
    let holder = store.clone();
    std::thread::spawn(move || {
        holder.write_blocking(move |_| -> Result<(), StoreError> {
            started.send(()).expect("somebody waits");
            let _released = held.recv();
            Ok(())
        })
    });
    wait.recv_timeout(PATIENCE).expect("the writer is held");
    let mut writes: Vec<_> = ["a", "b", "c"].map(|key| Box::pin(put(&store, key))).into();
    for write in &mut writes {
        assert!(futures_util::FutureExt::now_or_never(write.as_mut()).is_none());
    }
    switches.write.store(true, Ordering::SeqCst);
    drop(release);
    for write in writes {
        let refused = write.await.expect_err("the disk fails").to_string();
        assert!(refused.starts_with("the disk failed: "), "{refused}");
    }
    store.close().await;
}

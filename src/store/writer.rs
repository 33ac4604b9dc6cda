//! The writer thread: every change goes through it, in groups that share one durable commit.
//!
//! Jobs wait in a bounded queue. The thread takes what waits, runs the jobs one after another in
//! one redb transaction, seals and commits it, lets the readers' caches know, and only then answers:
//! an answer means durable. A job that refuses has changed nothing; one that fails half-way takes
//! its whole group with it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use redb::{Builder, Database, DatabaseError};
use tokio::sync::{oneshot, watch};

use super::error::StoreError;
use super::read::{Head, NamespaceState, ReadTxn, ViewState};
use super::sums::SummedFile;
use super::tables;
use super::write::{TOUCHED_NAMES_MAX, WriteTxn};

/// The database's file in the data directory.
pub(super) const REGISTRY_FILE: &str = "registry.redb";
/// Writes that may wait; above it, a write is refused as busy.
const QUEUE_JOBS_MAX: usize = 4_096;
/// Jobs that may share one commit: enough to spread the cost of a disk flush thin.
const GROUP_JOBS_MAX: usize = 256;
/// Memory that redb may use for pages, in bytes.
const CACHE_BYTES: usize = 4 * 1024 * 1024;
/// Room on the disk below which no write is begun, in bytes: a group, its index and redb's own pages.
const FREE_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// How long to wait for the last reader of a failed database before opening it again.
const REOPEN_TRIES: u32 = 500;
const REOPEN_PAUSE: Duration = Duration::from_millis(10);

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub directory: PathBuf,
    /// Whether to make the database when it is absent.
    pub create: bool,
}

/// What a commit left behind, for readers' caches, long polls and event streams.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Where the registry stands.
    pub head: Head,
    /// Count, size and hash of all entries.
    pub state: ViewState,
    /// Which prompts changed in the last group.
    pub touched: Touched,
    /// How long the group took, from its first job until it was durable.
    pub took: Duration,
}

/// Which prompts a group of commits changed.
#[derive(Clone, Debug)]
pub enum Touched {
    /// These, sorted.
    Names(Arc<BTreeSet<String>>),
    /// Too many to list.
    Everything,
}

/// Puts its seal under every group of commits, inside their transaction.
pub type Seal = Box<dyn FnMut(&mut WriteTxn<'_>) -> Result<(), StoreError> + Send>;
/// Learns of every group once it is durable, before anybody is answered.
pub type Observer = Box<dyn Fn(&Committed) + Send>;

/// A handle to the data directory; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    queue: SyncSender<Job>,
    committed: watch::Receiver<Arc<Committed>>,
}

struct Shared {
    directory: PathBuf,
    database: ArcSwapOption<Database>,
}

/// A job with the wire to whoever waits for it.
trait Work: Send {
    /// Runs the job; whether it refused.
    fn run(&mut self, txn: &mut WriteTxn<'_>) -> bool;
    /// Answers, once the group is committed or was not.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Task<T, E, F> {
    job: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<T, E, F> Work for Task<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send,
{
    fn run(&mut self, txn: &mut WriteTxn<'_>) -> bool {
        self.result = self.job.take().map(|job| job(txn));
        matches!(self.result, Some(Err(_)))
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (self.result, committed) {
            (Some(Err(refused)), _) => Err(refused),
            (_, Err(error)) => Err(error.into()),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(StoreError::Aborted.into()),
        };
        let _nobody_waits = self.answer.send(result);
    }
}

enum Job {
    Write(Box<dyn Work>),
    Seal(Seal),
    Observe(Observer, SyncSender<()>),
    Stop(oneshot::Sender<()>),
}

impl Store {
    /// Opens a data directory and starts its writer thread.
    ///
    /// # Errors
    /// The directory is absent, in use, not writable, damaged, or from a newer program.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        let directory = options.directory.clone();
        if options.create {
            make_directory(&directory)?;
        }
        let path = directory.join(REGISTRY_FILE);
        if !options.create && !path.exists() {
            return Err(StoreError::Absent { path: directory });
        }
        let database = open_database(&path)?;
        prepare(&database, &path)?;
        let first = first(&database)?;
        let shared = Arc::new(Shared { directory, database: ArcSwapOption::new(Some(Arc::new(database))) });
        let (queue, jobs) = sync_channel(QUEUE_JOBS_MAX);
        let (sender, committed) = watch::channel(Arc::new(first));
        let writer = Writer {
            shared: Arc::clone(&shared),
            committed: sender,
            seal: None,
            observers: Vec::new(),
            namespaces: None,
        };
        std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(&jobs))?;
        Ok(Self { shared, queue, committed })
    }

    /// Makes a data directory of a copy of a database.
    ///
    /// # Errors
    /// The directory has one already, or the copy cannot be read.
    pub fn install(directory: &Path, copy: &Path) -> Result<(), StoreError> {
        make_directory(directory)?;
        let path = directory.join(REGISTRY_FILE);
        let mut from = std::fs::File::open(copy)?;
        let mut to = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
        std::io::copy(&mut from, &mut to)?;
        Ok(to.sync_all()?)
    }

    /// The data directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// Sees the newest durable state.
    ///
    /// # Errors
    /// The database fails, or is being opened again after it did.
    pub fn read(&self) -> Result<ReadTxn, StoreError> {
        let database = self.shared.database.load_full().ok_or(StoreError::Busy)?;
        ReadTxn::begin(&database)
    }

    /// Follows what is committed; the value is there from the start.
    #[must_use]
    pub fn committed(&self) -> watch::Receiver<Arc<Committed>> {
        self.committed.clone()
    }

    /// Sets what is put under every group of commits from now on.
    pub fn set_seal(&self, seal: Seal) {
        let _sent = self.queue.send(Job::Seal(seal));
    }

    /// Adds somebody who learns of every group once it is durable; when this returns, no group will be
    /// missed. Waits for the group that is being written.
    pub fn observe(&self, observer: Observer) {
        let (added, wait) = sync_channel(1);
        if self.queue.send(Job::Observe(observer, added)).is_ok() {
            let _writer_gone = wait.recv();
        }
    }

    /// Runs a job on the writer thread; its answer means that what it did is durable.
    ///
    /// A job that returns an error must have changed nothing, or its whole group is abandoned.
    ///
    /// # Errors
    /// The job's own, or the store's.
    pub async fn write<T, E>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        self.submit(job, answer)?;
        wait.await.unwrap_or_else(|_| Err(StoreError::Stopped.into()))
    }

    /// As [`Store::write`], for threads outside of the async runtime.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T, E>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        self.submit(job, answer)?;
        wait.blocking_recv().unwrap_or_else(|_| Err(StoreError::Stopped.into()))
    }

    fn submit<T, E>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send + 'static,
        answer: oneshot::Sender<Result<T, E>>,
    ) -> Result<(), E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let task = Task { job: Some(job), result: None, answer };
        match self.queue.try_send(Job::Write(Box::new(task))) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy.into()),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Stopped.into()),
        }
    }

    /// Finishes what waits, then closes the database.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Job::Stop(done)).is_ok() {
            let _already_gone = wait.await;
        }
    }
}

struct Writer {
    shared: Arc<Shared>,
    committed: watch::Sender<Arc<Committed>>,
    seal: Option<Seal>,
    observers: Vec<Observer>,
    namespaces: Option<BTreeMap<String, NamespaceState>>,
}

impl Writer {
    fn run(mut self, jobs: &Receiver<Job>) {
        let mut stopped = None;
        while let Ok(first) = jobs.recv() {
            let mut group = Vec::new();
            for job in std::iter::once(first).chain(jobs.try_iter()) {
                match job {
                    Job::Write(job) => group.push(job),
                    Job::Seal(seal) => self.seal = Some(seal),
                    Job::Observe(observer, added) => {
                        self.observers.push(observer);
                        let _nobody_waits = added.send(());
                    }
                    Job::Stop(done) => stopped = Some(done),
                }
                if group.len() == GROUP_JOBS_MAX || stopped.is_some() {
                    break;
                }
            }
            if !group.is_empty() {
                self.run_group(group);
            }
            if let Some(done) = stopped.take() {
                self.shared.database.store(None);
                let _nobody_waits = done.send(());
                return;
            }
        }
    }

    fn run_group(&mut self, mut group: Vec<Box<dyn Work>>) {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.commit(&mut group)));
        let outcome = caught.unwrap_or_else(|_| {
            tracing::error!("a write panicked; its group was abandoned");
            Err(StoreError::Aborted)
        });
        let mut failure = None;
        match outcome {
            Ok(Some(committed)) => {
                for observer in &self.observers {
                    observer(&committed);
                }
                self.committed.send_replace(committed);
            }
            Ok(None) => {}
            Err(error) => {
                self.namespaces = None;
                if !matches!(error, StoreError::Aborted | StoreError::Full { .. }) {
                    tracing::error!(error = &error as &dyn std::error::Error, "a group of writes was not committed");
                    self.reopen();
                }
                failure = Some(error);
            }
        }
        let full = failure.as_ref().is_some_and(StoreError::is_full);
        for task in group {
            task.finish(match failure.take() {
                None => Ok(()),
                Some(error) => {
                    failure = Some(if full { self.full() } else { StoreError::Aborted });
                    Err(if full { self.full() } else { error })
                }
            });
        }
    }

    fn commit(&mut self, group: &mut [Box<dyn Work>]) -> Result<Option<Arc<Committed>>, StoreError> {
        if self.shared.database.load().is_none() {
            self.reopen();
        }
        let mut database = self.shared.database.load_full().ok_or(StoreError::Busy)?;
        check_room(&self.shared.directory)?;
        let began = Instant::now();
        let mut begun = database.begin_write();
        if matches!(begun, Err(redb::TransactionError::Storage(redb::StorageError::PreviousIo))) {
            // The disk failed a job that had changed nothing yet; this group is not to blame.
            drop(database);
            self.reopen();
            database = self.shared.database.load_full().ok_or(StoreError::Busy)?;
            begun = database.begin_write();
        }
        let mut raw = begun?;
        raw.set_quick_repair(true);
        let finished = {
            let mut txn = WriteTxn::begin(&raw, self.namespaces.take())?;
            let before = txn.mutations();
            for task in group {
                let mutations = txn.mutations();
                if task.run(&mut txn) && txn.mutations() != mutations {
                    return Err(StoreError::Aborted);
                }
            }
            if txn.mutations() == before {
                self.namespaces = Some(txn.into_namespaces());
                return Ok(None);
            }
            if let Some(seal) = &mut self.seal {
                seal(&mut txn)?;
            }
            txn.finish()?
        };
        raw.commit()?;
        self.namespaces = Some(finished.namespaces);
        let touched = if finished.touched.len() > TOUCHED_NAMES_MAX {
            Touched::Everything
        } else {
            Touched::Names(Arc::new(finished.touched))
        };
        Ok(Some(Arc::new(Committed { head: finished.head, state: finished.state, touched, took: began.elapsed() })))
    }

    fn full(&self) -> StoreError {
        match check_room(&self.shared.directory) {
            Err(full) => full,
            Ok(()) => StoreError::Full { free_bytes: 0, needed_bytes: FREE_BYTES_MIN },
        }
    }

    /// Opens the database again: after an error of the disk, redb refuses everything until then.
    fn reopen(&self) {
        let path = self.shared.directory.join(REGISTRY_FILE);
        drop(self.shared.database.swap(None));
        for _ in 0..REOPEN_TRIES {
            match open_database(&path) {
                Ok(database) => {
                    self.shared.database.store(Some(Arc::new(database)));
                    tracing::warn!("opened the database again");
                    return;
                }
                // The last reader of the failed database is not done yet.
                Err(StoreError::InUse { .. }) => std::thread::sleep(REOPEN_PAUSE),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "the database cannot be opened again yet"
                    );
                    return;
                }
            }
        }
    }
}

/// Refuses to begin a write that the disk may have no room for, while the database is still sound.
fn check_room(directory: &Path) -> Result<(), StoreError> {
    let Ok(status) = rustix::fs::statvfs(directory) else { return Ok(()) };
    let free_bytes = status.f_bavail.saturating_mul(status.f_frsize);
    if free_bytes < FREE_BYTES_MIN {
        return Err(StoreError::Full { free_bytes, needed_bytes: FREE_BYTES_MIN });
    }
    Ok(())
}

fn make_directory(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| StoreError::NotWritable { path: path.to_owned(), source })
}

/// Opens or makes the database file, and says what is wrong in the words of an operator.
pub(super) fn open_database(path: &Path) -> Result<Database, StoreError> {
    let open = || Builder::new().set_cache_size(CACHE_BYTES).create_with_backend(SummedFile::open(path)?);
    let opened = std::panic::catch_unwind(open);
    let damaged = |reason: String| StoreError::Damaged { path: path.to_owned(), reason };
    match opened.map_err(|_| damaged("its structure does not hold together".to_owned()))? {
        Ok(database) => Ok(database),
        Err(DatabaseError::DatabaseAlreadyOpen) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(DatabaseError::Storage(redb::StorageError::Corrupted(reason))) => Err(damaged(reason)),
        Err(DatabaseError::UpgradeRequired(version)) => Err(damaged(format!("its file format {version} is too old"))),
        Err(DatabaseError::Storage(redb::StorageError::Io(source))) => match source.kind() {
            std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof => Err(damaged(source.to_string())),
            std::io::ErrorKind::StorageFull => Err(StoreError::Io(source)),
            _ => Err(StoreError::NotWritable { path: path.to_owned(), source }),
        },
        Err(error) => Err(error.into()),
    }
}

/// Makes the tables of a new database, brings an older one up to date, and refuses one of a newer program.
fn prepare(database: &Database, path: &Path) -> Result<(), StoreError> {
    let found = {
        let txn = redb::ReadableDatabase::begin_read(database)?;
        match txn.open_table(tables::META) {
            Ok(meta) => meta.get("schema")?.map(|value| value.value().to_vec()),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(redb::TableError::TableTypeMismatch { .. }) => {
                return Err(StoreError::Damaged { path: path.to_owned(), reason: "it is no registry".to_owned() });
            }
            Err(error) => return Err(error.into()),
        }
    };
    let found = found.map(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).map_or(u64::MAX, u64::from_le_bytes));
    match found {
        Some(tables::SCHEMA) => return Ok(()),
        None | Some(1) => {}
        Some(found) => return Err(StoreError::Newer { path: path.to_owned(), found, known: tables::SCHEMA }),
    }
    let mut txn = database.begin_write()?;
    txn.set_quick_repair(true);
    {
        let mut writer = WriteTxn::begin(&txn, None)?;
        if found == Some(1) {
            super::upgrade::from_1(&txn, &mut writer)?;
        }
        writer.put_meta("schema", &tables::SCHEMA.to_le_bytes())?;
        writer.finish()?;
    }
    Ok(txn.commit()?)
}

fn first(database: &Database) -> Result<Committed, StoreError> {
    let txn = ReadTxn::begin(database)?;
    let state = txn.view_state()?;
    Ok(Committed { head: txn.head()?, state, touched: Touched::Everything, took: Duration::ZERO })
}

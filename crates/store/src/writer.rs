//! The data directory for the layers above: any thread reads, one thread writes.
//!
//! Jobs wait in a bounded queue. The thread takes all waiting jobs, runs them one after another in one redb
//! transaction, signs and commits it, notifies the readers' caches, and only then answers: an answer means durable. A
//! rejected job has changed nothing; one that fails halfway aborts its whole group.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex};

use arc_swap::ArcSwapOption;
use bookholder_database::guarded;
use tokio::sync::{oneshot, watch};

use super::committed::{Committed, Observer, Seal};
use super::condition::Condition;
use super::create::{self};
use super::disk::{Access, DatabaseHealth, FileMedium, StorageMedium};
use super::error::StoreError;
use super::files::REGISTRY_FILE;
use super::opening::Handle;
use super::read::ReadTxn;
use super::shared::Shared;
use super::write::WriteTxn;
use super::writing::{Task, Writer, WriterCommand};

/// Most waiting writes; beyond that, writes are rejected as busy.
const QUEUE_JOBS_MAX: usize = 4_096;
/// How often a query is retried because the database was reopened.
const VIEW_TRIES: u32 = 4;

/// How to open a store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The data directory.
    pub directory: PathBuf,
    /// Whether to create the database if it does not exist.
    pub create: bool,
}

/// A handle to the data directory; clones share it.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    queue: SyncSender<WriterCommand>,
    committed: watch::Receiver<Arc<Committed>>,
}

impl Store {
    /// Opens a data directory for reading and writing, and starts its writer thread.
    ///
    /// # Errors
    /// The directory does not exist, is in use, not writable, damaged, or from a newer program.
    pub fn open(options: &Options) -> Result<Self, StoreError> {
        let medium = FileMedium::new(options.directory.join(REGISTRY_FILE));
        Self::begin(options, Arc::new(medium), false)
    }

    /// Opens a data directory for a node: if it cannot be written, it is opened for reading and writing is tried again
    /// every second; if it is largely unused, it is compacted first.
    ///
    /// # Errors
    /// The directory does not exist, is in use, damaged, or from a newer program, or cannot be read.
    pub fn open_to_serve(options: &Options) -> Result<Self, StoreError> {
        let medium = FileMedium::new(options.directory.join(REGISTRY_FILE));
        Self::open_on(options, Arc::new(medium))
    }

    /// As [`Store::open_to_serve`], on other storage than the file.
    ///
    /// # Errors
    /// As [`Store::open_to_serve`].
    pub fn open_on(options: &Options, medium: Arc<dyn StorageMedium>) -> Result<Self, StoreError> {
        Self::begin(options, medium, true)
    }

    fn begin(options: &Options, medium: Arc<dyn StorageMedium>, serving: bool) -> Result<Self, StoreError> {
        let directory = options.directory.clone();
        if options.create {
            create::directory(&directory)?;
        }
        let path = directory.join(REGISTRY_FILE);
        if !options.create && !path.exists() {
            return Err(StoreError::Absent { path: directory });
        }
        let lock = create::lock(&directory)?;
        if !path.exists() {
            drop(Handle::create(&*medium, &path)?);
            medium.install(false).map_err(|source| StoreError::NotWritable { path: path.clone(), source })?;
        }
        let condition = Condition::default();
        let (mut handle, first) = match Handle::ready(&*medium, &path, Access::Write) {
            Err(error) if serving && error.may_be_read() => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "cannot write the database; reads continue, and writing is retried every second"
                );
                condition.set_disk_failed(Some(error.with_cause()));
                Handle::ready(&*medium, &path, Access::Read)?
            }
            opened => opened?,
        };
        if serving && handle.is_writable() && handle.compacting_pays(&*medium).unwrap_or(false) {
            // Moving a damaged page would hide the damage.
            if handle.pages_are_whole(&path)? {
                let bytes = handle.compact(&*medium, &path)?;
                tracing::info!(bytes, "released unused space of the database");
            } else {
                condition.notice_damage("a page in use is damaged".to_owned(), false);
            }
        }
        let shared = Arc::new(Shared {
            directory,
            path,
            medium,
            condition,
            handle: ArcSwapOption::new(Some(Arc::new(handle))),
            woken: AtomicBool::new(false),
            snapshots: std::sync::atomic::AtomicU64::new(0),
            swapped: (Mutex::new(()), Condvar::new()),
            lock: Mutex::new(Some(lock)),
        });
        let (queue, jobs) = sync_channel(QUEUE_JOBS_MAX);
        let (sender, committed) = watch::channel(Arc::new(first));
        let writer = Writer::new(Arc::clone(&shared), sender);
        std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || writer.run(&jobs))?;
        Ok(Self { shared, queue, committed })
    }

    /// Returns unused space of a stopped node's database to the disk; the number of bytes.
    ///
    /// # Errors
    /// As [`Store::open`]; or a page in use is damaged, which moving it would hide; or the disk has no space for moving
    /// pages.
    pub fn compact(directory: &Path) -> Result<u64, StoreError> {
        let path = directory.join(REGISTRY_FILE);
        if !path.exists() {
            return Err(StoreError::Absent { path: directory.to_owned() });
        }
        let _lock = create::lock(directory)?;
        let medium = FileMedium::new(path.clone());
        if !Handle::open(&medium, &path, Access::Read)?.pages_are_whole(&path)? {
            return Err(StoreError::Damaged { path, reason: "a page in use is damaged".to_owned() });
        }
        let (mut handle, _) = Handle::ready(&medium, &path, Access::Write)?;
        handle.compact(&medium, &path)
    }

    /// Moves a damaged database aside, so that the next open creates a new one. No node may be running on it. Returns
    /// its new path.
    ///
    /// # Errors
    /// The directory is in use, or the disk fails.
    pub fn put_aside(directory: &Path) -> Result<PathBuf, StoreError> {
        let path = directory.join(REGISTRY_FILE);
        let _lock = create::lock(directory)?;
        let aside = super::disk::set_aside_path(&path);
        std::fs::rename(&path, &aside).map_err(|source| StoreError::NotWritable { path, source })?;
        Ok(aside)
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.shared.directory
    }

    /// The database's file.
    pub fn file(&self) -> &Path {
        &self.shared.path
    }

    /// The problems of the disk and the data.
    pub fn condition(&self) -> &Condition {
        &self.shared.condition
    }

    /// A snapshot of the newest durable state.
    ///
    /// # Errors
    /// The database fails, or was closed because it failed.
    pub fn read(&self) -> Result<ReadTxn, StoreError> {
        self.begin_read().map(|(txn, _)| txn)
    }

    /// Queries the newest durable state, and retries if the database was reopened in the meantime.
    ///
    /// # Errors
    /// The query fails, or the store does.
    pub fn view<T, E: From<StoreError>>(&self, question: impl Fn(&ReadTxn) -> Result<T, E>) -> Result<T, E> {
        self.query(|txn| question(&txn))
    }

    /// The same, with a snapshot that the query owns.
    ///
    /// # Errors
    /// The query fails, or the store does.
    pub fn query<T, E: From<StoreError>>(&self, question: impl Fn(ReadTxn) -> Result<T, E>) -> Result<T, E> {
        let mut tries = 1;
        loop {
            let (txn, fate) = self.begin_read()?;
            let answer = question(txn);
            if answer.is_ok() || tries == VIEW_TRIES || !fate.is_over() {
                return answer;
            }
            tries += 1;
        }
    }

    fn begin_read(&self) -> Result<(ReadTxn, Arc<DatabaseHealth>), StoreError> {
        let shared = &self.shared;
        shared.snapshots.fetch_add(1, Ordering::Relaxed);
        let mut last = None;
        for _ in 0..VIEW_TRIES {
            let Some(handle) = shared.handle() else { break };
            if handle.health().is_over() {
                // Readers notice first if nothing is written.
                if !shared.woken.swap(true, Ordering::AcqRel) {
                    let _full_of_writes = self.queue.try_send(WriterCommand::Wake);
                }
                shared.wait_for_another(&handle);
                continue;
            }
            match guarded(|| ReadTxn::begin(handle.database()?)) {
                Ok(Ok(txn)) => return Ok((txn.noticing(shared.condition.clone()), Arc::clone(handle.health()))),
                Ok(Err(error)) => last = Some(error),
                Err(panic) => last = Some(self.torn(&panic)),
            }
            if !handle.health().is_over() {
                break;
            }
        }
        Err(match (last, shared.condition.closed()) {
            (_, Some(reason)) => StoreError::Closed { reason },
            (Some(error), None) => error,
            (None, None) => StoreError::Stopped,
        })
    }

    /// Number of snapshots opened so far.
    pub fn snapshots(&self) -> u64 {
        self.shared.snapshots.load(Ordering::Relaxed)
    }

    fn torn(&self, panic: &str) -> StoreError {
        tracing::error!(panic, "a read of the database panicked");
        self.shared.condition.notice_damage(StoreError::Torn.to_string(), false);
        StoreError::Torn
    }

    /// Subscribes to commits; the current value is available at once.
    pub fn committed(&self) -> watch::Receiver<Arc<Committed>> {
        self.committed.clone()
    }

    /// Sets the signer of every group of commits from now on.
    pub fn set_seal(&self, seal: Seal) {
        let _sent = self.queue.send(WriterCommand::Seal(seal));
    }

    /// Makes the writer thread yield to threads that answer requests: for replicas, where no client waits for writes.
    pub fn lower_write_priority(&self) {
        let _sent = self.queue.send(WriterCommand::LowerPriority);
    }

    /// Adds an observer of every group once it is durable; when this returns, no group will be missed. Waits for the
    /// group that is being written.
    pub fn observe(&self, observer: Observer) {
        let (added, wait) = sync_channel(1);
        if self.queue.send(WriterCommand::Observe(observer, added)).is_ok() {
            let _writer_gone = wait.recv();
        }
    }

    /// Runs a job on a new and empty database, which replaces this one once the job is durable; this one is moved
    /// aside. Until then everything is read from it.
    ///
    /// # Errors
    /// The job fails, or the store does; then nothing has changed.
    pub async fn write_rebuilding<T, E>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        self.send(WriterCommand::Rebuild(Box::new(Task::new(job, answer))))?;
        wait.await.unwrap_or_else(|_| Err(StoreError::Stopped.into()))
    }

    /// Runs a job on the writer thread; its answer means that its changes are durable.
    ///
    /// A job that returns an error must have changed nothing, or its whole group is aborted.
    ///
    /// # Errors
    /// The job fails, or the store does.
    pub async fn write<T, E>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.submit(Task::new, job)?.await.unwrap_or_else(|_| Err(StoreError::Stopped.into()))
    }

    /// As [`Store::write`], with access to the reserved disk space: for small writes that stop something harmful.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub async fn write_urgently<T, E>(
        &self,
        job: impl FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.submit(Task::urgent, job)?.await.unwrap_or_else(|_| Err(StoreError::Stopped.into()))
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
        self.submit(Task::new, job)?.blocking_recv().unwrap_or_else(|_| Err(StoreError::Stopped.into()))
    }

    /// Queues a job as the task that `task` makes of it; returns the receiver of its answer.
    fn submit<T, E, F>(
        &self,
        task: impl FnOnce(F, oneshot::Sender<Result<T, E>>) -> Task<T, E, F>,
        job: F,
    ) -> Result<oneshot::Receiver<Result<T, E>>, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, wait) = oneshot::channel();
        self.send(WriterCommand::Write(Box::new(task(job, answer))))?;
        Ok(wait)
    }

    fn send(&self, job: WriterCommand) -> Result<(), StoreError> {
        match self.queue.try_send(job) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(StoreError::Busy),
            Err(TrySendError::Disconnected(_)) => Err(StoreError::Stopped),
        }
    }

    /// As [`Store::close`], for threads outside of the async runtime.
    pub fn close_blocking(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(WriterCommand::Stop(done)).is_ok() {
            let _already_gone = wait.blocking_recv();
        }
    }

    /// Finishes waiting jobs, then closes the database.
    pub async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(WriterCommand::Stop(done)).is_ok() {
            let _already_gone = wait.await;
        }
    }
}

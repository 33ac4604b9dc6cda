//! `telemetry.redb`: what a node keeps of what applications report.
//!
//! A file of its own, with a writer thread of its own, so that a flood of telemetry never stands in front of a
//! deployment or a rollback, and a damaged or newer file costs the telemetry alone. A primary keeps events in
//! compressed blocks with an index, and counts them in rollups; a replica keeps them in a spool, in numbered batches,
//! until the primary has them.
//!
//! An answer of [`TelemetryStore::record`] means durable.

mod apply;
mod cardinality;
mod chains;
mod codec;
mod disk;
mod erase;
mod expire;
mod exports;
mod marks;
mod observed;
#[cfg(test)]
mod observed_tests;
mod parked;
mod query;
mod recost;
mod replicas;
mod room;
mod spool;
mod tables;
mod tallies;
#[cfg(test)]
mod tests;
mod upkeep;
mod writer;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use bookholder_database::{FileError, FileForm, guarded};
use redb::{Database, ReadTransaction, ReadableDatabase, StorageBackend};
use tokio::sync::oneshot;

pub use codec::{Batch, Recorded};
pub use erase::Erase;
pub use expire::{Expired, Retention};
pub use exports::{ExportBlock, ExportCursor, ExportDue};
pub use parked::Parking;
pub use query::{Bucket, Found, Holdings, Level, RESPONSES_MAX, SeriesBuckets, Stretch, Which};
pub use recost::{Recost, Recosted, Spent};
pub use replicas::{ReplicaProgress, SILENT_DAYS_MAX};
pub use room::Obstacle;
pub use spool::{SentBatch, SpoolId, SpoolReading, SpoolState, Spooled};
pub use tables::LEVEL_MS;

use crate::observed::Adopted;
use crate::tally::SharedTallies;

/// The database's file in the data directory.
pub const TELEMETRY_FILE: &str = "telemetry.redb";
/// The number of the tables and their keys; a file with a higher one is left alone.
const SCHEMA: u64 = 1;
/// Memory for pages of the database, in bytes.
const CACHE_BYTES: usize = 24 * 1024 * 1024;
/// Requests that may wait for the writer; above it, one is refused as busy.
const QUEUE_JOBS_MAX: usize = 256;
/// Most events of one request or batch.
pub const EVENTS_MAX: usize = 10_000;

/// What the file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Keeps and counts what is reported: a primary.
    Keep,
    /// Keeps what is reported until the primary has it: a replica.
    Spool {
        /// How large the spool may grow; beyond half of it inputs and outputs are left out, at the limit reports are
        /// refused until the primary has taken some.
        bytes_max: u64,
    },
}

/// Why telemetry is not recorded or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum TelemetryError {
    #[error("telemetry is not recorded as fast as it arrives; send it again in a few seconds")]
    Busy,
    #[error("telemetry is not recorded: the writer has stopped")]
    Stopped,
    #[error(
        "the disk is nearly full: {free_bytes} bytes are free, and telemetry leaves {needed_bytes} to the registry; free \
         space, and send it again"
    )]
    Paused { free_bytes: u64, needed_bytes: u64 },
    #[error("the disk of the telemetry failed; it is opened again as soon as that is possible")]
    DiskFailed,
    #[error("telemetry cannot be stored: {0}")]
    Database(Box<redb::Error>),
    #[error("{0}")]
    Write(String),
    #[error("the spool is full: the primary has not taken telemetry for a long time; send it again later")]
    Full,
    #[error("a record of telemetry cannot be read or written: {0}")]
    Encoding(String),
    #[error("{0}")]
    File(FileError),
    #[error("recorded telemetry is damaged, so this part of it can be neither read nor written")]
    Damaged,
    #[error("a request may have at most {EVENTS_MAX} events; this one has {0}")]
    TooMany(usize),
    #[error("batch {got} came before batch {expected}")]
    Gap { expected: u64, got: u64 },
    #[error("batch {0} came twice with different contents; the spool of that node was copied or restored")]
    Conflict(u64),
}

impl TelemetryError {
    /// Whether another process has the file open.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::File(error) if error.is_in_use())
    }
}

impl TelemetryError {
    /// Whether reports are refused until there is more room on the disk or in the spool.
    #[must_use]
    pub fn lacks_room(&self) -> bool {
        matches!(self, Self::Full | Self::Paused { .. })
    }

    /// Whether the file does not hold what was written.
    fn is_of_damage(&self) -> bool {
        match self {
            Self::Database(error) => matches!(**error, redb::Error::Corrupted(_)),
            Self::Encoding(_) | Self::File(FileError::Damaged { .. }) => true,
            _ => false,
        }
    }

    /// Whether the disk failed: the database refuses everything then until it is opened again.
    #[must_use]
    pub fn is_of_disk(&self) -> bool {
        matches!(self, Self::Database(error) if matches!(**error, redb::Error::Io(_) | redb::Error::PreviousIo))
    }
}

impl<E: Into<redb::Error>> From<E> for TelemetryError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// What became of recorded events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Events that were new.
    pub recorded: u64,
    /// Events that were there already.
    pub duplicates: u64,
    /// Events that happened longer ago than single events are kept for, and are not recorded.
    pub too_old: u64,
}

/// A handle to the file; clones share it.
#[derive(Clone)]
pub struct TelemetryStore {
    shared: Arc<Shared>,
    queue: SyncSender<writer::Job>,
}

/// What the handles and the writer thread share.
struct Shared {
    path: PathBuf,
    role: Role,
    /// Another one after its disk failed.
    database: RwLock<Arc<Handle>>,
    open: Box<dyn Fn() -> Result<Database, TelemetryError> + Send + Sync>,
    replicas: replicas::Replicas,
    /// Set once, if something reads them.
    tallies: OnceLock<SharedTallies>,
    /// How often a damaged page was met.
    damages: AtomicU64,
    /// How long telemetry is kept; set once.
    retention: OnceLock<Retention>,
    /// Events that were too old, since they were last asked for.
    too_old: AtomicU64,
    /// Whether the writer has ended.
    has_stopped: AtomicBool,
    /// Whether the disk failed, and the file is not open again.
    is_failed: AtomicBool,
    /// Since when nothing is recorded, as far as that was noticed.
    noticed: Mutex<Option<Instant>>,
    /// Whether single events take more than they may.
    is_over: AtomicBool,
}

impl Shared {
    /// Works on the file; a panic of redb on a damaged page, and a record that cannot be read, are errors.
    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, TelemetryError>) -> Result<T, TelemetryError> {
        match guarded(work) {
            Ok(Err(error)) if error.is_of_damage() => Err(self.damaged(&error.to_string())),
            Ok(done) => done,
            Err(panic) => Err(self.damaged(&panic)),
        }
    }

    /// Counts a damaged page, and says in the log what to do the first time.
    fn damaged(&self, reason: &str) -> TelemetryError {
        if self.damages.fetch_add(1, Ordering::Relaxed) == 0 {
            let error = FileError::inconsistent(&self.path);
            tracing::error!(error = &error as &dyn std::error::Error, reason, "recorded telemetry is damaged");
        }
        TelemetryError::Damaged
    }

    fn count_too_old(&self, events: u64) {
        self.too_old.fetch_add(events, Ordering::Relaxed);
    }

    fn database(&self) -> Arc<Handle> {
        Arc::clone(&self.database.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// One state of the file.
    fn begin_read(&self) -> Result<ReadTransaction, TelemetryError> {
        self.guarded(|| Ok(self.database().begin_read()?))
    }

    /// Opens the file again.
    fn reopen(&self) -> Result<(), TelemetryError> {
        let opened = Arc::new(Handle(Some((self.open)()?)));
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = opened;
        Ok(())
    }
}

impl TelemetryStore {
    /// Opens the file in a data directory, or creates it, and starts its writer thread.
    ///
    /// # Errors
    /// It is damaged, from a newer program, or in use; the disk is full or not writable.
    pub fn open(directory: &Path, role: Role) -> Result<Self, TelemetryError> {
        let path = directory.join(TELEMETRY_FILE);
        let disk = disk::Disk::open(&path).map_err(|error| TelemetryError::File(error.into()))?;
        Self::open_on(path, CACHE_BYTES, move || Ok(disk.connect()), role)
    }

    /// Opens what a backend of storage holds; another one is connected after one has failed.
    fn open_on<B: StorageBackend>(
        path: PathBuf,
        cache_bytes: usize,
        connect: impl Fn() -> std::io::Result<B> + Send + Sync + 'static,
        role: Role,
    ) -> Result<Self, TelemetryError> {
        let of = path.clone();
        let open = move || open(&of, cache_bytes, connect().map_err(redb::Error::Io)?);
        let database = Handle(Some(open()?));
        let inconsistent = |_| TelemetryError::File(FileError::inconsistent(&path));
        let replicas = guarded(|| replicas::Replicas::load(&database)).map_err(inconsistent).flatten()?;
        let database = RwLock::new(Arc::new(database));
        let shared = Arc::new(Shared {
            path,
            role,
            database,
            open: Box::new(open),
            replicas,
            tallies: OnceLock::new(),
            damages: AtomicU64::default(),
            retention: OnceLock::new(),
            too_old: AtomicU64::default(),
            has_stopped: AtomicBool::default(),
            is_failed: AtomicBool::default(),
            noticed: Mutex::default(),
            is_over: AtomicBool::default(),
        });
        let (queue, jobs) = sync_channel(QUEUE_JOBS_MAX);
        let writer = shared.guarded(|| writer::Writer::new(Arc::clone(&shared)))?;
        std::thread::Builder::new()
            .name("telemetry".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|error| TelemetryError::Database(Box::new(redb::Error::Io(error))))?;
        Ok(Self { shared, queue })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// What the file is for.
    #[must_use]
    pub fn role(&self) -> Role {
        self.shared.role
    }

    /// Records events; when it answers, they are durable. `now_ms` is when they arrived.
    ///
    /// # Errors
    /// Too many at once, too many requests, or the disk does not take them.
    pub async fn record(&self, events: Vec<Recorded>, now_ms: i64) -> Result<Outcome, TelemetryError> {
        self.record_and_park(events, Parking::default(), now_ms).await
    }

    /// The same, and in the same transaction what waits from now on, and no longer.
    ///
    /// # Errors
    /// As for [`Self::record`].
    pub async fn record_and_park(
        &self,
        events: Vec<Recorded>,
        parking: Parking,
        now_ms: i64,
    ) -> Result<Outcome, TelemetryError> {
        let number = events.len().max(parking.park.len());
        if number > EVENTS_MAX {
            return Err(TelemetryError::TooMany(number));
        }
        if number == 0 && parking.forget.is_empty() {
            return Ok(Outcome::default());
        }
        self.ask(|reply| writer::Job::Record { events, parking, now_ms, reply }).await
    }

    /// Merges a batch from a replica's spool, once; answers how many batches of that spool are merged now.
    ///
    /// # Errors
    /// A batch before it is missing, it differs from one with its number, or the disk does not take it.
    pub async fn merge(&self, from: SpoolId, sent: SentBatch, now_ms: i64) -> Result<u64, TelemetryError> {
        self.ask(|reply| writer::Job::Merge { from, sent, now_ms, reply }).await
    }

    /// Forgets batches of the spool that the primary has: of each of these epochs, through a number.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn forget_spooled(&self, merged: Vec<(u64, u64)>) -> Result<(), TelemetryError> {
        self.ask(|reply| writer::Job::Forget { merged, reply }).await
    }

    /// Appends a batch without events to the spool: who has it has everything from before this moment.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn mark_spool(&self, now_ms: i64) -> Result<(), TelemetryError> {
        self.ask(|reply| writer::Job::Mark { now_ms, reply }).await
    }

    /// Sets how far a destination has what is recorded here.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn set_export_cursor(&self, cursor: ExportCursor, number: u64) -> Result<(), TelemetryError> {
        self.ask(|reply| writer::Job::Exported { cursor, number, reply }).await
    }

    /// Trusts a key with the telemetry files of a node.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn trust_file_key(&self, node: [u8; 16], key: [u8; 32]) -> Result<(), TelemetryError> {
        self.ask(|reply| writer::Job::Trust { node, key, reply }).await
    }

    /// Writes down what is known of replicas, if that changed.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn write_replicas(&self, now_ms: i64) -> Result<(), TelemetryError> {
        if !self.shared.replicas.has_news() {
            return Ok(());
        }
        self.ask(|reply| writer::Job::WriteReplicas { now_ms, reply }).await
    }

    /// Numbers what waits in another epoch of the spool, after the primary had another batch under a number of this one:
    /// the machine was copied while it ran.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn renew_spool(&self) -> Result<(), TelemetryError> {
        self.ask(|reply| writer::Job::Renew { reply }).await
    }

    /// Notes that an observed prompt became a version; whether there is one with this number.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn adopt(&self, id: u64, adopted: Adopted) -> Result<bool, TelemetryError> {
        self.ask(|reply| writer::Job::Adopt { id, adopted, reply }).await
    }

    /// Prices some recorded calls again, and corrects all counts; [`Recosted::next`] says where to go on.
    ///
    /// # Errors
    /// The disk does not take it; nothing is changed then.
    pub async fn recost(&self, task: Recost) -> Result<Recosted, TelemetryError> {
        self.ask(|reply| writer::Job::Recost { task, reply }).await
    }

    async fn ask<T>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, TelemetryError>>) -> writer::Job,
    ) -> Result<T, TelemetryError> {
        let (reply, answer) = oneshot::channel();
        self.queue.try_send(job(reply)).map_err(|error| match error {
            TrySendError::Full(_) => TelemetryError::Busy,
            TrySendError::Disconnected(_) => TelemetryError::Stopped,
        })?;
        // A writer that lives on without an answer met a damaged page.
        let has_stopped = || self.shared.has_stopped.load(Ordering::SeqCst);
        let unanswered = || if has_stopped() { TelemetryError::Stopped } else { TelemetryError::Damaged };
        answer.await.map_err(|_| unanswered())?
    }

    /// Sets how long telemetry is kept, once: older events are not recorded from then on. Those of a replica count by
    /// when it recorded them.
    pub fn keep_for(&self, retention: Retention) {
        let _set_before = self.shared.retention.set(retention);
    }

    /// How many events were too old to be recorded, since this was last asked for.
    #[must_use]
    pub fn take_too_old(&self) -> u64 {
        self.shared.too_old.swap(0, Ordering::Relaxed)
    }

    /// How often a damaged page was met since the file was opened.
    #[must_use]
    pub fn damages(&self) -> u64 {
        self.shared.damages.load(Ordering::Relaxed)
    }

    /// Reads one state of the file.
    fn read<T>(&self, work: impl FnOnce(&ReadTransaction) -> Result<T, TelemetryError>) -> Result<T, TelemetryError> {
        let txn = self.shared.begin_read()?;
        self.shared.guarded(|| work(&txn))
    }
}

/// An open database. Closing it commits once more, which may panic on a damaged page.
struct Handle(Option<Database>);

impl Deref for Handle {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("it is there until it is dropped")
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let database = self.0.take();
        let _closed = guarded(|| drop(database));
    }
}

fn open(path: &Path, cache_bytes: usize, backend: impl StorageBackend) -> Result<Database, TelemetryError> {
    let form = FileForm { schema: SCHEMA, cache_bytes, create: tables::create };
    bookholder_database::open(path, backend, form).map_err(TelemetryError::File)
}

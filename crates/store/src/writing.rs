//! The writer thread: groups of jobs that share one durable commit, and recovery from disk errors.
//!
//! After an error redb refuses everything. The thread then opens the database for reading, even if the disk accepts no
//! writes, so that it stays readable; and tries to write again with each new group, and otherwise every second, sooner
//! at first.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};

use super::committed::{Committed, Observer, Seal};
use super::disk::Access;
use super::error::StoreError;
use super::opening::{Handle, first};
use super::priority;
use super::read::NamespaceState;
use super::shared::Shared;
use super::write::{GroupResult, WriteTxn};

/// Most jobs of one commit: enough to amortize a disk flush.
const GROUP_JOBS_MAX: usize = 256;
/// Free disk space below which no write is started, in bytes: a group, its index and redb's own pages.
const FREE_BYTES_MIN: u64 = 4 * 1024 * 1024;
/// The same for urgent writes, which are small: they can use the reserved space.
const FREE_BYTES_MIN_URGENT: u64 = 512 * 1024;
/// Delays before the database is reopened while the disk fails and nothing is written: the first, which doubles, and
/// the longest.
const PAUSE_MIN: Duration = Duration::from_millis(20);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A job with the channel for its answer.
pub(super) trait QueuedCommand: Send {
    /// Whether it can use the reserved disk space.
    fn is_urgent(&self) -> bool;
    /// Runs the job; returns whether it was rejected.
    fn run(&mut self, txn: &mut WriteTxn<'_>) -> bool;
    /// Answers, after the group was committed or aborted.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

/// A job, its result, and the channel for the answer.
pub(super) struct Task<T, E, F> {
    job: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
    urgent: bool,
}

impl<T, E, F> Task<T, E, F> {
    pub(super) const fn new(job: F, answer: oneshot::Sender<Result<T, E>>) -> Self {
        Self { job: Some(job), result: None, answer, urgent: false }
    }

    /// A job that can use the reserved disk space.
    pub(super) const fn urgent(job: F, answer: oneshot::Sender<Result<T, E>>) -> Self {
        Self { job: Some(job), result: None, answer, urgent: true }
    }
}

impl<T, E, F> QueuedCommand for Task<T, E, F>
where
    T: Send,
    E: From<StoreError> + Send,
    F: FnOnce(&mut WriteTxn<'_>) -> Result<T, E> + Send,
{
    fn is_urgent(&self) -> bool {
        self.urgent
    }

    fn run(&mut self, txn: &mut WriteTxn<'_>) -> bool {
        self.result = self.job.take().map(|job| job(txn));
        matches!(self.result, Some(Err(_)))
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        let result = match (self.result, committed) {
            // The store's error about a failed disk is more precise than the job's.
            (Some(Err(_)) | None, Err(error @ (StoreError::Disk { .. } | StoreError::Closed { .. }))) => {
                Err(error.into())
            }
            (Some(Err(refused)), _) => Err(refused),
            (_, Err(error)) => Err(error.into()),
            (Some(done), Ok(())) => done,
            (None, Ok(())) => Err(StoreError::Aborted.into()),
        };
        let _nobody_waits = self.answer.send(result);
    }
}

/// Messages to the writer thread.
pub(super) enum WriterCommand {
    Write(Box<dyn QueuedCommand>),
    /// A job for a new database, which replaces this one.
    Rebuild(Box<dyn QueuedCommand>),
    Seal(Seal),
    Observe(Observer, SyncSender<()>),
    /// Yield to the threads that answer requests from now on.
    LowerPriority,
    /// A reader found a closed database.
    Wake,
    Stop(oneshot::Sender<()>),
}

/// The state of the writer thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    committed: watch::Sender<Arc<Committed>>,
    seal: Option<Seal>,
    observers: Vec<Observer>,
    namespaces: Option<BTreeMap<String, NamespaceState>>,
    /// Why the database cannot be reopened.
    refusal: Option<StoreError>,
    /// How long to wait before the database is reopened.
    pause: Duration,
}

impl Writer {
    pub(super) const fn new(shared: Arc<Shared>, committed: watch::Sender<Arc<Committed>>) -> Self {
        Self { shared, committed, seal: None, observers: Vec::new(), namespaces: None, refusal: None, pause: PAUSE_MIN }
    }

    pub(super) fn run(mut self, jobs: &Receiver<WriterCommand>) {
        loop {
            let received = if self.is_well() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(self.pause)
            };
            let first = match received {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => {
                    self.recover();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let (mut group, mut rebuilding, mut stopped) = (Vec::new(), None, None);
            for job in std::iter::once(first).chain(jobs.try_iter()) {
                match job {
                    WriterCommand::Write(job) => group.push(job),
                    WriterCommand::Rebuild(job) => rebuilding = Some(job),
                    WriterCommand::Seal(seal) => self.seal = Some(seal),
                    WriterCommand::Observe(observer, added) => {
                        self.observers.push(observer);
                        let _nobody_waits = added.send(());
                    }
                    WriterCommand::LowerPriority => priority::lower(),
                    WriterCommand::Wake => {}
                    WriterCommand::Stop(done) => stopped = Some(done),
                }
                if group.len() == GROUP_JOBS_MAX || stopped.is_some() || rebuilding.is_some() {
                    break;
                }
            }
            priority::begin();
            if !group.is_empty() {
                self.run_group(group);
            }
            if let Some(job) = rebuilding {
                self.run_rebuild(job);
            }
            if let Some(done) = stopped {
                self.shared.close();
                let _nobody_waits = done.send(());
                return;
            }
            if self.handle().is_none_or(|handle| handle.health().is_over()) {
                self.recover();
            }
        }
    }

    fn handle(&self) -> Option<Arc<Handle>> {
        self.shared.handle()
    }

    fn is_well(&self) -> bool {
        self.handle().is_some_and(|handle| handle.is_writable() && !handle.health().is_over())
    }

    fn run_group(&mut self, mut group: Vec<Box<dyn QueuedCommand>>) {
        if let Err(full) = check_room(&self.shared.directory, FREE_BYTES_MIN) {
            let (urgent, others): (Vec<_>, Vec<_>) = group.into_iter().partition(|work| work.is_urgent());
            for task in others {
                task.finish(Err(full.for_another()));
            }
            if urgent.is_empty() {
                return;
            }
            group = urgent;
        }
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.commit(&mut group)));
        let outcome = caught.unwrap_or_else(|_| {
            tracing::error!("a write panicked; its group was rolled back");
            Err(StoreError::Aborted)
        });
        let failure = match outcome {
            Ok(committed) => {
                if let Some(committed) = committed {
                    self.publish(committed);
                }
                None
            }
            Err(error) => Some(self.failed(error)),
        };
        for task in group {
            task.finish(failure.as_ref().map_or(Ok(()), |failure| Err(failure.for_another())));
        }
    }

    fn publish(&self, committed: Committed) {
        let committed = Arc::new(committed);
        for observer in &self.observers {
            observer(&committed);
        }
        self.committed.send_replace(committed);
    }

    /// The error of a group that was not committed; the database is reopened if it is unusable.
    fn failed(&mut self, error: StoreError) -> StoreError {
        self.namespaces = None;
        let failure = self.handle().and_then(|handle| handle.health().failure().map(str::to_owned));
        if !matches!(error, StoreError::Aborted | StoreError::Full { .. }) {
            tracing::error!(error = &error as &dyn std::error::Error, failure, "a group of writes was not committed");
        }
        if error.is_damage() {
            self.shared.condition.notice_damage(error.to_string(), false);
        }
        let full = error.is_full() || self.handle().is_some_and(|handle| handle.health().ran_full());
        let error = match (error, failure) {
            _ if full => check_room(&self.shared.directory, FREE_BYTES_MIN)
                .err()
                .unwrap_or(StoreError::Full { free_bytes: 0, needed_bytes: FREE_BYTES_MIN }),
            (StoreError::Interrupted | StoreError::Disk { .. } | StoreError::Aborted, Some(reason)) => {
                StoreError::Disk { reason }
            }
            (error, _) => error,
        };
        if self.handle().is_none_or(|handle| handle.health().is_over()) {
            self.recover();
        }
        error
    }

    fn commit(&mut self, group: &mut [Box<dyn QueuedCommand>]) -> Result<Option<Committed>, StoreError> {
        check_room(&self.shared.directory, FREE_BYTES_MIN_URGENT)?;
        if !self.is_well() {
            self.recover();
        }
        let handle = self.handle().filter(|handle| handle.is_writable()).ok_or_else(|| self.cannot_write())?;
        let began = Instant::now();
        let mut raw = handle.database()?.begin_write()?;
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
            if handle.health().is_over() {
                return Err(StoreError::Interrupted);
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
        let GroupResult { head, state, touched, namespaces } = finished;
        self.namespaces = Some(namespaces);
        Ok(Some(Committed { head, state, touched, took: began.elapsed() }))
    }

    fn cannot_write(&self) -> StoreError {
        match (self.shared.condition.closed(), &self.refusal) {
            (Some(reason), _) => StoreError::Closed { reason },
            (None, Some(error)) if error.is_full() => error.for_another(),
            (None, Some(error)) => StoreError::Disk { reason: error.with_cause() },
            (None, None) => StoreError::Disk { reason: self.shared.condition.disk_failed().unwrap_or_default() },
        }
    }

    /// Reopens the database: for reading first, even if the disk accepts no writes, then for writing.
    fn recover(&mut self) {
        let shared = Arc::clone(&self.shared);
        let (medium, path) = (&*shared.medium, shared.path.as_path());
        self.namespaces = None;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
        let before = self.handle();
        if before.as_ref().is_none_or(|handle| handle.health().is_over()) {
            let failure = before.as_ref().and_then(|handle| handle.health().failure().map(str::to_owned));
            if let Some(before) = &before {
                before.health().give_up();
            }
            match Handle::ready(medium, path, Access::Read) {
                Ok((handle, _)) => {
                    shared.swap(Some(handle));
                    shared.condition.set_closed(None);
                    if let Some(failure) = failure {
                        shared.condition.set_disk_failed(Some(failure));
                    }
                }
                Err(error) => {
                    if shared.condition.closed().is_none() {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "the database was closed after an error; reopening is retried"
                        );
                    }
                    shared.condition.set_closed(Some(error.with_cause()));
                    shared.swap(None);
                    return;
                }
            }
        }
        drop(before);
        match self.try_to_write(path) {
            Ok(handle) => {
                shared.swap(Some(handle));
                shared.condition.set_disk_failed(None);
                self.refusal = None;
                self.pause = PAUSE_MIN;
                tracing::warn!("reopened the database; writes work again");
            }
            Err(error) => {
                if shared.condition.disk_failed().is_none() {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "cannot write the database; reads continue, and writing is retried every second"
                    );
                }
                shared.condition.set_disk_failed(Some(error.with_cause()));
                self.refusal = Some(error);
            }
        }
    }

    /// A handle for writing that was proven to work. Its first commit changes no page that is being read.
    fn try_to_write(&self, path: &Path) -> Result<Handle, StoreError> {
        let (handle, _) = Handle::ready(&*self.shared.medium, path, Access::Write)?;
        handle.probe().map_err(|error| match handle.health().failure() {
            Some(reason) if !error.is_full() => StoreError::Disk { reason: reason.to_owned() },
            _ => error,
        })?;
        Ok(handle)
    }

    /// Runs a job on a new database, which then replaces the current one.
    fn run_rebuild(&mut self, mut job: Box<dyn QueuedCommand>) {
        let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.rebuild(&mut *job)));
        let outcome = caught.unwrap_or(Err(StoreError::Aborted));
        match &outcome {
            Ok(()) => self.drop_damaged_without_room(),
            Err(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "could not finish the new database");
                self.shared.medium.discard();
            }
        }
        job.finish(outcome);
    }

    /// Removes a damaged database that was moved aside, if it takes more space than is left.
    fn drop_damaged_without_room(&self) {
        let aside = super::disk::set_aside_path(&self.shared.path);
        let Ok(length) = std::fs::metadata(&aside).map(|file| file.len()) else { return };
        if check_room(&self.shared.directory, length.max(FREE_BYTES_MIN)).is_err()
            && std::fs::remove_file(&aside).is_ok()
        {
            tracing::warn!(bytes = length, "deleted the damaged database, as the disk has no space for both");
        }
    }

    fn rebuild(&mut self, job: &mut dyn QueuedCommand) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        check_room(&shared.directory, FREE_BYTES_MIN)?;
        let handle = Handle::create(&*shared.medium, &shared.path)?;
        let mut raw = handle.database()?.begin_write()?;
        raw.set_quick_repair(true);
        {
            let mut txn = WriteTxn::begin(&raw, None)?;
            if job.run(&mut txn) {
                return Err(StoreError::Aborted);
            }
            txn.finish()?;
        }
        raw.commit()?;
        let committed = first(&handle)?;
        shared.medium.install(true)?;
        shared.swap(Some(handle));
        self.namespaces = None;
        shared.condition.set_closed(None);
        shared.condition.set_damaged(None);
        shared.condition.set_disk_failed(None);
        tracing::warn!("replaced the damaged database; the old file is kept next to it");
        self.publish(committed);
        shared.condition.ask_for_audit();
        Ok(())
    }
}

/// Rejects a write that may not fit on the disk, while the database is still intact.
fn check_room(directory: &Path, needed_bytes: u64) -> Result<(), StoreError> {
    let Ok(status) = rustix::fs::statvfs(directory) else { return Ok(()) };
    let free_bytes = status.f_bavail.saturating_mul(status.f_frsize);
    if free_bytes < needed_bytes {
        return Err(StoreError::Full { free_bytes, needed_bytes });
    }
    Ok(())
}

//! The thread that writes: what waits is done in one transaction, and answered when that is durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use redb::{Database, Durability};
use tokio::sync::oneshot;

use super::apply::{Changes, Finished, Remembered};
use super::erase::{Erase, Erased, erase};
use super::expire::{Expired, Expiry, Step};
use super::exports::{ExportCursor, set_cursor};
use super::observed;
use super::parked::{self, Parking};
use super::recost::{Recost, Recosted, recost};
use super::replicas;
use super::room::{RECORD_FREE_BYTES_MIN, UPKEEP_FREE_BYTES_MIN, check_room};
use super::spool::{self, SentBatch, SpoolId, Turn};
use super::tables::Place;
use super::{Outcome, Recorded, Role, Shared, TelemetryError};
use crate::observed::Adopted;

/// Nice value of the thread: a third of the CPU time of a thread that answers requests, on a busy machine.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;
/// Most events of one transaction, so that nothing waits long for its answer.
const GROUP_EVENTS_MAX: usize = 8_192;

/// How often it is tried to open a file again whose disk failed: that reads all of it.
const REOPEN_EVERY: Duration = Duration::from_secs(1);

/// Events of one request, and what waits from then on.
struct Request {
    events: Vec<Recorded>,
    parking: Parking,
    now_ms: i64,
}

type Reply<T> = oneshot::Sender<Result<T, TelemetryError>>;

/// What the thread is asked for.
pub(super) enum Job {
    Record { events: Vec<Recorded>, parking: Parking, now_ms: i64, reply: Reply<Outcome> },
    Merge { from: SpoolId, sent: SentBatch, now_ms: i64, reply: Reply<u64> },
    Expire { run: Expiry, step: Step, reply: Reply<(Expired, Option<Step>)> },
    Forget { merged: Vec<(u64, u64)>, reply: Reply<()> },
    Mark { now_ms: i64, reply: Reply<()> },
    Trust { node: [u8; 16], key: [u8; 32], reply: Reply<()> },
    WriteReplicas { now_ms: i64, reply: Reply<()> },
    Erase { what: Erase, after: Option<(u16, Place)>, now_ms: i64, reply: Reply<Erased> },
    Adopt { id: u64, adopted: Adopted, reply: Reply<bool> },
    Renew { reply: Reply<()> },
    Exported { cursor: ExportCursor, number: u64, reply: Reply<()> },
    Recost { task: Recost, reply: Reply<Recosted> },
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    remembered: Remembered,
    /// When it was tried last to open it again.
    tried: Option<Instant>,
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.has_stopped.store(true, Ordering::SeqCst);
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>) -> Result<Self, TelemetryError> {
        if let Role::Spool { .. } = shared.role {
            spool::begin_epoch(&shared.database())?;
        }
        Ok(Self { shared, remembered: Remembered::default(), tried: None })
    }

    /// Works until every handle is dropped.
    pub(super) fn run(mut self, jobs: &Receiver<Job>) {
        lower_priority();
        let mut held = None;
        while let Some(job) = held.take().or_else(|| self.next(jobs)) {
            if self.is_failed() {
                self.reopen();
            }
            let shared = Arc::clone(&self.shared);
            let done = shared.guarded(|| {
                self.work(job, jobs, &mut held);
                Ok(())
            });
            if done.is_err() {
                // What was given in the transaction is free again. The file stays open: opening it reads all of it, and a
                // damaged page is no reason to lose the others.
                self.remembered = Remembered::default();
            }
        }
    }

    /// The next job; until there is one, a file whose disk failed is opened again.
    fn next(&mut self, jobs: &Receiver<Job>) -> Option<Job> {
        loop {
            if !self.is_failed() {
                return jobs.recv().ok();
            }
            match jobs.recv_timeout(REOPEN_EVERY) {
                Ok(job) => return Some(job),
                Err(RecvTimeoutError::Timeout) => self.reopen(),
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    fn is_failed(&self) -> bool {
        self.shared.is_failed.load(Ordering::Relaxed)
    }

    /// Refuses what may leave too little space for the registry.
    fn check_room(&self, needed_bytes: u64) -> Result<(), TelemetryError> {
        check_room(&self.shared.path, needed_bytes)
    }

    /// Does a small write on the file, if there is room for it.
    fn with_room<T>(&self, work: impl FnOnce(&Database) -> Result<T, TelemetryError>) -> Result<T, TelemetryError> {
        self.check_room(UPKEEP_FREE_BYTES_MIN)?;
        work(&self.shared.database())
    }

    /// Does what it is asked for; what can be done in the same transaction as well, and the job behind that is left in
    /// `held`.
    fn work(&mut self, job: Job, jobs: &Receiver<Job>, held: &mut Option<Job>) {
        match job {
            Job::Record { events, parking, now_ms, reply } => {
                let mut count = events.len();
                let mut group = vec![(Request { events, parking, now_ms }, reply)];
                while count < GROUP_EVENTS_MAX {
                    match jobs.try_recv() {
                        Ok(Job::Record { events, parking, now_ms, reply }) => {
                            count += events.len();
                            group.push((Request { events, parking, now_ms }, reply));
                        }
                        Ok(other) => {
                            *held = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                self.record(group);
            }
            Job::Merge { from, sent, now_ms, reply } => {
                let room = self.check_room(RECORD_FREE_BYTES_MIN);
                let merged = room.and_then(|()| self.merge(from, sent, now_ms));
                self.answer(reply, merged);
            }
            Job::Expire { run, step, reply } => {
                self.remembered.observed = None;
                if let Step::Series { .. } = step {
                    self.remembered = Remembered::default();
                }
                let done = self.with_room(|database| run.step(database, step));
                self.answer(reply, done);
            }
            Job::Erase { what, after, now_ms, reply } => {
                self.remembered.observed = None;
                self.answer(reply, self.with_room(|database| erase(database, &what, after, now_ms)));
            }
            Job::Adopt { id, adopted, reply } => {
                self.remembered.observed = None;
                self.answer(reply, self.with_room(|database| observed::adopt(database, id, &adopted)));
            }
            Job::Renew { reply } => self.answer(reply, spool::renew(&self.shared.database())),
            Job::Forget { merged, reply } => self.answer(reply, spool::forget(&self.shared.database(), &merged)),
            Job::Mark { now_ms, reply } => {
                let marked = self.mark(now_ms);
                self.answer(reply, marked);
            }
            Job::Trust { node, key, reply } => {
                self.answer(reply, self.with_room(|database| replicas::trust(database, &node, &key)));
            }
            Job::WriteReplicas { now_ms, reply } => self.answer(reply, self.write_replicas(now_ms)),
            Job::Exported { cursor, number, reply } => {
                self.answer(reply, set_cursor(&self.shared.database(), cursor, number));
            }
            Job::Recost { task, reply } => {
                self.remembered.observed = None;
                self.answer(reply, self.with_room(|database| recost(database, &task)));
            }
        }
    }

    fn record(&mut self, group: Vec<(Request, Reply<Outcome>)>) {
        let mut outcomes = Vec::with_capacity(group.len());
        let mut replies = Vec::with_capacity(group.len());
        let mut requests = Vec::with_capacity(group.len());
        for (request, reply) in group {
            requests.push(request);
            replies.push(reply);
        }
        let retention = self.shared.retention.get().copied();
        let room = self.check_room(RECORD_FREE_BYTES_MIN);
        if room.is_err() || !self.is_failed() {
            self.shared.note(room.as_ref().err());
        }
        let done = room.and_then(|()| {
            self.commit(|changes, role| match role {
                Role::Keep => {
                    for Request { events, parking, now_ms } in requests {
                        parked::note(changes.parts().0, &events, &parking)?;
                        let oldest_ms = retention.map_or(i64::MIN, |kept| kept.oldest_event_ms(now_ms));
                        outcomes.push(changes.at(now_ms).since(oldest_ms).record(events)?);
                    }
                    Ok(())
                }
                Role::Spool { bytes_max } => {
                    let mut spooled = Vec::new();
                    let mut at_ms = i64::MAX;
                    for Request { events, parking, now_ms } in requests {
                        at_ms = at_ms.min(now_ms);
                        parked::note(changes.parts().0, &events, &parking)?;
                        let recorded = u64::try_from(events.len()).unwrap_or(u64::MAX);
                        outcomes.push(Outcome { recorded, ..Outcome::default() });
                        spooled.extend(events);
                    }
                    let (txn, meta) = changes.parts();
                    if spooled.is_empty() { Ok(()) } else { spool::append(txn, meta, spooled, bytes_max, at_ms) }
                }
            })
        });
        if let Err(error) = &done {
            self.look_at(error);
        }
        let done = self.shared.guarded(|| done);
        if done.is_ok() {
            self.shared.count_too_old(outcomes.iter().map(|outcome| outcome.too_old).sum());
        }
        let mut outcomes = outcomes.into_iter();
        for reply in replies {
            let outcome = match &done {
                Ok(()) => Ok(outcomes.next().unwrap_or_default()),
                Err(TelemetryError::Full) => Err(TelemetryError::Full),
                Err(TelemetryError::Damaged) => Err(TelemetryError::Damaged),
                Err(TelemetryError::Paused { free_bytes, needed_bytes }) => {
                    Err(TelemetryError::Paused { free_bytes: *free_bytes, needed_bytes: *needed_bytes })
                }
                Err(error) => Err(TelemetryError::Write(error.to_string())),
            };
            self.answer(reply, outcome);
        }
    }

    fn merge(&mut self, from: SpoolId, mut sent: SentBatch, now_ms: i64) -> Result<u64, TelemetryError> {
        let (mut merged, mut too_old) = (sent.number, 0);
        // What was recorded in time counts, however long it waited for the way here.
        let arrived_ms = sent.batch.at_ms.min(now_ms);
        let oldest_ms = self.shared.retention.get().map_or(i64::MIN, |kept| kept.oldest_event_ms(arrived_ms));
        self.commit(|changes, _| {
            let (txn, _) = changes.parts();
            match spool::turn(txn, from, &sent)? {
                Turn::Next => {
                    let events = std::mem::take(&mut sent.batch.events);
                    too_old = changes.at(now_ms).since(oldest_ms).record(events)?.too_old;
                    spool::advance(txn, from, &sent, now_ms)
                }
                Turn::Merged(through) => {
                    merged = through;
                    Ok(())
                }
            }
        })?;
        self.shared.count_too_old(too_old);
        Ok(merged)
    }

    fn mark(&mut self, now_ms: i64) -> Result<(), TelemetryError> {
        self.commit(|changes, _| {
            let (txn, meta) = changes.parts();
            spool::mark(txn, meta, now_ms)
        })
    }

    fn write_replicas(&self, now_ms: i64) -> Result<(), TelemetryError> {
        let txn = self.shared.database().begin_write()?;
        self.shared.replicas.write(&txn, now_ms)?;
        txn.commit()?;
        Ok(())
    }

    fn answer<T>(&mut self, reply: Reply<T>, result: Result<T, TelemetryError>) {
        if let Err(error) = &result {
            self.look_at(error);
        }
        let result = self.shared.guarded(|| result);
        // The caller may have stopped waiting.
        let _unheard = reply.send(result);
    }

    /// Opens the file again if its disk failed.
    fn look_at(&mut self, error: &TelemetryError) {
        if error.is_of_disk() {
            if !self.shared.is_failed.swap(true, Ordering::Relaxed) {
                tracing::error!(error = error as &dyn std::error::Error, "the disk of the telemetry failed");
            }
            self.reopen();
        }
    }

    fn reopen(&mut self) {
        if self.tried.is_some_and(|tried| tried.elapsed() < REOPEN_EVERY) {
            return;
        }
        self.tried = Some(Instant::now());
        self.remembered = Remembered::default();
        match self.shared.reopen() {
            Ok(()) => {
                self.shared.is_failed.store(false, Ordering::Relaxed);
                tracing::info!("the telemetry was opened again");
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the telemetry cannot be opened again");
            }
        }
    }

    /// Does something in one transaction; if it fails, nothing happened.
    fn commit(
        &mut self,
        work: impl FnOnce(&mut Changes<'_>, Role) -> Result<(), TelemetryError>,
    ) -> Result<(), TelemetryError> {
        let done = (|| {
            let mut txn = self.shared.database().begin_write()?;
            txn.set_durability(Durability::Immediate)?;
            let mut changes = Changes::begin(&txn, &mut self.remembered, 0)?;
            let tallies = self.shared.tallies.get();
            if tallies.is_some() {
                changes.tally_calls();
            }
            work(&mut changes, self.shared.role)?;
            let Finished { calls, bytes } = changes.finish()?;
            txn.commit()?;
            if let Some(tallies) = tallies {
                tallies.add(calls);
            }
            if self.shared.retention.get().is_some_and(|kept| bytes > kept.events_bytes) {
                self.shared.is_over.store(true, Ordering::Relaxed);
            }
            Ok(())
        })();
        if done.is_err() {
            // What was given in the transaction is free again.
            self.remembered = Remembered::default();
        }
        done
    }
}

/// Lets threads that answer requests go first; only Linux has priorities for single threads.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(error = &error as &dyn std::error::Error, "the thread keeps its priority");
    }
}

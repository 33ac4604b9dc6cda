//! `evaluations.redb`: runs, their results, and the answers that were paid for.
//!
//! A file of its own, with a writer thread of its own: results arrive by the thousand and never stand in front of a
//! deployment, and a damaged or newer file costs the runs alone. What a gate decided is in the registry. When a write
//! returns, it is durable; writes that wait for each other are one transaction.

mod codec;
mod tables;
mod writer;

use std::collections::HashSet;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use bookholder_database::{FileError, FileForm};
use redb::backends::FileBackend;
use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata};
use tokio::sync::oneshot;

use self::tables::{ANSWERS, PLANS, RESULTS, RUNS, RUNS_OF, SPENT, mark};
pub use self::writer::Change;
use self::writer::{Job, Writer};
use crate::model::evaluation::{Answer, CaseResult, CaseVerdict, Run, Side};
use crate::model::name::PromptName;
use crate::model::usd::Usd;

/// The database's file in the data directory.
pub const EVALUATIONS_FILE: &str = "evaluations.redb";
/// The number of the tables and their keys; a file with a higher one is left alone.
const SCHEMA: u64 = 1;
/// Memory for pages of the database, in bytes.
const CACHE_BYTES: usize = 8 * 1024 * 1024;
/// Writes that may wait for the thread; above it, one waits for its turn.
const QUEUE_JOBS_MAX: usize = 256;
/// Bytes of the key and the time of an answer.
const ANSWER_KEY_BYTES: u64 = 40;
/// How long an answer is used again, in milliseconds: 14 days.
pub const ANSWER_LIFE_MS: i64 = 14 * 86_400_000;

/// Why runs cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum EvaluationStoreError {
    #[error("evaluations cannot be stored: the writer has stopped")]
    Stopped,
    #[error("evaluations cannot be stored: {0}")]
    Database(Box<redb::Error>),
    #[error("evaluations cannot be stored: {0}")]
    Write(String),
    #[error("a record of an evaluation cannot be read or written: {0}")]
    Encoding(String),
    #[error("{0}")]
    File(FileError),
}

impl EvaluationStoreError {
    /// Whether another process, or a writer thread that is about to end, has the file open.
    #[must_use]
    pub fn is_in_use(&self) -> bool {
        matches!(self, Self::File(error) if error.is_in_use())
    }
}

impl<E: Into<redb::Error>> From<E> for EvaluationStoreError {
    fn from(error: E) -> Self {
        Self::Database(Box::new(error.into()))
    }
}

/// Which results are read: all of them by default.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResultFilter {
    /// Only those with this verdict.
    pub verdict: Option<CaseVerdict>,
    /// Only those of this side.
    pub side: Option<Side>,
}

impl ResultFilter {
    fn marks(self) -> Vec<u8> {
        let verdicts = [CaseVerdict::Passed, CaseVerdict::Failed, CaseVerdict::Error];
        let verdicts = verdicts.into_iter().filter(|verdict| self.verdict.is_none_or(|wanted| wanted == *verdict));
        let sides = |side: &Side| self.side.is_none_or(|wanted| wanted == *side);
        let of =
            |verdict| [Side::Candidate, Side::Baseline].into_iter().filter(sides).map(move |side| mark(verdict, side));
        verdicts.flat_map(of).collect()
    }
}

/// A handle to the file; clones share it.
#[derive(Clone)]
pub struct EvaluationStore {
    shared: Arc<Shared>,
    queue: SyncSender<Job>,
}

struct Shared {
    path: PathBuf,
    database: Database,
    next_run: AtomicU64,
}

impl EvaluationStore {
    /// Opens the file in a data directory, or creates it, and starts its writer thread.
    ///
    /// # Errors
    /// It is damaged, from a newer program, or in use; the disk is full or not writable.
    pub fn open(directory: &Path) -> Result<Self, EvaluationStoreError> {
        let path = directory.join(EVALUATIONS_FILE);
        let database = open(&path)?;
        let last = {
            let read = database.begin_read()?;
            let runs = read.open_table(RUNS)?;
            runs.last()?.map_or(0, |(id, _)| id.value())
        };
        let shared = Arc::new(Shared { path, database, next_run: AtomicU64::new(last.saturating_add(1)) });
        let (queue, jobs) = sync_channel(QUEUE_JOBS_MAX);
        let writer = Writer::new(Arc::clone(&shared));
        std::thread::Builder::new()
            .name("evaluations".to_owned())
            .spawn(move || writer.run(&jobs))
            .map_err(|error| EvaluationStoreError::Database(Box::new(redb::Error::Io(error))))?;
        Ok(Self { shared, queue })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The number of the next run; each is given once.
    #[must_use]
    pub fn next_run(&self) -> u64 {
        self.shared.next_run.fetch_add(1, Ordering::Relaxed)
    }

    /// Makes changes, all or none; when it returns, they are durable.
    ///
    /// # Errors
    /// The disk does not take them.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<(), EvaluationStoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.clone();
        let job = Job { changes, reply };
        if let Err(full) = queue.try_send(job) {
            let job = match full {
                std::sync::mpsc::TrySendError::Full(job) => job,
                std::sync::mpsc::TrySendError::Disconnected(_) => return Err(EvaluationStoreError::Stopped),
            };
            let sent = tokio::task::spawn_blocking(move || queue.send(job)).await;
            if !matches!(sent, Ok(Ok(()))) {
                return Err(EvaluationStoreError::Stopped);
            }
        }
        answer.await.map_err(|_| EvaluationStoreError::Stopped)?
    }

    /// One run.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn run(&self, id: u64) -> Result<Option<Run>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let runs = read.open_table(RUNS)?;
        let found = runs.get(id)?;
        found.map(|run| codec::read(run.value())).transpose()
    }

    /// Runs with numbers below `before`, newest first, of one prompt or of all that `wanted` takes.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn runs(
        &self,
        prompt: Option<&PromptName>,
        before: u64,
        limit: usize,
        wanted: impl Fn(&Run) -> bool,
    ) -> Result<Vec<Run>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let runs = read.open_table(RUNS)?;
        let mut found = Vec::new();
        let mut take = |run: Run| {
            if wanted(&run) {
                found.push(run);
            }
            found.len() < limit
        };
        if let Some(prompt) = prompt {
            let of = read.open_table(RUNS_OF)?;
            for item in of.range((prompt.as_str(), 0)..(prompt.as_str(), before))?.rev() {
                let (_, id) = item?.0.value();
                if let Some(run) = runs.get(id)?
                    && !take(codec::read(run.value())?)
                {
                    break;
                }
            }
        } else {
            for item in runs.range(..before)?.rev() {
                if !take(codec::read(item?.1.value())?) {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// The runs that did not end, oldest first, with the plan of each.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn unfinished(&self) -> Result<Vec<(u64, Vec<u8>)>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let plans = read.open_table(PLANS)?;
        let mut found = Vec::new();
        for item in plans.iter()? {
            let (id, plan) = item?;
            found.push((id.value(), codec::unpack(plan.value())?));
        }
        Ok(found)
    }

    /// Results of a run from a place in its plan on, in order, until `visit` returns false. Those that the filter
    /// leaves out are not read.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn visit_results(
        &self,
        run: u64,
        from: u32,
        filter: ResultFilter,
        mut visit: impl FnMut(u32, CaseResult) -> bool,
    ) -> Result<(), EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let results = read.open_table(RESULTS)?;
        let wanted = filter.marks();
        for item in results.range((run, from)..=(run, u32::MAX))? {
            let (key, result) = item?;
            let (mark, result) = result.value();
            if wanted.contains(&mark) && !visit(key.value().1, codec::read(&codec::unpack(result)?)?) {
                break;
            }
        }
        Ok(())
    }

    /// Runs that are over and still have results, oldest first: those that ended before a time, in milliseconds since
    /// 1970, and as many others as free so many bytes; at most so many. A run whose plan is still there is not over for
    /// the registry.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn runs_to_clear(&self, before_ms: i64, bytes: u64, limit: usize) -> Result<Vec<u64>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let (runs, plans, results) = (read.open_table(RUNS)?, read.open_table(PLANS)?, read.open_table(RESULTS)?);
        let (mut found, mut from, mut freed) = (Vec::new(), 0, 0_u64);
        while found.len() < limit {
            // From one run to the next, whatever number of results each has.
            let Some(next) = results.range((from, 0)..)?.next() else { break };
            let id = next?.0.value().0;
            let run = runs.get(id)?.map(|run| codec::read::<Run>(run.value())).transpose()?;
            let ended = run.filter(|run| run.state.is_over()).and_then(|run| run.ended);
            let is_wanted = ended.is_some_and(|ended| ended.ms() < before_ms || freed < bytes);
            if is_wanted && plans.get(id)?.is_none() {
                found.push(id);
                if freed < bytes {
                    for item in results.range((id, 0)..=(id, u32::MAX))? {
                        let held = u64::try_from(item?.1.value().1.len()).unwrap_or(u64::MAX);
                        freed = freed.saturating_add(held);
                    }
                }
            }
            let Some(after) = id.checked_add(1) else { break };
            from = after;
        }
        Ok(found)
    }

    /// The oldest runs beyond so many, without those that did not end; at most so many.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn runs_beyond(&self, kept: u64, limit: usize) -> Result<Vec<u64>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let (runs, plans) = (read.open_table(RUNS)?, read.open_table(PLANS)?);
        let excess = usize::try_from(runs.len()?.saturating_sub(kept)).unwrap_or(usize::MAX);
        let mut found = Vec::new();
        for item in runs.iter()?.take(excess) {
            let id = item?.0.value();
            if found.len() < limit && plans.get(id)?.is_none() {
                found.push(id);
            }
        }
        Ok(found)
    }

    /// Bytes of the results of all runs, and of the answers that are used again.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn bytes(&self) -> Result<(u64, u64), EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let (results, answers) = (read.open_table(RESULTS)?, read.open_table(ANSWERS)?);
        Ok((results.stats()?.stored_bytes(), answers.stats()?.stored_bytes()))
    }

    /// Since when answers have so many bytes together, in milliseconds since 1970; the least number if all have fewer.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn answers_since(&self, bytes: u64) -> Result<i64, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let answers = read.open_table(ANSWERS)?;
        let mut sizes = Vec::new();
        for item in answers.iter()? {
            let (_, answer) = item?;
            let (at_ms, answer) = answer.value();
            sizes.push((at_ms, u64::try_from(answer.len()).unwrap_or(u64::MAX).saturating_add(ANSWER_KEY_BYTES)));
        }
        sizes.sort_unstable();
        let mut sum = 0_u64;
        for (at_ms, held) in sizes.into_iter().rev() {
            sum = sum.saturating_add(held);
            if sum > bytes {
                return Ok(at_ms.saturating_add(1));
            }
        }
        Ok(i64::MIN)
    }

    /// The places in its plan of the results that a run has.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn places(&self, run: u64) -> Result<HashSet<u32>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let results = read.open_table(RESULTS)?;
        let mut places = HashSet::new();
        for item in results.range((run, 0)..=(run, u32::MAX))? {
            places.insert(item?.0.value().1);
        }
        Ok(places)
    }

    /// One result of a run, by its place in the plan.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn result(&self, run: u64, place: u32) -> Result<Option<CaseResult>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let results = read.open_table(RESULTS)?;
        let found = results.get((run, place))?;
        found.map(|result| codec::read(&codec::unpack(result.value().1)?)).transpose()
    }

    /// An answer that was paid for and is young enough to use again, and when it came.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn answer(&self, key: &[u8; 32], now_ms: i64) -> Result<Option<(i64, Answer)>, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let answers = read.open_table(ANSWERS)?;
        let Some(found) = answers.get(key)? else { return Ok(None) };
        let (at_ms, answer) = found.value();
        if now_ms.saturating_sub(at_ms) > ANSWER_LIFE_MS {
            return Ok(None);
        }
        Ok(Some((at_ms, codec::read(&codec::unpack(answer)?)?)))
    }

    /// What a person has spent on a day, by the number of the day since 1970.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn spent(&self, principal: &str, day: u32) -> Result<Usd, EvaluationStoreError> {
        let read = self.shared.database.begin_read()?;
        let spent = read.open_table(SPENT)?;
        Ok(Usd::from_pico(spent.get((day, principal))?.map_or(0, |pico| pico.value())))
    }
}

fn open(path: &Path) -> Result<Database, EvaluationStoreError> {
    let file = File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(path);
    let backend = file.map_err(redb::Error::Io).and_then(|file| Ok(FileBackend::new(file)?));
    let form = FileForm { schema: SCHEMA, cache_bytes: CACHE_BYTES, create: tables::create };
    let opened = backend.map_err(FileError::from).and_then(|backend| bookholder_database::open(path, backend, form));
    opened.map_err(EvaluationStoreError::File)
}

#[cfg(test)]
mod tests;

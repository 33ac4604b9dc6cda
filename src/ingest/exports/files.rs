//! Writes recorded telemetry to files of Parquet, by day: `responses/day=2026-03-20/FIRST-END-TIME.parquet`, and the
//! same below `scores/`, in a folder or a bucket.
//!
//! Which blocks a file has is durable before it is written, and its name says it. So after a crash the same files are
//! written again under the same names, and a reader sees each event once.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::bucket::Bucket;
use super::{Destination, ExportError, Step, blocking, waiting};
use crate::model::time::Timestamp;
use crate::telemetry::event::{Event, Response, Score};
use crate::telemetry::parquet::{ParquetError, write_responses, write_scores};
use crate::telemetry::store::{ExportBlock, ExportCursor, ExportDue, TelemetryStore};

/// Most blocks of one file; as many are written before their time has come.
const BLOCKS_MAX: u64 = 4_096;
/// Most events of one file.
const EVENTS_MAX: usize = 65_536;
/// Recorded inputs and outputs after which a file ends, in bytes.
const BODIES_BYTES: usize = 32 * 1024 * 1024;
/// Blocks that are read at once.
const BLOCKS: usize = 16;

/// Where files go.
pub enum FilesIn {
    /// Into a folder.
    Folder(PathBuf),
    /// Into a bucket.
    Bucket(Box<Bucket>),
}

/// Parquet files.
pub struct Files {
    store: TelemetryStore,
    place: FilesIn,
    /// How long events wait for others to be in a file with.
    every: Duration,
    /// Since when something waits.
    since: Mutex<Option<Instant>>,
}

/// What is written at once.
struct Batch {
    first: u64,
    end: u64,
    blocks: Vec<ExportBlock>,
}

impl Files {
    /// Prepares to write what a store holds.
    #[must_use]
    pub fn new(store: TelemetryStore, place: FilesIn, every: Duration) -> Self {
        Self { store, place, every, since: Mutex::new(None) }
    }

    /// Writes the files of a batch, one after the other; how many events are in them.
    async fn write(&self, batch: Batch) -> Result<u64, ExportError> {
        let (files, events) = blocking(move || Ok(files_of(batch))).await?;
        for file in files {
            match &self.place {
                FilesIn::Folder(folder) => {
                    let folder = folder.clone();
                    blocking(move || file.place(&folder)).await?;
                }
                FilesIn::Bucket(bucket) => {
                    let path = format!("{}/{}", file.folder, file.name);
                    let encode = move || {
                        let mut bytes = Vec::new();
                        file.rows.write(&mut bytes).map_err(|error| ExportError::Destination(error.to_string()))?;
                        Ok(bytes)
                    };
                    bucket.put(&path, blocking(encode).await?).await?;
                }
            }
        }
        Ok(events)
    }

    /// Whether enough has come together, or it has waited for long enough.
    fn is_time(&self, due: &ExportDue) -> bool {
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting(due) == 0 {
            *since = None;
            return false;
        }
        waiting(due) >= BLOCKS_MAX || since.get_or_insert_with(Instant::now).elapsed() >= self.every
    }

    fn waits_again(&self) {
        *self.since.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl Destination for Files {
    const NAME: &'static str = "parquet";

    async fn step(&self) -> Result<Step, ExportError> {
        let due = self.store.export_due(ExportCursor::Parquet)?;
        // Files that were begun before a crash have the end that they had then.
        let planned = self.store.export_cursor(ExportCursor::ParquetPlan)?.filter(|end| *end > due.first);
        let mut step = Step { waiting: waiting(&due), ..Step::default() };
        if planned.is_none() && !self.is_time(&due) {
            return Ok(step);
        }
        let store = self.store.clone();
        let read = move || read(&store, due.first, planned.unwrap_or(due.end), planned.is_some());
        let batch = blocking(read).await?;
        if planned.is_none() {
            self.store.set_export_cursor(ExportCursor::ParquetPlan, batch.end).await?;
        }
        let end = batch.end;
        step.events = self.write(batch).await?;
        self.store.set_export_cursor(ExportCursor::Parquet, end).await?;
        step.lost = due.missed;
        step.waiting = due.end.saturating_sub(end);
        step.more = step.waiting >= BLOCKS_MAX;
        self.waits_again();
        Ok(step)
    }
}

/// Reads blocks: all of them if their end is planned, otherwise as many as one file may have.
fn read(store: &TelemetryStore, first: u64, end: u64, is_planned: bool) -> Result<Batch, ExportError> {
    let end = if is_planned { end } else { end.min(first.saturating_add(BLOCKS_MAX)) };
    let (mut next, mut blocks) = (first, Vec::new());
    let (mut events, mut bytes) = (0_usize, 0_usize);
    while next < end && (is_planned || (events < EVENTS_MAX && bytes < BODIES_BYTES)) {
        let read = store.export_blocks(next, end, BLOCKS)?;
        let Some(last) = read.last().map(|block| block.number) else {
            next = end;
            break;
        };
        events += read.iter().map(|block| block.events.len()).sum::<usize>();
        bytes += read.iter().flat_map(|block| &block.events).map(super::body_bytes).sum::<usize>();
        next = last.saturating_add(1);
        blocks.extend(read);
    }
    Ok(Batch { first, end: next, blocks })
}

/// A file of one day.
struct DayFile {
    /// Its folder, such as `responses/day=2026-03-20`.
    folder: String,
    name: String,
    rows: Rows,
}

/// The rows of a file.
enum Rows {
    Responses(Vec<Response>),
    Scores(Vec<Score>),
}

/// The files of a batch, and how many events are in them.
fn files_of(batch: Batch) -> (Vec<DayFile>, u64) {
    let Batch { first, end, blocks } = batch;
    let mut responses: BTreeMap<String, Vec<Response>> = BTreeMap::new();
    let mut scores: BTreeMap<String, Vec<Score>> = BTreeMap::new();
    let mut first_ms = None;
    let mut number = 0;
    for event in blocks.into_iter().flat_map(|block| block.events) {
        number += 1;
        let at_ms = match &event {
            Event::Response(response) => response.ended_ms,
            Event::Score(score) => score.at_ms,
        };
        // The first event tells the blocks of this telemetry file from those of one that was there before.
        first_ms.get_or_insert(at_ms);
        match event {
            Event::Response(response) => responses.entry(day(at_ms)).or_default().push(*response),
            Event::Score(score) => scores.entry(day(at_ms)).or_default().push(score),
        }
    }
    let name = format!("{first:010}-{end:010}-{}.parquet", first_ms.unwrap_or_default());
    let file = |of: &str, day: &str, rows| DayFile { folder: format!("{of}/{day}"), name: name.clone(), rows };
    let responses = responses.into_iter().map(|(day, rows)| file("responses", &day, Rows::Responses(rows)));
    let scores = scores.into_iter().map(|(day, rows)| file("scores", &day, Rows::Scores(rows)));
    (responses.chain(scores).collect(), number)
}

/// The folder of a day, as readers of Hive partitions expect it.
fn day(at_ms: i64) -> String {
    let date: String = Timestamp::from_ms(at_ms).to_string().chars().take_while(|c| *c != 'T').collect();
    format!("day={date}")
}

impl Rows {
    fn write(&self, out: impl Write + Send) -> Result<(), ParquetError> {
        match self {
            Self::Responses(rows) => write_responses(rows, out),
            Self::Scores(rows) => write_scores(rows, out),
        }
    }
}

impl DayFile {
    /// Puts the file into its folder: whole, or not at all.
    fn place(&self, into: &Path) -> Result<(), ExportError> {
        let folder = into.join(&self.folder);
        let path = folder.join(&self.name);
        let failed = |reason: &dyn std::fmt::Display| ExportError::Destination(format!("{}: {reason}", path.display()));
        fs::create_dir_all(&folder).map_err(|error| failed(&error))?;
        // Readers take no file whose name begins with a dot.
        let file = NamedTempFile::new_in(&folder).map_err(|error| failed(&error))?;
        let mut out = BufWriter::new(file.as_file());
        self.rows.write(&mut out).map_err(|error| failed(&error))?;
        out.flush().map_err(|error| failed(&error))?;
        drop(out);
        file.as_file().sync_all().map_err(|error| failed(&error))?;
        file.persist(&path).map_err(|error| failed(&error.error))?;
        File::open(&folder).and_then(|folder| folder.sync_all()).map_err(|error| failed(&error))
    }
}

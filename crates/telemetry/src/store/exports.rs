//! What is sent on to other systems: blocks of events in order, each destination with a durable cursor of its own.

use redb::{Database, ReadableTable};

use super::codec::unpack;
use super::tables::{BLOCKS, BODIES, META};
use super::{TelemetryError, TelemetryStore};
use crate::event::{Body, Event};

/// A number that is kept for a destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportCursor {
    /// The next block for a collector of OpenTelemetry.
    Otlp,
    /// The next block for Parquet files.
    Parquet,
    /// The end of the Parquet files that are being written: after a crash the same files are written again.
    ParquetPlan,
}

impl ExportCursor {
    const fn key(self) -> &'static str {
        match self {
            Self::Otlp => "exported_otlp",
            Self::Parquet => "exported_parquet",
            Self::ParquetPlan => "planned_parquet",
        }
    }
}

/// A block of events with their recorded inputs and outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportBlock {
    /// Its number.
    pub number: u64,
    /// The events.
    pub events: Vec<Event>,
}

/// What is due for a destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportDue {
    /// The first block that is due.
    pub first: u64,
    /// The block behind the last one that is recorded.
    pub end: u64,
    /// Blocks before the first that were removed before they were sent.
    pub missed: u64,
}

impl TelemetryStore {
    /// What is due for a destination.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn export_due(&self, cursor: ExportCursor) -> Result<ExportDue, TelemetryError> {
        self.read(|txn| {
            let meta = txn.open_table(META)?;
            let number = |name: &str| Ok::<_, TelemetryError>(meta.get(name)?.map(|value| value.value()));
            let (next, end) = (number(cursor.key())?, number("block")?.unwrap_or(0));
            let oldest = txn.open_table(BLOCKS)?.first()?.map_or(end, |(number, _)| number.value());
            let first = next.unwrap_or(oldest).max(oldest);
            Ok(ExportDue { first, end, missed: next.map_or(0, |next| first.saturating_sub(next)) })
        })
    }

    /// The number that is kept for a destination; none before it was set.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn export_cursor(&self, cursor: ExportCursor) -> Result<Option<u64>, TelemetryError> {
        self.read(|txn| Ok(txn.open_table(META)?.get(cursor.key())?.map(|value| value.value())))
    }

    /// The first blocks in `from..to`, at most so many. One that cannot be read is left out.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn export_blocks(&self, from: u64, to: u64, most: usize) -> Result<Vec<ExportBlock>, TelemetryError> {
        self.read(|txn| {
        let (blocks, bodies) = (txn.open_table(BLOCKS)?, txn.open_table(BODIES)?);
        let mut found = Vec::new();
        for entry in blocks.range(from..to)?.take(most) {
            let (number, packed) = entry?;
            let number = number.value();
            let mut events: Vec<Event> = match unpack(packed.value()) {
                Ok(events) => events,
                Err(error) => {
                    tracing::warn!(block = number, %error, "a block of telemetry cannot be read; it is not sent on");
                    continue;
                }
            };
            for entry in bodies.range((number, 0)..=(number, u8::MAX))? {
                let (key, packed) = entry?;
                if let Some(Event::Response(response)) = events.get_mut(usize::from(key.value().1)) {
                    response.body = unpack::<Box<Body>>(packed.value()).ok();
                }
            }
            found.push(ExportBlock { number, events });
        }
        Ok(found)
        })
    }
}

/// Sets the number that is kept for a destination.
pub(super) fn set_cursor(database: &Database, cursor: ExportCursor, number: u64) -> Result<(), TelemetryError> {
    let txn = database.begin_write()?;
    txn.open_table(META)?.insert(cursor.key(), number)?;
    txn.commit()?;
    Ok(())
}

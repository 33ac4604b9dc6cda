//! Calls that wait in memory for the spans around them, on disk: none is lost with the process.
//!
//! A call leaves this table in the transaction that records it.

use redb::{ReadableTable, ReadableTableMetadata, WriteTransaction};

use super::codec::{Recorded, pack, unpack};
use super::tables::{PARKED, span_hash};
use super::{TelemetryError, TelemetryStore};
use crate::event::{Event, SpanContext};

/// Changes of what waits.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parking {
    /// Responses that wait from now on; those without a span are left out.
    pub park: Vec<Recorded>,
    /// Spans that wait no longer, and are not recorded either.
    pub forget: Vec<SpanContext>,
}

/// Takes what is recorded now out of what waits, and applies the changes.
pub(super) fn note(txn: &WriteTransaction, recorded: &[Recorded], parking: &Parking) -> Result<(), TelemetryError> {
    let mut parked = txn.open_table(PARKED)?;
    if parked.is_empty()? && parking.park.is_empty() {
        return Ok(());
    }
    for span in recorded.iter().filter_map(span_of).chain(parking.forget.iter().copied()) {
        parked.remove(&span_hash(&span))?;
    }
    for one in &parking.park {
        if let Some(span) = span_of(one) {
            parked.insert(&span_hash(&span), pack(one)?.as_slice())?;
        }
    }
    Ok(())
}

fn span_of(recorded: &Recorded) -> Option<SpanContext> {
    match &recorded.event {
        Event::Response(response) => response.span,
        Event::Score(_) => None,
    }
}

impl TelemetryStore {
    /// What waited when the last process ended.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn parked(&self) -> Result<Vec<Recorded>, TelemetryError> {
        self.read(|txn| {
            let mut found = Vec::new();
            for entry in txn.open_table(PARKED)?.iter()? {
                found.push(unpack(entry?.1.value())?);
            }
            Ok(found)
        })
    }
}

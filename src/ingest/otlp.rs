//! OpenTelemetry: bodies of OTLP in, recorded events out.
//!
//! Calls that name no prompt wait some seconds for the spans around them, which arrive later: in memory, and on disk, so
//! that they are recorded even if this process ends before. What was acknowledged and the store then did not take is
//! kept here for the next try.

use std::sync::{MutexGuard, PoisonError};

use super::content::Texts;
use super::{IngestError, Recorder};
use crate::telemetry::event::Event;
use crate::telemetry::otlp::{self, Encoding, Options, Rejected, Settled, Signal, TraceMemory};
use crate::telemetry::store::{EVENTS_MAX, Parking, Recorded, Role, TelemetryError};

/// Most calls that are kept while the store takes none; those above it come back at the next start.
const HELD_MAX: usize = 20_000;

/// What waits between two bodies.
#[derive(Debug, Default)]
pub(super) struct Traces {
    memory: TraceMemory,
    /// Calls that wait no longer, and that the store did not take.
    held: Vec<Event>,
}

impl Traces {
    /// Of a node whose last process left these calls behind.
    pub(super) fn after(waited: Vec<Recorded>) -> Self {
        Self { memory: TraceMemory::default(), held: waited.into_iter().map(|one| one.event).collect() }
    }
}

/// A body that was read: what to record, and what to answer then.
#[derive(Debug)]
pub struct Received {
    settled: Settled,
    answer: Vec<u8>,
    rejected: Vec<Rejected>,
}

impl Received {
    /// What was not taken as it was sent.
    #[must_use]
    pub fn rejected(&self) -> &[Rejected] {
        &self.rejected
    }
}

impl Recorder {
    /// Reads a body of OTLP, attributes and prices what is in it. Blocks, longer for a large body.
    ///
    /// # Errors
    /// The body cannot be decoded.
    pub fn read_otlp(&self, signal: Signal, encoding: Encoding, body: &[u8]) -> Result<Received, IngestError> {
        let now_ms = self.now_ms();
        let options = Options { now_ms, record_content: self.0.options.content.takes_any() };
        let mut batch = match signal {
            Signal::Traces => otlp::read_traces(body, encoding, &options)?,
            Signal::Logs => otlp::read_logs(body, encoding, &options)?,
            Signal::Metrics => otlp::read_metrics(body, encoding)?,
        };
        if self.0.store.role() == Role::Keep {
            batch.reject_before(self.0.options.retention.oldest_event_ms(now_ms));
        }
        let answer = otlp::answer(signal, encoding, &batch);
        let rejected = batch.rejected();
        let mut settled = self.traces().memory.settle(batch, now_ms);
        for event in [&mut settled.ready, &mut settled.released, &mut settled.parked].into_iter().flatten() {
            self.complete(event);
        }
        for event in &mut settled.parked {
            if let Event::Response(response) = event {
                self.limit_content(response);
            }
            if let Some(mut texts) = Texts::take(event) {
                self.0.options.redactor.redact(&mut texts);
                texts.put(event);
            }
        }
        Ok(Received { settled, answer, rejected })
    }

    /// Records what was read; the answer to its sender.
    ///
    /// # Errors
    /// The store does not take it now: the sender can send it again.
    pub async fn record_otlp(&self, received: Received) -> Result<Vec<u8>, IngestError> {
        let Settled { mut ready, mut released, parked, repeated } = received.settled;
        self.finish(ready.iter_mut().chain(&mut released).collect()).await;
        self.record_released(released).await?;
        let parking = Parking { park: recorded(parked), forget: repeated };
        let mut events = recorded(ready);
        let rest = events.split_off(events.len().min(EVENTS_MAX));
        self.0.store.record_and_park(events, parking, self.now_ms()).await?;
        self.0.store.record(rest, self.now_ms()).await?;
        Ok(received.answer)
    }

    /// Records the calls that have waited long enough, and those that the store did not take before.
    ///
    /// # Errors
    /// The store does not take them now; they are kept for the next time.
    pub async fn record_due(&self) -> Result<(), TelemetryError> {
        let now_ms = self.now_ms();
        self.record_waiting(|memory| memory.due(now_ms)).await
    }

    /// Records all calls that wait, before the process ends.
    ///
    /// # Errors
    /// The store does not take them; they come back at the next start.
    pub async fn record_all_waiting(&self) -> Result<(), TelemetryError> {
        self.record_waiting(TraceMemory::drain).await
    }

    async fn record_waiting(&self, take: impl FnOnce(&mut TraceMemory) -> Vec<Event>) -> Result<(), TelemetryError> {
        let mut events = {
            let mut traces = self.traces();
            let mut events = std::mem::take(&mut traces.held);
            events.extend(take(&mut traces.memory));
            events
        };
        self.complete_all(events.iter_mut()).await;
        self.record_released(events).await
    }

    /// Records calls that were acknowledged before; keeps them if the store does not take them.
    async fn record_released(&self, mut events: Vec<Event>) -> Result<(), TelemetryError> {
        while !events.is_empty() {
            let rest = events.split_off(events.len().min(EVENTS_MAX));
            if let Err(error) = self.0.store.record(recorded(events.clone()), self.now_ms()).await {
                let held = &mut self.traces().held;
                let room = HELD_MAX.saturating_sub(held.len());
                held.extend(events.into_iter().chain(rest).take(room));
                return Err(error);
            }
            events = rest;
        }
        Ok(())
    }

    fn traces(&self) -> MutexGuard<'_, Traces> {
        self.0.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn recorded(events: Vec<Event>) -> Vec<Recorded> {
    events.into_iter().map(|event| Recorded { event, repeat: None }).collect()
}

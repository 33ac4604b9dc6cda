//! Takes in what applications report about the responses of models: attributes it to versions, prices and records it.
//!
//! The doors decide who may report, and read what is sent; this module does the same with all of it. Nothing here
//! touches the registry's writer: what floods this is felt by nobody else.

mod attribute;

use std::sync::Arc;

use crate::clock::Clock;
use crate::resolve::Resolver;
use crate::telemetry::event::{Event, ScoreTarget};
use crate::telemetry::store::{Outcome, Recorded, TelemetryError, TelemetryStore};

/// Records telemetry; clones share it.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    store: TelemetryStore,
    resolver: Resolver,
    clock: Arc<dyn Clock>,
}

impl Recorder {
    /// Records into a store, and attributes by what a resolver serves.
    #[must_use]
    pub fn new(store: TelemetryStore, resolver: Resolver, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { store, resolver, clock }))
    }

    /// What is recorded, for reading.
    #[must_use]
    pub fn store(&self) -> &TelemetryStore {
        &self.0.store
    }

    /// The time now, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// Records events; when it answers, they are durable. `request` tells a request that comes again from another: an
    /// event is known by it and its place, where it has no id of its own.
    ///
    /// # Errors
    /// Too many at once, or the disk does not take them.
    pub async fn record(&self, events: Vec<Event>, request: Option<&str>) -> Result<Outcome, TelemetryError> {
        let events = events.into_iter().enumerate().map(|(index, event)| Recorded {
            event: self.complete(event),
            repeat: request.map(|request| repeat_key(request, index)),
        });
        self.0.store.record(events.collect(), self.now_ms()).await
    }

    /// The target of a score of a prompt's version as a whole, from a stamp or a reference to a version.
    #[must_use]
    pub fn score_target(&self, reference: &str) -> Option<ScoreTarget> {
        attribute::version_of(&self.0.resolver, reference)
    }

    fn complete(&self, mut event: Event) -> Event {
        if let Event::Response(response) = &mut event {
            response.attribution = attribute::attribute(&self.0.resolver, &response.claim);
        }
        event
    }
}

fn repeat_key(request: &str, index: usize) -> [u8; 16] {
    let mut key = [0; 16];
    let mut hasher = blake3::Hasher::new_derive_key("bookholder telemetry 2026 request");
    hasher.update(request.as_bytes()).update(&u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes());
    hasher.finalize_xof().fill(&mut key);
    key
}

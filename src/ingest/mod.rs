//! Takes in what applications report about the responses of models: attributes it to versions, prices and records it.
//!
//! `http` decides who may report and decodes requests; this module treats all reports alike. Nothing here touches the
//! registry's writer, so a flood of reports delays no change of the registry.

mod alerts;
mod attribute;
mod calls;
pub mod completeness;
mod content;
mod error;
pub mod exports;
mod lookup;
mod observed;
mod otlp;
mod prices;
mod repeats;
mod report;
pub mod stats;
mod text_cost;
mod texts;

use std::sync::{Arc, Mutex};

use crate::api::completeness::SETTLING_MS;
use crate::api::telemetry::{ReportAnswer, ReportedResponse, ReportedScore};
use crate::clock::Clock;
use crate::model::time::Timestamp;
use crate::resolve::texts::VersionTexts;
use crate::resolve::{ReadScope, Resolver};
use crate::telemetry::event::{Attribution, Event, Response};
use crate::telemetry::price::PriceTable;
use crate::telemetry::store::{Outcome, Recorded, Retention, SentBatch, SpoolId, TelemetryError, TelemetryStore};

use content::Texts;
pub use content::{ContentSample, Redactor};
pub use error::IngestError;
use exports::state::ExportStates;
pub use observed::Adoption;
pub use otlp::Received;
pub use repeats::RequestKey;
use repeats::{Request, RequestKeys};

/// A call that began less than this before its report is about what is served now, in milliseconds: clocks differ.
const CLOCKS_DIFFER_MS: i64 = 1_000;

/// Records telemetry; clones share it.
#[derive(Clone)]
pub struct Recorder(Arc<Inner>);

struct Inner {
    store: TelemetryStore,
    resolver: Resolver,
    texts: VersionTexts,
    clock: Arc<dyn Clock>,
    prices: prices::Prices,
    options: RecordingOptions,
    traces: Mutex<otlp::Traces>,
    exports: ExportStates,
    requests: RequestKeys,
    /// What tells this node from others.
    node: String,
}

/// What is recorded, and at which prices.
#[derive(Debug)]
pub struct RecordingOptions {
    /// Prices that override the embedded ones.
    pub prices: Option<PriceTable>,
    /// Of which calls what is sent to models and what they answer is recorded.
    pub content: ContentSample,
    /// What replaces credentials and personal data in it.
    pub redactor: Redactor,
    /// How long it is kept, on a primary.
    pub retention: Retention,
}

impl Default for RecordingOptions {
    fn default() -> Self {
        Self {
            prices: None,
            content: ContentSample::NONE,
            redactor: Redactor::built_in(),
            retention: Retention::default(),
        }
    }
}

impl Recorder {
    /// Records into a store, and attributes by what a resolver serves.
    ///
    /// # Errors
    /// The calls that the last process left behind cannot be read.
    pub fn new(
        store: TelemetryStore,
        resolver: Resolver,
        clock: Arc<dyn Clock>,
        options: RecordingOptions,
    ) -> Result<Self, TelemetryError> {
        store.keep_for(options.retention);
        let traces = Mutex::new(otlp::Traces::after(store.parked()?));
        let texts = resolver.texts();
        let prices = prices::Prices::new(options.prices.clone());
        let exports = ExportStates::new(Arc::clone(&clock));
        let node = store.spool()?.map(|spool| spool.id.node.escape_ascii().to_string()).unwrap_or_default();
        let requests = RequestKeys::default();
        Ok(Self(Arc::new(Inner { store, resolver, texts, clock, prices, options, traces, exports, requests, node })))
    }

    /// What is recorded, for reading.
    #[must_use]
    pub fn store(&self) -> &TelemetryStore {
        &self.0.store
    }

    /// Whether what is recorded is sent on.
    #[must_use]
    pub fn exports(&self) -> ExportStates {
        self.0.exports.clone()
    }

    /// How long it is kept.
    #[must_use]
    pub fn retention(&self) -> Retention {
        self.0.options.retention
    }

    /// The time now, in milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.0.clock.now_ms()
    }

    /// Records the events of a request; when it answers, they are durable.
    async fn record(&self, mut events: Vec<Event>, request: Option<Request>) -> Result<ReportAnswer, IngestError> {
        if let Some(request) = &request {
            self.0.requests.check(request)?;
        }
        self.complete_all(events.iter_mut()).await;
        let repeat = |index| request.as_ref().and_then(|request| request.items.get(index).copied());
        let events = events.into_iter().enumerate();
        let events = events.map(|(index, event)| Recorded { event, repeat: repeat(index) }).collect();
        let recorded = self.0.store.record(events, self.now_ms()).await?;
        if let Some(request) = &request {
            self.0.requests.remember(request);
        }
        Ok(answer(recorded))
    }

    /// Records reported responses.
    ///
    /// # Errors
    /// One of them is not as it must be, the key came with other responses, or the disk does not take them.
    pub async fn record_responses(
        &self,
        responses: Vec<ReportedResponse>,
        key: Option<&RequestKey>,
    ) -> Result<ReportAnswer, IngestError> {
        report::check_number("responses", responses.len())?;
        let request = key.map(|key| Request::new("responses", key, &self.0.node, &responses));
        let now_ms = self.now_ms();
        let event = |(index, reported)| Ok(Event::Response(Box::new(report::response(index, reported, now_ms)?)));
        let events = responses.into_iter().enumerate().map(event).collect::<Result<_, IngestError>>()?;
        self.record(events, request).await
    }

    /// Records reported scores. A version that is scored as a whole must be one that the scope can read.
    ///
    /// # Errors
    /// One of them is not as it must be, the key came with other scores, or the disk does not take them.
    pub async fn record_scores(
        &self,
        scores: Vec<ReportedScore>,
        scope: &ReadScope,
        key: Option<&RequestKey>,
    ) -> Result<ReportAnswer, IngestError> {
        report::check_number("scores", scores.len())?;
        let request = key.map(|key| Request::new("scores", key, &self.0.node, &scores));
        let now_ms = self.now_ms();
        let version_of = |stamp: &str| attribute::version_of(&self.0.resolver, scope, stamp);
        let event = |(index, reported)| Ok(Event::Score(report::score(index, reported, now_ms, version_of)?));
        let events = scores.into_iter().enumerate().map(event).collect::<Result<_, IngestError>>()?;
        self.record(events, request).await
    }

    /// Merges a batch from a replica with this ID; answers how many of its spool are merged now.
    ///
    /// # Errors
    /// It is not a batch, or not its turn; or the disk does not take it.
    pub async fn merge(
        &self,
        from: SpoolId,
        mut sent: SentBatch,
        replica: Option<&str>,
    ) -> Result<u64, TelemetryError> {
        // What a replica did not know yet, the primary does.
        self.complete_all(sent.batch.events.iter_mut().map(|recorded| &mut recorded.event)).await;
        let at_ms = sent.batch.at_ms;
        let merged = self.0.store.merge(from, sent, self.now_ms()).await?;
        if let Some(replica) = replica {
            self.0.store.note_replica(replica, at_ms.saturating_sub(SETTLING_MS), self.now_ms());
        }
        Ok(merged)
    }

    /// Attributes and prices responses where that is not done yet, and leaves out what is not to be recorded here.
    async fn complete_all<'e>(&self, events: impl Iterator<Item = &'e mut Event>) {
        let mut events: Vec<&mut Event> = events.collect();
        for event in &mut events {
            self.complete(event);
        }
        self.finish(events).await;
    }

    /// Attributes a response by what its application says, where that is not done yet, and prices it unless its cost was
    /// reported: a primary prices again what replicas send, because its prices count.
    fn complete(&self, event: &mut Event) {
        let Event::Response(response) = event else { return };
        if !matches!(response.attribution, Attribution::Version(_)) {
            let began_ms = response.began_ms();
            let is_late = began_ms < self.now_ms().saturating_sub(CLOCKS_DIFFER_MS);
            let at = is_late.then(|| Timestamp::from_ms(began_ms));
            response.attribution = attribute::attribute(&self.0.resolver, &response.claim, at);
        }
        response.cost = self.0.prices.book().cost(response);
    }

    /// Attributes by their text the responses that name no prompt, leaves out what is not to be recorded here, and
    /// replaces credentials and personal data in the rest.
    async fn finish(&self, mut events: Vec<&mut Event>) {
        let responses = events.iter_mut().filter_map(|event| match event {
            Event::Response(response) => Some(&mut **response),
            Event::Score(_) => None,
        });
        let mut responses: Vec<&mut Response> = responses.collect();
        texts::attribute(&self.0.texts, &mut responses).await;
        for response in responses {
            self.limit_content(response);
        }
        let (mut of, mut texts) = (Vec::new(), Vec::new());
        for event in events {
            if let Some(found) = Texts::take(event) {
                of.push(event);
                texts.push(found);
            }
        }
        if texts.is_empty() {
            return;
        }
        let redactor = self.0.options.redactor.clone();
        let redact = move || {
            for texts in &mut texts {
                redactor.redact(texts);
            }
            texts
        };
        let redacted = tokio::task::spawn_blocking(redact).await.unwrap_or_else(|error| {
            tracing::error!(reason = error.to_string(), "texts are left out: they cannot be redacted");
            Vec::new()
        });
        for (event, texts) in of.into_iter().zip(redacted) {
            texts.put(event);
        }
    }

    /// Leaves out what is not to be recorded here.
    fn limit_content(&self, response: &mut Response) {
        if response.body.is_some() && !self.0.options.content.takes(response) {
            response.body = None;
        }
        let is_recognized = matches!(response.attribution, Attribution::Version(_)) || response.claim.names_prompt();
        if is_recognized || !self.0.options.content.takes_any() {
            response.system_text = None;
        }
    }
}

fn answer(outcome: Outcome) -> ReportAnswer {
    let Outcome { recorded, duplicates, too_old } = outcome;
    ReportAnswer { recorded, duplicates, too_old }
}

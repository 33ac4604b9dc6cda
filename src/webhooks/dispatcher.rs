//! Sends deliveries: wakes on commits and due times, signs, posts, and reports the results.
//!
//! It stores nothing: deliveries that were not recorded when the node stopped are due again at the next start, with the
//! same `webhook-id`, so every event arrives at least once. Invariants: each webhook has one delivery in flight, which
//! keeps first attempts in order, and all have at most [`IN_FLIGHT_MAX`]; webhooks that failed last have at most half
//! of them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::deliver::Deliverer;
use crate::clock::Clock;
use crate::crypto::webhook::sign;
use crate::metrics::{Metrics, State};
use crate::model::time::Timestamp;
use crate::registry::Registry;
use crate::registry::outbox::{DeliveryResult, OutgoingDelivery};
use crate::store::{Committed, StoreError};

/// Most deliveries at once: enough that slow receivers, which get half of them, do not delay the others.
const IN_FLIGHT_MAX: usize = 16;
/// How often the clock is checked while deliveries are scheduled, because it may be set.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// How long to wait after the store failed.
const PAUSE: Duration = Duration::from_secs(5);
/// How often old deliveries are dropped.
const FORGET_EVERY: Duration = Duration::from_secs(3_600);
/// Deadline for deliveries in flight when the node stops; others are sent again at the next start.
const DRAIN: Duration = Duration::from_secs(5);

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// Delivers webhooks until told to stop; `committed` notifies of commits.
pub async fn run(
    registry: Registry,
    mut committed: watch::Receiver<Arc<Committed>>,
    deliverer: Deliverer,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    stop: CancellationToken,
) {
    let mut sender = Sender {
        registry,
        metrics,
        deliverer,
        clock,
        flight: JoinSet::new(),
        busy: BTreeSet::new(),
        landed: Vec::new(),
        last: None,
        next_at: None,
    };
    let mut forget = tokio::time::interval(FORGET_EVERY);
    loop {
        let head = committed.borrow_and_update().head.position;
        let failed = sender.run_due().await.inspect_err(warn).is_err();
        loop {
            let wait = if failed { PAUSE } else { LOOK_EVERY };
            tokio::select! {
                () = stop.cancelled() => return sender.drain().await,
                Some(done) = sender.flight.join_next() => {
                    sender.record_result(done);
                    break;
                }
                changed = committed.changed() => match changed {
                    Err(_) => return sender.drain().await,
                    // The bookkeeping of webhooks is not a numbered commit.
                    Ok(()) if committed.borrow_and_update().head.position != head => break,
                    Ok(()) => {}
                },
                () = tokio::time::sleep(wait), if failed || sender.next_at.is_some() => {
                    if failed || sender.is_due() {
                        break;
                    }
                }
                _ = forget.tick() => drop(sender.registry.forget_old_deliveries().await.inspect_err(warn)),
            }
        }
    }
}

fn warn(error: &StoreError) {
    tracing::warn!(error = error as &dyn std::error::Error, "webhooks cannot read the store; trying again");
}

struct Sender {
    registry: Registry,
    metrics: Metrics,
    deliverer: Deliverer,
    clock: Arc<dyn Clock>,
    flight: JoinSet<DeliveryResult>,
    /// Webhooks with a delivery in flight, or with an unrecorded result.
    busy: BTreeSet<String>,
    /// Unrecorded results.
    landed: Vec<DeliveryResult>,
    /// The webhook that was served last.
    last: Option<String>,
    next_at: Option<Timestamp>,
}

impl Sender {
    /// Records results, and starts due deliveries.
    async fn run_due(&mut self) -> Result<(), StoreError> {
        loop {
            self.record().await?;
            let room = IN_FLIGHT_MAX.saturating_sub(self.flight.len());
            let work = self.registry.webhook_work(self.busy.clone(), self.last.clone(), room).await?;
            self.next_at = work.next_at;
            for sending in work.due {
                self.last = Some(sending.webhook.clone());
                self.busy.insert(sending.webhook.clone());
                self.flight.spawn(post(sending, self.deliverer.clone(), Arc::clone(&self.clock)));
            }
            if !work.more {
                return Ok(());
            }
        }
    }

    async fn record(&mut self) -> Result<(), StoreError> {
        while let Some(done) = self.flight.try_join_next() {
            self.record_result(done);
        }
        if self.landed.is_empty() {
            return Ok(());
        }
        for state in self.registry.webhook_done(self.landed.clone()).await? {
            self.metrics.webhook_attempts.get_or_create(&State { state: state.as_str() }).inc();
        }
        for landed in self.landed.drain(..) {
            self.busy.remove(&landed.webhook);
        }
        Ok(())
    }

    fn record_result(&mut self, done: Result<DeliveryResult, JoinError>) {
        match done {
            Ok(attempted) => {
                if let Some(error) = &attempted.answer.error {
                    let (webhook, (seq, _)) = (&attempted.webhook, attempted.event);
                    tracing::debug!(webhook, seq, error, "webhook delivery failed");
                }
                self.landed.push(attempted);
            }
            Err(error) => {
                tracing::error!(%error, "a delivery attempt failed unexpectedly");
                // Its webhook is unknown now: webhooks with neither a flight nor a result are released when all have
                // landed.
                if self.flight.is_empty() {
                    self.busy = self.landed.iter().map(|landed| landed.webhook.clone()).collect();
                }
            }
        }
    }

    fn is_due(&self) -> bool {
        self.next_at.is_some_and(|at| at.ms() <= self.clock.now_ms())
    }

    /// Waits briefly for deliveries in flight, so that they are not sent again.
    async fn drain(&mut self) {
        let landing = async {
            while let Some(done) = self.flight.join_next().await {
                self.record_result(done);
            }
        };
        let _rest_is_sent_again = tokio::time::timeout(DRAIN, landing).await;
        if let Err(error) = self.record().await {
            warn(&error);
        }
    }
}

async fn post(sending: OutgoingDelivery, deliverer: Deliverer, clock: Arc<dyn Clock>) -> DeliveryResult {
    let OutgoingDelivery { webhook, event, id, url, body, secrets } = sending;
    let timestamp_s = Timestamp::from_ms(clock.now_ms()).seconds();
    let signatures = sign(&secrets, &id, timestamp_s, &body);
    let mut headers = HeaderMap::from_iter([
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (TIMESTAMP, HeaderValue::from(timestamp_s)),
    ]);
    let texts = [(ID, id), (SIGNATURE, signatures)];
    // Both consist of letters, digits and punctuation, which are valid in every header.
    headers.extend(texts.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::try_from(text).ok()?))));
    let answer = deliverer.post(&url, headers, Bytes::from(body)).await;
    DeliveryResult { webhook, event, answer, jitter: getrandom::u64().unwrap_or_default() }
}

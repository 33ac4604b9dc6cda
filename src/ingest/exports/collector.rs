//! Sends recorded telemetry to a collector of OpenTelemetry, with the version that each response was attributed to.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};

use super::{Destination, ExportError, Step, body_bytes, waiting};
use crate::client::{CONNECT_TIMEOUT, USER_AGENT};
use crate::crypto::tls::{trusting, use_ring};
use crate::telemetry::event::Event;
use crate::telemetry::otlp::{self, Export};
use crate::telemetry::store::{ExportBlock, ExportCursor, TelemetryStore};

/// Deadline of a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Blocks that are read at once.
const BLOCKS: usize = 8;
/// Events of one request; exporters send as many.
const EVENTS: usize = 512;
/// Recorded inputs and outputs of one request, in bytes; a single larger one is sent by itself.
const BODIES_BYTES: usize = 2 * 1024 * 1024;

/// Where and how to send.
#[derive(Clone, Debug)]
pub struct CollectorOptions {
    /// The URL, to which `/v1/traces` and `/v1/logs` are appended.
    pub url: String,
    /// Headers of each request.
    pub headers: HeaderMap,
    /// Certificates to trust besides the public authorities, as PEM.
    pub trusted: Option<Vec<u8>>,
}

/// A collector.
pub struct Collector {
    store: TelemetryStore,
    http: reqwest::Client,
    base: String,
}

impl Collector {
    /// Prepares to send what a store holds.
    ///
    /// # Errors
    /// The certificates are not valid.
    pub fn new(store: TelemetryStore, options: CollectorOptions) -> Result<Self, ExportError> {
        let refused = |error: &dyn std::error::Error| ExportError::Destination(error.to_string());
        use_ring();
        let mut builder = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .default_headers(options.headers);
        if let Some(pem) = &options.trusted {
            builder = builder.use_preconfigured_tls(trusting(pem).map_err(|error| refused(&error))?);
        }
        let http = builder.build().map_err(|error| refused(&error))?;
        Ok(Self { store, http, base: options.url.trim_end_matches('/').to_owned() })
    }

    /// Sends events; how many of them the collector refused for good.
    async fn send(&self, block: u64, events: &[Event]) -> Result<u64, ExportError> {
        let Export { traces, logs } = otlp::export(block, events);
        let mut refused = 0;
        let responses = events.iter().filter(|event| matches!(event, Event::Response(_))).count();
        for (path, body, number) in
            [("v1/traces", traces, responses), ("v1/logs", logs, events.len().saturating_sub(responses))]
        {
            if !body.is_empty() && !self.post(path, body).await? {
                refused += u64::try_from(number).unwrap_or(u64::MAX);
            }
        }
        Ok(refused)
    }

    /// Posts a body; whether the collector took it, or refused it for good.
    async fn post(&self, path: &str, body: Vec<u8>) -> Result<bool, ExportError> {
        let failed = |reason: String| ExportError::Destination(reason);
        let body = compressed(&body).map_err(|error| failed(error.to_string()))?;
        let url = format!("{}/{path}", self.base);
        let request = self.http.post(&url).header(CONTENT_TYPE, "application/x-protobuf");
        let sent = request.header(CONTENT_ENCODING, "gzip").body(body).send().await;
        let status = sent.map_err(|error| failed(error.without_url().to_string()))?.status();
        match status {
            _ if status.is_success() => Ok(true),
            // The same body would be refused each time.
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE | StatusCode::UNPROCESSABLE_ENTITY => Ok(false),
            _ => Err(failed(format!("the collector answered {status} to {path}"))),
        }
    }
}

impl Destination for Collector {
    const NAME: &'static str = "otlp";

    async fn step(&self) -> Result<Step, ExportError> {
        let store = self.store.clone();
        let read = move || -> Result<_, ExportError> {
            let due = store.export_due(ExportCursor::Otlp)?;
            Ok((due, store.export_blocks(due.first, due.end, BLOCKS)?))
        };
        let (due, blocks) =
            tokio::task::spawn_blocking(read).await.map_err(|error| ExportError::Destination(error.to_string()))??;
        let mut step = Step { lost: due.missed, waiting: waiting(&due), ..Step::default() };
        let Some(last) = blocks.last().map(|block| block.number) else {
            if due.first < due.end || due.missed > 0 {
                // None of them is there any more, or can be read.
                self.store.set_export_cursor(ExportCursor::Otlp, due.end).await?;
            }
            return Ok(step);
        };
        for ExportBlock { number, events } in blocks {
            for part in parts(&events) {
                let refused = self.send(number, part).await?;
                step.lost += refused;
                step.events += u64::try_from(part.len()).unwrap_or(u64::MAX).saturating_sub(refused);
            }
            self.store.set_export_cursor(ExportCursor::Otlp, number.saturating_add(1)).await?;
        }
        step.waiting = due.end.saturating_sub(last.saturating_add(1));
        step.more = step.waiting > 0;
        Ok(step)
    }
}

/// Events in parts that each fit into a request.
fn parts(events: &[Event]) -> impl Iterator<Item = &[Event]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut bytes = 0_usize;
        let fits = |event: &&Event| {
            bytes = bytes.saturating_add(body_bytes(event));
            bytes <= BODIES_BYTES
        };
        let end = rest.iter().take(EVENTS).take_while(fits).count().max(1);
        let (part, left) = rest.split_at_checked(end.min(rest.len()))?;
        rest = left;
        (!part.is_empty()).then_some(part)
    })
}

fn compressed(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

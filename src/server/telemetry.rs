//! Opens what records telemetry. A node whose telemetry file cannot be used runs without, and says why.

use std::path::Path;
use std::sync::Arc;

use super::opening;
use crate::clock::Clock;
use crate::config::Settings;
use crate::ingest::{Recorder, RecordingOptions, Redactor};
use crate::registry::Registry;
use crate::replication::telemetry_file::FileSigner;
use crate::resolve::Resolver;
use crate::telemetry::store::{Role, TelemetryError, TelemetryStore};

/// What keeps telemetry on a primary.
pub(super) async fn keeping(
    node: &Settings,
    registry: &Registry,
    resolver: &Resolver,
    clock: &Arc<dyn Clock>,
) -> Option<Recorder> {
    let rules = registry.clone();
    let redactor = Redactor::new(move |json, is_prompt| rules.redact(json, is_prompt));
    let recorder = open(node, Role::Keep, redactor, resolver, clock).await?;
    tally_calls(&recorder, node.prompt_metrics_max).await;
    let (opened, registry) = (recorder.clone(), registry.clone());
    let put = move || recorder.put_prices_in_force(|| registry.price_tables());
    let put = tokio::task::spawn_blocking(put).await.map_err(|error| error.to_string());
    if let Err(reason) = put.and_then(|put| put.map_err(|error| error.to_string())) {
        tracing::error!(reason, "prices of the registry cannot be read; calls are priced without them");
    }
    Some(opened)
}

/// Begins to tally calls for `/metrics`, unless that is off.
async fn tally_calls(recorder: &Recorder, each_max: usize) {
    if each_max == 0 {
        return;
    }
    let recorder = recorder.clone();
    let begun = tokio::task::spawn_blocking(move || recorder.store().tally_calls(each_max, recorder.now_ms())).await;
    let begun = begun.map_err(|error| error.to_string());
    if let Err(reason) = begun.and_then(|begun| begun.map_err(|error| error.to_string())) {
        tracing::error!(reason, "there are no metrics of calls by prompt: what was counted before cannot be read");
    }
}

/// What spools telemetry on a replica.
pub(super) async fn spooling(node: &Settings, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Option<Recorder> {
    open(node, Role::Spool { bytes_max: node.spool_bytes_max }, Redactor::built_in(), resolver, clock).await
}

/// What signs telemetry files of a replica; none, with the reason in the log, if its key cannot be used.
pub(super) fn file_signer(data: &Path, replica: &str) -> Option<FileSigner> {
    FileSigner::open(data, Some(replica))
        .inspect_err(|error| tracing::error!(error = error as &dyn std::error::Error, "telemetry cannot be exported"))
        .ok()
}

async fn open(
    node: &Settings,
    role: Role,
    redactor: Redactor,
    resolver: &Resolver,
    clock: &Arc<dyn Clock>,
) -> Option<Recorder> {
    let prices = node.prices.clone();
    let options = RecordingOptions { prices, content: node.content, redactor, retention: node.retention };
    let directory = node.data.clone();
    let opened = opening::open(move || TelemetryStore::open(&directory, role), TelemetryError::is_in_use).await;
    let (resolver, clock) = (resolver.clone(), Arc::clone(clock));
    let recorder =
        opened.and_then(|store| Recorder::new(store, resolver, clock, options).map_err(|error| error.to_string()));
    match recorder {
        Ok(recorder) => Some(recorder),
        Err(reason) => {
            tracing::error!(reason, "telemetry is not recorded");
            None
        }
    }
}

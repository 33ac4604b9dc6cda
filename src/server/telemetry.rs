//! Opens what records telemetry. A node whose telemetry file cannot be used runs without, and says why.

use std::sync::Arc;

use crate::clock::Clock;
use crate::config::Settings;
use crate::ingest::{Recorder, RecordingOptions};
use crate::resolve::Resolver;
use crate::telemetry::price::{PriceBook, PriceTable};
use crate::telemetry::store::{Role, TelemetryStore};

/// How large the spool of a replica may grow, in bytes.
const SPOOL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What keeps telemetry on a primary.
pub(super) async fn keeping(node: &Settings, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Option<Recorder> {
    open(node, Role::Keep, resolver, clock).await
}

/// What spools telemetry on a replica.
pub(super) async fn spooling(node: &Settings, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Option<Recorder> {
    open(node, Role::Spool { bytes_max: SPOOL_BYTES_MAX }, resolver, clock).await
}

async fn open(node: &Settings, role: Role, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Option<Recorder> {
    let tables = std::iter::once(PriceTable::embedded().clone()).chain(node.prices.clone());
    let options = RecordingOptions { prices: PriceBook::new(tables), record_content: node.record_content };
    let (directory, resolver, clock) = (node.data.clone(), resolver.clone(), Arc::clone(clock));
    let open = move || Recorder::new(TelemetryStore::open(&directory, role)?, resolver, clock, options);
    let opened = tokio::task::spawn_blocking(open).await;
    match opened.map_err(|error| error.to_string()).and_then(|opened| opened.map_err(|error| error.to_string())) {
        Ok(recorder) => Some(recorder),
        Err(reason) => {
            tracing::error!(reason, "telemetry is not recorded");
            None
        }
    }
}

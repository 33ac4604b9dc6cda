//! Opens what records telemetry. A node whose telemetry file cannot be used runs without, and says why.

use std::path::Path;
use std::sync::Arc;

use crate::clock::Clock;
use crate::ingest::Recorder;
use crate::resolve::Resolver;
use crate::telemetry::store::{Role, TelemetryStore};

/// How large the spool of a replica may grow, in bytes.
const SPOOL_BYTES_MAX: u64 = 1024 * 1024 * 1024;

/// What keeps telemetry on a primary.
pub(super) async fn keeping(directory: &Path, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Option<Recorder> {
    open(directory, Role::Keep, resolver, clock).await
}

/// What spools telemetry on a replica.
pub(super) async fn spooling(directory: &Path, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Option<Recorder> {
    open(directory, Role::Spool { bytes_max: SPOOL_BYTES_MAX }, resolver, clock).await
}

async fn open(directory: &Path, role: Role, resolver: &Resolver, clock: &Arc<dyn Clock>) -> Option<Recorder> {
    let directory = directory.to_owned();
    let opened = tokio::task::spawn_blocking(move || TelemetryStore::open(&directory, role)).await;
    match opened.map_err(|error| error.to_string()).and_then(|opened| opened.map_err(|error| error.to_string())) {
        Ok(store) => Some(Recorder::new(store, resolver.clone(), Arc::clone(clock))),
        Err(reason) => {
            tracing::error!(reason, "telemetry is not recorded");
            None
        }
    }
}

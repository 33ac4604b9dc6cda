//! A whole node in one process, on real lower layers: for the tests of this layer and the targets in `fuzz/`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::listen::{Rehome, serve_http1};
use super::peer::Peer;
use super::service::HttpService;
use super::state::{About, AppState};
use crate::api::status::{Freshness, NodeRole, Status};
use crate::clock::{Clock, ManualClock};
use crate::crypto::secret::AccessToken;
use crate::evaluate::{EvaluationParts, Evaluations, Spending};
use crate::evaluation::provider::Providers;
use crate::evaluation::store::EvaluationStore;
use crate::ingest::{Recorder, RecordingOptions};
use crate::metrics::{Metrics, Role};
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::registry::Registry;
use crate::registry::bootstrap::{BootstrapOptions, bootstrap};
use crate::replication::publisher::Publisher;
use crate::resolve::freshness::FreshnessCell;
use crate::resolve::{Catalogue, Resolver};
use crate::store::{Options, Store};
use crate::telemetry::store::{self as telemetry, TelemetryStore};

/// Bytes on their way to or from a client.
const PIPE_BYTES: usize = 1 << 20;

/// The access token of its administrator.
pub const ADMIN: &str = "an-admin-token-for-tests";

/// An empty store in this directory.
///
/// # Panics
/// The directory cannot be written.
#[must_use]
pub fn store(directory: &Path) -> Store {
    Store::open(&Options { directory: directory.to_owned(), create: true }).expect("a store")
}

/// A primary over a new registry in this store, or what answers like a replica of it.
///
/// # Panics
/// The store is not empty, or cannot be written.
#[must_use]
pub fn state(store: &Store, primary: bool) -> AppState {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(1_800_000_000_000));
    let admin_token = Some(AccessToken::parse(ADMIN).expect("a token"));
    let options = BootstrapOptions { registry: Some("test".to_owned()), admin_token, trust_clock: false };
    // Creating a registry waits for the disk, which an async thread must not do.
    let created = std::thread::scope(|scope| scope.spawn(|| bootstrap(store, &options, &clock)).join());
    let opened = created.expect("no panic").expect("a registry");
    let position = store.committed().borrow().head.position;
    let status = Status {
        role: NodeRole::Primary,
        registry: "test".to_owned(),
        version: "0".to_owned(),
        position,
        state: String::new(),
        entries: 0,
        freshness: Freshness::Fresh,
        stale: false,
        since: Timestamp::from_ms(0),
        age_s: 0,
        issued: None,
        expires: None,
        clock_untrusted: false,
        held: false,
        automation_held: false,
        trouble: None,
        storage: None,
        inbox: None,
        watch: None,
        alerts: Vec::new(),
        telemetry: None,
        replicas: Vec::new(),
    };
    let metrics = Metrics::new(if primary { Role::Primary } else { Role::Replica });
    let registry = Registry::open(store.clone(), Arc::clone(&opened.signer.clock)).expect("a registry");
    let resolver = Resolver::new(store.clone(), 1024 * 1024);
    let telemetry = TelemetryStore::open(store.directory(), telemetry::Role::Keep).expect("a telemetry store");
    let recorder = Recorder::new(telemetry, resolver.clone(), Arc::clone(&clock), RecordingOptions::default())
        .expect("a recorder");
    let evaluations = primary.then(|| {
        Evaluations::new(EvaluationParts {
            store: EvaluationStore::open(store.directory()).expect("a store of evaluations"),
            registry: registry.clone(),
            catalogue: Catalogue::new(store.clone()),
            providers: Providers::new(Vec::new(), |_| None).expect("no providers"),
            models: BTreeMap::new(),
            spending: Spending { per_day: Usd::from_pico(1_000_000_000_000) },
            results_days: crate::evaluate::RESULTS_DAYS_DEFAULT,
            results_bytes: crate::evaluate::RESULTS_BYTES_DEFAULT,
            recorder: Some(recorder.clone()),
            clock: Arc::clone(&clock),
        })
    });
    AppState {
        evaluations,
        usage: registry.usage(),
        recorder: Some(recorder),
        file_signer: None,
        resolver,
        catalogue: Catalogue::new(store.clone()),
        registry: primary.then_some(registry),
        about: About::default(),
        publisher: primary.then(|| Publisher::new(store.clone(), opened.signer, Arc::clone(&clock), metrics.clone())),
        freshness: FreshnessCell::primary(position, Arc::clone(&clock)),
        status: Arc::new(move || status.clone()),
        upstream: (!primary).then(|| "http://primary:1".to_owned()),
        committed: store.committed(),
        metrics,
        open_reads: true,
        open_to_all: false,
        door: Door::default(),
        read_token: None,
        ready_max_age_s: None,
        clock,
        stop: CancellationToken::new(),
    }
}

impl Rehome for tokio::io::DuplexStream {}

/// What a node sends to bytes that arrive in these pieces over one connection, and whether it closed it. With time that
/// is paused, it takes none.
pub async fn converse(service: &HttpService, peer: Peer, pieces: &[&[u8]]) -> (Vec<u8>, bool) {
    let (mut client, server) = tokio::io::duplex(PIPE_BYTES);
    let (connection, stop) = (service.connection(peer), CancellationToken::new());
    let serving = tokio::spawn(async move { serve_http1(server, connection, &stop, None).await });
    for piece in pieces {
        if client.write_all(piece).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut answers = Vec::new();
    let closed = tokio::time::timeout(Duration::from_secs(1), client.read_to_end(&mut answers)).await.is_ok();
    drop(client);
    let _broken = serving.await;
    (answers, closed)
}

/// The lines of answers, those of each head in one order, without what differs from request to request: the date and
/// the ID of the request.
#[must_use]
pub fn comparable(mut bytes: &[u8]) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
        let (head, rest) = bytes.split_at(end + 4);
        let head = String::from_utf8_lossy(head).into_owned();
        let mut headers: Vec<&str> = head.trim_end().lines().collect();
        headers.retain(|line| !line.starts_with("date: ") && !line.starts_with("bookholder-request: "));
        headers.get_mut(1..).unwrap_or_default().sort_unstable();
        // Whether or not an answer has the body that its head speaks of.
        let next = rest.windows(7).position(|seven| seven == b"HTTP/1.").unwrap_or(rest.len());
        let (body, rest) = rest.split_at(next);
        lines.extend(headers.into_iter().map(str::to_owned));
        lines.push(String::from_utf8_lossy(body).into_owned());
        bytes = rest;
    }
    lines.push(String::from_utf8_lossy(bytes).into_owned());
    lines
}

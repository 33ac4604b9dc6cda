//! The state of the handlers: the layers below, as wired by `server`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::exporter;
use super::forwarded::network;
use super::peer::Peer;
use super::request::RequestError;
use super::request_id::RequestId;
use super::sessions::Sessions;
use super::shares::{ShareHolder, ShareLimits, Shares};
use super::work::WorkPermits;
use crate::api::status::Status;
use crate::clock::Clock;
use crate::crypto::secret::TokenHash;
use crate::evaluate::Evaluations;
use crate::ingest::Recorder;
use crate::metrics::Metrics;
use crate::registry::{AuthContext, Registry};
use crate::replication::publisher::Publisher;
use crate::replication::telemetry_file::FileSigner;
use crate::resolve::freshness::FreshnessCell;
use crate::resolve::usage::Usage;
use crate::resolve::{Catalogue, Resolver};
use crate::store::Committed;

/// Memory for all request bodies while they are received and parsed, in bytes.
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Open event streams; each queries the database once per commit.
const LISTENERS_MAX: ShareLimits = ShareLimits { all: 256, token: 32, network: 32, local: 128 };
/// Open pages with live updates; they do not count as event streams of applications.
const WATCHERS_MAX: ShareLimits = ShareLimits { all: 256, token: 32, network: 32, local: 128 };
/// Waiting polls: thousands of replicas may share one access token, with room for others.
const POLLS_MAX: ShareLimits = ShareLimits { all: 12_000, token: 11_000, network: 11_000, local: 11_000 };

/// Open connections; beyond that, new ones are refused.
const CONNECTIONS_MAX: usize = 16_384;

/// The operator's description of the system, for reports.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// The provider, with contact.
    pub provider: Option<String>,
    /// The intended purpose.
    pub intended_purpose: Option<String>,
}

/// The parts that `server` passes to the HTTP service.
pub struct AppState {
    /// Answers references.
    pub resolver: Resolver,
    /// Answers all other queries about prompts.
    pub catalogue: Catalogue,
    /// The write path; absent on a replica.
    pub registry: Option<Registry>,
    /// What replicas follow; absent on a node without replicas.
    pub publisher: Option<Publisher>,
    /// The description of the system in reports.
    pub about: About,
    /// The headers of every answer about this node.
    pub freshness: FreshnessCell,
    /// The status of this node.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// The URL of the primary, for the hint on a replica.
    pub upstream: Option<String>,
    /// Every commit, for event streams.
    pub committed: watch::Receiver<Arc<Committed>>,
    /// The metrics.
    pub metrics: Metrics,
    /// Whether a local peer can read without an access token.
    pub open_reads: bool,
    /// Whether all callers can, from anywhere.
    pub open_to_all: bool,
    /// The access token for reading from a replica, its only one.
    pub read_token: Option<(TokenHash, Arc<AuthContext>)>,
    /// What records telemetry; none where its file cannot be used.
    pub recorder: Option<Recorder>,
    /// Runs evaluations; none on a replica, and where their file cannot be used.
    pub evaluations: Option<Evaluations>,
    /// What signs the telemetry files of a replica.
    pub file_signer: Option<FileSigner>,
    /// Where uses of versions are noted.
    pub usage: Usage,
    /// Which requests count as local, and the client of other requests.
    pub door: Door,
    /// Maximum age for readiness, in seconds since the last verified contact.
    pub ready_max_age_s: Option<u64>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Ends long polls and event streams.
    pub stop: CancellationToken,
}

/// The state for handlers.
pub(super) type App = Arc<Shared>;

/// The OpenAPI document and its page.
pub(super) struct Documents {
    pub(super) openapi: Bytes,
    pub(super) page: Bytes,
}

/// The documents, made at the first request, as most nodes never need them.
pub(super) type LazyDocuments = LazyLock<Documents, Box<dyn FnOnce() -> Documents + Send>>;

/// The parts, and the state of the HTTP service itself.
pub(super) struct Shared {
    pub(super) state: AppState,
    pub(super) documents: LazyDocuments,
    /// Permits for bytes of request bodies.
    pub(super) bodies: Arc<Semaphore>,
    /// Permits for bytes of bodies from exporters of telemetry: a flood of it refuses no other request.
    pub(super) telemetry_bodies: Arc<Semaphore>,
    /// Event streams.
    pub(super) listeners: Shares,
    /// Open pages.
    pub(super) watchers: Shares,
    /// Waiting polls of replicas.
    pub(super) polls: Shares,
    /// Sessions of the pages.
    pub(super) sessions: Sessions,
    /// Permits for heavy work and large answers.
    pub(super) work: WorkPermits,
    /// Permits for connections.
    pub(super) connections: Arc<Semaphore>,
    requests: AtomicU64,
    /// Distinguishes requests of this process from those of an earlier one.
    start: u32,
}

impl std::ops::Deref for Shared {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.state
    }
}

impl Shared {
    pub(super) fn new(state: AppState, documents: LazyDocuments) -> App {
        Arc::new(Self {
            sessions: Sessions::new(Arc::clone(&state.clock), state.registry.clone()),
            documents,
            bodies: Arc::new(Semaphore::new(BODIES_BYTES_MAX)),
            telemetry_bodies: Arc::new(Semaphore::new(exporter::BODIES_BYTES_MAX)),
            listeners: Shares::new("event streams", LISTENERS_MAX),
            watchers: Shares::new("pages", WATCHERS_MAX),
            polls: Shares::new("polls", POLLS_MAX),
            work: WorkPermits::new(Arc::clone(&state.clock)),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            requests: AtomicU64::new(0),
            start: getrandom::u32().unwrap_or_default(),
            state,
        })
    }

    /// What replicas follow, if this node serves it.
    pub(super) fn publisher(&self) -> Result<&Publisher, RequestError> {
        let what = "creating a bundle for replicas";
        let absent = || RequestError::Replica { what, upstream: self.upstream.clone() };
        self.publisher.as_ref().ok_or_else(absent)
    }

    /// Whether a peer can read without an access token.
    pub(super) fn reads_openly(&self, peer: Peer) -> bool {
        self.open_to_all || (peer.local && self.open_reads)
    }

    /// Whose share a request takes: that of its access token, or that of where it comes from.
    pub(super) fn share_holder(&self, peer: Peer, seat: Option<&AuthContext>) -> ShareHolder {
        match seat {
            // Readers of a replica share one access token.
            Some(seat) if self.registry.is_some() => ShareHolder::Token(seat.token().to_owned()),
            _ if peer.local => ShareHolder::Local,
            _ => ShareHolder::Network(peer.address.map(network)),
        }
    }

    /// A slot for another connection, if there is one.
    pub(super) fn try_admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// The id of the next request.
    pub(super) fn next_request(&self) -> RequestId {
        RequestId::new(self.start, self.requests.fetch_add(1, Ordering::Relaxed))
    }
}

//! The state of the handlers: the layers below, as wired by `server`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use axum::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::door::Door;
use super::shares::{ShareLimits, Shares};
use super::ui::session::Sessions;
use super::work::WorkPermits;
use crate::api::status::Status;
use crate::clock::Clock;
use crate::crypto::secret::TokenHash;
use crate::metrics::Metrics;
use crate::registry::{AuthContext, Registry};
use crate::replication::publisher::Publisher;
use crate::resolve::freshness::FreshnessCell;
use crate::resolve::usage::Usage;
use crate::resolve::{Catalogue, Resolver};
use crate::store::Committed;
use crate::web::docs;

/// Memory that all request bodies together may take while they arrive and are read, in bytes.
const BODIES_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Open event streams; each looks at the database once a commit.
const LISTENERS_MAX: ShareLimits = ShareLimits { all: 256, token: 32, network: 32, local: 128 };
/// Open pages that are told of changes; they do not take from the streams of applications.
const WATCHERS_MAX: ShareLimits = ShareLimits { all: 256, token: 32, network: 32, local: 128 };
/// Polls that wait: thousands of replicas may share one access token, and others still find room.
const POLLS_MAX: ShareLimits = ShareLimits { all: 12_000, token: 11_000, network: 11_000, local: 11_000 };

/// Open connections; above it, a new one is refused.
const CONNECTIONS_MAX: usize = 16_384;

/// What an operator says of the system, for reports.
#[derive(Clone, Debug, Default)]
pub struct About {
    /// Who provides it, and how to reach them.
    pub provider: Option<String>,
    /// What it is meant for.
    pub intended_purpose: Option<String>,
}

/// What `server` hands to the network face.
pub struct AppState {
    /// Answers references.
    pub resolver: Resolver,
    /// Answers everything else about prompts.
    pub catalogue: Catalogue,
    /// The write path; none on a replica.
    pub registry: Option<Registry>,
    /// What replicas follow; absent on a node without replicas.
    pub publisher: Option<Publisher>,
    /// What reports say of the system.
    pub about: About,
    /// What every answer says of this node.
    pub freshness: FreshnessCell,
    /// How this node is.
    pub status: Arc<dyn Fn() -> Status + Send + Sync>,
    /// Where a replica's changes go, for the hint that says so.
    pub upstream: Option<String>,
    /// Every commit, for event streams.
    pub committed: watch::Receiver<Arc<Committed>>,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether a local peer may read without an access token.
    pub open_reads: bool,
    /// Whether all callers can, from anywhere.
    pub open_to_all: bool,
    /// The access token that a replica takes for reading, which has no others.
    pub read_token: Option<(TokenHash, Arc<AuthContext>)>,
    /// Where uses of versions are noted.
    pub usage: Usage,
    /// Which requests are answered as if they came from this machine, and from whom others come.
    pub door: Door,
    /// Oldest state that counts as ready, in seconds since the last verified contact.
    pub ready_max_age_s: Option<u64>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Ends long polls and event streams.
    pub stop: CancellationToken,
}

/// The state as handlers see it.
pub(super) type App = Arc<Shared>;

/// What describes the interface.
pub(super) struct Documents {
    pub(super) openapi: Bytes,
    pub(super) page: Bytes,
}

/// The state, and what the network face keeps beside it.
pub(super) struct Shared {
    pub(super) state: AppState,
    documents: OnceLock<Documents>,
    /// Permits for bytes of request bodies.
    pub(super) bodies: Arc<Semaphore>,
    /// Event streams.
    pub(super) listeners: Shares,
    /// Pages that are open.
    pub(super) watchers: Shares,
    /// Polls of replicas.
    pub(super) polls: Shares,
    /// Who is signed in to the pages.
    pub(super) sessions: Sessions,
    /// Permits for heavy work and large answers.
    pub(super) work: WorkPermits,
    /// Permits for connections.
    pub(super) connections: Arc<Semaphore>,
    requests: AtomicU64,
    /// Told apart from the requests of the process before.
    start: u32,
}

impl std::ops::Deref for Shared {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.state
    }
}

impl Shared {
    pub(super) fn new(state: AppState) -> App {
        Arc::new(Self {
            sessions: Sessions::new(Arc::clone(&state.clock), state.registry.clone()),
            state,
            documents: OnceLock::new(),
            bodies: Arc::new(Semaphore::new(BODIES_BYTES_MAX)),
            listeners: Shares::new("event streams", LISTENERS_MAX),
            watchers: Shares::new("pages", WATCHERS_MAX),
            polls: Shares::new("polls", POLLS_MAX),
            work: WorkPermits::new(),
            connections: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            requests: AtomicU64::new(0),
            start: getrandom::u32().unwrap_or_default(),
        })
    }

    /// The OpenAPI document and its page; made at the first request, as most nodes never need it.
    pub(super) fn documents(&self) -> &Documents {
        self.documents.get_or_init(|| {
            let mut document = super::openapi::document();
            if let Some((public, document)) = self.door.public_url.as_ref().zip(document.as_object_mut()) {
                document.insert("servers".to_owned(), serde_json::json!([{"url": public.as_str()}]));
            }
            let openapi = serde_json::to_vec_pretty(&document).unwrap_or_default().into();
            let page = docs::page(&document).into();
            Documents { openapi, page }
        })
    }

    /// Room for one more connection, where there is some.
    pub(super) fn try_admit(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.connections).try_acquire_owned().ok()
    }

    /// The id of the next request.
    pub(super) fn next_request(&self) -> RequestId {
        RequestId { start: self.start, number: self.requests.fetch_add(1, Ordering::Relaxed) }
    }
}

/// Names one request in the log and in the answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestId {
    start: u32,
    number: u64,
}

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:08x}-{}", self.start, self.number)
    }
}

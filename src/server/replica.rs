//! Wires a replica.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::running::{Running, StartError, Wired, forget_address};
use crate::api::status::{Freshness, NodeRole, Status};
use crate::clock::Clock;
use crate::config::{ConfigError, ReplicaSettings};
use crate::http::{About, AppState};
use crate::metrics::Metrics;
use crate::model::time::Timestamp;
use crate::registry::Seat;
use crate::replication::engine::Settings as Rules;
use crate::replication::follower::{Follower, Following};
use crate::replication::health::Health;
use crate::resolve::usage::Usage;
use crate::resolve::{Catalogue, Resolver};
use crate::store::{Committed, Options, Store};
use crate::trust::root::RootKeyId;
use crate::watch::inbox;

/// How often a replica proves to itself that what it holds is what was signed.
const AUDIT_EVERY: Duration = Duration::from_secs(3_600);

/// How often it says how long ago that was.
const AUDIT_AGE_EVERY: Duration = Duration::from_secs(60);

/// Starts a replica: proves what it holds, wires the floors, listens, and follows.
///
/// # Errors
/// The data directory, the root key, the upstream or the address cannot be used.
pub async fn start_replica(settings: ReplicaSettings, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    let options = Options { directory: settings.node.data.clone(), create: true };
    let store = tokio::task::spawn_blocking(move || Store::open(&options))
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error).into()))?;
    forget_address(&store);
    let root_key = pinned(&store, settings.root_key)?;
    let extra_ca = settings
        .upstream_ca
        .as_ref()
        .map(|path| std::fs::read(path).map_err(|source| StartError::File { path: path.clone(), source }));
    let held = store.committed().borrow().head.position;
    let name = settings.name.unwrap_or_else(|| made_up_name(&settings.node.data));
    let following = Following {
        upstream: settings.upstream.clone(),
        token: settings.upstream_token.map(|token| token.reveal().to_owned()),
        extra_ca: extra_ca.transpose()?,
        settings: Rules {
            root_key,
            hold_at: if settings.hold { Some(held) } else { settings.pin },
            accept_expired: settings.accept_expired,
            accept_fork: settings.accept_fork,
        },
        replica: name,
        usage: Usage::new(Arc::clone(&clock)),
    };
    let metrics = Metrics::new();
    let resolver = Resolver::new(store.clone(), settings.node.cache_bytes);
    let usage = following.usage.clone();
    let follower = {
        let (store, resolver, metrics) = (store.clone(), resolver.clone(), metrics.clone());
        let clock = Arc::clone(&clock);
        let open = move || Follower::open(store, resolver, metrics, clock, following);
        tokio::task::spawn_blocking(open)
            .await
            .unwrap_or_else(|error| Err(crate::store::StoreError::Io(std::io::Error::other(error)).into()))?
    };
    let stop = CancellationToken::new();
    let committed = store.committed();
    let freshness = follower.health().freshness();
    let status = {
        let (committed, health, clock) = (committed.clone(), follower.health(), Arc::clone(&clock));
        move || describe(&committed.borrow(), &health, &*clock)
    };
    let mut tasks = vec![("self-audit", tokio::spawn(audit(store.clone(), metrics.clone(), stop.clone())))];
    if let Some(directory) = settings.inbox {
        let watching = inbox::watch(directory, follower.offering(), stop.clone());
        tasks.push((
            "inbox",
            tokio::spawn(async move {
                if let Err(error) = watching.await {
                    tracing::error!(error = &error as &dyn std::error::Error, "the inbox is not watched");
                }
            }),
        ));
    }
    tasks.push(("follower", tokio::spawn(follower.run(stop.clone()))));
    let state = AppState {
        catalogue: Catalogue::new(store.clone()),
        resolver,
        registry: None,
        publisher: None,
        about: About::default(),
        freshness,
        status: Arc::new(status),
        upstream: settings.upstream,
        committed,
        metrics,
        open_reads: settings.node.open_reads,
        open_to_all: settings.node.open_to_all,
        door: settings.node.door.clone(),
        read_token: settings.read_token.map(|hash| (hash, Arc::new(Seat::reader("reader")))),
        usage,
        ready_max_age_s: settings.node.ready_max_age_s,
        clock: Arc::clone(&clock),
        stop,
    };
    Wired { settings: settings.node, store, state, root_key, new_token: None, tasks }.listen().await
}

/// The root to trust: what was given, or what the first start was given.
fn pinned(store: &Store, given: Option<RootKeyId>) -> Result<RootKeyId, StartError> {
    if let Some(root_key) = given {
        return Ok(root_key);
    }
    let pin = store.read()?.meta("pin")?.ok_or(StartError::NoRootKey)?;
    let text = String::from_utf8_lossy(&pin).into_owned();
    text.parse::<RootKeyId>().map_err(|error| ConfigError::RootKey { given: text, reason: error.to_string() }.into())
}

fn describe(committed: &Committed, health: &Health, clock: &dyn Clock) -> Status {
    use base64::Engine;
    let view = health.view(clock);
    let seconds = |seconds: i64| Timestamp::from_ms(seconds.saturating_mul(1_000));
    let checkpoint = view.checkpoint.as_ref();
    Status {
        role: NodeRole::Replica,
        registry: checkpoint.map_or_else(String::new, |checkpoint| checkpoint.registry.clone()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        position: committed.head.position,
        state: base64::engine::general_purpose::STANDARD.encode(committed.state.hash),
        entries: committed.state.entries,
        freshness: view.freshness,
        stale: view.freshness != Freshness::Fresh,
        since: view.since,
        age_s: view.age_s,
        issued: checkpoint.map(|checkpoint| seconds(checkpoint.issued)),
        expires: checkpoint.map(|checkpoint| seconds(checkpoint.expires)),
        clock_untrusted: view.clock_untrusted,
        held: view.held,
        trouble: view.trouble,
        replicas: Vec::new(),
    }
}

/// Checks what is stored against what was signed, now and then.
async fn audit(store: Store, metrics: Metrics, stop: CancellationToken) {
    let mut age = Duration::ZERO;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(AUDIT_AGE_EVERY) => age += AUDIT_AGE_EVERY,
        }
        metrics.self_audit_age_seconds.set(age.as_secs_f64());
        if age < AUDIT_EVERY {
            continue;
        }
        age = Duration::ZERO;
        let store = store.clone();
        let report = tokio::task::spawn_blocking(move || super::offline::prove(&store.read()?)).await;
        match report {
            Ok(Ok(proof)) if proof.report.differences.is_empty() => {
                metrics.self_audit_ok.set(1);
            }
            Ok(Ok(proof)) => {
                metrics.self_audit_ok.set(0);
                let first = proof.report.differences.first().cloned().unwrap_or_default();
                tracing::error!(
                    differences = proof.report.differences.len(),
                    first,
                    "what is stored is not what was signed; run `bookholder verify`"
                );
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the self-audit could not be done");
            }
            Err(error) => tracing::error!(%error, "the self-audit ended badly"),
        }
    }
}

/// A name for reports: the host's, and where the data lies, hashed together.
fn made_up_name(data: &std::path::Path) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let path = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    format!("{host}-{}", hash.chars().take(8).collect::<String>())
}

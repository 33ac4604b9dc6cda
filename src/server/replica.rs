//! Wires a replica.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::running::{Bound, Running, StartError, WiredNode, forget_address};
use super::{jobs, self_audit, telemetry, transitions};
use crate::api::status::{Freshness, NodeRole, Status};
use crate::clock::Clock;
use crate::config::ReplicaSettings;
use crate::http::{About, AppState};
use crate::metrics::{Metrics, Role};
use crate::model::time::Timestamp;
use crate::registry::AuthContext;
use crate::registry::directory::check_for_replica;
use crate::replication::engine::Settings as Rules;
use crate::replication::follower::{Follower, FollowerOptions};
use crate::replication::health::Health;
use crate::replication::replica_state::{OpenError, load_replica_state};
use crate::resolve::usage::Usage;
use crate::resolve::{Catalogue, Resolver};
use crate::signing::key_files::KEYS_FOLDER;
use crate::store::create::has_database;
use crate::store::meta;
use crate::store::{Committed, Options, Store, StoreError};
use crate::trust::root::RootKeyId;
use crate::watch::inbox;

/// Starts a replica: verifies its state, wires the layers, listens, and follows.
///
/// # Errors
/// The data directory, the root key, the upstream or the address cannot be used.
pub async fn start_replica(settings: ReplicaSettings, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    let directory = &settings.node.data;
    check_for_replica(directory)?;
    if settings.root_key.is_none() && !has_database(directory) {
        return Err(StartError::NoRootKey);
    }
    let read = |path: &PathBuf| std::fs::read(path).map_err(|source| StartError::Read { path: path.clone(), source });
    let extra_ca = settings.upstream_ca.as_ref().map(read).transpose()?;
    let bound = Bound::of(&settings.node)?;
    let remedy = remedy(&settings);
    let (store, put_aside) = opened(&settings, &remedy).await?;
    store.condition().set_remedy(remedy.clone());
    forget_address(&store);
    let root_key = pinned(&store, settings.root_key)?;
    let held = store.committed().borrow().head.position;
    let name = settings.name.unwrap_or_else(|| made_up_name(&settings.node.data));
    let following = FollowerOptions {
        upstream: settings.upstream.clone(),
        token: settings.upstream_token.map(|token| token.reveal().to_owned()),
        extra_ca,
        settings: Rules {
            root_key,
            hold_at: if settings.hold { Some(held) } else { settings.pin },
            accept_expired: settings.accept_expired,
            accept_fork: settings.accept_fork,
            ignore_clock: settings.ignore_clock,
        },
        inbox: settings.inbox.clone(),
        replica: name,
        usage: Usage::new(Arc::clone(&clock)),
        telemetry: None,
    };
    let metrics = Metrics::new(Role::Replica);
    let resolver = Resolver::new(store.clone(), settings.node.cache_bytes);
    let recorder = telemetry::spooling(&settings.node, &resolver, &clock).await;
    let file_signer = recorder.as_ref().and_then(|_| telemetry::file_signer(&settings.node.data, &following.replica));
    let following =
        FollowerOptions { telemetry: recorder.as_ref().map(|recorder| recorder.store().clone()), ..following };
    // Applications are served while a large delta is applied.
    store.lower_write_priority();
    let usage = following.usage.clone();
    let follower = {
        let (store, resolver, metrics) = (store.clone(), resolver.clone(), metrics.clone());
        let clock = Arc::clone(&clock);
        let open = move || Follower::open(store, resolver, metrics, clock, following);
        tokio::task::spawn_blocking(open)
            .await
            .unwrap_or_else(|error| Err(StoreError::Io(std::io::Error::other(error)).into()))?
    };
    if let Some(damage) = put_aside {
        follower
            .health()
            .lost(&*clock, &format!("the data of this replica was damaged ({damage}) and was set aside; {remedy}"));
    }
    let stop = CancellationToken::new();
    let committed = store.committed();
    let freshness = follower.health().freshness();
    let status = {
        let (committed, health, clock) = (committed.clone(), follower.health(), Arc::clone(&clock));
        let condition = store.condition().clone();
        move || Status { storage: self_audit::trouble(&condition, &*clock), ..describe(&committed, &health, &*clock) }
    };
    let auditing = self_audit::run(store.clone(), metrics.clone(), Some(follower.healing()), stop.clone());
    let telling = transitions::run(follower.health(), Arc::clone(&clock), stop.clone());
    let mut tasks = vec![("self-audit", tokio::spawn(auditing)), ("transitions", tokio::spawn(telling))];
    if let Some(directory) = settings.inbox {
        tasks.push(("inbox", tokio::spawn(inbox::watch(directory, follower.looking(), stop.clone()))));
    }
    if let Some(recorder) = &recorder {
        let job = jobs::waiting_calls(recorder);
        tasks.push((job.name, tokio::spawn(job.run(stop.clone()))));
    }
    let sign_off = follower.sign_off();
    tasks.push(("follower", tokio::spawn(follower.run(stop.clone()))));
    let state = AppState {
        recorder,
        evaluations: None,
        file_signer,
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
        read_token: settings.read_token.map(|hash| (hash, Arc::new(AuthContext::reader("reader")))),
        usage,
        ready_max_age_s: settings.node.ready_max_age_s,
        clock: Arc::clone(&clock),
        stop,
    };
    WiredNode { settings: settings.node, bound, store, state, root_key, new_token: None, tasks, sign_off }.listen()
}

/// The remedy for damaged data, by the operator or the replica itself.
fn remedy(settings: &ReplicaSettings) -> String {
    let inbox = settings.inbox.as_ref().map(|inbox| {
        let inbox = inbox.display();
        format!("put the latest bundle into the inbox {inbox}, or the last imported one again")
    });
    match (&settings.upstream, inbox) {
        (Some(_), None) => "it will be fetched again from the upstream".to_owned(),
        (Some(_), Some(inbox)) => format!("it will be fetched again from the upstream, or {inbox}"),
        (None, Some(inbox)) => inbox,
        (None, None) => "start this replica with --upstream, or with --inbox and a bundle in it".to_owned(),
    }
}

/// Opens the database; a damaged one is moved aside if an upstream or bundles can replace its contents. Returns the
/// damage in that case.
async fn opened(settings: &ReplicaSettings, remedy: &str) -> Result<(Store, Option<String>), StartError> {
    let options = Options { directory: settings.node.data.clone(), create: true };
    let given = settings.root_key;
    // The trusted root is in the database itself, and a pinned position cannot be downloaded again.
    let held = settings.hold || settings.pin.is_some();
    let fed = settings.upstream.is_some() || settings.inbox.is_some();
    let fetches_again = fed && given.is_some() && !held;
    let remedy = remedy.to_owned();
    let open = move || -> Result<_, StartError> {
        let damage = match open_and_recollect(&options, given) {
            Err(error) if fetches_again && !options.directory.join(KEYS_FOLDER).exists() => match error {
                StartError::Store(error) if error.is_damage() => error.to_string(),
                StartError::Replica(error) if error.is_damage() => error.to_string(),
                error => return Err(error),
            },
            opened => return opened.map(|store| (store, None)),
        };
        let aside = Store::put_aside(&options.directory)?;
        tracing::error!(
            damage,
            aside = %aside.display(),
            remedy,
            "the database of this replica is damaged and was set aside"
        );
        Ok((Store::open_to_serve(&options)?, Some(damage)))
    };
    tokio::task::spawn_blocking(open)
        .await
        .unwrap_or_else(|error| Err(StoreError::from(std::io::Error::other(error)).into()))
}

/// Opens the database, and verifies it as far as a start does.
fn open_and_recollect(options: &Options, given: Option<RootKeyId>) -> Result<Store, StartError> {
    let store = Store::open_to_serve(options)?;
    if let Ok(root_key) = pinned(&store, given) {
        let recollected = store
            .read()
            .map_err(OpenError::from)
            .and_then(|txn| load_replica_state(&txn, store.directory(), &root_key));
        if let Err(error) = recollected {
            store.close_blocking();
            return Err(error.into());
        }
    }
    Ok(store)
}

/// The trusted root: the given one, or that of the first start.
fn pinned(store: &Store, given: Option<RootKeyId>) -> Result<RootKeyId, StartError> {
    if let Some(root_key) = given {
        return Ok(root_key);
    }
    store.read()?.meta(&meta::TRUSTED_ROOT)?.ok_or(StartError::NoRootKey)
}

fn describe(committed: &Receiver<Arc<Committed>>, health: &Health, clock: &dyn Clock) -> Status {
    use base64::Engine;
    // Do not hold the borrow while calling others: borrowing again behind a waiting writer would deadlock.
    let committed = committed.borrow().clone();
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
        automation_held: false,
        held: view.held,
        trouble: view.trouble,
        storage: None,
        inbox: view.inbox,
        watch: None,
        alerts: Vec::new(),
        telemetry: None,
        replicas: Vec::new(),
    }
}

/// An ID for reports: a hash of the host's name and the data directory.
fn made_up_name(data: &std::path::Path) -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let path = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let hash = blake3::hash(path.as_os_str().as_encoded_bytes()).to_hex();
    format!("{host}-{}", hash.chars().take(8).collect::<String>())
}

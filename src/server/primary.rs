//! Wires a primary.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;
use tokio::sync::watch::Receiver;
use tokio_util::sync::CancellationToken;

use super::running::{Bound, Running, StartError, WiredNode, forget_address};
use super::{decisions, evaluations, jobs, self_audit, telemetry};
use crate::api::status::{Freshness, NodeRole, Status, Trouble};
use crate::clock::Clock;
use crate::config::{ParquetOptions, ParquetPlace, PrimarySettings};
use crate::crypto::secret::AccessToken;
use crate::http::{About, AppState};
use crate::ingest::exports;
use crate::ingest::exports::bucket::Bucket;
use crate::ingest::exports::collector::Collector;
use crate::ingest::exports::files::{Files, FilesIn};
use crate::metrics::{Metrics, Role};
use crate::model::public_url::PublicUrl;
use crate::model::time::Timestamp;
use crate::registry::Registry;
use crate::registry::bootstrap::{self, BootstrapOptions, FirstStart};
use crate::replication::publisher::Publisher;
use crate::resolve::freshness::FreshnessCell;
use crate::resolve::{Catalogue, Resolver};
use crate::signing::primary_clock::{ClockState, PrimaryClock};
use crate::store::{Committed, Store, StoreError};
use crate::trust::root::RootKeyId;
use crate::watch::folder::{self, WatchReport};
use crate::webhooks;
use crate::webhooks::Deliverer;

/// The remedy for damaged data.
const REMEDY: &str =
    "restore a backup with `bookholder restore`; publishing the same text again also repairs a damaged text";

/// The log message for an unknown admin token in the environment.
const UNKNOWN_TOKEN: &str = "BOOKHOLDER_ADMIN_TOKEN is not a token of this registry and has no effect: it sets the admin \
    token at the first start only; to replace a token, use `bookholder token rotate`, or `bookholder token create NAME \
    --role admin --data DIR` while the node is stopped";

/// The log line of a node whose automation is held.
const AUTOMATION_HELD: &str = "automation is held: no change request is deployed or expires by itself, no webhook is sent, \
    no alert fires, no telemetry is sent on, nothing is archived, and no folder is watched; commands and reads work";

/// What a first start created, before its access token is valid.
pub struct NewRegistry<'a> {
    /// The first access token.
    pub token: &'a AccessToken,
    /// The file that holds it, which only its owner can read.
    pub token_file: &'a Path,
    /// What replicas are given to trust.
    pub root_key: RootKeyId,
    /// The future listening address.
    pub url: &'a str,
}

/// Starts a primary: binds its addresses, opens or creates its registry, wires the layers, and listens.
///
/// # Errors
/// The data directory, the keys, the clock, the watched folder or an address cannot be used.
pub async fn start_primary(settings: PrimarySettings, clock: Arc<dyn Clock>) -> Result<Running, StartError> {
    start_primary_announcing(settings, clock, |_| {}).await
}

/// As [`start_primary`]; `announce` shows what a first start created.
///
/// # Errors
/// As [`start_primary`].
#[allow(clippy::too_many_lines, reason = "wires one part after another")]
pub async fn start_primary_announcing(
    settings: PrimarySettings,
    clock: Arc<dyn Clock>,
    announce: impl FnOnce(&NewRegistry<'_>) + Send + 'static,
) -> Result<Running, StartError> {
    let PrimarySettings {
        node,
        watch,
        watch_quiet,
        registry: name,
        admin_token,
        webhook_allow,
        archive_unused_days,
        hold_automation,
        collector,
        parquet,
        providers,
        provider,
        intended_purpose,
        trust_clock,
    } = settings;
    let bound = Bound::of(&node)?;
    let (store, opened) = {
        let (clock, directory, url) = (Arc::clone(&clock), node.data.clone(), bound.url());
        let open = move || -> Result<_, StartError> {
            let options = BootstrapOptions { registry: name, admin_token, trust_clock };
            let (store, opened) = bootstrap::open(&directory, &options, &clock, |first| {
                let FirstStart { token, token_file, root_key } = *first;
                announce(&NewRegistry { token, token_file, root_key, url: &url });
            })?;
            forget_address(&store);
            Ok((store, opened))
        };
        tokio::task::spawn_blocking(open)
            .await
            .unwrap_or_else(|error| Err(StoreError::from(std::io::Error::other(error)).into()))?
    };
    if opened.unknown_token {
        tracing::warn!("{UNKNOWN_TOKEN}");
    }
    store.condition().set_remedy(REMEDY.to_owned());
    let metrics = Metrics::new(Role::Primary);
    let resolver = Resolver::new(store.clone(), node.cache_bytes);
    let primary_clock = Arc::clone(&opened.signer.clock);
    let registry = Registry::open(store.clone(), Arc::clone(&primary_clock))?;
    tell(&registry, webhook_allow.clone(), node.public_url.clone(), hold_automation);
    let scorer_networks = webhook_allow.clone();
    let deliverer = Deliverer::new(webhook_allow);
    let publisher = Publisher::new(store.clone(), Arc::clone(&opened.signer), Arc::clone(&clock), metrics.clone());
    let committed = store.committed();
    let freshness = follow_commits(&store, &metrics, Arc::clone(&clock));
    note_outdated(&publisher, &freshness);
    let stop = CancellationToken::new();
    let watch_report = WatchReport::default();
    let status = {
        let watch_report = watch_report.clone();
        let (committed, publisher) = (committed.clone(), publisher.clone());
        let (name, since) = (opened.signer.registry.clone(), Timestamp::from_ms(clock.now_ms()));
        let (condition, clock) = (store.condition().clone(), Arc::clone(&primary_clock));
        move || Status {
            storage: self_audit::trouble(&condition, &*clock),
            watch: watch_report.get(),
            automation_held: hold_automation,
            ..describe(&committed, &name, since, &publisher, &clock)
        }
    };
    let mut tasks = vec![
        ("decisions", tokio::spawn(decisions::run(store.clone(), committed.clone(), stop.clone()))),
        ("self-audit", tokio::spawn(self_audit::run(store.clone(), metrics.clone(), None, stop.clone()))),
    ];
    for job in jobs::of_primary(&registry, &primary_clock, &metrics, archive_unused_days, hold_automation) {
        tasks.push((job.name, tokio::spawn(job.run(stop.clone()))));
    }
    if !hold_automation {
        let (registry, clock) = (registry.clone(), Arc::clone(&clock));
        let dispatching = webhooks::run(registry, committed.clone(), deliverer, clock, metrics.clone(), stop.clone());
        tasks.push(("webhooks", tokio::spawn(dispatching)));
    }
    if let Some(directory) = watch.filter(|_| !hold_automation) {
        let (registry, stop) = (registry.clone(), stop.clone());
        let watching = folder::watch(directory, watch_quiet, registry, watch_report, stop);
        tasks.push(("folder", tokio::spawn(watching)));
    }
    let recorder = telemetry::keeping(&node, &registry, &resolver, &clock).await;
    for job in recorder.iter().flat_map(jobs::of_telemetry) {
        tasks.push((job.name, tokio::spawn(job.run(stop.clone()))));
    }
    if let Some(recorder) = recorder.as_ref().filter(|_| !hold_automation) {
        let job = jobs::alerts(&registry, recorder);
        tasks.push((job.name, tokio::spawn(job.run(stop.clone()))));
    }
    if let Some((recorder, options)) = recorder.as_ref().zip(collector).filter(|_| !hold_automation) {
        let collector = Collector::new(recorder.store().clone(), options).map_err(StartError::Collector)?;
        tasks.push((
            "forwarding",
            tokio::spawn(exports::run(collector, recorder.exports(), metrics.clone(), stop.clone())),
        ));
    }
    if let Some((recorder, ParquetOptions { into, every })) =
        recorder.as_ref().zip(parquet).filter(|_| !hold_automation)
    {
        let place = match into {
            ParquetPlace::Folder(folder) => FilesIn::Folder(folder),
            ParquetPlace::Bucket(options) => FilesIn::Bucket(Box::new(Bucket::new(options, Arc::clone(&clock)))),
        };
        let files = Files::new(recorder.store().clone(), place, every);
        tasks.push(("parquet", tokio::spawn(exports::run(files, recorder.exports(), metrics.clone(), stop.clone()))));
    }
    let evaluations =
        evaluations::open(&node, providers, scorer_networks, &registry, &store, recorder.as_ref(), &clock).await?;
    if let Some(evaluations) = &evaluations {
        let job = jobs::of_evaluations(evaluations);
        tasks.push((job.name, tokio::spawn(job.run(stop.clone()))));
        let (evaluations, stop) = (evaluations.clone(), stop.clone());
        tasks.push(("evaluations", tokio::spawn(evaluations::run(evaluations, hold_automation, stop))));
    }
    let state = AppState {
        recorder,
        evaluations,
        file_signer: None,
        catalogue: Catalogue::new(store.clone()),
        resolver,
        usage: registry.usage(),
        registry: Some(registry),
        publisher: Some(publisher),
        about: About { provider, intended_purpose },
        freshness,
        status: Arc::new(status),
        upstream: None,
        committed,
        metrics,
        open_reads: node.open_reads,
        open_to_all: node.open_to_all,
        door: node.door.clone(),
        read_token: None,
        ready_max_age_s: node.ready_max_age_s,
        clock: Arc::clone(&clock),
        stop,
    };
    let (root_key, new_token) = (opened.root_key, opened.new_token);
    WiredNode { settings: node, bound, store, state, root_key, new_token, tasks, sign_off: None }.listen()
}

/// Passes the settings that concern a registry to it, before anything is served.
fn tell(registry: &Registry, webhook_allow: Vec<IpNet>, public_url: Option<PublicUrl>, hold_automation: bool) {
    registry.allow_webhooks(webhook_allow);
    registry.link_to(public_url);
    if hold_automation {
        registry.hold_automation();
        tracing::warn!("{AUTOMATION_HELD}");
    }
}

/// Updates the headers of every answer with each commit.
fn follow_commits(store: &Store, metrics: &Metrics, clock: Arc<dyn Clock>) -> FreshnessCell {
    let now = store.committed().borrow().head.position;
    let freshness = FreshnessCell::primary(now, clock);
    let (cell, metrics, counted) = (freshness.clone(), metrics.clone(), AtomicU64::new(now.seq));
    store.observe(Box::new(move |committed: &Committed| {
        let position = committed.head.position;
        cell.update(|facts| facts.position = position);
        // A group can have many commits, or none.
        metrics.commits.inc_by(position.seq.saturating_sub(counted.swap(position.seq, Ordering::Relaxed)));
        metrics.commit_group_seconds.observe(committed.took.as_secs_f64());
    }));
    freshness
}

/// Reports that this primary was set back, if that is known.
fn note_outdated(publisher: &Publisher, freshness: &FreshnessCell) {
    if let Some((_, outdated)) = publisher.outdated() {
        tracing::error!(error = &outdated as &dyn std::error::Error, "this primary is not writing or signing");
        freshness.update(|facts| facts.outdated = true);
    }
}

fn describe(
    committed: &Receiver<Arc<Committed>>,
    registry: &str,
    since: Timestamp,
    publisher: &Publisher,
    clock: &PrimaryClock,
) -> Status {
    use base64::Engine;
    // Do not hold the borrow while calling others: borrowing again behind a waiting writer would deadlock.
    let committed = committed.borrow().clone();
    let trouble = publisher.outdated().map(|(outdated, error)| Trouble {
        reason: "outdated".to_owned(),
        detail: error.to_string(),
        since: outdated.since,
        times: 1,
    });
    let freshness = if trouble.is_some() { Freshness::Stale } else { Freshness::Fresh };
    Status {
        role: NodeRole::Primary,
        registry: registry.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        position: committed.head.position,
        state: base64::engine::general_purpose::STANDARD.encode(committed.state.hash),
        entries: committed.state.entries,
        freshness,
        stale: trouble.is_some(),
        since,
        age_s: 0,
        issued: None,
        expires: None,
        clock_untrusted: clock.standing() != ClockState::Trusted,
        held: false,
        automation_held: false,
        trouble,
        storage: None,
        inbox: None,
        watch: None,
        alerts: Vec::new(),
        telemetry: None,
        replicas: publisher.reports(),
    }
}

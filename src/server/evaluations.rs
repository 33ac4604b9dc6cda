//! Opens what runs evaluations. A primary whose file of evaluations cannot be used runs without, and says why.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::opening;
use super::running::StartError;
use crate::clock::Clock;
use crate::config::{ProviderOptions, Settings};
use crate::evaluate::{EvaluationParts, Evaluations};
use crate::evaluation::provider::Providers;
use crate::evaluation::store::{EvaluationStore, EvaluationStoreError};
use crate::ingest::Recorder;
use crate::registry::Registry;
use crate::resolve::Catalogue;
use crate::store::Store;

/// How often changed suites and models are looked for.
const UPKEEP_EVERY: Duration = Duration::from_secs(60);

/// The evaluations of a primary; none if their file cannot be used.
///
/// # Errors
/// A provider cannot be used as it is set.
pub(super) async fn open(
    node: &Settings,
    ProviderOptions { settings, models, spending, results_days, results_bytes }: ProviderOptions,
    scorer_networks: Vec<IpNet>,
    registry: &Registry,
    store: &Store,
    recorder: Option<&Recorder>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<Evaluations>, StartError> {
    let providers = Providers::new(settings, |name| std::env::var(name).ok()).map_err(StartError::Provider)?;
    let providers = providers.with_scorer_networks(scorer_networks);
    for (provider, variable) in providers.names().filter_map(|name| Some((name, providers.missing_key(name)?))) {
        tracing::warn!(
            provider,
            variable,
            "a provider has no key, so runs that ask it are refused; set the environment variable and restart the primary"
        );
    }
    let directory = node.data.clone();
    let opened = opening::open(move || EvaluationStore::open(&directory), EvaluationStoreError::is_in_use);
    let evaluations = match opened.await {
        Ok(evaluations) => evaluations,
        Err(reason) => {
            tracing::error!(reason, "evaluations are off");
            return Ok(None);
        }
    };
    Ok(Some(Evaluations::new(EvaluationParts {
        store: evaluations,
        registry: registry.clone(),
        catalogue: Catalogue::new(store.clone()),
        providers,
        models,
        spending,
        results_days,
        results_bytes,
        recorder: recorder.cloned(),
        clock: Arc::clone(clock),
    })))
}

/// Continues runs, and keeps things in order until the node stops.
pub(super) async fn run(evaluations: Evaluations, hold_automation: bool, stop: CancellationToken) {
    if !hold_automation {
        match evaluations.resume() {
            Ok(0) => {}
            Ok(runs) => tracing::info!(runs, "continuing runs"),
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "runs cannot be continued");
            }
        }
    }
    let mut interval = tokio::time::interval(UPKEEP_EVERY);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            _ = interval.tick() => {}
        }
        if hold_automation {
            continue;
        }
        match evaluations.registry().mark_changed_gates().await {
            Ok(0) => {}
            Ok(gates) => tracing::info!(gates, "gates are stale because what they depend on has changed"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "stale gates were not marked"),
        }
        match evaluations.mark_stale_by_reports().await {
            Ok(0) => {}
            Ok(gates) => tracing::info!(gates, "gates are stale because models answer with other snapshots"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "stale gates were not marked"),
        }
    }
    evaluations.stop().await;
}

//! Sets the gauges that are computed on each scrape: status, disk, replicas, pending work.

use std::time::Duration;

use super::state::Shared;
use crate::api::status::{Freshness, Status};
use crate::metrics::{Metrics, Reason, ReplicaName, State};
use crate::replication::publisher::Publisher;
use crate::telemetry::otlp::Reason as Rejection;

/// Most replicas whose lag is reported individually.
const REPLICAS_SHOWN_MAX: usize = 100;

/// Updates all of them; one that cannot be read now keeps its last value.
pub(super) fn all(app: &Shared) {
    let metrics = &app.metrics;
    of_status(metrics, &(app.status)(), app.clock.now_ms());
    let condition = app.resolver.condition();
    let health = condition.health();
    metrics.storage_readable.set(health.readable.into());
    metrics.storage_writable.set(health.writable.into());
    metrics.storage_damaged.set(health.damaged.into());
    let counted = metrics.contents_refused.get();
    metrics.contents_refused.inc_by(condition.contents_refused().saturating_sub(counted));
    let is_recording = app.recorder.as_ref().is_some_and(|recorder| recorder.pause().is_none());
    metrics.telemetry_writable.set(is_recording.into());
    if let Some(recorder) = &app.recorder {
        let counted = metrics.telemetry_damaged.get();
        let too_old = metrics.telemetry_rejected.get_or_create(&Reason { reason: Rejection::TooOld.name() });
        too_old.inc_by(recorder.store().take_too_old());
        metrics.telemetry_damaged.inc_by(recorder.store().damages().saturating_sub(counted));
    }
    if let Some(bytes) = app.catalogue.database_bytes() {
        metrics.database_bytes.gauge().set(whole(bytes));
    }
    if let Some(publisher) = &app.publisher {
        of_replicas(metrics, publisher);
    }
    if let Some(registry) = &app.registry {
        if let Ok(requests) = registry.open_change_request_count() {
            metrics.open_change_requests.gauge().set(i64::try_from(requests).unwrap_or(i64::MAX));
        }
        if let Ok(firing) = registry.firing_alert_count() {
            metrics.alerts_firing.gauge().set(i64::try_from(firing).unwrap_or(i64::MAX));
        }
        if let Ok(webhooks) = registry.webhook_figures() {
            metrics.webhook_deliveries_pending.gauge().set(whole(webhooks.pending));
            for (state, count) in [("ok", webhooks.ok), ("failing", webhooks.failing), ("disabled", webhooks.disabled)]
            {
                metrics.webhooks.get_or_create(&State { state }).set(whole(count));
            }
        }
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn of_status(metrics: &Metrics, status: &Status, now_ms: i64) {
    metrics.position_epoch.set(whole(status.position.epoch));
    metrics.position_seq.set(whole(status.position.seq));
    metrics.stale.set(i64::from(status.stale));
    metrics.expired.set(i64::from(status.freshness == Freshness::Expired));
    metrics.clock_untrusted.set(i64::from(status.clock_untrusted));
    metrics.held.set(i64::from(status.held));
    if status.freshness != Freshness::Empty {
        let age = metrics.last_verified_contact_age_seconds.gauge();
        age.set(Duration::from_secs(status.age_s).as_secs_f64());
    }
    if let Some(issued) = status.issued {
        let age_ms = u64::try_from(now_ms.saturating_sub(issued.ms())).unwrap_or(0);
        metrics.checkpoint_age_seconds.gauge().set(Duration::from_millis(age_ms).as_secs_f64());
    }
}

fn of_replicas(metrics: &Metrics, publisher: &Publisher) {
    let (head, followers) = publisher.followers();
    for (state, freshness) in [
        ("empty", Some(Freshness::Empty)),
        ("fresh", Some(Freshness::Fresh)),
        ("stale", Some(Freshness::Stale)),
        ("expired", Some(Freshness::Expired)),
        ("unknown", None),
    ] {
        let count =
            followers.iter().filter(|one| one.report.as_ref().map(|report| report.freshness) == freshness).count();
        metrics.replicas.get_or_create(&State { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
    }
    // A replica without an access token can choose any id.
    let known = followers.iter().filter(|one| one.follows_as.is_some());
    let mut behind: Vec<(u64, &str)> =
        known.map(|one| (one.commits_behind(head).unwrap_or_default(), one.replica.as_str())).collect();
    behind.sort_unstable_by(|one, other| other.cmp(one));
    metrics.replica_lag_commits.clear();
    for (lag, replica) in behind.into_iter().take(REPLICAS_SHOWN_MAX) {
        metrics.replica_lag_commits.get_or_create(&ReplicaName { replica: replica.to_owned() }).set(whole(lag));
    }
}

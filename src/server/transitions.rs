//! Logs transitions of a replica: caught up, stale, following again, expired.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::api::status::Freshness;
use crate::clock::Clock;
use crate::replication::health::{Health, HealthView};

/// How often it is checked: freshness ends without an event.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Logs whenever the replica becomes fresh, stale or expired, until told to stop.
pub(super) async fn run(health: Health, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut interval = tokio::time::interval(LOOK_EVERY);
    let mut before = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = interval.tick() => {}
        }
        let view = health.view(&*clock);
        if before != Some(view.freshness) {
            log(before, &view);
            before = Some(view.freshness);
        }
    }
}

fn log(before: Option<Freshness>, view: &HealthView) {
    let (position, since, age_s) = (view.position, view.since, view.age_s);
    let (trouble, detail) = match &view.trouble {
        Some(trouble) => (Some(trouble.reason.as_str()), Some(trouble.detail.as_str())),
        None => (None, None),
    };
    match (before, view.freshness) {
        (_, Freshness::Empty) => tracing::info!("this replica has no data yet"),
        (Some(Freshness::Stale | Freshness::Expired), Freshness::Fresh) => {
            tracing::info!(%position, "following the upstream again");
        }
        (_, Freshness::Fresh) => tracing::info!(%position, "caught up with the upstream"),
        (None, Freshness::Stale) => tracing::info!(%position, %since, age_s, "serving the last verified state"),
        (_, Freshness::Stale) => {
            tracing::warn!(%position, %since, age_s, trouble, detail, "stale: out of contact with the upstream");
        }
        (_, Freshness::Expired) => {
            tracing::error!(%position, %since, age_s, trouble, detail, "the state of this replica has expired");
        }
    }
}

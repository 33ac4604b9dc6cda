//! Verifies, at the start and periodically, that the state of a node is what was signed, and reports damage.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::offline::verify_transaction;
use crate::api::status::Trouble;
use crate::clock::Clock;
use crate::metrics::Metrics;
use crate::model::time::Timestamp;
use crate::store::condition::Condition;
use crate::store::{Store, StoreError};

/// How often a node verifies its state, unless damage is found earlier.
const AUDIT_EVERY: Duration = Duration::from_secs(3_600);
/// How often it logs how long ago that was.
const AUDIT_AGE_EVERY: Duration = Duration::from_secs(60);

/// Audits until told to stop; the receiver of `heal` repairs damage.
pub(super) async fn run(store: Store, metrics: Metrics, heal: Option<mpsc::Sender<()>>, stop: CancellationToken) {
    let mut done = false;
    loop {
        let auditing = store.clone();
        match tokio::task::spawn_blocking(move || look(&auditing)).await {
            Ok(Ok(None)) => {
                done = true;
                metrics.self_audit_ok.gauge().set(1);
                store.condition().set_damaged(None);
            }
            Ok(Ok(Some(damage))) => {
                done = true;
                metrics.self_audit_ok.gauge().set(0);
                store.condition().set_damaged(Some(damage));
                let damage = store.condition().not_ready().map(|fault| fault.detail);
                tracing::error!(damage, "the stored state does not match the signed one");
                // A full queue means that healing is in progress.
                let _asked = heal.as_ref().map(|heal| heal.try_send(()));
            }
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "could not run the self-audit");
            }
            Err(error) => tracing::error!(%error, "the self-audit failed"),
        }
        let audited = Instant::now();
        while audited.elapsed() < AUDIT_EVERY {
            if done {
                metrics.self_audit_age_seconds.gauge().set(audited.elapsed().as_secs_f64());
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = store.condition().audit_wanted() => break,
                () = tokio::time::sleep(AUDIT_AGE_EVERY) => {}
            }
        }
    }
}

/// The damage, if any.
fn look(store: &Store) -> Result<Option<String>, StoreError> {
    let report = match store.read().and_then(|txn| verify_transaction(&txn)) {
        Ok(proof) => proof.report,
        Err(error) if error.is_damage() => return Ok(Some(error.to_string())),
        Err(error) => return Err(error),
    };
    let more = (report.differences.len() as u64).saturating_sub(1) + report.more;
    Ok(report.differences.into_iter().next().map(|first| match more {
        0 => first,
        more => format!("{first}, and {more} more"),
    }))
}

/// The condition of the disk and the data, for the status.
pub(super) fn trouble(condition: &Condition, clock: &dyn Clock) -> Option<Trouble> {
    let fault = condition.fault()?;
    let since_ms = i64::try_from(fault.since.elapsed().as_millis()).unwrap_or(i64::MAX);
    Some(Trouble {
        reason: fault.reason.to_owned(),
        detail: fault.detail,
        since: Timestamp::from_ms(clock.now_ms().saturating_sub(since_ms)),
        times: fault.times,
    })
}

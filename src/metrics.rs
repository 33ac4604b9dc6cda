//! What this process counts and measures, in the words of Prometheus.
//!
//! It knows names, units and labels; who counts what, and when, is decided where it happens. The fields are the
//! instruments themselves: counting is one relaxed atomic addition, so the hot path may do it; histograms take a
//! lock and belong to what takes longer than a microsecond.
//!
//! Invariant: no label's value comes from outside, so the number of time series is bounded.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

/// The media type of [`Metrics::encode`].
pub const OPENMETRICS_TEXT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A gauge of something that is not whole, such as seconds.
pub type Real = Gauge<f64, AtomicU64>;

/// Requests by what they are for and how they ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// What the request is for, for example `resolve`.
    pub class: &'static str,
    /// How it ended: `2xx`, `3xx`, `4xx` or `5xx`.
    pub status: &'static str,
}

/// One label: a stable word for the cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the label is its name")]
pub struct Reason {
    pub reason: &'static str,
}

/// One label: what kind of thing was transferred.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the label is its name")]
pub struct Kind {
    pub kind: &'static str,
}

/// One label: how a replica caught up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the label is its name")]
pub struct Mode {
    pub mode: &'static str,
}

/// Every instrument of this process; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Instruments>);

/// The instruments. Each one's help text stands in the catalogue at the end of this file.
#[allow(missing_docs, reason = "the catalogue below says what each one means")]
pub struct Instruments {
    pub requests: Family<RequestLabels, Counter>,
    pub connections: Gauge,
    pub connections_refused: Counter,
    pub resolve_cached: Counter,
    pub resolve_composed: Counter,
    pub resolve_errors: Counter,
    pub resolve_seconds: Histogram,
    pub event_listeners: Gauge,
    pub commits: Counter,
    pub commit_seconds: Histogram,
    pub sign_seconds: Histogram,
    pub wake_seconds: Histogram,
    pub waiters: Gauge,
    pub delta_cache_hits: Counter,
    pub delta_cache_misses: Counter,
    pub position_epoch: Gauge,
    pub position_seq: Gauge,
    pub checkpoint_age_seconds: Real,
    pub last_verified_contact_seconds: Real,
    pub stale: Gauge,
    pub expired: Gauge,
    pub clock_untrusted: Gauge,
    pub held: Gauge,
    pub verify_failures: Family<Reason, Counter>,
    pub forks: Counter,
    pub fenced: Counter,
    pub heals_uncompared: Counter,
    pub outdated: Gauge,
    pub no_progress: Counter,
    pub apply_seconds: Histogram,
    pub apply_operations: Histogram,
    pub propagation_seconds: Histogram,
    pub bytes_in: Family<Kind, Counter>,
    pub catchup: Family<Mode, Counter>,
    pub self_audit_ok: Gauge,
    pub self_audit_age_seconds: Real,
    pub storage_readable: Gauge,
    pub storage_writable: Gauge,
    pub storage_damaged: Gauge,
    pub contents_refused: Counter,
    registry: Registry,
}

impl Deref for Metrics {
    type Target = Instruments;

    fn deref(&self) -> &Instruments {
        &self.0
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(catalogue()))
    }

    /// Counts one request.
    pub fn request(&self, class: &'static str, status: u16) {
        let status = match status {
            0..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&RequestLabels { class, status }).inc();
    }

    /// Counts one thing that was received and refused.
    pub fn verify_failed(&self, reason: &'static str) {
        self.verify_failures.get_or_create(&Reason { reason }).inc();
    }

    /// Counts bytes received.
    pub fn received(&self, kind: &'static str, bytes: u64) {
        self.bytes_in.get_or_create(&Kind { kind }).inc_by(bytes);
    }

    /// Counts one way of catching up.
    pub fn caught_up(&self, mode: &'static str) {
        self.catchup.get_or_create(&Mode { mode }).inc();
    }

    /// All of it, as OpenMetrics text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        // Writing to a string does not fail; what was written so far is still worth sending.
        let _written = text::encode(&mut out, &self.0.registry);
        out
    }
}

/// Registers an instrument under a name and a help text, and returns it.
struct Catalogue(Registry);

impl Catalogue {
    fn add<M: Metric + Clone>(&mut self, name: &'static str, help: &'static str, metric: M) -> M {
        self.0.register(name, help, metric.clone());
        metric
    }

    fn count(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.add(name, help, Counter::default())
    }

    fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    fn real(&mut self, name: &'static str, help: &'static str) -> Real {
        self.add(name, help, Real::default())
    }

    /// Seconds in buckets that double, from `first` on.
    fn seconds(&mut self, name: &'static str, help: &'static str, first: f64) -> Histogram {
        self.add(name, help, Histogram::new(exponential_buckets(first, 2.0, 16)))
    }
}

/// Every instrument with its name and its meaning.
#[rustfmt::skip]
fn catalogue() -> Instruments {
    let c = &mut Catalogue(Registry::with_prefix("bookholder"));
    Instruments {
        requests: c.add("requests", "Requests, but for resolves from memory, by what they are for and how they ended", Family::default()),
        connections: c.gauge("connections", "Open connections"),
        connections_refused: c.count("connections_refused", "Connections refused at the limit"),
        resolve_cached: c.count("resolve_cached", "Resolves answered from memory"),
        resolve_composed: c.count("resolve_composed", "Resolves answered from the database or chosen for a subject"),
        resolve_errors: c.count("resolve_errors", "Resolves that had no answer"),
        resolve_seconds: c.seconds("resolve_seconds", "Time of a resolve that was not answered from memory", 1e-6),
        event_listeners: c.gauge("event_listeners", "Open event streams"),
        commits: c.count("commits", "Commits"),
        commit_seconds: c.seconds("commit_seconds", "Time from a commit's request until it is durable", 0.000_25),
        sign_seconds: c.seconds("sign_seconds", "Time to sign a checkpoint", 0.000_01),
        wake_seconds: c.seconds("wake_seconds", "Time from a commit until its waiting replicas are answered", 0.000_1),
        waiters: c.gauge("waiters", "Replicas that wait for a change"),
        delta_cache_hits: c.count("delta_cache_hits", "Deltas that were encoded already"),
        delta_cache_misses: c.count("delta_cache_misses", "Deltas that had to be encoded"),
        position_epoch: c.gauge("position_epoch", "Epoch of the position this node holds"),
        position_seq: c.gauge("position_seq", "Commit number of the position this node holds"),
        checkpoint_age_seconds: c.real("checkpoint_age_seconds", "Time since the newest checkpoint was signed"),
        last_verified_contact_seconds: c.real("last_verified_contact_seconds", "Time since the upstream last sent something that verified"),
        stale: c.gauge("stale", "1 while out of contact for longer than it should be"),
        expired: c.gauge("expired", "1 while the checkpoint's lifetime has passed"),
        clock_untrusted: c.gauge("clock_untrusted", "1 while the local clock does not fit verified signatures, or on a primary its own"),
        held: c.gauge("held", "1 while an operator holds this replica at its position"),
        verify_failures: c.add("verify_failures", "Things received and refused, by reason", Family::default()),
        forks: c.count("forks", "Answers of another history than the one that is held"),
        fenced: c.count("fenced", "Answers of a primary whose epoch is over"),
        heals_uncompared: c.count(
            "heals_uncompared",
            "Damaged databases that were replaced by a newer state, whose history could not be compared",
        ),
        outdated: c.gauge("outdated", "1 while this primary refuses to sign, as more was published than it knows of"),
        no_progress: c.count("no_progress", "Answers that brought nothing new at once"),
        apply_seconds: c.seconds("apply_seconds", "Time to apply a delta or snapshot", 0.000_25),
        apply_operations: c.add("apply_operations", "Operations of an applied delta or snapshot", Histogram::new(exponential_buckets(1.0, 4.0, 12))),
        propagation_seconds: c.seconds("propagation_seconds", "Time from the signature of a change until it is applied here", 0.001),
        bytes_in: c.add("bytes_in", "Bytes received from upstream, by kind", Family::default()),
        catchup: c.add("catchup", "Ways of catching up", Family::default()),
        self_audit_ok: c.gauge("self_audit_ok", "1 while the last check of the stored state against its signature passed"),
        self_audit_age_seconds: c.real("self_audit_age_seconds", "Time since that check"),
        storage_readable: c.gauge("storage_readable", "1 while the database can be read"),
        storage_writable: c.gauge("storage_writable", "1 while the database can be written"),
        storage_damaged: c.gauge("storage_damaged", "1 while stored data is known not to be what was stored"),
        contents_refused: c.count("contents_refused", "Contents not served because their stored bytes do not fit their id"),
        registry: std::mem::take(&mut c.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instruments_are_encoded_under_their_names() {
        let metrics = Metrics::new();
        let elsewhere = metrics.clone();
        elsewhere.request("read", 404);
        elsewhere.verify_failed("rollback");
        elsewhere.received("delta", 12);
        elsewhere.checkpoint_age_seconds.set(1.5);
        let text = metrics.encode();
        for line in [
            "bookholder_requests_total{class=\"read\",status=\"4xx\"} 1",
            "bookholder_verify_failures_total{reason=\"rollback\"} 1",
            "bookholder_bytes_in_total{kind=\"delta\"} 12",
            "bookholder_checkpoint_age_seconds 1.5",
            "bookholder_commits_total 0",
            "# EOF",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in {text}");
        }
    }
}

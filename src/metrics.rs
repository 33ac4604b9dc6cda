//! The metrics of this process.
//!
//! It defines names, units and labels; other modules decide what is counted when. The fields are the instruments
//! themselves: counting is one relaxed atomic addition, cheap enough for the hot path; histograms take a lock, for
//! operations of more than a microsecond.
//!
//! Invariant: except for the names of some replicas, prompts and labels, no label value comes from outside, so the
//! number of time series is bounded.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use prometheus_client::encoding::{EncodeLabelSet, EncodeMetric, MetricEncoder, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::metrics::{MetricType, TypedMetric};
use prometheus_client::registry::{Metric, Registry};

pub mod calls;
mod process;
mod text_format;

use calls::{CallSeries, FAMILIES, PromptCalls};

/// What the name of each metric begins with.
const PREFIX: &str = "bookholder";

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Supported by every collector.
    Text,
    /// Requested by newer collectors.
    OpenMetrics,
}

impl Format {
    /// The format that a collector requests in its `Accept` header.
    #[must_use]
    pub fn asked(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") { Self::OpenMetrics } else { Self::Text }
    }

    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The role of a process: metrics of the other role are absent, so no alert reads them as zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It accepts changes.
    Primary,
    /// It follows a primary.
    Replica,
}

/// A gauge without a sample until it is first set: unknown is not 0.
#[derive(Clone, Debug, Default)]
pub struct OptionalGauge<G = Gauge>(Arc<OnceLock<G>>);
/// The same for a fractional value.
pub type OptionalFloatGauge = OptionalGauge<FloatGauge>;

impl<G: Default> OptionalGauge<G> {
    /// The gauge, which has a sample from now on.
    pub fn gauge(&self) -> &G {
        self.0.get_or_init(G::default)
    }
}

impl<G: EncodeMetric + TypedMetric> EncodeMetric for OptionalGauge<G> {
    fn encode(&self, encoder: MetricEncoder<'_>) -> fmt::Result {
        self.0.get().map_or(Ok(()), |gauge| gauge.encode(encoder))
    }

    fn metric_type(&self) -> MetricType {
        G::TYPE
    }

    fn is_empty(&self) -> bool {
        self.0.get().is_none()
    }
}

/// A gauge with a fractional value, such as seconds.
pub type FloatGauge = Gauge<f64, AtomicU64>;

/// Requests by purpose and result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// The purpose, for example `resolve`.
    pub class: &'static str,
    /// The result: `2xx`, `3xx`, `4xx` or `5xx`.
    pub status: &'static str,
}

/// One label: a stable code of the cause.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the label is its name")]
pub struct Reason {
    pub reason: &'static str,
}

/// One label: the purpose of requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the label is its name")]
pub struct Class {
    pub class: &'static str,
}

/// One label: a freshness, or a result.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the label is its name")]
pub struct State {
    pub state: &'static str,
}

/// One label: a replica with an access token.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(missing_docs, reason = "the label is its name")]
pub struct ReplicaName {
    pub replica: String,
}

/// One label: the kind of data transferred.
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

/// All metrics of this process; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Instruments>);

/// The instruments. Their help texts are in the catalogue at the end of this file.
#[allow(missing_docs, reason = "the catalogue below says what each one means")]
pub struct Instruments {
    pub requests: Family<RequestLabels, Counter>,
    pub request_seconds: Family<Class, Histogram>,
    pub access_refused: Family<Reason, Counter>,
    pub connections: Gauge,
    pub connections_refused: Counter,
    pub resolve_cached: Counter,
    pub resolve_composed: Counter,
    pub resolve_errors: Counter,
    pub resolve_seconds: Histogram,
    pub event_listeners: Gauge,
    pub commits: Counter,
    pub commit_group_seconds: Histogram,
    pub sign_seconds: Histogram,
    pub wake_seconds: Histogram,
    pub waiters: Gauge,
    pub delta_cache_hits: Counter,
    pub delta_cache_misses: Counter,
    pub position_epoch: Gauge,
    pub position_seq: Gauge,
    pub checkpoint_age_seconds: OptionalFloatGauge,
    pub last_verified_contact_age_seconds: OptionalFloatGauge,
    pub stale: Gauge,
    pub expired: Gauge,
    pub clock_untrusted: Gauge,
    pub held: Gauge,
    pub verify_failures: Family<Reason, Counter>,
    pub upstream_failures: Family<Reason, Counter>,
    pub local_failures: Family<Reason, Counter>,
    pub forks: Counter,
    pub fenced: Counter,
    pub heals: Counter,
    pub heals_uncompared: Counter,
    pub outdated: Gauge,
    pub apply_seconds: Histogram,
    pub apply_operations: Histogram,
    pub propagation_seconds: Histogram,
    pub received_bytes: Family<Kind, Counter>,
    pub catchup: Family<Mode, Counter>,
    pub self_audit_ok: OptionalGauge,
    pub self_audit_age_seconds: OptionalFloatGauge,
    pub storage_readable: Gauge,
    pub storage_writable: Gauge,
    pub storage_damaged: Gauge,
    pub contents_refused: Counter,
    cached_counted: AtomicU64,
    pub database_bytes: OptionalGauge,
    pub replicas: Family<State, Gauge>,
    pub replica_lag_commits: Family<ReplicaName, Gauge>,
    pub open_change_requests: OptionalGauge,
    pub webhook_deliveries_pending: OptionalGauge,
    pub webhooks: Family<State, Gauge>,
    pub webhook_attempts: Family<State, Counter>,
    pub alerts_firing: OptionalGauge,
    pub telemetry_rejected: Family<Reason, Counter>,
    pub telemetry_damaged: Counter,
    pub telemetry_writable: Gauge,
    pub telemetry_exported: Family<Kind, Counter>,
    pub telemetry_export_lost: Family<Kind, Counter>,
    pub telemetry_export_failures: Family<Kind, Counter>,
    pub telemetry_export_waiting: Family<Kind, Gauge>,
    pub certificate_expiry_timestamp_seconds: OptionalGauge,
    process: process::Process,
    registry: Registry,
    /// What they are, for their documentation.
    pub rows: Vec<Row>,
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    name: &'static str,
    kind: MetricType,
    only: Option<Role>,
    help: &'static str,
}

impl Row {
    /// What calls of models are counted as.
    fn of_calls() -> impl Iterator<Item = Self> {
        let only = Some(Role::Primary);
        FAMILIES.into_iter().map(move |family| Self { name: family.name, kind: family.kind, only, help: family.help })
    }

    /// Its row in `docs/reference/metrics.md`.
    pub fn in_document(self) -> String {
        let Self { name, kind, only, help } = self;
        let (suffix, kind) = match kind {
            MetricType::Counter => ("_total", "counter"),
            MetricType::Histogram => ("", "histogram"),
            _ => ("", "gauge"),
        };
        let role = match only {
            None => "both",
            Some(Role::Primary) => "primary",
            Some(Role::Replica) => "replica",
        };
        format!("| `bookholder_{name}{suffix}` | {kind} | {role} | {help} |")
    }
}

impl Deref for Metrics {
    type Target = Instruments;

    fn deref(&self) -> &Instruments {
        &self.0
    }
}

impl Metrics {
    /// All zero or unknown.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self(Arc::new(catalogue(role)))
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

    /// Counts something received and rejected.
    pub fn verify_failed(&self, reason: &'static str) {
        self.verify_failures.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a failed request to the upstream.
    pub fn upstream_failed(&self, reason: &'static str) {
        self.upstream_failures.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a failure of this node that stops it from following.
    pub fn local_failed(&self, reason: &'static str) {
        self.local_failures.get_or_create(&Reason { reason }).inc();
    }

    /// Counts bytes received.
    pub fn received(&self, kind: &'static str, bytes: u64) {
        self.received_bytes.get_or_create(&Kind { kind }).inc_by(bytes);
    }

    /// Counts how a replica caught up.
    pub fn caught_up(&self, mode: &'static str) {
        self.catchup.get_or_create(&Mode { mode }).inc();
    }

    /// Counts a denied request.
    pub fn refused(&self, status: u16) {
        let reason = match status {
            401 => "unauthorized",
            403 => "forbidden",
            421 => "wrong_host",
            429 => "rate_limited",
            _ => return,
        };
        self.access_refused.get_or_create(&Reason { reason }).inc();
    }

    /// All metrics, in this format, with those of calls of models.
    pub fn encode(&self, format: Format, calls: Vec<PromptCalls>) -> String {
        self.count_cached();
        self.process.measure();
        let mut out = String::new();
        // Writing to a string does not fail; a partial output is still worth sending.
        let mut written = text::encode_registry(&mut out, &self.0.registry);
        if !calls.is_empty() {
            let mut registry = Registry::with_prefix(PREFIX);
            registry.register_collector(Box::new(CallSeries(calls)));
            written = written.and_then(|()| text::encode_registry(&mut out, &registry));
        }
        let _written = written.and_then(|()| text::encode_eof(&mut out));
        match format {
            Format::Text => text_format::of_openmetrics(&out),
            Format::OpenMetrics => out,
        }
    }

    /// Adds resolves from memory to the requests, which saves an atomic addition on the hot path.
    fn count_cached(&self) {
        let counted = self.resolve_cached.get();
        let already = self.cached_counted.swap(counted, Ordering::Relaxed);
        let requests = self.requests.get_or_create(&RequestLabels { class: "resolve", status: "2xx" });
        requests.inc_by(counted.saturating_sub(already));
    }
}

/// Buckets of request durations, in seconds: from a database read to a backup.
fn request_seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_25, 4.0, 9))
}

/// Registers an instrument with a name and a help text, and returns it; one of the other role is not registered.
struct Catalogue {
    registry: Registry,
    role: Role,
    only: Option<Role>,
    rows: Vec<Row>,
}

impl Catalogue {
    /// What follows is for one role, or for both.
    fn only(&mut self, role: impl Into<Option<Role>>) -> &mut Self {
        self.only = role.into();
        self
    }

    fn add<M: Metric + Clone>(&mut self, name: &'static str, help: &'static str, metric: M) -> M {
        self.rows.push(Row { name, kind: metric.metric_type(), only: self.only, help });
        if self.only.is_none_or(|only| only == self.role) {
            let registry = self.registry.sub_registry_with_prefix(PREFIX);
            registry.register(name, help, metric.clone());
        }
        metric
    }

    fn count(&mut self, name: &'static str, help: &'static str) -> Counter {
        self.add(name, help, Counter::default())
    }

    fn gauge(&mut self, name: &'static str, help: &'static str) -> Gauge {
        self.add(name, help, Gauge::default())
    }

    /// Buckets in seconds that double, starting at `first`.
    fn seconds(&mut self, name: &'static str, help: &'static str, first: f64) -> Histogram {
        self.add(name, help, Histogram::new(exponential_buckets(first, 2.0, 16)))
    }
}

/// All instruments with name and description.
#[rustfmt::skip]
fn catalogue(role: Role) -> Instruments {
    let mut registry = Registry::default();
    let process = process::Process::register(&mut registry);
    registry.register("bookholder_build", "Version and role of this program", Info::new(vec![
        ("version", env!("CARGO_PKG_VERSION")),
        ("role", match role { Role::Primary => "primary", Role::Replica => "replica" }),
    ]));
    let c = &mut Catalogue { registry, role, only: None, rows: Vec::new() };
    Instruments {
        requests: c.add("requests", "Requests by purpose and status; resolves from memory count as resolve 2xx", Family::default()),
        request_seconds: c.add("request_seconds", "Time from request to response by purpose, without resolves from \
            memory, which take microseconds", Family::new_with_constructor(request_seconds as fn() -> Histogram)),
        access_refused: c.add("access_refused", "Requests rejected because of their sender, by reason", Family::default()),
        connections: c.gauge("connections", "Open connections"),
        connections_refused: c.count("connections_refused", "Connections rejected because too many were open"),
        resolve_cached: c.count("resolve_cached", "Resolves answered from memory"),
        resolve_composed: c.count("resolve_composed", "Resolves answered from the database or by subject"),
        resolve_errors: c.count("resolve_errors", "Resolves that failed"),
        resolve_seconds: c.seconds("resolve_seconds", "Duration of resolves not answered from memory", 1e-6),
        telemetry_rejected: c.add("telemetry_rejected", "What was left out of reports, by reason", Family::default()),
        telemetry_damaged: c.count("telemetry_damaged", "Reads and writes of recorded telemetry that met a damaged page"),
        telemetry_writable: c.gauge("telemetry_writable", "1 while reports of applications are recorded"),
        event_listeners: c.gauge("event_listeners", "Open event streams"),
        commits: c.only(Role::Primary).count("commits", "Commits since this process started"),
        commit_group_seconds: c.seconds("commit_group_seconds", "Time to write a group of commits to disk; concurrent \
            commits share a group", 0.000_25),
        sign_seconds: c.seconds("sign_seconds", "Time to sign a checkpoint", 0.000_01),
        wake_seconds: c.seconds("wake_seconds", "Time from a commit until the waiting replicas have their answer", 0.000_1),
        waiters: c.gauge("waiters", "Replicas waiting for a change"),
        delta_cache_hits: c.count("delta_cache_hits", "Deltas for replicas served from the cache"),
        delta_cache_misses: c.count("delta_cache_misses", "Deltas for replicas that had to be encoded"),
        outdated: c.gauge("outdated", "1 while this primary refuses to sign because the published state is newer \
            than its own"),
        replicas: c.add("replicas", "Replicas seen in the last two minutes, by reported freshness", Family::default()),
        replica_lag_commits: c.add("replica_lag_commits", "Commits that a replica is behind, for the 100 \
            authenticated replicas that are furthest behind", Family::default()),
        open_change_requests: c.add("open_change_requests", "Open change requests", OptionalGauge::default()),
        webhook_deliveries_pending: c.add("webhook_deliveries_pending", "Webhook deliveries waiting for an attempt", OptionalGauge::default()),
        webhooks: c.add("webhooks", "Webhooks by state: ok (the last attempt succeeded), failing (it failed), \
            disabled", Family::default()),
        webhook_attempts: c.add("webhook_attempts", "Webhook delivery attempts by result: delivered, pending (will \
            be retried), failed (given up)", Family::default()),
        alerts_firing: c.add("alerts_firing", "Alerts that fire", OptionalGauge::default()),
        telemetry_exported: c.add("telemetry_exported", "Events sent on, by destination: otlp, parquet", Family::default()),
        telemetry_export_lost: c.add("telemetry_export_lost", "Events that a destination refused, or blocks that were \
            removed before they were sent on", Family::default()),
        telemetry_export_failures: c.add("telemetry_export_failures", "Attempts to send telemetry on that failed and are \
            repeated, by destination", Family::default()),
        telemetry_export_waiting: c.add("telemetry_export_waiting", "Blocks of telemetry that wait to be sent on, by \
            destination", Family::default()),
        last_verified_contact_age_seconds: c.only(Role::Replica).add("last_verified_contact_age_seconds", "Time \
            since the last verified contact with the primary", OptionalGauge::default()),
        stale: c.gauge("stale", "1 while this replica is not fresh: its last poll failed, its last verified contact \
            is more than 40 s ago, its checkpoint has expired, or it has no state"),
        expired: c.gauge("expired", "1 while the checkpoint of this replica has expired"),
        held: c.gauge("held", "1 while an operator holds this replica at its position"),
        verify_failures: c.add("verify_failures", "Received checkpoints, deltas and bundles that were rejected, by reason", Family::default()),
        upstream_failures: c.add("upstream_failures", "Requests to the upstream that failed, by reason", Family::default()),
        local_failures: c.add("local_failures", "Failures of the disk, inbox or settings of this replica that stop it \
            from following, by reason", Family::default()),
        forks: c.count("forks", "Answers with a different history than that of this replica"),
        fenced: c.count("fenced", "Answers of a primary whose epoch has ended"),
        heals: c.count("heals", "Damaged databases replaced from the upstream or a bundle"),
        heals_uncompared: c.count(
            "heals_uncompared",
            "Damaged databases replaced by a newer state whose history could not be compared",
        ),
        apply_seconds: c.seconds("apply_seconds", "Time to apply a delta", 0.000_25),
        apply_operations: c.add("apply_operations", "Entries changed by an applied delta", Histogram::new(exponential_buckets(1.0, 4.0, 12))),
        propagation_seconds: c.seconds("propagation_seconds", "Time from signing a change until it is applied here", 0.001),
        received_bytes: c.add("received_bytes", "Bytes received from the primary, by kind", Family::default()),
        catchup: c.add("catchup", "Catch-ups of this replica by mode", Family::default()),
        position_epoch: c.only(None).gauge("position_epoch", "Epoch of the position of this node"),
        position_seq: c.gauge("position_seq", "Number of the latest commit on this node"),
        checkpoint_age_seconds: c.add("checkpoint_age_seconds", "Age of the latest checkpoint", OptionalGauge::default()),
        clock_untrusted: c.gauge("clock_untrusted", "1 while the local clock contradicts signed times"),
        self_audit_ok: c.add("self_audit_ok", "1 if the last check of the stored state against its signature passed, \
            0 if it failed", OptionalGauge::default()),
        self_audit_age_seconds: c.add("self_audit_age_seconds", "Time since the last check of the stored state, to \
            the minute", OptionalGauge::default()),
        storage_readable: c.gauge("storage_readable", "1 while the database can be read"),
        storage_writable: c.gauge("storage_writable", "1 while the database can be written"),
        storage_damaged: c.gauge("storage_damaged", "1 while stored data is known to be damaged"),
        contents_refused: c.count("contents_refused", "Contents not served because their stored bytes do not match \
            their id"),
        database_bytes: c.add("database_bytes", "Size of the database file", OptionalGauge::default()),
        certificate_expiry_timestamp_seconds: c.add("certificate_expiry_timestamp_seconds", "Expiry of the TLS \
            certificate of this node, in seconds since 1970", OptionalGauge::default()),
        cached_counted: AtomicU64::new(0),
        process,
        registry: std::mem::take(&mut c.registry),
        rows: std::mem::take(&mut c.rows).into_iter().chain(Row::of_calls()).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::calls::{KindOfTokens, Latencies};
    use super::*;

    #[test]
    fn instruments_are_encoded_under_their_names() {
        let metrics = Metrics::new(Role::Primary);
        let elsewhere = metrics.clone();
        elsewhere.request("read", 404);
        elsewhere.resolve_cached.inc();
        elsewhere.checkpoint_age_seconds.gauge().set(1.5);
        for format in [Format::Text, Format::OpenMetrics] {
            let text = metrics.encode(format, Vec::new());
            for line in [
                "bookholder_requests_total{class=\"read\",status=\"4xx\"} 1",
                "bookholder_requests_total{class=\"resolve\",status=\"2xx\"} 1",
                "bookholder_checkpoint_age_seconds 1.5",
                "bookholder_commits_total 0",
            ] {
                assert!(text.lines().any(|found| found == line), "{line} in {text}");
            }
            assert_eq!(text.contains("# EOF"), format == Format::OpenMetrics, "{text}");
            assert_eq!(text.contains("# TYPE bookholder_commits_total counter"), format == Format::Text, "{text}");
            assert!(text.contains("bookholder_build_info{version="), "{text}");
        }
    }

    #[test]
    fn calls_are_encoded_by_prompt_and_label_in_both_formats() {
        let latency = Latencies { sum_s: 0.75, buckets: vec![(0.5, 1), (f64::MAX, 1)] };
        let tokens = ["input", "cache_read", "cache_write", "output", "reasoning"];
        let calls = PromptCalls {
            prompt: "say \"a\"".to_owned(),
            label: "production".to_owned(),
            calls: 3,
            errors: 1,
            unpriced: 2,
            cost_usd: 0.25,
            tokens: tokens.map(|kind| KindOfTokens { kind, tokens: 5 }),
            latency,
        };
        let metrics = Metrics::new(Role::Primary);
        for format in [Format::Text, Format::OpenMetrics] {
            let text = metrics.encode(format, vec![calls.clone()]);
            let of = r#"prompt="say \"a\"",label="production""#;
            for line in [
                format!("bookholder_prompt_calls_total{{{of}}} 3"),
                format!("bookholder_prompt_errors_total{{{of}}} 1"),
                format!("bookholder_prompt_unpriced_calls_total{{{of}}} 2"),
                format!("bookholder_prompt_cost_usd_total{{{of}}} 0.25"),
                format!("bookholder_prompt_tokens_total{{{of},kind=\"reasoning\"}} 5"),
                format!("bookholder_prompt_latency_seconds_sum{{{of}}} 0.75"),
                format!("bookholder_prompt_latency_seconds_count{{{of}}} 2"),
                format!("bookholder_prompt_latency_seconds_bucket{{le=\"0.5\",{of}}} 1"),
                format!("bookholder_prompt_latency_seconds_bucket{{le=\"+Inf\",{of}}} 2"),
            ] {
                assert!(text.lines().any(|found| found == line), "{line} in {text}");
            }
            assert_eq!(text.ends_with("# EOF\n"), format == Format::OpenMetrics, "{text}");
        }
        assert!(!metrics.encode(Format::Text, Vec::new()).contains("bookholder_prompt_"), "off");
    }

    #[test]
    fn page_about_metrics_has_every_metric_with_its_type_role_and_help() {
        let page = include_str!("../docs/reference/metrics.md");
        let rows: Vec<String> = Metrics::new(Role::Primary).rows.iter().map(|row| row.in_document()).collect();
        let rows = rows.join("\n");
        assert!(page.contains(&rows), "docs/reference/metrics.md must have these rows:\n{rows}");
        let listed = page.lines().filter(|line| line.starts_with("| `bookholder_")).count();
        assert_eq!(listed, rows.lines().count() + 1, "besides the version, which is information");
    }

    #[test]
    fn unknown_values_and_metrics_of_the_other_role_have_no_sample() {
        let (primary, replica) = (Metrics::new(Role::Primary), Metrics::new(Role::Replica));
        let samples = |metrics: &Metrics| {
            let text = metrics.encode(Format::Text, Vec::new());
            text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect::<Vec<_>>().join("\n")
        };
        assert!(!samples(&primary).contains("self_audit") && !samples(&primary).contains("_age_seconds"));
        assert!(!samples(&primary).contains("bookholder_stale") && samples(&replica).contains("bookholder_stale 0"));
        assert!(!samples(&replica).contains("bookholder_commits") && samples(&primary).contains("bookholder_commits"));
        primary.self_audit_ok.gauge().set(0);
        assert!(samples(&primary).contains("bookholder_self_audit_ok 0"));
    }
}

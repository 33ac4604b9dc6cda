//! Every series of `/metrics`: what it is called, what it is, and that it moves when the thing happens.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::support::node::{Launch, Node};

/// Whose a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Both,
    Primary,
    Replica,
}

/// What must be true of a series when the story below is over.
#[derive(Clone, Copy, Debug)]
enum Moves {
    /// Its sample with these labels is above zero (of a histogram: its count).
    Up(&'static str),
    /// It has a sample; nothing in the story moves it, and another test does.
    There,
    /// It has no sample in the story; another test has it.
    Elsewhere,
}

use Moves::{Elsewhere, There, Up};
use Of::{Both, Primary, Replica};

/// Name as in the text format, type, labels, whose it is, and what the story does to it.
type Series = (&'static str, &'static str, &'static [&'static str], Of, Moves);

const BUILD: &[&str] = &["role", "version"];

#[rustfmt::skip]
const SERIES: &[Series] = &[
    ("bookholder_build_info", "gauge", BUILD, Both, Up("")),
    ("bookholder_requests_total", "counter", &["class", "status"], Both, Up("class=\"resolve\",status=\"2xx\"")),
    ("bookholder_request_seconds", "histogram", &["class"], Both, Up("class=\"registry\"")),
    ("bookholder_access_refused_total", "counter", &["reason"], Primary, Up("reason=\"unauthorized\"")),
    ("bookholder_access_refused_total", "counter", &["reason"], Replica, Elsewhere),
    ("bookholder_connections", "gauge", &[], Both, Up("")),
    ("bookholder_connections_refused_total", "counter", &[], Both, There),
    ("bookholder_resolve_cached_total", "counter", &[], Both, Up("")),
    ("bookholder_resolve_composed_total", "counter", &[], Both, Up("")),
    ("bookholder_resolve_errors_total", "counter", &[], Both, Up("")),
    ("bookholder_resolve_seconds", "histogram", &[], Both, Up("")),
    ("bookholder_telemetry_rejected_total", "counter", &["reason"], Both, Elsewhere),
    ("bookholder_telemetry_damaged_total", "counter", &[], Both, There),
    ("bookholder_telemetry_writable", "gauge", &[], Both, Up("")),
    ("bookholder_event_listeners", "gauge", &[], Both, Up("")),
    ("bookholder_commits_total", "counter", &[], Primary, Up("")),
    ("bookholder_commit_group_seconds", "histogram", &[], Primary, Up("")),
    ("bookholder_sign_seconds", "histogram", &[], Primary, Up("")),
    ("bookholder_wake_seconds", "histogram", &[], Primary, Up("")),
    ("bookholder_waiters", "gauge", &[], Primary, Up("")),
    ("bookholder_delta_cache_hits_total", "counter", &[], Primary, There),
    ("bookholder_delta_cache_misses_total", "counter", &[], Primary, Up("")),
    ("bookholder_outdated", "gauge", &[], Primary, There),
    ("bookholder_replicas", "gauge", &["state"], Primary, Up("state=\"fresh\"")),
    ("bookholder_replica_lag_commits", "gauge", &["replica"], Primary, There),
    ("bookholder_open_change_requests", "gauge", &[], Primary, Up("")),
    ("bookholder_webhook_deliveries_pending", "gauge", &[], Primary, Up("")),
    ("bookholder_webhooks", "gauge", &["state"], Primary, Up("state=\"failing\"")),
    ("bookholder_webhook_attempts_total", "counter", &["state"], Primary, Up("state=\"pending\"")),
    ("bookholder_alerts_firing", "gauge", &[], Primary, There),
    ("bookholder_telemetry_exported_total", "counter", &["kind"], Primary, Elsewhere),
    ("bookholder_telemetry_export_lost_total", "counter", &["kind"], Primary, Elsewhere),
    ("bookholder_telemetry_export_failures_total", "counter", &["kind"], Primary, Elsewhere),
    ("bookholder_telemetry_export_waiting", "gauge", &["kind"], Primary, Elsewhere),
    ("bookholder_prompt_calls_total", "counter", &["label", "prompt"], Primary, Up("prompt=\"a\"")),
    ("bookholder_prompt_errors_total", "counter", &["label", "prompt"], Primary, Up("prompt=\"a\"")),
    ("bookholder_prompt_cost_usd_total", "counter", &["label", "prompt"], Primary, Up("prompt=\"a\"")),
    ("bookholder_prompt_unpriced_calls_total", "counter", &["label", "prompt"], Primary, Up("prompt=\"_unattributed\"")),
    ("bookholder_prompt_tokens_total", "counter", &["kind", "label", "prompt"], Primary, Up("kind=\"input\"")),
    ("bookholder_prompt_latency_seconds", "histogram", &["label", "prompt"], Primary, Up("prompt=\"a\"")),
    ("bookholder_certificate_expiry_timestamp_seconds", "gauge", &[], Both, Elsewhere),
    ("bookholder_last_verified_contact_age_seconds", "gauge", &[], Replica, Up("")),
    ("bookholder_stale", "gauge", &[], Replica, Up("")),
    ("bookholder_expired", "gauge", &[], Replica, There),
    ("bookholder_held", "gauge", &[], Replica, There),
    ("bookholder_verify_failures_total", "counter", &["reason"], Replica, Elsewhere),
    ("bookholder_upstream_failures_total", "counter", &["reason"], Replica, Up("reason=\"unreachable\"")),
    ("bookholder_local_failures_total", "counter", &["reason"], Replica, Elsewhere),
    ("bookholder_forks_total", "counter", &[], Replica, There),
    ("bookholder_fenced_total", "counter", &[], Replica, There),
    ("bookholder_heals_total", "counter", &[], Replica, There),
    ("bookholder_heals_uncompared_total", "counter", &[], Replica, There),
    ("bookholder_apply_seconds", "histogram", &[], Replica, Up("")),
    ("bookholder_apply_operations", "histogram", &[], Replica, Up("")),
    ("bookholder_propagation_seconds", "histogram", &[], Replica, Up("")),
    ("bookholder_received_bytes_total", "counter", &["kind"], Replica, Up("kind=\"delta\"")),
    ("bookholder_catchup_total", "counter", &["mode"], Replica, Up("")),
    ("bookholder_position_epoch", "gauge", &[], Both, Up("")),
    ("bookholder_position_seq", "gauge", &[], Both, Up("")),
    ("bookholder_checkpoint_age_seconds", "gauge", &[], Primary, Elsewhere),
    ("bookholder_checkpoint_age_seconds", "gauge", &[], Replica, There),
    ("bookholder_clock_untrusted", "gauge", &[], Both, There),
    ("bookholder_self_audit_ok", "gauge", &[], Both, Up("")),
    ("bookholder_self_audit_age_seconds", "gauge", &[], Both, There),
    ("bookholder_storage_readable", "gauge", &[], Both, Up("")),
    ("bookholder_storage_writable", "gauge", &[], Both, Up("")),
    ("bookholder_storage_damaged", "gauge", &[], Both, There),
    ("bookholder_contents_refused_total", "counter", &[], Both, There),
    ("bookholder_database_bytes", "gauge", &[], Both, Up("")),
];

/// The status of a process on Linux.
#[rustfmt::skip]
const PROCESS: &[Series] = &[
    ("process_start_time_seconds", "gauge", &[], Both, Up("")),
    ("process_resident_memory_bytes", "gauge", &[], Both, Up("")),
    ("process_open_fds", "gauge", &[], Both, Up("")),
    ("process_max_fds", "gauge", &[], Both, Up("")),
    ("process_cpu_seconds_total", "counter", &[], Both, There),
];

/// The metrics of one node.
struct Scrape {
    text: String,
    /// Type by name of family.
    kinds: BTreeMap<String, String>,
    /// Value by name and labels.
    samples: BTreeMap<(String, String), f64>,
}

impl Scrape {
    fn of(node: &Node, accept: &str) -> Self {
        let text = node.send("GET", "/metrics", &[("authorization", ""), ("accept", accept)], b"").text();
        let (mut kinds, mut samples) = (BTreeMap::new(), BTreeMap::new());
        for line in text.lines() {
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                assert!(kinds.insert(name.to_owned(), kind.to_owned()).is_none(), "{name} is there twice: {text}");
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
                let (name, labels) = series.split_once('{').unwrap_or((series, "}"));
                let key = (name.to_owned(), labels.trim_end_matches('}').to_owned());
                let value = value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
                assert!(samples.insert(key, value).is_none(), "{series} is there twice: {text}");
            }
        }
        Self { text, kinds, samples }
    }

    fn text(node: &Node) -> Self {
        Self::of(node, "text/plain;version=0.0.4")
    }

    /// The sum of what has these labels.
    fn value(&self, name: &str, labels: &str) -> f64 {
        self.with(name).filter(|(found, _)| found.contains(labels)).map(|(_, value)| value).sum()
    }

    fn with(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        self.samples
            .iter()
            .filter(move |((found, _), _)| found == name)
            .map(|((_, labels), value)| (labels.as_str(), *value))
    }

    /// The rules of `promtool check metrics`, and those of the format.
    fn check_rules(&self) {
        let lines: Vec<&str> = self.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            let help = format!("# HELP {name} ");
            let before = lines[at.saturating_sub(3)..at].iter().find_map(|line| line.strip_prefix(&help));
            let help = before.unwrap_or_else(|| panic!("{name} has no help: {}", self.text));
            assert!(help.len() > 5, "{name}: {help}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
                "{name}"
            );
            for unit in ["milliseconds", "_ms", "_minutes", "_hours", "_kilobytes", "_mib", "_percent"] {
                assert!(!name.contains(unit), "{name} is in no base unit");
            }
            assert!(kind == "counter" || !name.ends_with("_total"), "{name} is no counter");
            for part in ["_gauge", "_counter", "_histogram"] {
                assert!(!name.contains(part), "{name} names its type");
            }
        }
    }
}

/// The names that a family's samples have.
fn sample_names(name: &str, kind: &str) -> Vec<String> {
    if kind == "histogram" {
        ["_bucket", "_count", "_sum"].map(|suffix| format!("{name}{suffix}")).to_vec()
    } else {
        vec![name.to_owned()]
    }
}

fn check(node: &Node, role: Of) {
    let linux: &[Series] = if cfg!(target_os = "linux") { PROCESS } else { &[] };
    let expected: Vec<&Series> =
        SERIES.iter().chain(linux).filter(|(_, _, _, of, _)| *of == Both || *of == role).collect();
    let scrape = Scrape::text(node);
    scrape.check_rules();
    assert!(!scrape.text.contains("# EOF"));

    let known: BTreeMap<&str, &str> = expected.iter().map(|(name, kind, ..)| (*name, *kind)).collect();
    for (name, kind) in &scrape.kinds {
        if !cfg!(target_os = "linux") && name.starts_with("process_") {
            continue;
        }
        assert_eq!(
            known.get(name.as_str()),
            Some(&kind.as_str()),
            "{name} is not in the table for {role:?}, or otherwise"
        );
    }
    let names: BTreeSet<String> = expected.iter().flat_map(|(name, kind, ..)| sample_names(name, kind)).collect();
    for (name, _) in scrape.samples.keys() {
        assert!(names.contains(name) || name.starts_with("process_"), "{name} belongs to no family: {}", scrape.text);
    }
    for (name, kind, labels, _, moves) in &expected {
        let counted = if *kind == "histogram" { format!("{name}_count") } else { (*name).to_owned() };
        let there = scrape.with(&counted).count() > 0;
        match moves {
            Elsewhere => continue,
            There => assert!(there, "{name} of {role:?} has no sample: {}", scrape.text),
            Up(of) => assert!(scrape.value(&counted, of) > 0.0, "{name}{{{of}}} of {role:?}: {}", scrape.text),
        }
        for (found, _) in scrape.with(&counted) {
            let found: BTreeSet<&str> = found.split("\",").filter_map(|one| Some(one.split_once('=')?.0)).collect();
            assert_eq!(found, labels.iter().copied().collect(), "{name}");
        }
        if *kind == "histogram" {
            let infinite = scrape.value(&format!("{name}_bucket"), "le=\"+Inf\"");
            assert!((infinite - scrape.value(&counted, "")).abs() < 0.5, "{name}: {}", scrape.text);
        }
    }

    // The other format has the same metrics: families named without `_total` and `_info`, and an end mark.
    let open = Scrape::of(node, "application/openmetrics-text;version=1.0.0");
    open.check_rules();
    assert!(open.text.ends_with("# EOF\n"), "{}", open.text);
    for (name, kind, ..) in &expected {
        let (family, kind) = match name.strip_suffix("_info") {
            Some(family) => (family, "info"),
            None => (name.strip_suffix("_total").unwrap_or(name), *kind),
        };
        if scrape.kinds.contains_key(*name) {
            assert_eq!(open.kinds.get(family).map(String::as_str), Some(kind), "{name}: {}", open.text);
        }
    }
}

/// Answers every post with 500 until the test ends; its URL.
fn receiver_that_fails() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _head = stream.read(&mut [0; 4_096]);
            let _gone = stream.write_all(b"HTTP/1.1 500 no\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    });
    format!("http://{address}/hook")
}

fn report(node: &Node, responses: &Value) {
    let _recorded = node.change("POST", "/v1/responses", &json!({"responses": responses})).ok();
}

fn listen(node: &Node) -> std::net::TcpStream {
    let mut stream = node.connect();
    stream.write_all(b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("written");
    stream.read_exact(&mut [0; 12]).expect("an answer");
    stream
}

#[test]
fn commits_that_share_a_group_are_counted_one_by_one() {
    let primary = Node::primary();
    let figures = || {
        let scrape = Scrape::text(&primary);
        ["bookholder_commits_total", "bookholder_position_seq", "bookholder_commit_group_seconds_count"]
            .map(|name| scrape.value(name, ""))
    };
    let before = figures();
    thread::scope(|scope| {
        for writer in 0..8 {
            let primary = &primary;
            scope.spawn(move || (0..10).for_each(|n| drop(primary.publish(&format!("p{writer}-{n}"), "text"))));
        }
    });
    let after = figures();
    let [commits, positions, groups] = [0, 1, 2].map(|at| after[at] - before[at]);
    assert!(commits >= 80.0, "{commits} commits");
    assert!((commits - positions).abs() < 0.5, "{commits} commits, {positions} positions");
    assert!(groups < commits, "{groups} groups of {commits} commits: none was shared, so nothing was tested");
}

#[test]
fn every_series_has_its_name_type_and_labels_and_moves_when_the_thing_happens() {
    let mut primary = Launch::primary().args(["--webhook-allow", "127.0.0.0/8"]).start();
    let made = primary.change("POST", "/v1/tokens", &json!({"name": "plant", "role": "replica"})).ok();
    let token = made["token"].as_str().expect("a token").to_owned();
    primary.publish("a", "one");
    let replica = Launch::replica_of(&primary)
        .env("BOOKHOLDER_REPLICA_NAME", "berlin")
        .env("BOOKHOLDER_UPSTREAM_TOKEN", &token)
        .start();
    replica.follow(&primary);
    let until = |node: &Node, name: &str, labels: &str| {
        node.until(&format!("{name}{{{labels}}}"), || (Scrape::text(node).value(name, labels) > 0.0).then_some(()));
    };
    // A commit wakes the replica whose poll waits for it.
    until(&primary, "bookholder_waiters", "");
    primary.publish("a", "two");
    replica.follow(&primary);

    for node in [&primary, &replica] {
        for _ in 0..3 {
            assert_eq!(node.text("a"), "two");
        }
        assert_eq!(node.get("/v1/resolve/nothing").status, 404);
        assert_eq!(node.get("/v1/prompts").status, 200);
    }
    let nobody = primary.send("GET", "/v1/tokens", &[("authorization", "Bearer bh_nobody_0123456789abcdef")], b"");
    assert_eq!(nobody.status, 401);
    let _listening = (listen(&primary), listen(&replica));
    let hook = json!({"url": receiver_that_fails(), "events": ["*"], "prompts": "**"});
    let _kept = primary.change("PUT", "/v1/webhooks/broken", &hook).ok();
    primary.publish("b", "text");
    let moves = json!([{"name": "b", "label": "staging", "serving": {"version": 1}}]);
    let _open = primary.change("POST", "/v1/requests", &json!({"moves": moves, "message": "why"})).ok();
    let call = json!({"id": "r-1", "prompt": "a", "version": "1", "input_tokens": 9, "cost_usd": 0.5, "latency_ms": 700, "error": "timeout"});
    report(&primary, &json!([call, {"id": "r-2", "prompt": "nothing"}]));
    replica.follow(&primary);

    until(&primary, "bookholder_webhook_attempts_total", "state=\"pending\"");
    until(&primary, "bookholder_replicas", "state=\"fresh\"");
    until(&primary, "bookholder_waiters", "");
    for node in [&primary, &replica] {
        until(node, "bookholder_self_audit_ok", "");
        until(node, "bookholder_event_listeners", "");
    }
    check(&primary, Primary);
    assert!(Scrape::text(&primary).with("bookholder_replica_lag_commits").any(|(labels, _)| labels.contains("berlin")));

    primary.stop();
    until(&replica, "bookholder_stale", "");
    until(&replica, "bookholder_last_verified_contact_age_seconds", "");
    check(&replica, Replica);
}

/// The calls of one prompt, by all labels.
fn calls(scrape: &Scrape, prompt: &str) -> f64 {
    // An empty sum is -0.
    scrape.value("bookholder_prompt_calls_total", &format!("prompt=\"{prompt}\"")) + 0.0
}

/// Calls of a version or a label of a prompt, which have not been reported yet.
fn new_calls(ids: &mut impl Iterator<Item = u32>, prompt: &str, version: &str, number: usize) -> Vec<Value> {
    let call = |id| {
        json!({"id": format!("r-{id}"), "prompt": prompt, "version": version, "cost_usd": 0.25, "latency_ms": 30,
            "input_tokens": 100, "cache_read_tokens": 90, "output_tokens": 7})
    };
    ids.take(number).map(call).collect()
}

#[test]
fn calls_are_counted_for_the_busiest_prompts_and_the_rest_together_so_that_sums_are_right() {
    let mut node = Launch::primary().env("BOOKHOLDER_PROMPT_METRICS_MAX", "2").start();
    for prompt in ["support/a", "support/b", "sales/c"] {
        node.publish(prompt, "text");
    }
    let ids = &mut (1..);
    for (prompt, version, number) in
        [("support/a", "production", 3), ("support/b", "1", 2), ("sales/c", "production", 4), ("none", "1", 1)]
    {
        let calls = new_calls(ids, prompt, version, number);
        report(&node, &json!(calls));
        // What comes again counts once.
        report(&node, &json!(calls));
    }
    let scrape = Scrape::text(&node);
    scrape.check_rules();
    let of_all = |scrape: &Scrape| {
        ["support/a", "support/b", "sales/c", "_other", "_unattributed"].map(|of| calls(scrape, of).to_string())
    };
    assert_eq!(of_all(&scrape), ["3", "2", "0", "4", "1"], "{}", scrape.text);
    let of = r#"prompt="support/a",label="production""#;
    for (name, labels, expected) in [
        ("bookholder_prompt_calls_total", of.to_owned(), 3.0),
        ("bookholder_prompt_errors_total", of.to_owned(), 0.0),
        ("bookholder_prompt_cost_usd_total", of.to_owned(), 0.75),
        ("bookholder_prompt_tokens_total", format!(r#"{of},kind="input""#), 30.0),
        ("bookholder_prompt_tokens_total", format!(r#"{of},kind="cache_read""#), 270.0),
        ("bookholder_prompt_tokens_total", format!(r#"{of},kind="output""#), 21.0),
        ("bookholder_prompt_latency_seconds_count", of.to_owned(), 3.0),
        ("bookholder_prompt_latency_seconds_sum", of.to_owned(), 0.09),
        ("bookholder_prompt_latency_seconds_bucket", format!(r#"le="0.02",{of}"#), 0.0),
        ("bookholder_prompt_latency_seconds_bucket", format!(r#"le="0.04",{of}"#), 3.0),
        ("bookholder_prompt_cost_usd_total", String::new(), 2.5),
    ] {
        let value = scrape.value(name, &labels);
        assert!((value - expected).abs() < 1e-9, "{name}{{{labels}}} is {value}: {}", scrape.text);
    }

    // Who reads one folder sees its prompts, and no sum of others.
    let token = json!({"name": "narrow", "role": "reader", "prompts": "sales/**"});
    let token = node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("a token").to_owned();
    let narrow = node.send("GET", "/metrics", &[("authorization", &format!("Bearer {token}"))], b"").text();
    assert!(
        narrow.contains("bookholder_commits_total") && !narrow.contains("bookholder_prompt_calls_total"),
        "{narrow}"
    );

    // A new process counts from zero: for the busiest of the last week, which now includes the third.
    node.restart();
    report(&node, &json!(new_calls(ids, "support/b", "1", 1)));
    let scrape = Scrape::text(&node);
    assert_eq!(of_all(&scrape), ["0", "0", "0", "1", "0"], "{}", scrape.text);
    let named: Vec<&str> = scrape.with("bookholder_prompt_calls_total").map(|(labels, _)| labels).collect();
    assert!(named.contains(&r#"prompt="sales/c",label="production""#) && named.contains(&of), "{named:?}");
    let narrow = node.send("GET", "/metrics", &[("authorization", &format!("Bearer {token}"))], b"").text();
    assert!(narrow.contains("sales/c") && !narrow.contains("support/a") && !narrow.contains("_other"), "{narrow}");

    node.restart_as(|launch| launch.env("BOOKHOLDER_PROMPT_METRICS_MAX", "0"));
    report(&node, &json!(new_calls(ids, "support/a", "1", 1)));
    assert!(!Scrape::text(&node).text.contains("bookholder_prompt_"), "off");
}

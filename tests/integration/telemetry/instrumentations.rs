//! What unmodified instrumentations sent for the same ten calls, at a replica, counted at its primary.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{JSON, PROTOBUF, export, of_this_registry, primary_for_recordings};
use crate::support::node::Node;

/// Input tokens of the nine calls that succeeded, from 1,100 up by one.
const INPUT: u64 = 9 * 1_100 + 36;
/// Output tokens, from 10 up by one.
const OUTPUT: u64 = 9 * 10 + 36;
/// Pico-dollars of a token of gpt-4o-mini.
const INPUT_PICO: u64 = 150_000;
const CACHED_PICO: u64 = 75_000;
const OUTPUT_PICO: u64 = 600_000;

/// The recordings, with the number of calls that say how much of their input came from a cache: 1,024 tokens each.
/// There are four such calls; those without say nothing of it in any of them.
const RECORDINGS: [(&str, u64); 10] = [
    ("otel-old", 0),
    ("otel", 0),
    ("otel-content", 0),
    ("openinference", 4),
    ("openllmetry", 4),
    ("langfuse", 4),
    ("langfuse-js", 4),
    ("ai-sdk-5", 1),
    ("ai-sdk-6", 4),
    ("ai-sdk-7", 4),
];

/// The requests of a recording, in order, with their paths and content types.
fn requests(name: &str) -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/telemetry/recorded");
    let forms =
        [("/v1/traces", PROTOBUF, "traces.pb"), ("/v1/traces", JSON, "traces.json"), ("/v1/logs", PROTOBUF, "logs.pb")];
    let numbered = |number: usize| {
        let read =
            |(path, kind, form)| Some((path, kind, fs::read(recorded.join(format!("{name}-{number}.{form}"))).ok()?));
        forms.into_iter().find_map(read)
    };
    (1..).map_while(numbered).collect()
}

/// Calls, errors, input and output tokens, and pico-dollars.
fn counts(primary: &Node) -> [u64; 5] {
    let stats = primary.get("/v1/prompts/support/agent/stats?since=2026-11-01").ok();
    let total = &stats["total"];
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let cost: f64 = total["cost_usd"].as_str().unwrap_or("0").parse().expect("a decimal");
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "fractions of a cent")]
    let pico = (cost * 1e12).round() as u64;
    [
        number(&total["calls"]),
        number(&total["errors"]),
        number(&total["tokens"]["input"]),
        number(&total["tokens"]["output"]),
        pico,
    ]
}

#[test]
fn ten_calls_count_the_same_at_a_replica_from_every_real_instrumentation() {
    let primary = primary_for_recordings().start();
    for version in 1..=7 {
        primary.publish("support/agent", &format!("Text {version}."));
    }
    let replica = Node::replica(&primary);
    let mut before = [0; 5];
    for (index, (name, cached)) in RECORDINGS.into_iter().enumerate() {
        let requests = requests(name);
        assert!(!requests.is_empty(), "{name} was recorded");
        for (path, kind, body) in requests {
            assert_eq!(export(&replica, path, kind, &of_this_registry(&primary, body)).status, 200, "{name}");
        }
        let calls = 10 * (u64::try_from(index).expect("few") + 1);
        let after = primary.until(&format!("the calls of {name} are counted"), || {
            Some(counts(&primary)).filter(|counts| counts[0] >= calls)
        });
        let cost = INPUT * INPUT_PICO + OUTPUT * OUTPUT_PICO - cached * 1_024 * (INPUT_PICO - CACHED_PICO);
        let counted: Vec<u64> = after.iter().zip(before).map(|(after, before)| after - before).collect();
        assert_eq!(counted, [10, 1, INPUT, OUTPUT, cost], "{name}: calls, errors, input, output, pico-dollars");
        before = after;
    }
    let by_version = primary.get("/v1/prompts/support/agent/stats?since=2026-11-01&by=version").ok();
    let groups = by_version["groups"].as_array().expect("a list");
    assert_eq!(groups.len(), 1, "all of version 7: {by_version}");
}

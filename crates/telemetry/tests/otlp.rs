//! Bodies of OTLP as instrumentations send them, and what is made of them.
//!
//! `UPDATE_FIXTURES=1 cargo test -p bookholder-telemetry` writes what is expected again.

use std::fs;
use std::path::{Path, PathBuf};

use bookholder_telemetry::event::Event;
use bookholder_telemetry::otlp::{Batch, Encoding, MemoryLimits, Options, TraceMemory, read_logs, read_traces};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value as Json, json};

/// After everything in the fixtures.
const NOW_MS: i64 = 1_800_000_000_000;
const OPTIONS: Options = Options { now_ms: NOW_MS, record_content: true };

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/telemetry")
}

fn settle(batch: Batch) -> Vec<Event> {
    let mut memory = TraceMemory::new(MemoryLimits::default());
    let mut events = memory.settle(batch, NOW_MS);
    events.extend(memory.drain());
    events
}

/// What is made of a body, in a form that people can compare: ids in hexadecimal, absent fields left out.
fn described(batch: Batch) -> Json {
    let (rejected, rejected_items) = (batch.rejected(), batch.rejected_items());
    let mut events = serde_json::to_value(settle(batch)).unwrap();
    tidy(&mut events);
    json!({ "events": events, "rejected_items": rejected_items, "reasons": rejected })
}

fn tidy(value: &mut Json) {
    match value {
        Json::Array(list) => {
            let bytes: Option<Vec<u8>> =
                list.iter().map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok())).collect();
            match bytes {
                Some(bytes) if bytes.len() >= 8 => {
                    *value = Json::String(bytes.iter().map(|byte| format!("{byte:02x}")).collect());
                }
                _ => list.iter_mut().for_each(tidy),
            }
        }
        Json::Object(map) => {
            map.retain(|_, value| !value.is_null() && *value != json!({}) && *value != json!(false));
            map.values_mut().for_each(tidy);
        }
        _ => {}
    }
}

#[test]
fn requests_of_each_instrumentation_give_the_expected_events() {
    let mut names: Vec<_> = fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in names {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(stem) = name.strip_suffix(".traces.json").or_else(|| name.strip_suffix(".logs.json")) else {
            continue;
        };
        seen += 1;
        let body = fs::read(&path).unwrap();
        let logs = name.ends_with(".logs.json");
        let from_json = if logs { read_logs } else { read_traces }(&body, Encoding::Json, &OPTIONS).unwrap();
        let protobuf = if logs {
            serde_json::from_slice::<ExportLogsServiceRequest>(&body).unwrap().encode_to_vec()
        } else {
            serde_json::from_slice::<ExportTraceServiceRequest>(&body).unwrap().encode_to_vec()
        };
        let from_protobuf =
            if logs { read_logs } else { read_traces }(&protobuf, Encoding::Protobuf, &OPTIONS).unwrap();
        let found = described(from_json);
        assert_eq!(described(from_protobuf), found, "{name}: both encodings say the same");
        wrong.extend(differs_from_fixture(&fixtures().join(format!("{stem}.expected.json")), &found));
    }
    assert!(seen >= 10, "{seen} fixtures");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compares with a file of what is expected, or writes it.
fn differs_from_fixture(path: &Path, found: &Json) -> Option<String> {
    let found = serde_json::to_string_pretty(found).unwrap() + "\n";
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(path, found).unwrap();
        return None;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    (expected != found).then(|| {
        format!(
            "{} differs: if that is meant, run UPDATE_FIXTURES=1 cargo test -p bookholder-telemetry\n{found}",
            path.display()
        )
    })
}

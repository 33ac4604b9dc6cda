//! Bodies of OTLP as instrumentations send them, and what is made of them.
//!
//! `UPDATE_FIXTURES=1 cargo test -p bookholder-telemetry` writes what is expected again.

use std::fs;
use std::path::{Path, PathBuf};

use bookholder_telemetry::event::{Event, Response};
use bookholder_telemetry::otlp::{Batch, Encoding, MemoryLimits, Options, TraceMemory, read_logs, read_traces};
use bookholder_telemetry::system_text::SystemText;
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
    let mut events = memory.settle(batch, NOW_MS).ready;
    events.extend(memory.drain());
    events
}

fn responses(events: Vec<Event>) -> Vec<Response> {
    let response = |event| match event {
        Event::Response(response) => Some(*response),
        Event::Score(_) => None,
    };
    events.into_iter().filter_map(response).collect()
}

/// What is made of a body, in a form that people can compare: ids in hexadecimal, absent fields left out.
fn described(batch: Batch) -> Json {
    let (rejected, rejected_items) = (batch.rejected(), batch.rejected_items());
    json!({ "events": tidied(&settle(batch)), "rejected_items": rejected_items, "reasons": rejected })
}

fn tidied(events: &[Event]) -> Json {
    let mut events = serde_json::to_value(events).expect("a fixture");
    tidy(&mut events);
    events
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
    let mut names: Vec<_> =
        fs::read_dir(fixtures()).expect("a fixture").map(|entry| entry.expect("a fixture").path()).collect();
    names.sort();
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in names {
        let name = path.file_name().expect("a fixture").to_str().expect("a fixture").to_owned();
        let Some(stem) = name.strip_suffix(".traces.json").or_else(|| name.strip_suffix(".logs.json")) else {
            continue;
        };
        seen += 1;
        let body = fs::read(&path).expect("a fixture");
        let logs = name.ends_with(".logs.json");
        let from_json = if logs { read_logs } else { read_traces }(&body, Encoding::Json, &OPTIONS).expect("a fixture");
        let protobuf = if logs {
            serde_json::from_slice::<ExportLogsServiceRequest>(&body).expect("a fixture").encode_to_vec()
        } else {
            serde_json::from_slice::<ExportTraceServiceRequest>(&body).expect("a fixture").encode_to_vec()
        };
        let from_protobuf =
            if logs { read_logs } else { read_traces }(&protobuf, Encoding::Protobuf, &OPTIONS).expect("a fixture");
        let found = described(from_json);
        assert_eq!(described(from_protobuf), found, "{name}: both encodings say the same");
        wrong.extend(differs_from_fixture(&fixtures().join(format!("{stem}.expected.json")), &found));
    }
    assert!(seen >= 10, "{seen} fixtures");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Compares with a file of what is expected, or writes it.
fn differs_from_fixture(path: &Path, found: &Json) -> Option<String> {
    let found = serde_json::to_string_pretty(found).expect("a fixture") + "\n";
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(path, found).expect("a fixture");
        return None;
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    let name = path.file_name().expect("a fixture").display();
    (expected != found).then(|| {
        format!(
            "{name} differs: if that is meant, run UPDATE_FIXTURES=1 cargo test -p bookholder-telemetry, and git diff"
        )
    })
}

/// What a real instrumentation sent for the ten calls of `record.py`.
fn recorded(name: &str) -> Vec<Event> {
    let mut memory = TraceMemory::new(MemoryLimits::default());
    let mut events = Vec::new();
    for number in 1.. {
        let forms = [("traces", "pb"), ("traces", "json"), ("logs", "pb")].into_iter();
        let mut found = forms.filter_map(|(signal, form)| {
            let body = fs::read(fixtures().join(format!("recorded/{name}-{number}.{signal}.{form}"))).ok()?;
            let encoding = if form == "pb" { Encoding::Protobuf } else { Encoding::Json };
            Some(
                if signal == "traces" { read_traces } else { read_logs }(&body, encoding, &OPTIONS).expect("a fixture"),
            )
        });
        let Some(batch) = found.next() else {
            assert!(number > 1, "{name} was not recorded");
            break;
        };
        assert_eq!(batch.rejected(), [], "{name}");
        events.extend(memory.settle(batch, NOW_MS).into_events());
    }
    assert_eq!(memory.parked(), 0, "{name}: nothing waits");
    events
}

/// Of which calls an instrumentation says something.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    Always,
    Never,
    OfStreams,
    OfOthers,
}

impl Says {
    fn of(self, streamed: bool) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::OfStreams => streamed,
            Self::OfOthers => !streamed,
        }
    }
}

/// The names of recordings, and what each does not say of what the others do.
#[allow(clippy::struct_excessive_bools, reason = "a row of a table")]
struct Recording {
    name: &'static str,
    has_ids: bool,
    cached: Says,
    reasoning: Says,
    has_system: bool,
    has_requested: bool,
    has_first_token: bool,
    error: &'static str,
    /// Whether the application passed on the tags of the resolve answer, and not just name and version.
    has_tags: bool,
}

const RECORDINGS: [Recording; 11] = {
    let all = Recording {
        name: "",
        has_ids: true,
        cached: Says::Always,
        reasoning: Says::Always,
        has_system: true,
        has_requested: true,
        has_first_token: true,
        error: "BadRequestError",
        has_tags: true,
    };
    [
        Recording {
            name: "otel-old",
            has_first_token: false,
            cached: Says::Never,
            reasoning: Says::Never,
            has_system: false,
            has_tags: false,
            ..all
        },
        Recording {
            name: "otel-baggage",
            has_first_token: false,
            cached: Says::Never,
            reasoning: Says::Never,
            has_system: false,
            ..all
        },
        Recording {
            name: "otel",
            has_first_token: false,
            cached: Says::Never,
            reasoning: Says::Never,
            has_system: false,
            ..all
        },
        Recording { name: "otel-content", has_first_token: false, cached: Says::Never, reasoning: Says::Never, ..all },
        Recording { name: "openinference", has_requested: false, ..all },
        Recording { name: "openllmetry", reasoning: Says::OfOthers, ..all },
        Recording { name: "langfuse", has_ids: false, has_requested: false, error: "error", ..all },
        Recording {
            name: "ai-sdk-5",
            cached: Says::OfStreams,
            reasoning: Says::OfStreams,
            error: "AI_APICallError",
            ..all
        },
        Recording { name: "ai-sdk-6", error: "AI_APICallError", ..all },
        Recording { name: "langfuse-js", has_ids: false, has_requested: false, error: "error", ..all },
        Recording { name: "ai-sdk-7", reasoning: Says::Never, error: "AI_APICallError", ..all },
    ]
};

#[test]
fn ten_calls_are_equal_from_every_instrumentation() {
    let system = SystemText::of(["You are the support agent of Globe. Be kind."]).expect("a text").hash;
    let mut wrong = Vec::new();
    for recording in RECORDINGS {
        let name = recording.name;
        let mut calls = responses(recorded(name));
        calls.sort_by_key(|call| (call.ended_ms, call.tokens.input));
        if calls.len() != 10 {
            wrong.push(format!("{name}: {} calls", calls.len()));
            continue;
        }
        for (index, call) in calls.iter().enumerate() {
            let number = u64::try_from(index).expect("a fixture");
            let failed = index == 9;
            let streamed = index == 7 || index == 8;
            let when = |said: bool, value: u64| (said && !failed).then_some(value);
            let odd = number % 2;
            let mut expect = |what: &str, found: String, expected: String| {
                if found != expected {
                    wrong.push(format!("{name}: call {index}: {what}: {found}, not {expected}"));
                }
            };
            let text = |value: &dyn std::fmt::Debug| format!("{value:?}");
            expect("id", text(&call.id), text(&(recording.has_ids && !failed).then(|| format!("chatcmpl-{index}"))));
            let tokens = call.tokens;
            expect("input", text(&tokens.input), text(&when(true, 1_100 + number)));
            expect("output", text(&tokens.output), text(&when(true, 10 + number)));
            expect("cached", text(&tokens.cache_read), text(&when(recording.cached.of(streamed), 1_024 * odd)));
            expect("reasoning", text(&tokens.reasoning), text(&when(recording.reasoning.of(streamed), 4 * odd)));
            if !failed {
                // Langfuse for JavaScript does not read the model from a stream.
                let model = if streamed && name == "langfuse-js" { "gpt-4o-mini" } else { "gpt-4o-mini-2024-07-18" };
                expect("model", text(&call.model_used), text(&Some(model)));
            }
            let requested = recording.has_requested.then_some("gpt-4o-mini");
            expect("requested", text(&call.model_requested), text(&requested));
            expect("error", text(&call.error), text(&failed.then_some(recording.error)));
            expect("session", text(&call.session), text(&Some("s-1")));
            expect("environment", text(&call.environment), text(&Some("production")));
            expect("system", text(&call.claim.system), text(&recording.has_system.then_some(system)));
            expect("latency", text(&call.latency_us.is_some_and(|us| us > 0)), text(&true));
            let first = streamed && recording.has_first_token;
            expect("first token", text(&call.first_token_us.is_some_and(|us| us > 0)), text(&first));
            let claim = &call.claim;
            expect("prompt", text(&(&claim.prompt, &claim.version)), text(&(Some("support/agent"), Some("7"))));
            let stamp = recording.has_tags.then_some("support/agent@7+3f9a1c2b7d41");
            expect("tags", text(&(&claim.stamp, &claim.label)), text(&(stamp, stamp.map(|_| "production"))));
        }
        // What exactly, to see what a change of the code or of an instrumentation changes.
        calls.sort_by_key(|call| (call.ended_ms, call.tokens.input));
        let calls: Vec<_> = calls.into_iter().map(|call| Event::Response(Box::new(call))).collect();
        wrong.extend(differs_from_fixture(&fixtures().join(format!("recorded/{name}.expected.json")), &tidied(&calls)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

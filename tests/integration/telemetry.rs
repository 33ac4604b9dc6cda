//! What applications report about models, from the first request to the answer to somebody who asks.

mod air_gap;
mod attribution;
mod by_text;
mod exporting;
mod forwarding;
mod instrumentations;
mod observing;
mod parquet_files;
mod prices;
mod receiving;
mod repeats;
mod scores;
mod sessions;
mod tour;
mod tracing;
mod upkeep;

use std::ffi::OsString;
use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::node::{Launch, Node};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// A recorded request of an instrumentation, as JSON.
fn fixture(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/telemetry").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The same request as protobuf.
fn traces_as_protobuf(json: &[u8]) -> Vec<u8> {
    serde_json::from_slice::<ExportTraceServiceRequest>(json).expect("traces").encode_to_vec()
}

fn logs_as_protobuf(json: &[u8]) -> Vec<u8> {
    serde_json::from_slice::<ExportLogsServiceRequest>(json).expect("logs").encode_to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A recorded request of a call with `support/agent@7`, with the stamp of that version of this registry.
fn of_this_registry(node: &Node, mut body: Vec<u8>) -> Vec<u8> {
    /// The end of the stamp in the recordings.
    const RECORDED_ID: &[u8] = b"3f9a1c2b7d41";
    let answer = node.get("/v1/resolve/support/agent@7").ok();
    let id = answer["stamp"].as_str().and_then(|stamp| stamp.split('+').next_back()).expect("a stamp").as_bytes();
    while let Some(at) = body.windows(id.len()).position(|part| part == RECORDED_ID) {
        body[at..at + id.len()].copy_from_slice(id);
    }
    body
}

/// A primary that records what is as old as the recordings.
fn primary_for_recordings() -> Launch {
    let launch = Launch::primary();
    let settings = launch.data.with_file_name("recordings.toml");
    fs::write(&settings, "telemetry_events_days = 36500\n").expect("written");
    launch.args([OsString::from("--config"), settings.into()])
}

/// Sends a body as an exporter on the same machine does: without an access token.
fn export(node: &Node, path: &str, kind: &str, body: &[u8]) -> Answer {
    node.send("POST", path, &[("authorization", ""), ("content-type", kind)], body)
}

/// A span that calls a model, as JSON; without a prompt if the name is empty.
fn call(trace: u64, span: u64, parent: u64, prompt: &str) -> Value {
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let number = |key: &str, value: u64| json!({"key": key, "value": {"intValue": value.to_string()}});
    let mut attributes = vec![
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.provider.name", "openai"),
        text("gen_ai.response.model", "gpt-5"),
        text("gen_ai.response.id", &format!("r-{trace}-{span}")),
        number("gen_ai.usage.input_tokens", 1000),
        number("gen_ai.usage.output_tokens", 500),
    ];
    if !prompt.is_empty() {
        attributes.push(text("gen_ai.prompt.name", prompt));
    }
    span_with(trace, span, parent, "chat gpt-5", &attributes)
}

/// A span with attributes.
fn span_with(trace: u64, span: u64, parent: u64, name: &str, attributes: &[Value]) -> Value {
    let parent = if parent == 0 { String::new() } else { format!("{parent:016x}") };
    json!({"traceId": format!("{trace:032x}"), "spanId": format!("{span:016x}"), "parentSpanId": parent, "name": name,
        "attributes": attributes})
}

fn traces(spans: &[Value]) -> Vec<u8> {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}).to_string().into_bytes()
}

/// What the primary knows of a response, as soon as it has it.
fn recorded(primary: &Node, id: &str) -> Value {
    primary.until(&format!("{id} is recorded"), || {
        let answer = primary.get(&format!("/v1/responses/{id}"));
        (answer.status == 200).then(|| answer.json())
    })
}

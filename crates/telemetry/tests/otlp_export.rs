//! What is sent on to collectors, read by the official messages and by this crate again.

use std::fs;
use std::path::Path;

use bookholder_telemetry::event::{
    Arm, Attributed, AttributedBy, Attribution, Cost, CostSource, Event, Response, Score, ScoreTarget, ScoreValue,
    Unattributed,
};
use bookholder_telemetry::moments::Millionths;
use bookholder_telemetry::otlp::{Encoding, Export, Options, TraceMemory, export, read_logs, read_traces};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message;

const OPTIONS: Options = Options { now_ms: 1_800_000_000_000, record_content: true };

fn read(traces: &[u8]) -> Vec<Response> {
    let batch = read_traces(traces, Encoding::Protobuf, &OPTIONS).expect("traces");
    let mut memory = TraceMemory::default();
    let mut events = memory.settle(batch, OPTIONS.now_ms).ready;
    events.extend(memory.drain());
    let response = |event| match event {
        Event::Response(response) => Some(*response),
        Event::Score(_) => None,
    };
    events.into_iter().filter_map(response).collect()
}

/// What is the same after it was sent on: everything but what the application said of the prompt.
fn comparable(mut response: Response) -> Response {
    response.claim = bookholder_telemetry::event::Claim::default();
    response.tokens.input_was_exclusive = false;
    response.body = None;
    response
}

#[test]
fn what_is_sent_on_is_read_as_the_same_responses() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/telemetry/recorded");
    let mut number = 0;
    for entry in fs::read_dir(folder).expect("fixtures") {
        let path = entry.expect("a fixture").path();
        if !path.to_string_lossy().ends_with(".traces.pb") {
            continue;
        }
        let mut sent = read(&fs::read(&path).expect("a fixture"));
        let events: Vec<Event> = sent.iter().map(|one| Event::Response(Box::new(one.clone()))).collect();
        let mut again = read(&export(7, &events).traces);
        for responses in [&mut sent, &mut again] {
            responses.sort_by_key(|one| one.span);
        }
        number += sent.len();
        let [sent, again] = [sent, again].map(|all| all.into_iter().map(comparable).collect::<Vec<_>>());
        assert_eq!(sent, again, "{}", path.display());
    }
    assert!(number > 80, "{number}");
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|one| one.key == key)?;
    Some(match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    })
}

#[test]
fn official_messages_find_the_version_and_the_scores() {
    let found = Attributed {
        prompt: "support/agent".parse().expect("a name"),
        version: 7,
        content_id: bookholder_model::model::content_id::ContentId::of(b"text"),
        label: Some("production".parse().expect("a label")),
        arm: Arm::new(None, Some(42)),
        by: AttributedBy::Stamp,
    };
    let response = Response {
        id: Some("r-1".to_owned()),
        ended_ms: 1_700_000_000_000,
        latency_us: Some(1_500_000),
        model_requested: Some("gpt-5".to_owned()),
        environment: Some("production".to_owned()),
        error: Some("rate_limited".to_owned()),
        cost: Some(Cost { pico_usd: 12_300_000_000, source: CostSource::Table([1; 8]) }),
        attribution: Attribution::Version(found),
        ..Response::default()
    };
    let lost = Response {
        attribution: Attribution::Unattributed(Unattributed::UnknownPrompt),
        ended_ms: 1_700_000_000_000,
        ..Response::default()
    };
    let score = Score {
        target: ScoreTarget::Response("r-1".to_owned()),
        name: "helpfulness".to_owned(),
        value: ScoreValue::Number(Millionths::try_from(0.25).expect("a number")),
        evaluator: None,
        explanation: Some("Too long.".to_owned()),
        at_ms: 1_700_000_001_000,
        id: None,
    };
    let events = [Event::Response(Box::new(response)), Event::Response(Box::new(lost)), Event::Score(score.clone())];
    let Export { traces, logs } = export(3, &events);
    assert_eq!(export(3, &events).traces, traces, "the same events are the same spans");
    assert_ne!(export(4, &events).traces, traces, "what has no id is another span in another block");

    let traces = ExportTraceServiceRequest::decode(traces.as_slice()).expect("traces");
    let spans: Vec<_> = traces.resource_spans.iter().flat_map(|one| &one.scope_spans[0].spans).collect();
    assert_eq!((traces.resource_spans.len(), spans.len()), (2, 2), "one resource for each environment");
    let span = spans.iter().find(|span| span.name == "chat gpt-5").expect("the call");
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.kind), (16, 8, 3));
    assert_eq!(span.end_time_unix_nano - span.start_time_unix_nano, 1_500_000_000);
    assert_eq!(span.status.as_ref().map(|status| status.code), Some(2));
    for (key, expected) in [
        ("gen_ai.prompt.name", "support/agent"),
        ("gen_ai.prompt.version", "7"),
        ("bookholder.label", "production"),
        ("bookholder.bucket", "42"),
        ("bookholder.found_by", "stamp"),
        ("gen_ai.usage.cost.amount", "0.0123"),
        ("error.type", "rate_limited"),
    ] {
        assert_eq!(text(&span.attributes, key).as_deref(), Some(expected), "{key}");
    }
    assert!(text(&span.attributes, "bookholder.stamp").expect("a stamp").starts_with("support/agent@7+"));
    let other = spans.iter().find(|span| span.name == "chat").expect("the other");
    assert_eq!(text(&other.attributes, "bookholder.unattributed").as_deref(), Some("unknown_prompt"));

    let records = ExportLogsServiceRequest::decode(logs.as_slice()).expect("logs");
    let record = &records.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(record.event_name, "gen_ai.evaluation.result");
    assert_eq!(text(&record.attributes, "gen_ai.evaluation.score.value").as_deref(), Some("0.25"));
    let again = read_logs(&logs, Encoding::Protobuf, &OPTIONS).expect("logs");
    let again = TraceMemory::default().settle(again, OPTIONS.now_ms).ready;
    assert_eq!(again, [Event::Score(score)]);
}

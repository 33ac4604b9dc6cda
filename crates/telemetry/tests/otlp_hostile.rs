//! Bodies of OTLP that nobody should send.

use bookholder_telemetry::event::{Event, Response};
use bookholder_telemetry::otlp::{
    DecodeError, Encoding, ITEMS_MAX, MemoryLimits, Options, Reason, TraceMemory, read_logs, read_metrics, read_traces,
};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use proptest::prelude::*;
use prost::Message;

const NOW_MS: i64 = 1_800_000_000_000;
const OPTIONS: Options = Options { now_ms: NOW_MS, record_content: true };

fn value(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, of: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value(of)), ..KeyValue::default() }
}

fn text(key: &str, of: &str) -> KeyValue {
    attribute(key, Value::StringValue(of.to_owned()))
}

fn span(id: u8, parent: u8, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![7; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        start_time_unix_nano: 1_795_900_000_000_000_000,
        end_time_unix_nano: 1_795_900_001_000_000_000,
        attributes,
        ..Span::default()
    }
}

fn call(id: u8, parent: u8, more: Vec<KeyValue>) -> Span {
    let mut attributes =
        vec![text("gen_ai.operation.name", "chat"), attribute("gen_ai.usage.input_tokens", Value::IntValue(5))];
    attributes.extend(more);
    span(id, parent, attributes)
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
}

fn bytes(spans: Vec<Span>) -> Vec<u8> {
    request(spans).encode_to_vec()
}

fn responses(events: Vec<Event>) -> Vec<Response> {
    let response = |event| match event {
        Event::Response(response) => Some(*response),
        Event::Score(_) => None,
    };
    events.into_iter().filter_map(response).collect()
}

/// The responses of bodies that arrive one second after the other, and those that waited, at the end.
fn settled(bodies: Vec<Vec<Span>>) -> (Vec<Response>, Vec<Response>) {
    let mut memory = TraceMemory::new(MemoryLimits::default());
    let mut at_once = Vec::new();
    for (second, spans) in (0..).zip(bodies) {
        let batch = read_traces(&bytes(spans), Encoding::Protobuf, &OPTIONS).expect("a readable body");
        at_once.extend(memory.settle(batch, NOW_MS + second * 1_000).into_events());
    }
    let late = memory.due(NOW_MS + 60_000);
    assert_eq!(memory.parked(), 0);
    (responses(at_once), responses(late))
}

fn count(batch: &bookholder_telemetry::otlp::Batch, reason: Reason) -> u64 {
    batch.rejected().iter().find(|rejected| rejected.reason == reason).map_or(0, |rejected| rejected.count)
}

#[test]
fn call_takes_the_prompt_of_a_later_span() {
    let prompt = vec![text("gen_ai.prompt.name", "a"), text("gen_ai.prompt.version", "3")];
    let bodies = vec![vec![call(1, 2, vec![])], vec![span(2, 3, vec![])], vec![span(3, 0, prompt)]];
    let (at_once, late) = settled(bodies);
    assert_eq!((at_once.len(), late.len()), (1, 0));
    assert_eq!(at_once[0].claim.prompt.as_deref(), Some("a"));
    assert_eq!(at_once[0].claim.version.as_deref(), Some("3"));
}

#[test]
fn call_below_a_span_that_never_arrives_is_released_when_due() {
    let (at_once, late) = settled(vec![vec![call(1, 2, vec![])]]);
    assert_eq!((at_once.len(), late.len()), (0, 1));
}

#[test]
fn call_without_a_parent_or_with_a_prompt_does_not_wait() {
    let named = call(2, 9, vec![text("gen_ai.prompt.name", "a")]);
    let (at_once, late) = settled(vec![vec![call(1, 0, vec![]), named]]);
    assert_eq!((at_once.len(), late.len()), (2, 0));
}

#[test]
fn nearest_prompt_is_used() {
    let outer = vec![text("gen_ai.prompt.name", "outer")];
    let inner = vec![text("gen_ai.prompt.name", "inner")];
    let (at_once, _) = settled(vec![vec![call(1, 2, vec![]), span(2, 3, inner), span(3, 0, outer)]]);
    assert_eq!(at_once[0].claim.prompt.as_deref(), Some("inner"));
}

#[test]
fn parent_span_in_another_body_is_not_counted() {
    let sum = vec![attribute("gen_ai.usage.input_tokens", Value::IntValue(10)), text("gen_ai.prompt.name", "a")];
    let bodies = vec![vec![call(1, 4, vec![]), call(2, 4, vec![])], vec![span(4, 5, vec![])], vec![span(5, 0, sum)]];
    let (at_once, late) = settled(bodies);
    assert_eq!((at_once.len(), late.len()), (2, 0));
    assert!(at_once.iter().all(|call| call.tokens.input == Some(5) && call.claim.prompt.as_deref() == Some("a")));
}

#[test]
fn usage_without_a_call_inside_is_a_call() {
    let usage = vec![attribute("llm.token_count.prompt", Value::IntValue(10))];
    let (at_once, _) = settled(vec![vec![span(1, 0, usage), span(2, 1, vec![])]]);
    assert_eq!(at_once.len(), 1);
}

#[test]
fn agents_chains_and_tools_are_no_calls_though_they_carry_usage() {
    let kinds = [
        ("gen_ai.operation.name", "invoke_agent"),
        ("gen_ai.operation.name", "execute_tool"),
        ("openinference.span.kind", "AGENT"),
        ("langfuse.observation.type", "span"),
        ("ai.operationId", "ai.generateText"),
        ("traceloop.span.kind", "workflow"),
    ];
    for (key, kind) in kinds {
        let attributes = vec![text(key, kind), attribute("gen_ai.usage.input_tokens", Value::IntValue(5))];
        let (at_once, late) = settled(vec![vec![span(1, 0, attributes)]]);
        assert_eq!((at_once.len(), late.len()), (0, 0), "{key} {kind}");
    }
}

fn hash_of(text: &str) -> [u8; 32] {
    bookholder_telemetry::system_text::SystemText::of([text]).expect("a text").hash
}

#[test]
fn system_text_in_a_log_record_reaches_its_call_in_either_order() {
    let log = LogRecord {
        trace_id: vec![7; 16],
        span_id: vec![1; 8],
        event_name: "gen_ai.system.message".to_owned(),
        attributes: vec![text("content", "Be kind.")],
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![log], ..ScopeLogs::default() }];
    let logs = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    let logs = logs.encode_to_vec();
    let hash = hash_of("Be kind.");
    for log_first in [true, false] {
        let mut memory = TraceMemory::new(MemoryLimits::default());
        let mut events = Vec::new();
        // One was there before, so they are waited for.
        memory.settle(read_logs(&logs, Encoding::Protobuf, &OPTIONS).expect("a readable body"), NOW_MS - 60_000);
        if !log_first {
            memory = TraceMemory::new(MemoryLimits::default());
            let parent_unknown = call(1, 2, vec![]);
            let batch =
                read_traces(&bytes(vec![parent_unknown]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
            events.extend(memory.settle(batch, NOW_MS).into_events());
        }
        events.extend(
            memory
                .settle(read_logs(&logs, Encoding::Protobuf, &OPTIONS).expect("a readable body"), NOW_MS)
                .into_events(),
        );
        if log_first {
            let batch =
                read_traces(&bytes(vec![call(1, 2, vec![])]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
            events.extend(memory.settle(batch, NOW_MS).into_events());
        }
        events.extend(memory.due(NOW_MS + 60_000));
        let responses = responses(events);
        assert_eq!(responses.len(), 1);
        assert_eq!(responses[0].claim.system, Some(hash), "log first: {log_first}");
    }
}

#[test]
fn calls_above_the_waiting_limit_do_not_wait() {
    let limits = MemoryLimits { parked: 3, parked_per_trace: 2, spans: 4, ..MemoryLimits::default() };
    let mut memory = TraceMemory::new(limits);
    let mut spans = Vec::new();
    for id in 1..=200 {
        let mut one = call(id, 255, vec![text("session.id", "s")]);
        one.trace_id = vec![id / 10 + 1; 16];
        spans.push(one);
    }
    let batch = read_traces(&bytes(spans), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    let at_once = memory.settle(batch, NOW_MS).into_events().len();
    assert_eq!((at_once, memory.parked()), (197, 3));
    assert_eq!(memory.due(NOW_MS + limits.park_ms - 1).len(), 0);
    assert_eq!(memory.due(NOW_MS + limits.park_ms).len(), 3);
}

#[test]
fn clock_set_back_does_not_delay_calls() {
    let mut memory = TraceMemory::new(MemoryLimits::default());
    let batch = read_traces(&bytes(vec![call(1, 2, vec![])]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!(memory.settle(batch, NOW_MS).into_events().len(), 0);
    assert_eq!(memory.due(NOW_MS - 3_600_000).len(), 1);
}

#[test]
fn logs_on_the_path_of_traces_are_rejected_one_by_one_and_the_other_way_round() {
    let log = LogRecord {
        time_unix_nano: 1,
        trace_id: vec![7; 16],
        span_id: vec![1; 8],
        attributes: vec![text("a", "b")],
        severity_text: "INFO".to_owned(),
        ..LogRecord::default()
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![log.clone(), log], ..ScopeLogs::default() }];
    let logs = ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }] };
    let batch = read_traces(&logs.encode_to_vec(), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!((batch.items(), batch.rejected_items(), count(&batch, Reason::WrongSignal)), (2, 2, 2));

    let spans = request(vec![call(1, 0, vec![])]);
    let batch = read_logs(&spans.encode_to_vec(), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!((batch.rejected_items(), count(&batch, Reason::WrongSignal)), (1, 1));

    let json = serde_json::to_vec(&logs).expect("a readable body");
    assert_eq!(read_traces(&json, Encoding::Json, &OPTIONS).unwrap_err(), DecodeError::WrongSignal("/v1/logs"));
    let json = serde_json::to_vec(&spans).expect("a readable body");
    assert_eq!(read_logs(&json, Encoding::Json, &OPTIONS).unwrap_err(), DecodeError::WrongSignal("/v1/traces"));
}

#[test]
fn one_wrong_span_takes_no_other_with_it() {
    let good = call(1, 0, vec![]);
    let mut bad = call(2, 0, vec![]);
    bad.span_id = vec![1; 7];
    let batch = read_traces(&bytes(vec![bad, good.clone()]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!((batch.items(), batch.rejected_items(), count(&batch, Reason::InvalidId)), (2, 1, 1));
    assert!(batch.message().expect("a readable body").starts_with("1 spans without a valid"));

    let good = serde_json::to_string(&good).expect("a readable body");
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"traceId":1}},{{}},null,{good}]}}]}}]}}"#);
    let batch = read_traces(body.as_bytes(), Encoding::Json, &OPTIONS).expect("a readable body");
    assert_eq!((batch.items(), batch.rejected_items()), (4, 3));
}

#[test]
fn span_with_ten_thousand_attributes_keeps_the_known_ones() {
    let mut attributes: Vec<_> = (0..10_000).map(|index| text(&format!("a.{index}"), "x")).collect();
    attributes.extend((0..10_000).map(|index| text(&format!("gen_ai.prompt.{index}.content"), "x")));
    attributes.push(text("gen_ai.prompt.name", "a"));
    let batch =
        read_traces(&bytes(vec![call(1, 0, attributes)]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!(batch.rejected_items(), 0);
    assert!(count(&batch, Reason::TooManyAttributes) > 0);
    let mut memory = TraceMemory::new(MemoryLimits::default());
    let responses = responses(memory.settle(batch, NOW_MS).into_events());
    assert_eq!(responses[0].claim.prompt.as_deref(), Some("a"));
}

#[test]
fn spans_above_the_limit_of_a_request_are_rejected_and_small_in_memory() {
    // Two bytes each: what a decoder that builds all of them first would make 250 of.
    let spans: Vec<u8> = [0x12, 0x00].repeat(1_000_000);
    let mut of_resource = vec![0x12];
    let mut length = spans.len();
    while length >= 0x80 {
        of_resource.push(u8::try_from(length & 0x7f | 0x80).expect("a readable body"));
        length >>= 7;
    }
    of_resource.push(u8::try_from(length).expect("a readable body"));
    of_resource.extend(spans);
    let mut body = vec![0x0a];
    let mut length = of_resource.len();
    while length >= 0x80 {
        body.push(u8::try_from(length & 0x7f | 0x80).expect("a readable body"));
        length >>= 7;
    }
    body.push(u8::try_from(length).expect("a readable body"));
    body.extend(of_resource);
    let batch = read_traces(&body, Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!((batch.items(), batch.rejected_items()), (1_000_000, 1_000_000));
    assert_eq!(count(&batch, Reason::InvalidId), ITEMS_MAX);
    assert_eq!(count(&batch, Reason::TooManyItems), 1_000_000 - ITEMS_MAX);

    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}{{}}]}}]}}]}}"#, "{},".repeat(99_999));
    let batch = read_traces(body.as_bytes(), Encoding::Json, &OPTIONS).expect("a readable body");
    assert_eq!((batch.items(), batch.rejected_items()), (100_000, 100_000));
}

#[test]
fn body_with_a_two_billion_byte_length_is_refused() {
    for body in
        [b"\x0a\xff\xff\xff\xff\x07".as_slice(), b"\x0a\x06\x12\xff\xff\xff\xff\x07", b"\xff", b"\x0a", b"\x0b\x0c"]
    {
        assert_eq!(read_traces(body, Encoding::Protobuf, &OPTIONS).unwrap_err(), DecodeError::Protobuf, "{body:?}");
    }
    for body in ["", "[", "nul", r#"{"resourceSpans":1}"#, r#"{"resourceSpans":[1]}"#, "\u{0}"] {
        let error = read_traces(body.as_bytes(), Encoding::Json, &OPTIONS).unwrap_err();
        assert!(error.to_string().starts_with("invalid JSON: "), "{body}");
    }
    assert!(read_traces(b"\xff\xfe", Encoding::Json, &OPTIONS).is_err());
}

#[test]
fn empty_requests_are_accepted() {
    for (body, encoding) in [(b"".as_slice(), Encoding::Protobuf), (b"{}", Encoding::Json)] {
        for read in [read_traces, read_logs] {
            let batch = read(body, encoding, &OPTIONS).expect("a readable body");
            assert_eq!((batch.items(), batch.rejected(), batch.message()), (0, vec![], None));
        }
        assert_eq!(read_metrics(body, encoding).expect("a readable body").items(), 0);
    }
    assert!(read_metrics(br#"{"resourceMetrics":[{"scopeMetrics":[]}]}"#, Encoding::Json).is_ok());
}

#[test]
fn numbers_that_are_none_are_left_out_and_counted() {
    for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, 1e300] {
        let attributes = vec![
            attribute("gen_ai.usage.output_tokens", Value::DoubleValue(number)),
            attribute("gen_ai.usage.cost", Value::DoubleValue(number)),
            attribute("gen_ai.response.time_to_first_chunk", Value::DoubleValue(number)),
            text("evaluation.name", "good"),
            attribute("evaluation.score", Value::DoubleValue(number)),
        ];
        let batch =
            read_traces(&bytes(vec![call(1, 0, attributes)]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
        for reason in [Reason::BadTokens, Reason::BadCost, Reason::BadDuration] {
            assert_eq!(count(&batch, reason), 1, "{number} {reason:?}");
        }
        // -1 is a score.
        assert_eq!(count(&batch, Reason::ScoreOutOfRange), u64::from(number < -1.0 || number.is_nan() || number > 0.0));
        let response = responses(TraceMemory::default().settle(batch, NOW_MS).into_events()).remove(0);
        assert_eq!((response.tokens.output, response.cost, response.first_token_us), (None, None, None));
    }
    let json = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"07070707070707070707070707070707",
        "spanId":"0101010101010101","attributes":[{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},
        {"key":"gen_ai.usage.output_tokens","value":{"doubleValue":"NaN"}},
        {"key":"gen_ai.usage.input_tokens","value":{"intValue":"12","unknown":[1]}}],"unknown":{"a":[]}}]}]}]}"#;
    let batch = read_traces(json.as_bytes(), Encoding::Json, &OPTIONS).expect("a readable body");
    assert_eq!(count(&batch, Reason::BadTokens), 1);
    assert_eq!(responses(TraceMemory::default().settle(batch, NOW_MS).into_events())[0].tokens.input, Some(12));
}

#[test]
fn values_nested_deeper_than_the_limit_are_left_out() {
    let mut nested = value(Value::StringValue("x".to_owned()));
    for _ in 0..90 {
        nested = value(Value::ArrayValue(ArrayValue { values: vec![nested] }));
    }
    let deep = KeyValue { key: "gen_ai.input.messages".to_owned(), value: Some(nested), ..KeyValue::default() };
    let spans = vec![call(1, 0, vec![deep])];
    let batch = read_traces(&bytes(spans.clone()), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!(count(&batch, Reason::BadValue), 1);
    let json = serde_json::to_vec(&request(spans)).expect("a readable body");
    let batch = read_traces(&json, Encoding::Json, &OPTIONS).expect("a readable body");
    assert_eq!(count(&batch, Reason::BadValue), 1);

    let deep = format!(r#"{{"resourceSpans":{}{}}}"#, "[".repeat(200_000), "]".repeat(200_000));
    assert!(read_traces(deep.as_bytes(), Encoding::Json, &OPTIONS).is_err());
    // JSON in a text, deeper than is read.
    let text = text("gen_ai.input.messages", &"[".repeat(100_000));
    assert!(read_traces(&bytes(vec![call(1, 0, vec![text])]), Encoding::Protobuf, &OPTIONS).is_ok());
}

#[test]
fn values_that_are_too_long_are_left_out() {
    let long = text("gen_ai.prompt.name", &"x".repeat(2_000_000));
    let batch =
        read_traces(&bytes(vec![call(1, 0, vec![long])]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    assert_eq!(count(&batch, Reason::ValueTooLong), 1);
    let long = text("gen_ai.prompt.name", &"é".repeat(1_000));
    let batch =
        read_traces(&bytes(vec![call(1, 0, vec![long])]), Encoding::Protobuf, &OPTIONS).expect("a readable body");
    let response = responses(TraceMemory::new(MemoryLimits::default()).settle(batch, NOW_MS).into_events()).remove(0);
    assert_eq!(response.claim.prompt.expect("a readable body").len(), 256);
}

#[test]
fn content_is_kept_only_when_asked_for_and_its_hash_always() {
    let messages = text("gen_ai.input.messages", r#"[{"role":"system","content":"Be kind."}]"#);
    let body = bytes(vec![call(1, 0, vec![messages])]);
    for record_content in [true, false] {
        let options = Options { record_content, ..OPTIONS };
        let batch = read_traces(&body, Encoding::Protobuf, &options).expect("a readable body");
        let response = responses(TraceMemory::default().settle(batch, NOW_MS).into_events()).remove(0);
        assert_eq!(response.body.is_some(), record_content);
        assert_eq!(response.claim.system, Some(hash_of("Be kind.")));
    }
}

fn any_attribute() -> impl Strategy<Value = KeyValue> {
    let names = prop::sample::select(vec![
        "gen_ai.operation.name",
        "openinference.span.kind",
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.cost",
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.prompt.name",
        "gen_ai.prompt.version",
        "gen_ai.prompt.0.content",
        "llm.input_messages.3.message.role",
        "evaluations.1.evaluation.score",
        "evaluation.name",
        "metadata",
        "langfuse.observation.usage_details",
        "langfuse.observation.completion_start_time",
        "gen_ai.input.messages",
        "output.value",
        "gen_ai.response.finish_reasons",
        "session.id",
        "gen_ai.response.time_to_first_chunk",
    ]);
    let leaf = prop_oneof![
        prop::sample::select(vec!["chat", "LLM", "a@7", "{\"input\":1}", "[{\"role\":\"system\"}]", "-1", "é", ""])
            .prop_map(|text| Value::StringValue(text.to_owned())),
        any::<i64>().prop_map(Value::IntValue),
        any::<f64>().prop_map(Value::DoubleValue),
        any::<bool>().prop_map(Value::BoolValue),
    ];
    let values = leaf.prop_recursive(3, 12, 4, |inner| {
        prop::collection::vec(inner, 0..4)
            .prop_map(|values| Value::ArrayValue(ArrayValue { values: values.into_iter().map(value).collect() }))
    });
    (names, values).prop_map(|(name, value)| attribute(name, value))
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let _ = (read_traces(&body, encoding, &OPTIONS), read_logs(&body, encoding, &OPTIONS), read_metrics(&body, encoding));
        }
    }

    #[test]
    fn both_encodings_of_the_official_messages_give_the_same(
        spans in prop::collection::vec((1u8..6, 0u8..6, prop::collection::vec(any_attribute(), 0..8), any::<u64>()), 0..6)
    ) {
        let spans = spans.into_iter().map(|(id, parent, attributes, end)| {
            // JSON has no numbers that are not finite.
            let finite = |attribute: &KeyValue| !format!("{attribute:?}").contains("inf") && !format!("{attribute:?}").contains("NaN");
            let attributes = attributes.into_iter().filter(finite).collect();
            Span { end_time_unix_nano: end, ..span(id, parent, attributes) }
        }).collect();
        let request = request(spans);
        let settle = |body: &[u8], encoding| {
            let batch = read_traces(body, encoding, &OPTIONS).expect("a readable body");
            let rejected = batch.rejected();
            let mut memory = TraceMemory::new(MemoryLimits::default());
            let mut events = memory.settle(batch, NOW_MS).into_events();
            events.extend(memory.drain());
            (events, rejected)
        };
        let from_protobuf = settle(&request.encode_to_vec(), Encoding::Protobuf);
        let from_json = settle(&serde_json::to_vec(&request).expect("a readable body"), Encoding::Json);
        prop_assert_eq!(from_protobuf, from_json);
    }

    #[test]
    fn damaged_body_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let attributes = vec![text("gen_ai.prompt.name", "a"), text("gen_ai.input.messages", "[{\"role\":\"system\",\"content\":\"x\"}]")];
        let request = request(vec![call(1, 2, attributes), span(2, 0, vec![text("session.id", "s")])]);
        for (mut body, encoding) in [(request.encode_to_vec(), Encoding::Protobuf), (serde_json::to_vec(&request).expect("a readable body"), Encoding::Json)] {
            let index = at.index(body.len());
            body[index] = byte;
            body.truncate(cut.index(body.len()) + 1);
            if let Ok(batch) = read_traces(&body, encoding, &OPTIONS) {
                let mut memory = TraceMemory::new(MemoryLimits::default());
                memory.settle(batch, NOW_MS);
                memory.drain();
            }
        }
    }
}

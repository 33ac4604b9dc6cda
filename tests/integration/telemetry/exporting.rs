//! What is recorded, sent on to a collector of OpenTelemetry.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use super::{JSON, call, export, fixture, primary_for_recordings, recorded, traces};
use crate::support::node::{Launch, Node};

/// What a collector received.
#[derive(Default)]
struct Received {
    spans: Vec<Span>,
    scores: usize,
    keys: Vec<String>,
}

/// A collector that answers with a status, and keeps what it answered with success.
struct Collector {
    url: String,
    status: Arc<AtomicU16>,
    received: Arc<Mutex<Received>>,
}

impl Collector {
    fn start(status: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/collect", listener.local_addr().expect("an address"));
        let (status, received) = (Arc::new(AtomicU16::new(status)), Arc::new(Mutex::new(Received::default())));
        let shared = (Arc::clone(&status), Arc::clone(&received));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (status, received) = shared.clone();
                std::thread::spawn(move || while answer(&stream, &status, &received).is_some() {});
            }
        });
        Self { url, status, received }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    /// The spans of these responses, as soon as all are there.
    fn spans(&self, node: &Node, ids: &[&str]) -> Vec<Span> {
        node.until(&format!("{ids:?} are sent on"), || {
            let received = self.received.lock().expect("no panic");
            let of = |id: &&str| {
                received.spans.iter().find(|span| text(span, "gen_ai.response.id").as_deref() == Some(*id)).cloned()
            };
            ids.iter().map(of).collect()
        })
    }

    fn received(&self) -> std::sync::MutexGuard<'_, Received> {
        self.received.lock().expect("no panic")
    }
}

/// Answers one request; none at the end of the connection.
fn answer(stream: &TcpStream, status: &AtomicU16, received: &Mutex<Received>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        (reader.read_line(&mut head).ok()? > 0).then_some(())?;
    }
    let head = head.to_ascii_lowercase();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    let mut body = vec![0; header("content-length")?.trim().parse().ok()?];
    reader.read_exact(&mut body).ok()?;
    assert_eq!((header("content-type"), header("content-encoding")), (Some("application/x-protobuf"), Some("gzip")));
    let mut plain = Vec::new();
    GzDecoder::new(body.as_slice()).read_to_end(&mut plain).expect("gzip");
    let status = status.load(Ordering::SeqCst);
    if status == 200 {
        let mut received = received.lock().expect("no panic");
        received.keys.extend(header("x-api-key").map(str::to_owned));
        if head.starts_with("post /collect/v1/traces ") {
            let request = ExportTraceServiceRequest::decode(plain.as_slice()).expect("traces");
            let spans = request.resource_spans.into_iter().flat_map(|one| one.scope_spans).flat_map(|one| one.spans);
            received.spans.extend(spans);
        } else {
            assert!(head.starts_with("post /collect/v1/logs "), "{head}");
            let request = ExportLogsServiceRequest::decode(plain.as_slice()).expect("logs");
            let groups = request.resource_logs.into_iter().flat_map(|one| one.scope_logs);
            received.scores += groups.map(|one| one.log_records.len()).sum::<usize>();
        }
    }
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").ok()
}

fn text(span: &Span, key: &str) -> Option<String> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    let found = span.attributes.iter().find(|one| one.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

fn forwarding(collector: &Collector) -> Node {
    let launch = primary_for_recordings().args(["--forward-otlp", &collector.url]);
    launch.env("BOOKHOLDER_FORWARD_OTLP_HEADERS", "x-api-key=abc").start()
}

fn metric(node: &Node, line: &str) -> Option<u64> {
    let text = node.get("/metrics").text();
    text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn recorded_telemetry_is_sent_on_with_the_version_that_was_found() {
    let collector = Collector::start(200);
    let node = forwarding(&collector);
    node.publish("support/agent", "You are a support agent of Globe.");
    let spans = [call(1, 1, 0, "support/agent"), call(1, 2, 0, "no/such")];
    let _sent = export(&node, "/v1/traces", JSON, &traces(&spans)).ok();
    let _sent = export(&node, "/v1/traces", JSON, &fixture("otel-new.traces.json")).ok();
    let stamp = node.get("/v1/resolve/support/agent").ok()["stamp"].clone();
    let response = json!({"id": "r-api", "stamp": stamp, "label": "production", "model": "gpt-5", "output_tokens": 3});
    let _sent = node.change("POST", "/v1/responses", &json!({"responses": [response]})).ok();
    let score = json!({"scores": [{"response": "r-api", "name": "helpfulness", "value": 0.5}]});
    let _sent = node.change("POST", "/v1/scores", &score).ok();

    let found = collector.spans(&node, &["r-1-1", "r-1-2", "resp_1", "r-api"]);
    let first = &found[0];
    assert_eq!((first.trace_id.last(), first.span_id.last()), (Some(&1), Some(&1)), "its own ids");
    for (key, expected) in [
        ("gen_ai.prompt.name", "support/agent"),
        ("gen_ai.prompt.version", "1"),
        ("bookholder.label", "production"),
        ("bookholder.found_by", "label"),
        ("gen_ai.usage.input_tokens", "1000"),
        ("gen_ai.usage.cost.currency", "USD"),
    ] {
        assert_eq!(text(first, key).as_deref(), Some(expected), "{key}");
    }
    assert_eq!(text(&found[1], "bookholder.unattributed").as_deref(), Some("unknown_prompt"));
    assert_eq!(text(&found[2], "gen_ai.input.messages"), None, "content is not recorded here");
    let tagged = ["bookholder.stamp", "bookholder.label"].map(|key| text(&found[3], key));
    assert_eq!(tagged, [stamp.as_str().map(str::to_owned), Some("production".to_owned())]);
    node.until("the score is sent on", || (collector.received().scores == 1).then_some(()));
    assert!(collector.received().keys.iter().all(|key| key == "abc"));
    node.until("it is counted", || {
        (metric(&node, "bookholder_telemetry_exported_total{kind=\"otlp\"}") == Some(5)).then_some(())
    });
}

#[test]
fn collector_that_was_away_is_caught_up_with_after_a_crash_too() {
    let collector = Collector::start(503);
    let mut node = forwarding(&collector);
    node.publish("support/agent", "text");
    for span in 1..=3 {
        assert_eq!(export(&node, "/v1/traces", JSON, &traces(&[call(2, span, 0, "support/agent")])).status, 200);
        let _recorded = recorded(&node, &format!("r-2-{span}"));
    }
    node.until("an attempt fails", || {
        metric(&node, "bookholder_telemetry_export_failures_total{kind=\"otlp\"}").filter(|failed| *failed > 0)
    });
    node.kill9();
    collector.answers(200);
    node.restart();
    let _spans = collector.spans(&node, &["r-2-1", "r-2-2", "r-2-3"]);
    node.until("all is counted", || {
        (metric(&node, "bookholder_telemetry_exported_total{kind=\"otlp\"}") == Some(3)).then_some(())
    });
    // What the collector has is not sent again after a restart.
    let number = collector.received().spans.len();
    node.stop();
    node.restart();
    let _sent = export(&node, "/v1/traces", JSON, &traces(&[call(2, 4, 0, "support/agent")])).ok();
    let _span = collector.spans(&node, &["r-2-4"]);
    assert_eq!(collector.received().spans.len(), number + 1);
}

#[test]
fn telemetry_that_a_collector_refuses_for_good_is_counted_and_the_rest_goes_on() {
    let collector = Collector::start(400);
    let node = forwarding(&collector);
    node.publish("support/agent", "text");
    let _sent = export(&node, "/v1/traces", JSON, &traces(&[call(3, 1, 0, "support/agent")])).ok();
    node.until("the refusal is counted", || {
        (metric(&node, "bookholder_telemetry_export_lost_total{kind=\"otlp\"}") == Some(1)).then_some(())
    });
    collector.answers(200);
    let _sent = export(&node, "/v1/traces", JSON, &traces(&[call(3, 2, 0, "support/agent")])).ok();
    let _span = collector.spans(&node, &["r-3-2"]);
    assert_eq!(collector.received().spans.len(), 1);
}

#[test]
fn wrong_settings_of_forwarding_are_refused_with_what_to_write() {
    let said = Launch::primary().args(["--forward-otlp", "collector:4318"]).refused();
    assert!(said.contains("must start with http:// or https://"), "{said}");
    let launch = Launch::primary().args(["--forward-otlp", "http://127.0.0.1:1"]);
    let said = launch.env("BOOKHOLDER_FORWARD_OTLP_HEADERS", "secret").refused();
    assert!(said.contains("NAME=VALUE") && !said.contains("secret"), "{said}");
}

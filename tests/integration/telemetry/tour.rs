//! The whole loop: a version goes live, a real SDK calls models with it, and what came back is traced, counted, shown and
//! alerted on.

use bookholder::clock::{Clock, SystemClock};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;

use super::{PROTOBUF, export, fixture, of_this_registry};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::{Launch, Node};
use crate::webhooks::Receiver;

/// Requests of the OpenTelemetry SDK for Python for ten calls with `support/agent@7`, as if they began just now.
fn ten_calls() -> Vec<Vec<u8>> {
    fn spans(request: &mut ExportTraceServiceRequest) -> impl Iterator<Item = &mut Span> {
        let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
        scopes.flat_map(|scope| &mut scope.spans)
    }
    let read = |number: u8| fixture(&format!("recorded/otel-{number}.traces.pb"));
    let decode = |body: Vec<u8>| ExportTraceServiceRequest::decode(body.as_slice()).expect("a fixture");
    let mut requests: Vec<_> = (1..=3).map(read).map(decode).collect();
    let first = requests.iter_mut().flat_map(spans).map(|span| span.start_time_unix_nano).min().expect("spans");
    let now_ms = u64::try_from(SystemClock::new().now_ms()).expect("a time after 1970");
    let later = now_ms * 1_000_000 - first;
    for span in requests.iter_mut().flat_map(spans) {
        span.start_time_unix_nano += later;
        span.end_time_unix_nano += later;
    }
    requests.iter().map(ExportTraceServiceRequest::encode_to_vec).collect()
}

fn run(node: &Node, line: &[&str]) -> Bookholder {
    bookholder(line).server(node)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn published_version_is_called_by_an_sdk_traced_counted_shown_and_alerted_on() {
    let mut receiver = Receiver::start(&[]).await;
    let primary = Launch::primary().args(["--webhook-allow", "127.0.0.0/8"]).start();
    let hook = ["webhook", "add", "bot", &receiver.url, "--event", "alert.*"];
    let _said = run(&primary, &hook).ok();
    for version in 1..=6 {
        primary.publish("support/agent", &format!("Text {version}."));
    }
    let content = json!({"syntax": "plain", "text": "You are the support agent of Globe."});
    primary.publish_content("support/agent", &content, &[]);
    let replica = Node::replica(&primary);
    let deploy = ["deploy", "support/agent@7", "--to", "production", "-m", "Say who we are"];
    let _said = run(&primary, &deploy).ok();
    replica.follow(&primary);

    for body in ten_calls() {
        assert_eq!(export(&replica, "/v1/traces", PROTOBUF, &of_this_registry(&primary, body)).status, 200);
    }
    let score =
        json!({"scores": [{"response": "chatcmpl-3", "name": "helpful", "value": 0.1, "explanation": "Rude."}]});
    assert_eq!(replica.change("POST", "/v1/scores", &score).status, 200);
    let scored = |stats: &serde_json::Value| stats["total"]["calls"] == 10 && stats["total"]["scores"][0]["n"] == 1;
    let stats = primary.until("ten calls and a score are counted", || {
        Some(primary.get("/v1/prompts/support/agent/stats").ok()).filter(scored)
    });
    assert_eq!((&stats["total"]["errors"], &stats["groups"][0]["key"]), (&json!(1), &json!("7")), "{stats}");

    let said = run(&primary, &["trace", "chatcmpl-3"]).ok();
    for part in
        ["support/agent@7", "You are the support agent of Globe.", "Say who we are", "6 → 7", "helpful 0.1", "Rude."]
    {
        assert!(said.stdout.contains(part), "{part}: {said:#?}");
    }
    let _said = run(&primary, &["stats", "support/agent", "--by", "version"]).ok().says("v7").says("1 (10%)");
    let page = primary.get("/ui/responses/chatcmpl-3").text();
    assert!(page.contains("Say who we are") && page.contains("Rude."), "{page}");
    let page = primary.get("/ui/prompts/support/agent").text();
    assert!(
        page.contains("<svg") && page.contains("helpful"),
        "the prompt's page has charts of its calls and scores: {page}"
    );

    let set = [
        "alert",
        "set",
        "errors",
        "--prompt",
        "support/**",
        "--error-rate-over",
        "5%",
        "--per",
        "1h",
        "--min-calls",
        "10",
    ];
    let _said = run(&primary, &set).ok().says("errors is set: firing").says("10%");
    let event = receiver.next().await.json();
    assert_eq!(
        (&event["type"], &event["data"]["alert"]["reading"]["value"]),
        (&json!("alert.firing"), &json!(0.1)),
        "{event}"
    );
    let _said = run(&primary, &["status"]).ok().says("errors is firing");
}

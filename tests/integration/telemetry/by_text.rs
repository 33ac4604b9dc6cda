//! Responses whose application names no prompt: attributed by the system text that was sent.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde_json::{Value, json};

use super::{JSON, PROTOBUF, call, export, fixture, primary_for_recordings, recorded, traces, traces_as_protobuf};
use crate::support::node::{Launch, Node};

const AGENT: &str = "You are the support agent of Globe. Be kind.";

/// A call that records its system text and names no prompt.
pub(super) fn call_with(trace: u64, span: u64, system: &str) -> Value {
    let mut call = call(trace, span, 0, "");
    let instructions = json!([{"type": "text", "content": system}]).to_string();
    let said = json!({"key": "gen_ai.system_instructions", "value": {"stringValue": instructions}});
    call["attributes"].as_array_mut().expect("a list").push(said);
    call
}

/// Spans as an application sends them that knows of no registry.
pub(super) fn without_prompt(traces: &[u8]) -> Vec<u8> {
    let mut request = ExportTraceServiceRequest::decode(traces).expect("traces");
    let scopes = request.resource_spans.iter_mut().flat_map(|resource| &mut resource.scope_spans);
    for span in scopes.flat_map(|scope| &mut scope.spans) {
        span.attributes.retain(|attribute| !attribute.key.contains("prompt") && !attribute.key.contains("stamp"));
    }
    request.encode_to_vec()
}

/// Which version a recorded response belongs to, and how that was found.
pub(super) fn found(primary: &Node, id: &str) -> (String, String) {
    let response = recorded(primary, id)["responses"][0].clone();
    let version = &response["version"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    if version.is_null() {
        return (text(&response["unattributed"]), String::new());
    }
    (format!("{}@{}", text(&version["prompt"]), version["version"]), text(&version["found_by"]))
}

fn by_text(reference: &str) -> (String, String) {
    (reference.to_owned(), "text".to_owned())
}

#[test]
fn call_that_names_no_prompt_belongs_to_the_version_with_its_system_text() {
    let node = Node::primary();
    let chat = json!({"messages": [{"role": "system", "content": AGENT}, {"role": "user", "content": "{{question}}"}]});
    let _id = node.publish_content("support/agent", &chat, &["production"]);
    let _id = node.publish_content("support/agent", &json!({"text": "You are someone else."}), &["staging"]);
    let _id = node.publish_content("copies/agent", &json!({"text": AGENT, "syntax": "plain"}), &[]);
    let greeting = json!({"text": "Greet {{name}} in the name of {{shop}}, and nobody else."});
    let _id = node.publish_content("support/greeting", &greeting, &["production"]);
    let spans = traces(&[
        call_with(1, 1, AGENT),
        call_with(1, 2, "You are someone else."),
        call_with(1, 3, "Greet Ann in the name of Globe, and nobody else.\n"),
        call_with(1, 4, "Nobody knows this text."),
        call(1, 5, 0, ""),
    ]);
    assert_eq!(export(&node, "/v1/traces", JSON, &spans).status, 200);
    assert_eq!(found(&node, "r-1-1"), by_text("support/agent@1"), "the one that production serves");
    assert_eq!(found(&node, "r-1-2"), by_text("support/agent@2"));
    assert_eq!(found(&node, "r-1-3"), by_text("support/greeting@1"), "filled in");
    for unknown in ["r-1-4", "r-1-5"] {
        assert_eq!(found(&node, unknown), ("no_prompt".to_owned(), String::new()), "{unknown}");
    }
    let stats = node.get("/v1/prompts/support/agent/stats").ok();
    assert_eq!(stats["total"]["calls"], 2, "{stats}");

    // What is published later is known at once, also to our own reports.
    let _id = node.publish_content("support/late", &json!({"text": "Nobody knows this text."}), &[]);
    let input = |messages: &Value| json!({"responses": [{"id": "late", "input": messages}]});
    let messages = json!([{"role": "system", "content": "Nobody knows this text."}, {"role": "user", "content": "Hi"}]);
    let _answer = node.change("POST", "/v1/responses", &input(&messages)).ok();
    assert_eq!(found(&node, "late"), by_text("support/late@1"));
}

#[test]
fn claim_of_a_prompt_counts_more_than_the_text() {
    let node = Node::primary();
    node.publish("support/agent", AGENT);
    let mut call = call_with(2, 1, AGENT);
    let name = json!({"key": "gen_ai.prompt.name", "value": {"stringValue": "no/such"}});
    call["attributes"].as_array_mut().expect("a list").push(name);
    assert_eq!(export(&node, "/v1/traces", JSON, &traces(&[call])).status, 200);
    assert_eq!(found(&node, "r-2-1"), ("unknown_prompt".to_owned(), String::new()));
}

#[test]
fn real_instrumentation_that_records_content_is_attributed_at_a_replica_by_text_alone() {
    let primary = primary_for_recordings().start();
    primary.publish("support/agent", AGENT);
    let replica = Node::replica(&primary);
    for number in 1..=3 {
        let body = without_prompt(&fixture(&format!("recorded/otel-content-{number}.traces.pb")));
        assert_eq!(export(&replica, "/v1/traces", PROTOBUF, &body).status, 200);
    }
    let stats = primary.until("all ten calls are counted", || {
        let stats = primary.get("/v1/prompts/support/agent/stats?since=2026-11-01").ok();
        (stats["total"]["calls"] == 10).then_some(stats)
    });
    assert_eq!(stats["total"]["errors"], 1, "{stats}");
    let spans = traces(&[call_with(3, 1, AGENT)]);
    assert_eq!(export(&replica, "/v1/traces", PROTOBUF, &traces_as_protobuf(&spans)).status, 200);
    assert_eq!(found(&primary, "r-3-1"), by_text("support/agent@1"));
}

#[test]
fn replica_that_has_no_registry_yet_leaves_the_text_to_its_primary() {
    let mut primary = Node::primary();
    primary.publish("support/agent", AGENT);
    let address = primary.address();
    let replica = Launch::replica_of(&primary).start();
    primary.stop();
    let spans = traces(&[call_with(4, 1, AGENT)]);
    assert_eq!(export(&replica, "/v1/traces", JSON, &spans).status, 200);
    primary.restart_at(address);
    assert_eq!(found(&primary, "r-4-1"), by_text("support/agent@1"));
}

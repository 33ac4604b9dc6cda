//! Requests that come again: the same reports once, other reports never under the same key.

use serde_json::{Value, json};

use super::JSON;
use crate::support::answer::Answer;
use crate::support::node::Node;

fn report(node: &Node, token: &str, path: &str, key: &str, body: &Value) -> Answer {
    let headers = [("authorization", token), ("content-type", JSON), ("idempotency-key", key)];
    node.send("POST", path, &headers, body.to_string().as_bytes())
}

fn calls(node: &Node) -> Value {
    node.get("/v1/stats?since=1h").ok()["total"]["calls"].clone()
}

#[test]
fn key_that_comes_with_other_reports_is_refused_and_nothing_is_lost() {
    let mut node = Node::primary();
    node.publish("support/agent", "text");
    let one = json!({"prompt": "support/agent", "model": "gpt-5", "input_tokens": 10});
    let other = json!({"prompt": "support/agent", "model": "gpt-5", "input_tokens": 20});
    let responses = |items: &[&Value]| json!({"responses": items});
    let send =
        |node: &Node, token: &str, items: &[&Value]| report(node, token, "/v1/responses", "batch-1", &responses(items));
    assert_eq!(send(&node, "", &[&one]).ok(), json!({"recorded": 1, "duplicates": 0}));
    assert_eq!(send(&node, "", &[&one]).ok(), json!({"recorded": 0, "duplicates": 1}));
    let said = send(&node, "", &[&other, &one]).problem(422, "idempotency_key_reused");
    assert!(said.contains("use a new key for each request"), "{said}");
    assert_eq!(calls(&node), json!(1));
    // Scores have keys of their own, and so does each caller.
    let scores = json!({"scores": [{"stamp": "support/agent@1", "name": "quality", "value": 1}]});
    assert_eq!(report(&node, "", "/v1/scores", "batch-1", &scores).ok()["recorded"], 1);
    let scores = json!({"scores": [{"stamp": "support/agent@1", "name": "quality", "value": 0.5}]});
    let _said = report(&node, "", "/v1/scores", "batch-1", &scores).problem(422, "idempotency_key_reused");
    let token = json!({"name": "app", "role": "admin"});
    let token = node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("shown once").to_owned();
    let bearer = format!("Bearer {token}");
    assert_eq!(send(&node, &bearer, &[&other]).ok(), json!({"recorded": 1, "duplicates": 0}));
    // What a node no longer knows after a restart is recorded instead of lost.
    node.stop();
    node.restart();
    assert_eq!(send(&node, "", &[&one]).ok(), json!({"recorded": 0, "duplicates": 1}));
    node.stop();
    node.restart();
    assert_eq!(send(&node, "", &[&other, &one]).ok(), json!({"recorded": 2, "duplicates": 0}));
    assert_eq!(calls(&node), json!(4));
}

#[test]
fn same_key_on_two_machines_is_two_requests() {
    let primary = Node::primary();
    primary.publish("support/agent", "text");
    let body = json!({"responses": [{"prompt": "support/agent", "version": "1"}]});
    for _ in 0..2 {
        let replica = Node::replica(&primary);
        for _ in 0..2 {
            let _sent = report(&replica, "", "/v1/responses", "batch-1", &body).ok();
        }
        primary.until("the replica has sent its reports", || {
            let status = replica.status();
            (status["telemetry"]["spool"]["batches"] == 0).then_some(())
        });
    }
    primary.until("both are counted", || (calls(&primary) == json!(2)).then_some(()));
}

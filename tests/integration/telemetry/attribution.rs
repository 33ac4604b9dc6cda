//! Which version a report belongs to that names a label instead of one.

use serde_json::{Value, json};

use super::by_text::found;
use super::{JSON, call, export, traces};
use crate::support::node::Node;

const PROMPT: &str = "support/agent";

fn by_label(reference: &str) -> (String, String) {
    (reference.to_owned(), "label".to_owned())
}

fn unknown(reason: &str) -> (String, String) {
    (reason.to_owned(), String::new())
}

fn deploy(node: &Node, label: &str, serving: &Value) {
    let moves = json!([{"name": PROMPT, "label": label, "serving": serving}]);
    let _moved = node.change("POST", "/v1/deployments", &json!({"moves": moves, "message": "try"})).ok();
}

/// A prompt with a version for staging, another for production, and both for canary.
fn told() -> Node {
    let node = Node::primary();
    let _id = node.publish_content(PROMPT, &json!({"text": "one"}), &["staging"]);
    let _id = node.publish_content(PROMPT, &json!({"text": "two"}), &["production"]);
    deploy(&node, "canary", &json!({"split": {"weights": {"1": 1, "2": 1}}}));
    node
}

#[test]
fn label_beside_a_name_says_which_version_it_was() {
    let primary = told();
    let replica = Node::replica(&primary);
    let of_subject = primary.get(&format!("/v1/resolve/{PROMPT}@canary?subject=user-17")).ok()["version"].clone();
    let cases = [
        (Some("staging"), None, by_label("support/agent@1")),
        (Some("production"), None, by_label("support/agent@2")),
        (None, None, by_label("support/agent@2")),
        (Some("nolabel"), None, unknown("unknown_version")),
        (Some("No label"), None, unknown("unknown_version")),
        (Some("canary"), None, unknown("ambiguous_split")),
        (Some("canary"), Some("user-17"), by_label(&format!("support/agent@{of_subject}"))),
    ];
    let nodes = [&primary, &replica];
    for (trace, node) in (20_u64..).zip(nodes) {
        for (span, (label, subject, _)) in (1..).zip(&cases) {
            let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
            let mut call = call(trace, span, 0, PROMPT);
            let attributes = call["attributes"].as_array_mut().expect("a list");
            attributes.extend(label.map(|label| text("bookholder.label", label)));
            attributes.extend(subject.map(|subject| text("bookholder.subject", subject)));
            let _sent = export(node, "/v1/traces", JSON, &traces(&[call])).ok();
            let mut plain = json!({"id": format!("p-{trace}-{span}"), "prompt": PROMPT});
            plain["label"] = label.map_or(Value::Null, Value::from);
            plain["subject"] = subject.map_or(Value::Null, Value::from);
            let headers = [("authorization", ""), ("content-type", JSON)];
            let body = json!({"responses": [plain]}).to_string();
            let _sent = node.send("POST", "/v1/responses", &headers, body.as_bytes()).ok();
        }
    }
    for trace in (20_u64..).take(nodes.len()) {
        for (span, (label, subject, expected)) in (1..).zip(&cases) {
            for way in ["r", "p"] {
                let id = format!("{way}-{trace}-{span}");
                assert_eq!(found(&primary, &id), *expected, "{id}: {label:?} {subject:?}");
            }
        }
    }
}

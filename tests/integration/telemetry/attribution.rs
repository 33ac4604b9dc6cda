//! Which version a report belongs to that names a label instead of one.

use bookholder::clock::{Clock as _, SystemClock};
use bookholder::model::time::Timestamp;
use serde_json::{Value, json};

use super::by_text::found;
use super::{JSON, call, export, recorded, traces};
use crate::support::command::bookholder;
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

#[test]
fn late_report_belongs_to_what_the_label_served_when_the_call_began() {
    let primary = Node::primary();
    let _id = primary.publish_content(PROMPT, &json!({"text": "one"}), &["production"]);
    let _id = primary.publish_content(PROMPT, &json!({"text": "two"}), &["production"]);
    let replica = Node::replica(&primary);
    let history = primary.get("/v1/deployments").ok();
    let deployed = |index: usize| -> Timestamp {
        let at = history["items"][index]["at"].as_str().expect("a time");
        at.parse().expect("a time")
    };
    let (second, first) = (deployed(0), deployed(1));
    // A report of the last second is about what is served now.
    let settled = || (SystemClock::new().now_ms() > second.ms() + 2_000).then_some(());
    primary.until("two seconds have passed", settled);
    let report = |id: &str, ended: Timestamp, latency_ms: i64| json!({"id": id, "prompt": PROMPT, "ended": ended.to_string(), "latency_ms": latency_ms});
    let before = Timestamp::from_ms(second.ms() - 1);
    let after = Timestamp::from_ms(second.ms() + 500);
    assert!(first <= before, "{first} {second}");
    for (node, way) in [(&primary, "p"), (&replica, "r")] {
        let reports = json!({"responses": [
            report(&format!("{way}-before"), before, 0),
            report(&format!("{way}-during"), after, 501),
            report(&format!("{way}-after"), after, 100),
            report(&format!("{way}-older"), Timestamp::from_ms(first.ms() - 60_000), 0),
        ]});
        let headers = [("authorization", ""), ("content-type", JSON)];
        let _sent = node.send("POST", "/v1/responses", &headers, reports.to_string().as_bytes()).ok();
        for (when, reference, deployments) in [
            ("before", "support/agent@1", 1),
            ("during", "support/agent@1", 1),
            ("after", "support/agent@2", 1),
            ("older", "support/agent@2", 0),
        ] {
            let id = format!("{way}-{when}");
            assert_eq!(found(&primary, &id), by_label(reference), "{id}");
            let response = recorded(&primary, &id)["responses"][0].clone();
            assert_eq!(response["deployments"].as_array().map(Vec::len), Some(deployments), "{id}: {response}");
        }
    }
    let said = bookholder(["trace", "p-before"]).server(&primary).ok();
    assert!(said.stdout.contains("— → 1") && said.stdout.contains("served when the call began"), "{said:#?}");
}

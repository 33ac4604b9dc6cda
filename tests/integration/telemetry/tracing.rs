//! From a response back to the version, the deployment and the scores, on the command line.

use bookholder::clock::{Clock as _, SystemClock};
use bookholder::model::time::Timestamp;
use serde_json::{Value, json};

use super::{JSON, call, export, recorded, traces};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::Node;

fn line(node: &Node, line: &str) -> Bookholder {
    bookholder(line.split(' ')).server(node)
}

/// A primary with two versions of a prompt, and responses of both in one trace and session.
fn told() -> Node {
    let node = Node::primary();
    let content = |text: &str| json!({"syntax": "plain", "text": text, "model": {"name": "gpt-4o"}});
    let first: String = (1..=10).map(|number| format!("Line {number}.\n")).collect();
    let _id = node.publish_content("support/agent", &content(&first), &["production"]);
    let _id = node.publish_content("support/agent", &content(&format!("{first}Be brief.\n")), &["production"]);
    let stamp = node.get("/v1/resolve/support/agent").ok()["stamp"].clone();
    let response = |id: &str, stamp: &Value, span: u64| {
        json!({"id": id, "stamp": stamp, "model": "gpt-5", "input_tokens": 1000, "cache_read_tokens": 200,
            "output_tokens": 500, "latency_ms": 1240.5, "first_token_ms": 310, "session": "chat-1", "user": "ada",
            "trace_id": "0123456789abcdef0123456789abcdef", "span_id": format!("{span:016x}")})
    };
    let mut failed = response("r-3", &json!("no/such@1"), 3);
    failed["error"] = json!("rate_limited");
    let responses =
        json!({"responses": [response("r-1", &stamp, 1), response("r-2", &json!("support/agent@1"), 2), failed]});
    let _answer = node.change("POST", "/v1/responses", &responses).ok();
    let scores = json!({"scores": [
        {"response": "r-1", "name": "helpfulness", "value": 0.25, "evaluator": "gpt-5-judge", "explanation": "Too long."},
        {"session": "chat-1", "name": "resolved", "value": false},
    ]});
    let _answer = node.change("POST", "/v1/scores", &scores).ok();
    node
}

#[test]
fn response_is_traced_to_its_version_deployment_cost_and_scores() {
    let node = told();
    let said = line(&node, "trace r-1").ok();
    for part in [
        "support/agent@2",
        "found by its stamp",
        "gpt-5  ≠ gpt-4o of the version",
        "1000 in (200 cached) · 500 out",
        "price table",
        "1.24 s · first token 310 ms",
        "chat-1",
        "to production: 1 → 2",
        "by admin",
        "because",
        "helpfulness 0.25  by gpt-5-judge  Too long.",
        "resolved of the session failed",
        "since version 1: 1 line added, 0 removed",
        "Line 6.",
        "… 5 more; print all with --text",
        "in the same trace",
        "support/agent@1",
        "rate_limited",
    ] {
        assert!(said.stdout.contains(part), "{part}: {said:#?}");
    }
    assert!(!said.stdout.contains("Line 7."), "{said:#?}");
    let said = line(&node, "trace r-1 --text --diff").ok();
    assert!(said.stdout.contains("Line 10.") && said.stdout.contains("+Be brief."), "{said:#?}");

    let json = line(&node, "trace r-1 --json").ok().json();
    assert_eq!(json["responses"][0]["version"]["version"], 2, "{json}");
    assert_eq!(json["version"]["number"], 2, "{json}");
    assert_eq!(json["changes"]["from"], 1, "{json}");
    assert_eq!(json["others"].as_array().map(Vec::len), Some(2), "{json}");
    let _said = line(&node, "trace r-3").ok().says("there is no prompt of the reported name").says("rate_limited");
    let _said = line(&node, "trace r-none").fails(1).says("r-none");
}

#[test]
fn prompts_that_are_called_after_another_in_traces_are_suggested_as_what_it_feeds() {
    let node = Node::primary();
    for name in ["support/router", "support/agent"] {
        node.publish(name, "text");
    }
    let ended = |seconds: i64| Timestamp::from_ms(SystemClock::new().now_ms() - 60_000 + seconds * 1_000).to_string();
    let response = |prompt: &str, trace: u64, span: u64, seconds: i64| {
        json!({"prompt": prompt, "version": "1", "model": "gpt-5", "latency_ms": 500, "ended": ended(seconds),
            "trace_id": format!("{trace:032x}"), "span_id": format!("{span:016x}")})
    };
    let trace = |trace: u64| [response("support/router", trace, 1, 0), response("support/agent", trace, 2, 10)];
    let responses: Vec<Value> = (1..=3).flat_map(trace).collect();
    let _answer = node.change("POST", "/v1/responses", &json!({"responses": responses})).ok();
    let suggested = |name: &str| node.get(&format!("/v1/prompts/{name}/stats")).ok()["followed_by"].clone();
    assert_eq!(suggested("support%2Frouter"), json!([{"name": "support/agent", "traces": 3}]));
    assert_eq!(suggested("support%2Fagent"), Value::Null);
    let _said =
        line(&node, "stats support/router").ok().says("in 3 of the newest traces, support/agent is called after it");
    let _said = line(&node, "describe support/router --feeds support/agent").ok();
    assert_eq!(suggested("support%2Frouter"), Value::Null, "it is known now");
}

#[test]
fn span_with_the_tags_of_the_answer_is_attributed_to_version_label_and_arm() {
    let node = Node::primary();
    node.publish("support/agent", "one");
    node.publish("support/agent", "two");
    let split =
        json!({"name": "support/agent", "label": "production", "serving": {"split": {"weights": {"1": 1, "2": 1}}}});
    let _split = node.change("POST", "/v1/deployments", &json!({"moves": [split], "message": "try"})).ok();
    let answer = node.get("/v1/resolve/support/agent?subject=user-17").ok();
    let tags = &answer["telemetry"];
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let attributes = tags["attributes"].as_object().expect("attributes").iter();
    let attributes: Vec<Value> = attributes.map(|(key, value)| text(key, value.as_str().expect("a text"))).collect();
    let members = tags["baggage"].as_str().expect("baggage").split(',').map(|member| {
        let (key, value) = member.split_once('=').expect("a key and a value");
        text(key, &percent_encoding::percent_decode_str(value).decode_utf8().expect("UTF-8"))
    });
    let carried = attributes.iter().map(|one| {
        text(
            &format!("traceloop.association.properties.{}", one["key"].as_str().unwrap()),
            one["value"]["stringValue"].as_str().unwrap(),
        )
    });
    for (span, tags) in [(1, attributes.clone()), (2, members.collect()), (3, carried.collect())] {
        let mut call = call(8, span, 0, "");
        call["attributes"].as_array_mut().expect("attributes").extend(tags);
        let _sent = export(&node, "/v1/traces", JSON, &traces(&[call])).ok();
    }
    let reported = json!({"responses": [{"id": "r-8-4", "stamp": answer["stamp"], "label": answer["label"], "assignment": answer["assignment"]}]});
    let _sent = node.change("POST", "/v1/responses", &reported).ok();
    for span in 1..=4 {
        let version = recorded(&node, &format!("r-8-{span}"))["responses"][0]["version"].clone();
        assert_eq!((&version["prompt"], &version["version"]), (&answer["name"], &answer["version"]), "{version}");
        assert_eq!((&version["stamp"], &version["label"]), (&answer["stamp"], &answer["label"]), "{version}");
        assert_eq!((&version["bucket"], &version["found_by"]), (&answer["assignment"]["bucket"], &json!("stamp")));
        assert!(version["bucket"].is_u64(), "{version}");
    }
}

#[test]
fn trace_and_session_list_their_responses_in_order() {
    let node = told();
    for question in ["trace 0123456789abcdef0123456789abcdef", "trace --session chat-1"] {
        let said = line(&node, question).ok();
        let places: Vec<Option<usize>> = ["r-1", "r-2", "r-3"].iter().map(|id| said.stdout.find(id)).collect();
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{question}: {said:#?}");
        let json = line(&node, &format!("{question} --json")).ok().json();
        assert_eq!(json["responses"].as_array().map(Vec::len), Some(3), "{question}: {json}");
    }
    let _said = line(&node, "trace --session none").fails(1).says("none");
}

#[test]
fn prompt_is_traced_to_what_it_served_at_a_time() {
    let node = told();
    let history = line(&node, "history support/agent --label production --json").ok().json();
    let first = history["items"][1]["at"].as_str().expect("a time");
    let said = line(&node, &format!("trace --prompt support/agent --at {first}")).ok();
    assert!(said.stdout.contains("support/agent@1") && said.stdout.contains("— → 1"), "{said:#?}");
    let said = line(&node, "trace --prompt support/agent@production").ok();
    assert!(said.stdout.contains("support/agent@2") && said.stdout.contains("1 → 2"), "{said:#?}");
    let _said = line(&node, "trace --prompt support/agent --at 2001-01-01").fails(1).says("served nothing");
    let _said = line(&node, "trace --prompt support/agent@2").fails(2).says("name a label");
    let _said = line(&node, "trace").fails(2);
    let _said = line(&node, "trace r-1 --session chat-1").fails(2);
}

#[test]
fn replica_sends_whoever_traces_to_the_primary() {
    let primary = told();
    let replica = Node::replica(&primary);
    let _said = line(&replica, "trace r-1").fails(1).says("only possible on the primary");
}

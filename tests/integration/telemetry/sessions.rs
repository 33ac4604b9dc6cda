//! Conversations that are longer than what one answer lists.

use bookholder::clock::{Clock as _, SystemClock};
use bookholder::model::time::Timestamp;
use serde_json::{Value, json};

use crate::support::command::bookholder;
use crate::support::node::Node;

/// Responses of the conversation: more than are listed.
const RESPONSES: i64 = 1_200;

#[test]
fn session_and_trace_that_are_too_long_show_the_newest_responses_and_say_so() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    let from_ms = SystemClock::new().now_ms() - RESPONSES * 1_000;
    let response = |number: i64| {
        json!({"id": format!("r-{number}"), "prompt": "support/agent", "version": "1", "session": "long",
            "trace_id": format!("{:032x}", 9), "span_id": format!("{:016x}", number + 1),
            "ended": Timestamp::from_ms(from_ms + number * 1_000).to_string()})
    };
    let all: Vec<Value> = (0..RESPONSES).map(response).collect();
    for part in all.chunks(600) {
        let _answer = node.change("POST", "/v1/responses", &json!({"responses": part})).ok();
    }
    let trace = format!("{:032x}", 9);
    for path in ["/v1/sessions/long".to_owned(), format!("/v1/responses/{trace}")] {
        let found = node.get(&path).ok();
        let listed = found["responses"].as_array().expect("a list");
        assert_eq!((listed.len(), &found["truncated"]), (1_000, &json!(true)), "{path}");
        assert_eq!((&listed[0]["id"], &listed[999]["id"]), (&json!("r-200"), &json!("r-1199")), "{path}");
    }
    let one = node.get("/v1/responses/r-1199").ok();
    assert_eq!((one["others"].as_array().map(Vec::len), &one["truncated"]), (Some(999), &json!(true)));
    let said = bookholder(["trace", "--session", "long"]).server(&node).ok();
    assert!(said.stdout.ends_with("older responses are not listed: these are the newest 1,000\n"), "{said:#?}");
    for path in ["/ui/sessions/long", "/ui/responses/r-1199"] {
        let page = node.get(path).text();
        assert!(page.contains("Older responses are not listed: these are the newest 1,000."), "{path}");
    }
    let short = json!({"responses": [{"id": "only", "session": "short"}]});
    let _answer = node.change("POST", "/v1/responses", &short).ok();
    assert_eq!(node.get("/v1/sessions/short").ok()["truncated"], json!(false));
}

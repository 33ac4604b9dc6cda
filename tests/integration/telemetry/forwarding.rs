//! From a replica to its primary: what was acknowledged arrives once, whatever ends in between.

use serde_json::json;

use super::{JSON, PROTOBUF, call, export, fixture, primary_for_recordings, recorded, traces, traces_as_protobuf};
use crate::support::node::{Launch, Node};

#[test]
fn reports_at_a_replica_arrive_at_the_primary_attributed_priced_and_once() {
    let primary = primary_for_recordings().start();
    primary.publish("support/agent", "You are a support agent of Globe.");
    let replica = Node::replica(&primary);
    let spans = traces(&[call(1, 1, 0, "support/agent"), call(1, 2, 0, "support/agent"), call(1, 3, 0, "no/such")]);
    for _ in 0..2 {
        assert_eq!(export(&replica, "/v1/traces", JSON, &spans).status, 200);
        assert_eq!(export(&replica, "/otlp/v1/traces", PROTOBUF, &traces_as_protobuf(&spans)).status, 200);
    }
    for name in ["otel-new.traces.json", "openinference.traces.json", "langfuse.traces.json", "ai-sdk-7.traces.json"] {
        assert_eq!(export(&replica, "/v1/traces", JSON, &fixture(name)).status, 200, "{name}");
    }
    let _all = recorded(&primary, "r-1-3");
    let trace = primary.get(&format!("/v1/responses/{:032x}", 1)).ok();
    let responses = trace["responses"].as_array().expect("a list");
    assert_eq!(responses.len(), 3, "sent four times, recorded once: {trace}");
    for response in &responses[..2] {
        let version = &response["version"];
        assert_eq!((&version["prompt"], &version["version"]), (&json!("support/agent"), &json!(1)), "{response}");
        assert_eq!((&version["label"], &version["found_by"]), (&json!("production"), &json!("label")), "{response}");
        assert_eq!((&response["input_tokens"], &response["output_tokens"]), (&json!(1000), &json!(500)));
        // 1,000 tokens at 1.25 dollars and 500 at 10 dollars a million.
        assert_eq!((&response["cost_usd"], &response["cost_source"]), (&json!("0.00625"), &json!("price_table")));
    }
    assert_eq!(responses[2]["unattributed"], "unknown_prompt", "{trace}");
    let refused = replica.get("/v1/responses/r-1-1");
    assert_eq!((refused.status, refused.json()["code"].clone()), (403, json!("primary_only")));
    assert!(refused.text().contains(&primary.url()), "it names the primary: {}", refused.text());
}

#[test]
fn acknowledged_reports_survive_a_killed_replica_and_a_primary_that_was_gone() {
    let mut primary = Node::primary();
    primary.publish("support/agent", "text");
    let address = primary.address();
    let mut replica = Launch::replica_of(&primary).start();
    replica.follow(&primary);
    primary.stop();
    let mut number = 0;
    for _ in 0..3 {
        for _ in 0..20 {
            number += 1;
            assert_eq!(
                export(&replica, "/v1/traces", JSON, &traces(&[call(9, number, 0, "support/agent")])).status,
                200
            );
        }
        // In the middle of nothing: what was answered is on disk.
        replica.restart();
    }
    primary.restart_at(address);
    let trace = primary.until("all of it arrives", || {
        let answer = primary.get(&format!("/v1/responses/{:032x}", 9));
        let there = answer.status == 200 && answer.json()["responses"].as_array().map(Vec::len) == Some(60);
        there.then(|| answer.json())
    });
    let attributed = trace["responses"].as_array().expect("a list").iter();
    assert!(attributed.clone().all(|one| one["version"]["version"] == 1), "{trace}");
    // A replica that starts again sends nothing twice.
    replica.restart();
    assert_eq!(export(&replica, "/v1/traces", JSON, &traces(&[call(9, 61, 0, "support/agent")])).status, 200);
    let _last = recorded(&primary, "r-9-61");
    let trace = primary.get(&format!("/v1/responses/{:032x}", 9)).ok();
    assert_eq!(trace["responses"].as_array().map(Vec::len), Some(61));
}

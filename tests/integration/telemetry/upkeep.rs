//! Up to when numbers are complete, and what is erased.

use std::ffi::OsString;

use bookholder::clock::{Clock, SystemClock};
use bookholder::model::time::Timestamp;
use redb::TableDefinition;
use serde_json::{Value, json};

use super::recorded;
use crate::support::command::bookholder;
use crate::support::node::{Launch, Node};

fn respond(node: &Node, id: &str, user: &str) {
    let response = json!({"id": id, "prompt": "support/agent", "model": "gpt-5", "user": user,
        "session": format!("chat of {user}"), "input": [{"role": "user", "content": format!("I am {user}")}],
        "output": format!("Hello {user}"), "input_tokens": 10, "output_tokens": 5});
    assert_eq!(node.change("POST", "/v1/responses", &json!({"responses": [response]})).status, 200);
}

#[test]
fn statistics_say_which_replica_is_behind_until_it_has_sent_everything() {
    let primary = Node::primary();
    primary.publish("support/agent", "text");
    respond(&primary, "r-1", "ada");
    let replica = Launch::replica_of(&primary).env("BOOKHOLDER_REPLICA_NAME", "edge-3").start();
    replica.follow(&primary);
    primary.until("the replica has reported", || {
        let status = primary.status();
        status["replicas"].as_array()?.iter().any(|one| !one["telemetry"].is_null()).then_some(())
    });
    assert_eq!(primary.status()["telemetry"]["completeness"]["behind"], json!([]), "it is in contact");
    let report = |replica: &str, until: &str| {
        let report = json!({"replica": replica, "position": "1.2", "freshness": "fresh", "version": "0.1.0",
            "telemetry": {"complete_until": until}});
        assert_eq!(primary.change("POST", "/replication/v1/report", &report).status, 204);
    };
    report("edge-4", "2026-01-01T10:42:00Z");
    for path in ["/v1/stats", "/v1/prompts/support%2Fagent/stats"] {
        let completeness = primary.get(path).ok()["completeness"].clone();
        assert_eq!(completeness["complete_until"], json!("2026-01-01T10:42:00Z"), "{completeness}");
        assert_eq!(completeness["behind"][0]["replica"], json!("edge-4"), "{completeness}");
    }
    let _said = bookholder(["stats", "support/agent"]).server(&primary).ok().says("complete up to 2026-01-01 10:42");
    let _said = bookholder(["costs"]).server(&primary).ok().says("missing: edge-4 since 2026-01-01 10:42");
    let _said = bookholder(["status"]).server(&primary).ok().says("edge-4 since 2026-01-01 10:42");
    report("edge-4", "2999-01-01T00:00:00Z");
    assert_eq!(primary.status()["telemetry"]["completeness"]["behind"], json!([]), "it has sent everything");
    // One that is gone for good is forgotten by hand.
    report("edge-5", "2026-01-01T10:42:00Z");
    let _said = bookholder(["telemetry", "forget", "edge-5"]).server(&primary).ok();
    assert_eq!(primary.status()["telemetry"]["completeness"]["behind"], json!([]));
    let _said = bookholder(["telemetry", "forget", "edge-5"]).server(&primary).fails(1).says("no replica `edge-5`");
}

/// A replica whose call the primary has, and one that it does not have yet.
fn with_a_new_call(primary: &Node, name: &str) -> Node {
    let replica = Launch::replica_of(primary).env("BOOKHOLDER_REPLICA_NAME", name).start();
    replica.follow(primary);
    respond(&replica, &format!("{name}-1"), "ada");
    let _sent = recorded(primary, &format!("{name}-1"));
    respond(&replica, &format!("{name}-2"), "ada");
    replica
}

#[test]
fn replica_that_stops_has_sent_everything_and_holds_nothing_back_but_a_killed_one_does() {
    let mut primary = Node::primary();
    primary.publish("support/agent", "text");
    let has = |primary: &Node, id: &str| primary.send("GET", &format!("/v1/responses/{id}"), &[], b"").status == 200;

    let mut stopped = with_a_new_call(&primary, "edge-1");
    stopped.stop();
    assert!(has(&primary, "edge-1-2"), "what waited was sent");
    let _said = bookholder(["telemetry", "forget", "edge-1"]).server(&primary).fails(1).says("no replica `edge-1`");

    let mut killed = with_a_new_call(&primary, "edge-2");
    killed.kill9();
    let _known = bookholder(["telemetry", "forget", "edge-2"]).server(&primary).ok();

    // One that cannot reach its primary when it stops keeps what waits, and is known until it is back.
    let mut offline = with_a_new_call(&primary, "edge-3");
    let address = primary.address();
    primary.stop();
    respond(&offline, "edge-3-3", "ada");
    offline.stop();
    primary.restart_at(address);
    assert!(!has(&primary, "edge-3-3"));
    let _known = bookholder(["telemetry", "forget", "edge-3"]).server(&primary).ok();
    offline.restart();
    let _sent = recorded(&primary, "edge-3-3");
}

#[test]
fn erased_user_is_gone_from_responses_and_from_what_arrives_later_and_counts_stay() {
    let primary = Launch::primary().args(["--record-content"]).start();
    primary.publish("support/agent", "text");
    respond(&primary, "r-1", "ada");
    respond(&primary, "r-2", "bob");
    let score = json!({"scores": [{"response": "r-1", "name": "tone", "value": 0.5, "explanation": "rude to ada"}]});
    assert_eq!(primary.change("POST", "/v1/scores", &score).status, 200);
    let before = primary.get("/v1/stats").ok();
    let shown = |id: &str| primary.send("GET", &format!("/v1/responses/{id}"), &[], b"").ok()["responses"][0].clone();
    assert_eq!(shown("r-1")["output"], json!("Hello ada"));
    let said = bookholder(["telemetry", "erase", "--user", "ada"]).server(&primary).ok();
    assert!(said.stdout.contains("1 response erased"), "{said:?}");
    let response = shown("r-1");
    for field in ["input", "output", "user", "session"] {
        assert_eq!(response[field], Value::Null, "{field} of {response}");
    }
    assert_eq!((&response["scores"][0]["value"], &response["scores"][0]["explanation"]), (&json!(0.5), &Value::Null));
    assert_eq!(shown("r-2")["output"], json!("Hello bob"));
    let total = |stats: &Value| stats["total"].clone();
    assert_eq!(total(&primary.get("/v1/stats").ok()), total(&before));
    // What ended before, and arrives now, as from a replica.
    let late = json!({"responses": [{"id": "r-3", "prompt": "support/agent", "user": "ada", "output": "Hello again",
        "ended": Timestamp::from_ms(SystemClock::new().now_ms() - 86_400_000)}]});
    assert_eq!(primary.change("POST", "/v1/responses", &late).status, 200);
    let response = recorded(&primary, "r-3")["responses"][0].clone();
    assert_eq!((&response["user"], &response["output"]), (&Value::Null, &Value::Null), "{response}");
    // The log knows that it happened, and not to whom.
    let audit = primary.send("GET", "/v1/audit?limit=1000", &[], b"").text();
    assert!(audit.contains("erase-telemetry") && !audit.contains("\"ada\""), "{audit}");
}

#[test]
fn erasing_needs_one_id_the_permission_and_a_primary() {
    let primary = Node::primary();
    primary.publish("support/agent", "text");
    let erase = |body: Value| primary.change("POST", "/v1/telemetry/erasures", &body);
    let _detail = erase(json!({})).problem(422, "invalid_request");
    let _detail = erase(json!({"user": "a", "session": "b"})).problem(422, "invalid_request");
    assert_eq!(erase(json!({"response": "none"})).ok()["responses"], json!(0));
    let made = primary.change("POST", "/v1/tokens", &json!({"name": "reports", "role": "reporter"})).json();
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let refused = primary.send("POST", "/v1/telemetry/erasures", &headers, br#"{"user":"ada"}"#);
    let _detail = refused.problem(403, "forbidden");
    let replica = Node::replica(&primary);
    let refused = replica.change("POST", "/v1/telemetry/erasures", &json!({"user": "ada"}));
    let _detail = refused.problem(403, "primary_only");
}

#[test]
fn credentials_and_personal_data_are_replaced_before_content_is_recorded_or_sent() {
    let primary = Launch::primary().args(["--record-content"]).start();
    primary.publish("support/agent", "text");
    let rules = "[[rule]]\nid = \"customer-number\"\nversion = 1\ndescription = \"A customer number\"\n\
        category = \"personal_data\"\nseverity = \"high\"\nregex = 'KD-[0-9]{6}'\nkeywords = [\"kd-\"]\n\
        test_pos = [\"KD-123456\"]\ntest_neg = [\"KD-\"]\n";
    let kept = primary.change("PUT", "/v1/rules/globe", &json!({"toml": rules}));
    assert!(kept.status < 300, "{}", kept.text());
    let replica = Launch::replica_of(&primary).args(["--record-content"]).start();
    replica.follow(&primary);
    let said = "I am grace.hopper@gmail.com, customer KD-123456";
    for (node, id) in [(&primary, "r-1"), (&replica, "r-2")] {
        let response = json!({"id": id, "prompt": "support/agent", "output": {"text": [said]}});
        assert_eq!(node.change("POST", "/v1/responses", &json!({"responses": [response]})).status, 200);
        let score =
            json!({"id": format!("s-{id}"), "response": id, "name": "tone", "value": true, "explanation": said});
        assert_eq!(node.change("POST", "/v1/scores", &json!({"scores": [score]})).status, 200);
    }
    let expected = "I am [redacted: personal.email], customer [redacted: customer-number]";
    for id in ["r-1", "r-2"] {
        let response = primary.until("it is recorded with its score", || {
            let answer = primary.send("GET", &format!("/v1/responses/{id}"), &[], b"");
            let response = (answer.status == 200).then(|| answer.json()["responses"][0].clone())?;
            (response["scores"].as_array().is_some_and(|scores| !scores.is_empty())).then_some(response)
        });
        assert_eq!(response["output"], json!({"text": [expected]}), "{id}");
        assert_eq!(response["scores"][0]["explanation"], json!(expected), "{id}");
    }
}

#[test]
fn events_beyond_the_bytes_that_they_may_take_go_within_seconds() {
    let launch = Launch::primary();
    let settings = launch.data.with_file_name("small.toml");
    std::fs::write(&settings, "telemetry_events_mib = 1\n").expect("written");
    let node = launch.args([OsString::from("--config"), settings.into()]).start();
    node.publish("support/agent", "text");
    for request in 0..15 {
        let response = |number: u32| {
            let id = format!("{request}-{number}");
            json!({"prompt": "support/agent", "session": format!("s-{id}"), "user": format!("u-{id}"), "id": id})
        };
        let responses: Vec<Value> = (0..1_000).map(response).collect();
        assert_eq!(node.change("POST", "/v1/responses", &json!({"responses": responses})).status, 200);
    }
    node.until("the oldest are gone", || {
        let is_within = node.status()["telemetry"]["bytes"].as_u64().expect("bytes") <= 1024 * 1024;
        (is_within && node.get("/v1/responses/0-0").status == 404).then_some(())
    });
    let _newest = recorded(&node, "14-999");
    assert_eq!(node.get("/v1/stats").ok()["total"]["calls"], 15_000, "counts stay");
}

#[test]
fn foreign_or_newer_telemetry_file_costs_the_telemetry_alone() {
    let mut node = Node::primary();
    node.publish("support/agent", "text");
    for number in 0..50 {
        respond(&node, &format!("r-{number}"), "ada");
    }
    node.stop();
    let file = node.data().join("telemetry.redb");
    let whole = std::fs::read(&file).expect("a file");
    let newer = {
        let schema: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
        let database = redb::Database::open(&file).expect("a database");
        let txn = database.begin_write().expect("a transaction");
        txn.open_table(schema).expect("a table").insert("schema", 99).expect("a write");
        txn.commit().expect("a commit");
        drop(database);
        std::fs::read(&file).expect("a file")
    };
    for (what, bytes) in [
        ("a newer schema", newer),
        ("no database", b"some text that is long enough to be looked at as a header".to_vec()),
    ] {
        std::fs::write(&file, &bytes).expect("written");
        node.restart();
        assert_eq!(node.text("support/agent"), "text", "{what}");
        node.publish("support/agent", "text");
        let call = json!({"responses": [{"id": format!("after {what}"), "prompt": "support/agent"}]});
        let answer = node.change("POST", "/v1/responses", &call);
        let message = answer.problem(503, "telemetry_off");
        assert!(message.contains("does not record"), "{what}: {message}");
        let _message = node.get("/v1/stats").problem(503, "telemetry_off");
        assert_eq!(node.text("support/agent"), "text", "{what}");
        node.stop();
    }
    std::fs::write(&file, &whole).expect("written");
    node.restart();
    assert_eq!(node.get("/v1/responses/r-49").ok()["responses"][0]["id"], json!("r-49"));
}

#[test]
fn damaged_page_of_the_telemetry_file_costs_what_is_on_it_and_the_log_says_what_to_do() {
    /// Bytes of a page of redb.
    const PAGE: usize = 4_096;
    /// Pages that are damaged, one after the other.
    const PAGES: usize = 24;
    let mut node = Node::primary();
    node.publish("support/agent", "text");
    for number in 0..40 {
        respond(&node, &format!("r-{number}"), "ada");
    }
    node.stop();
    let file = node.data().join("telemetry.redb");
    let whole = std::fs::read(&file).expect("a file");
    // A few pages, from the first to the last: where the structure of the file is, redb panics. The header is another case.
    let is_used = |page: &usize| whole[page * PAGE..][..PAGE].iter().any(|byte| *byte != 0);
    let used: Vec<usize> = (1..whole.len() / PAGE).filter(is_used).collect();
    let mut lost = 0;
    for page in used.iter().step_by(used.len().div_ceil(PAGES)) {
        let mut bytes = whole.clone();
        bytes[page * PAGE..][..PAGE].fill(0xa5);
        std::fs::write(&file, &bytes).expect("written");
        let logged = node.stderr().len();
        node.restart();
        let call = json!({"responses": [{"id": format!("after-{page}"), "prompt": "support/agent", "model": "gpt-5"}]});
        let answers = [
            node.change("POST", "/v1/responses", &call),
            node.get("/v1/responses/r-7"),
            node.get("/v1/stats"),
            node.get("/v1/prompts/support/agent/stats?by=model"),
        ];
        for answer in &answers {
            let code = answer.json()["code"].as_str().unwrap_or_default().to_owned();
            let is_lost = answer.status == 503 && ["telemetry_off", "data_damaged"].contains(&code.as_str());
            assert!([200, 404].contains(&answer.status) || is_lost, "page {page}: {}", answer.text());
        }
        if answers.iter().any(|answer| answer.status == 503) {
            let log = node.stderr().split_off(logged);
            assert!(log.contains("telemetry.redb") && log.contains("move it away"), "page {page}: {log}");
            lost += 1;
        }
        assert_eq!(node.text("support/agent"), "text", "page {page}");
        node.publish("support/agent", "text");
        node.stop();
    }
    // A page that is found to be damaged while the file is open is the case of a test of the store.
    assert!(lost > 0, "no damaged page cost anything");
    std::fs::write(&file, &whole).expect("written");
    node.restart();
    assert_eq!(node.get("/v1/responses/r-39").ok()["responses"][0]["id"], json!("r-39"));
}

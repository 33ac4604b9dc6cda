//! Bodies of OTLP at the door: both encodings, compressed or not, too large, damaged, and in the wrong place.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bookholder::clock::{Clock, SystemClock};
use serde_json::{Value, json};

use super::{
    JSON, PROTOBUF, call, export, fixture, gzip, logs_as_protobuf, primary_for_recordings, recorded, span_with, traces,
    traces_as_protobuf,
};
use crate::support::node::{ADMIN, Launch, Node};

/// More than a body may have after decompression.
const TOO_LARGE: usize = 65 * 1024 * 1024;

#[test]
fn traces_in_both_encodings_are_recorded_once_and_answered_in_the_same() {
    let node = primary_for_recordings().start();
    node.publish("support/agent", "You are a support agent of Globe.");
    let json = fixture("otel-new.traces.json");
    let answer = export(&node, "/v1/traces", JSON, &json);
    assert_eq!((answer.status, answer.header("content-type"), answer.text().as_str()), (200, Some(JSON), "{}"));
    let protobuf = traces_as_protobuf(&json);
    for path in ["/v1/traces", "/otlp/v1/traces", "/api/public/otel/v1/traces"] {
        let answer = export(&node, path, PROTOBUF, &protobuf);
        let said = (answer.status, answer.header("content-type"), answer.body.len());
        assert_eq!(said, (200, Some(PROTOBUF), 0), "{path}");
    }
    let compressed = [("authorization", ""), ("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(node.send("POST", "/v1/traces", &compressed, &gzip(&protobuf)).status, 200);

    let answer = recorded(&node, "resp_1");
    let response = &answer["responses"][0];
    assert_eq!(response["input_tokens"], 2000, "{response}");
    assert_eq!((&response["cost_usd"], &response["cost_source"]), (&json!("0.0123"), &json!("reported")));
    assert_eq!(answer["others"], json!([]), "sent five times, recorded once");
    let session = node.get("/v1/sessions/conv-1").ok();
    assert_eq!(session["responses"].as_array().map(Vec::len), Some(1), "{session}");
}

#[test]
fn failures_are_statuses_of_grpc_in_the_encoding_of_the_request() {
    let node = Node::primary();
    let spans = traces(&[call(1, 1, 0, "support/agent")]);
    let logs = fixture("scores.logs.json");
    for (path, headers, body, status, code) in [
        ("/v1/traces", vec![("content-type", JSON)], b"{".to_vec(), 400, 3),
        ("/v1/traces", vec![("content-type", PROTOBUF)], b"\xff\xff".to_vec(), 400, 3),
        ("/v1/traces", vec![("content-type", JSON), ("content-encoding", "gzip")], b"not gzip".to_vec(), 400, 3),
        ("/v1/traces", vec![("content-type", JSON)], logs.clone(), 400, 3),
        ("/v1/logs", vec![("content-type", JSON)], spans.clone(), 400, 3),
        ("/v1/traces", vec![("content-type", "text/plain")], spans.clone(), 415, 3),
        ("/v1/traces", vec![], spans.clone(), 415, 3),
        ("/otlp/v1/traces", vec![("content-type", JSON), ("content-encoding", "br")], spans.clone(), 415, 3),
        ("/v1/traces", vec![("content-type", JSON), ("authorization", "Bearer bh_unknown")], spans.clone(), 401, 16),
        ("/v1/traces", vec![("content-type", JSON), ("x-forwarded-for", "9.9.9.9")], spans.clone(), 401, 16),
    ] {
        let mut headers = headers;
        if headers.iter().all(|(name, _)| *name != "authorization") {
            headers.push(("authorization", ""));
        }
        let answer = node.send("POST", path, &headers, &body);
        let story = format!("{path} {headers:?}: {}{}", answer.head, answer.text());
        assert_eq!(answer.status, status, "{story}");
        if answer.header("content-type") == Some(JSON) {
            assert_eq!(answer.json()["code"], code, "{story}");
            assert!(answer.json()["message"].as_str().is_some_and(|message| !message.is_empty()), "{story}");
        } else {
            assert_eq!(answer.header("content-type"), Some(PROTOBUF), "{story}");
            assert_eq!(answer.body[..2], [0x08, code], "{story}");
        }
    }
    let answer = export(&node, "/v1/traces", JSON, &logs);
    assert!(answer.text().contains("/v1/logs"), "it says where log records go: {}", answer.text());
}

#[test]
fn basic_credentials_report_with_an_access_token_as_their_password() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    let token = node.change("POST", "/v1/tokens", &json!({"name": "narrow", "role": "reader"})).ok();
    let narrow = token["token"].as_str().expect("shown once").to_owned();
    let body = traces(&[call(1, 1, 0, "support/agent")]);
    for (user, password, status) in [
        ("any", ADMIN, 200),
        ("", ADMIN, 200),
        ("any", "bh_wrong-0123456789abcdef0123456789", 401),
        ("any", narrow.as_str(), 403),
    ] {
        let basic = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        let answer = node.send("POST", "/v1/traces", &[("authorization", &basic), ("content-type", JSON)], &body);
        assert_eq!(answer.status, status, "{user} {password}: {}", answer.text());
    }
}

#[test]
fn replica_takes_reports_of_its_machine_with_any_credentials_and_others_with_its_own_token() {
    const TOKEN: &str = "bh_read-0123456789abcdef0123456789abcdef";
    let primary = Node::primary();
    primary.publish("support/agent", "text");
    let of_role = primary.change("POST", "/v1/tokens", &json!({"name": "reports", "role": "reporter"})).ok();
    let of_role = of_role["token"].as_str().expect("a token").to_owned();
    let send = |node: &Node, path: &str, scheme: &str, proxied: bool| {
        let mut headers = vec![("authorization", scheme), ("content-type", JSON)];
        headers.extend(proxied.then_some(("x-forwarded-for", "9.9.9.9")));
        node.send("POST", path, &headers, &traces(&[call(1, 1, 0, "support/agent")])).status
    };
    let basic = |password: &str| format!("Basic {}", STANDARD.encode(format!("pk-lf-1:{password}")));
    let path = "/api/public/otel/v1/traces";
    let credentials = [basic("sk-lf-1"), basic(&of_role), format!("Bearer {of_role}"), basic(TOKEN), String::new()];
    let replica = Launch::replica_of(&primary).env("BOOKHOLDER_READ_TOKEN", TOKEN).start();
    replica.follow(&primary);
    for scheme in &credentials {
        assert_eq!(send(&replica, path, scheme, false), 200, "{scheme}");
        let expected = if *scheme == basic(TOKEN) { 200 } else { 401 };
        assert_eq!(send(&replica, path, scheme, true), expected, "from elsewhere: {scheme}");
    }
    let unknown = [("authorization", "Bearer bh_unknown")];
    assert_eq!(replica.send("GET", "/v1/resolve/support/agent", &unknown, b"").status, 401, "reports alone");
    assert_eq!(send(&primary, path, &basic("sk-lf-1"), false), 401, "a primary knows all tokens");
    let closed = Launch::replica_of(&primary).env("BOOKHOLDER_OPEN_READS", "false");
    let closed = closed.env("BOOKHOLDER_READ_TOKEN", TOKEN).start();
    for scheme in &credentials {
        let expected = if *scheme == basic(TOKEN) { 200 } else { 401 };
        assert_eq!(send(&closed, path, scheme, false), expected, "reading is closed: {scheme}");
    }
}

#[test]
fn times_that_cannot_be_are_now_and_wrong_numbers_are_refused_by_their_field() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    for (id, ended) in [("early", "1970-01-01T00:00:01Z"), ("late", "2100-01-01T00:00:00Z")] {
        let response = json!({"id": id, "prompt": "support/agent", "ended": ended});
        assert_eq!(node.change("POST", "/v1/responses", &json!({"responses": [response]})).status, 200);
        let found = node.get(&format!("/v1/responses/{id}")).ok()["responses"][0]["ended"].clone();
        assert!(found.as_str().is_some_and(|found| found.starts_with("202")), "{found}");
    }
    assert_eq!(node.get("/v1/stats?since=1h").ok()["total"]["calls"], json!(2));
    let send = |path: &str, body: &str| {
        node.send("POST", path, &[("authorization", ""), ("content-type", JSON)], body.as_bytes())
    };
    for value in ["NaN", "1e400", "-1e400", "1e10", "Infinity", "null", "[]"] {
        let body = format!(r#"{{"scores": [{{"response": "early", "name": "quality", "value": {value}}}]}}"#);
        let answer = send("/v1/scores", &body);
        assert!([400, 422].contains(&answer.status), "{value}: {} {}", answer.status, answer.text());
    }
    for field in [
        r#""cost_usd": -1"#,
        r#""cost_usd": 1e300"#,
        r#""latency_ms": -5"#,
        r#""input_tokens": 1.5"#,
        r#""trace_id": "00""#,
    ] {
        let answer = send("/v1/responses", &format!(r#"{{"responses": [{{"prompt": "support/agent", {field}}}]}}"#));
        assert!([400, 422].contains(&answer.status), "{field}: {} {}", answer.status, answer.text());
    }
    assert_eq!(node.get("/v1/stats?since=1h").ok()["total"]["calls"], json!(2), "nothing of it was recorded");
}

#[test]
fn compressed_body_that_inflates_beyond_the_limit_is_refused_and_others_go_on() {
    let node = Node::primary();
    let bomb = gzip(&vec![b' '; TOO_LARGE]);
    let headers = [("authorization", ""), ("content-type", JSON), ("content-encoding", "gzip")];
    let answer = node.send("POST", "/v1/traces", &headers, &bomb);
    assert_eq!((answer.status, answer.json()["code"].clone()), (413, json!(8)), "{}", answer.text());
    let many = gzip(&gzip(&vec![0; TOO_LARGE]));
    assert_eq!(node.send("POST", "/v1/traces", &headers, &many).status, 400, "compressed twice is not JSON");
    node.publish("a", "text");
    assert_eq!(node.text("a"), "text");
    assert_eq!(export(&node, "/v1/traces", JSON, &traces(&[])).status, 200);
}

#[test]
fn wrong_spans_are_counted_and_the_others_recorded() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    let mut wrong = call(2, 1, 0, "support/agent");
    wrong["traceId"] = json!("00000000000000000000000000000000");
    let answer = export(&node, "/v1/traces", JSON, &traces(&[wrong, call(2, 2, 0, "support/agent")])).ok();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1", "{answer}");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().is_some_and(|text| text.contains("id")), "{answer}");
    let counted = "\nbookholder_telemetry_rejected_total{reason=\"invalid_id\"} 1\n";
    assert!(node.get("/metrics").text().contains(counted), "{}", node.get("/metrics").text());
    let response = recorded(&node, "r-2-2")["responses"][0].clone();
    assert_eq!((&response["version"]["prompt"], &response["version"]["version"]), (&json!("support/agent"), &json!(1)));
}

#[test]
fn report_from_before_reports_are_kept_is_counted_as_too_old_and_makes_nothing_slower() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    let mut old = call(2, 1, 0, "support/agent");
    old["endTimeUnixNano"] = json!("1000000000000000000");
    let answer = export(&node, "/v1/traces", JSON, &traces(&[old, call(2, 2, 0, "support/agent")])).ok();
    assert_eq!(answer["partialSuccess"]["rejectedSpans"], "1", "{answer}");
    assert!(answer["partialSuccess"]["errorMessage"].as_str().is_some_and(|text| text.contains("older")), "{answer}");
    let response = json!({"id": "old", "prompt": "support/agent", "ended": "2001-09-09T01:46:40Z"});
    let answer = node.change("POST", "/v1/responses", &json!({"responses": [response, {"id": "new"}]})).ok();
    assert_eq!(answer, json!({"recorded": 1, "duplicates": 0, "too_old": 1}));
    let counted = "\nbookholder_telemetry_rejected_total{reason=\"too_old\"} 2\n";
    assert!(node.get("/metrics").text().contains(counted), "{}", node.get("/metrics").text());
    assert_eq!(node.get("/v1/responses/old").status, 404);
    let _found = recorded(&node, "r-2-2");
}

#[test]
fn evaluations_in_log_records_become_scores_of_the_response() {
    let node = Node::primary();
    node.publish("support/agent", "text");
    let _spans = export(&node, "/v1/traces", JSON, &traces(&[call(3, 1, 0, "support/agent")])).ok();
    let text = |key: &str, value: &str| json!({"key": key, "value": {"stringValue": value}});
    let now = (SystemClock::new().now_ms() * 1_000_000).to_string();
    let logs = json!({"resourceLogs": [{"scopeLogs": [{"logRecords": [{
        "timeUnixNano": now, "eventName": "gen_ai.evaluation.result", "attributes": [
            text("gen_ai.evaluation.name", "helpfulness"), text("gen_ai.response.id", "r-3-1"),
            json!({"key": "gen_ai.evaluation.score.value", "value": {"doubleValue": 0.25}}),
        ],
    }]}]}]});
    let body = logs_as_protobuf(logs.to_string().as_bytes());
    for _ in 0..2 {
        assert_eq!(export(&node, "/v1/logs", PROTOBUF, &body).status, 200);
    }
    let response = recorded(&node, "r-3-1")["responses"][0].clone();
    let scores = response["scores"].as_array().expect("scores");
    assert_eq!(scores.len(), 1, "{response}");
    assert_eq!((&scores[0]["name"], &scores[0]["value"]), (&json!("helpfulness"), &json!(0.25)));
}

#[test]
fn call_takes_the_prompt_of_the_span_around_it_that_arrives_later() {
    let mut node = Node::primary();
    node.publish("support/agent", "text");
    let _calls =
        export(&node, "/v1/traces", JSON, &traces(&[call(4, 2, 1, ""), call(5, 2, 1, ""), call(6, 2, 1, "")])).ok();
    let prompt = json!({"key": "gen_ai.prompt.name", "value": {"stringValue": "support/agent"}});
    let around = |trace| span_with(trace, 1, 0, "agent", std::slice::from_ref(&prompt));
    let _around = export(&node, "/v1/traces", JSON, &traces(&[around(4)])).ok();
    let response = recorded(&node, "r-4-2")["responses"][0].clone();
    assert_eq!(response["version"]["prompt"], "support/agent", "{response}");
    // What still waits is recorded by a clean stop and after a crash: without a prompt, and not lost.
    node.stop();
    node.restart();
    let response = recorded(&node, "r-5-2")["responses"][0].clone();
    assert_eq!(response["unattributed"], "no_prompt", "{response}");
    let _call = export(&node, "/v1/traces", JSON, &traces(&[call(7, 2, 1, "")])).ok();
    node.kill9();
    node.restart();
    let response = recorded(&node, "r-7-2")["responses"][0].clone();
    assert_eq!(response["unattributed"], "no_prompt", "{response}");
}

#[test]
fn content_is_recorded_only_if_the_setting_allows_it() {
    let content = |node: &Node| -> Value {
        node.publish("support/agent", "You are a support agent of Globe.");
        let _answer = export(node, "/v1/traces", JSON, &fixture("otel-new.traces.json")).ok();
        let _there = recorded(node, "resp_1");
        let with_token = node.send("GET", "/v1/responses/resp_1", &[], b"").ok();
        let without = node.get("/v1/responses/resp_1").ok();
        assert!(without["responses"][0]["output"].is_null(), "not without an access token: {without}");
        with_token["responses"][0]["output"].clone()
    };
    assert!(content(&primary_for_recordings().start()).is_null());
    let told = primary_for_recordings().env("BOOKHOLDER_RECORD_CONTENT", "true").start();
    assert_eq!(content(&told), json!([{"role": "assistant", "content": "On its way."}]));
}

#[test]
fn price_file_overrides_the_embedded_prices_and_a_wrong_one_stops_the_start() {
    let home = tempfile::tempdir().expect("a folder");
    let file = home.path().join("prices.json");
    let table = |input: i64| {
        json!({"schema": 1, "updated": "2026-11-20", "currency": "USD", "unit": "pico_usd_per_token", "models": [
            {"id": "gpt-5", "match": ["gpt-5"], "tiers": [{"when": {}, "rate": {"input": input, "output": 0}}]},
        ]})
    };
    std::fs::write(&file, table(7_000_000).to_string()).expect("a file");
    let body = json!({"responses": [
        {"id": "known", "model": "gpt-5", "input_tokens": 1000, "output_tokens": 1},
        {"id": "unknown", "model": "no-such-model", "input_tokens": 1000, "output_tokens": 1},
    ]});
    let node = Launch::primary().args(["--prices", file.to_str().expect("UTF-8")]).start();
    let _answer = node.change("POST", "/v1/responses", &body).ok();
    let known = recorded(&node, "known")["responses"][0].clone();
    assert_eq!((&known["cost_usd"], &known["cost_source"]), (&json!("0.007"), &json!("price_table")), "{known}");
    assert!(recorded(&node, "unknown")["responses"][0]["cost_usd"].is_null(), "unknown is not zero");

    std::fs::write(&file, table(-1).to_string()).expect("a file");
    let said = Launch::primary().env("BOOKHOLDER_PRICES", file.as_os_str()).refused();
    assert!(said.contains("prices.json") && said.contains("negative"), "{said}");
    let said = Launch::primary().args(["--prices", "/nowhere/prices.json"]).refused();
    assert!(said.contains("cannot read the price table /nowhere/prices.json"), "{said}");
}

//! The log of a node: enough for central monitoring, and no secrets.

use serde_json::{Value, json};

use crate::support::node::{ADMIN, Launch, Node};

/// The lines of a log in JSON with this message.
fn lines(node: &Node, message: &str) -> Vec<Value> {
    let parse = |line: &str| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let log = node.stderr();
    let (whole, _still_being_written) = log.rsplit_once('\n').unwrap_or_default();
    whole.lines().map(parse).filter(|line| line["message"] == message).collect()
}

fn until(node: &Node, message: &str, count: usize) -> Vec<Value> {
    node.until(message, || Some(lines(node, message)).filter(|lines| lines.len() >= count))
}

#[test]
fn each_command_is_logged_with_actor_command_and_subject() {
    let primary = Launch::primary().args(["--log-format", "json"]).start();
    primary.publish("support/agent", "a text that is in no log");
    let stranger = json!({"name": "pat", "kind": "person", "grants": [{"role": "reader", "prompts": "support/**", "labels": "**"}]});
    primary.change("POST", "/v1/principals", &stranger).ok();
    let made = primary.change("POST", "/v1/tokens", &json!({"name": "pat-laptop", "principal": "pat"})).ok();
    let token = made["token"].as_str().expect("a token").to_owned();
    let bearer = format!("Bearer {token}");
    let body = json!({"content": {"text": "another text"}, "message": "the reason"}).to_string();
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let refused = primary.send("POST", "/v1/prompts/support%2Fagent/versions", &headers, body.as_bytes());
    assert_eq!(refused.status, 403, "{}", refused.text());

    let granted = until(&primary, "command granted", 3);
    let publish = granted.iter().find(|line| line["command"] == "publish").expect("a line");
    assert_eq!((&publish["actor"], &publish["level"]), (&json!("admin"), &json!("INFO")), "{publish}");
    assert!(publish["subjects"].as_str().is_some_and(|subjects| subjects.contains("support/agent@1")), "{publish}");
    assert_eq!(publish["client"], "127.0.0.1");
    let denied = until(&primary, "command refused", 1);
    assert_eq!((&denied[0]["command"], &denied[0]["actor"]), (&json!("publish"), &json!("pat")), "{denied:?}");
    assert!(denied[0]["reason"].as_str().is_some_and(|reason| reason.contains("pat")), "{denied:?}");
    let log = primary.stderr();
    for secret in ["a text that is in no log", "another text", &token, ADMIN, "Some(", "None"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn import_in_several_requests_is_one_line_with_its_number_of_changes() {
    let primary = Launch::primary().args(["--log-format", "json"]).start();
    for request in 0..3 {
        let change = |number: usize| {
            let at = format!("2026-01-01T00:0{request}:00Z");
            json!({"id": format!("{request}-{number}"), "at": at, "author": "ann", "message": "m",
                "name": format!("old/{number}"), "text": format!("text {request}")})
        };
        let changes: Vec<Value> = (0..4).map(change).collect();
        assert_eq!(primary.change("POST", "/v1/import", &json!({"changes": changes})).ok()["published"], 4);
    }
    // What comes next ends the import at once; else it is over after a while.
    primary.publish("a", "text");
    let granted = until(&primary, "command granted", 1);
    let commands: Vec<&Value> = granted.iter().map(|line| &line["command"]).collect();
    assert_eq!(commands, ["publish"], "the imported changes have no lines of their own");
    let imports = lines(&primary, "changes imported");
    assert_eq!(imports.len(), 1, "{imports:?}");
    let line = &imports[0];
    assert_eq!((&line["level"], &line["actor"], &line["changes"]), (&json!("INFO"), &json!("admin"), &json!(12)));
    assert!(line["elapsed_ms"].is_u64(), "{line}");
    let seqs = |key: &str| line[key].as_u64().expect("a commit");
    assert_eq!(seqs("seq") - seqs("first_seq"), 11, "{line}");
}

#[test]
fn import_is_logged_once_after_its_last_change() {
    let primary = Launch::primary().args(["--log-format", "json"]).start();
    let change =
        json!({"id": "1", "at": "2026-01-01T00:00:00Z", "author": "ann", "message": "m", "name": "a", "text": "x"});
    primary.change("POST", "/v1/import", &json!({"changes": [change]})).ok();
    assert_eq!(until(&primary, "changes imported", 1)[0]["changes"], 1);
}

#[test]
fn rejected_token_is_logged_with_address_and_without_the_token() {
    let primary = Node::primary();
    let guess = "bh_guess_0123456789abcdef0123456789";
    let bearer = format!("Bearer {guess}");
    let _detail = primary.send("GET", "/v1/tokens", &[("authorization", &bearer)], b"").problem(401, "unauthorized");
    primary.until_logged("rejected an access token client=127.0.0.1");
    let _detail = primary.send("GET", "/v1/tokens", &[("authorization", "")], b"").problem(401, "unauthorized");
    assert_eq!(primary.stderr().matches("rejected an access token").count(), 1, "none was shown the second time");
    assert!(!primary.stderr().contains("guess"), "{}", primary.stderr());
}

#[test]
fn replica_logs_that_it_caught_up_went_stale_and_follows_again() {
    let mut primary = Launch::primary().start();
    primary.publish("a", "text");
    let address = primary.address();
    let replica = Launch::replica_of(&primary).args(["--log-format", "json"]).start();
    let caught_up = until(&replica, "caught up with the upstream", 1);
    assert_eq!(caught_up[0]["position"], primary.status()["position"]);
    primary.stop();
    let stale = until(&replica, "stale: out of contact with the upstream", 1);
    assert_eq!((&stale[0]["level"], stale[0]["trouble"].is_string()), (&json!("WARN"), true), "{stale:?}");
    primary.restart_at(address);
    until(&replica, "following the upstream again", 1);
}

#[cfg(target_os = "linux")]
#[test]
fn node_works_when_its_log_cannot_be_written() {
    for format in ["text", "json"] {
        let launch = Launch::primary().args(["--log-format", format]).under("exec 2>/dev/full; exec \"$@\"");
        let mut primary = launch.start();
        primary.publish("a", "one");
        assert_eq!(primary.send("GET", "/v1/audit", &[("authorization", "Bearer wrong")], b"").status, 401);
        assert_eq!(primary.text("a"), "one", "{format}");
        primary.stop();
    }
}

//! Permissions, and the error of a replica for changes.

use std::io::{Read, Write};

use serde_json::json;

use crate::support::answer::{Answer, head};
use crate::support::node::{ADMIN, Node};

fn token(node: &Node, name: &str, role: &str) -> String {
    let made = node.change("POST", "/v1/tokens", &json!({"name": name, "role": role}));
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")));
    format!("Bearer {}", made.ok()["token"].as_str().expect("a token"))
}

#[test]
fn each_role_has_exactly_its_permissions() {
    let node = Node::primary();
    node.publish("a", "text");
    let (reader, replica) = (token(&node, "r", "reader"), token(&node, "edge", "replica"));
    let admin = format!("Bearer {ADMIN}");
    let unknown = "Bearer bh_nobody_knows_this_one_here".to_owned();
    let publish = json!({"content": {"syntax": "plain", "text": "x"}, "message": "why"}).to_string();
    // No token, a reader, a replica, an admin, and a token that does not exist.
    let table: [(&str, &str, [u16; 5]); 10] = [
        ("GET", "/v1/resolve/a", [200, 200, 200, 200, 401]),
        ("GET", "/v1/prompts", [200, 200, 200, 200, 401]),
        ("GET", "/replication/v1/view/all/checkpoint", [200, 403, 200, 200, 401]),
        ("GET", "/replication/v1/root/1", [200, 403, 200, 200, 401]),
        ("GET", "/v1/audit", [401, 403, 403, 200, 401]),
        ("GET", "/v1/tokens", [401, 403, 403, 200, 401]),
        ("GET", "/v1/backup", [401, 403, 403, 200, 401]),
        ("POST", "/v1/bundle", [401, 403, 403, 200, 401]),
        ("POST", "/v1/prompts/b/versions", [401, 403, 403, 201, 401]),
        ("GET", "/healthz", [200, 200, 200, 200, 200]),
    ];
    for (method, path, expected) in table {
        for (who, status) in ["", &reader, &replica, &admin, &unknown].into_iter().zip(expected) {
            let body = if path.ends_with("versions") { publish.as_bytes() } else { b"" };
            let answer = node.send(method, path, &[("authorization", who), ("content-type", "application/json")], body);
            assert_eq!(answer.status, status, "{method} {path} `{who}`: {}", answer.text());
            match status {
                401 => {
                    let _detail = answer.problem(401, "unauthorized");
                    assert!(answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")));
                }
                403 => assert!(answer.problem(403, "forbidden").contains("permission denied"), "{}", answer.text()),
                _ => {}
            }
        }
    }
    for odd in ["Basic abc", "Bearer", "Bearer  ", "bh_without_a_scheme_at_all"] {
        let answer = node.send("GET", "/v1/resolve/a", &[("authorization", odd)], b"");
        let detail = answer.problem(401, "unauthorized");
        assert!(!detail.contains("bh_without"), "{detail}");
    }
    assert!(!node.stderr().contains("bh_nobody") && !node.stderr().contains(&reader), "no token is logged");
}

#[test]
fn revoked_token_is_refused_immediately() {
    let node = Node::primary();
    node.publish("a", "text");
    let reader = token(&node, "r", "reader");
    let read = || node.send("GET", "/v1/resolve/a", &[("authorization", &reader)], b"").status;
    assert_eq!(read(), 200);
    let revoked = node.send("DELETE", "/v1/tokens/r", &[], b"");
    assert_eq!((revoked.status, revoked.body.len()), (204, 0));
    assert_eq!(read(), 401);
    let again = node.send("DELETE", "/v1/tokens/r", &[], b"");
    assert!(again.problem(404, "record_not_found").contains("`r`"));
}

#[test]
fn replica_sends_changes_to_its_primary_and_still_answers() {
    let primary = Node::primary();
    primary.publish("a", "text");
    let replica = Node::replica(&primary);
    for (method, path) in [
        ("POST", "/v1/prompts/a/versions"),
        ("DELETE", "/v1/prompts/a"),
        ("POST", "/v1/deployments"),
        ("POST", "/v1/import"),
        ("POST", "/v1/tokens"),
        ("GET", "/v1/audit"),
        ("GET", "/v1/backup"),
    ] {
        let detail = replica.change(method, path, &json!({})).problem(403, "primary_only");
        assert!(
            detail.contains("this node is a read-only replica") && detail.contains(&primary.url()),
            "{method} {path}: {detail}"
        );
    }
    for path in
        ["/v1/audit", "/v1/backup", "/v1/tokens", "/v1/webhooks", "/v1/principals", "/v1/policies", "/v1/whoami"]
    {
        let detail = replica.get(path).problem(403, "primary_only");
        assert!(detail.contains("reading this is only possible on the primary"), "{path}: {detail}");
    }
    for path in ["/v1/requests", "/v1/requests/1", "/v1/prompts/a/about", "/v1/prompts/a/versions/1/findings"] {
        let detail = replica.get(path).problem(403, "primary_only");
        assert!(detail.contains("is only possible on the primary") && !detail.contains("changing"), "{path}: {detail}");
    }
    assert_eq!(replica.text("a"), "text");
    let (here, there) = (replica.get("/v1/prompts/a/versions").ok(), primary.get("/v1/prompts/a/versions").ok());
    assert_eq!(here, there);
    assert_eq!(replica.get("/v1/deployments?name=a").ok(), primary.get("/v1/deployments?name=a").ok());
}

#[test]
fn unknown_token_is_rejected_by_primary_and_replica() {
    let primary = Node::primary();
    primary.publish("a", "text");
    let replica = Node::replica(&primary);
    let unknown = "Bearer bh_nobody_knows_this_one_here";
    // The replica knows no access token of its primary.
    let admin = format!("Bearer {ADMIN}");
    for (node, wrong, says) in [
        (&primary, unknown, "unknown access token"),
        (&replica, unknown, "is not the read token of this replica"),
        (&replica, &admin, "BOOKHOLDER_READ_TOKEN"),
    ] {
        for (method, path) in [
            ("GET", "/v1/resolve/a"),
            ("GET", "/v1/resolve/a?subject=x"),
            ("GET", "/v1/prompts"),
            ("GET", "/v1/status"),
            ("GET", "/v1/events"),
            ("GET", "/metrics"),
            ("GET", "/replication/v1/root/1"),
            ("POST", "/v1/resolve"),
            ("POST", "/v1/render/a"),
        ] {
            let headers = [("authorization", wrong), ("content-type", "application/json")];
            let answer = node.send(method, path, &headers, b"{\"references\": []}");
            assert!(answer.header("www-authenticate").is_some_and(|how| how.starts_with("Bearer")), "{path}");
            let detail = answer.problem(401, "unauthorized");
            assert!(detail.contains(says), "{method} {path}: {detail}");
        }
        assert_eq!(node.text("a"), "text", "open without a token");
        assert_eq!(node.send("GET", "/healthz", &[("authorization", wrong)], b"").status, 200);
    }
}

#[test]
fn event_stream_ends_when_its_token_is_revoked() {
    let node = Node::primary();
    node.publish("a/one", "text");
    let (reader, replica) = (token(&node, "r", "reader"), token(&node, "edge", "replica"));
    let open = |path: &str, bearer: &str| {
        let mut stream = std::io::BufReader::new(node.connect());
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: {bearer}\r\n\r\n");
        stream.get_mut().write_all(request.as_bytes()).expect("written");
        stream
    };
    let mut events = open("/v1/events", &reader);
    assert!(head(&mut events).expect("a head").starts_with("HTTP/1.1 200"));
    let position = node.status()["position"].as_str().expect("a position").to_owned();
    let poll = open(&format!("/replication/v1/view/all/next/{position}"), &replica);
    for name in ["r", "edge"] {
        let _gone = node.send("DELETE", &format!("/v1/tokens/{name}"), &[], b"");
    }
    // The stream ends, and the waiting poll is answered.
    let mut rest = String::new();
    events.read_to_string(&mut rest).expect("the end of the stream");
    assert!(!rest.contains("event: change"), "{rest}");
    let answer = Answer::read(poll).expect("an answer");
    let _detail = answer.problem(401, "unauthorized");
}

#[test]
fn limited_token_reads_only_its_prompts() {
    let node = Node::primary();
    let (ours, theirs) = (node.publish("support/a", "ours"), node.publish("sales/a", "theirs"));
    let bound = json!({"name": "app", "role": "reader", "prompts": "support/**"});
    let made = node.change("POST", "/v1/tokens", &bound).ok();
    let bearer = format!("Bearer {}", made["token"].as_str().expect("a token"));
    let read = |path: &str| node.send("GET", path, &[("authorization", &bearer)], b"");
    for (path, status) in [
        ("/v1/resolve/support/a", 200),
        ("/v1/resolve/support/a", 200),
        ("/v1/resolve/sales/a", 403),
        ("/v1/resolve/sales/a@1", 403),
        ("/v1/resolve/sales%2Fa", 403),
        ("/v1/prompts/support%2Fa", 200),
        ("/v1/prompts/sales%2Fa", 403),
        ("/v1/prompts/sales%2Fa/versions", 403),
        ("/v1/prompts/sales%2Fa/versions/1", 403),
        ("/v1/prompts/sales%2Fa/versions/1/findings", 403),
        ("/v1/prompts/sales%2Fa/diff?from=1&to=1", 403),
        ("/v1/prompts/sales%2Fa/labels", 403),
        ("/v1/prompts/sales%2Fa/labels/production", 403),
        ("/v1/prompts/sales%2Fa/drafts", 403),
        ("/v1/deployments?name=sales%2Fa", 403),
        (&format!("/v1/contents/{theirs}"), 403),
        (&format!("/v1/contents/{ours}"), 403),
        ("/v1/backup", 403),
    ] {
        let answer = read(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    let names = |path: &str| read(path).ok()["items"].as_array().expect("items").len();
    assert_eq!((names("/v1/prompts"), names("/v1/deployments")), (1, 1), "lists show what may be read");
    let batch = |references: &[&str]| {
        let body = json!({"references": references}).to_string();
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        node.send("POST", "/v1/resolve", &headers, body.as_bytes()).status
    };
    assert_eq!((batch(&["support/a"]), batch(&["support/a", "sales/a"])), (200, 403));
    let render = |reference: &str| {
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        node.send("POST", &format!("/v1/render/{reference}"), &headers, b"{}").status
    };
    assert_eq!((render("support/a"), render("sales/a")), (200, 403));
}

#[test]
fn usage_of_replicas_is_reported_to_the_primary() {
    let node = Node::primary();
    node.publish("a", "Hello {{x}}");
    let app = token(&node, "checkout", "reader");
    assert_eq!(node.send("GET", "/v1/resolve/a", &[("authorization", &app)], b"").status, 200);
    let edge = token(&node, "plant-7", "replica");
    let now_ms = bookholder::clock::Clock::now_ms(&bookholder::clock::SystemClock::new());
    let hour = now_ms / 3_600_000;
    let report = json!({
        "replica": "berlin", "position": node.status()["position"], "freshness": "fresh", "version": "0.1.0",
        "uses": [{"name": "a", "version": 1, "by": "local", "hour": hour}],
    });
    let headers = [("authorization", edge.as_str()), ("content-type", "application/json")];
    let noted = node.send("POST", "/replication/v1/report", &headers, report.to_string().as_bytes());
    assert_eq!(noted.status, 204, "{}", noted.text());
    let policy = json!({"name": "p", "labels": "production"});
    let _kept = node.change("PUT", "/v1/policies/p", &policy).ok();
    let _published = node.publish_content("a", &json!({"syntax": "mustache", "text": "{{x}} {{y}}"}), &[]);
    let moves = json!([{"name": "a", "label": "production", "serving": {"version": 2}}]);
    let refused = node.change("POST", "/v1/deployments", &json!({"moves": moves, "message": "m"}));
    let hint = refused.json()["hint"].as_str().expect("a hint").to_owned();
    let _detail = refused.problem(409, "breaks_callers");
    assert!(hint.contains("checkout") && hint.contains("plant-7 via berlin"), "{hint}");
    let meant = json!({"moves": moves, "message": "m", "allow_major": true});
    let _done = node.change("POST", "/v1/deployments", &meant).ok();
}

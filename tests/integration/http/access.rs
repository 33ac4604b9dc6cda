//! Who may do what, and what a replica says to whoever wants to change something.

use serde_json::json;

use crate::support::node::{ADMIN, Node};

fn token(node: &Node, name: &str, role: &str) -> String {
    let made = node.change("POST", "/v1/tokens", &json!({"name": name, "role": role}));
    assert_eq!((made.status, made.header("cache-control")), (201, Some("no-store")));
    format!("Bearer {}", made.ok()["token"].as_str().expect("a token"))
}

#[test]
fn roles_may_what_they_need_and_nothing_else() {
    let node = Node::primary();
    node.publish("a", "text");
    let (reader, replica) = (token(&node, "r", "reader"), token(&node, "edge", "replica"));
    let admin = format!("Bearer {ADMIN}");
    let unknown = "Bearer bh_nobody_knows_this_one_here".to_owned();
    let publish = json!({"content": {"syntax": "plain", "text": "x"}, "message": "why"}).to_string();
    // Nobody at all, a reader, a replica, an admin, and a token that does not exist.
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
                403 => assert!(answer.problem(403, "forbidden").contains("may not"), "{}", answer.text()),
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
fn a_revoked_token_is_worthless_at_once() {
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
fn a_replica_sends_changes_to_its_primary_and_still_answers() {
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
        let detail = replica.change(method, path, &json!({})).problem(403, "read_only_replica");
        assert!(
            detail.contains("this node is a replica") && detail.contains(&primary.url()),
            "{method} {path}: {detail}"
        );
    }
    assert_eq!(replica.text("a"), "text");
    let (here, there) = (replica.get("/v1/prompts/a/versions").ok(), primary.get("/v1/prompts/a/versions").ok());
    assert_eq!(here, there);
    assert_eq!(replica.get("/v1/deployments?name=a").ok(), primary.get("/v1/deployments?name=a").ok());
}

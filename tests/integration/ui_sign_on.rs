//! Single sign-on by a header of a trusted proxy, over real sockets.

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::node::{ADMIN, Launch, Node};
use crate::ui::{Browser, form_token};

const HEADER: &str = "X-Forwarded-Email";
const ANN: &str = "ann@example.com";

fn launch(proxies: &str) -> Launch {
    Launch::primary().args(["--trusted-proxies", proxies]).env("BOOKHOLDER_SIGN_IN_HEADER", HEADER)
}

/// A node that trusts a proxy on this machine, and knows Ann.
fn node() -> Node {
    let node = launch("127.0.0.1").start();
    let ann = json!({"name": ANN, "kind": "person", "grants": [{"role": "admin"}]});
    node.change("POST", "/v1/principals", &ann).ok();
    node
}

/// What a proxy forwards from a browser without cookies.
fn through(node: &Node, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    Browser::new(node).send(method, path, headers, body)
}

fn audit(node: &Node) -> Vec<Value> {
    let audit = node.send("GET", "/v1/audit?limit=1000", &[], b"").ok();
    audit["items"].as_array().expect("entries").clone()
}

#[test]
fn person_named_by_a_trusted_proxy_needs_no_token() {
    let mut node = node();
    let page = through(&node, "GET", "/ui/access/tokens", &[(HEADER, "Ann@Example.com")], "");
    assert_eq!((page.status, page.header("set-cookie")), (200, None), "{}", page.head);
    let page = page.text();
    assert!(page.contains("Signed in by single sign-on") && !page.contains("/ui/sign-out"), "{page}");
    let form = form_token(&page);
    let body = format!("form={form}&principal=ci&name=ci&days=1");
    node.change("POST", "/v1/principals", &json!({"name": "ci", "kind": "service", "grants": [{"role": "reader"}]}))
        .ok();
    let typed = ("content-type", "application/x-www-form-urlencoded");
    let send = |headers: &[(&str, &str)], body: &str| {
        through(&node, "POST", "/ui/access/tokens", &[&[typed, (HEADER, ANN)], headers].concat(), body)
    };
    let entries = audit(&node).len();
    assert_eq!(send(&[("sec-fetch-site", "cross-site")], &body).status, 403, "another site cannot send forms");
    assert_eq!(send(&[("sec-fetch-site", "same-origin")], "form=&principal=ci&name=ci&days=1").status, 403);
    assert_eq!(audit(&node).len(), entries, "nothing changed");
    // The form stays good when the node restarts.
    node.restart();
    let made = through(
        &node,
        "POST",
        "/ui/access/tokens",
        &[typed, (HEADER, ANN), ("sec-fetch-site", "same-origin"), ("x-forwarded-for", "198.51.100.7")],
        &body,
    );
    assert_eq!((made.status, made.header("location")), (303, Some("/ui/access/tokens/ci")), "{}", made.text());
    let entry = audit(&node).pop().expect("an entry");
    assert_eq!((&entry["actor"], &entry["command"]), (&json!(ANN), &json!("create-token")), "{entry}");
    assert_eq!(entry["method"], json!("web session of single sign-on"), "{entry}");
    let once = through(&node, "GET", "/ui/access/tokens/ci", &[(HEADER, ANN)], "").text();
    assert!(once.contains("bh_"), "the creator sees it: {once}");
}

#[test]
fn sign_in_header_needs_a_trusted_proxy_and_an_enabled_person() {
    let node = node();
    node.change("POST", "/v1/principals", &json!({"name": "ci", "kind": "service", "grants": [{"role": "reader"}]}))
        .ok();
    node.change("POST", "/v1/principals", &json!({"name": "sue", "kind": "person", "grants": [{"role": "reader"}]}))
        .ok();
    assert_eq!(through(&node, "GET", "/ui/", &[(HEADER, "sue")], "").status, 200);
    node.send("POST", "/v1/principals/sue/suspension", &[], b"").ok();
    for name in ["ci", "sue", "unknown@example.com"] {
        let sent = through(&node, "GET", "/ui/", &[(HEADER, name)], "");
        assert_eq!(sent.status, 303, "{name}");
        let page = through(&node, "GET", "/ui/sign-in", &[(HEADER, name)], "").text();
        assert!(page.contains(&format!("identifies you as <b>{name}</b>")), "{page}");
    }
    assert_eq!(through(&node, "GET", "/ui/", &[(HEADER, ANN), (HEADER, "sue")], "").status, 303, "two names are none");
    let principals = node.send("GET", "/v1/principals", &[], b"").text();
    assert!(!principals.contains("unknown@example.com"), "no account is made: {principals}");
    for path in ["/v1/whoami", "/v1/prompts", "/replication/v1/root/1"] {
        let answer = through(&node, "GET", path, &[(HEADER, ANN)], "");
        assert_eq!(answer.status, 401, "the interface takes access tokens alone: {path}");
    }
    let mut browser = Browser::new(&node);
    assert_eq!(browser.sign_in(ADMIN).status, 303, "an access token signs in as well");
    let page = browser.send("GET", "/ui/", &[(HEADER, ANN)], "").text();
    assert!(page.contains("Signed in with the access token <b>admin</b>"), "and comes first: {page}");

    let elsewhere = launch("10.0.0.0/8").env("BOOKHOLDER_OPEN_READS", "false").start();
    elsewhere
        .change("POST", "/v1/principals", &json!({"name": ANN, "kind": "person", "grants": [{"role": "admin"}]}))
        .ok();
    assert_eq!(through(&elsewhere, "GET", "/ui/", &[(HEADER, ANN)], "").status, 303, "not from this address");
}

#[test]
fn sign_on_header_without_trusted_proxy_is_refused_at_start() {
    let refused = Launch::primary().env("BOOKHOLDER_SIGN_IN_HEADER", HEADER).refused();
    assert!(refused.contains("trusted_proxies is empty"), "{refused}");
    let refused = Launch::replica().args(["--trusted-proxies", "127.0.0.1"]).env("BOOKHOLDER_SIGN_IN_HEADER", HEADER);
    assert!(refused.refused().contains("only works on a primary"));
}

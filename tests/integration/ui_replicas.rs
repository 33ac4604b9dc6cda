//! Replicas on the primary's page, with real processes; and a replica's own page.

use std::time::Duration;

use serde_json::json;

use crate::support::node::{Launch, Node, eventually};
use crate::ui::Browser;

/// Sooner than a replica's next report, which comes every 30 seconds: the primary knows it from their polls.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn deployment_shows_its_arrival_before_the_next_report() {
    let primary = Node::primary();
    primary.publish("support/agent", "one");
    let page = Browser::new(&primary).page("/ui/replicas");
    assert!(page.contains("No connected replicas") && !page.contains("<table"), "{page}");
    let named = |name: &str| {
        let replica = Launch::replica_of(&primary).env("BOOKHOLDER_REPLICA_NAME", name).start();
        replica.follow(&primary);
        replica
    };
    let replicas = [named("berlin"), named("zürich")];
    let mut browser = Browser::new(&primary);
    primary.until("both are known", || {
        browser.page("/ui/replicas").contains("All 2 replicas are up to date.").then_some(())
    });
    for text in ["two", "three", "four"] {
        primary.publish("support/agent", text);
        let at = primary.status()["position"].as_str().expect("a position").to_owned();
        let holds = format!("<span class=\"tag live\">up to date</span> <span class=\"quiet\">{at}</span>");
        let arrived = eventually(SOON, || {
            let page = browser.page("/ui/replicas");
            (page.matches(&holds).count() == 2 && page.contains("All 2 replicas are up to date.")).then_some(())
        });
        assert!(arrived.is_some(), "{at}: {}", browser.page("/ui/replicas"));
        let prompt = browser.page("/ui/prompts/support/agent");
        assert!(prompt.contains("Live here and on all 2 connected replicas"), "{prompt}");
    }
    // A commit without changes is not sent separately, so no replica counts as behind.
    let _made = primary.change("POST", "/v1/tokens", &json!({"name": "eye", "role": "reader"})).ok();
    let page = browser.page("/ui/replicas");
    assert!(
        page.contains("All 2 replicas are up to date.") && page.contains("berlin") && page.contains("zürich"),
        "{page}"
    );
    assert!(page.contains(&format!("<td data-label=\"Version\">{}", env!("CARGO_PKG_VERSION"))), "{page}");
    drop(replicas);
}

#[test]
fn polls_of_others_count_as_their_reports_do_and_bad_names_are_passed_over() {
    let primary = Launch::primary().env("BOOKHOLDER_OPEN_READS", "false").start();
    primary.publish("a", "one");
    let edge = primary.change("POST", "/v1/tokens", &json!({"name": "edge-7", "role": "replica"})).ok();
    let reader = primary.change("POST", "/v1/tokens", &json!({"name": "eye", "role": "reader"})).ok();
    let bearer = |token: &serde_json::Value| format!("Bearer {}", token["token"].as_str().expect("a token"));
    let (edge, reader) = (bearer(&edge), bearer(&reader));
    let poll = |authorization: &str, name: &str, from: &str| {
        let headers = [("authorization", authorization), ("bookholder-replica", name)];
        primary.send("GET", &format!("/replication/v1/view/{from}"), &headers, b"").status
    };
    assert_eq!(poll(&edge, "<script>alert(1)</script>", "all/next/0.0"), 200);
    assert_eq!(poll(&edge, &"x".repeat(201), "all/next/0.0"), 200, "an id that is none is no error");
    assert_eq!(poll(&edge, "", "all/next/0.0"), 200, "old replicas name themselves in reports alone");
    assert_eq!(poll(&edge, "elsewhere", "other/next/0.0"), 404);
    assert_eq!(poll(&reader, "spy", "all/next/0.0"), 403);
    let mut admin = Browser::new(&primary);
    assert_eq!(admin.sign_in(crate::support::node::ADMIN).status, 303);
    let page = admin.page("/ui/replicas");
    assert!(page.contains("&lt;script&gt;alert(1)") && page.contains("commits behind"), "{page}");
    assert!(page.contains("no report yet") && page.contains("href=\"/ui/access/who/edge-7\""), "{page}");
    assert_eq!(page.matches("<th scope=\"row\">").count(), 1, "nobody else: {page}");
    let mut eye = Browser::new(&primary);
    assert_eq!(eye.sign_in(reader.strip_prefix("Bearer ").expect("a token")).status, 303);
    let page = eye.page("/ui/replicas");
    assert!(page.contains("0 of 1") || page.contains("commits behind"), "{page}");
    assert!(!page.contains("edge-7"), "as whom one follows is for who keeps access: {page}");
    assert_eq!(Browser::new(&primary).get("/ui/replicas").status, 303, "as for /v1/status one signs in");
}

#[test]
fn replica_status_works_without_its_primary() {
    let mut primary = Node::primary();
    primary.publish("a", "one");
    let replica = Node::replica(&primary);
    let mut browser = Browser::new(&replica);
    let page = browser.page("/ui/replicas");
    let at = replica.status()["position"].as_str().expect("a position").to_owned();
    for part in ["<span class=\"tag live\">fresh</span>", &at, &primary.url(), "Expires", "in contact with the primary"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    assert!(!page.contains("<table"), "nobody follows it: {page}");
    primary.kill9();
    let page = replica.until("it notices", || {
        let page = browser.page("/ui/replicas");
        page.contains("Problem: ").then_some(page)
    });
    assert!(page.contains("unreachable") && page.contains("<span class=\"tag wait\">stale</span>"), "{page}");
    assert!(browser.page("/ui/prompts/a").contains("one"), "it answers all the same");
}

//! Alerts of a running primary: on the command line, over HTTP, in the status, as a metric and on their page.

use serde_json::{Value, json};

use crate::support::answer::Answer;
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::{ADMIN, Node};
use crate::ui::{Browser, form_token};

/// A primary with calls of two prompts that cost 3 and 9 dollars, one without a known cost.
fn node_with_calls() -> Node {
    let node = Node::primary();
    node.publish("support/agent", "text");
    node.publish("secret/plan", "text");
    let call = |prompt: &str, cost: Value| json!({"prompt": prompt, "version": "1", "model": "made-up", "cost_usd": cost, "latency_ms": 4000});
    let calls = [call("support/agent", json!(3)), call("support/agent", Value::Null), call("secret/plan", json!(9))];
    assert_eq!(node.change("POST", "/v1/responses", &json!({"responses": calls})).ok()["recorded"], 3);
    node
}

fn line(node: &Node, line: &[&str]) -> Bookholder {
    bookholder(line).server(node)
}

#[test]
fn alert_that_fires_is_listed_with_its_value_and_shown_in_status_metrics_and_page() {
    let node = node_with_calls();
    let _said = line(&node, &["alert", "set", "support-spend", "--prompt", "support/**", "--spend-over", "2.50"])
        .ok()
        .says("support-spend is set: firing")
        .says("spend of support/** in 1 day: $3.00 (limit $2.50; cost known for 1 of 2 calls)");
    let _said = line(&node, &["alert", "set", "each", "--each-prompt", "--spend-over", "10"])
        .ok()
        .says("each is set: ok")
        .says("spend of secret/plan in 1 day: $9.00 (limit $10.00)");
    let _said = line(&node, &["alert", "set", "slow", "--p95-over", "3s"])
        .ok()
        .says("slow is set: unknown")
        .says("3 calls with a duration, of the 20 that it needs");
    let _said = line(&node, &["alert", "list"]).ok().says("support-spend  firing").says("each           ok");
    let _said = line(&node, &["status"]).ok().says("support-spend is firing: spend of support/**");
    let alerts = node.get("/v1/alerts").ok();
    let states: Vec<_> = alerts.as_array().expect("alerts").iter().map(|alert| &alert["state"]).collect();
    assert_eq!(states, ["ok", "unknown", "firing"], "by name: {alerts}");
    assert_eq!(node.get("/v1/status").ok()["alerts"][0]["name"], "support-spend");
    assert!(node.get("/metrics").text().contains("\nbookholder_alerts_firing 1\n"));
    let page = node.get("/ui/alerts").text();
    assert!(page.find("support-spend") < page.find(">each<") && page.contains("limit $2.50"), "{page}");
    assert!(node.get("/ui/usage").text().contains("href=\"/ui/alerts\""));
    let _said = line(&node, &["alert", "remove", "support-spend", "--yes"]).ok().says("removed support-spend");
    assert_eq!(node.get("/v1/alerts").ok().as_array().map(Vec::len), Some(2));
    assert!(node.get("/metrics").text().contains("\nbookholder_alerts_firing 0\n"));
    let gone = node.change("DELETE", "/v1/alerts/support-spend", &Value::Null);
    assert_eq!(gone.status, 404, "{}", gone.text());
}

#[test]
fn alert_is_seen_by_those_who_can_read_its_prompts_and_set_by_those_who_manage_webhooks() {
    let node = node_with_calls();
    for (name, prompts) in
        [("all", "**"), ("secret", "secret/plan"), ("folder", "support/**"), ("agent", "support/agent")]
    {
        let rule = json!({"metric": "spend", "threshold": 1, "prompts": prompts, "per_s": 3600});
        assert_eq!(node.change("PUT", &format!("/v1/alerts/{name}"), &rule).status, 201, "{name}");
    }
    let token = json!({"name": "narrow", "role": "reader", "prompts": "support/**"});
    let token = node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("shown once").to_owned();
    let bearer = format!("Bearer {token}");
    let narrow = |method: &str, path: &str, body: &[u8]| {
        node.send(method, path, &[("authorization", &bearer), ("content-type", "application/json")], body)
    };
    let seen = narrow("GET", "/v1/alerts", b"").ok();
    let names: Vec<_> = seen.as_array().expect("alerts").iter().map(|alert| &alert["name"]).collect();
    assert_eq!(names, ["agent"], "{seen}");
    let status = narrow("GET", "/v1/status", b"").text();
    assert!(status.contains("\"agent\"") && !status.contains("secret"), "{status}");
    let rule = br#"{"metric":"spend","threshold":1,"per_s":3600}"#;
    assert_eq!(narrow("PUT", "/v1/alerts/mine", rule).status, 403);
    assert_eq!(narrow("DELETE", "/v1/alerts/all", b"").status, 403);
    let mut replica = Node::replica(&node);
    let refused = replica.get("/v1/alerts");
    assert!(refused.status == 403 && refused.text().contains("primary_only"), "{}", refused.text());
    replica.stop();
}

fn signed<'n>(node: &'n Node, token: &str) -> Browser<'n> {
    let mut browser = Browser::new(node);
    assert_eq!(browser.sign_in(token).status, 303);
    browser
}

/// Sends a form of a page to the page.
fn send(browser: &mut Browser<'_>, path: &str, fields: &[(&str, &str)]) -> Answer {
    let form = form_token(&browser.page(path));
    browser.submit(path, &[&[("form", form.as_str())], fields].concat())
}

#[test]
fn alert_is_created_changed_and_removed_on_its_page() {
    let node = node_with_calls();
    let mut admin = signed(&node, ADMIN);
    let list = "/ui/alerts";
    let sent = |answer: Answer| {
        assert_eq!(answer.status, 303, "{}", answer.text());
        answer.header("location").map(str::to_owned).expect("a place")
    };
    let refused = |answer: Answer, part: &str| {
        let page = answer.text();
        assert!((400..500).contains(&answer.status), "{page}");
        assert!(page.contains("Nothing was changed.") && page.contains(part), "{part} in {page}");
        page
    };
    let spend = [("do", "save"), ("metric", "spend"), ("limit", "2.50"), ("per", "1d"), ("prompts", "support/**")];
    let create = [&spend[..], &[("name", "support-spend"), ("min_calls", "20")]].concat();
    assert_eq!(sent(send(&mut admin, list, &create)), "/ui/alerts?done=create");
    let page = admin.page("/ui/alerts?done=create");
    assert!(
        page.contains("Created.") && page.contains(">firing<") && page.contains("/ui/alerts/support-spend"),
        "{page}"
    );
    let page = refused(send(&mut admin, list, &create), "support-spend");
    assert!(page.contains("value=\"2.50\""), "what was typed is there again: {page}");
    let much = [("do", "save"), ("name", "errors"), ("metric", "error_rate"), ("per", "1h"), ("limit", "500")];
    refused(send(&mut admin, list, &much), "0.05 for 5%");
    let none = [("do", "save"), ("name", "errors"), ("metric", "error_rate"), ("per", "1h"), ("limit", "few")];
    refused(send(&mut admin, list, &none), "Limit: use percent");

    let path = "/ui/alerts/support-spend";
    let page = admin.page(path);
    let seen = page.split_once("name=\"seen\" value=\"").and_then(|(_, rest)| rest.split('"').next()).expect("a hash");
    let change = [&spend[..2], &[("limit", "4"), ("per", "7d"), ("each", "yes"), ("seen", seen)]].concat();
    assert_eq!(sent(send(&mut admin, path, &change)), "/ui/alerts?done=save");
    let alert = node.get("/v1/alerts").ok()[0].clone();
    let rule = json!({"metric": "spend", "threshold": 4.0, "prompts": "**", "each_prompt": true, "per_s": 604_800, "min_calls": 20});
    assert_eq!((&alert["rule"], &alert["state"]), (&rule, &json!("firing")), "its value was read at once");
    refused(send(&mut admin, path, &change), "someone else changed this");
    let audit = node.send("GET", "/v1/audit?limit=1000", &[], b"").ok();
    let entry = audit["items"].as_array().and_then(|items| items.iter().rfind(|entry| entry["command"] == "put-alert"));
    let entry = entry.expect("an entry");
    assert_eq!(entry["actor"], "admin", "{entry}");

    // Those who can see an alert and manage none get no form, and are refused without one.
    let person = json!({"name": "rita", "kind": "person", "grants": [{"role": "reader"}]});
    let _person = node.change("POST", "/v1/principals", &person).ok();
    let token = json!({"name": "rita", "principal": "rita"});
    let token = node.change("POST", "/v1/tokens", &token).ok()["token"].as_str().expect("shown once").to_owned();
    let mut rita = signed(&node, &token);
    for page in [list, path] {
        let html = rita.page(page);
        assert!(html.contains("support-spend") && !html.contains("name=\"do\""), "{html}");
    }
    let form = form_token(&rita.page("/ui/"));
    for (to, fields) in [(list, create.as_slice()), (path, &change), (path, &[("do", "remove")])] {
        let answer = rita.submit(to, &[&[("form", form.as_str())], fields].concat());
        assert_eq!(answer.status, 403, "{to} {fields:?}: {}", answer.text());
    }
    assert_eq!(sent(send(&mut admin, path, &[("do", "remove")])), "/ui/alerts?done=remove");
    assert_eq!(node.get("/v1/alerts").ok(), json!([]));
    assert_eq!(admin.get(path).status, 404);
}

#[test]
fn invalid_alerts_are_refused_with_what_to_write() {
    let node = Node::primary();
    for (name, rule, part) in [
        ("a", json!({"metric": "spend", "threshold": -1, "per_s": 3600}), "above 0"),
        ("a", json!({"metric": "error_rate", "threshold": 5, "per_s": 3600}), "0.05 for 5%"),
        ("a", json!({"metric": "spend", "threshold": 1, "per_s": 1}), "use 300 to"),
        ("a", json!({"metric": "heat", "threshold": 1, "per_s": 3600}), "spend_growth"),
        ("a", json!({"metric": "unattributed_share", "threshold": 0.1, "prompts": "a", "per_s": 3600}), "leave out"),
        ("A%20B", json!({"metric": "spend", "threshold": 1, "per_s": 3600}), "a-z 0-9"),
    ] {
        let refused = node.change("PUT", &format!("/v1/alerts/{name}"), &rule);
        assert!([400, 422].contains(&refused.status), "{rule}: {}", refused.text());
        assert!(refused.text().contains(part), "{rule}: {}", refused.text());
    }
    assert_eq!(node.get("/v1/alerts").ok(), json!([]));
}

//! Observe first: prompts that are in an application, from the first call to the day they are in the registry.

use serde_json::{Value, json};

use super::by_text::{call_with, found, without_prompt};
use super::{JSON, PROTOBUF, call, export, fixture, primary_for_recordings, recorded, traces};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::{ADMIN, Launch, Node};
use crate::ui::{Browser, form_token};

fn recording() -> Node {
    primary_for_recordings().args(["--record-content"]).start()
}

fn line(node: &Node, line: &str) -> Bookholder {
    bookholder(line.split(' ')).server(node)
}

/// What the primary observed, to somebody with an access token for everything.
fn observed(node: &Node) -> Value {
    node.send("GET", "/v1/observed", &[], b"").ok()
}

/// The observed prompts, as soon as there are so many calls.
fn with_calls(node: &Node, calls: u64) -> Vec<Value> {
    node.until(&format!("{calls} calls are observed"), || {
        let prompts = observed(node)["prompts"].as_array().expect("a list").clone();
        let sum: u64 = prompts.iter().filter_map(|prompt| prompt["calls"].as_u64()).sum();
        (sum == calls).then_some(prompts)
    })
}

fn greeting(name: &str) -> String {
    format!("You are the support agent of Globe. Greet {name} and answer in one sentence.")
}

#[test]
fn prompts_in_an_application_are_observed_adopted_and_from_then_on_attributed() {
    let primary = recording();
    let replica = Launch::replica_of(&primary).args(["--record-content"]).start();
    replica.follow(&primary);
    primary.publish("support/known", "This text is in the registry already.");
    let spans = traces(&[
        call_with(1, 1, &greeting("Ann")),
        call_with(1, 2, &greeting("Bob")),
        call_with(1, 3, "Translate into French."),
        call_with(1, 4, "This text is in the registry already."),
        call(1, 5, 0, "no/such"),
    ]);
    for node in [&replica, &replica, &primary] {
        assert_eq!(export(node, "/v1/traces", JSON, &spans).status, 200);
    }
    let prompts = with_calls(&primary, 3);
    let texts: Vec<&str> = prompts.iter().filter_map(|prompt| prompt["text"].as_str()).collect();
    assert_eq!(texts, [greeting("{{var1}}").as_str(), "Translate into French."], "sent three times, counted once");
    let first = &prompts[0];
    assert_eq!((&first["calls"], &first["variables"], &first["errors"]), (&json!(2), &json!(1), &json!(0)));
    assert_eq!(first["models"], json!([{"model": "gpt-5", "calls": 2}]));
    // 1,000 tokens at 1.25 dollars and 500 at 10 dollars a million, twice.
    assert_eq!((&first["cost_usd"], &first["priced_calls"]), (&json!("0.0125"), &json!(2)));

    let id = first["id"].as_str().expect("an id");
    let _said = line(&primary, &format!("observed adopt {id} support/greeting")).ok();
    let version = primary.get("/v1/prompts/support%2Fgreeting/versions/1").ok();
    assert_eq!(version["content"]["text"], greeting("{{var1}}"), "{version}");
    let message = version["message"].as_str().expect("a message");
    assert!(message.starts_with(&format!("Adopt observed prompt {id}: 2 calls of gpt-5 from ")), "{message}");
    assert_eq!(export(&primary, "/v1/traces", JSON, &traces(&[call_with(2, 1, &greeting("Eve"))])).status, 200);
    assert_eq!(found(&primary, "r-2-1"), ("support/greeting@1".to_owned(), "text".to_owned()));
    let after = observed(&primary)["prompts"][0].clone();
    assert_eq!(after["adopted"], json!({"prompt": "support/greeting", "version": 1}));
    assert_eq!(after["calls"], 2, "later calls belong to the version");
    // Once more changes nothing.
    let again = line(&primary, &format!("observed adopt {id} support/greeting")).ok().stdout;
    assert!(again.contains("already has this content"), "{again}");
    let list = line(&primary, "observed").ok().stdout;
    assert!(list.contains("adopted as support/greeting@1") && list.contains("Translate into French."), "{list}");
    let shown = line(&primary, &format!("observed show {id}")).ok().stdout;
    assert!(shown.contains(&greeting("{{var1}}")) && shown.contains("gpt-5"), "{shown}");
}

#[test]
fn real_instrumentation_without_a_registry_is_observed_as_one_prompt() {
    let primary = recording();
    for number in 1..=3 {
        let body = without_prompt(&fixture(&format!("recorded/otel-content-{number}.traces.pb")));
        assert_eq!(export(&primary, "/v1/traces", PROTOBUF, &body).status, 200);
    }
    let prompts = with_calls(&primary, 10);
    assert_eq!(prompts.len(), 1, "{prompts:?}");
    assert_eq!(prompts[0]["text"], "You are the support agent of Globe. Be kind.");
    assert_eq!(prompts[0]["errors"], 1);
}

#[test]
fn nothing_is_observed_where_content_is_not_recorded() {
    let node = Node::primary();
    assert_eq!(export(&node, "/v1/traces", JSON, &traces(&[call_with(3, 1, &greeting("Ann"))])).status, 200);
    let _there = recorded(&node, "r-3-1");
    let answer = observed(&node);
    assert_eq!((&answer["recording"], &answer["prompts"]), (&json!(false), &json!([])));
    let said = line(&node, "observed").ok().stderr;
    assert!(said.contains("--record-content"), "{said}");
}

#[test]
fn observed_prompts_are_for_readers_of_everything_with_a_token_and_adopting_for_those_who_may_publish() {
    let node = recording();
    assert_eq!(export(&node, "/v1/traces", JSON, &traces(&[call_with(4, 1, &greeting("Ann"))])).status, 200);
    let id = with_calls(&node, 1)[0]["id"].as_str().expect("an id").to_owned();
    let token = |name: &str, role: &str, prompts: &str| {
        let grants = json!([{"role": role, "prompts": prompts}]);
        let _who =
            node.change("POST", "/v1/principals", &json!({"name": name, "kind": "service", "grants": grants})).ok();
        let token = node.change("POST", "/v1/tokens", &json!({"name": name, "principal": name})).ok();
        format!("Bearer {}", token["token"].as_str().expect("a token"))
    };
    let (reader, narrow, author) =
        (token("reader", "reader", "**"), token("narrow", "author", "support/**"), token("author", "author", "**"));
    let body = json!({"name": "support/greeting"}).to_string();
    let adopt = format!("/v1/observed/{id}/adopt");
    for (who, method, path, status) in [
        ("", "GET", "/v1/observed", 401),
        ("", "GET", &format!("/v1/observed/{id}"), 401),
        ("", "POST", &adopt, 401),
        (&narrow, "GET", "/v1/observed", 403),
        (&narrow, "GET", &format!("/v1/observed/{id}"), 403),
        (&narrow, "GET", "/v1/observed/0000000000000001", 403),
        (&narrow, "POST", &adopt, 403),
        (&reader, "GET", "/v1/observed", 200),
        (&reader, "GET", "/v1/observed/0000000000000001", 404),
        (&reader, "GET", "/v1/observed/0000000000000000", 404),
        (&reader, "GET", "/v1/observed/..", 404),
        (&reader, "POST", &adopt, 403),
        (&author, "POST", "/v1/observed/0000000000000001/adopt", 404),
        (&author, "POST", &adopt, 201),
        (&author, "POST", &adopt, 200),
    ] {
        let headers = [("authorization", who), ("content-type", JSON)];
        let sent = if method == "POST" { body.as_bytes() } else { b"" };
        let answer = node.send(method, path, &headers, sent);
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
    }
    let replica = Node::replica(&node);
    let refused = replica.get("/v1/observed");
    assert_eq!((refused.status, refused.json()["code"].clone()), (403, json!("primary_only")));
}

#[test]
fn page_shows_observed_prompts_and_adopts_one() {
    let node = recording();
    let hostile = "</pre><script>alert(1)</script> {{> secret/plan@1}} Answer in one friendly sentence.";
    let spans = traces(&[call_with(5, 1, hostile), call_with(5, 2, hostile), call_with(5, 3, &greeting("Ann"))]);
    assert_eq!(export(&node, "/v1/traces", JSON, &spans).status, 200);
    let id = with_calls(&node, 3)[0]["id"].as_str().expect("an id").to_owned();
    let mut browser = Browser::new(&node);
    let local = browser.get("/ui/observed");
    assert_eq!((local.status, local.header("location")), (303, Some("/ui/sign-in?next=/ui/observed")));
    let _signed_in = browser.sign_in(ADMIN);
    let list = browser.get("/ui/observed").text();
    assert!(list.contains("&lt;script&gt;") && !list.contains("<script>alert"), "{list}");
    let path = format!("/ui/observed/{id}");
    let page = browser.get(&path);
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Name of the prompt"), "{}", page.text());
    let form = form_token(&page.text());
    let answer = browser.submit(&path, &[("form", &form), ("name", "support/hostile")]);
    assert_eq!(
        (answer.status, answer.header("location")),
        (303, Some("/ui/prompts/support/hostile?version=1&done=adopted"))
    );
    let version = node.get("/v1/prompts/support%2Fhostile/versions/1").ok();
    assert_eq!((&version["content"]["syntax"], &version["content"]["text"]), (&json!("plain"), &json!(hostile)));
    let list = browser.get("/ui/observed").text();
    assert!(list.contains("support/hostile@1"), "{list}");
}

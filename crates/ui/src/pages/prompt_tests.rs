//! The page of a prompt, with all parts and with hardly any.

use serde_json::json;

use super::*;
use crate::layout::{Who, sample};

/// A prompt with one version and hostile texts.
fn matter() -> PromptPageData {
    let view: PromptView = serde_json::from_value(json!({
        "name": "support/<svg onload=x>", "created": "2026-03-01T00:00:00Z", "changed": "2026-03-20T14:00:00Z", "latest": 2,
        "labels": [{"label": "production", "serving": {"version": 1}, "deployment": 5, "since": "2026-03-20T14:00:00Z"}],
        "dependents": ["other/one@3"],
    }))
    .expect("a prompt");
    let version = json!({
        "number": 1, "content_id": format!("b3:{}", "a".repeat(64)), "semver": "1.0.0", "author": "ann<b>",
        "message": "why\u{202e}", "created": "2026-03-01T00:00:00Z", "commit": 3,
        "includes": [{"name": "shared/tone", "version": 3, "content_id": format!("b3:{}", "b".repeat(64))}],
    });
    let content = json!({
        "syntax": "mustache", "text": "</script><script>alert(1)</script> {{shop}}",
        "variables": [{"name": "shop", "required": true, "description": "<i>"}],
        "model": {"name": "gpt", "parameters": {"temperature": 0.5}},
        "tools": [{"function": {"name": "</summary><script>"}}], "response_schema": {"a": "<script>"},
        "config": {"k": "</pre>"},
    });
    let deployment = |id: u64, at: &str, action: &str, to: u64| -> Deployment {
        serde_json::from_value(json!({
            "id": id, "name": "support/<svg onload=x>", "label": "production", "at": at, "actor": "rob", "message": "'\"><b>",
            "action": action, "from": null, "to": {"version": to}, "approved_by": ["cy"],
        }))
        .expect("a deployment")
    };
    let deployments =
        vec![deployment(5, "2026-03-20T14:00:00Z", "deploy", 1), deployment(4, "2026-03-19T14:00:00Z", "deploy", 2)];
    let finding = json!({"rule": "r", "rule_version": 1, "category": "secrets", "severity": "high", "target": "text",
        "start": 0, "end": 1, "line": 1, "hash": "", "message": "<u>"});
    PromptPageData {
        shown: Ok(Box::new(VersionView {
            version: serde_json::from_value(version.clone()).expect("a version"),
            stamp: "s@1+a".to_owned(),
            content: serde_json::from_value(content).expect("a content"),
            source: None,
        })),
        versions: vec![serde_json::from_value(version).expect("a version")],
        why: ShownBecause::Served("production".to_owned()),
        at: Some(At { at: Timestamp::from_ms(1_774_000_000_000), served: vec![deployments[1].clone()] }),
        findings: BTreeMap::from([(1, vec![serde_json::from_value(finding).expect("a finding")])]),
        used_by: Some(vec!["checkout".to_owned()]),
        in_use: None,
        gates: Vec::new(),
        demanded: vec!["regress<b>".to_owned()],
        runs: false,
        pending: vec![9],
        publishes: false,
        deploys: BTreeSet::from(["production".to_owned()]),
        retires: true,
        removes: true,
        policies: BTreeMap::from([("production".to_owned(), vec!["release".to_owned()])]),
        protects: true,
        arriving: None,
        back: None,
        done: None,
        older: Some("1".to_owned()),
        view,
        deployments,
    }
}

fn signed() -> Who {
    Who::Signed { name: "ann".to_owned(), token: "laptop".to_owned(), form: "f00".to_owned() }
}

#[test]
fn prompt_page_shows_what_is_live_with_reason_and_content() {
    let shown = page(&sample(signed()), &matter());
    for part in [
        "<var>{{shop}}</var>",
        "<code>gpt</code>",
        "what production serves",
        "approved by cy",
        "/ui/prompts/shared/tone?version=3",
        "/ui/prompts/other/one?version=3",
        "checkout",
        "request 9 open",
        "class=\"tag high\"",
        "Protected by <a href=\"/ui/access/policies/release\">release</a>",
        "action=\"/ui/retire\"",
        "action=\"/ui/remove\"",
        "Returns to <b class=\"version\">v2</b>.",
        "served <a class=\"version\" href=\"?version=2\">v2</a>",
        "name=\"serves\" value=\"5\"",
        "href=\"?older=1#versions\"",
        "1 h ago",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
}

#[test]
fn prompt_page_escapes_text_of_others() {
    let shown = page(&sample(signed()), &matter());
    for bad in ["<svg onload", "<i>", "<u>", "\"><b>", "alert(1)</script>", "\u{202e}", "</pre>\""] {
        assert!(!shown.contains(bad), "{bad} in {shown}");
    }
    assert_eq!(shown.matches("<script").count(), 1, "only the page's own");
    assert!(shown.contains("U+202E") && !shown.contains(" style="), "{shown}");
}

#[test]
fn rollback_is_offered_only_to_signed_in_visitors_of_a_primary() {
    for (who, label, expected) in
        [(signed(), "production", true), (signed(), "staging", false), (Who::Local, "production", false)]
    {
        let deploys = BTreeSet::from([label.to_owned()]);
        let shown = page(&sample(who.clone()), &PromptPageData { deploys, ..matter() });
        assert_eq!(shown.contains("action=\"/ui/rollback\""), expected, "{who:?} {label}");
    }
    let only = PromptPageData { deployments: vec![matter().deployments.remove(0)], ..matter() };
    assert!(!page(&sample(signed()), &only).contains("/ui/rollback"), "there is nothing to go back to");
    let mut back = matter();
    back.deployments[0].action = Action::Rollback;
    assert!(!page(&sample(signed()), &back).contains("/ui/rollback"), "version 2 was rolled back");
}

#[test]
fn prompt_without_labels_or_content_renders() {
    let mut bare = matter();
    bare.view.labels.clear();
    bare.shown = Err("archived <b>".to_owned());
    (bare.deployments, bare.at, bare.used_by) = (Vec::new(), None, None);
    let shown = page(&sample(Who::Local), &bare);
    assert!(shown.contains("Not deployed to any label") && shown.contains("archived &lt;b&gt;"), "{shown}");
}

#[test]
fn recent_deployment_shows_its_arrival() {
    for (holding, known, missing, expected, again) in [
        (2, 3, vec!["edge<1>"], "on <b>2 of 3</b> connected replicas. Waiting for edge&lt;1&gt;", true),
        (1, 1, vec![], "the connected replica", false),
        (3, 3, vec![], "all 3 connected replicas", false),
        (0, 25, vec!["a", "b"], "a, b and 23 more", true),
    ] {
        let missing = missing.into_iter().map(str::to_owned).collect();
        let arriving = Some(Rollout { holding, known, missing });
        let shown = page(&sample(Who::Local), &PromptPageData { arriving, ..matter() });
        assert!(shown.contains(expected), "{expected} in {shown}");
        assert_eq!(shown.contains("data-again=\"1000\""), again, "{expected}");
    }
}

//! The page of a change request, for visitors with all, some and no permissions.

use super::*;
use crate::layout::{Who, sample};

fn matter(may: Option<AllowedActions>) -> ReviewPageData {
    let json = r#"{"request":{"id":12,"message":"Warmer <script>","author":"ann","created":"2026-03-20T14:00:00Z",
        "expires":"2026-04-19T15:00:00Z","state":"open","automatic":true,"moves":[{"name":"support/agent",
        "label":"production","serving":{"version":7},"contents":{},"fingerprint":"0123456789abcdef"}],
        "events":[{"at":"2026-03-20T14:30:00Z","by":"cy","roles":["compliance"],"kind":"approve","message":"Fine\u202e<img>"}]},
        "moves":[{"name":"support/agent","label":"production","from":{"version":6},
        "diff":{"text":"@@ -1 +1 @@\n-Hello\n+Hello <b>you</b>\n"},
        "interface":{"bump":"major","reasons":["`x` is required now"]},
        "findings":[{"rule":"r","rule_version":1,"category":"secrets","severity":"high","target":"text","start":0,"end":1,
        "line":1,"hash":"","message":"<u>"}],
        "requirements":[{"policy":"prod","kind":"approvals","met":false,"says":"2 approvals of this exact change (1 so far)"},
        {"policy":"prod","kind":"message","met":true,"says":"a message"}],
        "reviewers":[{"name":"bo","roles":["releaser"]}],"dependents":["support/router@3"],"used_by":["shop"]}],
        "complete":false}"#;
    let view = serde_json::from_str(json).expect("a change request");
    ReviewPageData { view, contents: vec![None], may, done: None }
}

fn may() -> AllowedActions {
    let yes = || Ok(());
    AllowedActions { approve: yes(), reject: yes(), apply: yes(), withdraw: true, overrides: true, approves: false }
}

fn signed() -> Who {
    Who::Signed { name: "bo".to_owned(), token: "t".to_owned(), form: "f00".to_owned() }
}

#[test]
fn review_page_shows_diff_unmet_requirements_and_discussion() {
    let shown = page(&sample(Who::Local), &matter(None));
    for part in [
        "<span class=\"quiet\">#12</span>",
        "Warmer &lt;script&gt;",
        "<code title=\"0123456789abcdef\">0123456789ab</code>",
        "Major: may break existing callers.",
        "Not met: </span></span><div>2 approvals of this exact change (1 so far)",
        "Can be met by: bo (releaser)",
        "Met: </span></span><div>a message",
        "/ui/prompts/support/router?version=3",
        "<span class=\"tag\">shop</span>",
        "(compliance)",
        "Fine<span class=\"odd\">U+202E</span>&lt;img&gt;",
        "&lt;u&gt;",
        "&lt;b&gt;you",
        "1 requirement not met",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("<form class=\"stack\""), "nobody is signed in: {shown}");
    assert_eq!(shown.matches("<script").count(), 1, "only the page's own");
}

#[test]
fn closed_request_shows_what_was_approved() {
    let mut closed = matter(None);
    closed.view.request.state = RequestState::Applied;
    closed.view.moves[0].requirements.clear();
    let shown = page(&sample(Who::Local), &closed);
    for part in
        ["<h3>Before</h3>", "Major: may break existing callers.", "&lt;u&gt;", "&lt;b&gt;you", "asked to deploy"]
    {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("<h3>Now</h3>"), "{shown}");
}

#[test]
fn review_forms_need_permission_and_carry_fingerprints() {
    let shown = page(&sample(signed()), &matter(Some(may())));
    for part in [
        "name=\"kind\" value=\"approve\"",
        "name=\"fingerprints\" value=\"0123456789abcdef\"",
        "name=\"allow_major\"",
        "name=\"break_glass\"",
        "name=\"kind\" value=\"withdraw\"",
        "name=\"kind\" value=\"reject\"",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let no = || Err("for <reasons>".to_owned());
    let barred =
        AllowedActions { approve: no(), reject: no(), apply: no(), withdraw: false, overrides: false, approves: false };
    let shown = page(&sample(signed()), &matter(Some(barred)));
    assert_eq!(shown.matches("Not allowed: for &lt;reasons&gt;.").count(), 2, "{shown}");
    for kind in ["approve", "apply", "reject", "withdraw"] {
        assert!(!shown.contains(&format!("name=\"kind\" value=\"{kind}\"")), "{kind} in {shown}");
    }
    let waits = AllowedActions { overrides: false, ..may() };
    let shown = page(&sample(signed()), &matter(Some(waits)));
    assert!(shown.contains("Not allowed: some requirements are not met") && !shown.contains("break_glass"), "{shown}");
}

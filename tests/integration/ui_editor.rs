//! The editor as browsers without scripts meet it: drafts, what they mean, publishing, and two people at one prompt.

use serde_json::{Value, json};

use crate::support::form::Form;
use crate::support::node::{Launch, Node, segment};
use crate::support::team::{AGENT, Team};
use crate::ui::{Browser, form_token};

const EDIT: &str = "/ui/edit/support/agent";

fn signed<'n>(node: &'n Node, token: &str) -> Browser<'n> {
    let mut browser = Browser::new(node);
    assert_eq!(browser.sign_in(token).status, 303);
    browser
}

fn editor(browser: &mut Browser<'_>, path: &str) -> Form {
    Form::of(&browser.page(path), "id=\"editor\"")
}

/// Sends a form, and returns the path that the browser goes on with.
fn press(browser: &mut Browser<'_>, form: &Form, button: &str) -> String {
    let form = form.clone().set("do", button);
    let answer = browser.submit(&form.action, &form.pairs());
    assert_eq!(answer.status, 303, "{button}: {}", answer.text());
    answer.header("location").expect("a path").to_owned()
}

fn content(team: &Team, version: u64) -> Value {
    let path = format!("/v1/prompts/{}/versions/{version}", segment(AGENT));
    team.send("admin", "GET", &path, &Value::Null).ok()["content"].clone()
}

fn publish(team: &Team, who: &str, content: &Value) -> u64 {
    let body = json!({"content": content, "message": "because"});
    let path = format!("/v1/prompts/{}/versions", segment(AGENT));
    team.send(who, "POST", &path, &body).ok()["version"]["number"].as_u64().expect("a number")
}

#[test]
fn prompt_is_written_previewed_and_published_without_scripts() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let mut ann = signed(&team.node, team.token("ann"));
    assert!(ann.page("/ui/new").contains("New prompt"));
    assert!(ann.page("/ui/new?name=a%40b").contains("role=\"alert\""));
    let begun = ann.get(&format!("/ui/new?name={}", segment(AGENT)));
    assert_eq!(begun.header("location"), Some(EDIT));

    let empty = editor(&mut ann, EDIT);
    assert_eq!((empty.get("text"), empty.get("revision")), (Some(""), Some("0")));
    press(&mut ann, &empty.set("text", "Help {{shop}}.\nYou can diagnose illnesses."), "save");
    let page = ann.page(EDIT);
    assert!(page.contains("Add test values for shop"), "{page}");
    let beside = page.split("id=\"beside-text\"").nth(1).and_then(|rest| rest.split("</ul>").next()).expect("a list");
    assert!(beside.contains("data-line=\"2\"") && beside.contains("Diagnosis"), "{beside}");

    let place = press(&mut ann, &Form::of(&page, "id=\"editor\"").set("s.shop", "Acme <b>"), "chat");
    assert_eq!(place, "/ui/edit/support/agent?draft=ann&label=production#m0");
    let form = editor(&mut ann, EDIT);
    press(&mut ann, &form, "example");
    let form = editor(&mut ann, EDIT);
    assert_eq!((form.get("m1.role"), form.get("m2.role")), (Some("user"), Some("assistant")));
    let form = form.set("m1.p0.text", "Hi\n\nthere").set("m2.p0.text", "Hello.").set("m0.p0.text", "Help {{shop}}.");
    press(&mut ann, &form, "up-2");
    let page = ann.page(EDIT);
    assert!(page.contains("Help Acme &lt;b&gt;."), "the preview fills in what is kept: {page}");

    let form = Form::of(&page, "id=\"editor\"").set("v0.description", "Whose customers").set("v0.type", "string");
    let unsaid = form.clone().set("do", "publish");
    let answer = ann.submit(EDIT, &unsaid.pairs());
    assert!(answer.status == 200 && answer.text().contains("role=\"alert\""), "a message is needed: {}", answer.text());
    let form = editor(&mut ann, EDIT).set("message", "First words");
    let path = press(&mut ann, &form, "publish");
    assert_eq!(path, "/ui/prompts/support/agent?version=1&done=published");
    assert!(ann.page(&path).contains("not deployed to any label yet"));
    let expected = json!({"syntax": "mustache", "messages": [
        {"role": "system", "content": "Help {{shop}}."}, {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Hi\n\nthere"}],
        "variables": [{"name": "shop", "required": true, "type": "string", "description": "Whose customers"}]});
    assert_eq!(content(&team, 1), expected);
    assert_eq!(editor(&mut ann, EDIT).get("s.shop"), Some("Acme <b>"), "samples are the prompt's");

    let form =
        editor(&mut ann, EDIT).set("m1.p0.text", "Good day.").set("message", "Politer").set("label", "production");
    let refused = ann.submit(EDIT, &form.clone().set("do", "deploy").pairs());
    assert!(refused.text().contains("is not granted"), "an author does not deploy: {}", refused.text());
    let form = editor(&mut ann, EDIT).set("message", "Politer").set("label", "production");
    assert_eq!(form.get("m1.p0.text"), Some("Good day."), "what was refused is saved");
    assert_eq!(press(&mut ann, &form, "propose"), "/ui/review/1?done=propose");
    assert!(ann.page("/ui/review/1").contains("Good day."));
}

#[test]
fn unedited_fields_are_kept_exactly_and_invalid_ones_shown_again() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let before = json!({"syntax": "plain", "messages": [{"role": "system", "content": "\r\none\r\ntwo\u{0}\u{200b}"},
        {"role": "user", "content": "Hi"}], "config": {"a": 1}});
    publish(&team, "ann", &before);
    let mut ann = signed(&team.node, team.token("ann"));
    let form = editor(&mut ann, EDIT).set("m1.p0.text", "Hello").set("config", "{\"a\": 2, \"b\": [");
    let wrong = ann.submit(EDIT, &form.set("do", "save").pairs());
    let page = wrong.text();
    assert!(wrong.status == 200 && page.contains("id=\"wrong-config\""), "{page}");
    let form = Form::of(&page, "id=\"editor\"");
    assert_eq!((form.get("m1.p0.text"), form.get("config")), (Some("Hello"), Some("{\"a\": 2, \"b\": [")));
    let form = form.set("config", "{\"a\": 2}").set("message", "Less formal");
    press(&mut ann, &form, "publish");
    let mut after = before;
    (after["messages"][1]["content"], after["config"]) = (json!("Hello"), json!({"a": 2}));
    assert_eq!(content(&team, 2), after);
    assert!(ann.page(EDIT).contains("U+200B"), "the preview shows what no reader would see");
}

#[test]
fn concurrent_edits_of_a_prompt_lose_nothing() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let text = |text: &str| json!({"syntax": "plain", "text": text});
    publish(&team, "ann", &text("one\ntwo\nthree"));
    let other = json!({"name": "bea", "kind": "person", "grants": [{"role": "author"}]});
    let _made = team.node.change("POST", "/v1/principals", &other).ok();
    let token = team.node.change("POST", "/v1/tokens", &json!({"name": "bea", "principal": "bea"})).ok();
    let (mut ann, mut bea) =
        (signed(&team.node, team.token("ann")), signed(&team.node, token["token"].as_str().expect("a token")));
    let mine = editor(&mut ann, EDIT).set("text", "ONE\ntwo\nmine");
    press(&mut ann, &mine, "save");
    assert!(bea.page(EDIT).contains("Other drafts: "), "each has a draft of their own");
    let theirs = editor(&mut bea, EDIT).set("text", "one\ntwo\ntheirs\nmore").set("message", "Hers");
    press(&mut bea, &theirs, "publish");

    let form = editor(&mut ann, EDIT).set("message", "Mine");
    let path = press(&mut ann, &form, "publish");
    assert_eq!(path, "/ui/merge/support/agent?draft=ann", "nothing is published over hers");
    let page = ann.page(&path);
    assert!(page.contains("1 conflict.") && page.contains("v2 by bea"), "{page}");
    let stale = Form::of(&page, "/ui/merge/");
    let chosen = stale.clone().set("c0", "theirs");
    let answer = ann.submit(&chosen.action, &chosen.pairs());
    assert_eq!(answer.header("location"), Some("/ui/edit/support/agent?draft=ann&done=merged"), "{}", answer.text());
    let again = ann.submit(&stale.action, &stale.pairs());
    assert!(again.header("location").expect("a path").ends_with("done=moved"), "an old page decides nothing");
    let form = editor(&mut ann, EDIT);
    assert_eq!((form.get("text"), form.get("parent")), (Some("ONE\r\ntwo\r\ntheirs\r\nmore"), Some("2")));
    press(&mut ann, &form.set("message", "Both"), "publish");
    assert_eq!(content(&team, 3), text("ONE\ntwo\ntheirs\nmore"));

    // One draft, open in two windows.
    let (mut left, mut right) = (ann.clone(), ann.clone());
    let (one, two) = (editor(&mut left, EDIT), editor(&mut right, EDIT));
    press(&mut left, &one.set("text", "left"), "save");
    let two = two.set("text", "right");
    let refused = right.submit(&two.action, &two.clone().set("do", "save").pairs());
    let page = refused.text();
    assert!(page.contains("value=\"overwrite\"") && page.contains("right</textarea>"), "{page}");
    press(&mut right, &two, "overwrite");
    assert_eq!(editor(&mut left, EDIT).get("text"), Some("right"));
    let discard = Form::of(&left.page(EDIT), "class=\"stack\" method=\"post\"");
    assert_eq!(press(&mut left, &discard, "discard"), "/ui/prompts/support/agent");
    assert_eq!(editor(&mut left, EDIT).get("revision"), Some("0"));
}

#[test]
fn drafts_need_write_permission() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    publish(&team, "ann", &json!({"syntax": "plain", "text": "one"}));
    let mut nobody = Browser::new(&team.node);
    let away = nobody.get(EDIT);
    assert_eq!((away.status, away.header("location")), (303, Some("/ui/sign-in?next=/ui/edit/support/agent")));
    let mut cy = signed(&team.node, team.token("cy"));
    let refused = cy.get(EDIT);
    let answer = cy.submit(EDIT, &[("form", &form_token(&cy.clone().page("/ui/"))), ("do", "save"), ("text", "x")]);
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert!(refused.status == 403 && refused.text().contains("publish"), "{}", refused.text());
    assert!(!cy.page("/ui/prompts/support/agent").contains("/ui/edit/"), "no way is shown that leads nowhere");
    let mut ann = signed(&team.node, team.token("ann"));
    assert!(ann.page("/ui/prompts/support/agent").contains("/ui/edit/support/agent"));
    let form = editor(&mut ann, EDIT).set("text", "two");
    let forged = form.clone().set("form", &"0".repeat(64)).set("do", "save");
    assert_eq!(ann.submit(EDIT, &forged.pairs()).status, 403);
    let long = form.set("text", &"a".repeat(1_100_000)).set("do", "save");
    let answer = ann.submit(EDIT, &long.pairs());
    assert!(answer.status == 200 && answer.text().contains("the limit is 1048576 bytes"), "it says the limit");
    assert_eq!(editor(&mut ann, EDIT).get("revision"), Some("0"), "nothing was saved");
}

#[test]
fn editor_keeps_choices_and_variables_of_includes() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let part = json!({"content": {"syntax": "mustache", "text": "Temp {{temp}}"}, "message": "because"});
    team.send("admin", "POST", "/v1/prompts/shared%2Fpart/versions", &part).ok();
    let mut admin = signed(&team.node, team.token("admin"));
    let form = editor(&mut admin, EDIT).set("text", "A {{> shared/part@1}} B").set("message", "First");
    press(&mut admin, &form, "publish");
    let form = editor(&mut admin, EDIT).set("v0.type", "number").set("s.temp", "0.5").set("message", "Typed");
    press(&mut admin, &form, "publish");
    let typed = json!([{"name": "temp", "required": true, "type": "number"}]);
    assert_eq!(content(&team, 2)["variables"], typed);
    let form = editor(&mut admin, EDIT)
        .set("text", "Again {{> shared/part@1}}")
        .set("message", "Third")
        .set("label", "staging");
    let wrong = admin.submit(EDIT, &form.clone().set("config", "{oops").set("do", "deploy").pairs());
    let form = Form::of(&wrong.text(), "id=\"editor\"");
    assert_eq!(
        (form.get("label"), form.get("message")),
        (Some("staging"), Some("Third")),
        "nobody goes live elsewhere"
    );
    let path = press(&mut admin, &form.set("config", ""), "save");
    let form = editor(&mut admin, &path);
    assert_eq!((form.get("label"), form.get("message")), (Some("staging"), Some("Third")));
    assert_eq!(press(&mut admin, &form, "deploy"), "/ui/prompts/support/agent?version=3&done=deployed");
    assert_eq!(content(&team, 3)["variables"], typed, "nobody touched it");
}

#[test]
fn authors_of_merged_changes_cannot_approve_and_denials_are_recorded() {
    let team = Team::start(Launch::primary(), &json!({"approvals": 1}));
    let text = |text: &str| json!({"syntax": "plain", "text": text});
    publish(&team, "ann", &text("one\ntwo\nthree"));
    let mut ann = signed(&team.node, team.token("ann"));
    let form_now = editor(&mut ann, EDIT).set("text", "ONE\ntwo\nthree");
    press(&mut ann, &form_now, "save");
    let grants = json!({"grants": [{"role": "compliance"}, {"role": "author"}]});
    team.send("admin", "PUT", "/v1/principals/cy/grants", &grants).ok();
    publish(&team, "cy", &text("one\ntwo\nthree, and whatever cy likes"));
    let merge = Form::of(&ann.page("/ui/merge/support/agent"), "/ui/merge/");
    assert_eq!(ann.submit(&merge.action, &merge.pairs()).status, 303);
    let form = editor(&mut ann, EDIT).set("message", "Both").set("label", "production");
    assert_eq!(press(&mut ann, &form, "propose"), "/ui/review/1?done=propose");
    let looked = team.send("cy", "GET", "/v1/requests/1", &Value::Null).ok();
    let approval = json!({"kind": "approve", "fingerprints": [looked["request"]["moves"][0]["fingerprint"]]});
    let refused = team.send("cy", "POST", "/v1/requests/1/reviews", &approval);
    assert!(refused.status == 403 && refused.text().contains("four eyes"), "{}", refused.text());
    assert!(refused.text().contains("wrote part of support/agent@"), "{}", refused.text());

    // The old window belongs to a deleted draft.
    let old = form.set("text", "from before").set("do", "save");
    let form_now = editor(&mut ann, EDIT).set("text", "new work");
    press(&mut ann, &form_now, "save");
    let late = ann.submit(EDIT, &old.pairs());
    assert!(late.text().contains("value=\"overwrite\""), "{}", late.text());
    assert_eq!(editor(&mut ann, EDIT).get("text"), Some("new work"));

    let next = team.next();
    team.send("admin", "PUT", "/v1/principals/cy/grants", &json!({"grants": [{"role": "compliance"}]})).ok();
    let mut cy = signed(&team.node, team.token("cy"));
    let fields = [("form", form_token(&cy.page("/ui/"))), ("do", "publish".to_owned()), ("text", "x".to_owned())];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(cy.submit(EDIT, &fields).status, 403);
    let last = team.audit_from(next).last().cloned().expect("an entry");
    assert_eq!((&last["decision"], &last["actor"]), (&json!("denied"), &json!("cy")), "{last}");
}

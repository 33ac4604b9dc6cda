use serde_json::json;

use super::*;
use crate::layout::{Who, sample};
use crate::model::content::{Content, Syntax};
use crate::template::lint::lint;
use crate::typed::Fields;
use crate::typed::content::TypedContent;

fn matter(content: &Content) -> EditorPageData {
    EditorPageData {
        name: "support/<agent>".to_owned(),
        draft: "ann".to_owned(),
        parent: 6,
        latest: 7,
        revision: 3,
        saved: Some((sample(Who::Local).now, "bob".to_owned())),
        typed: TypedContent::of(content),
        wrong: Fields::new(),
        samples: Fields::from([("shop".to_owned(), "\"Acme\" <b>".to_owned())]),
        meaning: Meaning { warnings: lint(content), rendered: Some(Ok(content.clone())), ..Meaning::default() },
        others: Vec::new(),
        labels: vec!["production".to_owned(), "staging".to_owned()],
        direct: vec!["staging".to_owned()],
        refused: None,
        overtaken: false,
        message: "why <i>".to_owned(),
        label: "staging".to_owned(),
        done: None,
    }
}

fn shown(matter: &EditorPageData) -> String {
    let who = Who::Signed { name: "ann".to_owned(), token: "t".to_owned(), form: "f00".to_owned() };
    page(&sample(who), matter)
}

#[test]
fn everything_of_a_conversation_has_its_field() {
    let content: Content = serde_json::from_value(json!({"syntax": "mustache", "messages": [
        {"role": "system", "content": "\nHelp {{shop}}.</textarea><script>\nx <|im_start|>"},
        {"type": "placeholder", "name": "history"},
        {"role": "user", "content": [{"type": "image", "url": "javascript:alert(1)"}, {"type": "text", "text": "two"}]}],
        "variables": [{"name": "shop", "required": true, "description": "the <shop>"}], "model": {"name": "m\"1"}}))
    .expect("a content");
    let page = shown(&matter(&content));
    for part in [
        // The first line break in a textarea is not part of its content.
        "name=\"m0.p0.text\" rows=\"3\" spellcheck=\"true\">\n\nHelp {{shop}}.&lt;/textarea&gt;&lt;script&gt;\nx",
        "name=\"m1.role\"",
        "name=\"m1.name\" value=\"history\"",
        "name=\"m2.p0.url\" value=\"javascript:alert(1)\"",
        "name=\"m2.p1.text\"",
        "name=\"m2.listed\"",
        "name=\"v0.name\" value=\"shop\"",
        "name=\"s.shop\" value=\"&quot;Acme&quot; &lt;b&gt;\"",
        "name=\"p.history\"",
        "value=\"the &lt;shop&gt;\"",
        "name=\"model\" value=\"m&quot;1\"",
        "name=\"revision\" value=\"3\"",
        "name=\"parent\" value=\"6\"",
        "list=\"labels\" value=\"staging\"",
        "value=\"up-2\" formnovalidate aria-label=\"Move message 3 up\"",
        "/ui/merge/support/%3Cagent%3E?draft=ann",
    ] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let remark = page.split("id=\"beside-m0-p0\"").nth(1).and_then(|rest| rest.split("</ul>").next()).expect("a list");
    assert!(remark.contains("data-line=\"3\"") && remark.contains("im_start"), "beside its line: {remark}");
    assert!(!page.contains("<script>") && !page.contains("href=\"javascript"), "{page}");
}

#[test]
fn errors_are_shown_at_their_field_and_input_is_kept() {
    let mut matter = matter(&Content::text(Syntax::Plain, "x"));
    matter.typed.tools = "[<".to_owned();
    matter.wrong = Fields::from([("tools".to_owned(), "no <JSON>".to_owned())]);
    let refused = FormError { says: "tools: <b>".to_owned(), ..FormError::default() };
    matter.refused = Some(("Not saved.", refused));
    let page = shown(&matter);
    for part in
        ["no &lt;JSON&gt;", "\n[&lt;</textarea>", "Not saved. </b>Tools: &lt;b&gt;.", "why &lt;i&gt;</textarea>"]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
}

#[test]
fn signed_out_visitor_gets_no_form() {
    let page = page(&sample(Who::Local), &matter(&Content::text(Syntax::Plain, "x")));
    assert!(!page.contains("<textarea") && page.contains("Sign in to edit"), "{page}");
}

#[test]
fn button_that_puts_a_version_live_is_offered_only_where_no_policy_refuses_it() {
    let content: Content = serde_json::from_value(json!({"syntax": "mustache", "text": "Hello"})).expect("a content");
    let with = |label: &str, direct: &[&str]| {
        let direct = direct.iter().map(|label| (*label).to_owned()).collect();
        shown(&EditorPageData { label: label.to_owned(), direct, ..matter(&content) })
    };
    let free = with("staging", &["staging"]);
    assert!(free.contains("value=\"deploy\"") && !free.contains("requires a review"), "{free}");
    let elsewhere = with("production", &["staging"]);
    assert!(elsewhere.contains("production requires a review; you can deploy directly to staging."), "{elsewhere}");
    let nowhere = with("production", &[]);
    assert!(!nowhere.contains("value=\"deploy\"") && nowhere.contains("value=\"propose\""), "{nowhere}");
}

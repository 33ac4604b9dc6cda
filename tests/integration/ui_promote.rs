//! Promoting in the pages: the plan of a folder, the form, and what has changed in between.

use serde_json::json;

use crate::support::form::Form;
use crate::support::node::Node;
use crate::ui::Browser;

const PATH: &str = "/ui/promote?pattern=support/**&from=staging&to=production";

fn staged() -> Node {
    let node = Node::primary();
    for name in ["support/agent", "support/tone"] {
        for (text, label) in [("one", "production"), ("two", "staging")] {
            node.publish_content(name, &json!({"syntax": "plain", "text": text}), &[label]);
        }
    }
    node
}

fn signed(node: &Node) -> Browser<'_> {
    let mut browser = Browser::new(node);
    assert_eq!(browser.sign_in(crate::support::node::ADMIN).status, 303);
    browser
}

#[test]
fn folder_is_promoted_as_its_plan_showed() {
    let node = staged();
    let mut admin = signed(&node);
    assert!(
        admin.page("/ui/?folder=support/").contains("/ui/promote?pattern=support/%2A%2A"),
        "the folder links to it"
    );
    let page = admin.page(PATH);
    assert!(
        page.contains("2 prompts to promote, 0 unchanged") && page.contains("Promote 2 prompts to production"),
        "{page}"
    );
    let form = Form::of(&page, "method=\"post\" action=\"/ui/promote\"").set("message", "Together");
    let done = admin.submit(&form.action, &form.pairs());
    assert_eq!(done.header("location"), Some("/ui/?folder=support/&done=promoted"), "{}", done.text());
    assert!(admin.page("/ui/?folder=support/&done=promoted").contains("Promoted."));
    assert_eq!((node.text("support/agent"), node.text("support/tone")), ("two".to_owned(), "two".to_owned()));
    assert!(admin.page(PATH).contains("0 prompts to promote, 2 unchanged"));
}

#[test]
fn promotion_is_refused_if_the_plan_changed_since_the_page() {
    let node = staged();
    let mut admin = signed(&node);
    let page = admin.page(PATH);
    node.publish_content("support/tone", &json!({"syntax": "plain", "text": "three"}), &["staging"]);
    let form = Form::of(&page, "method=\"post\" action=\"/ui/promote\"").set("message", "Together");
    let refused = admin.submit(&form.action, &form.pairs());
    let text = refused.text();
    assert_eq!(refused.status, 409, "{text}");
    assert!(text.contains("has changed since it was planned") && text.contains("value=\"Together\""), "{text}");
    assert_eq!(node.text("support/agent"), "one", "nothing was changed");
    let again = Form::of(&text, "method=\"post\" action=\"/ui/promote\"");
    assert_eq!(admin.submit(&again.action, &again.pairs()).status, 303, "the page shows the plan of now");
    assert_eq!((node.text("support/agent"), node.text("support/tone")), ("two".to_owned(), "three".to_owned()));
}

#[test]
fn page_explains_what_cannot_be_promoted() {
    let node = staged();
    let mut admin = signed(&node);
    assert!(!admin.page("/ui/promote").contains("method=\"post\" action=\"/ui/promote\""));
    for (query, part) in [
        ("pattern=support/**&from=staging&to=staging", "name another label"),
        ("pattern=support/**&from=staging", "invalid label"),
        ("pattern=support/**&from=staging&to=latest", "always serves the latest"),
        ("pattern=none/*&from=staging&to=production", "No prompts match"),
    ] {
        let page = admin.page(&format!("/ui/promote?{query}"));
        assert!(page.contains(part), "{query}: {page}");
    }
    let mut stranger = Browser::new(&node);
    let sent = stranger.get(PATH);
    assert_eq!(sent.status, 303);
    assert!(sent.header("location").is_some_and(|to| to.starts_with("/ui/sign-in?next=")), "{}", sent.head);
}

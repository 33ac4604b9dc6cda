//! The pages about the library as browsers without scripts meet them: comparing, finding, bringing prompts in.

use serde_json::json;

use crate::support::node::Node;
use crate::ui::Browser;

#[test]
fn any_two_versions_or_labels_are_compared_in_both_ways() {
    let node = Node::primary();
    for text in ["same\nHelp the customers of Globe.\n", "same\nHelp the customers of Acme.\nAnd more.\n", "other"] {
        node.publish("team/a", text);
    }
    let moved = json!({"moves": [{"name": "team/a", "label": "staging", "serving": {"version": 2}}], "message": "why"});
    node.change("POST", "/v1/deployments", &moved).ok();
    let mut browser = Browser::new(&node);
    for query in ["from=1&to=2", "from=1&to=staging"] {
        let page = browser.page(&format!("/ui/diff/team/a?{query}"));
        assert!(page.contains("<ins>Acme.</ins>") && !page.contains("<table"), "{page}");
        let split = browser.page(&format!("/ui/diff/team/a?{query}&view=split"));
        assert!(split.contains("<table") && split.contains("<del>Globe.</del>"), "{split}");
        assert!(
            split.contains(&format!("/ui/diff/team/a?{}&amp;view=split&amp;context=all", query.replace('&', "&amp;")))
        );
    }
    let id = node.get("/v1/prompts/team%2Fa/versions/2").ok()["content_id"].as_str().expect("an id").to_owned();
    let by_content = browser.page(&format!("/ui/diff/team/a?from={}&to=latest", id.get(..20).expect("digits")));
    assert!(by_content.contains("(v2)") && by_content.contains("latest <span class=\"quiet\">(v3)"), "{by_content}");
    assert!(browser.page("/ui/diff/team/a").contains("From v2 to v3"), "production serves the newest already");
    for (query, status) in [("from=0&to=1", 400), ("from=9&to=1", 404), ("from=nolabel&to=1", 404), ("view=x", 400)] {
        assert_eq!(browser.get(&format!("/ui/diff/team/a?{query}")).status, status, "{query}");
    }
}

#[test]
fn a_label_that_serves_several_versions_asks_which_is_meant() {
    let node = Node::primary();
    for text in ["one", "two", "three"] {
        node.publish("a", text);
    }
    let split = json!({"moves": [{"name": "a", "label": "staging", "serving": {"split": {"weights": {"1": 9_000, "2": 1_000}}}}],
        "message": "why"});
    let answer = node.change("POST", "/v1/deployments", &split);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let page = Browser::new(&node).page("/ui/diff/a?from=staging&to=3&view=split");
    assert!(page.contains("Which version of staging?") && page.contains("90 %"), "{page}");
    for number in [1, 2] {
        assert!(page.contains(&format!("href=\"/ui/diff/a?from={number}&amp;to=3&amp;view=split\"")), "{page}");
    }
}

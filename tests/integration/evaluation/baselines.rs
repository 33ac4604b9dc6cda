//! What a comparison counts for: a version is compared with what most callers get, and with itself only where there is
//! nothing else.

use serde_json::{Value, json};

use super::{SUITE, Story};

fn deploy(story: &Story, serving: &Value) -> (u16, String) {
    let moves = json!([{"name": "support/sums", "label": "beta", "serving": serving}]);
    let answer = story.node.change("POST", "/v1/deployments", &json!({"message": "Go live", "moves": moves}));
    (answer.status, answer.text())
}

#[test]
fn comparison_counts_with_the_version_that_most_callers_get() {
    let story = Story::begin();
    let mut suite: Value = serde_json::from_str(SUITE).expect("a suite");
    suite["gate"] = json!({"pass_rate": 0, "margin": 1});
    let file = story.file("margin.json", &suite.to_string());
    let _said = story.line(&["eval", "push", &file]).ok().says("margin version 1");
    let policy = json!({"name": "beta", "prompts": "support/**", "labels": "beta", "gates": ["margin"]});
    assert_eq!(story.node.change("PUT", "/v1/policies/beta", &policy).status, 200);
    let run = |version: &str, against: &str| {
        let _said =
            story.line(&["eval", "run", version, "--suite", "margin", "--against", against]).ok().says("passed");
    };
    run("support/sums@1", "@1");
    assert_eq!(deploy(&story, &json!({"version": 1})).0, 200, "a first version has nothing else to be compared with");

    story.publish("You add numbers well.");
    run("support/sums@2", "@2");
    let (status, text) = deploy(&story, &json!({"version": 2}));
    assert!(status == 403 && text.contains("compared it with something else; add `--against @1`"), "{status} {text}");
    run("support/sums@2", "@beta");
    let split = json!({"split": {"weights": {"1": 4, "2": 6}}});
    assert_eq!(deploy(&story, &split).0, 200);
    run("support/sums@2", "@beta");
    let (status, text) = deploy(&story, &json!({"version": 2}));
    assert_eq!(status, 200, "a version is not its own baseline: {text}");
}

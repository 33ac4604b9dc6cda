//! Publishing, deploying, rolling back, removing, retiring.

use serde_json::json;

use super::{line, publish};
use crate::support::command::bookholder;
use crate::support::node::Node;

#[test]
fn publish_prints_the_version_and_warnings() {
    let node = Node::primary();
    let first = publish(&node, "support/agent", "Hello {{who}}", &["--label", "production"]);
    assert_eq!((&first["version"]["number"], &first["created"]), (&json!(1), &json!(true)));
    assert_eq!(first["version"]["semver"], "1.0.0");
    let said = line(&node, "publish support/agent --file - -m shorter -l staging").input("Hi {{who}}").ok();
    let said = said.says("✓ support/agent@2 published 1.0.1 support/agent@2+").says("served by staging");
    assert_eq!(said.stderr, "");
    let _said = line(&node, "publish support/agent --file - -m again")
        .input("Hi {{who}}")
        .ok()
        .says("already has this content");
    let refused =
        line(&node, "publish support/agent --file - -m new --bump patch").input("Hi {{who}} {{where}}").fails(1);
    let _said = refused.says("where").says("major");
    let again = publish(&node, "support/agent", "Hi {{who}} {{where}}", &["--bump", "major", "--expect", "2"]);
    assert_eq!(again["version"]["semver"], "2.0.0");
    let _said = line(&node, "publish support/agent --file - -m late --expect 2")
        .input("x")
        .fails(1)
        .says("someone else published");
    publish(&node, "shared/tone", "Be kind.", &[]);
    publish(&node, "support/router", "{{> shared/tone@1}} Route it.", &[]);
    let said = line(&node, "publish shared/tone --file - -m kinder").input("Be kinder.").ok();
    let _said = said.says("note: support/router@1 still has the text of an earlier version of ");
    let said = line(&node, "publish typo --file - -m why").input("Hello {{ who }, {% if x %}").ok();
    let _said = said.says("warning: ");
}

#[test]
fn rejected_publication_has_reason_and_hint() {
    let node = Node::primary();
    for (arguments, text, code, part) in [
        ("publish a --file - -m why", "---\nmodel: {nam: x}\n---\ntext", 2, "nam"),
        ("publish a --file - -m why", "{{> nobody/here}}", 1, "nobody/here"),
        ("publish a --file - -m why", "---\nsyntax: jinja\n---\n{% for x in %}", 1, "line 1"),
        ("publish a --file - -m why", "{{role \"wizard\"}}\nhi", 2, "unknown role"),
        ("publish a --file /nowhere/a.prompt -m why", "", 2, "cannot read /nowhere/a.prompt"),
        ("publish a@b --file - -m why", "text", 2, "`@`"),
        ("publish a --file - -m why --label 7", "text", 2, "label"),
        ("publish a --file - -m why --label latest", "text", 1, "always serves the latest version"),
        ("publish a --file - -m why --bump huge", "text", 2, "possible values: patch, minor, major"),
    ] {
        let _said = line(&node, arguments).input(text).fails(code).says(part);
    }
    assert_eq!(node.get("/v1/prompts").ok()["items"], json!([]));
}

#[test]
fn deploying_splitting_and_rules_move_labels_together_or_not_at_all() {
    let node = Node::primary();
    for text in ["one", "two", "three"] {
        publish(&node, "support/agent", text, &[]);
        publish(&node, "support/router", text, &[]);
    }
    let _said =
        line(&node, "deploy support/agent@1 --to production -m first").ok().says("✓ support/agent production: — → 1");
    let _said = line(&node, "deploy support/agent@1 --to production -m again")
        .ok()
        .says("no change: the label already serves this");
    let moved = line(&node, "deploy support/agent@2 support/router@3 --to production -m both --json").ok().json();
    let ids: Vec<_> = moved["deployments"].as_array().expect("two").iter().map(|moved| moved["id"].clone()).collect();
    assert!(ids.len() == 2 && ids[0] == ids[1], "one deployment: {moved}");
    let failed = line(&node, "deploy support/agent@3 support/router@9 --to production -m no").fails(1);
    let _said = failed.says("the prompt `support/router` has no version 9; its latest is 3");
    assert_eq!(node.text("support/agent"), "two", "both or neither");

    let _said = line(&node, "deploy support/agent@2=90 support/agent@3=10 --to production -m try")
        .ok()
        .says("2 → 2 (90%) + 3 (10%)");
    let said = line(&node, "deploy support/agent@2 --rule locale=de*:3 --to production -m German").ok();
    let _said = said.says("locale=de* → 3, else 2");
    let text = |attribute: &str| line(&node, &format!("get support/agent --attr {attribute}")).ok().stdout;
    assert_eq!((text("locale=de-AT").as_str(), text("locale=fr").as_str()), ("three", "two"));
    let _said =
        line(&node, "deploy support/agent@production --to staging -m copy").fails(1).says("not a single version");
    let _said = line(&node, "deploy support/agent@latest --to staging -m copy").ok().says("staging: — → 3");
    for (arguments, code, part) in [
        ("deploy support/agent@2 support/agent@3 --to production -m no", 2, "give each a weight"),
        ("deploy support/agent@2=0 support/agent@3=0 --to production -m no", 1, "weight"),
        ("deploy support/agent --to production -m no", 2, "which version"),
        ("deploy support/agent@2 --to latest -m no", 1, "always serves the latest version"),
        ("deploy nobody@1 --to production -m no", 1, "there is no prompt `nobody`"),
        ("deploy support/agent@2 --to 7 -m no", 2, "label"),
        ("deploy support/agent@2 --to production", 2, "--message"),
        ("deploy support/agent@0 --to production -m no", 2, "versions count from 1"),
    ] {
        let _said = line(&node, arguments).fails(code).says(part);
    }
}

#[test]
fn rollback_returns_to_what_was_served_before_and_a_second_one_goes_further_back() {
    let node = Node::primary();
    for text in ["one", "two", "three"] {
        publish(&node, "a", text, &["--label", "production"]);
    }
    let _said = line(&node, "rollback a --label production -m refusals").ok().says("✓ a production: 3 → 2");
    let _said = line(&node, "rollback a --label production -m further").ok().says("✓ a production: 2 → 1");
    assert_eq!(line(&node, "get a").ok().stdout, "one");
    let _said = line(&node, "rollback a --label production -m nothing").fails(1).says("give a version with --to");
    let _said = line(&node, "rollback a --label production --to 3 -m forward").ok().says("1 → 3");
    let _said = line(&node, "rollback a --label staging -m no")
        .fails(1)
        .says("`a@staging` has no earlier deployment to roll back to");
    publish(&node, "b", "only", &["--label", "production"]);
    let _said = line(&node, "rollback b --label production -m no").fails(1).says("has no earlier deployment");
    let _said = line(&node, "rollback b --label production --to 7 -m no").fails(1).says("has no version 7");
}

#[test]
fn removing_labels_versions_and_prompts_needs_a_message() {
    let node = Node::primary();
    publish(&node, "a", "one", &["--label", "production", "--label", "trial"]);
    publish(&node, "a", "two", &[]);
    let _said = line(&node, "unlabel a --label trial -m over").ok().says("✓ a trial: 1 → —");
    let _said = line(&node, "get a@trial").fails(1).says("has no label `trial`");
    let _said = line(&node, "unlabel a --label latest -m no").fails(1).says("the prompt `a` has no label `latest`");

    let _said = line(&node, "retire a@1 -m bad").fails(1).says("is deployed to `production`");
    let _said = line(&node, "retire a@2 -m It_promised_refunds").ok().says("✓ a@2 is retired");
    let refused = line(&node, "deploy a@2 --to production -m no").fails(1);
    let _said = refused.says("version 2 of `a` was retired by").says("It promised refunds").says("hint: ");
    let undone = line(&node, "retire a@2 --undo -m fine --json").ok().json();
    assert_eq!(undone, json!({"name": "a", "version": 2, "retired": false}));
    let _said = line(&node, "deploy a@2 --to production -m yes").ok().says("1 → 2");

    publish(&node, "b", "{{> a@2}}", &["--label", "production"]);
    let _said = line(&node, "remove a -m gone").fails(1).says("`a` is included by b@1");
    let _said = line(&node, "remove b -m gone").ok().says("✓ b production: 1 → —");
    let _said = line(&node, "remove a -m gone").ok();
    let _said = line(&node, "get a").fails(1).says("the prompt `a` was removed at").says("hint: ");
    let back = publish(&node, "a", "three", &["--label", "production"]);
    assert_eq!(back["version"]["number"], 3, "it goes on counting");
    let _said = line(&node, "remove nobody -m gone").fails(1).says("there is no prompt `nobody`");
}

#[test]
fn exit_codes_distinguish_refusal_usage_and_unreachable_server() {
    let node = Node::primary();
    let _said = line(&node, "get nobody").fails(1).says("there is no prompt `nobody`");
    let _said = line(&node, "frobnicate").fails(2);
    let no_token = bookholder(["remove", "a", "-m", "why"]).env("BOOKHOLDER_SERVER", node.url());
    let _said = no_token.fails(2).says("access token required").says("hint: ");
    let wrong = line(&node, "remove a -m why").env("BOOKHOLDER_TOKEN", "bh_none_of_this_registry");
    let said = wrong.fails(2).says("unknown access token");
    assert!(!said.stderr.contains("bh_none"), "a token is never printed");
    let odd = line(&node, "status").env("BOOKHOLDER_TOKEN", "short");
    let _said = odd.fails(2).says("the access token in BOOKHOLDER_TOKEN is not valid");
    let json = line(&node, "get nobody --json").fails_as_json(1);
    assert_eq!((&json["error"]["kind"], &json["error"]["code"]), (&json!("no"), &json!("prompt_not_found")));
    let nobody = bookholder(["status", "--server", "http://127.0.0.1:1"]);
    let _said = nobody.fails(3).says("cannot reach http://127.0.0.1:1").says("--server or BOOKHOLDER_SERVER");
    let _said = bookholder(["status", "--server", "ftp://x"]).fails(2).says("invalid server address");
    let _said = bookholder(["--version"]).ok().says(env!("CARGO_PKG_VERSION"));
    let _said = bookholder(["--help"]).ok().says("Exit codes: 0 success, 1 refused, 2 usage or configuration error, 3");
    for verb in ["publish", "deploy", "get", "bundle", "serve", "replica"] {
        let _said = bookholder([verb, "--help"]).ok().says("Examples:");
    }
}

#[test]
fn deploying_without_a_version_names_the_newest_ones() {
    let node = Node::primary();
    for text in ["one", "two"] {
        node.publish("support/agent", text);
    }
    let said = line(&node, "deploy support/agent --to production -m why").fails(2);
    let said = said.says("which version of support/agent? The latest are:").says("name one, e.g. support/agent@2");
    let two = said.stderr.find("support/agent@2 (").expect("the newest, with its labels");
    let one = said.stderr.find("support/agent@1 ").expect("the one before");
    assert!(two < one, "newest first: {said:#?}");
    let _said = line(&node, "deploy nothing --to production -m why").fails(1).says("nothing");
}

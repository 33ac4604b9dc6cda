//! Types of prompts: what `types` writes, and when `--check` refuses it.

use std::fs;

use serde_json::json;

use super::{line, publish};
use crate::history;
use crate::support::command::bookholder;
use crate::support::node::Node;

#[test]
fn types_follow_the_label_and_the_check_says_what_moved() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    let live = &["--label", "production"][..];
    publish(&node, "support/agent", "Hello {{who}} of {{shop}}.", live);
    publish(&node, "support/tone", "Be kind.", live);
    publish(&node, "sales/agent", "Hello {{lead}}.", live);
    for (language, file, shown) in
        [("python", "prompts.py", "who: str | float | bool"), ("ts", "prompts.ts", "who: string | number | boolean;")]
    {
        let path = folder.path().join(file);
        let types = |more: &[&str]| {
            let command = bookholder(["types", "support/**", "--lang", language, "--out"]);
            command.arg(&path).args(more).server(&node)
        };
        let _said = types(&["--check"]).fails(2).says(file);
        let _said = types(&[]).ok().says("✓ types of 2 prompts in");
        let _said = types(&["--check"]).ok().says("has the types of 2 prompts");
        let written = fs::read_to_string(&path).expect("a file");
        assert!(written.contains(shown) && !written.contains("sales"), "{written}");
        let printed = bookholder(["types", "support/**", "--lang", language]).server(&node).ok().stdout;
        assert_eq!(printed, written, "without a file, the types are printed");

        let tone = format!("Be kind, says {language}.");
        publish(&node, "support/tone", &tone, live);
        let moved = types(&["--check"]).ok().says("only texts differ").says("~ support/tone");
        assert!(!moved.stdout.contains("support/agent"), "{moved:#?}");
        publish(
            &node,
            "support/agent",
            &format!("Hello {{{{who}}}}, {language}."),
            &["--label", "production", "--allow-major"],
        );
        let _said =
            types(&["--check"]).exits(1).says("~ support/agent").says("has other types").says("without --check");
        let checked = types(&["--check", "--json"]).exits(1).json();
        assert_eq!(checked["current"], false);
        assert_eq!(checked["prompts"].as_array().map(Vec::len), Some(2), "{checked}");
        let _said = types(&[]).ok();
        assert!(!fs::read_to_string(&path).expect("a file").contains("shop"));
        fs::write(&path, fs::read_to_string(&path).expect("a file").replace("who", "whom")).expect("edited");
        let _said = types(&["--check"]).exits(1).says("was edited");
        publish(&node, "support/agent", "Hello {{who}} of {{shop}}.", &["--label", "production", "--allow-major"]);
    }
    let _said = line(&node, "types none/* --lang ts").fails(1).says("no prompt that matches none/* has the label");
    let _said = line(&node, "types --lang ruby").fails(2).says("python, ts");
    let _said = line(&node, "types --lang ts --check").fails(2).says("--out");
}

#[test]
fn types_of_a_split_fit_every_version_of_it() {
    let node = Node::primary();
    let schema = |kind: &str| json!({"type": "object", "properties": {"kind": {"const": kind}}, "required": ["kind"]});
    for (text, kind) in [("{{old}} {{both}}", "old"), ("{{new}} {{both}}", "new")] {
        node.publish_content("a", &json!({"syntax": "mustache", "text": text, "response_schema": schema(kind)}), &[]);
    }
    let _said = line(&node, "deploy a@1=50 a@2=50 --to production -m halves").ok();
    let printed = line(&node, "types --lang ts").ok().stdout;
    for part in
        ["prompt \"a\" 1 b3:", "prompt \"a\" 2 b3:", "both: ", "new: ", "old: ", "kind: \"old\"", "kind: \"new\""]
    {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(line(&node, "types --lang ts --label latest").ok().stdout.matches("// prompt").count() == 1);
}

#[test]
fn types_of_a_real_library_are_written_and_checked() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    let changes: Vec<_> = history::read().into_iter().filter(|change| change.text.is_some()).take(600).collect();
    for batch in changes.chunks(200) {
        let _done = node.change("POST", "/v1/import", &json!({"syntax": "mustache", "changes": batch})).ok();
    }
    let prompts = line(&node, "list --json").ok().json()["items"].as_array().map(Vec::len).expect("prompts");
    assert!(prompts > 100, "{prompts}");
    for language in ["python", "ts"] {
        let path = folder.path().join(language);
        let types =
            |more: &[&str]| bookholder(["types", "--lang", language, "--out"]).arg(&path).args(more).server(&node);
        let written = types(&["--json"]).ok().json();
        assert_eq!(written["prompts"], prompts);
        let _said = types(&["--check"]).ok();
    }
}

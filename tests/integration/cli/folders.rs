//! Prompt files: push, pull, check, and import.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{line, publish};
use crate::support::command::bookholder;
use crate::support::node::Node;

fn write(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
    fs::write(file, text).expect("a file");
}

#[test]
fn folder_is_pushed_pulled_and_checked() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    // The one that includes comes first in the folder, and is published once what it includes is there.
    write(&from, "a/agent.prompt", "---\nlabels: [production]\n---\n{{> shared/tone}}\nHelp {{who}}.\n");
    write(&from, "shared/tone.prompt", "---\nlabels: [production]\n---\nBe kind.\n");
    write(&from, "why.prompt", "---\nlabels: [production]\n---\nWhy?\n");
    write(&from, "README.md", "not a prompt");
    let push = |more: &[&str]| bookholder(["push", "-m", "release"]).arg(&from).args(more).server(&node);
    let _said = push(&["--dry-run"]).ok().says("3 prompts: would be 3 published");
    assert_eq!(node.get("/v1/prompts").ok()["items"], json!([]), "a dry run changes nothing");
    let _said = push(&[]).ok().says("+ a/agent@1").says("+ why@1").says("3 prompts: 3 published");
    let _said = push(&[]).ok().says("3 prompts: 3 unchanged");
    let _said = push(&["--label", "staging"]).ok().says("3 labelled");
    write(&from, "shared/tone.prompt", "---\nlabels: [production]\n---\nBe kinder.\n");
    let pushed = push(&["--json"]).ok().json();
    assert_eq!(pushed["prompts"].as_array().map(Vec::len), Some(3), "{pushed}");

    let pull = |more: &[&str]| bookholder(["pull", "--label", "production", "--out"]).arg(&to).args(more).server(&node);
    let _said = pull(&["--check"]).exits(1).says("+ a/agent 1").says("3 differ");
    let _said = pull(&[]).ok().says("✓ 3 prompts of production");
    let _said = pull(&["--check"]).ok().says("all up to date");
    assert_eq!(fs::read_to_string(to.join("shared/tone.prompt")).expect("a file"), "Be kinder.\n");
    assert_eq!(fs::read_to_string(to.join("a/agent.prompt")).expect("a file"), "{{> shared/tone}}\nHelp {{who}}.\n");
    assert!(to.join("why.prompt").is_file());
    let lock = fs::read_to_string(to.join("bookholder.lock")).expect("a lock file");
    assert!(lock.contains("content_id = \"b3:") && lock.contains("label = \"production\""), "{lock}");

    write(&to, "shared/tone.prompt", "Be rude.\n");
    let _said = pull(&["--check"]).exits(1).says("~ shared/tone").says("changed in the folder").says("1 differ");
    let check = pull(&["--check", "--json"]).exits(1).json();
    assert_eq!((&check["changes"][0]["name"], &check["changes"][0]["local"]), (&json!("shared/tone"), &json!(true)));
    let _said = pull(&[]).fails(1).says("shared/tone.prompt").says("overwrite them with --force");
    let _said = pull(&["--force"]).ok();
    let _said = pull(&["--check"]).ok();
    let _said = line(&node, "remove why -m gone").ok();
    let _said = pull(&["--check"]).exits(1).says("- why 1");
    let _said = pull(&[]).ok();
    assert!(!to.join("why.prompt").exists());
    let _said = bookholder(["pull", "--label", "nobody", "--out"])
        .arg(&to)
        .server(&node)
        .fails(1)
        .says("no prompt has the label nobody");

    fs::remove_file(from.join("why.prompt")).expect("removed");
    publish(&node, "stray", "x", &[]);
    let _said = push(&["--prune"]).ok().says("= stray: it never had a file here");
    let _said = push(&["--prune", "--force"]).ok().says("- stray");
    write(&from, "broken.prompt", "---\nnever closed\n");
    let _said = push(&[]).fails(2).says("broken.prompt").says("nothing was changed");
    write(&from, "broken.prompt", "{{> nobody/at/all}}\n");
    let _said = push(&[]).exits(1).says("✗ broken").says("nobody/at/all").says("1 refused");
    let empty = tempfile::tempdir().expect("a folder");
    let _said = bookholder(["push", "-m", "why"]).arg(empty.path()).server(&node).fails(2).says("has no prompt files");
}

#[test]
fn push_and_its_dry_run_reject_invalid_new_names() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    for path in ["Agent.prompt", "agent.prompt", "a b.prompt", "con/x.prompt"] {
        write(folder.path(), path, "Hi\n");
    }
    for more in [&["--dry-run"][..], &[]] {
        let said = bookholder(["push", "-m", "why"]).arg(folder.path()).args(more).server(&node).exits(1);
        let said =
            said.says("✗ Agent").says("for example `agent`").says("for example `a-b`").says("for example `_con/x`");
        let _said = said.says("+ agent").says("3 refused");
    }
    let listed = node.get("/v1/prompts").ok();
    assert_eq!((&listed["items"][0]["name"], &listed["items"][1]), (&json!("agent"), &json!(null)));
}

#[test]
fn history_import_maps_names_and_is_idempotent() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    let change = |minute: u32, name: &str, text: Option<&str>| {
        let at = format!("2024-05-01T10:{minute:02}:00Z");
        json!({"at": at, "author": "ada", "message": "why", "name": name, "text": text}).to_string() + "\n"
    };
    let history = change(0, "a|b", Some("one"))
        + &change(1, "a|b", Some("two"))
        + &change(2, "c", Some("{{x}}"))
        + &change(3, "c", None);
    let plain = folder.path().join("history.jsonl");
    fs::write(&plain, &history).expect("a file");
    let packed = folder.path().join("history.jsonl.zst");
    fs::write(&packed, zstd::encode_all(history.as_bytes(), 1).expect("packed")).expect("a file");
    let said = bookholder(["import"]).arg(&plain).server(&node).ok();
    let _said = said
        .says("1 prompt renamed:")
        .says("a|b → a-b-")
        .says("✓ 3 versions published, 1 removed, 0 already present, 0 refused");
    let mapped = format!("a-b-{}", &blake3::hash(b"a|b").to_hex()[..12]);
    let again = bookholder(["import", "--json"]).arg(&packed).server(&node).ok().json();
    assert_eq!(
        (&again["published"], &again["known"], &again["renamed"]),
        (&json!(0), &json!(4), &json!({"a|b": mapped}))
    );
    let _said = bookholder(["import", "-"]).input(history.clone()).server(&node).ok().says("4 already present");
    assert_eq!(line(&node, &format!("get {mapped} --at 2024-05-01T10:00:30Z")).ok().stdout, "one");
    let about = node.get(&format!("/v1/prompts/{mapped}/about")).ok();
    assert_eq!(about["description"], "a|b", "what it was called before");
    let _said = line(&node, "get c").fails(1).says("was removed at 2024-05-01T10:03:00Z");
    let log = line(&node, &format!("log {mapped} --json")).ok().json();
    assert_eq!(
        (&log["items"][1]["author"], &log["items"][1]["created"]),
        (&json!("ada"), &json!("2024-05-01T10:00:00Z"))
    );

    let late = change(0, "a|b", Some("older than the latest change")).replace("10:00", "09:00");
    let _said = bookholder(["import", "-"])
        .input(late)
        .server(&node)
        .exits(1)
        .says("✗")
        .says("older than the latest change")
        .says("1 refused");
    let broken = change(4, "d", Some("fine")) + "{\"at\": 7}\n";
    let _said = bookholder(["import", "-"]).input(broken).server(&node).fails(2).says("line 2").says("import again");
    let _said = bookholder(["import", "/nowhere.jsonl"]).server(&node).fails(2).says("cannot read /nowhere.jsonl");
    let _said = bookholder(["import", "-m", "why"]).arg(&plain).server(&node).fails(2).says("remove -m");

    // What was changed here since an import is not overwritten by the next one.
    let import = |history: String| bookholder(["import", "-"]).input(history).server(&node);
    let _said = import(change(6, "a-b", Some("another original"))).ok().says("1 version published");
    assert_eq!(line(&node, &format!("get {mapped}")).ok().stdout, "two");
    let now = jiff::Timestamp::now().to_string();
    let today = |name: &str| {
        json!({"at": now, "author": "ada", "message": "why", "name": name, "text": "imported"}).to_string() + "\n"
    };
    publish(&node, "a-b", "changed here", &["--label", "production"]);
    let _said = import(today("a-b")).exits(1).says("was changed here since the last import").says("1 refused");
    assert_eq!(node.text("a-b@production"), "changed here");

    write(&folder.path().join("prompts"), "x.prompt", "from a folder");
    let import =
        || bookholder(["import", "-m", "moved", "--label", "staging"]).arg(folder.path().join("prompts")).server(&node);
    let _said = import().ok().says("+ x@1");
    let _said = import().ok().says("1 unchanged");
    assert_eq!(line(&node, "get x@staging").ok().stdout, "from a folder");
}

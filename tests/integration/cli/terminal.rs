//! What a person at a terminal is asked, and a script is not.

use super::{line, publish};
use crate::support::command::{Said, bookholder, has_terminal};
use crate::support::node::Node;

/// Runs a command line at a terminal, where somebody answers; its exit code is the last line.
fn typed(node: &Node, line: &str, answer: &str) -> Said {
    bookholder(line.split(' ')).server(node).on_terminal(answer)
}

#[test]
fn destructive_verbs_ask_on_a_terminal_and_take_yes() {
    if !has_terminal() {
        return;
    }
    let node = Node::primary();
    let text = |name: &str| drop(publish(&node, name, "one", &["--label", "production"]));
    text("a");
    let _said = typed(&node, "remove a -m gone", "n\n").says("Remove a?").says("nothing was changed").says("exit 1");
    let _said = typed(&node, "unlabel a --label production -m gone", "\n").says("Take the label").says("exit 1");
    assert_eq!(node.text("a@production"), "one");
    let _said = typed(&node, "remove a -m gone --yes", "").says("exit 0");
    text("a");
    let _said = typed(&node, "remove a -m gone", "y\n").says("Remove a?").says("exit 0");
    text("a");
    let _said = line(&node, "remove a -m gone").ok();

    let _token = line(&node, "token create spare --role reader").ok();
    let _said = typed(&node, "token revoke spare", "no\n").says("Revoke the access token spare?").says("exit 1");
    let _said = line(&node, "token list").ok().says("spare");
    let _said = typed(&node, "token revoke spare -y", "").says("exit 0");

    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("kept.prompt"), "kept\n").expect("a file");
    text("stray");
    let push = format!("push {} -m why --prune", folder.path().display());
    let _said = typed(&node, &push, "n\n").says("stray").says("Remove 1 prompt").says("exit 1");
    assert_eq!(node.text("stray"), "one");
    let _said = line(&node, &push).ok().says("- stray");

    let file = folder.path().join("kept.prompt");
    let _said = bookholder(["draft", "save", "kept", "mine", "--file"]).arg(&file).server(&node).ok();
    let _said = typed(&node, "draft discard kept mine", "n\n").says("Discard the draft mine").says("exit 1");
    let _said = typed(&node, "draft discard kept mine", "yes\n").says("exit 0");
}

#[test]
fn deploying_what_breaks_callers_asks_on_a_terminal_and_is_refused_in_a_script() {
    let node = Node::primary();
    let _one = publish(&node, "a", "Hi", &["--label", "production"]);
    let _two = publish(&node, "a", "Hi {{who}}", &[]);
    let deploy = "deploy a@2 --to production -m why";
    let said = line(&node, deploy).fails(1);
    let _said = said.says("the required variable `who` is new").says("--allow-major");
    let _said = line(&node, &format!("{deploy} --yes")).fails(1);
    if has_terminal() {
        let said = typed(&node, deploy, "n\n");
        let _said =
            said.says("the required variable `who` is new").says("Deploy although callers break?").says("exit 1");
        assert_eq!(node.text("a@production"), "Hi");
        let _said = typed(&node, &format!("{deploy} --yes"), "").says("exit 0");
        let _said = line(&node, "rollback a --label production -m back").ok();
        let _said = typed(&node, deploy, "y\n").says("exit 0");
        let _said = line(&node, "rollback a --label production -m back").ok();
    }
    let _said = line(&node, &format!("{deploy} --allow-major")).ok();
    let three = ["publish", "a", "--file", "-", "-m", "why", "--label", "production"];
    let said = bookholder(three).input("Hi {{who}} {{where}}").server(&node).fails(1);
    let _said = said.says("the required variable `where` is new");
}

#[test]
fn terminal_without_a_width_gets_whole_words() {
    if !has_terminal() {
        return;
    }
    let node = Node::primary();
    let _published = publish(&node, "support/agent", "Hi", &["--label", "production"]);
    // `script` without a terminal of its own reports 0 columns.
    let _said = typed(&node, "list", "").says("support/agent").says("production").says("exit 0");
}

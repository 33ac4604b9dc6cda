//! What a person at a terminal is asked, and a script is not.

use super::{line, publish};
use crate::support::command::{Said, bookholder, has_terminal};
use crate::support::node::Node;

/// Runs a command line on a terminal with scripted answers; its exit code is the last line.
fn typed(node: &Node, line: &str, answer: &str) -> Said {
    bookholder(line.split(' ')).server(node).on_terminal(answer)
}

#[test]
fn destructive_verbs_ask_on_a_terminal_unless_yes() {
    if !has_terminal() {
        return;
    }
    let node = Node::primary();
    let text = |name: &str| drop(publish(&node, name, "one", &["--label", "production"]));
    text("a");
    let erase = typed(&node, "telemetry erase --user user-1", "n\n");
    let _said = erase.says("Erase these texts for good?").says("nothing was changed").says("exit 1");
    let _said = typed(&node, "remove a -m gone", "n\n").says("Remove a?").says("nothing was changed").says("exit 1");
    let _said = typed(&node, "unlabel a --label production -m gone", "\n").says("Remove the label").says("exit 1");
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
    let push = format!("push {} -m why --prune --force", folder.path().display());
    let _said = typed(&node, &push, "n\n").says("stray").says("Remove 1 prompt").says("exit 1");
    assert_eq!(node.text("stray"), "one");
    let _said = line(&node, &push).ok().says("- stray");

    let file = folder.path().join("kept.prompt");
    let _said = bookholder(["draft", "save", "kept", "mine", "--file"]).arg(&file).server(&node).ok();
    let _said = typed(&node, "draft discard kept mine", "n\n").says("Delete the draft mine").says("exit 1");
    let _said = typed(&node, "draft discard kept mine", "yes\n").says("exit 0");
}

#[test]
fn breaking_deployment_asks_on_a_terminal_and_fails_in_a_script() {
    let node = Node::primary();
    let _one = publish(&node, "a", "Hi", &["--label", "production"]);
    let _two = publish(&node, "a", "Hi {{who}}", &[]);
    let deploy = "deploy a@2 --to production -m why";
    let said = line(&node, deploy).fails(1);
    let _said = said.says("the required variable `who` was added").says("--allow-major");
    let _said = line(&node, &format!("{deploy} --yes")).fails(1);
    if has_terminal() {
        let said = typed(&node, deploy, "n\n");
        let _said = said
            .says("the required variable `who` was added")
            .says("Deploy even though this breaks current callers?")
            .says("exit 1");
        assert_eq!(node.text("a@production"), "Hi");
        let _said = typed(&node, &format!("{deploy} --yes"), "").says("exit 0");
        let _said = line(&node, "rollback a --label production -m back").ok();
        let _said = typed(&node, deploy, "y\n").says("exit 0");
        let _said = line(&node, "rollback a --label production -m back").ok();
    }
    let _said = line(&node, &format!("{deploy} --allow-major")).ok();
    let three = ["publish", "a", "--file", "-", "-m", "why", "--label", "production"];
    let said = bookholder(three).input("Hi {{who}} {{where}}").server(&node).fails(1);
    let _said = said.says("the required variable `where` was added");
}

#[test]
fn progress_begins_at_the_start_of_its_line_and_is_cleared() {
    if !has_terminal() {
        return;
    }
    let node = Node::primary();
    let _published = publish(&node, "a", "Hi", &["--label", "production"]);
    let folder = tempfile::tempdir().expect("a folder");
    for line in [
        format!("bundle export {}", folder.path().join("bundle").display()),
        format!("backup {}", folder.path().join("backup").display()),
        format!("report --from 2026-01-01 --out {}", folder.path().join("report.html").display()),
    ] {
        let said = typed(&node, &line, "").says("exit 0");
        let bar = said.stdout.find("0 B/s").expect("a bar");
        let begun = said.stdout.find('\r').expect("a return");
        assert!(begun < bar, "{line}: it is drawn over what is left of it: {said:#?}");
        let after = said.stdout.rsplit("B/s").next().expect("text after the bar");
        assert!(after.trim_start().starts_with("\u{1b}[2K"), "{line}: {said:#?}");
    }
}

#[test]
fn terminal_of_unknown_width_gets_unwrapped_text() {
    if !has_terminal() {
        return;
    }
    let node = Node::primary();
    let _published = publish(&node, "support/agent", "Hi", &["--label", "production"]);
    // `script` without a terminal of its own reports 0 columns.
    let _said = typed(&node, "list", "").says("support/agent").says("production").says("exit 0");
}

#[test]
fn text_ends_with_a_newline_on_a_terminal_and_byte_for_byte_in_a_pipe() {
    let node = Node::primary();
    let _published = publish(&node, "a", "Hi", &["--label", "production"]);
    assert_eq!(line(&node, "get a").ok().stdout, "Hi");
    assert_eq!(line(&node, "get a --render").ok().stdout, "Hi");
    if has_terminal() {
        let said = typed(&node, "get a", "");
        assert!(said.stdout.replace('\r', "").contains("Hi\nexit 0"), "{said:#?}");
    }
}

#[test]
fn rule_file_in_the_help_is_accepted() {
    let node = Node::primary();
    let help = bookholder(["rules", "add", "--help"]).ok().stdout;
    let rules: String = help
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .skip_while(|line| *line != "[[rule]]")
        .take_while(|line| !line.is_empty())
        .flat_map(|line| [line, "\n"])
        .collect();
    let _said = bookholder(["rules", "add", "house", "-"]).input(rules).server(&node).ok();
    let check = bookholder(["rules", "check", "-"]).input("Ask Acme Corp. about it.").server(&node);
    let _said = check.exits(0).says("house.competitor");
}

#[test]
fn empty_lists_name_the_filter_that_emptied_them() {
    if !has_terminal() {
        return;
    }
    let node = Node::primary();
    let _published = publish(&node, "support/agent", "Hi", &["--label", "production"]);
    for (line, said) in [
        ("list agent", "no prompts with the prefix agent"),
        ("history support/agent --label staging", "no deployments to support/agent@staging"),
        ("audit log --denied", "no audit entries match these filters"),
        ("request list --state open", "no open change requests"),
    ] {
        let _said = typed(&node, line, "").says(said).says("exit 0");
    }
}

#[test]
fn errors_name_flags_and_not_fields_of_requests() {
    let node = Node::primary();
    let _published = publish(&node, "a", "Hi", &["--label", "production"]);
    let _said = line(&node, "rollback a --label production -m why").fails(1).says("give a version with --to");
    let _said = bookholder(["token", "list"]).env("BOOKHOLDER_SERVER", node.url()).fails(2).says("--token-file");
    let _removed = line(&node, "remove a -m gone").ok();
    let _said = line(&node, "get a").fails(1).says("use --at to read");
}

#[test]
fn access_token_is_written_into_a_new_file_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("edge.token");
    let create =
        |name: &str| bookholder(["token", "create", name, "--role", "reader", "--out"]).arg(&file).server(&node);
    let said = create("edge").ok();
    assert!(!said.stdout.contains("bh_"), "{said:?}");
    assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert!(std::fs::read_to_string(&file).expect("a token").starts_with("bh_"));
    let _said = create("edge-2").fails(2).says("exists");
    let tokens = line(&node, "token list").ok().stdout;
    assert!(!tokens.contains("edge-2"), "no token was made that nobody has");
}

//! Editing in an editor, and messages written in one.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{line, publish};
use crate::support::command::{Bookholder, bookholder, has_terminal};
use crate::support::node::Node;

/// An editor: a script that changes the file in `$1`.
fn editor(folder: &Path, script: &str) -> PathBuf {
    let path = folder.join("editor");
    std::fs::write(&path, format!("#!/bin/sh\nset -eu\n{script}\n")).expect("a script");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("changed");
    path
}

fn edit(node: &Node, line: &str, folder: &Path, script: &str) -> Bookholder {
    super::line(node, line).env("VISUAL", editor(folder, script)).env("TMPDIR", folder)
}

/// The files that were left behind for their author.
fn left(folder: &Path) -> Vec<String> {
    let folders = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = folders.filter(|path| path.is_dir()).flat_map(|path| std::fs::read_dir(path).expect("a folder"));
    files.map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("a text")).collect()
}

#[test]
fn version_is_edited_as_written_compared_and_published() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    publish(&node, "shared/tone", "Be kind.", &["--label", "production"]);
    publish(&node, "support/agent", "{{> shared/tone}}\nHi {{who}}\n", &["--label", "production"]);
    let said = edit(&node, "edit support/agent -m Warmer", folder.path(), "sed -i 's/Hi/Hello/' \"$1\"").ok();
    let said = said.says("-Hi {{who}}").says("+Hello {{who}}").says("published");
    assert!(said.stderr.contains("support/agent@1 → version 2"), "{said:#?}");
    assert_eq!(line(&node, "get support/agent@2 --file").ok().stdout, "{{> shared/tone}}\nHello {{who}}\n");
    assert_eq!(left(folder.path()), Vec::<String>::new());
    let said = edit(&node, "edit support/agent -m no", folder.path(), "true").ok().says("no changes");
    assert!(!said.stdout.contains("published"), "{said:#?}");
    // An older version: what came after is not in it.
    let line_of = "edit support/agent@production -m Back --label staging --json";
    let said = edit(&node, line_of, folder.path(), "echo Bye >> \"$1\"").ok();
    assert_eq!(said.json()["version"]["number"], 3, "{said:#?}");
    assert_eq!(line(&node, "get support/agent@staging --file").ok().stdout, "{{> shared/tone}}\nHi {{who}}\nBye\n");
    let _said = line(&node, "edit nobody -m why").fails(1).says("there is no prompt `nobody`");
}

#[test]
fn text_of_a_failed_edit_is_kept_and_its_path_printed() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    publish(&node, "a", "one", &[]);
    let broken = "printf -- '---\\nsyntax: none\\n---\\nmine\\n' > \"$1\"";
    let said = edit(&node, "edit a -m why", folder.path(), broken).fails(2).says("your text is in");
    assert!(said.stderr.contains("bookholder publish a --file"), "{said:#?}");
    assert!(left(folder.path()).concat().contains("mine"), "{:?}", left(folder.path()));
    let failing =
        edit(&node, "edit a -m why", folder.path(), "exit 3").fails(1).says("the editor").says("exit status: 3");
    assert!(!failing.stderr.contains("your text is in"), "nothing was written: {failing:#?}");
    let without = edit(&node, "edit a", folder.path(), "echo two > \"$1\"").fails(2).says("a message is required");
    let _said = without.says("your text is in");
    // Someone else publishes while the editor is open.
    let program = env!("CARGO_BIN_EXE_bookholder");
    let race = format!("echo theirs | {program} publish a --file - -m theirs > /dev/null; echo ours > \"$1\"");
    let said = edit(&node, "edit a -m ours", folder.path(), &race).fails(1).says("someone else published");
    let _said = said.says("bookholder diff a 1 latest").says("your text is in");
}

#[test]
fn author_on_a_terminal_corrects_looks_again_and_confirms() {
    if !has_terminal() {
        return;
    }
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    publish(&node, "a", "one", &["--label", "production"]);
    // First a file that cannot be read, then a text, then the message.
    let script = "case \"$1\" in\n*MESSAGE) cat \"$1\" > \"$0.asked\"; echo Better > \"$1\" ;;\n*) if grep -q syntax \"$1\"; then \
        echo two > \"$1\"; else printf -- '---\\nsyntax: none\\n---\\n' > \"$1\"; fi ;;\nesac";
    let said = edit(&node, "edit a", folder.path(), script).on_terminal("e\ny\n");
    let said = said.says("Correct it?").says("Publish version 2 of a?").says("+two").says("exit 0");
    let asked = std::fs::read_to_string(folder.path().join("editor.asked")).expect("a template");
    assert!(asked.contains("# Publish version 2 of a"), "{asked} {said:#?}");
    assert_eq!(line(&node, "log a --json").ok().json()["items"][0]["message"], "Better");
    let said = edit(&node, "edit a -m no", folder.path(), "echo three > \"$1\"").on_terminal("n\n");
    let _said = said.says("nothing was published").says("your text is in").says("exit 1");
    assert_eq!(line(&node, "get a@latest").ok().stdout, "two");
}

#[test]
fn message_is_asked_for_on_a_terminal_alone() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    publish(&node, "a", "one", &[]);
    let deploy = "deploy a@1 --to production";
    let _said = line(&node, deploy).fails(2).says("a message is required").says("--message");
    if has_terminal() {
        let said = edit(&node, deploy, folder.path(), "echo '# not this' > \"$1\"").on_terminal("");
        let _said = said.says("the message is empty").says("exit 1");
        let said = edit(&node, deploy, folder.path(), "echo Reviewed > \"$1\"").on_terminal("");
        let _said = said.says("exit 0");
        assert_eq!(line(&node, "history a --json").ok().json()["items"][0]["message"], "Reviewed");
    }
}

#[test]
fn prompt_file_of_a_version_publishes_the_same_content() {
    let node = Node::primary();
    let chat = "---\nmodel: gpt-4o\nvariables:\n  shop: {required: true}\n---\n{{role \"system\"}}\nYou help {{shop}}.\n{{history}}\n";
    publish(&node, "chat", chat, &["--label", "production"]);
    let file = line(&node, "get chat --file").ok().stdout;
    let again = bookholder(["publish", "chat", "--file", "-", "-m", "again"]).input(file).server(&node).ok();
    let _said = again.says("already has this content");
}

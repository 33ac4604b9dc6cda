//! Folders beside other people's work: what is pushed is compared with what was last pulled or pushed.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{line, publish};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::Node;

struct Folder {
    node: Node,
    _temporary: tempfile::TempDir,
    path: PathBuf,
}

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().expect("a folder");
        let folder = Self { node: Node::primary(), path: temporary.path().join("prompts"), _temporary: temporary };
        for (path, text) in files {
            folder.write(path, text);
        }
        folder
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.path.join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
        fs::write(file, text).expect("a file");
    }

    fn run(&self, verb: &[&str]) -> Bookholder {
        bookholder(verb).arg(&self.path).server(&self.node)
    }

    fn push(&self) -> Bookholder {
        self.run(&["push", "-m", "why"])
    }

    fn pull(&self, label: &str) -> Bookholder {
        self.run(&["pull", "--label", label, "--out"])
    }

    fn versions(&self, name: &str) -> usize {
        let page = self.node.get(&format!("/v1/prompts/{name}/versions")).ok();
        page["items"].as_array().map_or(0, Vec::len)
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("a file")
}

#[test]
fn push_does_not_overwrite_newer_versions_of_others() {
    let folder = Folder::new(&[]);
    let published = |name: &str, text: &str| drop(publish(&folder.node, name, text, &["--label", "production"]));
    published("a", "one");
    published("b", "one");
    let _said = folder.pull("production").ok();
    published("a", "two by a colleague");
    folder.write("b.prompt", "two\n");
    let _said = folder.push().arg("--dry-run").ok().says("1 published, 1 unchanged");
    let _said = folder.push().ok().says("+ b@2").says("the registry is at version 2").says("1 published, 1 unchanged");
    assert_eq!((folder.versions("a"), folder.versions("b")), (2, 2));
    let _said = folder.push().ok().says("2 unchanged");

    folder.write("a.prompt", "two by me\n");
    let _said = folder.push().arg("--dry-run").exits(1).says("✗ a").says("draft merge").says("1 refused");
    let _said = folder.push().exits(1).says("✗ a").says("--parent 1").says("bookholder pull").says("1 refused");
    assert_eq!(folder.node.text("a@latest"), "two by a colleague");
    folder.write("a.prompt", "two by a colleague\n");
    let _said = folder.push().ok().says("2 unchanged");
    folder.write("a.prompt", "three\n");
    let _said = folder.push().ok().says("+ a@3");
    published("a", "four by a colleague");
    folder.write("a.prompt", "four by me\n");
    let _said = folder.push().arg("--force").ok().says("+ a@5");
}

#[test]
fn folder_of_staging_is_pushed_without_bringing_old_texts_back() {
    let folder = Folder::new(&[]);
    let _old = publish(&folder.node, "a", "old", &["--label", "staging"]);
    let _new = publish(&folder.node, "a", "new", &[]);
    let _said = folder.pull("staging").ok();
    let _said = folder.push().ok().says("1 unchanged");
    fs::remove_file(folder.path.join("bookholder.lock")).expect("removed");
    let _said = folder.push().exits(1).says("the file is from version 1").says("1 refused");
    let import = folder.run(&["import", "--label", "production"]);
    let _said = import.exits(1).says("the file is from version 1").says("1 refused");
    assert_eq!((folder.versions("a"), folder.node.text("a@latest")), (2, "new".to_owned()));
}

#[test]
fn unchanged_file_does_not_undo_a_rollback() {
    let folder = Folder::new(&[("a.prompt", "---\nlabels: [production]\n---\none\n")]);
    let _said = folder.push().ok().says("+ a@1");
    folder.write("a.prompt", "---\nlabels: [production]\n---\ntwo\n");
    let _said = folder.push().ok().says("+ a@2");
    let _said = line(&folder.node, "rollback a --label production -m harm").ok();
    for more in [&[][..], &["--label", "production"], &["--dry-run"]] {
        let _said = folder
            .push()
            .args(more)
            .ok()
            .says("production served version 2 and has been deployed to since")
            .says("1 unchanged");
    }
    fs::remove_file(folder.path.join("bookholder.lock")).expect("removed");
    let _said = folder.push().ok().says("1 unchanged");
    let _said = folder.run(&["import", "--label", "production"]).ok().says("1 unchanged");
    assert_eq!(folder.node.text("a@production"), "one");
    let _said = folder.push().args(["--label", "staging"]).ok().says("→ a@2").says("1 labelled");
    assert_eq!(folder.node.text("a@staging"), "two");
    let _said = folder.push().arg("--force").ok().says("→ a@2").says("1 labelled");
    assert_eq!(folder.node.text("a@production"), "two");
}

#[test]
fn hand_written_folder_shows_no_false_changes() {
    let written = "---\n# Ours.\nlabels: [production]\n---\nHello {{who}}\n";
    let windows = written.replace('\n', "\r\n");
    let folder = Folder::new(&[("a.prompt", written), ("tone.prompt", "Be kind.\n")]);
    folder.write("b.prompt", "---\nlabels: [production]\n---\n{{> tone}}\nHelp.\n");
    let _said = folder.push().args(["--label", "production"]).ok().says("3 published");
    fs::remove_file(folder.path.join("bookholder.lock")).expect("removed");
    let _said = folder.push().arg("--dry-run").ok().says("3 prompts: would be 3 unchanged");
    let _said = folder.push().ok().says("3 unchanged");
    let _said = folder.pull("production").arg("--check").ok().says("all up to date");
    folder.write("a.prompt", &windows);
    let _said = folder.push().arg("--dry-run").ok().says("3 unchanged");
    let _said = folder.pull("production").ok();
    assert_eq!(read(&folder.path.join("a.prompt")), windows, "a file that says the same stays as it is written");
    assert!(read(&folder.path.join("b.prompt")).contains("{{> tone}}"));
    folder.write("a.prompt", &windows.replace("Hello", "Hi"));
    let _said = folder.push().ok().says("+ a@2");
    assert_eq!(folder.node.text("a@latest"), "Hi {{who}}", "line ends of Windows are not published");
    // A file that is still as it was pushed can be replaced: the registry has it with its includes.
    let _tone = publish(&folder.node, "tone", "Be kinder.", &["--label", "production"]);
    let _b = publish(&folder.node, "b", "Flat.", &["--label", "production"]);
    let _said = folder.pull("production").ok().says("~ b 1 → 2");
}

#[test]
fn pull_writes_the_version_with_the_most_weight() {
    let folder = Folder::new(&[]);
    for text in ["one", "two", "three"] {
        let _published = publish(&folder.node, "a", text, &[]);
    }
    let _said = line(&folder.node, "deploy a@1=30 a@2=45 a@3=25 --to production -m try").ok();
    let _said = folder.pull("production").ok().says("took a@2, which has the most weight");
    assert_eq!(read(&folder.path.join("a.prompt")), "two\n");
    let _said = folder.pull("production").arg("--check").ok();
}

#[test]
fn links_in_a_pushed_folder_are_followed_or_named() {
    let folder = Folder::new(&[("..data/a.prompt", "one\n")]);
    std::os::unix::fs::symlink("..data/a.prompt", folder.path.join("a.prompt")).expect("a link");
    std::os::unix::fs::symlink("/etc/hostname", folder.path.join("b.prompt")).expect("a link");
    let _said = folder.push().ok().says("+ a@1").says("skipped b.prompt: the link points outside the folder");
    let dry = folder.push().args(["--dry-run", "--json"]).ok().json();
    assert_eq!(dry["prompts"], json!([{"name": "a", "what": "unchanged", "version": 1}]));
}

#[test]
fn prune_removes_only_own_prompts_without_newer_versions() {
    let (node, folder) = (Node::primary(), tempfile::tempdir().expect("a folder"));
    for name in ["kept", "mine", "moved"] {
        publish(&node, name, "one", &[]);
        fs::write(folder.path().join(format!("{name}.prompt")), "one\n").expect("a file");
    }
    let push =
        |more: &[&str]| bookholder(["push", "-m", "why"]).args(more.iter().copied()).arg(folder.path()).server(&node);
    let _said = push(&[]).ok();
    publish(&node, "theirs", "one", &[]);
    publish(&node, "moved", "two", &[]);
    for name in ["mine", "moved"] {
        fs::remove_file(folder.path().join(format!("{name}.prompt"))).expect("removed");
    }
    let _said = push(&["--prune", "--dry-run"]).exits(1).says("- mine").says("would be 1 removed, 1 refused");
    let said = push(&["--prune"]).exits(1).says("- mine").says("= theirs: it never had a file here");
    let _said = said.says("✗ moved: the registry is at version 2, but the file is from version 1");
    for (name, status) in [("kept", 200), ("mine", 410), ("moved", 200), ("theirs", 200)] {
        assert_eq!(node.get(&format!("/v1/resolve/{name}@latest")).status, status, "{name}");
    }
    let _said = push(&["--prune", "--force"]).ok().says("- moved").says("- theirs");
}

#[test]
fn pulled_prompt_keeps_its_includes_when_it_is_edited_and_pushed() {
    let folder = Folder::new(&[]);
    let _tone = publish(&folder.node, "shared/tone", "Be kind.", &["--label", "production"]);
    let _agent = publish(&folder.node, "agent", "{{> shared/tone}} Help.", &["--label", "production"]);
    let _said = folder.pull("production").ok();
    assert_eq!(read(&folder.path.join("agent.prompt")), "{{> shared/tone}} Help.\n");
    let _said = folder.pull("production").arg("--check").ok().says("all up to date");
    folder.write("agent.prompt", "{{> shared/tone}} Help them.\n");
    let _said = folder.push().ok().says("+ agent@2");
    let version = folder.node.get("/v1/prompts/agent/versions/2").ok();
    assert_eq!(version["includes"][0]["name"], "shared/tone", "{version}");
    let _said = folder.run(&["pull", "--label", "latest", "--out"]).ok();

    // Complete texts, for an application.
    let _said = folder.pull("latest").arg("--inline").ok();
    assert_eq!(read(&folder.path.join("agent.prompt")), "Be kind. Help them.\n");
    let _said = folder.pull("latest").args(["--inline", "--check"]).ok().says("all up to date");
    let _said = folder.push().ok().says("2 unchanged");
    folder.write("agent.prompt", "Be kind. Help them all.\n");
    for more in [&[][..], &["--dry-run"]] {
        let _said = folder.push().args(more).exits(1).says("version 2 includes shared/tone").says("--inline");
    }
    let _said = folder.pull("latest").arg("--force").ok();
    assert_eq!(read(&folder.path.join("agent.prompt")), "{{> shared/tone}} Help them.\n");
}

#[test]
fn commands_that_a_refused_push_after_a_rollback_names_work() {
    let folder = Folder::new(&[]);
    for text in ["one", "two"] {
        let _published = publish(&folder.node, "shared/tone", text, &["--label", "production"]);
    }
    let _said = line(&folder.node, "rollback shared/tone --label production -m harm").ok();
    let _said = folder.pull("production").ok();
    let said = folder.push().ok().says("1 unchanged");
    assert!(!said.stdout.contains("registry is at"), "it is what production serves: {said:#?}");
    folder.write("shared/tone.prompt", "three\n");
    let said = folder.push().exits(1).says("file is from version 1");
    let commands: Vec<&str> = said.stdout.split('`').filter(|part| part.starts_with("bookholder ")).collect();
    assert_eq!(commands.len(), 3, "{said:#?}");
    let (merging, pulling) = commands.split_at(2);
    assert!(merging[0].contains("shared/tone.prompt") && Path::new(&folder.path).is_absolute(), "{said:#?}");
    for command in [merging[0], pulling[0]] {
        let _said = bookholder(command.split(' ').skip(1)).server(&folder.node).ok();
    }
    assert_eq!(read(&folder.path.join("shared/tone.prompt")), "two\n");
}

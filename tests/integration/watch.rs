//! `serve --watch`: whatever editors do to a folder, each text is published once.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::node::{Launch, Node, segment};

/// A primary that watches a folder.
struct Watched {
    node: Node,
    folder: PathBuf,
}

impl Watched {
    fn start(files: &[(&str, &str)]) -> Self {
        let launch = Launch::primary();
        let folder = launch.data.with_file_name("prompts");
        fs::create_dir(&folder).expect("a folder");
        for (path, text) in files {
            put(&folder, path, text);
        }
        let args = ["--watch-quiet-ms".into(), "100".into(), "--watch".into(), folder.clone().into_os_string()];
        Self { node: launch.args(args).start(), folder }
    }

    fn write(&self, path: &str, text: &str) {
        put(&self.folder, path, text);
    }

    /// Skipped files and conflicts in the status: paths and reasons.
    fn skipped(&self) -> Vec<(String, String)> {
        let status = self.node.get("/v1/status").ok();
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let skipped = status["watch"]["skipped"].as_array().into_iter().flatten();
        skipped.map(|one| (text(&one["path"]), text(&one["reason"]))).collect()
    }

    /// Waits until the status lists a file as skipped or in conflict for this reason.
    fn until_skipped(&self, path: &str, reason: &str) {
        self.node.until(&format!("{path} is skipped: {reason}"), || {
            self.skipped().iter().any(|(found, why)| found == path && why.contains(reason)).then_some(())
        });
    }

    /// As editors save: a new file beside the old one, renamed into its place.
    fn save(&self, path: &str, text: &str) {
        let beside = self.folder.join(format!(".{}.swp", path.replace('/', "-")));
        fs::write(&beside, text).expect("a file");
        fs::rename(&beside, self.folder.join(path)).expect("renamed");
    }

    fn says(&self, name: &str, text: &str) {
        self.node.until(&format!("{name} says {text}"), || {
            let answer = self.node.get(&format!("/v1/resolve/{}@latest", segment(name)));
            (answer.status == 200 && answer.json()["content"]["text"] == text).then_some(())
        });
    }

    fn versions(&self, name: &str) -> Vec<Value> {
        let page = self.node.get(&format!("/v1/prompts/{}/versions", segment(name))).ok();
        page["items"].as_array().expect("versions").clone()
    }
}

fn put(folder: &Path, path: &str, text: &str) {
    let file = folder.join(path);
    fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
    fs::write(file, text).expect("a file");
}

#[test]
fn files_are_published_as_they_come_and_change_and_never_twice() {
    let mut watched = Watched::start(&[("support/agent.prompt", "one\n")]);
    watched.says("support/agent", "one");
    watched.save("support/agent.prompt", "two\n");
    watched.says("support/agent", "two");
    // Saved without a change, touched, and copied away and back: the content is unchanged.
    watched.save("support/agent.prompt", "two\n");
    watched.write("support/agent.prompt", "two\n");
    watched.write("deep/er/still.prompt", "---\nlabels: [production, trial]\n---\nwith labels\n");
    watched.says("deep/er/still", "with labels");
    assert_eq!(watched.node.text("deep/er/still@production"), "with labels");
    assert_eq!(watched.node.text("deep/er/still@trial"), "with labels");
    let versions = watched.versions("support/agent");
    assert_eq!(versions.len(), 2, "{versions:?}");
    let message = versions[0]["message"].as_str().expect("a message");
    assert!(message.contains("support/agent.prompt"), "{message}");
    watched.node.stop();
    watched.node.restart();
    watched.write("another.prompt", "after a restart\n");
    watched.says("another", "after a restart");
    assert_eq!(watched.versions("support/agent").len(), 2, "a restart publishes nothing again");
}

#[test]
fn changed_text_with_same_length_and_time_is_published() {
    let watched = Watched::start(&[("a.prompt", "one\n")]);
    watched.says("a", "one");
    let file = watched.folder.join("a.prompt");
    let modified = fs::metadata(&file).and_then(|metadata| metadata.modified()).expect("a time");
    let beside = watched.folder.join(".a.swp");
    fs::write(&beside, "two\n").expect("a file");
    let times = fs::FileTimes::new().set_modified(modified);
    fs::File::options().write(true).open(&beside).and_then(|file| file.set_times(times)).expect("a time");
    fs::rename(&beside, &file).expect("renamed");
    watched.says("a", "two");
}

#[test]
fn burst_of_edits_publishes_the_last_text() {
    let watched = Watched::start(&[]);
    for edit in 1..=50 {
        watched.save("busy.prompt", &format!("edit {edit}\n"));
        watched.write(&format!("many/file-{edit}.prompt"), &format!("file {edit}\n"));
    }
    watched.says("busy", "edit 50");
    for file in [1, 25, 50] {
        watched.says(&format!("many/file-{file}"), &format!("file {file}"));
    }
    let versions = watched.versions("busy");
    assert!((1..=50).contains(&versions.len()), "{}", versions.len());
    let ids: std::collections::BTreeSet<&str> =
        versions.iter().filter_map(|version| version["content_id"].as_str()).collect();
    assert_eq!(ids.len(), versions.len(), "no text is published twice");
}

#[test]
fn invalid_file_is_reported_and_skipped_until_fixed() {
    let watched = Watched::start(&[("bad.prompt", "---\nnever closed\n"), ("good.prompt", "good\n")]);
    watched.says("good", "good");
    watched.node.until_logged("skipped a prompt file");
    watched.node.until_logged("bad.prompt");
    watched.node.until_logged("has no closing `---` line");
    fs::write(watched.folder.join("bytes.prompt"), b"\xff\xfe").expect("a file");
    watched.node.until_logged("it is not UTF-8 from byte 0 on");
    watched.write("na@me.prompt", "text\n");
    watched.node.until_logged("`@`");
    watched.write("include.prompt", "{{> not/there}}\n");
    watched.node.until_logged("not/there");
    watched.write("notes.txt", "not a prompt\n");
    watched.save("bad.prompt", "mended\n");
    watched.says("bad", "mended");
    assert_eq!(watched.versions("good").len(), 1);
    let names = watched.node.get("/v1/prompts").ok()["items"].as_array().map(Vec::len);
    assert_eq!(names, Some(2));
}

#[test]
fn deleted_file_removes_nothing() {
    let watched = Watched::start(&[("stays.prompt", "here\n"), ("moves.prompt", "moving\n")]);
    watched.says("stays", "here");
    watched.says("moves", "moving");
    fs::remove_file(watched.folder.join("stays.prompt")).expect("removed");
    fs::rename(watched.folder.join("moves.prompt"), watched.folder.join("moved.prompt")).expect("renamed");
    watched.node.until_logged("a prompt file was deleted; its prompt stays until it is removed");
    watched.says("moved", "moving");
    assert_eq!(
        (watched.node.text("stays@latest"), watched.node.text("moves@latest")),
        ("here".to_owned(), "moving".to_owned())
    );
    watched.write("stays.prompt", "here\n");
    watched.write("last.prompt", "seen after it\n");
    watched.says("last", "seen after it");
    assert_eq!(watched.versions("stays").len(), 1, "what comes back as it was is no new version");
}

#[test]
fn restart_undoes_neither_a_rollback_nor_a_version_of_a_colleague() {
    let mut watched = Watched::start(&[("a.prompt", "---\nlabels: [production]\n---\none\n"), ("b.prompt", "one\n")]);
    watched.says("a", "one");
    watched.says("b", "one");
    watched.write("a.prompt", "---\nlabels: [production]\n---\ntwo\n");
    watched.says("a", "two");
    let why = json!({"message": "it promised refunds"});
    let _done = watched.node.change("POST", "/v1/prompts/a/labels/production/rollback", &why).ok();
    let hotfix = json!({"content": {"text": "hotfix"}, "message": "hotfix", "labels": ["production"]});
    let _done = watched.node.change("POST", "/v1/prompts/b/versions", &hotfix).ok();
    let before = watched.node.get("/v1/status").ok()["position"].clone();
    watched.node.stop();
    watched.node.restart();
    watched.until_skipped("a.prompt", "others deployed to production after version 2");
    watched.until_skipped("b.prompt", "the registry is at version 2, but the file is from version 1");
    assert_eq!(watched.node.get("/v1/status").ok()["position"], before, "a restart commits nothing");
    assert_eq!((watched.node.text("a@production"), watched.node.text("b@production")), ("one".into(), "hotfix".into()));
    // Both changed: this needs a manual merge.
    watched.write("b.prompt", "two\n");
    watched.until_skipped("b.prompt", "draft merge");
    watched.write("b.prompt", "hotfix\n");
    watched.node.until("the file says what the colleague says", || {
        watched.skipped().iter().all(|(path, _)| path != "b.prompt").then_some(())
    });
    watched.write("b.prompt", "three\n");
    watched.says("b", "three");
    assert_eq!(watched.node.text("b@production"), "hotfix");
}

#[test]
fn file_that_changed_while_the_node_was_down_is_published_once() {
    let mut watched = Watched::start(&[("a.prompt", "one\n")]);
    watched.says("a", "one");
    watched.node.stop();
    watched.write("a.prompt", "two\n");
    watched.node.restart();
    watched.says("a", "two");
    watched.node.stop();
    watched.write("a.prompt", "one\n");
    watched.node.restart();
    watched.says("a", "one");
    assert_eq!(watched.versions("a").len(), 3);
}

#[test]
fn emptied_file_changes_nothing_until_it_has_content() {
    let watched = Watched::start(&[("a.prompt", "---\nlabels: [production]\n---\none\n"), ("new.prompt", "")]);
    watched.says("a", "one");
    watched.until_skipped("new.prompt", "it is empty");
    watched.write("a.prompt", "");
    watched.until_skipped("a.prompt", "it is empty");
    watched.write("a.prompt", "---\nlabels: [production]\n---\ntwo\n");
    watched.write("new.prompt", "here\n");
    watched.says("a", "two");
    watched.says("new", "here");
    watched.node.until("nothing is skipped any more", || watched.skipped().is_empty().then_some(()));
    assert_eq!((watched.versions("a").len(), watched.versions("new").len()), (2, 1));
}

#[test]
fn config_map_is_published_and_its_swap_is_noticed() {
    let watched = Watched::start(&[("..2026_1/a.prompt", "one\n"), ("..2026_1/support/b.prompt", "one\n")]);
    let link = |target: &str, name: &str| symlink(target, watched.folder.join(name)).expect(name);
    link("..2026_1", "..data");
    link("..data/a.prompt", "a.prompt");
    link("..data/support", "support");
    watched.says("a", "one");
    watched.says("support/b", "one");
    // As kubelet does: the new folder first, then one rename of a link.
    watched.write("..2026_2/a.prompt", "two\n");
    watched.write("..2026_2/support/b.prompt", "one\n");
    link("..2026_2", "..data_tmp");
    fs::rename(watched.folder.join("..data_tmp"), watched.folder.join("..data")).expect("renamed");
    fs::remove_dir_all(watched.folder.join("..2026_1")).expect("removed");
    watched.says("a", "two");
    link("/etc/hostname", "host.prompt");
    watched.until_skipped("host.prompt", "points outside the folder");
    assert_eq!((watched.versions("a").len(), watched.versions("support/b").len()), (2, 1));
}

#[test]
fn file_that_includes_another_is_published_when_that_is_there() {
    let watched = Watched::start(&[("a.prompt", "{{> tone@latest}}\nHelp.\n"), ("tone.prompt", "Be kind.\n")]);
    watched.says("a", "Be kind.\nHelp.");
    watched.write("b.prompt", "{{> later@latest}}\n");
    watched.until_skipped("b.prompt", "later");
    watched.write("later.prompt", "Here now.\n");
    watched.says("b", "Here now.");
}

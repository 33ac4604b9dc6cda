//! `serve --watch`: whatever editors do to a folder, each text is published once.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

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
        let watched = Self { node: launch.args(["--watch".into(), folder.clone().into_os_string()]).start(), folder };
        for (path, text) in files {
            watched.write(path, text);
        }
        watched
    }

    fn write(&self, path: &str, text: &str) {
        let file = self.folder.join(path);
        fs::create_dir_all(file.parent().expect("a folder")).expect("folders");
        fs::write(file, text).expect("a file");
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

#[test]
fn files_are_published_as_they_come_and_change_and_never_twice() {
    let mut watched = Watched::start(&[("support/agent.prompt", "one\n")]);
    watched.says("support/agent", "one");
    watched.save("support/agent.prompt", "two\n");
    watched.says("support/agent", "two");
    // Saved without a change, touched, and copied away and back: nothing new is said.
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
fn a_text_of_the_same_length_and_modification_time_is_published() {
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
fn a_burst_of_edits_ends_in_its_last_text() {
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
fn a_wrong_file_is_reported_and_skipped_until_it_is_mended() {
    let watched = Watched::start(&[("bad.prompt", "---\nnever closed\n"), ("good.prompt", "good\n")]);
    watched.says("good", "good");
    watched.node.until_logged("a prompt file is skipped");
    watched.node.until_logged("bad.prompt");
    watched.node.until_logged("no later `---` line closes");
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
fn a_file_that_goes_away_removes_nothing() {
    let watched = Watched::start(&[("stays.prompt", "here\n"), ("moves.prompt", "moving\n")]);
    watched.says("stays", "here");
    watched.says("moves", "moving");
    fs::remove_file(watched.folder.join("stays.prompt")).expect("removed");
    fs::rename(watched.folder.join("moves.prompt"), watched.folder.join("moved.prompt")).expect("renamed");
    watched.node.until_logged("a prompt file is gone; its prompt stays until it is removed");
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

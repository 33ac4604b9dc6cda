//! State that crosses an air gap: exported while the primary serves, imported offline or through an inbox, and
//! refused whenever it is not what was signed.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::command::{Bookholder, bookholder};
use crate::support::node::{Launch, Node};

/// Flips of one file of a bundle, spread over all of it.
const FLIPS: usize = 12;

fn export(primary: &Node, name: &str) -> PathBuf {
    let folder = primary.home().join(name);
    let _said = bookholder(["bundle", "export"]).arg(&folder).server(primary).ok();
    folder
}

fn import(bundle: &Path, data: &Path, root_key: &str) -> Bookholder {
    bookholder(["bundle", "import"]).arg(bundle).arg("--data").arg(data).args(["--root-key", root_key])
}

/// The files of a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).expect("below"));
        std::fs::create_dir_all(target.parent().expect("a folder")).expect("folders");
        std::fs::copy(&file, &target).expect("a copy");
    }
}

#[test]
fn bundle_updates_a_replica_without_a_network() {
    let primary = Node::primary();
    primary.publish("a", "first {{x}}");
    let first = export(&primary, "first");
    primary.publish("a", "second {{x}}");
    primary.publish("b", "other");
    let second = export(&primary, "second");

    let inbox = primary.home().join("inbox");
    std::fs::create_dir(&inbox).expect("a folder");
    let launch = Launch::replica().args(["--root-key", &primary.root_key()]);
    let said = import(&first, &launch.data, &primary.root_key()).ok().says("verified:");
    assert!(said.stdout.contains(&primary.root_key()), "{said:#?}");
    let mut replica = launch.args([std::ffi::OsString::from("--inbox"), inbox.clone().into()]).start();
    assert_eq!(replica.text("a"), "first {{x}}");
    let _detail = replica.get("/v1/resolve/b").problem(404, "prompt_not_found");

    // It is copied file by file, as people do, and taken when it is whole.
    copy(&second, &inbox.join("from-the-stick"));
    replica.until("the bundle in the inbox is taken", || {
        (replica.status()["state"] == primary.status()["state"]).then_some(())
    });
    assert_eq!((replica.text("a"), replica.text("b")), ("second {{x}}".to_owned(), "other".to_owned()));
    let status = replica.status();
    assert_eq!(
        (&status["stale"], &status["freshness"]),
        (&json!(true), &json!("stale")),
        "nobody is in contact: {status}"
    );
    assert_eq!(status["since"], status["issued"], "it knows of nothing later than the signature: {status}");
    replica.until_logged("applied a bundle");
    replica.until_logged(&format!("signed={}", status["issued"].as_str().expect("a time")));
    replica.stop();
    replica.restart();
    let restarted = replica.status();
    assert_eq!((&restarted["since"], &restarted["issued"]), (&status["since"], &status["issued"]), "{restarted}");

    // An older bundle changes nothing.
    copy(&first, &inbox.join("older"));
    primary.publish("c", "last");
    copy(&export(&primary, "third"), &inbox.join("z-newest"));
    replica.until("the newest bundle is taken", || (replica.get("/v1/resolve/c").status == 200).then_some(()));
    assert_eq!(replica.text("a"), "second {{x}}");
    replica.stop();
    let _said = import(&first, replica.data(), &primary.root_key())
        .fails(1)
        .says("the bundle was rejected")
        .says("which was already reached");
    let _said = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("verified:");
}

/// A replica without a network that looks through an inbox.
fn with_inbox(primary: &Node, inbox: &Path) -> Node {
    let inbox = [std::ffi::OsString::from("--inbox"), inbox.into()];
    Launch::replica().args(["--root-key", &primary.root_key()]).args(inbox).start()
}

fn pipe(path: &Path) {
    std::fs::remove_file(path).expect("a file in its place");
    assert!(std::process::Command::new("mkfifo").arg(path).status().expect("mkfifo").success());
}

#[test]
fn replica_starts_without_its_inbox_and_imports_what_appears_later() {
    let primary = Node::primary();
    primary.publish("a", "from the stick");
    let bundle = export(&primary, "bundle");
    let inbox = primary.home().join("stick");
    let mut replica = with_inbox(&primary, &inbox);
    let trouble = replica.until("the missing inbox is in the status", || {
        let status = replica.status();
        (!status["inbox"].is_null()).then(|| status["inbox"].clone())
    });
    assert_eq!(trouble["reason"], "inbox");
    assert!(trouble["detail"].as_str().expect("a text").contains("trying again every minute"), "{trouble}");
    replica.until_logged("cannot import a bundle from the inbox");

    copy(&bundle, &inbox.join("in-a-folder"));
    replica.until("the bundle is taken", || (replica.get("/v1/resolve/a").status == 200).then_some(()));
    replica.until("the trouble is over", || replica.status()["inbox"].is_null().then_some(()));

    // The folder is replaced as a whole, as by a mount.
    primary.publish("a", "from the next stick");
    let next = primary.home().join("next");
    copy(&export(&primary, "bundle-2"), &next);
    std::fs::rename(&inbox, primary.home().join("gone")).expect("moved away");
    std::fs::rename(&next, &inbox).expect("moved there");
    replica.until("the next bundle is taken", || (replica.text("a") == "from the next stick").then_some(()));
    replica.stop();
}

#[test]
fn named_pipe_in_a_bundle_hangs_neither_import_nor_replica_nor_its_end() {
    let primary = Node::primary();
    primary.publish("a", "first");
    let good = export(&primary, "good");
    for (at, file) in files(&good).into_iter().enumerate() {
        let name = file.strip_prefix(&good).expect("below").to_owned();
        let bad = primary.home().join(format!("bad-{at}"));
        copy(&good, &bad);
        pipe(&bad.join(&name));
        let data = primary.home().join(format!("data-{at}"));
        let _said = import(&bad, &data, &primary.root_key()).fails(1).says("the bundle was rejected");

        let inbox = primary.home().join(format!("inbox-{at}"));
        std::fs::create_dir(&inbox).expect("a folder");
        std::fs::rename(&bad, inbox.join("bad")).expect("moved");
        let mut replica = with_inbox(&primary, &inbox);
        if name.ends_with("checkpoint") {
            assert!(replica.status()["inbox"].is_null(), "a folder without a checkpoint is no bundle");
        } else {
            replica.until("the pipe is refused", || (!replica.status()["inbox"].is_null()).then_some(()));
        }
        copy(&good, &inbox.join("good"));
        replica.until("the good bundle is taken", || (replica.get("/v1/resolve/a").status == 200).then_some(()));
        replica.until("the trouble is over", || replica.status()["inbox"].is_null().then_some(()));
        replica.stop();
    }
}

#[test]
fn newest_of_1300_bundles_is_imported() {
    let primary = Node::primary();
    primary.publish("a", "old");
    let old = export(&primary, "old");
    primary.publish("a", "new");
    let new = export(&primary, "new");
    let inbox = primary.home().join("inbox");
    copy(&new, &inbox.join("m-newest"));
    let checkpoint = Path::new("replication/v1/view/all/checkpoint");
    for number in 0..1_300 {
        let folder = inbox.join(format!("{}-{number}", if number % 2 == 0 { "a" } else { "z" }));
        std::fs::create_dir_all(folder.join("replication/v1/view/all")).expect("folders");
        std::fs::copy(old.join(checkpoint), folder.join(checkpoint)).expect("a copy");
    }
    let mut replica = with_inbox(&primary, &inbox);
    replica.until("the newest is taken", || (replica.get("/v1/resolve/a").status == 200).then_some(()));
    assert_eq!(replica.text("a"), "new");
    let status = replica.status();
    assert!(status["inbox"].is_null() && status["trouble"].is_null(), "{status}");
    replica.restart();
    assert_eq!(replica.text("a"), "new");
    assert!(replica.status()["inbox"].is_null(), "{}", replica.status());
    assert!(!replica.stderr().contains("cannot be taken"), "{}", replica.stderr());
    replica.stop();
}

#[test]
fn warning_of_a_half_copied_bundle_ends_when_it_is_complete_or_removed() {
    let primary = Node::primary();
    primary.publish("a", "first");
    let bundle = export(&primary, "bundle");
    let inbox = primary.home().join("inbox");
    let half = inbox.join("half");
    copy(&bundle, &half);
    let snapshot = files(&half).into_iter().find(|file| file.to_string_lossy().contains("/snapshot/")).expect("data");
    let bytes = std::fs::read(&snapshot).expect("data");
    std::fs::write(&snapshot, &bytes[..bytes.len() / 2]).expect("cut");
    let mut replica = with_inbox(&primary, &inbox);
    let reason = |what: &str| replica.until(what, || replica.status()["inbox"]["reason"].as_str().map(str::to_owned));
    assert_eq!(reason("half a bundle is refused"), "hash");
    std::fs::write(&snapshot, &bytes).expect("whole");
    replica.until("it is taken when it is whole", || (replica.get("/v1/resolve/a").status == 200).then_some(()));
    replica.until("the trouble is over", || replica.status()["inbox"].is_null().then_some(()));

    primary.publish("a", "second");
    let next = export(&primary, "next");
    copy(&next, &inbox.join("next"));
    replica.until("the next is taken", || (replica.text("a") == "second").then_some(()));
    primary.publish("a", "third");
    let third = export(&primary, "third");
    std::fs::remove_dir_all(third.join("replication/v1/view/all/snapshot")).expect("removed");
    std::fs::rename(&third, inbox.join("third")).expect("moved");
    let reason = |what: &str| replica.until(what, || replica.status()["inbox"]["reason"].as_str().map(str::to_owned));
    assert_eq!(reason("a bundle without its data is refused"), "missing");
    std::fs::remove_dir_all(inbox.join("third")).expect("removed");
    replica.until("no trouble is left when it is gone", || replica.status()["inbox"].is_null().then_some(()));
    replica.stop();
}

#[test]
fn bundle_with_any_byte_flipped_is_refused_and_changes_nothing() {
    let primary = Node::primary();
    primary.publish("a", "the text of a bundle {{x}}");
    let bundle = export(&primary, "bundle");
    let data = primary.home().join("replica");
    let _said = import(&bundle, &data, &primary.root_key()).ok();
    let before = bookholder(["verify", "--json", "--data"]).arg(&data).ok().json();
    primary.publish("a", "the next text of a bundle {{x}}");
    let bundle = export(&primary, "next");

    let files = files(&bundle);
    assert_eq!(
        files.len(),
        6,
        "a root document, an epoch, a checkpoint, a manifest, a snapshot, what the primary has of telemetry: {files:?}"
    );
    for file in &files {
        let bytes = std::fs::read(file).expect("a file");
        if bytes.is_empty() {
            std::fs::write(file, "x").expect("written");
            let _said = import(&bundle, &data, &primary.root_key()).fails(1).says("the bundle was rejected");
            std::fs::write(file, &bytes).expect("written");
            continue;
        }
        for flip in 0..FLIPS {
            let offset = (bytes.len() - 1) * flip / (FLIPS - 1);
            let mut flipped = bytes.clone();
            flipped[offset] ^= 1 << (flip % 7);
            std::fs::write(file, &flipped).expect("written");
            let (code, said) = import(&bundle, &data, &primary.root_key()).run();
            let what = format!("{} at {offset}: {said:#?}", file.display());
            assert_eq!(code, Some(1), "{what}");
            assert!(
                said.stderr.contains("error: the bundle was rejected: ") && said.stderr.contains("hint: "),
                "{what}"
            );
        }
        for kept in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(file, &bytes[..kept]).expect("written");
            let _said = import(&bundle, &data, &primary.root_key()).fails(1).says("the bundle was rejected");
        }
        std::fs::remove_file(file).expect("removed");
        let new = tempfile::tempdir().expect("a folder");
        let _said = import(&bundle, new.path(), &primary.root_key()).fails(1).says("rejected");
        std::fs::write(file, &bytes).expect("written");
    }
    let after = bookholder(["verify", "--json", "--data"]).arg(&data).ok().json();
    assert_eq!((&after["state"], &after["position"]), (&before["state"], &before["position"]));
    let _said = import(&bundle, &data, &primary.root_key()).ok().says("verified:");
}

#[test]
fn bundle_of_another_registry_or_for_a_wrong_directory_is_refused() {
    let (mut primary, other) = (Node::primary(), Node::primary());
    primary.publish("a", "mine");
    let bundle = export(&primary, "bundle");
    let data = primary.home().join("replica");
    let _said = import(&bundle, &data, &other.root_key()).fails(1).says("the bundle was rejected");
    let _said = import(&bundle, &primary.home().join("r2"), "nonsense").fails(2);
    let unknown = bookholder(["bundle", "import"]).arg(&bundle).arg("--data").arg(primary.home().join("r3"));
    let _said = unknown.fails(2).says("pass --root-key");
    let _said = import(&primary.home().join("nowhere"), &primary.home().join("r4"), &primary.root_key()).fails(1);
    let _said = import(&bundle, primary.data(), &primary.root_key()).fails(2).says("another process is using");
    let _said = bookholder(["bundle", "export"]).arg(&bundle).server(&primary).fails(2).says("not an empty folder");
    let replica = Node::replica(&primary);
    let _said =
        bookholder(["bundle", "export"]).arg(primary.home().join("r5")).server(&replica).fails(1).says("replica");
    assert_eq!(primary.send("POST", "/v1/bundle?lifetime_days=0", &[], b"").status, 422);
    primary.stop();
    let before = bookholder(["verify", "--json", "--data"]).arg(primary.data()).ok().json();
    let (code, said) = import(&bundle, primary.data(), &primary.root_key()).run();
    assert!(matches!(code, Some(1 | 2)), "{said:#?}");
    let after = bookholder(["verify", "--json", "--data"]).arg(primary.data()).ok().json();
    assert_eq!((&after["state"], &after["proved"]), (&before["state"], &json!(true)));
    primary.restart();
    assert_eq!(primary.text("a"), "mine");
}

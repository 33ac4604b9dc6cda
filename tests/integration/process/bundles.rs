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
fn a_bundle_carries_everything_to_a_replica_without_a_network() {
    let primary = Node::primary();
    primary.publish("a", "first {{x}}");
    let first = export(&primary, "first");
    primary.publish("a", "second {{x}}");
    primary.publish("b", "other");
    let second = export(&primary, "second");

    let inbox = primary.home().join("inbox");
    std::fs::create_dir(&inbox).expect("a folder");
    let launch = Launch::replica().args(["--root-key", &primary.root_key()]);
    let said = import(&first, &launch.data, &primary.root_key()).ok().says("proved");
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

    // An older bundle changes nothing.
    copy(&first, &inbox.join("older"));
    primary.publish("c", "last");
    copy(&export(&primary, "third"), &inbox.join("z-newest"));
    replica.until("the newest bundle is taken", || (replica.get("/v1/resolve/c").status == 200).then_some(()));
    assert_eq!(replica.text("a"), "second {{x}}");
    replica.stop();
    let _said = import(&first, replica.data(), &primary.root_key())
        .fails(1)
        .says("the bundle is refused")
        .says("which was already reached");
    let _said = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("proved");
}

#[test]
fn a_bundle_with_any_byte_flipped_is_refused_and_changes_nothing() {
    let primary = Node::primary();
    primary.publish("a", "the text of a bundle {{x}}");
    let bundle = export(&primary, "bundle");
    let data = primary.home().join("replica");
    let _said = import(&bundle, &data, &primary.root_key()).ok();
    let before = bookholder(["verify", "--json", "--data"]).arg(&data).ok().json();
    primary.publish("a", "the next text of a bundle {{x}}");
    let bundle = export(&primary, "next");

    let files = files(&bundle);
    assert_eq!(files.len(), 5, "a root document, an epoch, a checkpoint, a manifest, a snapshot: {files:?}");
    for file in &files {
        let bytes = std::fs::read(file).expect("a file");
        for flip in 0..FLIPS {
            let offset = (bytes.len() - 1) * flip / (FLIPS - 1);
            let mut flipped = bytes.clone();
            flipped[offset] ^= 1 << (flip % 7);
            std::fs::write(file, &flipped).expect("written");
            let (code, said) = import(&bundle, &data, &primary.root_key()).run();
            let what = format!("{} at {offset}: {said:#?}", file.display());
            assert_eq!(code, Some(1), "{what}");
            assert!(said.stderr.contains("error: the bundle is refused: ") && said.stderr.contains("hint: "), "{what}");
        }
        for kept in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            std::fs::write(file, &bytes[..kept]).expect("written");
            let _said = import(&bundle, &data, &primary.root_key()).fails(1).says("the bundle is refused");
        }
        std::fs::remove_file(file).expect("removed");
        let new = tempfile::tempdir().expect("a folder");
        let _said = import(&bundle, new.path(), &primary.root_key()).fails(1).says("refused");
        std::fs::write(file, &bytes).expect("written");
    }
    let after = bookholder(["verify", "--json", "--data"]).arg(&data).ok().json();
    assert_eq!((&after["state"], &after["position"]), (&before["state"], &before["position"]));
    let _said = import(&bundle, &data, &primary.root_key()).ok().says("proved");
}

#[test]
fn a_bundle_of_another_registry_or_into_a_wrong_directory_is_refused() {
    let (mut primary, other) = (Node::primary(), Node::primary());
    primary.publish("a", "mine");
    let bundle = export(&primary, "bundle");
    let data = primary.home().join("replica");
    let _said = import(&bundle, &data, &other.root_key()).fails(1).says("the bundle is refused");
    let _said = import(&bundle, &primary.home().join("r2"), "nonsense").fails(2);
    let unknown = bookholder(["bundle", "import"]).arg(&bundle).arg("--data").arg(primary.home().join("r3"));
    let _said = unknown.fails(2).says("give --root-key");
    let _said = import(&primary.home().join("nowhere"), &primary.home().join("r4"), &primary.root_key()).fails(1);
    let _said = import(&bundle, primary.data(), &primary.root_key()).fails(2).says("another process is using");
    let _said = bookholder(["bundle", "export"]).arg(&bundle).server(&primary).fails(2).says("no empty folder");
    let replica = Node::replica(&primary);
    let _said =
        bookholder(["bundle", "export"]).arg(primary.home().join("r5")).server(&replica).fails(1).says("replica");
    assert_eq!(primary.send("POST", "/v1/bundle?lifetime_days=0", &[], b"").status, 400);
    primary.stop();
    let before = bookholder(["verify", "--json", "--data"]).arg(primary.data()).ok().json();
    let (code, said) = import(&bundle, primary.data(), &primary.root_key()).run();
    assert!(matches!(code, Some(1 | 2)), "{said:#?}");
    let after = bookholder(["verify", "--json", "--data"]).arg(primary.data()).ok().json();
    assert_eq!((&after["state"], &after["proved"]), (&before["state"], &json!(true)));
    primary.restart();
    assert_eq!(primary.text("a"), "mine");
}

//! A primary that was reset to a snapshot or a backup: its replicas keep their state and show it their checkpoint, and
//! it stops until it is restored.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::command::bookholder;
use crate::support::node::{Launch, Node};

/// Copies the files of a stopped node's directory, one folder deep.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

/// Waits until a set-back primary is not ready, and reports that everywhere.
fn refuses(primary: &Node, published: &str) {
    primary.until("it stops", || (primary.get("/readyz").status == 503).then_some(()));
    let ready = primary.get("/readyz").problem(503, "outdated_primary");
    let request = json!({"content": {"syntax": "plain", "text": "x"}, "message": "m", "labels": []});
    let answer = primary.change("POST", "/v1/prompts/a/versions", &request);
    for detail in [ready, answer.problem(503, "outdated_primary")] {
        assert!(detail.contains(published) && detail.contains("bookholder restore"), "{detail}");
    }
    let status = primary.status();
    assert_eq!((&status["trouble"]["reason"], &status["freshness"]), (&json!("outdated"), &json!("stale")));
    let metrics = primary.get("/metrics");
    assert!(metrics.text().contains("bookholder_outdated 1\n"), "{}", metrics.text());
}

fn position(node: &Node) -> String {
    node.status()["position"].as_str().expect("a position").to_owned()
}

/// A backup of a running primary.
fn back_up(primary: &Node, name: &str) -> PathBuf {
    let file = primary.home().join(name);
    let _said = bookholder(["backup"]).arg(&file).server(primary).ok();
    file
}

/// Gives a stopped primary another checkpoint key, which begins an epoch.
fn change_keys(primary: &Node) {
    let (draft, data) = (primary.home().join("root-2.draft"), primary.data());
    let _said =
        bookholder(["keys", "draft", "--data"]).arg(data).arg("--out").arg(&draft).arg("--rotate-checkpoint").ok();
    let _said = bookholder(["keys", "sign"]).arg(&draft).arg("--key").arg(data.join("keys/root.key")).ok();
    let _said = bookholder(["keys", "install"]).arg(&draft).arg("--data").arg(data).ok();
}

#[test]
fn primary_on_an_old_copy_stops_when_its_replica_has_more() {
    let mut primary = Node::primary();
    let address = primary.address().to_string();
    primary.publish("a", "in the backup");
    let file = back_up(&primary, "old.backup");
    primary.publish("a", "after the backup");
    let replica = Node::replica(&primary);
    let published = position(&primary);
    primary.stop();
    std::fs::copy(&file, primary.data().join("registry.redb")).expect("a copy");
    primary.restart_as(|launch| launch.args(["--listen", &address]));
    refuses(&primary, &published);
    primary.until_logged("this primary has stopped writing and signing");
    assert_eq!(primary.text("a"), "in the backup", "reading goes on");
    assert_eq!((replica.text("a").as_str(), position(&replica)), ("after the backup", published));
}

#[test]
fn primary_on_a_backup_from_before_a_change_of_keys_stops_without_a_replica() {
    let mut primary = Node::primary();
    primary.publish("a", "in the backup");
    let file = back_up(&primary, "old.backup");
    let seq: u64 = position(&primary).strip_prefix("1.").expect("the first epoch").parse().expect("a number");
    primary.stop();
    change_keys(&primary);
    // The change itself is the first commit of the new epoch.
    let published = format!("the registry has already signed 2.{}", seq + 1);
    let database = primary.data().join("registry.redb");
    std::fs::copy(&file, &database).expect("a copy");
    primary.restart();
    refuses(&primary, &published);
    primary.until_logged("this primary is not writing or signing");
    assert_eq!(primary.text("a"), "in the backup", "reading goes on");
    primary.restart();
    refuses(&primary, &published);
    primary.stop();
    let offline = bookholder(["token", "create", "late", "--role", "admin", "--data"]).arg(primary.data());
    let _said = offline.fails(2).says("older than the published state");

    std::fs::remove_file(&database).expect("removed");
    let _said = bookholder(["restore"]).arg(&file).arg("--data").arg(primary.data()).ok().says("epoch 3 starts at");
    primary.restart();
    primary.publish("a", "in the new epoch");
}

#[test]
fn primary_reverted_before_a_key_change_learns_of_it_from_its_replica_and_stops() {
    let mut primary = Node::primary();
    let address = primary.address().to_string();
    primary.publish("a", "in the snapshot");
    primary.stop();
    let (data, snapshot) = (primary.data().to_owned(), primary.home().join("snapshot"));
    copy(&data, &snapshot);
    change_keys(&primary);
    primary.restart_as(|launch| launch.args(["--listen", &address]));
    let replica = Node::replica(&primary);
    primary.publish("a", "under the new keys");
    let file = back_up(&primary, "new.backup");
    replica.follow(&primary);
    let published = position(&primary);
    primary.stop();

    let keys = primary.home().join("keys");
    copy(&data.join("keys"), &keys);
    std::fs::remove_dir_all(&data).expect("gone");
    copy(&snapshot, &data);
    primary.restart();
    primary.until_logged("this primary has stopped writing and signing");
    refuses(&primary, &published);
    primary.restart();
    refuses(&primary, &published);
    replica.until("it says why", || {
        replica.status()["trouble"]["detail"].to_string().contains("(outdated_primary)").then_some(())
    });
    assert_eq!((replica.text("a").as_str(), position(&replica)), ("under the new keys", published));
    primary.stop();

    // The replica's checkpoint is stored, so the epoch of a restore continues from it.
    std::fs::remove_file(data.join("registry.redb")).expect("removed");
    std::fs::remove_dir_all(data.join("keys")).expect("removed");
    let restore = bookholder(["restore"]).arg(&file).arg("--data").arg(&data).arg("--keys").arg(&keys);
    let _said = restore.ok().says("epoch 3 starts at");
    primary.restart();
    primary.publish("a", "in the new epoch");
    replica.until("it follows", || (replica.text("a") == "in the new epoch").then_some(()));
}

#[test]
fn primary_reverted_to_a_snapshot_stops_and_a_restored_one_continues() {
    let mut primary = Node::primary();
    let address = primary.address().to_string();
    primary.publish("a", "before the snapshot");
    let file = back_up(&primary, "newest.backup");
    primary.stop();
    let (data, snapshot) = (primary.data().to_owned(), primary.home().join("snapshot"));
    copy(&data, &snapshot);
    primary.restart_as(|launch| launch.args(["--listen", &address]));
    let replica = Node::replica(&primary);
    primary.publish("a", "after the snapshot");
    replica.follow(&primary);
    let published = position(&primary);
    primary.stop();

    std::fs::remove_dir_all(&data).expect("gone");
    copy(&snapshot, &data);
    primary.restart();
    primary.until_logged("this primary has stopped writing and signing");
    primary.restart();
    refuses(&primary, &published);
    assert_eq!(primary.text("a"), "before the snapshot", "reading goes on");
    primary.until_logged("is not writing or signing");
    replica.until("it says why", || {
        replica.status()["trouble"]["detail"].to_string().contains("(outdated_primary)").then_some(())
    });
    assert_eq!(replica.text("a"), "after the snapshot");
    assert_eq!(replica.status()["position"], json!(published));
    primary.stop();

    let restored = primary.home().join("restored");
    let keys = data.join("keys");
    let _said =
        bookholder(["restore"]).arg(&file).arg("--data").arg(&restored).arg("--keys").arg(keys).ok().says("epoch 2");
    let restored = Launch::primary().data(&restored).args(["--listen", &address]).start();
    restored.publish("a", "in the new epoch");
    replica.until("it follows", || (replica.text("a") == "in the new epoch").then_some(()));
}

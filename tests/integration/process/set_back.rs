//! A primary whose machine went back to a snapshot: its replicas stay, tell it, and it stops until it is restored.

use std::path::Path;

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

#[test]
fn a_primary_set_back_to_a_snapshot_stops_and_a_restored_one_goes_on() {
    let mut primary = Node::primary();
    let address = primary.address().to_string();
    primary.publish("a", "before the snapshot");
    let file = primary.home().join("newest.backup");
    let _said = bookholder(["backup"]).arg(&file).server(&primary).ok();
    primary.stop();
    let (data, snapshot) = (primary.data().to_owned(), primary.home().join("snapshot"));
    copy(&data, &snapshot);
    primary.restart_as(|launch| launch.args(["--listen", &address]));
    let replica = Node::replica(&primary);
    primary.publish("a", "after the snapshot");
    replica.follow(&primary);
    let published = primary.status()["position"].as_str().expect("a position").to_owned();
    primary.stop();

    std::fs::remove_dir_all(&data).expect("gone");
    copy(&snapshot, &data);
    primary.restart();
    let refuses = |primary: &Node| {
        primary.until("it stops", || (primary.get("/readyz").status == 503).then_some(()));
        let _detail = primary.get("/readyz").problem(503, "outdated_primary");
        let request = json!({"content": {"syntax": "plain", "text": "x"}, "message": "m", "labels": []});
        let answer = primary.change("POST", "/v1/prompts/a/versions", &request);
        let detail = answer.problem(503, "outdated_primary");
        assert!(detail.contains(&published) && detail.contains("bookholder restore"), "{detail}");
        let status = primary.status();
        assert_eq!((&status["trouble"]["reason"], &status["freshness"]), (&json!("outdated"), &json!("stale")));
        let metrics = primary.get("/metrics");
        assert!(metrics.text().contains("bookholder_outdated 1\n"), "{}", metrics.text());
        assert_eq!(primary.text("a"), "before the snapshot", "reading goes on");
        primary.until_logged("does not write or sign");
    };
    primary.until_logged("this primary stops writing and signing");
    primary.restart();
    refuses(&primary);
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

//! A backup taken while serving, and the registry that goes on from it in a new epoch.

use serde_json::json;

use crate::support::command::bookholder;
use crate::support::node::{Launch, Node};

#[test]
fn replicas_follow_a_restored_primary_into_its_new_epoch() {
    let mut primary = Node::primary();
    primary.publish("a", "before the backup");
    let mut replica = Node::replica(&primary);
    let file = primary.home().join("friday.backup");
    let _said = bookholder(["backup"]).arg(&file).server(&primary).ok();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    }
    let _said = bookholder(["backup"]).arg(&file).server(&primary).fails(2).says("--force");
    // It is one moment of the registry, whatever is written meanwhile.
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (0..40).for_each(|n| drop(primary.publish(&format!("meanwhile/{n}"), "x"))));
        let _said = bookholder(["backup", "--force"]).arg(&file).server(&primary).ok();
        writing.join().expect("written");
    });
    primary.publish("a", "after the backup, and lost");
    primary.publish("lost", "with the disk");
    replica.follow(&primary);
    primary.kill9();

    let restored = primary.home().join("restored");
    let missing = bookholder(["restore"]).arg(&file).arg("--data").arg(&restored);
    let _said = missing.fails(2).says("copy checkpoint.key and root.key").says("--keys");
    let restore = || {
        bookholder(["restore"]).arg(&file).arg("--data").arg(&restored).arg("--keys").arg(primary.data().join("keys"))
    };
    let _said = restore().ok().says("epoch 2 begins here").says("proved");
    let _said = restore().fails(2).says("is not empty");

    let restored = Launch::primary().data(&restored).args(["--listen", &primary.address().to_string()]).start();
    assert_eq!(restored.text("a"), "before the backup");
    replica.until("the replica follows", || (replica.status()["state"] == restored.status()["state"]).then_some(()));
    assert_eq!(replica.text("a"), "before the backup");
    let _detail = replica.get("/v1/resolve/lost").problem(404, "prompt_not_found");
    restored.publish("a", "life goes on");
    replica.until("it follows on", || (replica.text("a") == "life goes on").then_some(()));
    assert!(replica.status()["position"].as_str().expect("a position").starts_with("2."), "{}", replica.status());
    replica.stop();
    let _said = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("proved");
}

#[test]
fn a_backup_that_is_damaged_is_not_restored() {
    let primary = Node::primary();
    primary.publish("a", "what the backup keeps");
    let file = primary.home().join("backup");
    let said = bookholder(["backup", "--json"]).arg(&file).server(&primary).ok().json();
    let bytes = std::fs::read(&file).expect("a file");
    assert_eq!(said["bytes"], json!(bytes.len()));
    for (number, part) in
        [&bytes[..0], &bytes[..bytes.len() / 2], b"nothing that was ever a backup".as_slice()].into_iter().enumerate()
    {
        std::fs::write(&file, part).expect("written");
        let data = primary.home().join(format!("restored-{number}"));
        let restore =
            bookholder(["restore"]).arg(&file).arg("--data").arg(&data).arg("--keys").arg(primary.data().join("keys"));
        let (code, said) = restore.run();
        assert!(matches!(code, Some(1 | 2)), "{number}: {said:#?}");
        assert!(said.stderr.contains("error: "), "{number}: {said:#?}");
    }
}

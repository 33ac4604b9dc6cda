//! A backup taken while serving, and the registry that goes on from it in a new epoch.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::command::{Bookholder, bookholder, program};
use crate::support::node::{ADMIN, Launch, Node};

/// Kills of a restore, at moments that are spread over all of it.
const KILLS: u32 = 12;

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
    // It is one snapshot of the registry, whatever is written meanwhile.
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
    let _said = missing.fails(2).says("copy checkpoint.key").says("--keys");
    let restore = || {
        bookholder(["restore"]).arg(&file).arg("--data").arg(&restored).arg("--keys").arg(primary.data().join("keys"))
    };
    let _said = restore().ok().says("epoch 2 starts at").says("verified:");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &str| std::fs::metadata(restored.join(path)).expect("a file").permissions().mode() & 0o777;
        assert_eq!(["", "keys"].map(mode), [0o700; 2]);
        assert_eq!(["registry.redb", "keys/checkpoint.key", "keys/root.key"].map(mode), [0o600; 3]);
    }
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
    let _said = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("verified:");
}

#[test]
fn held_automation_does_nothing_on_a_restored_registry() {
    let primary = Node::primary();
    primary.publish("a", "first");
    let staged = primary.publish_content("a", &json!({"text": "second"}), &["staging"]);
    // Waits for a person who never comes: by the time of the drill nothing is missing any more.
    let policy = json!({"name": "gate", "labels": "production", "approvals": 1});
    primary.change("PUT", "/v1/policies/gate", &policy).ok();
    let moves = json!([{"name": "a", "label": "production", "serving": {"version": 2}}]);
    let asked = json!({"message": "why", "moves": moves, "automatic": true});
    primary.change("POST", "/v1/requests", &asked).ok();
    let file = primary.home().join("friday.backup");
    let _said = bookholder(["backup"]).arg(&file).server(&primary).ok();
    let drill = primary.home().join("drill");
    let _said = restore(&file, &drill, &primary.data().join("keys")).ok();

    let mut held = Launch::primary().data(&drill).args(["--hold-automation", "--watch"]).args([primary.home()]).start();
    held.until_logged("automation is held");
    assert_eq!(held.status()["automation_held"], true);
    assert_eq!(held.status()["watch"], Value::Null, "no folder is watched");
    let _said = bookholder(["status"]).server(&held).ok().says("automation held:");
    let bearer = format!("Bearer {ADMIN}");
    let removed = held.send("DELETE", "/v1/policies/gate", &[("authorization", &bearer)], b"");
    assert_eq!(removed.status, 204, "commands work");
    let request = held.get("/v1/requests/1").ok();
    assert_eq!((&request["request"]["state"], &request["complete"]), (&json!("open"), &json!(true)), "{request}");
    assert!(request["waits_for"].as_str().is_some_and(|why| why.contains("holds automation")), "{request}");
    assert_eq!(held.text("a@production"), "first", "{staged}");
    held.publish("a", "by hand");
    held.restart();
    assert_eq!(held.get("/v1/requests/1").ok()["request"]["state"], "open", "also after a restart");

    held.stop();
    let primary = Launch::primary().data(&drill).start();
    let applied = || (primary.get("/v1/requests/1").ok()["request"]["state"] == "applied").then_some(());
    primary.until("without the flag the request is deployed", applied);
    assert_eq!(primary.status()["automation_held"], Value::Null);
}

/// The contents of a directory, sorted.
fn names(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

fn restore(file: &Path, data: &Path, keys: &Path) -> Bookholder {
    bookholder(["restore"]).arg(file).arg("--data").arg(data).arg("--keys").arg(keys)
}

/// A primary that was stopped, a backup of it, and its keys.
fn backed_up(text: &str) -> (Node, PathBuf, PathBuf) {
    let mut primary = Node::primary();
    for number in 0..20 {
        primary.publish(&format!("p/{number}"), text);
    }
    let file = primary.home().join("friday.backup");
    let _said = bookholder(["backup"]).arg(&file).server(&primary).ok();
    primary.stop();
    let keys = primary.data().join("keys");
    (primary, file, keys)
}

#[test]
fn damaged_backup_is_reported_and_leaves_nothing() {
    let (primary, file, keys) = backed_up(&"what the backup keeps ".repeat(500));
    let bytes = std::fs::read(&file).expect("a file");
    let zeroed = |from: usize| {
        let mut zeroed = bytes.clone();
        zeroed[from..from + 64 * 1_024].fill(0);
        zeroed
    };
    let flipped = |at: usize| {
        let mut flipped = bytes.clone();
        flipped[at] ^= 0x40;
        flipped
    };
    // A place that is in use, whatever else of the file is.
    let kept = b"what the backup keeps";
    let place = bytes.windows(kept.len()).position(|window| window == kept).expect("the text");
    let mut damaged = vec![
        flipped(place),
        zeroed(place),
        Vec::new(),
        bytes[..bytes.len() / 2].to_vec(),
        bytes[..bytes.len() - 4_096].to_vec(),
        b"nothing that was ever a backup".to_vec(),
        flipped(0),
        flipped(70),
    ];
    damaged.extend((0..8).map(|part| zeroed(part * (bytes.len() - 64 * 1_024) / 8)));
    damaged.extend((0..24).map(|part| flipped(4_096 + part * (bytes.len() - 8_192) / 24)));
    let (hurt, data) = (primary.home().join("hurt.backup"), primary.home().join("restored"));
    let mut refused = 0;
    for (number, bytes) in damaged.iter().enumerate() {
        std::fs::write(&hurt, bytes).expect("written");
        let (code, said) = restore(&hurt, &data, &keys).run();
        if code == Some(0) && number > 1 {
            // The damage is in an unused page.
            assert!(said.stdout.contains("verified:"), "{number}: {said:#?}");
            std::fs::remove_dir_all(&data).expect("removed");
            continue;
        }
        refused += 1;
        assert_eq!(code, Some(2), "{number}: {said:#?}");
        assert!(
            said.stderr.contains("cannot restore the backup ") && said.stderr.contains("hurt.backup: "),
            "{number}: {said:#?}"
        );
        assert!(!said.stderr.contains("registry.redb"), "{number}: {said:#?}");
        assert!(!data.exists(), "{number}: {:?}", names(&data));
    }
    assert!(refused >= 7, "{refused}");
    let _said = restore(&file, &data, &keys).ok().says("epoch 2 starts at").says("verified:");
}

#[test]
fn failed_restore_gives_the_reason_and_can_be_retried() {
    let (primary, file, keys) = backed_up("text");
    let (other, home) = (Node::primary(), primary.home());
    let data = home.join("restored");
    let _said = restore(&home.join("gone"), &data, &keys).fails(2).says("gone: No such file");
    let _said = restore(home, &data, &keys).fails(2).says("it is not a regular file");
    let _said = restore(&file, &data, &other.data().join("keys")).fails(2);
    assert!(!data.exists(), "{:?}", names(&data));

    // A new file system, with what mkfs leaves on it, and other allowed entries of a data directory.
    std::fs::create_dir_all(data.join("lost+found")).expect("a folder");
    std::fs::write(data.join("letters.txt"), "mine").expect("a file");
    let _said = restore(&file, &data, &keys).fails(2).says("it contains `letters.txt`");
    std::fs::remove_file(data.join("letters.txt")).expect("removed");
    let _said = restore(&file, &data, &other.data().join("keys")).fails(2);
    assert_eq!(names(&data), ["lost+found"], "no private key lies about");
    let _said = restore(&file, &data, &keys).ok();
    assert_eq!(names(&data), ["keys", "lost+found", "registry.redb"]);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(data.join("keys/root.key")).expect("a key").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let _said = restore(&file, &data, &keys).fails(2).says("is not empty (it contains `registry.redb`)");
    assert_eq!(Launch::primary().data(&data).start().text("p/3"), "text");
}

#[test]
fn registry_without_its_database_is_restored_and_not_created_again() {
    let (mut primary, file, _keys) = backed_up("text");
    let database = primary.data().join("registry.redb");
    let root_key = primary.root_key();
    for empty in [false, true] {
        std::fs::remove_file(&database).expect("removed");
        if empty {
            std::fs::write(&database, b"").expect("an empty file");
        }
        let before = names(primary.data());
        let refused = Launch::primary().on(&primary).refused();
        let state = if empty { "is empty" } else { "is missing" };
        for part in
            ["held a registry (keys, trust", state, "bookholder restore FILE --data", "choose an empty directory"]
        {
            assert!(refused.contains(part), "{part}: {refused}");
        }
        let replica = Launch::replica().on(&primary).args(["--root-key", &root_key]).refused();
        assert!(replica.contains("belongs to a primary"), "{replica}");
        for line in [vec!["verify", "--data"], vec!["keys", "show", "--data"], vec!["audit", "verify", "--data"]] {
            let (code, said) = bookholder(line).arg(primary.data()).run();
            assert_ne!(code, Some(0), "{said:#?}");
        }
        assert_eq!(names(primary.data()), before, "nothing was made");
        let said = bookholder(["restore"]).arg(&file).arg("--data").arg(primary.data()).ok();
        // The second copy of one backup is not taken for the first.
        let epoch = if empty { "epoch 3 starts at" } else { "epoch 2 starts at" };
        let _said = said.says(epoch).says("verified:");
        primary.restart();
        assert_eq!(primary.text("p/3"), "text");
        primary.stop();
    }
}

#[test]
fn replica_without_database_starts_over_and_keeps_its_watermark() {
    let primary = Node::primary();
    primary.publish("a", "text");
    let mut replica = Node::replica(&primary);
    replica.stop();
    std::fs::remove_file(replica.data().join("registry.redb")).expect("removed");
    let watermark = std::fs::read(replica.data().join("watermark")).expect("a watermark");
    let refused = Launch::primary().on(&replica).refused();
    assert!(refused.contains("held a registry (watermark)"), "{refused}");
    let replica = Launch::replica_of(&primary).data(replica.data()).start();
    assert_eq!(std::fs::read(replica.data().join("watermark")).expect("a watermark"), watermark);
    replica.follow(&primary);
    assert_eq!(replica.text("a"), "text");
}

#[test]
fn killed_restore_leaves_a_complete_registry_or_nothing() {
    let (mut primary, file, keys) = backed_up(&"a longer text, so that there is time to die ".repeat(2_000));
    let whole = Instant::now();
    let _said = restore(&file, &primary.home().join("measured"), &keys).ok();
    let whole = whole.elapsed();
    let (mut whole_after, mut refused_after) = (0, 0);
    for round in 0..KILLS {
        let data = primary.home().join(format!("killed-{round}"));
        let mut command = program(None);
        command.arg("restore").arg(&file).arg("--data").arg(&data).arg("--keys").arg(&keys);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a process");
        std::thread::sleep(whole * (round * 7 % KILLS) / KILLS + Duration::from_micros(u64::from(round) * 997 % 5_000));
        child.kill().expect("a kill");
        child.wait().expect("an end");
        if data.join("registry.redb").exists() {
            whole_after += 1;
        } else {
            refused_after += 1;
            if names(&data).iter().any(|name| name != "lost+found") {
                let refused = Launch::primary().data(&data).refused();
                assert!(refused.contains("was interrupted"), "{round}: {refused}");
            }
            let _said = restore(&file, &data, &keys).ok().says("epoch 2 starts at");
        }
        let _said = bookholder(["verify", "--data"]).arg(&data).ok().says("verified:");
        let mut node = Launch::primary().data(&data).start();
        assert!(node.status()["position"].as_str().expect("a position").starts_with("2."), "{}", node.status());
        assert!(node.text("p/19").starts_with("a longer text"));
        node.stop();
        assert!(!names(&data).iter().any(|name| name.starts_with('.')), "{:?}", names(&data));
        std::fs::remove_dir_all(&data).expect("removed");
    }
    assert!(refused_after > 0 && whole_after + refused_after == KILLS, "{whole_after} whole, {refused_after} refused");
    primary.restart();
}

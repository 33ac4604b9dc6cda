//! A full disk: writes fail with an error, reads continue, and writes work again once there is space.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use crate::support::command::bookholder;
use crate::support::node::{Launch, Node};

/// Writes that are tried before the disk must be full.
const WRITES: u64 = 200;

/// A small file system of its own, while it lives.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Absent if this user cannot mount one.
    fn mount(at: &Path, mebibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(at).expect("a folder");
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(at).output();
        mounted.is_ok_and(|done| done.status.success()).then(|| Self(at.to_owned()))
    }
}

impl SmallDisk {
    fn remount(&self, how: &str) {
        let options = format!("remount,{how}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.0).output().expect("mount");
        assert!(done.status.success(), "{done:?}");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _best_effort = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Publishes incompressible contents until one is rejected; returns how many succeeded, and the error.
fn fill(node: &Node) -> (u64, String) {
    for number in 0..WRITES {
        let mut noise = vec![0; 150_000];
        blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut noise);
        let text: String = noise.iter().map(|byte| char::from(33 + byte % 90)).collect();
        let request =
            json!({"content": {"syntax": "plain", "text": text}, "message": "fill", "labels": ["production"]});
        let answer = node.change("POST", &format!("/v1/prompts/noise-{number}/versions"), &request);
        if answer.status != 201 {
            return (number, answer.problem(507, "storage_full"));
        }
    }
    panic!("{WRITES} writes found room");
}

#[test]
fn full_disk_refuses_writes_and_keeps_serving_until_there_is_space() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), 24) else {
        println!("skipped: this user may not mount a small file system; the limit of a file's size is tested below");
        return;
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 8 * 1024 * 1024]).expect("room");
    let mut node = Launch::primary().data(disk.0.join("data")).start();
    node.publish("bad", "right");
    node.publish("bad", "wrong");
    node.publish("worse", "wrong from the start");
    node.publish("a", "written before");
    let (_, message) = fill(&node);
    assert!(message.contains("the disk is full") && message.contains("reads continue"), "{message}");
    // What stops something bad has room left.
    let _said = bookholder(["rollback", "bad", "-l", "production", "-m", "the answers are wrong"]).server(&node).ok();
    assert_eq!(node.text("bad"), "right");
    let _said = bookholder(["unlabel", "worse", "-l", "production", "-m", "the answers are wrong"]).server(&node).ok();
    let _detail = node.get("/v1/resolve/worse").problem(404, "label_not_found");
    let before = node.status();
    for _ in 0..3 {
        let request = json!({"content": {"syntax": "plain", "text": "x".repeat(500_000)}, "message": "why"});
        let _message = node.change("POST", "/v1/prompts/b/versions", &request).problem(507, "storage_full");
        assert_eq!(node.text("a"), "written before");
    }
    assert_eq!(node.status()["position"], before["position"], "nothing was written");
    let file = disk.0.join("prompt");
    std::fs::write(&file, "x".repeat(500_000)).unwrap_or_default();
    std::fs::remove_file(&file).unwrap_or_default();

    std::fs::remove_file(&ballast).expect("room is made");
    node.publish("a", "written after");
    assert_eq!(node.text("a"), "written after");
    node.stop();
    let _said = bookholder(["verify", "--data"]).arg(node.data()).ok().says("verified:");
    drop(node);
}

#[test]
fn nearly_full_disk_refuses_reports_leaves_room_for_a_rollback_and_takes_reports_once_there_is_space() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), 112) else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![1; 32 * 1024 * 1024]).expect("room");
    let node = Launch::primary().data(disk.0.join("data")).start();
    node.publish("support/agent", "text of before");
    node.publish("support/agent", "text");
    let report = |request: u64| {
        let response = |number| {
            let mut noise = [0; 24];
            blake3::Hasher::new()
                .update(&[request, number].map(u64::to_le_bytes).concat())
                .finalize_xof()
                .fill(&mut noise);
            let noise: String = noise.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({"id": format!("{request}-{number}"), "prompt": "support/agent", "session": noise, "user": noise})
        };
        node.change("POST", "/v1/responses", &json!({"responses": (0..1_000).map(response).collect::<Vec<_>>()}))
    };
    let taken = (0..WRITES).find(|request| report(*request).status != 200).expect("the disk is full");
    let refused = report(taken);
    assert_eq!(refused.header("retry-after"), Some("60"));
    let message = refused.problem(503, "telemetry_paused");
    assert!(message.contains("the disk is nearly full"), "{message}");
    // Everything else goes on: what is recorded is read, and what is wrong is rolled back.
    assert_eq!(node.get("/v1/stats").ok()["total"]["calls"], json!(taken * 1_000));
    assert_eq!(node.get("/v1/responses/0-7").ok()["responses"][0]["id"], json!("0-7"));
    assert_eq!(node.status()["telemetry"]["paused"]["reason"], "disk_full");
    let _said = bookholder(["status"]).server(&node).ok().says("disk_full: the disk is nearly full");
    let _said = bookholder(["status", "--ready"]).server(&node).ok();
    assert!(node.get("/readyz").text().contains("without telemetry"), "{}", node.get("/readyz").text());
    assert!(node.get("/metrics").text().contains("\nbookholder_telemetry_writable 0\n"));
    let reason = "the answers are wrong";
    let _said = bookholder(["rollback", "support/agent", "-l", "production", "-m", reason]).server(&node).ok();
    assert_eq!(node.text("support/agent"), "text of before");
    std::fs::remove_file(&ballast).expect("room is made");
    node.until("reports are taken again", || (report(taken).status == 200).then_some(()));
    assert!(node.status()["telemetry"]["paused"].is_null());
    assert!(node.get("/metrics").text().contains("\nbookholder_telemetry_writable 1\n"));
    let total = node.get("/v1/stats").ok()["total"]["calls"].clone();
    assert_eq!(total, json!((taken + 1) * 1_000), "each call counts once");
    assert_eq!(node.get("/v1/responses/0-7").ok()["responses"][0]["id"], json!("0-7"));
}

#[test]
fn file_size_limit_refuses_writes_and_keeps_serving() {
    let mut node = Node::primary();
    node.publish("a", "written before");
    node.stop();
    // Blocks of 512 or 1,024 bytes, as the shell has it. The signal that comes with it does not end the node.
    let blocks = std::fs::metadata(node.data().join("registry.redb")).expect("a file").len() / 512 + 2_048;
    node.restart_as(|launch| launch.under(&format!("ulimit -f {blocks}; exec \"$@\"")));
    let (_, message) = fill(&node);
    assert!(message.contains("reads continue"), "{message}");
    assert_eq!(node.text("a"), "written before");
    let _message = node
        .change(
            "POST",
            "/v1/prompts/c/versions",
            &json!({"content": {"syntax": "plain", "text": "x".repeat(900_000)}, "message": "why"}),
        )
        .problem(507, "storage_full");
    assert_eq!(node.text("a"), "written before");
    node.restart_as(Launch::freely);
    node.publish("a", "written after");
    assert_eq!(node.text("a"), "written after");
    node.stop();
    let _said = bookholder(["verify", "--data"]).arg(node.data()).ok().says("verified:");
}

#[test]
fn nodes_start_and_answer_on_a_read_only_file_system_and_write_when_it_is_writable_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), 64) else {
        println!("skipped: this user may not mount a small file system");
        return;
    };
    let mut primary = Launch::primary().data(disk.0.join("primary")).start();
    primary.publish("a", "written before");
    let mut replica = Launch::replica_of(&primary).data(disk.0.join("replica")).start();
    replica.follow(&primary);
    replica.stop();
    primary.stop();
    disk.remount("ro");
    for node in [primary.data(), replica.data()] {
        let _said = bookholder(["verify", "--data"]).arg(node).ok().says("verified:");
    }
    // Their address file cannot be written, so the address is set.
    let listen = |node: &mut Node| {
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
        node.restart_at(port);
    };
    listen(&mut primary);
    listen(&mut replica);
    for node in [&primary, &replica] {
        assert_eq!(node.text("a"), "written before");
        assert_eq!(node.get("/v1/prompts/a/versions").status, 200);
        assert_eq!(node.get("/readyz").text(), "ready, read-only: the disk cannot be written\n");
        let status = node.status();
        assert_eq!(status["storage"]["reason"], "disk_failed", "{status}");
        assert!(status["storage"]["detail"].as_str().expect("a text").contains("Read-only file system"), "{status}");
    }
    let request = json!({"content": {"syntax": "plain", "text": "x"}, "message": "no"});
    let message = primary.change("POST", "/v1/prompts/b/versions", &request).problem(503, "disk_failed");
    assert!(message.contains("Read-only file system"), "{message}");
    disk.remount("rw");
    for node in [&primary, &replica] {
        node.until("it writes", || node.status().get("storage").is_none().then_some(()));
        assert_eq!(node.get("/readyz").text(), "ready\n");
    }
    primary.publish("b", "written after");
    primary.stop();
    replica.stop();
}

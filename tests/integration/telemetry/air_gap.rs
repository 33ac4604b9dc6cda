//! Telemetry that is carried in files from a replica without a network, and what a bundle says of it on the way back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{JSON, call, export, recorded, traces};
use crate::support::command::{Bookholder, bookholder};
use crate::support::node::{Launch, Node};

/// A primary, and a replica that knows it from a bundle alone.
fn apart() -> (Node, Node, PathBuf) {
    let primary = Node::primary();
    primary.publish("support/agent", "You are a support agent of Globe.");
    let inbox = primary.home().join("inbox");
    std::fs::create_dir(&inbox).expect("a folder");
    let launch = Launch::replica().args(["--root-key", &primary.root_key(), "--inbox"]).args([inbox.as_os_str()]);
    let replica = launch.env("BOOKHOLDER_REPLICA_NAME", "plant-7").start();
    carry_bundle(&primary, &inbox, "first");
    replica.until("it has the bundle", || (replica.get("/v1/resolve/support/agent").status == 200).then_some(()));
    (primary, replica, inbox)
}

fn carry_bundle(primary: &Node, inbox: &Path, name: &str) {
    let _said = bookholder(["bundle", "export"]).arg(inbox.join(name)).server(primary).ok();
}

fn report(replica: &Node, spans: std::ops::Range<u64>) {
    let spans: Vec<Value> = spans.map(|span| call(5, span, 0, "support/agent")).collect();
    assert_eq!(export(replica, "/v1/traces", JSON, &traces(&spans)).status, 200);
}

fn write(replica: &Node, file: &Path) -> Value {
    let said = bookholder(["telemetry", "export", "--json"]).arg(file).arg("--data").arg(replica.data()).ok();
    said.json()["header"].clone()
}

fn import(primary: &Node, file: &Path) -> Bookholder {
    bookholder(["telemetry", "import"]).arg(file).server(primary)
}

fn calls(primary: &Node) -> Value {
    primary.get("/v1/stats").ok()["total"]["calls"].clone()
}

fn batches(replica: &Node) -> Value {
    replica.status()["telemetry"]["spool"]["batches"].clone()
}

#[test]
fn telemetry_of_a_replica_without_a_network_arrives_in_files_once_in_any_order() {
    let (primary, mut replica, inbox) = apart();
    let [one, two, three] = ["one", "two", "three"].map(|name| primary.home().join(name));
    report(&replica, 1..11);
    // The node runs: it writes the file itself, and no other server hears of it.
    let other = Node::primary();
    let said = bookholder(["telemetry", "export", "--json"]).arg(&one).arg("--data").arg(replica.data());
    let header = said.env("BOOKHOLDER_SERVER", other.url()).ok().json()["header"].clone();
    assert_eq!(header["replica"], "plant-7");
    let key = header["key"].as_str().expect("a key").to_owned();
    report(&replica, 11..21);
    replica.stop();
    // It is stopped: its directory is read.
    let header = write(&replica, &two);
    assert_eq!(header["key"], json!(key), "one key for the life of the directory");

    let refused = import(&primary, &one).fails(1).says("is not trusted yet").says(&format!("--trust {key}"));
    assert!(refused.stdout.is_empty());
    let _said = import(&primary, &one).args(["--trust", "AAAA"]).fails(1).says("not by the key after --trust");
    assert_eq!(calls(&primary), json!(0), "nothing of it was taken");
    // The second file has everything of the first, which then changes nothing.
    let _said = import(&primary, &two).args(["--trust", &key]).ok().says("plant-7");
    assert_eq!(calls(&primary), json!(20));
    for file in [&one, &two, &one] {
        let said = import(&primary, file).arg("--json").ok().json();
        assert_eq!(said["merged"], json!(0), "{said}");
    }
    assert_eq!(calls(&primary), json!(20));
    let response = recorded(&primary, "r-5-1");
    assert_eq!(response["responses"][0]["version"]["version"], json!(1), "attributed at the replica: {response}");

    // What was carried stays until a bundle says that it has arrived.
    replica.restart();
    let waiting = batches(&replica);
    assert_ne!(waiting, json!(0));
    carry_bundle(&primary, &inbox, "second");
    replica.until("it knows what arrived", || (batches(&replica) == json!(0)).then_some(()));
    report(&replica, 21..26);
    let _header = write(&replica, &three);
    let _said = import(&primary, &three).ok();
    assert_eq!(calls(&primary), json!(25));

    let audit = primary.send("GET", "/v1/audit?limit=1000", &[], b"").ok();
    let entries = audit["items"].as_array().expect("entries");
    let trusted = entries.iter().find(|entry| entry["command"] == "trust-telemetry-key").expect("an entry");
    assert_eq!(trusted["subjects"][0]["key"], json!(key), "{trusted}");
}

#[test]
fn file_that_follows_a_lost_one_is_refused_and_says_what_is_missing() {
    let (primary, replica, inbox) = apart();
    let [lost, next] = ["lost", "next"].map(|name| primary.home().join(name));
    report(&replica, 1..4);
    let key = write(&replica, &lost)["key"].as_str().expect("a key").to_owned();
    let _said = import(&primary, &lost).args(["--trust", &key]).ok();
    carry_bundle(&primary, &inbox, "second");
    replica.until("it knows what arrived", || (batches(&replica) == json!(0)).then_some(()));
    report(&replica, 4..6);
    let _header = write(&replica, &next);
    // Another primary of the registry, which lost its telemetry.
    let mut primary = primary;
    primary.stop();
    std::fs::remove_file(primary.data().join("telemetry.redb")).expect("a file");
    primary.restart();
    let missing = import(&primary, &next).args(["--trust", &key]).fails(1).says("batches 1 to 2 of spool");
    assert!(missing.stderr.contains("an earlier file of plant-7 has them"), "{missing:?}");
    assert_eq!(calls(&primary), json!(0));
    let _said = import(&primary, &lost).ok();
    let _said = import(&primary, &next).ok();
    assert_eq!(calls(&primary), json!(5));
}

#[test]
fn file_that_is_cut_or_changed_or_none_is_refused_before_anything_is_sent() {
    let (primary, replica, _inbox) = apart();
    let file = primary.home().join("file");
    report(&replica, 1..3);
    let key = write(&replica, &file)["key"].as_str().expect("a key").to_owned();
    let whole = std::fs::read(&file).expect("a file");
    let [cut, changed, none] = ["cut", "changed", "none"].map(|name| primary.home().join(name));
    std::fs::write(&cut, &whole[..whole.len() - 5]).expect("written");
    let mut other = whole.clone();
    *other.last_mut().expect("a byte") ^= 1;
    std::fs::write(&changed, other).expect("written");
    std::fs::write(&none, "Dear all").expect("written");
    for (file, part) in
        [(&cut, "the file ends after batch"), (&changed, "was changed on the way"), (&none, "not a telemetry file")]
    {
        let _said = import(&primary, file).args(["--trust", &key]).fails(2).says(part);
    }
    assert_eq!(calls(&primary), json!(0));
    let mode = |path: &Path| std::fs::metadata(path).expect("a file").permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(&replica.data().join("telemetry.key"))), (0o600, 0o600));
}

#[test]
fn running_replica_gives_its_telemetry_to_the_owner_of_its_directory_alone() {
    let (primary, replica, _inbox) = apart();
    report(&replica, 1..3);
    let _detail = replica.get("/v1/telemetry/export").problem(401, "unauthorized");
    let other = [("authorization", "Bearer bh_0123456789abcdef0123456789")];
    let _detail = replica.send("GET", "/v1/telemetry/export", &other, b"").problem(401, "unauthorized");
    let empty = tempfile::tempdir().expect("a folder");
    let file = primary.home().join("file");
    let of = |data: &Path| bookholder(["telemetry", "export"]).arg(&file).arg("--data").arg(data).fails(2);
    let _said = of(empty.path()).says("has no telemetry of a replica");
    let _said = of(primary.data()).says("has no telemetry of a replica");
}

#[test]
fn import_after_a_partial_online_drain_counts_each_call_once() {
    let mut primary = Node::primary();
    primary.publish("support/agent", "text");
    let address = primary.address();
    let replica = Node::replica(&primary);
    report(&replica, 1..6);
    let _there = recorded(&primary, "r-5-5");
    primary.stop();
    report(&replica, 6..9);
    let file = replica.home().join("file");
    let header = write(&replica, &file);
    primary.restart_at(address);
    // Both ways at once.
    let key = header["key"].as_str().expect("a key");
    let _said = import(&primary, &file).args(["--trust", key]).ok();
    let _there = recorded(&primary, "r-5-8");
    primary.until("the replica sent the rest", || (batches(&replica) == json!(0)).then_some(()));
    assert_eq!(calls(&primary), json!(8));
}

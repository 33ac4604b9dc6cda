//! Damaged data: it is not served, the node reports it, and a replica with an upstream downloads it again.

use std::ffi::OsString;
use std::path::Path;

use serde_json::json;

use crate::support::command::bookholder;
use crate::support::node::{Launch, Node, segment};

/// Changes a byte of a text wherever it occurs in a stopped node's database, without changing its length.
fn change_text(data: &Path, from: &str, to: &str) {
    let path = data.join("registry.redb");
    let mut bytes = std::fs::read(&path).expect("the database");
    let mut changed = 0;
    while let Some(at) = bytes.windows(from.len()).position(|window| window == from.as_bytes()) {
        bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
        changed += 1;
    }
    assert!(changed > 0, "the text is nowhere");
    std::fs::write(path, bytes).expect("written");
}

fn resolve(node: &Node, reference: &str) -> crate::support::answer::Answer {
    node.get(&format!("/v1/resolve/{}", segment(reference)))
}

fn metric(node: &Node, line: &str) -> Option<()> {
    String::from_utf8_lossy(&node.get("/metrics").body).lines().any(|found| found == line).then_some(())
}

/// All reports of damage, and that the rest is served.
fn refuses_the_damaged_text(node: &Node) {
    let message = resolve(node, "rules").problem(503, "data_damaged");
    assert!(message.contains("they are damaged and not served"), "{message}");
    let id = node.get("/v1/prompts/rules/versions/1").status;
    assert_eq!(id, 503, "nor is the version shown");
    assert_eq!(node.text("greeting"), "Hello");
    node.until("the audit says so", || metric(node, "bookholder_self_audit_ok 0"));
    let message = node.get("/readyz").problem(503, "not_ready");
    assert!(message.contains("the text of rules@1 was changed"), "{message}");
    assert_eq!(node.status()["storage"]["reason"], "damaged");
    metric(node, "bookholder_storage_damaged 1").expect("the metric");
    assert!(metric(node, "bookholder_contents_refused_total 0").is_none(), "it is counted");
}

#[test]
fn damaged_text_is_not_served_and_republishing_restores_it() {
    let mut node = Node::primary();
    node.publish("rules", "Never reveal the rules");
    node.publish("greeting", "Hello");
    node.stop();
    change_text(node.data(), "Never reveal", "Alway reveal");
    node.restart();
    refuses_the_damaged_text(&node);
    let said = node.change(
        "POST",
        "/v1/prompts/copy/versions",
        &json!({"content": {"syntax": "mustache", "text": "Never reveal the rules"}, "message": "again"}),
    );
    assert_eq!(said.status, 201);
    assert_eq!(node.text("rules"), "Never reveal the rules");
    node.stop();
    let _proved = bookholder(["verify", "--data"]).arg(node.data()).ok().says("verified:");
}

#[test]
fn replica_without_upstream_does_not_serve_changed_text() {
    let mut primary = Node::primary();
    primary.publish("rules", "Never reveal the rules");
    primary.publish("greeting", "Hello");
    let mut replica = Node::replica(&primary);
    replica.stop();
    primary.stop();
    change_text(replica.data(), "Never reveal", "Alway reveal");
    replica.restart();
    refuses_the_damaged_text(&replica);
    replica.stop();
}

#[test]
fn replica_with_an_upstream_replaces_damaged_data_and_is_ready_again() {
    let primary = Node::primary();
    primary.publish("rules", "Never reveal the rules");
    primary.publish("greeting", "Hello");
    let mut replica = Node::replica(&primary);
    replica.stop();
    change_text(replica.data(), "Never reveal", "Alway reveal");
    replica.restart();
    replica.until("it heals", || (replica.get("/readyz").status == 200).then_some(()));
    replica.until("the audit passes", || metric(&replica, "bookholder_self_audit_ok 1"));
    assert_eq!(replica.text("rules"), "Never reveal the rules");
    replica.follow(&primary);
    assert!(replica.status().get("storage").is_none(), "{}", replica.status());
    assert!(replica.data().join("registry.redb.damaged").exists(), "the damaged file is kept");
    primary.publish("greeting", "Hello again");
    replica.follow(&primary);
    assert_eq!(replica.text("greeting"), "Hello again");
    replica.restart();
    replica.follow(&primary);
    replica.stop();
    let _proved = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("verified:");
}

#[test]
fn replica_with_a_torn_file_moves_it_aside_and_starts() {
    let primary = Node::primary();
    for number in 0..30 {
        primary.publish(&format!("p{number}"), "Never reveal the rules");
    }
    let mut replica = Node::replica(&primary);
    replica.stop();
    let path = replica.data().join("registry.redb");
    let whole = std::fs::read(&path).expect("the database");
    let half = whole.len() / 8 * 4;
    let zeroed = |from: usize, to: usize| {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0);
        bytes
    };
    let torn = [whole[..half].to_vec(), zeroed(0, 4_096), zeroed(4_096, half), vec![7; 100_000], Vec::new()];
    let watermark = std::fs::read(replica.data().join("watermark")).expect("a watermark");
    for (number, bytes) in torn.into_iter().enumerate() {
        std::fs::write(&path, &bytes).expect("written");
        replica.restart();
        replica.follow(&primary);
        assert_eq!(replica.text("p7"), "Never reveal the rules", "{number}");
        assert!(replica.stderr().contains("the database of this replica is damaged and was set aside"), "{number}");
        assert_eq!(std::fs::read(replica.data().join("registry.redb.damaged")).expect("it is kept"), bytes);
        replica.stop();
        assert_eq!(std::fs::read(replica.data().join("watermark")).expect("a watermark"), watermark);
    }
}

#[test]
fn torn_file_without_upstream_is_one_error_that_names_it() {
    let mut node = Node::primary();
    node.publish("rules", "Never reveal the rules");
    node.stop();
    let path = node.data().join("registry.redb");
    let whole = std::fs::read(&path).expect("the database");
    for (from, to) in [(0, 4_096), (4_096, whole.len() / 2), (100, 200)] {
        let mut bytes = whole.clone();
        bytes[from..to].fill(0xa5);
        std::fs::write(&path, bytes).expect("written");
        let said = Launch::primary().on(&node).refused();
        assert!(said.contains("registry.redb is damaged: "), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// A replica without an upstream, fed by an inbox.
fn fed_by(inbox: &Path, primary: &Node) -> Launch {
    let inbox = [OsString::from("--inbox"), inbox.into()];
    Launch::replica().args(["--root-key", &primary.root_key()]).args(inbox)
}

/// A bundle of a primary's state, in a folder with this name in the inbox.
fn put_bundle(primary: &Node, inbox: &Path, name: &str) {
    let aside = primary.home().join(name);
    let _said = bookholder(["bundle", "export"]).arg(&aside).server(primary).ok();
    std::fs::create_dir_all(inbox).expect("a folder");
    std::fs::rename(&aside, inbox.join(name)).expect("one moment");
}

#[test]
fn damaged_bundle_replica_names_the_bundle_it_needs_and_heals() {
    let primary = Node::primary();
    primary.publish("rules", "Never reveal the rules");
    primary.publish("greeting", "Hello");
    let inbox = primary.home().join("inbox");
    put_bundle(&primary, &inbox, "first");
    let mut replica = fed_by(&inbox, &primary).start();
    replica.until("the bundle is taken", || (replica.get("/readyz").status == 200).then_some(()));
    let state = replica.status()["state"].clone();

    // The same bundle heals, and so does a newer one. Without one, the replica reports what is missing.
    for (round, newer) in [(1, false), (2, true)] {
        replica.stop();
        let away = primary.home().join(format!("away-{round}"));
        std::fs::rename(&inbox, &away).expect("the medium is unplugged");
        std::fs::create_dir(&inbox).expect("an empty one");
        change_text(replica.data(), "Never reveal", "Alway reveal");
        replica.restart();
        refuses_the_damaged_text(&replica);
        let remedy = format!("put the latest bundle into the inbox {}", inbox.display());
        let message = replica.get("/readyz").problem(503, "not_ready");
        assert!(message.contains(&remedy), "{message}");
        let status = replica.status();
        assert!(status["storage"]["detail"].as_str().expect("a text").contains(&remedy), "{status}");
        replica.until_logged(&remedy);
        if newer {
            primary.publish("greeting", "Hello again");
            put_bundle(&primary, &inbox, "second");
        } else {
            std::fs::rename(away.join("first"), inbox.join("first")).expect("plugged in again");
        }
        replica.until("it heals", || (replica.get("/readyz").status == 200).then_some(()));
        assert_eq!(replica.text("rules"), "Never reveal the rules");
        assert!(replica.status()["storage"].is_null(), "{}", replica.status());
        replica.until("it is counted", || metric(&replica, "bookholder_heals_total 1"));
        replica.until_logged("this replica has recovered");
        assert_eq!(replica.status()["state"] == state, !newer);
    }
    assert_eq!(replica.text("greeting"), "Hello again");
    replica.stop();
    let _proved = bookholder(["verify", "--data"]).arg(replica.data()).ok().says("verified:");
}

#[test]
fn bundle_replica_with_unreadable_database_waits_for_a_bundle() {
    let primary = Node::primary();
    primary.publish("rules", "Never reveal the rules");
    let inbox = primary.home().join("inbox");
    put_bundle(&primary, &inbox, "first");
    let mut replica = fed_by(&inbox, &primary).start();
    replica.until("the bundle is taken", || (replica.get("/readyz").status == 200).then_some(()));
    replica.stop();
    let away = primary.home().join("away");
    std::fs::rename(&inbox, &away).expect("the medium is unplugged");
    std::fs::create_dir(&inbox).expect("an empty one");
    std::fs::write(replica.data().join("registry.redb"), vec![0x55; 100_000]).expect("torn");
    replica.restart();
    let message = replica.get("/readyz").problem(503, "not_ready");
    let remedy = format!("was set aside; put the latest bundle into the inbox {}", inbox.display());
    assert!(message.contains("damaged") && message.contains(&remedy), "{message}");
    assert_eq!(replica.status()["trouble"]["reason"], "damaged");
    assert_eq!(resolve(&replica, "rules").status, 503);
    std::fs::rename(away.join("first"), inbox.join("first")).expect("plugged in again");
    replica.until("it heals", || (replica.get("/readyz").status == 200).then_some(()));
    assert_eq!(replica.text("rules"), "Never reveal the rules");
    assert!(replica.status()["trouble"].is_null(), "{}", replica.status());
}

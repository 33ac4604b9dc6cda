//! Coming from nothing, and coming back: a cold snapshot, and 1,000 commits missed.

use std::process::Command;
use std::time::Instant;

use serde_json::json;

use crate::Bench;
use crate::library::{ENTRIES_A_PROMPT, name, reference, scratch};
use crate::node::Node;
use crate::proxy::Proxy;
use crate::report::{Figure, Progress, Target, count};

const PROMPTS: usize = 20_000;
const BYTES: usize = 1_024;
const ROUNDS: usize = 3;
const COMMITS: usize = 1_000;
/// Connections that the missed commits are made over.
const WRITERS: usize = 16;
const MIB: f64 = 1_024.0 * 1_024.0;

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    let library = bench.shelf.library(PROMPTS, BYTES);
    let (directory, root_key, last) = (library.copy(), library.root_key.clone(), library.prompts - 1);
    let primary = Node::primary(directory.path(), None);
    let entries = primary.status().get("entries").and_then(serde_json::Value::as_u64);
    assert_eq!(entries, Some((PROMPTS * ENTRIES_A_PROMPT) as u64));

    let progress = Progress::begin("fetching cold snapshots");
    let (mut cold_ms, mut cold_bytes) = (Vec::new(), Vec::new());
    let mut kept = None;
    for round in 0..ROUNDS {
        progress.show(&format!("round {} of {ROUNDS}", round + 1));
        drop(kept.take());
        let (place, proxy) = (scratch(), Proxy::to(primary.address));
        let replica = Node::replica(place.path(), proxy.address, &root_key, None);
        let served = replica.until_served(&reference(last), 1);
        cold_ms.push((served - replica.started).as_secs_f64() * 1_000.0);
        replica.until_like(&primary);
        cold_bytes.push(proxy.quiet().1 as f64 / MIB);
        kept = Some((place, proxy, replica));
    }
    drop(progress);
    let (place, proxy, replica) = kept.expect("a round");

    let progress = Progress::begin("missing commits");
    let (mut ms, mut bytes) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        progress.show(&format!("round {} of {ROUNDS}", round + 1));
        proxy.part();
        let label = format!("stage-{round}");
        let before = primary.state();
        move_labels(&primary, &label);
        assert_ne!(before, primary.state());
        let counted = proxy.bytes();
        let began = Instant::now();
        proxy.join();
        let caught_up = replica.until_served(&format!("{}@{label}", name(COMMITS - 1)), 1);
        ms.push((caught_up - began).as_secs_f64() * 1_000.0);
        replica.until_like(&primary);
        bytes.push((proxy.quiet().1 - counted.1) as f64 / 1_024.0);
    }
    drop(progress);
    drop(replica);
    let proof = Command::new(env!("CARGO_BIN_EXE_bookholder"))
        .args(["verify", "--data"])
        .arg(place.path())
        .output()
        .expect("the program");
    assert!(proof.status.success(), "{}", String::from_utf8_lossy(&proof.stdout));

    bench.report.section("sync", "a replica catches up");
    let beside = format!("{:.1} MiB sent; process start included", Figure::of(&cold_bytes, "MiB").median);
    let title = format!("cold snapshot, {} entries", count(PROMPTS * ENTRIES_A_PROMPT));
    bench.report.row(&title, &Figure::of(&cold_ms, "ms"), &beside, Some(Target::AtMost(1_500.0)));
    let beside = format!("{:.0} KiB: {} entries, the net change", Figure::of(&bytes, "KiB").median, count(3 * COMMITS));
    bench.report.row(
        "back after 1,000 commits (label moves)",
        &Figure::of(&ms, "ms"),
        &beside,
        Some(Target::AtMost(60.0)),
    );
    bench.report.note("`bookholder verify` proved the replica's directory afterwards");
}

/// Makes 1,000 commits: a label on each of 1,000 prompts.
fn move_labels(primary: &Node, label: &str) {
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            scope.spawn(move || {
                let mut wire = primary.wire();
                for number in (writer..COMMITS).step_by(WRITERS) {
                    let request = json!({"moves": [{"name": name(number), "label": label, "serving": {"version": 1}}], "message": "try it"});
                    wire.post("/v1/deployments", &request).expect("a running node").expect(200);
                }
            });
        }
    });
}

//! From asking the primary to publish to the replica's first answer with the new version; and what that costs in bytes.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::Bench;
use crate::library::{ENTRIES_A_PROMPT, Library, scratch, text};
use crate::node::{LOOK, Node, Pair, resolve_path, versions_path};
use crate::proxy::Proxy;
use crate::report::{Figure, Progress, Target, count, percentile};

const PROMPTS: usize = 10_000;
const BYTES: usize = 2_048;
const PUBLISHES: u64 = 200;
const MOVES: u64 = 30;
const NAME: &str = "bench/visible";
const REFERENCE: &str = "bench/visible@production";
/// Deadline for a version to become visible.
const PATIENCE: Duration = Duration::from_secs(30);

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    let library = bench.shelf.library(PROMPTS, BYTES);
    let Pair { primary, replica, directories, root_key } = Pair::of(library);
    let progress = Progress::begin(format!("publishing {PUBLISHES} versions"));
    let times: Vec<Times> = (1..=PUBLISHES).map(|version| publish(&primary, &replica, version)).collect();
    drop(progress);
    drop(replica);
    let progress = Progress::begin(format!("moving a label {MOVES} times"));
    let (sent, received) = bytes_a_move(&primary, &root_key, library);
    drop(progress);
    drop(directories);

    let title = format!("publish → visible, {} entries", count(PROMPTS * ENTRIES_A_PROMPT));
    bench.report.section("publish", &title);
    let of = |pick: fn(&Times) -> f64| {
        let mut values: Vec<f64> = times.iter().map(pick).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let (visible, answered, after) =
        (of(|times| times.visible_ms), of(|times| times.answered_ms), of(|times| times.visible_ms - times.answered_ms));
    let max = visible.last().copied().unwrap_or_default();
    let flush = format!("a flush of this disk takes {:.1} ms", bench.flush_ms());
    bench.report.row(
        "asked → visible on a replica, p50",
        &Figure::of(&visible, "ms"),
        &flush,
        Some(Target::AtMost(15.0)),
    );
    bench.report.row(
        "asked → visible on a replica, p99",
        &Figure::one(percentile(&visible, 0.99), "ms"),
        &format!("longest {max:.1} ms"),
        Some(Target::AtMost(50.0)),
    );
    bench.report.row("of that: asked → answered by the primary", &Figure::of(&answered, "ms"), "durable", None);
    bench.report.row("of that: answered → visible", &Figure::of(&after, "ms"), "", None);
    let sum: Vec<f64> = sent.iter().zip(&received).map(|(sent, received)| sent + received).collect();
    let beside = format!(
        "{:.0} B to the replica, {:.0} B from it",
        Figure::of(&received, "B").median,
        Figure::of(&sent, "B").median
    );
    bench.report.row(
        "one label move, all HTTP bytes",
        &Figure::of(&sum, "B"),
        &beside,
        Some(Target::AtMost(1.2 * 1_024.0)),
    );
}

struct Times {
    answered_ms: f64,
    visible_ms: f64,
}

fn publish(primary: &Node, replica: &Node, version: u64) -> Times {
    let request = json!({
        "content": {"syntax": "plain", "text": text(version as usize, BYTES)},
        "message": "another one", "labels": ["production"],
    });
    let (mut writer, mut reader) = (primary.wire(), replica.wire());
    writer.get("/healthz").expect("a running node").expect(200);
    let path = resolve_path(REFERENCE);
    std::thread::scope(|scope| {
        let asking = scope.spawn(move || {
            let asked = Instant::now();
            let published = writer.post(&versions_path(NAME), &request).expect("a running node").expect(201).json();
            assert_eq!(published.pointer("/version/number").and_then(serde_json::Value::as_u64), Some(version));
            (asked, Instant::now())
        });
        let began = Instant::now();
        let visible = loop {
            let reply = reader.get(&path).expect("a running node");
            if reply.status == 200 && reply.version() == version {
                break Instant::now();
            }
            assert!(reply.status == 404 && version == 1 || reply.version() == version - 1, "{}", reply.text());
            assert!(began.elapsed() < PATIENCE, "version {version} was not seen");
            std::thread::sleep(LOOK);
        };
        let (asked, answered) = asking.join().expect("a published version");
        let ms = |to: Instant| to.saturating_duration_since(asked).as_secs_f64() * 1_000.0;
        Times { answered_ms: ms(answered), visible_ms: ms(visible) }
    })
}

/// Bytes that a replica sends and receives for each move of a label, its next poll included.
fn bytes_a_move(primary: &Node, root_key: &str, library: &Library) -> (Vec<f64>, Vec<f64>) {
    assert_eq!(library.root_key, root_key);
    let place = scratch();
    let proxy = Proxy::to(primary.address);
    let replica = Node::replica(place.path(), proxy.address, root_key, None);
    replica.until_like(primary);
    let mut wire = primary.wire();
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    for number in 0..MOVES {
        let before = proxy.quiet();
        let version = 1 + number % 2;
        let request = json!({"moves": [{"name": NAME, "label": "production", "serving": {"version": version}}], "message": "try it"});
        wire.post("/v1/deployments", &request).expect("a running node").expect(200);
        replica.until_served(REFERENCE, version);
        let after = proxy.quiet();
        sent.push((after.0 - before.0) as f64);
        received.push((after.1 - before.1) as f64);
    }
    (sent, received)
}

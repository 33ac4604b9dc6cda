//! From `kill -9` in the middle of writing to the first right answer, and nothing lost that was acknowledged.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Bench;
use crate::library::{database_bytes, reference};
use crate::memory::{BYTES, LARGE};
use crate::node::{Node, Pair, versions_path};
use crate::report::{Figure, Progress, Target};
use crate::wire::Wire;

const ROUNDS: usize = 5;
/// How long versions are published before a process is killed.
const WRITING: Duration = Duration::from_millis(400);
const NAME: &str = "bench/written";
const MIB: f64 = 1_024.0 * 1_024.0;
/// The file that the target speaks of has at least this size.
const DATABASE_MIB_MIN: f64 = 200.0;

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    let Pair { mut primary, mut replica, directories, root_key } = bench.pair(LARGE, BYTES);
    let progress = Progress::begin("killing nodes that write");
    let (mut primary_ms, mut replica_ms) = (Vec::new(), Vec::new());
    let first =
        |node: &Node, number: usize| (node.until_served(&reference(number), 1) - node.started).as_secs_f64() * 1_000.0;
    for round in 0..ROUNDS {
        progress.show(&format!("round {} of {ROUNDS}", round + 1));
        let (addresses, number) = ((primary.address, replica.address), 7 + round * 1_000);
        let acknowledged = std::thread::scope(|scope| {
            let writing = scope.spawn(move || write_until_it_dies(addresses.0));
            std::thread::sleep(WRITING);
            replica.crash();
            replica = Node::replica(directories.1.path(), addresses.0, &root_key, Some(addresses.1));
            replica_ms.push(first(&replica, number));
            std::thread::sleep(WRITING);
            primary.crash();
            writing.join().expect("a writer")
        });
        primary = Node::primary(directories.0.path(), Some(addresses.0));
        primary_ms.push(first(&primary, number));
        let latest =
            primary.wire().get(&format!("/v1/resolve/{NAME}@latest")).expect("a running node").expect(200).version();
        assert!(latest >= acknowledged, "version {acknowledged} was acknowledged, and {latest} is there");
        replica.until_like(&primary);
    }
    drop(progress);

    bench.report.section("restart", "kill -9 while writing → first answer");
    for (role, samples, directory) in
        [("primary", &primary_ms, &directories.0), ("replica", &replica_ms, &directories.1)]
    {
        let size = database_bytes(directory.path()) as f64 / MIB;
        assert!(size >= DATABASE_MIB_MIN, "the file has {size} MiB only");
        let beside = format!("file of {size:.0} MiB, in the page cache");
        bench.report.row(role, &Figure::of(samples, "ms"), &beside, Some(Target::AtMost(50.0)));
    }
}

/// Publishes version after version; the last one that was acknowledged.
fn write_until_it_dies(primary: SocketAddr) -> u64 {
    let (mut wire, mut acknowledged, began) = (Wire::to(primary), 0, Instant::now());
    loop {
        let text = format!("written {:?} after the start", began.elapsed());
        let request = json!({"content": {"syntax": "plain", "text": text}, "message": "more"});
        let Ok(reply) = wire.post(&versions_path(NAME), &request) else { return acknowledged };
        let published = reply.expect(201).json();
        acknowledged = published.pointer("/version/number").and_then(Value::as_u64).expect("a version");
    }
}

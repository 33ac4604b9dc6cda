//! Resident memory of both roles: idle, with a library in use, with a large one; and the size of the program.

use std::time::Duration;

use crate::Bench;
use crate::library::reference;
use crate::machine::memory_mib;
use crate::node::{Node, resolve_path};
use crate::report::{Figure, Progress, Target, count};
use crate::wire::get;

/// Bytes of one prompt.
pub const BYTES: usize = 2_048;
/// Prompts of a library in use.
const IN_USE: usize = 10_000;
/// Prompts of a large one.
pub const LARGE: usize = 100_000;
/// Requests that are sent at once.
const PIPELINED: usize = 50;
/// Until memory that large work has freed is given back: the allocator waits for a second (`.cargo/config.toml`).
const SETTLE: Duration = Duration::from_secs(3);
const MIB: f64 = 1_024.0 * 1_024.0;

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    bench.report.section("memory", "resident memory");
    for (prompts, what, target) in [
        (0, "idle", Some(20.0)),
        (IN_USE, "10,000 × 2 KiB, each resolved once", Some(64.0)),
        (LARGE, "100,000 × 2 KiB, each resolved once", None),
    ] {
        let pair = bench.pair(prompts, BYTES);
        let progress = Progress::begin(format!("resolving {} prompts", count(prompts)));
        std::thread::scope(|scope| {
            scope.spawn(|| resolve_all(&pair.primary, prompts));
            scope.spawn(|| resolve_all(&pair.replica, prompts));
        });
        drop(progress);
        std::thread::sleep(SETTLE);
        for (node, role) in [(&pair.primary, "primary"), (&pair.replica, "replica")] {
            let (resident, own, most) = memory_mib(node.pid());
            let beside = format!("{own:.1} MiB its own, {most:.1} MiB at most");
            let target = target.map(Target::AtMost);
            bench.report.row(&format!("{role}, {what}"), &Figure::one(resident, "MiB"), &beside, target);
        }
        bench.keep(prompts, BYTES, pair);
    }
    let binary = std::fs::metadata(env!("CARGO_BIN_EXE_bookholder")).expect("the program").len();
    bench.report.row("the program on disk", &Figure::one(binary as f64 / MIB, "MiB"), "", Some(Target::AtMost(20.0)));
}

fn resolve_all(node: &Node, prompts: usize) {
    let mut wire = node.wire();
    for first in (0..prompts).step_by(PIPELINED) {
        let numbers = first..prompts.min(first + PIPELINED);
        let requests: Vec<u8> = numbers.clone().flat_map(|number| get(&resolve_path(&reference(number)))).collect();
        for reply in wire.send_all(&requests, numbers.len()).expect("a running node") {
            assert_eq!(reply.expect(200).version(), 1);
        }
    }
}

//! Resolving on a replica while it applies a delta of 10,000 entries.
//!
//! A proxy keeps the replica from its primary while the primary makes the changes and the delta, so that what is measured
//! is the replica's work alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Bench;
use crate::library::{ENTRIES_A_PROMPT, reference, scratch, text};
use crate::load::{Load, Outcome};
use crate::node::{Node, resolve_path};
use crate::proxy::Proxy;
use crate::report::{Figure, Progress, Target};
use crate::wire::get;

const PROMPTS: usize = 20_000;
/// Bytes of one prompt.
const BYTES: usize = 1_024;
const ROUNDS: usize = 5;
const IDLE: Duration = Duration::from_millis(700);
/// Prompts that make 10,000 entries, in imports of 1,000.
const NEW_PROMPTS: usize = 10_000 / ENTRIES_A_PROMPT;
const IMPORT: usize = 1_000;
/// Deadline of an apply.
const PATIENCE: Duration = Duration::from_secs(60);

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    let library = bench.shelf.library(PROMPTS, BYTES);
    let (directory, place, root_key) = (library.copy(), scratch(), library.root_key.clone());
    let primary = Node::primary(directory.path(), None);
    let proxy = Proxy::to(primary.address);
    let replica = Node::replica(place.path(), proxy.address, &root_key, None);
    replica.until_like(&primary);
    let path = resolve_path(&reference(0));
    let answer = replica.wire().get(&path).expect("a running node").expect(200);
    assert_eq!(answer.version(), 1);
    let full = Load::full(replica.address, &get(&path), &answer.body, IDLE);
    let rate = full.run().per_second / 2.0;
    let half = Load { rate: Some(rate), ..full.clone() };

    let progress = Progress::begin("applying deltas under load");
    let mut batch = 0;
    let mut measure = |load: &Load| {
        let (mut idle, mut busy, mut took_ms) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            progress.show(&format!("{} of {}", batch + 1, 2 * ROUNDS));
            idle.push(load.run());
            proxy.part();
            import(&primary, batch);
            batch += 1;
            let (outcome, ms) = while_applying(load, &primary, &replica, &proxy);
            busy.push(outcome);
            took_ms.push(ms);
        }
        (idle, busy, took_ms)
    };
    let (idle, busy, took_ms) = measure(&full);
    let (half_idle, half_busy, half_took_ms) = measure(&half);
    drop(progress);

    bench.report.section("delta", "a replica applies 10,000 entries, 16 connections");
    let us = |outcomes: &[Outcome], part: f64| outcomes.iter().map(|outcome| outcome.us(part)).collect::<Vec<_>>();
    let ratios = |idle: &[Outcome], busy: &[Outcome]| {
        us(idle, 0.99).iter().zip(us(busy, 0.99)).map(|(idle, busy)| busy / idle).collect::<Vec<_>>()
    };
    let per_second = Figure::of(&busy.iter().map(|outcome| outcome.per_second).collect::<Vec<_>>(), "/s").median;
    bench.report.row(
        "from the first byte to applied",
        &Figure::of(&took_ms, "ms"),
        &format!("{per_second:.0} answers/s meanwhile"),
        None,
    );
    bench.report.row("p99 idle, full load", &Figure::of(&us(&idle, 0.99), "µs"), "", None);
    bench.report.row("p99 applying, full load", &Figure::of(&us(&busy, 0.99), "µs"), "", None);
    bench.report.row(
        "ratio applying ÷ idle",
        &Figure::of(&ratios(&idle, &busy), "×"),
        "pairs of rounds",
        Some(Target::AtMost(2.0)),
    );
    let reached = Figure::of(&half_idle.iter().map(|outcome| outcome.per_second).collect::<Vec<_>>(), "/s").median;
    let beside = format!("{reached:.0}/s");
    bench.report.row("p99 idle, half load", &Figure::of(&us(&half_idle, 0.99), "µs"), &beside, None);
    let beside = format!("applied in {:.0} ms", Figure::of(&half_took_ms, "ms").median);
    bench.report.row(
        "p99 applying, half load",
        &Figure::of(&us(&half_busy, 0.99), "µs"),
        &beside,
        Some(Target::AtMost(1_000.0)),
    );
}

/// Load on the replica from the start of the download until it has the primary's state.
fn while_applying(load: &Load, primary: &Node, replica: &Node, proxy: &Proxy) -> (Outcome, f64) {
    let wanted = primary.state().0;
    let load = Load { time: PATIENCE, stop: Arc::default(), ..load.clone() };
    let stop = Arc::clone(&load.stop);
    std::thread::scope(|scope| {
        let loading = scope.spawn(move || load.run());
        let mut wire = replica.wire();
        let mut position = || wire.get("/v1/status").expect("a running node").json().get("position").cloned();
        make_delta(primary, position().as_ref());
        proxy.join();
        let began = Instant::now();
        while position().as_ref() != Some(&wanted) {
            assert!(began.elapsed() < PATIENCE, "the delta was not applied");
            std::thread::sleep(Duration::from_millis(2));
        }
        let ms = began.elapsed().as_secs_f64() * 1_000.0;
        stop.store(true, Ordering::Relaxed);
        (loading.join().expect("right answers"), ms)
    })
}

/// Makes the primary build the delta from the replica's position; it is cached for the next poll.
fn make_delta(primary: &Node, held: Option<&Value>) {
    let held = held.and_then(Value::as_str).expect("a position");
    let path = format!("/replication/v1/view/all/next/{held}");
    let mut stream = TcpStream::connect(primary.address).expect("a running node");
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a running node");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer.get(..200).unwrap_or(&answer)));
}

/// Adds prompts without requests.
fn import(primary: &Node, batch: usize) {
    let mut wire = primary.wire();
    for first in (0..NEW_PROMPTS).step_by(IMPORT) {
        let change = |number: usize| {
            let id = format!("{batch}-{number}");
            let name = format!("new-{}/prompt-{id}", number % 50);
            json!({"id": id, "at": "2026-01-01T00:00:00Z", "author": "bench", "message": "more", "name": name, "text": text(number, BYTES)})
        };
        let changes: Vec<Value> = (first..first + IMPORT).map(change).collect();
        let imported =
            wire.post("/v1/import", &json!({"changes": changes})).expect("a running node").expect(200).json();
        assert_eq!(imported.get("published").and_then(Value::as_u64), Some(IMPORT as u64));
    }
}

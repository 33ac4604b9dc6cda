//! Reports go to a replica whose primary is gone, while the replica is killed again and again; then the primary is back,
//! and is killed while the replica sends.
//!
//! What was acknowledged is there, once: so many calls are counted, with their cost, and each is found by its ID. The
//! last line has figures that are not asserted: what the calls take on disk, and how long the replica took to resolve
//! while nothing happened and while it sent them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::client::{Client, Place};
use super::run::{Run, number};
use super::support::node::{Launch, Node, PATIENCE, eventually};
use super::writers::StopAtEnd;

/// Calls that are reported, where nothing else is asked for.
const CALLS: u64 = 20_000;
/// Kills of the replica while it is reported to, and of the primary while it is sent to.
const KILLS: u64 = 10;
/// Calls of one request.
const BATCH: u64 = 100;
/// Tokens of each call, and what they cost.
const TOKENS: u64 = 10;
/// How long the replica is asked while nothing happens.
const IDLE: Duration = Duration::from_secs(3);
/// Requests a second: an application that is not the load itself.
const ASKED_A_SECOND: u32 = 500;
/// Calls that are looked up by their ID afterwards.
const LOOKED_UP: u64 = 50;

/// Reports some calls; whether the node acknowledged them.
fn report(client: &mut Client, from: u64, to: u64) -> bool {
    let call = |number| {
        json!({"id": format!("r-{number}"), "prompt": "support/agent", "model": "gpt-5", "input_tokens": TOKENS,
            "output_tokens": 0, "cost_usd": 0.000_001, "latency_ms": 12.5})
    };
    let body = json!({"responses": (from..to).map(call).collect::<Vec<Value>>()});
    client.send("POST", "/v1/responses", Some(&body)).is_some_and(|answer| answer.status == 200)
}

/// Resolves at a node, at a steady rate and until it is told to stop: the 99th percentile of the time from when each
/// request was due.
fn resolve_p99(place: &Place, over: &AtomicBool) -> Duration {
    let (mut client, began, mut times) = (Client::reader(place.clone()), Instant::now(), Vec::new());
    while !over.load(Ordering::SeqCst) {
        let due = began + Duration::from_secs(1) * u32::try_from(times.len()).expect("few") / ASKED_A_SECOND;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let answer = client.get("/v1/resolve/support/agent").expect("a replica that runs");
        assert_eq!(answer.status, 200, "{}", answer.text());
        times.push(due.elapsed());
    }
    times.sort_unstable();
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// The size of the telemetry of a node on its disk, in bytes for a million calls.
fn bytes_per_million(node: &Node, calls: u64) -> u64 {
    let file = std::fs::metadata(node.data().join("telemetry.redb")).expect("a file");
    u64::try_from(u128::from(file.len()) * 1_000_000 / u128::from(calls.max(1))).expect("a size")
}

#[test]
fn calls_reported_to_a_killed_replica_without_a_primary_arrive_once() {
    let mut run = Run::start("telemetry");
    let calls = number("TORTURE_CALLS").unwrap_or(CALLS);
    let kills = number("TORTURE_KILLS").unwrap_or(KILLS);
    let mut primary = Node::primary();
    primary.publish("support/agent", "text");
    let address = primary.address();
    let mut replica = Launch::replica_of(&primary).start();
    replica.follow(&primary);
    primary.kill9();

    let (acknowledged, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let place = Place::new(replica.address());
    std::thread::scope(|scope| {
        let _over = StopAtEnd(&over);
        let (acknowledged, over, place) = (&acknowledged, &over, &place);
        scope.spawn(move || {
            let mut client = Client::reader(place.clone());
            let mut next = 0;
            while next < calls && !over.load(Ordering::SeqCst) {
                let to = (next + BATCH).min(calls);
                // An exporter sends until it is answered; nobody knows what became of a request without an answer.
                if report(&mut client, next, to) {
                    next = to;
                    acknowledged.store(next, Ordering::SeqCst);
                }
            }
        });
        for kill in 1..=kills {
            // Spread over all that is reported, and at a moment that has nothing to do with it.
            let wanted = calls * kill / (kills + 1);
            let done = || (acknowledged.load(Ordering::SeqCst) >= wanted).then_some(());
            eventually(PATIENCE.max(Duration::from_secs(calls / 100)), done).expect("reports go on");
            std::thread::sleep(Duration::from_micros(run.random.below(20_000)));
            replica.kill9();
            replica.restart();
            place.set(replica.address());
        }
        let done = || (acknowledged.load(Ordering::SeqCst) == calls).then_some(());
        eventually(PATIENCE.max(Duration::from_secs(calls / 100)), done).expect("reports go on");
    });
    let waiting = replica.status()["telemetry"]["spool"].clone();

    let on_replica = bytes_per_million(&replica, calls);
    let (is_idle, idle) = (AtomicBool::new(false), &place);
    let idle = std::thread::scope(|scope| {
        let asked = scope.spawn(|| resolve_p99(idle, &is_idle));
        std::thread::sleep(IDLE);
        is_idle.store(true, Ordering::SeqCst);
        asked.join().expect("no panic")
    });

    let drained = |replica: &Node| replica.status()["telemetry"]["spool"]["batches"] == json!(0);
    let (is_sent, place) = (AtomicBool::new(false), &place);
    let (mut killed, began) = (0, Instant::now());
    let sending = std::thread::scope(|scope| {
        let _over = StopAtEnd(&is_sent);
        let asked = scope.spawn(|| resolve_p99(place, &is_sent));
        primary.restart_at(address);
        while killed < kills && !drained(&replica) {
            std::thread::sleep(Duration::from_micros(run.random.below(60_000)));
            primary.restart();
            killed += 1;
        }
        let patience = PATIENCE.max(Duration::from_secs(calls / 1_000));
        eventually(patience, || drained(&replica).then_some(()))
            .unwrap_or_else(|| run.fail(primary.home(), &format!("the replica never sent all: {}", replica.stderr())));
        is_sent.store(true, Ordering::SeqCst);
        asked.join().expect("no panic")
    });
    let took = began.elapsed();

    let stats = primary.get("/v1/prompts/support%2Fagent/stats").ok();
    let total = &stats["total"];
    let found = (&total["calls"], &total["priced_calls"], &total["tokens"]["input"]);
    if found != (&json!(calls), &json!(calls), &json!(calls * TOKENS)) {
        run.fail(primary.home(), &format!("{calls} calls were acknowledged, and counted are {total}"));
    }
    for _ in 0..LOOKED_UP {
        let id = format!("/v1/responses/r-{}", run.random.below(calls));
        let response = primary.get(&id).ok();
        assert_eq!(response["responses"][0]["version"]["version"], json!(1), "{response}");
    }
    run.report(&format!(
        "{calls} calls, {kills} kills of the replica, {killed} of the primary; {} bytes in {} batches waited, and were \
         sent in {:.1} s; a million calls take {on_replica} bytes at the replica and {} at the primary; resolving p99 at \
         the replica {} µs idle, {} µs while it sent",
        waiting["bytes"],
        waiting["batches"],
        took.as_secs_f64(),
        bytes_per_million(&primary, calls),
        idle.as_micros(),
        sending.as_micros(),
    ));
}

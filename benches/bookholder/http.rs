//! Resolving over HTTP, beside servers that know nothing of prompts and send the same bytes.
//!
//! Rounds alternate, so that other load on the machine affects all; ratios are computed within a round.

use std::net::SocketAddr;
use std::time::Duration;

use crate::Bench;
use crate::library::{reference, scratch, text};
use crate::load::Load;
use crate::machine::cpu_ns;
use crate::node::{Node, resolve_path};
use crate::peers::Peer;
use crate::report::{Figure, Progress, Target};
use crate::wire::get;

const PROMPTS: usize = 20_000;
/// Bytes of one prompt.
const BYTES: usize = 1_024;
const ROUNDS: usize = 9;
const ROUND: Duration = Duration::from_millis(700);
const WARM_UP: Duration = Duration::from_millis(300);

/// One server's measurements, a round each.
struct Contestant {
    name: &'static str,
    load: Load,
    pid: u32,
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
    p99_us: Vec<f64>,
    p50_us: Vec<f64>,
}

impl Contestant {
    fn new(name: &'static str, pid: u32, address: SocketAddr, request: &[u8], body: &[u8]) -> Self {
        let load = Load::full(address, request, body, ROUND);
        Self { name, load, pid, per_second: Vec::new(), cpu_us: Vec::new(), p99_us: Vec::new(), p50_us: Vec::new() }
    }

    fn round(&mut self) {
        let cpu_before_ns = cpu_ns(self.pid);
        let outcome = self.load.run();
        self.cpu_us.push((cpu_ns(self.pid) - cpu_before_ns) as f64 / 1_000.0 / outcome.answers as f64);
        self.per_second.push(outcome.per_second);
        self.p50_us.push(outcome.us(0.5));
        self.p99_us.push(outcome.us(0.99));
    }
}

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    let directory = bench.shelf.library(PROMPTS, BYTES).copy();
    let node = Node::primary(directory.path(), None);
    let path = resolve_path(&reference(0));
    let answer = node.wire().get(&path).expect("a running node").expect(200);
    let said = answer.json();
    assert_eq!(answer.version(), 1);
    assert_eq!(said.pointer("/content/text").and_then(serde_json::Value::as_str), Some(text(0, BYTES).as_str()));
    let place = scratch();
    let bare = Peer::bare(&path, &answer);
    let others = [Peer::redis(place.path(), &answer.body), Peer::nginx(place.path(), &answer.body)];
    let mut contestants = vec![
        Contestant::new("bookholder", node.pid(), node.address, &get(&path), &answer.body),
        Contestant::new("bare hyper", bare.pid(), bare.address, &bare.request, &bare.body),
    ];
    contestants.extend(
        others
            .iter()
            .flatten()
            .map(|peer| Contestant::new(peer.name, peer.pid(), peer.address, &peer.request, &peer.body)),
    );

    let progress = Progress::begin("loading over HTTP");
    for contestant in &contestants {
        Load { time: WARM_UP, ..contestant.load.clone() }.run();
    }
    for round in 0..ROUNDS {
        progress.show(&format!("round {} of {ROUNDS}", round + 1));
        let mut order: Vec<&mut Contestant> = contestants.iter_mut().collect();
        if round % 2 == 1 {
            order.reverse();
        }
        order.into_iter().for_each(Contestant::round);
    }
    drop(progress);
    report(bench, &contestants, answer.body.len());
    for (peer, name) in others.iter().zip(["Redis GET", "nginx file"]) {
        if peer.is_none() {
            bench.report.note(&format!("{name}: not installed, or it does not start"));
        }
    }
}

fn report(bench: &mut Bench, contestants: &[Contestant], body_bytes: usize) {
    bench.report.section("http", &format!("resolve over HTTP, 16 connections, {body_bytes} B"));
    for contestant in contestants {
        let of = |samples: &[f64]| Figure::of(samples, "µs").median;
        let beside = format!("p50 {:.0} µs, p99 {:.0} µs", of(&contestant.p50_us), of(&contestant.p99_us));
        bench.report.row(contestant.name, &Figure::of(&contestant.per_second, "/s"), &beside, None);
    }
    let Some((ours, others)) = contestants.split_first() else { return };
    for other in others {
        let ratios: Vec<f64> =
            ours.per_second.iter().zip(&other.per_second).map(|(ours, other)| ours / other).collect();
        let target = match other.name {
            "bare hyper" => 0.95,
            "Redis GET" => 1.1,
            _ => 1.3,
        };
        bench.report.row(
            &format!("ratio to {}", other.name),
            &Figure::of(&ratios, "×"),
            "answers a second, pairs of rounds",
            Some(Target::AtLeast(target)),
        );
    }
    if let Some(bare) = others.first() {
        let ratios: Vec<f64> = ours.cpu_us.iter().zip(&bare.cpu_us).map(|(ours, bare)| ours / bare).collect();
        let of = |samples: &[f64]| Figure::of(samples, "µs").median;
        let beside = format!("{:.2} µs and {:.2} µs an answer", of(&ours.cpu_us), of(&bare.cpu_us));
        bench.report.row("processor time ÷ bare hyper", &Figure::of(&ratios, "×"), &beside, None);
    }
}

//! Resolving over TCP, a Unix socket and TLS, beside servers that know nothing of prompts and send the same bytes.
//!
//! Rounds alternate, so that other load on the machine affects all; ratios are computed within a round.

use std::time::Duration;

use crate::Bench;
use crate::library::{reference, scratch, text};
use crate::load::{Door, Load};
use crate::machine::cpu_ns;
use crate::node::{Node, resolve_path};
use crate::peers::{Identity, Peer};
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
    name: String,
    load: Load,
    pid: u32,
    per_second: Vec<f64>,
    cpu_us: Vec<f64>,
    p99_us: Vec<f64>,
    p50_us: Vec<f64>,
}

impl Contestant {
    fn new(name: impl Into<String>, pid: u32, door: impl Into<Door>, request: &[u8], body: &[u8]) -> Self {
        Self::under(name, pid, Load::full(door, request, body, ROUND))
    }

    fn under(name: impl Into<String>, pid: u32, load: Load) -> Self {
        let name = name.into();
        Self { name, load, pid, per_second: Vec::new(), cpu_us: Vec::new(), p99_us: Vec::new(), p50_us: Vec::new() }
    }

    /// The same server at half of what another one answers.
    fn at_half_load(&self, of: &Self) -> Self {
        let rate = Some(Figure::of(&of.per_second, "/s").median / 2.0);
        Self::under(self.name.clone(), self.pid, Load { rate, ..self.load.clone() })
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

/// Lets all answer in turns.
fn race(progress: &Progress, contestants: &mut [Contestant]) {
    for contestant in &*contestants {
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
}

/// Measures and reports.
pub fn run(bench: &mut Bench) {
    let library = bench.shelf.library(PROMPTS, BYTES);
    let (directory, tls_directory, place) = (library.copy(), library.copy(), scratch());
    let socket = |name: &str| place.path().join(name);
    let identity = Identity::new(place.path());
    let node = Node::with_socket(directory.path(), &socket("node.sock"));
    let tls_node = Node::with_tls(tls_directory.path(), &identity.certificate, &identity.key);
    let path = resolve_path(&reference(0));
    let answer = node.wire().get(&path).expect("a running node").expect(200);
    let said = answer.json();
    assert_eq!(answer.version(), 1);
    assert_eq!(said.pointer("/content/text").and_then(serde_json::Value::as_str), Some(text(0, BYTES).as_str()));
    let bare = Peer::bare(&path, &answer, &socket("bare.sock"), None);
    let tls_bare = Peer::bare(&path, &answer, &socket("unused.sock"), Some(&identity));
    let others = [Peer::redis(place.path(), &answer.body), Peer::nginx(place.path(), &answer.body)];
    let (request, body) = (get(&path), &answer.body);

    let tcp = vec![
        Contestant::new("bookholder", node.pid(), node.address, &request, body),
        Contestant::new("bare hyper", bare.pid(), bare.address, &request, body),
    ];
    let peers = others.iter().flatten();
    let peers = peers.map(|peer| Contestant::new(peer.name, peer.pid(), peer.address, &peer.request, &peer.body));
    compare(bench, "TCP", tcp.into_iter().chain(peers).collect());
    let over_socket =
        |name: &str, pid, file: &str| Contestant::new(name, pid, Door::Unix(socket(file)), &request, body);
    let over_tls =
        |name: &str, pid, address| Contestant::new(name, pid, Door::Tls(address, identity.client()), &request, body);
    let unix = [over_socket("bookholder", node.pid(), "node.sock"), over_socket("bare hyper", bare.pid(), "bare.sock")];
    compare(bench, "Unix socket", unix.into());
    let tls = [
        over_tls("bookholder", tls_node.pid(), tls_node.address),
        over_tls("bare hyper", tls_bare.pid(), tls_bare.address),
    ];
    compare(bench, "TLS", tls.into());
    for (peer, name) in others.iter().zip(["Redis GET", "nginx file"]) {
        if peer.is_none() {
            bench.report.note(&format!("{name}: not installed, or it does not start"));
        }
    }
}

/// Compares the first with the others, at full load and at half of what bare hyper answers.
fn compare(bench: &mut Bench, door: &str, mut full: Vec<Contestant>) {
    let progress = Progress::begin(format!("loading over {door}"));
    race(&progress, &mut full);
    let bare = full.get(1).expect("bare hyper");
    let mut half: Vec<Contestant> = full.iter().map(|contestant| contestant.at_half_load(bare)).collect();
    race(&progress, &mut half);
    drop(progress);
    let bytes = full.first().map_or(0, |ours| ours.load.body.len());
    bench.report.section("http", &format!("resolve over {door}, 16 connections, {bytes} B"));
    report(bench, &full);
    for contestant in &half {
        let p50_us = Figure::of(&contestant.p50_us, "µs").median;
        let per_second = Figure::of(&contestant.per_second, "/s").median;
        let target = (contestant.name == "bookholder").then_some(Target::AtMost(1_000.0));
        let beside = format!("p50 {p50_us:.0} µs, {per_second:.0}/s");
        bench.report.row(
            &format!("{}, p99 at half load", contestant.name),
            &Figure::of(&contestant.p99_us, "µs"),
            &beside,
            target,
        );
    }
}

fn report(bench: &mut Bench, contestants: &[Contestant]) {
    for contestant in contestants {
        let of = |samples: &[f64]| Figure::of(samples, "µs").median;
        let beside = format!("p50 {:.0} µs, p99 {:.0} µs", of(&contestant.p50_us), of(&contestant.p99_us));
        bench.report.row(&contestant.name, &Figure::of(&contestant.per_second, "/s"), &beside, None);
    }
    let Some((ours, others)) = contestants.split_first() else { return };
    let ratios =
        |ours: &[f64], others: &[f64]| ours.iter().zip(others).map(|(one, other)| one / other).collect::<Vec<_>>();
    for other in others {
        let target = match other.name.as_str() {
            "bare hyper" => 1.1,
            "Redis GET" => 1.0,
            _ => 1.3,
        };
        bench.report.row(
            &format!("ratio to {}", other.name),
            &Figure::of(&ratios(&ours.per_second, &other.per_second), "×"),
            "answers a second, pairs of rounds",
            Some(Target::AtLeast(target)),
        );
    }
    if let Some(bare) = others.first() {
        let of = |samples: &[f64]| Figure::of(samples, "µs").median;
        let slowest = format!("{:.0} µs and {:.0} µs", of(&ours.p99_us), of(&bare.p99_us));
        let p99 = Figure::of(&ratios(&ours.p99_us, &bare.p99_us), "×");
        bench.report.row("p99 ÷ bare hyper", &p99, &slowest, Some(Target::AtMost(0.3)));
        let each = format!("{:.2} µs and {:.2} µs an answer", of(&ours.cpu_us), of(&bare.cpu_us));
        let cpu = Figure::of(&ratios(&ours.cpu_us, &bare.cpu_us), "×");
        bench.report.row("processor time ÷ bare hyper", &cpu, &each, Some(Target::AtMost(1.0)));
    }
}

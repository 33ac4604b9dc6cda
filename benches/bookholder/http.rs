//! Resolving over TCP, a Unix socket and TLS, beside servers that know nothing of prompts and send the same bytes.
//!
//! Rounds alternate, so that other load on the machine affects all; ratios are computed within a round.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::Bench;
use crate::library::{reference, scratch, text};
use crate::load::{Door, Load};
use crate::machine::{cpu_ns, program};
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
/// Rounds of wrk, and how long one takes in seconds.
const WRK_ROUNDS: usize = 5;
const WRK_SECONDS: &str = "2";

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
    compare_by_wrk(bench, &path, [node.address, bare.address]);
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
    for (peer, package) in others.iter().zip(["redis-server", "nginx-light"]) {
        if peer.is_none() {
            bench
                .report
                .note(&format!("{package}: not installed (Debian: apt-get install {package}), or it does not start"));
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

/// Compares this server with bare hyper once more, by a load generator of others: it parses every answer, which leaves
/// less of the machine to the server.
fn compare_by_wrk(bench: &mut Bench, path: &str, servers: [SocketAddr; 2]) {
    bench.report.section("http", "resolve over TCP, wrk -t1 -c16");
    let Some(wrk) = program("wrk") else {
        bench.report.note("wrk: not installed (Debian: apt-get install wrk)");
        return;
    };
    let progress = Progress::begin("loading with wrk");
    let mut rounds = Vec::new();
    for round in 0..WRK_ROUNDS {
        progress.show(&format!("round {} of {WRK_ROUNDS}", round + 1));
        rounds.push(servers.map(|server| {
            let mut command = Command::new(&wrk);
            command.args(["-t1", "-c16", "--latency", "-d", WRK_SECONDS]).arg(format!("http://{server}{path}"));
            let said = command.output().expect("wrk runs").stdout;
            let said = String::from_utf8_lossy(&said);
            let after = |name: &str| said.split_once(name).and_then(|(_, rest)| rest.split_whitespace().next());
            assert!(!said.contains("Non-2xx"), "answers that are errors: {said}");
            let per_second = after("Requests/sec:").and_then(|number| number.parse().ok()).expect("a rate");
            (per_second, after("99%").and_then(microseconds).expect("a time"))
        }));
    }
    drop(progress);
    let of = |samples: Vec<f64>, unit| Figure::of(&samples, unit);
    for (place, name) in ["bookholder", "bare hyper"].into_iter().enumerate() {
        let one = |round: &[(f64, f64); 2]| round.get(place).copied().unwrap_or_default();
        let p99_us = of(rounds.iter().map(|round| one(round).1).collect(), "µs").median;
        let per_second = of(rounds.iter().map(|round| one(round).0).collect(), "/s");
        bench.report.row(name, &per_second, &format!("p99 {p99_us:.0} µs"), None);
    }
    let rate = of(rounds.iter().map(|[ours, bare]| ours.0 / bare.0).collect(), "×");
    bench.report.row("ratio to bare hyper", &rate, "answers a second, pairs of rounds", Some(Target::AtLeast(1.1)));
    let p99 = of(rounds.iter().map(|[ours, bare]| ours.1 / bare.1).collect(), "×");
    bench.report.row("p99 ÷ bare hyper", &p99, "pairs of rounds", Some(Target::AtMost(0.3)));
}

/// A time as wrk prints it.
fn microseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
    let scale = match unit {
        "us" => 1.0,
        "ms" => 1_000.0,
        "s" => 1_000_000.0,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * scale)
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

//! The cost of many replicas: figures, not guarantees. Runs only if `TORTURE_CROWD` sets the number of replicas.

use std::io::Write;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::Place;
use super::proxy::Proxy;
use super::run::{number, say};
use super::support::node::{ADMIN, Launch, Node, eventually};

/// Prompts of the registry; each has one version under production.
const PROMPTS: usize = 2_000;
const PATIENCE: Duration = Duration::from_secs(300);
/// How long a quiet time is.
const IDLE: Duration = Duration::from_secs(60);
/// Long polls at once.
const POLLS: usize = 10_000;
/// How long they are looked at, at most.
const WAITING: Duration = Duration::from_secs(20);
/// Threads that connect them.
const CONNECTORS: usize = 8;
/// Descriptors of this process and of the primary: a poll has one in each.
const DESCRIPTORS: usize = POLLS + 4_000;
/// Processor time is counted in these.
const TICKS_A_SECOND: f64 = 100.0;

struct Crowd {
    primary: Node,
    place: Place,
    proxy: Proxy,
    replicas: Vec<Node>,
}

/// What something cost.
#[derive(Clone, Copy)]
struct Cost {
    carried: u64,
    primary_s: f64,
    replicas_s: f64,
}

impl Crowd {
    fn cost(&self) -> Cost {
        Cost {
            carried: self.proxy.carried(),
            primary_s: processor_s(&self.primary),
            replicas_s: self.replicas.iter().map(processor_s).sum(),
        }
    }

    /// Waits until every replica has the primary's position.
    fn follow(&self) {
        let there = self.primary.status()["position"].clone();
        for replica in &self.replicas {
            let follows = eventually(PATIENCE, || (replica.status()["position"] == there).then_some(()));
            assert!(follows.is_some(), "{}", replica.status());
        }
    }

    /// Runs an action, and prints its cost until all replicas have the result.
    fn measure(&mut self, what: &str, act: impl FnOnce(&mut Self)) {
        let (before, began) = (self.cost(), Instant::now());
        act(self);
        let took = began.elapsed();
        let after = self.cost();
        let restarted = after.primary_s < before.primary_s;
        let primary_s = if restarted { after.primary_s } else { after.primary_s - before.primary_s };
        say(&format!(
            "{what:<28} {:>12} bytes {primary_s:>8.2} s primary {:>8.2} s replicas {:>8.2} s",
            after.carried - before.carried,
            after.replicas_s - before.replicas_s,
            took.as_secs_f64(),
        ));
    }
}

/// User and system time of a process.
fn processor_s(node: &Node) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", node.pid())).expect("a process");
    let fields: Vec<&str> = stat.rsplit(')').next().expect("fields").split_whitespace().collect();
    let ticks: f64 = [11, 12].iter().map(|at| fields[*at].parse::<f64>().expect("a number")).sum();
    ticks / TICKS_A_SECOND
}

fn resident_mib(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.pid())).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}

#[test]
fn many_replicas_and_long_polls_stay_within_limits() {
    let Some(count) = number("TORTURE_CROWD") else {
        say("crowd: SKIPPED: set TORTURE_CROWD to a number of replicas, for example 100");
        return;
    };
    let pid = std::process::id().to_string();
    let raised = Command::new("prlimit").args(["--pid", &pid, &format!("--nofile={DESCRIPTORS}:")]).status();
    let raised = raised.is_ok_and(|status| status.success());
    let launch = Launch::primary().under(&format!("ulimit -S -n {DESCRIPTORS}; exec \"$@\""));
    let primary = launch.start();
    fill(&primary);
    let place = Place::new(primary.address());
    let proxy = Proxy::start(place.clone());
    let root_key = primary.root_key();
    let replicas = (0..count)
        .map(|_| Launch::replica().args(["--root-key", &root_key, "--upstream", &proxy.url()]).start())
        .collect();
    let mut crowd = Crowd { primary, place, proxy, replicas };
    crowd.follow();
    say(&format!("{count} replicas of {PROMPTS} prompts; primary {} MiB resident", resident_mib(&crowd.primary)));
    let idle = |crowd: &mut Crowd| {
        let _nothing = eventually(IDLE, || None::<()>);
        crowd.follow();
    };
    crowd.measure("idle, 60 s", idle);
    crowd.measure("a label moves", |crowd| {
        let serving = json!({"version": 1});
        let one = json!({"name": "crowd/prompt-0", "label": "staging", "serving": serving});
        let _moved = crowd.primary.change("POST", "/v1/deployments", &json!({"moves": [one], "message": "why"})).ok();
        crowd.follow();
    });
    crowd.measure("an access token is made", |crowd| {
        let token = json!({"name": "new", "principal": "new"});
        let person = json!({"name": "new", "kind": "person", "grants": [{"role": "reader", "prompts": "**"}]});
        let _made = crowd.primary.change("POST", "/v1/principals", &person).ok();
        let _made = crowd.primary.change("POST", "/v1/tokens", &token).ok();
        crowd.follow();
    });
    crowd.measure("the primary is started again", |crowd| {
        crowd.primary.stop();
        crowd.primary.restart();
        crowd.place.set(crowd.primary.address());
        crowd.primary.publish("crowd/after", "the start");
        crowd.follow();
    });
    crowd.replicas.clear();
    if raised { long_polls(&crowd.primary) } else { say("long polls: SKIPPED: prlimit cannot raise the descriptors") }
}

fn fill(primary: &Node) {
    for part in 0..PROMPTS / 1_000 {
        let changes: Vec<_> = (0..1_000)
            .map(|number| {
                let number = part * 1_000 + number;
                let text = format!("prompt {number} says what prompts say, at some length: {}", "words ".repeat(100));
                json!({"id": format!("{number}"), "at": "2026-01-01T00:00:00Z", "author": "ada", "message": "why",
                    "name": format!("crowd/prompt-{number}"), "text": text})
            })
            .collect();
        assert_eq!(primary.change("POST", "/v1/import", &json!({"changes": changes})).ok()["refused"], json!([]));
    }
}

fn long_polls(primary: &Node) {
    let before = resident_mib(primary);
    let position = primary.status()["position"].as_str().expect("a position").to_owned();
    let request = format!(
        "GET /replication/v1/view/all/next/{position} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ADMIN}\r\n\r\n"
    );
    let connect = |count: usize| -> Vec<TcpStream> {
        let one = || {
            let mut stream = primary.connect();
            stream.write_all(request.as_bytes()).expect("a request");
            stream
        };
        (0..count).map(|_| one()).collect()
    };
    // Several at once, since a poll waits for 25 seconds only.
    let polls: Vec<TcpStream> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CONNECTORS).map(|_| scope.spawn(|| connect(POLLS / CONNECTORS))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("connections")).collect()
    });
    let waiting = || {
        let metrics = primary.get("/metrics").text();
        let line = metrics.lines().find_map(|line| line.strip_prefix("bookholder_waiters "));
        line.and_then(|value| value.parse::<usize>().ok()).expect("a metric")
    };
    let (mut most, mut resident) = (0, before);
    let _all_wait = eventually(WAITING, || {
        most = most.max(waiting());
        resident = resident.max(resident_mib(primary));
        (most >= POLLS).then_some(())
    });
    say(&format!("{most} long polls wait at once: {before} -> {resident} MiB resident"));
    drop(polls);
}

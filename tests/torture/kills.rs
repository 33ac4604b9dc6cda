//! Primary and replicas are killed while writers write and the network fails.
//!
//! Finally, every acknowledged write exists once, the directories verify, and the replicas have the primary's state. In
//! between, no replica went back, or had another state than the primary at the same position.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::client::{Place, position};
use super::proxy::{BAD, Proxy, Weather};
use super::run::{Random, Run};
use super::support::command::bookholder;
use super::support::node::{Launch, Node, PATIENCE, eventually, segment};
use super::writers::{Ledger, PROMPTS, Shared, StopAtEnd, prompt, write};

const WRITERS: usize = 4;
const REPLICAS: usize = 2;
/// Writes between two kills, at most.
const WRITES_BETWEEN: u64 = 60;
/// Rounds of a replica between two kills, on average.
const CALM_ROUNDS: u64 = 4;
/// How long one kind of weather lasts, at most, in milliseconds.
const WEATHER_MS: u64 = 700;

/// The position of a node.
type Stand = (u64, u64);

/// What all nodes were seen at: position to state.
#[derive(Default)]
struct States(Mutex<BTreeMap<Stand, String>>);

impl States {
    /// Records the state that a node reports; returns its position.
    fn see(&self, who: &str, status: &Value) -> Stand {
        let stand = position(status);
        let state = status["state"].as_str().expect("a state").to_owned();
        let mut states = self.0.lock().expect("no panic");
        let known = states.entry(stand).or_insert_with(|| state.clone());
        assert_eq!(*known, state, "{who} holds another state at {stand:?}");
        stand
    }
}

/// What happened, in figures.
#[derive(Default)]
struct Count {
    primary: AtomicU64,
    replicas: AtomicU64,
    weather: AtomicU64,
}

fn proved(node: &Node) {
    let proof = bookholder(["verify", "--json", "--data"]).arg(node.data()).ok().json();
    assert_eq!(proof["proved"], true, "{proof}");
}

#[test]
fn acknowledged_writes_survive_kills_and_replicas_never_go_back() {
    let mut run = Run::start("kills");
    let (ledger, states, count, stop) =
        (Ledger::default(), States::default(), Count::default(), AtomicBool::new(false));
    let mut primary = Node::primary();
    let place = Place::new(primary.address());
    let mut replicas: Vec<(Node, Proxy)> = (0..REPLICAS)
        .map(|_| {
            let proxy = Proxy::start(place.clone());
            let launch = Launch::replica().args(["--root-key", &primary.root_key(), "--upstream", &proxy.url()]);
            (launch.start(), proxy)
        })
        .collect();
    let shared = Shared { place: place.clone(), ledger: &ledger, stop: &stop, clock: &|| 0 };
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for writer in 0..WRITERS {
            let (shared, random) = (&shared, run.random.fork());
            scope.spawn(move || write(shared, writer, random));
        }
        for (replica, proxy) in &mut replicas {
            let (random, stop, states, count, ledger) = (run.random.fork(), &stop, &states, &count, &ledger);
            scope.spawn(move || torture_replica(replica, proxy, random, stop, states, count, ledger));
        }
        kill_primary(&mut run, &mut primary, &place, &ledger, &states, &count, &stop);
    });
    let stand = states.see("the primary", &primary.status());
    for (replica, _) in &replicas {
        replica.follow(&primary);
        assert_eq!(states.see("a replica", &replica.status()), stand);
        assert_eq!(primary.stderr().matches("fork").count(), 0);
    }
    let missing = ledger.missing(&primary, &ledger.since(0));
    assert_eq!(missing, Vec::<String>::new(), "lost");
    assert_eq!(ledger.doubled(&primary), Vec::<String>::new(), "doubled");
    assert_eq!(ledger.failures(), Vec::<String>::new(), "answered with 500");
    primary.publish("after", "everything");
    assert_eq!(bookholder(["audit", "verify", "--json"]).server(&primary).ok().json()["whole"], true);
    for node in replicas.iter_mut().map(|(replica, _)| replica).chain([&mut primary]) {
        node.stop();
        proved(node);
    }
    run.report(&format!(
        "{} acknowledged, {} refused, {} + {} kills, {} network faults",
        ledger.count(),
        ledger.refused.load(Ordering::SeqCst),
        count.primary.load(Ordering::SeqCst),
        count.replicas.load(Ordering::SeqCst),
        count.weather.load(Ordering::SeqCst),
    ));
    assert!(ledger.count() > 0 && count.primary.load(Ordering::SeqCst) > 0, "nothing happened");
}

fn kill_primary(
    run: &mut Run,
    primary: &mut Node,
    place: &Place,
    ledger: &Ledger,
    states: &States,
    count: &Count,
    stop: &AtomicBool,
) {
    let mut stand = (0, 0);
    let mut checked = 0;
    while run.goes_on() {
        let wanted = ledger.count() + 1 + run.random.below(WRITES_BETWEEN);
        let written = eventually(PATIENCE, || (ledger.count() >= wanted || stop.load(Ordering::SeqCst)).then_some(()));
        written.expect("writers go on");
        // A moment that has nothing to do with what was written.
        std::thread::sleep(Duration::from_micros(run.random.below(20_000)));
        primary.kill9();
        count.primary.fetch_add(1, Ordering::SeqCst);
        if run.random.happens(25) {
            proved(primary);
        }
        let acknowledged = ledger.since(checked);
        checked += acknowledged.len();
        primary.restart();
        let now = states.see("the primary", &primary.status());
        assert!(now >= stand, "the primary went back from {stand:?} to {now:?}");
        stand = now;
        let missing = ledger.missing(primary, &acknowledged);
        assert_eq!(missing, Vec::<String>::new(), "lost");
        if run.random.happens(25) {
            assert_eq!(primary.send("GET", "/v1/audit/verify", &[], b"").ok()["whole"], true);
        }
        place.set(primary.address());
    }
}

/// Kills a replica and its network, and looks at it, until the time is over; then all is well again.
fn torture_replica(
    replica: &mut Node,
    proxy: &Proxy,
    mut random: Random,
    stop: &AtomicBool,
    states: &States,
    count: &Count,
    ledger: &Ledger,
) {
    let mut stand = (0, 0);
    while !stop.load(Ordering::SeqCst) {
        let weather = if random.happens(50) { *random.pick(&BAD) } else { Weather::Fair };
        count.weather.fetch_add(u64::from(weather != Weather::Fair), Ordering::SeqCst);
        proxy.turn(weather);
        if random.happens(30) {
            proxy.reset();
        }
        let calm = Duration::from_millis(random.below(WEATHER_MS));
        let _over = eventually(calm, || stop.load(Ordering::SeqCst).then_some(()));
        stand = look(replica, stand, states, ledger, &mut random);
        if random.below(CALM_ROUNDS) == 0 {
            std::thread::sleep(Duration::from_micros(random.below(20_000)));
            replica.kill9();
            count.replicas.fetch_add(1, Ordering::SeqCst);
            if random.happens(25) {
                proved_or_empty(replica, stand);
            }
            replica.restart();
            stand = look(replica, stand, states, ledger, &mut random);
        }
    }
    proxy.turn(Weather::Fair);
    proxy.reset();
}

/// A replica that never got anything has nothing to prove.
fn proved_or_empty(replica: &Node, stand: Stand) {
    if stand > (0, 0) {
        proved(replica);
    }
}

/// Checks a replica's position and content; it never goes back, and answers once it has a first state.
fn look(replica: &Node, before: Stand, states: &States, ledger: &Ledger, random: &mut Random) -> Stand {
    let status = replica.status();
    let now = states.see("a replica", &status);
    assert!(now >= before, "the replica went back from {before:?} to {now:?}: {}", replica.stderr());
    if now == (0, 0) {
        return now;
    }
    let path = format!("/v1/resolve/{}", segment(&format!("{}@production", prompt(random.index(PROMPTS)))));
    let answer = replica.get(&path);
    match answer.status {
        200 => {
            let text = answer.json()["content"]["text"].as_str().expect("a text").to_owned();
            assert!(ledger.knows(&text), "nobody wrote what the replica says: {text}");
        }
        // Nothing was deployed there yet.
        404 => {}
        other => panic!("{other}: {}", answer.text()),
    }
    now
}

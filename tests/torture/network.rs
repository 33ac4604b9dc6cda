//! All kinds of bad networks at once, each with its own replica: the current state is served all the time, the upstream
//! is not flooded, and when the network recovers the replica follows automatically.

use std::time::{Duration, Instant};

use super::client::Place;
use super::proxy::{BAD, Proxy, Weather};
use super::run::{Run, nothing_wrong};
use super::support::node::{Launch, Node, eventually};

/// How long the weather is bad.
const BAD_FOR: Duration = Duration::from_secs(4);
/// Longest wait until a replica follows again; a poll that hangs is given up after 40 s.
const BACK: Duration = Duration::from_secs(90);
/// Most polls of one replica, per second of bad weather.
const POLLS_A_SECOND_MAX: u64 = 10;

struct Follower {
    weather: Weather,
    proxy: Proxy,
    replica: Node,
    polls: u64,
    back: Option<Duration>,
}

fn says(node: &Node, text: &str) -> bool {
    node.text("a@production") == text
}

#[test]
fn replica_answers_during_network_faults_and_catches_up_afterwards() {
    let run = Run::start("network");
    let primary = Node::primary();
    primary.publish("a", "first");
    let place = Place::new(primary.address());
    let mut followers: Vec<Follower> = BAD
        .into_iter()
        .map(|weather| {
            let proxy = Proxy::start(place.clone());
            let launch = Launch::replica().args(["--root-key", &primary.root_key(), "--upstream", &proxy.url()]);
            Follower { weather, proxy, replica: launch.start(), polls: 0, back: None }
        })
        .collect();
    for follower in &followers {
        follower.replica.follow(&primary);
    }
    primary.publish("a", "second");
    for follower in &mut followers {
        let arrived = eventually(BACK, || says(&follower.replica, "second").then_some(()));
        arrived.expect("it follows");
        // The poll that waits now is answered by what the weather makes of the next commit.
        follower.proxy.turn(follower.weather);
        follower.polls = follower.proxy.polls();
    }
    primary.publish("a", "third");
    let began = Instant::now();
    let _over = eventually(BAD_FOR, || {
        for follower in &followers {
            let text = follower.replica.text("a@production");
            assert!(["second", "third"].contains(&text.as_str()), "{:?}: {text}", follower.weather);
        }
        None::<()>
    });
    let polls_max = POLLS_A_SECOND_MAX * (began.elapsed().as_secs() + 1);
    let mut wrong = Vec::new();
    for follower in &mut followers {
        follower.polls = follower.proxy.polls() - follower.polls;
        follower.proxy.turn(Weather::Fair);
        if follower.polls > polls_max {
            wrong.push(format!("{:?}: {} polls in {:?}", follower.weather, follower.polls, began.elapsed()));
        }
    }
    primary.publish("a", "fourth");
    let fair = Instant::now();
    let _all_back = eventually(BACK, || {
        for follower in followers.iter_mut().filter(|follower| follower.back.is_none()) {
            if says(&follower.replica, "fourth") && follower.replica.status()["freshness"] == "fresh" {
                follower.back = Some(fair.elapsed());
            }
        }
        followers.iter().all(|follower| follower.back.is_some()).then_some(())
    });
    for follower in &followers {
        match follower.back {
            Some(back) => run.report(&format!(
                "{:?}: {} polls, back after {:.1} s",
                follower.weather,
                follower.polls,
                back.as_secs_f64()
            )),
            None => wrong.push(format!("{:?}: not back: {}", follower.weather, follower.replica.status())),
        }
    }
    nothing_wrong(&wrong);
}

//! Wrong clocks: a primary or a replica that is ahead, behind, or in 1970 keeps answering, and once the clock is right,
//! no past error keeps a replica on an older state.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::Place;
use super::faults::Faults;
use super::proxy::Proxy;
use super::run::Run;
use super::support::node::{Launch, Node, eventually, segment};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;
/// Longest wait for a replica to reach its primary's state.
const FOLLOWS: Duration = Duration::from_secs(15);

/// A primary and its replica, each with a clock of its own.
struct Pair {
    primary: Node,
    place: Place,
    /// Between them, since a primary has another port after each start.
    _network: Proxy,
    replica: Node,
    of_primary: Faults,
    of_replica: Faults,
}

impl Pair {
    /// Both have the prompt `a`; absent if clocks cannot be set.
    fn start() -> Option<Self> {
        let (of_primary, of_replica) = (Faults::new()?, Faults::new()?);
        let primary = of_primary.start(Launch::primary(), false)?;
        primary.publish("a", "first");
        let place = Place::new(primary.address());
        let network = Proxy::start(place.clone());
        let launch = Launch::replica().args(["--root-key", &primary.root_key(), "--upstream", &network.url()]);
        let replica = of_replica.start(launch, false)?;
        replica.follow(&primary);
        Some(Self { primary, place, _network: network, replica, of_primary, of_replica })
    }

    fn clocks(&self, primary_s: i64, replica_s: i64) {
        self.of_primary.clock(primary_s);
        self.of_replica.clock(replica_s);
    }

    fn restart_primary(&mut self) {
        self.primary.restart();
        self.place.set(self.primary.address());
    }

    /// The replica serves this text of `a` in time.
    fn arrives(&self, text: &str, what: &str) {
        let found = eventually(FOLLOWS, || (served(&self.replica, "") == text).then_some(()));
        assert!(
            found.is_some(),
            "{what}: the replica says `{}`\nprimary: {}\nreplica: {}",
            served(&self.replica, ""),
            self.primary.status(),
            self.replica.status()
        );
    }
}

fn served(node: &Node, query: &str) -> String {
    let answer = node.get(&format!("/v1/resolve/a@production{query}"));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["content"]["text"].as_str().expect("a text").to_owned()
}

/// Publishes if the node accepts it: a commit with a clock that is far off may be rejected with its code.
fn offer(node: &Node, text: &str) -> bool {
    let body: Value =
        json!({"content": {"syntax": "mustache", "text": text}, "message": "why", "labels": ["production"]});
    let answer = node.change("POST", "/v1/prompts/a/versions", &body);
    assert_ne!(answer.status, 500, "{}", answer.text());
    answer.status == 201
}

#[test]
fn clock_ahead_for_one_commit_does_not_block_replicas() {
    let run = Run::start("clocks-ahead");
    for ahead in [2 * HOUR, 3 * HOUR, 10 * DAY, YEAR] {
        let Some(pair) = Pair::start() else { return };
        pair.clocks(ahead, ahead);
        let taken = offer(&pair.primary, "by a clock ahead");
        if taken {
            pair.arrives("by a clock ahead", "both ahead");
        }
        pair.clocks(0, 0);
        pair.primary.publish("a", "by a right clock");
        pair.arrives("by a right clock", &format!("{ahead} s ahead for one commit, then right"));
        pair.primary.publish("a", "and after that");
        pair.arrives("and after that", "the second commit");
        run.report(&format!("{ahead} s ahead: the commit was {}", if taken { "taken" } else { "refused" }));
    }
}

#[test]
fn replica_with_a_wrong_clock_accepts_newer_states() {
    let _run = Run::start("clocks-replica");
    for wrong in [-2 * HOUR, 3 * HOUR, YEAR, -20_000 * DAY] {
        let Some(mut pair) = Pair::start() else { return };
        pair.clocks(0, wrong);
        pair.primary.publish("a", "second");
        if !(-1_000 * DAY..=0).contains(&wrong) {
            pair.arrives("second", &format!("a replica {wrong} s off"));
        }
        pair.replica.kill9();
        pair.replica.restart();
        assert!(["first", "second"].contains(&served(&pair.replica, "").as_str()));
        pair.clocks(0, 0);
        pair.primary.publish("a", "third");
        pair.arrives("third", &format!("right again after {wrong} s"));
        let fresh = eventually(FOLLOWS, || (pair.replica.status()["freshness"] == "fresh").then_some(()));
        assert!(fresh.is_some(), "{}", pair.replica.status());
    }
}

#[test]
fn primary_with_a_clock_ahead_is_accepted_after_correction() {
    let _run = Run::start("clocks-primary");
    for ahead in [2 * HOUR, YEAR] {
        let Some(pair) = Pair::start() else { return };
        pair.clocks(ahead, 0);
        let _taken = offer(&pair.primary, "by a clock ahead");
        assert!(["first", "by a clock ahead"].contains(&served(&pair.replica, "").as_str()));
        pair.clocks(0, 0);
        pair.primary.publish("a", "by a right clock");
        pair.arrives("by a right clock", &format!("the primary alone was {ahead} s ahead"));
    }
}

#[test]
fn primary_clock_behind_its_records_is_reported_and_followed() {
    let _run = Run::start("clocks-behind");
    for behind in [2 * HOUR, 400 * DAY] {
        let Some(mut pair) = Pair::start() else { return };
        pair.clocks(-behind, 0);
        pair.restart_primary();
        let untrusted = eventually(FOLLOWS, || (pair.primary.status()["clock_untrusted"] == true).then_some(()));
        let written = offer(&pair.primary, "by a clock behind");
        assert!(untrusted.is_some(), "{behind} s behind, and the primary says nothing: {}", pair.primary.status());
        pair.clocks(0, 0);
        let text = if written { "by a clock behind" } else { "first" };
        assert_eq!(served(&pair.primary, ""), text);
        pair.restart_primary();
        pair.primary.publish("a", "by a right clock");
        pair.arrives("by a right clock", &format!("{behind} s behind, then right"));
    }
}

#[test]
fn replica_of_an_idle_primary_stays_fresh_when_its_clock_is_set_back() {
    let _run = Run::start("clocks-idle");
    let start = |back_s: i64| Some((back_s, Pair::start()?));
    let Some(pairs) = [300, 1_800].into_iter().map(start).collect::<Option<Vec<_>>>() else { return };
    let issued = |pair: &Pair| {
        let issued = pair.replica.status()["issued"].as_str().expect("a time").to_owned();
        issued.parse::<bookholder::model::time::Timestamp>().expect("a time")
    };
    let before: Vec<_> = pairs.iter().map(|(_, pair)| issued(pair)).collect();
    for (back_s, pair) in &pairs {
        pair.of_primary.clock(-back_s);
    }
    for ((back_s, pair), before) in pairs.iter().zip(before) {
        // A poll waits for 25 s, and a clock that was set far back is noticed within 15 s.
        let heard = eventually(Duration::from_secs(60), || (issued(pair) != before).then_some(()));
        let status = pair.replica.status();
        assert!(heard.is_some(), "{back_s} s back, and no note counts as newer: {status}");
        assert_eq!(issued(pair) > before, *back_s <= 600, "{back_s} s back: {status}");
        assert_eq!((&status["freshness"], &status["trouble"]), (&json!("fresh"), &Value::Null), "{back_s} s back");
    }
}

#[test]
fn history_is_not_dated_ahead_after_a_step_forward_and_back() {
    let _run = Run::start("clocks-history");
    let Some(pair) = Pair::start() else { return };
    pair.of_primary.clock(10 * DAY);
    let _taken = offer(&pair.primary, "by a clock ahead");
    pair.of_primary.clock(0);
    pair.primary.publish("a", "by a right clock");
    // Times are refused until they have come.
    pair.of_primary.clock(12 * DAY);
    for days in [1, 5, 11] {
        let at = bookholder::model::time::Timestamp::from_ms(now_ms() + days * DAY * 1_000).to_string();
        let query = format!("?at={}", segment(&at));
        assert_eq!(served(&pair.primary, &query), "by a right clock", "as of {at}");
    }
}

fn now_ms() -> i64 {
    use bookholder::clock::{Clock, SystemClock};
    SystemClock::new().now_ms()
}

//! Fifty replicas behind a hostile network, in virtual time: whatever is dropped, delayed, repeated, stale, truncated
//! or flipped, and wherever clocks step, positions only rise, every state was signed, and all converge once the network
//! recovers.
//!
//! The map of a replica is this file's own: a second reading of the delta's form and of the state hash.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use bookholder::crypto::lattice::Leaf;
use bookholder::model::position::Position;
use bookholder::replication::engine::{Action, Engine, Event, FetchFailure, Memory, Now, Rejection, Settings, Step};
use bookholder::store::read::{NamespaceState, ViewState, view_state};
use bookholder::trust::accept::TrustedTime;
use bookholder::trust::checkpoint::Checkpoint;

use crate::support::primary::{BEGIN_MS, Primary};
use crate::support::wire::{
    delete, header, pack, put, read_delete, read_note, read_put, records, try_records, unframe,
};

const REPLICAS: usize = 50;
const COMMITS: usize = 24;
const COMMIT_EVERY_MS: u64 = 4_000;
const PEACE_MS: u64 = 150_000;
const END_MS: u64 = 450_000;

type Key = (String, u8, Vec<u8>);
type Map = BTreeMap<Key, (u64, Vec<u8>)>;

/// Random numbers that are the same on every run with one seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).expect("less than a usize")
    }
}

/// The primary's state at one time, and its signed note.
struct Moment {
    checkpoint: Checkpoint,
    map: Map,
}

struct Node {
    engine: Engine,
    map: Map,
    position: Position,
    skew_s: i64,
    applied: usize,
}

/// The data of an answer, beside its event.
type Delivery = (usize, Event, Vec<u8>);

struct World {
    primary: Primary,
    history: Vec<Moment>,
    nodes: Vec<Node>,
    random: Random,
    now_ms: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    deliveries: BTreeMap<u64, Delivery>,
    sent: u64,
    refusals: BTreeMap<String, usize>,
}

fn hash_of(map: &Map) -> ViewState {
    let mut namespaces: BTreeMap<&str, NamespaceState> = BTreeMap::new();
    for ((namespace, kind, key), (seq, value)) in map {
        let state = namespaces.entry(namespace).or_default();
        state.entries += 1;
        state.bytes += (namespace.len() + key.len() + value.len()) as u64;
        state.lattice.add(&Leaf::new(*kind, namespace.as_bytes(), key, *seq, value));
    }
    view_state(namespaces.iter().map(|(name, state)| (*name, state)))
}

/// A registry's history: prompts come, change, and go.
async fn record() -> (Primary, Vec<Moment>) {
    let primary = Primary::found();
    let mut history = Vec::new();
    for commit in 0..COMMITS {
        let prompt = format!("team-{}/p{}", commit % 3, commit % 7);
        match commit % 6 {
            5 => drop(primary.unlabel("team-0/p0", "production").await),
            2 => drop(primary.remove(&format!("team-{}/p{}", (commit - 1) % 3, (commit - 1) % 7)).await),
            _ => {
                let version = primary.publish(&prompt, &format!("text {commit}")).await.version.number;
                primary.deploy(&prompt, version, "production").await;
            }
        }
        let (note, whole) = unframe(&primary.answer(Position::default()).await);
        let entry = |record: &Vec<u8>| {
            let (namespace, kind, key, seq, value) = read_put(record).expect("a whole state is puts");
            ((namespace, kind, key), (seq, value))
        };
        let map: Map = records(&whole)[1..].iter().map(entry).collect();
        let checkpoint = read_note(&note);
        assert_eq!(hash_of(&map).hash, checkpoint.state, "both readings agree");
        history.push(Moment { checkpoint, map });
    }
    (primary, history)
}

impl World {
    async fn new(seed: u64) -> Self {
        let (primary, history) = record().await;
        let settings = Settings::of(primary.root_key);
        let node = || Node {
            engine: Engine::new(settings.clone(), Memory::default()),
            map: Map::new(),
            position: Position::default(),
            skew_s: 0,
            applied: 0,
        };
        let nodes = (0..REPLICAS).map(|_| node()).collect();
        let mut world = Self {
            primary,
            history,
            nodes,
            random: Random(seed),
            now_ms: 0,
            queue: BinaryHeap::new(),
            deliveries: BTreeMap::new(),
            sent: 0,
            refusals: BTreeMap::new(),
        };
        for node in 0..REPLICAS {
            world.later(node as u64 * 7, node, Event::Due, Vec::new());
        }
        world
    }

    fn peace(&self) -> bool {
        self.now_ms >= PEACE_MS
    }

    fn later(&mut self, ms: u64, node: usize, event: Event, data: Vec<u8>) {
        self.sent += 1;
        self.deliveries.insert(self.sent, (node, event, data));
        self.queue.push(Reverse((self.now_ms + ms, self.sent)));
    }

    fn run(&mut self) {
        while let Some(Reverse((at_ms, id))) = self.queue.pop() {
            if at_ms > END_MS {
                break;
            }
            self.now_ms = at_ms;
            let (node, event, data) = self.deliveries.remove(&id).expect("a delivery");
            self.handle(node, event, &data);
        }
    }

    fn now(&mut self, node: usize) -> Now {
        if self.peace() {
            self.nodes[node].skew_s = 0;
        } else if self.random.below(40) == 0 {
            const YEAR_S: i64 = 366 * 86_400;
            self.nodes[node].skew_s = [0, 0, YEAR_S, -YEAR_S][self.random.below(4)];
        }
        let wall_s = (BEGIN_MS + self.now_ms.cast_signed()) / 1_000 + self.nodes[node].skew_s;
        Now { wall_s, monotonic_ms: self.now_ms, random: self.random.next() }
    }

    fn handle(&mut self, node: usize, event: Event, data: &[u8]) {
        let now = self.now(node);
        let mut actions = std::collections::VecDeque::from(self.nodes[node].engine.handle(now, event));
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Apply(step) => {
                    let result = self.apply(node, &step, data);
                    let now = self.now(node);
                    actions.extend(self.nodes[node].engine.handle(now, Event::Applied(step, result)));
                }
                Action::FetchRoot(number) => {
                    let root = self.primary.publisher.root(number).expect("a store");
                    self.document(node, root, |note| Event::Root(number, note));
                }
                Action::FetchEpoch(number) => {
                    let epoch = self.primary.publisher.epoch(number).expect("a store");
                    self.document(node, epoch, |note| Event::Epoch(number, note));
                }
                Action::FetchNext { after, .. } => self.poll(node, after),
                Action::Wait(ms) => self.later(ms, node, Event::Due, Vec::new()),
                Action::Trouble { reason, .. } => *self.refusals.entry(reason.to_owned()).or_default() += 1,
                Action::KeepEvidence(_) => panic!("nobody told two stories"),
                Action::KeepRoot(..)
                | Action::KeepEpoch(..)
                | Action::KeepNote(_)
                | Action::ShowHeld
                | Action::Contact => {}
            }
        }
    }

    fn document(&mut self, node: usize, document: Option<Vec<u8>>, event: impl FnOnce(Vec<u8>) -> Event) {
        let Some(mut note) = document else {
            return self.later(50, node, Event::Failed(FetchFailure::UnknownView, "none".to_owned()), Vec::new());
        };
        let delay_ms = 5 + self.random.below(200) as u64;
        if !self.peace() && self.random.below(4) == 0 {
            self.spoil(&mut note);
        }
        self.later(delay_ms, node, event(note), Vec::new());
    }

    /// A long poll through a faulty network.
    fn poll(&mut self, node: usize, after: Position) {
        let latest = usize::try_from(self.now_ms / COMMIT_EVERY_MS).expect("small").min(COMMITS - 1);
        let fate = if self.peace() { 99 } else { self.random.below(14) };
        let stale = if fate == 0 { self.random.below(latest + 1) } else { latest };
        let moment = &self.history[stale];
        if after.seq >= moment.checkpoint.changed && stale == latest {
            // Nothing new: the poll waits, and a fresh note comes back.
            let wait_ms = if latest + 1 < COMMITS { COMMIT_EVERY_MS } else { 25_000 };
            let note = self.sign(stale, wait_ms);
            return self.later(wait_ms, node, Event::Answer { note, delta: false, reconnect_ms: None }, Vec::new());
        }
        let mut data = self.delta(stale, after);
        let mut note = self.sign(stale, 0);
        let mut delay_ms = 5 + self.random.below(100) as u64;
        match fate {
            1 | 2 => {
                return self.later(
                    5_000,
                    node,
                    Event::Failed(FetchFailure::Unreachable, "dropped".to_owned()),
                    Vec::new(),
                );
            }
            3 => self.spoil(&mut note),
            4 | 5 => self.spoil(&mut data),
            6 => delay_ms += 20_000,
            7 => {
                let again = Event::Answer { note: note.clone(), delta: true, reconnect_ms: None };
                self.later(delay_ms + 700, node, again, data.clone());
            }
            8 => {
                let other = self.random.below(latest + 1);
                data = self.delta(other, after);
            }
            9 => {
                return self.later(
                    100,
                    node,
                    Event::Failed(FetchFailure::Busy { retry_after_s: 3 }, "busy".to_owned()),
                    Vec::new(),
                );
            }
            _ => {}
        }
        self.later(delay_ms, node, Event::Answer { note, delta: true, reconnect_ms: None }, data);
    }

    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        let at = self.random.below(bytes.len());
        match self.random.below(3) {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 1 << self.random.below(8),
            _ => bytes.extend_from_slice(b"more"),
        }
    }

    fn sign(&self, moment: usize, in_ms: u64) -> Vec<u8> {
        let issued = (BEGIN_MS + (self.now_ms + in_ms).cast_signed()) / 1_000;
        let checkpoint = Checkpoint { issued, expires: issued + 3_600, ..self.history[moment].checkpoint.clone() };
        self.primary.signer.sign(&checkpoint).expect("signed")
    }

    /// The net change from a position to a moment, made from the recorded maps.
    fn delta(&self, to: usize, after: Position) -> Vec<u8> {
        let (target, map) = (&self.history[to].checkpoint, &self.history[to].map);
        let mut operations: BTreeMap<Key, Vec<u8>> = BTreeMap::new();
        if after != Position::default() {
            let gone =
                self.history[..to].iter().flat_map(|moment| moment.map.keys()).filter(|key| !map.contains_key(key));
            operations.extend(gone.map(|key| (key.clone(), delete(&key.0, key.1, &key.2, target.seq))));
        }
        let changed = map.iter().filter(|(_, (seq, _))| *seq > after.seq);
        operations.extend(changed.map(|(key, (seq, value))| (key.clone(), put(&key.0, key.1, &key.2, *seq, value))));
        let mut records = vec![header("example", "all", 1, after, target.position())];
        records.extend(operations.into_values());
        pack(&records)
    }

    fn apply(&mut self, node: usize, step: &Step, data: &[u8]) -> Result<(), Rejection> {
        let rejection = |reason| Rejection { reason, detail: String::new() };
        let node = &mut self.nodes[node];
        let checkpoint = &step.accepted.checkpoint;
        let records = try_records(data).filter(|records| !records.is_empty()).ok_or_else(|| rejection("parse"))?;
        let mut map = if records[0] == header("example", "all", 1, Position::default(), checkpoint.position()) {
            Map::new()
        } else {
            node.map.clone()
        };
        for operation in &records[1..] {
            if let Some((namespace, kind, key, seq, value)) = read_put(operation) {
                map.insert((namespace, kind, key), (seq, value));
            } else if let Some((namespace, kind, key)) = read_delete(operation) {
                map.remove(&(namespace, kind, key));
            }
        }
        let state = hash_of(&map);
        if (state.hash, state.entries) != (checkpoint.state, checkpoint.entries) {
            return Err(rejection("state"));
        }
        assert!(checkpoint.position() > node.position, "positions only rise");
        let signed = self.history.iter().any(|moment| moment.map == map && moment.checkpoint.state == state.hash);
        assert!(signed, "a state that was never signed");
        (node.map, node.position) = (map, checkpoint.position());
        node.applied += 1;
        Ok(())
    }
}

#[tokio::test]
async fn fifty_replicas_survive_a_hostile_network_and_agree_in_peace() {
    for seed in [1, 2_026] {
        let mut world = World::new(seed).await;
        world.run();
        let last = world.history.last().expect("a history");
        for (index, node) in world.nodes.iter().enumerate() {
            assert_eq!(node.position, last.checkpoint.position(), "seed {seed}, replica {index}: {:?}", world.refusals);
            assert_eq!(node.map, last.map, "seed {seed}, replica {index}");
            assert_eq!(node.engine.position(), Some(node.position));
            let wall_s = (BEGIN_MS + world.now_ms.cast_signed()) / 1_000;
            assert!(TrustedTime::at(wall_s, node.engine.time_floor_s()).clock_trusted);
        }
        for fault in ["syntax", "rollback", "unreachable", "busy", "state", "parse", "expired"] {
            assert!(world.refusals.contains_key(fault), "seed {seed} must show {fault}: {:?}", world.refusals);
        }
        let applied: usize = world.nodes.iter().map(|node| node.applied).sum();
        assert!(applied >= 5 * REPLICAS, "seed {seed}: only {applied} states were applied");
    }
}

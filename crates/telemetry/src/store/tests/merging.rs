//! Replicas, copies of their disks, files that are carried, and a primary, while the power fails anywhere: the primary
//! counts what one node would that saw each event once.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard};

use proptest::prelude::*;

use super::*;

/// A disk that loses its power after a number of operations: all later ones fail, and of what was not flushed any part
/// may be there at the next start.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<Mutex<Platter>>);

#[derive(Clone, Debug, Default)]
struct Platter {
    flushed: Vec<u8>,
    written: Vec<u8>,
    unflushed: Vec<Change>,
    /// Operations until the power fails.
    left: Option<u32>,
    /// Starts so far; handles of earlier ones are those of a process that is gone.
    starts: u64,
    random: u64,
    operations: u32,
}

#[derive(Clone, Debug)]
enum Change {
    Length(usize),
    Bytes(usize, Vec<u8>),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Length(length) => to.resize(*length, 0),
            Self::Bytes(at, bytes) => {
                let end = at + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl Disk {
    fn lock(&self) -> MutexGuard<'_, Platter> {
        self.0.lock().expect("no panic")
    }

    /// A handle for a process that starts now; a process before it is gone.
    fn start(&self) -> Handle {
        let mut platter = self.lock();
        let mut flushed = std::mem::take(&mut platter.flushed);
        for change in std::mem::take(&mut platter.unflushed) {
            platter.random = platter.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            if platter.random >> 63 == 0 {
                change.apply(&mut flushed);
            }
        }
        platter.written.clone_from(&flushed);
        platter.flushed = flushed;
        platter.left = None;
        platter.starts += 1;
        Handle { disk: self.clone(), start: platter.starts }
    }

    /// Another disk with what is on this one.
    fn copy(&self) -> Self {
        let platter = self.lock();
        Self(Arc::new(Mutex::new(Platter { flushed: platter.flushed.clone(), ..Platter::default() })))
    }
}

#[derive(Debug)]
struct Handle {
    disk: Disk,
    start: u64,
}

impl Handle {
    fn use_disk(&self, counts: bool) -> io::Result<MutexGuard<'_, Platter>> {
        let mut platter = self.disk.lock();
        let off = || io::Error::other("the power is off");
        if platter.starts != self.start || platter.left == Some(0) {
            return Err(off());
        }
        if counts {
            platter.operations += 1;
            platter.left = platter.left.map(|left| left - 1);
        }
        Ok(platter)
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut platter = self.use_disk(true)?;
        change.apply(&mut platter.written);
        platter.unflushed.push(change);
        Ok(())
    }
}

impl StorageBackend for Handle {
    fn len(&self) -> io::Result<u64> {
        Ok(u64::try_from(self.use_disk(false)?.written.len()).expect("a length"))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let platter = self.use_disk(false)?;
        let at = usize::try_from(offset).expect("an offset");
        let bytes = platter.written.get(at..at + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.change(Change::Length(usize::try_from(length).expect("a length")))
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut platter = self.use_disk(true)?;
        let mut flushed = std::mem::take(&mut platter.flushed);
        for change in std::mem::take(&mut platter.unflushed) {
            change.apply(&mut flushed);
        }
        platter.flushed = flushed;
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Bytes(usize::try_from(offset).expect("an offset"), bytes.to_vec()))
    }
}

/// A node that starts again whenever its power fails.
struct Node {
    disk: Disk,
    role: Role,
    store: TelemetryStore,
}

impl Node {
    fn on(disk: Disk, role: Role) -> Self {
        let store = Self::open(&disk, role);
        Self { disk, role, store }
    }

    fn new(role: Role) -> Self {
        Self::on(Disk::default(), role)
    }

    fn open(disk: &Disk, role: Role) -> TelemetryStore {
        // What a process finds after the power failed is for the next one.
        let started = Mutex::new(Some(disk.start()));
        let connect =
            move || started.lock().expect("no panic").take().ok_or_else(|| io::Error::other("the power is off"));
        TelemetryStore::open_on(PathBuf::from(TELEMETRY_FILE), CACHE_BYTES, connect, role)
            .expect("what was flushed is whole")
    }

    fn restart(&mut self) {
        self.store = Self::open(&self.disk, self.role);
    }

    /// Does something; if the power fails, starts again and answers nothing.
    fn attempt<T>(&mut self, work: impl AsyncFnOnce(&TelemetryStore) -> Result<T, TelemetryError>) -> Option<T> {
        match block_on(work(&self.store)) {
            Ok(done) => Some(done),
            Err(error) => {
                assert_eq!(self.disk.lock().left, Some(0), "{error}");
                self.restart();
                None
            }
        }
    }
}

/// Replicas, the copy of one of them, files on their way, and the primary.
struct World {
    primary: Node,
    replicas: Vec<Node>,
    files: Vec<Vec<Spooled>>,
    reported: BTreeSet<usize>,
}

/// Something that happens.
#[derive(Clone, Debug)]
enum Step {
    Report {
        replica: usize,
        event: usize,
    },
    Send {
        replica: usize,
        repeat: bool,
        forget: bool,
    },
    Restart {
        node: usize,
    },
    /// The power of a node fails after some operations of its disk.
    Fail {
        node: usize,
        after: u32,
    },
    /// The disk of a replica is copied, and the copy started.
    Copy {
        replica: usize,
    },
    /// A file is written for the primary; nothing is forgotten.
    Export {
        replica: usize,
    },
    /// A file arrives, any number of times and in any order.
    Import {
        file: usize,
    },
}

impl World {
    fn new() -> Self {
        Self {
            primary: Node::new(Role::Keep),
            replicas: vec![Node::new(SPOOL), Node::new(SPOOL)],
            files: Vec::new(),
            reported: BTreeSet::new(),
        }
    }

    fn node(&mut self, number: usize) -> &mut Node {
        let count = self.replicas.len() + 1;
        match number % count {
            0 => &mut self.primary,
            replica => &mut self.replicas[replica - 1],
        }
    }

    fn replica(&mut self, number: usize) -> &mut Node {
        let count = self.replicas.len();
        &mut self.replicas[number % count]
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Report { replica, event: number } => {
                // An exporter sends until it is answered.
                let replica = self.replica(*replica);
                while replica.attempt(async |store| store.record(vec![recorded(event(*number))], NOON).await).is_none()
                {
                }
                self.reported.insert(*number);
            }
            Step::Send { replica, repeat, forget } => self.send(*replica, *repeat, *forget),
            Step::Restart { node } => self.node(*node).restart(),
            Step::Fail { node, after } => self.node(*node).disk.lock().left = Some(*after),
            Step::Copy { replica } if self.replicas.len() < 4 => {
                let copy = self.replica(*replica).disk.copy();
                self.replicas.push(Node::on(copy, SPOOL));
            }
            Step::Export { replica } => {
                let replica = self.replica(*replica);
                if let Some(file) = replica.attempt(async |store| store.spooled()) {
                    self.files.push(file);
                }
            }
            Step::Import { file } if !self.files.is_empty() => {
                let file = self.files[file % self.files.len()].clone();
                for sent in &file {
                    if self.merge(sent, 1).is_none() {
                        break;
                    }
                }
            }
            Step::Copy { .. } | Step::Import { .. } => {}
        }
    }

    fn merge(&mut self, sent: &Spooled, first: u64) -> Option<u64> {
        let batch = SentBatch::decode(first, sent.number, &sent.batch).expect("a batch");
        self.primary.attempt(async |store| store.merge(sent.id, batch, NOON).await)
    }

    fn send(&mut self, replica: usize, repeat: bool, forget: bool) {
        let Some(batches) = self.replica(replica).attempt(async |store| store.spooled()) else { return };
        let mut first = None;
        for sent in batches {
            let number = first.filter(|(id, _)| *id == sent.id).map_or(sent.number, |(_, number)| number);
            first = Some((sent.id, number));
            let Some(merged) = self.merge(&sent, number) else { return };
            if repeat {
                self.merge(&sent, number);
            }
            if forget {
                let merged = vec![(sent.id.epoch, merged)];
                self.replica(replica).attempt(async |store| store.forget_spooled(merged).await);
            }
        }
    }

    /// All that is left arrives; what the primary counts then, and what one node would.
    fn end(mut self) -> (Counts, Counts) {
        for node in 0..=self.replicas.len() {
            self.node(node).disk.lock().left = None;
            self.node(node).restart();
        }
        for replica in 0..self.replicas.len() {
            self.send(replica, false, true);
            let state = self.replicas[replica].store.spool().expect("a read").expect("a spool");
            assert_eq!((state.batches, state.bytes), (0, 0));
        }
        for file in 0..self.files.len() {
            self.take(&Step::Import { file });
        }
        let (_directory, one) = keep();
        record(&one, self.reported.into_iter().rev().map(|number| recorded(event(number))).collect());
        (counts(&self.primary.store), counts(&one))
    }
}

type Counts = BTreeMap<(String, usize, i64), Vec<u8>>;

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        10 => (0..4_usize, 0..40_usize).prop_map(|(replica, event)| Step::Report { replica, event }),
        5 => (0..4_usize, any::<bool>(), any::<bool>())
            .prop_map(|(replica, repeat, forget)| Step::Send { replica, repeat, forget }),
        1 => (0..5_usize).prop_map(|node| Step::Restart { node }),
        4 => (0..5_usize, 0..40_u32).prop_map(|(node, after)| Step::Fail { node, after }),
        1 => (0..4_usize).prop_map(|replica| Step::Copy { replica }),
        2 => (0..4_usize).prop_map(|replica| Step::Export { replica }),
        2 => (0..8_usize).prop_map(|file| Step::Import { file }),
    ];
    proptest::collection::vec(step, 0..60)
}

fn event(number: usize) -> Event {
    let number_i64 = i64::try_from(number).expect("a small number");
    let at = NOON + number_i64 * 7_000;
    if number % 4 == 3 {
        score(ScoreTarget::Response(format!("r{}", number - 1)), f64::from(u8::try_from(number).unwrap()) / 8.0, at)
            .into()
    } else {
        let span = SpanContext { trace: [1; 16], span: [u8::try_from(number).unwrap() + 1; 8] };
        let mut event = response(&format!("r{number}"), 1 + u64::try_from(number % 3).unwrap(), at);
        event.span = number.is_multiple_of(2).then_some(span);
        event.latency_us = Some(u64::try_from(number).unwrap() * 977);
        event.into()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn primary_counts_what_one_node_would_that_saw_each_event_once(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.take(step);
        }
        let (primary, one) = world.end();
        prop_assert_eq!(primary, one);
    }
}

#[test]
fn store_whose_disk_failed_goes_on_once_it_works_and_lost_nothing_that_it_acknowledged() {
    let mut failures = 0;
    for after in 0..12 {
        let disk = Disk::default();
        let connected = disk.clone();
        let connect = move || Ok(connected.start());
        let path = PathBuf::from(TELEMETRY_FILE);
        let store = TelemetryStore::open_on(path, CACHE_BYTES, connect, Role::Keep).expect("a store");
        record(&store, vec![recorded(event(0))]);
        disk.lock().left = Some(after);
        let mut refused = 0;
        for number in 1..8 {
            // An exporter sends until it is answered; the disk works again when it is opened again.
            while let Err(error) = block_on(store.record(vec![recorded(event(number))], NOON)) {
                assert!(matches!(error, TelemetryError::Write(_)), "{error}");
                refused += 1;
            }
            assert!(store.response("r0").expect("a read").is_some());
        }
        assert!(refused <= 1, "{refused} after {after}");
        failures += refused;
        let (_directory, one) = keep();
        record(&one, (0..8).map(|number| recorded(event(number))).collect());
        assert_eq!(counts(&store), counts(&one), "{after}");
    }
    assert!(failures > 5, "{failures}");
}

/// What happens while the power fails at each operation of a disk in turn.
fn story(world: &mut World) {
    let report = |event| Step::Report { replica: 0, event };
    let send = |forget| Step::Send { replica: 0, repeat: true, forget };
    for step in [
        report(3),
        report(2),
        send(false),
        Step::Export { replica: 0 },
        report(4),
        Step::Import { file: 0 },
        send(true),
        report(7),
        Step::Restart { node: 1 },
        report(6),
        Step::Export { replica: 0 },
        send(true),
        Step::Import { file: 1 },
    ] {
        world.take(&step);
    }
}

#[test]
fn power_failure_at_every_operation_of_a_disk_loses_and_doubles_nothing() {
    for node in [0, 1] {
        let mut whole = World::new();
        let before = whole.node(node).disk.lock().operations;
        story(&mut whole);
        let operations = whole.node(node).disk.lock().operations - before;
        assert!(operations > 20, "{operations}");
        for after in 0..operations {
            let mut world = World::new();
            world.take(&Step::Fail { node, after });
            world.node(node).disk.lock().random = u64::from(after);
            story(&mut world);
            let (primary, one) = world.end();
            assert_eq!(primary, one, "after operation {after} of node {node}");
        }
    }
}

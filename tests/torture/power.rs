//! The power goes: what a primary and a replica wrote is replayed up to a moment, and of what was not flushed by then a
//! part is lost. Whatever was acknowledged before is there, and the node goes on.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;

use super::client::{Place, position};
use super::faults::Faults;
use super::replay::{Loss, Record};
use super::run::Run;
use super::support::command::bookholder;
use super::support::node::{Launch, Node, PATIENCE, eventually};
use super::writers::{Ledger, Shared, StopAtEnd, Write, write};

const WRITERS: usize = 3;
/// Of the time of the scenario, what is spent on recording, in percent.
const RECORDING: u32 = 15;
/// Bytes of a record that are enough.
const RECORD_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Acknowledged writes that are looked up after one power loss: the last ones, and as many others.
const LOOKED_UP: usize = 25;
/// Shares of what was not flushed that reach the disk, in percent.
pub const KEPT: [u64; 5] = [0, 10, 50, 90, 100];
/// What is written whole or not at all: a page, or a sector.
pub const PIECES: [usize; 2] = [4_096, 512];

/// The status of a replica: its position, and the length of the record by then.
type Said = (u64, (u64, u64));

#[test]
fn acknowledged_writes_survive_a_power_loss_at_any_moment() {
    let mut run = Run::start("power");
    let (Some(disk), Some(replica_disk)) = (Faults::new(), Faults::new()) else { return };
    let Some(primary) = disk.start(Launch::primary(), true) else { return };
    let Some(replica) = replica_disk.start(Launch::replica_of(&primary), true) else { return };
    let (ledger, said) = record(&mut run, &primary, &disk, &replica, &replica_disk);
    let (record, replica_record) = (Record::read(&disk.log()), Record::read(&replica_disk.log()));
    let writes = ledger.since(0);
    let begun = writes.first().expect("a write").at;
    assert_eq!(ledger.failures(), Vec::<String>::new(), "answered with 500");
    let (mut rounds, mut unflushed, mut looked_up) = (0, 0, 0);
    while run.goes_on() || rounds < 4 {
        let loss = Loss { piece: *run.random.pick(&PIECES), kept_percent: *run.random.pick(&KEPT) };
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        if rounds % 3 == 2 {
            let at = said[0].0 + run.random.below(replica_record.length() - said[0].0);
            unflushed += replica_record.cut(at, replica.data(), &data, loss, &mut run.random);
            let held = said.iter().rev().find(|(when, _)| *when <= at).map_or((0, 0), |(_, held)| *held);
            after_loss_of_replica(&run, &data, &primary, held, &format!("cut at {at}, {loss:?}"));
        } else {
            let at = begun + run.random.below(record.length() - begun);
            unflushed += record.cut(at, primary.data(), &data, loss, &mut run.random);
            let acknowledged = writes.iter().filter(|write| write.at <= at).collect::<Vec<_>>();
            let sample = sample(&mut run, &acknowledged);
            looked_up += sample.len();
            let verify_first = run.random.happens(50);
            after_loss(&run, &data, &ledger, &sample, verify_first, &format!("cut at {at}, {loss:?}"));
        }
        rounds += 1;
    }
    run.report(&format!(
        "{} acknowledged, {} MiB recorded, {rounds} power losses, {unflushed} unflushed changes, {looked_up} looked up",
        writes.len(),
        (record.length() + replica_record.length()) >> 20,
    ));
    assert!(unflushed > 0, "nothing could be lost");
}

/// Writes for a while; returns acknowledged writes, and the replica's statuses.
fn record(run: &mut Run, primary: &Node, disk: &Faults, replica: &Node, replica_disk: &Faults) -> (Ledger, Vec<Said>) {
    let (ledger, stop) = (Ledger::default(), AtomicBool::new(false));
    let said = Mutex::new(Vec::new());
    let clock = || disk.recorded();
    let shared = Shared { place: Place::new(primary.address()), ledger: &ledger, stop: &stop, clock: &clock };
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for writer in 0..WRITERS {
            let (shared, random) = (&shared, run.random.fork());
            scope.spawn(move || write(shared, writer, random));
        }
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let held = position(&replica.status());
                said.lock().expect("no panic").push((replica_disk.recorded(), held));
            }
        });
        let _time_over = eventually(run.part(RECORDING), || {
            let full = disk.recorded() + replica_disk.recorded() > RECORD_BYTES_MAX;
            (full || stop.load(Ordering::SeqCst)).then_some(())
        });
        eventually(PATIENCE, || (ledger.count() > 0).then_some(())).expect("a write");
    });
    replica.follow(primary);
    let said: Vec<Said> = said.into_inner().expect("no panic");
    let said: Vec<Said> = said.into_iter().skip_while(|(_, held)| *held == (0, 0)).collect();
    assert!(!said.is_empty(), "the replica never held anything");
    (ledger, said)
}

/// The last writes, and some of those before.
fn sample<'a>(run: &mut Run, writes: &[&'a Write]) -> Vec<&'a Write> {
    let (before, last) = writes.split_at(writes.len().saturating_sub(LOOKED_UP));
    let mut chosen = last.to_vec();
    if !before.is_empty() {
        chosen.extend((0..LOOKED_UP).map(|_| *run.random.pick(before)));
    }
    // A draft that was saved again is found as it was saved last.
    chosen.sort_by_key(|write| write.at);
    chosen
}

fn proved(run: &Run, data: &std::path::Path, what: &str) {
    let (code, said) = bookholder(["verify", "--json", "--data"]).arg(data).run();
    if code != Some(0) {
        run.fail(data, &format!("not proved ({code:?}) after {what}: {said:#?}"));
    }
}

fn after_loss(run: &Run, data: &std::path::Path, ledger: &Ledger, writes: &[&Write], verify_first: bool, what: &str) {
    if verify_first {
        proved(run, data, what);
    }
    let mut node = Launch::primary().data(data).start();
    let missing = ledger.missing(&node, writes.iter().copied());
    if !missing.is_empty() {
        run.fail(data, &format!("lost after {what}: {missing:#?}"));
    }
    assert_eq!(node.send("GET", "/v1/audit/verify", &[], b"").ok()["whole"], true, "{what}");
    node.publish("after/the-loss", "written again");
    assert_eq!(node.text("after/the-loss@production"), "written again");
    node.kill9();
    proved(run, data, what);
}

fn after_loss_of_replica(run: &Run, data: &std::path::Path, primary: &Node, held: (u64, u64), what: &str) {
    let replica = Launch::replica().args(["--upstream", &primary.url()]).data(data).start();
    let now = position(&replica.status());
    if now < held {
        run.fail(data, &format!("the replica held {held:?} and holds {now:?} after {what}"));
    }
    replica.follow(primary);
    assert_eq!(replica.get("/v1/prompts?limit=1").ok()["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(replica.status()["trouble"], json!(null), "{what}");
    drop(replica);
    proved(run, data, what);
}

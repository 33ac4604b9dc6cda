//! The disk fails under a running node: nothing acknowledged is lost, what was readable stays readable, writes are
//! refused in words, and when the disk works again so does the node, without a restart.

use std::cell::Cell;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;

use super::client::{Client, Place};
use super::faults::{Errno, Fault, Faults, NAMES, OPEN, Partial, READ, SYNC, TRUNCATE, WRITE};
use super::run::{Run, nothing_wrong};
use super::support::answer::Answer;
use super::support::command::bookholder;
use super::support::node::{Launch, Node, PATIENCE, eventually, segment};
use super::writers::{Ledger, Shared, StopAtEnd, write};

const WRITERS: usize = 2;
/// Prompts that were not requested before a fault; each fault requests other ones.
const UNASKED: usize = 600;
/// Answers that are looked at during one fault.
const ANSWERS: usize = 12;
/// How long a fault lasts at least.
const FAULT: Duration = Duration::from_millis(400);
/// Longest wait until a node writes again once its disk works.
const BACK: Duration = Duration::from_secs(10);

/// Every change of a file: what fails when a file system turns read-only.
const CHANGES: u64 = OPEN | WRITE | TRUNCATE | SYNC | NAMES;

const FAULTS: [Fault; 12] = [
    fault(SYNC, Errno::Io, 100, Partial::Nothing),
    fault(SYNC, Errno::Io, 20, Partial::Nothing),
    fault(SYNC, Errno::Quota, 100, Partial::Nothing),
    fault(WRITE, Errno::Io, 100, Partial::Nothing),
    fault(WRITE, Errno::Io, 10, Partial::Torn),
    fault(WRITE, Errno::NoSpace, 100, Partial::Nothing),
    fault(WRITE, Errno::NoSpace, 30, Partial::Torn),
    fault(WRITE, Errno::Quota, 100, Partial::Torn),
    fault(WRITE, Errno::Io, 50, Partial::Short),
    fault(WRITE | TRUNCATE, Errno::NoSpace, 100, Partial::Nothing),
    fault(CHANGES, Errno::ReadOnly, 100, Partial::Nothing),
    fault(CHANGES, Errno::Io, 100, Partial::Torn),
];

const READ_ONLY: Fault = fault(CHANGES, Errno::ReadOnly, 100, Partial::Nothing);

const fn fault(calls: u64, error: Errno, percent: u64, partial: Partial) -> Fault {
    Fault { calls, error, percent, partial }
}

fn name(number: usize) -> String {
    format!("unasked/prompt-{number:04}")
}

/// Long enough that all of them do not fit into the memory of the database.
fn text(number: usize) -> String {
    format!("text of prompt {number}, ").repeat(600)
}

/// Prompts that no cache knows.
fn fill(node: &Node) {
    let at = "2026-01-01T00:00:00Z";
    for first in (0..UNASKED).step_by(100) {
        let changes: Vec<_> = (first..first + 100)
            .map(|number| {
                let id = number.to_string();
                json!({"id": id, "at": at, "author": "ada", "message": "why", "name": name(number), "text": text(number)})
            })
            .collect();
        assert_eq!(node.change("POST", "/v1/import", &json!({"changes": changes})).ok()["refused"], json!([]));
    }
}

/// Requests prompts for the first time.
struct Unasked(Cell<usize>);

impl Unasked {
    /// The next one: what was answered, and whether that is its text.
    fn ask(&self, client: &mut Client) -> (Answer, bool) {
        let number = self.0.get();
        self.0.set((number + 1) % UNASKED);
        let path = format!("/v1/resolve/{}", segment(&format!("{}@production", name(number))));
        let answer = client.get(&path).expect("an answer");
        let right = answer.status == 200 && answer.json()["content"]["text"] == text(number).as_str();
        (answer, right)
    }
}

#[test]
fn failing_disk_loses_no_writes_and_serves_all_reads() {
    let mut run = Run::start("disk");
    let Some(disk) = Faults::new() else { return };
    let launch = Launch::primary().env("BOOKHOLDER_CACHE_MIB", "1");
    let Some(mut primary) = disk.start(launch, false) else { return };
    fill(&primary);
    let (ledger, stop, unasked) = (Ledger::default(), AtomicBool::new(false), Unasked(Cell::new(0)));
    let shared = Shared { place: Place::new(primary.address()), ledger: &ledger, stop: &stop, clock: &|| 0 };
    let mut wrong = Vec::new();
    let mut rounds = 0;
    std::thread::scope(|scope| {
        let _stop = StopAtEnd(&stop);
        for writer in 0..WRITERS {
            let (shared, random) = (&shared, run.random.fork());
            scope.spawn(move || write(shared, writer, random));
        }
        let first = run.random.index(FAULTS.len());
        while run.goes_on() || rounds < FAULTS.len() {
            let fault = FAULTS[(first + rounds) % FAULTS.len()];
            wrong.extend(one_fault(&primary, &disk, fault, &unasked, &ledger));
            rounds += 1;
        }
    });
    let missing = ledger.missing(&primary, &ledger.since(0));
    assert_eq!(missing, Vec::<String>::new(), "lost");
    assert_eq!(ledger.doubled(&primary), Vec::<String>::new(), "doubled");
    assert_eq!(primary.send("GET", "/v1/audit/verify", &[], b"").ok()["whole"], true);
    run.report(&format!(
        "{} acknowledged, {} refused, {rounds} faults, {} calls failed",
        ledger.count(),
        ledger.refused.load(Ordering::SeqCst),
        disk.injected(),
    ));
    primary.kill9();
    let _said = bookholder(["verify", "--data"]).arg(primary.data()).ok().says("verified:");
    wrong.extend(ledger.failures());
    nothing_wrong(&wrong);
}

/// One fault, and what was wrong while it lasted and afterwards.
fn one_fault(primary: &Node, disk: &Faults, fault: Fault, unasked: &Unasked, ledger: &Ledger) -> Vec<String> {
    let mut client = Client::new(Place::new(primary.address()));
    let mut wrong = Vec::new();
    let before = disk.injected();
    disk.fail(fault);
    let began = Instant::now();
    let mut asked = 0;
    let failed = eventually(PATIENCE, || {
        if asked < ANSWERS {
            asked += 1;
            wrong.extend(during(&mut client, fault, unasked));
        }
        (disk.injected() > before && asked == ANSWERS && began.elapsed() >= FAULT).then_some(())
    });
    assert!(failed.is_some(), "nothing failed: {fault:?}");
    disk.heal();
    let (healed, count) = (Instant::now(), ledger.count());
    if eventually(BACK, || (ledger.count() > count).then_some(())).is_none() {
        let answer = primary.change(
            "POST",
            "/v1/prompts/again/versions",
            &json!({"content": {"syntax": "plain", "text": "x"}, "message": "why"}),
        );
        wrong.push(format!("no write {:?} after {fault:?}: {}", healed.elapsed(), answer.text()));
    }
    for _ in 0..ANSWERS {
        let (answer, right) = unasked.ask(&mut client);
        if !right {
            wrong.push(format!("after {fault:?}: {} {}", answer.status, answer.text()));
        }
    }
    if client.get("/readyz").map(|answer| answer.status) != Some(200) {
        wrong.push(format!("not ready after {fault:?}"));
    }
    wrong
}

/// Reads while a fault lasts.
fn during(client: &mut Client, fault: Fault, unasked: &Unasked) -> Vec<String> {
    let mut wrong = Vec::new();
    let (answer, right) = unasked.ask(client);
    if !right {
        wrong.push(format!("unasked during {fault:?}: {} {}", answer.status, answer.text()));
    }
    for path in ["/v1/prompts?limit=3", "/v1/prompts/unasked%2Fprompt-0001/versions", "/v1/status"] {
        let answer = client.get(path).unwrap_or_else(|| panic!("no answer to {path} during {fault:?}"));
        if answer.status != 200 {
            wrong.push(format!("{path} during {fault:?}: {} {}", answer.status, answer.text()));
        }
    }
    wrong
}

#[test]
fn failing_reads_return_errors_and_never_wrong_data() {
    let run = Run::start("failing-reads");
    let Some(disk) = Faults::new() else { return };
    let Some(mut primary) = disk.start(Launch::primary(), false) else { return };
    fill(&primary);
    // What was just written is in memory; after a start it is on the disk.
    primary.stop();
    primary.restart();
    let (mut client, unasked) = (Client::new(Place::new(primary.address())), Unasked(Cell::new(0)));
    disk.fail(fault(READ, Errno::Io, 30, Partial::Nothing));
    let mut failed = 0;
    for _ in 0..UNASKED {
        let (answer, right) = unasked.ask(&mut client);
        assert!(right || answer.status == 503, "{} {}", answer.status, answer.text());
        failed += u64::from(!right);
    }
    disk.heal();
    let healed = eventually(BACK, || unasked.ask(&mut client).1.then_some(()));
    healed.expect("a disk that works is read from");
    for _ in 0..UNASKED {
        let (answer, right) = unasked.ask(&mut client);
        assert!(right, "after the fault: {} {}", answer.status, answer.text());
    }
    primary.publish("again", "written after the fault");
    run.report(&format!("{failed} of {UNASKED} answers failed, {} calls", disk.injected()));
    assert!(disk.injected() > 0, "nothing failed");
}

#[test]
fn replica_reads_on_after_a_disk_error_without_its_primary() {
    let run = Run::start("replica-disk");
    let Some(disk) = Faults::new() else { return };
    let mut primary = Node::primary();
    fill(&primary);
    let Some(replica) = disk.start(Launch::replica_of(&primary).env("BOOKHOLDER_CACHE_MIB", "1"), false) else {
        return;
    };
    replica.follow(&primary);
    let (mut client, unasked) = (Client::reader(Place::new(replica.address())), Unasked(Cell::new(0)));
    disk.fail(fault(CHANGES, Errno::Io, 100, Partial::Nothing));
    primary.publish("news", "of the day");
    let failed = eventually(PATIENCE, || (disk.injected() > 0).then_some(()));
    failed.expect("the replica tries to write");
    primary.kill9();
    let mut wrong = Vec::new();
    for when in ["during the error", "after it"] {
        for _ in 0..ANSWERS {
            let (answer, right) = unasked.ask(&mut client);
            if !right {
                wrong.push(format!("{when}: {} {}", answer.status, answer.text()));
            }
        }
        disk.heal();
    }
    primary.restart();
    run.report(&format!("{} calls failed", disk.injected()));
    nothing_wrong(&wrong);
}

#[test]
fn node_starts_and_verifies_on_a_read_only_disk() {
    let _run = Run::start("read-only");
    let Some(disk) = Faults::new() else { return };
    let mut primary = Node::primary();
    fill(&primary);
    let Some(mut replica) = disk.start(Launch::replica_of(&primary), false) else { return };
    replica.follow(&primary);
    for clean in [true, false] {
        if clean {
            replica.stop();
        } else {
            replica.kill9();
        }
        disk.fail(READ_ONLY);
        verified(replica.data(), &disk);
        replica.restart();
        let (answer, right) = Unasked(Cell::new(0)).ask(&mut Client::reader(Place::new(replica.address())));
        assert!(right, "a replica that was {}: {}", if clean { "stopped" } else { "killed" }, answer.text());
        disk.heal();
    }
    primary.publish("news", "of the day");
    replica.follow(&primary);
    primary.kill9();
    disk.fail(READ_ONLY);
    verified(primary.data(), &disk);
}

/// Proves a directory that cannot be written to.
fn verified(data: &Path, disk: &Faults) {
    let verify = bookholder(["verify", "--data"]).arg(data);
    let environment = disk.environment(data.to_owned(), false);
    let verify = environment.into_iter().fold(verify, |verify, (name, value)| verify.env(name, value));
    let _said = verify.ok().says("verified:");
}

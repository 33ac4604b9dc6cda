//! Beginnings that are cut off: a first start and a restore are killed at any moment, or lose their power. What is left
//! begins again and is whole, or starts nothing.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::faults::Faults;
use super::power::{KEPT, PIECES};
use super::replay::{Loss, Record};
use super::run::Run;
use super::support::command::{bookholder, program};
use super::support::node::{ADMIN, Launch, Node, PATIENCE, eventually};

/// Of the time of a scenario, what each beginning gets, in percent.
const PART: u32 = 40;
/// Prompts of the registry that is restored.
const PROMPTS: usize = 40;

/// How long something takes that is not cut off, and at least this.
fn taking(act: impl FnOnce()) -> Duration {
    let began = Instant::now();
    act();
    began.elapsed().max(Duration::from_millis(10))
}

fn serve(data: &Path) -> Command {
    let mut command = program(None);
    command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]).env("BOOKHOLDER_ADMIN_TOKEN", ADMIN);
    command
}

/// Runs a command, and kills it at a moment within this time.
fn killed(mut command: Command, within: Duration, run: &mut Run) {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().expect("a process");
    let micros = u64::try_from(within.as_micros()).expect("a short time");
    std::thread::sleep(Duration::from_micros(run.random.below(micros)));
    gone(&mut child);
}

fn gone(child: &mut Child) {
    // It may have exited by itself.
    let _already_gone = child.kill();
    child.wait().expect("an end");
}

/// Whether a primary starts on this directory.
fn starts(data: &Path) -> bool {
    let address = data.join("address");
    let _of_another_process = std::fs::remove_file(&address);
    let mut child = serve(data).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("one");
    let started = eventually(PATIENCE, || {
        if address.exists() {
            return Some(true);
        }
        child.try_wait().expect("a child").map(|_| false)
    });
    gone(&mut child);
    started.expect("it starts or ends")
}

/// A directory that began is like any other.
fn begins_again(data: &Path) {
    let mut node = Launch::primary().data(data).start();
    node.publish("a", "the first words");
    assert_eq!(node.text("a"), "the first words");
    assert!(node.status()["position"].as_str().is_some_and(|position| position.starts_with("1.")));
    node.kill9();
    let _said = bookholder(["verify", "--data"]).arg(data).ok().says("verified:");
}

#[test]
fn interrupted_first_start_can_be_repeated() {
    let mut run = Run::start("first-start");
    let whole = taking(|| drop(Node::primary()));
    let mut kills = 0;
    while run.spent() < run.part(PART) || kills < 3 {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        for _ in 0..=run.random.below(3) {
            killed(serve(&data), whole, &mut run);
            kills += 1;
        }
        if !starts(&data) {
            run.fail(&data, "a first start that was killed does not start again");
        }
        begins_again(&data);
    }
    let Some(disk) = Faults::new() else { return };
    let Some(node) = disk.start(Launch::primary(), true) else { return };
    let record = Record::read(&disk.log());
    let mut losses = 0;
    while run.spent() < run.part(2 * PART) || losses < 3 {
        let loss = Loss { piece: *run.random.pick(&PIECES), kept_percent: *run.random.pick(&KEPT) };
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let at = run.random.below(record.length());
        record.cut(at, node.data(), &data, loss, &mut run.random);
        losses += 1;
        if !starts(&data) {
            run.fail(folder.path(), &format!("a first start that lost its power at {at} ({loss:?}) does not start"));
        }
        begins_again(&data);
    }
    run.report(&format!("{kills} kills, {losses} power losses"));
}

#[test]
fn interrupted_restore_leaves_all_or_nothing() {
    let mut run = Run::start("restore");
    let primary = Node::primary();
    for number in 0..PROMPTS {
        primary.publish(&format!("kept/{number}"), &format!("text {number}"));
    }
    let file = primary.home().join("backup");
    let _said = bookholder(["backup"]).arg(&file).server(&primary).ok();
    let keys = primary.data().join("keys");
    let restore = |data: &Path| {
        let mut command = program(None);
        command.arg("restore").arg(&file).arg("--data").arg(data).arg("--keys").arg(&keys);
        command
    };
    let folder = tempfile::tempdir().expect("a folder");
    let whole = taking(|| {
        let done = restore(&folder.path().join("whole")).output().expect("a process");
        assert!(done.status.success(), "{done:?}");
    });
    let (mut kills, mut started) = (0, 0);
    while run.spent() < run.part(2 * PART) || kills < 3 {
        let data = folder.path().join(format!("killed-{kills}"));
        killed(restore(&data), whole, &mut run);
        kills += 1;
        // Where nothing was made yet, a new registry would rightly begin.
        let made = std::fs::read_dir(&data).is_ok_and(|mut entries| entries.next().is_some());
        if made && starts(&data) {
            started += 1;
        } else {
            let again = restore(&data).output().expect("a process");
            if !again.status.success() {
                run.fail(&data, &format!("a restore that was killed cannot be done again: {again:?}"));
            }
        }
        let node = Launch::primary().data(&data).start();
        let status = node.status();
        if !status["position"].as_str().is_some_and(|position| position.starts_with("2.")) {
            run.fail(&data, &format!("a restore that was killed starts outside of its new epoch: {status}"));
        }
        for number in 0..PROMPTS {
            assert_eq!(node.text(&format!("kept/{number}")), format!("text {number}"));
        }
        drop(node);
        let _said = bookholder(["verify", "--data"]).arg(&data).ok().says("verified:");
    }
    run.report(&format!("{kills} kills, {started} of them after it was done"));
}

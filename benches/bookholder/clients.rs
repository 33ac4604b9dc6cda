//! The client libraries beside others of their languages: a script of theirs measures, and prints tables of its own.

use std::io::stderr;
use std::path::Path;
use std::process::Command;

use super::Bench;

/// Runs the script; its tables go to standard error, where they do not mix with JSON.
pub fn run(_: &mut Bench) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/bench");
    let run = Command::new(script).env("BOOKHOLDER", env!("CARGO_BIN_EXE_bookholder")).stdout(stderr()).status();
    assert!(run.expect("a shell").success(), "clients/bench failed");
}

//! `cargo bench`: what the program costs, in one run, beside what the design asks for.
//!
//! `cargo bench` runs everything; `cargo bench -- http sync` only these sections; `--json` prints one document instead of
//! tables. `cargo bench -- clients` measures the client libraries, which needs Python, Node and their registries, so it is
//! not a part of everything. Nodes are real processes on loopback, and whatever an answer should be is checked: a wrong one ends the run.
//! Target lines are those of the design for an idle machine; the first line says how idle this one was.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "these are figures for people"
)]

mod clients;
mod delta;
mod evaluation;
mod govern;
mod http;
mod library;
mod load;
mod machine;
mod memory;
mod models;
mod node;
mod pages;
mod peers;
mod proxy;
mod publish;
mod report;
mod resolve;
mod restart;
mod sync;
mod telemetry;
mod wire;

use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};

use self::library::Shelf;
use self::node::Pair;
use self::report::{Progress, Report, count};

/// What measures one section.
type Section = fn(&mut Bench);

/// The sections, in the order in which they share what they made.
const SECTIONS: [(&str, Section); 12] = [
    ("resolve", resolve::run),
    ("http", http::run),
    ("delta", delta::run),
    ("publish", publish::run),
    ("sync", sync::run),
    ("memory", memory::run),
    ("restart", restart::run),
    ("govern", govern::run),
    ("pages", pages::run),
    ("telemetry", telemetry::run),
    ("evaluation", evaluation::run),
    (CLIENTS, clients::run),
];
/// The section that runs only where it is asked for.
const CLIENTS: &str = "clients";

/// What the sections share.
pub struct Bench {
    /// Where figures go.
    pub report: Report,
    /// Libraries that were made already.
    pub shelf: Shelf,
    machine: Value,
    /// Nodes that one section leaves to the next.
    pair: Option<(usize, usize, Pair)>,
}

impl Bench {
    /// How long a flush of the disk takes, in milliseconds.
    pub fn flush_ms(&self) -> f64 {
        self.machine.get("flush_ms").and_then(Value::as_f64).unwrap_or_default()
    }

    /// A primary and a replica on a library, both with all of it.
    pub fn pair(&mut self, prompts: usize, bytes: usize) -> Pair {
        match self.pair.take() {
            Some((held, of, pair)) if (held, of) == (prompts, bytes) => pair,
            _ => {
                let library = self.shelf.library(prompts, bytes);
                let _progress =
                    Progress::begin(format!("starting a primary and a replica with {} prompts", count(prompts)));
                Pair::of(library)
            }
        }
    }

    /// Leaves nodes to the next section.
    pub fn keep(&mut self, prompts: usize, bytes: usize, pair: Pair) {
        self.pair = Some((prompts, bytes, pair));
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let given = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if given(peers::BARE) {
        peers::serve_bare();
        return ExitCode::SUCCESS;
    }
    let mut report = Report::new(given("--json"));
    // `cargo test --all-targets` starts this program too, without the flag that `cargo bench` gives.
    if !given("--bench") {
        report.say("`cargo bench` measures; `cargo bench -- --json http sync` chooses what, and prints JSON.");
        return ExitCode::SUCCESS;
    }
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let sections: Vec<_> = SECTIONS
        .iter()
        .filter(|(name, _)| match wanted.as_slice() {
            [] => *name != CLIENTS,
            wanted => wanted.iter().any(|want| name.contains(want.as_str())),
        })
        .collect();
    if sections.is_empty() {
        let names: Vec<&str> = SECTIONS.iter().map(|(name, _)| *name).collect();
        report.say(&format!("no such section; there are {}", names.join(", ")));
        return ExitCode::FAILURE;
    }
    let began = Instant::now();
    let machine = machine::describe(&std::env::temp_dir());
    say_machine(&mut report, &machine);
    let mut bench = Bench { report, shelf: Shelf::default(), machine: machine.clone(), pair: None };
    for (_, run) in sections {
        run(&mut bench);
    }
    let Bench { report, pair, .. } = bench;
    drop(pair);
    let mut machine = machine;
    if let Some(machine) = machine.as_object_mut() {
        machine.insert("load_at_the_end".to_owned(), json!(machine::load()));
    }
    report.finish(&machine, began.elapsed().as_secs_f64());
    ExitCode::SUCCESS
}

fn say_machine(report: &mut Report, machine: &Value) {
    let field = |name: &str| machine.get(name).cloned().unwrap_or_default();
    let text = |name: &str| field(name).as_str().unwrap_or_default().to_owned();
    let (cores, load) = (field("cores"), field("load").as_f64().unwrap_or_default());
    let busy = if load > cores.as_f64().unwrap_or(1.0) / 4.0 { " (busy: figures are noise)" } else { "" };
    report.say(&format!(
        "{cores} × {}, Linux {}, load {load:.2}{busy}; {} flushes in {:.2} ms",
        text("cpu"),
        text("kernel"),
        text("scratch"),
        field("flush_ms").as_f64().unwrap_or_default(),
    ));
}

//! `verify`: proves that a data directory is what was signed, down from the root.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use super::Verdict;
use super::args::node::VerifyArgs;
use super::error::CliError;
use super::output::{BAD, DIM, GOOD, Output, paint};
use crate::server::offline::{Proof, prove_with_progress};
use crate::store::sums::{self, Finding};
use crate::store::{Options, Store, StoreError};

/// Changed blocks that are named.
const BLOCKS_SHOWN: usize = 10;

/// What `--json` prints.
#[derive(Serialize)]
struct Summary {
    proved: bool,
    registry: String,
    root_key: Option<String>,
    position: String,
    state: String,
    entries: u64,
    prompts: u64,
    versions: u64,
    contents: u64,
    deployments: u64,
    audit_entries: u64,
    signed: Option<String>,
    differences: Vec<String>,
    more_differences: u64,
}

/// Checks everything that a data directory holds.
pub fn run(args: &VerifyArgs, output: Output) -> Result<Verdict, CliError> {
    let proof = prove(&args.data, output)?;
    show(output, &proof)
}

/// Opens a data directory and checks it; damage that keeps it from being read is a difference too.
pub(super) fn prove(data: &Path, output: Output) -> Result<Proof, CliError> {
    let shown = std::io::stderr().is_terminal() && !output.json;
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target).with_message("entries");
    // A damaged file may make the database panic: that is an answer here, not an accident.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let sums = sums::check(data);
    let proof = std::panic::catch_unwind(|| {
        let store = Store::open(&Options { directory: data.to_owned(), create: false })?;
        prove_with_progress(&store.read()?, &mut |done| bar.set_position(done))
    });
    std::panic::set_hook(hook);
    bar.finish_and_clear();
    match proof {
        Ok(Ok(mut proof)) => {
            if let Ok(Finding::Changed(blocks)) = sums {
                proof.report.differ(changed(&blocks));
            }
            Ok(proof)
        }
        Ok(Err(
            error @ (StoreError::InUse { .. }
            | StoreError::Absent { .. }
            | StoreError::NotWritable { .. }
            | StoreError::Newer { .. }),
        )) => Err(CliError::usage(error.to_string())),
        Ok(Err(error)) => Err(damaged(&error.to_string())),
        Err(_) => Err(damaged("its structure does not hold together")),
    }
}

/// Which parts of the file somebody else wrote to; the state may be whole all the same.
fn changed(blocks: &[u64]) -> String {
    let shown: Vec<String> = blocks.iter().take(BLOCKS_SHOWN).map(u64::to_string).collect();
    let more =
        if blocks.len() > BLOCKS_SHOWN { format!(" and {} more", blocks.len() - BLOCKS_SHOWN) } else { String::new() };
    format!("the database file is not as this program wrote it, in block {}{more} of 4 KiB", shown.join(", "))
}

fn damaged(reason: &str) -> CliError {
    CliError::no(format!("the database is damaged: {reason}"))
        .hint("restore a backup; a replica can start again with an empty directory")
}

/// Prints what was proved; a difference is a no.
pub(super) fn show(output: Output, proof: &Proof) -> Result<Verdict, CliError> {
    use base64::Engine;
    let report = &proof.report;
    let proved = report.differences.is_empty();
    let kind = |number: u8| report.kinds.get(&number).copied().unwrap_or(0);
    let state = base64::engine::general_purpose::STANDARD.encode(report.state.hash);
    if output.json {
        output.json(&Summary {
            proved,
            registry: proof.registry.clone(),
            root_key: proof.root_key.map(|key| key.to_string()),
            position: report.head.position.to_string(),
            state,
            entries: report.state.entries,
            prompts: kind(1),
            versions: kind(2),
            contents: kind(3),
            deployments: kind(5),
            audit_entries: proof.audit.entries,
            signed: proof.checkpoint.as_ref().map(|checkpoint| checkpoint.position().to_string()),
            differences: report.differences.clone(),
            more_differences: report.more,
        })?;
    } else {
        let row = |what: &str, value: String| output.line(format!("{} {value}", paint(DIM, format!("{what:<9}"))));
        row("registry", proof.registry.clone())?;
        row("root key", proof.root_key.map_or_else(|| "none".to_owned(), |key| key.to_string()))?;
        row("position", report.head.position.to_string())?;
        row("state", state)?;
        row(
            "holds",
            format!("{} prompts, {} versions, {} contents, {} deployments", kind(1), kind(2), kind(3), kind(5)),
        )?;
        row("audit", format!("{} entries", proof.audit.entries))?;
        for difference in &report.differences {
            output.line(format!("{} {difference}", paint(BAD, "differs")))?;
        }
        if report.more > 0 {
            output.line(format!("{} {} more", paint(BAD, "differs"), report.more))?;
        }
        let verdict = if proved {
            paint(GOOD, "proved: every entry is what the primary signed")
        } else {
            paint(BAD, "not proved")
        };
        output.line(verdict)?;
    }
    Ok(if proved { Verdict::Done } else { Verdict::No })
}

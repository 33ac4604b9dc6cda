//! `verify`: verifies a data directory against its signatures, from the root down.

use std::io::IsTerminal;
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;

use super::Verdict;
use super::args::node::VerifyArgs;
use super::error::CliError;
use super::output::{BAD, DIM, GOOD, Output, paint};
use crate::model::count::count;
use crate::server::offline::{VerifiedDirectory, prove_with_progress};
use crate::store::StoreError;
use crate::store::inspect::Inspection;

/// The output of `--json`.
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

/// Verifies everything in a data directory.
pub fn run(args: &VerifyArgs, output: Output) -> Result<Verdict, CliError> {
    let proof = verify_directory(&args.data, output)?;
    show(output, &proof)
}

/// Opens a data directory and verifies it; damage that makes it unreadable is reported as a difference.
pub(super) fn verify_directory(data: &Path, output: Output) -> Result<VerifiedDirectory, CliError> {
    let shown = std::io::stderr().is_terminal() && !output.json;
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(None, target).with_message("entries");
    let proof = inspect(data, &mut |done| bar.set_position(done));
    bar.finish_and_clear();
    match proof {
        Ok(proof) => Ok(proof),
        Err(
            error @ (StoreError::InUse { .. }
            | StoreError::Absent { .. }
            | StoreError::NotWritable { .. }
            | StoreError::Newer { .. }),
        ) => Err(CliError::usage(error.to_string())),
        Err(error @ StoreError::Damaged { .. }) => Err(CliError::no(error.to_string())),
        Err(error) => Err(damaged(&error.to_string())),
    }
}

/// Verifies the contents, and the checksum of every page.
fn inspect(data: &Path, progress: &mut dyn FnMut(u64)) -> Result<VerifiedDirectory, StoreError> {
    let inspection = Inspection::open(data)?;
    let mut proof = inspection.look(|txn| prove_with_progress(txn, progress))?;
    if !inspection.pages_are_whole() {
        proof.report.differ("a page of the database is damaged");
    }
    Ok(proof)
}

fn damaged(reason: &str) -> CliError {
    CliError::no(format!("the database is damaged: {reason}"))
        .hint("restore a backup; a replica can start with an empty directory")
}

/// A description of the contents. A version with includes has two contents, and equal contents are stored once.
fn holds([prompts, versions, contents, deployments]: [u64; 4]) -> String {
    format!(
        "{}, {}, {} (as written and with includes filled in, each stored once), {}",
        count(prompts, "prompt"),
        count(versions, "version"),
        count(contents, "content"),
        count(deployments, "deployment")
    )
}

/// Prints the result; the exit code is 1 if there is a difference.
pub(super) fn show(output: Output, proof: &VerifiedDirectory) -> Result<Verdict, CliError> {
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
        row("holds", holds([kind(1), kind(2), kind(3), kind(5)]))?;
        // Only a primary has the log; replicas and bundles do not.
        if proof.audit.entries > 0 {
            row("audit", count(proof.audit.entries, "entry"))?;
        }
        for difference in &report.differences {
            output.line(format!("{} {difference}", paint(BAD, "differs")))?;
        }
        if report.more > 0 {
            output.line(format!("{} {} more", paint(BAD, "differs"), report.more))?;
        }
        let verdict = if proved {
            paint(GOOD, "verified: every entry matches what the primary signed, and the database is intact")
        } else {
            paint(BAD, "not verified")
        };
        output.line(verdict)?;
    }
    Ok(if proved { Verdict::Done } else { Verdict::No })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verify_counts_contents_beside_versions() {
        assert_eq!(
            holds([1, 3, 2, 1]),
            "1 prompt, 3 versions, 2 contents (as written and with includes filled in, each stored once), 1 deployment"
        );
    }
}

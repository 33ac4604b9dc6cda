//! `compact`: returns unused space of a stopped node's database to the disk.

use serde::Serialize;

use super::Verdict;
use super::args::node::CompactArgs;
use super::error::CliError;
use super::output::{DIM, GOOD, Output, paint};
use super::progress;
use crate::store::{Store, StoreError};

/// The output of `--json`.
#[derive(Serialize)]
struct Summary {
    freed_bytes: u64,
}

/// Compacts the database of a data directory.
pub fn run(args: &CompactArgs, output: Output) -> Result<Verdict, CliError> {
    let freed_bytes = Store::compact(&args.data).map_err(|error| match error {
        StoreError::InUse { .. } | StoreError::Absent { .. } | StoreError::NotWritable { .. } => {
            CliError::usage(error.to_string())
        }
        error => CliError::no(error.to_string()),
    })?;
    output.show(&Summary { freed_bytes }, || {
        output.line(format!("{} {}", paint(GOOD, "✓"), paint(DIM, format!("freed {}", progress::size(freed_bytes)))))
    })?;
    Ok(Verdict::Done)
}

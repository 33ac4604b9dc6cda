//! `restore`: makes a data directory of a backup.

use std::sync::Arc;

use super::Verdict;
use super::args::node::RestoreArgs;
use super::error::CliError;
use super::output::{DIM, Output, paint};
use super::verify;
use crate::clock::{Clock, SystemClock};
use crate::registry::seal::KEYS_FOLDER;
use crate::server::offline;

/// Restores, begins a new epoch, and proves the result.
pub fn run(args: &RestoreArgs, output: Output) -> Result<Verdict, CliError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let keys = args.keys.clone().unwrap_or_else(|| args.data.join(KEYS_FOLDER));
    let (epoch, proof) = offline::restore(&args.file, &args.data, &keys, &clock)?;
    output.note(paint(
        DIM,
        format!("restored into {}; epoch {epoch} begins here, and replicas will follow it", args.data.display()),
    ));
    verify::show(output, &proof)
}

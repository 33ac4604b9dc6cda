//! `restore`: makes a data directory of a backup.

use std::sync::Arc;

use super::Verdict;
use super::args::node::RestoreArgs;
use super::error::CliError;
use super::output::{DIM, Output, moment, paint};
use super::verify;
use crate::clock::{Clock, SystemClock};
use crate::model::time::Timestamp;
use crate::registry::seal::KEYS_FOLDER;
use crate::server::restore::restore;

/// Restores, begins a new epoch, and proves the result.
pub fn run(args: &RestoreArgs, output: Output) -> Result<Verdict, CliError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let keys = args.keys.clone().unwrap_or_else(|| args.data.join(KEYS_FOLDER));
    // A damaged backup may make the database panic: that is an answer here, not an accident.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let restored = restore(&args.file, &args.data, &keys, &clock);
    std::panic::set_hook(hook);
    let (epoch, proof) = restored?;
    output.note(paint(
        DIM,
        format!(
            "restored into {}; epoch {epoch} begins here, at {} UTC, and replicas will follow it",
            args.data.display(),
            moment(Timestamp::from_ms(clock.now_ms()))
        ),
    ));
    verify::show(output, &proof)
}

//! `restore`: creates a data directory from a backup.

use std::sync::Arc;

use super::Verdict;
use super::args::node::RestoreArgs;
use super::error::CliError;
use super::keys::show_draft;
use super::output::{DIM, Output, paint, zoned};
use super::verify;
use crate::clock::{Clock, SystemClock};
use crate::model::time::Timestamp;
use crate::server::restore::{Signing, draft_epoch, restore};
use crate::signing::key_files::KEYS_FOLDER;

/// Restores, begins a new epoch, and verifies the result; or drafts that epoch.
pub fn run(args: &RestoreArgs, output: Output) -> Result<Verdict, CliError> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let keys = args.keys.clone().unwrap_or_else(|| args.data.join(KEYS_FOLDER));
    if let Some(out) = &args.draft {
        let draft = without_panic_output(|| draft_epoch(&args.file, &args.data, &keys, out, &clock))?;
        return show_draft(output, &draft, out);
    }
    let signing = args.signed.as_deref().map_or(Signing::Keys(&args.root_key_file), Signing::Signed);
    let (epoch, proof) = without_panic_output(|| restore(&args.file, &args.data, &keys, signing, &clock))?;
    output.note(paint(
        DIM,
        format!(
            "restored to {}; epoch {epoch} starts at {}, and replicas will follow it",
            args.data.display(),
            zoned(Timestamp::from_ms(clock.now_ms()))
        ),
    ));
    verify::show(output, &proof)
}

/// Hides panics: a damaged backup may make the database panic, which is reported as an error.
fn without_panic_output<T>(work: impl FnOnce() -> T) -> T {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let done = work();
    std::panic::set_hook(hook);
    done
}

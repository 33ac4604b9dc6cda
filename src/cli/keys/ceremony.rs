//! `keys new`, `draft`, `sign` and `install`: changing root keys, one step per verb.

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::super::Verdict;
use super::super::args::node::{KeysDraftArgs, KeysInstallArgs, KeysNewArgs, KeysSignArgs};
use super::super::error::CliError;
use super::super::output::{ACCENT, BAD, DIM, GOOD, Output, WARN, paint};
use crate::clock::{Clock, SystemClock};
use crate::model::count::count;
use crate::server::ceremony::{self, CeremonyError, Draft, Plan, SignResult, SignatureCount};

/// The output of `--json` for a draft.
#[derive(Serialize)]
struct DraftOutput<'a> {
    draft: &'a Path,
    registry: &'a str,
    root_key: String,
    root_version: u64,
    epoch: Option<u64>,
    changes: Vec<String>,
    signatures: Vec<SignatureCount>,
    complete: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Whether this run changed something.
    changed: bool,
}

/// Creates a root key.
pub fn new(args: &KeysNewArgs, output: Output) -> Result<Verdict, CliError> {
    let public = ceremony::new_key(&args.file)?;
    output.show(&serde_json::json!({ "file": args.file, "public": public.to_string() }), || {
        output.note(format!(
            "{} {} holds the private key: keep it secret. Public key, for `keys draft --public-key`:",
            paint(GOOD, "✓"),
            paint(ACCENT, args.file.display())
        ));
        output.exactly(&format!("{public}\n"))
    })?;
    Ok(Verdict::Done)
}

/// Drafts the next root document.
pub fn draft(args: KeysDraftArgs, output: Output) -> Result<Verdict, CliError> {
    let plan = Plan {
        root_keys: args.root_key,
        threshold: args.threshold,
        max_lifetime_days: args.max_lifetime_days,
        rotate_checkpoint: args.rotate_checkpoint,
    };
    let draft = ceremony::draft(&args.data, &args.out, plan, &clock())?;
    show(output, &args.out, &draft, None, true)?;
    if draft.epoch().is_some() {
        let kept = "keep the node stopped until the draft is installed; replicas keep answering";
        output.note(paint(WARN, kept));
    }
    Ok(Verdict::Done)
}

/// Adds a signature to a draft.
pub fn sign(args: &KeysSignArgs, output: Output) -> Result<Verdict, CliError> {
    let SignResult { draft, key, new } = ceremony::sign(&args.draft, &args.key)?;
    show(output, &args.draft, &draft, Some(key.to_string()), new)?;
    if !new {
        output.note(paint(DIM, "this key has already signed the draft"));
    }
    Ok(Verdict::Done)
}

/// Installs a signed draft.
pub fn install(args: &KeysInstallArgs, output: Output) -> Result<Verdict, CliError> {
    let installed = ceremony::install(&args.draft, &args.data, &clock())?;
    show(output, &args.draft, &installed.draft, None, installed.new)?;
    let version = installed.draft.next().version;
    output.note(if installed.new {
        format!("{} installed root document {version}; start the node, and replicas will follow", paint(GOOD, "✓"))
    } else {
        paint(DIM, format!("root document {version} is already installed"))
    });
    if let Some(file) = installed.root_key_file {
        let file = file.display();
        output.note(paint(
            WARN,
            format!("{file} is still here: move it offline, or delete it if it is no longer in use"),
        ));
    }
    Ok(Verdict::Done)
}

/// Shows the drafted epoch of a restored copy.
pub fn show_draft(output: Output, draft: &Draft, file: &Path) -> Result<Verdict, CliError> {
    show(output, file, draft, None, true)?;
    output.note(paint(
        DIM,
        "nothing is restored yet: sign the draft with `bookholder keys sign`, then restore with --signed",
    ));
    Ok(Verdict::Done)
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// Prints the changes of a draft, and the missing signatures.
fn show(output: Output, file: &Path, draft: &Draft, key: Option<String>, changed: bool) -> Result<(), CliError> {
    let signatures = draft.tallies()?;
    let complete = signatures.iter().all(|tally| tally.missing() == 0);
    let next = draft.next();
    if output.json {
        return output.json(&DraftOutput {
            draft: file,
            registry: &next.registry,
            root_key: draft.root_key().to_string(),
            root_version: next.version,
            epoch: draft.epoch().map(|record| record.epoch),
            changes: draft.changes(),
            signatures,
            complete,
            key,
            changed,
        });
    }
    let row = |what: &str, value: String| output.line(format!("{} {value}", paint(DIM, format!("{what:<12}"))));
    row("registry", next.registry.clone())?;
    row("root key", paint(ACCENT, draft.root_key()))?;
    row("draft", format!("root document {}, in {}", next.version, file.display()))?;
    for change in draft.changes() {
        row("change", change)?;
    }
    for tally in &signatures {
        let missing = match tally.missing() {
            0 => paint(GOOD, "enough"),
            missing => paint(BAD, format!("{} missing", count(missing, "signature"))),
        };
        row("signed", format!("{}   {missing}", tallied(tally)))?;
    }
    Ok(())
}

fn tallied(tally: &SignatureCount) -> String {
    let SignatureCount { of, root, found, needed } = tally;
    format!("{found} of {needed} for the {of} by keys of root {root}")
}

impl From<CeremonyError> for CliError {
    fn from(error: CeremonyError) -> Self {
        let message = error.to_string();
        match error {
            CeremonyError::Unsigned { missing } => Self::no(message)
                .details(missing.iter().map(tallied).collect())
                .hint("holders of the other root keys sign with: bookholder keys sign DRAFT --key FILE"),
            CeremonyError::Stranger { key, .. } => Self::no(message)
                .hint(format!("check the file; to add a new root key, use: bookholder keys draft --public-key {key}")),
            CeremonyError::Outdated { .. } | CeremonyError::NoChange { .. } => {
                Self::no(message).hint("see the current keys with: bookholder keys show --data DIR")
            }
            CeremonyError::Exists { .. } => Self::usage(message).hint("choose another file, or move the existing one"),
            CeremonyError::NoDraft { .. } => Self::usage(message).hint("create one with: bookholder keys draft"),
            CeremonyError::Running { .. } => {
                Self::usage(message).hint("replicas keep answering while the primary is stopped")
            }
            CeremonyError::Bootstrap(_) | CeremonyError::Root(_) | CeremonyError::Epoch(_) | CeremonyError::Note(_) => {
                Self::no(message)
            }
            CeremonyError::Offline(_)
            | CeremonyError::Io(_)
            | CeremonyError::File { .. }
            | CeremonyError::Store(_)
            | CeremonyError::KeyFile(_)
            | CeremonyError::Key(_) => Self::usage(message),
        }
    }
}

//! `keys`: shows and changes the public keys of a data directory.

mod ceremony;

pub use ceremony::show_draft;

use serde::Serialize;

use super::Verdict;
use super::args::node::{KeysArgs, KeysCommand};
use super::error::CliError;
use super::output::{ACCENT, DIM, Output, paint};
use crate::server::offline::{self, Keys, OfflineError};

/// The output of `--json`.
#[derive(Serialize)]
struct KeysOutput {
    registry: String,
    root_key: String,
    root_version: u64,
    threshold: u8,
    root_keys: Vec<String>,
    checkpoint_keys: Vec<NamedKey>,
    epoch: u64,
    epoch_key: String,
}

#[derive(Serialize)]
struct NamedKey {
    name: String,
    key: String,
}

/// Shows the keys of a data directory, or executes one step of changing them.
pub fn run(args: KeysArgs, output: Output) -> Result<Verdict, CliError> {
    match args.command {
        KeysCommand::Show { data } => show(output, offline::keys(&data)?),
        KeysCommand::New(args) => ceremony::new(&args, output),
        KeysCommand::Draft(args) => ceremony::draft(args, output),
        KeysCommand::Sign(args) => ceremony::sign(&args, output),
        KeysCommand::Install(args) => ceremony::install(&args, output),
    }
}

fn show(output: Output, keys: Keys) -> Result<Verdict, CliError> {
    let (epoch, epoch_key) = keys.epoch;
    if output.json {
        output.json(&KeysOutput {
            registry: keys.root.registry,
            root_key: keys.root_key.to_string(),
            root_version: keys.root.version,
            threshold: keys.root.threshold,
            root_keys: keys.root.root_keys.iter().map(ToString::to_string).collect(),
            checkpoint_keys: keys
                .root
                .checkpoint_keys
                .iter()
                .map(|(name, key)| NamedKey { name: name.clone(), key: key.to_string() })
                .collect(),
            epoch,
            epoch_key,
        })?;
        return Ok(Verdict::Done);
    }
    let row = |what: &str, value: String| output.line(format!("{} {value}", paint(DIM, format!("{what:<12}"))));
    row("registry", keys.root.registry)?;
    row("root key", format!("{}   {}", paint(ACCENT, keys.root_key), paint(DIM, "for --root-key")))?;
    row(
        "root",
        format!("version {}, {} of {} keys", keys.root.version, keys.root.threshold, keys.root.root_keys.len()),
    )?;
    for (name, key) in &keys.root.checkpoint_keys {
        let signs = if *name == epoch_key { format!("   signs epoch {epoch}") } else { String::new() };
        row("checkpoint", format!("{name} {key}{}", paint(DIM, signs)))?;
    }
    Ok(Verdict::Done)
}

impl From<OfflineError> for CliError {
    fn from(error: OfflineError) -> Self {
        Self::usage(error.to_string())
    }
}

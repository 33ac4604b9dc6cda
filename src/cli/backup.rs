//! `backup`: everything that a registry holds, in one file.

use std::path::PathBuf;

use clap::Args;

use super::Verdict;
use super::context::Context;
use super::disk::Replacement;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, paint};
use super::progress;

const EXAMPLES: &str = "\
Examples:
  bookholder backup friday.backup
  bookholder backup --force latest.backup       replaces an older file, once the new one is whole

The file holds every prompt and the hashes of access tokens, and can be read by you alone; keep it so. It holds no private keys, and
`bookholder restore` needs them: keep a copy of the folder keys of the data directory in a safe place, apart from backups.";

/// `backup`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BackupArgs {
    /// The file to write
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

pub async fn run(args: BackupArgs, context: Context) -> Result<Verdict, CliError> {
    let exists = args.file.symlink_metadata().is_ok();
    if exists && !args.force {
        let message = format!("{} exists", args.file.display());
        return Err(CliError::usage(message).hint("choose another file, or replace it with --force"));
    }
    let mut replacement = Replacement::of(&args.file, true)?;
    let bar = progress::bytes(context.output, "backup", None);
    let mut told = |so_far: u64, total: Option<u64>| progress::set(&bar, so_far, total);
    let bytes = context.client.backup(replacement.writer(), &mut told).await?;
    replacement.commit()?;
    bar.finish_and_clear();
    if context.output.json {
        context.output.json(&serde_json::json!({ "file": args.file, "bytes": bytes }))?;
    } else {
        let file = paint(ACCENT, args.file.display());
        context.output.line(format!("{} {file} {}", paint(GOOD, "✓"), paint(DIM, progress::size(bytes))))?;
    }
    Ok(Verdict::Done)
}

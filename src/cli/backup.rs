//! `backup`: a whole registry in one file.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::Verdict;
use super::context::Context;
use super::disk::{Replacement, check_folder};
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, paint};
use super::progress;

const EXAMPLES: &str = "\
Examples:
  bookholder backup friday.backup
  bookholder backup --force latest.backup    replaces the file when complete
  bookholder backup - | age -r KEY > friday.age

The file contains every prompt and the hashes of access tokens, and only you can
read it; keep it that way. It does not contain private keys, which `bookholder
restore` needs: store a copy of the data directory's folder `keys` in a safe
place, apart from the backups.";

/// `backup`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct BackupArgs {
    /// File to write; - for standard output
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

pub async fn run(args: BackupArgs, context: Context) -> Result<Verdict, CliError> {
    let exists = args.file != Path::new("-") && args.file.symlink_metadata().is_ok();
    if exists && !args.force {
        let message = format!("{} already exists", args.file.display());
        return Err(CliError::usage(message).hint("choose another file, or use --force to replace it"));
    }
    if args.file == Path::new("-") {
        return to_stdout(&context).await;
    }
    check_folder(&args.file)?;
    let mut replacement = Replacement::of(&args.file, true)?;
    let bar = progress::bytes(context.output, "backup", None);
    let mut told = |so_far: u64, total: Option<u64>| progress::set(&bar, so_far, total);
    let bytes = context.client.backup(replacement.writer(), &mut told).await?;
    replacement.commit()?;
    bar.finish_and_clear();
    context.output.show(&serde_json::json!({ "file": args.file, "bytes": bytes }), || {
        let file = paint(ACCENT, args.file.display());
        context.output.line(format!("{} {file} {}", paint(GOOD, "✓"), paint(DIM, progress::size(bytes))))
    })?;
    Ok(Verdict::Done)
}

/// Writes the backup to standard output, for a program that encrypts or transfers it.
async fn to_stdout(context: &Context) -> Result<Verdict, CliError> {
    let mut stdout = std::io::stdout();
    if stdout.is_terminal() {
        return Err(CliError::usage("a backup is binary and cannot be written to a terminal")
            .hint("redirect it to a file or pipe it into a program"));
    }
    context.client.backup(&mut stdout, &mut |_, _| {}).await?;
    stdout.flush()?;
    Ok(Verdict::Done)
}

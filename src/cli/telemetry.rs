//! `telemetry`: carries telemetry from a replica to its primary in a file, and erases what was recorded.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};

use super::Verdict;
use super::args::values::YesArgs;
use super::confirm::confirm;
use super::context::{Context, Target, TokenSource, client};
use super::disk::{Replacement, check_folder};
use super::error::CliError;
use super::globals::Globals;
use super::output::{ACCENT, DIM, GOOD, Output, one_line, paint, zoned};
use super::progress;
use super::serve::run_to_end;
use crate::api::erasure::EraseTelemetryRequest;
use crate::api::telemetry_files::TelemetryKeyRequest;
use crate::clock::SystemClock;
use crate::model::count::count;
use crate::replication::telemetry_file::{FileHeader, TelemetryFile, TelemetryFileError};
use crate::server::telemetry_export::{self, Exported};
use crate::telemetry::store::SpoolId;

const EXAMPLES: &str = "\
Examples:
  bookholder telemetry export monday.telemetry --data /var/lib/bookholder
  bookholder telemetry import monday.telemetry --trust 6kpsY+KcUgq+9VB7…
  bookholder telemetry import monday.telemetry
  bookholder telemetry erase --user user-4711
  bookholder telemetry forget plant-7

A file has everything that the primary may not have yet. The replica keeps it
until a later bundle from the primary says that it was imported, so a lost file
loses nothing, and one that is imported twice counts once.";

/// `telemetry`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TelemetryArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: TelemetryCommand,
}

/// The subcommands of `telemetry`.
#[derive(Clone, Debug, Subcommand)]
pub enum TelemetryCommand {
    /// Write what a replica recorded into a file, for a primary it cannot reach
    Export(ExportArgs),
    /// Import such a file into the primary
    Import(ImportArgs),
    /// Erase inputs, outputs, sessions and users of responses; counts stay
    Erase(EraseArgs),
    /// Stop waiting for the telemetry of a replica that no longer exists
    Forget(ForgetArgs),
}

/// `telemetry export`
#[derive(Clone, Debug, Args)]
pub struct ExportArgs {
    /// File to write; an existing one is replaced
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Data directory of the replica, running or stopped
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

/// `telemetry import`
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// File, from `bookholder telemetry export`
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Trust this key with the files of the replica, as the export printed it; needed for its first file
    #[arg(long, value_name = "KEY")]
    trust: Option<String>,
    /// Import although batches before it are missing, because the file with them is lost
    #[arg(long)]
    skip_missing: bool,
}

/// `telemetry erase`
#[derive(Clone, Debug, Args)]
#[command(group = ArgGroup::new("what").required(true))]
pub struct EraseArgs {
    /// ID of a response
    #[arg(long, value_name = "ID", group = "what")]
    response: Option<String>,
    /// ID of a session
    #[arg(long, value_name = "ID", group = "what")]
    session: Option<String>,
    /// ID of a user
    #[arg(long, value_name = "ID", group = "what")]
    user: Option<String>,
    #[command(flatten)]
    yes: YesArgs,
}

/// `telemetry forget`
#[derive(Clone, Debug, Args)]
pub struct ForgetArgs {
    /// ID of the replica, as `bookholder status` shows it
    #[arg(value_name = "REPLICA")]
    replica: String,
    #[command(flatten)]
    yes: YesArgs,
}

/// Writes the file of a replica: directly from its data directory if it is stopped, otherwise through it.
pub fn export(args: &ExportArgs, globals: &Globals, output: Output) -> Result<Verdict, CliError> {
    check_folder(&args.file)?;
    let mut replacement = Replacement::of(&args.file, true)?;
    let bar = progress::bytes(output, "telemetry", None);
    let mut out = BufWriter::new(replacement.writer().try_clone()?);
    let data = args.data.clone();
    let clock = Arc::new(SystemClock::new());
    let header = run_to_end(async {
        match telemetry_export::export(&data, clock, &mut out).await? {
            Exported::Written(header) => Ok(header),
            Exported::Running { address, token } => {
                // The variables name the primary, which must not see what proves access to this directory.
                let server = globals.server.clone().unwrap_or_else(|| format!("http://{address}"));
                let ca_file = globals.ca_file.clone();
                let client = client(Target { context: None, server, token: TokenSource::Context(token), ca_file })?;
                let mut told = |so_far: u64, total: Option<u64>| progress::set(&bar, so_far, total);
                client.export_telemetry(replacement.writer(), &mut told).await?;
                let mut written = replacement.writer().try_clone()?;
                std::io::Seek::rewind(&mut written)?;
                Ok(TelemetryFile::open(BufReader::new(written))?.header)
            }
        }
    })?;
    out.flush()?;
    replacement.commit()?;
    bar.finish_and_clear();
    if output.json {
        output.json(&serde_json::json!({ "file": args.file, "header": header }))?;
        return Ok(Verdict::Done);
    }
    let FileHeader { replica, node, key, batches, .. } = &header;
    let what = paint(DIM, format!("{} of {}", count(*batches, "batch"), one_line(replica)));
    output.line(format!("{} {}  {what}", paint(GOOD, "✓"), paint(ACCENT, args.file.display())))?;
    output.line(paint(DIM, format!("key   {key}   for --trust, at the first import")))?;
    output.line(paint(DIM, format!("spool {node}")))?;
    Ok(Verdict::Done)
}

/// Everything but `export`, at the primary.
pub async fn run(args: TelemetryArgs, context: Context) -> Result<Verdict, CliError> {
    match args.command {
        TelemetryCommand::Export(_) => Err(CliError::usage("an export needs the data directory of the replica")),
        TelemetryCommand::Import(args) => import(&args, &context).await,
        TelemetryCommand::Erase(EraseArgs { response, session, user, yes }) => {
            confirm(context.output, yes.yes, "Erase these texts for good?", Vec::new())?;
            let erased = context.client.erase_telemetry(&EraseTelemetryRequest { response, session, user }).await?;
            let output = context.output;
            if output.json {
                output.json(&erased)?;
            } else {
                let responses = usize::try_from(erased.responses).unwrap_or(usize::MAX);
                output.line(format!(
                    "{} {} erased; counts are unchanged",
                    paint(GOOD, "✓"),
                    count(responses, "response")
                ))?;
                output.line(paint(DIM, "what replicas have not sent yet is erased when it arrives"))?;
            }
            Ok(Verdict::Done)
        }
        TelemetryCommand::Forget(ForgetArgs { replica, yes }) => {
            let question = format!("Give up what {replica} has not sent?");
            confirm(context.output, yes.yes, &question, Vec::new())?;
            context.client.forget_telemetry_of(&replica).await?;
            if context.output.json {
                context.output.json(&serde_json::json!({ "replica": replica }))?;
            } else {
                let said = "no longer holds back what numbers are complete up to";
                context.output.line(format!("{} {} {said}", paint(GOOD, "✓"), one_line(&replica)))?;
            }
            Ok(Verdict::Done)
        }
    }
}

/// What a file has of one spool: its first and last batch.
struct Stretch {
    spool: SpoolId,
    first: u64,
    last: u64,
}

async fn import(args: &ImportArgs, context: &Context) -> Result<Verdict, CliError> {
    let (header, stretches, bytes) = check(&args.file)?;
    if let Some(key) = &args.trust {
        if *key != header.key {
            let message = format!("the file is signed by {}, not by the key after --trust", header.key);
            return Err(CliError::no(message).hint("compare it with the key that the export printed"));
        }
        let request = TelemetryKeyRequest { key: key.clone() };
        context.client.trust_telemetry_key(&header.node, &request).await?;
    }
    let known = context.client.telemetry_progress(&header.node).await?;
    match &known.key {
        Some(key) if *key == header.key => {}
        Some(key) => {
            let message = format!("the file is signed by {}, but {key} is trusted for {}", header.key, header.replica);
            return Err(CliError::no(message).hint("if its key was replaced, pass the new one with --trust"));
        }
        None => {
            let message = format!("the key {} of {} is not trusted yet", header.key, one_line(&header.replica));
            let hint = format!("compare it with what the export printed, then pass --trust {}", header.key);
            return Err(CliError::no(message).hint(hint));
        }
    }
    let merged_of = |spool: &SpoolId| {
        let spool = spool.to_string();
        known.spools.iter().find(|one| one.spool == spool).map_or(0, |one| one.merged)
    };
    for Stretch { spool, first, .. } in &stretches {
        let merged = merged_of(spool);
        if first.saturating_sub(1) > merged && !args.skip_missing {
            let (from, to, replica) = (merged.saturating_add(1), first.saturating_sub(1), one_line(&header.replica));
            let message =
                format!("batches {from} to {to} of spool {spool} are missing: an earlier file of {replica} has them");
            let hint = "import that file first; if it is lost, go on without them with --skip-missing";
            return Err(CliError::no(message).hint(hint));
        }
    }
    let (sent, present) = send(args, context, &header, &stretches, &merged_of, bytes).await?;
    if context.output.json {
        let shown = serde_json::json!({ "replica": header.replica, "merged": sent, "already_there": present });
        context.output.json(&shown)?;
        return Ok(Verdict::Done);
    }
    let there = if present > 0 { format!(", {present} were there") } else { String::new() };
    let exported = zoned(header.exported);
    context.output.line(format!(
        "{} {} of {} merged{there} {}",
        paint(GOOD, "✓"),
        count(sent, "batch"),
        paint(ACCENT, one_line(&header.replica)),
        paint(DIM, format!("exported {exported}"))
    ))?;
    Ok(Verdict::Done)
}

/// Reads a whole file before anything is sent: what it has, and its size.
fn check(path: &Path) -> Result<(FileHeader, Vec<Stretch>, u64), CliError> {
    let from = File::open(path).map_err(|error| CliError::file("read", path, &error))?;
    let bytes = from.metadata()?.len();
    let mut file = TelemetryFile::open(BufReader::new(from))?;
    let mut stretches: Vec<Stretch> = Vec::new();
    while let Some(batch) = file.next_batch()? {
        match stretches.last_mut() {
            Some(stretch) if stretch.spool == batch.spool && stretch.last.checked_add(1) == Some(batch.number) => {
                stretch.last = batch.number;
            }
            _ => stretches.push(Stretch { spool: batch.spool, first: batch.number, last: batch.number }),
        }
    }
    Ok((file.header, stretches, bytes))
}

/// Sends what the primary does not have; how many batches it merged, and had already.
async fn send(
    args: &ImportArgs,
    context: &Context,
    header: &FileHeader,
    stretches: &[Stretch],
    merged_of: &impl Fn(&SpoolId) -> u64,
    bytes: u64,
) -> Result<(u64, u64), CliError> {
    let bar = progress::bytes(context.output, "telemetry", Some(bytes));
    let from = File::open(&args.file).map_err(|error| CliError::file("read", &args.file, &error))?;
    let mut file = TelemetryFile::open(BufReader::new(from))?;
    let (mut sent, mut present, mut read) = (0_u64, 0_u64, 0_u64);
    while let Some(batch) = file.next_batch()? {
        read = read.saturating_add(batch.batch.len() as u64);
        progress::set(&bar, read.min(bytes), Some(bytes));
        if batch.number <= merged_of(&batch.spool) {
            present = present.saturating_add(1);
            continue;
        }
        let mut query = vec![
            ("spool", batch.spool.to_string()),
            ("number", batch.number.to_string()),
            ("replica", header.replica.clone()),
            ("signature", batch.signature.iter().map(|byte| format!("{byte:02x}")).collect()),
        ];
        if args.skip_missing {
            let first = stretches.iter().find(|one| one.spool == batch.spool).map_or(1, |one| one.first);
            query.push(("first", first.to_string()));
        }
        context.client.import_telemetry(&query, batch.batch).await?;
        sent = sent.saturating_add(1);
    }
    bar.finish_and_clear();
    Ok((sent, present))
}

impl From<TelemetryFileError> for CliError {
    fn from(error: TelemetryFileError) -> Self {
        Self::usage(error.to_string())
    }
}

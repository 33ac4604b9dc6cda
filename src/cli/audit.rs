//! `audit`: reads the audit log, and proves that it is whole.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures_util::{StreamExt, TryStreamExt};

use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, Table, moment, one_line, paint};
use super::{Verdict, disk};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::Page;
use crate::governance::audit_copy::{CopyError, verify_copy};
use crate::model::audit::{AuditEntry, AuditVerdict, Decision};
use crate::store::{Options, Store, StoreError};

const EXAMPLES: &str = "\
Examples:
  bookholder audit log --json > audit.json            everything, for the auditor
  bookholder audit log --limit 20
  bookholder audit log --denied --who rob             what was refused to rob
  bookholder audit verify                             asks the node
  bookholder audit verify --data /var/lib/bookholder  asks no node: reads the data itself
  bookholder audit verify --copy report.jsonl         checks the chain in a copy: a report, or the log as JSON";

/// Largest log as one JSON value, in bytes.
const COPY_BYTES_MAX: usize = 512 * 1024 * 1024;

/// `audit`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum AuditCommand {
    /// Print who did what, oldest first
    Log {
        /// At most so many [default: all]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Only what this principal asked for
        #[arg(long, value_name = "NAME")]
        who: Option<String>,
        /// Only what was refused
        #[arg(long)]
        denied: bool,
    },
    /// Check every entry's hash against itself and the entry before
    Verify {
        /// Read this data directory instead of asking a node
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Read this copy instead: a report as JSON lines, or what `audit log --json` printed
        #[arg(long, value_name = "FILE", conflicts_with = "data")]
        copy: Option<PathBuf>,
    },
}

impl AuditArgs {
    /// Whether no node shall be asked.
    pub const fn is_offline(&self) -> bool {
        matches!(&self.command, AuditCommand::Verify { data, copy } if data.is_some() || copy.is_some())
    }
}

/// Checks the audit log of a data directory that no node runs on, or a copy of one.
pub fn offline(args: &AuditArgs, output: Output) -> Result<Verdict, CliError> {
    match &args.command {
        AuditCommand::Verify { copy: Some(copy), .. } => verify_file(copy, output),
        AuditCommand::Verify { data: Some(data), .. } => {
            let directory = data.clone();
            let verdict_of = || Store::open(&Options { directory, create: false })?.read()?.verify_audit();
            verdict(output, &verdict_of().map_err(|error: StoreError| CliError::usage(error.to_string()))?)
        }
        _ => Err(CliError::usage("name the data directory with --data, or a copy with --copy")),
    }
}

/// Checks the chain in a copy, which proves that nobody changed an entry in it; only a manifest or the registry itself
/// can say that the end is the end.
fn verify_file(path: &Path, output: Output) -> Result<Verdict, CliError> {
    let read = |error: std::io::Error| CliError::file("read", path, &error);
    let fault = |error: CopyError| match error {
        CopyError::Read(error) => read(error),
        other => CliError::no(format!("{}: {other}", path.display())),
    };
    let mut first = String::new();
    BufReader::new(File::open(path).map_err(read)?).take(1_024).read_line(&mut first).map_err(read)?;
    // What `audit log --json` prints is one page of JSON; a report is one entry a line.
    let page = first.trim_end() == "{" || first.starts_with("{\"items\"");
    let copy = if page {
        let bytes = disk::read(path, COPY_BYTES_MAX)?;
        let page: Page<AuditEntry> = serde_json::from_slice(&bytes)
            .map_err(|error| CliError::usage(format!("{} is no audit log: {error}", path.display())))?;
        let lines: Vec<u8> =
            page.items.iter().flat_map(|entry| [entry.to_canonical(), b"\n".to_vec()].concat()).collect();
        verify_copy(lines.as_slice()).map_err(fault)?
    } else {
        verify_copy(BufReader::new(File::open(path).map_err(read)?)).map_err(fault)?
    };
    let head = copy.last.as_ref().map_or_else(AuditEntry::genesis, |(_, hash)| hash.clone());
    let whole = copy.broken_at.is_none();
    if !output.json && whole && copy.gaps > 0 {
        output.note(format!("{} entries are missing in between: the copy is about something else there", copy.gaps));
    }
    verdict(output, &AuditVerdict { whole, entries: copy.entries, head, broken_at: copy.broken_at, anchored: None })
}

pub async fn run(args: AuditArgs, context: Context) -> Result<Verdict, CliError> {
    match args.command {
        AuditCommand::Log { limit, who, denied } => {
            let limit = limit.unwrap_or(usize::MAX);
            let page = if who.is_some() || denied { PAGE_ROWS_MAX } else { limit.min(PAGE_ROWS_MAX) };
            let fits = |entry: &AuditEntry| {
                who.as_ref().is_none_or(|who| *who == entry.actor) && (!denied || entry.decision == Decision::Denied)
            };
            let entries = context.client.audit(page).try_filter(|entry| std::future::ready(fits(entry)));
            let items: Vec<AuditEntry> = entries.take(limit).try_collect().await?;
            if context.output.json {
                context.output.json(&Page { items, next: None })?;
            } else {
                context.output.table(&table(&items), "nothing was ever done")?;
            }
            Ok(Verdict::Done)
        }
        AuditCommand::Verify { .. } => verdict(context.output, &context.client.verify_audit().await?),
    }
}

fn table(entries: &[AuditEntry]) -> Table {
    let mut table = Table::new(&["COMMIT", "WHEN (UTC)", "WHO", "DID", "TO", "WHY", "BECAUSE"]);
    for entry in entries {
        table.row([
            Cell::new(ACCENT, entry.seq),
            Cell::new(DIM, moment(entry.at)),
            Cell::from(&entry.actor),
            match entry.decision {
                Decision::Granted => Cell::from(&entry.command),
                Decision::Denied => Cell::new(BAD, format!("{} (refused)", entry.command)),
            },
            entry.subjects.join(", ").into(),
            Cell::from(&entry.message),
            Cell::new(DIM, one_line(&entry.reason)),
        ]);
    }
    table
}

/// Prints whether an audit log is whole; a broken one is a no.
pub fn verdict(output: Output, verdict: &AuditVerdict) -> Result<Verdict, CliError> {
    if output.json {
        output.json(verdict)?;
    } else if verdict.whole {
        let head = one_line(&verdict.head);
        output.line(format!("{} {} entries, all whole {}", paint(GOOD, "✓"), verdict.entries, paint(DIM, head)))?;
    } else if verdict.anchored == Some(false) && verdict.broken_at.is_none() {
        let said =
            "the log does not end with the entry that the checkpoint signed: entries were cut off or put in its place";
        output.line(format!("{} {said}", paint(BAD, "✗")))?;
    } else {
        let at = verdict.broken_at.map_or_else(String::new, |seq| format!(" at commit {seq}"));
        output.line(format!("{} the audit log is broken{at}, after {} entries", paint(BAD, "✗"), verdict.entries))?;
    }
    Ok(if verdict.whole { Verdict::Done } else { Verdict::No })
}

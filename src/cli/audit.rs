//! `audit`: reads the audit log, and proves that it is whole.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures_util::{StreamExt, TryStreamExt};

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, Table, moment, one_line, paint};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::Page;
use crate::model::audit::{AuditEntry, AuditVerdict};
use crate::store::{Options, Store, StoreError};

const EXAMPLES: &str = "\
Examples:
  bookholder audit log --json > audit.json            everything, for the auditor
  bookholder audit log --limit 20
  bookholder audit verify                             asks the node
  bookholder audit verify --data /var/lib/bookholder  asks no node: reads the data itself";

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
    },
    /// Check every entry's hash against itself and the entry before
    Verify {
        /// Read this data directory instead of asking a node
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
}

impl AuditArgs {
    /// The data directory to read, when no node shall be asked.
    pub fn data(&self) -> Option<&Path> {
        match &self.command {
            AuditCommand::Verify { data } => data.as_deref(),
            AuditCommand::Log { .. } => None,
        }
    }
}

/// Checks the audit log of a data directory that no node runs on.
pub fn offline(args: &AuditArgs, output: Output) -> Result<Verdict, CliError> {
    let directory = args.data().unwrap_or_else(|| Path::new(".")).to_owned();
    let verdict_of = || Store::open(&Options { directory, create: false })?.read()?.verify_audit();
    verdict(output, &verdict_of().map_err(|error: StoreError| CliError::usage(error.to_string()))?)
}

pub async fn run(args: AuditArgs, context: Context) -> Result<Verdict, CliError> {
    match args.command {
        AuditCommand::Log { limit } => {
            let limit = limit.unwrap_or(usize::MAX);
            let items: Vec<AuditEntry> =
                context.client.audit(limit.min(PAGE_ROWS_MAX)).take(limit).try_collect().await?;
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
    let mut table = Table::new(&["COMMIT", "WHEN (UTC)", "WHO", "DID", "TO", "WHY"]);
    for entry in entries {
        table.row([
            Cell::new(ACCENT, entry.seq),
            Cell::new(DIM, moment(entry.at)),
            Cell::from(&entry.actor),
            Cell::from(&entry.command),
            entry.subjects.join(", ").into(),
            Cell::from(&entry.message),
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
    } else {
        let at = verdict.broken_at.map_or_else(String::new, |seq| format!(" at commit {seq}"));
        output.line(format!("{} the audit log is broken{at}, after {} entries", paint(BAD, "✗"), verdict.entries))?;
    }
    Ok(if verdict.whole { Verdict::Done } else { Verdict::No })
}

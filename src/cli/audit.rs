//! `audit`: reads and verifies the audit log.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures_util::{StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Output, Table, moment, one_line, paint};
use super::{Verdict, disk};
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::read::Page;
use crate::governance::audit_copy::{CopyError, CopyVerification, verify_copy};
use crate::model::audit::{AuditEntry, AuditVerdict, Decision};
use crate::model::count::count;
use crate::store::inspect::Inspection;
use crate::store::read::ReadTxn;

const EXAMPLES: &str = "\
Examples:
  bookholder audit log --json > audit.json          everything
  bookholder audit log --limit 20
  bookholder audit log --denied --who rob           denied actions of rob
  bookholder audit verify                           asks the node
  bookholder audit verify --data /var/lib/bookholder
  bookholder audit verify --copy report.jsonl       checks the chain in a copy";

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
    /// Print audit entries, oldest first
    Log {
        /// Maximum number of results [default: all]
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// Only actions by this principal
        #[arg(long, value_name = "NAME")]
        who: Option<String>,
        /// Only denied actions
        #[arg(long)]
        denied: bool,
    },
    /// Verify the hash chain of the audit log
    Verify {
        /// Read this data directory directly instead of asking a node
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Read this copy instead: a JSON Lines report, or output of `audit log --json`
        #[arg(long, value_name = "FILE", conflicts_with = "data")]
        copy: Option<PathBuf>,
    },
}

impl AuditArgs {
    /// Whether it prints the log.
    pub const fn is_log(&self) -> bool {
        matches!(&self.command, AuditCommand::Log { .. })
    }

    /// Whether the command works without a node.
    pub const fn is_offline(&self) -> bool {
        matches!(&self.command, AuditCommand::Verify { data, copy } if data.is_some() || copy.is_some())
    }
}

/// Verifies the audit log of a stopped node's data directory, or a copy of one.
pub fn offline(args: &AuditArgs, output: Output) -> Result<Verdict, CliError> {
    match &args.command {
        AuditCommand::Verify { copy: Some(copy), .. } => verify_file(copy, output),
        AuditCommand::Verify { data: Some(data), .. } => {
            let found = Inspection::open(data).and_then(|inspection| inspection.look(ReadTxn::verify_audit));
            verdict(output, &found.map_err(|error| CliError::usage(error.to_string()))?)
        }
        _ => Err(CliError::usage("use --data for a data directory, or --copy for a copy")),
    }
}

/// The output of `audit log --json`, with each entry unchanged.
#[derive(Deserialize)]
struct LogCopy<'a> {
    #[serde(borrow)]
    items: Vec<&'a RawValue>,
}

/// The JSON output for a copy.
#[derive(Serialize)]
struct CopyOutput<'a> {
    #[serde(flatten)]
    verdict: &'a AuditVerdict,
    /// Gaps between entries that are not consecutive.
    gaps: u64,
}

/// Verifies the chain in a copy, which proves that no entry in it was changed; only a manifest or the registry itself
/// can show that it is complete.
fn verify_file(path: &Path, output: Output) -> Result<Verdict, CliError> {
    let read = |error: std::io::Error| CliError::file("read", path, &error);
    let fault = |error: CopyError| match error {
        CopyError::Read(error) => read(error),
        other => CliError::no(format!("{}: {other}", path.display())),
    };
    let mut first = String::new();
    BufReader::new(File::open(path).map_err(read)?).take(1_024).read_line(&mut first).map_err(read)?;
    // The output of `audit log --json` is one page of JSON; a report has one entry per line.
    let page = first.trim_end() == "{" || first.starts_with("{\"items\"");
    let copy = if page {
        let bytes = disk::read(path, COPY_BYTES_MAX)?;
        verify_copy(lines_of(&bytes, path)?.as_slice()).map_err(fault)?
    } else {
        verify_copy(BufReader::new(File::open(path).map_err(read)?)).map_err(fault)?
    };
    copy_verdict(output, &copy, page)
}

/// The entries of a page, one per line.
fn lines_of(page: &[u8], path: &Path) -> Result<Vec<u8>, CliError> {
    let no_log = |error: serde_json::Error| CliError::usage(format!("{} is not an audit log: {error}", path.display()));
    let mut lines = Vec::with_capacity(page.len());
    for item in serde_json::from_slice::<LogCopy<'_>>(page).map_err(no_log)?.items {
        // A line break in JSON is layout: inside strings it is escaped.
        lines.extend(item.get().bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
        lines.push(b'\n');
    }
    Ok(lines)
}

/// Prints the result for a copy. An empty copy proves nothing; `of_log` means that it is a page of the log itself,
/// where a gap is a removed entry.
fn copy_verdict(output: Output, copy: &CopyVerification, of_log: bool) -> Result<Verdict, CliError> {
    let head = copy.last.as_ref().map_or_else(AuditEntry::genesis, |(_, hash)| hash.clone());
    let broken_at = copy.broken_at;
    let whole = copy.is_whole() && copy.entries > 0 && !(of_log && copy.gaps > 0);
    let checked = AuditVerdict { whole, entries: copy.entries, head, broken_at, anchored: None };
    if output.json {
        output.json(&CopyOutput { verdict: &checked, gaps: copy.gaps })?;
        return Ok(if whole { Verdict::Done } else { Verdict::No });
    }
    let no = |said: &str| output.line(format!("{} {said}", paint(BAD, "✗"))).map(|()| Verdict::No);
    match (broken_at, copy.entries, copy.gaps) {
        (None, 0, _) => Ok(no("the copy has no audit entries, so there is nothing to verify")?),
        (None, _, gaps @ 1..) if of_log => Ok(no(&format!(
            "the copy has gaps ({gaps}) where entries were removed; copy the whole log, without filters"
        ))?),
        (None, _, gaps @ 1..) => {
            output.note(format!("the copy has gaps ({gaps}) where entries are not part of it"));
            verdict(output, &checked)
        }
        _ => verdict(output, &checked),
    }
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
            let found: Page<AuditEntry> = Page { items: entries.take(limit).try_collect().await?, next: None };
            context.output.show(&found, || {
                let filtered = who.is_some() || denied;
                let empty = if filtered { "no audit entries match these filters" } else { "the audit log is empty" };
                context.output.table(&table(&found.items), empty)
            })?;
            Ok(Verdict::Done)
        }
        AuditCommand::Verify { .. } => verdict(context.output, &context.client.verify_audit().await?),
    }
}

fn table(entries: &[AuditEntry]) -> Table {
    let mut table = Table::new(&["COMMIT", "WHEN (ZONE)", "WHO", "DID", "TO", "WHY", "BECAUSE"]);
    for entry in entries {
        table.row([
            Cell::new(ACCENT, entry.seq),
            Cell::new(DIM, moment(entry.at)),
            Cell::from(&entry.actor),
            match entry.decision {
                Decision::Granted => Cell::from(entry.command.as_str()),
                Decision::Denied => Cell::new(BAD, format!("{} (refused)", entry.command)),
            },
            entry.subject_texts().join(", ").into(),
            Cell::from(&entry.message),
            Cell::new(DIM, one_line(&entry.reason)),
        ]);
    }
    table
}

/// Prints whether an audit log is intact; if not, the exit code is 1.
pub fn verdict(output: Output, verdict: &AuditVerdict) -> Result<Verdict, CliError> {
    if output.json {
        output.json(verdict)?;
    } else if verdict.whole {
        let head = one_line(&verdict.head);
        output.line(format!(
            "{} {} verified {}",
            paint(GOOD, "✓"),
            count(verdict.entries, "entry"),
            paint(DIM, head)
        ))?;
    } else if verdict.anchored == Some(false) && verdict.broken_at.is_none() {
        let said = "the log does not match the signed checkpoint: entries were removed or replaced";
        output.line(format!("{} {said}", paint(BAD, "✗")))?;
    } else {
        let at = verdict.broken_at.map_or_else(String::new, |seq| format!(" at commit {seq}"));
        output.line(format!(
            "{} the audit log is broken{at}, after {}",
            paint(BAD, "✗"),
            count(verdict.entries, "entry")
        ))?;
    }
    Ok(if verdict.whole { Verdict::Done } else { Verdict::No })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::governance::report::samples;

    fn check(bytes: &[u8]) -> Verdict {
        let directory = tempfile::tempdir().expect("a folder");
        let path = directory.path().join("copy.json");
        std::fs::write(&path, bytes).expect("written");
        let plain = verify_file(&path, Output { json: false, terminal: false, headings: true }).expect("a verdict");
        assert_eq!(
            verify_file(&path, Output { json: true, terminal: false, headings: true }).expect("a verdict"),
            plain,
            "JSON says the same"
        );
        plain
    }

    #[test]
    fn audit_page_is_complete_only_without_gaps() {
        let page = |entries: Vec<AuditEntry>| {
            let page = Page { items: entries, next: None };
            [serde_json::to_vec(&page).expect("JSON"), serde_json::to_vec_pretty(&page).expect("JSON")]
        };
        let log = samples::log();
        let mut holed = log.clone();
        holed.remove(3);
        for (entries, expected) in [
            (log.clone(), Verdict::Done),
            (log[..3].to_vec(), Verdict::Done),
            (holed.clone(), Verdict::No),
            (Vec::new(), Verdict::No),
        ] {
            for bytes in page(entries.clone()) {
                assert_eq!(check(&bytes), expected, "{}", String::from_utf8_lossy(&bytes));
            }
        }
        let [_, pretty] = page(log);
        let more = String::from_utf8(pretty).expect("text").replacen("\"seq\"", "\"approved\": \"x\", \"seq\"", 1);
        assert_eq!(check(more.as_bytes()), Verdict::No, "a field that no entry has");
        assert_eq!(check(b""), Verdict::No, "nothing proves nothing");
        // A report leaves out unrelated entries.
        let lines: Vec<u8> = holed.iter().flat_map(|entry| [entry.to_canonical(), b"\n".to_vec()].concat()).collect();
        assert_eq!(check(&lines), Verdict::Done);
    }

    #[test]
    fn json_output_includes_gaps() {
        let verdict = AuditVerdict { whole: true, entries: 2, head: "h".to_owned(), broken_at: None, anchored: None };
        let said = serde_json::to_value(CopyOutput { verdict: &verdict, gaps: 3 }).expect("JSON");
        assert_eq!((&said["gaps"], &said["whole"]), (&3.into(), &true.into()));
    }
}

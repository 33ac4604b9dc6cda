//! `report`: creates and verifies a signed change report.
//!
//! The node creates the report. Verification is offline: it needs the file, its manifest and the root key.

mod verify;

use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use tar::EntryType;

use self::verify::ReportVerifyArgs;
use super::args::times;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, DIM, GOOD, Output, moment, paint, zoned};
use super::{Verdict, disk, progress};
use crate::api::limits::REPORT_BYTES_MAX;
use crate::crypto::note::{NOTE_BYTES_MAX, Note};
use crate::governance::report::ReportFormat;
use crate::model::as_of::AsOf;
use crate::model::count::count;
use crate::model::pattern::Pattern;
use crate::trust::manifest::{MANIFEST_FILE_BYTES_MAX, Manifest, ManifestFile};

/// Most bytes of an archive: a report, its manifest, and the overhead of the archive.
const ARCHIVE_BYTES_MAX: u64 = REPORT_BYTES_MAX + MANIFEST_FILE_BYTES_MAX as u64 + 64 * 1024;
/// The suffix of a manifest's file name, after the report's.
const MANIFEST_SUFFIX: &str = ".manifest.json";
/// Length of a date such as `2026-03-20`.
const DATE_CHARACTERS: usize = 10;

const EXAMPLES: &str = "\
Examples:
  bookholder report --from 2026-03-01 --to 2026-03-31
  bookholder report --from 2026-03-20T12:00:00Z --prompt 'support/**' \\
      --out incident.html
  bookholder report --from 2026-01-01 --format jsonl
  bookholder report verify incident.html --root-key bk1-…        works offline";

/// `report`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct ReportArgs {
    #[command(subcommand)]
    command: Option<ReportCommand>,
    #[command(flatten)]
    make: MakeArgs,
}

#[derive(Clone, Debug, Subcommand)]
enum ReportCommand {
    /// Verify a report offline
    Verify(ReportVerifyArgs),
}

#[derive(Clone, Debug, Args)]
struct MakeArgs {
    /// Start: a date, or a time such as 2026-03-20T15:00:00Z, '2026-03-20 15:00' or 30d
    #[arg(long, value_name = "TIME", value_parser = times::time)]
    from: Option<AsOf>,
    /// End: a date (inclusive) or a time [default: now]
    #[arg(long, value_name = "TIME", value_parser = times::time)]
    to: Option<AsOf>,
    /// Prompts to include, as a pattern; the default `**` also includes changes to access
    #[arg(long, value_name = "PATTERN", default_value = "**")]
    prompt: Pattern,
    /// File format: html for people, csv for spreadsheets, jsonl for programs and archives
    #[arg(long, value_name = "FORMAT", default_value = "html")]
    format: ReportFormat,
    /// File to write [default: bookholder-report-<from>-<to>.<format>]
    #[arg(short, long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

/// A time for use in a file name: the day, or the moment in UTC.
fn in_name(at: AsOf) -> String {
    let text: String = at.first().to_string().chars().filter(|c| *c != ':').collect();
    if at.is_date() { moment(at.first()).chars().take(DATE_CHARACTERS).collect() } else { text }
}

impl ReportArgs {
    /// Whether the command works without a node.
    pub const fn is_offline(&self) -> bool {
        self.command.is_some()
    }
}

/// Verifies a report.
pub fn offline(args: &ReportArgs, output: Output) -> Result<Verdict, CliError> {
    match &args.command {
        Some(ReportCommand::Verify(args)) => verify::run(args, output),
        None => Err(CliError::usage("a report comes from a node; set its address with --server")),
    }
}

/// Downloads a report and writes it beside its manifest.
pub async fn run(args: ReportArgs, context: Context) -> Result<Verdict, CliError> {
    let MakeArgs { from, to, prompt, format, out, force } = args.make;
    let since = "--from is required, e.g. --from 2026-03-01";
    let from = from.ok_or_else(|| CliError::usage(since))?;
    let to = to.unwrap_or_else(|| AsOf::at(times::now()));
    let name = || PathBuf::from(format!("bookholder-report-{}-{}.{format}", in_name(from), in_name(to)));
    let out = out.unwrap_or_else(name);
    disk::check_folder(&out)?;
    let beside = manifest_of(&out);
    if let Some(taken) = [&out, &beside].into_iter().find(|path| !force && path.symlink_metadata().is_ok()) {
        let message = format!("{} already exists", taken.display());
        return Err(CliError::usage(message).hint("choose another file with --out, or use --force to replace it"));
    }
    let query = [
        ("from", from.first().to_string()),
        ("to", to.end().to_string()),
        ("prompt", prompt.to_string()),
        ("format", format.to_string()),
    ];
    let mut archive = tempfile::tempfile_in(existing(&out))?;
    let bar = progress::bytes(context.output, "report", None);
    let mut told = |so_far: u64, total: Option<u64>| progress::set(&bar, so_far, total);
    context.client.report(&query, ARCHIVE_BYTES_MAX, &mut archive, &mut told).await?;
    bar.finish_and_clear();
    archive.rewind()?;
    let manifest = unpack(&archive, format, &out, &beside)?;
    show(context.output, &out, &beside, &manifest)
}

fn show(output: Output, out: &Path, beside: &Path, manifest: &Manifest) -> Result<Verdict, CliError> {
    if output.json {
        output.json(&serde_json::json!({
            "file": out,
            "manifest": beside,
            "bytes": manifest.bytes,
            "decisions": manifest.decisions,
            "deployments": manifest.deployments,
            "from": manifest.from,
            "to": manifest.to,
        }))?;
        return Ok(Verdict::Done);
    }
    let size = paint(DIM, progress::size(manifest.bytes));
    output.line(format!("{} {} {size}", paint(GOOD, "✓"), paint(ACCENT, out.display())))?;
    output.line(format!("{} {}", paint(GOOD, "✓"), paint(ACCENT, beside.display())))?;
    output.line(format!(
        "  {} and {} of what labels served, from {} to {}",
        count(manifest.decisions, "decision"),
        count(manifest.deployments, "period"),
        moment(manifest.from),
        zoned(manifest.to)
    ))?;
    let command = format!("bookholder report verify {} --root-key bk1-…", out.display());
    output.note(format!("  To verify it on any machine, use the root key from `bookholder keys show`:\n  {command}"));
    Ok(Verdict::Done)
}

/// The path of a report's manifest.
fn manifest_of(report: &Path) -> PathBuf {
    let mut name = report.as_os_str().to_owned();
    name.push(MANIFEST_SUFFIX);
    name.into()
}

/// The nearest existing parent folder, for temporary files.
fn existing(file: &Path) -> &Path {
    disk::parent(file).ancestors().find(|folder| folder.is_dir()).unwrap_or_else(|| Path::new("."))
}

/// Parses the manifest in a manifest file, without verifying it.
fn read_manifest(file: &ManifestFile) -> Result<Manifest, CliError> {
    let refuse = |error: String| CliError::no(format!("the manifest cannot be read: {error}"));
    let note = Note::parse(file.manifest.as_bytes(), NOTE_BYTES_MAX).map_err(|error| refuse(error.to_string()))?;
    Manifest::parse(note.text()).map_err(|error| refuse(error.to_string()))
}

/// Writes the contents of an archive to two files: the report, then its manifest.
fn unpack(archive: impl Read, format: ReportFormat, out: &Path, beside: &Path) -> Result<Manifest, CliError> {
    let broken = |reason: &str| CliError::server(format!("the node sent an invalid report: {reason}"));
    let unreadable = |error: std::io::Error| broken(&error.to_string());
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().map_err(unreadable)?;
    let mut next = |name: &str| match entries.next() {
        Some(Ok(entry))
            if entry.header().entry_type() == EntryType::Regular && *entry.path_bytes() == *name.as_bytes() =>
        {
            Ok(entry)
        }
        Some(Err(error)) => Err(unreadable(error)),
        _ => Err(broken(&format!("unexpected file `{name}`"))),
    };
    let mut document = disk::Replacement::of(out, true)?;
    let mut entry = next(&format!("report.{format}"))?;
    let expected = entry.size();
    let written = std::io::copy(&mut entry, document.writer()).map_err(|error| CliError::file("write", out, &error))?;
    let mut entry = next("manifest.json")?;
    if written != expected || entry.size() > MANIFEST_FILE_BYTES_MAX as u64 {
        return Err(broken("it is truncated, or its manifest is too large"));
    }
    let mut json = Vec::new();
    entry.read_to_end(&mut json).map_err(unreadable)?;
    let file: ManifestFile = serde_json::from_slice(&json).map_err(|error| broken(&error.to_string()))?;
    let manifest = read_manifest(&file)?;
    if manifest.bytes != written || *hash_of(document.writer())?.as_bytes() != manifest.file {
        return Err(broken("it does not match its manifest"));
    }
    document.commit()?;
    disk::write_private(beside, &json)?;
    Ok(manifest)
}

fn hash_of(file: &mut File) -> Result<blake3::Hash, CliError> {
    let mut hasher = blake3::Hasher::new();
    file.rewind()?;
    std::io::copy(file, &mut hasher)?;
    Ok(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn dates_and_times_are_read_and_named() {
        for (text, at, end, name) in [
            ("2026-03-20", "2026-03-20T00:00:00Z", "2026-03-21T00:00:00Z", "2026-03-20"),
            ("2026-03-20T15:00:00Z", "2026-03-20T15:00:00Z", "2026-03-20T15:00:00Z", "2026-03-20T150000Z"),
            ("2026-03-20T15:00:00+02:00", "2026-03-20T13:00:00Z", "2026-03-20T13:00:00Z", "2026-03-20T130000Z"),
        ] {
            let when = times::time(text).expect(text);
            assert_eq!(
                (when.first().to_string(), when.end().to_string(), in_name(when)),
                (at.into(), end.into(), name.into())
            );
        }
        for wrong in ["", "someday", "2026-13-01", "20.3.2026"] {
            assert!(times::time(wrong).expect_err(wrong).contains("2026-03-20"), "{wrong}");
        }
    }

    fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, bytes) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            builder.append_data(&mut header, path, *bytes).expect("in memory");
        }
        builder.into_inner().expect("in memory")
    }

    #[test]
    fn archive_with_unexpected_entries_writes_nothing() {
        for entries in [
            &[][..],
            &[("report.html", EntryType::Regular, &b"x"[..])],
            &[("manifest.json", EntryType::Regular, b"{}"), ("report.html", EntryType::Regular, b"x")],
            &[("report.html", EntryType::Regular, b"x"), ("manifest.json", EntryType::Regular, b"{}")],
            &[("report.csv", EntryType::Regular, b"x"), ("manifest.json", EntryType::Regular, b"{}")],
            &[("report.html", EntryType::Symlink, b""), ("manifest.json", EntryType::Regular, b"{}")],
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let out = folder.path().join("r.html");
            let error = unpack(archive(entries).as_slice(), ReportFormat::Html, &out, &manifest_of(&out));
            let message = error.expect_err("no report").to_string();
            assert!(message.contains("the node sent an invalid report"), "{message}");
            assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "{entries:?}");
        }
    }
}

//! A signed report, as a tar archive: the document first, then its manifest.
//!
//! It is written to an unnamed file and sent when it is complete and signed: a client never gets part of a report, and
//! its length is known.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::Path;

use axum::extract::State;
use axum::response::Response;
use tokio::sync::Semaphore;

use super::auth::Writer;
use super::download::send;
use super::error::Failure;
use super::extract::Params;
use super::request::RequestError;
use super::state::{About, App, Shared};
use super::work::abandonable;
use crate::governance::report::{Report, ReportFormat, ReportHeader, ReportScope, SystemInfo};
use crate::model::audit::{Command, Subject};
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;
use crate::registry::{Actor, Registry};
use crate::replication::publish_error::PublishError;
use crate::report::{ReportError, WrittenReport, sign_report, system_info, write_report};
use crate::resolve::ReadScope;
use crate::resolve::report::{ReadError, ReportSource};
use crate::trust::manifest::ManifestFile;

/// Number of reports that are created and sent at once: each takes a CPU core, and disk space.
static REPORTS: Semaphore = Semaphore::const_new(2);
/// `Retry-After` of a report beyond that limit, in seconds.
const RETRY_AFTER_S: u64 = 2;
/// Size of writes of a report, in bytes.
const BUFFER_BYTES: usize = 64 * 1024;
/// Blocks of an archive, in bytes.
const BLOCK_BYTES: u64 = 512;
/// Name of the manifest in the archive.
const MANIFEST_NAME: &str = "manifest.json";

/// Returns a report with a signed manifest: who changed what, when and why, who approved it, with what risk, and what
/// was live when.
///
/// A tar archive of `report.html`, `report.csv` or `report.jsonl`, and `manifest.json`. `bookholder report` fetches and
/// unpacks it; `bookholder report verify` checks it on any machine with the root key alone. Supports record keeping
/// under Articles 12, 19 and 26(6) of Regulation (EU) 2024/1689.
#[utoipa::path(
    get, path = "/v1/report", operation_id = "get_report", tag = "audit",
    params(
        ("from" = Timestamp, Query, description = "The start of the period.", example = "2026-03-01T00:00:00Z"),
        ("to" = Option<Timestamp>, Query, description = "The end of the period (exclusive); now by default."),
        ("prompt" = Option<Pattern>, Query, description = "The prompts, for example `support/**`; all by default."),
        ("format" = Option<String>, Query, description = "`html`, `csv` or `jsonl`; html by default.", pattern = "^(html|csv|jsonl)$"),
    ),
    responses((status = 200, description = "A tar archive.", body = Vec<u8>, content_type = "application/x-tar")),
)]
pub(super) async fn report(State(app): State<App>, writer: Writer, mut params: Params) -> Result<Response, Failure> {
    let from: Timestamp = params.require("from")?;
    let to: Option<Timestamp> = params.get("to")?;
    let prompts: Option<Pattern> = params.get("prompt")?;
    let format: Option<ReportFormat> = params.get("format")?;
    params.finish(&["from", "to", "prompt", "format"])?;
    let scope = writer.scope();
    answer(app, &writer.registry, &writer.actor, ReportQuery { scope, from, to, prompts, format }).await
}

/// The parameters of a report.
pub(super) struct ReportQuery {
    /// What the caller can read.
    pub(super) scope: ReadScope,
    pub(super) from: Timestamp,
    pub(super) to: Option<Timestamp>,
    pub(super) prompts: Option<Pattern>,
    pub(super) format: Option<ReportFormat>,
}

/// Makes and sends a report, if the caller is allowed.
pub(super) async fn answer(
    app: App,
    registry: &Registry,
    actor: &Actor,
    asked: ReportQuery,
) -> Result<Response, Failure> {
    let ReportQuery { scope, from, to, prompts, format } = asked;
    let now = Timestamp::from_ms(app.publisher()?.signer().clock.now_ms());
    let question = ReportScope { from, to: to.unwrap_or(now), prompts: prompts.unwrap_or_else(Pattern::everything) };
    if question.from >= question.to {
        let reason = format!("the report ends at {}, before it begins at {}", question.to, question.from);
        return Err(RequestError::Unfit { reason }.into());
    }
    let busy = |_| RequestError::Busy { what: "too many reports", retry_after_s: RETRY_AFTER_S };
    let permit = REPORTS.try_acquire().map_err(busy)?;
    let what = Subject::Report { prompts: question.prompts.to_string(), from: question.from, to: question.to };
    registry.permit(actor, Command::Report, Some(what)).await?;
    let heading = (actor.name.clone(), now);
    // The slot stays with the work, which ends soon after its client has disconnected.
    let work = move |stop| {
        let source = app.catalogue.as_reader(&scope)?.into_report_source(stop)?;
        make(&app, question, heading, format.unwrap_or_default(), &source).map(|file| (file, permit))
    };
    let (archive, permit) = abandonable(work).await??;
    send(archive, "bookholder-report.tar", "application/x-tar", permit).await
}

/// Writes a report into an archive, signs it over the state that it was read from, and adds the manifest.
fn make(
    app: &Shared,
    question: ReportScope,
    (generated_by, generated_at): (String, Timestamp),
    format: ReportFormat,
    source: &ReportSource,
) -> Result<File, Failure> {
    let publisher = app.publisher()?;
    let signer = publisher.signer();
    let heading = ReportHeader { registry: signer.registry.clone(), generated_at, generated_by };
    let report = Report { heading, question, source };
    let About { provider, intended_purpose } = app.about.clone();
    let system = SystemInfo { provider, intended_purpose, ..system_info(signer) };
    let modified_s = u64::try_from(generated_at.seconds()).unwrap_or_default();
    let mut archive = Archive::begin(publisher.directory(), modified_s).map_err(disk)?;
    let written = write_report(&report, &system, format, &mut archive.out).map_err(inside)?;
    let manifest = sign_report(signer, &report, format, &written).map_err(inside)?;
    archive.finish(format, &written, &manifest).map_err(disk)
}

fn disk(error: io::Error) -> Failure {
    PublishError::Io(error).into()
}

/// An archive in an unnamed file, whose first file is being written; its length is filled in at the end.
struct Archive {
    out: BufWriter<File>,
    modified_s: u64,
}

impl Archive {
    fn begin(directory: &Path, modified_s: u64) -> io::Result<Self> {
        let mut file = tempfile::tempfile_in(directory)?;
        file.seek(SeekFrom::Start(BLOCK_BYTES))?;
        Ok(Self { out: BufWriter::with_capacity(BUFFER_BYTES, file), modified_s })
    }

    fn finish(mut self, format: ReportFormat, written: &WrittenReport, manifest: &ManifestFile) -> io::Result<File> {
        let rest = written.bytes.next_multiple_of(BLOCK_BYTES).saturating_sub(written.bytes);
        io::copy(&mut io::Read::take(io::repeat(0), rest), &mut self.out)?;
        let manifest = serde_json::to_vec_pretty(manifest)?;
        let header = header_of(MANIFEST_NAME, manifest.len() as u64, self.modified_s)?;
        let mut archive = tar::Builder::new(self.out);
        archive.append(&header, manifest.as_slice())?;
        let mut file = archive.into_inner()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        let first = header_of(&format!("report.{format}"), written.bytes, self.modified_s)?;
        file.write_all(first.as_bytes())?;
        Ok(file)
    }
}

fn header_of(name: &str, bytes: u64, modified_s: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(modified_s);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// A failure to write or sign a report is not the client's fault.
fn inside(error: ReportError) -> Failure {
    match error {
        ReportError::Store(error) | ReportError::Read(ReadError::Store(error)) => error.into(),
        ReportError::Seal(error) => PublishError::Seal(error).into(),
        ReportError::Read(ReadError::Write(error)) => disk(error),
        error @ ReportError::TooLong => RequestError::Unfit { reason: error.to_string() }.into(),
        // This answer is never sent.
        error @ (ReportError::Read(ReadError::Abandoned)
        | ReportError::Manifest(_)
        | ReportError::Unhashed
        | ReportError::Record) => RequestError::Task(error.to_string()).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::governance::report::Contents;

    #[test]
    fn report_archive_has_the_document_then_the_manifest() {
        let note = || "note".to_owned();
        let (how_to_read, manifest, checkpoint) = (note(), note(), note());
        let manifest = ManifestFile { how_to_read, manifest, checkpoint, roots: vec![note()], epochs: Vec::new() };
        for length in [0, 3, 511, 512, 513, 200_000] {
            let directory = tempfile::tempdir().expect("a folder");
            let document = vec![b'x'; length];
            let mut archive = Archive::begin(directory.path(), 7).expect("begun");
            archive.out.write_all(&document).expect("written");
            let written = WrittenReport { contents: Contents::default(), bytes: length as u64, hash: [0; 32] };
            let mut packed = archive.finish(ReportFormat::Html, &written, &manifest).expect("packed");
            packed.rewind().expect("rewound");
            let mut archive = tar::Archive::new(packed);
            let mut found = Vec::new();
            for entry in archive.entries().expect("entries") {
                let mut entry = entry.expect("an entry");
                let (mut bytes, name) = (Vec::new(), entry.path().expect("a path").display().to_string());
                entry.read_to_end(&mut bytes).expect("read");
                found.push((name, bytes));
            }
            assert_eq!(found.len(), 2, "{length}");
            assert_eq!(found[0].0, "report.html");
            assert!(found[0].1 == document, "{length}");
            assert_eq!(found[1].0, MANIFEST_NAME);
            assert_eq!(serde_json::from_slice::<ManifestFile>(&found[1].1).expect("a manifest"), manifest);
        }
    }
}

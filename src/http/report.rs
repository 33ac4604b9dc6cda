//! A signed report, as a tar archive: the document first, then its manifest.

use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, Write};
use std::path::Path;

use axum::extract::State;
use axum::response::Response;
use tokio::sync::Semaphore;

use super::admin::{publisher, send};
use super::auth::Writer;
use super::error::Failure;
use super::extract::{Params, blocking};
use super::request::RequestError;
use super::state::{About, App, Shared};
use crate::governance::report::{Heading, Question, ReportFormat, SystemInfo};
use crate::model::pattern::Pattern;
use crate::model::principal::Permission;
use crate::model::time::Timestamp;
use crate::registry::report::{ReportError, sign_report, system_info, write_report};
use crate::registry::{Actor, Registry};
use crate::replication::publisher::PublishError;
use crate::trust::manifest::ManifestFile;

/// Reports that are made at once: each holds all of its rows in memory.
static REPORTS: Semaphore = Semaphore::const_new(2);
/// What a report that met too many others is asked to wait, in seconds.
const RETRY_AFTER_S: u64 = 2;
/// Name of the manifest in the archive.
const MANIFEST_NAME: &str = "manifest.json";

/// Who changed what, when, why, who approved it, with what risk, and what was live when; with a signed manifest.
///
/// A tar archive of `report.html`, `report.csv` or `report.jsonl`, and `manifest.json`. `bookholder report` fetches and
/// unpacks it; `bookholder report verify` checks it on any machine with the root key alone. Supports record keeping
/// under Articles 12, 19 and 26(6) of Regulation (EU) 2024/1689.
#[utoipa::path(
    get, path = "/v1/report", operation_id = "get_report", tag = "audit",
    params(
        ("from" = Timestamp, Query, description = "The first moment.", example = "2026-03-01T00:00:00Z"),
        ("to" = Option<Timestamp>, Query, description = "The moment behind the last; now by default."),
        ("prompt" = Option<Pattern>, Query, description = "Which prompts, for example `support/**`; all by default."),
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
    answer(app, &writer.registry, &writer.actor, Asked { from, to, prompts, format }).await
}

/// What a report is asked for.
pub(super) struct Asked {
    pub(super) from: Timestamp,
    pub(super) to: Option<Timestamp>,
    pub(super) prompts: Option<Pattern>,
    pub(super) format: Option<ReportFormat>,
}

/// Makes a report for somebody who may, and sends it.
pub(super) async fn answer(app: App, registry: &Registry, actor: &Actor, asked: Asked) -> Result<Response, Failure> {
    let Asked { from, to, prompts, format } = asked;
    let now = Timestamp::from_ms(publisher(&app)?.signer().clock.now_ms());
    let question = Question { from, to: to.unwrap_or(now), prompts: prompts.unwrap_or_else(Pattern::everything) };
    if question.from >= question.to {
        let reason = format!("the report would end at {} and begin at {}", question.to, question.from);
        return Err(RequestError::Unfit { reason }.into());
    }
    let busy = |_| RequestError::Busy { what: "too many reports", retry_after_s: RETRY_AFTER_S };
    let permit = REPORTS.try_acquire().map_err(busy)?;
    let what = format!("{} from {} to {}", question.prompts, question.from, question.to);
    registry.permit(actor, "report", Permission::Audit, what).await?;
    let by = actor.name.clone();
    // The work goes on when the client goes away, and so does its claim.
    let work = move || make(&app, &question, by, now, format.unwrap_or_default()).map(|archive| (archive, permit));
    let (archive, permit) = blocking(work).await??;
    send(archive, "bookholder-report.tar", "application/x-tar", permit).await
}

/// Writes a report, signs it over the state that it was gathered from, and packs both.
fn make(app: &Shared, question: &Question, by: String, now: Timestamp, format: ReportFormat) -> Result<File, Failure> {
    let publisher = publisher(app)?;
    let (signer, directory) = (publisher.signer(), publisher.directory());
    let heading = Heading { registry: signer.registry.clone(), generated_at: now, generated_by: by };
    let (report, txn) = app.catalogue.report(question, heading)?;
    let About { provider, intended_purpose } = app.about.clone();
    let system = SystemInfo { provider, intended_purpose, ..system_info(signer) };
    let disk = |error: io::Error| Failure::from(PublishError::Io(error));
    let mut document = tempfile::tempfile_in(directory).map_err(disk)?;
    let written = write_report(&report, &system, format, &mut BufWriter::new(&document)).map_err(disk)?;
    let manifest = sign_report(signer, &txn, &report, format, written).map_err(inside)?;
    document.rewind().map_err(disk)?;
    let modified_s = u64::try_from(now.seconds()).unwrap_or_default();
    pack(directory, (document, written.bytes), format, &manifest, modified_s).map_err(disk)
}

/// Packs a document of so many bytes and its manifest into an archive that has no name.
fn pack(
    directory: &Path,
    (document, bytes): (File, u64),
    format: ReportFormat,
    manifest: &ManifestFile,
    modified_s: u64,
) -> io::Result<File> {
    let file = tempfile::tempfile_in(directory)?;
    let mut archive = tar::Builder::new(BufWriter::new(&file));
    append(&mut archive, &format!("report.{format}"), bytes, modified_s, document)?;
    let manifest = serde_json::to_vec_pretty(manifest)?;
    append(&mut archive, MANIFEST_NAME, manifest.len() as u64, modified_s, manifest.as_slice())?;
    archive.into_inner()?.flush()?;
    Ok(file)
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    bytes: u64,
    modified_s: u64,
    data: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(bytes);
    header.set_mode(0o644);
    header.set_mtime(modified_s);
    header.set_entry_type(tar::EntryType::Regular);
    archive.append_data(&mut header, name, data)
}

/// What keeps a report from being written or signed is nothing that the client did.
fn inside(error: ReportError) -> Failure {
    match error {
        ReportError::Store(error) => error.into(),
        ReportError::Seal(error) => PublishError::Seal(error).into(),
        ReportError::Write(error) => PublishError::Io(error).into(),
        error @ (ReportError::Manifest(_) | ReportError::Unhashed | ReportError::Record) => {
            RequestError::Task(error.to_string()).into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_holds_the_document_and_then_its_manifest() {
        let directory = tempfile::tempdir().expect("a folder");
        let mut document = tempfile::tempfile().expect("a file");
        document.write_all(b"<p>").expect("written");
        document.rewind().expect("rewound");
        let note = || "note".to_owned();
        let (how_to_read, manifest, checkpoint) = (note(), note(), note());
        let manifest = ManifestFile { how_to_read, manifest, checkpoint, roots: vec![note()], epochs: Vec::new() };
        let mut packed = pack(directory.path(), (document, 3), ReportFormat::Html, &manifest, 7).expect("packed");
        packed.rewind().expect("rewound");
        let mut archive = tar::Archive::new(packed);
        let mut found = Vec::new();
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let (mut bytes, name) = (Vec::new(), entry.path().expect("a path").display().to_string());
            entry.read_to_end(&mut bytes).expect("read");
            found.push((name, bytes));
        }
        assert_eq!(found[0], ("report.html".to_owned(), b"<p>".to_vec()));
        assert_eq!(found[1].0, MANIFEST_NAME);
        assert_eq!(serde_json::from_slice::<ManifestFile>(&found[1].1).expect("a manifest"), manifest);
        assert_eq!(found.len(), 2);
    }
}

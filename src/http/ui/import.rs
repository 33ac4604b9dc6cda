//! Importing prompts: a folder of files, or another library's history.
//!
//! Publishes and imports as the command line does, file by file and batch by batch. If it stops, the answer has the
//! result of each.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use axum::extract::State;
use axum::response::Response;
use tokio::sync::Semaphore;

use super::super::error::Failure;
use super::super::extract::{Params, blocking};
use super::super::request::RequestError;
use super::super::request_id::RequestId;
use super::super::rule_sets::claim;
use super::super::state::App;
use super::html;
use super::upload::{Files, Upload, UploadedFile};
use super::visitor::{Visitor, field};
use crate::api::problem::ErrorCode;
use crate::api::write::ImportRequest;
use crate::clock::Cancellation;
use crate::files::batches::{Batches, unpack};
use crate::files::compare::{ParsedFile, Plan};
use crate::files::folder::{RetryRounds, may_wait, understand};
use crate::model::content::Syntax;
use crate::model::name::{Label, PromptName};
use crate::registry::{Actor, FileOutcome, Registry};
use crate::web::pages::import::{Imported, ImportedFile, LISTED_MAX, Outcome, brought, imported, page};

/// Number of upload forms processed at once: each holds its files in memory.
static BRINGING: Semaphore = Semaphore::const_new(2);
/// Maximum size of an unpacked history, in bytes; longer ones need the command line.
const UNPACKED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Memory for unpacking a history, as a power of two, in bytes.
const WINDOW_LOG_MAX: u32 = 25;

/// Shows the import page.
pub(super) async fn form(State(app): State<App>, visitor: Visitor, params: Params) -> Result<Response, Failure> {
    params.finish(&[])?;
    Ok(html(blocking(move || Ok::<_, Failure>(page(&visitor.frame_alone(&app)?))).await??))
}

/// Imports what was sent, and shows the results.
pub(super) async fn bring(State(app): State<App>, upload: Upload) -> Result<Response, Failure> {
    let Upload { mut sent, files, _share } = upload;
    let (registry, actor) = sent.writer(&app)?;
    let visitor = sent.visitor();
    let id = sent.request.ok_or_else(|| RequestError::Task("the request has no id".to_owned()))?;
    let _turn = claim(&BRINGING, "too many forms with files")?;
    let what = field(&mut sent.form, "what")?;
    let label = field(&mut sent.form, "label")?;
    let label = Some(label.trim()).filter(|label| !label.is_empty()).map(str::parse::<Label>).transpose()?;
    let bringing = ImportContext { registry, actor, id };
    if what == "history" {
        let syntax = field(&mut sent.form, "syntax")?;
        sent.form.finish(&["what", "label", "syntax"])?;
        let syntax = serde_json::from_value::<Syntax>(syntax.into());
        let syntax = syntax.map_err(|error| RequestError::Upload { reason: error.to_string() })?;
        let nothing = || RequestError::Upload { reason: "choose a history first".to_owned() };
        let file = files.kept.into_iter().next().ok_or_else(nothing)?;
        let total = bringing.history(file, label.unwrap_or_else(Label::production), syntax).await?;
        return Ok(html(blocking(move || Ok::<_, Failure>(imported(&visitor.frame_alone(&app)?, &total))).await??));
    }
    let message = field(&mut sent.form, "message")?;
    sent.form.finish(&["what", "label", "message"])?;
    if message.trim().is_empty() {
        return Err(RequestError::FormField { field: "message" }.into());
    }
    let left_alone = files.left_alone;
    let rows = bringing.files(&app, files, &message, label.as_ref()).await?;
    Ok(html(blocking(move || Ok::<_, Failure>(brought(&visitor.frame_alone(&app)?, &rows, left_alone))).await??))
}

/// The actor and the request.
struct ImportContext {
    registry: Registry,
    actor: Actor,
    id: RequestId,
}

/// A file to publish, and why it failed the last time.
struct PendingFile {
    path: String,
    name: PromptName,
    written: ParsedFile,
    refused: String,
}

impl ImportContext {
    /// Publishes prompt files; returns the result of each, by path.
    async fn files(
        &self,
        app: &App,
        files: Files,
        message: &str,
        label: Option<&Label>,
    ) -> Result<Vec<ImportedFile>, Failure> {
        let (mut rows, waiting) = app.work.heavy(move |stop| read_all(files.kept, stop)).await?;
        let mut rounds = RetryRounds::new(waiting);
        while let Some(mut one) = rounds.next_to_try() {
            one.written.file.labels.extend(label.cloned());
            let (name, written) = (one.name.clone(), one.written.clone());
            let outcome = match self.registry.publish_file(&self.actor, None, name, written, message).await {
                Ok(FileOutcome { plan: Plan::Conflict(moved) | Plan::Left(moved), .. }) => Outcome::Refused(format!(
                    "{moved}; copy the newest version into the file, or deploy version {}",
                    moved.from
                )),
                Ok(FileOutcome { plan, changed, version, .. }) => {
                    let version = version.unwrap_or_default();
                    match plan {
                        Plan::Publish { .. } if changed => Outcome::Published(version),
                        _ if changed => Outcome::Labelled(version),
                        _ => Outcome::Unchanged(version),
                    }
                }
                Err(error) => {
                    let (code, reason) = self.said(&error.into());
                    if may_wait(code) {
                        one.refused = reason;
                        rounds.put_back(one);
                        continue;
                    }
                    Outcome::Refused(reason)
                }
            };
            rows.push(ImportedFile { path: one.path, name: Some(one.name), outcome });
        }
        rows.extend(rounds.left().into_iter().map(|one| ImportedFile {
            path: one.path,
            name: Some(one.name),
            outcome: Outcome::Refused(one.refused),
        }));
        rows.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(rows)
    }

    /// Imports a history; returns the results up to the first failure.
    async fn history(&self, file: UploadedFile, label: Label, syntax: Syntax) -> Result<Imported, Failure> {
        let mut total = Imported { path: file.path, ..Imported::default() };
        let unpacked = unpack(Cursor::new(file.bytes), WINDOW_LOG_MAX);
        let unread = |error: std::io::Error| RequestError::Upload { reason: error.to_string() };
        let mut batches = Batches::new(unpacked.map_err(unread)?, UNPACKED_BYTES_MAX);
        loop {
            let (back, batch) = blocking(move || {
                let batch = batches.next_batch();
                (batches, batch)
            })
            .await?;
            batches = back;
            let batch = match batch {
                Ok(batch) if batch.is_empty() => return Ok(total),
                Ok(batch) => batch,
                Err(error) => {
                    total.stopped = Some(error.to_string());
                    return Ok(total);
                }
            };
            let mut changes = Vec::with_capacity(batch.len());
            for read in batch {
                if let Some(original) = read.renamed_from {
                    total.rename(original, &read.change.name);
                }
                changes.push(read.change);
            }
            let names: BTreeMap<String, PromptName> =
                changes.iter().map(|change| (change.id.clone(), change.name.clone())).collect();
            let request = ImportRequest { changes, syntax, label: label.clone() };
            match self.registry.import(&self.actor, request).await {
                Ok(outcome) => {
                    total.published = total.published.saturating_add(outcome.imported.published);
                    total.removed = total.removed.saturating_add(outcome.imported.removed);
                    total.known = total.known.saturating_add(outcome.imported.known);
                    for (id, error) in outcome.refused {
                        total.refused_count = total.refused_count.saturating_add(1);
                        if total.refused.len() < LISTED_MAX {
                            let name = names.get(&id).map(ToString::to_string).unwrap_or_default();
                            total.refused.push((name, self.said(&error.into()).1));
                        }
                    }
                }
                Err(error) => {
                    total.stopped = Some(self.said(&error.into()).1);
                    return Ok(total);
                }
            }
        }
    }

    /// A failure, as the client sees it.
    fn said(&self, failure: &Failure) -> (ErrorCode, String) {
        let problem = failure.problem(self.id);
        let reasons: Vec<String> = std::iter::once(problem.detail).chain(problem.errors).collect();
        (problem.code, reasons.join("; "))
    }
}

/// Parses prompt files; invalid ones are rejected at once.
fn read_all(files: Vec<UploadedFile>, stop: &Cancellation) -> (Vec<ImportedFile>, Vec<PendingFile>) {
    let (mut rows, mut waiting) = (Vec::new(), Vec::new());
    let mut names: BTreeMap<PromptName, String> = BTreeMap::new();
    for UploadedFile { path, bytes, .. } in files {
        if stop.is_due() {
            let outcome = Outcome::Refused("reading the files took too long; send fewer of them at once".to_owned());
            rows.push(ImportedFile { path, name: None, outcome });
            continue;
        }
        let understood = understand(Path::new(&path), &bytes);
        let refused = match understood {
            Ok((name, written)) => match names.get(&name) {
                None => {
                    names.insert(name.clone(), path.clone());
                    waiting.push(PendingFile { path, name, written, refused: String::new() });
                    continue;
                }
                Some(other) => format!("same prompt name as {other}"),
            },
            Err(reason) => reason,
        };
        rows.push(ImportedFile { path, name: None, outcome: Outcome::Refused(refused) });
    }
    (rows, waiting)
}

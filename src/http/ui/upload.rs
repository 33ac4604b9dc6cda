//! File upload forms.
//!
//! Invariant: the session, the origin of the form and its token, which is the first part, are verified before anything
//! else is kept. The form has a size limit, a deadline, and a share of the body budget; so does each part.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use multer::{Constraints, Field, Multipart, SizeLimit};
use tokio::sync::OwnedSemaphorePermit;

use super::super::error::Failure;
use super::super::extract::{BODY_ARRIVES_S, DISCARD_TIME, Params, discard};
use super::super::request::RequestError;
use super::super::state::App;
use super::visitor::{SubmittedForm, check_origin, sender};
use crate::files::prompt::PROMPT_FILE_EXTENSION;

/// Largest upload form, in bytes.
const UPLOAD_BYTES_MAX: usize = 24 * 1024 * 1024;
/// Most files of one form.
const FILES_MAX: usize = 2_000;
/// Most parts of one form, including skipped files.
const PARTS_MAX: usize = 50_000;
/// Largest part that is not a file, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;
/// Most parts that are not files.
const TEXTS_MAX: usize = 16;
/// Longest path of a file, in bytes.
const PATH_BYTES_MAX: usize = 4_096;
/// The field whose file is accepted under any name.
pub(super) const HISTORY: &str = "history";
/// The field whose file is converted to a suite, under any name.
pub(super) const SUITE: &str = "suite";
/// The field whose files that one names.
pub(super) const BESIDE: &str = "beside";
/// The field whose files have the selected folder at the start of their path.
const FOLDER: &str = "folder";

/// An upload form sent in a valid session.
pub(super) struct Upload {
    /// All fields except the files.
    pub(super) sent: SubmittedForm,
    pub(super) files: Files,
    /// The form's share of the budget of bodies; it must live as long as the fields and files.
    pub(super) _share: OwnedSemaphorePermit,
}

/// The parts of an upload form.
struct UploadedForm {
    texts: Params,
    files: Files,
    share: OwnedSemaphorePermit,
}

/// The files of a form.
#[derive(Default)]
pub(super) struct Files {
    /// Prompt files by their path in the selected folder, and histories.
    pub(super) kept: Vec<UploadedFile>,
    /// Number of other files.
    pub(super) left_alone: usize,
}

/// One file.
pub(super) struct UploadedFile {
    /// Its field of the form.
    pub(super) field: String,
    pub(super) path: String,
    pub(super) bytes: Vec<u8>,
}

impl FromRequest<App> for Upload {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let sender = sender(app, &mut parts).await?;
        let form = read(app, &parts, body, &sender.session).await.map_err(IntoResponse::into_response)?;
        Ok(Self { sent: sender.of(form.texts, &parts), files: form.files, _share: form.share })
    }
}

async fn read(app: &App, parts: &Parts, body: Body, session: &str) -> Result<UploadedForm, Failure> {
    check_origin(&app.door, parts)?;
    let said = |name: header::HeaderName| parts.headers.get(name)?.to_str().ok();
    let announced = said(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|announced| announced > UPLOAD_BYTES_MAX) {
        discard(body).await;
        return Err(RequestError::BodyTooLarge { max: UPLOAD_BYTES_MAX }.into());
    }
    let boundary = multer::parse_boundary(said(header::CONTENT_TYPE).unwrap_or_default()).map_err(wrong)?;
    let limit = SizeLimit::new().whole_stream(UPLOAD_BYTES_MAX as u64);
    let constraints = Constraints::new().size_limit(limit);
    let mut multipart = Multipart::with_constraints(body.into_data_stream(), boundary, constraints);
    let slow = |_| RequestError::BodySlow { seconds: BODY_ARRIVES_S };
    let reading = tokio::time::timeout(Duration::from_secs(BODY_ARRIVES_S), take(app, &mut multipart, session));
    match reading.await.map_err(slow)? {
        Ok(taken) => Ok(taken),
        Err(failure) => {
            // Read to the end for a while, so that the browser reads the answer.
            let rest = async { while let Ok(Some(_)) = multipart.next_field().await {} };
            let _enough = tokio::time::timeout(DISCARD_TIME, rest).await;
            Err(failure)
        }
    }
}

/// Parses a form, part by part.
async fn take(app: &App, multipart: &mut Multipart<'static>, session: &str) -> Result<UploadedForm, Failure> {
    let mut share = Arc::clone(&app.bodies).try_acquire_many_owned(0).map_err(busy)?;
    let first = multipart.next_field().await.map_err(wrong)?.filter(|field| field.name() == Some("form"));
    let first = first.ok_or(RequestError::FormStale)?;
    let presented = text(app, first, &mut share).await?;
    if !app.sessions.is_form_token(session, &presented) {
        return Err(RequestError::FormStale.into());
    }
    let (mut texts, mut files, mut count) = (Vec::new(), Files::default(), 0);
    while let Some(field) = multipart.next_field().await.map_err(wrong)? {
        count += 1;
        let name: String = field.name().unwrap_or_default().chars().take(64).collect();
        let Some(path) = field.file_name().map(str::to_owned) else {
            if texts.len() >= TEXTS_MAX || texts.iter().any(|(found, _)| *found == name) {
                return Err(unfit("it has a field too many"));
            }
            texts.push((name, text(app, field, &mut share).await?));
            continue;
        };
        match place(&name, &path) {
            // No selection: browsers send a file without name and content.
            None if path.is_empty() => {}
            None => files.left_alone += 1,
            Some(_) if files.kept.len() >= FILES_MAX => {
                return Err(unfit(&format!("it has more than {FILES_MAX} prompt files; use `bookholder push`")));
            }
            Some(path) => {
                let bytes = bytes(app, field, UPLOAD_BYTES_MAX, &mut share).await?;
                files.kept.push(UploadedFile { field: name, path, bytes });
            }
        }
        if count > PARTS_MAX {
            return Err(unfit(&format!("it has more than {PARTS_MAX} files; use `bookholder push`")));
        }
    }
    Ok(UploadedForm { texts: Params::of(texts), files, share })
}

/// The path of a file in the selected folder; absent if it is skipped.
fn place(field: &str, path: &str) -> Option<String> {
    if path.is_empty() || path.len() > PATH_BYTES_MAX {
        return None;
    }
    if matches!(field, HISTORY | SUITE | BESIDE) {
        return Some(path.to_owned());
    }
    let inside = if field == FOLDER { path.split_once('/').map_or(path, |(_, inside)| inside) } else { path };
    let hidden = inside.split('/').any(|segment| segment.starts_with('.') && segment != "..");
    let prompt = inside.rsplit_once('.').is_some_and(|(_, extension)| extension == PROMPT_FILE_EXTENSION);
    (prompt && !hidden).then(|| inside.to_owned())
}

async fn text(app: &App, field: Field<'_>, share: &mut OwnedSemaphorePermit) -> Result<String, Failure> {
    let bytes = bytes(app, field, TEXT_BYTES_MAX, share).await?;
    String::from_utf8(bytes).map_err(|_| unfit("a field is not UTF-8"))
}

async fn bytes(
    app: &App,
    mut field: Field<'_>,
    max: usize,
    share: &mut OwnedSemaphorePermit,
) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(wrong)? {
        if bytes.len().saturating_add(chunk.len()) > max {
            return Err(RequestError::BodyTooLarge { max }.into());
        }
        let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        share.merge(Arc::clone(&app.bodies).try_acquire_many_owned(length).map_err(busy)?);
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

fn busy(_: tokio::sync::TryAcquireError) -> Failure {
    RequestError::Busy { what: "too many bodies", retry_after_s: 1 }.into()
}

fn unfit(reason: &str) -> Failure {
    RequestError::Upload { reason: reason.to_owned() }.into()
}

fn wrong(error: multer::Error) -> Failure {
    match error {
        multer::Error::StreamSizeExceeded { .. } => RequestError::BodyTooLarge { max: UPLOAD_BYTES_MAX }.into(),
        multer::Error::StreamReadFailed(_) => RequestError::BodyBroken.into(),
        error => unfit(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_in_the_chosen_folder() {
        for (field, path, expected) in [
            ("folder", "prompts/support/agent.prompt", Some("support/agent.prompt")),
            ("folder", "agent.prompt", Some("agent.prompt")),
            ("files", "agent.prompt", Some("agent.prompt")),
            ("folder", "prompts/../../x.prompt", Some("../../x.prompt")),
            ("folder", "prompts/.git/x.prompt", None),
            ("folder", "prompts/.prompt", None),
            ("folder", "prompts/README.md", None),
            ("files", "", None),
            ("history", "any.thing", Some("any.thing")),
            ("suite", "promptfooconfig.yaml", Some("promptfooconfig.yaml")),
            ("beside", "", None),
        ] {
            assert_eq!(place(field, path).as_deref(), expected, "{field} {path}");
        }
    }
}

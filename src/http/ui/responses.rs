//! Recorded responses: one, or those of a trace or a session in order.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{NoParams, Params, Segments, blocking, excerpt};
use super::super::request::RequestError;
use super::super::responses::readable;
use super::super::state::{App, Shared};
use super::html;
use super::visitor::{Visitor, redirect};
use crate::api::read::{DiffAnswer, VersionView};
use crate::api::telemetry::{ProducedBy, RecordedResponses};
use crate::ingest::{IngestError, Recorder};
use crate::model::reference::Selector;
use crate::resolve::{CatalogueView, ResolveError};
use crate::web::layout::{response_path, session_path};
use crate::web::pages::response::{self, ResponsePageData};
use crate::web::pages::responses::{self, Of};

/// What is looked up by an id.
type Look = fn(&Recorder, &str, &CatalogueView, bool) -> Result<Option<RecordedResponses>, IngestError>;

/// Leads to the response, trace or session with an id.
pub(super) async fn find(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let id = params.text("id").map(|id| id.trim().to_owned()).unwrap_or_default();
    params.finish(&["id"])?;
    let held = (app.clone(), visitor.clone(), id.clone());
    let is_session = blocking(move || {
        let (app, visitor, id) = held;
        let view = visitor.view(&app)?;
        let recorder = readable(&app)?;
        let found = recorder.response(&id, &view, false)?;
        Ok::<_, Failure>(found.is_none() && recorder.session(&id, &view, false)?.is_some())
    })
    .await??;
    Ok(redirect(&if is_session { session_path(&id) } else { response_path(&id) }))
}

/// Shows a response, or those of a trace.
pub(super) async fn response(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    _: NoParams,
) -> Result<Response, Failure> {
    let id = segments.text("id").to_owned();
    let held = app.clone();
    let show = move |_: &_| {
        let view = visitor.view(&app)?;
        let found = look(&app, &visitor, &view, "response or trace", &id, Recorder::response)?;
        let frame = visitor.frame(&app, &view);
        let RecordedResponses { responses, others } = found;
        let response = match <[_; 1]>::try_from(responses) {
            Ok([response]) => response,
            Err(several) => return Ok(responses::page(&frame, Of::Trace(&id), &several)),
        };
        let (version, changes) = match &response.version {
            Some(by) => version(&view, by)?,
            None => (None, None),
        };
        Ok::<_, Failure>(response::page(&frame, &ResponsePageData { response, others, version, changes }))
    };
    Ok(html(held.work.heavy(show).await??))
}

/// Shows the responses of a session.
pub(super) async fn session(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    _: NoParams,
) -> Result<Response, Failure> {
    let id = segments.text("id").to_owned();
    let held = app.clone();
    let show = move |_: &_| {
        let view = visitor.view(&app)?;
        let found = look(&app, &visitor, &view, "session", &id, Recorder::session)?;
        Ok::<_, Failure>(responses::page(&visitor.frame(&app, &view), Of::Session(&id), &found.responses))
    };
    Ok(html(held.work.heavy(show).await??))
}

fn look(
    app: &Shared,
    visitor: &Visitor,
    view: &CatalogueView,
    what: &str,
    id: &str,
    look: Look,
) -> Result<RecordedResponses, Failure> {
    let found = look(readable(app)?, id, view, visitor.seat().is_some())?;
    found.ok_or_else(|| RequestError::NoRecord { what: excerpt(&format!("{what} `{id}`")) }.into())
}

/// A version and what differs from the one before, as far as their contents are there.
fn version(view: &CatalogueView, by: &ProducedBy) -> Result<(Option<VersionView>, Option<DiffAnswer>), Failure> {
    let number = Selector::Version(by.version);
    let Some(version) = there(view.version(&by.prompt, &number))? else { return Ok((None, None)) };
    let changes = match by.version.checked_sub(1).filter(|before| *before > 0) {
        Some(before) => there(view.diff(&by.prompt, &Selector::Version(before), &number))?,
        None => None,
    };
    Ok((Some(version), changes))
}

/// What is found; nothing if it is gone.
fn there<T>(found: Result<T, ResolveError>) -> Result<Option<T>, Failure> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(
            ResolveError::VersionArchived { .. }
            | ResolveError::VersionNotFound { .. }
            | ResolveError::PromptNotFound { .. },
        ) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

//! Recorded responses: one, or those of a trace or a session in order.

use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value};

use super::super::error::Failure;
use super::super::evaluations::evaluations;
use super::super::extract::{NoParams, Params, Segments, blocking, excerpt};
use super::super::request::RequestError;
use super::super::responses::readable;
use super::super::state::{App, Shared};
use super::html;
use super::playground::{kept_case, typed_variables, values, wrong};
use super::visitor::{SubmittedForm, Visitor, field, redirect};
use crate::api::read::{DiffAnswer, VersionView};
use crate::api::telemetry::{ProducedBy, RecordedResponse, RecordedResponses};
use crate::evaluation::run::request;
use crate::ingest::{IngestError, Recorder};
use crate::model::content::{Content, Syntax};
use crate::model::principal::Permission;
use crate::model::reference::Selector;
use crate::model::suite::{Case, Suite};
use crate::resolve::{CatalogueView, ResolveError};
use crate::template::extract::{Extracted, extract};
use crate::web::form::FormValues;
use crate::web::layout::{query, response_path, session_path};
use crate::web::pages::gates::suite_path;
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
        let RecordedResponses { responses, others, truncated } = found;
        let response = match <[_; 1]>::try_from(responses) {
            Ok([response]) => response,
            Err(responses) => {
                let several = RecordedResponses { responses, others, truncated };
                return Ok(responses::page(&frame, Of::Trace(&id), &several));
            }
        };
        let (version, changes) = match &response.version {
            Some(by) => version(&view, by)?,
            None => (None, None),
        };
        Ok::<_, Failure>(response::page(&frame, &ResponsePageData { response, others, truncated, version, changes }))
    };
    Ok(html(held.work.heavy(show).await??))
}

/// Keeps what the user said before a response as a case of a suite.
pub(super) async fn keep(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (_, actor) = sent.writer(&app)?;
    let id = segments.text("id").to_owned();
    let mut case = kept_case(&mut sent)?;
    let suite = field(&mut sent.form, "suite")?.trim().to_owned();
    let (held, visitor) = (app.clone(), sent.visitor());
    let typed = typed_variables(&mut sent);
    sent.form.finish(&["form", "suite", "name", "contains", "expected"])?;
    case.metadata.insert("response".to_owned(), id.clone().into());
    let evaluations = evaluations(&app)?;
    let (here, by, of) = (evaluations.clone(), actor.clone(), suite.clone());
    let read = move || {
        let view = visitor.view(&held)?;
        let found = look(&held, &visitor, &view, "response", &id, Recorder::response)?;
        let Some(response) = found.responses.into_iter().find(|response| response.input.is_some()) else {
            return Err(RequestError::NoRecord { what: "recorded content".to_owned() }.into());
        };
        here.registry().may_look(&by, Permission::Suites)?;
        let of_suite = here.registry().suite(&of, None).map(|(_, suite)| suite.variables).unwrap_or_default();
        filled(&view, &response, &typed, of_suite, case)
    };
    let case = blocking(read).await??;
    evaluations.keep_case(&actor, suite.clone(), case).await?;
    Ok(redirect(&format!("{}{}", suite_path(&suite), query(&[("done", "kept")]))))
}

/// A case with what was said before a response, and the values of the variables of its version; one that a run can ask.
fn filled(
    view: &CatalogueView,
    response: &RecordedResponse,
    typed: &FormValues,
    of_suite: Map<String, Value>,
    mut case: Case,
) -> Result<Case, Failure> {
    let sent = response.input.as_ref().and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let version = match &response.version {
        Some(by) => there(view.version(&by.prompt, &Selector::Version(by.version)))?,
        None => None,
    };
    let content = version.map_or_else(|| Content::text(Syntax::Plain, ""), |version| version.content);
    // The run renders the prompt's own messages again.
    let Extracted { placeholders, messages, .. } = extract(&content, sent);
    (case.placeholders, case.messages) = (placeholders, messages);
    case.variables = values(&content, typed);
    let suite = Suite { variables: of_suite, ..Suite::default() };
    match request(&content, &suite, &case) {
        Ok(_) => Ok(case),
        Err(error) => Err(wrong("var", &format!("{error}; fill in the fields of the variables"))),
    }
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
        Ok::<_, Failure>(responses::page(&visitor.frame(&app, &view), Of::Session(&id), &found))
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

//! Suites and runs, and the forms that start and cancel them.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::super::error::Failure;
use super::super::evaluations::evaluations;
use super::super::extract::{NoParams, Params, Segments, blocking};
use super::super::state::App;
use super::visitor::{SubmittedForm, Visitor, field, redirect};
use super::{html, said};
use crate::api::evaluations::{StartRunRequest, SuiteView};
use crate::model::evaluation::{CaseVerdict, RunState};
use crate::model::name::PromptName;
use crate::web::layout::query;
use crate::web::pages::evaluations::{self as pages, Overview, ResultFilter, run_path};

/// Runs on the page of all evaluations.
const RUNS: usize = 50;
/// Results on the page of a run.
const RESULTS: usize = 100;
/// How often the page of a run that is not over is loaded again, in seconds.
const REFRESH_S: &str = "2";

/// Lists runs and suites.
pub(super) async fn list(State(app): State<App>, visitor: Visitor, _: NoParams) -> Result<Response, Failure> {
    let evaluations = evaluations(&app)?;
    let work = move || -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        let runs = evaluations.runs(view.scope(), None, None, None, RUNS)?.items;
        let sees_suites = view.scope().reads_everything();
        let suites = sees_suites.then(|| evaluations.registry().suites()).transpose()?;
        let has_providers = !evaluations.providers().is_empty();
        let overview = Overview { runs: &runs, suites: suites.as_deref(), has_providers };
        Ok(pages::list(&visitor.frame(&app, &view), &overview))
    };
    Ok(html(blocking(work).await??))
}

/// Shows one run; it is loaded again until the run is over.
pub(super) async fn run(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let (id, evaluations) = (segments.number("id")?, evaluations(&app)?);
    let wanted = params.text("verdict");
    let from = params.text("from").and_then(|from| from.parse().ok()).unwrap_or_default();
    let done = said(params.text("done"), &[("started", "The run was started."), ("canceled", "The run was canceled.")]);
    let work = move || -> Result<(String, bool), Failure> {
        let view = visitor.view(&app)?;
        let run = evaluations.run(view.scope(), id)?;
        let verdict = match wanted.as_deref() {
            Some("all") => None,
            Some(verdict) => verdict.parse::<CaseVerdict>().ok(),
            None if run.summary.failed > 0 => Some(CaseVerdict::Failed),
            None if run.summary.errors > 0 => Some(CaseVerdict::Error),
            None => None,
        };
        let results = evaluations.results(view.scope(), id, (from, RESULTS), verdict, None)?;
        let filter = ResultFilter { verdict, from };
        let page = pages::run(&visitor.frame(&app, &view), &run, &results, filter, done);
        Ok((page, matches!(run.state, RunState::Queued | RunState::Running)))
    };
    let (page, goes_on) = blocking(work).await??;
    let mut response = html(page);
    if goes_on {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static(REFRESH_S));
    }
    Ok(response)
}

/// Cancels a run.
pub(super) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (_, actor) = sent.writer(&app)?;
    let (id, _) = (segments.number("id")?, field(&mut sent.form, "act")?);
    sent.form.finish(&["form", "act"])?;
    evaluations(&app)?.cancel(&actor, sent.seat.scope(), id).await?;
    Ok(redirect(&format!("{}{}", run_path(id), query(&[("done", "canceled")]))))
}

/// Shows one suite.
pub(super) async fn suite(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let (name, evaluations) = (segments.text("name").to_owned(), evaluations(&app)?);
    let number = params.text("version").and_then(|number| number.parse().ok());
    let work = move || -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        view.scope().check_everything("suites")?;
        let (version, suite) = evaluations.registry().suite(&name, number)?;
        let versions = evaluations.registry().suite_versions(&name)?;
        Ok(pages::suite(&visitor.frame(&app, &view), &SuiteView { version, suite }, &versions, None))
    };
    Ok(html(blocking(work).await??))
}

/// Starts a run of a suite.
pub(super) async fn start(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (_, actor) = sent.writer(&app)?;
    let reference = field(&mut sent.form, "prompt")?;
    let against = field(&mut sent.form, "against")?;
    sent.form.finish(&["form", "prompt", "against"])?;
    let (name, at) = match reference.trim().split_once('@') {
        Some((name, at)) => (name.to_owned(), Some(format!("@{at}"))),
        None => (reference.trim().to_owned(), None),
    };
    let prompt: PromptName = name.parse()?;
    let request = StartRunRequest {
        prompt,
        at,
        content: None,
        suite: segments.text("name").to_owned(),
        suite_version: None,
        against: Some(against.trim().to_owned()).filter(|against| !against.is_empty()),
        models: Vec::new(),
        tags: Vec::new(),
        repeats: None,
        budget: None,
        no_cache: false,
        when_passed: None,
        message: String::new(),
    };
    let run = evaluations(&app)?.start(&actor, sent.seat.scope(), request).await?;
    Ok(redirect(&format!("{}{}", run_path(run.id), query(&[("done", "started")]))))
}

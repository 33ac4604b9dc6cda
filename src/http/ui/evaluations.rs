//! Suites and runs: their pages and reports, and the forms that cancel runs and label answers.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::str::FromStr;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use tokio::sync::Semaphore;

use super::super::download::send;
use super::super::error::Failure;
use super::super::evaluations::evaluations;
use super::super::extract::{NoParams, Params, Segments, blocking};
use super::super::request::RequestError;
use super::super::rule_sets::claim;
use super::super::state::App;
use super::visitor::{SubmittedForm, Visitor, field, redirect};
use super::{html, said};
use crate::api::evaluations::{LabelRequest, PlacedResult, RESULTS_PAGE_MAX, SuiteView};
use crate::clock::Cancellation;
use crate::evaluation::report;
use crate::model::evaluation::{CaseVerdict, RunState};
use crate::model::principal::Permission;
use crate::web::layout::query;
use crate::web::pages::evaluations::{self as pages, Overview, ResultFilter, RunView, SuitePage};
use crate::web::pages::gates::run_path;

/// Reports that are written at once.
static REPORTS: Semaphore = Semaphore::const_new(2);
/// The confirmation of the page of a run, by the word in its URL.
const DONE: [(&str, &str); 3] = [
    ("started", "The run was started."),
    ("canceled", "The run was canceled."),
    ("labeled", "Your verdict was stored."),
];
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
        let providers = evaluations.providers();
        let changes = visitor
            .signed()
            .is_some_and(|actor| sees_suites && evaluations.registry().may_look(actor, Permission::Suites).is_ok());
        let overview = Overview { runs: &runs, suites: suites.as_deref(), changes, providers: &providers };
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
    let done = said(params.text("done"), &DONE);
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
        let registry = evaluations.registry();
        let labels = visitor.signed().is_some_and(|actor| registry.may_run(actor, &run.candidate.prompt).is_ok());
        let page = pages::run(&visitor.frame(&app, &view), &run, &results, &RunView { filter, labels, done });
        Ok((page, matches!(run.state, RunState::Queued | RunState::Running)))
    };
    let (page, goes_on) = blocking(work).await??;
    let mut response = html(page);
    if goes_on {
        response.headers_mut().insert(header::REFRESH, HeaderValue::from_static(REFRESH_S));
    }
    Ok(response)
}

/// Cancels a run, or stores what a person says about an answer.
pub(super) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (_, actor) = sent.writer(&app)?;
    let (id, act) = (segments.number("id")?, field(&mut sent.form, "act")?);
    let evaluations = evaluations(&app)?;
    let passed = match act.as_str() {
        "passed" => true,
        "failed" => false,
        _ => {
            sent.form.finish(&["form", "act"])?;
            evaluations.cancel(&actor, sent.seat.scope(), id).await?;
            return Ok(redirect(&format!("{}{}", run_path(id), query(&[("done", "canceled")]))));
        }
    };
    let (place, scorer) = (sent.form.require::<u32>("place")?, sent.form.get("scorer")?);
    let (verdict, from) = (sent.form.text("verdict"), sent.form.text("from"));
    sent.form.finish(&["form", "act", "place", "scorer", "verdict", "from"])?;
    evaluations.label(&actor, sent.seat.scope(), (id, place), LabelRequest { passed, scorer }).await?;
    let shown = [
        ("verdict", verdict.as_deref().unwrap_or_default()),
        ("from", from.as_deref().unwrap_or_default()),
        ("done", "labeled"),
    ];
    Ok(redirect(&format!("{}{}#result-{place}", run_path(id), query(&shown))))
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
    let said_of = [("saved", "Saved. Runs from now on use this version."), ("kept", "Kept as a case.")];
    let done = said(params.text("done"), &said_of);
    let work = move || -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        view.scope().check_everything("suites")?;
        let (version, suite) = evaluations.registry().suite(&name, number)?;
        let registry = evaluations.registry();
        let versions = registry.suite_versions(&name)?;
        let calibration = evaluations.calibration(&name)?;
        let changes = visitor.signed().is_some_and(|actor| registry.may_look(actor, Permission::Suites).is_ok());
        let suite = SuiteView { version, suite };
        let shown = SuitePage { suite: &suite, versions: &versions, calibration: &calibration, changes, done };
        Ok(pages::suite(&visitor.frame(&app, &view), &shown))
    };
    Ok(html(blocking(work).await??))
}

/// What a run is downloaded as.
#[derive(Clone, Copy)]
enum ReportFormat {
    Html,
    Junit,
    Json,
    Markdown,
}

impl ReportFormat {
    const fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Html => ("run.html", "text/html; charset=utf-8"),
            Self::Junit => ("run.xml", "application/xml"),
            Self::Json => ("run.json", "application/json"),
            Self::Markdown => ("run.md", "text/markdown; charset=utf-8"),
        }
    }
}

impl FromStr for ReportFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text {
            "html" => Ok(Self::Html),
            "junit" => Ok(Self::Junit),
            "json" => Ok(Self::Json),
            "markdown" => Ok(Self::Markdown),
            _ => Err("use html, junit, json or markdown"),
        }
    }
}

/// Sends a run with its results as a file.
pub(super) async fn report(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let (id, held, evaluations) = (segments.number("id")?, app.clone(), evaluations(&app)?);
    let format = params.get("format")?.unwrap_or(ReportFormat::Html);
    params.finish(&["format"])?;
    let permit = claim(&REPORTS, "too many reports")?;
    let work = move |_: &Cancellation| -> Result<File, Failure> {
        let scope = visitor.view(&app)?.scope().clone();
        let run = evaluations.run(&scope, id)?;
        let (mut from, mut page, mut failed) = (Some(0), Vec::new().into_iter(), None);
        let results = std::iter::from_fn(|| {
            loop {
                if let Some(PlacedResult { result, .. }) = page.next() {
                    return Some(result);
                }
                match evaluations.results(&scope, id, (from?, RESULTS_PAGE_MAX), None, None) {
                    Ok(next) => (page, from) = (next.items.into_iter(), next.next),
                    Err(error) => {
                        failed = Some(error);
                        return None;
                    }
                }
            }
        });
        let unwritten = |source| Failure::from(RequestError::File { what: "a temporary file", source });
        let mut out = BufWriter::new(tempfile::tempfile_in(evaluations.directory()).map_err(unwritten)?);
        let written = match format {
            ReportFormat::Html => report::html(&run, results, &mut out),
            ReportFormat::Junit => report::junit(&run, results, &mut out),
            ReportFormat::Json => report::json(&run, results, &mut out),
            ReportFormat::Markdown => out.write_all(report::markdown(&run, results, None).as_bytes()),
        };
        written.map_err(unwritten)?;
        if let Some(error) = failed {
            return Err(error.into());
        }
        out.into_inner().map_err(|error| unwritten(error.into_error()))
    };
    let file = held.work.heavy(work).await??;
    let (name, media) = format.file();
    send(file, name, media, permit).await
}

//! Suites, runs and gates over HTTP. Runs are run by the node; clients start them and look.

use axum::Json as Said;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use super::auth::{Reader, Writer};
use super::error::Failure;
use super::extract::{IMPORT_BODY_BYTES_MAX, Json, NoParams, Params, Segments, SerializedAnswer, blocking};
use super::request::RequestError;
use super::state::{App, Shared};
use crate::api::evaluations::{
    ImportRunRequest, LabelRequest, ProviderView, PushSuiteRequest, RESULTS_PAGE_MAX, ResultsPage, RunsPage,
    StartRunRequest, SuiteView,
};
use crate::api::limits::{PAGE_ROWS_DEFAULT, PAGE_ROWS_MAX};
use crate::evaluate::{EvaluationError, Evaluations};
use crate::model::calibration::{Calibration, HumanLabel};
use crate::model::evaluation::{CaseVerdict, GateResult, Run, Side};
use crate::model::handle::Handle;
use crate::model::name::PromptName;
use crate::model::reference::Selector;
use crate::model::suite::SuiteVersion;
use crate::resolve::ReadScope;

/// The evaluations of this node.
pub(super) fn evaluations(app: &Shared) -> Result<Evaluations, Failure> {
    if app.registry.is_none() {
        return Err(RequestError::Replica { what: "evaluations", upstream: app.upstream.clone() }.into());
    }
    app.evaluations.clone().ok_or_else(|| EvaluationError::Off.into())
}

/// Suites can have texts of any prompt: only those who can read every prompt see them.
fn check_suites(scope: &ReadScope) -> Result<(), Failure> {
    Ok(scope.check_everything("suites")?)
}

/// Lists the suites: the latest version of each, by name. Only for callers who can read every prompt.
#[utoipa::path(get, path = "/v1/suites", operation_id = "list_suites", tag = "evaluations", security((), ("token" = [])), responses((status = 200, body = Vec<SuiteVersion>)))]
pub(super) async fn suites(
    State(app): State<App>,
    reader: Reader,
    _: NoParams,
) -> Result<Said<Vec<SuiteVersion>>, Failure> {
    check_suites(&reader.scope())?;
    let evaluations = evaluations(&app)?;
    Ok(Said(blocking(move || evaluations.registry().suites()).await??))
}

/// Returns a suite with its cases: the latest version, or another one.
#[utoipa::path(
    get, path = "/v1/suites/{name}", operation_id = "get_suite", tag = "evaluations", security((), ("token" = [])),
    params(
        ("name" = Handle, Path, description = "The name of the suite.", example = "regress"),
        ("version" = Option<u64>, Query, description = "The number of the version.", minimum = 1, example = 3),
    ),
    responses((status = 200, body = SuiteView)),
)]
pub(super) async fn suite(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    mut params: Params,
) -> Result<SerializedAnswer, Failure> {
    let (name, number) = (segments.text("name").to_owned(), params.number("version")?);
    params.finish(&["version"])?;
    check_suites(&reader.scope())?;
    let evaluations = evaluations(&app)?;
    let view = move |_: &_| {
        let (version, suite) = evaluations.registry().suite(&name, number)?;
        Ok::<_, Failure>(SuiteView { version, suite })
    };
    app.work.heavy_json(view).await
}

/// Lists the versions of a suite, newest first.
#[utoipa::path(
    get, path = "/v1/suites/{name}/versions", operation_id = "list_suite_versions", tag = "evaluations", security((), ("token" = [])),
    params(("name" = Handle, Path, description = "The name of the suite.", example = "regress")),
    responses((status = 200, body = Vec<SuiteVersion>)),
)]
pub(super) async fn suite_versions(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Vec<SuiteVersion>>, Failure> {
    let name = segments.text("name").to_owned();
    check_suites(&reader.scope())?;
    let evaluations = evaluations(&app)?;
    Ok(Said(blocking(move || evaluations.registry().suite_versions(&name)).await??))
}

/// Pushes a suite as a new version. Pushing what is the latest version already creates none.
#[utoipa::path(
    put, path = "/v1/suites/{name}", operation_id = "push_suite", tag = "evaluations",
    params(("name" = Handle, Path, description = "The name of the suite.", example = "regress")),
    request_body(content = PushSuiteRequest, example = json!({"suite": {"models": ["openai:gpt-5-mini"], "scorers": [{"type": "not-contains", "value": "As an AI"}], "cases": [{"name": "refund", "variables": {"question": "Can I get a refund?"}, "scorers": [{"type": "icontains", "value": "30 days"}], "must_pass": true}]}, "message": "Add the refund case"})),
    responses((status = 201, description = "A version was created.", body = SuiteVersion), (status = 200, description = "It is the latest version already.", body = SuiteVersion)),
)]
pub(super) async fn push_suite(
    State(app): State<App>,
    writer: Writer,
    segments: Segments,
    _: NoParams,
    Json(request): Json<PushSuiteRequest, IMPORT_BODY_BYTES_MAX>,
) -> Result<Response, Failure> {
    evaluations(&app)?;
    let (name, PushSuiteRequest { suite, message }) = (segments.text("name").to_owned(), request);
    let (version, is_new) = writer.registry.push_suite(&writer.actor, name, suite, &message, None).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Said(version)).into_response())
}

/// Removes a suite with all its versions. Runs and what their gates decided stay.
#[utoipa::path(
    delete, path = "/v1/suites/{name}", operation_id = "delete_suite", tag = "evaluations",
    params(("name" = Handle, Path, description = "The name of the suite.", example = "regress")),
    responses((status = 204, description = "It was removed.")),
)]
pub(super) async fn remove_suite(writer: Writer, segments: Segments, _: NoParams) -> Result<StatusCode, Failure> {
    writer.registry.remove_suite(&writer.actor, segments.text("name").to_owned()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a run of a suite. It is run by the node: look at it with `get_run`. With `when_passed` a change request is
/// opened, which deploys the version as soon as the gate passed and everything else is met.
#[utoipa::path(
    post, path = "/v1/runs", operation_id = "start_run", tag = "evaluations",
    request_body(content = StartRunRequest, example = json!({"prompt": "support/agent", "at": "@staging", "suite": "regress", "against": "@production"})),
    responses((status = 201, body = Run)),
)]
pub(super) async fn start_run(
    State(app): State<App>,
    writer: Writer,
    reader: Reader,
    _: NoParams,
    Json(request): Json<StartRunRequest>,
) -> Result<(StatusCode, Said<Run>), Failure> {
    let run = evaluations(&app)?.start(&writer.actor, &reader.scope(), request).await?;
    Ok((StatusCode::CREATED, Said(run)))
}

/// Stores results that another tool produced as a run, and decides its gate. Each case of the suite needs a result.
#[utoipa::path(
    post, path = "/v1/runs/import", operation_id = "import_run", tag = "evaluations",
    request_body(content = ImportRunRequest, example = json!({"prompt": "support/agent", "at": "@staging", "suite": "regress", "tool": "promptfoo 0.123.1", "results": [{"case": "refund", "model": "openai:gpt-5-mini", "repeat": 0, "verdict": "passed", "score": 1.0}]})),
    responses((status = 201, body = Run)),
)]
pub(super) async fn import_run(
    State(app): State<App>,
    writer: Writer,
    reader: Reader,
    _: NoParams,
    Json(request): Json<ImportRunRequest, IMPORT_BODY_BYTES_MAX>,
) -> Result<(StatusCode, Said<Run>), Failure> {
    let run = evaluations(&app)?.import(&writer.actor, &reader.scope(), request).await?;
    Ok((StatusCode::CREATED, Said(run)))
}

/// Lists runs, newest first: those of prompts that the caller can read.
#[utoipa::path(
    get, path = "/v1/runs", operation_id = "list_runs", tag = "evaluations", security((), ("token" = [])),
    params(
        ("prompt" = Option<PromptName>, Query, description = "Only runs of this prompt.", example = "support/agent"),
        ("suite" = Option<String>, Query, description = "Only runs of this suite.", example = "regress"),
        ("before" = Option<u64>, Query, description = "Only runs with lower numbers: `next` of the previous page.", minimum = 0, example = 120),
        ("limit" = Option<u32>, Query, description = "Rows of a page.", minimum = 1, maximum = 1000, example = 20),
    ),
    responses((status = 200, body = RunsPage)),
)]
pub(super) async fn runs(
    State(app): State<App>,
    reader: Reader,
    mut params: Params,
) -> Result<Said<RunsPage>, Failure> {
    let prompt: Option<PromptName> = params.get("prompt")?;
    let (suite, before) = (params.text("suite"), params.number("before")?);
    let limit = limit(&mut params, PAGE_ROWS_MAX)?;
    params.finish(&["prompt", "suite", "before", "limit"])?;
    let (evaluations, scope) = (evaluations(&app)?, reader.scope());
    let page = move || evaluations.runs(&scope, prompt.as_ref(), suite.as_deref(), before, limit);
    Ok(Said(blocking(page).await??))
}

/// Returns one run: its counts so far, and when it is over its comparison and verdict.
#[utoipa::path(
    get, path = "/v1/runs/{id}", operation_id = "get_run", tag = "evaluations", security((), ("token" = [])),
    params(("id" = u64, Path, description = "The number.", minimum = 1, example = 12)),
    responses((status = 200, body = Run)),
)]
pub(super) async fn run(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Run>, Failure> {
    let (id, evaluations, scope) = (segments.number("id")?, evaluations(&app)?, reader.scope());
    Ok(Said(blocking(move || evaluations.run(&scope, id)).await??))
}

/// Lists results of a run in the order of its suite.
#[utoipa::path(
    get, path = "/v1/runs/{id}/results", operation_id = "list_run_results", tag = "evaluations", security((), ("token" = [])),
    params(
        ("id" = u64, Path, description = "The number.", minimum = 1, example = 12),
        ("verdict" = Option<CaseVerdict>, Query, description = "Only these: `passed`, `failed` or `error`.", example = "failed"),
        ("side" = Option<Side>, Query, description = "Only those of the `candidate` or the `baseline`.", example = "candidate"),
        ("from" = Option<u32>, Query, description = "From this place on: `next` of the previous page.", minimum = 0, example = 0),
        ("limit" = Option<u32>, Query, description = "Rows of a page.", minimum = 1, maximum = 1000, example = 100),
    ),
    responses((status = 200, body = ResultsPage)),
)]
pub(super) async fn results(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    mut params: Params,
) -> Result<SerializedAnswer, Failure> {
    let id = segments.number("id")?;
    let (verdict, side): (Option<CaseVerdict>, Option<Side>) = (params.get("verdict")?, params.get("side")?);
    let from: u32 = params.get("from")?.unwrap_or_default();
    let limit = limit(&mut params, RESULTS_PAGE_MAX)?;
    params.finish(&["verdict", "side", "from", "limit"])?;
    let (evaluations, scope) = (evaluations(&app)?, reader.scope());
    app.work.heavy_json(move |_| evaluations.results(&scope, id, (from, limit), verdict, side)).await
}

/// Stores what a person says about an answer that a judge scored. With some of them, the calibration of the judge says
/// whether its verdicts can be relied on. Saying it again replaces what was said before.
#[utoipa::path(
    put, path = "/v1/runs/{id}/results/{place}/label", operation_id = "label_result", tag = "evaluations",
    params(
        ("id" = u64, Path, description = "The number of the run.", minimum = 1, example = 12),
        ("place" = u32, Path, description = "The place of the result in the run.", minimum = 0, example = 4),
    ),
    request_body(content = LabelRequest, example = json!({"passed": false})),
    responses((status = 200, body = HumanLabel)),
)]
pub(super) async fn label_result(
    State(app): State<App>,
    writer: Writer,
    reader: Reader,
    segments: Segments,
    _: NoParams,
    Json(request): Json<LabelRequest>,
) -> Result<Said<HumanLabel>, Failure> {
    // No run has a place that is larger.
    let place = (segments.number("id")?, u32::try_from(segments.number("place")?).unwrap_or(u32::MAX));
    Ok(Said(evaluations(&app)?.label(&writer.actor, &reader.scope(), place, request).await?))
}

/// Returns how far the judges of a suite agree with people: Cohen's kappa for each, and why it should not be relied on.
#[utoipa::path(
    get, path = "/v1/suites/{name}/calibration", operation_id = "get_calibration", tag = "evaluations", security((), ("token" = [])),
    params(("name" = Handle, Path, description = "The name of the suite.", example = "regress")),
    responses((status = 200, body = Vec<Calibration>)),
)]
pub(super) async fn calibration(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Vec<Calibration>>, Failure> {
    let name = segments.text("name").to_owned();
    check_suites(&reader.scope())?;
    let evaluations = evaluations(&app)?;
    Ok(Said(blocking(move || evaluations.calibration(&name)).await??))
}

/// Cancels a run. Its results stay; its gate decides nothing.
#[utoipa::path(
    post, path = "/v1/runs/{id}/cancellation", operation_id = "cancel_run", tag = "evaluations",
    params(("id" = u64, Path, description = "The number.", minimum = 1, example = 12)),
    responses((status = 200, body = Run)),
)]
pub(super) async fn cancel_run(
    State(app): State<App>,
    writer: Writer,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Run>, Failure> {
    let id = segments.number("id")?;
    Ok(Said(evaluations(&app)?.cancel(&writer.actor, &reader.scope(), id).await?))
}

/// Lists what runs decided about the content of a version, by suite.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/versions/{version}/gates", operation_id = "list_gates", tag = "evaluations", security((), ("token" = [])),
    params(
        ("name" = PromptName, Path, description = "The prompt.", example = "support/agent"),
        ("version" = u64, Path, description = "The version.", minimum = 1, example = 7),
    ),
    responses((status = 200, body = Vec<GateResult>)),
)]
pub(super) async fn gates(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
) -> Result<Said<Vec<GateResult>>, Failure> {
    let name: PromptName = segments.get("name")?;
    let number = segments.number("version")?;
    let (evaluations, held) = (evaluations(&app)?, app.clone());
    let gates = move || {
        let view = held.catalogue.as_reader(&reader.scope())?;
        let version = view.version(&name, &Selector::Version(number))?;
        let mut gates = evaluations.registry().gates_of(&version.version.content_id)?;
        for gate in &mut gates {
            gate.upstream.retain(|one, _| view.scope().reads(one.as_str()));
        }
        Ok::<_, Failure>(gates)
    };
    Ok(Said(blocking(gates).await??))
}

/// Lists the providers of models that the settings of the primary name; keys are never shown.
#[utoipa::path(get, path = "/v1/providers", operation_id = "list_providers", tag = "evaluations", responses((status = 200, body = Vec<ProviderView>)))]
pub(super) async fn providers(
    State(app): State<App>,
    _: Writer,
    _: NoParams,
) -> Result<Said<Vec<ProviderView>>, Failure> {
    Ok(Said(evaluations(&app)?.providers()))
}

fn limit(params: &mut Params, max: usize) -> Result<usize, Failure> {
    let limit = params.get::<usize>("limit")?.unwrap_or(PAGE_ROWS_DEFAULT);
    if (1..=max).contains(&limit) { Ok(limit) } else { Err(RequestError::PageSize { limit }.into()) }
}

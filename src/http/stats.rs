//! What was counted of the responses of models: of one prompt, and of all.

use axum::extract::State;

use super::auth::Reader;
use super::error::Failure;
use super::extract::{Params, Segments, SerializedAnswer};
use super::request::RequestError;
use super::state::{App, Shared};
use super::telemetry::recorder;
use crate::api::stats::{PromptStats, StatsBy, USAGE_PROMPTS_DEFAULT, USAGE_PROMPTS_MAX, UsageStats};
use crate::ingest::Recorder;
use crate::ingest::stats::{PERIOD_DEFAULT, StatsError, plan, prompt_stats, usage_stats};
use crate::model::name::PromptName;
use crate::model::since::Since;

/// What a replica does not know: it sends what applications report to its primary.
pub(super) fn counted(app: &Shared) -> Result<&Recorder, Failure> {
    if app.registry.is_none() {
        return Err(RequestError::Replica { what: "reading statistics", upstream: app.upstream.clone() }.into());
    }
    recorder(app)
}

/// The start and the end of the period of a request, as they are written.
fn period(params: &mut Params) -> Result<(Since, Option<Since>), Failure> {
    let since = params.get("since")?.unwrap_or(PERIOD_DEFAULT);
    Ok((since, params.get("until")?))
}

/// Returns what was counted for one prompt: calls, cost, latency, tokens, errors and scores, in total, by group, and
/// over time.
///
/// A period of up to 3 hours is in minutes, one of up to 8 days in hours, longer ones in days; minutes are kept for 2
/// days, hours for 90, days for 5 years.
#[utoipa::path(
    get, path = "/v1/prompts/{name}/stats", operation_id = "get_prompt_stats", tag = "telemetry",
    security((), ("token" = [])),
    params(
        ("name" = PromptName, Path, description = "The prompt's name; its slashes can be written as they are, or as \
            `%2F`.", example = "support/agent"),
        ("by" = Option<String>, Query, description = "What the groups differ in: `version`, `model`, `label`, `arm` or \
            `environment`; version by default.", pattern = "^(version|model|label|arm|environment)$"),
        ("since" = Option<Since>, Query, description = "The start of the period: how long ago, such as `7d` or `24h`, \
            or when, such as `2026-03-20` or `2026-03-20T15:00:00Z`; a week ago by default.", example = "7d"),
        ("until" = Option<Since>, Query, description = "The end of the period, written like its start: a time, or a day that is part of it; now by default."),
    ),
    responses((status = 200, body = PromptStats)),
)]
pub(super) async fn prompt(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    mut params: Params,
) -> Result<SerializedAnswer, Failure> {
    let name: PromptName = segments.get("name")?;
    let by: StatsBy = params.get("by")?.unwrap_or_default();
    let (since, until) = period(&mut params)?;
    params.finish(&["by", "since", "until"])?;
    let (recorder, scope) = (counted(&app)?.clone(), reader.scope());
    let plan = plan(since, until, recorder.retention(), recorder.now_ms())?;
    let held = app.clone();
    let work = move |stop: &_| {
        let view = app.catalogue.as_reader(&scope).map_err(Failure::from)?;
        prompt_stats(recorder.store(), &view, &name, by, &plan, recorder.now_ms(), stop).map_err(Failure::from)
    };
    held.work.heavy_json(work).await
}

/// Returns what was counted for all prompts that the caller can read: spend, calls and errors, in total and by prompt,
/// the most expensive first.
#[utoipa::path(
    get, path = "/v1/stats", operation_id = "get_stats", tag = "telemetry", security((), ("token" = [])),
    params(
        ("since" = Option<Since>, Query, description = "The start of the period: how long ago, such as `7d` or `24h`, \
            or when, such as `2026-03-20` or `2026-03-20T15:00:00Z`; a week ago by default.", example = "30d"),
        ("until" = Option<Since>, Query, description = "The end of the period, written like its start: a time, or a day that is part of it; now by default."),
        ("limit" = Option<u32>, Query, description = "Prompts in the answer.", minimum = 1, maximum = 1000),
    ),
    responses((status = 200, body = UsageStats)),
)]
pub(super) async fn all(
    State(app): State<App>,
    reader: Reader,
    mut params: Params,
) -> Result<SerializedAnswer, Failure> {
    let (since, until) = period(&mut params)?;
    let limit =
        params.number("limit")?.map_or(USAGE_PROMPTS_DEFAULT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    params.finish(&["since", "until", "limit"])?;
    if !(1..=USAGE_PROMPTS_MAX).contains(&limit) {
        let reason = format!("use 1 to {USAGE_PROMPTS_MAX}");
        return Err(RequestError::Parameter { name: "limit", reason }.into());
    }
    let (recorder, scope) = (counted(&app)?.clone(), reader.scope());
    let plan = plan(since, until, recorder.retention(), recorder.now_ms())?;
    let held = app.clone();
    let work = move |stop: &_| {
        let view = app.catalogue.as_reader(&scope).map_err(Failure::from)?;
        let (book, now_ms) = (recorder.price_book(), recorder.now_ms());
        let (usage, _) = usage_stats(recorder.store(), &view, &book, &plan, limit, now_ms, stop)?;
        Ok::<_, Failure>(usage)
    };
    held.work.heavy_json(work).await
}

impl From<StatsError> for Failure {
    fn from(error: StatsError) -> Self {
        match error {
            StatsError::Period { .. } => RequestError::Unfit { reason: error.to_string() }.into(),
            StatsError::Resolve(error) => error.into(),
            StatsError::Telemetry(error) => crate::ingest::IngestError::from(error).into(),
        }
    }
}

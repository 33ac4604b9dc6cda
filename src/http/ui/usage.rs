//! What all prompts use, and what one prompt does.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::Params;
use super::super::state::{App, Shared};
use super::super::stats::counted;
use super::html;
use super::visitor::Visitor;
use crate::api::stats::StatsBy;
use crate::clock::Cancellation;
use crate::ingest::stats::{PERIOD_DEFAULT, plan, prompt_stats, usage_stats};
use crate::model::name::PromptName;
use crate::model::since::Since;
use crate::resolve::{CatalogueView, ResolveError};
use crate::store::StoreError;
use crate::web::pages::in_use::InUse;
use crate::web::pages::usage::{PROMPTS_SHOWN, UNUSED_SHOWN, UsagePageData, page};

/// Shows what was counted in a period.
pub(super) async fn usage(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let since: Since = params.get("since")?.unwrap_or(PERIOD_DEFAULT);
    params.finish(&["since"])?;
    let held = app.clone();
    let work = move |stop: &Cancellation| -> Result<String, Failure> {
        let view = visitor.view(&app)?;
        let recorder = counted(&app)?;
        let now_ms = recorder.now_ms();
        let plan = plan(since, None, recorder.retention(), now_ms)?;
        let (usage, called) =
            usage_stats(recorder.store(), &view, &recorder.price_book(), &plan, PROMPTS_SHOWN, now_ms, stop)?;
        let (unused, more_unused) = unused(&view, &called, stop)?;
        let data = UsagePageData { since: since.to_string(), usage, unused, more_unused };
        Ok(page(&visitor.frame(&app, &view), &data))
    };
    Ok(html(held.work.heavy(work).await??))
}

/// The first prompts without calls, and how many more there are.
fn unused(
    view: &CatalogueView,
    called: &BTreeSet<PromptName>,
    stop: &Cancellation,
) -> Result<(Vec<PromptName>, usize), ResolveError> {
    let (mut unused, mut more, mut is_late) = (Vec::new(), 0_usize, false);
    view.visit_names(|name| {
        is_late = stop.is_due();
        if is_late {
            return ControlFlow::Break(());
        }
        if !called.contains(&name) {
            if unused.len() < UNUSED_SHOWN { unused.push(name) } else { more += 1 }
        }
        ControlFlow::Continue(())
    })?;
    if is_late { Err(StoreError::Busy.into()) } else { Ok((unused, more)) }
}

/// What was counted for one prompt, for its page; none on a replica, and where telemetry is not recorded.
pub(super) fn in_use(
    app: &Shared,
    view: &CatalogueView,
    name: &PromptName,
    since: Since,
    stop: &Cancellation,
) -> Result<Option<InUse>, Failure> {
    let Ok(recorder) = counted(app) else { return Ok(None) };
    let plan = plan(since, None, recorder.retention(), recorder.now_ms())?;
    let stats = prompt_stats(recorder.store(), view, name, StatsBy::Version, &plan, recorder.now_ms(), stop)?;
    Ok(Some(InUse { since: since.to_string(), stats }))
}

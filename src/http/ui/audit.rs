//! The audit log, and the report about it.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, blocking};
use super::super::report::{ReportQuery, answer};
use super::super::request::RequestError;
use super::super::rule_sets::primary;
use super::super::state::App;
use super::visitor::{SubmittedForm, Visitor, field};
use super::{html, times};
use crate::governance::report::ReportFormat;
use crate::model::as_of::AsOf;
use crate::model::audit::{AuditEntry, Decision};
use crate::model::pattern::Pattern;
use crate::model::principal::Permission;
use crate::web::pages::audit::{AuditPageData, page};

/// Rows of one page.
const ROWS: usize = 50;
/// A day in milliseconds.
/// Longest name to filter by, in bytes.
const FILTER_BYTES_MAX: usize = 512;

/// Lists audit entries, newest first.
pub(super) async fn audit(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let who = params.text("who").unwrap_or_default();
    let prompt = params.text("prompt").unwrap_or_default();
    let action = params.text("action").unwrap_or_default();
    let result =
        params.text("result").filter(|result| !result.is_empty()).map(|result| decision(&result)).transpose()?;
    let days = (params.text("from").unwrap_or_default(), params.text("to").unwrap_or_default());
    let verify = params.text("verify").is_some_and(|verify| !verify.is_empty());
    let cursor = params.text("cursor");
    params.finish(&["who", "prompt", "action", "result", "from", "to", "verify", "cursor"])?;
    let from = times::time_if_any(&app, "from", &days.0)?.map(AsOf::first);
    let until = times::time_if_any(&app, "to", &days.1)?.map(AsOf::end);
    for (name, value) in [("who", &who), ("prompt", &prompt), ("action", &action)] {
        if value.len() > FILTER_BYTES_MAX {
            return Err(RequestError::Parameter { name, reason: "it is too long".to_owned() }.into());
        }
    }
    let registry = primary(&app, "keeping the audit log")?;
    let actor = visitor.actor().ok_or(RequestError::TokenMissing)?;
    registry.may_look(actor, Permission::Audit)?;
    let work = move || {
        let (who, prompt, action) = (who.trim(), prompt.trim(), action.trim());
        let fits = |entry: &AuditEntry| {
            let by = who.is_empty() || entry.actor == who || entry.on_behalf_of.as_deref() == Some(who);
            let about = prompt.is_empty() || entry.names_prompt(|name| name == prompt);
            let then = from.is_none_or(|from| entry.at >= from) && until.is_none_or(|until| entry.at < until);
            let did = action.is_empty() || entry.command.to_string() == action;
            by && about && then && did && result.is_none_or(|result| entry.decision == result)
        };
        let view = visitor.view(&app)?;
        let found = view.audit_newest(&fits, cursor.as_deref(), ROWS)?;
        let matter = AuditPageData {
            who: who.to_owned(),
            prompt: prompt.to_owned(),
            action: action.to_owned(),
            result,
            days,
            entries: found.items,
            next: found.next,
            continued: cursor.is_some(),
            verdict: if verify { Some(view.verify_audit()?) } else { None },
        };
        Ok::<_, Failure>(page(&visitor.frame(&app, &view), &matter))
    };
    Ok(html(blocking(work).await??))
}

/// The decision for a filter value.
fn decision(result: &str) -> Result<Decision, Failure> {
    let wrong = || RequestError::Parameter { name: "result", reason: "use granted or denied".to_owned() };
    [Decision::Granted, Decision::Denied]
        .into_iter()
        .find(|one| one.to_string() == result)
        .ok_or_else(|| wrong().into())
}

/// Creates the report for the sender of the form.
pub(super) async fn report(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let from = times::time(&app, "from", &field(&mut sent.form, "from")?)?.first();
    let to = times::time_if_any(&app, "to", &sent.form.text("to").unwrap_or_default())?.map(AsOf::end);
    let prompts = sent.form.text("prompt").filter(|prompt| !prompt.trim().is_empty());
    let wrong = |error: &dyn std::fmt::Display| RequestError::Parameter { name: "prompt", reason: error.to_string() };
    let prompts = prompts.map(|prompt| prompt.trim().parse::<Pattern>()).transpose().map_err(|error| wrong(&error))?;
    let format = sent.form.get::<ReportFormat>("format")?;
    sent.form.finish(&["form", "from", "to", "prompt", "format"])?;
    let scope = sent.seat.scope().clone();
    answer(app, &registry, &actor, ReportQuery { scope, from, to, prompts, format }).await
}

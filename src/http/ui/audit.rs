//! The audit log, and the report that is made from it.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, blocking};
use super::super::report::{Asked, answer};
use super::super::request::RequestError;
use super::super::rule_sets::primary;
use super::super::state::App;
use super::html;
use super::prompt::moment;
use super::visitor::{Sent, Visitor, field};
use crate::governance::report::ReportFormat;
use crate::model::audit::{AuditEntry, Decision};
use crate::model::pattern::Pattern;
use crate::model::principal::Permission;
use crate::web::pages::audit::{AuditMatter, page};

/// Rows of one page.
const ROWS: usize = 50;
/// Longest name to filter by, in bytes.
const FILTER_BYTES_MAX: usize = 512;

/// Lists audit entries, newest first.
pub(super) async fn audit(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let who = params.text("who").unwrap_or_default();
    let prompt = params.text("prompt").unwrap_or_default();
    let refused = params.text("refused").is_some_and(|refused| !refused.is_empty());
    let verify = params.text("verify").is_some_and(|verify| !verify.is_empty());
    let cursor = params.text("cursor");
    params.finish(&["who", "prompt", "refused", "verify", "cursor"])?;
    for (name, value) in [("who", &who), ("prompt", &prompt)] {
        if value.len() > FILTER_BYTES_MAX {
            return Err(RequestError::Parameter { name, reason: "no name is as long".to_owned() }.into());
        }
    }
    let registry = primary(&app, "keeping the audit log")?;
    let actor = visitor.actor().ok_or(RequestError::TokenMissing)?;
    registry.may_look(actor, Permission::Audit)?;
    let work = move || {
        let (who, prompt) = (who.trim(), prompt.trim());
        let fits = |entry: &AuditEntry| {
            let by = who.is_empty() || entry.actor == who || entry.on_behalf_of.as_deref() == Some(who);
            let about = prompt.is_empty() || entry.names_prompt(|name| name == prompt);
            by && about && (!refused || entry.decision == Decision::Denied)
        };
        let view = visitor.view(&app)?;
        let found = view.audit_newest(&fits, cursor.as_deref(), ROWS)?;
        let matter = AuditMatter {
            who: who.to_owned(),
            prompt: prompt.to_owned(),
            refused,
            entries: found.items,
            next: found.next,
            continued: cursor.is_some(),
            verdict: if verify { Some(view.verify_audit()?) } else { None },
        };
        Ok::<_, Failure>(page(&visitor.frame(&app, &view), &matter))
    };
    Ok(html(blocking(work).await??))
}

/// Makes the report for whoever sends the form.
pub(super) async fn report(State(app): State<App>, mut sent: Sent) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let from = moment(&field(&mut sent.form, "from")?)?;
    let to = sent.form.text("to").filter(|to| !to.is_empty()).map(|to| moment(&to)).transpose()?;
    let prompts = sent.form.text("prompt").filter(|prompt| !prompt.trim().is_empty());
    let wrong = |error: &dyn std::fmt::Display| RequestError::Parameter { name: "prompt", reason: error.to_string() };
    let prompts = prompts.map(|prompt| prompt.trim().parse::<Pattern>()).transpose().map_err(|error| wrong(&error))?;
    let format = sent.form.get::<ReportFormat>("format")?;
    sent.form.finish(&["form", "from", "to", "prompt", "format"])?;
    let scope = sent.seat.scope().clone();
    answer(app, &registry, &actor, Asked { scope, from, to, prompts, format }).await
}

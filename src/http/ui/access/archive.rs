//! The archive page: a preview, and the action.

use axum::extract::State;
use axum::response::Response;

use super::super::super::error::Failure;
use super::super::super::extract::Params;
use super::super::super::rule_sets::run_heavy_command;
use super::super::super::state::{App, Shared};
use super::super::html;
use super::super::visitor::{SubmittedForm, Visitor, redirect};
use super::{again, asked, done, fingerprint, pattern, required, unchanged, unknown_form, which};
use crate::api::govern::ArchiveRequest;
use crate::clock::Cancellation;
use crate::web::form::{FormValues, Outcome};
use crate::web::pages::access::archive::{ArchivePageData, page};

/// Default number of days in the form.
const LIKELY_DAYS: &str = "365";
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 1] = [("archive", "Archived.")];

/// Shows the preview, if requested.
pub(in crate::http::ui) async fn look(
    State(app): State<App>,
    visitor: Visitor,
    mut params: Params,
) -> Result<Response, Failure> {
    let outcome = done(params.text("done"), &DONE);
    let mut typed = FormValues::default();
    for name in ["unused_days", "prompts"] {
        typed.put(name, params.text(name).unwrap_or_default());
    }
    params.finish(&["done", "unused_days", "prompts"])?;
    asked(&app, &visitor)?;
    let held = app.clone();
    let work = move |_: &Cancellation| match shown(&app, &visitor, &typed, outcome) {
        Ok(page) => Ok(html(page)),
        Err(failure) => {
            let fields = FormValues::default();
            again(failure, typed, |outcome| shown(&app, &visitor, &fields, outcome))
        }
    };
    held.work.heavy(work).await?
}

fn shown(app: &Shared, visitor: &Visitor, typed: &FormValues, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let asks = !typed.get("unused_days").is_empty();
    let state = visitor.view(app)?;
    let found = if asks { Some(registry.archivable(&state, actor, &request(typed, true)?)?) } else { None };
    let last = registry.last_archived(&state, actor)?;
    let first = |texts: &[&str]| texts.iter().find(|text| !text.is_empty()).copied().unwrap_or_default().to_owned();
    let matter = ArchivePageData {
        unused_days: first(&[typed.get("unused_days"), outcome.typed.get("unused_days"), LIKELY_DAYS]),
        prompts: first(&[typed.get("prompts"), outcome.typed.get("prompts")]),
        seen: found.as_ref().map(|found| fingerprint(&found.versions)).unwrap_or_default(),
        found,
        last_is_cut: last.next.is_some(),
        last: last.items.into_iter().next(),
        outcome,
    };
    Ok(page(&visitor.frame(app, &state), &matter))
}

fn request(typed: &FormValues, dry_run: bool) -> Result<ArchiveRequest, Failure> {
    Ok(ArchiveRequest {
        prompts: pattern(typed, "prompts", "Prompts")?,
        unused_days: required(typed, "unused_days", "Unused for days")?,
        keep: Vec::new(),
        dry_run,
        message: typed.get("message").trim().to_owned(),
    })
}

/// Archives what the page showed.
pub(in crate::http::ui) async fn act(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let typed = sent.typed();
    let did = async {
        if which(&typed) != "archive" {
            return Err(unknown_form());
        }
        let (dry, wet) = (request(&typed, true)?, request(&typed, false)?);
        let held = app.clone();
        let (registry, actor) = (registry.clone(), actor.clone());
        let (asks, by) = (registry.clone(), actor.clone());
        let visitor = sent.visitor();
        let find = move |_: &Cancellation| asks.archivable(&visitor.view(&held)?, &by, &dry);
        let found = app.work.heavy(find).await??;
        unchanged(&typed, &found.versions)?;
        run_heavy_command(async move { registry.archive(&actor, wet).await }).await
    };
    match did.await {
        Ok(_) => Ok(redirect("/ui/access/archive?done=archive")),
        Err(failure) => {
            let (visitor, held) = (sent.visitor(), app.clone());
            let fields = typed.clone();
            let work = move |_: &Cancellation| again(failure, typed, |outcome| shown(&app, &visitor, &fields, outcome));
            held.work.heavy(work).await?
        }
    }
}

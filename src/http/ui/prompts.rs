//! The list of prompts.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::Params;
use super::super::request::RequestError;
use super::super::state::{App, Shared};
use super::visitor::Visitor;
use super::{html, said};
use crate::clock::Cancellation;
use crate::model::deployment::Deployment;
use crate::model::finding::Severity;
use crate::model::name::{Label, NAME_BYTES_MAX, PRODUCTION};
use crate::model::principal::Permission;
use crate::model::prompt::Prompt;
use crate::resolve::CatalogueView;
use crate::resolve::finder::{FoundPrompt, Search};
use crate::web::pages::first_run;
use crate::web::pages::prompts::{Kind, Listing, PromptRow, ROWS, page};

/// Longest search, in characters.
const SEARCH_CHARACTERS_MAX: usize = 200;

/// The confirmations, by the word in the URL.
const DONE: [(&str, &str); 2] = [("promoted", "Promoted."), ("already", "No change: the label already serves this.")];

/// Lists, filters and searches prompts.
pub(super) async fn prompts(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let words = params.text("q").unwrap_or_default();
    let label = params.text("label").filter(|label| !label.is_empty());
    let mut filter = |name: &str| params.text(name).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let (owner, tag, risk) = (filter("owner"), filter("tag"), filter("risk"));
    if app.registry.is_none() && (owner.is_some() || tag.is_some() || risk.is_some()) {
        let what = "knowing owners, tags and risks";
        return Err(RequestError::Replica { what, upstream: app.upstream.clone() }.into());
    }
    let asked = Search {
        folder: params.text("folder").unwrap_or_default(),
        words: words.split_whitespace().map(str::to_owned).collect(),
        history: params.text("history").is_some_and(|history| !history.is_empty()),
        label: label.map(|label| label.parse::<Label>()).transpose().map_err(|error| wrong("label", &error))?,
        owner,
        tag,
        risk: risk.map(|risk| risk.parse::<Severity>()).transpose().map_err(|error| wrong("risk", &error))?,
    };
    let (cursor, done) = (params.text("cursor"), said(params.text("done"), &DONE));
    params.finish(&["q", "label", "folder", "history", "owner", "tag", "risk", "cursor", "done"])?;
    if words.chars().count() > SEARCH_CHARACTERS_MAX {
        return Err(wrong("q", &format!("it has more than {SEARCH_CHARACTERS_MAX} characters")));
    }
    if asked.folder.len() > NAME_BYTES_MAX {
        return Err(wrong("folder", &"no name is as long"));
    }
    let held = app.clone();
    let page =
        held.work.heavy(move |stop| list(&app, &visitor, &asked, (words, done), cursor.as_deref(), stop)).await??;
    Ok(html(page))
}

fn wrong(name: &'static str, reason: &dyn std::fmt::Display) -> Failure {
    RequestError::Parameter { name, reason: reason.to_string() }.into()
}

fn list(
    app: &Shared,
    visitor: &Visitor,
    search: &Search,
    (words, done): (String, Option<&'static str>),
    cursor: Option<&str>,
    stop: &Cancellation,
) -> Result<String, Failure> {
    let view = visitor.view(app)?;
    let found = view.find(search, cursor, ROWS, stop)?;
    let frame = visitor.frame(app, &view);
    if !found.any && *search == Search::default() {
        return Ok(first_run::page(&frame));
    }
    let mut pending = pending(app, &view)?;
    let row = |FoundPrompt { prompt, labels, recent, about, risk, hits }| {
        let pending = pending.remove(prompt.name.as_str()).unwrap_or_default();
        let back = goes_back(app, visitor, &prompt, &recent);
        PromptRow { prompt, labels, recent, pending, back, about, risk, hits }
    };
    let listing = Listing {
        folder: search.folder.clone(),
        words,
        history: search.history,
        label: search.label.as_ref().map(ToString::to_string).unwrap_or_default(),
        kind: app.registry.is_some().then(|| Kind {
            owner: search.owner.clone().unwrap_or_default(),
            tag: search.tag.clone().unwrap_or_default(),
            risk: search.risk,
        }),
        rows: found.rows.into_iter().map(row).collect(),
        folders: found.folders,
        total: found.total,
        next: found.next,
        continued: cursor.is_some(),
        cut: found.cut,
        done,
    };
    Ok(page(&frame, &listing))
}

/// Whether production served something else recently, and a visitor can roll back to it.
fn goes_back(app: &Shared, visitor: &Visitor, prompt: &Prompt, recent: &[Deployment]) -> bool {
    let mut served = recent.iter().filter(|one| one.label.as_str() == PRODUCTION).filter_map(|one| one.to.as_ref());
    let (newest, production) = (served.next(), Label::production());
    let signed = app.registry.as_ref().zip(visitor.signed());
    served.any(|to| Some(to) != newest)
        && signed
            .is_some_and(|(registry, actor)| registry.may(actor, Permission::Deploy, &prompt.name, Some(&production)))
}

/// The open change requests of each prompt.
pub(super) fn pending(app: &Shared, view: &CatalogueView) -> Result<BTreeMap<String, Vec<u64>>, Failure> {
    let mut pending: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let Some(registry) = &app.registry else { return Ok(pending) };
    for request in registry.open_change_requests(view)? {
        for one in &request.moves {
            let ids = pending.entry(one.name.to_string()).or_default();
            if ids.last() != Some(&request.id) {
                ids.push(request.id);
            }
        }
    }
    Ok(pending)
}

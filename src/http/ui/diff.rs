//! The differences between two versions, or a version and a label.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, Segments};
use super::super::request::RequestError;
use super::super::state::{App, Shared};
use super::html;
use super::prompt::backs;
use super::visitor::Visitor;
use crate::api::read::PromptView;
use crate::governance::diff::Context;
use crate::model::name::{PRODUCTION, PromptName};
use crate::model::prompt::LabelState;
use crate::model::reference::Selector;
use crate::resolve::CatalogueView;
use crate::web::pages::diff::{Choices, ComparedVersions, Layout, choose, page, path};

/// Number of versions to choose from, newest first.
const CHOICES_MAX: usize = 300;

/// The parameters of the page.
struct DiffQuery {
    from: Option<Selector>,
    to: Option<Selector>,
    layout: Layout,
    context: Context,
}

/// Shows the diff; by default, between what production serves and the latest version.
pub(super) async fn diff(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let asked = DiffQuery {
        from: params.get("from")?,
        to: params.get("to")?,
        layout: word(&mut params, "view", "split")?.map_or(Layout::Unified, |()| Layout::Split),
        context: word(&mut params, "context", "all")?.map_or(Context::Around, |()| Context::Whole),
    };
    params.finish(&["from", "to", "view", "context"])?;
    let held = app.clone();
    Ok(html(held.work.heavy(move |_| show(&app, &visitor, &name, asked)).await??))
}

/// A parameter that is absent or one word.
fn word(params: &mut Params, name: &'static str, word: &'static str) -> Result<Option<()>, Failure> {
    match params.text(name).filter(|found| !found.is_empty()) {
        None => Ok(None),
        Some(found) if found == word => Ok(Some(())),
        Some(_) => Err(RequestError::Parameter { name, reason: format!("write `{word}` or leave it away") }.into()),
    }
}

fn show(app: &Shared, visitor: &Visitor, name: &PromptName, asked: DiffQuery) -> Result<String, Failure> {
    let state = visitor.view(app)?;
    let view = state.prompt(name)?;
    let (from, to) = sides(&view, asked.from, asked.to);
    let words = (from.to_string(), to.to_string());
    let (layout, context) = (asked.layout, asked.context);
    let from = match meant(&view, from) {
        Ok(from) => from,
        Err(served) => {
            let address = |number: u64| path(name.as_str(), (&number.to_string(), &words.1), layout, context);
            return Ok(choose(&visitor.frame(app, &state), name, served, &address));
        }
    };
    let to = match meant(&view, to) {
        Ok(to) => to,
        Err(served) => {
            let address = |number: u64| path(name.as_str(), (&words.0, &number.to_string()), layout, context);
            return Ok(choose(&visitor.frame(app, &state), name, served, &address));
        }
    };
    let answer = state.diff_in(name, &from, &to, context)?;
    let choices = choices(&state, &view, [answer.from, answer.to])?;
    let backs = backs(app, visitor, &state, &view)?;
    Ok(page(&visitor.frame(app, &state), &ComparedVersions { answer, asked: words, choices, backs, layout, context }))
}

/// Both sides, with defaults: what is live, or the previous version, and the latest.
fn sides(view: &PromptView, from: Option<Selector>, to: Option<Selector>) -> (Selector, Selector) {
    let latest = view.prompt.latest;
    let to = to.unwrap_or(Selector::Version(latest));
    let live = || {
        let live = view.labels.iter().find(|state| state.label.as_str() == PRODUCTION)?;
        (live.serving.fixed() != Some(latest)).then(|| Selector::Label(live.label.clone()))
    };
    let from = from.or_else(live).unwrap_or(Selector::Version(latest.saturating_sub(1).max(1)));
    (from, to)
}

/// The selector itself if it means one version, otherwise what the label serves.
fn meant(view: &PromptView, selector: Selector) -> Result<Selector, &LabelState> {
    let Selector::Label(label) = &selector else { return Ok(selector) };
    match view.labels.iter().find(|state| state.label == *label) {
        // The versions that were looked up are compared, even if the label moves in the meantime.
        Some(state) => state.serving.fixed().map(Selector::Version).ok_or(state),
        None => Ok(selector),
    }
}

fn choices(state: &CatalogueView, view: &PromptView, compared: [u64; 2]) -> Result<Choices, Failure> {
    let name = &view.prompt.name;
    let newest = state.versions(name, None, CHOICES_MAX)?;
    let mut versions: BTreeMap<u64, _> = newest.items.into_iter().map(|version| (version.number, version)).collect();
    for number in compared {
        if !versions.contains_key(&number) {
            // The page of versions that begins with this one.
            let cursor = number.saturating_add(1).to_string();
            let page = state.versions(name, Some(&cursor), 1)?;
            versions.extend(page.items.into_iter().map(|version| (version.number, version)));
        }
    }
    Ok(Choices { labels: view.labels.clone(), versions, older: newest.next.is_some() })
}

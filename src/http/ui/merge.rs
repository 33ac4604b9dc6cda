//! Merging a draft with what was published since it began.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::{Params, Segments};
use super::super::rule_sets::primary;
use super::super::state::App;
use super::edit::{WRITING, sign_in_first};
use super::html;
use super::visitor::{SubmittedForm, Visitor, field, redirect};
use crate::api::govern::DraftRequest;
use crate::clock::Cancellation;
use crate::governance::diff::diff;
use crate::model::content::{Content, Syntax};
use crate::model::name::PromptName;
use crate::model::reference::Selector;
use crate::registry::{Actor, Registry, RegistryError};
use crate::resolve::CatalogueView;
use crate::web::layout::query;
use crate::web::pages::editor::{edit_path, merge_path};
use crate::web::pages::merge::{MergePageData, page};

/// The message if the draft or the prompt has changed since the page was made.
const MOVED: &str = "Not merged: the draft or the prompt changed since you opened the page. Check again.";

/// Shows the conflicts.
pub(super) async fn look(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    mut params: Params,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let draft = params.text("draft").filter(|draft| !draft.is_empty());
    let done = params.text("done").map(|_| MOVED);
    params.finish(&["draft", "done"])?;
    let registry = primary(&app, WRITING)?;
    let Some(actor) = visitor.signed().cloned() else {
        return Ok(sign_in_first(&merge_path(name.as_str(), draft.as_deref().unwrap_or_default())));
    };
    let draft = draft.unwrap_or_else(|| actor.name.clone());
    let held = app.clone();
    let work = move |_: &Cancellation| {
        let view = visitor.view(&app)?;
        let matter = MergePageData { done, ..matter(&view, &registry, &actor, &name, draft)? };
        Ok::<_, Failure>(page(&visitor.frame(&app, &view), &matter))
    };
    Ok(html(held.work.heavy(work).await??))
}

fn matter(
    view: &CatalogueView,
    registry: &Registry,
    actor: &Actor,
    name: &PromptName,
    draft: String,
) -> Result<MergePageData, Failure> {
    let kept = registry.draft(view, actor, name, &draft)?;
    let merged = registry.merge_draft(view, actor, name, &draft)?;
    let newest = match merged.parent {
        0 => None,
        number => Some(view.version(name, &Selector::Version(number))?),
    };
    let theirs = newest.as_ref().map(|view| view.source.as_ref().unwrap_or(&view.content));
    let empty = Content::text(Syntax::default(), "");
    Ok(MergePageData {
        name: name.to_string(),
        draft,
        revision: kept.revision,
        base: merged.base,
        parent: merged.parent,
        changes: diff(theirs.unwrap_or(&empty), &merged.merge.content),
        author: newest.map(|view| view.version.author).unwrap_or_default(),
        conflicts: merged.merge.conflicts,
        done: None,
    })
}

/// Saves the resolved draft, which is then based on the latest version.
pub(super) async fn settle(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let name: PromptName = segments.get("name")?;
    let (registry, actor) = sent.writer(&app)?;
    let visitor = sent.visitor();
    let draft = field(&mut sent.form, "draft")?;
    let (revision, parent) = (sent.form.get::<u64>("revision")?, sent.form.get::<u64>("parent")?);
    let chosen = sent.form.all("c");
    sent.form.finish(&["form", "draft", "revision", "parent", "c0, c1, …"])?;
    let theirs = chosen.iter().filter(|(_, side)| *side == "theirs").filter_map(|(number, _)| number.parse().ok());
    let theirs: BTreeSet<usize> = theirs.collect();
    let merged = {
        let (registry, actor, name, draft) = (registry.clone(), actor.clone(), name.clone(), draft.clone());
        let (held, visitor) = (app.clone(), visitor);
        let merge =
            move |_: &Cancellation| registry.merge_draft_with(&visitor.view(&held)?, &actor, &name, &draft, &theirs);
        app.work.heavy(merge).await??
    };
    let again = || redirect(&format!("{}&done=moved", merge_path(name.as_str(), &draft)));
    if Some(merged.parent) != parent || revision.is_none() {
        return Ok(again());
    }
    let request = DraftRequest { content: merged.merge.content, parent, expected_revision: revision };
    match registry.save_draft(&actor, name.clone(), draft.clone(), request).await {
        Ok(_) => {
            let query = query(&[("draft", &draft), ("done", "merged")]);
            let path = edit_path(name.as_str(), "");
            Ok(redirect(&format!("{path}{query}")))
        }
        Err(RegistryError::DraftMoved { .. }) => Ok(again()),
        Err(error) => Err(error.into()),
    }
}

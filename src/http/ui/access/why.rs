//! The page that explains whether someone is allowed to do something.

use axum::extract::State;
use axum::response::Response;

use super::super::super::error::Failure;
use super::super::super::extract::{Params, blocking};
use super::super::super::request::RequestError;
use super::super::super::state::{App, Shared};
use super::super::html;
use super::super::visitor::Visitor;
use super::{OFFERED_MAX, again, asked, required, value};
use crate::model::name::{Label, PromptName};
use crate::model::principal::{Permission, Principal};
use crate::registry::why::{AccessQuestion, Explanation};
use crate::resolve::CatalogueView;
use crate::web::form::{FormValues, Outcome};
use crate::web::pages::access::why::{Reason, WhyPageData, page};

/// Longest field of a question, in characters.
const FIELD_CHARACTERS_MAX: usize = 500;

/// Explains.
pub(in crate::http::ui) async fn why(
    State(app): State<App>,
    visitor: Visitor,
    mut params: Params,
) -> Result<Response, Failure> {
    let mut typed = FormValues::default();
    for name in ["who", "permission", "prompt", "label", "version"] {
        let text: String = params.text(name).unwrap_or_default().trim().chars().take(FIELD_CHARACTERS_MAX).collect();
        typed.put(name, text);
    }
    params.finish(&["who", "permission", "prompt", "label", "version"])?;
    if typed.get("who").is_empty()
        && let Some(actor) = visitor.actor()
    {
        typed.put("who", actor.name.as_str());
    }
    let work = move || {
        let state = visitor.view(&app)?;
        match explain(&app, &visitor, &state, &typed) {
            Ok(because) => shown(&app, &visitor, &state, &typed, (because, Outcome::default())).map(html),
            Err(failure) => {
                let fields = typed.clone();
                again(failure, typed, |outcome| shown(&app, &visitor, &state, &fields, (None, outcome)))
            }
        }
    };
    blocking(work).await?
}

/// The answer, if a permission was asked about.
fn explain(
    app: &Shared,
    visitor: &Visitor,
    state: &CatalogueView,
    typed: &FormValues,
) -> Result<Option<Reason>, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let Some(permission) = value::<Permission>(typed, "permission", "Permission")? else { return Ok(None) };
    let question = AccessQuestion {
        who: required(typed, "who", "Person or service")?,
        permission,
        prompt: value::<PromptName>(typed, "prompt", "Prompt")?,
        label: value::<Label>(typed, "label", "Label")?,
        version: value::<u64>(typed, "version", "Version")?,
    };
    if question.prompt.is_none() && (question.label.is_some() || question.version.is_some()) {
        let reason = "enter a prompt as well: labels and versions belong to a prompt".to_owned();
        return Err(RequestError::FormValue { field: "Prompt", reason }.into());
    }
    let Explanation { answer, grants, bound } = registry.why(state, actor, &question)?;
    Ok(Some(Reason { answer, grants, bound }))
}

fn shown(
    app: &Shared,
    visitor: &Visitor,
    state: &CatalogueView,
    typed: &FormValues,
    (because, outcome): (Option<Reason>, Outcome),
) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let keeps = visitor.holds(app, Permission::Access);
    let names = |all: Vec<_>| all.into_iter().take(OFFERED_MAX).map(|one: Principal| one.name).collect();
    let matter = WhyPageData {
        asked: typed.clone(),
        because,
        // An unknown or invisible principal is part of the answer.
        principal: registry.principal(actor, typed.get("who")).ok(),
        roles: registry.roles().into_iter().map(|role| (role.name.clone(), role)).collect(),
        principals: if keeps { Some(names(registry.principals(actor)?)) } else { None },
        outcome,
    };
    Ok(page(&visitor.frame(app, state), &matter))
}

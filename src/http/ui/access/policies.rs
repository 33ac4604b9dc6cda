//! Label policies: the list, the detail page, and their forms.

use axum::extract::State;
use axum::response::Response;

use super::super::super::error::Failure;
use super::super::super::extract::{Params, Segments, blocking};
use super::super::super::state::{App, Shared};
use super::super::html;
use super::super::visitor::{SubmittedForm, Visitor};
use super::policy_form::policy_of;
use super::{answer, asked, fingerprint, named, new_name, show, unchanged, unknown_form, which};
use crate::model::policy::Policy;
use crate::model::principal::Permission;
use crate::registry::{Actor, Registry};
use crate::web::form::{FormValues, Outcome, WHICH};
use crate::web::pages::access::policies::{Policies, page};
use crate::web::pages::access::policy::{PolicyPageData, blank as blank_form, page as policy_page};
use crate::web::pages::access::policy_path;

/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 2] = [
    ("save", "Saved. Takes effect immediately, for everyone."),
    ("remove", "Removed. Its requirements no longer apply."),
];

/// Lists the policies that can apply to a prompt that the visitor can read.
pub(in crate::http::ui) async fn list(
    State(app): State<App>,
    visitor: Visitor,
    params: Params,
) -> Result<Response, Failure> {
    let work = move |outcome| {
        let (registry, actor) = asked(&app, &visitor)?;
        let keeps = visitor.holds(&app, Permission::Policy);
        Ok(page(&visitor.frame_alone(&app)?, &Policies { policies: registry.policies_for(actor), keeps, outcome }))
    };
    show(params, &DONE, work).await
}

fn find(registry: &Registry, actor: &Actor, name: &str) -> Result<Policy, Failure> {
    named(registry.policies_for(actor), "policy", name, |policy| &policy.name)
}

/// Shows one policy.
pub(in crate::http::ui) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    params: Params,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    show(params, &DONE, move |outcome| shown(&app, &visitor, Some(&name), outcome)).await
}

/// Shows the form for a new one.
pub(in crate::http::ui) async fn blank(
    State(app): State<App>,
    visitor: Visitor,
    mut params: Params,
) -> Result<Response, Failure> {
    let (prompts, labels) = (params.text("prompts").unwrap_or_default(), params.text("labels").unwrap_or_default());
    params.finish(&["prompts", "labels"])?;
    let mut typed = if prompts.is_empty() && labels.is_empty() { FormValues::default() } else { blank_form() };
    typed.put(WHICH, "save");
    typed.put("prompts", prompts);
    typed.put("labels", labels);
    let outcome = Outcome { typed, ..Outcome::default() };
    Ok(html(blocking(move || shown(&app, &visitor, None, outcome)).await??))
}

fn shown(app: &Shared, visitor: &Visitor, name: Option<&str>, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let policy = name.map(|name| find(&registry, actor, name)).transpose()?;
    if policy.is_none() {
        registry.may_look(actor, Permission::Policy)?;
    }
    let matter = PolicyPageData {
        seen: policy.as_ref().map(fingerprint).unwrap_or_default(),
        policy,
        roles: registry.roles().into_iter().map(|role| role.name).collect(),
        keeps: visitor.holds(app, Permission::Policy),
        outcome,
    };
    Ok(policy_page(&visitor.frame_alone(app)?, &matter))
}

/// Creates a policy.
pub(in crate::http::ui) async fn create(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let typed = sent.typed();
    let made = async {
        let name = new_name(&typed, "a policy", |name| Ok(find(&registry, &actor, name).is_ok()))?;
        let made = registry.put_policy(&actor, policy_of(name, &typed)?).await?;
        Ok(saved(&made.name))
    };
    let did = made.await;
    answer(&sent, typed, did, move |visitor, outcome| shown(&app, visitor, None, outcome)).await
}

/// The page of a policy that was just saved.
fn saved(name: &str) -> String {
    format!("{}?done=save", policy_path(name))
}

/// Changes or removes a policy.
pub(in crate::http::ui) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (name, typed) = (segments.text("name").to_owned(), sent.typed());
    let did = change(&app, &sent, &name, &typed).await;
    answer(&sent, typed, did, move |visitor, outcome| shown(&app, visitor, Some(&name), outcome)).await
}

async fn change(app: &Shared, sent: &SubmittedForm, name: &str, typed: &FormValues) -> Result<String, Failure> {
    let (registry, actor) = sent.writer(app)?;
    match which(typed) {
        "save" => {
            unchanged(typed, &find(&registry, &actor, name)?)?;
            registry.put_policy(&actor, policy_of(name.to_owned(), typed)?).await?;
            Ok(saved(name))
        }
        "remove" => {
            registry.remove_policy(&actor, name.to_owned()).await?;
            Ok("/ui/access/policies?done=remove".to_owned())
        }
        _ => Err(unknown_form()),
    }
}

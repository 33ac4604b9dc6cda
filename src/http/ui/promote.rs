//! The promote page: a plan of what one label would give to another, and the action.

use axum::extract::State;
use axum::response::Response;

use super::super::error::Failure;
use super::super::extract::Params;
use super::super::request::RequestError;
use super::super::rule_sets::{primary, run_heavy_command};
use super::super::state::{App, Shared};
use super::edit::sign_in_first;
use super::html;
use super::visitor::{SubmittedForm, Visitor, redirect};
use crate::api::promote::{PromoteRequest, Promotion, PromotionPlan};
use crate::clock::Cancellation;
use crate::model::finding::Severity;
use crate::registry::{Actor, Registry};
use crate::web::form::{DESPITE_FINDINGS, FormValues};
use crate::web::layout::query;
use crate::web::pages::promote::{PromotePageData, page, promote_path};

/// The hint on a replica, which cannot do this.
const PROMOTING: &str = "promoting";
/// What the page asks for.
const FIELDS: [&str; 3] = ["pattern", "from", "to"];

/// Shows the plan, if the fields are filled in.
pub(super) async fn look(State(app): State<App>, visitor: Visitor, mut params: Params) -> Result<Response, Failure> {
    let mut typed = FormValues::default();
    for name in FIELDS {
        typed.put(name, params.text(name).unwrap_or_default().trim());
    }
    params.finish(&FIELDS)?;
    let registry = primary(&app, PROMOTING)?;
    let Some(actor) = visitor.signed().cloned() else {
        return Ok(sign_in_first(&promote_path(typed.get("pattern"), typed.get("from"), typed.get("to"))));
    };
    let held = app.clone();
    held.work
        .heavy(move |_: &Cancellation| {
            Ok::<_, Failure>(html(shown(&app, &visitor, (&registry, &actor), &typed, None)?))
        })
        .await?
}

/// The page, with the error of its form.
fn shown(
    app: &Shared,
    visitor: &Visitor,
    (registry, actor): (&Registry, &Actor),
    typed: &FormValues,
    refused: Option<crate::web::form::FormError>,
) -> Result<String, Failure> {
    let view = visitor.view(app)?;
    let asks = FIELDS.iter().any(|name| !typed.get(name).is_empty());
    let message = typed.get("message");
    let plan =
        || -> Result<PromotionPlan, Failure> { Ok(registry.plan_promotion(&view, actor, &wanted(typed)?, message)?) };
    let plan = match asks.then(plan) {
        None => None,
        Some(Ok(plan)) => Some(Ok(plan)),
        Some(Err(failure)) => match failure.refusal() {
            Some((_, refusal)) => Some(Err(refusal.says)),
            None => return Err(failure),
        },
    };
    let field = |name: &str| typed.get(name).to_owned();
    let (pattern, from, to) = (field("pattern"), field("from"), field("to"));
    let matter = PromotePageData { pattern, from, to, plan, refused, message: message.to_owned() };
    Ok(page(&visitor.frame(app, &view), &matter))
}

fn wanted(typed: &FormValues) -> Result<Promotion, Failure> {
    fn read<T: std::str::FromStr>(typed: &FormValues, name: &str, field: &'static str) -> Result<T, Failure>
    where
        T::Err: std::fmt::Display,
    {
        let wrong = |error: T::Err| RequestError::FormValue { field, reason: error.to_string() };
        Ok(typed.get(name).parse().map_err(wrong)?)
    }
    Ok(Promotion {
        pattern: read(typed, "pattern", "Prompts")?,
        from: read(typed, "from", "From label")?,
        to: read(typed, "to", "To label")?,
    })
}

/// Promotes what the page showed.
pub(super) async fn act(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let (typed, visitor) = (sent.typed(), sent.visitor());
    match work(&app, &visitor, (&registry, &actor), &typed).await {
        Ok(path) => Ok(redirect(&path)),
        Err(failure) => {
            let Some((status, refusal)) = failure.refusal() else { return Err(failure) };
            let held = app.clone();
            let work = move |_: &Cancellation| {
                let mut response = html(shown(&app, &visitor, (&registry, &actor), &typed, Some(refusal))?);
                *response.status_mut() = status;
                Ok::<_, Failure>(response)
            };
            held.work.heavy(work).await?
        }
    }
}

/// Promotes; returns the path to continue with.
async fn work(
    app: &App,
    visitor: &Visitor,
    (registry, actor): (&Registry, &Actor),
    typed: &FormValues,
) -> Result<String, Failure> {
    let wanted = wanted(typed)?;
    if !typed.ticked(DESPITE_FINDINGS) {
        let (asks, by, held) = (registry.clone(), actor.clone(), app.clone());
        let (visitor, plan_of, message) = (visitor.clone(), wanted.clone(), typed.get("message").to_owned());
        let plan = move |_: &Cancellation| asks.plan_promotion(&visitor.view(&held)?, &by, &plan_of, &message);
        let plan = app.work.heavy(plan).await??;
        if let Some(risky) = plan.prompts.iter().find(|one| one.risk >= Some(Severity::High)) {
            let reason = format!("{} has findings of a high risk; tick the box to deploy despite them", risky.name);
            return Err(RequestError::FormValue { field: "Findings", reason }.into());
        }
    }
    let Promotion { pattern, from, to } = wanted;
    let request = PromoteRequest {
        pattern,
        from,
        to,
        message: typed.get("message").to_owned(),
        expected: Some(typed.get("expected").to_owned()),
        allow_major: typed.ticked("allow_major"),
        break_glass: None,
    };
    let (registry, actor) = (registry.clone(), actor.clone());
    let deployed = run_heavy_command(async move { registry.promote(&actor, request).await }).await?;
    let done = if deployed.deployments.is_empty() { "already" } else { "promoted" };
    let folder = typed.get("pattern").split('*').next().unwrap_or_default();
    let folder = folder.rsplit_once('/').map(|(folder, _)| format!("{folder}/")).unwrap_or_default();
    Ok(format!("/ui/{}", query(&[("folder", &folder), ("done", done)])))
}

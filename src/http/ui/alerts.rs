//! Alerts: their states and values, and the forms of those who manage them.

use axum::extract::State;
use axum::response::Response;

use super::super::alerts::{put, seen};
use super::super::error::Failure;
use super::super::extract::{Params, Segments};
use super::super::request::RequestError;
use super::super::state::{App, Shared};
use super::access::{answer, fingerprint, named, new_name, show, unchanged, unknown_form, which};
use super::visitor::{SubmittedForm, Visitor};
use crate::api::alerts::AlertView;
use crate::model::alert::{Alert, AlertRule};
use crate::model::principal::Permission;
use crate::registry::{Actor, Registry, RegistryError};
use crate::web::form::{FormValues, Outcome};
use crate::web::pages::alerts::{AlertPageData, Alerts, one as one_page, page};
use crate::web::typed::alert::{WrongField, rule};

/// The URL of the list.
const LIST: &str = "/ui/alerts";
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 3] = [("create", "Created."), ("save", "Saved."), ("remove", "Removed.")];

/// Lists the alerts that the visitor can see.
pub(super) async fn list(State(app): State<App>, visitor: Visitor, params: Params) -> Result<Response, Failure> {
    show(params, &DONE, move |outcome| all(&app, &visitor, outcome)).await
}

fn all(app: &Shared, visitor: &Visitor, outcome: Outcome) -> Result<String, Failure> {
    let view = visitor.view(app)?;
    let rows = seen(app, view.scope())?;
    Ok(page(&visitor.frame(app, &view), &Alerts { rows, manages: manages(app, visitor), outcome }))
}

/// Whether the visitor can change alerts.
fn manages(app: &Shared, visitor: &Visitor) -> bool {
    visitor.holds(app, Permission::Webhooks)
}

/// Creates an alert.
pub(super) async fn create(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let typed = sent.typed();
    let made = async {
        let is_taken = |name: &str| Ok(stored(&registry, &actor)?.iter().any(|alert| alert.name == name));
        let name = new_name(&typed, "an alert", is_taken)?;
        put(&app, &registry, &actor, &name, rule_of(&typed)?).await?;
        Ok(format!("{LIST}?done=create"))
    };
    let did = made.await;
    answer(&sent, typed, did, move |visitor, outcome| all(&app, visitor, outcome)).await
}

/// The alerts, for those who can change them.
fn stored(registry: &Registry, actor: &Actor) -> Result<Vec<Alert>, Failure> {
    registry.may_look(actor, Permission::Webhooks)?;
    Ok(registry.stored_alerts().map_err(RegistryError::from)?)
}

fn rule_of(typed: &FormValues) -> Result<AlertRule, Failure> {
    Ok(rule(typed).map_err(|WrongField { field, reason }| RequestError::FormValue { field, reason })?)
}

/// Shows one alert.
pub(super) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    params: Params,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    show(params, &DONE, move |outcome| shown(&app, &visitor, &name, outcome)).await
}

fn shown(app: &Shared, visitor: &Visitor, name: &str, outcome: Outcome) -> Result<String, Failure> {
    let view = visitor.view(app)?;
    let alert: AlertView = named(seen(app, view.scope())?, "alert", name, |one| &one.name)?;
    let matter = AlertPageData { seen: fingerprint(&alert.rule), manages: manages(app, visitor), alert, outcome };
    Ok(one_page(&visitor.frame(app, &view), &matter))
}

/// Changes or removes an alert.
pub(super) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (name, typed) = (segments.text("name").to_owned(), sent.typed());
    let did = change(&app, &sent, &name, &typed).await;
    answer(&sent, typed, did, move |visitor, outcome| shown(&app, visitor, &name, outcome)).await
}

async fn change(app: &App, sent: &SubmittedForm, name: &str, typed: &FormValues) -> Result<String, Failure> {
    let (registry, actor) = sent.writer(app)?;
    match which(typed) {
        "save" => {
            let before = named(stored(&registry, &actor)?, "alert", name, |one| &one.name)?;
            unchanged(typed, &before.rule)?;
            put(app, &registry, &actor, name, rule_of(typed)?).await?;
        }
        "remove" => registry.remove_alert(&actor, name.to_owned()).await?,
        _ => return Err(unknown_form()),
    }
    Ok(format!("{LIST}?done={}", which(typed)))
}

//! People and services: the list, the detail page, and their forms.

use std::collections::HashMap;

use axum::extract::State;
use axum::response::Response;

use super::super::super::browser_paths::link_url;
use super::super::super::door::Address;
use super::super::super::error::Failure;
use super::super::super::extract::{Params, Segments, blocking};
use super::super::super::request::RequestError;
use super::super::super::state::{App, Shared};
use super::super::html;
use super::super::visitor::{SubmittedForm, Visitor};
use super::tokens::create_for;
use super::{HOUR_S, ListQuery, answer, asked, grant, page_of, required, seconds, show, unknown_form, which};
use crate::api::govern::{PrincipalRequest, SignInLinkRequest, TokenView};
use crate::model::principal::{Grant, Permission, Principal, PrincipalKind};
use crate::model::time::Timestamp;
use crate::registry::{Actor, Registry};
use crate::web::form::{FormValues, Outcome};
use crate::web::layout::principal_path;
use crate::web::pages::access::people::{People, PersonRow, page};
use crate::web::pages::access::person::{PersonPageData, page as person_page};
use crate::web::pages::access::token_path;

/// Number of audit entries on a principal's page.
const DID: usize = 8;
/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 5] = [
    ("create", "Created. Next, create an access token for them."),
    ("grant", "Granted. Takes effect immediately."),
    ("take", "Removed. Takes effect immediately."),
    ("disable", "Disabled. Their access tokens no longer work."),
    ("enable", "Enabled. Their access tokens work again."),
];

/// Lists principals.
pub(in crate::http::ui) async fn list(
    State(app): State<App>,
    visitor: Visitor,
    mut params: Params,
) -> Result<Response, Failure> {
    let sought = ListQuery::read(&mut params);
    params.finish(&["q", "after"])?;
    Ok(html(blocking(move || shown(&app, &visitor, sought, Outcome::default())).await??))
}

fn shown(app: &Shared, visitor: &Visitor, sought: ListQuery, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let (rows, next) = page_of(registry.principals(actor)?, |one| one.name.as_str(), &sought.text, &sought.after);
    let mut held: HashMap<String, (usize, Option<Timestamp>)> = HashMap::new();
    for token in registry.tokens(actor)? {
        let (count, last) = held.entry(token.principal).or_default();
        (*count, *last) = (*count + 1, (*last).max(token.last_used));
    }
    let row = |principal: Principal| {
        let (tokens, last_used) = held.get(&principal.name).copied().unwrap_or_default();
        PersonRow { principal, tokens, last_used }
    };
    let rows = rows.into_iter().map(row).collect();
    let roles = registry.roles().into_iter().map(|role| role.name).collect();
    Ok(page(&visitor.frame_alone(app)?, &People { sought: sought.text, rows, next, roles, outcome }))
}

/// Creates a principal.
pub(in crate::http::ui) async fn create(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let typed = sent.typed();
    let made = async {
        let kind = PrincipalKind::CREATED.into_iter().find(|kind| kind.to_string() == typed.get("kind"));
        let kind = kind.unwrap_or(PrincipalKind::Person);
        let name = required::<String>(&typed, "name", "Name")?;
        let request = PrincipalRequest { name, kind, grants: grant(&typed)?.into_iter().collect() };
        let made = registry.create_principal(&actor, request).await?;
        Ok(format!("{}?done=create", principal_path(&made.name)))
    };
    let did = made.await;
    answer(&sent, typed, did, move |visitor, outcome| shown(&app, visitor, ListQuery::nothing(), outcome)).await
}

/// Shows one principal.
pub(in crate::http::ui) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    address: Address,
    params: Params,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    let node = address.of(&app.door);
    show(params, &DONE, move |outcome| {
        let secret = visitor.session().and_then(|session| app.sessions.take_shown(session, &link_key(&name)));
        person(&app, &visitor, &name, (secret.map(|secret| link_url(&node, &secret)), outcome))
    })
    .await
}

/// The key under which a sign-in link waits for the page that shows it; token names have no spaces.
fn link_key(name: &str) -> String {
    format!("sign-in link of {name}")
}

fn person(
    app: &Shared,
    visitor: &Visitor,
    name: &str,
    (link, outcome): (Option<String>, Outcome),
) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let principal = registry.principal(actor, name)?;
    let keeps = visitor.holds(app, Permission::Access);
    let own = |token: &TokenView| token.principal == name;
    let tokens = if keeps { Some(registry.tokens(actor)?.into_iter().filter(own).collect()) } else { None };
    let audits = visitor.holds(app, Permission::Audit);
    let state = visitor.view(app)?;
    let did = audits.then(|| state.audit_newest(&|entry| entry.actor == name, None, DID)).transpose()?;
    let roles = registry.roles().into_iter().map(|role| (role.name.clone(), role)).collect();
    let matter = PersonPageData { principal, roles, tokens, did: did.map(|page| page.items), keeps, link, outcome };
    Ok(person_page(&visitor.frame(app, &state), &matter))
}

/// Adds or removes a grant, disables, enables, or creates an access token.
pub(in crate::http::ui) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let (name, typed) = (segments.text("name").to_owned(), sent.typed());
    let back = || format!("{}?done={}", principal_path(&name), which(&typed));
    let did = match which(&typed) {
        "token" => create_for(&app, &sent, &name, &typed).await.map(|token| token_path(&token)),
        "link" => create_link(&app, &sent, &name, &typed).await.map(|()| principal_path(&name)),
        _ => change(&registry, &actor, &name, &typed).await.map(|()| back()),
    };
    answer(&sent, typed, did, move |visitor, outcome| person(&app, visitor, &name, (None, outcome))).await
}

/// Creates a sign-in link, which the next page shows once.
async fn create_link(app: &Shared, sent: &SubmittedForm, name: &str, typed: &FormValues) -> Result<(), Failure> {
    let (registry, actor) = sent.writer(app)?;
    let request = SignInLinkRequest { expires_s: seconds(typed, "hours", "Hours", HOUR_S)? };
    let (secret, _) = registry.create_sign_in_link(&actor, name.to_owned(), request).await?;
    app.sessions.show_once(&sent.session, &link_key(name), secret);
    Ok(())
}

async fn change(registry: &Registry, actor: &Actor, name: &str, typed: &FormValues) -> Result<(), Failure> {
    let name = name.to_owned();
    match which(typed) {
        "disable" => registry.disable_principal(actor, name, true).await?,
        "enable" => registry.disable_principal(actor, name, false).await?,
        "grant" => registry.add_grant(actor, name, one_grant(typed)?).await?,
        "take" => registry.take_grant(actor, name, one_grant(typed)?).await?,
        _ => return Err(unknown_form()),
    };
    Ok(())
}

/// The required grant of a form.
fn one_grant(typed: &FormValues) -> Result<Grant, Failure> {
    let none = || RequestError::FormValue { field: "Role", reason: "choose one".to_owned() };
    Ok(grant(typed)?.ok_or_else(none)?)
}

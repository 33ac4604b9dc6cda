//! Roles: the list, the detail page, and their forms.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;

use super::super::super::error::Failure;
use super::super::super::extract::{Params, Segments};
use super::super::super::state::{App, Shared};
use super::super::visitor::{SubmittedForm, Visitor};
use super::{answer, asked, fingerprint, named, new_name, show, unchanged, unknown_form, which};
use crate::api::govern::RoleRequest;
use crate::model::principal::{Permission, Principal, Role};
use crate::registry::{Registry, RegistryError};
use crate::web::form::{FormValues, Outcome};
use crate::web::pages::access::role_path;
use crate::web::pages::access::roles::{RolePageData, Roles, one as role_page, page};

/// The confirmation, by the word in the URL.
const DONE: [(&str, &str); 3] = [
    ("create", "Created. Grant it to a person or service on their page."),
    ("change", "Saved. Takes effect immediately."),
    ("remove", "Removed."),
];

/// Lists roles.
pub(in crate::http::ui) async fn list(
    State(app): State<App>,
    visitor: Visitor,
    params: Params,
) -> Result<Response, Failure> {
    show(params, &DONE, move |outcome| shown(&app, &visitor, outcome)).await
}

fn shown(app: &Shared, visitor: &Visitor, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let keeps = visitor.holds(app, Permission::Access);
    let people = if keeps { Some(registry.principals(actor)?) } else { None };
    let held = |role: &Role| people.as_ref().map(|all| all.iter().filter(|one| holds(one, &role.name)).count());
    let rows = registry.roles().into_iter().map(|role| (held(&role), role)).map(|(held, role)| (role, held)).collect();
    Ok(page(&visitor.frame_alone(app)?, &Roles { rows, keeps, outcome }))
}

fn holds(one: &Principal, role: &str) -> bool {
    one.grants.iter().any(|grant| grant.role == role)
}

fn find(registry: &Registry, name: &str) -> Result<Role, Failure> {
    named(registry.roles(), "role", name, |role| &role.name)
}

/// Shows one role.
pub(in crate::http::ui) async fn one(
    State(app): State<App>,
    visitor: Visitor,
    segments: Segments,
    params: Params,
) -> Result<Response, Failure> {
    let name = segments.text("name").to_owned();
    show(params, &DONE, move |outcome| role(&app, &visitor, &name, outcome)).await
}

fn role(app: &Shared, visitor: &Visitor, name: &str, outcome: Outcome) -> Result<String, Failure> {
    let (registry, actor) = asked(app, visitor)?;
    let role = find(&registry, name)?;
    let keeps = visitor.holds(app, Permission::Access);
    let people = if keeps { Some(registry.principals(actor)?) } else { None };
    let holders = people.map(|all| all.into_iter().filter(|one| holds(one, name)).map(|one| one.name).collect());
    let seen = fingerprint(&role);
    Ok(role_page(&visitor.frame_alone(app)?, &RolePageData { role, seen, holders, keeps, outcome }))
}

/// Creates a role.
pub(in crate::http::ui) async fn create(State(app): State<App>, mut sent: SubmittedForm) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let typed = sent.typed();
    let made = async {
        let name = new_name(&typed, "a role", |name| Ok(find(&registry, name).is_ok()))?;
        let made = registry.put_role(&actor, name, request(&typed)?).await?;
        Ok(format!("{}?done=create", role_path(&made.name)))
    };
    let did = made.await;
    answer(&sent, typed, did, move |visitor, outcome| shown(&app, visitor, outcome)).await
}

fn request(typed: &FormValues) -> Result<RoleRequest, Failure> {
    let ticked = typed.all("may.").map(|(permission, _)| permission.parse::<Permission>());
    let permissions = ticked.collect::<Result<BTreeSet<_>, _>>();
    let permissions = permissions.map_err(|error| RegistryError::Unfit(error.to_string()))?;
    Ok(RoleRequest { permissions, description: typed.get("description").trim().to_owned() })
}

/// Changes or removes a role.
pub(in crate::http::ui) async fn act(
    State(app): State<App>,
    segments: Segments,
    mut sent: SubmittedForm,
) -> Result<Response, Failure> {
    let (registry, actor) = sent.writer(&app)?;
    let (name, typed) = (segments.text("name").to_owned(), sent.typed());
    let did = async {
        match which(&typed) {
            "change" => {
                unchanged(&typed, &find(&registry, &name)?)?;
                registry.put_role(&actor, name.clone(), request(&typed)?).await?;
                Ok(format!("{}?done=change", role_path(&name)))
            }
            "remove" => {
                registry.remove_role(&actor, name.clone()).await?;
                Ok("/ui/access/roles?done=remove".to_owned())
            }
            _ => Err(unknown_form()),
        }
    };
    let did = did.await;
    answer(&sent, typed, did, move |visitor, outcome| role(&app, visitor, &name, outcome)).await
}

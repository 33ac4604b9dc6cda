//! Principals, roles and grants.

use super::access::rules_change;
use super::admins::keep_an_admin;
use super::clearance::Clearance;
use super::command::{Attempt, Ctx, SettingsChange};
use super::sign_in_links::forget_links_of;
use super::{Actor, AuthContext, Registry, RegistryError, check_handle};
use crate::api::govern::{GrantsRequest, PrincipalRequest, RoleRequest, WhoAmI};
use crate::governance::rulebook::Rulebook;
use crate::model::audit::{Command, Subject};
use crate::model::name::{Label, PromptName};
use crate::model::principal::{GRANTS_MAX, Grant, Permission, Principal, PrincipalKind, RESERVED, Role};
use crate::model::time::Timestamp;
use crate::resolve::CatalogueView;
use crate::store::documents::Documents;
use crate::store::write::WriteTxn;

const PRINCIPAL: &str = "principal";

impl Registry {
    /// Every principal, by name.
    ///
    /// # Errors
    /// The actor lacks permission, or the store fails.
    pub fn principals(&self, actor: &Actor) -> Result<Vec<Principal>, RegistryError> {
        self.may_look(actor, Permission::Access)?;
        Ok(self.0.known.load().rules.book.principals.values().cloned().collect())
    }

    /// One principal; everyone can see themselves.
    ///
    /// # Errors
    /// The actor is not allowed to see others, or the principal does not exist.
    pub fn principal(&self, actor: &Actor, name: &str) -> Result<Principal, RegistryError> {
        if name != actor.name {
            self.may_look(actor, Permission::Access)?;
        }
        let absent = || RegistryError::NotFound { what: PRINCIPAL, name: super::command::clip(name, 64) };
        self.0.known.load().rules.book.principals.get(name).cloned().ok_or_else(absent)
    }

    /// All roles by name; everyone can see what a role allows.
    pub fn roles(&self) -> Vec<Role> {
        self.0.known.load().rules.book.roles.values().cloned().collect()
    }

    /// Creates a principal.
    ///
    /// # Errors
    /// The actor lacks permission, the name is taken or invalid, a role does not exist, or the store fails.
    pub async fn create_principal(&self, actor: &Actor, request: PrincipalRequest) -> Result<Principal, RegistryError> {
        let about = Attempt::new(Command::CreatePrincipal, [Subject::Principal { name: request.name.clone() }], "");
        let made = self.command(actor, about, move |txn, ctx, granted| create(txn, ctx, granted, request)).await?;
        Ok(made)
    }

    /// Replaces the grants of a principal.
    ///
    /// # Errors
    /// The actor lacks permission, a principal or role does not exist, no one could manage access any more, or the
    /// store fails.
    pub async fn set_grants(
        &self,
        actor: &Actor,
        name: String,
        request: GrantsRequest,
    ) -> Result<Principal, RegistryError> {
        self.change_grants(actor, name, move |_| Ok(request.grants)).await
    }

    /// Adds a grant to a principal.
    ///
    /// # Errors
    /// The actor lacks permission, the principal already has it, the principal or role does not exist, there are too
    /// many, or the store fails.
    pub async fn add_grant(&self, actor: &Actor, name: String, grant: Grant) -> Result<Principal, RegistryError> {
        self.change_grants(actor, name, move |mut grants| {
            if grants.contains(&grant) {
                return Err(RegistryError::Unfit(format!("this grant already exists: {grant}")));
            }
            grants.push(grant);
            Ok(grants)
        })
        .await
    }

    /// Removes a grant from a principal.
    ///
    /// # Errors
    /// The actor lacks permission, there is no such grant, no one could manage access any more, or the store fails.
    pub async fn take_grant(&self, actor: &Actor, name: String, grant: Grant) -> Result<Principal, RegistryError> {
        self.change_grants(actor, name, move |mut grants| {
            let before = grants.len();
            grants.retain(|one| *one != grant);
            if grants.len() == before {
                return Err(RegistryError::NotFound { what: "grant", name: grant.to_string() });
            }
            Ok(grants)
        })
        .await
    }

    /// Stores the changed grants of a principal.
    async fn change_grants(
        &self,
        actor: &Actor,
        name: String,
        change: impl FnOnce(Vec<Grant>) -> Result<Vec<Grant>, RegistryError> + Send + 'static,
    ) -> Result<Principal, RegistryError> {
        self.change_principal(actor, name, Command::SetGrants, move |ctx, principal| {
            principal.grants = change(std::mem::take(&mut principal.grants))?;
            check_grants(&ctx.rules.book, &principal.grants)
        })
        .await
    }

    /// Disables a principal, so that all its access tokens are rejected, or enables it again.
    ///
    /// # Errors
    /// The actor lacks permission, the principal does not exist, no one could manage access any more, or the store
    /// fails.
    pub async fn disable_principal(
        &self,
        actor: &Actor,
        name: String,
        disabled: bool,
    ) -> Result<Principal, RegistryError> {
        let command = if disabled { Command::DisablePrincipal } else { Command::EnablePrincipal };
        self.change_principal(actor, name, command, move |ctx, principal| {
            principal.disabled = disabled.then_some(principal.disabled.unwrap_or(ctx.now));
            Ok(())
        })
        .await
    }

    async fn change_principal(
        &self,
        actor: &Actor,
        name: String,
        command: Command,
        change: impl FnOnce(&Ctx, &mut Principal) -> Result<(), RegistryError> + Send + 'static,
    ) -> Result<Principal, RegistryError> {
        let changed = self
            .command(
                actor,
                Attempt::new(command, [Subject::Principal { name: name.clone() }], ""),
                move |txn, ctx, granted| {
                    let absent = || RegistryError::NotFound { what: PRINCIPAL, name: name.clone() };
                    let mut principal = txn.get::<Principal>(&name)?.ok_or_else(absent)?;
                    let before = principal.clone();
                    change(ctx, &mut principal)?;
                    let mut book = ctx.rules.book.clone();
                    book.principals.insert(name.clone(), principal.clone());
                    keep_an_admin(txn, &book, ctx.now, &name)?;
                    txn.put::<Principal>(&name, &principal)?;
                    if principal.disabled.is_some() {
                        forget_links_of(txn, &name)?;
                    }
                    rules_change(txn)?;
                    let subject = Subject::Principal { name };
                    let change = SettingsChange { before: Some(&before), after: Some(&principal) };
                    ctx.record_settings(txn, granted, command, subject, change)?;
                    Ok(principal)
                },
            )
            .await?;
        Ok(changed)
    }

    /// Stores a custom role.
    ///
    /// # Errors
    /// The actor lacks permission, the role is built in, no one could manage access any more, or the store fails.
    pub async fn put_role(&self, actor: &Actor, name: String, request: RoleRequest) -> Result<Role, RegistryError> {
        let kept = self
            .command(
                actor,
                Attempt::new(Command::PutRole, [Subject::Role { name: name.clone() }], ""),
                move |txn, ctx, granted| {
                    check_handle("a role", &name)?;
                    let before = ctx.rules.book.roles.get(&name);
                    if before.is_some_and(|role| role.built_in) {
                        return Err(RegistryError::BuiltIn { what: "the role", name });
                    }
                    let RoleRequest { permissions, description } = request;
                    let description = description.chars().take(200).collect();
                    let role = Role { name: name.clone(), permissions, description, built_in: false };
                    let subject = Subject::Role { name: name.clone() };
                    let mut book = ctx.rules.book.clone();
                    book.roles.insert(name.clone(), role.clone());
                    keep_an_admin(txn, &book, ctx.now, &name)?;
                    txn.put::<Role>(&name, &role)?;
                    rules_change(txn)?;
                    let change = SettingsChange { before, after: Some(&role) };
                    ctx.record_settings(txn, granted, Command::PutRole, subject, change)?;
                    Ok(role)
                },
            )
            .await?;
        Ok(kept)
    }

    /// Removes a custom role.
    ///
    /// # Errors
    /// The actor lacks permission, the role does not exist, it is still granted, or the store fails.
    pub async fn remove_role(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        let about = Attempt::new(Command::RemoveRole, [Subject::Role { name: name.clone() }], "");
        self.command(actor, about, move |txn, ctx, granted| {
            let role = ctx.rules.book.roles.get(&name);
            let role = role.ok_or_else(|| RegistryError::NotFound { what: "role", name: name.clone() })?;
            if role.built_in {
                return Err(RegistryError::BuiltIn { what: "the role", name });
            }
            let holds = |one: &&Principal| one.grants.iter().any(|grant| grant.role == name);
            let to: Vec<String> =
                ctx.rules.book.principals.values().filter(holds).map(|one| one.name.clone()).collect();
            if !to.is_empty() {
                return Err(RegistryError::RoleInUse { name, to });
            }
            txn.remove::<Role>(&name)?;
            rules_change(txn)?;
            let subject = Subject::Role { name };
            let change = SettingsChange { before: Some(role), after: None };
            Ok(ctx.record_settings(txn, granted, Command::RemoveRole, subject, change)?)
        })
        .await
    }

    /// The principal of an authenticated caller, and its permissions.
    pub fn whoami(&self, seat: &AuthContext) -> WhoAmI {
        let known = self.0.known.load();
        let book = &known.rules.book;
        let actor = seat.actor();
        let grants = book.principals.get(&actor.name).map(|one| one.grants.clone()).unwrap_or_default();
        let roles = grants.iter().filter_map(|grant| book.roles.get(&grant.role));
        let held: std::collections::BTreeSet<Permission> =
            roles.flat_map(|role| role.permissions.iter().copied()).collect();
        WhoAmI {
            name: actor.name.clone(),
            kind: actor.kind,
            method: actor.method.to_string(),
            grants,
            permissions: held.into_iter().collect(),
            prompts: actor.bound.clone(),
            expires: (seat.expires_ms() != i64::MAX).then(|| Timestamp::from_ms(seat.expires_ms())),
        }
    }

    /// Whether a principal has a grant for something, on a label if one is given. Policies are not checked.
    #[must_use]
    pub fn may(&self, actor: &Actor, permission: Permission, prompt: &PromptName, label: Option<&Label>) -> bool {
        let ask = actor.ask(permission, Some(prompt.as_str()), label.map(Label::as_str));
        self.0.known.load().rules.book.decide(&ask).allowed
    }

    /// Whether the caller writes or reviews a prompt, and so can see its drafts.
    pub(super) fn may_see_drafts(
        &self,
        view: &CatalogueView,
        actor: &Actor,
        name: &PromptName,
    ) -> Result<(), RegistryError> {
        view.scope().check(name.as_str())?;
        let book = &self.0.known.load().rules.book;
        let verdict = book.decide(&actor.ask(Permission::Publish, Some(name.as_str()), None));
        if verdict.allowed || book.decide(&actor.ask(Permission::Review, Some(name.as_str()), None)).allowed {
            return Ok(());
        }
        Err(RegistryError::denied(actor, verdict))
    }

    /// Whether the caller can see what is not public. A refusal is not recorded.
    pub fn may_look(&self, actor: &Actor, permission: Permission) -> Result<(), RegistryError> {
        let verdict = self.0.known.load().rules.book.decide(&actor.ask(permission, None, None));
        if verdict.allowed {
            return Ok(());
        }
        Err(RegistryError::denied(actor, verdict))
    }
}

/// Creates a principal in one commit.
pub(super) fn create(
    txn: &mut WriteTxn<'_>,
    ctx: &Ctx,
    granted: Clearance,
    request: PrincipalRequest,
) -> Result<Principal, RegistryError> {
    let PrincipalRequest { name, kind, grants } = request;
    check_handle("a principal", &name)?;
    if ctx.rules.book.principals.contains_key(&name) || RESERVED.contains(&name.as_str()) {
        return Err(RegistryError::Exists { what: "a principal", name });
    }
    if kind == PrincipalKind::System {
        return Err(RegistryError::Unfit(
            "a principal is a person, a service or an automation; `system` is reserved for the operator".to_owned(),
        ));
    }
    check_grants(&ctx.rules.book, &grants)?;
    let principal = Principal { name: name.clone(), kind, created: ctx.now, grants, disabled: None };
    txn.put::<Principal>(&name, &principal)?;
    rules_change(txn)?;
    let subject = Subject::Principal { name };
    let change = SettingsChange { before: None, after: Some(&principal) };
    ctx.record_settings(txn, granted, Command::CreatePrincipal, subject, change)?;
    Ok(principal)
}

fn check_grants(book: &Rulebook, grants: &[Grant]) -> Result<(), RegistryError> {
    let (count, max) = (grants.len(), GRANTS_MAX);
    if count > max {
        return Err(RegistryError::TooMany { what: "grants", count, max });
    }
    match grants.iter().find(|grant| !book.roles.contains_key(&grant.role)) {
        Some(grant) => Err(RegistryError::NotFound { what: "role", name: grant.role.chars().take(64).collect() }),
        None => Ok(()),
    }
}

//! Sign-in links: a person opens the pages once, within a day, without an access token.
//!
//! Invariants: only the hash of a link's secret is stored, on this node alone; the commit that uses a link removes it;
//! a person has at most one open link, because a new one replaces it.

use std::ops::ControlFlow;

use super::access::{hex, new_token};
use super::auth_method::AuthMethod;
use super::clearance::Clearance;
use super::command::{Attempt, Ctx};
use super::{Actor, Registry, RegistryError};
use crate::api::govern::SignInLinkRequest;
use crate::api::limits::{SIGN_IN_LINK_LIFE_S, SIGN_IN_LINK_LIFE_S_MAX};
use crate::crypto::secret::AccessToken;
use crate::governance::rulebook::Rulebook;
use crate::model::audit::{Command, Subject};
use crate::model::handle::HANDLE_BYTES_MAX;
use crate::model::principal::PrincipalKind;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::documents::{Documents, OpenSignInLink, Scan};
use crate::store::write::WriteTxn;

impl Registry {
    /// Creates a sign-in link for a person, and returns when it expires; the secret is stored nowhere.
    ///
    /// # Errors
    /// The actor is not allowed to manage access, this is not an enabled person, the lifetime is out of bounds, or the
    /// store fails.
    pub async fn create_sign_in_link(
        &self,
        actor: &Actor,
        name: String,
        request: SignInLinkRequest,
    ) -> Result<(AccessToken, Timestamp), RegistryError> {
        let secret = new_token()?;
        let key = hex(&secret.hash());
        let command = Command::CreateSignInLink;
        let about = Attempt::new(command, [Subject::Principal { name: name.clone() }], "");
        let expires = self.command(actor, about, move |txn, ctx, granted| {
            check_person(&ctx.rules.book, &name)?;
            let life_s = request.expires_s.unwrap_or(SIGN_IN_LINK_LIFE_S);
            if !(1..=SIGN_IN_LINK_LIFE_S_MAX).contains(&life_s) {
                let reason =
                    format!("a sign-in link works for 1 to {SIGN_IN_LINK_LIFE_S_MAX} s (24 hours), not {life_s} s");
                return Err(RegistryError::Unfit(reason));
            }
            let life_ms = i64::try_from(life_s).unwrap_or(0).saturating_mul(1_000);
            let expires = Timestamp::from_ms(ctx.now.ms().saturating_add(life_ms));
            remove_links(txn, |open| open.principal == name || open.expires <= ctx.now)?;
            let open = OpenSignInLink { principal: name.clone(), created_by: ctx.actor.name.clone(), expires };
            txn.put::<OpenSignInLink>(&key, &open)?;
            ctx.record(txn, granted, command, vec![Subject::Principal { name }])?;
            Ok(expires)
        });
        Ok((secret, expires.await?))
    }

    /// The person that a link would sign in now; absent if it was used or replaced, or has expired.
    pub fn sign_in_link(&self, secret: &AccessToken) -> Result<Option<String>, RegistryError> {
        let open = self.0.store.read()?.get::<OpenSignInLink>(&hex(&secret.hash()))?;
        let now = Timestamp::from_ms(self.0.clock.now_ms());
        Ok(person_of(open, &self.0.known.load().rules.book, now).map(|open| open.principal))
    }

    /// Uses a link up, and returns the person that it signs in; absent if it was used or replaced, or has expired. `by`
    /// is where the request came from.
    pub async fn use_sign_in_link(&self, secret: &AccessToken, by: Actor) -> Result<Option<String>, RegistryError> {
        let Some(name) = self.sign_in_link(secret)? else { return Ok(None) };
        let key = hex(&secret.hash());
        let actor = Actor {
            name: name.clone(),
            kind: PrincipalKind::Person,
            method: AuthMethod::SignInLink,
            bound: None,
            ..by
        };
        let about = Attempt::new(Command::UseSignInLink, [Subject::Principal { name }], "");
        self.command(&actor, about, move |txn, ctx, granted| use_up(txn, ctx, granted, &key)).await
    }
}

fn use_up(txn: &mut WriteTxn<'_>, ctx: &Ctx, granted: Clearance, key: &str) -> Result<Option<String>, RegistryError> {
    let open = txn.get::<OpenSignInLink>(key)?;
    let Some(open) = person_of(open, &ctx.rules.book, ctx.now) else { return Ok(None) };
    txn.remove::<OpenSignInLink>(key)?;
    let granted = granted.and(Clearance::because(format!("{} created the link", open.created_by)));
    let subject = Subject::Principal { name: open.principal.clone() };
    ctx.record(txn, granted, Command::UseSignInLink, vec![subject])?;
    Ok(Some(open.principal))
}

/// A link that is valid now.
fn person_of(open: Option<OpenSignInLink>, book: &Rulebook, now: Timestamp) -> Option<OpenSignInLink> {
    open.filter(|open| open.expires > now && check_person(book, &open.principal).is_ok())
}

/// Refuses principals that cannot sign in with a link: programs, and people who are disabled.
fn check_person(book: &Rulebook, name: &str) -> Result<(), RegistryError> {
    let absent = || RegistryError::NotFound { what: "principal", name: super::command::clip(name, HANDLE_BYTES_MAX) };
    let principal = book.principals.get(name).ok_or_else(absent)?;
    let unfit = |reason: &str| Err(RegistryError::Unfit(format!("{name} cannot sign in with a link: {reason}")));
    match (principal.kind, principal.disabled) {
        (PrincipalKind::Person, None) => Ok(()),
        (PrincipalKind::Person, Some(_)) => unfit("they are disabled; enable them first"),
        (PrincipalKind::Automation, _) => unfit("it is an automation"),
        (PrincipalKind::Service | PrincipalKind::System, _) => unfit("it is a service; create an access token for it"),
    }
}

fn remove_links(txn: &mut WriteTxn<'_>, ends: impl Fn(&OpenSignInLink) -> bool) -> Result<(), StoreError> {
    let mut ended = Vec::new();
    txn.visit_documents(&Scan::<OpenSignInLink>::all(), &mut |found| {
        if ends(&found.read()?) {
            ended.push(found.key()?.to_owned());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    for key in &ended {
        txn.remove::<OpenSignInLink>(key)?;
    }
    Ok(())
}

/// Removes every link, so that a link used after the backup does not work again after the restore.
pub(super) fn forget_sign_in_links(txn: &mut WriteTxn<'_>) -> Result<(), StoreError> {
    remove_links(txn, |_| true)
}

/// Removes the open link of a person who is disabled, so that it does not work when they are enabled again.
pub(super) fn forget_links_of(txn: &mut WriteTxn<'_>, name: &str) -> Result<(), StoreError> {
    remove_links(txn, |open| open.principal == name)
}

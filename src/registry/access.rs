//! Who may do what: access tokens, and the one decision that every command asks for.

use std::collections::HashMap;
use std::sync::PoisonError;

use super::{Registry, RegistryError};
use crate::api::limits::TOKEN_NAME_BYTES_MAX;
use crate::api::write::{Role, TokenRequest, TokenView};
use crate::crypto::secret::{AccessToken, TokenHash};
use crate::model::time::Timestamp;
use crate::store::audit::Access;
use crate::store::write::{AuditDraft, WriteTxn};
use crate::store::{Store, StoreError};

/// The name of the access token that the first start makes.
pub const FIRST_TOKEN: &str = "admin";

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Actor {
    /// The name of the access token.
    pub name: String,
    /// What it may do.
    pub role: Role,
}

/// Every access token, by the hash of it.
#[derive(Default)]
pub(super) struct Known {
    actors: HashMap<[u8; 32], (Actor, Timestamp)>,
}

impl Known {
    pub(super) fn read(store: &Store) -> Result<Self, StoreError> {
        let actor = |(name, access): (String, Access)| {
            Some((access.hash, (Actor { name, role: role(access.role)? }, access.created)))
        };
        Ok(Self { actors: store.read()?.access()?.into_iter().filter_map(actor).collect() })
    }
}

impl Actor {
    /// The operator at the machine itself: the folder watch, and commands on a stopped registry.
    #[must_use]
    pub fn operator() -> Self {
        Self { name: "operator".to_owned(), role: Role::Admin }
    }

    /// Decides whether this actor may run a command; every command asks first.
    pub(super) fn authorise(&self, command: &'static str) -> Result<(), RegistryError> {
        match self.role {
            Role::Admin => Ok(()),
            Role::Reader | Role::Replica => Err(RegistryError::Forbidden { actor: self.name.clone(), command }),
        }
    }
}

impl Registry {
    /// Who presents this access token; none when nobody does.
    #[must_use]
    pub fn authenticate(&self, presented: &AccessToken) -> Option<Actor> {
        // Found by its hash, which tells an attacker who measures time nothing about a token.
        let known = self.0.known.load();
        known.actors.get(presented.hash().as_bytes()).map(|(actor, _)| actor.clone())
    }

    /// Reads the access tokens again, one reader after another, so that the last one saw the newest.
    fn learn_tokens(&self) -> Result<(), StoreError> {
        let _turn = self.0.learning.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.known.store(Known::read(&self.0.store)?.into());
        Ok(())
    }

    /// Every access token, by name.
    ///
    /// # Errors
    /// The actor may not.
    pub fn tokens(&self, actor: &Actor) -> Result<Vec<TokenView>, RegistryError> {
        actor.authorise("list access tokens")?;
        let known = self.0.known.load();
        let view = |(actor, created): &(Actor, Timestamp)| TokenView {
            name: actor.name.clone(),
            role: actor.role,
            created: *created,
            token: None,
        };
        let mut tokens: Vec<TokenView> = known.actors.values().map(view).collect();
        tokens.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tokens)
    }

    /// Makes an access token; the answer is the only place where it stands.
    ///
    /// # Errors
    /// The actor may not, the name is taken or none, or the store fails.
    pub async fn create_token(&self, actor: &Actor, request: TokenRequest) -> Result<TokenView, RegistryError> {
        actor.authorise("create access tokens")?;
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b);
        let fits = (1..=TOKEN_NAME_BYTES_MAX).contains(&request.name.len()) && request.name.bytes().all(allowed);
        if !fits {
            return Err(RegistryError::TokenName { name: request.name.chars().take(TOKEN_NAME_BYTES_MAX).collect() });
        }
        let token = AccessToken::generate().map_err(|error| RegistryError::Random(error.to_string()))?;
        let hash = *token.hash().as_bytes();
        let (name, role, by) = (request.name, request.role, actor.name.clone());
        let created = {
            let name = name.clone();
            self.command(move |txn, now| {
                if txn.has_access(&name)? {
                    return Err(RegistryError::TokenExists { name });
                }
                txn.put_access(&name, &Access { hash, role: number(role), created: now })?;
                txn.commit(now, Vec::new(), draft(&by, "create-token", &name))?;
                Ok(now)
            })
            .await?
        };
        self.learn_tokens()?;
        Ok(TokenView { name, role, created, token: Some(token.reveal().to_owned()) })
    }

    /// Revokes an access token, for every request from now on.
    ///
    /// # Errors
    /// The actor may not, there is no such token, it is the last of an admin, or the store fails.
    pub async fn revoke_token(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        actor.authorise("revoke access tokens")?;
        let by = actor.name.clone();
        self.command(move |txn, now| {
            if !txn.has_access(&name)? {
                return Err(RegistryError::TokenNotFound { name });
            }
            let is_admin = |access: &Access| role(access.role) == Some(Role::Admin);
            if !txn.access()?.iter().any(|(other, access)| *other != name && is_admin(access)) {
                return Err(RegistryError::LastAdmin { name });
            }
            txn.remove_access(&name)?;
            txn.commit(now, Vec::new(), draft(&by, "revoke-token", &name))?;
            Ok(())
        })
        .await?;
        self.learn_tokens()?;
        Ok(())
    }
}

/// Keeps the access token of the first start.
pub(super) fn keep_first(txn: &mut WriteTxn<'_>, hash: &TokenHash, now: Timestamp) -> Result<(), StoreError> {
    txn.put_access(FIRST_TOKEN, &Access { hash: *hash.as_bytes(), role: number(Role::Admin), created: now })
}

fn draft(actor: &str, command: &'static str, token: &str) -> AuditDraft {
    AuditDraft { actor: actor.to_owned(), command, subjects: vec![token.to_owned()], message: String::new() }
}

/// The number a role is stored under; never used twice.
const fn number(role: Role) -> u8 {
    match role {
        Role::Admin => 1,
        Role::Reader => 2,
        Role::Replica => 3,
    }
}

const fn role(number: u8) -> Option<Role> {
    match number {
        1 => Some(Role::Admin),
        2 => Some(Role::Reader),
        3 => Some(Role::Replica),
        _ => None,
    }
}

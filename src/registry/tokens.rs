//! Access tokens: created, rotated and revoked.

use std::sync::atomic::Ordering;

use super::access::{hex, new_token, rules_change};
use super::admins::admins_with_tokens;
use super::auth_method::AuthMethod;
use super::change_requests::stop_automatic;
use super::clearance::Clearance;
use super::command::Attempt;
use super::principals::create;
use super::{Actor, Registry, RegistryError, check_handle};
use crate::api::govern::{PrincipalRequest, RotationRequest, TokenRequest, TokenView};
use crate::api::limits::{TOKEN_LIFE_S_MAX, VIEWS_MAX};
use crate::crypto::secret::AccessToken;
use crate::model::audit::{Command, Subject};
use crate::model::principal::{Grant, Permission, PrincipalKind, TokenRecord};
use crate::model::time::Timestamp;
use crate::store::documents::{Documents, TokenUse};

const TOKEN: &str = "access token";
/// Most access tokens of a registry; all are cached in memory.
const TOKENS_MAX: usize = 20_000;

impl Registry {
    /// Every access token, by name.
    ///
    /// # Errors
    /// The actor lacks permission.
    pub fn tokens(&self, actor: &Actor) -> Result<Vec<TokenView>, RegistryError> {
        self.may_look(actor, Permission::Access)?;
        let known = self.0.known.load();
        let shown = known.tokens.iter().map(|(record, used_ms)| {
            let used = used_ms.load(Ordering::Relaxed);
            TokenView { last_used: (used > 0).then(|| Timestamp::from_ms(used)), ..view(record, None) }
        });
        Ok(shown.collect())
    }

    /// Creates an access token; only the answer contains it.
    ///
    /// # Errors
    /// The actor lacks permission, the name is taken or invalid, the principal does not exist, or the store fails.
    pub async fn create_token(&self, actor: &Actor, request: TokenRequest) -> Result<TokenView, RegistryError> {
        let token = new_token()?;
        let hash = hex(&token.hash());
        let about = Attempt::new(Command::CreateToken, [Subject::Token { name: request.name.clone() }], "");
        let record = self.command(actor, about, move |txn, ctx, granted| {
            check_handle("an access token", &request.name)?;
            let (count, max) = (txn.list::<TokenRecord>()?.len() + 1, TOKENS_MAX);
            if count > max {
                return Err(RegistryError::TooMany { what: "access tokens", count, max });
            }
            if txn.has::<TokenRecord>(&request.name)? {
                return Err(RegistryError::Exists { what: "an access token", name: request.name });
            }
            if request.views.len() > VIEWS_MAX
                || request.views.iter().any(|view| !crate::model::handle::is_handle(view))
            {
                return Err(RegistryError::Unfit(format!(
                    "an access token is limited to at most {VIEWS_MAX} named views"
                )));
            }
            let expires = expiry(ctx.now, request.expires_s)?;
            let principal = match (request.principal, request.role) {
                (Some(_), Some(_)) => {
                    return Err(RegistryError::Unfit(
                        "give an existing `principal`, or a `role` for a new service".to_owned(),
                    ));
                }
                (None, None) => {
                    return Err(RegistryError::Unfit(
                        "give the `principal` of the access token, or a `role` for a new service".to_owned(),
                    ));
                }
                (Some(principal), None) => match ctx.rules.book.principals.get(&principal).map(|one| one.kind) {
                    None => return Err(RegistryError::NotFound { what: "principal", name: principal }),
                    Some(PrincipalKind::Automation) => {
                        return Err(RegistryError::Unfit(format!(
                            "`{principal}` is an automation, which has no access tokens; create a service for it"
                        )));
                    }
                    Some(_) => principal,
                },
                (None, Some(role)) => {
                    let existing = ctx.rules.book.principals.get(&request.name);
                    let grants = vec![Grant::everywhere(&role)];
                    match existing {
                        Some(existing)
                            if existing.kind == PrincipalKind::Service
                                && existing.grants == grants
                                && existing.disabled.is_none() => {}
                        Some(_) => return Err(RegistryError::Exists { what: "a principal", name: request.name }),
                        None => {
                            let (name, kind) = (request.name.clone(), PrincipalKind::Service);
                            create(txn, ctx, granted.clone(), PrincipalRequest { name, kind, grants })?;
                        }
                    }
                    request.name.clone()
                }
            };
            let record = TokenRecord {
                name: request.name,
                principal,
                hash,
                created: ctx.now,
                expires,
                previous: None,
                prompts: request.prompts,
                views: request.views,
            };
            txn.put::<TokenRecord>(&record.name, &record)?;
            txn.remove::<TokenUse>(&record.name)?;
            rules_change(txn)?;
            let subjects = vec![
                Subject::Token { name: record.name.clone() },
                Subject::Principal { name: record.principal.clone() },
            ];
            ctx.record(txn, granted, Command::CreateToken, subjects)?;
            Ok(record)
        });
        let record = record.await?;
        Ok(view(&record, Some(&token)))
    }

    /// Replaces an access token by another with the same name; the old one remains valid for the overlap.
    ///
    /// # Errors
    /// The actor lacks permission (everyone can rotate their own), the token does not exist, or the store fails.
    pub async fn rotate_token(
        &self,
        actor: &Actor,
        name: String,
        request: RotationRequest,
    ) -> Result<TokenView, RegistryError> {
        let token = new_token()?;
        let hash = hex(&token.hash());
        let about = Attempt::new(Command::RotateToken, [Subject::Token { name: name.clone() }], "");
        let record = self.command(actor, about, move |txn, ctx, granted| {
            let own = txn.get::<TokenRecord>(&name)?.is_some_and(|record| {
                record.principal == ctx.actor.name && ctx.actor.method == AuthMethod::AccessToken(record.name)
            });
            let allowed = if own {
                Clearance::because("it is their own".to_owned())
            } else {
                ctx.authorise(Permission::Access, None, None)?
            };
            let absent = || RegistryError::NotFound { what: TOKEN, name: name.clone() };
            let mut record = txn.get::<TokenRecord>(&name)?.ok_or_else(absent)?;
            let until = expiry(ctx.now, Some(request.overlap_s))?.unwrap_or(ctx.now);
            let until = record.expires.map_or(until, |expires| expires.min(until));
            // Without a new expiry the old one remains; no one can extend their own token.
            let expires = match (expiry(ctx.now, request.expires_s)?, record.expires) {
                (Some(asked), Some(given)) if own => Some(asked.min(given)),
                (asked, given) => asked.or(given),
            };
            let old = std::mem::replace(&mut record.hash, hash);
            record.previous = (until > ctx.now).then_some((old, until));
            record.expires = expires;
            txn.put::<TokenRecord>(&name, &record)?;
            rules_change(txn)?;
            ctx.record(txn, granted.and(allowed), Command::RotateToken, vec![Subject::Token { name }])?;
            Ok(record)
        });
        let record = record.await?;
        Ok(view(&record, Some(&token)))
    }

    /// Revokes an access token, for new requests and for those in progress. Open change requests that its principal
    /// opened, amended or approved are no longer deployed automatically, because someone who stole the token could have
    /// prepared them.
    ///
    /// # Errors
    /// The actor lacks permission, the token does not exist, no one could manage access any more, or the store fails.
    pub async fn revoke_token(&self, actor: &Actor, name: String) -> Result<(), RegistryError> {
        let about = Attempt::new(Command::RevokeToken, [Subject::Token { name: name.clone() }], "");
        self.command(actor, about, move |txn, ctx, granted| {
            let Some(record) = txn.get::<TokenRecord>(&name)? else {
                return Err(RegistryError::NotFound { what: TOKEN, name });
            };
            if !admins_with_tokens(txn, &ctx.rules.book, ctx.now, Some(&name))? {
                return Err(RegistryError::LastAdmin { name });
            }
            txn.remove::<TokenRecord>(&name)?;
            rules_change(txn)?;
            let stopped = stop_automatic(txn, ctx, &record.principal, &name)?;
            let stopped = stopped.into_iter().map(|number| Subject::ChangeRequest { number });
            let subjects = std::iter::once(Subject::Token { name }).chain(stopped).collect();
            Ok(ctx.record(txn, granted, Command::RevokeToken, subjects)?)
        })
        .await
    }
}

fn expiry(now: Timestamp, seconds: Option<u64>) -> Result<Option<Timestamp>, RegistryError> {
    match seconds {
        Some(seconds) if seconds > TOKEN_LIFE_S_MAX => Err(RegistryError::Unfit(format!(
            "{seconds} s is longer than 10 years; leave it out for a token that \
                never expires"
        ))),
        Some(seconds) => Ok(Some(Timestamp::from_ms(now.ms() + i64::try_from(seconds).unwrap_or(0) * 1_000))),
        None => Ok(None),
    }
}

fn view(record: &TokenRecord, token: Option<&AccessToken>) -> TokenView {
    TokenView {
        name: record.name.clone(),
        principal: record.principal.clone(),
        created: record.created,
        expires: record.expires,
        previous_until: record.previous.as_ref().map(|(_, until)| *until),
        last_used: None,
        prompts: record.prompts.clone(),
        views: record.views.clone(),
        token: token.map(|token| token.reveal().to_owned()),
    }
}

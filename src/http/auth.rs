//! Authenticates requests, and decides whether the caller can use the path.
//!
//! An access token becomes a [`AuthContext`]; `registry` decides per command what its [`Actor`] can change. This module only
//! decides about reading and replicating.
//!
//! Invariant: an unknown access token is rejected everywhere, even where none is needed, except that a replica takes
//! reports with any credentials from where it takes them without: it knows no access token but its own
//! (`BOOKHOLDER_READ_TOKEN`), none of its primary, and SDKs of others cannot send none.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::error::Failure;
use super::peer::{Peer, Via};
use super::request::RequestError;
use super::request_id::RequestId;
use super::state::{App, Shared};
use crate::crypto::secret::{AccessToken, TokenHash};
use crate::model::principal::Permission;
use crate::registry::{Actor, AuthContext, Registry};
use crate::replication::connected_replicas::ReplicaIdentity;
use crate::resolve::usage::LOCAL;
use crate::resolve::{ReadScope, ResolveError};

/// How often a long-lived connection checks whether its access token has expired.
const EXPIRY_LOOK: Duration = Duration::from_secs(5);

/// Why a peer is not answered without an access token.
fn lacks_token(peer: Peer) -> Failure {
    let would_be_local = peer.address.is_none_or(|address| address.is_loopback());
    match peer.via {
        Via::Stranger(header) if would_be_local => RequestError::Forwarded { header }.into(),
        _ => RequestError::TokenMissing.into(),
    }
}

/// The caller with the access token of a request; absent if it has none.
pub(super) fn identify(app: &Shared, headers: &HeaderMap) -> Result<Option<Arc<AuthContext>>, Failure> {
    Ok(authenticate_token(app, headers)?.map(|(_, seat)| seat))
}

fn authenticate_token(app: &Shared, headers: &HeaderMap) -> Result<Option<(AccessToken, Arc<AuthContext>)>, Failure> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let unknown = || {
        let replica = app.registry.is_none();
        Failure::from(if replica { RequestError::TokenNotOfReplica } else { RequestError::TokenUnknown })
    };
    let token = token_in(value.as_bytes()).ok_or_else(unknown)?;
    let seat = seat_of(app, &token.hash());
    seat.map(|seat| Some((token, seat))).ok_or_else(unknown)
}

/// The access token in the value of an `Authorization` header.
pub(super) fn token_in(value: &[u8]) -> Option<AccessToken> {
    let (scheme, shown) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        AccessToken::parse(shown.trim()).ok()
    } else if scheme.eq_ignore_ascii_case("basic") {
        AccessToken::parse(&password(shown)?).ok()
    } else {
        None
    }
}

/// The password of basic credentials, whatever the user: what other programs' SDKs send is an access token.
fn password(credentials: &str) -> Option<String> {
    let decoded = STANDARD.decode(credentials.trim()).ok()?;
    let (_, password) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    Some(password.to_owned())
}

/// A caller that may report telemetry: local where reading is open, or with an access token for it.
pub(super) struct Reporter {
    shown: Option<Arc<AuthContext>>,
}

impl Reporter {
    /// The name of their access token, if they sent one.
    pub(super) fn token(&self) -> Option<&str> {
        self.shown.as_ref().map(|seat| seat.token())
    }

    /// What they can read.
    pub(super) fn scope(&self) -> ReadScope {
        self.shown.as_ref().map_or_else(ReadScope::open, |seat| seat.scope().clone())
    }
}

impl FromRequestParts<App> for Reporter {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let shown = match identify(app, &parts.headers) {
            // Without credentials they would be let in, too.
            Err(_) if app.registry.is_none() && app.reads_openly(Peer::of(parts)) => None,
            shown => shown?,
        };
        match (&shown, &app.registry) {
            (None, _) if !app.reads_openly(Peer::of(parts)) => return Err(lacks_token(Peer::of(parts))),
            (Some(seat), Some(registry)) => registry.may_look(seat.actor(), Permission::Telemetry)?,
            // A replica knows one access token, which lets applications do all that they do with a replica.
            (None, _) | (Some(_), None) => {}
        }
        Ok(Self { shown })
    }
}

/// A caller that can read prompts: local if reads are open, or with an access token that allows it.
pub(super) struct Reader {
    shown: Option<(AccessToken, Arc<AuthContext>)>,
    registry: Option<Registry>,
}

impl Reader {
    /// What they can read.
    pub(super) fn scope(&self) -> ReadScope {
        self.shown.as_ref().map_or_else(ReadScope::open, |(_, seat)| seat.scope().clone())
    }

    /// Rejects a reference to a prompt that they cannot read.
    pub(super) fn check_reference(&self, reference: &str) -> Result<(), ResolveError> {
        self.shown.as_ref().map_or(Ok(()), |(_, seat)| seat.scope().check(name_of(reference)))
    }

    /// Their name in the usage record.
    pub(super) fn who(&self) -> &str {
        self.shown.as_ref().map_or(LOCAL, |(_, seat)| seat.token())
    }

    /// The principal of their access token, if they sent one.
    pub(super) fn seat(&self) -> Option<&AuthContext> {
        self.shown.as_ref().map(|(_, seat)| &**seat)
    }

    /// Signals the end of their permission.
    pub(super) fn seated(self) -> AuthWatch {
        AuthWatch { shown: self.shown, registry: self.registry }
    }
}

/// The prompt name of a reference.
pub(super) fn name_of(reference: &str) -> &str {
    reference.split_once('@').map_or(reference, |(name, _)| name)
}

/// The caller with this access token hash, on a node that can validate it.
pub(super) fn seat_of(app: &Shared, token: &TokenHash) -> Option<Arc<AuthContext>> {
    match (&app.registry, &app.read_token) {
        (Some(registry), _) => registry.seat_of(token),
        (None, Some((hash, seat))) if hash == token => Some(Arc::clone(seat)),
        (None, _) => None,
    }
}

impl FromRequestParts<App> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let registry = app.registry.clone();
        match authenticate_token(app, &parts.headers)? {
            None if app.reads_openly(Peer::of(parts)) => Ok(Self { shown: None, registry }),
            None => Err(lacks_token(Peer::of(parts))),
            shown => Ok(Self { shown, registry }),
        }
    }
}

/// A caller with a long-lived connection: it ends when their access token is revoked, changed or expired.
pub(super) struct AuthWatch {
    shown: Option<(AccessToken, Arc<AuthContext>)>,
    registry: Option<Registry>,
}

impl AuthWatch {
    /// Completes when they lose the permissions that they connected with.
    pub(super) async fn lost(&self) {
        let (Some((token, seat)), Some(registry)) = (&self.shown, &self.registry) else {
            return std::future::pending().await;
        };
        let mut changed = registry.rules_changed();
        while registry.still_seated(token, seat) {
            let expires = seat.expires_ms() != i64::MAX;
            tokio::select! {
                ended = changed.changed() => if ended.is_err() { return },
                () = tokio::time::sleep(EXPIRY_LOOK), if expires => {}
            }
        }
    }
}

/// A caller that can follow the registry as a replica: local, or with an access token for it.
pub(super) struct Follower {
    shown: Option<(AccessToken, Arc<AuthContext>)>,
    registry: Option<Registry>,
}

impl Follower {
    /// Whether the answer is the same for all callers that can reach this node.
    pub(super) const fn open(&self) -> bool {
        self.shown.is_none()
    }

    /// Rejects a view that they cannot follow.
    pub(super) fn check(&self, view: &str) -> Result<(), Failure> {
        match &self.shown {
            Some((_, seat)) if !seat.follows(view) => Err(unfollowable(seat)),
            _ => Ok(()),
        }
    }

    /// Their name in the usage record.
    pub(super) fn who(&self) -> &str {
        self.shown.as_ref().map_or(LOCAL, |(_, seat)| seat.token())
    }

    /// The principal of their access token, if they sent one.
    pub(super) fn seat(&self) -> Option<&AuthContext> {
        self.shown.as_ref().map(|(_, seat)| &**seat)
    }

    /// The principal that replicates, if it sends an access token.
    pub(super) fn follows_as(&self) -> Option<ReplicaIdentity> {
        let (_, seat) = self.shown.as_ref()?;
        Some(ReplicaIdentity { principal: seat.actor().name.clone(), token: seat.token().to_owned() })
    }

    /// Signals the end of their permission.
    pub(super) fn seated(self) -> AuthWatch {
        AuthWatch { shown: self.shown, registry: self.registry }
    }
}

fn unfollowable(seat: &AuthContext) -> Failure {
    let (what, role) = ("replicating this registry", "replica");
    RequestError::Role { actor: seat.actor().name.clone(), what, role }.into()
}

impl FromRequestParts<App> for Follower {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let registry = app.registry.clone();
        match authenticate_token(app, &parts.headers)? {
            Some((_, seat)) if !seat.follows_something() => Err(unfollowable(&seat)),
            None if app.reads_openly(Peer::of(parts)) => Ok(Self { shown: None, registry }),
            None => Err(lacks_token(Peer::of(parts))),
            shown => Ok(Self { shown, registry }),
        }
    }
}

/// Passes an access token to the write path, which decides what it allows.
pub(super) struct Writer {
    pub(super) registry: Registry,
    pub(super) actor: Actor,
    pub(super) seat: Arc<AuthContext>,
}

impl Writer {
    /// Refuses callers without permission for what is not public.
    pub(super) fn holds(&self, permission: Permission) -> Result<(), Failure> {
        Ok(self.registry.may_look(&self.actor, permission)?)
    }

    /// What they can read.
    pub(super) fn scope(&self) -> ReadScope {
        self.seat.scope().clone()
    }
}

impl FromRequestParts<App> for Writer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let what = if parts.method.is_safe() { "reading this" } else { "changing anything" };
        let replica = || RequestError::Replica { what, upstream: app.upstream.clone() };
        let registry = app.registry.clone().ok_or_else(replica)?;
        let seat = identify(app, &parts.headers)?.ok_or(RequestError::TokenMissing)?;
        let request_id = parts.extensions.get::<RequestId>().map(ToString::to_string);
        let client = Peer::of(parts).address;
        Ok(Self { registry, actor: Actor { request_id, client, ..seat.actor().clone() }, seat })
    }
}

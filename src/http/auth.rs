//! Who sent a request, and whether the path is open to them.
//!
//! An access token becomes an [`Actor`]; what that actor may change is decided by `registry`, command by command.
//! Here stands only what needs no command: reading, following, and looking at what only an admin sees.
//!
//! Invariant: a token that this node can judge and does not know is refused everywhere, also where none is needed.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};

use super::error::Failure;
use super::request::RequestError;
use super::state::{App, Shared};
use crate::api::write::Role;
use crate::crypto::secret::AccessToken;
use crate::registry::{Actor, Registry};

/// Where a request came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Over the Unix socket, or from a loopback address.
    pub local: bool,
}

impl Peer {
    /// Whether this peer may read without an access token.
    pub(super) fn reads_openly(self, app: &Shared) -> bool {
        app.open_to_all || (self.local && app.open_reads)
    }

    fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().copied().unwrap_or_default()
    }
}

/// Finds who presents the access token of a request; none when it has none.
pub(super) fn identify(app: &Shared, headers: &HeaderMap) -> Result<Option<Actor>, Failure> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let unknown = || Failure::from(RequestError::TokenUnknown);
    if app.registry.is_none() && app.read_token.is_none() {
        // A replica without tokens of its own cannot judge those of its primary.
        return Ok(None);
    }
    let (scheme, token) = value.to_str().ok().and_then(|text| text.split_once(' ')).ok_or_else(unknown)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(unknown());
    }
    let token = AccessToken::parse(token.trim()).map_err(|_| unknown())?;
    let actor = match (&app.registry, &app.read_token) {
        (Some(registry), _) => registry.authenticate(&token),
        (None, Some(hash)) if token.hash() == *hash => Some(Actor { name: "reader".to_owned(), role: Role::Reader }),
        (None, _) => None,
    };
    actor.map(Some).ok_or_else(unknown)
}

/// May read prompts: local where reading is open, or with any access token.
pub(super) struct Reader;

impl FromRequestParts<App> for Reader {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        match identify(app, &parts.headers)? {
            Some(_) => Ok(Self),
            None if Peer::of(parts).reads_openly(app) => Ok(Self),
            None => Err(RequestError::TokenMissing.into()),
        }
    }
}

/// May follow the registry as a replica: local, or with an access token for it.
pub(super) struct Follower {
    /// Whether the answer is for everybody who can reach this node.
    pub(super) open: bool,
}

impl FromRequestParts<App> for Follower {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        match identify(app, &parts.headers)? {
            Some(actor) => match actor.role {
                Role::Admin | Role::Replica => Ok(Self { open: false }),
                Role::Reader => {
                    let (what, role) = ("follow this registry", "replica");
                    Err(RequestError::Role { actor: actor.name, what, role }.into())
                }
            },
            None if Peer::of(parts).reads_openly(app) => Ok(Self { open: true }),
            None => Err(RequestError::TokenMissing.into()),
        }
    }
}

/// Presents an access token to the write path, which decides what it may do.
pub(super) struct Writer {
    pub(super) registry: Registry,
    pub(super) actor: Actor,
}

impl FromRequestParts<App> for Writer {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        let registry = primary(app, "changing anything")?.clone();
        let actor = identify(app, &parts.headers)?.ok_or(RequestError::TokenMissing)?;
        Ok(Self { registry, actor })
    }
}

/// May see and take everything: an admin's access token, on a primary.
pub(super) struct Admin;

impl FromRequestParts<App> for Admin {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Failure> {
        primary(app, "what is kept for admins")?;
        let actor = identify(app, &parts.headers)?.ok_or(RequestError::TokenMissing)?;
        match actor.role {
            Role::Admin => Ok(Self),
            Role::Reader | Role::Replica => {
                Err(RequestError::Role { actor: actor.name, what: "see this", role: "admin" }.into())
            }
        }
    }
}

/// The write path, which only a primary has.
fn primary<'a>(app: &'a Shared, what: &'static str) -> Result<&'a Registry, Failure> {
    let replica = || RequestError::Replica { what, upstream: app.upstream.clone() }.into();
    app.registry.as_ref().ok_or_else(replica)
}

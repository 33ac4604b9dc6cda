//! Where a request came from: over which connection, from which address, through which kind of proxy.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Whether and how a proxy forwarded a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Via {
    /// No sign of a proxy.
    #[default]
    Nobody,
    /// An untrusted proxy that revealed itself by this header: nothing that it sends is local.
    Stranger(&'static str),
    /// A trusted proxy.
    Trusted,
}

/// The origin of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer {
    /// Over the Unix socket, or from a loopback address.
    pub local: bool,
    /// Over TLS.
    pub encrypted: bool,
    /// The address of the peer; absent over the Unix socket.
    pub address: Option<IpAddr>,
    /// Over the Unix socket.
    pub socket: bool,
    /// The address of this node that it connected to.
    pub reached: Option<IpAddr>,
    /// The kind of proxy that forwarded it, if any.
    pub via: Via,
}

impl Peer {
    pub(super) fn of(parts: &Parts) -> Self {
        parts.extensions.get::<Self>().copied().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::of(parts))
    }
}

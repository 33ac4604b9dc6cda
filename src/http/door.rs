//! The way from a client to this node: its hosts, its proxies, and how a request came.
//!
//! What a proxy forwards is not local, whichever machine the proxy runs on.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, Uri, header};

use super::forwarded::{Proxies, host_of_proxy, known_sign, sign_of_a_proxy};
use super::hosts::Hosts;
use super::peer::{Peer, Via};
use crate::model::public_url::PublicUrl;

/// The header in which browsers identify the origin of a request.
pub(super) const SITE: &str = "sec-fetch-site";

/// Default idle timeout between two requests of a connection, in seconds: longer than that of common proxies (mostly 60
/// s), so that they close connections first and never send a request into a closing one.
pub const KEEP_ALIVE_S_DEFAULT: u64 = 75;
/// Longest host and port that an error repeats, in characters.
const HOST_CHARACTERS_MAX: usize = 260;
/// Longest name from a proxy, in bytes: that of an e-mail address.
const SIGNED_IN_BYTES_MAX: usize = 254;

/// The operator's settings for access to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Own host names besides those of this machine.
    pub hosts: Hosts,
    /// Proxies whose forwarding headers are trusted.
    pub proxies: Proxies,
    /// The header in which trusted proxies name the person signed in to the pages.
    pub sign_in_header: Option<HeaderName>,
    /// Whether each request is logged.
    pub access_log: bool,
    /// Idle timeout between two requests of a connection, in seconds.
    pub keep_alive_s: u64,
    /// Whether plain requests to resolve are answered below hyper.
    pub fast_path: bool,
    /// The URL of the pages, if it differs from the listening address.
    pub public_url: Option<PublicUrl>,
}

impl Door {
    /// The path prefix of this node; empty for the root.
    pub(super) fn prefix(&self) -> &str {
        self.public_url.as_ref().map_or("", PublicUrl::prefix)
    }

    /// The person that a trusted proxy signed in, in lower case like principal names. Absent if the header comes from
    /// elsewhere, or more than once: a client may have added one.
    pub(super) fn signed_in(&self, peer: Peer, headers: &HeaderMap) -> Option<String> {
        let header = self.sign_in_header.as_ref().filter(|_| peer.via == Via::Trusted)?;
        let mut values = headers.get_all(header).iter();
        let name = values.next()?.to_str().ok()?.trim();
        let is_name = values.next().is_none() && (1..=SIGNED_IN_BYTES_MAX).contains(&name.len());
        is_name.then(|| name.to_ascii_lowercase())
    }
}

impl Default for Door {
    fn default() -> Self {
        Self {
            hosts: Hosts::default(),
            proxies: Proxies::default(),
            sign_in_header: None,
            access_log: false,
            keep_alive_s: KEEP_ALIVE_S_DEFAULT,
            fast_path: true,
            public_url: None,
        }
    }
}

/// The URL that a request was sent to, for links back to this node.
pub(super) struct Address {
    encrypted: bool,
    host: String,
}

impl Address {
    /// The URL of this node's pages: `public_url` if set, otherwise where the request was sent.
    pub(super) fn of(&self, door: &Door) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        door.public_url.as_ref().map_or_else(|| format!("{scheme}://{}", self.host), ToString::to_string)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Address {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let peer = Peer::of(parts);
        Ok(Self { encrypted: peer.encrypted, host: asked_host(peer, &parts.uri, &parts.headers) })
    }
}

/// The client of a request: the peer of its connection, or the client reported by a trusted proxy.
pub(super) fn sender(door: &Door, connection: Peer, headers: &HeaderMap) -> Peer {
    if door.proxies.has(connection) {
        let origin = door.proxies.origin(headers);
        // A request from a trusted proxy is never local, even without the headers: a client can make a proxy omit them.
        return Peer {
            local: false,
            socket: false,
            address: origin.client.or(connection.address),
            encrypted: origin.encrypted.unwrap_or(connection.encrypted),
            via: Via::Trusted,
            ..connection
        };
    }
    match sign_of_a_proxy(headers) {
        Some(header) => Peer { local: false, socket: false, via: Via::Stranger(header), ..connection },
        None => connection,
    }
}

/// The hosts that a request names.
pub(super) fn authorities<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> {
    let target = uri.authority().map(Authority::as_str);
    target.into_iter().chain(headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default()))
}

/// The host that the client asked a trusted proxy for, if the proxy reports it.
pub(super) fn forwarded_host(peer: Peer, headers: &HeaderMap) -> Option<String> {
    if peer.via == Via::Trusted { host_of_proxy(headers) } else { None }
}

/// The requested host, for display.
pub(super) fn asked_host(peer: Peer, uri: &Uri, headers: &HeaderMap) -> String {
    let asked = forwarded_host(peer, headers);
    let asked = asked.as_deref().or_else(|| authorities(uri, headers).next()).unwrap_or_default();
    asked.chars().take(HOST_CHARACTERS_MAX).filter(char::is_ascii_graphic).collect()
}

/// Whether an `Origin` is this node: the public URL, or the scheme, host and port that the request was sent to, as
/// reported by a trusted proxy or the request itself.
pub(super) fn is_own_origin(door: &Door, origin: &str, peer: Peer, uri: &Uri, headers: &HeaderMap) -> bool {
    if door.public_url.as_ref().is_some_and(|public| public.origin().eq_ignore_ascii_case(origin)) {
        return true;
    }
    let scheme = if peer.encrypted { "https" } else { "http" };
    let forwarded = forwarded_host(peer, headers);
    let asked = forwarded.as_deref().or_else(|| authorities(uri, headers).next());
    let own = |(said, host): (&str, &str)| {
        said == scheme && asked.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    origin.split_once("://").is_some_and(own)
}

/// Whether these headers can come from this node's own page, a program, or no proxy at all: then they do not affect
/// what a local peer gets.
pub(super) fn are_plain(headers: &HeaderMap) -> bool {
    let judged = |name: &str| matches!(name, "origin" | SITE) || known_sign(name).is_some();
    headers.len() == headers.keys_len() && !headers.keys().any(|name| judged(name.as_str()))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn origins_are_compared_with_their_scheme() {
        let (plain, tls) = (Peer::default(), Peer { encrypted: true, ..Peer::default() });
        for (origin, peer, expected) in [
            ("http://here:1", plain, true),
            ("HTTP://here:1", plain, false),
            ("http://HERE:1", plain, true),
            ("https://here:1", plain, false),
            ("https://here:1", tls, true),
            ("http://here:1", tls, false),
            ("http://here", plain, false),
            ("http://there:1", plain, false),
            ("null", plain, false),
            ("", plain, false),
        ] {
            let request = Request::get("/ui/").header("host", "here:1").body(()).expect("a request");
            let own = is_own_origin(&Door::default(), origin, peer, request.uri(), request.headers());
            assert_eq!(own, expected, "{origin}");
        }
    }

    #[test]
    fn public_url_and_forwarded_host_are_own_origins() {
        let public = |url: &str| Door { public_url: Some(url.parse().expect("a URL")), ..Door::default() };
        let (here, proxied) = (Peer::default(), Peer { via: Via::Trusted, encrypted: true, ..Peer::default() });
        let asked: &[(&str, &str)] = &[("x-forwarded-host", "prompts.example.com")];
        for (door, peer, headers, origin, expected) in [
            (Door::default(), here, &[][..], "https://prompts.example.com", false),
            (public("https://prompts.example.com/books"), here, &[], "https://prompts.example.com", true),
            (public("https://prompts.example.com/books"), here, &[], "http://prompts.example.com", false),
            (public("https://prompts.example.com/books"), here, &[], "https://evil.example", false),
            (Door::default(), proxied, asked, "https://prompts.example.com", true),
            (Door::default(), proxied, asked, "http://prompts.example.com", false),
            (Door::default(), proxied, asked, "https://node:1", false),
            (
                Door::default(),
                proxied,
                &[("forwarded", "for=1.2.3.4;host=\"a.example:8443\"")],
                "https://a.example:8443",
                true,
            ),
            (Door::default(), here, asked, "http://prompts.example.com", false),
            (Door::default(), here, asked, "http://node:1", true),
        ] {
            let mut request = Request::get("/ui/").header("host", "node:1");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let request = request.body(()).expect("a request");
            let own = is_own_origin(&door, origin, peer, request.uri(), request.headers());
            assert_eq!(own, expected, "{origin} {headers:?} {door:?}");
        }
    }
}

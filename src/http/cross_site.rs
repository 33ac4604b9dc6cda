//! Refuses requests that a page of another site may have made a browser send.
//!
//! What is answered without an access token because of where it comes from must not be answered to such a page, which a
//! browser on this machine happens to show. It names a foreign host, or its browser says where the request comes from.
//! An access token proves more than either, as no page can know one.

use axum::http::{HeaderMap, Method, Request, Uri, Version, header};

use super::auth::identify;
use super::browser_paths::is_page;
use super::door::{Door, SITE, asked_host, authorities, forwarded_host, is_own_origin};
use super::error::Failure;
use super::hosts::Hosts;
use super::peer::{Peer, Via};
use super::request::RequestError;
use super::state::Shared;

/// These only reveal whether this node runs, and probes may use any address.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Refuses requests that another site may have made a browser send, if the answer is for all local callers.
pub(super) fn check<B>(app: &Shared, peer: Peer, request: &Request<B>) -> Result<(), Failure> {
    let (uri, headers) = (request.uri(), request.headers());
    let said = headers.get_all(header::HOST).iter().count();
    if said > 1 || (said == 0 && request.version() == Version::HTTP_11 && !peer.socket) {
        return Err(RequestError::Hosts { count: said }.into());
    }
    let page = is_page(uri.path());
    let is_public = page || !(uri.path().starts_with("/v1/") || uri.path().starts_with("/replication/"));
    // Other requests need an access token in any case; and over TLS, browsers check that the host is this node.
    let answers_all = app.reads_openly(peer) || (is_public && !peer.encrypted);
    if peer.socket || !answers_all || PROBES.contains(&uri.path()) {
        return Ok(());
    }
    let fault = if !names_this_node(&app.door.hosts, peer, uri, headers) {
        let forwarded = if let Via::Stranger(header) = peer.via { Some(header) } else { None };
        RequestError::WrongHost { host: asked_host(peer, uri, headers), forwarded }
    } else if is_foreign(&app.door, peer, request, is_public) && !(page && *request.method() == Method::POST) {
        // Forms of pages have their own, stricter check.
        RequestError::OtherSite
    } else {
        return Ok(());
    };
    match identify(app, headers)? {
        Some(_) => Ok(()),
        None => Err(fault.into()),
    }
}

/// Whether the host of a request is this node; if it names two different ones, both must be.
fn names_this_node(hosts: &Hosts, peer: Peer, uri: &Uri, headers: &HeaderMap) -> bool {
    if let Some(host) = forwarded_host(peer, headers) {
        return hosts.owns(&host, peer.reached);
    }
    let mut named = authorities(uri, headers).peekable();
    named.peek().is_some() && named.all(|host| hosts.owns(host, peer.reached))
}

/// Whether a page of another site sent a request. Links from other sites to pages are allowed, because their content is
/// not visible to the linking page.
fn is_foreign<B>(door: &Door, peer: Peer, request: &Request<B>, is_public: bool) -> bool {
    let said = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    match said(SITE) {
        Some("same-origin" | "none") => false,
        Some(_) => {
            let read = matches!(*request.method(), Method::GET | Method::HEAD);
            !(is_public
                && read
                && said("sec-fetch-mode") == Some("navigate")
                && said("sec-fetch-dest") == Some("document"))
        }
        None => {
            said("origin").is_some_and(|origin| !is_own_origin(door, origin, peer, request.uri(), request.headers()))
        }
    }
}

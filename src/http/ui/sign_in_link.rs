//! Signing in with a link that an admin created: once, and without an access token.
//!
//! Opening the link shows a button and changes nothing, so that previews of links do not use it up. The secret is in
//! the query, which this node never logs, and the page sends no referrer.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::super::code;
use super::super::denied_log;
use super::super::error::Failure;
use super::super::extract::{Params, blocking};
use super::super::peer::Peer;
use super::super::request::RequestError;
use super::super::request_id::RequestId;
use super::super::sessions::new_id;
use super::super::state::{App, Shared};
use super::html;
use super::sign_in::{HOME, begin};
use super::visitor::{Cookie, CookieScope, field, frame, read_visit_form};
use crate::api::problem::ErrorCode;
use crate::crypto::secret::AccessToken;
use crate::registry::{Actor, Registry, SignedInBy};
use crate::web::layout::Who;
use crate::web::pages::sign_in::{SignInLinkPageData, link_page};

/// Shows who the link signs in, and a button to confirm.
pub(super) async fn form(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    let peer = Peer::of(&parts);
    let mut params = Params::of_uri(&parts.uri)?;
    let key = params.text("key").unwrap_or_default();
    params.finish(&["key"])?;
    let registry = registry(&app)?;
    let held = registry.clone();
    let secret = AccessToken::parse(&key).ok();
    let found = blocking(move || secret.map_or(Ok(None), |secret| held.sign_in_link(&secret))).await??;
    let Some(name) = found else { return refuse(&app, peer) };
    let known = Cookie::Visit.read(CookieScope::of(&app, peer), &parts.headers).map(str::to_owned);
    let visit = known.map_or_else(new_id, Ok)?;
    let form = app.sessions.form_token(&visit);
    let matter = SignInLinkPageData { key: &key, form: &form, name: Some(&name) };
    let mut response = page(&app, &matter);
    response.headers_mut().append(header::SET_COOKIE, Cookie::Visit.set(CookieScope::of(&app, peer), &visit));
    Ok(response)
}

/// Uses the link up and starts a session.
pub(super) async fn sign_in(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (parts, body): (_, Body) = request.into_parts();
    let peer = Peer::of(&parts);
    let registry = registry(&app)?;
    let visit = Cookie::Visit.read(CookieScope::of(&app, peer), &parts.headers).unwrap_or_default().to_owned();
    let mut form = read_visit_form(&app, &parts, body, &visit).await?;
    let key = field(&mut form, "key")?;
    form.finish(&["key", "form"])?;
    let Ok(secret) = AccessToken::parse(&key) else { return refuse(&app, peer) };
    let request_id = parts.extensions.get::<RequestId>().map(ToString::to_string);
    let by = Actor { request_id, client: peer.address, ..Actor::operator("") };
    let Some(name) = registry.use_sign_in_link(&secret, by).await? else { return refuse(&app, peer) };
    let client = peer.address.map(|address| address.to_string());
    tracing::info!(principal = name, client, "signed in to the pages with a sign-in link");
    begin(&app, peer, &parts.headers, (SignedInBy::Link, &name), HOME).await
}

/// Only a primary has links: a replica knows no people.
fn registry(app: &Shared) -> Result<Registry, Failure> {
    let replica = || RequestError::Replica { what: "signing in with a link", upstream: app.upstream.clone() };
    Ok(app.registry.clone().ok_or_else(replica)?)
}

/// Counts an invalid link as a failed sign-in attempt, with the same message for every cause.
fn refuse(app: &Shared, peer: Peer) -> Result<Response, Failure> {
    denied_log::log(peer, None, true);
    app.sessions.failed(peer.address).map_err(|retry_after_s| RequestError::Attempts { retry_after_s })?;
    let mut response = page(app, &SignInLinkPageData::default());
    *response.status_mut() = code::status(ErrorCode::NotFound);
    Ok(response)
}

fn page(app: &Shared, matter: &SignInLinkPageData<'_>) -> Response {
    let mut response = html(link_page(&frame(app, Who::Stranger), matter));
    // Unlike `same-origin`, this keeps the query out of every `Referer`; forms are still sent with their origin.
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("strict-origin"));
    response
}

//! Signing in and out.

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::auth::seat_of;
use super::super::denied_log;
use super::super::error::Failure;
use super::super::extract::Params;
use super::super::peer::Peer;
use super::super::request::RequestError;
use super::super::sessions::new_id;
use super::super::state::{App, Shared};
use super::html;
use super::visitor::{Cookie, CookieScope, SubmittedForm, field, frame, read_visit_form, redirect, session};
use crate::crypto::secret::AccessToken;
use crate::registry::SignedInBy;
use crate::web::layout::Who;
use crate::web::pages::sign_in::{SignIn, page};

/// The default page after signing in.
pub(super) const HOME: &str = "/ui/";
/// The message for an invalid access token, the same for every cause.
const REFUSED: &str = "That token is not valid. It may be mistyped, expired or revoked.";

/// The form.
pub(super) async fn form(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    let peer = Peer::of(&parts);
    let mut params = Params::of_uri(&parts.uri)?;
    let next = own_path(params.text("next"));
    params.finish(&["next"])?;
    if session(&app, peer, &parts.headers).is_some() {
        return Ok(redirect(&next));
    }
    show(&app, peer, &parts.headers, &next, None)
}

/// Exchanges an access token for a session.
pub(super) async fn sign_in(State(app): State<App>, request: Request) -> Result<Response, Failure> {
    let (parts, body): (_, Body) = request.into_parts();
    let peer = Peer::of(&parts);
    let visit = Cookie::Visit.read(CookieScope::of(&app, peer), &parts.headers).unwrap_or_default().to_owned();
    let mut form = read_visit_form(&app, &parts, body, &visit).await?;
    let (presented, next) = (field(&mut form, "token")?, own_path(form.text("next")));
    form.finish(&["token", "next", "form"])?;
    let token = AccessToken::parse(presented.trim()).ok().map(|token| token.hash());
    // Checked first: a valid access token signs in, however many attempts from the same address have failed.
    let Some((token, seat)) = token.and_then(|token| Some((token, seat_of(&app, &token)?))) else {
        denied_log::log(peer, None, true);
        let many = |retry_after_s| RequestError::Attempts { retry_after_s };
        app.sessions.failed(peer.address).map_err(many)?;
        return show(&app, peer, &parts.headers, &next, Some(REFUSED));
    };
    let client = peer.address.map(|address| address.to_string());
    tracing::info!(principal = seat.actor().name, token = seat.token(), client, "signed in to the pages");
    begin(&app, peer, &parts.headers, (SignedInBy::Token(token), &seat.actor().name), &next).await
}

/// Starts a session that replaces the current one of this browser, and redirects.
pub(super) async fn begin(
    app: &Shared,
    peer: Peer,
    headers: &HeaderMap,
    (by, principal): (SignedInBy, &str),
    next: &str,
) -> Result<Response, Failure> {
    if let Some((before, _)) = session(app, peer, headers) {
        app.sessions.end(&before);
    }
    let id = app.sessions.begin(by, principal)?;
    app.sessions.keep_or_warn().await;
    let mut response = redirect(next);
    response.headers_mut().append(header::SET_COOKIE, Cookie::Session.set(CookieScope::of(app, peer), &id));
    response.headers_mut().append(header::SET_COOKIE, Cookie::Visit.clear(CookieScope::of(app, peer)));
    Ok(response)
}

/// Ends this session, or all sessions of its principal.
pub(super) async fn sign_out(State(app): State<App>, sent: SubmittedForm) -> Result<Response, Failure> {
    let SubmittedForm { session, seat, peer, mut form, .. } = sent;
    let everywhere = form.text("everywhere").is_some();
    form.finish(&["form", "everywhere"])?;
    if everywhere {
        app.sessions.end_all(&seat.actor().name);
    } else {
        app.sessions.end(&session);
    }
    app.sessions.keep_or_warn().await;
    let mut response = redirect("/ui/sign-in");
    response.headers_mut().append(header::SET_COOKIE, Cookie::Session.clear(CookieScope::of(&app, peer)));
    response.headers_mut().insert("clear-site-data", HeaderValue::from_static("\"cache\""));
    Ok(response)
}

/// Shows the form, tied to this browser by a cookie.
fn show(app: &Shared, peer: Peer, headers: &HeaderMap, next: &str, refused: Option<&str>) -> Result<Response, Failure> {
    let known = Cookie::Visit.read(CookieScope::of(app, peer), headers).map(str::to_owned);
    let visit = known.map_or_else(new_id, Ok)?;
    let takes_tokens = app.registry.is_some() || app.read_token.is_some();
    let form = app.sessions.form_token(&visit);
    // A known person named by the header already has a session, and does not see this page.
    let unknown = app.door.signed_in(peer, headers);
    let matter = SignIn { next, form: &form, refused, unknown: unknown.as_deref(), takes_tokens };
    let who = if app.reads_openly(peer) { Who::Local } else { Who::Stranger };
    let mut response = html(page(&frame(app, who), &matter));
    *response.status_mut() = StatusCode::OK;
    response.headers_mut().append(header::SET_COOKIE, Cookie::Visit.set(CookieScope::of(app, peer), &visit));
    Ok(response.into_response())
}

/// A path of the pages, so that signing in never redirects to another site.
fn own_path(next: Option<String>) -> String {
    let plain = |next: &String| {
        next.starts_with(HOME)
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
            && next.len() < 2_000
    };
    next.filter(plain).unwrap_or_else(|| HOME.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_in_redirects_only_to_pages_of_this_node() {
        for (next, expected) in [
            ("/ui/prompts/a?version=1", "/ui/prompts/a?version=1"),
            ("//evil.example/ui/", HOME),
            ("https://evil.example/ui/", HOME),
            ("/ui/\\evil", HOME),
            ("/ui/\r\nset-cookie: x", HOME),
            ("/v1/backup", HOME),
            ("", HOME),
        ] {
            assert_eq!(own_path(Some(next.to_owned())), expected, "{next}");
        }
        assert_eq!(own_path(None), HOME);
    }
}

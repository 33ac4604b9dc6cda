//! The visitor of a page, and whether a form is really theirs.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::super::auth::{identify, seat_of};
use super::super::door::{Door, asked_host, is_own_origin};
use super::super::error::Failure;
use super::super::extract::{Params, blocking, body_in_time};
use super::super::freshness_headers::text;
use super::super::peer::Peer;
use super::super::request::RequestError;
use super::super::request_id::RequestId;
use super::super::sessions::{ID_CHARACTERS, NoRandomness};
use super::super::state::{App, Shared};
use crate::api::status::Freshness;
use crate::model::position::Position;
use crate::model::principal::Permission;
use crate::model::time::Timestamp;
use crate::registry::{Actor, AuthContext, AuthMethod, Registry, SignedInBy};
use crate::resolve::{CatalogueView, ReadScope};
use crate::store::StoreError;
use crate::web::form::FormValues;
use crate::web::layout::{Frame, ReplicaStatus, Who, query};

/// Largest form without a content, in bytes.
const FORM_BYTES_MAX: usize = 64 * 1024;
/// Largest sign-in form, in bytes: anyone can send one, and all bodies share one budget.
const VISIT_FORM_BYTES_MAX: usize = 8 * 1024;
/// Largest form with a content, in bytes: three bytes for each percent-encoded byte, plus samples.
pub(super) const CONTENT_FORM_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Names of the session cookie: over TLS, over TLS below a path of a shared host, and without TLS. The `__Host-` prefix
/// stops other hosts of the domain from setting it, and requires the root path.
const SESSION: (&str, &str, &str) = ("__Host-bookholder", "__Secure-bookholder", "bookholder_session");
/// Names of the cookie that ties the sign-in form to the browser that requested it.
const VISIT: (&str, &str, &str) = ("__Host-bookholder-visit", "__Secure-bookholder-visit", "bookholder_visit");

/// A parameter that scripts add to automatic requests.
const BY_ITSELF: &str = "bookholder-live";

/// Properties of the connection between browser and node that its cookies depend on.
#[derive(Clone, Copy)]
pub(super) struct CookieScope<'a> {
    encrypted: bool,
    prefix: &'a str,
}

impl<'a> CookieScope<'a> {
    pub(super) fn of(app: &'a Shared, peer: Peer) -> Self {
        Self { encrypted: peer.encrypted, prefix: app.door.prefix() }
    }
}

/// Which cookie.
#[derive(Clone, Copy)]
pub(super) enum Cookie {
    /// For a session.
    Session,
    /// For the sign-in form.
    Visit,
}

impl Cookie {
    const fn name(self, way: CookieScope<'_>) -> &'static str {
        let (root, below, plain) = match self {
            Self::Session => SESSION,
            Self::Visit => VISIT,
        };
        match (way.encrypted, way.prefix.is_empty()) {
            (true, true) => root,
            (true, false) => below,
            (false, _) => plain,
        }
    }

    /// Its value in a request.
    pub(super) fn read<'h>(self, way: CookieScope<'_>, headers: &'h HeaderMap) -> Option<&'h str> {
        let name = self.name(way);
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        let value = pairs.find(|(found, _)| *found == name).map(|(_, value)| value);
        // A value that this node did not issue is ignored, especially an empty one.
        value.filter(|value| value.len() == ID_CHARACTERS)
    }

    /// The header that sets it for the browser session.
    pub(super) fn set(self, way: CookieScope<'_>, value: &str) -> HeaderValue {
        self.header(way, value, "")
    }

    /// The header that deletes it.
    pub(super) fn clear(self, way: CookieScope<'_>) -> HeaderValue {
        self.header(way, "", "; Max-Age=0")
    }

    fn header(self, way: CookieScope<'_>, value: &str, age: &str) -> HeaderValue {
        let secure = if way.encrypted { "; Secure" } else { "" };
        let (name, prefix) = (self.name(way), way.prefix);
        text(format!("{name}={value}; Path={prefix}/; HttpOnly; SameSite=Strict{age}{secure}"))
    }
}

/// Someone who can view pages: signed in, with an access token in the request, or local if reads are open.
#[derive(Clone)]
pub(in crate::http) struct Visitor {
    seat: Option<Arc<AuthContext>>,
    session: Option<String>,
    /// The position of the registry at the request; absent for forms.
    from: Option<Position>,
}

impl Visitor {
    /// The sender of a request; whether they can view anything is a separate question.
    pub(in crate::http) fn of(app: &Shared, peer: Peer, headers: &HeaderMap) -> Self {
        match session(app, peer, headers) {
            Some((id, seat)) => Self { seat: Some(seat), session: Some(id), from: None },
            None => Self { seat: identify(app, headers).ok().flatten(), session: None, from: None },
        }
    }

    /// The page frame if their request failed.
    pub(in crate::http) async fn frame_of_failure(self, app: &App, peer: Peer) -> Arc<Frame> {
        if self.seat.is_none() && !app.reads_openly(peer) {
            return Arc::new(frame(app, Who::Stranger));
        }
        let held = Arc::clone(app);
        let known = blocking(move || self.frame_alone(&held)).await;
        Arc::new(known.ok().and_then(Result::ok).unwrap_or_else(|| frame(app, Who::Stranger)))
    }

    /// The current snapshot with their permissions: everything on a page comes from one.
    pub(super) fn view(&self, app: &Shared) -> Result<CatalogueView, StoreError> {
        let scope = self.seat.as_ref().map_or_else(ReadScope::open, |seat| seat.scope().clone());
        app.catalogue.as_reader(&scope)
    }

    /// The page frame for pages without catalogue data.
    pub(super) fn frame_alone(&self, app: &Shared) -> Result<Frame, StoreError> {
        Ok(self.frame(app, &self.view(app)?))
    }

    /// The page frame: what pages show about the visitor and this node.
    pub(super) fn frame(&self, app: &Shared, view: &CatalogueView) -> Frame {
        let who = match (&self.seat, &self.session) {
            (Some(seat), Some(id)) if seat.is_single_sign_on() => {
                Who::SingleSignOn { name: seat.actor().name.clone(), form: app.sessions.form_token(id) }
            }
            (Some(seat), Some(id)) if seat.is_sign_in_link() => {
                Who::SignInLink { name: seat.actor().name.clone(), form: app.sessions.form_token(id) }
            }
            (Some(seat), Some(id)) => Who::Signed {
                name: seat.actor().name.clone(),
                token: seat.token().to_owned(),
                form: app.sessions.form_token(id),
            },
            (Some(seat), None) => Who::Bearer { name: seat.actor().name.clone() },
            (None, _) => Who::Local,
        };
        let open = |registry: &Registry| registry.open_change_requests(view).map_or(0, |open| open.len());
        let access = if self.holds(app, Permission::Access) {
            Some("/ui/access")
        } else if self.holds(app, Permission::Policy) {
            Some("/ui/access/policies")
        } else if self.holds(app, Permission::Webhooks) {
            Some("/ui/access/webhooks")
        } else {
            None
        };
        let audits = self.holds(app, Permission::Audit);
        Frame { open: app.registry.as_ref().map(open), audits, access, from: self.from, ..frame(app, who) }
    }

    /// Whether they can view what is not public.
    pub(super) fn holds(&self, app: &Shared, permission: Permission) -> bool {
        let asked = self.actor().zip(app.registry.as_ref());
        asked.is_some_and(|(actor, registry)| registry.may_look(actor, permission).is_ok())
    }

    /// The principal of their access token, if any.
    pub(in crate::http) fn seat(&self) -> Option<&AuthContext> {
        self.seat.as_deref()
    }

    /// Their session, if any.
    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// The actor for their changes; absent if they are not known.
    pub(super) fn actor(&self) -> Option<&Actor> {
        self.seat.as_deref().map(AuthContext::actor)
    }

    /// The actor, if they can send forms.
    pub(super) fn signed(&self) -> Option<&Actor> {
        self.session.as_ref().and_then(|_| self.actor())
    }
}

/// What pages show about this node.
pub(super) fn frame(app: &Shared, who: Who) -> Frame {
    let freshly = app.freshness.now();
    let stale = freshly.freshness != Freshness::Fresh;
    let following = || ReplicaStatus { upstream: app.upstream.clone(), age_s: freshly.age_s, stale };
    Frame {
        registry: (app.status)().registry,
        now: Timestamp::from_ms(app.clock.now_ms()),
        who,
        replica: app.registry.is_none().then(following),
        open: None,
        audits: false,
        from: None,
        access: None,
    }
}

impl FromRequestParts<App> for Visitor {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let peer = Peer::of(parts);
        // Taken before anything is read for the page, so that later commits trigger a refresh.
        let from = Some(app.committed.borrow().head.position);
        if let Some((id, seat)) = session(app, peer, &parts.headers) {
            return Ok(Self { seat: Some(seat), session: Some(id), from });
        }
        let seat = identify(app, &parts.headers).map_err(IntoResponse::into_response)?;
        if seat.is_some() || app.reads_openly(peer) {
            return Ok(Self { seat, session: None, from });
        }
        let here = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        let next = if parts.method == Method::GET { here.as_str() } else { "" };
        Err(redirect(&format!("/ui/sign-in{}", query(&[("next", next)]))))
    }
}

/// The session of a request and its person: from its cookie, or from a trusted proxy.
pub(super) fn session(app: &Shared, peer: Peer, headers: &HeaderMap) -> Option<(String, Arc<AuthContext>)> {
    session_of_cookie(app, peer, headers).or_else(|| {
        let name = app.door.signed_in(peer, headers)?;
        let seat = app.registry.as_ref()?.seat_of_single_sign_on(&name)?;
        Some((app.sessions.of_proxy(&name), seat))
    })
}

/// The session of a cookie; ended if its access token or person is gone.
fn session_of_cookie(app: &Shared, peer: Peer, headers: &HeaderMap) -> Option<(String, Arc<AuthContext>)> {
    let id = Cookie::Session.read(CookieScope::of(app, peer), headers)?;
    let seat = match app.sessions.find(id, !headers.contains_key(BY_ITSELF))? {
        SignedInBy::Token(token) => seat_of(app, &token),
        SignedInBy::Link => {
            let name = app.sessions.principal(id);
            name.zip(app.registry.as_ref()).and_then(|(name, registry)| registry.seat_of_sign_in_link(&name))
        }
    };
    let Some(seat) = seat else {
        app.sessions.end(id);
        return None;
    };
    Some((id.to_owned(), seat))
}

/// A form of at most `MAX` bytes sent in a valid session.
pub(super) struct SubmittedForm<const MAX: usize = FORM_BYTES_MAX> {
    pub(super) session: String,
    pub(super) seat: Arc<AuthContext>,
    pub(super) peer: Peer,
    pub(super) form: Params,
    pub(super) request: Option<RequestId>,
}

impl<const MAX: usize> SubmittedForm<MAX> {
    /// The visitor of the resulting page.
    pub(super) fn visitor(&self) -> Visitor {
        Visitor { seat: Some(Arc::clone(&self.seat)), session: Some(self.session.clone()), from: None }
    }

    /// All fields.
    pub(super) fn typed(&mut self) -> FormValues {
        FormValues::new(self.form.all(""))
    }

    /// The write path, and the actor.
    pub(super) fn writer(&self, app: &Shared) -> Result<(Registry, Actor), Failure> {
        let replica = || RequestError::Replica { what: "changing anything", upstream: app.upstream.clone() };
        let registry = app.registry.clone().ok_or_else(replica)?;
        // The session records how it was started, so a rotated-out token stays distinguishable.
        let method = AuthMethod::WebSession(Box::new(self.seat.actor().method.clone()));
        let request_id = self.request.as_ref().map(ToString::to_string);
        Ok((registry, Actor { method, request_id, client: self.peer.address, ..self.seat.actor().clone() }))
    }
}

/// Who sends a form.
pub(super) struct Sender {
    pub(super) session: String,
    pub(super) seat: Arc<AuthContext>,
    pub(super) peer: Peer,
}

impl Sender {
    /// The form that they sent.
    pub(super) fn of<const MAX: usize>(self, form: Params, parts: &Parts) -> SubmittedForm<MAX> {
        let request = parts.extensions.get::<RequestId>().copied();
        SubmittedForm { session: self.session, seat: self.seat, peer: self.peer, form, request }
    }
}

/// The session of a form; visitors without one are asked to sign in, as on pages.
pub(super) async fn sender(app: &App, parts: &mut Parts) -> Result<Sender, Response> {
    let peer = Peer::of(parts);
    if let Some((session, seat)) = session(app, peer, &parts.headers) {
        return Ok(Sender { session, seat, peer });
    }
    match Visitor::from_request_parts(parts, app).await {
        Ok(_) => Err(redirect("/ui/sign-in")),
        Err(response) => Err(response),
    }
}

impl<const MAX: usize> FromRequest<App> for SubmittedForm<MAX> {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let sender = sender(app, &mut parts).await?;
        let form = read_form(app, &parts, (body, MAX), &sender.session).await.map_err(IntoResponse::into_response)?;
        Ok(sender.of(form, &parts))
    }
}

/// Reads the sign-in form, which is tied to a visit.
pub(super) async fn read_visit_form(app: &App, parts: &Parts, body: Body, id: &str) -> Result<Params, Failure> {
    read_form(app, parts, (body, VISIT_FORM_BYTES_MAX), id).await
}

/// Reads a form, which must come from a page of this node and have a valid token.
async fn read_form(app: &App, parts: &Parts, (body, max): (Body, usize), id: &str) -> Result<Params, Failure> {
    check_origin(&app.door, parts)?;
    let (bytes, _share) = body_in_time(app, &parts.headers, body, max).await?;
    let unread = |_| RequestError::Query { reason: "the form is not UTF-8".to_owned() };
    let mut form = Params::form(std::str::from_utf8(&bytes).map_err(unread)?)?;
    let presented = field(&mut form, "form")?;
    if app.sessions.is_form_token(id, &presented) { Ok(form) } else { Err(RequestError::FormStale.into()) }
}

/// Rejects forms from other sites. Browsers send their origin; if they do not, the form's token decides.
pub(super) fn check_origin(door: &Door, parts: &Parts) -> Result<(), Failure> {
    let said = |name: &str| parts.headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let peer = Peer::of(parts);
    match (said("sec-fetch-site"), said("origin")) {
        (Some("same-origin"), _) | (None, None) => Ok(()),
        (None, Some(origin)) if is_own_origin(door, origin, peer, &parts.uri, &parts.headers) => Ok(()),
        // A browser that sends an origin and does not call it cross-site: a proxy may have changed the host.
        (None, Some(origin)) if origin.contains("://") => {
            let origin = origin.chars().take(200).filter(char::is_ascii_graphic).collect();
            Err(RequestError::UnknownOrigin { origin, asked: asked_host(peer, &parts.uri, &parts.headers) }.into())
        }
        _ => Err(RequestError::OtherOrigin.into()),
    }
}

/// A required field of a form.
pub(super) fn field(form: &mut Params, name: &'static str) -> Result<String, Failure> {
    form.text(name).ok_or_else(|| RequestError::FormField { field: name }.into())
}

/// Redirects a browser, with a `GET`.
pub(super) fn redirect(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, text(path.to_owned()))]).into_response()
}

impl From<NoRandomness> for Failure {
    fn from(error: NoRandomness) -> Self {
        RequestError::Task(error.to_string()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: CookieScope<'_> = CookieScope { encrypted: false, prefix: "" };
    const TLS: CookieScope<'_> = CookieScope { encrypted: true, prefix: "" };

    #[test]
    fn cookies_are_for_this_host_and_no_script() {
        let set = |way| Cookie::Session.set(way, "x").to_str().expect("ascii").to_owned();
        assert_eq!(set(PLAIN), "bookholder_session=x; Path=/; HttpOnly; SameSite=Strict");
        assert_eq!(set(TLS), "__Host-bookholder=x; Path=/; HttpOnly; SameSite=Strict; Secure");
        let below = |encrypted| set(CookieScope { encrypted, prefix: "/books" });
        assert_eq!(below(false), "bookholder_session=x; Path=/books/; HttpOnly; SameSite=Strict");
        assert_eq!(below(true), "__Secure-bookholder=x; Path=/books/; HttpOnly; SameSite=Strict; Secure");
        let gone = Cookie::Session.clear(TLS).to_str().expect("ascii").to_owned();
        assert!(gone.starts_with("__Host-bookholder=;") && gone.contains("Max-Age=0"), "{gone}");
        let mut headers = HeaderMap::new();
        let (one, two) = ("1".repeat(ID_CHARACTERS), "2".repeat(ID_CHARACTERS));
        headers.append(header::COOKIE, text(format!("a=b; bookholder_session={one}; bookholder_visit=")));
        headers.append(header::COOKIE, text(format!("__Host-bookholder={two}")));
        assert_eq!(Cookie::Session.read(PLAIN, &headers), Some(one.as_str()));
        assert_eq!(Cookie::Session.read(TLS, &headers), Some(two.as_str()));
        assert_eq!(Cookie::Visit.read(PLAIN, &headers), None, "an empty one is nobody's");
        assert_eq!(Cookie::Visit.read(TLS, &headers), None);
    }

    #[test]
    fn forms_come_from_pages_of_this_node() {
        let table: [(&[(&str, &str)], bool); 9] = [
            (&[], true),
            (&[("sec-fetch-site", "same-origin")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://here:1")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://here:1")], true),
            (&[("origin", "https://here:1")], false),
            (&[("origin", "http://there:1")], false),
            (&[("origin", "null")], false),
        ];
        for (headers, expected) in table {
            let mut request = Request::post("/ui/x").header("host", "here:1");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (parts, ()) = request.body(()).expect("a request").into_parts();
            assert_eq!(check_origin(&Door::default(), &parts).is_ok(), expected, "{headers:?}");
        }
    }
}

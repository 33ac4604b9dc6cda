//! Answers one request: from memory if possible, otherwise through the router.
//!
//! The hot path allocates only the header map, takes no lock and awaits nothing. It handles only requests whose query
//! it need not look at; anything unusual goes to the router, which gives the same answer. `fast_path` has the same
//! answers before a request even becomes one of hyper's.

use std::borrow::Cow;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use futures_util::future::{BoxFuture, Either, FutureExt};
use http_body_util::Full;
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use super::auth::{identify, name_of};
use super::browser_paths::is_page;
use super::denied_log;
use super::door;
use super::error::{AsPage, AsRpcStatus, Failure, failed, finish};
use super::extract::check_path;
use super::freshness_headers::FreshHeaders;
use super::peer::Peer;
use super::read;
use super::request::RequestError;
use super::request_id::RequestId;
use super::router::{class, router};
use super::state::{App, AppState, LazyDocuments, Shared};
use super::timeouts::{ConnectionPhase, TimedBody};
use super::ui::{self, Visitor};
use super::{caching, code, compress, cross_site, exporter, names, openapi, place};
use crate::metrics::{Class, Metrics};
use crate::registry::AuthContext;
use crate::resolve::usage::LOCAL;
use crate::resolve::{Query, SharedAnswer};
use crate::store::StoreError;

/// Resolves all references.
pub(super) const RESOLVE: &str = "/v1/resolve/";

/// A ready body, or one that a handler produces.
pub type AnswerBody = http_body_util::Either<Full<Bytes>, TimedBody>;
/// An answer that is ready, or pending.
pub type Answering = Either<
    Ready<Result<Response<AnswerBody>, Infallible>>,
    BoxFuture<'static, Result<Response<AnswerBody>, Infallible>>,
>;

/// The HTTP service of one node; clones share it.
#[derive(Clone)]
pub struct HttpService {
    pub(super) app: App,
    router: Router,
    /// Whether plain requests are answered below hyper.
    fast_path: bool,
}

impl HttpService {
    /// Creates the service of a node.
    #[must_use]
    pub fn new(state: AppState) -> Self {
        let public_url = state.door.public_url.clone();
        let documents = LazyDocuments::new(Box::new(move || openapi::documents(public_url.as_ref())));
        let app = Shared::new(state, documents);
        // Each request is logged by the router.
        let fast_path = app.door.fast_path && !app.door.access_log;
        Self { router: router(App::clone(&app)), app, fast_path }
    }

    /// The same node, whose requests are all hyper's.
    #[cfg(any(test, fuzzing))]
    #[must_use]
    pub fn without_fast_path(&self) -> Self {
        Self { fast_path: false, ..self.clone() }
    }

    /// The service of one connection.
    pub fn connection(&self, peer: Peer) -> Connection {
        let fresh = RefCell::new(FreshHeaders::new(self.app.freshness.now()));
        let open = self.app.reads_openly(door::sender(&self.app.door, peer, &HeaderMap::new()));
        Connection { open, own_host: RefCell::default(), fresh, peer, face: self.clone(), pace: Arc::default() }
    }

    /// Writes sessions of the pages to disk.
    pub async fn keep_sessions(&self) -> Result<(), StoreError> {
        self.app.sessions.keep().await
    }

    /// A slot for another connection, if there is one.
    pub(super) fn try_admit(&self) -> Option<OwnedSemaphorePermit> {
        self.app.try_admit()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.app.metrics
    }
}

/// Serves the requests of one connection.
pub struct Connection {
    face: HttpService,
    peer: Peer,
    /// Whether it can read without an access token, if it uses one of this node's own hosts.
    open: bool,
    /// The last own host that it used; clients repeat the same one.
    own_host: RefCell<Vec<u8>>,
    /// One per connection, so that connections do not share a reference count.
    fresh: RefCell<FreshHeaders>,
    /// Its progress, for deadlines.
    pace: Arc<ConnectionPhase>,
}

impl Connection {
    pub(super) fn pace(&self) -> Arc<ConnectionPhase> {
        Arc::clone(&self.pace)
    }

    /// Its idle timeout between two requests, in seconds.
    pub(super) fn keep_alive_s(&self) -> u64 {
        self.face.app.door.keep_alive_s
    }

    /// The answer from memory, if there is one.
    fn cached<B>(&self, request: &Request<B>) -> Option<Response<AnswerBody>> {
        let uri = request.uri();
        let reference = uri.path().strip_prefix(RESOLVE)?;
        let plain = matches!(*request.method(), Method::GET | Method::HEAD)
            && uri.query().is_none()
            && !reference.as_bytes().contains(&b'%');
        if !plain {
            return None;
        }
        let app = &self.face.app;
        let headers = request.headers();
        let host = match (uri.authority(), headers.get(header::HOST)) {
            (None, Some(host)) => host.as_bytes(),
            (Some(authority), None) if request.version() == Version::HTTP_2 => authority.as_str().as_bytes(),
            _ => return None,
        };
        if app.door.access_log || headers.len() != headers.keys_len() {
            return None;
        }
        let seat = if headers.contains_key(header::AUTHORIZATION) { identify(app, headers).ok()? } else { None };
        if seat.is_none() && !door::are_plain(headers) {
            return None;
        }
        let answer = self.plain(reference, host, seat.as_deref())?;
        let mut fresh = self.fresh.try_borrow_mut().ok()?;
        fresh.refresh(&app.freshness);
        Some(read::respond(&answer, &fresh, request.headers()).map(AnswerBody::Left))
    }

    /// The answer to a plain request to resolve, if its caller may have it and there is one: what is refused, and why,
    /// is for the router to say.
    pub(super) fn plain(&self, reference: &str, host: &[u8], seat: Option<&AuthContext>) -> Option<SharedAnswer> {
        let app = &self.face.app;
        let allowed = match seat {
            Some(seat) => seat.scope().reads(name_of(reference)),
            None => self.open && self.is_own(host),
        };
        if !allowed {
            return None;
        }
        let answer = if let Some(answer) = app.resolver.cached(reference) {
            app.metrics.resolve_cached.inc();
            answer
        } else {
            let answer = read::compose(app, reference, &Query::default()).ok()?;
            app.metrics.request("resolve", 200);
            answer
        };
        app.usage.note(&answer, seat.map_or(LOCAL, AuthContext::token));
        Some(answer)
    }

    /// The headers about this node, and whether they are others than last time.
    pub(super) fn fresh(&mut self) -> (&FreshHeaders, bool) {
        let fresh = self.fresh.get_mut();
        let is_new = fresh.refresh(&self.face.app.freshness);
        (fresh, is_new)
    }

    /// Whether plain requests are answered below hyper.
    pub(super) fn is_fast(&self) -> bool {
        self.face.fast_path
    }

    pub(super) fn app(&self) -> &Shared {
        &self.face.app
    }

    /// Whether a host is this node, for this peer.
    fn is_own(&self, host: &[u8]) -> bool {
        if self.peer.socket {
            return true;
        }
        let Ok(mut own) = self.own_host.try_borrow_mut() else { return false };
        if !own.is_empty() && *own == host {
            return true;
        }
        let is_own = std::str::from_utf8(host).is_ok_and(|host| self.face.app.door.hosts.owns(host, self.peer.reached));
        if is_own {
            own.clear();
            own.extend_from_slice(host);
        }
        is_own
    }
}

impl<B> hyper::service::Service<Request<B>> for Connection
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<B>) -> Answering {
        if let Some(response) = self.cached(&request) {
            self.pace.end();
            return Either::Left(ready(Ok(response)));
        }
        self.pace.begin();
        let pace = self.pace();
        let routed = answer(self.face.clone(), self.peer, request.map(Body::new));
        let paced = |response: Response<Body>| response.map(|body| AnswerBody::Right(TimedBody::new(body, pace)));
        Either::Right(routed.map(|response| Ok(paced(response))).boxed())
    }
}

/// Serves a request, in a form that its client can read.
async fn answer(face: HttpService, peer: Peer, mut request: Request<Body>) -> Response<Body> {
    place::take_off(face.app.door.prefix(), &mut request);
    exporter::take_off_prefix(&mut request);
    let Some(accepted) = compress::Accepted::of(&request) else { return route(face, peer, request).await };
    let app = Arc::clone(&face.app);
    let response = route(face, peer, request).await;
    compress::shorten(&app.work, accepted, response).await
}

/// Sends a request through the router, and completes the answer.
async fn route(face: HttpService, peer: Peer, mut request: Request<Body>) -> Response<Body> {
    let HttpService { app, router, .. } = face;
    let id = app.next_request();
    let (class, began) = (class(request.uri().path()), Instant::now());
    let peer = door::sender(&app.door, peer, request.headers());
    let access = app.door.access_log.then(|| Access::of(&app, peer, &request));
    let answers_in = exporter::answers_in(&request);
    let admitted = cross_site::check(&app, peer, &request);
    let visitor = is_page(request.uri().path()).then(|| Visitor::of(&app, peer, request.headers()));
    let holder = match &visitor {
        Some(visitor) => app.share_holder(peer, visitor.seat()),
        None => app.share_holder(peer, identify(&app, request.headers()).ok().flatten().as_deref()),
    };
    // A rejected request reveals nothing about this node, not even its name.
    let is_admitted = admitted.is_ok();
    if let Some(visitor) = &visitor {
        ui::news::take(&app, visitor, &mut request);
    }
    let checked = admitted.and_then(|()| check_path(request.uri().path()));
    let shows_token = request.headers().contains_key(header::AUTHORIZATION);
    read_name(&mut request);
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(id);
    let mut response = match checked {
        Err(failure) => axum::response::IntoResponse::into_response(failure),
        Ok(()) => match AssertUnwindSafe(router.oneshot(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            Err(_) => axum::response::IntoResponse::into_response(Failure::from(RequestError::Panicked)),
        },
    };
    if let Some(visitor) = visitor {
        ui::news::keep(&app, &visitor, &response);
        if is_admitted && failed(&response) {
            response.extensions_mut().insert(AsPage(visitor.frame_of_failure(&app, peer).await));
        }
        ui::protect(response.headers_mut());
    }
    if let Some(encoding) = answers_in.filter(|_| failed(&response)) {
        response.extensions_mut().insert(AsRpcStatus(encoding));
    }
    let response = place::put_before(app.door.prefix(), finish(response, id)).await;
    let mut response = finish(app.work.counted(holder, response), id);
    caching::complete(&mut response);
    if shows_token && code::refuses_token(response.status()) {
        denied_log::log(peer, Some(id), false);
    }
    let status = response.status().as_u16();
    app.metrics.request(class, status);
    app.metrics.refused(status);
    app.metrics.request_seconds.get_or_create(&Class { class }).observe(began.elapsed().as_secs_f64());
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("bookholder-request", id);
    }
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, read::NOSNIFF);
    if let Some(access) = access {
        access.log(id, response.status().as_u16());
    }
    response
}

/// Rewrites the name of a prompt in the path for the router.
fn read_name<B>(request: &mut Request<B>) {
    let uri = request.uri();
    let Cow::Owned(path) = names::in_one_segment(uri.path()) else { return };
    let path = uri.query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = path.parse().ok();
    // A path that would become too long stays as it is, and matches no route.
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Logs a request, without its query, body or answer.
struct Access {
    client: String,
    token: Option<String>,
    method: Method,
    path: String,
    began: Instant,
}

impl Access {
    fn of<B>(app: &Shared, peer: Peer, request: &Request<B>) -> Self {
        let seat = identify(app, request.headers()).ok().flatten();
        Self {
            client: peer.address.map_or_else(|| "unix socket".to_owned(), |address| address.to_string()),
            token: seat.map(|seat| seat.token().to_owned()),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            began: Instant::now(),
        }
    }

    fn log(self, id: RequestId, status: u16) {
        let Self { client, token, method, path, began } = self;
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(request = %id, client, token, %method, path, status, took_ms, "answered a request");
    }
}

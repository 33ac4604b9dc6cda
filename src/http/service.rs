//! One request, one answer: what is in memory ahead of the router, everything else through it.
//!
//! The hot path allocates nothing but the header map, takes no lock and awaits nothing. It answers only what needs
//! no look at the query; whatever is unusual about a request sends it to the router, which says the same of it.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::panic::AssertUnwindSafe;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Method, Request, Response, header};
use futures_util::future::{BoxFuture, Either, FutureExt};
use http_body_util::Full;
use tokio::sync::OwnedSemaphorePermit;
use tower::ServiceExt;

use super::auth::{Peer, identify, name_of};
use super::error::{AsPage, Failure, finish};
use super::extract::check_path;
use super::fresh::FreshHeaders;
use super::read;
use super::request::RequestError;
use super::router::{class, router};
use super::state::{App, AppState, Shared};
use super::ui;
use crate::metrics::Metrics;
use crate::resolve::usage::LOCAL;

/// Where every reference is resolved.
const RESOLVE: &str = "/v1/resolve/";

/// A body that is ready, or that a handler makes.
pub type AnswerBody = http_body_util::Either<Full<Bytes>, Body>;
/// An answer that is there at once, or on its way.
pub type Answering = Either<
    Ready<Result<Response<AnswerBody>, Infallible>>,
    BoxFuture<'static, Result<Response<AnswerBody>, Infallible>>,
>;

/// The network face of one node; clones share it.
#[derive(Clone)]
pub struct Face {
    app: App,
    router: Router,
}

impl Face {
    /// Makes the face of a node.
    #[must_use]
    pub fn new(state: AppState) -> Self {
        let app = Shared::new(state);
        Self { router: router(App::clone(&app)), app }
    }

    /// What answers the requests of one connection.
    #[must_use]
    pub fn connection(&self, peer: Peer) -> Connection {
        let fresh = RefCell::new(FreshHeaders::new(self.app.freshness.load()));
        Connection { open: peer.reads_openly(&self.app), fresh, peer, face: self.clone() }
    }

    /// Room for one more connection, where there is some.
    pub(super) fn admit(&self) -> Option<OwnedSemaphorePermit> {
        self.app.admit()
    }

    pub(super) fn metrics(&self) -> &Metrics {
        &self.app.metrics
    }
}

/// Answers the requests of one connection.
pub struct Connection {
    face: Face,
    peer: Peer,
    /// Whether it may read without an access token.
    open: bool,
    /// Kept a connection, so that no two share a counter of references to a header.
    fresh: RefCell<FreshHeaders>,
}

impl Connection {
    /// The answer from memory, where there is one.
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
        let seat = if request.headers().contains_key(header::AUTHORIZATION) {
            identify(app, request.headers()).ok()?
        } else {
            None
        };
        let allowed = seat.as_ref().map_or(self.open, |seat| seat.reads_everything() || seat.reads(name_of(reference)));
        if !allowed {
            return None;
        }
        let answer = app.resolver.cached(reference)?;
        app.usage.note(&answer, seat.as_ref().map_or(LOCAL, |seat| seat.token()));
        let mut fresh = self.fresh.try_borrow_mut().ok()?;
        fresh.refresh(&app.freshness);
        app.metrics.resolve_cached.inc();
        Some(read::respond(&answer, &fresh, request.headers()).map(AnswerBody::Left))
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
            return Either::Left(ready(Ok(response)));
        }
        let routed = route(self.face.clone(), self.peer, request.map(Body::new));
        Either::Right(async { Ok(routed.await.map(AnswerBody::Right)) }.boxed())
    }
}

/// Sends a request through the router, and completes what comes back.
async fn route(face: Face, peer: Peer, mut request: Request<Body>) -> Response<Body> {
    let Face { app, router } = face;
    let id = app.next_request();
    let class = class(request.uri().path());
    let checked = check_path(request.uri().path());
    request.extensions_mut().insert(peer);
    request.extensions_mut().insert(id);
    let frame = ui::is_page(request.uri().path()).then(|| ui::frame_of_stranger(&app));
    let mut response = match checked {
        Err(failure) => axum::response::IntoResponse::into_response(failure),
        Ok(()) => match AssertUnwindSafe(router.oneshot(request)).catch_unwind().await {
            Ok(Ok(response)) => response,
            Err(_) => axum::response::IntoResponse::into_response(Failure::from(RequestError::Panicked)),
        },
    };
    let is_page = frame.is_some();
    if let Some(frame) = frame {
        response.extensions_mut().insert(AsPage(frame));
    }
    let mut response = finish(response, id);
    if is_page {
        ui::protect(response.headers_mut());
    }
    app.metrics.request(class, response.status().as_u16());
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert("bookholder-request", id);
    }
    response
}

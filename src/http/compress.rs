//! Answers made shorter for clients that ask for it.
//!
//! Not: what is small or short already (archives, deltas), streams, and what is resolved, where a millisecond is dear. And
//! no pages: they hold the token of a session beside what somebody else may have put into a link, and how short they get
//! would tell the one by the other (BREACH).

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{Request, Response, header};
use tower::{Service, ServiceExt};
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_http::compression::predicate::Predicate;

use super::fresh::text;
use super::ui::is_page;

/// Answers shorter than this, in bytes, are sent as they are.
const BYTES_MIN: u64 = 1024;
/// Media types that get much shorter, without their parameters.
const MEDIA: [&str; 7] = [
    "application/json",
    "application/openmetrics-text",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
];

/// Which answers are worth it.
#[derive(Clone, Copy)]
struct Worthwhile {
    is_resolved: bool,
    is_page: bool,
}

impl Predicate for Worthwhile {
    fn should_compress<B: http_body::Body>(&self, response: &Response<B>) -> bool {
        let media = response.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
        let media = media.and_then(|media| media.split(';').next()).unwrap_or_default().trim();
        let is_barred = self.is_resolved || (self.is_page && media == "text/html");
        !is_barred
            && MEDIA.contains(&media)
            // A stream has no length, and is not held back until there is enough of it.
            && response.body().size_hint().exact().is_some_and(|bytes| bytes >= BYTES_MIN)
    }
}

/// Has a request answered, and makes the answer shorter where that is asked for and worthwhile.
pub(super) async fn answer<S>(service: S, request: Request<Body>) -> Response<Body>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
{
    let path = request.uri().path();
    let worthwhile = Worthwhile { is_resolved: path.starts_with("/v1/resolve/"), is_page: is_page(path) };
    let service = Compression::new(service).gzip(true).quality(CompressionLevel::Fastest).compress_when(worthwhile);
    let Ok(response) = service.oneshot(request).await;
    let mut response = response.map(Body::new);
    let etag =
        response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(etag) = etag.filter(|_| response.headers().contains_key(header::CONTENT_ENCODING)) {
        // A strong tag would say that the bytes are those of the answer that is not compressed.
        let weak = text(format!("W/{etag}"));
        response.headers_mut().insert(header::ETAG, weak);
    }
    response
}

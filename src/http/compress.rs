//! Compresses responses for clients that accept it.
//!
//! Not: what is small or short already (archives, deltas), streams, and what is resolved, where a millisecond is dear. And
//! no pages: they hold the token of a session beside what somebody else may have put into a link, and how short they get
//! would tell the one by the other (BREACH).

use std::convert::Infallible;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_http::compression::predicate::Predicate;

use super::browser_paths::is_page;
use super::error::Failure;
use super::freshness_headers::text;
use super::request::RequestError;
use super::work::{WorkPermits, large_bytes};

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
struct CompressionRule {
    is_resolved: bool,
    is_page: bool,
}

impl Predicate for CompressionRule {
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

/// What a request takes.
pub(super) struct Accepted {
    headers: HeaderMap,
    worthwhile: CompressionRule,
}

impl Accepted {
    /// `None` where nothing was said of it.
    pub(super) fn of<B>(request: &Request<B>) -> Option<Self> {
        let mut headers = HeaderMap::new();
        for encoding in request.headers().get_all(header::ACCEPT_ENCODING) {
            headers.append(header::ACCEPT_ENCODING, encoding.clone());
        }
        let path = request.uri().path();
        let worthwhile = CompressionRule { is_resolved: path.starts_with("/v1/resolve/"), is_page: is_page(path) };
        (!headers.is_empty()).then_some(Self { headers, worthwhile })
    }

    fn is_gzip(&self) -> bool {
        let names_gzip =
            |value: &HeaderValue| value.as_bytes().to_ascii_lowercase().windows(4).any(|word| word == b"gzip");
        self.headers.values().any(names_gzip)
    }

    async fn compressed(self, response: Response<Body>) -> Response<Body> {
        let mut response = Some(response);
        let answered = tower::service_fn(move |_: Request<()>| {
            std::future::ready(Ok::<_, Infallible>(response.take().unwrap_or_default()))
        });
        let service =
            Compression::new(answered).gzip(true).quality(CompressionLevel::Fastest).compress_when(self.worthwhile);
        let mut request = Request::new(());
        *request.headers_mut() = self.headers;
        let Ok(response) = service.oneshot(request).await;
        response.map(Body::new)
    }
}

/// Makes an answer shorter where that is asked for and worthwhile: small ones while they are sent, and large ones as heavy
/// work, or not at all where there is too much of it.
pub(super) async fn shorten(work: &WorkPermits, accepted: Accepted, response: Response<Body>) -> Response<Body> {
    let is_resolved = accepted.worthwhile.is_resolved;
    let is_large =
        large_bytes(response.body()).is_some() && accepted.is_gzip() && accepted.worthwhile.should_compress(&response);
    let mut response = if is_large {
        let Some(turn) = work.turn_now() else {
            let mut response = response;
            response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
            return response;
        };
        let whole = async move {
            let (head, body) = accepted.compressed(response).await.into_parts();
            let body = body.collect().await.map_err(|error| RequestError::Task(error.to_string()))?;
            Ok::<_, Failure>(Response::from_parts(head, body.to_bytes()))
        };
        WorkPermits::rewritten(turn, whole).await.unwrap_or_else(axum::response::IntoResponse::into_response)
    } else {
        accepted.compressed(response).await
    };
    if response.status() == StatusCode::NOT_MODIFIED && !is_resolved {
        // What the whole answer would say of itself.
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    let etag =
        response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(etag) = etag.filter(|_| response.headers().contains_key(header::CONTENT_ENCODING)) {
        // A strong tag would say that the bytes are those of the answer that is not compressed.
        let weak = text(format!("W/{etag}"));
        response.headers_mut().insert(header::ETAG, weak);
    }
    response
}

//! Compresses responses for clients that accept it.
//!
//! Not compressed: small or already compressed answers (archives, deltas), streams, and resolved answers, where latency
//! matters. Nor are pages: they contain a session's token next to text that an attacker may have put into a link, and
//! the compressed length would reveal the token (BREACH).

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

/// Answers shorter than this, in bytes, are not compressed.
const BYTES_MIN: u64 = 1024;
/// Media types that compress well, without their parameters.
const MEDIA: [&str; 7] = [
    "application/json",
    "application/openmetrics-text",
    "image/svg+xml",
    "text/css",
    "text/html",
    "text/javascript",
    "text/plain",
];

/// Which answers are worth compressing.
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
            // A stream has no length, and must not be buffered.
            && response.body().size_hint().exact().is_some_and(|bytes| bytes >= BYTES_MIN)
    }
}

/// The encodings that a request accepts.
pub(super) struct Accepted {
    headers: HeaderMap,
    worthwhile: CompressionRule,
}

impl Accepted {
    /// `None` if it is not mentioned.
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

/// Compresses an answer if the client accepts it and it is worthwhile: small ones while they are sent, large ones as
/// heavy work, or not at all if the node is busy.
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
        // Headers that describe the uncompressed body.
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    let etag =
        response.headers().get(header::ETAG).and_then(|etag| etag.to_str().ok()).filter(|tag| tag.starts_with('"'));
    if let Some(etag) = etag.filter(|_| response.headers().contains_key(header::CONTENT_ENCODING)) {
        // A strong tag would identify the bytes of the uncompressed answer.
        let weak = text(format!("W/{etag}"));
        response.headers_mut().insert(header::ETAG, weak);
    }
    response
}

//! What caches between this node and its clients can do with an answer: one table, by route.
//!
//! The default is `no-store`, for every answer that is not in the table and whose handler sets nothing itself: the
//! state of this node, and everything private. What everyone can read can be stored but must be revalidated
//! (`no-cache`), which is cheap with an entity tag and never serves an old prompt for a new one. Immutable answers can
//! be cached forever; their handlers say so (contents, root documents, stylesheets), as do those of replication, where
//! caches combine the polls of many replicas.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body::Body as _;

use super::error::Failure;
use super::etag::matches;
use super::freshness_headers::text;
use super::request::RequestError;

/// An answer that can be stored, and is revalidated before use.
pub(super) const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
/// An answer that is not stored.
const NEVER: HeaderValue = HeaderValue::from_static("no-store");

/// The header that stops nginx from buffering a stream.
const UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The paths whose `GET` answers can be stored and must be revalidated.
const REVALIDATED: [&str; 15] = [
    "/v1/resolve",
    "/v1/resolve/{*reference}",
    "/v1/prompts",
    "/v1/prompts/{name}",
    "/v1/prompts/{name}/versions",
    "/v1/prompts/{name}/versions/{version}",
    "/v1/prompts/{name}/versions/{version}/findings",
    "/v1/prompts/{name}/about",
    "/v1/prompts/{name}/diff",
    "/v1/prompts/{name}/labels",
    "/v1/prompts/{name}/labels/{label}",
    "/v1/deployments",
    "/openapi.json",
    "/docs",
    "/docs/style.css",
];

/// Whether the answers of a route are revalidated.
pub(super) fn is_revalidated(method: &str, path: &str) -> bool {
    method == "GET" && REVALIDATED.contains(&path)
}

/// Adds the entity tag to an answer, or replaces it with 304 if the client has it.
pub(super) async fn revalidate(mut request: Request, next: Next) -> Response {
    let known = request.headers().get(header::IF_NONE_MATCH).cloned();
    // The tag is computed from the body, which the router drops for `HEAD` afterwards.
    *request.method_mut() = Method::GET;
    let response = next.run(request).await;
    if response.status() != StatusCode::OK {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    parts.headers.entry(header::CACHE_CONTROL).or_insert(REVALIDATE);
    let Some(length) = body.size_hint().exact().filter(|_| !parts.headers.contains_key(header::ETAG)) else {
        return Response::from_parts(parts, body);
    };
    let bytes = match to_bytes(body, usize::try_from(length).unwrap_or(usize::MAX)).await {
        Ok(bytes) => bytes,
        Err(error) => return Failure::from(RequestError::Task(error.to_string())).into_response(),
    };
    let etag: String = blake3::hash(&bytes).to_hex().chars().take(32).collect();
    let etag = format!("\"{etag}\"");
    let has_it = known.is_some_and(|known| matches(&known, etag.as_bytes()));
    parts.headers.insert(header::ETAG, text(etag));
    if !has_it {
        return Response::from_parts(parts, Body::from(bytes));
    }
    parts.status = StatusCode::NOT_MODIFIED;
    parts.headers.remove(header::CONTENT_TYPE);
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::empty())
}

/// Sets the default `no-store` on an answer, and stops proxies from buffering a stream.
pub(super) fn complete(response: &mut Response) {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(NEVER);
    if headers.get(header::CONTENT_TYPE).is_some_and(|media| media == "text/event-stream") {
        headers.insert(UNBUFFERED, HeaderValue::from_static("no"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::router::ROUTES;
    use super::*;

    #[test]
    fn every_path_of_the_table_is_a_route() {
        for path in REVALIDATED {
            assert!(ROUTES.iter().any(|route| (route.method, route.path) == ("GET", path)), "{path}");
        }
    }
}

//! The path prefix of this node, if a proxy serves it below a path of another host (`public_url`).
//!
//! Inside, every path begins at the root. Here the prefix is removed from requests, for proxies that keep it, and added
//! to everything in an answer that a browser follows: redirects, links, forms, stylesheets and scripts. In HTML these
//! are attributes; all text in a page is escaped, so it cannot look like one.

use axum::body::{Body, to_bytes};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderValue, Request, Response, Uri, header};
use http_body::Body as _;

use super::error::Failure;
use super::freshness_headers::text;
use super::request::RequestError;

/// The text before a path in HTML attributes with links.
const LEADING: [&str; 4] = [" href=\"", " action=\"", " src=\"", " formaction=\""];
/// The start of every path of a node.
const ROOTS: [&str; 10] = [
    "/ui",
    "/v1/",
    "/otlp/",
    "/api/public/otel/",
    "/docs",
    "/replication/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/openapi.json",
];

/// Removes the prefix from the path of a request, if the proxy kept it.
pub(super) fn take_off<B>(prefix: &str, request: &mut Request<B>) {
    let Some(target) = request.uri().path_and_query().map(PathAndQuery::as_str) else { return };
    let Some(rest) = target.strip_prefix(prefix).filter(|_| !prefix.is_empty()) else { return };
    let inside = match rest {
        "" | "/" => "/".to_owned(),
        _ if rest.starts_with('?') => format!("/{rest}"),
        _ if ROOTS.iter().any(|root| rest.starts_with(root)) => rest.to_owned(),
        _ => return,
    };
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = inside.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Adds the prefix to the paths in an answer.
pub(super) async fn put_before(prefix: &str, response: Response<Body>) -> Response<Body> {
    if prefix.is_empty() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let location = parts.headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    if let Some(location) = location.filter(|location| location.starts_with('/')) {
        let location = text(format!("{prefix}{location}"));
        parts.headers.insert(header::LOCATION, location);
    }
    let media = parts.headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    let Some(bytes_max) = body.size_hint().exact().filter(|_| media.starts_with(b"text/html")) else {
        return Response::from_parts(parts, body);
    };
    let page = match to_bytes(body, usize::try_from(bytes_max).unwrap_or(usize::MAX)).await {
        Ok(page) => String::from_utf8_lossy(&page).into_owned(),
        Err(error) => {
            return axum::response::IntoResponse::into_response(Failure::from(RequestError::Task(error.to_string())));
        }
    };
    let page =
        LEADING.iter().fold(page, |page, leading| page.replace(&format!("{leading}/"), &format!("{leading}{prefix}/")));
    parts.headers.remove(header::CONTENT_LENGTH);
    Response::from_parts(parts, Body::from(page))
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[test]
    fn prefix_is_removed_from_paths_of_the_node() {
        for (target, expected) in [
            ("/books/ui/?q=a", "/ui/?q=a"),
            ("/books/v1/resolve/a%2Fb", "/v1/resolve/a%2Fb"),
            ("/books/docs", "/docs"),
            ("/books", "/"),
            ("/books/", "/"),
            ("/books?x=1", "/?x=1"),
            ("/ui/prompts/books/ui", "/ui/prompts/books/ui"),
            ("/booksui/", "/booksui/"),
            ("/books/other", "/books/other"),
            ("/v1/prompts/books/v1/x", "/v1/prompts/books/v1/x"),
        ] {
            let mut request = Request::get(target).body(()).expect("a request");
            take_off("/books", &mut request);
            assert_eq!(request.uri().to_string(), expected, "{target}");
            let mut request = Request::get(target).body(()).expect("a request");
            take_off("", &mut request);
            assert_eq!(request.uri().to_string(), target);
        }
    }

    #[tokio::test]
    async fn prefix_is_added_only_to_own_paths() {
        let page = r##"<a href="/ui/" title="/ui/"><a href="#x"><a href="https://x/ui/"><form action="/ui/x"><input value="/ui/">
<button formaction="/ui/y"> href=&quot;/ui/ <script src="/ui/app.js">"##;
        let answer = |media: &'static str| {
            Response::builder()
                .header("content-type", media)
                .header("location", "/ui/sign-in?next=/ui/a")
                .body(Body::from(page))
                .expect("an answer")
        };
        let prefixed = r##"<a href="/books/ui/" title="/ui/"><a href="#x"><a href="https://x/ui/"><form action="/books/ui/x"><input value="/ui/">
<button formaction="/books/ui/y"> href=&quot;/ui/ <script src="/books/ui/app.js">"##;
        for (media, prefix, expected) in [
            ("text/html; charset=utf-8", "/books", prefixed),
            ("text/html; charset=utf-8", "", page),
            ("application/json", "/books", page),
        ] {
            let put = put_before(prefix, answer(media)).await;
            let location = put.headers()["location"].to_str().expect("ascii").to_owned();
            assert_eq!(location, format!("{prefix}/ui/sign-in?next=/ui/a"));
            let bytes = put.into_body().collect().await.expect("a body").to_bytes();
            assert_eq!(std::str::from_utf8(&bytes), Ok(expected), "{media} {prefix}");
        }
    }
}

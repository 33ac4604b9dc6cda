//! Stylesheet, script and icon of the pages.

use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

use super::super::library::IMMUTABLE;
use super::visitor::redirect;
use crate::web::layout::{SCRIPT, STYLE};

/// The icon: an open book.
const ICON: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><path fill="#2b7a72" d="M3 3.500A1.500 1.500 0 0 1 4.500 2H9v15.500H4.500A1.500 1.500 0 0 1 3 16z"/><path fill="#7ccabf" d="M11 2h4.500A1.500 1.500 0 0 1 17 3.500V16a1.500 1.500 0 0 1-1.500 1.500H11z"/></svg>"##;

/// Redirects to the list if the trailing `/` is missing.
pub(super) async fn home() -> Response {
    redirect("/ui/")
}

/// The stylesheet, under a name with the hash of its content.
pub(super) async fn style() -> Response {
    (kept("text/css; charset=utf-8"), STYLE).into_response()
}

/// The script, likewise.
pub(super) async fn script() -> Response {
    (kept("text/javascript; charset=utf-8"), SCRIPT).into_response()
}

/// The icon.
pub(super) async fn icon() -> Response {
    (kept("image/svg+xml"), ICON).into_response()
}

const fn kept(media: &'static str) -> [(HeaderName, HeaderValue); 2] {
    [(header::CONTENT_TYPE, HeaderValue::from_static(media)), (header::CACHE_CONTROL, IMMUTABLE)]
}

//! The pages: asks the floors below what a page shows, and answers with what `web` makes of it.
//!
//! Invariant: every answer under `/ui` forbids scripts, styles and frames of others, and every form is checked before
//! anything is done.

mod about;
mod access;
mod assets;
mod audit;
mod deploy;
mod diff;
mod edit;
mod import;
mod lifecycle;
mod live;
mod merge;
pub(super) mod news;
mod prompt;
mod prompts;
mod replicas;
mod review;
mod rollback;
pub(super) mod routes;
mod sign_in;
mod sign_in_link;
mod upload;
mod visitor;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

pub(super) use visitor::Visitor;

/// What browsers let pages do: nothing but with their own node.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// And what they say to others. Not `no-referrer`: with that, forms would be sent with the origin `null`.
const PROTECTION: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Adds what every answer under `/ui` says to browsers; a page may be stricter.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(value);
    }
}

/// What a page says of what was just done, by the word that stands in its address.
fn said(word: Option<String>, known: &[(&'static str, &'static str)]) -> Option<&'static str> {
    let word = word?;
    known.iter().find(|(one, _)| *one == word).map(|(_, said)| *said)
}

/// Answers with a page.
fn html(page: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

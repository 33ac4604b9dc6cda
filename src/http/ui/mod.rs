//! The pages: queries the layers below, and answers with the HTML from `web`.
//!
//! Invariant: every answer under `/ui` forbids scripts, styles and frames from elsewhere, and every form is verified
//! before anything is done.

mod about;
mod access;
mod alerts;
mod assets;
mod audit;
mod deploy;
mod diff;
mod edit;
mod evaluations;
mod import;
mod lifecycle;
mod live;
mod merge;
mod new_run;
pub(super) mod news;
mod observed;
mod playground;
mod promote;
mod prompt;
mod prompts;
mod replicas;
mod responses;
mod review;
mod rollback;
pub(super) mod routes;
mod sign_in;
mod sign_in_link;
mod suites;
mod times;
mod upload;
mod usage;
mod visitor;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};

pub(super) use visitor::Visitor;

/// The content security policy of pages: only their own node.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
/// The referrer policy. Not `no-referrer`: browsers would send forms with the origin `null`.
const PROTECTION: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
];

/// Adds the security headers of every answer under `/ui`; a page can be stricter.
pub(super) fn protect(headers: &mut HeaderMap) {
    for (name, value) in PROTECTION {
        headers.entry(name).or_insert(value);
    }
}

/// The confirmation of a page, by the word in its URL.
fn said(word: Option<String>, known: &[(&'static str, &'static str)]) -> Option<&'static str> {
    let word = word?;
    known.iter().find(|(one, _)| *one == word).map(|(_, said)| *said)
}

/// Answers with a page.
fn html(page: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

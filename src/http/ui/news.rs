//! The confirmation that a page shows once.
//!
//! A form redirects to a page whose URL names the sentence to show (`done=…`). The session remembers that URL until it
//! is requested, at most a minute: reloading the page, or following the URL as a link, shows the page without the
//! sentence.

use axum::body::Body;
use axum::http::uri::PathAndQuery;
use axum::http::{Request, Response, StatusCode, Uri, header};

use super::super::state::Shared;
use super::visitor::Visitor;

/// The URL parameter of the confirmation.
const DONE: &str = "done=";

/// Remembers the redirect of a form.
pub(in crate::http) fn keep(app: &Shared, visitor: &Visitor, response: &Response<Body>) {
    let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
    let Some((session, location)) = visitor.session().zip(location) else { return };
    if response.status() == StatusCode::SEE_OTHER && says_done(location) {
        // Browsers do not send the part after `#`.
        app.sessions.tell_once(session, location.split('#').next().unwrap_or_default());
    }
}

/// Removes `done` from the URL of a request that no form just redirected to.
pub(in crate::http) fn take<B>(app: &Shared, visitor: &Visitor, request: &mut Request<B>) {
    let Some(path) = request.uri().path_and_query().map(PathAndQuery::as_str).filter(|path| says_done(path)) else {
        return;
    };
    if visitor.session().is_some_and(|session| app.sessions.take_told(session, path)) {
        return;
    }
    if let Ok(uri) = without_done(path).parse::<Uri>() {
        *request.uri_mut() = uri;
    }
}

fn says_done(path: &str) -> bool {
    path.split_once('?').is_some_and(|(_, query)| query.split('&').any(|pair| pair.starts_with(DONE)))
}

fn without_done(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let rest: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with(DONE)).collect();
    if rest.is_empty() { path.to_owned() } else { format!("{path}?{}", rest.join("&")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn done_parameter_is_removed_from_a_url() {
        for (path, expected) in [
            ("/ui/a?done=x", "/ui/a"),
            ("/ui/a?version=2&done=x", "/ui/a?version=2"),
            ("/ui/a?done=x&version=2", "/ui/a?version=2"),
            ("/ui/a?undone=x", "/ui/a?undone=x"),
        ] {
            assert_eq!(without_done(path), expected, "{path}");
            assert_eq!(says_done(path), path != expected, "{path}");
        }
    }
}

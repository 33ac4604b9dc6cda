//! Why a request fails before anything below is asked: its path, query, headers or body.

use crate::api::limits::PAGE_ROWS_MAX;

/// What is wrong with a request itself, or with who sent it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RequestError {
    #[error("there is no such path; GET /docs shows all there are")]
    NoSuchPath,
    #[error("this path does not take {method}; the header Allow says what it takes")]
    Method { method: String },
    #[error("the path cannot be read: {reason}")]
    Path { reason: String },
    #[error("unknown query parameters: {}; this path takes {}", unknown.join(", "), known(taken))]
    UnknownParameters { unknown: Vec<String>, taken: &'static [&'static str] },
    #[error("the query cannot be read: {reason}")]
    Query { reason: String },
    #[error("the query parameter `{name}` is wrong: {reason}")]
    Parameter { name: &'static str, reason: String },
    #[error("`limit` is {limit}; a page has 1 to {PAGE_ROWS_MAX} rows")]
    PageSize { limit: usize },
    #[error("the query parameter `{name}` is wrong: {reason}")]
    QueryValue { name: &'static str, reason: String },
    #[error("{reason}")]
    Unfit { reason: String },
    #[error("the body is not JSON of the shape this path takes: {reason}")]
    Json { reason: String },
    #[error("`{path}` in the body is wrong: {reason}")]
    Field { path: String, reason: String },
    #[error("the body's content type is {found}, and this path takes application/json")]
    ContentType { found: String },
    #[error("the body is encoded as {found}, and this path takes it as it is")]
    ContentEncoding { found: String },
    #[error("the body is longer than {max} bytes, which is the limit of this path")]
    BodyTooLarge { max: usize },
    #[error("the body did not arrive within {seconds} s")]
    BodySlow { seconds: u64 },
    #[error("the body broke off")]
    BodyBroken,
    #[error("{what} wait already; try again")]
    Busy { what: &'static str, retry_after_s: u64 },
    #[error("the request has {count} Host headers; it needs exactly one")]
    Hosts { count: usize },
    #[error("`{host}` is not a host that this node answers to without an access token")]
    WrongHost { host: String, forwarded: Option<&'static str> },
    #[error("a page of another site sent this request, and without an access token only this node's own pages may")]
    OtherSite,
    #[error("{max} {what} are open for you already; close one, or try again later")]
    Share { what: &'static str, max: usize, retry_after_s: u64 },
    #[error("too many {what} are open at this node; try again later")]
    Full { what: &'static str, retry_after_s: u64 },
    #[error("this takes an access token, and the request has none")]
    TokenMissing,
    #[error("this takes an access token: the request was forwarded (it has the header {header}), so it is not local")]
    Forwarded { header: &'static str },
    #[error("the access token of this request is none that this node knows")]
    TokenUnknown,
    #[error("the access token of this request is not the one that this replica was given")]
    TokenNotOfReplica,
    #[error("too many attempts to sign in; wait {retry_after_s} s")]
    Attempts { retry_after_s: u64 },
    #[error("this form came from a page that is not of this node")]
    OtherOrigin,
    #[error("this form came from a page of {origin}, and this node was asked for as `{asked}`")]
    UnknownOrigin { origin: String, asked: String },
    #[error("this form is of a session that has ended")]
    FormStale,
    #[error("the form lacks the field `{field}`")]
    FormField { field: &'static str },
    #[error("{}", wrong.join("; "))]
    FormFields { wrong: Vec<String> },
    #[error("{field}: {reason}")]
    FormValue { field: &'static str, reason: String },
    #[error("the form with files cannot be used: {reason}")]
    Upload { reason: String },
    #[error("`{actor}` may not {what}: that takes the role {role}")]
    Role { actor: String, what: &'static str, role: &'static str },
    #[error("this node is a replica, and {what} takes its primary{}", upstream.as_ref().map(|url| format!(" ({url})")).unwrap_or_default())]
    Replica { what: &'static str, upstream: Option<String> },
    #[error("there is no {what}")]
    NoRecord { what: String },
    #[error("this node holds no verified state yet")]
    NotReady,
    #[error("this node's state is {age_s} s old; ready means at most {max_age_s} s")]
    TooOld { age_s: u64, max_age_s: u64 },
    #[error("this node is not ready: {detail}")]
    Faulty { detail: String },
    #[error("a handler panicked")]
    Panicked,
    #[error("a task failed: {0}")]
    Task(String),
    #[error("{what} cannot be read")]
    File {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
}

fn known(parameters: &[&str]) -> String {
    if parameters.is_empty() { "none".to_owned() } else { parameters.join(", ") }
}

//! Why a request is rejected before it reaches an operation: its path, query, headers or body.

use crate::api::limits::PAGE_ROWS_MAX;

/// What is wrong with a request itself, or with its caller.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RequestError {
    #[error("unknown path; see GET /docs for all paths")]
    NoSuchPath,
    #[error("{method} is not allowed on this path; see the header Allow")]
    Method { method: String },
    #[error("invalid path: {reason}")]
    Path { reason: String },
    #[error("unknown query parameters: {}; this path accepts {}", unknown.join(", "), known(taken))]
    UnknownParameters { unknown: Vec<String>, taken: &'static [&'static str] },
    #[error("invalid query: {reason}")]
    Query { reason: String },
    #[error("invalid query parameter `{name}`: {reason}")]
    Parameter { name: &'static str, reason: String },
    #[error("invalid `limit` {limit}: use 1 to {PAGE_ROWS_MAX}")]
    PageSize { limit: usize },
    #[error("invalid query parameter `{name}`: {reason}")]
    QueryValue { name: &'static str, reason: String },
    #[error("{reason}")]
    Unfit { reason: String },
    #[error("the body does not match the schema of this path: {reason}")]
    Json { reason: String },
    #[error("invalid `{path}` in the body: {reason}")]
    Field { path: String, reason: String },
    #[error("invalid prompt file: {reason}")]
    PromptFile { reason: String },
    #[error("the content type is {found}, but this path accepts {accepted}")]
    ContentType { found: String, accepted: &'static str },
    #[error("unsupported content encoding {found}: this path accepts {accepted}")]
    ContentEncoding { found: String, accepted: &'static str },
    #[error("the body is not valid gzip: {reason}")]
    Gzip { reason: String },
    #[error("the body exceeds the limit of {max} bytes")]
    BodyTooLarge { max: usize },
    #[error("the body did not arrive within {seconds} s")]
    BodySlow { seconds: u64 },
    #[error("the request body ended early")]
    BodyBroken,
    #[error("{what} are already waiting; try again")]
    Busy { what: &'static str, retry_after_s: u64 },
    #[error("the request has {count} Host headers; it needs exactly one")]
    Hosts { count: usize },
    #[error("this node does not accept the host `{host}` without an access token")]
    WrongHost { host: String, forwarded: Option<&'static str> },
    #[error(
        "the request came from a page of another site; without an access token, only this node's own pages can send it"
    )]
    OtherSite,
    #[error("you already have {max} {what} open; close one, or try again later")]
    Share { what: &'static str, max: usize, retry_after_s: u64 },
    #[error("too many {what} are open at this node; try again later")]
    Full { what: &'static str, retry_after_s: u64 },
    #[error("access token required")]
    TokenMissing,
    #[error("access token required: the request came through a proxy (it has the header {header}), so it is not local")]
    Forwarded { header: &'static str },
    #[error("unknown access token")]
    TokenUnknown,
    #[error("the access token is not the read token of this replica")]
    TokenNotOfReplica,
    #[error("too many sign-in attempts; try again in {retry_after_s} s")]
    Attempts { retry_after_s: u64 },
    #[error("the form was submitted from another site")]
    OtherOrigin,
    #[error("the form was submitted from {origin}, but this node was addressed as `{asked}`")]
    UnknownOrigin { origin: String, asked: String },
    #[error("the session of this form has ended")]
    FormStale,
    #[error("the form field `{field}` is missing")]
    FormField { field: &'static str },
    #[error("{}", wrong.join("; "))]
    FormFields { wrong: Vec<String> },
    #[error("{field}: {reason}")]
    FormValue { field: &'static str, reason: String },
    #[error("invalid file upload: {reason}")]
    Upload { reason: String },
    #[error("permission denied: `{actor}` needs the role {role} for {what}")]
    Role { actor: String, what: &'static str, role: &'static str },
    #[error("this node is a read-only replica; {what} is only possible on the primary{}", upstream.as_ref().map(|url| format!(" ({url})")).unwrap_or_default())]
    Replica { what: &'static str, upstream: Option<String> },
    #[error("there is no {what}")]
    NoRecord { what: String },
    #[error("this node has no verified state yet")]
    NotReady,
    #[error("this node's state is {age_s} s old; the limit for ready is {max_age_s} s")]
    TooOld { age_s: u64, max_age_s: u64 },
    #[error("this node is not ready: {detail}")]
    Faulty { detail: String },
    #[error("a handler panicked")]
    Panicked,
    #[error("a task failed: {0}")]
    Task(String),
    #[error("cannot read {what}")]
    File {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
}

fn known(parameters: &[&str]) -> String {
    if parameters.is_empty() { "none".to_owned() } else { parameters.join(", ") }
}

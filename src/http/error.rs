//! Errors as clients see them: the only place that knows status codes of failures.
//!
//! Every error of the floors below becomes a status, a stable code and, where something can be done, a hint; the
//! matches have no wildcard, so a new error is a compile error here. What failed inside this program is logged with
//! the id of the request, once, and the client is told that id and nothing else.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::request::RequestError;
use super::state::RequestId;
use crate::api::problem::{ErrorCode, PROBLEM_JSON, Problem};
use crate::model::content::ContentError;
use crate::model::name::NameError;
use crate::model::position::PositionError;
use crate::model::reference::ReferenceError;
use crate::registry::RegistryError;
use crate::registry::primary_clock::CLOCK_HINT;
use crate::registry::seal::SealError;
use crate::replication::publisher::PublishError;
use crate::replication::witness::WitnessError;
use crate::resolve::ResolveError;
use crate::store::StoreError;
use crate::template::render::{Problems, RenderError};
use crate::web::form::Refusal;
use crate::web::layout::Frame;
use crate::web::pages::problem;

/// Seconds after which a request that met a full queue may try again.
const RETRY_AFTER_S: u64 = 1;

/// When this program began to answer.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
/// The lines about requests that were turned away.
static BUSY_LINES: OneASecond = OneASecond::new();

/// Lets one line a second into the log, and counts those that it keeps out.
struct OneASecond {
    /// One more than the second of the last line; 0 before there was one.
    last: AtomicU64,
    unlogged: AtomicU64,
}

impl OneASecond {
    const fn new() -> Self {
        Self { last: AtomicU64::new(0), unlogged: AtomicU64::new(0) }
    }

    /// How many lines were kept out since the last one, where it is time for one.
    fn next(&self, second: u64) -> Option<u64> {
        let now = second.saturating_add(1);
        if self.last.swap(now, Ordering::Relaxed) == now {
            self.unlogged.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some(self.unlogged.swap(0, Ordering::Relaxed))
    }
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "one variant for each floor below")]
pub enum Failure {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a failure is said.
type Saying = (StatusCode, ErrorCode, Option<String>);

const BAD: StatusCode = StatusCode::BAD_REQUEST;
const CONFLICT: StatusCode = StatusCode::CONFLICT;
const UNFIT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
const ABSENT: StatusCode = StatusCode::NOT_FOUND;
const INSIDE: Saying = (StatusCode::INTERNAL_SERVER_ERROR, ErrorCode::Internal, None);

impl Failure {
    fn saying(&self) -> Saying {
        match self {
            Self::Request(error) => request(error),
            Self::Registry(error) => registry(error),
            Self::Resolve(error) => resolve(error),
            Self::Publish(error) => publish(error),
            Self::Store(error) => store(error),
        }
    }

    /// Seconds after which it is worth to try again, where it is.
    fn retry_after_s(&self) -> Option<u64> {
        match self {
            Self::Request(
                RequestError::Busy { retry_after_s, .. }
                | RequestError::Full { retry_after_s, .. }
                | RequestError::Share { retry_after_s, .. }
                | RequestError::Attempts { retry_after_s },
            )
            | Self::Registry(RegistryError::TooFast { retry_after_s, .. })
            | Self::Publish(PublishError::Busy { retry_after_s }) => Some(*retry_after_s),
            _ => (self.saying().1 == ErrorCode::Busy).then_some(RETRY_AFTER_S),
        }
    }

    /// What a page says beside the form that was refused, and under which status; none where this program failed.
    pub(super) fn refusal(&self) -> Option<(StatusCode, Refusal)> {
        let (status, _, hint) = self.saying();
        let refusal = || Refusal { says: self.to_string(), errors: self.errors(), hint };
        (!status.is_server_error()).then(|| (status, refusal()))
    }

    /// The single reasons, where there are several.
    fn errors(&self) -> Vec<String> {
        match self {
            Self::Resolve(ResolveError::Render(RenderError::Variables(problems))) => list(problems),
            Self::Registry(RegistryError::Interface(error)) => error.reasons.clone(),
            Self::Registry(RegistryError::StillIncluded { by, .. }) => by.clone(),
            Self::Registry(RegistryError::PolicyNotMet { missing, .. }) => {
                missing.iter().map(|demand| format!("{}: {}", demand.policy, demand.says)).collect()
            }
            Self::Registry(RegistryError::BreaksCallers { reasons, .. }) => reasons.clone(),
            Self::Registry(RegistryError::HoldsSecrets { findings, .. }) => {
                findings.iter().map(|one| format!("{} line {}: {}", one.target, one.line, one.message)).collect()
            }
            _ => Vec::new(),
        }
    }

    /// The problem that the client sees; logs the failure when it is this program's own.
    pub(super) fn problem(&self, id: RequestId) -> Problem {
        let (status, code, hint) = self.saying();
        let (detail, hint) = if code == ErrorCode::Internal {
            tracing::error!(request = %id, error = chain(self), "a request failed inside");
            ("something inside this program failed".to_owned(), Some(format!("the log says what, under request {id}")))
        } else {
            if code == ErrorCode::Busy && status.is_server_error() {
                // Whoever sends too much would fill the log as well.
                if let Some(unlogged) = BUSY_LINES.next(STARTED.elapsed().as_secs()) {
                    tracing::warn!(request = %id, error = chain(self), unlogged, "too much at once: a request was turned away");
                }
            } else if status.is_server_error() {
                tracing::warn!(request = %id, error = chain(self), "a request could not be served");
            }
            (self.to_string(), hint)
        };
        let errors = self.errors();
        Problem { title: title(code).to_owned(), status: status.as_u16(), code, detail, hint, errors }
    }
}

impl IntoResponse for Failure {
    /// An answer that [`finish`] completes, because only the way out knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.saying().0.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Says that a failure is shown to a person, as a page in this frame.
#[derive(Clone)]
pub(super) struct AsPage(pub(super) Arc<Frame>);

/// Whether an answer is a failure that [`finish`] has yet to word.
pub(super) fn failed(response: &Response) -> bool {
    response.extensions().get::<Arc<Failure>>().is_some()
}

/// Completes the answer to a request: a failure becomes a problem, under the request's id.
pub(super) fn finish(mut response: Response, id: RequestId) -> Response {
    if let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() {
        let problem = failure.problem(id);
        let page = response.extensions_mut().remove::<AsPage>();
        let (body, media) = match &page {
            Some(AsPage(frame)) => (problem::page(frame, &problem).into_bytes(), "text/html; charset=utf-8"),
            None => (serde_json::to_vec(&problem).unwrap_or_default(), PROBLEM_JSON),
        };
        *response.body_mut() = Body::from(body);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if problem.code == ErrorCode::Unauthorized && page.is_none() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"bookholder\""));
        }
        if let Some(seconds) = failure.retry_after_s() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if matches!(*failure, Failure::Request(RequestError::BodyTooLarge { .. } | RequestError::BodySlow { .. })) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}

#[allow(clippy::unnecessary_wraps, reason = "it stands where a hint may be missing")]
fn hint(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

fn request(error: &RequestError) -> Saying {
    use ErrorCode as Code;
    use RequestError as E;
    match error {
        E::NoSuchPath => (
            ABSENT,
            Code::NotFound,
            hint(
                "where a part of a prompt's name is a word of this interface, such as `versions`, write its slashes as %2F",
            ),
        ),
        E::Method { .. } => (StatusCode::METHOD_NOT_ALLOWED, Code::MethodNotAllowed, None),
        E::Path { .. } => (BAD, Code::BadRequest, hint("percent-encode UTF-8, once")),
        E::UnknownParameters { .. } | E::Query { .. } | E::Parameter { .. } | E::Json { .. } | E::BodyBroken => {
            (BAD, Code::BadRequest, None)
        }
        E::PageSize { .. } => (BAD, Code::TooLarge, None),
        E::ContentType { .. } => (
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Code::UnsupportedMediaType,
            hint("send the header Content-Type: application/json"),
        ),
        E::BodyTooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, hint("send it in several requests")),
        E::BodySlow { .. } => (StatusCode::REQUEST_TIMEOUT, Code::Timeout, None),
        E::Busy { .. } | E::Full { .. } => (StatusCode::SERVICE_UNAVAILABLE, Code::Busy, None),
        E::Share { .. } | E::Attempts { .. } => (StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, None),
        E::WrongHost { forwarded, .. } => {
            let ways = "ask under localhost or this node's address, send an access token, or add the host to the setting allowed_hosts (--allowed-hosts)";
            let proxy = forwarded.map(|header| {
                format!("; a proxy forwarded the request (it has the header {header}): where it is yours, name it in the setting trusted_proxies as well")
            });
            (StatusCode::MISDIRECTED_REQUEST, Code::WrongHost, hint(format!("{ways}{}", proxy.unwrap_or_default())))
        }
        E::OtherSite => (
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            hint(
                "open the page here; programs leave out the headers Origin and Sec-Fetch-Site, or send an access token",
            ),
        ),
        E::Forwarded { .. } => (
            StatusCode::UNAUTHORIZED,
            Code::Unauthorized,
            hint(
                "send the header Authorization: Bearer bh_…; where this is your proxy, name it in the setting trusted_proxies",
            ),
        ),
        E::TokenMissing => {
            (StatusCode::UNAUTHORIZED, Code::Unauthorized, hint("send the header Authorization: Bearer bh_…"))
        }
        E::TokenUnknown => (
            StatusCode::UNAUTHORIZED,
            Code::Unauthorized,
            hint("it may have been revoked; an admin creates another with POST /v1/tokens"),
        ),
        E::Role { .. } | E::Unreadable { .. } | E::Narrow { .. } => (StatusCode::FORBIDDEN, Code::Forbidden, None),
        E::Replica { .. } => (StatusCode::FORBIDDEN, Code::ReadOnlyReplica, hint("send the request to the primary")),
        E::NoRecord { .. } => (ABSENT, Code::RecordNotFound, None),
        E::NotReady | E::TooOld { .. } | E::Faulty { .. } => not_ready(),
        E::OtherOrigin => (StatusCode::FORBIDDEN, Code::Forbidden, hint("open the page here, and send it from there")),
        E::UnknownOrigin { origin, .. } => (
            StatusCode::FORBIDDEN,
            Code::Forbidden,
            hint(format!(
                "where a proxy leads from {origin} to this node, start it with --public-url {origin} (the setting public_url), or have the proxy keep the host (nginx: proxy_set_header Host $http_host) and name the proxy in trusted_proxies"
            )),
        ),
        E::FormStale => {
            (StatusCode::FORBIDDEN, Code::Forbidden, hint("go back, load the page again, and send it once more"))
        }
        E::Hosts { .. } | E::FormField { .. } | E::FormValue { .. } | E::Upload { .. } => (BAD, Code::BadRequest, None),
        E::FormFields { .. } => {
            (UNFIT, Code::InvalidContent, hint("what you typed is still here: mend it and save again"))
        }
        E::Panicked | E::Task(_) | E::File { .. } => INSIDE,
    }
}

fn registry(error: &RegistryError) -> Saying {
    use ErrorCode as Code;
    use RegistryError as E;
    match error {
        E::Forbidden { roles, .. } => {
            let would = (!roles.is_empty()).then(|| format!("roles that may: {}", roles.join(", ")));
            (StatusCode::FORBIDDEN, Code::Forbidden, would)
        }
        E::PolicyNotMet { rollback, .. } => {
            let way =
                "propose it as a change request with `bookholder request propose`, or let an admin break the glass";
            let stop =
                "; to stop what is served now without any of this, take the label away with `bookholder unlabel`";
            (StatusCode::FORBIDDEN, Code::PolicyNotMet, hint(format!("{way}{}", if *rollback { stop } else { "" })))
        }
        E::BreaksCallers { by, .. } => {
            let by = if by.is_empty() {
                "nobody used it in the last day".to_owned()
            } else {
                format!("used in the last day by {}", by.join(", "))
            };
            (
                CONFLICT,
                Code::BreaksCallers,
                hint(format!("{by}; deploy with `allow_major` (--allow-major) when they are ready")),
            )
        }
        E::HoldsSecrets { .. } => (
            UNFIT,
            Code::HoldsSecrets,
            hint(
                "take the secret out, give it to the model's tools at run time, and revoke it; an admin may publish a dummy with break_glass",
            ),
        ),
        E::MessageMissing | E::MessageTooLong { .. } => (BAD, Code::InvalidMessage, None),
        E::TextTooLong { .. } => (BAD, Code::TooLarge, None),
        E::TooFast { .. } => (StatusCode::TOO_MANY_REQUESTS, Code::RateLimited, None),
        E::DraftRoom { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, hint("publish or discard drafts that you no longer need"))
        }
        E::TooMany { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, hint("send them in several requests")),
        E::PromptNotFound { .. } => (ABSENT, Code::PromptNotFound, None),
        E::PromptRemoved { .. } => (StatusCode::GONE, Code::PromptRemoved, None),
        E::VersionNotFound { .. } => (ABSENT, Code::VersionNotFound, None),
        E::LabelNotFound { .. } => (ABSENT, Code::LabelNotFound, None),
        E::ParentMoved { found, .. } => {
            (CONFLICT, Code::ParentMoved, hint(format!("look at what version {found} changed, then publish on it")))
        }
        E::VersionRetired { .. } => {
            (CONFLICT, Code::VersionRetired, hint("deploy another version, or take the retirement back"))
        }
        E::VersionServed { .. } | E::VersionRolledBackTo { .. } => (CONFLICT, Code::VersionServed, None),
        E::LatestIsAutomatic => (BAD, Code::InvalidName, hint("deploy to another label")),
        E::MovedTwice { .. } | E::NothingToDeploy | E::Unfit(_) => (BAD, Code::BadRequest, None),
        E::Serving { .. } | E::Assignment(_) => (UNFIT, Code::InvalidServing, None),
        E::NothingToRollBack { .. } => (CONFLICT, Code::NothingToRollBack, hint("name a version in `to`")),
        E::StillIncluded { .. } => (CONFLICT, Code::StillIncluded, None),
        E::Include { .. } | E::Included(_) | E::Template(_) => (UNFIT, Code::InvalidContent, None),
        E::HistoryOrder { .. } | E::FromTheFuture { .. } => (CONFLICT, Code::HistoryOrder, None),
        E::Exists { .. } => (CONFLICT, Code::Exists, None),
        E::LastAdmin { .. } => (CONFLICT, Code::LastAdmin, None),
        E::NotFound { .. } | E::RequestUnreadable { .. } => (ABSENT, Code::RecordNotFound, None),
        E::Handle { .. } | E::Name(_) => (BAD, Code::InvalidName, None),
        E::RoleInUse { .. } | E::BuiltIn { .. } => (CONFLICT, Code::InUse, None),
        E::Policy(_) => (UNFIT, Code::InvalidPolicy, None),
        E::Rules(_) => (UNFIT, Code::InvalidRules, None),
        E::RequestClosed { .. } => (CONFLICT, Code::RequestClosed, None),
        E::RequestMoved { id } => {
            (CONFLICT, Code::RequestMoved, hint(format!("GET /v1/requests/{id} shows what it proposes now")))
        }
        E::LabelMoved { .. } => (CONFLICT, Code::LabelMoved, hint("look at what it serves now, and decide again")),
        E::DraftMoved { .. } => (CONFLICT, Code::DraftMoved, hint("read it again, and save on that revision")),
        E::VersionArchived { .. } => (StatusCode::GONE, Code::VersionArchived, None),
        E::Random(_) => INSIDE,
        E::Interface(_) => (UNFIT, Code::BumpTooSmall, None),
        E::Content(error) => content(error),
        E::Clock(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::ClockUntrusted, hint(CLOCK_HINT)),
        E::Store(error) => store(error),
    }
}

fn resolve(error: &ResolveError) -> Saying {
    use ErrorCode as Code;
    use ResolveError as E;
    match error {
        E::Reference(_) | E::Name(_) => (BAD, Code::InvalidName, None),
        E::PromptNotFound { .. } => (ABSENT, Code::PromptNotFound, None),
        E::PromptRemoved { .. } => {
            (StatusCode::GONE, Code::PromptRemoved, hint("`at` asks for what was served before; its versions remain"))
        }
        E::VersionNotFound { .. } => (ABSENT, Code::VersionNotFound, None),
        E::LabelNotFound { .. } => (ABSENT, Code::LabelNotFound, None),
        E::ContentNotFound(_) => (ABSENT, Code::ContentNotFound, None),
        E::VersionArchived { .. } => (StatusCode::GONE, Code::VersionArchived, None),
        E::Limit { .. } | E::Render(RenderError::InputTooLong) => (StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, None),
        E::NotReady => not_ready(),
        E::Cursor(_) => (BAD, Code::BadRequest, hint("pass what `next` of the page before said")),
        E::Render(RenderError::Variables(_)) => (UNFIT, Code::InvalidVariables, None),
        E::BatchTooLarge { .. } => {
            (StatusCode::PAYLOAD_TOO_LARGE, Code::TooLarge, hint("ask for fewer references at once"))
        }
        E::Render(RenderError::Template { .. } | RenderError::TooLong | RenderError::Stopped) => {
            (UNFIT, Code::RenderFailed, None)
        }
        E::Content(_) => INSIDE,
        E::Store(error) => store(error),
    }
}

fn content(error: &ContentError) -> Saying {
    match error {
        ContentError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, ErrorCode::TooLarge, None),
        ContentError::Body(_)
        | ContentError::Message(_)
        | ContentError::TooMany { .. }
        | ContentError::Number(_)
        | ContentError::Variable { .. }
        | ContentError::Twice { .. }
        | ContentError::Decode { .. } => (UNFIT, ErrorCode::InvalidContent, None),
    }
}

fn publish(error: &PublishError) -> Saying {
    match error {
        PublishError::Busy { .. } => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, None),
        PublishError::Store(error)
        | PublishError::Seal(SealError::Store(error))
        | PublishError::Witness(WitnessError::Store(error)) => store(error),
        PublishError::BadLifetime { .. } | PublishError::Witness(_) => (BAD, ErrorCode::BadRequest, None),
        PublishError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => full(),
        PublishError::Seal(SealError::Checkpoint(_)) | PublishError::Io(_) | PublishError::Stopped => INSIDE,
    }
}

fn store(error: &StoreError) -> Saying {
    if error.is_full() {
        return full();
    }
    match error {
        StoreError::Busy | StoreError::Aborted | StoreError::Interrupted => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::Busy, None)
        }
        StoreError::Disk { .. } | StoreError::Closed { .. } => {
            let way = hint("nothing was written; what was stored is still read where the disk lets it");
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::DiskFailed, way)
        }
        StoreError::Content { .. } | StoreError::Torn => {
            let way = hint("ask another node; an operator restores a backup, or lets a replica fetch everything again");
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::DataDamaged, way)
        }
        StoreError::Io(error) if error.raw_os_error().is_some() => {
            (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::DiskFailed, None)
        }
        StoreError::Full { .. } => full(),
        StoreError::Outdated { .. } => (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::OutdatedPrimary, None),
        StoreError::InUse { .. }
        | StoreError::NotWritable { .. }
        | StoreError::Absent { .. }
        | StoreError::Newer { .. }
        | StoreError::Damaged { .. }
        | StoreError::Record { .. }
        | StoreError::RecordVersion { .. }
        | StoreError::Stopped
        | StoreError::Delta(_)
        | StoreError::Database(_)
        | StoreError::Io(_) => INSIDE,
    }
}

fn full() -> Saying {
    let free = hint("nothing was written and reading goes on; writes work again when there is room");
    (StatusCode::INSUFFICIENT_STORAGE, ErrorCode::StorageFull, free)
}

fn not_ready() -> Saying {
    (StatusCode::SERVICE_UNAVAILABLE, ErrorCode::NotReady, hint("GET /v1/status says what keeps it"))
}

/// A short name of the kind of error.
pub(super) const fn title(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::BadRequest => "Malformed request",
        ErrorCode::InvalidName => "Invalid name",
        ErrorCode::InvalidContent => "Invalid content",
        ErrorCode::InvalidServing => "Invalid serving",
        ErrorCode::InvalidVariables => "Variables do not fit",
        ErrorCode::RenderFailed => "Rendering failed",
        ErrorCode::InvalidMessage => "Message missing or too long",
        ErrorCode::TooLarge => "Over a limit",
        ErrorCode::UnsupportedMediaType => "Unsupported content type",
        ErrorCode::Unauthorized => "Access token missing or unknown",
        ErrorCode::WrongHost => "Wrong host",
        ErrorCode::RateLimited => "Too much for one",
        ErrorCode::Forbidden => "Not allowed",
        ErrorCode::NotFound => "No such path",
        ErrorCode::MethodNotAllowed => "Method not allowed",
        ErrorCode::PromptNotFound => "No such prompt",
        ErrorCode::PromptRemoved => "Prompt removed",
        ErrorCode::VersionNotFound => "No such version",
        ErrorCode::LabelNotFound => "No such label",
        ErrorCode::ContentNotFound => "No such content",
        ErrorCode::RecordNotFound => "No such record",
        ErrorCode::ParentMoved => "Somebody published meanwhile",
        ErrorCode::VersionRetired => "Version retired",
        ErrorCode::VersionServed => "Version in use",
        ErrorCode::Exists => "It exists already",
        ErrorCode::InUse => "In use",
        ErrorCode::InvalidPolicy => "Invalid policy",
        ErrorCode::InvalidRules => "Invalid rules",
        ErrorCode::PolicyNotMet => "A policy is not met",
        ErrorCode::BreaksCallers => "Callers would break",
        ErrorCode::HoldsSecrets => "Content holds a secret",
        ErrorCode::RequestClosed => "Change request is closed",
        ErrorCode::LabelMoved => "Label moved meanwhile",
        ErrorCode::RequestMoved => "Change request moved on",
        ErrorCode::DraftMoved => "Somebody saved meanwhile",
        ErrorCode::VersionArchived => "Version archived",
        ErrorCode::LastAdmin => "Last admin",
        ErrorCode::BumpTooSmall => "Declared bump too small",
        ErrorCode::StillIncluded => "Still included by others",
        ErrorCode::NothingToRollBack => "Nothing to roll back to",
        ErrorCode::HistoryOrder => "Older than what is there",
        ErrorCode::ReadOnlyReplica => "This node is a replica",
        ErrorCode::NotReady => "Not ready",
        ErrorCode::OutdatedPrimary => "Older than what was published",
        ErrorCode::Busy => "Busy",
        ErrorCode::StorageFull => "Disk full",
        ErrorCode::DiskFailed => "Disk failed",
        ErrorCode::DataDamaged => "Stored data damaged",
        ErrorCode::Timeout => "Too slow",
        ErrorCode::ClockUntrusted => "Clock cannot be right",
        ErrorCode::Internal | ErrorCode::Unknown => "Internal error",
    }
}

/// Each thing that does not fit, in words.
fn list(problems: &Problems) -> Vec<String> {
    let Problems { missing, unknown, wrong_type, missing_placeholders, unknown_placeholders, wrong_messages } =
        problems;
    let each = |names: &[String], what: &str| names.iter().map(|name| format!("`{name}` {what}")).collect::<Vec<_>>();
    let mut errors = each(missing, "is required and missing");
    errors.extend(each(unknown, "is no variable of this prompt"));
    errors.extend(
        wrong_type.iter().map(|wrong| format!("`{}` is {}, but takes {}", wrong.name, wrong.found, wrong.expected)),
    );
    errors.extend(each(missing_placeholders, "is a placeholder without messages"));
    errors.extend(each(unknown_placeholders, "is no placeholder of this prompt"));
    errors.extend(
        wrong_messages.iter().map(|wrong| format!("message {} of `{}`: {}", wrong.index, wrong.name, wrong.reason)),
    );
    errors
}

/// An error and its causes, for the log.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

macro_rules! from_text_errors {
    ($($error:ident => $this:ident $into:expr;)*) => {
        $(impl From<$error> for Failure {
            fn from($this: $error) -> Self {
                $into
            }
        })*
    };
}

from_text_errors! {
    NameError => error Self::Resolve(error.into());
    ReferenceError => error Self::Resolve(error.into());
    PositionError => error RequestError::Path { reason: error.to_string() }.into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    #[test]
    fn errors_have_their_status_and_code() {
        let name = || "a/b".parse().expect("a name");
        let check = |failure: Failure, status: u16, code: &str| {
            let (found, found_code, _) = failure.saying();
            assert_eq!((found.as_u16(), found_code.as_str().as_str()), (status, code), "{failure}");
        };
        check(RegistryError::MessageMissing.into(), 400, "invalid_message");
        check(RegistryError::ParentMoved { name: name(), expected: 1, found: 2 }.into(), 409, "parent_moved");
        check(ResolveError::PromptNotFound { name: name() }.into(), 404, "prompt_not_found");
        check(ResolveError::PromptRemoved { name: name(), at: Timestamp::from_ms(0) }.into(), 410, "prompt_removed");
        check(ResolveError::NotReady.into(), 503, "not_ready");
        check(ResolveError::BatchTooLarge { reference: "a".into(), bytes_max: 1 }.into(), 413, "too_large");
        check(ResolveError::Render(RenderError::Stopped).into(), 422, "render_failed");
        check(StoreError::Full { free_bytes: 1, needed_bytes: 2 }.into(), 507, "storage_full");
        check(std::io::Error::from(std::io::ErrorKind::StorageFull).into_store().into(), 507, "storage_full");
        check(StoreError::Busy.into(), 503, "busy");
        let at = |seq| crate::model::position::Position { epoch: 1, seq };
        check(StoreError::Outdated { published: at(9), held: at(7) }.into(), 503, "outdated_primary");
        check(PublishError::Witness(WitnessError::Syntax(String::new())).into(), 400, "bad_request");
        check(std::io::Error::from_raw_os_error(5).into_store().into(), 503, "disk_failed");
        check(StoreError::Disk { reason: "writing failed".to_owned() }.into(), 503, "disk_failed");
        check(StoreError::Closed { reason: "reading failed".to_owned() }.into(), 503, "disk_failed");
        check(StoreError::Torn.into(), 503, "data_damaged");
        check(RequestError::TokenMissing.into(), 401, "unauthorized");
        check(RequestError::Forwarded { header: "via" }.into(), 401, "unauthorized");
        check(RequestError::WrongHost { host: "a".to_owned(), forwarded: None }.into(), 421, "wrong_host");
        check(RequestError::Hosts { count: 2 }.into(), 400, "bad_request");
        check(RequestError::Share { what: "x", max: 1, retry_after_s: 1 }.into(), 429, "rate_limited");
        check(RequestError::Attempts { retry_after_s: 1 }.into(), 429, "rate_limited");
        check(RequestError::Replica { what: "publishing", upstream: None }.into(), 403, "read_only_replica");
        check(RequestError::BodyTooLarge { max: 1 }.into(), 413, "too_large");
        check(PublishError::Busy { retry_after_s: 3 }.into(), 503, "busy");
    }

    #[test]
    fn a_flood_of_busy_answers_logs_one_line_a_second_and_counts_the_rest() {
        let lines = OneASecond::new();
        let logged: Vec<_> = [0, 0, 0, 1, 1, 5].into_iter().map(|second| lines.next(second)).collect();
        assert_eq!(logged, [Some(0), None, None, Some(2), None, Some(1)]);
    }

    trait IntoStore {
        fn into_store(self) -> StoreError;
    }

    impl IntoStore for std::io::Error {
        fn into_store(self) -> StoreError {
            self.into()
        }
    }

    #[test]
    fn what_failed_inside_is_not_told() {
        let state = super::super::tests::request_id();
        let secret = StoreError::Record { kind: "version", reason: "secret words".to_owned() };
        let problem = Failure::from(secret).problem(state);
        assert_eq!(problem.code, ErrorCode::Internal);
        assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
        assert!(problem.hint.expect("a hint").contains(&state.to_string()));
    }
}

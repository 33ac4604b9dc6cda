//! Errors as clients see them: the only place that knows status codes of failures.
//!
//! Every error of the lower layers becomes a status, a stable code and, if possible, a hint; the matches have no
//! wildcard, so a new error is a compile error here. Internal failures are logged once with the ID of the request, and
//! the client gets only that ID.

use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

mod measured;

use self::measured::{evaluation, ingest};
use super::code::{status, title};
use super::exporter;
use super::request::RequestError;
use super::request_id::RequestId;
use crate::api::problem::{ErrorCode, PROBLEM_JSON, Problem};
use crate::evaluate::EvaluationError;
use crate::governance::interface::InterfaceError;
use crate::ingest::IngestError;
use crate::model::content::ContentError;
use crate::model::name::NameError;
use crate::model::position::PositionError;
use crate::model::reference::ReferenceError;
use crate::registry::RegistryError;
use crate::replication::publish_error::PublishError;
use crate::replication::witness::WitnessError;
use crate::resolve::ResolveError;
use crate::signing::primary_clock::CLOCK_HINT;
use crate::signing::signer::SealError;
use crate::store::StoreError;
use crate::telemetry::otlp::{Encoding, refused};
use crate::template::render::{Problems, RenderError};
use crate::web::form::FormError;
use crate::web::layout::Frame;
use crate::web::pages::problem;

/// `Retry-After` if a queue was full, in seconds.
const RETRY_AFTER_S: u64 = 1;
/// `Retry-After` if a replica can keep no more telemetry for its primary, in seconds.
const FULL_RETRY_AFTER_S: u64 = 60;
/// The message about a label that a prompt does not have.
const LABEL_HINT: &str = "a label exists once something is deployed to it";

/// When this program started.
static STARTED: LazyLock<Instant> = LazyLock::new(Instant::now);
/// Log lines about rejected requests.
static BUSY_LINES: LogLimiter = LogLimiter::new();

/// Allows one log line per second, and counts the suppressed ones.
struct LogLimiter {
    /// The second of the last line plus one; 0 if there was none.
    last: AtomicU64,
    unlogged: AtomicU64,
}

impl LogLimiter {
    const fn new() -> Self {
        Self { last: AtomicU64::new(0), unlogged: AtomicU64::new(0) }
    }

    /// Number of suppressed lines, if it is time for another line.
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
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
}

/// How a failure is presented.
type ErrorFormat = (ErrorCode, Option<String>);

const INSIDE: ErrorFormat = (ErrorCode::Internal, None);

impl Failure {
    fn saying(&self) -> ErrorFormat {
        match self {
            Self::Request(error) => request(error),
            Self::Registry(error) => registry(error),
            Self::Resolve(error) => resolve(error),
            Self::Publish(error) => publish(error),
            Self::Store(error) => store(error),
            Self::Ingest(error) => ingest(error),
            Self::Evaluation(error) => evaluation(error),
        }
    }

    /// `Retry-After` in seconds, if retrying makes sense.
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
            Self::Ingest(IngestError::Telemetry(error)) if error.lacks_room() => Some(FULL_RETRY_AFTER_S),
            _ => (self.saying().0 == ErrorCode::Busy).then_some(RETRY_AFTER_S),
        }
    }

    /// The error text beside a rejected form, and the status; absent for internal failures.
    pub(super) fn refusal(&self) -> Option<(StatusCode, FormError)> {
        let (code, hint) = self.saying();
        let status = status(code);
        let refusal = |(says, errors)| FormError { says, errors, hint };
        (!status.is_server_error()).then(|| (status, refusal(self.said())))
    }

    /// The error in a sentence, and the individual errors if there are several; a single one is in the sentence.
    fn said(&self) -> (String, Vec<String>) {
        let errors = self.errors();
        let count = errors.len();
        if count < 2 {
            return (self.to_string(), Vec::new());
        }
        let sentence = match self {
            Self::Registry(RegistryError::PolicyNotMet { place, .. }) => {
                format!("cannot deploy to {place}: {count} requirements are not met")
            }
            Self::Registry(RegistryError::BreaksCallers { place, .. }) => {
                format!("cannot deploy to {place}: it would break current callers")
            }
            Self::Registry(RegistryError::HoldsSecrets { name, .. }) => {
                format!("the content of `{name}` contains {count} secrets")
            }
            Self::Registry(RegistryError::StillIncluded { name, hidden, .. }) => {
                let hidden = if *hidden > 0 { " and others that you cannot read" } else { "" };
                format!("`{name}` is included by {count} prompts{hidden}; change those first")
            }
            Self::Registry(RegistryError::Interface(InterfaceError { declared, required, .. })) => {
                format!("declared as {declared}, but this is a {required} change; declare {required}")
            }
            Self::Resolve(ResolveError::Render(RenderError::Variables(_))) => {
                format!("{count} variables or messages do not fit this prompt")
            }
            _ => self.to_string(),
        };
        (sentence, errors)
    }

    /// The individual errors of kinds that can have several.
    fn errors(&self) -> Vec<String> {
        match self {
            Self::Resolve(ResolveError::Render(RenderError::Variables(problems))) => list(problems),
            Self::Registry(RegistryError::Interface(error)) => error.reasons.clone(),
            Self::Registry(RegistryError::StillIncluded { by, .. }) => by.iter().map(ToString::to_string).collect(),
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

    /// The problem that the client gets; logs internal failures.
    pub(super) fn problem(&self, id: RequestId) -> Problem {
        let (code, hint) = self.saying();
        let status = status(code);
        let (said, errors) = self.said();
        let (detail, hint) = if code == ErrorCode::Internal {
            tracing::error!(request = %id, error = chain(self), "a request failed with an internal error");
            ("internal error".to_owned(), Some(format!("see the log for request {id}")))
        } else {
            if code == ErrorCode::Busy && status.is_server_error() {
                // A client that sends too much would also fill the log.
                if let Some(unlogged) = BUSY_LINES.next(STARTED.elapsed().as_secs()) {
                    tracing::warn!(request = %id, error = chain(self), unlogged, "overloaded: a request was rejected");
                }
            } else if status.is_server_error() {
                tracing::warn!(request = %id, error = chain(self), "a request failed");
            }
            (said, hint)
        };
        Problem { title: title(code).to_owned(), status: status.as_u16(), code, detail, hint, errors }
    }
}

impl IntoResponse for Failure {
    /// An answer that [`finish`] completes, because the request ID is only known there.
    fn into_response(self) -> Response {
        let mut response = status(self.saying().0).into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Marks a failure to be shown as a page in this frame.
#[derive(Clone)]
pub(super) struct AsPage(pub(super) Arc<Frame>);

/// Marks a failure to be answered to an exporter of OpenTelemetry, in this encoding.
#[derive(Clone, Copy)]
pub(super) struct AsRpcStatus(pub(super) Encoding);

/// Whether an answer is a failure that [`finish`] has to complete.
pub(super) fn failed(response: &Response) -> bool {
    response.extensions().get::<Arc<Failure>>().is_some()
}

/// Completes an answer: a failure becomes a problem with the request ID.
pub(super) fn finish(mut response: Response, id: RequestId) -> Response {
    if let Some(failure) = response.extensions_mut().remove::<Arc<Failure>>() {
        let problem = failure.problem(id);
        let page = response.extensions_mut().remove::<AsPage>();
        let as_status = response.extensions_mut().remove::<AsRpcStatus>();
        let (body, media) = match (&page, as_status) {
            (Some(AsPage(frame)), _) => {
                let media = HeaderValue::from_static("text/html; charset=utf-8");
                (problem::page(frame, &problem).into_bytes(), media)
            }
            (None, Some(AsRpcStatus(encoding))) => {
                let message = match &problem.hint {
                    Some(hint) => format!("{}; {hint}", problem.detail),
                    None => problem.detail.clone(),
                };
                (refused(encoding, exporter::rpc_code(problem.status), &message), exporter::media(encoding))
            }
            (None, None) => (serde_json::to_vec(&problem).unwrap_or_default(), HeaderValue::from_static(PROBLEM_JSON)),
        };
        *response.body_mut() = Body::from(body);
        let headers = response.headers_mut();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, media);
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

fn request(error: &RequestError) -> ErrorFormat {
    use ErrorCode as Code;
    use RequestError as E;
    match error {
        E::NoSuchPath => (
            Code::NotFound,
            hint(
                "if a segment of the prompt's name is also a word of the API, such as `versions`, write its slashes \
                    as %2F",
            ),
        ),
        E::Method { .. } => (Code::MethodNotAllowed, None),
        E::Path { .. } => (Code::BadRequest, hint("percent-encode it as UTF-8, once")),
        E::UnknownParameters { .. }
        | E::Query { .. }
        | E::Parameter { .. }
        | E::PageSize { .. }
        | E::Json { .. }
        | E::BodyBroken
        | E::Gzip { .. }
        | E::Hosts { .. }
        | E::FormValue { .. }
        | E::Upload { .. } => (Code::BadRequest, None),
        E::Field { .. } | E::QueryValue { .. } => (Code::InvalidField, None),
        E::Unfit { .. } => (Code::InvalidRequest, None),
        E::ContentType { accepted, .. } => {
            let first = accepted.split(' ').next().unwrap_or_default();
            (Code::UnsupportedMediaType, hint(format!("send the header Content-Type: {first}")))
        }
        E::ContentEncoding { .. } => {
            (Code::UnsupportedMediaType, hint("send the body uncompressed, without the header Content-Encoding"))
        }
        E::BodyTooLarge { .. } => (Code::TooLarge, hint("split it into several requests")),
        E::BodySlow { .. } => (Code::Timeout, None),
        E::Busy { .. } | E::Full { .. } => (Code::Busy, None),
        E::Share { .. } | E::Attempts { .. } => (Code::RateLimited, None),
        E::WrongHost { forwarded, .. } => {
            let ways = "use localhost or this node's address, send an access token, or add the host to the setting \
                allowed_hosts (--allowed-hosts)";
            let proxy = forwarded.map(|header| {
                format!(
                    "; the request came through a proxy (it has the header {header}): if the proxy is yours, add \
                    it to the setting trusted_proxies as well"
                )
            });
            (Code::WrongHost, hint(format!("{ways}{}", proxy.unwrap_or_default())))
        }
        E::OtherSite => (
            Code::Forbidden,
            hint(
                "open this node's own pages; from a program, leave out the headers Origin and Sec-Fetch-Site, or \
                    send an access token",
            ),
        ),
        E::Forwarded { .. } => (
            Code::Unauthorized,
            hint(
                "send the header Authorization: Bearer bh_…; if the proxy is yours, add it to the setting \
                    trusted_proxies",
            ),
        ),
        E::TokenMissing => (Code::Unauthorized, hint("sign in, or send the header Authorization: Bearer bh_…")),
        E::TokenUnknown => (
            Code::Unauthorized,
            hint(
                "it may have been revoked or have expired; an admin can create another with \
                POST /v1/tokens",
            ),
        ),
        E::TokenNotOfReplica => (
            Code::Unauthorized,
            hint(
                "a replica accepts only its own access token (BOOKHOLDER_READ_TOKEN), not those of its primary; on the \
                    machine of the replica, send none (unset BOOKHOLDER_TOKEN)",
            ),
        ),
        E::Role { .. } => (Code::Forbidden, None),
        E::Replica { .. } => (Code::PrimaryOnly, hint("send the request to the primary")),
        E::NoRecord { .. } => (Code::RecordNotFound, None),
        E::NotReady | E::TooOld { .. } | E::Faulty { .. } => not_ready(),
        E::OtherOrigin => (Code::Forbidden, hint("open the page on this node and submit the form there")),
        E::UnknownOrigin { origin, .. } => (
            Code::Forbidden,
            hint(format!(
                "if {origin} is a proxy in front of this node, start the node with --public-url {origin} (the \
                    setting public_url), or let the proxy keep the host (nginx: proxy_set_header Host $http_host) \
                    and add the proxy to trusted_proxies"
            )),
        ),
        E::FormField { .. } => (
            Code::BadRequest,
            hint(
                "forms of the pages have every field, also the hidden `form`: send the form of the page, or call the \
                    API (/docs) from programs",
            ),
        ),
        E::FormStale => (Code::Forbidden, hint("go back, reload the page, and submit it again")),
        E::PromptFile { .. } => (Code::InvalidContent, hint("`bookholder prompt-file` prints the format")),
        E::FormFields { .. } => (Code::InvalidContent, hint("your input is kept; fix the errors and save again")),
        E::Panicked | E::Task(_) | E::File { .. } => INSIDE,
    }
}

/// Where the names are that would have been found.
fn listed_by(what: &str) -> Option<String> {
    let command = match what {
        "access token" => "token list",
        "alert" => "alert list",
        "change request" => "request list",
        "draft" => "draft list NAME",
        "policy" => "policy list",
        "principal" => "principal list",
        "role" => "role list",
        "rule set" => "rules list",
        "suite" => "eval suites",
        "webhook" => "webhook list",
        _ => return None,
    };
    Some(format!("`bookholder {command}` shows those that exist"))
}

fn registry(error: &RegistryError) -> ErrorFormat {
    use ErrorCode as Code;
    use RegistryError as E;
    match error {
        E::Forbidden { roles, .. } => {
            let would = (!roles.is_empty()).then(|| format!("roles that allow this: {}", roles.join(", ")));
            (Code::Forbidden, would)
        }
        E::PolicyNotMet { rollback, .. } => {
            let way =
                "open a change request (`bookholder request propose`), or ask an admin to override with --break-glass";
            let stop =
                "; to stop serving the current version without any of this, remove the label with `bookholder unlabel`";
            (Code::PolicyNotMet, hint(format!("{way}{}", if *rollback { stop } else { "" })))
        }
        E::BreaksCallers { by, .. } => {
            let by = if by.is_empty() {
                "no caller used it in the last 24 hours".to_owned()
            } else {
                format!("used in the last 24 hours by {}", by.join(", "))
            };
            (Code::BreaksCallers, hint(format!("{by}; deploy with `allow_major` (--allow-major) when they are ready")))
        }
        E::HoldsSecrets { .. } => (
            Code::HoldsSecrets,
            hint(
                "remove the secret, pass it to the model's tools at run time, and revoke it; an admin can publish a \
                    dummy with break_glass",
            ),
        ),
        E::MessageMissing | E::MessageTooLong { .. } => (Code::InvalidMessage, None),
        E::TextTooLong { .. } => (Code::BadRequest, None),
        E::TooFast { .. } => (Code::RateLimited, None),
        E::DraftLimit { .. } => (Code::TooLarge, hint("publish or discard drafts that you no longer need")),
        E::TooMany { .. } => (Code::TooLarge, hint("send them in several requests")),
        E::PromptNotFound { .. } => (Code::PromptNotFound, None),
        E::PromptRemoved { .. } => (Code::PromptRemoved, None),
        E::VersionNotFound { .. } => (Code::VersionNotFound, None),
        E::LabelNotFound { .. } | E::NothingToPromote { .. } => (Code::LabelNotFound, hint(LABEL_HINT)),
        E::ParentMoved { found, .. } => {
            (Code::ParentMoved, hint(format!("review the changes in version {found}, then publish on top of it")))
        }
        E::VersionRetired { .. } => (
            Code::VersionRetired,
            hint(
                "deploy another version, or un-retire this one \
            (`bookholder retire --undo`)",
            ),
        ),
        E::VersionServed { .. } | E::VersionRolledBackTo { .. } => (Code::VersionServed, None),
        E::LatestIsAutomatic => (Code::InvalidName, hint("deploy to another label")),
        E::MovedTwice { .. } | E::NothingToDeploy | E::Unfit(_) => (Code::InvalidRequest, None),
        E::Serving { .. } | E::Assignment(_) => (Code::InvalidServing, None),
        E::NothingToRollBack { .. } => (Code::NothingToRollBack, hint("give a version in `to`")),
        E::StillIncluded { .. } => (Code::StillIncluded, None),
        E::Include { .. } | E::Included(_) | E::Template(_) => (Code::InvalidContent, None),
        E::HistoryOrder { .. } | E::FromTheFuture { .. } => (Code::HistoryOrder, None),
        E::ImportedOver { .. } => (Code::ParentMoved, None),
        E::Exists { .. } => (Code::Exists, None),
        E::LastAdmin { .. } => (Code::LastAdmin, None),
        E::NotFound { what, .. } => (Code::RecordNotFound, listed_by(what)),
        E::RequestUnreadable { .. } => (Code::RecordNotFound, None),
        E::Handle { .. } | E::Name(_) => (Code::InvalidName, None),
        E::RoleInUse { .. } | E::BuiltIn { .. } | E::Disabled { .. } => (Code::InUse, None),
        E::Policy(_) => (Code::InvalidPolicy, None),
        E::Rules(_) => (Code::InvalidRules, None),
        E::RequestClosed { .. } => (Code::RequestClosed, None),
        E::RequestMoved { id } => {
            (Code::RequestMoved, hint(format!("see GET /v1/requests/{id} for what it proposes now")))
        }
        E::PlanOutdated { .. } => (Code::LabelMoved, hint("look at the new plan, and promote again")),
        E::LabelMoved { .. } => (Code::LabelMoved, hint("check what it serves now and try again")),
        E::DraftMoved { .. } => (Code::DraftMoved, hint("reload the draft and apply your change to that revision")),
        E::VersionArchived { .. } => (Code::VersionArchived, None),
        E::Random(_) => INSIDE,
        E::Interface(_) => (Code::BumpTooSmall, None),
        E::Content(error) => content(error),
        E::Clock(_) => (Code::ClockUntrusted, hint(CLOCK_HINT)),
        E::Resolve(error) => resolve(error),
        E::Store(error) => store(error),
    }
}

fn resolve(error: &ResolveError) -> ErrorFormat {
    use ErrorCode as Code;
    use ResolveError as E;
    match error {
        E::Unreadable { .. } | E::Narrow { .. } | E::AuditUnreadable => (Code::Forbidden, None),
        E::Reference(_) | E::Name(_) => (Code::InvalidName, None),
        E::PromptNotFound { .. } => (Code::PromptNotFound, None),
        E::PromptRemoved { .. } => {
            (Code::PromptRemoved, hint("use `at` to read what was served before; its versions remain"))
        }
        E::VersionNotFound { .. } => (Code::VersionNotFound, None),
        E::LabelNotFound { .. } => (Code::LabelNotFound, hint(LABEL_HINT)),
        E::ContentNotFound(_) => (Code::ContentNotFound, None),
        E::VersionArchived { .. } => (Code::VersionArchived, None),
        E::Limit { .. } | E::Render(RenderError::InputTooLong) => (Code::TooLarge, None),
        E::NotReady => not_ready(),
        E::Cursor(_) => (Code::InvalidRequest, hint("pass `next` from the previous page")),
        E::CursorExpired { .. } => (Code::CursorExpired, hint("start again without `cursor`")),
        E::Render(RenderError::Variables(_)) => (Code::InvalidVariables, None),
        E::BatchTooLarge { .. } => (Code::TooLarge, hint("request fewer references at once")),
        E::Render(RenderError::Template { .. } | RenderError::TooLong | RenderError::Stopped) => {
            (Code::RenderFailed, None)
        }
        E::Content(_) => INSIDE,
        E::Store(error) => store(error),
    }
}

fn content(error: &ContentError) -> ErrorFormat {
    match error {
        ContentError::TooLong { .. } => (ErrorCode::TooLarge, None),
        ContentError::Body(_)
        | ContentError::TooMany { .. }
        | ContentError::Number(_)
        | ContentError::Variable { .. }
        | ContentError::NotComposed { .. }
        | ContentError::Twice { .. }
        | ContentError::Decode { .. } => (ErrorCode::InvalidContent, None),
    }
}

fn publish(error: &PublishError) -> ErrorFormat {
    match error {
        PublishError::Busy { .. } => (ErrorCode::Busy, None),
        PublishError::Store(error)
        | PublishError::Seal(SealError::Store(error))
        | PublishError::Witness(WitnessError::Store(error)) => store(error),
        PublishError::BadLifetime { .. } => (ErrorCode::InvalidRequest, None),
        PublishError::Witness(_) => (ErrorCode::BadRequest, None),
        PublishError::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => full(),
        PublishError::Seal(SealError::Checkpoint(_)) | PublishError::Io(_) | PublishError::Stopped => INSIDE,
    }
}

fn store(error: &StoreError) -> ErrorFormat {
    if error.is_full() {
        return full();
    }
    match error {
        StoreError::Busy | StoreError::Aborted | StoreError::Interrupted => (ErrorCode::Busy, None),
        StoreError::Disk { .. } | StoreError::Closed { .. } => {
            let way = hint("nothing was written; stored data is still served where the disk allows it");
            (ErrorCode::DiskFailed, way)
        }
        StoreError::Content { .. } | StoreError::Torn => {
            let way = hint(
                "use another node; an operator can restore a backup, or let a replica fetch everything \
                again",
            );
            (ErrorCode::DataDamaged, way)
        }
        StoreError::Io(error) if error.raw_os_error().is_some() => (ErrorCode::DiskFailed, None),
        StoreError::Full { .. } => full(),
        StoreError::AuditEntry { .. } => {
            (INSIDE.0, hint("a newer bookholder wrote this part of the audit log; upgrade this one to read it"))
        }
        StoreError::Outdated { .. } => (ErrorCode::OutdatedPrimary, None),
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

fn full() -> ErrorFormat {
    let free = hint("nothing was written; reads continue, and writes resume when there is free space");
    (ErrorCode::StorageFull, free)
}

fn not_ready() -> ErrorFormat {
    (ErrorCode::NotReady, hint("see GET /v1/status for the cause"))
}

/// Each validation error, as text.
fn list(problems: &Problems) -> Vec<String> {
    let Problems { missing, unknown, wrong_type, missing_placeholders, unknown_placeholders, wrong_messages } =
        problems;
    let each = |names: &[String], what: &str| names.iter().map(|name| format!("`{name}` {what}")).collect::<Vec<_>>();
    let mut errors = each(missing, "is required");
    errors.extend(each(unknown, "is not a variable of this prompt"));
    errors.extend(
        wrong_type
            .iter()
            .map(|wrong| format!("`{}` is {}, but must have type {}", wrong.name, wrong.found, wrong.expected)),
    );
    errors.extend(each(missing_placeholders, "is a placeholder and needs messages"));
    errors.extend(each(unknown_placeholders, "is not a placeholder of this prompt"));
    errors.extend(
        wrong_messages.iter().map(|wrong| format!("message {} of `{}`: {}", wrong.index, wrong.name, wrong.reason)),
    );
    errors
}

/// An error with its causes, for the log.
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
            let (found_code, _) = failure.saying();
            assert_eq!((super::status(found_code).as_u16(), found_code.as_str().as_str()), (status, code), "{failure}");
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
        check(RequestError::Replica { what: "publishing", upstream: None }.into(), 403, "primary_only");
        check(RequestError::BodyTooLarge { max: 1 }.into(), 413, "too_large");
        check(PublishError::Busy { retry_after_s: 3 }.into(), 503, "busy");
    }

    #[test]
    fn busy_answers_log_one_line_a_second_and_a_count() {
        let lines = LogLimiter::new();
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
    fn internal_errors_do_not_reveal_details() {
        let state = RequestId::new(7, 1);
        let secret = StoreError::Record { kind: "version", reason: "secret words".to_owned() };
        let problem = Failure::from(secret).problem(state);
        assert_eq!(problem.code, ErrorCode::Internal);
        assert!(!format!("{problem:?}").contains("secret"), "{problem:?}");
        assert!(problem.hint.expect("a hint").contains(&state.to_string()));
    }
}

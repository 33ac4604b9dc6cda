//! The calls of applications about many prompts: by references, and by label and pattern.
//!
//! Every answer is of one state. Its parts are the bytes of single answers, shared instead of copied.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use http_body::{Frame, SizeHint};

use super::auth::Reader;
use super::caching::REVALIDATE;
use super::error::Failure;
use super::etag::matches;
use super::extract::{DeferredBody, NoParams, Params};
use super::freshness_headers::{FreshHeaders, text};
use super::openapi::params::{Attributes, Paging};
use super::read::{JSON, check_past, in_body, query};
use super::request_id::RequestId;
use super::state::{App, Shared};
use crate::api::read::{BatchAnswer, BatchRequest, MatchingAnswer};
use crate::clock::Cancellation;
use crate::model::name::Label;
use crate::model::pattern::Pattern;
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::resolve::answer::SharedAnswer;
use crate::resolve::matching::{Matching, MatchingPage};
use crate::resolve::{Query, ReadScope, ResolveError};

/// Answers of at least this size, in bytes, are shared by a batch instead of copied.
const SHARED_BYTES_MIN: usize = 4 * 1024;

/// A reference, and its answer.
type Item = (String, Result<SharedAnswer, ResolveError>);

/// Resolves many references from one consistent state.
#[utoipa::path(
    post, path = "/v1/resolve", operation_id = "resolve_batch", tag = "resolve", security((), ("token" = [])),
    request_body(content = BatchRequest, example = json!({"references": ["support/agent", "support/tone@3"], "subject": "user-17"})),
    responses(
        (status = 200, body = BatchAnswer),
        (status = 413, body = crate::api::problem::Problem, content_type = "application/problem+json", description = "The \
            answers exceed 16 MiB; `detail` names the reference at which they do."),
    ),
)]
pub(super) async fn resolve_batch(
    State(app): State<App>,
    reader: Reader,
    _: NoParams,
    Extension(id): Extension<RequestId>,
    body: DeferredBody<BatchRequest>,
) -> Result<Response, Failure> {
    let (fresh, answer) = Arc::clone(&app)
        .work
        .heavy(move |_| {
            let request = body.read()?;
            let fresh = FreshHeaders::new(app.freshness.now());
            check_past(&app, request.at).map_err(in_body)?;
            let query = Query { subject: request.subject, attributes: request.attributes, at: request.at };
            request.references.iter().try_for_each(|reference| reader.check_reference(reference))?;
            let (position, answers) = app.resolver.batch(&request.references, &query)?;
            for answer in answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()) {
                app.usage.note(answer, reader.who());
            }
            let answers = answers.into_iter().map(|(reference, answer)| (reference.to_owned(), answer));
            Ok::<_, Failure>((fresh, Pieces::of(position, answers, None, id)))
        })
        .await??;
    let mut response = Response::new(Body::new(answer));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    fresh.add(response.headers_mut());
    Ok(response)
}

/// Resolves what a label serves in every prompt that matches a pattern.
///
/// All pages are of the state of the first one: a cursor has its position. If this node does not have that state, because
/// it is behind or was restored, the answer is 410 with the code `cursor_expired`: start again without `cursor`. Prompts
/// without the label, and those that the caller cannot read, are left out.
#[utoipa::path(
    get, path = "/v1/resolve", operation_id = "resolve_matching", tag = "resolve", security((), ("token" = [])),
    params(
        ("label" = Option<Label>, Query, description = "The label; `production` by default.", example = "production"),
        ("pattern" = Option<Pattern>, Query, description = "Which prompts; all by default.", example = "support/**"),
        ("subject" = Option<String>, Query, description = "A user or conversation that should always get the same \
            arm of a split.", max_length = 1024, example = "user-17"),
        Attributes,
        ("at" = Option<Timestamp>, Query, description = "The moment to read, in the past; now by default.", example = "2026-03-20T15:00:00Z"),
        Paging,
    ),
    responses((status = 200, body = MatchingAnswer)),
)]
pub(super) async fn resolve_matching(
    State(app): State<App>,
    reader: Reader,
    Extension(id): Extension<RequestId>,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let wanted = Matching {
        label: params.get("label")?.unwrap_or_else(Label::production),
        pattern: params.get("pattern")?.unwrap_or_else(Pattern::everything),
        query: query(&app, &mut params)?,
    };
    let (cursor, limit) = params.page()?;
    params.finish(&["label", "pattern", "subject", "attr", "at", "cursor", "limit"])?;
    let (fresh, etag, answer) = Arc::clone(&app)
        .work
        .heavy(move |stop| {
            let fresh = FreshHeaders::new(app.freshness.now());
            let page = page(&app, &reader.scope(), &wanted, cursor.as_deref(), limit, stop)?;
            for answer in page.answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()) {
                app.usage.note(answer, reader.who());
            }
            let etag = etag(&page);
            let reference = |name| format!("{name}@{}", wanted.label);
            let answers = page.answers.into_iter().map(|(name, answer)| (reference(name), answer));
            Ok::<_, Failure>((fresh, etag, Pieces::of(page.position, answers, page.next.as_deref(), id)))
        })
        .await??;
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|header| matches(header, etag.as_bytes()));
    let mut response = Response::new(if known { Body::empty() } else { Body::new(answer) });
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    }
    response.headers_mut().insert(header::ETAG, text(format!("W/{etag}")));
    response.headers_mut().insert(header::CACHE_CONTROL, REVALIDATE);
    fresh.add(response.headers_mut());
    Ok(response)
}

/// Reads one page.
fn page(
    app: &Shared,
    scope: &ReadScope,
    wanted: &Matching,
    cursor: Option<&str>,
    limit: usize,
    stop: &Cancellation,
) -> Result<MatchingPage, ResolveError> {
    if !app.resolver.is_ready() {
        return Err(ResolveError::NotReady);
    }
    app.catalogue.query(scope, |view| view.matching(wanted, cursor, limit, stop))
}

/// The entity tag of a page: of its answers and of where the next page begins. The position of a last page is not part of
/// it, so that it changes only when an answer does; that of others is, because it is in their cursor.
fn etag(page: &MatchingPage) -> String {
    let mut hasher = blake3::Hasher::new();
    for (name, answer) in &page.answers {
        let tag = answer.as_ref().map_or_else(|_| Bytes::from_static(b"-"), |answer| answer.etag());
        for part in [name.as_str().as_bytes(), &tag] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
        }
    }
    hasher.update(page.next.as_deref().unwrap_or_default().as_bytes());
    let digits: String = hasher.finalize().to_hex().chars().take(32).collect();
    format!("\"{digits}\"")
}

/// A body of owned text and of shared bytes.
#[derive(Default)]
struct Pieces {
    ready: VecDeque<Bytes>,
    /// What was written since the last shared bytes.
    written: Vec<u8>,
}

impl Pieces {
    /// The answers of one state.
    fn of(position: Position, answers: impl Iterator<Item = Item>, next: Option<&str>, id: RequestId) -> Self {
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let mut pieces = Self::default();
        pieces.write(&format!("{{\"position\":\"{position}\",\"answers\":["));
        for (index, (reference, answer)) in answers.enumerate() {
            pieces.write(if index == 0 { "{\"reference\":" } else { ",{\"reference\":" });
            pieces.write(&json(&reference));
            match answer {
                Ok(answer) => {
                    pieces.write(",\"resolved\":");
                    pieces.share(answer.body());
                }
                Err(error) => {
                    pieces.write(",\"problem\":");
                    let problem = Failure::from(error).problem(id);
                    pieces.write(&serde_json::to_string(&problem).unwrap_or_else(|_| "null".to_owned()));
                }
            }
            pieces.write("}");
        }
        pieces.write("]");
        if let Some(next) = next {
            pieces.write(",\"next\":");
            pieces.write(&json(next));
        }
        pieces.write("}");
        pieces
    }

    fn write(&mut self, text: &str) {
        self.written.extend_from_slice(text.as_bytes());
    }

    fn share(&mut self, bytes: Bytes) {
        if bytes.len() < SHARED_BYTES_MIN {
            return self.written.extend_from_slice(&bytes);
        }
        self.ready.push_back(std::mem::take(&mut self.written).into());
        self.ready.push_back(bytes);
    }
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = match self.ready.pop_front() {
            Some(next) => next,
            None if self.written.is_empty() => return Poll::Ready(None),
            None => std::mem::take(&mut self.written).into(),
        };
        Poll::Ready(Some(Ok(Frame::data(next))))
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.written.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let bytes = self.ready.iter().map(Bytes::len).fold(self.written.len(), usize::saturating_add);
        SizeHint::with_exact(u64::try_from(bytes).unwrap_or(u64::MAX))
    }
}

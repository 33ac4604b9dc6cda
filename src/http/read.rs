//! The calls of applications: resolving and rendering.
//!
//! Answers from memory are sent before the router (see `service`); this module has the format of answers, and the path
//! for requests that need the query or the database.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body::{Frame, SizeHint};
use http_body_util::Full;

use super::auth::Reader;
use super::caching::REVALIDATE;
use super::error::Failure;
use super::etag::matches;
use super::extract::{DeferredBody, NoParams, Params, Segments};
use super::freshness_headers::{FreshHeaders, VERSION, text};
use super::openapi::params::Attributes;
use super::request::RequestError;
use super::request_id::RequestId;
use super::state::{App, Shared};
use crate::api::read::{BatchAnswer, BatchRequest, RenderAnswer, RenderRequest, Resolved};
use crate::model::reference::Reference;
use crate::model::time::Timestamp;
use crate::resolve::{Answer, Query};

/// The parameters of `GET /v1/resolve/…`.
const PARAMETERS: &[&str] = &["subject", "attr", "at"];
/// Tolerated clock difference between a client and this node, in milliseconds: 5 minutes.
const CLOCKS_DIFFER_MS: i64 = 5 * 60 * 1_000;
/// A clock before this was never set: 2020-01-01.
const CLOCK_IS_SET_MS: i64 = 1_577_836_800_000;
/// Number of headers of an answer, so that the map is allocated once.
const HEADERS: usize = 9;
/// Answers of at least this size, in bytes, are shared by a batch instead of copied.
const SHARED_BYTES_MIN: usize = 4 * 1024;
/// Browsers must not guess content types.
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Writes an answer: its bytes and headers, or 304 if the client has it.
pub(super) fn respond(answer: &Answer, fresh: &FreshHeaders, request: &HeaderMap) -> Response<Full<Bytes>> {
    let etag = answer.etag();
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|header| matches(header, &etag));
    let mut response = Response::new(Full::new(if known { Bytes::new() } else { answer.body() }));
    if known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    if !known {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    headers.insert(VERSION.clone(), version(answer, &etag));
    headers.insert(header::ETAG, text(etag));
    headers.insert(header::CACHE_CONTROL, REVALIDATE);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    fresh.add(headers);
    response
}

/// The version's number, from the cached entity tag (`"7-3f9a…"`).
fn version(answer: &Answer, etag: &Bytes) -> HeaderValue {
    let end = etag.iter().position(|byte| *byte == b'-').filter(|end| *end > 1);
    end.map_or_else(|| answer.version.into(), |end| text(etag.slice(1..end)))
}

/// Rejects a future time, because it is not known what will be served then. A clock that was never set cannot tell.
fn check_past(app: &Shared, at: Option<Timestamp>) -> Result<(), String> {
    let now_ms = app.clock.now_ms();
    let future = at.filter(|at| now_ms >= CLOCK_IS_SET_MS && at.ms().saturating_sub(now_ms) > CLOCKS_DIFFER_MS);
    future.map_or(Ok(()), |at| Err(format!("{at} is in the future; leave it out for what is served now")))
}

fn in_body(reason: String) -> RequestError {
    RequestError::Field { path: "at".to_owned(), reason }
}

/// Resolves a reference to one version and its content.
#[utoipa::path(
    get, path = "/v1/resolve/{reference}", operation_id = "resolve", tag = "resolve", security((), ("token" = [])),
    params(
        ("reference" = Reference, Path, description = "`name@label`, `name@7` or `name@b3:…`; a bare name means \
            `@production`. Slashes can be written as they are.", example = "support/agent@production"),
        ("subject" = Option<String>, Query, description = "A user or conversation that should always get the same \
            arm of a split.", max_length = 1024, example = "user-17"),
        Attributes,
        ("at" = Option<Timestamp>, Query, description = "The moment to read, in the past; now by default.", example = "2026-03-20T15:00:00Z"),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the client's copy."),
    ),
    responses(
        (status = 200, body = Resolved),
        (status = 304, description = "The client's copy is current."),
    ),
)]
pub(super) async fn resolve(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = Query { subject: params.text("subject"), attributes: params.attributes()?, at: params.get("at")? };
    params.finish(PARAMETERS)?;
    let future = |reason| RequestError::Parameter { name: "at", reason };
    check_past(&app, query.at).map_err(future)?;
    reader.check_reference(segments.text("reference"))?;
    let started = Instant::now();
    let answer = app.resolver.resolve(segments.text("reference"), &query);
    app.metrics.resolve_seconds.observe(started.elapsed().as_secs_f64());
    let answer = answer.inspect_err(|_| {
        app.metrics.resolve_errors.inc();
    })?;
    app.metrics.resolve_composed.inc();
    app.usage.note(&answer, reader.who());
    Ok(respond(&answer, &FreshHeaders::new(app.freshness.now()), &headers).map(Body::new))
}

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
            let mut pieces = Pieces::default();
            pieces.write(&format!("{{\"position\":\"{position}\",\"answers\":["));
            for (index, (reference, answer)) in answers.into_iter().enumerate() {
                pieces.write(if index == 0 { "{\"reference\":" } else { ",{\"reference\":" });
                pieces.write(&serde_json::Value::from(reference).to_string());
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
            pieces.write("]}");
            Ok::<_, Failure>((fresh, pieces))
        })
        .await??;
    let mut response = Response::new(Body::new(answer));
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    fresh.add(response.headers_mut());
    Ok(response)
}

/// A body of owned text and of shared bytes.
#[derive(Default)]
struct Pieces {
    ready: VecDeque<Bytes>,
    /// What was written since the last shared bytes.
    written: Vec<u8>,
}

impl Pieces {
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

/// Resolves a reference and renders it with variables.
#[utoipa::path(
    post, path = "/v1/render/{reference}", operation_id = "render", tag = "resolve", security((), ("token" = [])),
    params(("reference" = Reference, Path, description = "As for resolving.", example = "support/agent@production")),
    request_body(content = RenderRequest, example = json!({"variables": {"customer": "Ada"}, "subject": "user-17"})),
    responses((status = 200, body = RenderAnswer)),
)]
pub(super) async fn render(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
    body: DeferredBody<RenderRequest>,
) -> Result<Response, Failure> {
    let reference = segments.text("reference").to_owned();
    reader.check_reference(&reference)?;
    let (fresh, answer) = Arc::clone(&app)
        .work
        .heavy(move |stop| {
            let request = body.read()?;
            let fresh = FreshHeaders::new(app.freshness.now());
            check_past(&app, request.at).map_err(in_body)?;
            let query =
                Query { subject: request.subject.clone(), attributes: request.attributes.clone(), at: request.at };
            let answer = app.resolver.resolve(&reference, &query)?;
            app.usage.note(&answer, reader.who());
            Ok::<_, Failure>((fresh, answer.render(&request, stop)?))
        })
        .await??;
    let mut response = axum::Json(answer).into_response();
    fresh.add(response.headers_mut());
    Ok(response)
}

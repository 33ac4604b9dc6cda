//! The calls of applications about one prompt: resolving and rendering. Those about many are in `batches`.
//!
//! Answers from memory are sent before the router (see `service`); this module has the format of answers, and the path
//! for requests that need the query or the database.

use std::sync::Arc;
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::Full;

use super::auth::Reader;
use super::caching::REVALIDATE;
use super::error::Failure;
use super::etag::matches;
use super::extract::{DeferredBody, NoParams, Params, Segments};
use super::freshness_headers::{FreshHeaders, VERSION, text};
use super::openapi::params::Attributes;
use super::request::RequestError;
use super::state::{App, Shared};
use crate::api::read::{RenderAnswer, RenderRequest, Resolved};
use crate::model::reference::Reference;
use crate::model::time::Timestamp;
use crate::resolve::{Answer, Query, ResolveError, SharedAnswer};

/// The parameters of `GET /v1/resolve/…`.
const PARAMETERS: &[&str] = &["subject", "attr", "at"];
/// Tolerated clock difference between a client and this node, in milliseconds: 5 minutes.
const CLOCKS_DIFFER_MS: i64 = 5 * 60 * 1_000;
/// A clock before this was never set: 2020-01-01.
const CLOCK_IS_SET_MS: i64 = 1_577_836_800_000;
/// Number of headers of an answer, so that the map is allocated once.
const HEADERS: usize = 9;
/// Browsers must not guess content types.
pub(super) const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Writes an answer: its bytes and headers, or 304 if the client has it.
pub(super) fn respond(answer: &Answer, fresh: &FreshHeaders, request: &HeaderMap) -> Response<Full<Bytes>> {
    let is_known = request.get(header::IF_NONE_MATCH).is_some_and(|header| matches(header, &answer.etag()));
    let mut response = without_freshness(answer, is_known);
    fresh.add(response.headers_mut());
    response
}

/// An answer, but for the headers about this node; 304 if the client knows it.
pub(super) fn without_freshness(answer: &Answer, is_known: bool) -> Response<Full<Bytes>> {
    let etag = answer.etag();
    let mut response = Response::new(Full::new(if is_known { Bytes::new() } else { answer.body() }));
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.reserve(HEADERS);
    if !is_known {
        headers.insert(header::CONTENT_TYPE, JSON);
    }
    headers.insert(VERSION.clone(), version(answer, &etag));
    headers.insert(header::ETAG, text(etag));
    headers.insert(header::CACHE_CONTROL, REVALIDATE);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    response
}

/// The version's number, from the cached entity tag (`"7-3f9a…"`).
fn version(answer: &Answer, etag: &Bytes) -> HeaderValue {
    let end = etag.iter().position(|byte| *byte == b'-').filter(|end| *end > 1);
    end.map_or_else(|| answer.version.into(), |end| text(etag.slice(1..end)))
}

/// Rejects a future time, because it is not known what will be served then. A clock that was never set cannot tell.
pub(super) fn check_past(app: &Shared, at: Option<Timestamp>) -> Result<(), String> {
    let now_ms = app.clock.now_ms();
    let future = at.filter(|at| now_ms >= CLOCK_IS_SET_MS && at.ms().saturating_sub(now_ms) > CLOCKS_DIFFER_MS);
    future.map_or(Ok(()), |at| Err(format!("{at} is in the future; leave it out for what is served now")))
}

/// Takes the caller and the time of a request.
pub(super) fn query(app: &Shared, params: &mut Params) -> Result<Query, Failure> {
    let query = Query { subject: params.text("subject"), attributes: params.attributes()?, at: params.get("at")? };
    check_past(app, query.at).map_err(|reason| RequestError::Parameter { name: "at", reason })?;
    Ok(query)
}

pub(super) fn in_body(reason: String) -> RequestError {
    RequestError::Field { path: "at".to_owned(), reason }
}

/// Answers from the database, or by subject.
pub(super) fn compose(app: &Shared, reference: &str, query: &Query) -> Result<SharedAnswer, ResolveError> {
    let started = Instant::now();
    let answer = app.resolver.resolve(reference, query)?;
    app.metrics.resolve_seconds.observe(started.elapsed().as_secs_f64());
    app.metrics.resolve_composed.inc();
    Ok(answer)
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
    let query = query(&app, &mut params)?;
    params.finish(PARAMETERS)?;
    reader.check_reference(segments.text("reference"))?;
    let answer = compose(&app, segments.text("reference"), &query).inspect_err(|_| {
        app.metrics.resolve_errors.inc();
    })?;
    app.usage.note(&answer, reader.who());
    Ok(respond(&answer, &FreshHeaders::new(app.freshness.now()), &headers).map(Body::new))
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

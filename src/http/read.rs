//! What applications call: resolving and rendering.
//!
//! An answer from memory goes out ahead of the router (see `service`); here is how every answer is said, and the
//! way of those that need a look at the query or the database.

use std::time::Instant;

use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::Full;

use super::auth::{Reader, name_of};
use super::error::Failure;
use super::extract::{Json, NoParams, Params, Segments, blocking};
use super::fresh::{FreshHeaders, VERSION, text};
use super::service::NOSNIFF;
use super::state::{App, RequestId};
use crate::api::read::{BatchAnswer, BatchItem, BatchRequest, RenderAnswer, RenderRequest, Resolved};
use crate::resolve::{Answer, Query};

/// What `GET /v1/resolve/…` takes.
const PARAMETERS: &[&str] = &["subject", "attr.*", "at"];
/// Headers of an answer, for the map to be made in one piece.
const HEADERS: usize = 8;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Says an answer: its bytes, its headers, or that the client has it already.
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
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    fresh.add(headers);
    response
}

/// The version's number, cut out of the entity tag (`"7-3f9a…"`) where it stands ready.
fn version(answer: &Answer, etag: &Bytes) -> HeaderValue {
    let end = etag.iter().position(|byte| *byte == b'-').filter(|end| *end > 1);
    end.map_or_else(|| answer.version.into(), |end| text(etag.slice(1..end)))
}

/// Whether a list of entity tags has this one; weak ones are good enough for not sending bytes.
pub(super) fn matches(header: &HeaderValue, etag: &[u8]) -> bool {
    let tags = header.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    tags.map(|tag| tag.strip_prefix(b"W/").unwrap_or(tag)).any(|tag| tag == etag || tag == b"*")
}

/// Resolves a reference to exactly one version and what it says.
#[utoipa::path(
    get, path = "/v1/resolve/{reference}", tag = "application",
    params(
        ("reference" = String, Path, description = "`name@label`, `name@7`, `name@b3:…`; a bare name means `@production`. Slashes may stand as they are.", example = "support/agent@production"),
        ("subject" = Option<String>, Query, description = "A user, a conversation: whoever should always get the same arm of a split."),
        ("attr.K" = Option<String>, Query, description = "An attribute `K` that rules look at, for example `attr.locale=de-DE`."),
        ("at" = Option<String>, Query, description = "What was served then: RFC 3339, for example `2026-03-20T15:00:00Z`."),
        ("If-None-Match" = Option<String>, Header, description = "The ETag of the answer that the client has."),
    ),
    responses(
        (status = 200, body = Resolved, headers(
            ("ETag" = String, description = "Changes whenever the answer does."),
            ("Bookholder-Version" = String, description = "The version's number."),
            ("Bookholder-Position" = String, description = "What this node holds, as `epoch.seq`."),
            ("Bookholder-Age" = String, description = "Seconds since this node's last verified contact with its upstream."),
            ("Bookholder-Stale" = String, description = "Whether it is less fresh than it should be."),
        )),
        (status = 304, description = "The client has this answer."),
    ),
)]
pub(super) async fn resolve(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    mut params: Params,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let query = Query { subject: params.text("subject"), attributes: params.all("attr."), at: params.get("at")? };
    params.finish(PARAMETERS)?;
    reader.check_reference(segments.text("reference"))?;
    let started = Instant::now();
    let answer = app.resolver.resolve(segments.text("reference"), &query);
    app.metrics.resolve_seconds.observe(started.elapsed().as_secs_f64());
    let answer = answer.inspect_err(|_| {
        app.metrics.resolve_errors.inc();
    })?;
    app.metrics.resolve_composed.inc();
    app.usage.note(&answer, reader.who());
    Ok(respond(&answer, &FreshHeaders::new(app.freshness.load()), &headers).map(Body::new))
}

/// Resolves many references from one consistent state.
#[utoipa::path(
    post, path = "/v1/resolve", tag = "application",
    request_body(content = BatchRequest, example = json!({"references": ["support/agent", "support/tone@3"], "subject": "user-17"})),
    responses((status = 200, body = BatchAnswer)),
)]
pub(super) async fn resolve_batch(
    State(app): State<App>,
    reader: Reader,
    _: NoParams,
    Extension(id): Extension<RequestId>,
    Json(request): Json<BatchRequest>,
) -> Result<Response, Failure> {
    let fresh = FreshHeaders::new(app.freshness.load());
    let answer = blocking(move || {
        let query = Query { subject: request.subject, attributes: request.attributes, at: request.at };
        if let Some(closed) = request.references.iter().find(|reference| !reader.reads(name_of(reference))) {
            reader.check_reference(closed)?;
        }
        let (position, answers) = app.resolver.batch(&request.references, &query)?;
        for answer in answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()) {
            app.usage.note(answer, reader.who());
        }
        let item = |(reference, answer): (&str, Result<crate::resolve::answer::SharedAnswer, _>)| {
            let (resolved, problem) = match answer.and_then(|answer| answer.to_resolved()) {
                Ok(resolved) => (Some(resolved), None),
                Err(error) => (None, Some(Failure::from(error).problem(id))),
            };
            BatchItem { reference: reference.to_owned(), resolved, problem }
        };
        Ok::<_, Failure>(BatchAnswer { position, answers: answers.into_iter().map(item).collect() })
    })
    .await??;
    let mut response = axum::Json(answer).into_response();
    fresh.add(response.headers_mut());
    Ok(response)
}

/// Resolves a reference and fills in its variables.
#[utoipa::path(
    post, path = "/v1/render/{reference}", tag = "application",
    params(("reference" = String, Path, description = "As for resolving.", example = "support/agent@production")),
    request_body(content = RenderRequest, example = json!({"variables": {"customer": "Ada"}, "subject": "user-17"})),
    responses((status = 200, body = RenderAnswer)),
)]
pub(super) async fn render(
    State(app): State<App>,
    reader: Reader,
    segments: Segments,
    _: NoParams,
    Json(request): Json<RenderRequest>,
) -> Result<Response, Failure> {
    let fresh = FreshHeaders::new(app.freshness.load());
    let reference = segments.text("reference").to_owned();
    reader.check_reference(&reference)?;
    let answer = blocking(move || {
        let query = Query { subject: request.subject.clone(), attributes: request.attributes.clone(), at: request.at };
        let answer = app.resolver.resolve(&reference, &query)?;
        app.usage.note(&answer, reader.who());
        answer.render(&request)
    })
    .await??;
    let mut response = axum::Json(answer).into_response();
    fresh.add(response.headers_mut());
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_match_in_lists_and_weakly() {
        let check = |header: &'static str, expected| {
            assert_eq!(matches(&HeaderValue::from_static(header), b"\"7-ab\""), expected, "{header}");
        };
        check("\"7-ab\"", true);
        check("W/\"7-ab\"", true);
        check("\"6-cd\", \"7-ab\"", true);
        check("*", true);
        check("\"7-abc\"", false);
        check("7-ab", false);
        check("", false);
    }
}

//! Reports of applications: responses and scores in our own JSON. `otlp` takes those of OpenTelemetry.

use axum::Json as Said;
use axum::extract::State;
use axum::http::HeaderMap;

use super::auth::Reporter;
use super::error::Failure;
use super::extract::{Json, NoParams};
use super::state::{App, Shared};
use crate::api::telemetry::{ReportAnswer, ReportResponsesRequest, ReportScoresRequest};
use crate::ingest::{IngestError, Recorder, RequestKey};

/// What tells a request that is sent again from another.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Longest such text, in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

/// What records telemetry on this node.
pub(super) fn recorder(app: &Shared) -> Result<&Recorder, Failure> {
    app.recorder.as_ref().ok_or_else(|| IngestError::Off.into())
}

/// Records responses of models, each once: by its `id` or span, or else by `Idempotency-Key`, its place and content.
#[utoipa::path(
    post, path = "/v1/responses", operation_id = "report_responses", tag = "telemetry", security((), ("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "A unique text for this request; the same \
        request with the same key is recorded once, and another one refused. 1 to 255 visible characters.", max_length = 255)),
    request_body(content = ReportResponsesRequest, example = json!({"responses": [{"id": "chatcmpl-9x", "stamp": "support/agent@7+3f9a1c2b7d41", "model": "gpt-5-mini", "input_tokens": 812, "output_tokens": 95, "latency_ms": 1240.5}]})),
    responses((status = 200, body = ReportAnswer)),
)]
pub(super) async fn responses(
    State(app): State<App>,
    reporter: Reporter,
    _: NoParams,
    headers: HeaderMap,
    Json(request): Json<ReportResponsesRequest>,
) -> Result<Said<ReportAnswer>, Failure> {
    let key = idempotency_key(&app, &reporter, &headers)?;
    Ok(Said(recorder(&app)?.record_responses(request.responses, key.as_ref()).await?))
}

/// Records scores of responses, each once: by its `id`, or else by its content and, if there is one, `Idempotency-Key`.
#[utoipa::path(
    post, path = "/v1/scores", operation_id = "report_scores", tag = "telemetry", security((), ("token" = [])),
    params(("Idempotency-Key" = Option<String>, Header, description = "A unique text for this request; the same \
        request with the same key is recorded once, and another one refused. 1 to 255 visible characters.", max_length = 255)),
    request_body(content = ReportScoresRequest, example = json!({"scores": [{"response": "chatcmpl-9x", "name": "helpfulness", "value": 0.8, "evaluator": "gpt-5-judge"}]})),
    responses((status = 200, body = ReportAnswer)),
)]
pub(super) async fn scores(
    State(app): State<App>,
    reporter: Reporter,
    _: NoParams,
    headers: HeaderMap,
    Json(request): Json<ReportScoresRequest>,
) -> Result<Said<ReportAnswer>, Failure> {
    let key = idempotency_key(&app, &reporter, &headers)?;
    Ok(Said(recorder(&app)?.record_scores(request.scores, &reporter.scope(), key.as_ref()).await?))
}

/// The idempotency key of a request, apart from those of others. Replicas of several places have a read token each, so
/// its hash tells its callers apart, not its name.
fn idempotency_key(app: &Shared, reporter: &Reporter, headers: &HeaderMap) -> Result<Option<RequestKey>, Failure> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let visible = key.to_str().ok().filter(|key| !key.is_empty() && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX);
    let reason = || "use 1 to 255 visible characters";
    let key = visible.ok_or_else(|| IngestError::Field { field: "Idempotency-Key".to_owned(), reason: reason() })?;
    let caller = reporter.token().map(|token| match &app.read_token {
        Some((hash, _)) => blake3::Hash::from_bytes(*hash.as_bytes()).to_hex().to_string(),
        None => token.to_owned(),
    });
    Ok(Some(RequestKey { caller, key: key.to_owned() }))
}

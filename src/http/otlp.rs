//! OTLP/HTTP: what OpenTelemetry sends, as protobuf or JSON, plain or compressed.
//!
//! Every answer is in the encoding of its request, also that of a failure: a `google.rpc.Status`. Paths below `/otlp` are
//! the same as those without it. What a body says is read by `telemetry`; here is only how it arrives.

use std::io::{Error, ErrorKind, Write};
use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flate2::write::MultiGzDecoder;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::auth::Reporter;
use super::error::Failure;
use super::exporter::{COMPRESSED_BYTES_MAX, encoding_of, media};
use super::extract::{NoParams, blocking, excerpt, raw_body_in_time};
use super::request::RequestError;
use super::state::App;
use super::telemetry::recorder;
use crate::api::telemetry::{OTLP_BODY_BYTES_MAX, OtlpAnswer};
use crate::metrics::Reason;
use crate::telemetry::otlp::{Encoding, Rejected, Signal};

/// Size above which a body is read on a blocking thread, in bytes.
const INLINE_BYTES_MAX: usize = 64 * 1024;
const ACCEPTED: &str = "application/x-protobuf and application/json";

/// Records spans of OpenTelemetry: model calls with their prompt, model, tokens, cost and times, and scores on spans.
///
/// The same path below `/otlp` does the same. Other spans are accepted and only used to find the prompt of a call in
/// them. A span is recorded once, however often it is sent.
#[utoipa::path(
    post, path = "/v1/traces", operation_id = "export_traces", tag = "telemetry", security((), ("token" = [])),
    request_body(content((Vec<u8> = "application/x-protobuf"), (Object = "application/json")), description = "An ExportTraceServiceRequest of OTLP 1.x; gzip is accepted. At most 64 MiB after decompression."),
    responses((status = 200, description = "The spans were recorded; `partialSuccess` says which were not.", content((Vec<u8> = "application/x-protobuf"), (OtlpAnswer = "application/json")))),
)]
pub(super) async fn traces(
    state: State<App>,
    reporter: Reporter,
    _: NoParams,
    body: OtlpBody,
) -> Result<Response, Failure> {
    receive(state, reporter, Signal::Traces, body).await
}

/// Records log records of OpenTelemetry: evaluations (`gen_ai.evaluation.result`) become scores.
///
/// The same path below `/otlp` does the same. Other records are accepted and ignored.
#[utoipa::path(
    post, path = "/v1/logs", operation_id = "export_logs", tag = "telemetry", security((), ("token" = [])),
    request_body(content((Vec<u8> = "application/x-protobuf"), (Object = "application/json")), description = "An ExportLogsServiceRequest of OTLP 1.x; gzip is accepted. At most 64 MiB after decompression."),
    responses((status = 200, description = "The records were read; `partialSuccess` says which were not.", content((Vec<u8> = "application/x-protobuf"), (OtlpAnswer = "application/json")))),
)]
pub(super) async fn logs(
    state: State<App>,
    reporter: Reporter,
    _: NoParams,
    body: OtlpBody,
) -> Result<Response, Failure> {
    receive(state, reporter, Signal::Logs, body).await
}

/// Accepts metrics of OpenTelemetry and ignores them, so that exporters that send all three signals report no failure.
///
/// The same path below `/otlp` does the same.
#[utoipa::path(
    post, path = "/v1/metrics", operation_id = "export_metrics", tag = "telemetry", security((), ("token" = [])),
    request_body(content((Vec<u8> = "application/x-protobuf"), (Object = "application/json")), description = "An ExportMetricsServiceRequest of OTLP 1.x; gzip is accepted. At most 64 MiB after decompression."),
    responses((status = 200, description = "The metrics were read and ignored.", content((Vec<u8> = "application/x-protobuf"), (OtlpAnswer = "application/json")))),
)]
pub(super) async fn metrics(
    state: State<App>,
    reporter: Reporter,
    _: NoParams,
    body: OtlpBody,
) -> Result<Response, Failure> {
    receive(state, reporter, Signal::Metrics, body).await
}

async fn receive(
    State(app): State<App>,
    _reporter: Reporter,
    signal: Signal,
    body: OtlpBody,
) -> Result<Response, Failure> {
    let recorder = recorder(&app)?.clone();
    let encoding = body.encoding;
    let inline = body.bytes.len() <= INLINE_BYTES_MAX && !body.is_gzip;
    let reader = recorder.clone();
    let read = move || -> Result<_, Failure> {
        let (bytes, _share) = body.inflated()?;
        Ok(reader.read_otlp(signal, encoding, &bytes)?)
    };
    let received = if inline { read()? } else { blocking(read).await?? };
    let rejected = received.rejected().to_vec();
    let answer = recorder.record_otlp(received).await?;
    for Rejected { reason, count } in rejected {
        app.metrics.telemetry_rejected.get_or_create(&Reason { reason: reason.name() }).inc_by(count);
    }
    Ok((StatusCode::OK, [(header::CONTENT_TYPE, media(encoding))], answer).into_response())
}

/// A body as it arrived.
pub(super) struct OtlpBody {
    encoding: Encoding,
    is_gzip: bool,
    bytes: Vec<u8>,
    share: OwnedSemaphorePermit,
    budget: Arc<Semaphore>,
}

impl FromRequest<App> for OtlpBody {
    type Rejection = Failure;

    async fn from_request(request: Request, app: &App) -> Result<Self, Failure> {
        let (parts, body) = request.into_parts();
        let encoding = encoding(&parts.headers)?;
        let is_gzip = is_gzip(&parts.headers)?;
        let max = if is_gzip { COMPRESSED_BYTES_MAX } else { OTLP_BODY_BYTES_MAX };
        let budget = Arc::clone(&app.telemetry_bodies);
        let (bytes, share) = raw_body_in_time(&budget, &parts.headers, body, max).await?;
        Ok(Self { encoding, is_gzip, bytes, share, budget })
    }
}

impl OtlpBody {
    /// The body as it was before compression, within the limit and the budget.
    fn inflated(self) -> Result<(Vec<u8>, OwnedSemaphorePermit), Failure> {
        if !self.is_gzip {
            return Ok((self.bytes, self.share));
        }
        let mut decoder = MultiGzDecoder::new(Inflated { bytes: Vec::new(), share: self.share, budget: self.budget });
        let done = decoder.write_all(&self.bytes).and_then(|()| decoder.try_finish());
        done.map_err(|error| match error.kind() {
            ErrorKind::FileTooLarge => RequestError::BodyTooLarge { max: OTLP_BODY_BYTES_MAX },
            ErrorKind::ResourceBusy => RequestError::Busy { what: "too many bodies", retry_after_s: 1 },
            _ => RequestError::Gzip { reason: error.to_string() },
        })?;
        let Inflated { bytes, share, .. } = decoder.finish().map_err(|_| RequestError::BodyBroken)?;
        Ok((bytes, share))
    }
}

/// Where a body is inflated: within a limit, and the budget of all bodies.
struct Inflated {
    bytes: Vec<u8>,
    share: OwnedSemaphorePermit,
    budget: Arc<Semaphore>,
}

impl Write for Inflated {
    fn write(&mut self, part: &[u8]) -> Result<usize, Error> {
        if self.bytes.len().saturating_add(part.len()) > OTLP_BODY_BYTES_MAX {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        let more = Arc::clone(&self.budget).try_acquire_many_owned(length).map_err(|_| ErrorKind::ResourceBusy)?;
        self.share.merge(more);
        self.bytes.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

fn encoding(headers: &HeaderMap) -> Result<Encoding, Failure> {
    encoding_of(headers).ok_or_else(|| {
        let found = headers.get(header::CONTENT_TYPE).map(|value| value.to_str().unwrap_or("unreadable"));
        let found = found.map_or_else(|| "missing".to_owned(), |found| format!("`{}`", excerpt(found)));
        RequestError::ContentType { found, accepted: ACCEPTED }.into()
    })
}

fn is_gzip(headers: &HeaderMap) -> Result<bool, Failure> {
    let mut gzip = false;
    for value in headers.get_all(header::CONTENT_ENCODING) {
        let value = value.to_str().unwrap_or("unreadable");
        if value.eq_ignore_ascii_case("gzip") && !gzip {
            gzip = true;
        } else if !value.eq_ignore_ascii_case("identity") {
            let found = format!("`{}`", excerpt(value));
            return Err(RequestError::ContentEncoding { found, accepted: "uncompressed bodies and gzip" }.into());
        }
    }
    Ok(gzip)
}

//! Exporters of OpenTelemetry: which requests are theirs, and in which form they are answered.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Request, Uri, header};

use crate::api::telemetry::OTLP_BODY_BYTES_MAX;
use crate::telemetry::otlp::{Encoding, RpcCode};

/// Largest body as it arrives, if it is compressed.
pub(super) const COMPRESSED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Memory for all bodies while they are received and read: for one of the largest.
pub(super) const BODIES_BYTES_MAX: usize = OTLP_BODY_BYTES_MAX + COMPRESSED_BYTES_MAX;
/// What may stand before the paths; the SDKs of Langfuse send below the second.
const PREFIXES: [&str; 2] = ["/otlp", "/api/public/otel"];
const PATHS: [&str; 3] = ["/v1/traces", "/v1/logs", "/v1/metrics"];
const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";

/// Takes away what may stand before the paths.
pub(super) fn take_off_prefix<B>(request: &mut Request<B>) {
    let path = request.uri().path();
    let Some(inside) = PREFIXES.iter().find_map(|prefix| path.strip_prefix(prefix)) else { return };
    if !PATHS.contains(&inside) {
        return;
    }
    let inside = request.uri().query().map_or_else(|| inside.to_owned(), |query| format!("{inside}?{query}"));
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = inside.parse().ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// How an exporter is to be answered: in the encoding of its request; none for other requests.
pub(super) fn answers_in(request: &Request<Body>) -> Option<Encoding> {
    let is_otlp = PATHS.contains(&request.uri().path());
    is_otlp.then(|| encoding_of(request.headers()).unwrap_or(Encoding::Protobuf))
}

/// The encoding of a body; none if it is another.
pub(super) fn encoding_of(headers: &HeaderMap) -> Option<Encoding> {
    let found = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    match found.split(';').next()?.trim().to_ascii_lowercase().as_str() {
        PROTOBUF => Some(Encoding::Protobuf),
        JSON => Some(Encoding::Json),
        _ => None,
    }
}

/// The media type of an encoding.
pub(super) fn media(encoding: Encoding) -> HeaderValue {
    HeaderValue::from_static(match encoding {
        Encoding::Protobuf => PROTOBUF,
        Encoding::Json => JSON,
    })
}

/// The code of `google.rpc.Status` for a status: only 429, 502, 503 and 504 are sent again.
pub(super) const fn rpc_code(status: u16) -> RpcCode {
    match status {
        401 => RpcCode::Unauthenticated,
        403 | 421 => RpcCode::PermissionDenied,
        413 | 429 => RpcCode::ResourceExhausted,
        500.. => RpcCode::Unavailable,
        _ => RpcCode::InvalidArgument,
    }
}

//! What is answered to an exporter, in the encoding that it sent.
//!
//! The fields are written by hand: there are three, and `partialSuccess` has to be absent, not null, when everything was
//! accepted.

use serde_json::{Value, json};

use super::wire::{put_bytes, put_number};
use super::{Batch, Encoding, Signal};
use crate::event::cut;

/// Longest message of an answer, in bytes.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// Codes of `google.rpc.Status` that a receiver answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum RpcCode {
    /// The body cannot be decoded, or the content type is not known: do not send it again.
    InvalidArgument = 3,
    /// The caller may not report.
    PermissionDenied = 7,
    /// Too much at once, or too large.
    ResourceExhausted = 8,
    /// Try again later.
    Unavailable = 14,
    /// The caller is not known.
    Unauthenticated = 16,
}

/// The body of an answer with status 200: `partial_success` is absent if there is nothing to say.
#[must_use]
pub fn answer(signal: Signal, encoding: Encoding, batch: &Batch) -> Vec<u8> {
    accepted(signal, encoding, batch.rejected_items(), batch.message().as_deref())
}

/// The body of an answer with status 200: how many items were rejected, and why; with none rejected and a message it
/// is a warning.
#[must_use]
pub fn accepted(signal: Signal, encoding: Encoding, rejected: u64, message: Option<&str>) -> Vec<u8> {
    let message = cut(message.unwrap_or_default().to_owned(), MESSAGE_BYTES_MAX);
    let nothing = rejected == 0 && message.is_empty();
    match encoding {
        Encoding::Protobuf => {
            let mut body = Vec::new();
            if !nothing {
                let mut partial = Vec::new();
                put_number(&mut partial, 1, rejected);
                if !message.is_empty() {
                    put_bytes(&mut partial, 2, message.as_bytes());
                }
                put_bytes(&mut body, 1, &partial);
            }
            body
        }
        Encoding::Json if nothing => b"{}".to_vec(),
        Encoding::Json => {
            let count = match signal {
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
                Signal::Metrics => "rejectedDataPoints",
            };
            let mut partial = serde_json::Map::new();
            // Numbers of 64 bits are texts in the JSON of protobuf.
            partial.insert(count.to_owned(), Value::String(rejected.to_string()));
            if !message.is_empty() {
                partial.insert("errorMessage".to_owned(), Value::String(message));
            }
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    }
}

/// The body of an answer with another status: a `google.rpc.Status`.
#[must_use]
pub fn refused(encoding: Encoding, code: RpcCode, message: &str) -> Vec<u8> {
    let message = cut(message.to_owned(), MESSAGE_BYTES_MAX);
    match encoding {
        Encoding::Protobuf => {
            let mut body = Vec::new();
            put_number(&mut body, 1, u64::from(code as u8));
            put_bytes(&mut body, 2, message.as_bytes());
            body
        }
        Encoding::Json => json!({ "code": code as u8, "message": message }).to_string().into_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
    use prost::Message;

    use super::*;

    #[test]
    fn full_success_has_no_partial_success_in_either_encoding() {
        for signal in [Signal::Traces, Signal::Logs, Signal::Metrics] {
            assert_eq!(accepted(signal, Encoding::Protobuf, 0, None), b"");
            assert_eq!(accepted(signal, Encoding::Json, 0, None), b"{}");
        }
    }

    #[test]
    fn partial_success_reads_as_the_official_message() {
        let body = accepted(Signal::Traces, Encoding::Protobuf, 300, Some("no ids"));
        let partial = ExportTraceServiceResponse::decode(body.as_slice()).unwrap().partial_success.unwrap();
        assert_eq!((partial.rejected_spans, partial.error_message.as_str()), (300, "no ids"));

        let body = accepted(Signal::Logs, Encoding::Protobuf, 0, Some("a warning"));
        let partial = ExportLogsServiceResponse::decode(body.as_slice()).unwrap().partial_success.unwrap();
        assert_eq!((partial.rejected_log_records, partial.error_message.as_str()), (0, "a warning"));

        let body = accepted(Signal::Logs, Encoding::Json, 2, Some("no target"));
        assert_eq!(
            String::from_utf8(body).unwrap(),
            r#"{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no target"}}"#
        );
    }

    #[test]
    fn error_is_a_google_rpc_status() {
        assert_eq!(refused(Encoding::Protobuf, RpcCode::InvalidArgument, "no"), b"\x08\x03\x12\x02no");
        let json = refused(Encoding::Json, RpcCode::Unavailable, "later");
        assert_eq!(String::from_utf8(json).unwrap(), r#"{"code":14,"message":"later"}"#);
    }
}

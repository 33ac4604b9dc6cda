//! Why a call failed.
//!
//! It does not decide exit codes or hints; `cli::error` does.

use std::error::Error;
use std::io;

use crate::api::problem::{ErrorCode, Problem};
use crate::crypto::tls::{NoCertificates, tls_fault};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ClientError {
    /// The server rejected the call.
    #[error(transparent)]
    Problem(Box<Problem>),
    #[error("invalid server address `{server}`: {reason}")]
    Address { server: String, reason: String },
    #[error(transparent)]
    Certificates(#[from] NoCertificates),
    #[error("cannot reach {server}: {reason}")]
    Unreachable { server: String, reason: String, source: reqwest::Error },
    #[error("cannot trust {server}: {reason}")]
    Untrusted { server: String, reason: String, source: reqwest::Error },
    #[error("{server} does not answer like a bookholder node: {reason}")]
    Answer { server: String, reason: String },
    #[error("cannot write the response: {0}")]
    Write(#[from] io::Error),
}

impl ClientError {
    /// Distinguishes a broken connection from an untrusted certificate.
    pub fn sending(server: &str, source: reqwest::Error) -> Self {
        let source = source.without_url();
        let server = server.to_owned();
        match tls_fault(&source) {
            Some(reason) => Self::Untrusted { server, reason, source },
            None => Self::Unreachable { server, reason: root_cause(&source), source },
        }
    }
}

/// Parses a problem. An unknown code counts as `internal`, with its text.
pub(super) fn problem(bytes: &[u8]) -> Option<Problem> {
    let read = |value: serde_json::Value| serde_json::from_value::<Problem>(value).ok();
    let mut value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    read(value.clone()).or_else(|| {
        let fields = value.as_object_mut()?;
        fields.get("code")?;
        fields.insert("code".to_owned(), serde_json::to_value(ErrorCode::Internal).ok()?);
        read(value)
    })
}

/// The root cause, and whether it was a timeout.
fn root_cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    if speaks_no_http(error) {
        return "it does not answer with HTTP; if the port uses TLS, use https://".to_owned();
    }
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Whether the answer was not HTTP, as from a port that expects TLS.
fn speaks_no_http(error: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = error.source();
    while let Some(cause) = next {
        if cause.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        next = cause.source();
    }
    false
}

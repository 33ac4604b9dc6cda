//! Errors of verbs: a kind, a message, and a hint.
//!
//! It does not print. Invariant: the exit code depends on the kind alone, and every kind has one.

use std::fmt;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use crate::api::problem::{ErrorCode, Problem};
use crate::client::ClientError;

/// Most details shown under one error.
const DETAILS_MAX: usize = 20;

/// The hint for an untrusted certificate.
const OWN_CERTIFICATE: &str = "for a private certificate, pass it or its CA with --ca-file; to create one with openssl: openssl req -x509 -newkey rsa:3072 -nodes -days 365 -subj /CN=HOST -addext subjectAltName=DNS:HOST -keyout key.pem -out cert.pem";

/// Why a verb failed, for the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The request was understood and refused.
    No,
    /// The command line or the local configuration is wrong.
    Usage,
    /// The server cannot be reached or trusted.
    Server,
    /// The reader of the output closed it, which is not an error.
    Closed,
}

impl Kind {
    /// The exit code of this kind.
    pub const fn code(self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Server => 3,
        }
    }
}

/// The error of a verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CliError {
    /// Its exit code.
    pub kind: Kind,
    /// The server's stable code, if the server returned the error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<ErrorCode>,
    /// The error message.
    pub message: String,
    /// The individual errors, if there can be several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The hint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Whether it was already printed, as a log line.
    #[serde(skip)]
    pub logged: bool,
}

impl CliError {
    /// The request was understood and refused.
    #[must_use]
    pub fn no(message: impl Into<String>) -> Self {
        Self::new(Kind::No, message)
    }

    /// The command line or the local configuration is wrong.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The server cannot be reached or trusted.
    #[must_use]
    pub fn server(message: impl Into<String>) -> Self {
        Self::new(Kind::Server, message)
    }

    /// A file that cannot be read or written.
    #[must_use]
    pub fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::usage(format!("cannot {what} {}: {error}", path.display()))
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same with individual errors; long lists are cut.
    #[must_use]
    pub fn details(mut self, mut details: Vec<String>) -> Self {
        let more = details.len().saturating_sub(DETAILS_MAX);
        details.truncate(DETAILS_MAX);
        if more > 0 {
            details.push(format!("… and {more} more"));
        }
        self.details = details;
        self
    }

    /// The exit code.
    pub fn exit_code(&self) -> ExitCode {
        self.kind.code().into()
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, code: None, message: message.into(), details: Vec::new(), hint: None, logged: false }
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Problem(problem) => Self::from(*problem),
            ClientError::Address { .. } => {
                Self::usage(message).hint("such as http://127.0.0.1:7070 or unix:/run/bookholder.sock")
            }
            ClientError::Certificates(_) => Self::usage(message),
            ClientError::Unreachable { .. } => Self::server(message).hint(
                "is a node running there? set its address with --server or BOOKHOLDER_SERVER, or choose a context",
            ),
            ClientError::Untrusted { .. } => Self::server(message).hint(OWN_CERTIFICATE),
            ClientError::Answer { .. } => {
                Self::server(message).hint("check the address, and that client and server versions match")
            }
            ClientError::Write(error) => Self::from(error),
        }
    }
}

/// Parts of requests in the server's hints, and their command line equivalents.
const IN_FLAGS: [(&str, &str); 9] = [
    (
        "sign in, or send the header Authorization: Bearer bh_…",
        "sign in with `bookholder login URL`, set BOOKHOLDER_TOKEN, or pass --token-file FILE",
    ),
    (
        "send the header Authorization: Bearer bh_…",
        "sign in with `bookholder login URL`, set BOOKHOLDER_TOKEN, or pass --token-file FILE",
    ),
    ("POST /v1/tokens", "`bookholder token create`"),
    ("deploy with `allow_major` (--allow-major)", "deploy with --allow-major"),
    ("version in `to`", "version with --to"),
    ("`at`", "--at"),
    ("with break_glass", "with --break-glass"),
    ("GET /v1/status", "`bookholder status`"),
    ("GET /v1/requests/", "`bookholder request show` with the number "),
];

/// The same text in terms of the command line.
fn in_flags(text: &str) -> String {
    IN_FLAGS.iter().fold(text.to_owned(), |text, (request, flags)| text.replace(request, flags))
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        let kind = match problem.code {
            ErrorCode::Unauthorized => Kind::Usage,
            ErrorCode::NotReady | ErrorCode::Busy | ErrorCode::Timeout => Kind::Server,
            _ => Kind::No,
        };
        let hint = problem.hint.or_else(|| match problem.code {
            ErrorCode::Unauthorized => {
                Some("sign in with `bookholder login URL`, set BOOKHOLDER_TOKEN, or pass --token-file FILE".to_owned())
            }
            _ => None,
        });
        let hint = hint.as_deref().map(in_flags);
        let details = problem.errors.iter().map(|error| in_flags(error)).collect();
        Self { code: Some(problem.code), hint, ..Self::new(kind, in_flags(&problem.detail)) }.details(details)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Kind::Closed, "output closed"),
            _ => Self::usage(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: ErrorCode) -> Problem {
        Problem { title: "t".to_owned(), status: 400, code, detail: "d".to_owned(), hint: None, errors: Vec::new() }
    }

    #[test]
    fn exit_codes_distinguish_refusal_usage_and_server_errors() {
        for (error, code) in [
            (CliError::from(problem(ErrorCode::PromptNotFound)), 1),
            (CliError::from(problem(ErrorCode::Forbidden)), 1),
            (CliError::from(problem(ErrorCode::Unauthorized)), 2),
            (CliError::from(problem(ErrorCode::NotReady)), 3),
            (CliError::from(ClientError::from(crate::crypto::tls::NoCertificates)), 2),
            (CliError::from(ClientError::Answer { server: "s".to_owned(), reason: "r".to_owned() }), 3),
            (CliError::from(io::Error::from(io::ErrorKind::BrokenPipe)), 0),
            (CliError::from(io::Error::from(io::ErrorKind::NotFound)), 2),
        ] {
            assert_eq!(error.kind.code(), code, "{error:?}");
        }
    }

    #[test]
    fn errors_of_the_server_speak_of_flags() {
        for (code, hint, shown) in [
            (ErrorCode::Unauthorized, "send the header Authorization: Bearer bh_…", "BOOKHOLDER_TOKEN"),
            (ErrorCode::Unauthorized, "sign in, or send the header Authorization: Bearer bh_…", "BOOKHOLDER_TOKEN"),
            (ErrorCode::Unauthorized, "an admin can create another with POST /v1/tokens", "bookholder token create"),
            (ErrorCode::NothingToRollBack, "give a version in `to`", "with --to"),
            (ErrorCode::PromptRemoved, "use `at` to read what was served before", "use --at to"),
            (ErrorCode::BreaksCallers, "deploy with `allow_major` (--allow-major) when", "with --allow-major when"),
            (
                ErrorCode::RequestMoved,
                "see GET /v1/requests/7 for what it proposes now",
                "request show` with the number 7",
            ),
            (ErrorCode::NotReady, "see GET /v1/status for the cause", "see `bookholder status` for"),
        ] {
            let problem = Problem { hint: Some(hint.to_owned()), ..problem(code) };
            let found = CliError::from(problem).hint.expect("a hint");
            assert!(found.contains(shown) && !found.contains("/v1/") && !found.contains("header"), "{found}");
        }
    }

    #[test]
    fn error_shows_the_servers_hint_and_truncates_long_lists() {
        let mut problem = problem(ErrorCode::Unauthorized);
        assert!(CliError::from(problem.clone()).hint.expect("our hint").contains("BOOKHOLDER_TOKEN"));
        problem.hint = Some("ask Ada".to_owned());
        problem.errors = (0..25).map(|n| n.to_string()).collect();
        let error = CliError::from(problem);
        assert_eq!(error.hint.as_deref(), Some("ask Ada"));
        assert_eq!(error.details.last().map(String::as_str), Some("… and 5 more"));
    }
}

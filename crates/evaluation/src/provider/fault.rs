//! Failures of one try, and their texts: short, in one line, without the key.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use super::limits::Outcome;
use super::settings::Key;
use super::{CallError, retry};
use crate::rules::governance::webhook_url::UrlError;

/// How much of an unexpected answer an error shows, in characters.
const EXCERPT_CHARACTERS: usize = 200;

/// Why one try failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// It may be gone at the next try.
    Temporary {
        /// Why, for people.
        reason: String,
        /// How long the provider asks to wait.
        pause: Option<Duration>,
        /// Whether it is asked too much.
        throttled: bool,
        /// Whether the try may be charged: it was sent, and not refused.
        may_cost: bool,
    },
    /// The next try would end the same, or would be paid for twice.
    Lasting(CallError),
}

impl Fault {
    pub(super) fn lasting(reason: String) -> Self {
        Self::Lasting(CallError::Failed(reason))
    }

    pub(super) const fn outcome(&self) -> Outcome {
        match self {
            Self::Temporary { throttled: true, .. } => Outcome::Throttled,
            _ => Outcome::Failed,
        }
    }
}

/// Writes the texts of errors of one provider.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// Who answers, as errors name it.
    pub(super) name: String,
    pub(super) key: Option<Key>,
}

impl Texts {
    /// An error with a reason that has nothing of what the provider sent.
    pub(super) fn fails(&self, reason: &str) -> String {
        format!("{}: {reason}", self.name)
    }

    /// The beginning of a text that the provider sent, without the key.
    pub(super) fn excerpt(&self, text: &str) -> String {
        let text = self.key.as_ref().map_or_else(|| text.to_owned(), |key| key.removed_from(text));
        excerpt(&text)
    }

    /// The failure that a status and the body with it mean.
    pub(super) fn refused(&self, status: u16, pause: Option<Duration>, body: &str) -> Fault {
        let detail = if (300..400).contains(&status) { String::new() } else { self.detail(body) };
        let hint = match status {
            300..=399 => "; redirects are not followed, so set base_url to the address that it points to",
            401 | 403 if self.key.is_none() => "; name the environment variable with the key in key_env",
            _ => "",
        };
        let reason = format!("{} answered {}{detail}{hint}", self.name, named(status));
        if retry::is_temporary(status, body) {
            return Fault::Temporary { reason, pause, throttled: matches!(status, 429 | 529), may_cost: false };
        }
        Fault::Lasting(CallError::Refused { status, reason })
    }

    /// The failure that an `error` object within a stream or an answer of status 200 means.
    pub(super) fn error_object(&self, error: &serde_json::Value, is_empty: bool) -> Fault {
        let kind = error.get("type").and_then(serde_json::Value::as_str).unwrap_or_default();
        let code = error.get("code").and_then(serde_json::Value::as_u64).and_then(|code| u16::try_from(code).ok());
        let status = match kind {
            "overloaded_error" => 529,
            "rate_limit_error" => 429,
            "api_error" | "server_error" | "timeout_error" => 500,
            _ => code.unwrap_or(400),
        };
        let body = serde_json::json!({ "error": error }).to_string();
        let fault = self.refused(status, None, &body);
        match fault {
            // What arrived before the error was paid for.
            Fault::Temporary { reason, .. } | Fault::Lasting(CallError::Refused { reason, .. }) if !is_empty => {
                Fault::lasting(reason)
            }
            fault => fault,
        }
    }

    fn detail(&self, body: &str) -> String {
        let value: Option<serde_json::Value> = serde_json::from_str(body).ok();
        let message = value.as_ref().and_then(|value| {
            let error = value.get("error").unwrap_or(value);
            error.as_str().or_else(|| error.get("message").and_then(serde_json::Value::as_str))
        });
        match message.unwrap_or(body).trim() {
            "" => String::new(),
            text => format!(": {}", self.excerpt(text)),
        }
    }

    /// The failure to send a request or to read the answer's head.
    pub(super) fn unreachable(&self, error: reqwest::Error) -> Fault {
        let error = error.without_url();
        let root = root(&error);
        let is_untrusted = root.is::<UrlError>() || root.to_string().contains("certificate");
        let reason = self.fails(&self.excerpt(&cause(&error)));
        if is_untrusted || error.is_builder() {
            return Fault::Lasting(CallError::Unpaid(reason));
        }
        Fault::Temporary { reason, pause: None, throttled: false, may_cost: !error.is_connect() }
    }
}

/// What went wrong at the bottom, in words.
pub(super) fn cause(error: &reqwest::Error) -> String {
    if error.is_connect() && error.is_timeout() {
        return "connecting took too long".to_owned();
    }
    if error.is_timeout() {
        return "timed out".to_owned();
    }
    let root = root(error);
    if error.is_connect() && !root.is::<UrlError>() { format!("cannot connect: {root}") } else { root.to_string() }
}

fn root(error: &reqwest::Error) -> &(dyn Error + 'static) {
    let mut cause: &(dyn Error + 'static) = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause
}

fn named(status: u16) -> String {
    let reason = reqwest::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    reason.map_or_else(|| status.to_string(), |reason| format!("{status} {reason}"))
}

/// The first 200 characters of a text in one line: control characters and those that change the direction of text are
/// escaped.
pub(super) fn excerpt(text: &str) -> String {
    let is_shown = |character: char| {
        !character.is_control()
            && !matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let mut short = String::new();
    for character in text.chars().take(EXCERPT_CHARACTERS) {
        match character {
            character if is_shown(character) => short.push(character),
            character => {
                // Writing to a text cannot fail.
                let _infallible = write!(short, "{}", character.escape_default());
            }
        }
    }
    if text.chars().nth(EXCERPT_CHARACTERS).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts() -> Texts {
        Texts { name: "openai".to_owned(), key: Key::new("sk-secret") }
    }

    fn reason(fault: Fault) -> String {
        match fault {
            Fault::Temporary { reason, .. } => format!("temporary {reason}"),
            Fault::Lasting(error) => error.to_string(),
        }
    }

    #[test]
    fn refusals_show_the_message_of_the_provider_in_one_line_and_without_the_key() {
        let check = |status, body: &str, expected: &str| {
            assert_eq!(reason(texts().refused(status, None, body)), expected);
        };
        check(
            401,
            r#"{"error":{"message":"Incorrect API key: sk-secret"}}"#,
            "openai answered 401 Unauthorized: Incorrect API key: [key]",
        );
        check(404, r#"{"error":"no such model"}"#, "openai answered 404 Not Found: no such model");
        check(
            503,
            "<html>\n\u{1b}[31mdown",
            "temporary openai answered 503 Service Unavailable: <html>\\n\\u{1b}[31mdown",
        );
        check(529, "", "temporary openai answered 529");
        check(
            307,
            "",
            "openai answered 307 Temporary Redirect; redirects are not followed, so set base_url to the address that it \
             points to",
        );
    }

    #[test]
    fn error_in_a_stream_is_tried_again_only_before_the_first_text() {
        let error = serde_json::json!({ "type": "overloaded_error", "message": "Overloaded" });
        assert_eq!(reason(texts().error_object(&error, true)), "temporary openai answered 529: Overloaded");
        assert_eq!(reason(texts().error_object(&error, false)), "openai answered 529: Overloaded");
        let error = serde_json::json!({ "code": 400, "message": "bad" });
        assert_eq!(reason(texts().error_object(&error, true)), "openai answered 400 Bad Request: bad");
    }

    #[test]
    fn key_at_the_end_of_an_excerpt_is_removed_before_the_text_is_cut() {
        let text = format!("{}sk-secret", "x".repeat(195));
        assert_eq!(texts().excerpt(&text), format!("{}[key]", "x".repeat(195)));
        assert_eq!(excerpt(&"ä".repeat(201)), format!("{}…", "ä".repeat(200)));
    }
}

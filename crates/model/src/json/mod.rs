//! JSON values that are stored without change: one validation rule for every source, and one encoding of a content.
//!
//! A value is accepted if it survives a round trip: no object repeats a key, and every number can be represented
//! exactly. Objects keep the order of their keys. Parse with [`read`] (or, where the values are written as YAML, with
//! [`number()`] and [`Path`]), encode a content with [`encode()`], and compare values with [`same`], which respects key
//! order.
//!
//! Invariant: [`read`] parses the output of [`encode()`] to the same value.

mod encode;
mod number;
mod objects;
mod path;
mod reason;
mod scan;
mod whole;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use encode::encode;
pub use number::{INTEGER_MAX, NumberError, number, scientific, written};
pub use objects::{object, objects};
pub use path::{Path, Step};
pub use reason::plain_reason;
pub use whole::{text_or_whole_option, whole, whole_list, whole_option, whole_values};

/// Why a text is rejected as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum JsonError {
    #[error("the key `{path}` appears twice; remove one")]
    Twice { path: Path },
    #[error("{place} is {written}, {fault}", place = path.place(), written = excerpt(written))]
    Number { path: Path, written: String, fault: NumberError },
    #[error("{reason}")]
    Form { reason: String },
}

/// Parses JSON in which every value survives a round trip.
///
/// # Errors
/// A repeated key or a number that would change, with its path; text that is not JSON, or not of the expected type.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let bytes = without_mark(bytes);
    scan::scan(bytes)?;
    serde_json::from_slice(bytes)
        .map_err(|error| JsonError::Form { reason: plain_reason(&error.to_string(), "an object") })
}

/// A text without the byte order mark that some Windows programs write at the start.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Whether two values are the same, including the order of keys and the form of numbers (`1`, `1.0`).
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b && a.to_string() == b.to_string(),
        (Value::Array(a), Value::Array(b)) => same_list(a, b),
        (Value::Object(a), Value::Object(b)) => same_fields(a, b),
        (a, b) => a == b,
    }
}

/// Whether two values are the same, or both are absent.
#[must_use]
pub fn same_option(a: Option<&Value>, b: Option<&Value>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => same(a, b),
        (a, b) => a.is_none() && b.is_none(),
    }
}

/// Whether two lists hold the same values in the same order.
#[must_use]
pub fn same_list(a: &[Value], b: &[Value]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
}

/// Whether two objects have the same values under the same keys in the same order.
#[must_use]
pub fn same_fields(a: &Map<String, Value>, b: &Map<String, Value>) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|((a_key, a), (b_key, b))| a_key == b_key && same(a, b))
}

/// Whether two values differ only in the order of keys.
#[must_use]
pub fn reordered(a: &Value, b: &Value) -> bool {
    // `serde_json` compares objects without regard to order.
    a == b && !same(a, b)
}

/// The start of a text, short enough for an error message.
fn excerpt(text: &str) -> String {
    const CHARACTERS_MAX: usize = 48;
    let short: String =
        text.chars().take(CHARACTERS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() { short + "…" } else { short }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;

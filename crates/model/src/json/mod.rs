//! JSON values that arrive as they left: the one rule for every door, and the one encoding of a content.
//!
//! A value is taken when it survives: no key of an object is written twice, and every number is the number that was
//! written once it is a value here. Objects keep the order of their keys. Doors read with [`read`] (or, where the
//! values are written as YAML, with [`number()`] and [`Path`]), a content is written with [`encode()`], and values are
//! compared with [`same`], to which order matters.
//!
//! Invariant: what [`encode()`] writes, [`read`] reads back as the same value.

mod encode;
mod number;
mod path;
mod reason;
mod scan;
mod whole;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

pub use encode::encode;
pub use number::{INTEGER_MAX, NumberError, number, scientific, written};
pub use path::{Path, Step};
pub use reason::plain_reason;
pub use whole::{whole, whole_option, whole_values};

/// Why a text is not taken as JSON.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum JsonError {
    #[error("`{path}` is written twice; keep one of them")]
    Twice { path: Path },
    #[error("{place} is {written}, {fault}", place = path.place(), written = excerpt(written))]
    Number { path: Path, written: String, fault: NumberError },
    #[error("{reason}")]
    Form { reason: String },
}

/// Reads JSON as what it means, where every value survives.
///
/// # Errors
/// A key that is written twice and a number that would change, with their path; a text that is not JSON, or not what
/// is wanted.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, JsonError> {
    let bytes = without_mark(bytes);
    scan::scan(bytes)?;
    serde_json::from_slice(bytes)
        .map_err(|error| JsonError::Form { reason: plain_reason(&error.to_string(), "an object") })
}

/// A text without the byte order mark that programs of Windows put before it.
#[must_use]
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// Whether two values are the same, the order of keys and the form of numbers (`1`, `1.0`) included.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b && a.to_string() == b.to_string(),
        (Value::Array(a), Value::Array(b)) => same_list(a, b),
        (Value::Object(a), Value::Object(b)) => same_fields(a, b),
        (a, b) => a == b,
    }
}

/// Whether two values are the same, or neither is there.
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

/// Whether two values differ in nothing but the order of keys.
#[must_use]
pub fn reordered(a: &Value, b: &Value) -> bool {
    // The library compares objects without regard to order.
    a == b && !same(a, b)
}

/// The start of a text, short enough for a message.
fn excerpt(text: &str) -> String {
    const CHARACTERS_MAX: usize = 48;
    let short: String =
        text.chars().take(CHARACTERS_MAX).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
    if text.chars().nth(CHARACTERS_MAX).is_some() { short + "…" } else { short }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;

//! Times that people write into fields of pages, in UTC unless they name a zone.

use super::super::error::Failure;
use super::super::request::RequestError;
use super::super::state::Shared;
use crate::model::as_of::AsOf;
use crate::model::time::Timestamp;

/// The current time.
pub(super) fn now(app: &Shared) -> Timestamp {
    Timestamp::from_ms(app.clock.now_ms())
}

/// The time in a field.
pub(super) fn time(app: &Shared, field: &'static str, text: &str) -> Result<AsOf, Failure> {
    let wrong = |reason: String| RequestError::Parameter { name: field, reason };
    AsOf::in_utc(text, now(app)).map_err(|error| wrong(error.to_string()).into())
}

/// The time in a field that can be empty.
pub(super) fn time_if_any(app: &Shared, field: &'static str, text: &str) -> Result<Option<AsOf>, Failure> {
    if text.trim().is_empty() { Ok(None) } else { time(app, field, text).map(Some) }
}

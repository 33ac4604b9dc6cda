//! Which failures are tried again, and when.
//!
//! What the provider refuses for good is not tried again: a wrong key, an unknown model, an invalid request, a limit of
//! money. Neither is a call that was cut off while its answer arrived, because the answer was paid for.

use std::time::Duration;

use jiff::fmt::rfc2822::DateTimeParser;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde_json::Value;

/// Tries of one call.
pub(super) const TRIES_MAX: u32 = 4;
/// Upper end of the pause before the second try.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
/// Longest pause that is chosen here.
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Longest pause that a provider can ask for; if it asks for more, the call ends with an error.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Whether an error with this status may be gone at the next try. `body` is what the provider answered.
pub(super) fn is_temporary(status: u16, body: &str) -> bool {
    matches!(status, 408 | 409 | 429 | 500 | 502 | 503 | 504 | 529) && !is_about_money(body)
}

/// Whether the provider answers that nothing is left to pay with, which no pause changes.
pub(super) fn is_about_money(body: &str) -> bool {
    const CODES: [&str; 4] =
        ["insufficient_quota", "credit_balance_exhausted", "billing_hard_limit_reached", "billing_error"];
    let Ok(value) = serde_json::from_str::<Value>(body) else { return false };
    let error = value.get("error").unwrap_or(&value);
    ["code", "type"].iter().any(|field| error.get(field).and_then(Value::as_str).is_some_and(|it| CODES.contains(&it)))
        || error.get("message").and_then(Value::as_str).is_some_and(|it| it.contains("credit balance is too low"))
}

/// How long the provider asks to wait: `retry-after-ms`, else `retry-after` in seconds or as a date, which is compared
/// with the provider's own clock.
pub(super) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let pause = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
    if let Some(milliseconds) = text("retry-after-ms").and_then(number) {
        return Some(pause(milliseconds / 1_000.0));
    }
    let value = text(RETRY_AFTER.as_str())?;
    if let Some(seconds) = number(value) {
        return Some(pause(seconds));
    }
    let time = |date: &str| DateTimeParser::new().parse_timestamp(date).ok();
    let wait = time(value)?.as_second().saturating_sub(time(text(DATE.as_str())?)?.as_second());
    Some(Duration::from_secs(u64::try_from(wait).unwrap_or(0)))
}

/// The pause after so many tries: a random part of a limit that doubles each time.
pub(super) fn pause(tries: u32, random: f64) -> Duration {
    let limit = PAUSE_FIRST.saturating_mul(2_u32.saturating_pow(tries.saturating_sub(1))).min(PAUSE_MAX);
    limit.mul_f64(random.clamp(0.0, 1.0))
}

/// A random number from 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without randomness the pause is the longest.
    if getrandom::fill(&mut bytes).is_err() {
        return 1.0;
    }
    f64::from(u32::from_le_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        for status in [408, 409, 429, 500, 502, 503, 504, 529] {
            assert!(is_temporary(status, "{}"), "{status}");
        }
        for status in [301, 400, 401, 402, 403, 404, 413, 422, 501] {
            assert!(!is_temporary(status, "{}"), "{status}");
        }
        assert!(!is_temporary(429, r#"{"error":{"code":"insufficient_quota","message":"…"}}"#));
        assert!(!is_temporary(429, r#"{"error":{"type":"insufficient_quota"}}"#));
        assert!(!is_temporary(500, r#"{"type":"error","error":{"type":"billing_error"}}"#));
        assert!(is_about_money(r#"{"error":{"message":"Your credit balance is too low to access the API."}}"#));
        assert!(is_temporary(429, "<html>insufficient_quota</html>"), "not an answer of the API");
    }

    #[test]
    fn asked_pause_is_read_in_milliseconds_seconds_and_as_a_date() {
        let headers = |pairs: &[(&'static str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| ((*name).parse().expect("a name"), value.parse().expect("a value")))
                .collect()
        };
        let check = |pairs: &[(&'static str, &str)], expected: Option<u64>| {
            assert_eq!(asked_pause(&headers(pairs)), expected.map(Duration::from_millis), "{pairs:?}");
        };
        check(&[("retry-after-ms", "250"), ("retry-after", "9")], Some(250));
        check(&[("retry-after", "2")], Some(2_000));
        check(&[("retry-after", "1.5")], Some(1_500));
        check(
            &[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")],
            Some(3_000),
        );
        check(&[("date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("retry-after", "Sun, 06 Nov 1994 08:49:30 GMT")], Some(0));
        check(&[("retry-after", "Sun, 06 Nov 1994 08:49:40 GMT")], None);
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "soon")], None);
        check(&[], None);
        assert_eq!(asked_pause(&headers(&[("retry-after", "1e300")])), Some(Duration::MAX));
    }

    #[test]
    fn pauses_double_up_to_thirty_seconds() {
        let limits: Vec<u128> = (1..=9).map(|tries| pause(tries, 1.0).as_millis()).collect();
        assert_eq!(limits, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
        assert_eq!(pause(3, 0.0), Duration::ZERO);
        assert!((0.0..=1.0).contains(&random()));
    }
}

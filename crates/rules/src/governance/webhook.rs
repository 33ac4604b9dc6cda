//! The rules of webhooks: which events they get, when to retry, and when to give up.
//!
//! It sends nothing and signs nothing. Follows Standard Webhooks 1.0.0.

use super::announcement::TEST_EVENT;
use super::event::{NAMED_EVENTS, plain_events};

/// Delay before each attempt, in seconds; in total a bit more than three days.
const WAITS_S: [u64; 10] = [0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// Longest delay that a receiver can request, in seconds: a day.
const RETRY_AFTER_S_MAX: u64 = 86_400;
/// Pause of a webhook after a first failure, in seconds; doubled for each further one in a row.
const REST_S: u64 = 5;
/// Longest pause, in seconds: a recovered receiver gets events again within this time.
const REST_S_MAX: u64 = 300;
/// A webhook is disabled after failing for this long, in milliseconds: longer than all attempts of one message.
pub const FAILING_MS_MAX: i64 = 5 * 24 * 60 * 60 * 1_000;
/// … and not before this many failures in a row, so that one failure a week disables nothing.
pub const FAILURES_MIN: u32 = 10;
/// Most filters of one webhook.
pub const FILTERS_MAX: usize = 32;
/// Longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 100;
/// The meaning of an answer for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver accepted it.
    Delivered,
    /// Retry after [`next_attempt`].
    Retry,
    /// The receiver wants no more events: send nothing until the webhook is enabled again.
    Disable,
}

/// Why filters are invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum FilterError {
    #[error("a webhook needs at least one event filter; use `*` for all events")]
    None,
    #[error(
        "a webhook must have at most {FILTERS_MAX} filters; this one has {count}; combine some, such as `prompt.*`"
    )]
    TooMany { count: usize },
    #[error(
        "invalid event filter `{filter}`: use an event type such as `prompt.label.moved`, a prefix such as `prompt.*`, or `*` (words of letters, digits and _ separated by dots, at most {FILTER_BYTES_MAX} bytes)"
    )]
    Syntax { filter: String },
    #[error("no event matches the filter `{filter}`; `bookholder webhook --help` lists all events")]
    NoEvent { filter: String },
}

/// The delay before the next attempt, in seconds; absent if the message is given up.
///
/// `attempt` is the number of attempts so far, 0 for a new message; `retry_after_s` is the receiver's last request,
/// honoured for up to a day if it is longer; `jitter` is any random number, which changes the delay by up to a tenth
/// either way so that retries are spread out.
pub fn next_attempt(attempt: u32, retry_after_s: Option<u64>, jitter: u64) -> Option<u64> {
    let wait_s = WAITS_S.get(usize::try_from(attempt).ok()?).copied()?;
    let tenth = wait_s / 10;
    let spread = u128::from(tenth * 2 + 1);
    // The upper half of the product is the random number scaled to `0..spread`.
    let moved = u64::try_from((u128::from(jitter) * spread) >> 64).unwrap_or(tenth);
    let wait_s = wait_s - tenth + moved;
    Some(retry_after_s.map_or(wait_s, |asked| wait_s.max(asked.min(RETRY_AFTER_S_MAX))))
}

/// How long to pause a webhook, in seconds, after this many failures in a row, so that slow or failing receivers do not
/// use up shared resources.
pub fn rest(consecutive: u32) -> u64 {
    let doubled = consecutive.checked_sub(1).map_or(Some(0), |times| REST_S.checked_mul(1_u64.checked_shl(times)?));
    doubled.map_or(REST_S_MAX, |rest_s| rest_s.min(REST_S_MAX))
}

/// The meaning of an answer; absent if the receiver could not be reached. A redirect is a failure.
pub fn outcome(status: Option<u16>) -> Outcome {
    match status {
        Some(200..=299) => Outcome::Delivered,
        Some(410) => Outcome::Disable,
        _ => Outcome::Retry,
    }
}

/// Whether a failing webhook is to be disabled: after 5 days, and 10 failures in a row.
///
/// `first_failure_ms` is the time of the first failure since the last success, `consecutive` the number of failures
/// since.
#[must_use]
pub fn should_disable(first_failure_ms: i64, now_ms: i64, consecutive: u32) -> bool {
    consecutive >= FAILURES_MIN && now_ms.saturating_sub(first_failure_ms) >= FAILING_MS_MAX
}

/// Whether one of the filters matches the event; without filters, none does.
#[must_use]
pub fn wants(filters: &[String], event_type: &str) -> bool {
    filters.iter().any(|filter| match filter.strip_suffix('*') {
        Some("") => true,
        Some(beginning) => beginning.ends_with('.') && event_type.starts_with(beginning),
        None => filter == event_type,
    })
}

/// Checks the filters of a webhook: exact types, `beginning.*`, or `*`. Each must let some event through, so that a
/// misspelt one is not kept in silence.
///
/// # Errors
/// None, too many, or the first invalid one.
pub fn check_filters(filters: &[String]) -> Result<(), FilterError> {
    if filters.is_empty() {
        return Err(FilterError::None);
    }
    if filters.len() > FILTERS_MAX {
        return Err(FilterError::TooMany { count: filters.len() });
    }
    let word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte == b'_' || byte.is_ascii_alphanumeric());
    let fits = |filter: &String| {
        let words = filter.strip_suffix(".*").unwrap_or(filter);
        filter.len() <= FILTER_BYTES_MAX && (filter == "*" || words.split('.').all(word))
    };
    if let Some(filter) = filters.iter().find(|filter| !fits(filter)) {
        return Err(FilterError::Syntax { filter: filter.chars().take(FILTER_BYTES_MAX).collect() });
    }
    match filters.iter().find(|filter| !matches_event(filter)) {
        Some(filter) => Err(FilterError::NoEvent { filter: filter.clone() }),
        None => Ok(()),
    }
}

/// Whether there is an event that a filter lets through.
fn matches_event(filter: &String) -> bool {
    let filter = std::slice::from_ref(filter);
    NAMED_EVENTS.iter().any(|(event, _)| wants(filter, event))
        || wants(filter, TEST_EVENT)
        || plain_events().any(|event| wants(filter, &event))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_follow_the_schedule_within_a_tenth_and_end() {
        let (low, middle, high) = (0, u64::MAX / 2, u64::MAX);
        for (attempt, low_s, wait_s, high_s) in [
            (0, 0, 0, 0),
            (1, 5, 5, 5),
            (2, 270, 300, 330),
            (3, 1_620, 1_800, 1_980),
            (4, 6_480, 7_200, 7_920),
            (5, 16_200, 18_000, 19_800),
            (6, 32_400, 36_000, 39_600),
            (7, 45_360, 50_400, 55_440),
            (8, 64_800, 72_000, 79_200),
            (9, 77_760, 86_400, 95_040),
        ] {
            let waits = [low, middle, high].map(|jitter| next_attempt(attempt, None, jitter));
            assert_eq!(waits, [Some(low_s), Some(wait_s), Some(high_s)], "{attempt}");
        }
        assert_eq!(next_attempt(10, None, middle), None);
        assert_eq!(next_attempt(10, Some(60), middle), None);
        assert_eq!(next_attempt(u32::MAX, None, middle), None);
    }

    #[test]
    fn retry_after_is_followed_up_to_a_day() {
        let middle = u64::MAX / 2;
        for (attempt, asked, expected) in
            [(1, 120, 120), (1, 3, 5), (2, 0, 300), (1, u64::MAX, 86_400), (9, 10, 86_400), (0, 30, 30)]
        {
            assert_eq!(next_attempt(attempt, Some(asked), middle), Some(expected), "{attempt} {asked}");
        }
        assert_eq!(next_attempt(9, Some(u64::MAX), u64::MAX), Some(95_040), "the schedule's own wait is longer");
    }

    #[test]
    fn webhook_pause_grows_with_consecutive_failures() {
        for (consecutive, expected) in
            [(0, 0), (1, 5), (2, 10), (3, 20), (6, 160), (7, 300), (8, 300), (62, 300), (64, 300), (u32::MAX, 300)]
        {
            assert_eq!(rest(consecutive), expected, "{consecutive}");
        }
    }

    #[test]
    fn response_status_means_delivered_retry_or_give_up() {
        for (status, expected) in [
            (Some(200), Outcome::Delivered),
            (Some(204), Outcome::Delivered),
            (Some(299), Outcome::Delivered),
            (Some(199), Outcome::Retry),
            (Some(301), Outcome::Retry),
            (Some(404), Outcome::Retry),
            (Some(410), Outcome::Disable),
            (Some(429), Outcome::Retry),
            (Some(503), Outcome::Retry),
            (None, Outcome::Retry),
        ] {
            assert_eq!(outcome(status), expected, "{status:?}");
        }
    }

    #[test]
    fn webhook_is_disabled_after_days_of_failures() {
        let days = |days: i64| days * 24 * 60 * 60 * 1_000;
        for (first_ms, now_ms, consecutive, expected) in [
            (0, days(5), 10, true),
            (0, days(5) - 1, 10, false),
            (0, days(5), 9, false),
            (0, days(400), 1, false),
            (days(6), days(1), 100, false),
            (i64::MIN, i64::MAX, u32::MAX, true),
        ] {
            assert_eq!(should_disable(first_ms, now_ms, consecutive), expected, "{first_ms} {now_ms} {consecutive}");
        }
        let all_attempts_s: u64 = WAITS_S.iter().sum();
        assert!(i64::try_from(all_attempts_s * 1_100).unwrap() < FAILING_MS_MAX);
    }

    #[test]
    fn filters_choose_events() {
        let moved = "prompt.label.moved";
        for (filters, event, expected) in [
            (&["*"][..], moved, true),
            (&["prompt.label.moved"], moved, true),
            (&["prompt.label"], moved, false),
            (&["prompt.*"], moved, true),
            (&["prompt.label.*"], moved, true),
            (&["prompt.version.*", "edge.stale"], moved, false),
            (&["prompt.version.*", "prompt.*"], moved, true),
            (&["prom*"], moved, false),
            (&["prompt.*"], "prompt", false),
            (&["prompt.*"], "prompts.moved", false),
            (&[], moved, false),
            (&["", "prompt.label.moved*"], moved, false),
        ] {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            assert_eq!(wants(&filters, event), expected, "{filters:?} {event}");
        }
    }

    #[test]
    fn filters_are_checked() {
        let check = |filters: &[&str]| {
            let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
            check_filters(&filters)
        };
        for good in ["*", "prompt.*", "prompt.label.moved", "prompt.version.blocked", "approve.granted", "put_role.*"] {
            assert_eq!(check(&[good]), Ok(()), "{good}");
        }
        let long = "a".repeat(FILTER_BYTES_MAX + 1);
        for bad in ["", ".", "prompt.", ".moved", "prompt..moved", "prom*", "*.moved", "prompt.**", "a b", "é", &long]
        {
            let filter = bad.chars().take(FILTER_BYTES_MAX).collect();
            assert_eq!(check(&["*", bad]), Err(FilterError::Syntax { filter }), "{bad}");
        }
        for strange in ["prompt.version.bloked", "prompts.*", "approve", "approve.grantd", "prompt.label", "a1.*"] {
            assert_eq!(check(&["*", strange]), Err(FilterError::NoEvent { filter: strange.to_owned() }), "{strange}");
        }
        assert_eq!(check(&[]), Err(FilterError::None));
        assert_eq!(check(&["*"; 51]), Err(FilterError::TooMany { count: 51 }));
        let message = check(&["prom*"]).expect_err("no filter").to_string();
        assert!(message.starts_with("invalid event filter `prom*`: use an event type such as"), "{message}");
    }
}

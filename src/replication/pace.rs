//! How long a replica waits before it polls again.
//!
//! Nothing here decides what is trusted. Status codes and headers are unsigned: whatever they say, a replica retries
//! within seconds at first, and always pauses between answers without news.

use super::exchange::{FetchFailure, Now};

/// Shortest and longest pause after a failure, in milliseconds.
const BACKOFF_MS: (u64, u64) = (250, 60_000);
/// How long refusals are treated as a network problem, such as a captive portal, in milliseconds.
const REFUSALS_MS_MAX: u64 = 60_000;
/// Pause after the upstream repeatedly denied access, in milliseconds: an operator has to act first.
const DENIED_MS: u64 = 300_000;
/// Pause after the upstream repeatedly did not know the view, in milliseconds.
const UNKNOWN_VIEW_MS: u64 = 60_000;
/// Longest accepted `Retry-After`, in seconds: at first, and for persistent refusals.
const RETRY_AFTER_S_MAX: (u64, u64) = (10, 60);
/// Shortest and longest reconnection delay at an upstream's request, in milliseconds; ours ask for at most 30 s.
const RECONNECT_MS: (u64, u64) = (250, 30_000);
/// An answer without data within this time was not a long poll, in milliseconds: the next request waits as long, which
/// is also how long caches can keep an answer.
const FAST_ANSWER_MS: u64 = 1_000;
/// Number of known answers in a row that indicate a cache in between.
const REPEATS_MAX: u32 = 3;
/// How often a pinned replica polls the upstream, in milliseconds: often enough to count as in contact.
const HOLD_MS: u64 = 25_000;

/// When to poll next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextPoll {
    /// At once.
    Now,
    /// After this many milliseconds.
    After(u64),
    /// After this many milliseconds, with a unique request: the same answer keeps coming.
    Repeated(u64),
}

/// The state that determines the next pause.
#[derive(Debug, Default)]
pub(super) struct PollPacing {
    backoff_ms: u64,
    asked_ms: u64,
    repeats: u32,
    /// Since when the upstream refuses, on the monotonic clock.
    refused_since_ms: Option<u64>,
    bust: Option<u64>,
}

impl PollPacing {
    /// Records the start of a poll; returns a unique value, if a cache in between is broken.
    pub(super) const fn ask(&mut self, now: Now) -> Option<u64> {
        self.asked_ms = now.monotonic_ms;
        self.bust
    }

    /// Records that a new state was applied.
    pub(super) const fn progress(&mut self) {
        (self.backoff_ms, self.repeats, self.refused_since_ms, self.bust) = (0, 0, None, None);
    }

    /// When to poll again after a verified answer without data: `news` if its note was signed later than the previous
    /// one.
    pub(super) fn answered(&mut self, now: Now, news: bool, reconnect_ms: Option<u64>) -> NextPoll {
        self.repeats = if news { 0 } else { self.repeats.saturating_add(1) };
        if self.repeats >= REPEATS_MAX {
            self.bust = Some(now.random);
            return NextPoll::Repeated(self.back_off(now).max(FAST_ANSWER_MS));
        }
        (self.bust, self.refused_since_ms) = (None, None);
        let fast = now.monotonic_ms.saturating_sub(self.asked_ms) < FAST_ANSWER_MS;
        let shortest_ms = if fast { spread(now, FAST_ANSWER_MS) } else { 0 };
        let asked_for_ms = reconnect_ms.map(|ms| ms.clamp(RECONNECT_MS.0, RECONNECT_MS.1));
        match asked_for_ms.unwrap_or_default().max(shortest_ms) {
            0 => {
                self.backoff_ms = 0;
                NextPoll::Now
            }
            ms => NextPoll::After(ms),
        }
    }

    /// How long to wait after a failed fetch, in milliseconds.
    pub(super) fn failed(&mut self, now: Now, failure: FetchFailure) -> u64 {
        let long_ms = match failure {
            FetchFailure::Unreachable | FetchFailure::Slow | FetchFailure::Malformed => return self.back_off(now),
            FetchFailure::Denied => DENIED_MS,
            FetchFailure::UnknownView => UNKNOWN_VIEW_MS,
            FetchFailure::Busy { .. } => RETRY_AFTER_S_MAX.1 * 1_000,
        };
        let since_ms = *self.refused_since_ms.get_or_insert(now.monotonic_ms);
        let lasts = now.monotonic_ms.saturating_sub(since_ms) >= REFUSALS_MS_MAX;
        match failure {
            FetchFailure::Busy { retry_after_s } => {
                let longest_s = if lasts { RETRY_AFTER_S_MAX.1 } else { RETRY_AFTER_S_MAX.0 };
                let asked_for_ms = retry_after_s.clamp(1, longest_s) * 1_000;
                let backed_off_ms = self.back_off(now).min(RETRY_AFTER_S_MAX.0 * 1_000);
                asked_for_ms.max(backed_off_ms).saturating_add(now.random % asked_for_ms).min(long_ms)
            }
            _ if lasts => spread(now, long_ms),
            _ => self.back_off(now),
        }
    }

    /// How long a pinned replica waits, in milliseconds.
    pub(super) fn held(now: Now) -> u64 {
        spread(now, HOLD_MS)
    }

    /// Decorrelated jitter: between the shortest pause and three times the last one.
    pub(super) fn back_off(&mut self, now: Now) -> u64 {
        let (shortest, longest) = BACKOFF_MS;
        let up_to = self.backoff_ms.max(shortest).saturating_mul(3);
        self.backoff_ms = (shortest + now.random % (up_to - shortest)).min(longest);
        self.backoff_ms
    }
}

/// A pause plus up to a tenth, so that replicas are spread out.
fn spread(now: Now, ms: u64) -> u64 {
    ms.saturating_add(now.random % (ms / 10).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(monotonic_ms: u64) -> Now {
        Now { wall_s: 0, monotonic_ms, random: 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(monotonic_ms + 1) }
    }

    #[test]
    fn refusals_by_status_cost_seconds_until_they_last_a_minute() {
        for (failure, long_ms) in [(FetchFailure::Denied, 300_000), (FetchFailure::UnknownView, 60_000)] {
            let mut pace = PollPacing::default();
            assert!(pace.failed(at(1), failure) <= 750);
            // However often it is asked: a captive portal may be asked ten times in four seconds.
            let pauses: Vec<u64> = (2..=20).map(|n| pace.failed(at(n), failure)).collect();
            assert!(pauses.iter().all(|ms| *ms <= 60_000), "{pauses:?}");
            assert!((long_ms..=long_ms * 11 / 10).contains(&pace.failed(at(60_001), failure)));
            pace.answered(at(60_100), true, None);
            assert!(pace.failed(at(60_101), failure) < long_ms, "a verified answer starts the minute again");
        }
    }

    #[test]
    fn unreachable_upstream_does_not_restart_the_minute_of_refusals() {
        let mut pace = PollPacing::default();
        pace.failed(at(0), FetchFailure::Denied);
        pace.failed(at(30_000), FetchFailure::Unreachable);
        assert!(pace.failed(at(60_000), FetchFailure::Denied) >= DENIED_MS);
    }

    #[test]
    fn retry_after_a_day_is_ten_seconds_at_first_and_a_minute_later() {
        let mut pace = PollPacing::default();
        let day = FetchFailure::Busy { retry_after_s: 86_400 };
        for n in 0..6 {
            assert!((10_000..20_000).contains(&pace.failed(at(n), day)));
        }
        assert_eq!(pace.failed(at(60_000), day), 60_000);
        assert!((1_000..2_000).contains(&PollPacing::default().failed(at(1), FetchFailure::Busy { retry_after_s: 0 })));
    }

    #[test]
    fn reconnect_after_0_ms_or_a_century_is_a_second_or_half_a_minute() {
        let mut pace = PollPacing::default();
        pace.ask(at(0));
        for (ms, least, most) in [(0, 1_000, 1_100), (1, 1_000, 1_100), (u64::MAX, 30_000, 30_000)] {
            let NextPoll::After(wait) = pace.answered(at(10), true, Some(ms)) else { panic!("{ms}") };
            assert!((least..=most).contains(&wait), "{ms}: {wait}");
        }
        assert_eq!(pace.answered(at(25_000), true, Some(0)), NextPoll::After(250), "it was waited for");
    }

    #[test]
    fn repeated_answer_is_polled_once_a_second_and_reported_after_three() {
        let mut pace = PollPacing::default();
        let mut now_ms = 0;
        for (n, reconnect) in [(1, None), (2, Some(0)), (3, Some(1)), (4, Some(2))] {
            assert_eq!(pace.ask(at(now_ms)).is_some(), n > 3, "a question that no cache knows");
            match pace.answered(at(now_ms + 5), false, reconnect) {
                NextPoll::After(ms) if n < 3 => now_ms += 5 + ms,
                NextPoll::Repeated(ms) if n >= 3 => now_ms += 5 + ms,
                other => panic!("{n}: {other:?}"),
            }
            assert!(now_ms >= n * 1_000, "{n}: {now_ms}");
        }
        pace.ask(at(now_ms));
        assert_eq!(pace.answered(at(now_ms + 25_000), true, None), NextPoll::Now);
    }
}

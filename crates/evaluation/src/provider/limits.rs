//! How much one provider is asked: requests and tokens in a minute, and calls at the same time.
//!
//! Buckets and waiting follow tokio's clock, so tests that pause it take no time.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Calls at the same time before a provider has shown that it answers more.
const CONCURRENCY_START: usize = 4;
/// Answers after which one more call at the same time is tried.
const SUCCESSES_PER_STEP: u32 = 20;
/// The share of a minute's amount that can be used at once.
const BURST_SHARE: f64 = 0.1;

/// The limits of one provider.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
    concurrency: Mutex<Concurrency>,
    freed: Notify,
}

#[derive(Debug)]
struct Concurrency {
    /// Calls that may be made at the same time, as the provider's answers suggest.
    limit: usize,
    max: usize,
    running: usize,
    successes: u32,
}

/// How a call went, as far as the number of calls at the same time is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It was answered.
    Answered,
    /// The provider said that it is asked too much.
    Throttled,
    /// It failed for another reason.
    Failed,
}

/// The right to make one call.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    limits: &'a Limits,
    estimate: u64,
    outcome: Outcome,
}

impl Limits {
    pub(super) fn new(requests: Option<u32>, tokens: Option<u64>, concurrency_max: u32) -> Self {
        let max = usize::try_from(concurrency_max).unwrap_or(usize::MAX).max(1);
        let concurrency = Concurrency { limit: CONCURRENCY_START.min(max), max, running: 0, successes: 0 };
        Self {
            requests: requests.map(|number| Bucket::new(number.into())),
            tokens: tokens.map(Bucket::new),
            concurrency: Mutex::new(concurrency),
            freed: Notify::new(),
        }
    }

    /// Waits until a call that uses about so many tokens may be made.
    pub(super) async fn permit(&self, tokens: u64) -> Permit<'_> {
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            // From here on no notice is missed.
            freed.as_mut().enable();
            if self.lock().enter() {
                break;
            }
            freed.await;
        }
        // The permit comes first, so that a caller that gives up while it waits frees its place.
        let permit = Permit { limits: self, estimate: tokens, outcome: Outcome::Failed };
        for (bucket, amount) in [(&self.requests, 1), (&self.tokens, tokens)] {
            if let Some(bucket) = bucket {
                bucket.take(amount).await;
            }
        }
        permit
    }

    /// The most calls at the same time.
    pub(super) fn max(&self) -> usize {
        self.lock().max
    }

    fn lock(&self) -> MutexGuard<'_, Concurrency> {
        self.concurrency.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls that may be made at the same time now.
    #[cfg(test)]
    pub(super) fn concurrency(&self) -> usize {
        self.lock().limit
    }
}

impl Concurrency {
    fn enter(&mut self) -> bool {
        let free = self.running < self.limit;
        self.running += usize::from(free);
        free
    }

    fn leave(&mut self, outcome: Outcome) {
        self.running = self.running.saturating_sub(1);
        match outcome {
            Outcome::Answered => {
                self.successes += 1;
                if self.successes >= SUCCESSES_PER_STEP {
                    self.successes = 0;
                    self.limit = (self.limit + 1).min(self.max);
                }
            }
            Outcome::Throttled => {
                self.successes = 0;
                self.limit = (self.limit / 2).max(1);
            }
            Outcome::Failed => {}
        }
    }
}

impl Permit<'_> {
    /// Ends the call. `tokens` is what it used, if that is known.
    pub(super) fn end(mut self, outcome: Outcome, tokens: Option<u64>) {
        self.outcome = outcome;
        if let Some((bucket, used)) = self.limits.tokens.as_ref().zip(tokens) {
            bucket.correct(self.estimate, used);
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limits.lock().leave(self.outcome);
        self.limits.freed.notify_waiters();
    }
}

/// A token bucket: it fills evenly, and who takes more than it has waits until it would have had it.
#[derive(Debug)]
struct Bucket {
    per_second: f64,
    capacity: f64,
    /// What it has, below zero if callers are waiting, and when that was.
    level: Mutex<(f64, Instant)>,
}

impl Bucket {
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn new(per_minute: u64) -> Self {
        let per_minute = per_minute as f64;
        let capacity = (per_minute * BURST_SHARE).max(1.0);
        Self { per_second: per_minute / 60.0, capacity, level: Mutex::new((capacity, Instant::now())) }
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    async fn take(&self, amount: u64) {
        let level = self.change(-(amount as f64));
        if level < 0.0 {
            tokio::time::sleep(Duration::from_secs_f64((-level / self.per_second).min(86_400.0))).await;
        }
    }

    #[allow(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn correct(&self, estimate: u64, used: u64) {
        self.change(estimate as f64 - used as f64);
    }

    fn change(&self, by: f64) -> f64 {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let filled = level.0 + now.duration_since(level.1).as_secs_f64() * self.per_second;
        *level = (filled.min(self.capacity) + by, now);
        level.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn seconds(limits: &Limits, calls: u32, tokens: u64) -> u64 {
        let began = Instant::now();
        for _ in 0..calls {
            limits.permit(tokens).await.end(Outcome::Answered, Some(tokens));
        }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn requests_and_tokens_beyond_the_rate_wait() {
        assert_eq!(seconds(&Limits::new(None, None, 4), 100, 1_000).await, 0);
        // 6 at once, then one each second.
        assert_eq!(seconds(&Limits::new(Some(60), None, 4), 66, 0).await, 60);
        // 6,000 tokens at once, then 1,000 each second.
        assert_eq!(seconds(&Limits::new(None, Some(60_000), 4), 66, 1_000).await, 60);
        // More than the bucket ever has.
        assert_eq!(seconds(&Limits::new(None, Some(600), 4), 1, 1_260).await, 120);
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_were_estimated_and_not_used_are_given_back() {
        let limits = Limits::new(None, Some(60_000), 4);
        let began = Instant::now();
        for _ in 0..100 {
            limits.permit(6_000).await.end(Outcome::Answered, Some(60));
        }
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn concurrency_starts_at_four_grows_with_answers_and_halves_when_throttled() {
        let limits = Limits::new(None, None, 6);
        assert_eq!(limits.concurrency(), 4);
        for _ in 0..100 {
            limits.permit(0).await.end(Outcome::Answered, None);
        }
        assert_eq!(limits.concurrency(), 6, "at most what is set");
        limits.permit(0).await.end(Outcome::Throttled, None);
        assert_eq!(limits.concurrency(), 3);
        for _ in 0..5 {
            limits.permit(0).await.end(Outcome::Throttled, None);
        }
        assert_eq!(limits.concurrency(), 1);
        for _ in 0..20 {
            limits.permit(0).await.end(Outcome::Answered, None);
        }
        assert_eq!(limits.concurrency(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn call_beyond_the_concurrency_waits_for_another_and_a_dropped_one_frees_its_place() {
        let limits = Limits::new(None, None, 1);
        let held = limits.permit(0).await;
        let wait = Duration::from_secs(5);
        assert!(tokio::time::timeout(wait, limits.permit(0)).await.is_err());
        drop(held);
        assert!(tokio::time::timeout(wait, limits.permit(0)).await.is_ok());
    }
}

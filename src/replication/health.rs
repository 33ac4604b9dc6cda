//! How a replica is: how fresh, since when, and what keeps it from following.

use std::sync::{Arc, Mutex, PoisonError};

use crate::api::status::{Freshness, Trouble};
use crate::clock::Clock;
use crate::model::time::Timestamp;
use crate::trust::accept::Accepted;
use crate::trust::checkpoint::Checkpoint;

/// How long a poll may take before the upstream counts as out of contact, in milliseconds.
const CONTACT_MS_MAX: u64 = 40_000;

/// How a replica is, for status and for every answer.
#[derive(Clone)]
pub struct Health(Arc<Mutex<HealthInner>>);

#[derive(Clone, Debug)]
struct HealthInner {
    freshness: Freshness,
    since_ms: i64,
    /// When a verified note last came.
    contact_ms: Option<i64>,
    contact_monotonic_ms: u64,
    in_contact: bool,
    trouble: Option<Trouble>,
    checkpoint: Option<Checkpoint>,
    clock_untrusted: bool,
    held: bool,
    lost_commits: u64,
}

/// What [`Health`] says at one moment.
#[derive(Clone, Debug)]
pub struct HealthView {
    /// How fresh the state is.
    pub freshness: Freshness,
    /// Since when it is so.
    pub since: Timestamp,
    /// Seconds since the last verified contact.
    pub age_s: u64,
    /// The checkpoint of the state.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the local clock is believed.
    pub clock_untrusted: bool,
    /// Whether the operator froze the replica.
    pub held: bool,
    /// Commits that this replica had and the registry gave up, since it was started.
    pub lost_commits: u64,
    /// What keeps it from following.
    pub trouble: Option<Trouble>,
}

impl Health {
    /// How a replica is when it starts: out of contact, with what it remembers.
    pub(super) fn at_start(
        checkpoint: Option<Checkpoint>,
        contact_ms: Option<i64>,
        held: bool,
        clock: &dyn Clock,
    ) -> Self {
        Self(Arc::new(Mutex::new(HealthInner {
            freshness: if checkpoint.is_some() { Freshness::Stale } else { Freshness::Empty },
            since_ms: contact_ms.unwrap_or_else(|| clock.now_ms()),
            contact_ms,
            contact_monotonic_ms: clock.monotonic_ms(),
            in_contact: false,
            trouble: None,
            checkpoint,
            clock_untrusted: false,
            held,
            lost_commits: 0,
        })))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HealthInner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn contact(&self, clock: &dyn Clock) {
        let mut inner = self.lock();
        inner.contact_ms = Some(clock.now_ms());
        inner.contact_monotonic_ms = clock.monotonic_ms();
        inner.in_contact = true;
        inner.trouble = None;
    }

    /// Notes what is held now, and how many commits were given up for it besides those that the registry gave up.
    pub(super) fn applied(&self, accepted: &Accepted, given_up: u64) {
        let mut inner = self.lock();
        inner.checkpoint = Some(accepted.checkpoint.clone());
        inner.lost_commits = inner.lost_commits.saturating_add(accepted.lost_commits).saturating_add(given_up);
    }

    pub(super) fn set_clock_untrusted(&self, untrusted: bool) {
        self.lock().clock_untrusted = untrusted;
    }

    /// Notes what is wrong; whether it is something else than before.
    pub(super) fn trouble(&self, clock: &dyn Clock, reason: &str, detail: &str) -> bool {
        let mut inner = self.lock();
        inner.in_contact = false;
        if let Some(trouble) = inner.trouble.as_mut().filter(|trouble| trouble.reason == reason) {
            trouble.times += 1;
            detail.clone_into(&mut trouble.detail);
            return false;
        }
        let since = Timestamp::from_ms(clock.now_ms());
        inner.trouble = Some(Trouble { reason: reason.to_owned(), detail: detail.to_owned(), since, times: 1 });
        true
    }

    /// How the replica is now.
    #[must_use]
    pub fn view(&self, clock: &dyn Clock) -> HealthView {
        let (now_ms, monotonic_ms) = (clock.now_ms(), clock.monotonic_ms());
        let mut inner = self.lock();
        let silent_ms = monotonic_ms.saturating_sub(inner.contact_monotonic_ms);
        let fresh = inner.in_contact && silent_ms < CONTACT_MS_MAX;
        let expired = inner.checkpoint.as_ref().is_some_and(|checkpoint| checkpoint.expires * 1_000 < now_ms);
        let freshness = match (&inner.checkpoint, fresh, expired) {
            (None, ..) => Freshness::Empty,
            (Some(_), true, false) => Freshness::Fresh,
            (Some(_), _, true) => Freshness::Expired,
            (Some(_), false, false) => Freshness::Stale,
        };
        if freshness != inner.freshness {
            inner.freshness = freshness;
            inner.since_ms = match (freshness, inner.contact_ms, &inner.checkpoint) {
                (Freshness::Stale, Some(contact_ms), _) => contact_ms,
                (Freshness::Expired, _, Some(checkpoint)) => checkpoint.expires * 1_000,
                _ => now_ms,
            };
        }
        // While this process runs its own clock is better than the wall's; before, there is only the wall's.
        let age_ms = if inner.in_contact || inner.contact_ms.is_none() {
            silent_ms
        } else {
            u64::try_from(now_ms - inner.contact_ms.unwrap_or(now_ms)).unwrap_or(0).max(silent_ms)
        };
        HealthView {
            freshness,
            since: Timestamp::from_ms(inner.since_ms),
            age_s: age_ms / 1_000,
            checkpoint: inner.checkpoint.clone(),
            clock_untrusted: inner.clock_untrusted,
            held: inner.held,
            lost_commits: inner.lost_commits,
            trouble: inner.trouble.clone(),
        }
    }
}

//! The freshness of a node's answers, computed on each request and never stored.
//!
//! A cached value shows what was true when a timer last ran, which does not help if the task that runs it is stuck. So
//! [`FreshnessCell`] stores facts (the last verified contact, when the state expires), and [`FreshnessInputs::at`] is
//! the one function that derives freshness from them.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::api::status::Freshness;
use crate::clock::Clock;
use crate::model::position::Position;

/// How long a poll can take before the upstream counts as out of contact, in milliseconds.
const CONTACT_MS_MAX: u64 = 40_000;

/// What an answer says about its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessReport {
    /// The position of the node.
    pub position: Position,
    /// Seconds since its last verified contact with its upstream; 0 on a primary.
    pub age_s: u64,
    /// The freshness.
    pub freshness: Freshness,
    /// Since when, in milliseconds since 1970.
    pub since_ms: i64,
}

/// The inputs of freshness.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreshnessInputs {
    /// The position of the node.
    pub position: Position,
    /// When this process started, in milliseconds since 1970.
    pub started_ms: i64,
    /// Whether this is a primary that is known to be older than its published state.
    pub outdated: bool,
    /// The state of the upstream; absent on a primary.
    pub following: Option<UpstreamContact>,
}

/// The state of a replica's upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamContact {
    /// When this process started, on the monotonic clock.
    pub started_monotonic_ms: u64,
    /// When the checkpoint of the current state expires, in milliseconds since 1970; absent if there is no state.
    pub expires_ms: Option<i64>,
    /// The lifetime of that checkpoint, in milliseconds.
    pub lifetime_ms: u64,
    /// The last verified contact.
    pub contact: Option<Contact>,
    /// When the current state was signed: without an upstream, the latest known time of the primary.
    pub signed: Option<Contact>,
    /// Since when contact was uninterrupted, in milliseconds since 1970.
    pub well_since_ms: Option<i64>,
}

/// A moment of verified contact with the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contact {
    /// The time, in milliseconds since 1970.
    pub wall_ms: i64,
    /// The time on the monotonic clock; absent if it was before this process started.
    pub monotonic_ms: Option<u64>,
}

impl FreshnessInputs {
    /// The freshness now.
    pub fn at(&self, clock: &dyn Clock) -> FreshnessReport {
        let Some(following) = &self.following else {
            let freshness = if self.outdated { Freshness::Stale } else { Freshness::Fresh };
            return FreshnessReport { position: self.position, age_s: 0, freshness, since_ms: self.started_ms };
        };
        let (now_ms, monotonic_ms) = (clock.now_ms(), clock.monotonic_ms());
        let contact_ms = following.contact_age_ms(now_ms, monotonic_ms);
        let age_ms = following.age_ms(now_ms, monotonic_ms);
        let (freshness, since_ms) = match (following.expires_ms, following.well_since_ms) {
            (None, _) => (Freshness::Empty, self.started_ms),
            (Some(expires_ms), _) if expires_ms < now_ms => (Freshness::Expired, expires_ms),
            // The clock may have been set back since; no state outlives its signed lifetime here.
            (Some(_), _) if following.held_ms(monotonic_ms) > following.lifetime_ms => {
                let over_ms = following.held_ms(monotonic_ms) - following.lifetime_ms;
                (Freshness::Expired, now_ms.saturating_sub(i64::try_from(over_ms).unwrap_or(i64::MAX)))
            }
            (Some(_), Some(well_since_ms)) if contact_ms < CONTACT_MS_MAX => (Freshness::Fresh, well_since_ms),
            _ => (Freshness::Stale, following.last_ms().unwrap_or(self.started_ms)),
        };
        FreshnessReport { position: self.position, age_s: age_ms / 1_000, freshness, since_ms }
    }
}

impl UpstreamContact {
    /// The last verified contact with the upstream, in milliseconds since 1970: by this node, or through a bundle.
    fn last_ms(&self) -> Option<i64> {
        self.contact.into_iter().chain(self.signed).map(|contact| contact.wall_ms).max()
    }

    /// How long this process has had the signature of the state, in milliseconds, on the monotonic clock.
    fn held_ms(&self, monotonic_ms: u64) -> u64 {
        let learned_ms = self.signed.and_then(|signed| signed.monotonic_ms).unwrap_or(self.started_monotonic_ms);
        monotonic_ms.saturating_sub(learned_ms)
    }

    /// Milliseconds since then.
    fn age_ms(&self, now_ms: i64, monotonic_ms: u64) -> u64 {
        let signed_ms = self.signed.map(|Contact { wall_ms, .. }| {
            // A signature from the future is at least as old as the time since it arrived.
            u64::try_from(now_ms.saturating_sub(wall_ms)).unwrap_or(0).max(self.held_ms(monotonic_ms))
        });
        let contact_ms = self.contact_age_ms(now_ms, monotonic_ms);
        signed_ms.map_or(contact_ms, |signed_ms| match self.contact {
            Some(_) => signed_ms.min(contact_ms),
            None => signed_ms,
        })
    }

    /// Milliseconds since the last verified contact.
    fn contact_age_ms(&self, now_ms: i64, monotonic_ms: u64) -> u64 {
        let since_start_ms = monotonic_ms.saturating_sub(self.started_monotonic_ms);
        match self.contact {
            Some(Contact { monotonic_ms: Some(contact_ms), .. }) => monotonic_ms.saturating_sub(contact_ms),
            // Across a restart there is only the wall clock, which may have been set back.
            Some(Contact { wall_ms, .. }) => {
                u64::try_from(now_ms.saturating_sub(wall_ms)).unwrap_or(0).max(since_start_ms)
            }
            None => since_start_ms,
        }
    }

    /// Records a verified contact now.
    pub fn contacted(&mut self, clock: &dyn Clock) {
        let (now_ms, monotonic_ms) = (clock.now_ms(), clock.monotonic_ms());
        if self.well_since_ms.is_none() || self.contact_age_ms(now_ms, monotonic_ms) >= CONTACT_MS_MAX {
            self.well_since_ms = Some(now_ms);
        }
        self.contact = Some(Contact { wall_ms: now_ms, monotonic_ms: Some(monotonic_ms) });
    }
}

/// Stores the facts; clones share them, and reading takes no lock.
#[derive(Clone)]
pub struct FreshnessCell(Arc<Inner>);

struct Inner {
    facts: ArcSwap<FreshnessInputs>,
    clock: Arc<dyn Clock>,
}

impl FreshnessCell {
    /// A cell with these facts.
    #[must_use]
    pub fn new(facts: FreshnessInputs, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Inner { facts: ArcSwap::from_pointee(facts), clock }))
    }

    /// The cell of a primary at this position.
    #[must_use]
    pub fn primary(position: Position, clock: Arc<dyn Clock>) -> Self {
        Self::new(FreshnessInputs { position, started_ms: clock.now_ms(), outdated: false, following: None }, clock)
    }

    /// The freshness now.
    pub fn now(&self) -> FreshnessReport {
        self.at(&*self.0.clock)
    }

    /// The freshness at a time.
    pub fn at(&self, clock: &dyn Clock) -> FreshnessReport {
        self.0.facts.load().at(clock)
    }

    /// Records the current state, when its primary signed it and when it expires, in milliseconds since 1970.
    pub fn took(&self, position: Position, signed_ms: i64, expires_ms: i64) {
        let learned_ms = self.0.clock.monotonic_ms();
        let lifetime_ms = u64::try_from(expires_ms.saturating_sub(signed_ms)).unwrap_or(0);
        // The clock of the primary may be ahead.
        let signed_ms = signed_ms.min(self.0.clock.now_ms());
        self.update(|facts| {
            facts.position = position;
            if let Some(following) = &mut facts.following {
                following.expires_ms = Some(expires_ms);
                following.lifetime_ms = lifetime_ms;
                following.signed = Some(Contact { wall_ms: signed_ms, monotonic_ms: Some(learned_ms) });
            }
        });
    }

    /// Changes the facts.
    pub fn update(&self, change: impl Fn(&mut FreshnessInputs)) {
        self.0.facts.rcu(|now| {
            let mut next = FreshnessInputs::clone(now);
            change(&mut next);
            next
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const START_MS: i64 = 1_800_000_000_000;

    fn replica(contact: Option<Contact>, expires_ms: Option<i64>, clock: &ManualClock) -> FreshnessCell {
        let following = UpstreamContact {
            started_monotonic_ms: 0,
            expires_ms,
            lifetime_ms: u64::MAX,
            contact,
            signed: None,
            well_since_ms: None,
        };
        let facts = FreshnessInputs {
            position: Position::default(),
            started_ms: START_MS,
            outdated: false,
            following: Some(following),
        };
        FreshnessCell::new(facts, Arc::new(clock.clone()))
    }

    fn contact(cell: &FreshnessCell, clock: &ManualClock) {
        cell.update(|facts| facts.following.as_mut().expect("a replica").contacted(clock));
    }

    fn said(cell: &FreshnessCell) -> (Freshness, u64, i64) {
        let now = cell.now();
        (now.freshness, now.age_s, now.since_ms - START_MS)
    }

    #[test]
    fn replica_is_stale_40_s_after_the_last_contact_without_an_update() {
        let clock = ManualClock::at(START_MS);
        let cell = replica(None, Some(START_MS + 3_600_000), &clock);
        assert_eq!(said(&cell), (Freshness::Stale, 0, 0));
        clock.advance(2_000);
        contact(&cell, &clock);
        clock.advance(39_999);
        assert_eq!(said(&cell), (Freshness::Fresh, 39, 2_000));
        clock.advance(1);
        assert_eq!(said(&cell), (Freshness::Stale, 40, 2_000));
        contact(&cell, &clock);
        assert_eq!(said(&cell), (Freshness::Fresh, 0, 42_000));
    }

    #[test]
    fn replica_is_expired_when_read_without_an_update() {
        let clock = ManualClock::at(START_MS);
        let cell = replica(None, Some(START_MS + 10_000), &clock);
        contact(&cell, &clock);
        clock.advance(10_001);
        assert_eq!(said(&cell), (Freshness::Expired, 10, 10_000));
    }

    #[test]
    fn age_since_a_contact_of_this_process_ignores_steps_of_the_wall_clock() {
        let clock = ManualClock::at(START_MS);
        let cell = replica(None, Some(i64::MAX), &clock);
        contact(&cell, &clock);
        for wall_ms in [START_MS + 86_400_000, 0] {
            clock.set(wall_ms);
            clock.advance(1_000);
        }
        assert_eq!(cell.now().age_s, 2);
        cell.update(|facts| facts.following.as_mut().expect("a replica").well_since_ms = None);
        assert_eq!((cell.now().age_s, cell.now().freshness), (2, Freshness::Stale));
    }

    #[test]
    fn age_since_an_earlier_start_is_by_wall_clock_and_at_least_the_uptime() {
        let clock = ManualClock::at(START_MS);
        let before = Contact { wall_ms: START_MS - 60_000, monotonic_ms: None };
        let cell = replica(Some(before), Some(i64::MAX), &clock);
        assert_eq!(said(&cell), (Freshness::Stale, 60, -60_000));
        clock.advance(5_000);
        clock.set(START_MS - 86_400_000);
        assert_eq!(cell.now().age_s, 5);
    }

    #[test]
    fn age_without_an_upstream_is_that_of_the_signature_before_and_after_a_restart() {
        let clock = ManualClock::at(START_MS);
        let signed_ms = START_MS - 3_600_000;
        let cell = replica(None, None, &clock);
        cell.took(Position::default(), signed_ms, i64::MAX);
        clock.advance(2_000);
        assert_eq!(said(&cell), (Freshness::Stale, 3_602, -3_600_000));
        let restarted = replica(None, Some(i64::MAX), &clock);
        let before = Contact { wall_ms: signed_ms, monotonic_ms: None };
        restarted.update(|facts| facts.following.as_mut().expect("a replica").signed = Some(before));
        assert_eq!(said(&restarted), (Freshness::Stale, 3_602, -3_600_000));
        clock.set(START_MS - 86_400_000);
        clock.advance(7_000);
        assert_eq!(cell.now().age_s, 9, "no younger than the time since the bundle was taken");
    }

    #[test]
    fn state_expires_after_its_lifetime_although_the_wall_clock_was_set_back() {
        const LIFETIME_MS: u64 = 3_600_000;
        let clock = ManualClock::at(START_MS);
        let cell = replica(None, None, &clock);
        let expires_ms = START_MS + 3_600_000;
        cell.took(Position::default(), START_MS, expires_ms);
        contact(&cell, &clock);
        clock.advance(LIFETIME_MS - 1_000);
        clock.set(START_MS - 86_400_000);
        contact(&cell, &clock);
        assert_eq!(cell.now().freshness, Freshness::Fresh);
        clock.advance(1_001);
        contact(&cell, &clock);
        assert_eq!(said(&cell), (Freshness::Expired, 0, -86_400_000 + 1_000));
        // A later signature restarts the lifetime.
        cell.took(Position::default(), START_MS + 3_600_000, expires_ms + 3_600_000);
        assert_eq!(cell.now().freshness, Freshness::Fresh);
        clock.advance(LIFETIME_MS + 1);
        contact(&cell, &clock);
        assert_eq!(cell.now().freshness, Freshness::Expired);
    }

    #[test]
    fn lifetime_of_a_stored_state_counts_from_process_start() {
        let clock = ManualClock::at(START_MS - 86_400_000);
        let cell = replica(None, Some(START_MS), &clock);
        cell.update(|facts| facts.following.as_mut().expect("a replica").lifetime_ms = 5_000);
        clock.advance(5_000);
        assert_eq!(cell.now().freshness, Freshness::Stale);
        clock.advance(1);
        assert_eq!(cell.now().freshness, Freshness::Expired);
    }

    #[test]
    fn newer_bundle_is_news_of_the_primary_to_a_replica_that_lost_its_upstream() {
        let clock = ManualClock::at(START_MS);
        let cell = replica(None, Some(i64::MAX), &clock);
        contact(&cell, &clock);
        clock.advance(600_000);
        assert_eq!(said(&cell), (Freshness::Stale, 600, 0));
        cell.took(Position::default(), START_MS + 590_000, i64::MAX);
        assert_eq!(said(&cell), (Freshness::Stale, 10, 590_000));
        contact(&cell, &clock);
        assert_eq!(said(&cell), (Freshness::Fresh, 0, 600_000));
    }
}

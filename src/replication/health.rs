//! The health of a replica: how fresh it is, since when, and its problems.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::engine::Rejection;
use crate::api::status::{Freshness, Trouble};
use crate::clock::Clock;
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::resolve::freshness::{Contact, FreshnessCell, FreshnessInputs, UpstreamContact};
use crate::trust::accept::{Accepted, TrustedTime};
use crate::trust::checkpoint::Checkpoint;

/// Why a replica needs its whole state again.
pub const DAMAGED: &str = "damaged";

/// The health of a replica, for status and for every answer; clones share it.
#[derive(Clone)]
pub struct Health {
    /// The inputs of freshness, which is computed on demand.
    freshness: FreshnessCell,
    rest: Arc<Mutex<Rest>>,
}

#[derive(Clone, Debug, Default)]
struct Rest {
    trouble: Option<Trouble>,
    /// The problem with bundles; independent of the upstream.
    inbox: Option<Trouble>,
    checkpoint: Option<Checkpoint>,
    time_floor_s: i64,
    held: bool,
    lost_commits: u64,
}

/// A snapshot of [`Health`].
#[derive(Clone, Debug)]
pub struct HealthView {
    /// The current position.
    pub position: Position,
    /// How fresh the state is.
    pub freshness: Freshness,
    /// Since when.
    pub since: Timestamp,
    /// Seconds since the last verified contact.
    pub age_s: u64,
    /// The checkpoint of the state.
    pub checkpoint: Option<Checkpoint>,
    /// Whether the local clock is trusted.
    pub clock_untrusted: bool,
    /// Whether the operator pinned the replica.
    pub held: bool,
    /// Commits of this replica that the registry gave up, since it was started.
    pub lost_commits: u64,
    /// The problem with following.
    pub trouble: Option<Trouble>,
    /// The problem with its inbox.
    pub inbox: Option<Trouble>,
}

impl Health {
    /// The health of a starting replica: out of contact, with its stored state.
    pub(super) fn at_start(
        checkpoint: Option<Checkpoint>,
        contact_ms: Option<i64>,
        held: bool,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let following = UpstreamContact {
            started_monotonic_ms: clock.monotonic_ms(),
            expires_ms: checkpoint.as_ref().map(expires_ms),
            lifetime_ms: checkpoint.as_ref().map_or(0, lifetime_ms),
            contact: contact_ms.map(before_start),
            signed: checkpoint.as_ref().map(|checkpoint| before_start(issued_ms(checkpoint).min(clock.now_ms()))),
            well_since_ms: None,
        };
        let position = checkpoint.as_ref().map_or(Position::default(), Checkpoint::position);
        let facts =
            FreshnessInputs { position, started_ms: clock.now_ms(), outdated: false, following: Some(following) };
        let rest = Rest { checkpoint, held, ..Rest::default() };
        Self { freshness: FreshnessCell::new(facts, clock), rest: Arc::new(Mutex::new(rest)) }
    }

    /// The freshness of this replica, for every answer.
    pub fn freshness(&self) -> FreshnessCell {
        self.freshness.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Rest> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn following(&self, change: impl Fn(&mut UpstreamContact)) {
        self.freshness.update(|facts| {
            if let Some(following) = &mut facts.following {
                change(following);
            }
        });
    }

    pub(super) fn contact(&self, clock: &dyn Clock) {
        self.lock().trouble = None;
        self.following(|following| following.contacted(clock));
    }

    /// Records the current position, and how many commits were lost besides those that the registry gave up.
    pub(super) fn applied(&self, accepted: &Accepted, given_up: u64) {
        let checkpoint = accepted.checkpoint.clone();
        let (position, issued_ms, expires_ms) =
            (checkpoint.position(), issued_ms(&checkpoint), expires_ms(&checkpoint));
        let mut rest = self.lock();
        rest.checkpoint = Some(checkpoint);
        rest.trouble.take_if(|trouble| trouble.reason == DAMAGED);
        rest.lost_commits = rest.lost_commits.saturating_add(accepted.lost_commits).saturating_add(given_up);
        drop(rest);
        self.freshness.took(position, issued_ms, expires_ms);
    }

    /// Records that the state was damaged and is gone, until another one is applied.
    pub fn lost(&self, clock: &dyn Clock, detail: &str) {
        self.trouble(clock, DAMAGED, detail);
    }

    /// Records the time below which the local clock is not trusted, in seconds since 1970.
    pub(super) fn set_time_floor(&self, floor_s: i64) {
        self.lock().time_floor_s = floor_s;
    }

    /// Records a problem; returns whether it is a new one.
    pub(super) fn trouble(&self, clock: &dyn Clock, reason: &str, detail: &str) -> bool {
        self.following(|following| following.well_since_ms = None);
        note(&mut self.lock().trouble, clock, reason, detail)
    }

    /// Records a problem with a bundle; returns whether it is a new one.
    pub(super) fn inbox_trouble(&self, clock: &dyn Clock, rejection: &Rejection) -> bool {
        note(&mut self.lock().inbox, clock, rejection.reason, &rejection.detail)
    }

    /// Clears the problem with bundles.
    pub(super) fn inbox_well(&self) {
        self.lock().inbox = None;
    }

    /// The current health.
    pub fn view(&self, clock: &dyn Clock) -> HealthView {
        let freshly = self.freshness.at(clock);
        let rest = self.lock().clone();
        HealthView {
            position: freshly.position,
            freshness: freshly.freshness,
            since: Timestamp::from_ms(freshly.since_ms),
            age_s: freshly.age_s,
            checkpoint: rest.checkpoint,
            clock_untrusted: !TrustedTime::at(clock.now_ms().div_euclid(1_000), rest.time_floor_s).clock_trusted,
            held: rest.held,
            lost_commits: rest.lost_commits,
            trouble: rest.trouble,
            inbox: rest.inbox,
        }
    }
}

const fn before_start(wall_ms: i64) -> Contact {
    Contact { wall_ms, monotonic_ms: None }
}

const fn issued_ms(checkpoint: &Checkpoint) -> i64 {
    checkpoint.issued.saturating_mul(1_000)
}

/// The lifetime of a checkpoint.
fn lifetime_ms(checkpoint: &Checkpoint) -> u64 {
    u64::try_from(expires_ms(checkpoint).saturating_sub(issued_ms(checkpoint))).unwrap_or(0)
}

const fn expires_ms(checkpoint: &Checkpoint) -> i64 {
    checkpoint.expires.saturating_mul(1_000)
}

/// Records or repeats a problem; returns whether it is a new one.
fn note(trouble: &mut Option<Trouble>, clock: &dyn Clock, reason: &str, detail: &str) -> bool {
    if let Some(known) = trouble.as_mut().filter(|known| known.reason == reason) {
        known.times = known.times.saturating_add(1);
        detail.clone_into(&mut known.detail);
        return false;
    }
    let since = Timestamp::from_ms(clock.now_ms());
    *trouble = Some(Trouble { reason: reason.to_owned(), detail: detail.to_owned(), since, times: 1 });
    true
}

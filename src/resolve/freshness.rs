//! How fresh a node's answers are, for every answer to say.

use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::api::status::Freshness;
use crate::model::position::Position;

/// What an answer says of the node that gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freshly {
    /// What the node holds.
    pub position: Position,
    /// Seconds since its last verified contact with its upstream; 0 on a primary.
    pub age_s: u64,
    /// How fresh that is.
    pub freshness: Freshness,
}

/// Where the newest [`Freshly`] is; clones share it, and reading takes no lock.
#[derive(Clone)]
pub struct FreshnessCell(Arc<ArcSwap<Freshly>>);

impl FreshnessCell {
    /// A cell that says this.
    #[must_use]
    pub fn new(freshly: Freshly) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(freshly)))
    }

    /// What it says now.
    #[must_use]
    pub fn load(&self) -> Arc<Freshly> {
        self.0.load_full()
    }

    /// What it says now, when that is something else than what is held.
    #[must_use]
    pub fn newer_than(&self, held: &Arc<Freshly>) -> Option<Arc<Freshly>> {
        let now = self.0.load();
        (!Arc::ptr_eq(&now, held)).then(|| Arc::clone(&now))
    }

    /// Says something else from now on.
    pub fn store(&self, freshly: Freshly) {
        self.0.store(Arc::new(freshly));
    }

    /// Changes what it says.
    pub fn update(&self, change: impl Fn(&mut Freshly)) {
        self.0.rcu(|now| {
            let mut next = Freshly::clone(now);
            change(&mut next);
            next
        });
    }
}

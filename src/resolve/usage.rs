//! Records recent usage of versions: coarse, bounded, and off the hot path.
//!
//! One check of one slot shows whether a use was already noted in this hour. Two uses that share a slot cost an
//! occasional lock, and nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Answer;
use crate::api::govern::VersionUse;
use crate::clock::Clock;

/// Number of slots; a power of two. 64 KiB.
const SLOTS: usize = 8_192;
/// Most uses waiting to be written; more are dropped until the next hour, or the next version.
const PENDING_MAX: usize = 20_000;
const HOUR_MS: i64 = 3_600_000;
/// The caller without an access token.
pub const LOCAL: &str = "local";

/// Notes uses; clones share them.
#[derive(Clone)]
pub struct Usage(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    slots: Box<[AtomicU64]>,
    pending: Mutex<BTreeSet<VersionUse>>,
}

impl Usage {
    /// Nothing noted yet.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let slots = (0..SLOTS).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Inner { clock, slots, pending: Mutex::default() }))
    }

    /// Records a use.
    pub fn note(&self, answer: &Answer, who: &str) {
        let hour = u64::try_from(self.0.clock.now_ms().div_euclid(HOUR_MS)).unwrap_or_default();
        let mark = mix(mix(mix(hour, answer.version), hash(answer.name.as_str())), hash(who)) | 1;
        let index = usize::try_from(mark >> 32).unwrap_or_default() % SLOTS;
        let Some(slot) = self.0.slots.get(index) else { return };
        if slot.load(Ordering::Relaxed) == mark {
            return;
        }
        slot.store(mark, Ordering::Relaxed);
        let mut pending = self.lock();
        if pending.len() < PENDING_MAX {
            let (name, version, by) = (answer.name.clone(), answer.version, who.to_owned());
            pending.insert(VersionUse { name, version, by, hour });
        }
    }

    /// The uses that are not written yet.
    pub fn pending(&self) -> Vec<VersionUse> {
        self.lock().iter().cloned().collect()
    }

    /// Drops uses that were written.
    pub fn forget(&self, written: &[VersionUse]) {
        let mut pending = self.lock();
        for one in written {
            pending.remove(one);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<VersionUse>> {
        self.0.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Spreads names over slots; collisions cannot be exploited.
fn hash(text: &str) -> u64 {
    text.as_bytes().chunks(8).fold(text.len() as u64, |state, chunk| {
        let mut word = [0; 8];
        for (to, from) in word.iter_mut().zip(chunk) {
            *to = *from;
        }
        mix(state, u64::from_le_bytes(word))
    })
}

const fn mix(state: u64, word: u64) -> u64 {
    (state.rotate_left(5) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

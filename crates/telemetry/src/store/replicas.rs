//! Up to when everything is here that each replica recorded: what a number is complete up to.
//!
//! Known in memory, and written now and then: after a crash it is at most that much too early, never too late.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};

use super::tables::{DAY_MS, FILE_KEYS, REPLICAS};
use super::{TelemetryError, TelemetryStore};

/// Most replicas that are known.
const REPLICAS_MAX: usize = 20_000;
/// How long a silent replica is known, in days: longer than a file takes that is carried once a month.
pub const SILENT_DAYS_MAX: i64 = 35;

/// What is known of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaProgress {
    /// Everything that it recorded before this moment is here, in milliseconds since 1970.
    pub complete_until_ms: i64,
    /// When it was last heard of.
    pub heard_ms: i64,
}

/// All replicas that were heard of.
#[derive(Default)]
pub(super) struct Replicas(Mutex<Known>);

#[derive(Default)]
struct Known {
    replicas: BTreeMap<String, ReplicaProgress>,
    /// Those whose row on disk is another, or should be gone.
    unwritten: BTreeSet<String>,
}

impl Replicas {
    pub(super) fn load(database: &Database) -> Result<Self, TelemetryError> {
        let mut known = Known::default();
        for entry in database.begin_read()?.open_table(REPLICAS)?.iter()? {
            let (name, progress) = entry?;
            let (complete_until_ms, heard_ms) = progress.value();
            known.replicas.insert(name.value().to_owned(), ReplicaProgress { complete_until_ms, heard_ms });
        }
        Ok(Self(Mutex::new(known)))
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what changed, and forgets who was silent for too long.
    pub(super) fn write(&self, txn: &WriteTransaction, now_ms: i64) -> Result<(), TelemetryError> {
        let mut known = self.lock();
        let since = now_ms.saturating_sub(SILENT_DAYS_MAX.saturating_mul(DAY_MS));
        let silent = known.replicas.iter().filter(|(_, one)| one.heard_ms < since).map(|(name, _)| name.clone());
        for name in silent.collect::<Vec<_>>() {
            known.replicas.remove(&name);
            known.unwritten.insert(name);
        }
        let mut table = txn.open_table(REPLICAS)?;
        for name in std::mem::take(&mut known.unwritten) {
            match known.replicas.get(&name) {
                Some(one) => drop(table.insert(name.as_str(), (one.complete_until_ms, one.heard_ms))?),
                None => drop(table.remove(name.as_str())?),
            }
        }
        Ok(())
    }

    pub(super) fn has_news(&self) -> bool {
        !self.lock().unwritten.is_empty()
    }
}

impl TelemetryStore {
    /// Notes up to when everything is here that a replica recorded. That only moves forward.
    pub fn note_replica(&self, name: &str, complete_until_ms: i64, now_ms: i64) {
        let mut known = self.shared.replicas.lock();
        let complete_until_ms = complete_until_ms.min(now_ms);
        if let Some(one) = known.replicas.get_mut(name) {
            one.complete_until_ms = one.complete_until_ms.max(complete_until_ms);
            one.heard_ms = one.heard_ms.max(now_ms);
        } else {
            if known.replicas.len() >= REPLICAS_MAX {
                let silent = known.replicas.iter().min_by_key(|(_, one)| one.heard_ms).map(|(name, _)| name.clone());
                if let Some(silent) = silent {
                    known.replicas.remove(&silent);
                    known.unwritten.insert(silent);
                }
            }
            known.replicas.insert(name.to_owned(), ReplicaProgress { complete_until_ms, heard_ms: now_ms });
        }
        known.unwritten.insert(name.to_owned());
    }

    /// Forgets a replica that records nothing any more; whether it was known.
    pub fn forget_replica(&self, name: &str) -> bool {
        let mut known = self.shared.replicas.lock();
        let was_known = known.replicas.remove(name).is_some();
        if was_known {
            known.unwritten.insert(name.to_owned());
        }
        was_known
    }

    /// All replicas that were heard of, by name.
    #[must_use]
    pub fn replicas(&self) -> Vec<(String, ReplicaProgress)> {
        self.shared.replicas.lock().replicas.iter().map(|(name, one)| (name.clone(), *one)).collect()
    }

    /// The key that signs the telemetry files of a node, if it is trusted.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn file_key(&self, node: &[u8; 16]) -> Result<Option<[u8; 32]>, TelemetryError> {
        self.read(|txn| Ok(txn.open_table(FILE_KEYS)?.get(node)?.map(|key| *key.value())))
    }
}

/// Trusts a key with the telemetry files of a node.
pub(super) fn trust(database: &Database, node: &[u8; 16], key: &[u8; 32]) -> Result<(), TelemetryError> {
    let txn = database.begin_write()?;
    txn.open_table(FILE_KEYS)?.insert(node, key)?;
    txn.commit()?;
    Ok(())
}

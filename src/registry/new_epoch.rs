//! A new epoch for a restored copy of a registry, so that it is not mistaken for the registry that continued after the
//! backup.
//!
//! A backup may be older than a change of keys. Replicas that know the newer root documents reject everything that is
//! signed without them, so the copy imports them from the files that the registry keeps beside its database.
//!
//! Invariant: the number of the new epoch is higher than any that the copy and those files know.

use std::path::Path;
use std::sync::Arc;

use super::epochs::{BootstrapError, base_of, by_operator, signer};
use super::sessions::forget_web_sessions;
use super::sign_in_links::forget_sign_in_links;
use crate::clock::Clock;
use crate::crypto::key::SigningKey;
use crate::model::audit::{Command, Subject};
use crate::model::position::Position;
use crate::model::time::Timestamp;
use crate::signing::key_files::{CHECKPOINT_KEY_FILE, read_key};
use crate::signing::primary_clock::PrimaryClock;
use crate::signing::trust_files::{TrustFiles, published};
use crate::store::outdated::Outdated;
use crate::store::{Store, StoreError};
use crate::trust::epoch::{EpochBase, EpochRecord, VerifiedEpoch};
use crate::trust::records;
use crate::trust::root::RootKeyId;
use crate::trust::root_chain::{RootChain, SignedRoot};

/// Whether the registry's files show published state that its database lacks; then the database was set back, because
/// the files are written after it. Inconsistent files are ignored.
pub fn published_beyond(store: &Store, now: Timestamp) -> Result<Option<Outdated>, StoreError> {
    let files = published(store.directory())?;
    let next = match NewEpoch::joined(store, &files) {
        Err(BootstrapError::Store(error)) => return Err(error),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(error, "the files in the folder `trust` were not written by this registry");
            return Ok(None);
        }
        Ok(next) => next,
    };
    let record = next.last.record();
    let began = record.epoch > next.base.position.epoch;
    if next.roots.is_empty() && !began {
        return Ok(None);
    }
    // Installing it was a commit: the first of its epoch, or one after this database.
    let base = record.base.filter(|_| began).unwrap_or(next.base);
    let published = Position { epoch: record.epoch, seq: base.position.seq.saturating_add(1) };
    Ok(Some(Outdated { published, since: now }))
}

/// What the new epoch of a restored copy follows.
#[derive(Debug)]
pub struct NewEpoch {
    chain: RootChain,
    last: VerifiedEpoch,
    base: EpochBase,
    /// The highest number of any epoch.
    after: u64,
    /// Root documents that the copy does not have yet, each with its version.
    roots: Vec<(u64, Vec<u8>)>,
    /// Epoch records that the copy does not have yet, each with its number.
    epochs: Vec<(u64, Vec<u8>)>,
}

impl NewEpoch {
    /// Loads the trusted records of a copy, and newer ones from the registry's files.
    ///
    /// # Errors
    /// The database fails, the copy and the files are inconsistent, or the checkpoint key in `keys` is newer than both.
    pub fn of(store: &Store, files: &TrustFiles, keys: &Path) -> Result<Self, BootstrapError> {
        let next = Self::joined(store, files)?;
        let path = keys.join(CHECKPOINT_KEY_FILE);
        let key = read_key(&path)?.verifying_key();
        let lists = |root: &SignedRoot| root.document().checkpoint_keys.iter().any(|(_, known)| *known == key);
        let listed = next.chain.documents().any(lists);
        if listed { Ok(next) } else { Err(BootstrapError::UnknownCheckpointKey { path }) }
    }

    fn joined(store: &Store, files: &TrustFiles) -> Result<Self, BootstrapError> {
        let txn = store.read()?;
        let (roots, own) = txn.trust()?;
        let (chain, epochs) = records::read_back(None, &roots, &own)?;
        let mut last =
            epochs.last().ok_or_else(|| BootstrapError::Trust("there is no epoch record".to_owned()))?.clone();
        let mut next = Self {
            base: base_of(&txn)?,
            after: txn.outdated()?.map_or(0, |outdated| outdated.published.epoch).max(last.record().epoch),
            last: last.clone(),
            roots: Vec::new(),
            epochs: Vec::new(),
            chain,
        };
        if files.roots.is_empty() && files.epochs.is_empty() {
            return Ok(next);
        }
        let (published, also) =
            records::read_back(None, &files.roots, &files.epochs).map_err(BootstrapError::TrustFiles)?;
        if published.key_id() != next.root_key() {
            return Err(BootstrapError::OtherRegistry { held: published.key_id(), backup: next.root_key() });
        }
        let differs = |what: &str, number: u64| BootstrapError::OtherTrust { what: format!("{what} {number}") };
        for (version, note) in (1_u64..).zip(&files.roots) {
            match next.chain.get(version) {
                Some(known) if known.note() != note.as_slice() => return Err(differs("root document", version)),
                Some(_) => {}
                None => {
                    next.chain.extend(note)?;
                    next.roots.push((version, note.clone()));
                }
            }
        }
        for epoch in also {
            let number = epoch.record().epoch;
            match epochs.iter().find(|known| known.record().epoch == number) {
                Some(known) if known.note() != epoch.note() => return Err(differs("the record of epoch", number)),
                Some(_) => {}
                None => {
                    next.epochs.push((number, epoch.note().to_vec()));
                    if number > last.record().epoch {
                        last = epoch;
                    }
                }
            }
        }
        next.after = next.after.max(last.record().epoch);
        next.last = last;
        Ok(next)
    }

    /// The root key id of the registry.
    pub fn root_key(&self) -> RootKeyId {
        self.chain.key_id()
    }

    /// The current root document.
    pub const fn chain(&self) -> &RootChain {
        &self.chain
    }

    /// The record of the new epoch, under this root document.
    pub fn record(&self, root: u64, issued: i64) -> EpochRecord {
        EpochRecord {
            registry: self.chain.current().registry.clone(),
            epoch: self.after.saturating_add(1),
            base: Some(self.base),
            checkpoint_key: self.last.record().checkpoint_key.clone(),
            root,
            issued,
        }
    }

    /// Signs the new epoch with those of the given keys that the newest root document lists.
    ///
    /// # Errors
    /// There are fewer than the root document requires.
    pub fn sign(&self, keys: &[SigningKey], issued: i64) -> Result<Vec<u8>, BootstrapError> {
        let root = self.chain.current();
        let mut signing: Vec<&SigningKey> = Vec::new();
        for key in keys.iter().filter(|key| root.root_keys.contains(&key.verifying_key())) {
            if !signing.iter().any(|known| known.verifying_key() == key.verifying_key()) {
                signing.push(key);
            }
        }
        if signing.len() < usize::from(root.threshold) {
            return Err(BootstrapError::TooFewRootKeys {
                version: root.version,
                needed: root.threshold,
                found: signing.len(),
            });
        }
        Ok(self.record(root.version, issued).sign_by_roots(&signing)?)
    }

    /// Begins the epoch in the copy: `root` is the root document that was signed with it, if any. The clock is not
    /// compared with what the copy signed, which may be old. Returns the number of the epoch.
    ///
    /// # Errors
    /// A signature is missing, the epoch was drafted for another copy, the checkpoint key is missing or does not match,
    /// the clock is implausible, or writing fails.
    pub fn begin(
        mut self,
        store: &Store,
        keys: &Path,
        (root, epoch): (Option<&[u8]>, &[u8]),
        clock: &Arc<dyn Clock>,
    ) -> Result<u64, BootstrapError> {
        let clock = Arc::new(PrimaryClock::new(Arc::clone(clock), false));
        let now = Timestamp::from_ms(clock.commit_ms()?);
        if let Some(root) = root {
            let version = self.chain.extend(root)?.version;
            self.roots.push((version, root.to_vec()));
        }
        let verified = VerifiedEpoch::verify(epoch, &self.chain)?;
        let record = verified.record();
        let number = record.epoch;
        if number <= self.after || record.base != Some(self.base) {
            return Err(BootstrapError::MovedOn {
                drafted: format!("epoch {number}"),
                base: record.base.map_or_else(|| "nothing".to_owned(), |base| base.position.to_string()),
                found: format!("{} in epoch {}", self.base.position, self.after),
            });
        }
        store.set_seal(signer(&self.chain, &verified, keys, &clock)?.seal());
        let said = format!("restored at {}", self.base.position);
        let audit = by_operator(Command::BeginEpoch, vec![Subject::Epoch { number }], said);
        self.epochs.push((number, epoch.to_vec()));
        store.write_blocking(move |txn| -> Result<(), StoreError> {
            for (version, note) in &self.roots {
                txn.put_root(*version, note)?;
            }
            for (number, note) in &self.epochs {
                txn.put_epoch(*number, note)?;
            }
            forget_web_sessions(txn)?;
            forget_sign_in_links(txn)?;
            txn.set_epoch(number);
            txn.commit(now, Vec::new(), audit).map(|_| ())
        })?;
        Ok(number)
    }
}

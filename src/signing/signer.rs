//! The primary's signature: every group of commits ends with a signed checkpoint of the state.

use std::sync::Arc;

use super::primary_clock::PrimaryClock;
use crate::crypto::key::SigningKey;
use crate::store::meta;
use crate::store::read::{Head, ReadTxn, ViewState};
use crate::store::{Seal, StoreError};
use crate::trust::checkpoint::{
    Checkpoint, CheckpointError, LIVE_LIFETIME_S, MIN_READER, NO_PREVIOUS, VIEW_ALL, all_view_definition, note_hash,
};

/// Signs checkpoints for one registry, with the key of its epoch.
pub struct Signer {
    /// The registry's name.
    pub registry: String,
    /// The name under which the root document lists the key.
    pub key_name: String,
    /// The key.
    pub key: SigningKey,
    /// The newest root document.
    pub root: u64,
    /// The longest lifetime of a checkpoint that it allows, in seconds.
    pub max_lifetime_s: u64,
    /// The source of `issued`.
    pub clock: Arc<PrimaryClock>,
}

impl Signer {
    /// The checkpoint of this state, unsigned.
    pub fn describe(
        &self,
        head: Head,
        state: &ViewState,
        previous: [u8; 32],
        audit: [u8; 32],
        lifetime_s: i64,
    ) -> Checkpoint {
        let issued = self.clock.signing_s();
        let lifetime_s = lifetime_s.min(i64::try_from(self.max_lifetime_s).unwrap_or(i64::MAX));
        Checkpoint {
            registry: self.registry.clone(),
            view: VIEW_ALL.to_owned(),
            root: self.root,
            epoch: head.position.epoch,
            seq: head.position.seq,
            changed: head.changed,
            floor: head.floor,
            state: state.hash,
            entries: state.entries,
            tombstones: head.tombstones,
            bytes: state.bytes,
            view_definition: all_view_definition(),
            manifest: None,
            previous,
            audit,
            issued,
            expires: issued.saturating_add(lifetime_s),
            min_reader: MIN_READER,
        }
    }

    /// Signs a checkpoint.
    ///
    /// # Errors
    /// It violates a rule that every replica checks.
    pub fn sign(&self, checkpoint: &Checkpoint) -> Result<Vec<u8>, CheckpointError> {
        checkpoint.sign(&self.key_name, &self.key)
    }

    /// Signs the state of the newest commit again, with a later time and this lifetime; `amend` can add to it.
    ///
    /// # Errors
    /// The store or the signature fails.
    pub fn sign_again(
        &self,
        txn: &ReadTxn,
        lifetime_s: i64,
        amend: impl FnOnce(&mut Checkpoint),
    ) -> Result<Vec<u8>, SealError> {
        let state = txn.view_state()?;
        let previous = txn.meta(&meta::PREVIOUS)?.unwrap_or(NO_PREVIOUS);
        let mut checkpoint = self.describe(txn.head()?, &state, previous, audit_hash(&txn.audit_head()?)?, lifetime_s);
        amend(&mut checkpoint);
        Ok(self.sign(&checkpoint)?)
    }

    /// The signing hook that the store calls for every group of commits.
    pub fn seal(self: &Arc<Self>) -> Seal {
        let signer = Arc::clone(self);
        Box::new(move |txn| {
            let previous = txn.meta(&meta::NOTE)?.map_or(NO_PREVIOUS, |note| note_hash(&note));
            let audit = audit_hash(&txn.audit_head()?)?;
            let checkpoint = signer.describe(txn.head(), &txn.view_state(), previous, audit, LIVE_LIFETIME_S);
            let note = signer
                .sign(&checkpoint)
                .map_err(|error| StoreError::Record { kind: "checkpoint", reason: error.to_string() })?;
            if let Some(latest_ms) = signer.clock.latest_ms() {
                txn.put_meta(&meta::LATEST_TIME_MS, &latest_ms)?;
            }
            txn.put_meta(&meta::PREVIOUS, &previous)?;
            txn.put_meta(&meta::NOTE, &note)
        })
    }
}

/// The hash of an audit entry, from its hex digits.
fn audit_hash(hex: &str) -> Result<[u8; 32], StoreError> {
    let hash = blake3::Hash::from_hex(hex);
    hash.map(Into::into)
        .map_err(|error| StoreError::Record { kind: "audit entry", reason: format!("its hash: {error}") })
}

/// Why a checkpoint could not be signed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum SealError {
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

//! What a replica's checkpoint proves to its primary.
//!
//! A replica that is offered less than it has, or another history, shows its checkpoint and the signed records that
//! verify the key: an epoch record, and the root documents up to the newest. So even a primary whose directory is older
//! than a change of keys can verify it. Only the keys of its own registry can create such a proof: for a commit that
//! the directory does not have, it shows that the directory was set back, copied, or restored without a new epoch, or
//! that a key was stolen. The sender need not be trusted.

use crate::crypto::note::{Note, Signed};
use crate::model::position::Position;
use crate::store::StoreError;
use crate::store::read::ReadTxn;
use crate::trust::checkpoint::VIEW_ALL;
use crate::trust::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::trust::epoch::{EpochRecord, VerifiedEpoch};
use crate::trust::names::signer_name;
use crate::trust::records;
use crate::trust::root_chain::RootChain;

/// Largest proof, in bytes: the longest chain of typical root documents.
pub const PROOF_BYTES_MAX: usize = 1_024 * 1_024;

/// Why a checkpoint proves nothing.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum WitnessError {
    #[error(
        "the body must be a signed checkpoint, the record of its epoch and the later root documents, each after its length: {0}"
    )]
    Syntax(String),
    #[error("the checkpoint is for {found}, not {expected}")]
    Foreign { found: String, expected: String },
    #[error("the root documents are not signed by the root keys of this registry: {0}")]
    Roots(String),
    #[error("the checkpoint is not signed by the key of epoch {epoch} of this registry")]
    OtherKey { epoch: u64 },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Packs a proof: a checkpoint, the record of its epoch, and the root documents after the first, ascending; each after
/// its length (`u32`, big-endian).
pub fn pack<'a>(checkpoint: &'a [u8], epoch: &'a [u8], later_roots: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut proof = Vec::new();
    for note in [checkpoint, epoch].into_iter().chain(later_roots) {
        proof.extend_from_slice(&u32::try_from(note.len()).unwrap_or(u32::MAX).to_be_bytes());
        proof.extend_from_slice(note);
    }
    proof
}

/// The notes of a proof; `None` if its lengths are invalid.
fn unpack(mut proof: &[u8]) -> Option<Vec<&[u8]>> {
    let mut notes = Vec::new();
    while !proof.is_empty() {
        let (length, rest) = proof.split_first_chunk()?;
        let (note, rest) = rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        notes.push(note);
        proof = rest;
    }
    Some(notes)
}

/// A commit that the registry signed and a directory does not have.
#[derive(Debug)]
pub(super) struct UnknownCommit {
    pub(super) published: Position,
    /// Its signed checkpoint.
    pub(super) note: Vec<u8>,
    /// All known root documents, ascending.
    pub(super) roots: Vec<Vec<u8>>,
    /// All known epoch records.
    pub(super) epochs: Vec<Vec<u8>>,
}

/// What a proof shows that the registry signed and this directory does not have; absent if it has it, or if the epoch
/// is over.
pub(super) fn unknown(proof: &[u8], registry: &str, txn: &ReadTxn) -> Result<Option<UnknownCommit>, WitnessError> {
    let syntax = |error: &dyn std::fmt::Display| WitnessError::Syntax(error.to_string());
    let notes = unpack(proof).ok_or_else(|| syntax(&"a length is wrong"))?;
    let [shown, epoch, later_roots @ ..] = notes.as_slice() else {
        return Err(syntax(&"it does not contain two notes"));
    };
    let note = Note::parse(shown, CHECKPOINT_BYTES_MAX).map_err(|error| syntax(&error))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| syntax(&error))?;
    let of = |registry: &str, view: &str| format!("view {view} of registry {registry}");
    let (found, expected) = (of(&checkpoint.registry, &checkpoint.view), of(registry, VIEW_ALL));
    if found != expected {
        return Err(WitnessError::Foreign { found, expected });
    }
    let (mut roots, mut epochs) = txn.trust()?;
    let roots_error = |error: &dyn std::fmt::Display| WitnessError::Roots(error.to_string());
    let (mut chain, own) = records::read_back(None, &roots, &epochs).map_err(|error| roots_error(&error))?;
    // The first in the proof is document 2.
    for (version, root) in (2..).zip(later_roots) {
        match chain.get(version) {
            Some(known) if known.note() == *root => {}
            Some(_) => return Err(roots_error(&format!("root document {version} differs from the one here"))),
            None => {
                chain.extend(root).map_err(|error| roots_error(&error))?;
                roots.push(root.to_vec());
            }
        }
    }
    let number = checkpoint.epoch;
    let own = own.iter().find(|own| own.record().epoch == number);
    let signed_under = |record: &EpochRecord| is_signed(&note, record, &chain);
    let known_reign = own.is_some_and(|own| signed_under(own.record()));
    if !known_reign {
        let epoch = VerifiedEpoch::verify(epoch, &chain).map_err(|error| syntax(&error))?;
        if epoch.record().epoch != number || !signed_under(epoch.record()) {
            return Err(WitnessError::OtherKey { epoch: number });
        }
        if own.is_none() {
            epochs.push(epoch.note().to_vec());
        }
    }
    let (published, head) = (checkpoint.position(), txn.head()?.position);
    let known = published.epoch < head.epoch || (known_reign && published <= head && agrees(&checkpoint, txn)?);
    Ok((!known).then(|| UnknownCommit { published, note: shown.to_vec(), roots, epochs }))
}

/// Whether the key of an epoch record signed a note, and is still listed: a replaced key may be stolen.
fn is_signed(note: &Note, epoch: &EpochRecord, chain: &RootChain) -> bool {
    let name = &epoch.checkpoint_key;
    let key = chain.get(epoch.root).and_then(|root| root.document().checkpoint_key(name));
    let counts = key.filter(|key| chain.current().checkpoint_key(name) == Some(*key));
    counts.is_some_and(|key| matches!(note.verify(&signer_name(&epoch.registry, name), key), Ok(Signed::Yes)))
}

/// Whether a checkpoint of this epoch, up to the directory's position, belongs to its history: each commit has one
/// audit entry, and the checkpoint names its own.
fn agrees(checkpoint: &Checkpoint, txn: &ReadTxn) -> Result<bool, StoreError> {
    let entry = txn.audit_from(checkpoint.seq, 1)?;
    let hash = blake3::Hash::from(checkpoint.audit).to_hex();
    Ok(entry.first().is_some_and(|entry| entry.seq == checkpoint.seq && entry.hash == *hash))
}

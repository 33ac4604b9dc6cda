//! What a replica's checkpoint proves to the primary that it follows.
//!
//! A replica that is offered less than it holds, or another history, shows what it holds. Only this primary's key makes
//! such a note: so a signature of its own over something that its data directory does not know is proof that it was
//! set back, copied, or restored without a new epoch, or that its key was stolen. Whoever shows it need not be believed.

use crate::crypto::note::{Note, Signed};
use crate::model::position::Position;
use crate::registry::seal::{Signer, VIEW_ALL};
use crate::store::StoreError;
use crate::store::read::ReadTxn;
use crate::trust::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::trust::names::signer_name;

/// Why a checkpoint proves nothing.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum WitnessError {
    #[error("the body is not a signed checkpoint: {0}")]
    Syntax(String),
    #[error("the checkpoint is for {found}, not {expected}")]
    Foreign { found: String, expected: String },
    #[error("the checkpoint is not signed by the key `{key}`, which signs here")]
    OtherKey { key: String },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The position of a checkpoint that this primary signed and does not know; none where it knows it, or where its epoch
/// is over.
pub(super) fn unknown(bytes: &[u8], signer: &Signer, txn: &ReadTxn) -> Result<Option<Position>, WitnessError> {
    let syntax = |error: &dyn std::fmt::Display| WitnessError::Syntax(error.to_string());
    let note = Note::parse(bytes, CHECKPOINT_BYTES_MAX).map_err(|error| syntax(&error))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|error| syntax(&error))?;
    let of = |registry: &str, view: &str| format!("view {view} of registry {registry}");
    let (found, expected) = (of(&checkpoint.registry, &checkpoint.view), of(&signer.registry, VIEW_ALL));
    if found != expected {
        return Err(WitnessError::Foreign { found, expected });
    }
    let key = signer.key.verifying_key();
    match note.verify(&signer_name(&signer.registry, &signer.key_name), &key).map_err(|error| syntax(&error))? {
        Signed::Yes => {}
        Signed::No => return Err(WitnessError::OtherKey { key: signer.key_name.clone() }),
    }
    let (shown, head) = (checkpoint.position(), txn.head()?.position);
    let known = shown.epoch < head.epoch || (shown <= head && agrees(&checkpoint, txn)?);
    Ok((!known).then_some(shown))
}

/// Whether a checkpoint of this epoch, up to where the directory stands, is of its history: each commit has one audit
/// entry, and the checkpoint names that of its own.
fn agrees(checkpoint: &Checkpoint, txn: &ReadTxn) -> Result<bool, StoreError> {
    let Some(audit) = checkpoint.audit else { return Ok(true) };
    let entry = txn.audit_from(checkpoint.seq, 1)?;
    let hash = blake3::Hash::from(audit).to_hex();
    Ok(entry.first().is_some_and(|entry| entry.seq == checkpoint.seq && entry.hash == *hash))
}

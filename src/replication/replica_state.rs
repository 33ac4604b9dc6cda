//! Loads the state of a replica from its data directory and verifies it from the pinned root key.

use std::path::Path;

use super::engine::Memory;
use super::watermark;
use crate::api::status::NodeRole;
use crate::crypto::note::Note;
use crate::store::StoreError;
use crate::store::meta;
use crate::store::read::ReadTxn;
use crate::trust::accept::{AcceptanceContext, Accepted, Refusal, TrustedTime, accept};
use crate::trust::checkpoint::{CHECKPOINT_BYTES_MAX, Checkpoint, all_view_definition};
use crate::trust::checkpoint::{MIN_READER, VIEW_ALL};
use crate::trust::epoch::VerifiedEpoch;
use crate::trust::records::read_back;
use crate::trust::root::RootKeyId;
use crate::trust::root_chain::RootChain;

/// Why a replica could not be opened.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum OpenError {
    #[error(
        "this directory belongs to a primary; start it with `bookholder serve`, or use a different --data for the replica"
    )]
    IsPrimary,
    #[error(
        "this directory belongs to the root key {held}, not {given}; use the right --root-key, or a different --data"
    )]
    OtherRoot { held: RootKeyId, given: RootKeyId },
    #[error("the stored state does not verify: {0}; run `bookholder verify`, or start again with an empty directory")]
    Trust(String),
    #[error(
        "the stored state does not match its signed checkpoint; run `bookholder verify`, or start again with an empty directory"
    )]
    State,
    #[error("cannot use the upstream's address or certificates: {0}")]
    Upstream(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl OpenError {
    /// Whether stored data is damaged, so that it should be downloaded again.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Self::Trust(_) | Self::State => true,
            Self::Store(error) => error.is_damage(),
            Self::IsPrimary | Self::OtherRoot { .. } | Self::Upstream(_) => false,
        }
    }
}

/// The contents of a replica's data directory, with verified signatures.
#[derive(Debug, Default)]
pub struct ReplicaState {
    /// For the engine.
    pub memory: Memory,
    /// When a verified note last arrived, in milliseconds since 1970.
    pub contact_ms: Option<i64>,
}

/// Loads the state of a replica, and verifies its signatures from the pinned root.
///
/// # Errors
/// The directory belongs to a primary or follows another root, or its contents do not verify.
pub fn load_replica_state(txn: &ReadTxn, directory: &Path, root_key: &RootKeyId) -> Result<ReplicaState, OpenError> {
    if txn.role()? == Some(NodeRole::Primary) {
        return Err(OpenError::IsPrimary);
    }
    match txn.meta(&meta::TRUSTED_ROOT)? {
        // If no state was ever accepted, the first root key may have been a mistake.
        Some(held) if held != *root_key && !txn.trust()?.0.is_empty() => {
            return Err(OpenError::OtherRoot { held, given: *root_key });
        }
        _ => {}
    }
    let trust = |error: &dyn std::fmt::Display| OpenError::Trust(error.to_string());
    let (roots, epoch_notes) = txn.trust()?;
    let (chain, epochs) = if roots.is_empty() {
        (None, Vec::new())
    } else {
        let (chain, epochs) = read_back(Some(root_key), &roots, &epoch_notes).map_err(|error| trust(&error))?;
        (Some(chain), epochs)
    };
    let note = txn.meta(&meta::NOTE)?;
    let held = match (&chain, note) {
        (Some(chain), Some(note)) => Some(check_note(&note, chain, &epochs).map_err(|error| trust(&error))?),
        _ => None,
    };
    if let Some(held) = &held {
        let state = txn.view_state()?;
        let signed = (held.checkpoint.position(), held.checkpoint.state, held.checkpoint.entries);
        if (txn.head()?.position, state.hash, state.entries) != signed {
            return Err(OpenError::State);
        }
    }
    let watermark = watermark::read(directory);
    if let (Some(mark), rank) = (watermark, held.as_ref().map(|held| held.held().rank))
        && rank.is_none_or(|rank| rank < mark)
    {
        tracing::warn!(watermark = %mark.position, "this directory is behind its watermark; catching up before older \
            state is accepted");
    }
    let memory = Memory { chain, epochs, held, watermark };
    Ok(ReplicaState { memory, contact_ms: txn.meta(&meta::CONTACT_MS)? })
}

/// Verifies only the signatures of a note, regardless of the time.
///
/// # Errors
/// It is not signed by the key of its epoch, or belongs to another registry.
pub fn check_note(note: &[u8], chain: &RootChain, epochs: &[VerifiedEpoch]) -> Result<Accepted, Refusal> {
    // A note that was valid when it was stored remains valid, whatever roots were learned since.
    let text = Note::parse(note, CHECKPOINT_BYTES_MAX)?;
    let chain = chain.up_to(Checkpoint::parse(text.text())?.root);
    let expectation = AcceptanceContext {
        registry: &chain.current().registry,
        view: VIEW_ALL,
        definition: all_view_definition(),
        chain: &chain,
        epochs,
        held: None,
        watermark: None,
        reader_version: MIN_READER,
        now: TrustedTime { now_s: i64::MIN, wall_s: i64::MIN, clock_trusted: false },
    };
    accept(note, &expectation)
}

//! The epoch of a registry: where it begins, who signs it, and why that fails.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::directory::DirectoryError;
use crate::crypto::key::KeyError;
use crate::crypto::secret::SecretError;
use crate::governance::rulebook::{ITSELF, OPERATOR};
use crate::model::audit::{AuditEntry, Command, Subject};
use crate::model::principal::PrincipalKind;
use crate::signing::key_files::{CHECKPOINT_KEY_FILE, KeyFileError, read_key};
use crate::signing::primary_clock::{CLOCK_HINT, ClockError, PrimaryClock};
use crate::signing::signer::Signer;
use crate::store::StoreError;
use crate::store::read::ReadTxn;
use crate::trust::epoch::{EpochBase, EpochError, VerifiedEpoch};
use crate::trust::records::RecordsError;
use crate::trust::root::{RootError, RootKeyId};
use crate::trust::root_chain::RootChain;

/// Why a registry could not be created or loaded.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum BootstrapError {
    #[error(
        "this directory belongs to a replica; start it with `bookholder replica`, or use a different --data for the primary"
    )]
    IsReplica,
    #[error("the signed records of this registry are inconsistent: {0}")]
    Trust(String),
    #[error("the key in {} is not the `{name}` of epoch {epoch}; put the right key back", path.display())]
    OtherKey { path: PathBuf, name: String, epoch: u64 },
    #[error(
        "root document {version} does not list `{name}`, which signs this epoch; draft it again with --rotate-checkpoint"
    )]
    KeyUnlisted { version: u64, name: String },
    #[error(
        "{drafted} was drafted to begin after {base}, but the registry is now at {found}; draft it again and keep the node stopped"
    )]
    MovedOn { drafted: String, base: String, found: String },
    #[error(
        "the data directory belongs to the registry with the root key {held}, but the backup is of {backup}; restore into a new directory"
    )]
    OtherRegistry { held: RootKeyId, backup: RootKeyId },
    #[error(
        "the files in the folder `trust` are inconsistent: {0}; put back the registry's own, or restore into a new directory"
    )]
    TrustFiles(RecordsError),
    #[error("{what} in the folder `trust` differs from the one in the backup; restore into a new directory")]
    OtherTrust { what: String },
    #[error(
        "root document {version} needs {needed} of its root keys to sign the new epoch, but only {found} are here; name the files of others with --root-key-file, or use --draft to sign the epoch where they are"
    )]
    TooFewRootKeys { version: u64, needed: u8, found: usize },
    #[error("no root document lists the key in {}: the backup is older than a change of keys; copy the registry's folder `trust` into the data directory", path.display())]
    UnknownCheckpointKey { path: PathBuf },
    #[error("the audit log does not match the signed checkpoint: entries were removed or replaced; restore a backup")]
    AuditLog,
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error("{0}; {CLOCK_HINT}")]
    Clock(#[from] ClockError),
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Epoch(#[from] EpochError),
    #[error("the signed records of this registry are inconsistent: {0}")]
    Records(#[from] RecordsError),
    #[error("cannot write a file in the data directory")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The position at which an epoch that begins now starts.
pub fn base_of(txn: &ReadTxn) -> Result<EpochBase, StoreError> {
    let state = txn.view_state()?;
    Ok(EpochBase { position: txn.head()?.position, state: state.hash })
}

/// The file of the checkpoint key with this name in a folder of keys: its own file until it signs, then the usual one.
pub fn checkpoint_key_file(keys: &Path, name: &str) -> PathBuf {
    let own = keys.join(format!("{name}.key"));
    if own.exists() { own } else { keys.join(CHECKPOINT_KEY_FILE) }
}

/// The audit entry of an action by the operator at the machine.
pub(super) fn by_operator(command: Command, subjects: Vec<Subject>, message: String) -> AuditEntry {
    AuditEntry {
        actor: OPERATOR.to_owned(),
        actor_kind: Some(PrincipalKind::System),
        method: "this machine".to_owned(),
        subjects,
        message,
        ..AuditEntry::of(command)
    }
}

/// The audit entry of what the node does by itself.
pub(super) fn by_itself(command: Command, why: &str) -> AuditEntry {
    AuditEntry {
        actor: ITSELF.to_owned(),
        actor_kind: Some(PrincipalKind::Automation),
        method: why.to_owned(),
        ..AuditEntry::of(command)
    }
}

pub(super) fn signer(
    chain: &RootChain,
    epoch: &VerifiedEpoch,
    keys: &Path,
    clock: &Arc<PrimaryClock>,
) -> Result<Arc<Signer>, BootstrapError> {
    let root = chain.current();
    let record = epoch.record();
    let name = &record.checkpoint_key;
    let listed = root
        .checkpoint_key(name)
        .ok_or_else(|| BootstrapError::KeyUnlisted { version: root.version, name: name.clone() })?;
    let path = checkpoint_key_file(keys, name);
    let key = read_key(&path)?;
    if *listed != key.verifying_key() {
        return Err(BootstrapError::OtherKey { path, name: name.clone(), epoch: record.epoch });
    }
    Ok(Arc::new(Signer {
        registry: root.registry.clone(),
        key_name: record.checkpoint_key.clone(),
        key,
        root: root.version,
        max_lifetime_s: root.max_lifetime_s,
        clock: Arc::clone(clock),
    }))
}

//! Work on the data directory of a stopped node: verifying, importing bundles, showing keys.

use std::path::Path;
use std::sync::Arc;

use crate::api::status::NodeRole;
use crate::clock::Clock;
use crate::model::audit::AuditVerdict;
use crate::model::position::Position;
use crate::registry::RegistryError;
use crate::registry::directory::{DirectoryError, check_for_replica};
use crate::registry::epochs::{BootstrapError, base_of};
use crate::replication::engine::Settings as Rules;
use crate::replication::follower::{Follower, FollowerOptions};
use crate::replication::replica_state::{OpenError, check_note};
use crate::resolve::Resolver;
use crate::signing::key_files::CHECKPOINT_KEY_FILE;
use crate::signing::trust_files;
use crate::store::create::has_database;
use crate::store::meta;
use crate::store::read::ReadTxn;
use crate::store::verify::{Report, verify};
use crate::store::{Options, Store, StoreError};
use crate::trust::checkpoint::Checkpoint;
use crate::trust::epoch::{EpochBase, VerifiedEpoch};
use crate::trust::records::read_back;
use crate::trust::root::{RootDocument, RootKeyId};
use crate::trust::root_chain::RootChain;

/// The result of verifying a data directory.
pub struct VerifiedDirectory {
    /// The verified contents, and the differences.
    pub report: Report,
    /// The signed checkpoint of the state, if there is one.
    pub checkpoint: Option<Checkpoint>,
    /// The root key ID from which everything was verified.
    pub root_key: Option<RootKeyId>,
    /// The registry's name.
    pub registry: String,
    /// The audit log; a replica's is empty.
    pub audit: AuditVerdict,
}

/// The public keys of a data directory.
pub struct Keys {
    /// The value for `--root-key`.
    pub root_key: RootKeyId,
    /// The newest root document.
    pub root: RootDocument,
    /// The epoch, and the name of its checkpoint key.
    pub epoch: (u64, String),
}

/// Why offline work failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum OfflineError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Replica(#[from] OpenError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Key(#[from] crate::signing::key_files::KeyFileError),
    #[error("the signed records are inconsistent: {0}")]
    Trust(String),
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    #[error(transparent)]
    Registry(#[from] RegistryError),
    #[error("{} is not empty (it contains `{name}`); restore into a new directory", path.display())]
    NotEmpty { path: std::path::PathBuf, name: String },
    #[error("the key {} differs from the one in {}; move it away, or restore into a new directory", path.display(), keys.display())]
    OtherKeys { path: std::path::PathBuf, keys: std::path::PathBuf },
    #[error("cannot restore the backup {}: {reason}", path.display())]
    Backup { path: std::path::PathBuf, reason: String },
    #[error("the keys are not in {}: copy {CHECKPOINT_KEY_FILE} of the registry there, or pass their folder with --keys", path.display())]
    NoKeys { path: std::path::PathBuf },
    #[error("{} has no telemetry of a replica", path.display())]
    NoTelemetry { path: std::path::PathBuf },
    #[error(transparent)]
    TelemetryFile(#[from] crate::replication::telemetry_file::TelemetryFileError),
    #[error("this directory has no trusted root key yet: pass --root-key")]
    NoRootKey,
    #[error("reading or writing a file failed: {0}")]
    Io(#[from] std::io::Error),
}

/// Verifies everything that a transaction sees, from the root down: signatures, state, index, audit log.
///
/// # Errors
/// The database cannot be read at all.
pub fn verify_transaction(txn: &ReadTxn) -> Result<VerifiedDirectory, StoreError> {
    prove_with_progress(txn, &mut |_| {})
}

/// As [`prove`]; `progress` is called with the number of checked entries.
///
/// # Errors
/// As [`prove`].
pub fn prove_with_progress(txn: &ReadTxn, progress: &mut dyn FnMut(u64)) -> Result<VerifiedDirectory, StoreError> {
    let mut report = verify(txn, progress)?;
    let audit = txn.verify_audit()?;
    if let Some(seq) = audit.broken_at {
        report.differ(format!("the audit log is broken at entry {seq}"));
    }
    if audit.anchored == Some(false) {
        report.differ("the audit log does not end with the entry in the signed checkpoint");
    }
    let registry = txn.meta(&meta::REGISTRY)?.unwrap_or_default();
    let trusted_root = txn.meta(&meta::TRUSTED_ROOT)?;
    let (mut root_key, mut checkpoint) = (None, None);
    match trust(txn)? {
        Err(reason) => report.differ(reason),
        Ok(None) if report.state.entries > 0 => {
            report.differ("there are entries, but no root document to verify them");
        }
        Ok(None) => {}
        Ok(Some((chain, epochs))) => {
            root_key = Some(chain.key_id());
            if trusted_root.is_some_and(|trusted| trusted != chain.key_id()) {
                report.differ("the root documents do not belong to the root key of this replica");
            }
            checkpoint = check_checkpoint(txn, &chain, &epochs, &mut report)?;
        }
    }
    Ok(VerifiedDirectory { report, checkpoint, root_key, registry, audit })
}

type Trust = Result<Option<(RootChain, Vec<VerifiedEpoch>)>, String>;

/// Loads the trusted records of a directory; the inner error is an inconsistency.
fn trust(txn: &ReadTxn) -> Result<Trust, StoreError> {
    let (roots, epochs) = txn.trust()?;
    Ok(if roots.is_empty() {
        Ok(None)
    } else {
        read_back(None, &roots, &epochs).map(Some).map_err(|error| error.to_string())
    })
}

fn check_checkpoint(
    txn: &ReadTxn,
    chain: &RootChain,
    epochs: &[VerifiedEpoch],
    report: &mut Report,
) -> Result<Option<Checkpoint>, StoreError> {
    let Some(note) = txn.meta(&meta::NOTE)? else {
        if report.state.entries > 0 {
            report.differ("there are entries, but no signed checkpoint");
        }
        return Ok(None);
    };
    let checkpoint = match check_note(&note, chain, epochs) {
        Ok(accepted) => accepted.checkpoint,
        Err(refusal) => {
            report.differ(format!("the checkpoint does not verify: {refusal}"));
            return Ok(None);
        }
    };
    let signed = (checkpoint.position(), checkpoint.changed, checkpoint.entries, checkpoint.bytes, checkpoint.state);
    let found =
        (report.head.position, report.head.changed, report.state.entries, report.state.bytes, report.state.hash);
    if signed != found {
        report.differ(format!(
            "the state differs from the signed one: {} entries at {} here, {} entries at {} in the checkpoint",
            found.2, found.0, signed.2, signed.0
        ));
    }
    Ok(Some(checkpoint))
}

/// The public keys of a data directory, even while a node runs on it.
///
/// # Errors
/// There is no registry, or its records are inconsistent.
pub fn keys(data: &Path) -> Result<Keys, OfflineError> {
    let DirectoryState { chain, epoch, .. } = directory_state(data)?;
    let record = epoch.record();
    Ok(Keys {
        root_key: chain.key_id(),
        root: chain.current().clone(),
        epoch: (record.epoch, record.checkpoint_key.clone()),
    })
}

/// Imports a bundle into the data directory of a stopped replica; returns the refusal, if any.
///
/// # Errors
/// The directory does not belong to a replica, or the store fails.
pub async fn import_bundle(
    bundle: &Path,
    data: &Path,
    root_key: Option<RootKeyId>,
    (accept_expired, accept_fork): (bool, Option<Position>),
    clock: Arc<dyn Clock>,
) -> Result<Result<VerifiedDirectory, String>, OfflineError> {
    check_for_replica(data)?;
    if root_key.is_none() && !has_database(data) {
        return Err(OfflineError::NoRootKey);
    }
    let store = Store::open(&Options { directory: data.to_owned(), create: true })?;
    let root_key = match root_key {
        Some(given) => given,
        None => store.read()?.meta(&meta::TRUSTED_ROOT)?.ok_or(OfflineError::NoRootKey)?,
    };
    let resolver = Resolver::new(store.clone(), 0);
    let following = FollowerOptions {
        upstream: None,
        token: None,
        extra_ca: None,
        settings: Rules { accept_expired, accept_fork, ..Rules::of(root_key) },
        inbox: None,
        replica: String::new(),
        usage: crate::resolve::usage::Usage::new(Arc::clone(&clock)),
        telemetry: None,
    };
    let opening = store.clone();
    let metrics = crate::metrics::Metrics::new(crate::metrics::Role::Replica);
    let open = move || Follower::open(opening, resolver, metrics, clock, following);
    let mut follower = tokio::task::spawn_blocking(open).await.map_err(std::io::Error::other)??;
    let outcome = match follower.import(bundle).await {
        Ok(()) => Ok(verify_transaction(&store.read()?)?),
        Err(rejection) => Err(rejection.detail),
    };
    store.close().await;
    Ok(outcome)
}

/// The trusted records and the position of a data directory.
pub(super) struct DirectoryState {
    pub(super) chain: RootChain,
    /// The newest epoch.
    pub(super) epoch: VerifiedEpoch,
    /// The newest commit; absent while a node runs on the directory.
    pub(super) base: Option<EpochBase>,
    /// Whether it belongs to a replica.
    pub(super) replica: bool,
}

/// Loads the trusted records of a data directory, even while a node runs on it.
pub(super) fn directory_state(data: &Path) -> Result<DirectoryState, OfflineError> {
    let (base, replica, (roots, epochs)) = match Store::open(&Options { directory: data.to_owned(), create: false }) {
        Ok(store) => {
            let txn = store.read()?;
            (Some(base_of(&txn)?), txn.role()? == Some(NodeRole::Replica), txn.trust()?)
        }
        Err(in_use @ StoreError::InUse { .. }) => {
            let files = trust_files::published(data).map_err(|_| in_use)?;
            (None, false, (files.roots, files.epochs))
        }
        Err(error) => return Err(error.into()),
    };
    let (chain, mut epochs) =
        read_back(None, &roots, &epochs).map_err(|error| OfflineError::Trust(error.to_string()))?;
    let epoch = epochs.pop().ok_or_else(|| OfflineError::Trust("there is no epoch record".to_owned()))?;
    Ok(DirectoryState { chain, epoch, base, replica })
}

//! Starts a primary: the first start creates its name, keys, root document and first access token; later starts load
//! and verify them.
//!
//! A first start works in a separate folder. One rename moves the database into the data directory when everything is
//! durable, including the access token, which is written to a file that only its owner can read. A process that is
//! killed earlier leaves nothing that could start, and the next start begins again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access::{FIRST_TOKEN, ensure_finding_key, is_known, keep_first};
use super::directory::{ADMIN_TOKEN_FILE, DirectoryContents, DirectoryError, FIRST_START_FOLDER, RESTORE_FOLDER, look};
use super::primary_clock::{CLOCK_HINT, ClockError, PrimaryClock};
use super::signer::{CHECKPOINT_KEY_FILE, KEYS_FOLDER, KeyFileError, ROOT_KEY_FILE, Signer, read_key};
use super::{new_epoch, trust_files};
use crate::api::status::NodeRole;
use crate::clock::Clock;
use crate::crypto::key::{KeyError, SigningKey};
use crate::crypto::secret::{AccessToken, SecretError};
use crate::governance::rulebook::OPERATOR;
use crate::model::audit::{AuditEntry, Command, Subject};
use crate::model::principal::PrincipalKind;
use crate::model::time::Timestamp;
use crate::store::files::{replace, sync_directory};
use crate::store::meta;
use crate::store::read::ReadTxn;
use crate::store::{Options, REGISTRY_FILE, Store, StoreError, create};
use crate::trust::epoch::{EpochBase, EpochError, EpochRecord, VerifiedEpoch};
use crate::trust::records::{self, RecordsError};
use crate::trust::root::{RootDocument, RootError, RootKeyId, sign_root};
use crate::trust::root_chain::RootChain;

/// The longest lifetime of a checkpoint that a root document allows, in seconds: 90 days, for air gaps.
const MAX_LIFETIME_S: u64 = 90 * 24 * 3_600;
/// The name of the first checkpoint key.
const FIRST_CHECKPOINT_KEY: &str = "checkpoint-1";

/// The inputs of a start.
#[derive(Debug, Default)]
pub struct BootstrapOptions {
    /// The name of a new registry; generated if absent.
    pub registry: Option<String>,
    /// The first access token of a new registry; generated if absent.
    pub admin_token: Option<AccessToken>,
    /// Whether the operator confirms that the clock is right.
    pub trust_clock: bool,
}

/// A registry that is ready to be opened.
pub struct Bootstrapped {
    /// Signs its checkpoints.
    pub signer: Arc<Signer>,
    /// What replicas are given to trust.
    pub root_key: RootKeyId,
    /// The first access token, if this start generated it.
    pub new_token: Option<AccessToken>,
    /// Whether the given access token is unknown to this registry: it only has an effect on a first start.
    pub unknown_token: bool,
}

/// What to show to the operator of a new registry.
pub struct FirstStart<'a> {
    /// The first access token.
    pub token: &'a AccessToken,
    /// The file that holds it, which only its owner can read.
    pub token_file: &'a Path,
    /// What replicas are given to trust.
    pub root_key: RootKeyId,
}

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

/// Opens the registry in a data directory, or creates one if it is empty; `announce` shows the generated access token,
/// which is in a file by then, before it becomes valid.
///
/// # Errors
/// The directory belongs to a replica, held a registry whose database is lost, or is in use; a key is missing or does
/// not match; the clock is implausible; or writing fails.
pub fn open(
    directory: &Path,
    founding: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
    announce: impl FnOnce(&FirstStart<'_>),
) -> Result<(Store, Bootstrapped), BootstrapError> {
    create::directory(directory)?;
    let new_token = match look(directory)? {
        DirectoryContents::Nothing => begin(directory, founding, clock, announce)?,
        DirectoryContents::Database => None,
    };
    let store = Store::open_to_serve(&Options { directory: directory.to_owned(), create: false })?;
    for folder in [FIRST_START_FOLDER, RESTORE_FOLDER] {
        // Left by a process that was killed just after it finished.
        let _there_may_be_none = std::fs::remove_dir_all(directory.join(folder));
    }
    let founded = found(&store, founding, clock)?;
    Ok((store, Bootstrapped { new_token, ..founded }))
}

/// Creates a registry in a separate folder, then moves it into place; returns the access token if it was generated.
fn begin(
    directory: &Path,
    founding: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
    announce: impl FnOnce(&FirstStart<'_>),
) -> Result<Option<AccessToken>, BootstrapError> {
    let _lock = create::lock(directory)?;
    if look(directory)? == DirectoryContents::Database {
        return Ok(None);
    }
    let (aside, keys) = (directory.join(FIRST_START_FOLDER), directory.join(KEYS_FOLDER));
    // The folder marks the keys as unused: it is created before them and removed after them.
    create::directory(&aside)?;
    sync_directory(directory)?;
    let cut_short = aside.join(REGISTRY_FILE);
    if cut_short.exists() {
        std::fs::remove_file(cut_short)?;
    }
    let begun = (|| {
        let store = Store::open(&Options { directory: aside.clone(), create: true })?;
        let begun = first_start(&store, &keys, founding, clock);
        store.close_blocking();
        let begun = begun?;
        let token_file = directory.join(ADMIN_TOKEN_FILE);
        // A leftover of an interrupted first start is ignored.
        let _there_may_be_none = std::fs::remove_file(&token_file);
        if let Some(token) = &begun.new_token {
            replace(&token_file, format!("{}\n", token.reveal()).as_bytes(), 0o600)?;
            announce(&FirstStart { token, token_file: &token_file, root_key: begun.root_key });
        }
        std::fs::rename(aside.join(REGISTRY_FILE), directory.join(REGISTRY_FILE))?;
        Ok(begun.new_token)
    })();
    if begun.is_err() {
        let _best_effort = std::fs::remove_dir_all(&keys);
        let _there_may_be_none = std::fs::remove_file(directory.join(ADMIN_TOKEN_FILE));
    }
    sync_directory(directory)?;
    let _next_time = std::fs::remove_dir_all(&aside);
    begun
}

/// Creates a registry in an empty store, or loads the existing one, and signs its commits from then on.
///
/// # Errors
/// The directory belongs to a replica, a key is missing or does not match, or writing fails.
pub fn found(
    store: &Store,
    founding: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Bootstrapped, BootstrapError> {
    let role = store.read()?.role()?;
    match role {
        None => first_start(store, &store.directory().join(KEYS_FOLDER), founding, clock),
        Some(NodeRole::Primary) => reopen(store, founding, clock),
        Some(NodeRole::Replica) => Err(BootstrapError::IsReplica),
    }
}

/// Loads the registry in a store, and signs its commits from then on.
///
/// # Errors
/// There is none, its records or its audit log are inconsistent, a key is missing or does not match, or writing fails.
pub fn reopen(
    store: &Store,
    founding: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Bootstrapped, BootstrapError> {
    ensure_finding_key(store)?;
    let txn = store.read()?;
    if txn.role()? == Some(NodeRole::Replica) {
        return Err(BootstrapError::IsReplica);
    }
    let (roots, epochs) = txn.trust()?;
    let (chain, epoch) = read_back(&roots, &epochs)?;
    if txn.anchored(&txn.audit_head()?)? == Some(false) {
        // Continuing would sign a manipulated log.
        return Err(BootstrapError::AuditLog);
    }
    trust_files::publish(store.directory(), &roots, &epochs)?;
    let unknown_token = match &founding.admin_token {
        Some(token) => !is_known(&txn, &token.hash())?,
        None => false,
    };
    let outdated = match txn.outdated()? {
        Some(_) => None,
        None => new_epoch::published_beyond(store, Timestamp::from_ms(clock.now_ms()))?,
    };
    drop(txn);
    if let Some(outdated) = outdated {
        store.write_blocking(move |txn| txn.set_outdated(outdated, &[]))?;
    }
    let clock = Arc::new(PrimaryClock::open(store, Arc::clone(clock), founding.trust_clock)?);
    let signer = signer(&chain, &epoch, &store.directory().join(KEYS_FOLDER), &clock)?;
    store.set_seal(signer.seal());
    Ok(Bootstrapped { signer, root_key: chain.key_id(), new_token: None, unknown_token })
}

/// The position at which an epoch that begins now starts.
///
/// # Errors
/// The database fails.
pub fn base_of(txn: &ReadTxn) -> Result<EpochBase, StoreError> {
    let state = txn.view_state()?;
    Ok(EpochBase { position: txn.head()?.position, state: state.hash })
}

/// Installs the next root document, and the epoch that it may begin: verifies the signatures, stores both, and signs
/// the state again under them. Installing the same document again has no effect; returns whether it was new.
///
/// # Errors
/// A signature is missing, the registry has changed since the epoch was drafted, or writing fails.
pub fn install_root(
    store: &Store,
    root: &[u8],
    epoch: Option<&[u8]>,
    clock: &Arc<dyn Clock>,
) -> Result<bool, BootstrapError> {
    let txn = store.read()?;
    if txn.role()? == Some(NodeRole::Replica) {
        return Err(BootstrapError::IsReplica);
    }
    let (mut roots, mut epochs) = txn.trust()?;
    let (mut chain, mut last) = read_back(&roots, &epochs)?;
    if chain.documents().any(|known| known.note() == root) {
        settle_checkpoint_key(store.directory(), &chain, &epochs)?;
        trust_files::publish(store.directory(), &roots, &epochs)?;
        return Ok(false);
    }
    let document = chain.extend(root)?;
    let (version, keys) = (document.version, document.root_keys.len());
    let said = format!("{} of {keys} root keys, longest lifetime {} s", document.threshold, document.max_lifetime_s);
    let mut audit = by_operator(Command::InstallRoot, vec![Subject::Root { version }], said);
    for known in &epochs {
        VerifiedEpoch::verify(known, &chain)?;
    }
    let begun = epoch.map(|note| VerifiedEpoch::verify(note, &chain)).transpose()?;
    if let Some(begun) = &begun {
        let record = begun.record();
        let here = last.record().epoch.saturating_add(1);
        let base = base_of(&txn)?;
        if record.epoch != here || record.base != Some(base) {
            return Err(BootstrapError::MovedOn {
                drafted: format!("epoch {}", record.epoch),
                base: record.base.map_or_else(|| "nothing".to_owned(), |base| base.position.to_string()),
                found: base.position.to_string(),
            });
        }
        audit.subjects.push(Subject::Epoch { number: record.epoch });
        epochs.push(begun.note().to_vec());
        last = begun.clone();
    }
    drop(txn);
    roots.push(root.to_vec());
    let clock = Arc::new(PrimaryClock::open(store, Arc::clone(clock), false)?);
    store.set_seal(signer(&chain, &last, &store.directory().join(KEYS_FOLDER), &clock)?.seal());
    let now = Timestamp::from_ms(clock.commit_ms()?);
    let root = root.to_vec();
    store.write_blocking(move |txn| -> Result<(), StoreError> {
        txn.put_root(version, &root)?;
        if let Some(begun) = begun {
            txn.put_epoch(begun.record().epoch, begun.note())?;
            txn.set_epoch(begun.record().epoch);
        }
        txn.commit(now, Vec::new(), audit).map(|_| ())
    })?;
    settle_checkpoint_key(store.directory(), &chain, &epochs)?;
    trust_files::publish(store.directory(), &roots, &epochs)?;
    Ok(true)
}

/// The file of the checkpoint key with this name in a folder of keys: its own file until it signs, then the usual one.
#[must_use]
pub fn checkpoint_key_file(keys: &Path, name: &str) -> PathBuf {
    let own = keys.join(format!("{name}.key"));
    if own.exists() { own } else { keys.join(CHECKPOINT_KEY_FILE) }
}

/// The file of a checkpoint key that does not sign yet, or no longer signs.
#[must_use]
pub fn own_key_file(directory: &Path, name: &str) -> PathBuf {
    directory.join(KEYS_FOLDER).join(format!("{name}.key"))
}

/// Moves the key of the newest epoch to the usual file, and the previous key beside it. If this is interrupted at any
/// point, [`checkpoint_key_file`] still finds the right one.
fn settle_checkpoint_key(directory: &Path, chain: &RootChain, epochs: &[Vec<u8>]) -> Result<(), BootstrapError> {
    let mut names = Vec::new();
    for note in epochs.iter().rev().take(2) {
        names.push(VerifiedEpoch::verify(note, chain)?.record().checkpoint_key.clone());
    }
    let [now, before] = names.as_slice() else { return Ok(()) };
    let (new, usual) = (own_key_file(directory, now), directory.join(KEYS_FOLDER).join(CHECKPOINT_KEY_FILE));
    if now == before || !new.exists() {
        return Ok(());
    }
    if usual.exists() {
        std::fs::rename(&usual, own_key_file(directory, before))?;
    }
    std::fs::rename(&new, &usual)?;
    Ok(std::fs::File::open(directory.join(KEYS_FOLDER))?.sync_all()?)
}

fn first_start(
    store: &Store,
    keys: &Path,
    founding: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Bootstrapped, BootstrapError> {
    let clock = Arc::new(PrimaryClock::new(Arc::clone(clock), founding.trust_clock));
    let now_ms = clock.commit_ms()?;
    create::directory(keys)?;
    ensure_finding_key(store)?;
    let root_key = make_key(&keys.join(ROOT_KEY_FILE))?;
    let checkpoint_key = make_key(&keys.join(CHECKPOINT_KEY_FILE))?;
    let issued = now_ms.div_euclid(1_000);
    let document = RootDocument {
        registry: founding.registry.clone().map_or_else(made_up_name, Ok)?,
        version: 1,
        threshold: 1,
        root_keys: vec![root_key.verifying_key()],
        checkpoint_keys: vec![(FIRST_CHECKPOINT_KEY.to_owned(), checkpoint_key.verifying_key())],
        failover_keys: Vec::new(),
        max_lifetime_s: MAX_LIFETIME_S,
        reset: None,
        issued,
    };
    let root_note = sign_root(&document, &[&root_key])?;
    let chain = RootChain::begin(&document.key_id(), &root_note)?;
    let record = EpochRecord {
        registry: document.registry.clone(),
        epoch: 1,
        base: None,
        checkpoint_key: FIRST_CHECKPOINT_KEY.to_owned(),
        root: 1,
        issued,
    };
    let epoch_note = record.sign_by_roots(&[&root_key])?;
    let epoch = VerifiedEpoch::verify(&epoch_note, &chain)?;
    let signer = signer(&chain, &epoch, keys, &clock)?;
    store.set_seal(signer.seal());
    let (token, new) = match founding.admin_token.clone() {
        Some(token) => (token, false),
        None => (AccessToken::generate()?, true),
    };
    let (hash, registry) = (token.hash(), document.registry.clone());
    store.write_blocking(move |txn| -> Result<(), StoreError> {
        let now = Timestamp::from_ms(now_ms);
        txn.put_meta(&meta::ROLE, &NodeRole::Primary)?;
        txn.put_meta(&meta::REGISTRY, &registry)?;
        txn.put_root(1, &root_note)?;
        txn.put_epoch(1, &epoch_note)?;
        txn.set_epoch(1);
        keep_first(txn, &hash, now)?;
        let subjects = vec![Subject::Registry { name: registry }, Subject::Token { name: FIRST_TOKEN.to_owned() }];
        let audit = by_operator(Command::Found, subjects, "first start".to_owned());
        txn.commit(now, Vec::new(), audit).map(|_| ())
    })?;
    Ok(Bootstrapped { signer, root_key: chain.key_id(), new_token: new.then_some(token), unknown_token: false })
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

/// The chain of roots and the current epoch.
fn read_back(roots: &[Vec<u8>], epochs: &[Vec<u8>]) -> Result<(RootChain, VerifiedEpoch), BootstrapError> {
    let (chain, mut epochs) = records::read_back(None, roots, epochs)?;
    let epoch = epochs.pop().ok_or_else(|| BootstrapError::Trust("there is no epoch record".to_owned()))?;
    Ok((chain, epoch))
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

/// Creates a key and its file; reuses the file of an interrupted first start.
fn make_key(path: &Path) -> Result<SigningKey, BootstrapError> {
    if path.exists() {
        return Ok(read_key(path)?);
    }
    let key = SigningKey::generate()?;
    replace(path, format!("{}\n", key.to_key_file()).as_bytes(), 0o600)?;
    Ok(key)
}

fn made_up_name() -> Result<String, BootstrapError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| BootstrapError::Trust(error.to_string()))?;
    Ok(format!("registry-{:08x}", u32::from_le_bytes(random)))
}

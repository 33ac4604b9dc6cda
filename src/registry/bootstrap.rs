//! Starts a primary: the first start creates its name, keys, root document and first access token; later starts load
//! and verify them.
//!
//! A first start works in a separate folder. One rename moves the database into the data directory when everything is
//! durable, including the access token, which is written to a file that only its owner can read. A process that is
//! killed earlier leaves nothing that could start, and the next start begins again.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::access::{FIRST_TOKEN, ensure_automation, ensure_finding_key, is_known, keep_first};
use super::directory::{ADMIN_TOKEN_FILE, DirectoryContents, FIRST_START_FOLDER, RESTORE_FOLDER, look};
use super::epochs::{BootstrapError, base_of, by_operator, signer};
use super::new_epoch;
use crate::api::status::NodeRole;
use crate::clock::Clock;
use crate::crypto::key::SigningKey;
use crate::crypto::secret::AccessToken;
use crate::model::audit::{Command, Subject};
use crate::model::time::Timestamp;
use crate::signing::key_files::{CHECKPOINT_KEY_FILE, KEYS_FOLDER, ROOT_KEY_FILE, read_key};
use crate::signing::primary_clock::PrimaryClock;
use crate::signing::signer::Signer;
use crate::signing::trust_files;
use crate::store::files::{replace, sync_directory};
use crate::store::meta;
use crate::store::{Options, REGISTRY_FILE, Store, StoreError, create};
use crate::trust::epoch::{EpochRecord, VerifiedEpoch};
use crate::trust::records::{self};
use crate::trust::root::{RootDocument, RootKeyId, sign_root};
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

/// Opens the registry in a data directory, or creates one if it is empty; `announce` shows the generated access token,
/// which is in a file by then, before it becomes valid.
///
/// # Errors
/// The directory belongs to a replica, held a registry whose database is lost, or is in use; a key is missing or does
/// not match; the clock is implausible; or writing fails.
pub fn open(
    directory: &Path,
    options: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
    announce: impl FnOnce(&FirstStart<'_>),
) -> Result<(Store, Bootstrapped), BootstrapError> {
    create::directory(directory)?;
    let new_token = match look(directory)? {
        DirectoryContents::Nothing => create_registry(directory, options, clock, announce)?,
        DirectoryContents::Database => None,
    };
    let store = Store::open_to_serve(&Options { directory: directory.to_owned(), create: false })?;
    for folder in [FIRST_START_FOLDER, RESTORE_FOLDER] {
        // Left by a process that was killed just after it finished.
        let _there_may_be_none = std::fs::remove_dir_all(directory.join(folder));
    }
    let opened = bootstrap(&store, options, clock)?;
    Ok((store, Bootstrapped { new_token, ..opened }))
}

/// Creates a registry in a separate folder, then moves it into place; returns the access token if it was generated.
fn create_registry(
    directory: &Path,
    options: &BootstrapOptions,
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
    let started = (|| {
        let store = Store::open(&Options { directory: aside.clone(), create: true })?;
        let started = first_start(&store, &keys, options, clock);
        store.close_blocking();
        let started = started?;
        let token_file = directory.join(ADMIN_TOKEN_FILE);
        // A leftover of an interrupted first start is ignored.
        let _there_may_be_none = std::fs::remove_file(&token_file);
        if let Some(token) = &started.new_token {
            replace(&token_file, format!("{}\n", token.reveal()).as_bytes(), 0o600)?;
            announce(&FirstStart { token, token_file: &token_file, root_key: started.root_key });
        }
        std::fs::rename(aside.join(REGISTRY_FILE), directory.join(REGISTRY_FILE))?;
        Ok(started.new_token)
    })();
    if started.is_err() {
        let _best_effort = std::fs::remove_dir_all(&keys);
        let _there_may_be_none = std::fs::remove_file(directory.join(ADMIN_TOKEN_FILE));
    }
    sync_directory(directory)?;
    let _next_time = std::fs::remove_dir_all(&aside);
    started
}

/// Creates a registry in an empty store, or loads the existing one, and signs its commits from then on.
///
/// # Errors
/// The directory belongs to a replica, a key is missing or does not match, or writing fails.
pub fn bootstrap(
    store: &Store,
    options: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Bootstrapped, BootstrapError> {
    let role = store.read()?.role()?;
    match role {
        None => first_start(store, &store.directory().join(KEYS_FOLDER), options, clock),
        Some(NodeRole::Primary) => reopen(store, options, clock),
        Some(NodeRole::Replica) => Err(BootstrapError::IsReplica),
    }
}

/// Loads the registry in a store, and signs its commits from then on.
///
/// # Errors
/// There is none, its records or its audit log are inconsistent, a key is missing or does not match, or writing fails.
pub fn reopen(
    store: &Store,
    options: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Bootstrapped, BootstrapError> {
    ensure_finding_key(store)?;
    let txn = store.read()?;
    if txn.role()? == Some(NodeRole::Replica) {
        return Err(BootstrapError::IsReplica);
    }
    ensure_automation(store, Timestamp::from_ms(clock.now_ms()))?;
    let (roots, epochs) = txn.trust()?;
    let (chain, epoch) = read_back(&roots, &epochs)?;
    if txn.anchored(&txn.audit_head()?)? == Some(false) {
        // Continuing would sign a manipulated log.
        return Err(BootstrapError::AuditLog);
    }
    trust_files::publish(store.directory(), &roots, &epochs)?;
    let unknown_token = match &options.admin_token {
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
    let clock = Arc::new(PrimaryClock::open(store, Arc::clone(clock), options.trust_clock)?);
    let signer = signer(&chain, &epoch, &store.directory().join(KEYS_FOLDER), &clock)?;
    store.set_seal(signer.seal());
    Ok(Bootstrapped { signer, root_key: chain.key_id(), new_token: None, unknown_token })
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
    let started = epoch.map(|note| VerifiedEpoch::verify(note, &chain)).transpose()?;
    if let Some(started) = &started {
        let record = started.record();
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
        epochs.push(started.note().to_vec());
        last = started.clone();
    }
    drop(txn);
    roots.push(root.to_vec());
    let clock = Arc::new(PrimaryClock::open(store, Arc::clone(clock), false)?);
    store.set_seal(signer(&chain, &last, &store.directory().join(KEYS_FOLDER), &clock)?.seal());
    let now = Timestamp::from_ms(clock.commit_ms()?);
    let root = root.to_vec();
    store.write_blocking(move |txn| -> Result<(), StoreError> {
        txn.put_root(version, &root)?;
        if let Some(started) = started {
            txn.put_epoch(started.record().epoch, started.note())?;
            txn.set_epoch(started.record().epoch);
        }
        txn.commit(now, Vec::new(), audit).map(|_| ())
    })?;
    settle_checkpoint_key(store.directory(), &chain, &epochs)?;
    trust_files::publish(store.directory(), &roots, &epochs)?;
    Ok(true)
}

/// The file of a checkpoint key that does not sign yet, or no longer signs.
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
    options: &BootstrapOptions,
    clock: &Arc<dyn Clock>,
) -> Result<Bootstrapped, BootstrapError> {
    let clock = Arc::new(PrimaryClock::new(Arc::clone(clock), options.trust_clock));
    let now_ms = clock.commit_ms()?;
    create::directory(keys)?;
    ensure_finding_key(store)?;
    ensure_automation(store, Timestamp::from_ms(now_ms))?;
    let root_key = make_key(&keys.join(ROOT_KEY_FILE))?;
    let checkpoint_key = make_key(&keys.join(CHECKPOINT_KEY_FILE))?;
    let issued = now_ms.div_euclid(1_000);
    let document = RootDocument {
        registry: options.registry.clone().map_or_else(made_up_name, Ok)?,
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
    let (token, new) = match options.admin_token.clone() {
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

/// The chain of roots and the current epoch.
fn read_back(roots: &[Vec<u8>], epochs: &[Vec<u8>]) -> Result<(RootChain, VerifiedEpoch), BootstrapError> {
    let (chain, mut epochs) = records::read_back(None, roots, epochs)?;
    let epoch = epochs.pop().ok_or_else(|| BootstrapError::Trust("there is no epoch record".to_owned()))?;
    Ok((chain, epoch))
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

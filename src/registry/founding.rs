//! The first start of a primary: its name, its keys, its root document and its first access token.
//! Every later start: the same, read back and checked.

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;

use super::access::{FIRST_TOKEN, keep_first};
use super::seal::{CHECKPOINT_KEY_FILE, KEYS_FOLDER, KeyFileError, ROOT_KEY_FILE, Signer, read_key};
use crate::clock::Clock;
use crate::crypto::key::{KeyError, SigningKey};
use crate::crypto::secret::{AccessToken, SecretError};
use crate::model::time::Timestamp;
use crate::store::files::replace;
use crate::store::write::AuditDraft;
use crate::store::{Store, StoreError};
use crate::trust::epoch::{EpochBase, EpochError, EpochRecord, VerifiedEpoch};
use crate::trust::root::{RootDocument, RootError, RootKeyId, sign_root};
use crate::trust::root_chain::RootChain;

/// The longest lifetime that a root document allows a checkpoint, in seconds: 90 days, for air gaps.
pub const MAX_LIFETIME_S: u64 = 90 * 24 * 3_600;
/// The folder of public records in the data directory.
const TRUST_FOLDER: &str = "trust";
/// The name of the first checkpoint key.
const FIRST_CHECKPOINT_KEY: &str = "checkpoint-1";

/// What a first start needs to know.
#[derive(Debug, Default)]
pub struct Founding {
    /// The registry's name; made up when none.
    pub registry: Option<String>,
    /// The first access token; made up when none.
    pub admin_token: Option<AccessToken>,
}

/// A registry that is ready to be opened.
pub struct Founded {
    /// Signs its checkpoints.
    pub signer: Arc<Signer>,
    /// What replicas are given to trust.
    pub root_key: RootKeyId,
    /// The first access token, when this start made it up.
    pub new_token: Option<AccessToken>,
}

/// Why a registry could not be founded or read back.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum FoundingError {
    #[error(
        "this directory belongs to a replica; start it with `bookholder replica`, or give the primary another --data"
    )]
    IsReplica,
    #[error("the signed records of this registry do not hold together: {0}")]
    Trust(String),
    #[error(
        "the key in {KEYS_FOLDER}/{CHECKPOINT_KEY_FILE} is not the one that epoch {epoch} names; put the right key back"
    )]
    OtherKey { epoch: u64 },
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
    #[error("a file cannot be written in the data directory")]
    File(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Founds a registry in an empty store, or reads back the one that is there, and seals its commits
/// from then on.
///
/// # Errors
/// The directory belongs to a replica, a key is missing or another, or writing fails.
pub fn found(store: &Store, founding: Founding, clock: &Arc<dyn Clock>) -> Result<Founded, FoundingError> {
    let txn = store.read()?;
    if txn.meta("pin")?.is_some() {
        return Err(FoundingError::IsReplica);
    }
    if txn.meta("registry")?.is_none() {
        drop(txn);
        return first_start(store, founding, clock);
    }
    let (roots, epochs) = txn.trust()?;
    let (chain, epoch) = read_back(&roots, &epochs)?;
    publish_trust(store.directory(), &roots, &epochs)?;
    let key = read_key(&store.directory().join(KEYS_FOLDER).join(CHECKPOINT_KEY_FILE))?;
    let signer = signer(&chain, &epoch, key, clock)?;
    store.set_seal(signer.seal());
    Ok(Founded { signer, root_key: chain.key_id(), new_token: None })
}

/// Gives a restored copy of a registry another epoch, so that nobody takes it for the one it was.
///
/// # Errors
/// The root key is not the registry's, or writing fails.
pub fn begin_epoch(store: &Store, root_key: &SigningKey, clock: &Arc<dyn Clock>) -> Result<u64, FoundingError> {
    let txn = store.read()?;
    let (roots, epochs) = txn.trust()?;
    let (chain, last) = read_back(&roots, &epochs)?;
    let head = txn.head()?;
    let namespaces = txn.namespaces()?;
    let state = crate::store::read::view_state(namespaces.iter().map(|(name, state)| (name.as_str(), state)));
    drop(txn);
    let now_s = clock.now_ms().div_euclid(1_000);
    let record = EpochRecord {
        registry: chain.current().registry.clone(),
        epoch: last.record().epoch.saturating_add(1),
        base: Some(EpochBase { position: head.position, state: state.hash }),
        checkpoint_key: last.record().checkpoint_key.clone(),
        root: chain.current().version,
        issued: now_s,
    };
    let epoch = record.epoch;
    let note = record.sign_by_roots(&[root_key])?;
    let verified = VerifiedEpoch::verify(&note, &chain)?;
    let key = read_key(&store.directory().join(KEYS_FOLDER).join(CHECKPOINT_KEY_FILE))?;
    store.set_seal(signer(&chain, &verified, key, clock)?.seal());
    let now = Timestamp::from_ms(clock.now_ms());
    let audit = AuditDraft {
        actor: "operator".to_owned(),
        command: "begin-epoch",
        subjects: vec![epoch.to_string()],
        message: format!("restored at {}", head.position),
    };
    store.write_blocking(move |txn| -> Result<(), StoreError> {
        txn.put_epoch(epoch, &note)?;
        txn.set_epoch(epoch);
        txn.commit(now, Vec::new(), audit).map(|_| ())
    })?;
    Ok(epoch)
}

fn first_start(store: &Store, founding: Founding, clock: &Arc<dyn Clock>) -> Result<Founded, FoundingError> {
    let keys = store.directory().join(KEYS_FOLDER);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&keys)?;
    let root_key = make_key(&keys.join(ROOT_KEY_FILE))?;
    let checkpoint_key = make_key(&keys.join(CHECKPOINT_KEY_FILE))?;
    let now_ms = clock.now_ms();
    let issued = now_ms.div_euclid(1_000);
    let document = RootDocument {
        registry: founding.registry.map_or_else(made_up_name, Ok)?,
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
    let signer = signer(&chain, &epoch, checkpoint_key, clock)?;
    store.set_seal(signer.seal());
    let (token, new) = match founding.admin_token {
        Some(token) => (token, false),
        None => (AccessToken::generate()?, true),
    };
    publish_trust(store.directory(), std::slice::from_ref(&root_note), std::slice::from_ref(&epoch_note))?;
    let (hash, registry) = (token.hash(), document.registry.clone());
    store.write_blocking(move |txn| -> Result<(), StoreError> {
        let now = Timestamp::from_ms(now_ms);
        txn.put_meta("registry", registry.as_bytes())?;
        txn.put_root(1, &root_note)?;
        txn.put_epoch(1, &epoch_note)?;
        txn.set_epoch(1);
        keep_first(txn, &hash, now)?;
        let audit = AuditDraft {
            actor: "operator".to_owned(),
            command: "found",
            subjects: vec![registry, FIRST_TOKEN.to_owned()],
            message: "first start".to_owned(),
        };
        txn.commit(now, Vec::new(), audit).map(|_| ())
    })?;
    Ok(Founded { signer, root_key: chain.key_id(), new_token: new.then_some(token) })
}

fn read_back(roots: &[Vec<u8>], epochs: &[Vec<u8>]) -> Result<(RootChain, VerifiedEpoch), FoundingError> {
    let broken = |what: &str| FoundingError::Trust(what.to_owned());
    let (first, later) = roots.split_first().ok_or_else(|| broken("there is no root document"))?;
    let text = crate::crypto::note::Note::parse(first, crate::trust::root::ROOT_BYTES_MAX)
        .map_err(|error| FoundingError::Trust(error.to_string()))?;
    let mut chain = RootChain::begin(&RootDocument::parse(text.text())?.key_id(), first)?;
    for note in later {
        chain.extend(note)?;
    }
    let last = epochs.last().ok_or_else(|| broken("there is no epoch record"))?;
    let epoch = VerifiedEpoch::verify(last, &chain)?;
    Ok((chain, epoch))
}

fn signer(
    chain: &RootChain,
    epoch: &VerifiedEpoch,
    key: SigningKey,
    clock: &Arc<dyn Clock>,
) -> Result<Arc<Signer>, FoundingError> {
    let root = chain.current();
    let record = epoch.record();
    if root.checkpoint_key(&record.checkpoint_key) != Some(&key.verifying_key()) {
        return Err(FoundingError::OtherKey { epoch: record.epoch });
    }
    Ok(Arc::new(Signer {
        registry: root.registry.clone(),
        key_name: record.checkpoint_key.clone(),
        key,
        root: root.version,
        clock: Arc::clone(clock),
    }))
}

/// Keeps the public records of trust as files too, so that they can be read while a node runs.
fn publish_trust(directory: &Path, roots: &[Vec<u8>], epochs: &[Vec<u8>]) -> std::io::Result<()> {
    let folder = directory.join(TRUST_FOLDER);
    std::fs::create_dir_all(&folder)?;
    for (kind, notes) in [("root", roots), ("epoch", epochs)] {
        for (index, note) in notes.iter().enumerate() {
            replace(&folder.join(format!("{kind}-{}", index + 1)), note, 0o644)?;
        }
    }
    Ok(())
}

/// The signed root documents and epoch records that a running node keeps as files.
///
/// # Errors
/// A file cannot be read.
#[allow(clippy::type_complexity, reason = "two lists of signed notes")]
pub fn published_trust(directory: &Path) -> std::io::Result<(Vec<Vec<u8>>, Vec<Vec<u8>>)> {
    let read = |kind: &str| {
        let path = |number: u64| directory.join(TRUST_FOLDER).join(format!("{kind}-{number}"));
        (1..).map(path).take_while(|path| path.exists()).map(std::fs::read).collect::<Result<Vec<_>, _>>()
    };
    Ok((read("root")?, read("epoch")?))
}

/// Makes a key and its file; a file from a first start that was cut short is used as it is.
fn make_key(path: &Path) -> Result<SigningKey, FoundingError> {
    if path.exists() {
        return Ok(read_key(path)?);
    }
    let key = SigningKey::generate()?;
    replace(path, format!("{}\n", key.to_key_file()).as_bytes(), 0o600)?;
    Ok(key)
}

fn made_up_name() -> Result<String, FoundingError> {
    let mut random = [0; 4];
    getrandom::fill(&mut random).map_err(|error| FoundingError::Trust(error.to_string()))?;
    Ok(format!("registry-{:08x}", u32::from_le_bytes(random)))
}

//! The ceremony that changes the trusted keys of a registry: draft, sign on any number of machines, install.
//!
//! A draft is one file that is passed between people. It contains every root document up to the current one, so that a
//! signer on a machine without a network can see from the root key ID which registry it is for, and what would change.
//! Its claims are never trusted: `install` verifies it as a replica would.
//!
//! Invariant: no function here overwrites a private key, or writes registry data at all; [`install_root`] does that.

use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::offline::{DirectoryState, OfflineError, directory_state};
use crate::clock::Clock;
use crate::crypto::key::{KeyError, SigningKey, VerifyingKey};
use crate::crypto::note::{NOTE_BYTES_MAX, Note, NoteError, Signed};
use crate::json::plain_reason;
use crate::registry::bootstrap::{install_root, own_key_file};
use crate::registry::epochs::BootstrapError;
use crate::signing::key_files::{KEYS_FOLDER, KeyFileError, ROOT_KEY_FILE, read_key};
use crate::store::files::replace;
use crate::store::{Options, Store, StoreError};
use crate::trust::epoch::{EpochError, EpochRecord};
use crate::trust::root::{ROOT_BYTES_MAX, RootDocument, RootError, RootKeyId, root_signer_name};
use crate::trust::root_chain::RootChain;

/// Longest draft, in bytes: several times the longest chain of typical documents.
const DRAFT_BYTES_MAX: u64 = 8 * 1_024 * 1_024;
/// The format name of a draft.
const FORMAT: &str = "bookholder/draft/v1";
/// The comment at the start of a draft.
const HEADING: &str = "\
# The next root document of a registry, and the epoch that it may begin. Each holder of a root key reads it and signs:
#   bookholder keys sign FILE --key root.key
";
const DAY_S: u64 = 86_400;
/// The prefix of the names of checkpoint keys, followed by a number.
const CHECKPOINT_KEY_PREFIX: &str = "checkpoint-";

/// Why a step of the ceremony failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum CeremonyError {
    #[error("cannot {what} {}: {source}", path.display())]
    File { what: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{} already exists and is not overwritten", path.display())]
    Exists { path: PathBuf },
    #[error("{} is not a draft of a root document: {reason}", path.display())]
    NoDraft { path: PathBuf, reason: String },
    #[error("no changes from root document {version}")]
    NoChange { version: u64 },
    #[error("a new checkpoint key needs a new epoch, which begins at the latest commit: stop the node on {} first", path.display())]
    Running { path: PathBuf },
    #[error("key {key} is in neither root document {before} nor {next}; its signature would not count")]
    Stranger { key: String, before: u64, next: u64 },
    #[error("this draft is of root document {drafted}, but {installed} is already in force; draft it again")]
    Outdated { drafted: u64, installed: u64 },
    #[error("the draft does not have enough signatures")]
    Unsigned { missing: Vec<SignatureCount> },
    #[error("reading or writing a file failed: {0}")]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Offline(#[from] OfflineError),
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Root(#[from] RootError),
    #[error(transparent)]
    Epoch(#[from] EpochError),
    #[error(transparent)]
    Note(#[from] NoteError),
}

/// The changes of the next root document; everything else remains.
#[derive(Debug, Default)]
pub struct Plan {
    /// All root keys, if they change.
    pub root_keys: Vec<VerifyingKey>,
    /// The new threshold.
    pub threshold: Option<u8>,
    /// The longest lifetime of a checkpoint.
    pub max_lifetime_days: Option<u32>,
    /// Whether to replace the checkpoint key.
    pub rotate_checkpoint: bool,
}

/// The signatures of a draft by the keys of one root document, and the required number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SignatureCount {
    /// The signed document: `root` or `epoch`.
    pub of: &'static str,
    /// The root document whose keys are required.
    pub root: u64,
    /// Number of its keys that signed.
    pub found: usize,
    /// Its threshold.
    pub needed: usize,
}

impl SignatureCount {
    /// Number of missing signatures.
    pub const fn missing(&self) -> usize {
        self.needed.saturating_sub(self.found)
    }
}

/// A text to be signed, with its signatures so far.
#[derive(Debug, Clone)]
enum SignablePart {
    Text(String),
    Note(Note),
}

/// A root document being signed, and the epoch that it may begin.
#[derive(Debug, Clone)]
pub struct Draft {
    chain: RootChain,
    document: RootDocument,
    root: SignablePart,
    record: Option<EpochRecord>,
    epoch: Option<SignablePart>,
}

/// The layout of a draft's file; notes are embedded unchanged.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DraftFile {
    format: String,
    root: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    epoch: Option<String>,
    in_force: Vec<String>,
}

/// Generates an offline root key; returns its public half.
///
/// # Errors
/// The file exists or cannot be written.
pub fn new_key(path: &Path) -> Result<VerifyingKey, CeremonyError> {
    let key = SigningKey::generate()?;
    let failed = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => CeremonyError::Exists { path: path.to_owned() },
        _ => CeremonyError::File { what: "write", path: path.to_owned(), source },
    };
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    file.write_all(format!("{}\n", key.to_key_file()).as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    Ok(key.verifying_key())
}

/// Drafts the next root document of a data directory, even while a node runs on it, into a new file.
///
/// # Errors
/// The file exists, nothing would change, the plan is invalid, or a checkpoint key is to change while a node runs.
pub fn draft(data: &Path, out: &Path, plan: Plan, clock: &Arc<dyn Clock>) -> Result<Draft, CeremonyError> {
    if out.symlink_metadata().is_ok() {
        return Err(CeremonyError::Exists { path: out.to_owned() });
    }
    let DirectoryState { chain, epoch, base, replica } = directory_state(data)?;
    if replica {
        return Err(BootstrapError::IsReplica.into());
    }
    let now = chain.current();
    let issued = clock.now_ms().div_euclid(1_000);
    let mut next = RootDocument { reset: None, ..now.clone() };
    if !plan.root_keys.is_empty() {
        next.root_keys = plan.root_keys;
    }
    next.threshold = plan.threshold.unwrap_or(next.threshold);
    next.max_lifetime_s = plan.max_lifetime_days.map_or(next.max_lifetime_s, |days| u64::from(days) * DAY_S);
    next = next.sorted();
    if !plan.rotate_checkpoint && next == (RootDocument { reset: None, ..now.clone() }) {
        return Err(CeremonyError::NoChange { version: now.version });
    }
    next = RootDocument { version: now.version.saturating_add(1), issued, ..next };
    // Validated before a key is generated for it.
    RootDocument::parse(&next.to_text())?;
    let mut record = None;
    if plan.rotate_checkpoint {
        let base = base.ok_or_else(|| CeremonyError::Running { path: data.to_owned() })?;
        let (name, key) = new_checkpoint_key(data, &chain)?;
        next.checkpoint_keys.retain(|(listed, _)| *listed != epoch.record().checkpoint_key);
        next.checkpoint_keys.push((name.clone(), key));
        next = next.sorted();
        record = Some(EpochRecord {
            registry: next.registry.clone(),
            epoch: epoch.record().epoch.saturating_add(1),
            base: Some(base),
            checkpoint_key: name,
            root: next.version,
            issued,
        });
    }
    let draft = Draft {
        root: SignablePart::Text(next.to_text()),
        epoch: record.as_ref().map(|record| SignablePart::Text(record.to_text())),
        document: next,
        chain,
        record,
    };
    draft.write(out)?;
    Ok(draft)
}

/// Generates a checkpoint key with a name that no root document used for another one.
fn new_checkpoint_key(data: &Path, chain: &RootChain) -> Result<(String, VerifyingKey), CeremonyError> {
    let taken = chain.documents().flat_map(|root| &root.document().checkpoint_keys);
    let numbers = taken.filter_map(|(name, _)| name.strip_prefix(CHECKPOINT_KEY_PREFIX)?.parse::<u64>().ok());
    let mut number = numbers.max().unwrap_or(0);
    loop {
        number = number.saturating_add(1);
        let name = format!("{CHECKPOINT_KEY_PREFIX}{number}");
        // A file with that name belongs to a draft that may still be in use.
        match new_key(&own_key_file(data, &name)) {
            Err(CeremonyError::Exists { .. }) => {}
            made => return Ok((name, made?)),
        }
    }
}

/// The result of signing a draft.
#[derive(Debug)]
pub struct SignResult {
    /// The draft, with the signature.
    pub draft: Draft,
    /// The key that signed it.
    pub key: VerifyingKey,
    /// Whether the key had not signed it before.
    pub new: bool,
}

/// Signs a draft in place.
///
/// # Errors
/// The file is not a draft, or the key is not one of the required ones.
pub fn sign(path: &Path, key: &Path) -> Result<SignResult, CeremonyError> {
    let mut draft = Draft::read(path)?;
    let key = read_key(key)?;
    let public = key.verifying_key();
    let (before, next) = (draft.chain.current(), &draft.document);
    let grants = next.root_keys.contains(&public);
    if !grants && !before.root_keys.contains(&public) {
        return Err(CeremonyError::Stranger { key: public.to_string(), before: before.version, next: next.version });
    }
    let name = root_signer_name(&next.registry, &public);
    let mut new = draft.root.sign(&name, &key)?;
    if let Some(epoch) = draft.epoch.as_mut().filter(|_| grants) {
        new |= epoch.sign(&name, &key)?;
    }
    if new {
        draft.write(path)?;
    }
    Ok(SignResult { draft, key: public, new })
}

/// The result of an installation.
#[derive(Debug)]
pub struct InstallResult {
    /// The installed document.
    pub draft: Draft,
    /// Whether it was new.
    pub new: bool,
    /// A root key that is still in the data directory.
    pub root_key_file: Option<PathBuf>,
}

/// Installs a signed draft in the data directory of a stopped node.
///
/// # Errors
/// Signatures are missing, it was drafted from another state, a node is running, or writing fails.
pub fn install(path: &Path, data: &Path, clock: &Arc<dyn Clock>) -> Result<InstallResult, CeremonyError> {
    let draft = Draft::read(path)?;
    draft.check_signed()?;
    let store = Store::open(&Options { directory: data.to_owned(), create: false })?;
    let root = draft.root.to_bytes();
    let epoch = draft.epoch.as_ref().map(SignablePart::to_bytes);
    let new = install_root(&store, &root, epoch.as_deref(), clock).map_err(|error| match error {
        BootstrapError::Root(RootError::NotNext { expected, found }) if found < expected => {
            CeremonyError::Outdated { drafted: found, installed: expected.saturating_sub(1) }
        }
        error => error.into(),
    })?;
    let root_key_file = data.join(KEYS_FOLDER).join(ROOT_KEY_FILE);
    Ok(InstallResult { draft, new, root_key_file: root_key_file.exists().then_some(root_key_file) })
}

impl Draft {
    /// The current document.
    pub fn before(&self) -> &RootDocument {
        self.chain.current()
    }

    /// The drafted document.
    pub const fn next(&self) -> &RootDocument {
        &self.document
    }

    /// The drafted epoch.
    pub const fn epoch(&self) -> Option<&EpochRecord> {
        self.record.as_ref()
    }

    /// The root key ID of its registry.
    pub fn root_key(&self) -> RootKeyId {
        self.chain.key_id()
    }

    /// The changes, one per line.
    pub fn changes(&self) -> Vec<String> {
        let (before, next) = (self.before(), self.next());
        let mut changes = Vec::new();
        let signers = |root: &RootDocument| format!("{} of {}", root.threshold, root.root_keys.len());
        let (was, is) = (signers(before), signers(next));
        if was != is {
            changes.push(format!("root keys that must sign: {was} → {is}"));
        }
        let mut compare = |what: &str, before: Vec<String>, next: Vec<String>| {
            changes.extend(before.iter().filter(|key| !next.contains(key)).map(|key| format!("− {what} {key}")));
            changes.extend(next.iter().filter(|key| !before.contains(key)).map(|key| format!("+ {what} {key}")));
        };
        let roots = |root: &RootDocument| root.root_keys.iter().map(ToString::to_string).collect();
        let named = |keys: &[(String, VerifyingKey)]| keys.iter().map(|(name, key)| format!("{name} {key}")).collect();
        compare("root key", roots(before), roots(next));
        compare("checkpoint key", named(&before.checkpoint_keys), named(&next.checkpoint_keys));
        compare("failover key", named(&before.failover_keys), named(&next.failover_keys));
        if before.max_lifetime_s != next.max_lifetime_s {
            let days = |seconds: u64| seconds / DAY_S;
            let (was, is) = (days(before.max_lifetime_s), days(next.max_lifetime_s));
            changes.push(format!("maximum lifetime of a checkpoint: {was} → {is} days"));
        }
        if let Some(reset) = next.reset {
            changes.push(format!("replicas may fall back to {reset}"));
        }
        if let Some(record) = &self.record {
            let base = record.base.map_or_else(|| "nothing".to_owned(), |base| base.position.to_string());
            changes.push(format!("epoch {} begins after {base}, signed by {}", record.epoch, record.checkpoint_key));
        }
        changes
    }

    /// The number of signatures, and the required number.
    ///
    /// # Errors
    /// One of the signatures is invalid.
    pub fn tallies(&self) -> Result<Vec<SignatureCount>, CeremonyError> {
        let tally = |of, part: &SignablePart, root: &RootDocument| -> Result<SignatureCount, NoteError> {
            let found = part.signatures(root)?;
            Ok(SignatureCount { of, root: root.version, found, needed: usize::from(root.threshold) })
        };
        let mut tallies = vec![tally("root", &self.root, self.before())?, tally("root", &self.root, self.next())?];
        if let Some(epoch) = &self.epoch {
            tallies.push(tally("epoch", epoch, self.next())?);
        }
        Ok(tallies)
    }

    /// Drafts an epoch for a restored copy, with a root document that repeats the current one: both are signed
    /// together.
    pub(super) fn of_epoch(
        chain: RootChain,
        record: impl FnOnce(u64) -> EpochRecord,
        issued: i64,
        out: &Path,
    ) -> Result<Self, CeremonyError> {
        if out.symlink_metadata().is_ok() {
            return Err(CeremonyError::Exists { path: out.to_owned() });
        }
        let now = chain.current();
        let next = RootDocument { version: now.version.saturating_add(1), reset: None, issued, ..now.clone() };
        let record = record(next.version);
        let draft = Self {
            root: SignablePart::Text(next.to_text()),
            epoch: Some(SignablePart::Text(record.to_text())),
            document: next,
            record: Some(record),
            chain,
        };
        draft.write(out)?;
        Ok(draft)
    }

    /// The root document and the epoch record of a fully signed draft.
    pub(super) fn read_signed(path: &Path) -> Result<(Vec<u8>, Vec<u8>), CeremonyError> {
        let draft = Self::read(path)?;
        draft.check_signed()?;
        let no_epoch = || "it does not begin an epoch; create one with `bookholder restore --draft`".to_owned();
        let epoch =
            draft.epoch.as_ref().ok_or_else(|| CeremonyError::NoDraft { path: path.to_owned(), reason: no_epoch() })?;
        Ok((draft.root.to_bytes(), epoch.to_bytes()))
    }

    fn check_signed(&self) -> Result<(), CeremonyError> {
        let missing: Vec<SignatureCount> = self.tallies()?.into_iter().filter(|tally| tally.missing() > 0).collect();
        if missing.is_empty() { Ok(()) } else { Err(CeremonyError::Unsigned { missing }) }
    }

    fn read(path: &Path) -> Result<Self, CeremonyError> {
        let failed = |source| CeremonyError::File { what: "read", path: path.to_owned(), source };
        let mut text = String::new();
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(DRAFT_BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
        Self::parse(&text).map_err(|reason| CeremonyError::NoDraft { path: path.to_owned(), reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: DraftFile = toml::from_str(text).map_err(|error| plain_reason(error.message(), "a table"))?;
        if file.format != FORMAT {
            return Err(format!("it is `{}`, not `{FORMAT}`", file.format));
        }
        let explain = |error: &dyn std::error::Error| error.to_string();
        let (first, later) = file.in_force.split_first().ok_or("it does not contain the current root document")?;
        let begin = || -> Result<RootChain, RootError> {
            let pinned = RootDocument::parse(Note::parse(first.as_bytes(), ROOT_BYTES_MAX)?.text())?.key_id();
            let mut chain = RootChain::begin(&pinned, first.as_bytes())?;
            for note in later {
                chain.extend(note.as_bytes())?;
            }
            Ok(chain)
        };
        let chain = begin().map_err(|error| explain(&error))?;
        let root = SignablePart::parse(&file.root, ROOT_BYTES_MAX).map_err(|error| explain(&error))?;
        let document = RootDocument::parse(root.text()).map_err(|error| explain(&error))?;
        let current = chain.current();
        if document.registry != current.registry || document.version != current.version.saturating_add(1) {
            return Err(format!("its root document does not follow root document {}", current.version));
        }
        let epoch = file.epoch.map(|epoch| SignablePart::parse(&epoch, NOTE_BYTES_MAX)).transpose();
        let epoch = epoch.map_err(|error| explain(&error))?;
        let record = epoch.as_ref().map(|epoch| EpochRecord::parse(epoch.text())).transpose();
        let record = record.map_err(|error| explain(&error))?;
        let fits = |record: &EpochRecord| record.registry == document.registry && record.root == document.version;
        if !record.as_ref().is_none_or(fits) {
            return Err(format!("its epoch does not belong to root document {}", document.version));
        }
        Ok(Self { chain, document, root, record, epoch })
    }

    fn write(&self, path: &Path) -> Result<(), CeremonyError> {
        let failed = |source| CeremonyError::File { what: "write", path: path.to_owned(), source };
        let whole = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let file = DraftFile {
            format: FORMAT.to_owned(),
            root: whole(self.root.to_bytes()),
            epoch: self.epoch.as_ref().map(|epoch| whole(epoch.to_bytes())),
            in_force: self.chain.documents().map(|root| whole(root.note().to_vec())).collect(),
        };
        let text = toml::to_string_pretty(&file).map_err(|error| failed(std::io::Error::other(error)))?;
        replace(path, format!("{HEADING}{text}").as_bytes(), 0o644).map_err(failed)
    }
}

impl SignablePart {
    /// Without a blank line it is an unsigned text.
    fn parse(whole: &str, bytes_max: usize) -> Result<Self, NoteError> {
        if whole.contains("\n\n") {
            return Note::parse(whole.as_bytes(), bytes_max).map(Self::Note);
        }
        Ok(Self::Text(whole.to_owned()))
    }

    fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Note(note) => note.text(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Text(text) => text.clone().into_bytes(),
            Self::Note(note) => note.to_bytes(),
        }
    }

    /// Adds a signature; returns whether it was new.
    fn sign(&mut self, name: &str, key: &SigningKey) -> Result<bool, NoteError> {
        match self {
            Self::Text(text) => *self = Self::Note(Note::sign(text, &[(name, key)])?),
            Self::Note(note) if note.verify(name, &key.verifying_key())? == Signed::Yes => return Ok(false),
            Self::Note(note) => note.add_signature(name, key)?,
        }
        Ok(true)
    }

    /// Number of root keys of a document that signed.
    fn signatures(&self, root: &RootDocument) -> Result<usize, NoteError> {
        let Self::Note(note) = self else { return Ok(0) };
        let mut found = 0;
        for key in &root.root_keys {
            found += usize::from(note.verify(&root_signer_name(&root.registry, key), key)? == Signed::Yes);
        }
        Ok(found)
    }
}

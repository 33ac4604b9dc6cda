//! Root documents: which keys sign for a registry, and the key ID that an operator pins.
//!
//! [`super::root_chain`] decides whether a document is trusted. Nothing here holds a private key longer than one call.
//!
//! Invariant: [`RootDocument::parse`] and [`RootDocument::to_text`] are inverse, and a parsed document satisfies its
//! own rules: keys sorted and unique, a threshold that its keys can reach.

use std::fmt;
use std::str::FromStr;

use super::lines::{Lines, SyntaxError, canonical};
use super::names::{is_key, is_registry, signer_name};
use crate::crypto::key::{SigningKey, VerifyingKey};
use crate::crypto::note::{Note, NoteError};
use crate::model::position::Position;

/// Longest signed root document, in bytes: three full lists of keys and the same number of signatures take a tenth of
/// it.
pub const ROOT_BYTES_MAX: usize = 64 * 1_024;
/// Most keys in one list of a root document.
pub const ROOT_KEYS_MAX: usize = 16;
const CONTEXT_LINE: &str = "bookholder/root/v1";
const ID_CONTEXT: &str = "bookholder root id v1";
const ID_PREFIX: &str = "bk1-";

/// Why bytes are not a root document, or one is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// Not a signed note, or the signature of a root key is invalid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not the lines of a root document.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// Well-formed, but not a valid set of keys.
    #[error("invalid root document: {rule}; correct it before signing")]
    Unsound {
        /// The violated rule.
        rule: &'static str,
    },
    /// The first document is not the one that was pinned.
    #[error(
        "the registry's root key id is {found}, but {pinned} was configured; check --root-key with the registry's operator"
    )]
    PinMismatch {
        /// The pinned ID.
        pinned: RootKeyId,
        /// The hash of the document.
        found: RootKeyId,
    },
    /// A version was skipped, repeated, or is not the first.
    #[error("root document {found} cannot follow here; fetch root document {expected} first")]
    NotNext {
        /// The expected version.
        expected: u64,
        /// The actual version.
        found: u64,
    },
    /// The document belongs to another registry.
    #[error("this root document is for the registry `{found}`, not `{expected}`; check the upstream's address")]
    WrongRegistry {
        /// The registry of the chain.
        expected: String,
        /// The registry of the document.
        found: String,
    },
    /// Too few keys signed.
    #[error(
        "root document {version} has {found} of the {needed} signatures that root {by} requires; collect the missing ones"
    )]
    TooFewSignatures {
        /// The signed document.
        version: u64,
        /// The document with the required keys and threshold.
        by: u64,
        /// Number of its distinct keys that signed.
        found: usize,
        /// Its threshold.
        needed: u8,
    },
    /// The chain has the maximum length.
    #[error(
        "a chain must have at most {documents_max} root documents; set this node up again with a later root key id"
    )]
    ChainFull {
        /// The limit.
        documents_max: usize,
    },
}

/// One numbered statement of the trusted keys of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootDocument {
    /// The registry's name, `[a-z0-9.-]`, 1 to 64 bytes.
    pub registry: String,
    /// 1, 2, 3 …
    pub version: u64,
    /// The number of root keys that must sign.
    pub threshold: u8,
    /// Sorted, unique, 1 to 16.
    pub root_keys: Vec<VerifyingKey>,
    /// Keys that sign checkpoints, by name `[a-z0-9-]`; sorted by name, names and keys unique, at most 16.
    pub checkpoint_keys: Vec<(String, VerifyingKey)>,
    /// Keys that can grant an epoch alone; the same rules.
    pub failover_keys: Vec<(String, VerifyingKey)>,
    /// Longest time between a checkpoint's `issued` and `expires`, in seconds.
    pub max_lifetime_s: u64,
    /// Allows positions to fall back to this one, and no further.
    pub reset: Option<Position>,
    /// When it was written, in unix seconds.
    pub issued: i64,
}

impl RootDocument {
    /// The document with its lists sorted, as it must be signed.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.root_keys.sort_unstable();
        self.checkpoint_keys.sort_unstable();
        self.failover_keys.sort_unstable();
        self
    }

    /// The text that is signed.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// Parses the text of a root document; does not verify signatures.
    ///
    /// # Errors
    ///
    /// [`RootError::Syntax`] or [`RootError::Unsound`].
    pub fn parse(text: &str) -> Result<Self, RootError> {
        let mut lines = Lines::new(text);
        let registry = lines.parse_line("<registry>/root", |line| line.strip_suffix("/root"))?;
        lines.exact(CONTEXT_LINE)?;
        let document = Self {
            registry: registry.to_owned(),
            version: lines.number("version <number>")?,
            threshold: lines.number("threshold <number>")?,
            root_keys: lines.list("root_key <base64>", |key| key.parse().ok())?,
            checkpoint_keys: lines.list("checkpoint_key <name> <base64>", named_key)?,
            failover_keys: lines.list("failover_key <name> <base64>", named_key)?,
            max_lifetime_s: lines.number("max_lifetime <seconds>")?,
            reset: lines.field("reset <epoch>.<seq> or reset -", |value| match value {
                "-" => Some(None),
                position => position.parse().ok().map(Some),
            })?,
            issued: lines.seconds("issued <unix seconds>")?,
        };
        lines.end()?;
        document.check()?;
        canonical(text, &document.to_text())?;
        Ok(document)
    }

    /// Checks the rules of its fields.
    fn check(&self) -> Result<(), RootError> {
        let named = |list: &[(String, VerifyingKey)]| {
            list.len() <= ROOT_KEYS_MAX
                && list.iter().all(|(name, _)| is_key(name))
                && list.is_sorted_by(|(a, _), (b, _)| a < b)
                && distinct(list.iter().map(|(_, key)| key))
        };
        let rules = [
            (is_registry(&self.registry), "the registry's name is 1 to 64 characters from a-z 0-9 . -"),
            (self.version >= 1, "versions start at 1"),
            ((1..=ROOT_KEYS_MAX).contains(&self.root_keys.len()), "there are 1 to 16 root keys"),
            (self.root_keys.is_sorted_by(|a, b| a < b), "root keys are sorted by their bytes, without duplicates"),
            (
                (1..=self.root_keys.len()).contains(&usize::from(self.threshold)),
                "the threshold is at least 1 and at most the number of root keys",
            ),
            (
                named(&self.checkpoint_keys),
                "there are at most 16 checkpoint keys, sorted by names of a-z 0-9 -, without duplicate names or keys",
            ),
            (
                named(&self.failover_keys),
                "there are at most 16 failover keys, sorted by names of a-z 0-9 -, without duplicate names or keys",
            ),
            (self.max_lifetime_s >= 1, "the maximum lifetime is at least 1 second"),
            (self.issued >= 0, "it was issued after 1970"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(RootError::Unsound { rule }),
            None => Ok(()),
        }
    }

    /// The checkpoint key with this name.
    pub fn checkpoint_key(&self, name: &str) -> Option<&VerifyingKey> {
        find(&self.checkpoint_keys, name)
    }

    /// The failover key with this name.
    pub fn failover_key(&self, name: &str) -> Option<&VerifyingKey> {
        find(&self.failover_keys, name)
    }

    /// The ID to pin, if this is document 1.
    pub fn key_id(&self) -> RootKeyId {
        RootKeyId(blake3::derive_key(ID_CONTEXT, self.to_text().as_bytes()))
    }
}

/// The text that is signed.
impl fmt::Display for RootDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}/root\n{CONTEXT_LINE}", self.registry)?;
        writeln!(f, "version {}\nthreshold {}", self.version, self.threshold)?;
        for key in &self.root_keys {
            writeln!(f, "root_key {key}")?;
        }
        for (name, key) in &self.checkpoint_keys {
            writeln!(f, "checkpoint_key {name} {key}")?;
        }
        for (name, key) in &self.failover_keys {
            writeln!(f, "failover_key {name} {key}")?;
        }
        writeln!(f, "max_lifetime {}", self.max_lifetime_s)?;
        match self.reset {
            Some(position) => writeln!(f, "reset {position}")?,
            None => writeln!(f, "reset -")?,
        }
        writeln!(f, "issued {}", self.issued)
    }
}

fn named_key(value: &str) -> Option<(String, VerifyingKey)> {
    let (name, key) = value.split_once(' ')?;
    Some((name.to_owned(), key.parse().ok()?))
}

fn find<'a>(list: &'a [(String, VerifyingKey)], name: &str) -> Option<&'a VerifyingKey> {
    let (_, key) = list.iter().find(|(listed, _)| listed == name)?;
    Some(key)
}

fn distinct<'a>(keys: impl Iterator<Item = &'a VerifyingKey>) -> bool {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys.is_sorted_by(|a, b| a < b)
}

/// The signer name of a root key: `<registry>+root-<first 8 hex digits of the BLAKE3 of the key>`.
pub fn root_signer_name(registry: &str, key: &VerifyingKey) -> String {
    let hash = blake3::hash(key.as_bytes()).to_hex();
    let short: String = hash.chars().take(8).collect();
    signer_name(registry, &format!("root-{short}"))
}

/// Signs a root document with these keys, which may be fewer than its threshold: see [`add_root_signature`].
///
/// # Errors
///
/// [`RootError::Unsound`] if the document is invalid, or [`RootError::Note`] for no key or a repeated one.
pub fn sign_root(document: &RootDocument, keys: &[&SigningKey]) -> Result<Vec<u8>, RootError> {
    document.check()?;
    let names: Vec<String> =
        keys.iter().map(|key| root_signer_name(&document.registry, &key.verifying_key())).collect();
    let signers: Vec<_> = names.iter().map(String::as_str).zip(keys.iter().copied()).collect();
    Ok(Note::sign(&document.to_text(), &signers)?.to_bytes())
}

/// Adds one key's signature to a draft that other keys have signed: for m of n people who sign one after another.
///
/// # Errors
///
/// The draft is not a root document, or the key has already signed it.
pub fn add_root_signature(draft: &[u8], key: &SigningKey) -> Result<Vec<u8>, RootError> {
    let mut note = Note::parse(draft, ROOT_BYTES_MAX)?;
    let document = RootDocument::parse(note.text())?;
    let name = root_signer_name(&document.registry, &key.verifying_key());
    note.add_signature(&name, key)?;
    Ok(note.to_bytes())
}

/// What an operator passes as `--root-key`: a hash of the exact text of root document 1, hence of the registry's name,
/// its first keys and its threshold. Written `bk1-` and 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RootKeyId([u8; 32]);

/// The text is not a root key ID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a root key id is `bk1-` and 64 lower-case hex digits; copy it whole from the registry's operator")]
pub struct RootKeyIdError;

impl fmt::Display for RootKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ID_PREFIX}{}", blake3::Hash::from(self.0).to_hex())
    }
}

impl FromStr for RootKeyId {
    type Err = RootKeyIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix(ID_PREFIX).ok_or(RootKeyIdError)?;
        let hash = blake3::Hash::from_hex(hex).map_err(|_| RootKeyIdError)?;
        let id = Self(hash.into());
        if id.to_string() == text { Ok(id) } else { Err(RootKeyIdError) }
    }
}

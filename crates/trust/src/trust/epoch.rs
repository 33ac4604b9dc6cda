//! Epoch records: the grant of one epoch to one primary, and its starting position.
//!
//! A record does not fence an older primary by itself; the first accepted checkpoint of the epoch does. The caller
//! chooses the number of the next epoch, and publishes the record only once.
//!
//! Invariant: a [`VerifiedEpoch`] exists only for a record that was signed by the roots, or by a failover key that they
//! still list.

use std::fmt;

use super::lines::{Hash, Lines, SyntaxError, canonical, read_hash};
use super::names::{is_key, is_registry, signer_name};
use super::root::{RootDocument, root_signer_name};
use super::root_chain::{RootChain, root_signatures};
use crate::crypto::key::SigningKey;
use crate::crypto::note::{NOTE_BYTES_MAX, Note, NoteError, Signed};
use crate::model::position::Position;

const CONTEXT_LINE: &str = "bookholder/epoch/v1";

/// Why bytes are not an epoch record, or one is not trusted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EpochError {
    /// Not a signed note, or the signature of a known key is invalid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Not the lines of an epoch record.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// The record belongs to another registry.
    #[error("this epoch record is for the registry `{found}`, not `{expected}`; check the upstream's address")]
    WrongRegistry {
        /// The registry of the chain.
        expected: String,
        /// The registry of the record.
        found: String,
    },
    /// The record names an unknown root document.
    #[error("the epoch record needs root document {needs}; fetch the root documents up to it first")]
    UnknownRoot {
        /// The version.
        needs: u64,
    },
    /// The root document of the record does not list its key.
    #[error(
        "root document {root} does not list the checkpoint key `{name}`; issue a root document that does, then the epoch"
    )]
    UnknownCheckpointKey {
        /// The version.
        root: u64,
        /// The key.
        name: String,
    },
    /// Neither enough root keys nor a failover key signed.
    #[error(
        "epoch {epoch} is signed by {found} of {needed} root keys and no failover key; collect the missing signatures"
    )]
    NotGranted {
        /// The epoch.
        epoch: u64,
        /// Distinct root keys that signed.
        found: usize,
        /// The required number.
        needed: u8,
    },
}

/// The start of an epoch: the last commit of its predecessor that it keeps, and the state there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EpochBase {
    /// The commit that the epoch's numbering continues from.
    pub position: Position,
    /// The state of the view `all` at that commit.
    pub state: [u8; 32],
}

/// One epoch of a registry, granted to one primary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochRecord {
    /// The registry's name.
    pub registry: String,
    /// 1, 2, 3 …
    pub epoch: u64,
    /// Absent for a registry that starts empty.
    pub base: Option<EpochBase>,
    /// The name of the only checkpoint key that signs during this epoch.
    pub checkpoint_key: String,
    /// The root document that lists this key.
    pub root: u64,
    /// When it was granted, in unix seconds.
    pub issued: i64,
}

impl EpochRecord {
    /// The text that is signed.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// Parses the text of an epoch record; does not verify signatures.
    ///
    /// # Errors
    ///
    /// An invalid line, or an epoch that does not follow its base.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut lines = Lines::new(text);
        let registry = lines
            .parse_line("<registry>/epoch", |line| line.strip_suffix("/epoch").filter(|name| is_registry(name)))?;
        lines.exact(CONTEXT_LINE)?;
        let record = Self {
            registry: registry.to_owned(),
            epoch: lines.number("epoch <number>")?,
            base: lines.field("base <epoch>.<seq> <base64> or base -", |value| match value {
                "-" => Some(None),
                base => read_base(base).map(Some),
            })?,
            checkpoint_key: lines.field("checkpoint_key <name>", |name| is_key(name).then(|| name.to_owned()))?,
            root: lines.number("root <number>")?,
            issued: lines.seconds("issued <unix seconds>")?,
        };
        lines.end()?;
        canonical(text, &record.to_text())?;
        let follows = record.base.is_none_or(|base| base.position.epoch < record.epoch);
        if record.epoch == 0 || record.root == 0 || !follows {
            return Err(SyntaxError::Contradiction {
                rule: "epochs and roots start at 1, and an epoch is higher than that of its base",
            });
        }
        Ok(record)
    }

    /// Signs the record with root keys.
    ///
    /// # Errors
    ///
    /// A record that would not be accepted, no key, or a repeated one.
    pub fn sign_by_roots(&self, keys: &[&SigningKey]) -> Result<Vec<u8>, EpochError> {
        let text = self.sound_text()?;
        let names: Vec<String> =
            keys.iter().map(|key| root_signer_name(&self.registry, &key.verifying_key())).collect();
        let signers: Vec<_> = names.iter().map(String::as_str).zip(keys.iter().copied()).collect();
        Ok(Note::sign(&text, &signers)?.to_bytes())
    }

    /// Signs the record with the failover key that the root document lists under `name`.
    ///
    /// # Errors
    ///
    /// A record that would not be accepted.
    pub fn sign_by_failover(&self, name: &str, key: &SigningKey) -> Result<Vec<u8>, EpochError> {
        let signer = signer_name(&self.registry, name);
        Ok(Note::sign(&self.sound_text()?, &[(&signer, key)])?.to_bytes())
    }

    fn sound_text(&self) -> Result<String, SyntaxError> {
        let text = self.to_text();
        Self::parse(&text)?;
        Ok(text)
    }
}

/// The text that is signed.
impl fmt::Display for EpochRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}/epoch\n{CONTEXT_LINE}", self.registry)?;
        writeln!(f, "epoch {}", self.epoch)?;
        match &self.base {
            Some(base) => writeln!(f, "base {} {}", base.position, Hash(&base.state))?,
            None => writeln!(f, "base -")?,
        }
        writeln!(f, "checkpoint_key {}", self.checkpoint_key)?;
        writeln!(f, "root {}\nissued {}", self.root, self.issued)
    }
}

fn read_base(value: &str) -> Option<EpochBase> {
    let (position, state) = value.split_once(' ')?;
    Some(EpochBase { position: position.parse().ok()?, state: read_hash(state)? })
}

/// A verified epoch record, and its original bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEpoch {
    record: EpochRecord,
    note: Vec<u8>,
}

impl VerifiedEpoch {
    /// Verifies a record, which must be signed by a threshold of root keys, of the document that it names or of the
    /// current one, or by one failover key of the current one.
    ///
    /// Old root keys keep old records valid after a rotation. A removed failover key grants nothing any more; before
    /// removing it, let the roots sign the record of an epoch again that it alone granted.
    ///
    /// # Errors
    ///
    /// Anything else; [`EpochError::UnknownRoot`] says up to which document to walk before trying again.
    pub fn verify(note_bytes: &[u8], chain: &RootChain) -> Result<Self, EpochError> {
        let note = Note::parse(note_bytes, NOTE_BYTES_MAX)?;
        let record = EpochRecord::parse(note.text())?;
        let current = chain.current();
        if record.registry != current.registry {
            return Err(EpochError::WrongRegistry { expected: current.registry.clone(), found: record.registry });
        }
        let named = chain.get(record.root).ok_or(EpochError::UnknownRoot { needs: record.root })?.document();
        if named.checkpoint_key(&record.checkpoint_key).is_none() {
            return Err(EpochError::UnknownCheckpointKey { root: record.root, name: record.checkpoint_key });
        }
        if !granted_by_roots(&note, named)?
            && !granted_by_roots(&note, current)?
            && !granted_by_failover(&note, current)?
        {
            return Err(EpochError::NotGranted {
                epoch: record.epoch,
                found: root_signatures(&note, current)?,
                needed: current.threshold,
            });
        }
        Ok(Self { record, note: note_bytes.to_vec() })
    }

    /// Its contents.
    pub fn record(&self) -> &EpochRecord {
        &self.record
    }

    /// The signed note.
    pub fn note(&self) -> &[u8] {
        &self.note
    }
}

fn granted_by_roots(note: &Note, authority: &RootDocument) -> Result<bool, NoteError> {
    Ok(root_signatures(note, authority)? >= usize::from(authority.threshold))
}

fn granted_by_failover(note: &Note, authority: &RootDocument) -> Result<bool, NoteError> {
    for (name, key) in &authority.failover_keys {
        if note.verify(&signer_name(&authority.registry, name), key)? == Signed::Yes {
            return Ok(true);
        }
    }
    Ok(false)
}

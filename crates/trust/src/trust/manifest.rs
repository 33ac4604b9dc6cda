//! The manifest of a report: a signed summary of the report file, with everything needed to verify it.
//!
//! It is signed by the checkpoint key of the epoch in which the report was made. A [`ManifestFile`] includes every root
//! document, every epoch record and a checkpoint, so that the ID of the root key alone verifies it on a machine without
//! other data of the registry. It cannot show later events: that a key was replaced because it was stolen is known only
//! to followers of the registry.
//!
//! Invariant: [`Manifest::parse`] accepts a text only if [`Manifest::to_text`] of the result is that text.

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, CheckpointError};
use super::epoch::VerifiedEpoch;
use super::lines::{Hash, Lines, SyntaxError, canonical, read_hash};
use super::names::{is_key, is_registry, signer_name};
use super::records::{RecordsError, read_back};
use super::root::RootKeyId;
use super::root_chain::{ROOT_DOCUMENTS_MAX, RootChain};
use crate::crypto::key::{SigningKey, VerifyingKey};
use crate::crypto::note::{NOTE_BYTES_MAX, Note, NoteError, Signed};
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;

/// Most epoch records of a manifest: one a day for eleven years.
pub const MANIFEST_EPOCHS_MAX: usize = 4_096;
/// Longest manifest file, in bytes: both chains at their longest, as JSON.
pub const MANIFEST_FILE_BYTES_MAX: usize = 64 * 1_024 * 1_024;
const CONTEXT_LINE: &str = "bookholder/report/v1";
/// Chunk size for reading a document, in bytes.
const PIECE_BYTES: usize = 64 * 1_024;
/// Characters that are encoded in a name or pattern, because a line cannot contain them.
const ENCODED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');

/// Why a manifest or its file does not verify.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ManifestError {
    #[error("the manifest contains {found} {what}, more than {max}; request the report again")]
    TooMany { what: &'static str, found: usize, max: usize },
    #[error(transparent)]
    Records(#[from] RecordsError),
    #[error("the manifest's note: {0}")]
    Note(#[source] NoteError),
    #[error("the manifest's note: {0}")]
    Syntax(#[source] SyntaxError),
    #[error(
        "the manifest is of the registry `{found}`, but its root documents are of `{expected}`; request the report again"
    )]
    WrongRegistry { expected: String, found: String },
    #[error("the manifest refers to {what} {number}, but does not contain it; request the report again")]
    Missing { what: &'static str, number: u64 },
    #[error("the {what} is not signed by `{key}`, the checkpoint key of its epoch; discard the report")]
    WrongKey { what: &'static str, key: String },
    #[error("the checkpoint in the manifest: {0}")]
    Checkpoint(#[source] CheckpointError),
    #[error("the checkpoint in the manifest does not match its audit log: {rule}; discard the report")]
    Anchor { rule: &'static str },
    #[error("cannot read the report")]
    Read(#[from] io::Error),
    #[error("the report has {found} bytes, but the manifest says {expected}; fetch both again")]
    Length { expected: u64, found: u64 },
    #[error("the report is not the file that was signed: its hash differs; fetch it again and do not trust this copy")]
    Document,
    #[error("invalid checkpoint key name `{name}`: use 1 to 64 characters from a-z 0-9 -")]
    KeyName { name: String },
}

/// An audit entry by its number and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "said above")]
pub struct AuditMark {
    pub seq: u64,
    pub hash: [u8; 32],
}

impl AuditMark {
    /// The reference to an entry whose hash is in hex; absent if it is not a hash.
    pub fn of(seq: u64, hash: &str) -> Option<Self> {
        Some(Self { seq, hash: blake3::Hash::from_hex(hash).ok()?.into() })
    }

    fn read(value: &str) -> Option<Self> {
        let (seq, hash) = value.split_once(' ')?;
        Some(Self { seq: seq.parse().ok()?, hash: read_hash(hash)? })
    }

    /// The hash in hex, as in audit entries.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.hash).to_hex().to_string()
    }
}

impl fmt::Display for AuditMark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.seq, Hash(&self.hash))
    }
}

/// The contents of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The registry's name.
    pub registry: String,
    /// The current root document.
    pub root: u64,
    /// The epoch whose checkpoint key signs.
    pub epoch: u64,
    /// The start of the period.
    pub from: Timestamp,
    /// The end of the period, exclusive.
    pub to: Timestamp,
    /// The prompts that it covers.
    pub prompts: Pattern,
    /// The format: `[a-z0-9-]`, for example `jsonl`.
    pub format: String,
    /// Number of decisions.
    pub decisions: u64,
    /// How many deployments it holds: each time that a label served something.
    pub deployments: u64,
    /// The first and last decision; absent if there are none.
    pub ends: Option<(AuditMark, AuditMark)>,
    /// The newest audit entry at the time of the report.
    pub audit: AuditMark,
    /// Length of the file, in bytes.
    pub bytes: u64,
    /// BLAKE3 of the file.
    pub file: [u8; 32],
    /// When it was signed, in unix seconds.
    pub issued: i64,
    /// Who requested it.
    pub by: String,
    /// The name and version of the program.
    pub tool: String,
}

impl Manifest {
    /// The text that is signed.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// Parses the text of a manifest; does not verify signatures.
    ///
    /// # Errors
    ///
    /// An invalid line, or inconsistent numbers.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut lines = Lines::new(text);
        let registry = lines
            .parse_line("<registry>/report", |line| line.strip_suffix("/report").filter(|name| is_registry(name)))?;
        lines.exact(CONTEXT_LINE)?;
        let (root, epoch) = (lines.number("root <number>")?, lines.number("epoch <number>")?);
        let from = lines.field("from <time>", |value| value.parse().ok())?;
        let to = lines.field("to <time>", |value| value.parse().ok())?;
        let prompts = lines.field("prompts <pattern>", |value| Pattern::from_str(&decode(value)?).ok())?;
        let format = lines.field("format <name>", |name| is_key(name).then(|| name.to_owned()))?;
        let decisions = lines.number("decisions <number>")?;
        let deployments = lines.number("deployments <number>")?;
        let end = |value: &str| if value == "-" { Some(None) } else { AuditMark::read(value).map(Some) };
        let first = lines.field("first <number> <base64> or first -", end)?;
        let last = lines.field("last <number> <base64> or last -", end)?;
        let manifest = Self {
            registry: registry.to_owned(),
            root,
            epoch,
            from,
            to,
            prompts,
            format,
            decisions,
            deployments,
            ends: first.zip(last),
            audit: lines.field("audit <number> <base64>", AuditMark::read)?,
            bytes: lines.number("bytes <number>")?,
            file: lines.field("file <base64>", read_hash)?,
            issued: lines.seconds("issued <unix seconds>")?,
            by: lines.field("by <name>", decode)?,
            tool: lines.field("tool <name>", decode)?,
        };
        lines.end()?;
        canonical(text, &manifest.to_text())?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), SyntaxError> {
        let ends = self.ends.map(|(first, last)| (first.seq, last.seq));
        let rules = [
            (self.root >= 1 && self.epoch >= 1, "roots and epochs start at 1"),
            (self.from <= self.to, "a report does not end before it begins"),
            (ends.is_some() == (self.decisions > 0), "only a report with decisions has a first and a last"),
            (ends.is_none_or(|(first, last)| first <= last), "the first decision is not after the last"),
            (ends.is_none_or(|(_, last)| last <= self.audit.seq), "no decision is after the latest audit entry"),
        ];
        match rules.into_iter().find(|(holds, _)| !holds) {
            Some((_, rule)) => Err(SyntaxError::Contradiction { rule }),
            None => Ok(()),
        }
    }

    /// The signed note, by the checkpoint key that the root document lists under `key_name`.
    ///
    /// # Errors
    ///
    /// The manifest is not valid: only valid ones are signed.
    pub fn sign(&self, key_name: &str, key: &SigningKey) -> Result<Vec<u8>, ManifestError> {
        if !is_key(key_name) {
            return Err(ManifestError::KeyName { name: key_name.to_owned() });
        }
        let text = self.to_text();
        Self::parse(&text).map_err(ManifestError::Syntax)?;
        let signer = signer_name(&self.registry, key_name);
        Ok(Note::sign(&text, &[(&signer, key)]).map_err(ManifestError::Note)?.to_bytes())
    }
}

/// The text that is signed.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}/report\n{CONTEXT_LINE}", self.registry)?;
        writeln!(f, "root {}\nepoch {}", self.root, self.epoch)?;
        writeln!(f, "from {}\nto {}", self.from, self.to)?;
        writeln!(f, "prompts {}\nformat {}", encode(self.prompts.as_str()), self.format)?;
        writeln!(f, "decisions {}\ndeployments {}", self.decisions, self.deployments)?;
        match &self.ends {
            Some((first, last)) => writeln!(f, "first {first}\nlast {last}")?,
            None => writeln!(f, "first -\nlast -")?,
        }
        writeln!(f, "audit {}", self.audit)?;
        writeln!(f, "bytes {}\nfile {}", self.bytes, Hash(&self.file))?;
        writeln!(f, "issued {}", self.issued)?;
        writeln!(f, "by {}\ntool {}", encode(&self.by), encode(&self.tool))
    }
}

fn encode(text: &str) -> impl fmt::Display {
    utf8_percent_encode(text, ENCODED)
}

fn decode(value: &str) -> Option<String> {
    percent_decode_str(value).decode_utf8().ok().map(Into::into)
}

/// The file beside a report: its manifest, and everything that is needed to verify it except the root key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestFile {
    /// A description for people, with instructions for verification.
    pub how_to_read: String,
    /// The signed note of the [`Manifest`].
    pub manifest: String,
    /// The signed root documents, from the first to the current one.
    pub roots: Vec<String>,
    /// The signed epoch records, in order.
    pub epochs: Vec<String>,
    /// A signed checkpoint from the time of the report; its `audit` line anchors the audit log.
    pub checkpoint: String,
}

/// A verified report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedManifest {
    /// Its contents.
    pub manifest: Manifest,
    /// The checkpoint that anchors it.
    pub checkpoint: Checkpoint,
    /// The name of the key that signed both.
    pub signer: String,
}

/// Verifies a report with the ID of the root key alone: walks the roots, finds the checkpoint key of the manifest's
/// epoch, verifies manifest and checkpoint, hashes the document, and compares the head of the audit log with the
/// checkpoint's.
///
/// # Errors
///
/// The first check that fails.
pub fn verify(
    file: &ManifestFile,
    document: impl Read,
    root_key: &RootKeyId,
) -> Result<VerifiedManifest, ManifestError> {
    let limit = |what, found, max| if found > max { Err(ManifestError::TooMany { what, found, max }) } else { Ok(()) };
    limit("root documents", file.roots.len(), ROOT_DOCUMENTS_MAX)?;
    limit("epoch records", file.epochs.len(), MANIFEST_EPOCHS_MAX)?;
    let bytes = |notes: &[String]| notes.iter().map(|note| note.as_bytes().to_vec()).collect::<Vec<_>>();
    let (chain, epochs) = read_back(Some(root_key), &bytes(&file.roots), &bytes(&file.epochs))?;

    let note = Note::parse(file.manifest.as_bytes(), NOTE_BYTES_MAX).map_err(ManifestError::Note)?;
    let manifest = Manifest::parse(note.text()).map_err(ManifestError::Syntax)?;
    let expected = &chain.current().registry;
    if manifest.registry != *expected {
        return Err(ManifestError::WrongRegistry { expected: expected.clone(), found: manifest.registry });
    }
    if chain.get(manifest.root).is_none() {
        return Err(ManifestError::Missing { what: "root document", number: manifest.root });
    }
    let (signer, key) = checkpoint_key(&chain, &epochs, manifest.epoch)?;
    let signed = |what, note: &Note| match note.verify(&signer, &key) {
        Ok(Signed::Yes) => Ok(()),
        Ok(Signed::No) => Err(ManifestError::WrongKey { what, key: signer.clone() }),
        Err(error) => Err(ManifestError::Note(error)),
    };
    signed("manifest", &note)?;

    let anchor = Note::parse(file.checkpoint.as_bytes(), NOTE_BYTES_MAX);
    let anchor = anchor.map_err(|error| ManifestError::Checkpoint(error.into()))?;
    let checkpoint = Checkpoint::parse(anchor.text()).map_err(|error| ManifestError::Checkpoint(error.into()))?;
    signed("checkpoint", &anchor)?;
    check_anchor(&manifest, &checkpoint)?;
    check_document(&manifest, document)?;
    Ok(VerifiedManifest { manifest, checkpoint, signer })
}

/// The name and the key that sign during an epoch: the key that the epoch's root document bound to it, if the newest
/// root document still lists that key.
fn checkpoint_key(
    chain: &RootChain,
    epochs: &[VerifiedEpoch],
    epoch: u64,
) -> Result<(String, VerifyingKey), ManifestError> {
    let record = epochs.iter().map(VerifiedEpoch::record).find(|record| record.epoch == epoch);
    let record = record.ok_or(ManifestError::Missing { what: "epoch", number: epoch })?;
    let signer = signer_name(&record.registry, &record.checkpoint_key);
    let bound = chain.get(record.root).and_then(|root| root.document().checkpoint_key(&record.checkpoint_key));
    let bound = bound.filter(|bound| chain.current().checkpoint_key(&record.checkpoint_key) == Some(*bound));
    match bound {
        Some(key) => Ok((signer, *key)),
        None => Err(ManifestError::WrongKey { what: "manifest", key: signer }),
    }
}

fn check_anchor(manifest: &Manifest, checkpoint: &Checkpoint) -> Result<(), ManifestError> {
    let rules = [
        (checkpoint.registry == manifest.registry, "it is of a different registry"),
        (checkpoint.epoch == manifest.epoch, "it is of a different epoch"),
        (checkpoint.seq >= manifest.audit.seq, "it is older than the latest audit entry"),
        (checkpoint.audit == manifest.audit.hash, "its audit line is not the hash of the latest audit entry"),
    ];
    match rules.into_iter().find(|(holds, _)| !holds) {
        Some((_, rule)) => Err(ManifestError::Anchor { rule }),
        None => Ok(()),
    }
}

fn check_document(manifest: &Manifest, mut document: impl Read) -> Result<(), ManifestError> {
    let mut hasher = blake3::Hasher::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut found: u64 = 0;
    loop {
        let length = match document.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        hasher.update(piece.get(..length).unwrap_or_default());
        found = found.saturating_add(length as u64);
        if found > manifest.bytes {
            break;
        }
    }
    if found != manifest.bytes {
        return Err(ManifestError::Length { expected: manifest.bytes, found });
    }
    if *hasher.finalize().as_bytes() == manifest.file { Ok(()) } else { Err(ManifestError::Document) }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;

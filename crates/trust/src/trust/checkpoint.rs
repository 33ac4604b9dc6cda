//! The checkpoint: a signed statement of what a view contains at a position. The only file that changes in place.
//!
//! Parsing, writing and signing; [`super::accept`] decides whether a replica accepts one.
//!
//! Invariant: [`Checkpoint::parse`] accepts a text only if [`Checkpoint::to_text`] of the result is that text.

use std::fmt;

use super::lines::{Hash, Lines, SyntaxError, canonical, read_hash};
use super::names::{is_key, is_registry, is_view, signer_name};
use crate::crypto::key::SigningKey;
use crate::crypto::note::{Note, NoteError};
use crate::model::position::Position;

/// The view of everything, which every registry has.
pub const VIEW_ALL: &str = "all";
/// The format that a reader must know to follow this primary.
pub const MIN_READER: u32 = 1;
/// Lifetime of a checkpoint that is served live, in seconds.
pub const LIVE_LIFETIME_S: i64 = 3_600;
/// Longest signed checkpoint, in bytes.
pub const CHECKPOINT_BYTES_MAX: usize = crate::crypto::note::NOTE_BYTES_MAX;
/// The predecessor of the first checkpoint of a view.
pub const NO_PREVIOUS: [u8; 32] = [0; 32];
const CONTEXT_LINE: &str = "bookholder/checkpoint/v1";

/// Why a checkpoint cannot be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// An invalid field.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// A text or name that is not valid in a note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A key name that is not valid in a root document.
    #[error("invalid checkpoint key name `{name}`: use 1 to 64 characters from a-z 0-9 -")]
    KeyName {
        /// The name.
        name: String,
    },
}

/// The state of a view at a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The registry's name.
    pub registry: String,
    /// The view's name, `[a-z0-9._-]`, 1 to 64 bytes.
    pub view: String,
    /// The current root document.
    pub root: u64,
    /// The epoch of the primary that signs.
    pub epoch: u64,
    /// The commit that this describes, registry-wide.
    pub seq: u64,
    /// The last commit that changed this view.
    pub changed: u64,
    /// The oldest position that deltas can start from.
    pub floor: u64,
    /// The state of the view.
    pub state: [u8; 32],
    /// How many entries the view has.
    pub entries: u64,
    /// Number of tombstones.
    pub tombstones: u64,
    /// Size of the entries in bytes, uncompressed.
    pub bytes: u64,
    /// Generation and hash of the view's definition.
    pub view_definition: (u64, [u8; 32]),
    /// Hash and length in bytes of the manifest, if the static layout is published.
    pub manifest: Option<([u8; 32], u64)>,
    /// [`note_hash`] of the previous checkpoint, or [`NO_PREVIOUS`].
    pub previous: [u8; 32],
    /// Hash of the newest entry of the audit log.
    pub audit: [u8; 32],
    /// When it was signed, in unix seconds.
    pub issued: i64,
    /// When a replica without a newer one is expired, in unix seconds.
    pub expires: i64,
    /// The oldest reader that understands what this describes.
    pub min_reader: u32,
}

impl Checkpoint {
    /// Its position in the registry's history.
    pub fn position(&self) -> Position {
        Position { epoch: self.epoch, seq: self.seq }
    }

    /// The text that is signed.
    pub fn to_text(&self) -> String {
        self.to_string()
    }

    /// Parses the text of a checkpoint; does not verify signatures.
    ///
    /// # Errors
    ///
    /// An invalid line, or inconsistent numbers.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let mut lines = Lines::new(text);
        let (registry, view) = lines.parse_line("<registry>/view/<view>", |line| {
            line.split_once("/view/").filter(|(registry, view)| is_registry(registry) && is_view(view))
        })?;
        lines.parse_line(CONTEXT_LINE, |line| (line == CONTEXT_LINE).then_some(()))?;
        let checkpoint = Self {
            registry: registry.to_owned(),
            view: view.to_owned(),
            root: lines.number("root <number>")?,
            epoch: lines.number("epoch <number>")?,
            seq: lines.number("seq <number>")?,
            changed: lines.number("changed <number>")?,
            floor: lines.number("floor <number>")?,
            state: lines.field("state <base64>", read_hash)?,
            entries: lines.number("entries <number>")?,
            tombstones: lines.number("tombstones <number>")?,
            bytes: lines.number("bytes <number>")?,
            view_definition: lines.field("view_definition <number> <base64>", |value| {
                let (generation, hash) = value.split_once(' ')?;
                Some((generation.parse().ok()?, read_hash(hash)?))
            })?,
            manifest: lines.field("manifest <base64> <bytes> or manifest -", |value| {
                if value == "-" {
                    return Some(None);
                }
                let (hash, len) = value.split_once(' ')?;
                Some(Some((read_hash(hash)?, len.parse().ok()?)))
            })?,
            previous: lines.field("previous <base64>", read_hash)?,
            audit: lines.field("audit <base64>", read_hash)?,
            issued: lines.seconds("issued <unix seconds>")?,
            expires: lines.seconds("expires <unix seconds>")?,
            min_reader: lines.number("min_reader <number>")?,
        };
        lines.end()?;
        canonical(text, &checkpoint.to_text())?;
        checkpoint.check()?;
        Ok(checkpoint)
    }

    fn check(&self) -> Result<(), SyntaxError> {
        let rules = [
            (self.root >= 1 && self.epoch >= 1, "roots and epochs start at 1"),
            (self.changed <= self.seq, "a view does not change after `seq`"),
            (self.floor <= self.seq, "deltas do not start after `seq`"),
            (self.issued <= self.expires, "a checkpoint expires after it was issued"),
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
    /// A replica would not accept it: nothing unreadable is ever signed.
    pub fn sign(&self, key_name: &str, key: &SigningKey) -> Result<Vec<u8>, CheckpointError> {
        if !is_key(key_name) {
            return Err(CheckpointError::KeyName { name: key_name.to_owned() });
        }
        let text = self.to_text();
        Self::parse(&text)?;
        let signer = signer_name(&self.registry, key_name);
        Ok(Note::sign(&text, &[(&signer, key)])?.to_bytes())
    }
}

/// The text that is signed.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (generation, definition) = &self.view_definition;
        writeln!(f, "{}/view/{}\n{CONTEXT_LINE}", self.registry, self.view)?;
        writeln!(f, "root {}\nepoch {}\nseq {}", self.root, self.epoch, self.seq)?;
        writeln!(f, "changed {}\nfloor {}", self.changed, self.floor)?;
        writeln!(f, "state {}\nentries {}", Hash(&self.state), self.entries)?;
        writeln!(f, "tombstones {}\nbytes {}", self.tombstones, self.bytes)?;
        writeln!(f, "view_definition {generation} {}", Hash(definition))?;
        match &self.manifest {
            Some((hash, len)) => writeln!(f, "manifest {} {len}", Hash(hash))?,
            None => writeln!(f, "manifest -")?,
        }
        writeln!(f, "previous {}", Hash(&self.previous))?;
        writeln!(f, "audit {}", Hash(&self.audit))?;
        writeln!(f, "issued {}\nexpires {}", self.issued, self.expires)?;
        writeln!(f, "min_reader {}", self.min_reader)
    }
}

/// The hash of a signed checkpoint, used in its successor's `previous` and as evidence of a fork: BLAKE3 of its bytes.
pub fn note_hash(note_bytes: &[u8]) -> [u8; 32] {
    blake3::hash(note_bytes).into()
}

/// Generation and hash of the definition of the view `all`, which exists everywhere and never changes.
pub fn all_view_definition() -> (u64, [u8; 32]) {
    (1, blake3::hash(b"bookholder view all v1").into())
}

//! The chain of root documents, from the one that an operator pinned to the newest one known.
//!
//! It is walked one document at a time and only forwards; the caller fetches the next document.
//!
//! Invariant: document 1 hashes to the pinned ID, and every later one is signed by a threshold of its predecessor's
//! root keys and by a threshold of its own.

use super::root::{ROOT_BYTES_MAX, RootDocument, RootError, RootKeyId, root_signer_name};
use crate::crypto::note::{Note, NoteError, Signed};
use crate::model::position::Position;

/// Most documents of a chain: 85 years of monthly rotations, and a limit against hostile mirrors.
pub const ROOT_DOCUMENTS_MAX: usize = 1_024;

/// A trusted root document, and its original bytes, to be stored and served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedRoot {
    document: RootDocument,
    note: Vec<u8>,
}

impl SignedRoot {
    /// Its contents.
    pub fn document(&self) -> &RootDocument {
        &self.document
    }

    /// The signed note.
    pub fn note(&self) -> &[u8] {
        &self.note
    }
}

/// Every root document from the first to the newest known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootChain {
    first: SignedRoot,
    later: Vec<SignedRoot>,
}

impl RootChain {
    /// Starts at root document 1, which must be the pinned one and signed by its own threshold.
    ///
    /// # Errors
    ///
    /// [`RootError::PinMismatch`], or the note is not a valid, sufficiently signed document 1.
    pub fn begin(pinned: &RootKeyId, note_bytes: &[u8]) -> Result<Self, RootError> {
        let (note, document) = read(note_bytes)?;
        expect_version(&document, 1)?;
        let found = document.key_id();
        if found != *pinned {
            return Err(RootError::PinMismatch { pinned: *pinned, found });
        }
        expect_signatures(&note, &document, &document)?;
        Ok(Self { first: SignedRoot { document, note: note_bytes.to_vec() }, later: Vec::new() })
    }

    /// Adds the next document, which must be signed by a threshold of both.
    ///
    /// # Errors
    ///
    /// Any document other than the next one; then the chain is unchanged.
    pub fn extend(&mut self, note_bytes: &[u8]) -> Result<&RootDocument, RootError> {
        if self.later.len() + 1 >= ROOT_DOCUMENTS_MAX {
            return Err(RootError::ChainFull { documents_max: ROOT_DOCUMENTS_MAX });
        }
        let (note, document) = read(note_bytes)?;
        let current = self.current();
        if document.registry != current.registry {
            return Err(RootError::WrongRegistry { expected: current.registry.clone(), found: document.registry });
        }
        expect_version(&document, current.version.saturating_add(1))?;
        expect_signatures(&note, &document, current)?;
        expect_signatures(&note, &document, &document)?;
        self.later.push(SignedRoot { document, note: note_bytes.to_vec() });
        Ok(self.current())
    }

    /// The chain when this version was the newest, for verifying a note from that time.
    #[must_use]
    pub fn up_to(&self, version: u64) -> Self {
        let later = self.later.iter().take_while(|root| root.document.version <= version).cloned().collect();
        Self { first: self.first.clone(), later }
    }

    /// The newest document, whose keys are current.
    pub fn current(&self) -> &RootDocument {
        self.later.last().unwrap_or(&self.first).document()
    }

    /// The document with this version, if it is known.
    pub fn get(&self, version: u64) -> Option<&SignedRoot> {
        match version.checked_sub(2) {
            None => (version == 1).then_some(&self.first),
            Some(index) => self.later.get(usize::try_from(index).ok()?),
        }
    }

    /// All documents, oldest first.
    pub fn documents(&self) -> impl Iterator<Item = &SignedRoot> {
        std::iter::once(&self.first).chain(&self.later)
    }

    /// The ID that pins this chain.
    pub fn key_id(&self) -> RootKeyId {
        self.first.document.key_id()
    }

    /// The newest reset in the documents after `after`, up to and including `upto`.
    pub fn reset_between(&self, after: u64, upto: u64) -> Option<Position> {
        self.later
            .iter()
            .rev()
            .map(SignedRoot::document)
            .filter(|document| document.version > after && document.version <= upto)
            .find_map(|document| document.reset)
    }
}

/// How many distinct root keys of `authority` signed the note.
///
/// # Errors
///
/// An invalid signature of one of them.
pub(super) fn root_signatures(note: &Note, authority: &RootDocument) -> Result<usize, NoteError> {
    let mut count = 0;
    for key in &authority.root_keys {
        let name = root_signer_name(&authority.registry, key);
        if note.verify(&name, key)? == Signed::Yes {
            count += 1;
        }
    }
    Ok(count)
}

fn read(note_bytes: &[u8]) -> Result<(Note, RootDocument), RootError> {
    let note = Note::parse(note_bytes, ROOT_BYTES_MAX)?;
    let document = RootDocument::parse(note.text())?;
    Ok((note, document))
}

fn expect_version(document: &RootDocument, expected: u64) -> Result<(), RootError> {
    if document.version == expected {
        return Ok(());
    }
    Err(RootError::NotNext { expected, found: document.version })
}

fn expect_signatures(note: &Note, document: &RootDocument, authority: &RootDocument) -> Result<(), RootError> {
    let found = root_signatures(note, authority)?;
    if found >= usize::from(authority.threshold) {
        return Ok(());
    }
    Err(RootError::TooFewSignatures {
        version: document.version,
        by: authority.version,
        found,
        needed: authority.threshold,
    })
}

//! Signed notes: a short human-readable text, followed by its signatures.
//!
//! The layout is that of C2SP signed notes: the text, a blank line, then `— <signer> <base64(key id, signature)>` for
//! each signature. This module does not interpret the text, and does not decide which signers to trust or how many
//! signatures are enough.
//!
//! Invariant: a parsed note serializes to exactly the bytes it was parsed from. Base64 has one form, there is nothing
//! before, between or after the parts, and each signer signs once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::{KeyId, SigningKey, VerifyingKey};

/// Default limit of a note, in bytes: a checkpoint with room for signatures of other kinds.
pub const NOTE_BYTES_MAX: usize = 16 * 1_024;
/// Most signatures of one note.
pub const NOTE_SIGNATURES_MAX: usize = 16;
/// What a signature line starts with: an em dash and a space.
const SIGNATURE_START: &str = "\u{2014} ";

/// Why bytes are not a note, or a note is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More bytes than this kind of note allows.
    #[error("a signed note of {bytes} bytes is over the limit of {bytes_max}; fetch it again from another source")]
    TooLarge {
        /// The actual number.
        bytes: usize,
        /// The maximum.
        bytes_max: usize,
    },
    /// The text is empty, does not end with a line break, or contains something other than printable ASCII.
    #[error(
        "the text of a signed note must be lines of printable ASCII, each ending in a newline; copy the file unchanged"
    )]
    Text,
    /// No blank line between text and signatures, or no signature after it.
    #[error("the signed note has no signature; fetch the whole file, down to its last line")]
    Unsigned,
    /// An invalid signature line.
    #[error("line {line} after the text of the signed note is not a signature; copy the file unchanged")]
    SignatureLine {
        /// Counted from 1, after the blank line.
        line: usize,
    },
    /// Too many signature lines.
    #[error("the signed note has more than {NOTE_SIGNATURES_MAX} signatures; remove those that are not needed")]
    TooManySignatures,
    /// Two signatures with the same name and key.
    #[error("`{signer}` signed the note twice; remove one of its signatures")]
    SignedTwice {
        /// The repeated name.
        signer: String,
    },
    /// A name that is not valid in a signature line.
    #[error("invalid signer name `{signer}`: use visible ASCII characters without spaces")]
    Signer {
        /// The name.
        signer: String,
    },
    /// The signature of a known key does not verify.
    #[error("the signature of `{signer}` does not match the text; discard the note and fetch it from another source")]
    BadSignature {
        /// The claimed signer.
        signer: String,
    },
}

/// Whether a key signed a note. An invalid signature is an error instead.
#[must_use = "a note without a known signer parses, too"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The key's signature exists and is valid.
    Yes,
    /// The key did not sign.
    No,
}

/// One signature line. One of an unknown kind can have any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    signer: String,
    key_id: KeyId,
    bytes: Vec<u8>,
}

impl Signature {
    /// The name in the line.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The key in the line.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    fn parse(line: &str) -> Option<Self> {
        let (signer, encoded) = line.strip_prefix(SIGNATURE_START)?.split_once(' ')?;
        let decoded = STANDARD.decode(encoded).ok()?;
        let (key_id, bytes) = decoded.split_first_chunk::<4>()?;
        if !is_signer(signer) || bytes.is_empty() {
            return None;
        }
        Some(Self { signer: signer.to_owned(), key_id: KeyId(*key_id), bytes: bytes.to_vec() })
    }

    fn is_by(&self, signer: &str, key_id: KeyId) -> bool {
        self.signer == signer && self.key_id == key_id
    }
}

/// A text and its signatures, none of them verified yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Signs a text that ends with `\n`, once for each signer.
    ///
    /// # Errors
    ///
    /// A text or name that is not valid in a note, no signer, too many, or a duplicate.
    pub fn sign(text: &str, signers: &[(&str, &SigningKey)]) -> Result<Self, NoteError> {
        if !is_text(text) {
            return Err(NoteError::Text);
        }
        let mut note = Self { text: text.to_owned(), signatures: Vec::new() };
        for (signer, key) in signers {
            note.add_signature(signer, key)?;
        }
        if note.signatures.is_empty() {
            return Err(NoteError::Unsigned);
        }
        Ok(note)
    }

    /// Adds a signature.
    ///
    /// # Errors
    ///
    /// A name that is not valid in a note, a seventeenth signature, or a duplicate.
    pub fn add_signature(&mut self, signer: &str, key: &SigningKey) -> Result<(), NoteError> {
        if !is_signer(signer) {
            return Err(NoteError::Signer { signer: signer.to_owned() });
        }
        self.push(Signature {
            signer: signer.to_owned(),
            key_id: key.verifying_key().id(signer),
            bytes: key.sign(self.text.as_bytes()).to_vec(),
        })
    }

    /// Parses a note of at most `bytes_max` bytes; its signatures are not verified yet.
    ///
    /// # Errors
    ///
    /// Anything other than exactly one note.
    pub fn parse(bytes: &[u8], bytes_max: usize) -> Result<Self, NoteError> {
        if bytes.len() > bytes_max {
            return Err(NoteError::TooLarge { bytes: bytes.len(), bytes_max });
        }
        let whole = str::from_utf8(bytes).map_err(|_| NoteError::Text)?;
        let (body, lines) = whole.rsplit_once("\n\n").ok_or(NoteError::Unsigned)?;
        let text = format!("{body}\n");
        if !is_text(&text) {
            return Err(NoteError::Text);
        }
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
        let mut note = Self { text, signatures: Vec::new() };
        for (index, line) in lines.split('\n').enumerate() {
            let signature = Signature::parse(line).ok_or(NoteError::SignatureLine { line: index + 1 })?;
            note.push(signature)?;
        }
        Ok(note)
    }

    fn push(&mut self, signature: Signature) -> Result<(), NoteError> {
        if self.signatures.len() >= NOTE_SIGNATURES_MAX {
            return Err(NoteError::TooManySignatures);
        }
        let twice = |other: &Signature| other.is_by(&signature.signer, signature.key_id);
        if self.signatures.iter().any(twice) {
            return Err(NoteError::SignedTwice { signer: signature.signer });
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// The signed text, with its last line break.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in their order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The serialized note.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut whole = format!("{}\n", self.text);
        for signature in &self.signatures {
            let payload = [signature.key_id.0.as_slice(), &signature.bytes].concat();
            whole.push_str(SIGNATURE_START);
            whole.push_str(&signature.signer);
            whole.push(' ');
            STANDARD.encode_string(payload, &mut whole);
            whole.push('\n');
        }
        whole.into_bytes()
    }

    /// Whether this key, with this name, signed the text. Other signatures are ignored.
    ///
    /// # Errors
    ///
    /// [`NoteError::BadSignature`] if there is a signature with this name and key ID that does not verify: the note was
    /// tampered with, so other signatures do not count.
    pub fn verify(&self, signer: &str, key: &VerifyingKey) -> Result<Signed, NoteError> {
        let key_id = key.id(signer);
        let Some(signature) = self.signatures.iter().find(|s| s.is_by(signer, key_id)) else {
            return Ok(Signed::No);
        };
        let bytes: Option<&[u8; 64]> = signature.bytes.as_slice().try_into().ok();
        match bytes {
            Some(bytes) if key.verifies(self.text.as_bytes(), bytes) => Ok(Signed::Yes),
            _ => Err(NoteError::BadSignature { signer: signer.to_owned() }),
        }
    }
}

/// Lines of printable ASCII, at least one, each ended by a line break.
fn is_text(text: &str) -> bool {
    let printable = |byte: u8| byte == b'\n' || byte == b' ' || byte.is_ascii_graphic();
    text.ends_with('\n') && text.bytes().all(printable)
}

fn is_signer(signer: &str) -> bool {
    !signer.is_empty() && signer.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;

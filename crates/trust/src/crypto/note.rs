//! Signed notes: a short human-readable text, followed by its signatures.
//!
//! The layout is that of C2SP signed notes: the text, a blank line, then `— <signer> <base64(key id, signature)>` for
//! each signature. This module does not interpret the text, and does not decide which signers to trust or how many
//! signatures are enough.
//!
//! Invariant: a parsed note serialises to exactly the bytes it was parsed from. Base64 has one form, there is nothing
//! before, between or after the parts, and each signer signs once.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::key::{KeyId, SigningKey, VerifyingKey};

/// Longest note in bytes, unless the caller knows better: a checkpoint with room for signatures of other kinds.
pub const NOTE_BYTES_MAX: usize = 16 * 1_024;
/// Most signatures of one note.
pub const NOTE_SIGNATURES_MAX: usize = 16;
/// What a signature line starts with: an em dash and a space.
const SIGNATURE_START: &str = "\u{2014} ";

/// Why bytes are no note, or a note is not good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// More bytes than this kind of note may have.
    #[error("a signed note of {bytes} bytes is over the limit of {bytes_max}; fetch it again from another source")]
    TooLarge {
        /// How many there are.
        bytes: usize,
        /// How many there may be.
        bytes_max: usize,
    },
    /// The text is empty, does not end its last line, or holds something that is not printable ASCII.
    #[error(
        "the text of a signed note must be lines of printable ASCII, each ending in a newline; copy the file unchanged"
    )]
    Text,
    /// No blank line between text and signatures, or no signature after it.
    #[error("the signed note has no signature; fetch the whole file, down to its last line")]
    Unsigned,
    /// A signature line that does not read.
    #[error("line {line} after the text of the signed note is not a signature; copy the file unchanged")]
    SignatureLine {
        /// Counted from 1, after the blank line.
        line: usize,
    },
    /// Too many signature lines.
    #[error("the signed note has more than {NOTE_SIGNATURES_MAX} signatures; remove those that are not needed")]
    TooManySignatures,
    /// The same name and key twice.
    #[error("`{signer}` signed the note twice; remove one of its signatures")]
    SignedTwice {
        /// The repeated name.
        signer: String,
    },
    /// A name that cannot stand in a signature line.
    #[error("invalid signer name `{signer}`: use visible ASCII characters without spaces")]
    Signer {
        /// The name in question.
        signer: String,
    },
    /// A key that is known, a signature that is not its own.
    #[error("the signature of `{signer}` does not match the text; discard the note and fetch it from another source")]
    BadSignature {
        /// Whose signature it claims to be.
        signer: String,
    },
}

/// Whether a key signed a note. A signature that is there but bad is an error instead.
#[must_use = "a note without a known signer parses, too"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The key's signature is there and good.
    Yes,
    /// The key did not sign.
    No,
}

/// One signature line. Of an unknown kind it may have any length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    signer: String,
    key_id: KeyId,
    bytes: Vec<u8>,
}

impl Signature {
    /// The name that the line gives.
    pub fn signer(&self) -> &str {
        &self.signer
    }

    /// The key that the line gives.
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

/// A text and its signatures, of which none has been checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

impl Note {
    /// Signs a text that ends its last line with `\n`, once for each signer.
    ///
    /// # Errors
    ///
    /// A text or name that cannot stand in a note, no signer, too many, or one of them twice.
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

    /// Signs the text once more.
    ///
    /// # Errors
    ///
    /// A name that cannot stand in a note, a seventeenth signature, or one that is already there.
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

    /// Reads a note of at most `bytes_max` bytes; what it says is not believed yet.
    ///
    /// # Errors
    ///
    /// Anything that is not exactly one note.
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

    /// The text that the signatures are over, with its last line end.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signatures in the order in which they stand.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// The note as it travels.
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

    /// Whether this key, under this name, signed the text. Signatures of others do not matter.
    ///
    /// # Errors
    ///
    /// [`NoteError::BadSignature`] when there is a signature by this name and key id, and it is not good: somebody
    /// has tampered with the note, so no other signature redeems it.
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

/// Lines of printable ASCII, at least one, each ended.
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

//! Ed25519 keys, their text forms, and the short ID that identifies one in a signed note.
//!
//! It reads and writes no files and assigns keys no roles; `trust` and its callers do.
//!
//! Invariant: a [`VerifyingKey`] is a canonical encoding of a point that is not of small order, so one key has one
//! encoding, and no signature verifies under two of them by accident of encoding.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer;
use sha2::{Digest, Sha256};

/// The prefix of a key file; it names the algorithm, so that others can be added.
pub const KEY_FILE_PREFIX: &str = "bookholder-ed25519-v1:";
/// The C2SP algorithm byte of Ed25519.
const ALGORITHM_ED25519: u8 = 0x01;

/// Why a text is not a key, or no key could be generated. No message repeats the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Another kind of key file, or not a key file.
    #[error("not a bookholder signing key: it must start with `{KEY_FILE_PREFIX}`; check that this is the right file")]
    Prefix,
    /// The base64 does not decode to 32 bytes.
    #[error("a key is 32 bytes in base64, 44 characters with one `=` at the end; copy it whole")]
    Encoding,
    /// The bytes are not a usable point of the curve.
    #[error("not a usable ed25519 public key; copy the key again from its owner")]
    Point,
    /// The operating system provided no randomness.
    #[error("the system's random number generator failed; check /dev/urandom and try again")]
    Randomness,
}

/// The four bytes that name a key inside a signature line. A hint for finding the key, not a proof of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; 4]);

/// A private key. Wiped from memory when dropped; `Debug` shows the public half.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

impl SigningKey {
    /// A new random key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Randomness`] if the operating system provides none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|_| KeyError::Randomness)?;
        Ok(Self::from_seed(seed))
    }

    /// The key with this 32-byte seed.
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// The secret as the one line of a key file, without a line break: `bookholder-ed25519-v1:<base64 seed>`.
    pub fn to_key_file(&self) -> String {
        let mut text = String::from(KEY_FILE_PREFIX);
        STANDARD.encode_string(self.0.as_bytes(), &mut text);
        text
    }

    /// Parses a key file; white space at its end is allowed.
    ///
    /// # Errors
    ///
    /// [`KeyError::Prefix`] or [`KeyError::Encoding`].
    pub fn from_key_file(text: &str) -> Result<Self, KeyError> {
        let seed = text.trim_ascii_end().strip_prefix(KEY_FILE_PREFIX).ok_or(KeyError::Prefix)?;
        Ok(Self::from_seed(bytes32(seed)?))
    }

    /// The public half.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey(self.0.verifying_key())
    }

    /// Signs these bytes; the same bytes always give the same signature.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey(redacted, public {})", self.verifying_key())
    }
}

/// A public key. Its text form is the base64 of its 32 bytes; keys sort by those bytes.
#[derive(Clone, Copy)]
pub struct VerifyingKey(ed25519_dalek::VerifyingKey);

impl VerifyingKey {
    /// Accepts 32 bytes that are the canonical encoding of a point not of small order.
    ///
    /// # Errors
    ///
    /// [`KeyError::Point`] for anything else.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::Point)?;
        let canonical = key.to_edwards().compress().as_bytes() == bytes;
        if key.is_weak() || !canonical {
            return Err(KeyError::Point);
        }
        Ok(Self(key))
    }

    /// The 32 bytes of the key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// Whether this key signed exactly this message; strict, so signatures are not malleable.
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.verify_strict(message, &signature).is_ok()
    }

    /// The ID of this key with a signer's name, as C2SP signed notes define it: the first four bytes of `SHA-256(name |
    /// 0x0A | 0x01 | key)`.
    pub fn id(&self, signer: &str) -> KeyId {
        let hash: [u8; 32] = Sha256::new()
            .chain_update(signer)
            .chain_update([b'\n', ALGORITHM_ED25519])
            .chain_update(self.as_bytes())
            .finalize()
            .into();
        let [a, b, c, d, ..] = hash;
        KeyId([a, b, c, d])
    }
}

impl PartialEq for VerifyingKey {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for VerifyingKey {}

impl PartialOrd for VerifyingKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for VerifyingKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_bytes().cmp(other.as_bytes())
    }
}

impl Hash for VerifyingKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_bytes().hash(state);
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.as_bytes()))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

impl FromStr for VerifyingKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::from_bytes(&bytes32(text)?)
    }
}

/// Padded standard base64 of exactly 32 bytes, in canonical form.
fn bytes32(text: &str) -> Result<[u8; 32], KeyError> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(KeyError::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_match_the_first_vector_of_rfc_8032() {
        let seed = [
            0x9d, 0x61, 0xb1, 0x9d, 0xef, 0xfd, 0x5a, 0x60, 0xba, 0x84, 0x4a, 0xf4, 0x92, 0xec, 0x2c, 0xc4, 0x44, 0x49,
            0xc5, 0x69, 0x7b, 0x32, 0x69, 0x19, 0x70, 0x3b, 0xac, 0x03, 0x1c, 0xae, 0x7f, 0x60,
        ];
        let key = SigningKey::from_seed(seed);
        assert_eq!(key.verifying_key().to_string(), "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        let signature = key.sign(b"");
        assert_eq!(signature[..4], [0xe5, 0x56, 0x43, 0x00]);
        assert!(key.verifying_key().verifies(b"", &signature));
        assert!(!key.verifying_key().verifies(b"x", &signature));
    }

    #[test]
    fn keys_read_back_from_their_texts() {
        let key = SigningKey::generate().unwrap();
        let file = format!("{}\n", key.to_key_file());
        let again = SigningKey::from_key_file(&file).unwrap();
        let public = key.verifying_key();
        assert_eq!(again.verifying_key(), public);
        assert_eq!(public.to_string().parse(), Ok(public));
    }

    #[test]
    fn invalid_key_text_gives_the_reason() {
        let seed = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for (file, expected) in [
            (String::new(), KeyError::Prefix),
            ("-----BEGIN PRIVATE KEY-----".to_owned(), KeyError::Prefix),
            (format!("bookholder-ed25519-v2:{seed}"), KeyError::Prefix),
            (KEY_FILE_PREFIX.to_owned(), KeyError::Encoding),
            (format!("{KEY_FILE_PREFIX} {seed}"), KeyError::Encoding),
            (format!("{KEY_FILE_PREFIX}{}", &seed[..43]), KeyError::Encoding),
            (format!("{KEY_FILE_PREFIX}{}B=", &seed[..42]), KeyError::Encoding),
        ] {
            let error = SigningKey::from_key_file(&file).unwrap_err();
            assert_eq!(error, expected, "{file}");
        }
        assert!(KeyError::Prefix.to_string().contains("`bookholder-ed25519-v1:`"));
    }

    #[test]
    fn weak_and_doubly_encoded_points_are_refused() {
        let mut identity = [0; 32];
        identity[0] = 1;
        let order_four = [0; 32];
        // y = 2^255 - 16 is y = 3 again, a point of large order in a non-canonical encoding that decompresses.
        let mut three_again = [0xff; 32];
        three_again[0] = 0xf0;
        three_again[31] = 0x7f;
        let mut three = [0; 32];
        three[0] = 3;
        assert!(VerifyingKey::from_bytes(&three).is_ok(), "y = 3 is on the curve");
        assert!(ed25519_dalek::VerifyingKey::from_bytes(&three_again).is_ok());
        for bytes in [identity, order_four, three_again, [0xff; 32]] {
            assert_eq!(VerifyingKey::from_bytes(&bytes), Err(KeyError::Point));
        }
    }

    #[test]
    fn key_id_depends_on_name_and_key() {
        let key = SigningKey::from_seed([7; 32]).verifying_key();
        let input = [b"a-name\n\x01".as_slice(), key.as_bytes()].concat();
        assert_eq!(key.id("a-name").0, Sha256::digest(input)[..4]);
        assert_ne!(key.id("a-name"), key.id("b-name"));
    }

    #[test]
    fn debug_shows_only_the_public_half() {
        let key = SigningKey::from_seed([7; 32]);
        let shown = format!("{key:?}");
        let secret = key.to_key_file();
        assert!(!shown.contains(secret.strip_prefix(KEY_FILE_PREFIX).unwrap()));
        assert!(shown.contains(&key.verifying_key().to_string()));
    }
}

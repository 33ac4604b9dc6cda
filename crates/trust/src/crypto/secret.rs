//! Access tokens and their hashes.
//!
//! It does not store tokens or decide what they allow. Tokens cannot be compared directly, only by their hashes, in
//! constant time.
//!
//! Invariant: `Debug`, `Display` and errors of this module never contain a token or the text of an invalid one.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// The prefix of every generated access token, so that scanners for leaked secrets find it.
pub const ACCESS_TOKEN_PREFIX: &str = "bh_";
/// Shortest accepted access token, in characters; an operator can choose their own.
pub const ACCESS_TOKEN_CHARS_MIN: usize = 16;
/// Longest accepted access token, in characters, so that headers stay small.
pub const ACCESS_TOKEN_CHARS_MAX: usize = 200;
/// Domain of the token hash.
const HASH_CONTEXT: &str = "bookholder access token v1";

/// Why a text is not an access token, or none could be generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too short or too long.
    #[error(
        "the access token has {chars} characters; valid ones have {ACCESS_TOKEN_CHARS_MIN} to {ACCESS_TOKEN_CHARS_MAX}"
    )]
    Length {
        /// The length of the text.
        chars: usize,
    },
    /// A space, a control character or a character outside ASCII.
    #[error("an access token can only contain visible ASCII characters; remove spaces, newlines and accented letters")]
    Character,
    /// The operating system provided no randomness.
    #[error("the system's random number generator failed; check /dev/urandom and try again")]
    Randomness,
}

/// A credential in plain text, held only until it is hashed.
#[derive(Clone)]
pub struct AccessToken(String);

impl AccessToken {
    /// A new token of 256 random bits: `bh_` and 43 characters of base64url.
    ///
    /// # Errors
    ///
    /// [`SecretError::Randomness`] if the operating system provides none.
    pub fn generate() -> Result<Self, SecretError> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|_| SecretError::Randomness)?;
        let mut text = String::from(ACCESS_TOKEN_PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes, &mut text);
        Ok(Self(text))
    }

    /// Accepts a text that a caller sent or an operator chose: 16 to 200 visible ASCII characters, with an optional
    /// trailing line break, as in files.
    ///
    /// # Errors
    ///
    /// [`SecretError::Length`] or [`SecretError::Character`], neither of which repeats the text.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let text = text.strip_suffix('\n').map_or(text, |line| line.strip_suffix('\r').unwrap_or(line));
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::Character);
        }
        if !(ACCESS_TOKEN_CHARS_MIN..=ACCESS_TOKEN_CHARS_MAX).contains(&text.len()) {
            return Err(SecretError::Length { chars: text.len() });
        }
        Ok(Self(text.to_owned()))
    }

    /// The plain text, to be shown to its owner once or sent.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The hash that is stored instead of the token.
    pub fn hash(&self) -> TokenHash {
        TokenHash(blake3::derive_key(HASH_CONTEXT, self.0.as_bytes()).into())
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(redacted)")
    }
}

/// The hash of an access token. `==` takes constant time.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(blake3::Hash);

impl TokenHash {
    /// A stored hash.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes.into())
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_tokens_by_length_and_alphabet() {
        for (text, expected) in [
            ("a".repeat(15), Some(SecretError::Length { chars: 15 })),
            ("a".repeat(16), None),
            ("~!@#$%^&*()_+-=[]".to_owned(), None),
            ("a".repeat(200), None),
            ("a".repeat(201), Some(SecretError::Length { chars: 201 })),
            ("correct horse battery".to_owned(), Some(SecretError::Character)),
            ("a-long-enough-token\n".to_owned(), None),
            ("a-long-enough-token\r\n".to_owned(), None),
            ("a-long-enough-token\n\n".to_owned(), Some(SecretError::Character)),
            ("a-long-enough-token\r".to_owned(), Some(SecretError::Character)),
            ("\na-long-enough-token".to_owned(), Some(SecretError::Character)),
            ("a-long-enough-t\u{f6}ken".to_owned(), Some(SecretError::Character)),
        ] {
            assert_eq!(AccessToken::parse(&text).err(), expected, "{text:?}");
        }
    }

    #[test]
    fn generated_token_is_unique_and_parses_to_the_same_hash() {
        let token = AccessToken::generate().unwrap();
        assert_eq!(token.reveal().len(), 46);
        assert!(token.reveal().starts_with("bh_"));
        assert_ne!(token.reveal(), AccessToken::generate().unwrap().reveal(), "two tokens");
        let again = AccessToken::parse(token.reveal()).unwrap();
        assert_eq!(again.hash(), token.hash());
        assert_eq!(TokenHash::from_bytes(*token.hash().as_bytes()), token.hash());
    }

    #[test]
    fn token_hash_is_pinned() {
        let hash = AccessToken::parse("bh_0123456789abcdef").unwrap().hash();
        let hex = blake3::Hash::from(*hash.as_bytes()).to_hex().to_string();
        assert_eq!(hex, "4f4dc1fd2c398c33a0e6d8dda7e33a175ce953fa0419e6782e927f279635c785");
        let other = AccessToken::parse("bh_0123456789abcdeF").unwrap().hash();
        assert_ne!(hash, other);
    }

    #[test]
    fn debug_and_errors_never_contain_the_secret() {
        let token = AccessToken::parse("bh_0123456789abcdef").unwrap();
        assert_eq!(format!("{token:?}"), "AccessToken(redacted)");
        assert_eq!(format!("{:?}", token.hash()), "TokenHash(redacted)");
        let error = AccessToken::parse("short-secret").unwrap_err();
        assert!(!error.to_string().contains("short-secret"));
        assert!(error.to_string().contains("valid ones have 16 to 200"));
    }
}

//! The content id: the hash of a content's bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::schema::{built_schema, text};

/// The prefix of every content id.
pub const CONTENT_ID_PREFIX: &str = "b3:";
/// Fewest hex digits that a reference may shorten a content id to.
pub const CONTENT_ID_HEX_MIN: usize = 8;

/// `b3:` and the hex BLAKE3 hash of a version's encoding.
///
/// It only depends on the bytes, so `b3sum` of the response verifies it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentId([u8; 32]);

built_schema!(
    ContentId = text(
        "`b3:` and the hex BLAKE3 hash of a content's canonical JSON (RFC 8785).",
        "b3:3f9a1c2b7d4105e6f8a90b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f50",
    )
    .pattern(Some(r"^b3:[0-9a-f]{64}$"))
);

/// The text is not a content id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid content id `{0}`: use `b3:` and 64 lower-case hex digits")]
pub struct ContentIdError(String);

impl ContentId {
    /// The id of exactly these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The id with this hash.
    #[must_use]
    pub const fn from_hash(hash: [u8; 32]) -> Self {
        Self(hash)
    }

    /// The 32 bytes of the hash.
    pub const fn as_hash(&self) -> &[u8; 32] {
        &self.0
    }

    /// The hash as 64 hex digits, without the prefix.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    /// The first 12 hex digits: enough to tell versions apart in a log.
    pub fn short(&self) -> String {
        self.hex().chars().take(12).collect()
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{CONTENT_ID_PREFIX}{}", self.hex())
    }
}

impl FromStr for ContentId {
    type Err = ContentIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix(CONTENT_ID_PREFIX).filter(|hex| !hex.bytes().any(|b| b.is_ascii_uppercase()));
        hex.and_then(|hex| blake3::Hash::from_hex(hex).ok())
            .map(|hash| Self(*hash.as_bytes()))
            .ok_or_else(|| ContentIdError(text.chars().take(80).collect()))
    }
}

impl TryFrom<String> for ContentId {
    type Error = ContentIdError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ContentId> for String {
    fn from(id: ContentId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_id_equals_b3sum() {
        let id = ContentId::of(b"{}");
        assert_eq!(id.to_string(), format!("b3:{}", blake3::hash(b"{}").to_hex()));
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!(id.to_string().to_uppercase().parse::<ContentId>().is_err());
        assert!("b3:12".parse::<ContentId>().is_err());
    }
}

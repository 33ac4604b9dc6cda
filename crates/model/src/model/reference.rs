//! Prompt references such as `name@label`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::content_id::{CONTENT_ID_HEX_MIN, CONTENT_ID_PREFIX};
use super::name::{Label, NameError, PromptName};
use super::schema::{built_schema, format, text};

/// `name@label`, `name@7`, `name@b3:3f9a…`; a bare `name` means `name@production`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The prompt.
    pub name: PromptName,
    /// The version.
    pub selector: Selector,
}

built_schema!(
    Reference = text(
        "Which version of which prompt: `name@label`, `name@7`, or `name@b3:…` with 8 to 64 hex digits of its content id; \
         a bare name means `@production`.",
        "support/agent@production",
    )
    .format(format("prompt-reference"))
    .min_length(Some(1))
    .max_length(Some(268))
);

built_schema!(
    Selector = text("A version: its number, a label, or `b3:` and 8 to 64 hex digits of its content id.", "7")
        .min_length(Some(1))
        .max_length(Some(67))
        .pattern(Some(SELECTOR_PATTERN))
);

/// The forms of a [`Selector`].
const SELECTOR_PATTERN: &str =
    r"^([1-9][0-9]{0,15}|b3:[0-9a-f]{8,64}|([a-z]|[0-9][0-9._-]{0,34}[a-z])[a-z0-9._-]{0,35})$";

/// The part after the `@` of a reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selector {
    /// What this label serves.
    Label(Label),
    /// This version, whatever labels say; at least 1.
    Version(u64),
    /// The version whose content id starts with these hex digits (8 to 64 of them).
    Content(String),
}

/// One version of a prompt, as text `name@7`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRef {
    /// The prompt.
    pub name: PromptName,
    /// The version; at least 1.
    pub version: u64,
}

built_schema!(
    VersionRef = text("One version of a prompt: `name@7`.", "support/agent@7")
        .min_length(Some(3))
        .max_length(Some(217))
        .pattern(Some("^[^@]+@[1-9][0-9]{0,15}$"))
);

/// Why a text is not a reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ReferenceError {
    #[error(transparent)]
    Name(#[from] NameError),
    #[error("invalid version number `{0}`: versions count from 1 to 9007199254740991")]
    Version(String),
    #[error("invalid content id `{0}`: use `b3:` and 8 to 64 lower-case hex digits")]
    Content(String),
    #[error("`{0}` names no version: write the number, such as `support/agent@7`")]
    NoVersion(String),
}

impl VersionRef {
    /// The version of a prompt with this number.
    #[must_use]
    pub fn new(name: &PromptName, version: u64) -> Self {
        Self { name: name.clone(), version }
    }
}

impl FromStr for VersionRef {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse()? {
            Reference { name, selector: Selector::Version(version) } => Ok(Self { name, version }),
            Reference { .. } => Err(ReferenceError::NoVersion(text.chars().take(80).collect())),
        }
    }
}

impl TryFrom<String> for VersionRef {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<VersionRef> for String {
    fn from(version: VersionRef) -> Self {
        version.to_string()
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.version)
    }
}

impl Reference {
    /// The label of this reference, if it has one.
    pub fn label(&self) -> Option<&Label> {
        match &self.selector {
            Selector::Label(label) => Some(label),
            Selector::Version(_) | Selector::Content(_) => None,
        }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('@') {
            None => Ok(Self { name: text.parse()?, selector: Selector::Label(Label::production()) }),
            Some((name, selector)) => Ok(Self { name: name.parse()?, selector: selector.parse()? }),
        }
    }
}

impl FromStr for Selector {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let excerpt = || text.chars().take(80).collect::<String>();
        if let Some(hex) = text.strip_prefix(CONTENT_ID_PREFIX) {
            let hex_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
            let fits = (CONTENT_ID_HEX_MIN..=64).contains(&hex.len()) && hex.bytes().all(hex_digit);
            return if fits { Ok(Self::Content(hex.to_owned())) } else { Err(ReferenceError::Content(excerpt())) };
        }
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let number = text.parse::<u64>().ok().filter(|n| (1..1 << 53).contains(n));
            return number.map(Self::Version).ok_or_else(|| ReferenceError::Version(excerpt()));
        }
        Ok(Self::Label(text.parse()?))
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.selector)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(label) => label.fmt(f),
            Self::Version(number) => number.fmt(f),
            Self::Content(hex) => write!(f, "{CONTENT_ID_PREFIX}{hex}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_ref_serializes_as_name_and_number_and_nothing_else_reads_back() {
        let version: VersionRef = serde_json::from_str("\"support/agent@7\"").expect("a version");
        assert_eq!(version, VersionRef::new(&"support/agent".parse().expect("a name"), 7));
        assert_eq!(serde_json::to_string(&version).expect("json"), "\"support/agent@7\"");
        for text in ["support/agent", "support/agent@staging", "a@b3:0123abcd", "a@0", "@7", "a@b@7"] {
            assert!(text.parse::<VersionRef>().is_err(), "{text}");
        }
    }

    #[test]
    fn references_read_back_and_a_bare_name_means_production() {
        for (text, shown) in [
            ("support/agent", "support/agent@production"),
            ("support/agent@staging", "support/agent@staging"),
            ("support/agent@7", "support/agent@7"),
            ("a b@b3:0123abcd", "a b@b3:0123abcd"),
            ("a@latest", "a@latest"),
        ] {
            assert_eq!(text.parse::<Reference>().expect(text).to_string(), shown);
        }
        for (text, part) in [
            ("a@0", "versions count from 1"),
            ("a@18446744073709551616", "versions count from 1"),
            ("a@", "empty"),
            ("a@b@c", "invalid label"),
            ("@production", "empty"),
            ("a@b3:XYZ", "hex digits"),
            ("a/../b@production", "`..`"),
        ] {
            let message = text.parse::<Reference>().expect_err(text).to_string();
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

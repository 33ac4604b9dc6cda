//! Keys of the replicated map: `namespace 0x00 kind key`.
//!
//! | kind | key | value |
//! |---|---|---|
//! | 1 prompt | name | record |
//! | 2 version | name 0x00 number (8 bytes) | record |
//! | 3 content | hash (32 bytes) | its encoding, as it is |
//! | 4 label | name 0x00 label | record |
//! | 5 deployment | name 0x00 label 0x00 commit (8 bytes) | record |
//!
//! Names and labels contain no control characters, so 0x00 always ends them.

use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};

/// Longest key of an entry with its namespace, in bytes; longer ones in deltas are rejected.
pub const ENTRY_KEY_BYTES_MAX: usize = 1_024;

/// The kind of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs, reason = "see the table above")]
pub enum Kind {
    Prompt = 1,
    Version = 2,
    Content = 3,
    Label = 4,
    Deployment = 5,
}

impl Kind {
    /// The kind with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Prompt),
            2 => Some(Self::Version),
            3 => Some(Self::Content),
            4 => Some(Self::Label),
            5 => Some(Self::Deployment),
            _ => None,
        }
    }
}

/// An encoded key and its parts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EntryKey(Vec<u8>);

/// The parts of an encoded key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the parts")]
pub struct Parts<'a> {
    pub namespace: &'a str,
    pub kind: u8,
    pub key: &'a [u8],
}

impl EntryKey {
    fn new(namespace: &str, kind: Kind, parts: &[&[u8]]) -> Self {
        let length = namespace.len() + 2 + parts.iter().map(|part| part.len() + 1).sum::<usize>();
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(namespace.as_bytes());
        bytes.extend_from_slice(&[0, kind as u8]);
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                bytes.push(0);
            }
            bytes.extend_from_slice(part);
        }
        Self(bytes)
    }

    /// The key of a prompt.
    #[must_use]
    pub fn prompt(name: &PromptName) -> Self {
        Self::new(name.namespace(), Kind::Prompt, &[name.as_str().as_bytes()])
    }

    /// The key of a version.
    #[must_use]
    pub fn version(name: &PromptName, number: u64) -> Self {
        Self::new(name.namespace(), Kind::Version, &[name.as_str().as_bytes(), &number.to_be_bytes()])
    }

    /// The key of a content in a namespace.
    #[must_use]
    pub fn content(namespace: &str, id: &ContentId) -> Self {
        Self::new(namespace, Kind::Content, &[id.as_hash()])
    }

    /// The key of a label.
    #[must_use]
    pub fn label(name: &PromptName, label: &Label) -> Self {
        Self::new(name.namespace(), Kind::Label, &[name.as_str().as_bytes(), label.as_str().as_bytes()])
    }

    /// The key of a deployment of a label.
    #[must_use]
    pub fn deployment(name: &PromptName, label: &Label, commit: u64) -> Self {
        let parts = [name.as_str().as_bytes(), label.as_str().as_bytes(), &commit.to_be_bytes()];
        Self::new(name.namespace(), Kind::Deployment, &parts)
    }

    /// The prefix of all label keys of a prompt.
    #[must_use]
    pub fn labels_of(name: &PromptName) -> Self {
        Self::new(name.namespace(), Kind::Label, &[name.as_str().as_bytes(), b""])
    }

    /// The prefix of all deployment keys of a prompt.
    #[must_use]
    pub fn deployments_of(name: &PromptName) -> Self {
        Self::new(name.namespace(), Kind::Deployment, &[name.as_str().as_bytes(), b""])
    }

    /// The prefix of all keys of this kind in a namespace.
    #[must_use]
    pub fn all(namespace: &str, kind: Kind) -> Self {
        Self::new(namespace, kind, &[])
    }

    /// The key with these parts from a delta; `None` if they are not valid.
    pub fn from_parts(namespace: &str, kind: u8, key: &[u8]) -> Option<Self> {
        let fits = !namespace.is_empty()
            && !namespace.contains('\0')
            && namespace.len() + key.len() + 2 <= ENTRY_KEY_BYTES_MAX;
        fits.then(|| {
            let mut bytes = Vec::with_capacity(namespace.len() + 2 + key.len());
            bytes.extend_from_slice(namespace.as_bytes());
            bytes.extend_from_slice(&[0, kind]);
            bytes.extend_from_slice(key);
            Self(bytes)
        })
    }

    /// The encoded bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The smallest byte string above every key with this prefix.
    pub fn after(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        while let Some(last) = bytes.pop() {
            if let Some(next) = last.checked_add(1) {
                bytes.push(next);
                break;
            }
        }
        bytes
    }
}

impl<'a> Parts<'a> {
    /// Parses an encoded key; `None` if it is not valid.
    pub fn of(bytes: &'a [u8]) -> Option<Self> {
        let end = bytes.iter().position(|byte| *byte == 0)?;
        let (namespace, rest) = bytes.split_at(end);
        let (kind, key) = rest.get(1..)?.split_first()?;
        Some(Self { namespace: std::str::from_utf8(namespace).ok()?, kind: *kind, key })
    }

    /// The prompt of the entry; absent for contents and unknown kinds.
    pub fn name(&self) -> Option<&'a str> {
        let kind = Kind::from_number(self.kind)?;
        if kind == Kind::Content {
            return None;
        }
        let end = self.key.iter().position(|byte| *byte == 0).unwrap_or(self.key.len());
        std::str::from_utf8(self.key.get(..end)?).ok()
    }

    /// The ID of a content; absent for other kinds.
    pub fn content_id(&self) -> Option<ContentId> {
        let hash = <[u8; 32]>::try_from(self.key).ok()?;
        (self.kind == Kind::Content as u8).then(|| ContentId::from_hash(hash))
    }

    /// The text and the number at the end of a version's or deployment's key.
    pub fn number(&self) -> Option<u64> {
        let start = self.key.len().checked_sub(8)?;
        self.key.get(start..)?.try_into().ok().map(u64::from_be_bytes)
    }

    /// The label in a label's or deployment's key.
    pub fn label(&self) -> Option<&'a str> {
        let mut parts = self.key.splitn(3, |byte| *byte == 0);
        parts.next()?;
        std::str::from_utf8(parts.next()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_round_trip() {
        let name: PromptName = "support/agent".parse().expect("a name");
        let label = Label::production();
        let key = EntryKey::deployment(&name, &label, 258);
        let parts = Parts::of(key.as_bytes()).expect("a key");
        assert_eq!((parts.namespace, parts.kind), ("support", 5));
        assert_eq!(
            (parts.name(), parts.label(), parts.number()),
            (Some("support/agent"), Some("production"), Some(258))
        );
        assert_eq!(EntryKey::from_parts("support", 5, parts.key), Some(key));
        let content = EntryKey::content("support", &ContentId::of(b"x"));
        assert_eq!(Parts::of(content.as_bytes()).expect("a key").name(), None);
    }

    #[test]
    fn range_ends_after_every_key_with_the_prefix() {
        let name: PromptName = "a".parse().expect("a name");
        let prefix = EntryKey::labels_of(&name);
        let inside = EntryKey::label(&name, &"zzz".parse().expect("a label"));
        assert!(prefix.as_bytes() < inside.as_bytes() && inside.as_bytes() < prefix.after().as_slice());
        assert_eq!(EntryKey(vec![1, 255, 255]).after(), vec![2]);
    }
}

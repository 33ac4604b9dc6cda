//! Keys of documents: parts separated by 0x00, in the sort order of their values.
//!
//! A text is a part as it is; a number is 20 decimal digits. Invariant: no part contains a control character, so that
//! the parts of a key can be separated, and an unchecked name cannot reach another document.

use crate::model::name::PromptName;

/// Longest key of a document, in bytes: a prompt's name, a handle and a number.
pub const DOCUMENT_KEY_BYTES_MAX: usize = 512;

const SEPARATOR: char = '\0';

/// One part of a key.
pub trait KeyPart: Copy {
    /// The type when it is parsed from a stored key.
    type Read<'k>;

    /// Appends its text; `None` if it cannot be part of a key.
    fn write_part(self, text: &mut String) -> Option<()>;

    /// Reads it.
    fn read_part(text: &str) -> Option<Self::Read<'_>>;
}

impl KeyPart for &str {
    type Read<'k> = &'k str;

    fn write_part(self, text: &mut String) -> Option<()> {
        (!self.contains(char::is_control)).then(|| text.push_str(self))
    }

    fn read_part(text: &str) -> Option<&str> {
        Some(text)
    }
}

impl KeyPart for &PromptName {
    type Read<'k> = &'k str;

    fn write_part(self, text: &mut String) -> Option<()> {
        self.as_str().write_part(text)
    }

    fn read_part(text: &str) -> Option<&str> {
        Some(text)
    }
}

impl KeyPart for u64 {
    type Read<'k> = Self;

    fn write_part(self, text: &mut String) -> Option<()> {
        use std::fmt::Write as _;
        write!(text, "{self:020}").ok()
    }

    fn read_part(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// The key of a document, or a prefix of several keys.
pub trait DocumentKey: Copy {
    /// The type when it is parsed from a stored key.
    type Read<'k>;

    /// Appends its text; `None` if it is not a valid key.
    fn write(self, text: &mut String) -> Option<()>;

    /// Reads it.
    fn read(text: &str) -> Option<Self::Read<'_>>;

    /// Its text; `None` if it is not a valid key.
    fn text(self) -> Option<String> {
        let mut text = String::new();
        self.write(&mut text)?;
        (text.len() <= DOCUMENT_KEY_BYTES_MAX).then_some(text)
    }
}

/// A key of more than one part.
pub trait CompoundKey: DocumentKey {
    /// The parts that related documents share.
    type Prefix: DocumentKey;
}

impl<P: KeyPart> DocumentKey for P {
    type Read<'k> = P::Read<'k>;

    fn write(self, text: &mut String) -> Option<()> {
        self.write_part(text)
    }

    fn read(text: &str) -> Option<Self::Read<'_>> {
        P::read_part(text)
    }
}

impl<A: KeyPart, B: KeyPart> DocumentKey for (A, B) {
    type Read<'k> = (A::Read<'k>, B::Read<'k>);

    fn write(self, text: &mut String) -> Option<()> {
        self.0.write_part(text)?;
        text.push(SEPARATOR);
        self.1.write_part(text)
    }

    fn read(text: &str) -> Option<Self::Read<'_>> {
        let (first, second) = text.split_once(SEPARATOR)?;
        Some((A::read_part(first)?, B::read_part(second)?))
    }
}

impl<A: KeyPart, B: KeyPart> CompoundKey for (A, B) {
    type Prefix = A;
}

macro_rules! key {
    ($(#[$doc:meta])* $name:ident, under $prefix:ty { $($part:ident: $type:ty),+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the parts")]
        pub struct $name<'a> {
            $(pub $part: $type),+
        }

        impl<'a> DocumentKey for $name<'a> {
            type Read<'k> = $name<'k>;

            fn write(self, text: &mut String) -> Option<()> {
                let start = text.len();
                $(
                    if text.len() > start {
                        text.push(SEPARATOR);
                    }
                    self.$part.write_part(text)?;
                )+
                Some(())
            }

            fn read(text: &str) -> Option<$name<'_>> {
                let mut parts = text.split(SEPARATOR);
                let key = $name { $($part: <$type as KeyPart>::read_part(parts.next()?)?),+ };
                parts.next().is_none().then_some(key)
            }
        }

        impl<'a> CompoundKey for $name<'a> {
            type Prefix = $prefix;
        }
    };
}

key! {
    /// A revision of a draft.
    DraftSaveKey, under (&'a str, &'a str) { prompt: &'a str, draft: &'a str, revision: u64 }
}
key! {
    /// A caller of a version.
    UseKey, under (&'a str, u64) { prompt: &'a str, version: u64, by: &'a str }
}
key! {
    /// One event for one webhook: an audit entry, and the index of the effect.
    DeliveryKey, under &'a str { webhook: &'a str, seq: u64, effect: u64 }
}
key! {
    /// A pending delivery, by its due time in milliseconds since 1970.
    DueDeliveryKey, under &'a str { webhook: &'a str, due_ms: u64, seq: u64, effect: u64 }
}
key! {
    /// What a person says about a result of a run of a suite: its place, and the scorer that judged it.
    HumanLabelKey, under &'a str { suite: &'a str, run: u64, place: u64, scorer: u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_as_they_were_written() {
        let name: PromptName = "support/agent".parse().expect("a name");
        let text = (&name, 12).text().expect("a key");
        assert_eq!(text, "support/agent\x0000000000000000000012");
        assert_eq!(<(&PromptName, u64)>::read(&text), Some(("support/agent", 12)));
        let key = DueDeliveryKey { webhook: "chat", due_ms: 7, seq: 8, effect: 9 };
        assert_eq!(DueDeliveryKey::read(&key.text().expect("a key")), Some(key));
        assert_eq!(DeliveryKey::read(&key.text().expect("a key")), None, "a key of another shape");
    }

    #[test]
    fn text_with_control_character_or_too_long_is_an_invalid_key() {
        assert_eq!("a\0b".text(), None);
        assert_eq!(("a", "b\u{1b}").text(), None);
        assert_eq!("a".repeat(DOCUMENT_KEY_BYTES_MAX + 1).as_str().text(), None);
        assert!("a".repeat(DOCUMENT_KEY_BYTES_MAX).as_str().text().is_some());
    }
}

//! The system text of a call: what a call that names no prompt is recognized by.
//!
//! This is the one place that says when two system texts are the same: with `\n` at the ends of lines, without
//! whitespace at the beginning and end of each message, and with an empty line between messages.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Longest system text that is compared with templates and grouped, in bytes; longer ones are known by their hash.
pub const SYSTEM_TEXT_BYTES_MAX: usize = 32 * 1_024;

/// What stands between two system messages of one call.
pub const BETWEEN_MESSAGES: &str = "\n\n";

/// The system text of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemText {
    /// BLAKE3 of the text.
    pub hash: [u8; 32],
    /// The text.
    pub text: SentText,
}

/// A system text that was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SentText {
    /// This one.
    Text(String),
    /// One above [`SYSTEM_TEXT_BYTES_MAX`].
    TooLong,
}

impl SentText {
    /// The text, unless it is too long.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::TooLong => None,
        }
    }

    /// How many bytes are kept of it.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text().map_or(0, str::len)
    }
}

impl SystemText {
    /// The system text of a call, given the texts of its system messages in order; none if there is nothing in them.
    #[must_use]
    pub fn of<'a>(messages: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let texts: Vec<_> = messages.into_iter().map(str::trim).filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            return None;
        }
        let text = match texts.as_slice() {
            [text] => normalized(text),
            texts => Cow::Owned(normalized(&texts.join(BETWEEN_MESSAGES)).into_owned()),
        };
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        let fits = text.len() <= SYSTEM_TEXT_BYTES_MAX;
        Some(Self { hash, text: if fits { SentText::Text(text.into_owned()) } else { SentText::TooLong } })
    }
}

/// A text with `\n` at the ends of lines, and without whitespace at its beginning and end.
fn normalized(text: &str) -> Cow<'_, str> {
    with_line_feeds(text.trim())
}

/// A text with `\n` at the ends of lines.
#[must_use]
pub fn with_line_feeds(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { Cow::Owned(text.replace("\r\n", "\n").replace('\r', "\n")) } else { Cow::Borrowed(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(messages: &[&str]) -> [u8; 32] {
        SystemText::of(messages.iter().copied()).expect("a text").hash
    }

    #[test]
    fn ends_of_lines_and_outer_whitespace_do_not_change_the_hash() {
        let expected = hash(&["Be kind.\nBe brief."]);
        assert_eq!(hash(&["  Be kind.\r\nBe brief.\n\n"]), expected);
        assert_eq!(hash(&["Be kind.\rBe brief."]), expected);
        assert_ne!(hash(&["Be kind. Be brief."]), expected);
        assert_eq!(expected, *blake3::hash(b"Be kind.\nBe brief.").as_bytes());
    }

    #[test]
    fn messages_are_joined_by_an_empty_line_and_empty_ones_left_out() {
        assert_eq!(hash(&[" Be kind. ", "", " \n", "Be brief."]), hash(&["Be kind.\n\nBe brief."]));
        assert_eq!(SystemText::of(["", " \r\n"]), None);
    }

    #[test]
    fn long_text_is_indexed_by_its_hash() {
        let long = "x".repeat(SYSTEM_TEXT_BYTES_MAX + 1);
        let found = SystemText::of([long.as_str()]).expect("a text");
        assert_eq!((found.hash, found.text), (*blake3::hash(long.as_bytes()).as_bytes(), SentText::TooLong));
    }
}

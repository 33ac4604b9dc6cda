//! Reading the exact lines of a signed text, in their exact order.
//!
//! It knows how a line is cut, not what a document means. Spelling is not judged line by line: a reader writes what
//! it understood once more and calls [`canonical`], which refuses whatever is not the same text.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Why a text is not the document that it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A line that is missing, out of order, or not readable.
    #[error(
        "line {line} of the signed text must be `{expected}`; copy the file unchanged, or upgrade bookholder if it is newer"
    )]
    Line {
        /// Counted from 1.
        line: usize,
        /// The line that should stand there.
        expected: &'static str,
    },
    /// Lines after the last one.
    #[error(
        "line {line} of the signed text is unexpected; copy the file unchanged, or upgrade bookholder if it is newer"
    )]
    Surplus {
        /// Counted from 1.
        line: usize,
    },
    /// Readable, but with another spelling of a number or a key.
    #[error("the signed text is not in bookholder's canonical form; copy the file unchanged")]
    Spelling,
    /// Numbers that contradict each other.
    #[error("the signed text contradicts itself: {rule}; report it to the operator of the primary")]
    Contradiction {
        /// What should hold.
        rule: &'static str,
    },
}

/// A cursor over the lines of a text, each ended by `\n`.
pub(super) struct Lines<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Lines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text, line: 0 }
    }

    fn next(&mut self, expected: &'static str) -> Result<&'a str, SyntaxError> {
        self.line += 1;
        let (line, rest) = self.rest.split_once('\n').ok_or(SyntaxError::Line { line: self.line, expected })?;
        self.rest = rest;
        Ok(line)
    }

    /// The line just read is not what `expected` describes.
    pub(super) fn unexpected_line(&self, expected: &'static str) -> SyntaxError {
        SyntaxError::Line { line: self.line, expected }
    }

    /// A whole line through a reader of the caller's.
    pub(super) fn parse_line<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, SyntaxError> {
        let line = self.next(expected)?;
        read(line).ok_or(self.unexpected_line(expected))
    }

    /// A line that is known in advance.
    pub(super) fn exact(&mut self, expected: &'static str) -> Result<(), SyntaxError> {
        self.parse_line(expected, |line| (line == expected).then_some(()))
    }

    /// A line `<key> <value>`, its value through a reader of the caller's; `expected` starts with the key.
    pub(super) fn field<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, SyntaxError> {
        self.parse_line(expected, |line| read(value_of(line, expected)?))
    }

    /// A line `<key> <number>`.
    pub(super) fn number<T: FromStr>(&mut self, expected: &'static str) -> Result<T, SyntaxError> {
        self.field(expected, |value| value.parse().ok())
    }

    /// A line `<key> <unix seconds>`, not before 1970.
    pub(super) fn seconds(&mut self, expected: &'static str) -> Result<i64, SyntaxError> {
        self.field(expected, |value| value.parse().ok().filter(|s| *s >= 0))
    }

    /// As many lines `<key> <value>` as follow here, possibly none.
    pub(super) fn list<T>(
        &mut self,
        expected: &'static str,
        mut read: impl FnMut(&'a str) -> Option<T>,
    ) -> Result<Vec<T>, SyntaxError> {
        let mut items = Vec::new();
        while value_of(self.rest, expected).is_some() {
            items.push(self.field(expected, &mut read)?);
        }
        Ok(items)
    }

    /// Nothing follows.
    pub(super) fn end(self) -> Result<(), SyntaxError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        Err(SyntaxError::Surplus { line: self.line + 1 })
    }
}

/// What follows the key of `expected` and one space at the start of `line`.
fn value_of<'a>(line: &'a str, expected: &str) -> Option<&'a str> {
    let key = expected.split(' ').next()?;
    line.strip_prefix(key)?.strip_prefix(' ')
}

/// Refuses a text that its own contents would be written differently.
pub(super) fn canonical(text: &str, written: &str) -> Result<(), SyntaxError> {
    if text == written { Ok(()) } else { Err(SyntaxError::Spelling) }
}

/// Reads 32 bytes of padded base64.
pub(super) fn read_hash(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

/// 32 bytes, shown as padded base64.
pub(super) struct Hash<'a>(pub(super) &'a [u8; 32]);

impl fmt::Display for Hash<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&STANDARD.encode(self.0))
    }
}

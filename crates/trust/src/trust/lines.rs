//! Parses the exact lines of a signed text, in order.
//!
//! It only splits lines and does not interpret a document. Spelling is not checked line by line: a parser serializes
//! its result and calls [`canonical`], which rejects any difference.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Why a text is not a valid document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// A line that is missing, out of order, or invalid.
    #[error(
        "line {line} of the signed text must be `{expected}`; copy the file unchanged, or upgrade bookholder if it is newer"
    )]
    Line {
        /// Counted from 1.
        line: usize,
        /// The expected line.
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
    /// Valid, but with a non-canonical spelling of a number or key.
    #[error("the signed text is not in bookholder's canonical form; copy the file unchanged")]
    Spelling,
    /// Inconsistent numbers.
    #[error("the signed text contradicts itself: {rule}; report it to the operator of the primary")]
    Contradiction {
        /// The violated rule.
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

    /// The line just read does not match `expected`.
    pub(super) fn unexpected_line(&self, expected: &'static str) -> SyntaxError {
        SyntaxError::Line { line: self.line, expected }
    }

    /// A whole line, parsed by the caller.
    pub(super) fn parse_line<T>(
        &mut self,
        expected: &'static str,
        read: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, SyntaxError> {
        let line = self.next(expected)?;
        read(line).ok_or(self.unexpected_line(expected))
    }

    /// A line with a fixed text.
    pub(super) fn exact(&mut self, expected: &'static str) -> Result<(), SyntaxError> {
        self.parse_line(expected, |line| (line == expected).then_some(()))
    }

    /// A line `<key> <value>`, with the value parsed by the caller; `expected` starts with the key.
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

    /// Any number of lines `<key> <value>`.
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

/// The rest of `line` after the key of `expected` and one space.
fn value_of<'a>(line: &'a str, expected: &str) -> Option<&'a str> {
    let key = expected.split(' ').next()?;
    line.strip_prefix(key)?.strip_prefix(' ')
}

/// Rejects a text that differs from the serialization of its contents.
pub(super) fn canonical(text: &str, written: &str) -> Result<(), SyntaxError> {
    if text == written { Ok(()) } else { Err(SyntaxError::Spelling) }
}

/// Parses 32 bytes of padded base64.
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

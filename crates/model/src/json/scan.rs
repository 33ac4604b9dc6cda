//! Scans a JSON text and rejects keys and numbers that would change when parsed.
//!
//! It builds no values and does not validate syntax: where a text is not JSON it stops, and the parser that runs next
//! reports the error.

use std::borrow::Cow;
use std::collections::HashSet;

use super::{JsonError, Path, Step, number};

/// The maximum depth that it scans; the parser rejects anything this deep.
const LEVELS_MAX: usize = 128;

/// Rejects a repeated key and a number that would change.
pub(super) fn scan(bytes: &[u8]) -> Result<(), JsonError> {
    let mut scan = Scan { bytes, at: 0, path: Vec::new() };
    match scan.value() {
        Err(Stop::Refused(error)) => Err(error),
        Err(Stop::Malformed) | Ok(()) => Ok(()),
    }
}

enum Stop {
    /// Invalid JSON, or nested too deeply.
    Malformed,
    Refused(JsonError),
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
    path: Vec<PathStep<'a>>,
}

#[derive(Clone)]
enum PathStep<'a> {
    Key(Cow<'a, str>),
    Index(usize),
}

impl<'a> Scan<'a> {
    fn path(&self) -> Path {
        let step = |step: &PathStep<'_>| match step {
            PathStep::Key(key) => Step::Key(key.clone().into_owned()),
            PathStep::Index(index) => Step::Index(*index),
        };
        Path(self.path.iter().map(step).collect())
    }

    fn peek(&mut self) -> Result<u8, Stop> {
        while self.bytes.get(self.at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied().ok_or(Stop::Malformed)
    }

    /// Takes one of the punctuation characters between values.
    fn next(&mut self) -> Result<u8, Stop> {
        let byte = self.peek()?;
        self.at += 1;
        Ok(byte)
    }

    fn value(&mut self) -> Result<(), Stop> {
        if self.path.len() > LEVELS_MAX {
            return Err(Stop::Malformed);
        }
        match self.peek()? {
            b'{' => self.object(),
            b'[' => self.list(),
            b'"' => self.text().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b'a'..=b'z' => {
                while self.bytes.get(self.at).is_some_and(u8::is_ascii_lowercase) {
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(Stop::Malformed),
        }
    }

    fn object(&mut self) -> Result<(), Stop> {
        self.at += 1;
        let mut seen: HashSet<Cow<'a, str>> = HashSet::new();
        if self.peek()? == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            if self.peek()? != b'"' {
                return Err(Stop::Malformed);
            }
            let key = self.key()?;
            self.path.push(PathStep::Key(key.clone()));
            if !seen.insert(key) {
                return Err(Stop::Refused(JsonError::Twice { path: self.path() }));
            }
            if self.next()? != b':' {
                return Err(Stop::Malformed);
            }
            self.value()?;
            self.path.pop();
            match self.next()? {
                b',' => {}
                b'}' => return Ok(()),
                _ => return Err(Stop::Malformed),
            }
        }
    }

    fn list(&mut self) -> Result<(), Stop> {
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            return Ok(());
        }
        for index in 0_usize.. {
            self.path.push(PathStep::Index(index));
            self.value()?;
            self.path.pop();
            match self.next()? {
                b',' => {}
                b']' => return Ok(()),
                _ => return Err(Stop::Malformed),
            }
        }
        Ok(())
    }

    /// Skips a string and returns its position, including the quotes.
    fn text(&mut self) -> Result<&'a [u8], Stop> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.bytes.get(self.at) {
                None => return Err(Stop::Malformed),
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
        self.at += 1;
        self.bytes.get(start..self.at).ok_or(Stop::Malformed)
    }

    fn key(&mut self) -> Result<Cow<'a, str>, Stop> {
        let quoted = self.text()?;
        if quoted.contains(&b'\\') {
            return serde_json::from_slice(quoted).map(Cow::Owned).map_err(|_| Stop::Malformed);
        }
        let text = std::str::from_utf8(quoted).map_err(|_| Stop::Malformed)?;
        Ok(Cow::Borrowed(text.trim_matches('"')))
    }

    fn number(&mut self) -> Result<(), Stop> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|byte| byte.is_ascii_digit() || b"+-.eE".contains(byte)) {
            self.at += 1;
        }
        let written = self.bytes.get(start..self.at).unwrap_or_default();
        let written = std::str::from_utf8(written).map_err(|_| Stop::Malformed)?;
        match number(written) {
            Ok(_) => Ok(()),
            Err(super::NumberError::Form) => Err(Stop::Malformed),
            Err(fault) => {
                Err(Stop::Refused(JsonError::Number { path: self.path(), written: written.to_owned(), fault }))
            }
        }
    }
}

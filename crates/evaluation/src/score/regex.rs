//! `regex`: a regular expression in the syntax of JavaScript, without flags, run by an engine that takes linear time.
//!
//! JavaScript sees a text as UTF-16 units. So each character beyond the Basic Multilingual Plane is replaced by two
//! private characters, one for each unit, in the expression and in the text. What the engine does not have
//! (look-around, back-references) is an error, never another meaning.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use regex::bytes::RegexBuilder;

use self::PatternError::{Invalid, Unsupported};
use super::{Input, Score, ScoreError, excerpt, needs};

/// Largest compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest expression, in bytes.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// The private character that stands for the first unit of a surrogate pair.
const UNITS_FROM: u32 = 0xF_0000;
/// What `\s` matches, within a class.
pub(super) const SPACES: &str =
    r"\x09-\x0D\x20\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}\x{FEFF}";
/// What `.` matches.
const ANY: &str = r"[^\x0A\x0D\x{2028}\x{2029}]";

pub(super) fn regex(input: &Input<'_>) -> Result<Score, ScoreError> {
    let pattern = input.text_value()?;
    if pattern.is_empty() {
        return Err(needs("a regular expression as its value"));
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(ScoreError(format!("the regular expression is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    let translated = match translate(pattern) {
        Ok(translated) => translated,
        // promptfoo fails such an assertion, and its opposite, too.
        Err(Invalid(why)) => {
            let reason = format!("invalid regular expression `{}`: {why}", excerpt(pattern));
            return Ok(Score { pass: false, score: 0.0, reason });
        }
        Err(Unsupported(what)) => {
            let pattern = excerpt(pattern);
            return Err(ScoreError(format!("unsupported in the regular expression `{pattern}`: {what}")));
        }
    };
    let mut builder = RegexBuilder::new(&translated);
    let compiled = builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build().map_err(|_| {
        ScoreError(format!("the regular expression `{}` is too large or nested too deeply", excerpt(pattern)))
    })?;
    let found = compiled.is_match(units(&input.text).as_bytes());
    Ok(input.decide(found, |not| format!("expected the answer {not}to match `{}`", excerpt(pattern))))
}

/// A text whose characters are UTF-16 units.
fn units(text: &str) -> Cow<'_, str> {
    if text.chars().all(|character| u32::from(character) < 0x1_0000) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.encode_utf16().map(unit).collect())
}

/// The character that stands for a UTF-16 unit.
fn unit(unit: u16) -> char {
    let private = || char::from_u32(UNITS_FROM + (u32::from(unit) & 0x7FF));
    char::from_u32(unit.into()).or_else(private).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Why an expression is not run.
#[derive(Debug, PartialEq, Eq)]
enum PatternError {
    /// JavaScript does not accept it either.
    Invalid(&'static str),
    /// JavaScript would run it.
    Unsupported(&'static str),
}

/// One element of a class, or a single unit outside of one.
enum Atom {
    Unit(u32),
    /// The content of a class.
    Set(&'static str),
    /// Everything but the content of a class.
    NotSet(&'static str),
}

struct Translator<'a> {
    rest: Peekable<Chars<'a>>,
    /// The second unit of a character that was read.
    pending: Option<u16>,
    output: String,
    named_groups: bool,
}

/// Translates an expression of JavaScript.
fn translate(pattern: &str) -> Result<String, PatternError> {
    let named_groups = pattern
        .match_indices("(?<")
        .any(|(at, mark)| pattern.get(at + mark.len()..).is_some_and(|rest| !rest.starts_with(['=', '!'])));
    let mut translator =
        Translator { rest: pattern.chars().peekable(), pending: None, output: String::new(), named_groups };
    translator.all()?;
    Ok(translator.output)
}

impl Translator<'_> {
    /// The next unit.
    fn next(&mut self) -> Option<char> {
        if let Some(second) = self.pending.take() {
            return Some(unit(second));
        }
        let character = self.rest.next()?;
        let mut buffer = [0_u16; 2];
        match character.encode_utf16(&mut buffer) {
            [first, second] => {
                self.pending = Some(*second);
                Some(unit(*first))
            }
            _ => Some(character),
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.pending.map(unit).or_else(|| self.rest.peek().copied())
    }

    fn take(&mut self, expected: char) -> bool {
        let found = self.pending.is_none() && self.rest.peek() == Some(&expected);
        if found {
            self.rest.next();
        }
        found
    }

    /// Takes a text if it comes next.
    fn take_text(&mut self, expected: &str) -> bool {
        let mut ahead = self.rest.clone();
        if self.pending.is_some() || !expected.chars().all(|character| ahead.next() == Some(character)) {
            return false;
        }
        self.rest = ahead;
        true
    }

    fn push(&mut self, unit: u32) {
        let _ = write!(self.output, "\\x{{{unit:X}}}");
    }

    fn all(&mut self) -> Result<(), PatternError> {
        let mut open = 0_usize;
        // Whether what was written last may be repeated.
        let mut repeatable = false;
        while let Some(character) = self.next() {
            let atom = match character {
                '(' => {
                    open += 1;
                    self.group()?;
                    false
                }
                ')' => {
                    open = open.checked_sub(1).ok_or(Invalid("`)` without `(`"))?;
                    self.output.push(')');
                    true
                }
                '|' | '^' | '$' => {
                    self.output.push(character);
                    false
                }
                '*' | '+' | '?' => {
                    self.repeat(repeatable, &character.to_string())?;
                    false
                }
                '{' => {
                    let counts = self.counts()?;
                    match &counts {
                        Some(counts) => self.repeat(repeatable, counts)?,
                        None => self.push('{'.into()),
                    }
                    counts.is_none()
                }
                '.' => {
                    self.output.push_str(ANY);
                    true
                }
                '[' => {
                    self.class()?;
                    true
                }
                '\\' => self.escape()?,
                other => {
                    self.push(other.into());
                    true
                }
            };
            repeatable = atom;
        }
        if open > 0 { Err(Invalid("`(` without `)`")) } else { Ok(()) }
    }

    fn repeat(&mut self, repeatable: bool, repetition: &str) -> Result<(), PatternError> {
        if !repeatable {
            return Err(Invalid("nothing to repeat"));
        }
        self.output.push_str(repetition);
        if self.take('?') {
            self.output.push('?');
        }
        Ok(())
    }

    /// What follows `(`.
    fn group(&mut self) -> Result<(), PatternError> {
        if !self.take('?') {
            self.output.push('(');
            return Ok(());
        }
        if self.take(':') {
            self.output.push_str("(?:");
            return Ok(());
        }
        if ["=", "!", "<=", "<!"].iter().any(|around| self.take_text(around)) {
            return Err(Unsupported("look-around such as (?=…); use two scorers"));
        }
        if !self.take('<') {
            return Err(Invalid("unknown kind of group"));
        }
        let mut name = String::new();
        loop {
            match self.next() {
                Some('>') => break,
                Some(character) if character.is_alphanumeric() || matches!(character, '_' | '$') => {
                    name.push(character);
                }
                _ => return Err(Invalid("the name of a group is invalid")),
            }
        }
        if name.is_empty() || name.starts_with(|first: char| first.is_numeric()) {
            return Err(Invalid("the name of a group is invalid"));
        }
        self.output.push('(');
        Ok(())
    }

    /// The counts of `{2}`, `{2,}` or `{2,5}` after the brace; `None`, and nothing is read, if it is a plain brace.
    fn counts(&mut self) -> Result<Option<String>, PatternError> {
        let mut ahead = self.rest.clone();
        let mut inside = String::new();
        loop {
            match ahead.next() {
                Some('}') if self.pending.is_none() => break,
                Some(character) if character.is_ascii_digit() || character == ',' => inside.push(character),
                _ => return Ok(None),
            }
        }
        let (least, most) = inside.split_once(',').unwrap_or((&inside, ""));
        if least.is_empty() || most.contains(',') {
            return Ok(None);
        }
        let in_order = |(least, most): (&str, &str)| (least.len(), least) <= (most.len(), most);
        if !most.is_empty() && !in_order((least.trim_start_matches('0'), most.trim_start_matches('0'))) {
            return Err(Invalid("numbers of a repetition are out of order"));
        }
        self.rest = ahead;
        Ok(Some(format!("{{{inside}}}")))
    }

    /// What follows `\` outside of a class; whether it may be repeated.
    fn escape(&mut self) -> Result<bool, PatternError> {
        match self.peek() {
            Some(boundary @ ('b' | 'B')) => {
                self.next();
                let _ = write!(self.output, "(?-u:\\{boundary})");
                return Ok(false);
            }
            Some('1'..='9') => return Err(Unsupported("back-references such as \\1")),
            Some('k') if self.named_groups => return Err(Unsupported("back-references such as \\k<name>")),
            _ => {}
        }
        match self.escaped()? {
            Atom::Unit(unit) => self.push(unit),
            Atom::Set(set) => {
                let _ = write!(self.output, "[{set}]");
            }
            Atom::NotSet(set) => {
                let _ = write!(self.output, "[^{set}]");
            }
        }
        Ok(true)
    }

    /// What follows `\`, inside of a class or not.
    fn escaped(&mut self) -> Result<Atom, PatternError> {
        let character = self.next().ok_or(Invalid("`\\` at the end"))?;
        Ok(match character {
            'd' => Atom::Set("0-9"),
            'D' => Atom::NotSet("0-9"),
            'w' => Atom::Set("0-9A-Z_a-z"),
            'W' => Atom::NotSet("0-9A-Z_a-z"),
            's' => Atom::Set(SPACES),
            'S' => Atom::NotSet(SPACES),
            't' => Atom::Unit(9),
            'n' => Atom::Unit(10),
            'v' => Atom::Unit(11),
            'f' => Atom::Unit(12),
            'r' => Atom::Unit(13),
            '0' if !self.peek().is_some_and(|next| next.is_ascii_digit()) => Atom::Unit(0),
            '0'..='9' => return Err(Unsupported("octal numbers of characters; use \\x41")),
            'c' => match self.peek().filter(char::is_ascii_alphabetic) {
                Some(letter) => {
                    self.next();
                    Atom::Unit(u32::from(letter) % 32)
                }
                None => return Err(Unsupported("\\c without a letter")),
            },
            'x' => Atom::Unit(self.hexadecimal(2).unwrap_or('x'.into())),
            'u' => match self.hexadecimal(4) {
                Some(code) => Atom::Unit(u16::try_from(code).map_or(code, |code| unit(code).into())),
                None => Atom::Unit('u'.into()),
            },
            other => Atom::Unit(other.into()),
        })
    }

    /// A number of exactly so many hexadecimal digits; nothing is read if there are fewer.
    fn hexadecimal(&mut self, digits: usize) -> Option<u32> {
        if self.pending.is_some() {
            return None;
        }
        let mut ahead = self.rest.clone();
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + ahead.next()?.to_digit(16)?;
        }
        self.rest = ahead;
        Some(code)
    }

    /// A class after its `[`.
    fn class(&mut self) -> Result<(), PatternError> {
        let not = self.take('^');
        let start = self.output.len();
        self.output.push_str(if not { "[^" } else { "[" });
        let mut is_empty = true;
        while !self.take(']') {
            is_empty = false;
            let from = self.class_atom()?;
            if self.peek() != Some('-') {
                self.push_atom(&from);
                continue;
            }
            self.next();
            if self.peek() == Some(']') {
                self.push_atom(&from);
                self.push('-'.into());
                continue;
            }
            let to = self.class_atom()?;
            if let (Atom::Unit(from), Atom::Unit(to)) = (&from, &to) {
                self.push_range(*from, *to)?;
            } else {
                self.push_atom(&from);
                self.push('-'.into());
                self.push_atom(&to);
            }
        }
        if is_empty {
            self.output.truncate(start);
            self.output.push_str(if not { r"[\s\S]" } else { r"[^\s\S]" });
        } else {
            self.output.push(']');
        }
        Ok(())
    }

    fn class_atom(&mut self) -> Result<Atom, PatternError> {
        match self.next().ok_or(Invalid("`[` without `]`"))? {
            '\\' if self.take('b') => Ok(Atom::Unit(8)),
            '\\' => self.escaped(),
            other => Ok(Atom::Unit(other.into())),
        }
    }

    fn push_atom(&mut self, atom: &Atom) {
        match atom {
            Atom::Unit(unit) => self.push(*unit),
            Atom::Set(set) => self.output.push_str(set),
            Atom::NotSet(set) => {
                let _ = write!(self.output, "[^{set}]");
            }
        }
    }

    /// A range of units; the private characters are where the surrogates would be.
    fn push_range(&mut self, from: u32, to: u32) -> Result<(), PatternError> {
        let code = |unit: u32| if unit >= UNITS_FROM { unit - UNITS_FROM + 0xD800 } else { unit };
        let (from, to) = (code(from), code(to));
        if from > to {
            return Err(Invalid("a range of a class is out of order"));
        }
        for (first, last, shift) in [(0, 0xD7FF, 0), (0xD800, 0xDFFF, UNITS_FROM - 0xD800), (0xE000, 0xFFFF, 0)] {
            let (from, to) = (from.max(first), to.min(last));
            if from <= to {
                self.push(from + shift);
                self.output.push('-');
                self.push(to + shift);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let translated = translate(pattern).expect(pattern);
        RegexBuilder::new(&translated).build().expect(pattern).is_match(units(text).as_bytes())
    }

    #[test]
    fn expressions_mean_what_they_mean_in_javascript() {
        for (pattern, text, expected) in [
            (r"\d{3}-\d{4}", "call 555-1234", true),
            (r"^\d+$", "٣", false),
            (r"^\w+$", "é", false),
            (r"a\sb", "a\u{feff}b", true),
            (r"\bcafé\b", "café", false),
            ("a.c", "a\rc", false),
            ("^..$", "😀", true),
            ("^.$", "😀", false),
            ("[😀]", "😁", true),
            (r"\ud83d\ude00", "😀", true),
            ("^😀+$", "😀😀", false),
            (r"[\u0000-\uffff]", "😀", true),
            ("[[]", "[", true),
            ("[a&&b]", "&", true),
            (r"[\w-.]", "-", true),
            (r"\p{L}", "p{L}", true),
            (r"\u{61}", "a", false),
            ("a{,5}", "a{,5}", true),
            ("{x}", "{x}", true),
            ("x{1", "x{1", true),
            ("[^]", "\n", true),
            ("[]", "a", false),
            (r"\/\-\_\<\>", "/-_<>", true),
            ("(?<year>[0-9]{4})", "in 2024", true),
            ("a$", "a\n", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn invalid_expressions_and_unsupported_ones_are_told_apart() {
        for pattern in
            ["(", ")", "[a", "a**", "*a", "^*", "(?i)a", "(?P<a>b)", "[z-a]", "a{2,1}", "\\", "a++", "(?<1>a)"]
        {
            assert!(matches!(translate(pattern), Err(Invalid(_))), "{pattern}");
        }
        for pattern in ["a(?=b)", "(?<!a)b", r"(a)\1", r"(?<x>a)\k<x>", r"\01", r"\c1"] {
            assert!(matches!(translate(pattern), Err(Unsupported(_))), "{pattern}");
        }
    }
}

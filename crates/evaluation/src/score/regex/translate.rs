//! Translates a regular expression of JavaScript into one of the engine.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use self::PatternError::{Invalid, Unsupported};

/// Where the private characters begin that stand for UTF-16 units beyond ASCII.
const UNITS_FROM: u32 = 0xF_0000;
/// Units of ASCII, which stand for themselves.
const ASCII_END: u32 = 0x80;
/// What `\s` matches, within a class.
const SPACES: &str = concat!(
    r"\x09-\x0D\x20\x{F00A0}\x{F1680}\x{F2000}-\x{F200A}\x{F2028}\x{F2029}\x{F202F}\x{F205F}\x{F3000}",
    r"\x{FFEFF}"
);
/// What `.` matches.
const ANY: &str = r"[^\x0A\x0D\x{F2028}\x{F2029}]";

/// The character that stands for a UTF-16 unit.
pub(super) fn unit(unit: u16) -> char {
    char::from_u32(shown(unit.into())).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// The same as a number, also for a unit that is shown already.
const fn shown(unit: u32) -> u32 {
    if unit < ASCII_END || unit >= UNITS_FROM { unit } else { unit + UNITS_FROM }
}

/// Why an expression is not run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PatternError {
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
pub(super) fn translate(pattern: &str) -> Result<String, PatternError> {
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
        let _ = write!(self.output, "\\x{{{:X}}}", shown(unit));
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
                self.output.extend(['\\', boundary]);
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

    /// A range of units: of ASCII, and of the private characters.
    fn push_range(&mut self, from: u32, to: u32) -> Result<(), PatternError> {
        let (from, to) = (shown(from), shown(to));
        if from > to {
            return Err(Invalid("a range of a class is out of order"));
        }
        for (first, last) in [(0, ASCII_END - 1), (UNITS_FROM + ASCII_END, UNITS_FROM + 0xFFFF)] {
            let (from, to) = (from.max(first), to.min(last));
            if from <= to {
                self.push(from);
                self.output.push('-');
                self.push(to);
            }
        }
        Ok(())
    }
}

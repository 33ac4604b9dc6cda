//! Names of prompts, namespaces and labels, and the rule that makes a text one.

use std::fmt;
use std::str::FromStr;

use icu_normalizer::ComposingNormalizerBorrowed;
use serde::{Deserialize, Serialize};

use super::schema::{built_schema, format, text};

/// Longest name of a prompt, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 200;
/// Longest label, in bytes; long enough for `production-eu-west-1`, short enough for a table.
pub const LABEL_BYTES_MAX: usize = 36;
/// Characters that no name may hold, besides control characters: they separate the parts of a
/// reference, of a stored key, or of other systems' names.
pub const NAME_FORBIDDEN: [char; 3] = ['@', '\\', '|'];
/// The namespace of a name without `/`.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The label that moves by itself to the newest version.
pub const LATEST: &str = "latest";
/// The label that a bare name means.
pub const PRODUCTION: &str = "production";

/// Unicode normalization form C.
const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();

/// Why a text is no name or label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum NameError {
    #[error("a prompt's name is empty; give it one such as `support/agent`")]
    Empty,
    #[error("the name is {bytes} bytes long; the limit is {NAME_BYTES_MAX} bytes")]
    TooLong { bytes: usize },
    #[error("the name `{name}` holds the character {character}, which no name may hold; leave it out or write `-`")]
    Character { name: String, character: String },
    #[error(
        "the new name holds U+{code:04X}, which is invisible or looks like a space, so that it can pass for another name; leave it out"
    )]
    Lookalike { code: u32 },
    #[error(
        "the new name is not in Unicode normalization form C, so that it can pass for another name; write it as `{composed}`"
    )]
    NotComposed { composed: String },
    #[error("the name `{name}` has a segment that is {what}; name every folder between `/`")]
    Segment { name: String, what: &'static str },
    #[error(
        "`{label}` is no label: {what}; use 1 to 36 of a-z 0-9 . _ - with at least one letter, starting with a letter or digit"
    )]
    Label { label: String, what: &'static str },
}

/// A prompt's name: Unicode with `/` folders, at most 200 bytes, for example `support/agent`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PromptName(String);

built_schema!(
    PromptName = text(
        "A prompt's name: segments between `/`, at most 200 bytes of UTF-8. No segment is `.` or `..`, or begins or ends \
         with a space; a new name is in normalization form C and holds no invisible characters.",
        "support/agent",
    )
    .format(format("prompt-name"))
    .min_length(Some(1))
    .max_length(Some(NAME_BYTES_MAX))
    .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f@\\|/]+(/[^\u0000-\u001f\u007f-\u009f@\\|/]+)*$"))
);

impl PromptName {
    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `/`, or `default`: the unit of replication and of grants.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or(DEFAULT_NAMESPACE, |(namespace, _)| namespace)
    }

    /// Checks that a prompt may be made under this name: that nobody can take it for the name of another one. What is
    /// there already goes on under the name that it has.
    ///
    /// # Errors
    /// A character of it cannot be seen or is a space in disguise, or it is not written in normalization form C.
    pub fn check_new(&self) -> Result<(), NameError> {
        if self.0.is_ascii() {
            return Ok(());
        }
        if let Some(character) = unseen(&self.0).find_map(|(character, unseen)| unseen.then_some(character)) {
            return Err(NameError::Lookalike { code: u32::from(character) });
        }
        composed(&self.0).map_or(Ok(()), |composed| Err(NameError::NotComposed { composed }))
    }

    /// Whether addresses, shells, patterns and file names take the name as it is: letters and digits of ASCII, `.`, `_`, `-`,
    /// and no folder or name that begins with a sign which means something there.
    #[must_use]
    pub fn is_portable(&self) -> bool {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        self.0.split('/').all(|segment| segment.bytes().all(allowed) && !segment.starts_with(['.', '-']))
    }

    /// A text without what no new name may hold: characters that cannot be seen go, spaces in disguise become spaces, and
    /// the rest is written in normalization form C.
    #[must_use]
    pub fn plain(text: &str) -> String {
        let visible = |(c, unseen): (char, bool)| match c {
            c if c.is_whitespace() && !c.is_control() => Some(' '),
            c => (!unseen).then_some(c),
        };
        let visible: String = unseen(text).filter_map(visible).collect();
        NFC.normalize(&visible).into_owned()
    }

    /// Checks a borrowed text by the same rule, without taking it.
    ///
    /// # Errors
    /// The first thing in the text that no name may have.
    pub fn check(text: &str) -> Result<(), NameError> {
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > NAME_BYTES_MAX {
            return Err(NameError::TooLong { bytes: text.len() });
        }
        let forbidden = |c: &char| c.is_control() || NAME_FORBIDDEN.contains(c);
        if let Some(character) = text.chars().find(forbidden) {
            let character = if character.is_control() {
                format!("U+{:04X} (a control character)", u32::from(character))
            } else {
                format!("`{character}`")
            };
            let name = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
            return Err(NameError::Character { name, character });
        }
        let fault = text.split('/').find_map(|segment| match segment {
            "" => Some("empty"),
            "." | ".." => Some("`.` or `..`"),
            _ if segment.starts_with(' ') || segment.ends_with(' ') => Some("begun or ended by a space"),
            _ => None,
        });
        match fault {
            Some(what) => Err(NameError::Segment { name: text.to_owned(), what }),
            None => Ok(()),
        }
    }
}

/// A text in normalization form C, where it is not in that form already.
pub(super) fn composed(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let composed = NFC.normalize(text);
    (composed != text).then(|| composed.into_owned())
}

/// Each character of a text, and whether it cannot be seen where it stands: what makes an emoji of a symbol, or one emoji of
/// several (U+FE0F, U+200D), can be seen behind a symbol.
fn unseen(text: &str) -> impl Iterator<Item = (char, bool)> {
    let before = std::iter::once(None).chain(text.chars().map(Some));
    text.chars().zip(before).map(|(c, before)| {
        let symbol = |c: char| !c.is_ascii() && !c.is_alphanumeric() && !is_unseen(c) && !c.is_whitespace();
        let shown = match c {
            '\u{fe0f}' => before.is_some_and(symbol),
            '\u{200d}' => before.is_some_and(|c| symbol(c) || c == '\u{fe0f}'),
            _ => false,
        };
        (c, is_unseen(c) && !shown)
    })
}

/// Whether a character is shown as nothing, changes the direction or the shape of its neighbours (Unicode's
/// `Default_Ignorable_Code_Point`, and the interlinear marks), or is a space other than the usual one.
fn is_unseen(c: char) -> bool {
    (c.is_whitespace() && c != ' ' && !c.is_control())
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

impl FromStr for PromptName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::check(text)?;
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for PromptName {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::check(&text)?;
        Ok(Self(text))
    }
}

impl From<PromptName> for String {
    fn from(name: PromptName) -> Self {
        name.0
    }
}

impl fmt::Display for PromptName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A label: a movable pointer's name, such as `production`.
///
/// Never only digits, because `name@3` is version 3 and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

built_schema!(
    Label = text(
        "A label: 1 to 36 of a-z, 0-9, `.`, `_` and `-`, with at least one letter, starting with a letter or digit.",
        "production",
    )
    .min_length(Some(1))
    .max_length(Some(LABEL_BYTES_MAX))
    .pattern(Some(r"^([a-z]|[0-9][0-9._-]*[a-z])[a-z0-9._-]*$"))
);

impl Label {
    /// The label as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label that a bare name means.
    #[must_use]
    pub fn production() -> Self {
        Self(PRODUCTION.to_owned())
    }

    /// The label that moves by itself.
    #[must_use]
    pub fn latest() -> Self {
        Self(LATEST.to_owned())
    }

    /// Whether this is `latest`, which nobody moves.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.0 == LATEST
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = |what| Err(NameError::Label { label: text.chars().take(64).collect(), what });
        let allowed = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(b);
        let Some(first) = text.bytes().next() else { return refuse("it is empty") };
        if text.len() > LABEL_BYTES_MAX {
            return refuse("it is longer than 36 bytes");
        }
        if !text.bytes().all(|b| allowed(&b)) {
            return refuse("it holds another character");
        }
        if !first.is_ascii_alphanumeric() {
            return refuse("it starts with a sign");
        }
        if !text.bytes().any(|b| b.is_ascii_lowercase()) {
            return refuse("a number always means a version");
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Label {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Label> for String {
    fn from(label: Label) -> Self {
        label.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_field_are_accepted() {
        for name in ["a", "support/agent", "UX/UI Developer", "还是维持", "a.b-c_d", "100%", "a/b/c/d", "…", "a  b"]
        {
            assert_eq!(name.parse::<PromptName>().map(String::from), Ok(name.to_owned()));
        }
        assert_eq!("support/agent".parse::<PromptName>().expect("a name").namespace(), "support");
        assert_eq!("agent".parse::<PromptName>().expect("a name").namespace(), "default");
    }

    #[test]
    fn a_refused_name_says_which_character_or_segment() {
        let check = |text: &str, part: &str| {
            let message = PromptName::check(text).expect_err(text).to_string();
            assert!(message.contains(part), "{text:?}: {message}");
        };
        check("", "empty");
        check("a@b", "`@`");
        check("a\\b", "`\\`");
        check("a|b", "`|`");
        check("a\0b", "U+0000");
        check("a\nb", "U+000A");
        check("a\u{85}b", "U+0085");
        check("/a", "empty");
        check("a/", "empty");
        check("a//b", "empty");
        check("a/../b", "`.` or `..`");
        check("./a", "`.` or `..`");
        check("a /b", "space");
        check(" a", "space");
        check(&"a".repeat(201), "201 bytes");
    }

    #[test]
    fn a_new_name_cannot_pass_for_another_one() {
        let check = |text: &str| text.parse::<PromptName>().expect(text).check_new();
        for name in [
            "support/agent",
            "caf\u{e9}",
            "还是维持",
            "a b",
            "पाठ",
            "…",
            "한국어",
            "Ωmega",
            "🚀/launch",
            "# 🏗\u{fe0f} SAFE",
            "👩\u{200d}💻",
            "❤\u{fe0f}\u{200d}🔥",
        ] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for (name, code) in [
            ("support/ag\u{200b}ent", 0x200b),
            ("support/agent\u{202e}", 0x202e),
            ("a\u{ad}b", 0xad),
            ("a\u{2066}b", 0x2066),
            ("\u{feff}a", 0xfeff),
            ("a\u{200d}b", 0x200d),
            ("a\u{fe0f}", 0xfe0f),
            ("\u{fe0f}", 0xfe0f),
            ("1\u{fe0f}", 0xfe0f),
            ("é\u{fe0f}", 0xfe0f),
            ("🏗\u{fe0f}\u{fe0f}", 0xfe0f),
            ("🏗\u{200d}\u{200d}", 0x200d),
            ("🏗\u{200b}", 0x200b),
            ("a\u{e0061}", 0xe0061),
            ("a\u{a0}b", 0xa0),
            ("a\u{3000}b", 0x3000),
            ("a\u{2028}b", 0x2028),
            ("a\u{3164}b", 0x3164),
        ] {
            assert_eq!(check(name), Err(NameError::Lookalike { code }), "{name:?}");
        }
        for (name, composed) in
            [("cafe\u{301}", "caf\u{e9}"), ("\u{212b}", "\u{c5}"), ("\u{1112}\u{1161}\u{11ab}", "한")]
        {
            assert_eq!(check(name), Err(NameError::NotComposed { composed: composed.to_owned() }), "{name:?}");
        }
    }

    #[test]
    fn labels_are_short_lower_case_and_never_numbers() {
        for label in ["production", "staging", "eu-west.1", "7a", "v3"] {
            assert!(label.parse::<Label>().is_ok(), "{label}");
        }
        for label in
            ["", "3", "2024-01", "Production", "a b", "-a", "a/b", "producti\u{43e}n", "a\u{200b}b", &"a".repeat(37)]
        {
            assert!(label.parse::<Label>().is_err(), "{label}");
        }
    }
}

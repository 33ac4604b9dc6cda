//! Names of prompts, namespaces and labels, and their rules.

use std::fmt;
use std::str::FromStr;

use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use serde::{Deserialize, Serialize};

use super::schema::{built_schema, format, text};

/// Longest name of a prompt, in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 200;
/// Longest label, in bytes; long enough for `production-eu-west-1`, short enough for a table.
pub const LABEL_BYTES_MAX: usize = 36;
/// Characters that are not allowed in names, like control characters: they separate the parts of a reference, of a
/// stored key, or of other systems' names.
pub const NAME_FORBIDDEN: [char; 3] = ['@', '\\', '|'];
/// The namespace of a name without `/`.
pub const DEFAULT_NAMESPACE: &str = "default";
/// The label that always serves the latest version.
pub const LATEST: &str = "latest";
/// The label of a reference without `@`.
pub const PRODUCTION: &str = "production";

/// Device names on Windows, with or without an extension; `com` and `lpt` with a digit are devices, too.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];
/// Unicode normalization form C.
const NFC: ComposingNormalizerBorrowed<'static> = ComposingNormalizerBorrowed::new_nfc();
/// Unicode normalization form KD, in which letters are separate from their accents.
const NFKD: DecomposingNormalizerBorrowed<'static> = DecomposingNormalizerBorrowed::new_nfkd();

/// Why a text is not a valid name or label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum NameError {
    #[error("a prompt's name is empty; give it one such as `support/agent`")]
    Empty,
    #[error("the name is {bytes} bytes long; the limit is {NAME_BYTES_MAX} bytes")]
    TooLong { bytes: usize },
    #[error("the name `{name}` contains {character}, which is not allowed; remove it or use `-`")]
    Character { name: String, character: String },
    #[error(
        "a new prompt cannot be called `{name}`: {what}; use a-z, 0-9, `.`, `_` and `-` between `/`, for example `{instead}`"
    )]
    New { name: String, what: String, instead: String },
    #[error("the name `{name}` has a segment that is {what}; name every folder between `/`")]
    Segment { name: String, what: &'static str },
    #[error(
        "invalid label `{label}`: {what}; use 1 to 36 characters from a-z 0-9 . _ - with at least one letter, starting with a letter or digit"
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
         with a space. A new name has only a-z, 0-9, `.`, `_` and `-` between `/`, and can be a file on every system.",
        "support/agent",
    )
    .format(format("prompt-name"))
    .min_length(Some(1))
    .max_length(Some(NAME_BYTES_MAX))
    .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f@\\|/]+(/[^\u0000-\u001f\u007f-\u009f@\\|/]+)*$"))
);

impl PromptName {
    /// The name as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part before the first `/`, or `default`: the unit of replication and of grants.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or(DEFAULT_NAMESPACE, |(namespace, _)| namespace)
    }

    /// Whether a namespace can have names with this prefix: a prefix with a folder determines it; one without can match
    /// several.
    #[must_use]
    pub fn may_be_in(prefix: &str, namespace: &str) -> bool {
        match prefix.split_once('/') {
            Some((folder, _)) => folder == namespace,
            None => namespace.starts_with(prefix) || namespace == DEFAULT_NAMESPACE,
        }
    }

    /// Checks that a new prompt can have this name: it is a valid file name on every system, and no other new name maps
    /// to the same file or looks the same. Existing prompts keep their names.
    ///
    /// # Errors
    /// The first character or segment that a new name cannot have, and a valid name to suggest.
    pub fn check_new(&self) -> Result<(), NameError> {
        let fault = self.0.split('/').find_map(unportable);
        fault.map_or(Ok(()), |what| {
            let name =
                self.0.chars().map(|c| if c.is_ascii() || c.is_alphanumeric() { c } else { '\u{fffd}' }).collect();
            Err(NameError::New { name, what, instead: Self::portable(&self.0) })
        })
    }

    /// Converts a text of any length to the characters of new names: lower case, letters without accents, `-` for every
    /// run of other characters, and `_` for a segment that would be empty. A valid new name is unchanged.
    pub fn portable(text: &str) -> String {
        text.split('/').map(portable_segment).collect::<Vec<_>>().join("/")
    }

    /// Checks a borrowed text by the same rule, without taking ownership.
    ///
    /// # Errors
    /// The first invalid character or segment of a name.
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
            _ if segment.starts_with(' ') || segment.ends_with(' ') => Some("starting or ending with a space"),
            _ => None,
        });
        match fault {
            Some(what) => Err(NameError::Segment { name: text.to_owned(), what }),
            None => Ok(()),
        }
    }
}

/// The text in normalization form C, if it is not already.
pub(super) fn composed(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let composed = NFC.normalize(text);
    (composed != text).then(|| composed.into_owned())
}

/// Why a segment is not valid in a new name.
fn unportable(segment: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    if let Some(other) = segment.chars().find(|c| !allowed(*c)) {
        let seen = other.is_ascii_graphic() || other.is_alphanumeric();
        return Some(if seen {
            format!("it contains `{other}`")
        } else {
            format!("it contains U+{:04X}", u32::from(other))
        });
    }
    if is_device(segment) {
        return Some(format!("`{segment}` is a device name on Windows"));
    }
    let sign = ['.', '-'].into_iter().find(|sign| segment.starts_with(*sign));
    if let Some(sign) = sign {
        return Some(format!("`{segment}` begins with `{sign}`"));
    }
    let ending = [".", ".prompt"].into_iter().find(|ending| segment.ends_with(ending));
    ending.map(|ending| format!("`{segment}` ends in `{ending}`"))
}

/// Converts a segment to the characters of new names.
fn portable_segment(segment: &str) -> String {
    if unportable(segment).is_none() && !segment.is_empty() {
        return segment.to_owned();
    }
    let mut portable = String::with_capacity(segment.len());
    for c in NFKD.normalize(segment).chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || "._".contains(c) => portable.push(c),
            '\u{300}'..='\u{36f}' => {}
            _ if portable.ends_with('-') => {}
            _ => portable.push('-'),
        }
    }
    let mut kept = portable.trim_start_matches(['.', '-']).trim_end_matches(['.', '-']);
    while let Some(stem) = kept.strip_suffix(".prompt") {
        kept = stem.trim_end_matches(['.', '-']);
    }
    if kept.is_empty() || is_device(kept) { format!("_{kept}") } else { kept.to_owned() }
}

/// Whether a file name is a device on Windows, in any case and with any extension.
#[must_use]
pub fn is_device(segment: &str) -> bool {
    let stem = segment.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |prefix| stem.strip_prefix(prefix).is_some_and(|rest| matches!(rest.as_bytes(), [b'0'..=b'9']));
    DEVICES.contains(&stem.as_str()) || numbered("com") || numbered("lpt")
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
/// Never only digits, because `name@3` always means version 3.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

built_schema!(
    Label = text(
        "A label: 1 to 36 characters from a-z, 0-9, `.`, `_` and `-`, with at least one letter, starting with a letter or digit.",
        "production",
    )
    .min_length(Some(1))
    .max_length(Some(LABEL_BYTES_MAX))
    .pattern(Some(r"^([a-z]|[0-9][0-9._-]*[a-z])[a-z0-9._-]*$"))
);

impl Label {
    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label of a reference without `@`.
    #[must_use]
    pub fn production() -> Self {
        Self(PRODUCTION.to_owned())
    }

    /// The label that always serves the latest version.
    #[must_use]
    pub fn latest() -> Self {
        Self(LATEST.to_owned())
    }

    /// Whether this is `latest`, which cannot be deployed to.
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
            return refuse("it contains an invalid character");
        }
        if !first.is_ascii_alphanumeric() {
            return refuse("it does not start with a letter or digit");
        }
        if !text.bytes().any(|b| b.is_ascii_lowercase()) {
            return refuse("numbers always mean versions");
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
    fn common_prompt_names_are_accepted() {
        for name in ["a", "support/agent", "UX/UI Developer", "还是维持", "a.b-c_d", "100%", "a/b/c/d", "…", "a  b"]
        {
            assert_eq!(name.parse::<PromptName>().map(String::from), Ok(name.to_owned()));
        }
        assert_eq!("support/agent".parse::<PromptName>().expect("a name").namespace(), "support");
        assert_eq!("agent".parse::<PromptName>().expect("a name").namespace(), "default");
    }

    #[test]
    fn invalid_name_error_shows_the_character_or_segment() {
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
    fn new_name_is_portable_or_refused_with_the_reason_and_one_that_is() {
        let check = |text: &str| text.parse::<PromptName>().expect(text).check_new();
        for name in ["a", "support/agent", "a.b-c_d", "_a/0", "con-1", "a/console", "com", "com10", "a--b", "2026.11"] {
            assert_eq!(check(name), Ok(()), "{name}");
            assert_eq!(PromptName::portable(name), name);
        }
        for (name, what, instead) in [
            ("Agent", "it contains `A`", "agent"),
            ("Support/agent", "it contains `S`", "support/agent"),
            ("support agent", "it contains U+0020", "support-agent"),
            ("con", "`con` is a device name on Windows", "_con"),
            ("a/nul.txt", "`nul.txt` is a device", "a/_nul.txt"),
            ("lpt0/a", "`lpt0` is a device", "_lpt0/a"),
            ("a.", "`a.` ends in `.`", "a"),
            ("a./b", "`a.` ends in `.`", "a/b"),
            (".hidden", "`.hidden` begins with `.`", "hidden"),
            ("a/-rf", "`-rf` begins with `-`", "a/rf"),
            ("a.prompt", "`a.prompt` ends in `.prompt`", "a"),
            ("con.prompt.prompt", "is a device", "_con"),
            ("100%", "it contains `%`", "100"),
            ("what?", "it contains `?`", "what"),
            ("a*b", "it contains `*`", "a-b"),
            ("caf\u{e9}", "it contains `\u{e9}`", "cafe"),
            ("cafe\u{301}", "it contains U+0301", "cafe"),
            ("\u{212a}", "it contains `\u{212a}`", "k"),
            ("p\u{430}yments", "it contains `\u{430}`", "p-yments"),
            ("support/ag\u{200b}ent", "it contains U+200B", "support/ag-ent"),
            ("support/agent\u{202e}", "it contains U+202E", "support/agent"),
            ("还是/维持", "it contains `还`", "_/_"),
            ("Münchener Skyline…", "it contains `M`", "munchener-skyline"),
        ] {
            let message = check(name).expect_err(name).to_string();
            assert!(
                message.contains(what) && message.ends_with(&format!("for example `{instead}`")),
                "{name}: {message}"
            );
            assert_eq!(check(&PromptName::portable(name)), Ok(()), "{name}");
        }
    }

    proptest::proptest! {
        #[test]
        fn portable_name_of_any_text_may_be_new(text in "(\\PC|[A-Z.%/ -]|prompt|nul|con|com1){0,40}") {
            let portable = PromptName::portable(&text);
            proptest::prop_assert_eq!(PromptName::portable(&portable), portable.clone());
            if portable.len() <= NAME_BYTES_MAX {
                proptest::prop_assert_eq!(portable.parse::<PromptName>().and_then(|name| name.check_new()), Ok(()));
            }
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

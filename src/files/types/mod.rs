//! Types of prompts for applications: names, variables, placeholders and outputs, as source text for type checkers.
//!
//! [`generate`] is a pure function of what a label serves, so that a checked-in file can be compared. A file begins with a
//! comment that lists the prompts with the ids of their contents; the types follow. Invariant: whatever a prompt is
//! called and whatever its schema says, it stays within a string literal, an identifier or a comment.

mod python;
mod schema;
mod typescript;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::str::FromStr;

use self::schema::TypeSet;
use crate::model::content::{Body, Content, Message, Syntax, Variable, VariableType};
use crate::model::content_id::ContentId;
use crate::model::name::{Label, PromptName};

/// Longest description in a comment, in characters.
const DESCRIPTION_CHARACTERS: usize = 160;
/// The first line of a file, behind the sign of a comment.
const TITLE: &str = "Types of prompts, written by `bookholder types`; do not edit.";
/// What a line about a prompt begins with, behind the sign of a comment.
const PROMPT: &str = "prompt ";

/// The language of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Python, for mypy and pyright.
    Python,
    /// TypeScript.
    TypeScript,
}

/// A language is unknown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown language `{0}`: use python or ts")]
pub struct LanguageError(String);

impl Language {
    /// Every language, by the word for it.
    pub const WORDS: [&str; 2] = ["python", "ts"];

    /// The sign of a comment.
    const fn comment(self) -> &'static str {
        match self {
            Self::Python => "# ",
            Self::TypeScript => "// ",
        }
    }
}

impl FromStr for Language {
    type Err = LanguageError;

    fn from_str(text: &str) -> Result<Self, LanguageError> {
        match text {
            "python" => Ok(Self::Python),
            "ts" => Ok(Self::TypeScript),
            other => Err(LanguageError(other.chars().take(32).collect())),
        }
    }
}

/// A version that a label serves.
#[derive(Clone, Debug)]
pub struct ServedVersion {
    /// Its number.
    pub number: u64,
    /// The id of its content.
    pub content_id: ContentId,
    /// The content.
    pub content: Content,
}

/// The prompts that a label serves: one version each, or those of a split and of rules.
pub type ServedPrompts = BTreeMap<PromptName, Vec<ServedVersion>>;

/// The source text of the types of prompts.
#[must_use]
pub fn generate(language: Language, label: &Label, prompts: &ServedPrompts) -> String {
    let sign = language.comment();
    let mut text = format!("{sign}{TITLE}\n{sign}label {label}\n");
    for (name, versions) in prompts {
        for version in versions {
            let (name, number, id) = (quoted(name.as_str()), version.number, &version.content_id);
            let _never_fails = writeln!(text, "{sign}{PROMPT}{name} {number} {id}");
        }
    }
    let typed: Vec<TypedPrompt> = prompts.iter().map(|(name, versions)| TypedPrompt::of(name, versions)).collect();
    text.push_str(&match language {
        Language::Python => python::write(label, &typed),
        Language::TypeScript => typescript::write(&typed),
    });
    text
}

/// The versions in the header of a file: number and content id, by prompt.
type ListedVersions = BTreeMap<String, Vec<(u64, String)>>;

/// How a file differs from what would be written now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TypesDifference {
    /// Whether the types differ; if not, only the versions of prompts did.
    pub types: bool,
    /// The prompts whose versions differ, each as a line.
    pub prompts: Vec<String>,
}

/// Compares a file with what would be written now; none if both are the same.
#[must_use]
pub fn compare(language: Language, file: &str, now: &str) -> Option<TypesDifference> {
    let file = file.replace("\r\n", "\n");
    if file == now {
        return None;
    }
    let ((before, old), (after, new)) = (header(language, &file), header(language, now));
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let numbers = |versions: &[(u64, String)]| {
        versions.iter().map(|(number, _)| number.to_string()).collect::<Vec<_>>().join(", ")
    };
    let line = |name: &&String| match (before.get(*name), after.get(*name)) {
        (None, Some(versions)) => Some(format!("+ {name} {}", numbers(versions))),
        (Some(versions), None) => Some(format!("- {name} {}", numbers(versions))),
        (Some(before), Some(after)) if before != after => {
            Some(format!("~ {name} {} → {}", numbers(before), numbers(after)))
        }
        _ => None,
    };
    Some(TypesDifference { types: old != new, prompts: names.iter().filter_map(line).collect() })
}

/// The versions in the header of a file, and the text below it.
fn header(language: Language, file: &str) -> (ListedVersions, &str) {
    let sign = language.comment();
    let mut listed = ListedVersions::new();
    let mut rest = file;
    while let Some((line, below)) = rest.split_once('\n') {
        let Some(comment) = line.strip_prefix(sign.trim_end()) else { break };
        if let Some(said) = comment.trim_start().strip_prefix(PROMPT)
            && let Some((name, number, id)) = listed_version(said)
        {
            listed.entry(name).or_default().push((number, id));
        }
        rest = below;
    }
    (listed, rest)
}

/// A name, a number and an id from a line of the header.
fn listed_version(line: &str) -> Option<(String, u64, String)> {
    let (rest, id) = line.rsplit_once(' ')?;
    let (name, number) = rest.rsplit_once(' ')?;
    Some((serde_json::from_str(name).ok()?, number.parse().ok()?, id.to_owned()))
}

/// What a type checker is told about one prompt.
struct TypedPrompt {
    name: String,
    /// A name for its types, unique in a file once the language made it so.
    stem: String,
    variables: Vec<TypedVariable>,
    /// The names of its placeholders, sorted.
    lists: Vec<String>,
    /// The structured output; absent if some version has no schema.
    out: Option<TypeSet>,
}

struct TypedVariable {
    name: String,
    required: bool,
    values: Vec<ValueType>,
    description: String,
}

/// The type of a variable's values.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ValueType {
    String,
    Number,
    Boolean,
    /// What mustache can print: a string, a number or a boolean.
    Printable,
    Array,
    Object,
    Any,
}

impl ValueType {
    const fn of(kind: VariableType, syntax: Syntax) -> Self {
        match (kind, syntax) {
            (VariableType::Any, Syntax::Jinja) => Self::Any,
            (VariableType::Any, _) => Self::Printable,
            (VariableType::String, _) => Self::String,
            (VariableType::Number, _) => Self::Number,
            (VariableType::Boolean, _) => Self::Boolean,
            (VariableType::Array, _) => Self::Array,
            (VariableType::Object, _) => Self::Object,
        }
    }
}

impl TypedPrompt {
    /// The union of all versions that callers can get: a variable is required if it is required by any of them.
    fn of(name: &PromptName, versions: &[ServedVersion]) -> Self {
        let mut variables: BTreeMap<&str, TypedVariable> = BTreeMap::new();
        let mut lists = BTreeSet::new();
        let mut outs = TypeSet::default();
        let mut has_out = !versions.is_empty();
        for ServedVersion { content, .. } in versions {
            for variable in &content.variables {
                add_variable(&mut variables, variable, content.syntax);
            }
            lists.extend(placeholders(content));
            match &content.response_schema {
                Some(schema) => outs.add(schema),
                None => has_out = false,
            }
        }
        Self {
            stem: stem(name.as_str()),
            name: name.to_string(),
            variables: variables.into_values().collect(),
            lists: lists.into_iter().map(str::to_owned).collect(),
            out: has_out.then_some(outs),
        }
    }
}

fn add_variable<'a>(variables: &mut BTreeMap<&'a str, TypedVariable>, variable: &'a Variable, syntax: Syntax) {
    let value = ValueType::of(variable.kind, syntax);
    let known = variables.entry(&variable.name).or_insert_with(|| TypedVariable {
        name: variable.name.clone(),
        required: false,
        values: Vec::new(),
        description: String::new(),
    });
    known.required |= variable.required && variable.default.is_none();
    if !known.values.contains(&value) {
        known.values.push(value);
        known.values.sort();
    }
    if let Some(description) = variable.description.as_deref().filter(|_| known.description.is_empty()) {
        known.description = comment(description);
    }
}

fn placeholders(content: &Content) -> impl Iterator<Item = &str> {
    let messages = match &content.body {
        Body::Messages(messages) => messages.as_slice(),
        Body::Text(_) => &[],
    };
    messages.iter().filter_map(|message| match message {
        Message::Placeholder { name } => Some(name.as_str()),
        Message::Said(_) => None,
    })
}

/// A text as a string literal of JSON, TypeScript and Python alike: only printable ASCII.
fn quoted(text: &str) -> String {
    let mut literal = String::with_capacity(text.len() + 2);
    literal.push('"');
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(b'"') => literal.push_str("\\\""),
            Ok(b'\\') => literal.push_str("\\\\"),
            Ok(byte @ b' '..=b'~') => literal.push(char::from(byte)),
            _ => {
                let _never_fails = write!(literal, "\\u{unit:04x}");
            }
        }
    }
    literal.push('"');
    literal
}

/// A text as one short line for a comment: it neither ends the comment nor changes the direction of text.
fn comment(text: &str) -> String {
    let is_plain = |c: char| {
        !c.is_control() && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let line: String = text.chars().map(|c| if is_plain(c) { c } else { ' ' }).collect();
    // A `#` in a comment can begin an instruction to a type checker.
    let line = line.replace("*/", "* /").replace('#', " ");
    let words: Vec<&str> = line.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= DESCRIPTION_CHARACTERS {
        return line;
    }
    line.chars().take(DESCRIPTION_CHARACTERS).chain(['…']).collect()
}

/// The words of a name as one identifier, such as `SupportAgent`.
fn stem(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let mut stem = String::new();
    for word in words {
        let (first, rest) = word.split_at(1);
        stem.push_str(&first.to_ascii_uppercase());
        stem.push_str(rest);
    }
    if stem.starts_with(|first: char| first.is_ascii_alphabetic()) { stem } else { format!("Prompt{stem}") }
}

/// A name that is not taken yet: with a number, if it has to be.
fn unique(taken: &mut BTreeSet<String>, name: &str) -> String {
    let numbered = (2_u64..).map(|number| format!("{name}{number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or_default();
    taken.insert(free.clone());
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    const LANGUAGES: [(Language, &str); 2] = [(Language::Python, "prompts.py"), (Language::TypeScript, "prompts.ts")];

    fn prompts(change: impl Fn(&mut serde_json::Value)) -> ServedPrompts {
        let mut all: serde_json::Value =
            serde_json::from_str(include_str!("../../../fixtures/types/prompts.json")).expect("JSON");
        change(&mut all);
        let version = |(number, content): (u64, &serde_json::Value)| {
            let content = Content::from_json(content.to_string().as_bytes()).expect("a content");
            ServedVersion { number, content_id: content.id().expect("small"), content }
        };
        let served = all.as_object().expect("prompts").iter().map(|(name, versions)| {
            let versions = versions.as_array().expect("versions");
            (name.parse().expect(name), (1..).zip(versions).map(version).collect())
        });
        served.collect()
    }

    /// `UPDATE_FIXTURES=1 cargo test --lib files::types` writes the files again; `tests/types/run` checks them with mypy,
    /// pyright and tsc.
    #[test]
    fn prompts_of_every_kind_have_the_types_of_the_golden_files() {
        for (language, file) in LANGUAGES {
            let path = format!("{}/fixtures/types/{file}", env!("CARGO_MANIFEST_DIR"));
            let found = generate(language, &Label::production(), &prompts(|_| {}));
            if std::env::var_os("UPDATE_FIXTURES").is_some() {
                std::fs::write(&path, &found).expect("a writable fixture");
            }
            let golden = std::fs::read_to_string(&path).expect("a golden file");
            assert_eq!(found, golden, "{file} is not what would be written now");
        }
    }

    #[test]
    fn file_differs_in_its_types_or_in_its_versions_alone() {
        for (language, _) in LANGUAGES {
            let write = |prompts: &ServedPrompts| generate(language, &Label::production(), prompts);
            let file = write(&prompts(|_| {}));
            let check = |change: &dyn Fn(&mut serde_json::Value)| compare(language, &file, &write(&prompts(change)));
            assert_eq!(check(&|_| {}), None);
            assert_eq!(compare(language, &file.replace('\n', "\r\n"), &file), None, "as a checkout on Windows has it");
            let text = check(&|all| all["support/plain"][0]["text"] = "Be kinder.".into()).expect("another content");
            assert_eq!(text, TypesDifference { types: false, prompts: vec!["~ support/plain 1 → 1".to_owned()] });
            let variable = check(&|all| {
                all["support/report"][0]["variables"].as_array_mut().expect("a list").pop();
            });
            let variable = variable.expect("other types");
            assert_eq!(variable, TypesDifference { types: true, prompts: vec!["~ support/report 1 → 1".to_owned()] });
            let removed = check(&|all| drop(all.as_object_mut().expect("prompts").remove("support/split")));
            assert_eq!(removed.expect("other types").prompts, ["- support/split 1, 2"]);
            let edited = file.replace("shop", "shops");
            let difference = compare(language, &edited, &file).expect("other types");
            assert_eq!(difference, TypesDifference { types: true, prompts: Vec::new() });
        }
    }

    #[test]
    fn literals_are_ascii_and_read_back() {
        for text in ["support/agent", "a\"b\\c", "zwölf/还\u{2028}\u{202e}", "'; drop", "*/ # \u{1f600}", ""] {
            let literal = quoted(text);
            assert!(literal.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{literal}");
            assert_eq!(serde_json::from_str::<String>(&literal).expect("JSON"), text);
        }
    }

    #[test]
    fn comments_stay_on_their_line() {
        assert_eq!(comment("a\nb */ c\u{2028}d\u{202e}e"), "a b * / c d e");
        assert_eq!(comment("a # type: ignore"), "a type: ignore");
        assert_eq!(comment(&"x".repeat(500)).chars().count(), DESCRIPTION_CHARACTERS + 1);
    }

    #[test]
    fn stems_are_identifiers_and_unique() {
        let mut taken = BTreeSet::new();
        for (name, expected) in [
            ("support/agent", "SupportAgent"),
            ("support-agent", "SupportAgent2"),
            ("7up", "Prompt7up"),
            ("还是", "Prompt"),
            ("a.b_c", "ABC"),
        ] {
            assert_eq!(unique(&mut taken, &stem(name)), expected, "{name}");
        }
    }
}

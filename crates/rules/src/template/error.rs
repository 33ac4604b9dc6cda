//! Why a text is not a valid template, or the variables of a content do not match it.

use std::fmt;

use crate::model::content::VariableType;

/// Most names that one message lists.
const LISTED_MAX: usize = 20;
/// Longest explanation taken from the template engine or quoted from a text, in characters.
pub(super) const EXCERPT_CHARACTERS_MAX: usize = 300;

/// A place in a content's texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The text, counted from 1.
    pub text: usize,
    /// The line, counted from 1.
    pub line: usize,
    /// The character in the line, counted from 1.
    pub column: usize,
}

/// Why a text is not a valid template, or the variables of a content do not match it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum TemplateError {
    #[error("{place}: {message}")]
    Syntax { place: Place, message: String },
    #[error("declared but not used: {}; use them, or remove them from `variables`{hint}", list(names))]
    Unused { names: Vec<String>, hint: &'static str },
    #[error("{} cannot be both a variable and a placeholder; rename one of the two", list(names))]
    Shared { names: Vec<String> },
    #[error("the syntax is plain, which has no variables; remove {}, or use mustache or jinja", list(names))]
    Plain { names: Vec<String> },
    #[error("the variable `{name}` is required and has a default; remove one of the two")]
    RequiredDefault { name: String },
    #[error("the default of the variable `{name}` is {found}, but its type is {expected}")]
    DefaultType { name: String, expected: &'static str, found: &'static str },
    #[error("the variable `{name}` is of type {kind}, which mustache cannot print; use jinja")]
    Unprintable { name: String, kind: &'static str },
}

/// Why includes could not be replaced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum IncludeError<E> {
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("the text with its includes exceeds the limit of {max} bytes")]
    TooLong { max: usize },
    #[error("`{reference}` has a different syntax; include a prompt in {expected} or plain syntax")]
    Syntax { reference: String, expected: &'static str },
    #[error(
        "`{reference}` is plain but contains `{delimiter}`, which {expected} would interpret; publish it in that syntax"
    )]
    Delimiter { reference: String, delimiter: &'static str, expected: &'static str },
    #[error("a brace next to the include of `{reference}` would become a delimiter; put a character between the two")]
    Joined { reference: String },
    /// The caller's error.
    #[error("{0}")]
    Source(E),
}

impl Place {
    /// The place of a byte of a text.
    pub(super) fn of(text: usize, source: &str, byte: usize) -> Self {
        let before = source.get(..byte).unwrap_or(source);
        let start = before.rfind('\n').map_or(0, |at| at.saturating_add(1));
        Self {
            text,
            line: before.bytes().filter(|b| *b == b'\n').count().saturating_add(1),
            column: before.get(start..).map_or(0, |line| line.chars().count()).saturating_add(1),
        }
    }
}

impl TemplateError {
    /// An error at a byte of the first text.
    pub(super) fn at(source: &str, byte: usize, message: impl Into<String>) -> Self {
        Self::Syntax { place: Place::of(1, source, byte), message: message.into() }
    }

    /// The same error, in the text with this index (from 0).
    pub(super) fn in_text(mut self, index: usize) -> Self {
        if let Self::Syntax { place, .. } = &mut self {
            place.text = index.saturating_add(1);
        }
        self
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.text > 1 {
            write!(f, "text {}, ", self.text)?;
        }
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The name of a variable's type.
pub(super) const fn type_name(kind: VariableType) -> &'static str {
    match kind {
        VariableType::Any => "any",
        VariableType::String => "string",
        VariableType::Number => "number",
        VariableType::Boolean => "boolean",
        VariableType::Array => "array",
        VariableType::Object => "object",
    }
}

/// Joins names for a sentence, or the first ones if there are many.
pub(super) fn list(names: &[String]) -> String {
    let mut text =
        names.iter().take(LISTED_MAX).map(|name| format!("`{}`", excerpt(name))).collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(LISTED_MAX);
    if more > 0 {
        text.push_str(" and ");
        text.push_str(&more.to_string());
        text.push_str(" more");
    }
    text
}

/// The start of a text, short enough for an error message.
pub(super) fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(EXCERPT_CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_position_counts_lines_and_characters() {
        let check = |byte, line, column| {
            assert_eq!(Place::of(1, "aé\nbc\n", byte), Place { text: 1, line, column }, "{byte}");
        };
        check(0, 1, 1);
        check(3, 1, 3);
        check(4, 2, 1);
        check(5, 2, 2);
        check(99, 3, 1);
        let error = TemplateError::at("a\nb", 2, "no").in_text(1);
        assert_eq!(error.to_string(), "text 2, line 2, column 1: no");
    }

    #[test]
    fn long_lists_are_cut() {
        let names: Vec<String> = (0..25).map(|n| format!("v{n}")).collect();
        assert!(list(&names).ends_with("`v19` and 5 more"));
        assert!(excerpt(&"x".repeat(1_000)).len() < 310);
    }
}

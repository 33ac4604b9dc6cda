//! Suspicious, but valid, things in a content.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A warning about a content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Warning {
    /// The stable code of the warning.
    pub code: Code,
    /// The problem and what to do about it, for people.
    pub message: String,
    /// The text in the content, from 1; 0 if it is not about one text.
    pub text: usize,
    /// The line in that text, from 1; 0 if it is not about one line.
    pub line: usize,
}

/// The kinds of warnings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Mustache tags that other clients interpret and this syntax prints unchanged: sections, comments, `{{{x}}}`.
    OtherClients,
    /// `{{…}}` that is neither a variable nor an include, and is printed unchanged.
    UnknownTag,
    /// `{{` without its `}}`, which is printed unchanged.
    UnclosedTag,
    /// Delimiters of a different syntax.
    OtherSyntax,
    /// An invisible character, or one that changes the direction of text.
    InvisibleCharacter,
    /// A control token of a chat template.
    ControlToken,
    /// Braces in a part of a message that is passed on unchanged.
    PassedOn,
}

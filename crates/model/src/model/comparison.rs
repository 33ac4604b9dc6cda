//! What changed between two contents, and two authors' changes to one content put together.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::content::{Content, Syntax, Variable};
use crate::json;

/// What changed between two contents.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Diff {
    /// The syntax, where it changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub syntax: Option<SyntaxChange>,
    /// The text of a text prompt, as unified hunks without a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The messages of a chat prompt that were added, removed or changed, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessageChange>,
    /// The variables that were added, removed or changed, by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<VariableChange>,
    /// The model and its parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ValueChange>,
    /// The tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<ValueChange>,
    /// The response schema.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<ValueChange>,
    /// The application's own configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<ValueChange>,
}

impl Diff {
    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The syntax before and after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "before and after")]
pub struct SyntaxChange {
    pub before: Syntax,
    pub after: Syntax,
}

/// One message that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageChange {
    /// Its old index, from 0; absent for an added one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<usize>,
    /// Its new index, from 0; absent for a removed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<usize>,
    /// Its role and text as unified hunks without a header.
    pub unified: String,
}

/// One variable that was added, removed or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VariableChange {
    /// Its name.
    pub name: String,
    /// The old variable; absent for an added one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Variable>,
    /// The new variable; absent for a removed one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Variable>,
}

/// A JSON value before and after; null if there is none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[allow(missing_docs, reason = "before and after")]
pub struct ValueChange {
    pub before: Value,
    pub after: Value,
    /// Whether only the order of keys changed. Models answer in the order of a schema, so this is a change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub order_only: bool,
}

impl ValueChange {
    /// A change from one value to another.
    #[must_use]
    pub fn new(before: Value, after: Value) -> Self {
        Self { order_only: json::reordered(&before, &after), before, after }
    }
}

/// Two merged contents.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Merge {
    /// Merged as far as it goes; ours where it conflicts.
    pub content: Content,
    /// The conflicts, in the order of the content; the first 1,000.
    pub conflicts: Vec<Conflict>,
}

/// A conflict: both sides changed the same thing differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conflict {
    /// Where in our content: `text line 12` (from 1), `messages[2]` or `messages[2..4]` (from 0, the end excluded),
    /// `messages[2] line 3`, `messages[2].content[0] line 1`, `messages[2].name`, `body`, `syntax`,
    /// `variables.customer`, `model`, `model.parameters.temperature`, `tools`, `response_schema`, `config.top.inner`.
    pub place: String,
    /// The common base: lines as text, everything else as JSON; absent if there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Our side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ours: Option<String>,
    /// Their side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub theirs: Option<String>,
}

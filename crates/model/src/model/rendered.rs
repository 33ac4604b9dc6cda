//! A content with a caller's values filled in, and remarks about the rendering.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, SchemaType};

use super::schema::{built_schema, schema_of, text};

/// A rendered content: `{"text":…}` or `{"messages":[…]}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rendered {
    /// Of a text prompt.
    Text(String),
    /// Of a chat prompt: messages with `role` and `content`.
    Messages(Vec<Value>),
}

schema_of!(Rendered = RenderedForm);

/// A rendered content: `text` or `messages`.
#[derive(ToSchema)]
#[allow(
    dead_code,
    reason = "it says what the JSON looks like, which client generators read better than a choice of objects"
)]
struct RenderedForm {
    /// Of a text prompt.
    text: Option<String>,
    /// Of a chat prompt.
    messages: Option<Vec<RenderedMessage>>,
}

/// A message for a model, in the document.
struct RenderedMessage;

built_schema!(
    RenderedMessage = ObjectBuilder::new()
        .description(Some("A chat message for a model; the messages of a placeholder keep all their fields."))
        .property("role", text("`system`, `user`, `assistant` or `tool`.", "system"))
        .required("role")
        .property(
            "content",
            ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("A string, or a list of parts."))
        )
        .additional_properties(Some(AdditionalProperties::FreeForm(true)))
);

/// A warning about what rendering ignored or left empty. With `strict` it is an error instead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RenderRemark)]
pub struct Remark {
    /// The stable code of the warning.
    pub code: RemarkCode,
    /// The variables or placeholders.
    pub names: Vec<String>,
    /// The message for people.
    pub message: String,
}

/// The kinds of remarks on a rendering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RenderRemarkCode)]
#[serde(rename_all = "snake_case")]
pub enum RemarkCode {
    /// Values for variables that the version does not have; ignored.
    UnknownVariables,
    /// Messages for placeholders that the version does not have; ignored.
    UnknownPlaceholders,
    /// Placeholders without a list of messages; they are left empty.
    MissingPlaceholders,
}

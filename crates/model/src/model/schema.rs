//! OpenAPI schemas of types whose JSON form differs from the Rust type.

use utoipa::openapi::schema::{ObjectBuilder, SchemaFormat, Type};

/// A string schema with a description and an example.
pub fn text(description: &str, example: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description)).examples([example])
}

/// A format that is not part of JSON Schema; readers ignore formats that they do not know.
#[allow(clippy::unnecessary_wraps, reason = "the builder takes an option")]
pub fn format(name: &str) -> Option<SchemaFormat> {
    Some(SchemaFormat::Custom(name.to_owned()))
}

/// Implements `ToSchema` for `$type` by the schema of its form.
macro_rules! schema_of {
    ($type:ident = $form:ident) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                <$form as utoipa::PartialSchema>::schema()
            }
        }

        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn schemas(schemas: &mut Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::schema::Schema>)>) {
                <$form as utoipa::ToSchema>::schemas(schemas);
            }
        }
    };
}

/// Implements `ToSchema` for a type that is a text as JSON.
#[macro_export]
macro_rules! built_schema {
    ($type:ident = $text:expr) => {
        impl utoipa::PartialSchema for $type {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                $text.into()
            }
        }

        impl utoipa::ToSchema for $type {
            fn name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }
        }
    };
}

pub use built_schema;
pub(crate) use schema_of;

use super::principal::HANDLE_BYTES_MAX;
use super::version::MESSAGE_CHARACTERS_MAX;

/// A string schema for the name of a principal, role, access token, policy, rule set, webhook or draft.
pub struct Handle;
built_schema!(
    Handle = text("A name: 1 to 64 of a-z, 0-9, `.`, `_`, `-` and `@`, but neither `.` nor `..`.", "ada")
        .min_length(Some(1))
        .max_length(Some(HANDLE_BYTES_MAX))
        .pattern(Some(r"^([a-z0-9_@-]|\.[a-z0-9_@-]|\.\.[a-z0-9._@-])[a-z0-9._@-]*$"))
);

/// A character that is not Unicode white space, which is trimmed from a message.
const NOT_BLANK: &str = r"[^\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]";

/// A message (the reason for a change) in the OpenAPI document.
pub struct CommitMessage;
built_schema!(
    CommitMessage = text("The reason for the change, shown in the history and the audit log.", "Greet by name")
        .min_length(Some(1))
        .max_length(Some(MESSAGE_CHARACTERS_MAX))
        .pattern(Some(NOT_BLANK))
);

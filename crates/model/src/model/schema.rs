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

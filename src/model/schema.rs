//! Lets a type whose JSON is that of another (its `…Form`) share that one's OpenAPI schema.

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

pub(crate) use schema_of;

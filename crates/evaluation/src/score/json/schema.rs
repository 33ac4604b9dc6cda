//! JSON Schema as Ajv understands it: draft 7 with its additions, strict about unknown keywords and formats.

use boon::{Compiler, Draft, Schemas, UrlLoader};
use serde_json::{Map, Value, json};

use super::super::{ScoreError, excerpt};

/// Where a schema is compiled; nothing is loaded from there.
const PLACE: &str = "urn:bookholder:schema";
/// Deepest nesting of a schema.
const LEVELS_MAX: usize = 100;

/// Keywords of draft 7, and those that Ajv adds.
const KEYWORDS: &[&str] = &[
    "$comment",
    "$defs",
    "$id",
    "$ref",
    "$schema",
    "$vocabulary",
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "contains",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
    "default",
    "definitions",
    "dependencies",
    "deprecated",
    "description",
    "else",
    "enum",
    "examples",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "if",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "not",
    "nullable",
    "oneOf",
    "pattern",
    "patternProperties",
    "properties",
    "propertyNames",
    "readOnly",
    "required",
    "then",
    "title",
    "type",
    "uniqueItems",
    "writeOnly",
];
/// Keywords whose value is a schema.
const OF_SCHEMA: &[&str] =
    &["additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"];
/// Keywords whose value is a list of schemas.
const OF_SCHEMAS: &[&str] = &["allOf", "anyOf", "oneOf", "items"];
/// Keywords whose value is a map of schemas.
const OF_MAP: &[&str] = &["$defs", "definitions", "dependencies", "patternProperties", "properties"];
/// Formats that are checked.
const FORMATS: &[&str] = &[
    "date",
    "date-time",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "json-pointer",
    "regex",
    "relative-json-pointer",
    "time",
    "uri",
    "uri-reference",
    "uri-template",
    "uuid",
];
/// Formats that accept every text or number.
const LABELS: &[&str] = &["binary", "double", "float", "password"];

/// A compiled schema.
pub(in super::super) struct Schema {
    schemas: Schemas,
    index: boon::SchemaIndex,
}

/// Loads nothing: a schema is complete.
struct NoLoader;

impl UrlLoader for NoLoader {
    fn load(&self, url: &str) -> Result<Value, Box<dyn std::error::Error>> {
        Err(format!("schemas are not loaded from {url}").into())
    }
}

impl Schema {
    /// Compiles a schema. One that names a newer draft is understood by that draft.
    ///
    /// # Errors
    /// It is invalid, or has an unknown keyword or format.
    pub(in super::super) fn compile(schema: &Value) -> Result<Self, ScoreError> {
        let failed =
            |error: &dyn std::fmt::Display| ScoreError(format!("invalid JSON Schema: {}", excerpt(&error.to_string())));
        if !matches!(schema, Value::Object(_) | Value::Bool(_)) {
            return Err(failed(&"it must be a map or true or false"));
        }
        let mut schema = schema.clone();
        let named = schema.get("$schema").and_then(Value::as_str).map(|draft| draft.trim_end_matches('#'));
        if named.is_none_or(|draft| draft == "http://json-schema.org/draft-07/schema") {
            if let Some(fields) = schema.as_object_mut() {
                fields.shift_remove("$schema");
            }
            adapt(&mut schema, 0).map_err(|error| failed(&error))?;
        }
        let mut compiler = Compiler::new();
        // Draft 2019-09 evaluates what is beside a `$ref`, as Ajv does for draft 7.
        compiler.set_default_draft(Draft::V2019_09);
        compiler.enable_format_assertions();
        compiler.use_loader(Box::new(NoLoader));
        compiler.add_resource(PLACE, schema).map_err(|error| failed(&error))?;
        let mut schemas = Schemas::new();
        let index = compiler.compile(PLACE, &mut schemas).map_err(|error| failed(&error))?;
        Ok(Self { schemas, index })
    }

    /// Checks a value.
    ///
    /// # Errors
    /// It does not match; the message says where and why.
    pub(in super::super) fn check(&self, value: &Value) -> Result<(), String> {
        self.schemas.validate(value, self.index).map_err(|error| {
            let text = error.to_string();
            let causes: Vec<&str> = text.lines().skip(1).map(str::trim).collect();
            causes.join("; ")
        })
    }
}

/// Refuses unknown keywords and formats, and writes Ajv's additions and what later drafts renamed in other words.
fn adapt(schema: &mut Value, level: usize) -> Result<(), String> {
    let Some(fields) = schema.as_object_mut() else { return Ok(()) };
    if level > LEVELS_MAX {
        return Err(format!("it is nested more than {LEVELS_MAX} levels deep"));
    }
    if let Some(unknown) = fields.keys().find(|keyword| !KEYWORDS.contains(&keyword.as_str())) {
        return Err(format!("unknown keyword `{unknown}`"));
    }
    if let Some(Value::String(format)) = fields.get("format") {
        let format = format.clone();
        adapt_format(fields, &format)?;
    }
    if fields.shift_remove("nullable") == Some(Value::Bool(true)) {
        let types = match fields.get("type") {
            Some(Value::Array(types)) => types.clone(),
            Some(one) => vec![one.clone()],
            None => return Err("`nullable` needs `type`".to_owned()),
        };
        let null = json!("null");
        let types = types.into_iter().filter(|one| *one != null).chain([null.clone()]).collect();
        fields.insert("type".to_owned(), Value::Array(types));
    }
    for keyword in OF_SCHEMA {
        if let Some(inner) = fields.get_mut(*keyword) {
            adapt(inner, level + 1)?;
        }
    }
    for keyword in OF_SCHEMAS {
        for inner in fields.get_mut(*keyword).and_then(Value::as_array_mut).into_iter().flatten() {
            adapt(inner, level + 1)?;
        }
    }
    for keyword in OF_MAP {
        for (_, inner) in fields.get_mut(*keyword).and_then(Value::as_object_mut).into_iter().flatten() {
            adapt(inner, level + 1)?;
        }
    }
    if let Some(Value::Object(dependencies)) = fields.shift_remove("dependencies") {
        let (required, schemas): (Map<_, _>, Map<_, _>) =
            dependencies.into_iter().partition(|(_, dependency)| dependency.is_array());
        fields.insert("dependentRequired".to_owned(), Value::Object(required));
        fields.insert("dependentSchemas".to_owned(), Value::Object(schemas));
    }
    Ok(())
}

/// Accepts the formats of `ajv-formats`.
fn adapt_format(fields: &mut Map<String, Value>, format: &str) -> Result<(), String> {
    let others = |fields: &mut Map<String, Value>, rule: Value| {
        let all = fields.entry("allOf").or_insert_with(|| json!([]));
        if let Some(all) = all.as_array_mut() {
            all.push(rule);
        }
    };
    if FORMATS.contains(&format) {
        return Ok(());
    }
    fields.shift_remove("format");
    match format {
        _ if LABELS.contains(&format) => {}
        "url" => {
            fields.insert("format".to_owned(), json!("uri"));
        }
        "int32" => others(fields, number(&json!({ "type": "integer", "minimum": i32::MIN, "maximum": i32::MAX }))),
        "int64" => others(fields, number(&json!({ "type": "integer" }))),
        "byte" => others(fields, json!({ "pattern": "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$" })),
        _ => return Err(format!("unknown format `{}`", excerpt(format))),
    }
    Ok(())
}

/// A rule that only numbers must meet.
fn number(rule: &Value) -> Value {
    json!({ "if": { "type": "number" }, "then": rule })
}

//! Rewrites the generated schemas into forms that client generators and validators understand.

#![allow(clippy::indexing_slicing, reason = "a JSON value that has no such field is null, and does not panic")]

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::api::limits::WHOLE_MAX;

/// Types with additional provider fields, which are passed on unchanged.
const PASSED_ON: [&str; 2] = ["Message", "Part"];

/// Where schemas of answers and of requests are in the document.
pub(super) fn refine(document: &mut Value) {
    flatten(document);
    let (sent, answered) = (used(document, &["requestBody", "parameters"]), used(document, &["responses"]));
    let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) else { return };
    for (name, schema) in schemas.iter_mut() {
        if PASSED_ON.contains(&name.as_str()) {
            schema["additionalProperties"] = true.into();
        }
        if answered.contains(name) {
            open(schema, sent.contains(name));
        }
    }
    walk(document, &mut refine_one);
}

/// Merges the parts of each `allOf` into one object, as on the wire.
fn flatten(document: &mut Value) {
    let Some(schemas) = document.pointer("/components/schemas").and_then(Value::as_object).cloned() else { return };
    for (name, schema) in &schemas {
        let Some(parts) = schema["allOf"].as_array() else { continue };
        let mut properties = Map::new();
        let mut required = Vec::new();
        for part in parts {
            let part = reference(part).and_then(|name| schemas.get(name)).unwrap_or(part);
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        let mut whole = json!({"type": "object", "properties": properties, "required": required});
        if let Some(description) = schema.get("description") {
            whole["description"] = description.clone();
        }
        document["components"]["schemas"][name] = whole;
    }
}

/// The target of a reference, if the schema is one.
pub(super) fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.strip_prefix("#/components/schemas/")
}

/// The schemas that these parts of all operations use.
fn used(document: &Value, parts: &[&str]) -> BTreeSet<String> {
    let operations = document["paths"].as_object().into_iter().flatten();
    let operations = operations.flat_map(|(_, item)| item.as_object().into_iter().flatten());
    let mut open: Vec<&Value> =
        operations.flat_map(|(_, operation)| parts.iter().map(|part| &operation[*part])).collect();
    let mut found = BTreeSet::new();
    while let Some(value) = open.pop() {
        if let Some(name) = reference(value).filter(|name| found.insert((*name).to_owned())) {
            open.push(&document["components"]["schemas"][name]);
        }
        match value {
            Value::Object(fields) => open.extend(fields.values()),
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    found
}

/// Removes schemas that nothing uses any more.
pub(super) fn drop_unused(document: &mut Value) {
    let used = used(document, &["requestBody", "parameters", "responses"]);
    let shared = &document["components"]["responses"];
    let problem = shared.as_object().is_some_and(|shared| !shared.is_empty());
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        schemas.retain(|name, _| {
            used.contains(name) || (problem && matches!(name.as_str(), "Problem" | "ErrorCode" | "RpcStatus"))
        });
    }
}

/// Makes enums of answers open: a newer node may send another value. Requests are restricted by a pattern instead,
/// which generators do not turn into a closed type.
fn open(schema: &mut Value, sent: bool) {
    let Some(object) = schema.as_object_mut() else { return };
    let Some(Value::Array(words)) = object.remove("enum") else { return };
    if sent {
        let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
        object.insert("pattern".to_owned(), format!("^({})$", words.join("|")).into());
    }
    object.insert("x-extensible-enum".to_owned(), words.into());
}

fn walk(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            change(object);
            // An example is not a schema.
            let inner =
                object.iter_mut().filter(|(name, _)| !matches!(name.as_str(), "example" | "examples" | "default"));
            inner.for_each(|(_, value)| walk(value, change));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| walk(value, change)),
        _ => {}
    }
}

/// Whether a media type is not JSON.
const BYTES: [&str; 3] = ["application/octet-stream", "application/x-protobuf", "application/x-tar"];
/// A stream, whose events are described beside its schema.
const EVENTS: &str = "text/event-stream";

fn refine_one(schema: &mut Map<String, Value>) {
    for media in BYTES {
        if let Some(content) = schema.get_mut(media) {
            *content = json!({"schema": {"type": "string", "format": "binary"}});
        }
    }
    if let Some(content) = schema.get_mut(EVENTS) {
        let data = content["schema"].take();
        let example = "id: 1.4529\n\nevent: change\nid: 1.4530\ndata: {\"position\":\"1.4530\",\"names\":[\"support/agent\"]}\n\n";
        *content = json!({"schema": {"type": "string"}, "example": example, "x-event-data": data});
    }
    // Keys of a map are strings, whatever their Rust type.
    if let Some(keys) = schema.remove("propertyNames").filter(|keys| keys["type"] == "integer") {
        let pattern = if keys["minimum"] == 1 { "^[1-9][0-9]{0,15}$" } else { "^(0|[1-9][0-9]{0,15})$" };
        schema.insert("propertyNames".to_owned(), json!({"type": "string", "pattern": pattern}));
    }
    // Variants without a tag may overlap.
    let told_apart = |one: &Value| {
        one["properties"].as_object().is_none_or(|fields| fields.values().any(|field| !field["enum"].is_null()))
    };
    if let Some(forms) = schema.get("oneOf").and_then(Value::as_array).filter(|forms| !forms.iter().any(told_apart)) {
        let forms = forms.clone();
        schema.remove("oneOf");
        schema.insert("anyOf".to_owned(), forms.into());
    }
    let says = |word: &str| schema.get("type").is_some_and(|kind| kind == word || kind[0] == word);
    if says("object") && !["properties", "additionalProperties"].iter().any(|field| schema.contains_key(*field)) {
        schema.insert("additionalProperties".to_owned(), true.into());
    } else if says("integer") && schema.get("format").is_some_and(|format| format == "int64") {
        schema.entry("maximum").or_insert(WHOLE_MAX.into());
    }
}

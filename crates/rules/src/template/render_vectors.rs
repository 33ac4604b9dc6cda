//! Holds `fixtures/render/vectors.json` against the renderer: what the client libraries must render alike.
//!
//! `UPDATE_FIXTURES=1 cargo test -p bookholder-rules render_vectors` writes the results again.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::render::{Problems, RenderError, RenderInput, render};
use super::variables::complete;
use crate::clock::Cancellation;
use crate::model::content::Content;
use crate::model::rendered::Rendered;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/render/vectors.json");
/// Longest text that `$repeat` makes, in bytes.
const REPEATED_BYTES_MAX: usize = 8 * 1024 * 1024;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    content: Value,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    variables: Map<String, Value>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    messages: BTreeMap<String, Value>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    strict: bool,
    /// What a language needs to have these values at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    needs: Option<String>,
    #[serde(default)]
    expected: Value,
}

/// Replaces each `{"$repeat": [text, count]}` by the text that it stands for.
fn expanded(value: &Value) -> Value {
    match value {
        Value::Object(fields) => match fields.get("$repeat").and_then(Value::as_array).map(Vec::as_slice) {
            Some([Value::String(text), Value::Number(count)]) => {
                let count = usize::try_from(count.as_u64().expect("a count")).expect("a count");
                assert!(text.len().saturating_mul(count) <= REPEATED_BYTES_MAX, "{value} is too long");
                Value::String(text.repeat(count))
            }
            _ => Value::Object(fields.iter().map(|(key, value)| (key.clone(), expanded(value))).collect()),
        },
        Value::Array(items) => Value::Array(items.iter().map(expanded).collect()),
        other => other.clone(),
    }
}

/// The vector with the completed content, and what it renders to.
fn run(vector: &Vector) -> Vector {
    let name = &vector.name;
    let mut content: Content = serde_json::from_value(expanded(&vector.content)).expect(name);
    complete(&mut content).unwrap_or_else(|error| panic!("{name}: {error}"));
    let variables = expanded(&Value::Object(vector.variables.clone()));
    let messages = vector.messages.iter().map(|(name, list)| {
        let list = expanded(list).as_array().cloned().expect("a list of messages");
        (name.clone(), list)
    });
    let given = RenderInput {
        variables: variables.as_object().expect("an object"),
        messages: &messages.collect(),
        strict: vector.strict,
    };
    let mut ran = vector.clone();
    ran.expected = match render(&content, given, &Cancellation::never()) {
        Ok(filled) => {
            let mut expected = match filled.rendered {
                Rendered::Text(text) => json!({ "text": text }),
                Rendered::Messages(messages) => json!({ "messages": messages }),
            };
            let remarks = serde_json::to_value(filled.remarks).expect("JSON");
            if remarks != json!([]) {
                expected["remarks"] = remarks;
            }
            expected
        }
        Err(error) => json!({ "error": failure(&error) }),
    };
    // A text that is written with `$repeat` stays as it is, also as a result.
    let written = expanded(&vector.content);
    if written != vector.content && written["text"] == ran.expected["text"] {
        ran.expected["text"] = vector.content["text"].clone();
    }
    if written == vector.content {
        ran.content = serde_json::to_value(&content).expect("JSON");
    }
    ran
}

/// A vector as JSON in ASCII, so that characters without a shape are seen and survive every editor.
fn ascii(vector: &Vector) -> String {
    let mut text = String::new();
    for character in serde_json::to_string(vector).expect("JSON").chars() {
        if character.is_ascii() && character != '\u{7f}' {
            text.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(text, "\\u{unit:04x}").expect("a string takes everything");
            }
        }
    }
    text
}

fn failure(error: &RenderError) -> Value {
    let message = error.to_string();
    match error {
        RenderError::Variables(problems) => {
            let problems: &Problems = problems;
            let mut failure = json!({ "kind": "variables", "message": message });
            if let (Some(failure), Ok(Value::Object(fields))) =
                (failure.as_object_mut(), serde_json::to_value(problems))
            {
                failure.extend(fields);
            }
            failure
        }
        RenderError::Template { text, line, column, .. } => {
            json!({ "kind": "template", "message": message, "text": text, "line": line, "column": column })
        }
        RenderError::InputTooLong => json!({ "kind": "input_too_long", "message": message }),
        RenderError::TooLong => json!({ "kind": "too_long", "message": message }),
        RenderError::Stopped => json!({ "kind": "stopped", "message": message }),
    }
}

#[test]
fn render_vectors_say_what_is_rendered() {
    let written = fs::read_to_string(PATH).expect("vectors");
    let vectors: Vec<Vector> = serde_json::from_str(&written).expect("JSON");
    assert!(vectors.len() >= 200, "{} vectors", vectors.len());
    let mut names: Vec<&str> = vectors.iter().map(|vector| vector.name.as_str()).collect();
    names.sort_unstable();
    for pair in names.windows(2) {
        assert_ne!(pair.first(), pair.last(), "a name is used twice");
    }
    let lines: Vec<String> = vectors.iter().map(|vector| ascii(&run(vector))).collect();
    let rendered = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("UPDATE_FIXTURES").is_some() {
        fs::write(PATH, rendered).expect("written");
        return;
    }
    for (was, is) in written.lines().zip(rendered.lines()) {
        assert_eq!(was, is, "if that is meant, run UPDATE_FIXTURES=1 cargo test -p bookholder-rules render_vectors");
    }
    assert_eq!(written, rendered);
}

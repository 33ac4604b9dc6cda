//! The API documentation page, generated from the OpenAPI document: every operation, its parameters and schemas, an
//! example.
//!
//! One page without scripts that loads only its stylesheet, so it works without a network.

#![allow(clippy::indexing_slicing, reason = "a JSON value that has no such field is null, and does not panic")]

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;

/// The page's stylesheet.
pub const STYLE: &str = include_str!("docs.css");
/// Maximum nesting of an inlined schema; deeper ones are named.
const SHAPE_DEPTH_MAX: usize = 3;

/// Renders an OpenAPI document.
pub fn page(document: &Value) -> String {
    let info = &document["info"];
    let tags: Vec<&Value> = document["tags"].as_array().map(|tags| tags.iter().collect()).unwrap_or_default();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (text(&info["title"])) " – API" }
                link rel="stylesheet" href="/docs/style.css";
            }
            body {
                nav aria-label="Operations" {
                    p.name { (text(&info["title"])) " " span.version { (text(&info["version"])) } }
                    @for tag in &tags {
                        p { (text(&tag["name"])) }
                        ul {
                            @for (method, path, operation) in operations(document, text(&tag["name"])) {
                                li {
                                    a href={ "#" (anchor(method, path)) } title=(text(&operation["summary"])) {
                                        span class={ "method " (method) } { (method) } " " (path)
                                    }
                                }
                            }
                        }
                    }
                    p { a href="/openapi.json" { "openapi.json" } }
                }
                main {
                    h1 { (text(&info["title"])) }
                    (prose(text(&info["description"])))
                    @for tag in &tags {
                        h2 { (text(&tag["name"])) }
                        (prose(text(&tag["description"])))
                        @for (method, path, operation) in operations(document, text(&tag["name"])) {
                            (section(document, method, path, operation))
                        }
                    }
                    h2 id="schemas" { "Schemas" }
                    @if let Some(schemas) = document.pointer("/components/schemas").and_then(Value::as_object) {
                        @for (name, schema) in schemas {
                            details id={ "schema-" (name) } {
                                summary { code { (name) } }
                                (prose(text(&schema["description"])))
                                (properties(schema))
                            }
                        }
                    }
                }
            }
        }
    }
    .into_string()
}

/// One operation.
fn section(document: &Value, method: &str, path: &str, operation: &Value) -> Markup {
    let parameters = operation["parameters"].as_array();
    let request = &operation["requestBody"]["content"]["application/json"];
    html! {
        section id=(anchor(method, path)) {
            h3 { span class={ "method " (method) } { (method) } " " code { (path) } }
            (prose(text(&operation["summary"])))
            (prose(text(&operation["description"])))
            @if let Some(parameters) = parameters {
                table {
                    thead { tr { th { "Parameter" } th { "In" } th { "Type" } th { "Meaning" } } }
                    tbody {
                        @for parameter in parameters {
                            tr {
                                td {
                                    code { (text(&parameter["name"])) }
                                    @if parameter["required"] == true { span.required { " required" } }
                                }
                                td { (text(&parameter["in"])) }
                                td { (kind(&parameter["schema"])) }
                                td { (inline(text(&parameter["description"]))) }
                            }
                        }
                    }
                }
            }
            @if !request["schema"].is_null() {
                p { "Body: " (kind(&request["schema"])) }
                (shape(document, &request["schema"]))
            }
            p { "Example:" }
            pre { code { (example(method, path, operation)) } }
            @if let Some(responses) = operation["responses"].as_object() {
                @for (status, response) in responses.iter().filter(|(status, _)| *status != "default") {
                    p { "Response " strong { (status) } " " (inline(text(&response["description"])))
                        @for (media, content) in response["content"].as_object().into_iter().flatten() {
                            " " code { (media) } " " (kind(&content["schema"]))
                        }
                    }
                    @for (_, content) in response["content"].as_object().into_iter().flatten() {
                        (shape(document, &content["schema"]))
                    }
                    @if let Some(headers) = response["headers"].as_object() {
                        ul.headers {
                            @for (name, header) in headers {
                                li { code { (name) } ": " (text(&header["description"])) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The operations of one group, in the document's order.
fn operations<'a>(document: &'a Value, tag: &str) -> Vec<(&'a str, &'a str, &'a Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    let all = paths.flat_map(|(path, item)| {
        let item = item.as_object().into_iter().flatten();
        item.map(move |(method, operation)| (method.as_str(), path.as_str(), operation))
    });
    all.filter(|(_, _, operation)| operation["tags"][0] == tag).collect()
}

/// An example request.
fn example(method: &str, path: &str, operation: &Value) -> String {
    let mut url = path.to_owned();
    let mut query = Vec::new();
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let name = text(&parameter["name"]);
        let example = match &parameter["example"] {
            Value::String(text) => text.clone(),
            Value::Null => "1".to_owned(),
            other => other.to_string(),
        };
        match text(&parameter["in"]) {
            "path" => url = url.replace(&format!("{{{name}}}"), &example),
            "query" if parameter["required"] == true => query.push(format!("{name}={example}")),
            _ => {}
        }
    }
    if !query.is_empty() {
        url = format!("{url}?{}", query.join("&"));
    }
    let mut line = format!("curl '{{server}}{url}'");
    if method != "get" {
        line = format!(
            "curl -X {} '{{server}}{url}' \\\n  -H \"Authorization: Bearer $BOOKHOLDER_TOKEN\"",
            method.to_uppercase()
        );
    }
    let body = &operation["requestBody"]["content"]["application/json"]["example"];
    if !body.is_null() {
        let body = serde_json::to_string_pretty(body).unwrap_or_default();
        line = format!("{line} \\\n  -H 'Content-Type: application/json' -d '{body}'");
    }
    line
}

/// The fields of a schema, as a table below its use.
fn shape(document: &Value, schema: &Value) -> Markup {
    let Some(name) = reference(schema).or_else(|| reference(&schema["items"])) else { return html! {} };
    let sketch = sketch(document, &document["components"]["schemas"][name], 0);
    html! { details { summary { "Schema" } pre { code { (sketch) } } } }
}

/// A schema as JSON with types for values.
fn sketch(document: &Value, schema: &Value, depth: usize) -> String {
    let indent = "  ".repeat(depth + 1);
    if let Some(name) = reference(schema) {
        let target = &document["components"]["schemas"][name];
        let plain = target["properties"].is_null() && target["allOf"].is_null();
        return if depth >= SHAPE_DEPTH_MAX || plain { name.to_owned() } else { sketch(document, target, depth) };
    }
    if schema["type"] == "array" {
        return format!("[{}, …]", sketch(document, &schema["items"], depth));
    }
    let parts = schema["allOf"].as_array();
    let mut fields = Vec::new();
    for part in parts.into_iter().flatten().chain([schema]) {
        let part = reference(part).map_or(part, |name| &document["components"]["schemas"][name]);
        let required = |name: &str| part["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
        for (name, property) in part["properties"].as_object().into_iter().flatten() {
            let value = sketch(document, property, depth + 1);
            fields.push(format!("{indent}\"{name}\"{}: {value}", if required(name) { "" } else { "?" }));
        }
    }
    if fields.is_empty() { words(schema) } else { format!("{{\n{}\n{}}}", fields.join(",\n"), "  ".repeat(depth)) }
}

/// The fields of a schema as a table.
fn properties(schema: &Value) -> Markup {
    let parts = ["allOf", "oneOf", "anyOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    let parts: Vec<&Value> = parts.chain([schema]).collect();
    html! {
        @for part in &parts {
            @if let Some(name) = reference(part) { p { "All fields of " (link(name)) } }
            @if let Some(fields) = part["properties"].as_object() {
                table {
                    thead { tr { th { "Field" } th { "Type" } th { "Meaning" } } }
                    tbody {
                        @for (name, field) in fields {
                            tr {
                                td { code { (name) } } td { (kind(field)) } td { (inline(text(&field["description"]))) }
                            }
                        }
                    }
                }
            } @else if !part["enum"].is_null() || !part["const"].is_null() {
                p { code { (words(part)) } " " (inline(text(&part["description"]))) }
            }
        }
    }
}

/// A type, with a link to its definition.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = reference(schema) {
        return link(name);
    }
    if let Some(name) = reference(&schema["items"]) {
        return html! { "list of " (link(name)) };
    }
    let choices = ["oneOf", "anyOf"].into_iter().find_map(|key| schema[key].as_array());
    if let Some(name) = choices.and_then(|choices| choices.iter().find_map(reference)) {
        return html! { (link(name)) };
    }
    html! { (words(schema)) }
}

/// The name of a type.
fn words(schema: &Value) -> String {
    if let Some(choices) = schema["enum"].as_array() {
        return choices.iter().map(|choice| text(choice).to_owned()).collect::<Vec<_>>().join(" | ");
    }
    match &schema["type"] {
        Value::String(name) if name == "array" => format!("list of {}", words(&schema["items"])),
        Value::String(name) => name.clone(),
        Value::Array(names) => names.iter().map(text).filter(|name| *name != "null").collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    }
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

fn link(name: &str) -> Markup {
    html! { a href={ "#schema-" (name) } { code { (name) } } }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn anchor(method: &str, path: &str) -> String {
    let path: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    format!("{method}{path}")
}

/// Paragraphs with `code` in them.
fn prose(text: &str) -> Markup {
    html! {
        @for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) { p { (inline(paragraph)) } }
    }
}

/// A line with `code` in it.
fn inline(text: &str) -> Markup {
    let pieces: Vec<Markup> = text
        .split('`')
        .enumerate()
        .map(|(index, piece)| {
            if index % 2 == 1 {
                html! { code { (piece) } }
            } else {
                html! { (piece) }
            }
        })
        .collect();
    PreEscaped(pieces.into_iter().map(|piece| piece.0).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn docs_page_shows_operations_parameters_schemas_and_an_example() {
        let document = json!({
            "info": {"title": "T <1>", "version": "0", "description": "One.\n\nTwo `x`."},
            "tags": [{"name": "author", "description": "Writes."}],
            "paths": {"/v1/a/{name}": {"post": {
                "tags": ["author"], "summary": "Makes <a>.",
                "parameters": [{"name": "name", "in": "path", "required": true, "schema": {"type": "string"}, "example": "n"}],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}, "example": {"b": 1}}}},
                "responses": {"200": {"description": "Done."}, "default": {"description": "No."}},
            }}},
            "components": {"schemas": {"A": {"type": "object", "required": ["b"], "properties": {"b": {"type": "integer"}, "c": {"type": ["string", "null"]}}}}},
        });
        let page = page(&document);
        for part in [
            "<h1>T &lt;1&gt;</h1>",
            "Two <code>x</code>.",
            "Makes &lt;a&gt;.",
            "curl -X POST '{server}/v1/a/n'",
            "id=\"schema-A\"",
            "&quot;c&quot;?: string",
        ] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(!page.contains("<script") && !page.contains("style="), "nothing that the policy forbids");
    }

    #[test]
    fn empty_openapi_document_renders() {
        assert!(page(&Value::Null).contains("<main>"));
    }
}

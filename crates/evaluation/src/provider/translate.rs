//! Messages, parts and tools in the words of each API.
//!
//! A version stores them in the shape of one provider, usually OpenAI's. What both have is converted, the rest passed on
//! unchanged, as the client libraries do it.

use serde_json::{Map, Value, json};

use super::draft::text_of;

/// A message as OpenAI takes it.
pub(super) fn openai_message(message: &Value) -> Value {
    let mut message = message.clone();
    if let Some(fields) = message.as_object_mut() {
        if fields.get("role").and_then(Value::as_str) == Some("model") {
            fields.insert("role".to_owned(), "assistant".into());
        }
        if let Some(parts) = fields.get_mut("content").and_then(Value::as_array_mut) {
            for part in parts {
                *part = openai_part(part);
            }
        }
    }
    message
}

fn openai_part(part: &Value) -> Value {
    match text_of(part, "type") {
        "input_text" | "output_text" => with(part, "type", "text".into()),
        "image" | "image_url" | "input_image" => {
            let place = if text_of(part, "type") == "image" { part.get("url") } else { part.get("image_url") };
            match place.and_then(Value::as_str) {
                Some(url) => json!({ "type": "image_url", "image_url": { "url": url } }),
                None => part.clone(),
            }
        }
        _ => part.clone(),
    }
}

/// A tool as OpenAI takes it.
pub(super) fn openai_tool(tool: &Value) -> Value {
    let parameters = tool.get("input_schema").or_else(|| tool.get("parameters"));
    let name = tool.get("name").filter(|name| name.is_string());
    let (Some(name), Some(parameters), None) = (name, parameters, tool.get("function")) else {
        return tool.clone();
    };
    let mut function = Map::new();
    function.insert("name".to_owned(), name.clone());
    for field in ["description", "strict"] {
        if let Some(value) = tool.get(field) {
            function.insert(field.to_owned(), value.clone());
        }
    }
    function.insert("parameters".to_owned(), parameters.clone());
    json!({ "type": "function", "function": function })
}

/// The system text of messages, apart from the other ones, as Anthropic takes them. Neighbors of one role are together.
pub(super) fn anthropic_messages(messages: &[Value]) -> (Option<Value>, Vec<Value>) {
    let is_system = |message: &&Value| matches!(text_of(message, "role"), "system" | "developer");
    let system: Vec<&Value> = messages.iter().filter(is_system).filter_map(|message| message.get("content")).collect();
    let texts: Option<Vec<&str>> = system.iter().map(|content| content.as_str()).collect();
    let system = match texts {
        _ if system.is_empty() => None,
        Some(texts) => Some(Value::String(texts.join("\n\n"))),
        None => Some(system.into_iter().flat_map(parts).collect()),
    };
    let mut merged: Vec<(&str, Value)> = Vec::new();
    for message in messages.iter().filter(|message| !is_system(message)) {
        let (role, content) = anthropic_message(message);
        match merged.last_mut() {
            Some((last, before)) if *last == role => {
                *before = parts(before).into_iter().chain(parts(&content)).collect();
            }
            _ => merged.push((role, content)),
        }
    }
    let message = |(role, content)| json!({ "role": role, "content": content });
    (system, merged.into_iter().map(message).collect())
}

fn anthropic_message(message: &Value) -> (&'static str, Value) {
    let null = Value::Null;
    let content = message.get("content").unwrap_or(&null);
    let role = match text_of(message, "role") {
        "tool" | "function" => {
            let content = if content.is_string() { content.clone() } else { Value::Array(parts(content)) };
            let result =
                json!({ "type": "tool_result", "tool_use_id": message.get("tool_call_id"), "content": content });
            return ("user", Value::Array(vec![result]));
        }
        "assistant" | "model" => "assistant",
        _ => "user",
    };
    let calls = message.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
    match calls {
        None if content.is_string() => (role, content.clone()),
        calls => (role, parts(content).into_iter().chain(calls.into_iter().flatten().map(tool_use)).collect()),
    }
}

/// A content as parts.
fn parts(content: &Value) -> Vec<Value> {
    match content {
        Value::String(text) if !text.is_empty() => vec![json!({ "type": "text", "text": text })],
        Value::Array(parts) => parts.iter().map(anthropic_part).collect(),
        _ => Vec::new(),
    }
}

fn anthropic_part(part: &Value) -> Value {
    let kind = text_of(part, "type");
    if matches!(kind, "input_text" | "output_text") {
        return with(part, "type", "text".into());
    }
    let place = match kind {
        "image" => part.get("url"),
        "image_url" | "input_image" => part.get("image_url"),
        _ => None,
    };
    let url = place.and_then(|place| place.as_str().or_else(|| place.get("url")?.as_str()));
    let Some(url) = url else { return part.clone() };
    let data = url.strip_prefix("data:").and_then(|data| data.split_once(";base64,"));
    let source = match data {
        Some((kind, data)) => json!({ "type": "base64", "media_type": kind, "data": data }),
        None => json!({ "type": "url", "url": url }),
    };
    let image = json!({ "type": "image", "source": source });
    match part.get("cache_control") {
        Some(control) => with(&image, "cache_control", control.clone()),
        None => image,
    }
}

fn tool_use(call: &Value) -> Value {
    let function = call.get("function").filter(|function| function.is_object()).unwrap_or(call);
    let input = match function.get("arguments") {
        Some(Value::String(text)) => serde_json::from_str(text).ok().filter(Value::is_object),
        Some(object @ Value::Object(_)) => Some(object.clone()),
        _ => None,
    };
    let input = input.unwrap_or_else(|| json!({}));
    json!({ "type": "tool_use", "id": call.get("id"), "name": function.get("name"), "input": input })
}

/// A tool as Anthropic takes it.
pub(super) fn anthropic_tool(tool: &Value) -> Value {
    let Some(function) = tool.get("function").filter(|function| function.is_object()) else { return tool.clone() };
    let mut converted = Map::new();
    for field in ["name", "description"] {
        if let Some(value) = function.get(field) {
            converted.insert(field.to_owned(), value.clone());
        }
    }
    let schema = function.get("parameters").cloned().unwrap_or_else(|| json!({ "type": "object" }));
    converted.insert("input_schema".to_owned(), schema);
    Value::Object(converted)
}

fn with(value: &Value, field: &str, content: Value) -> Value {
    let mut value = value.clone();
    if let Some(fields) = value.as_object_mut() {
        fields.insert(field.to_owned(), content);
    }
    value
}

//! Chat completions and embeddings as OpenAI speaks them.

use serde_json::{Map, Value, json};

use super::draft::{Draft, DraftError, MODEL_CHARACTERS_MAX, text_of};
use super::translate::{openai_message, openai_tool};
use super::{ChatRequest, Embeddings};
use crate::model::evaluation::AnswerUsage;

/// The name of the response schema, which the API wants to have.
const SCHEMA_NAME: &str = "response";

/// The body of a request. Parameters of the version come first: they cannot replace the model or the messages.
pub(super) fn body(model: &str, request: &ChatRequest) -> Value {
    let mut body = request.parameters.clone();
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), request.messages.iter().map(openai_message).collect());
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), request.tools.iter().map(openai_tool).collect());
    }
    if let Some(schema) = &request.response_schema {
        let format = || json!({ "type": "json_schema", "json_schema": named_schema(schema) });
        body.entry("response_format").or_insert_with(format);
    }
    if streams(&body) {
        body.insert("stream".to_owned(), true.into());
        body.entry("stream_options").or_insert_with(|| json!({ "include_usage": true }));
    }
    Value::Object(body)
}

/// Whether the answer is to arrive in parts: always, unless the version says otherwise.
fn streams(parameters: &Map<String, Value>) -> bool {
    parameters.get("stream") != Some(&Value::Bool(false))
}

fn named_schema(schema: &Value) -> Value {
    let mut named = json!({ "name": SCHEMA_NAME, "schema": schema });
    if let Some(fields) = named.as_object_mut().filter(|_| is_strict(schema)) {
        fields.insert("strict".to_owned(), true.into());
    }
    named
}

/// Whether the API takes a schema as strict: each object requires all its fields and allows no others.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Array(values) => values.iter().all(is_strict),
        Value::Object(fields) => {
            let properties = fields.get("properties").and_then(Value::as_object);
            let is_object = fields.get("type").and_then(Value::as_str) == Some("object") || properties.is_some();
            let required: Vec<&str> = fields
                .get("required")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let names_all = properties.is_none_or(|all| all.keys().all(|name| required.contains(&name.as_str())));
            let closed = fields.get("additionalProperties") == Some(&Value::Bool(false));
            (!is_object || (closed && names_all)) && fields.values().all(is_strict)
        }
        _ => true,
    }
}

/// Reads an answer that came as one JSON object.
pub(super) fn read_whole(value: &Value, draft: &mut Draft<'_>) -> Result<(), DraftError> {
    let choice = first_choice(value).ok_or(DraftError::NoMessage)?;
    let message = choice.get("message").filter(|message| message.is_object()).ok_or(DraftError::NoMessage)?;
    read_message(message, draft)?;
    read_rest(value, choice, draft);
    // Some servers leave it out, although the answer is whole.
    let reason = text_of(choice, "finish_reason");
    draft.finish_reason(if reason.is_empty() { "stop" } else { reason });
    Ok(())
}

/// Reads one event of a stream.
pub(super) fn read_event(value: &Value, draft: &mut Draft<'_>) -> Result<(), DraftError> {
    let null = Value::Null;
    let choice = first_choice(value).unwrap_or(&null);
    if let Some(delta) = choice.get("delta") {
        read_message(delta, draft)?;
    }
    read_rest(value, choice, draft);
    let reason = text_of(choice, "finish_reason");
    if !reason.is_empty() {
        draft.finish_reason(reason);
    }
    Ok(())
}

fn first_choice(value: &Value) -> Option<&Value> {
    let choices = value.get("choices")?.as_array()?;
    choices.iter().find(|choice| choice.get("index").and_then(Value::as_u64).unwrap_or(0) == 0)
}

/// Reads a message, or what is new in it.
fn read_message(message: &Value, draft: &mut Draft<'_>) -> Result<(), DraftError> {
    match message.get("content") {
        Some(Value::String(text)) => draft.text(text)?,
        Some(Value::Array(parts)) => {
            for part in parts.iter().filter(|part| text_of(part, "type") != "thinking") {
                draft.text(text_of(part, "text"))?;
            }
        }
        _ => {}
    }
    draft.refusal(text_of(message, "refusal"))?;
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    for (place, call) in (0_u64..).zip(calls) {
        let index = call.get("index").and_then(Value::as_u64).unwrap_or(place);
        let null = Value::Null;
        let function = call.get("function").unwrap_or(&null);
        // Some servers send the arguments as an object.
        let object = function.get("arguments").filter(|arguments| arguments.is_object()).map(Value::to_string);
        let arguments = object.as_deref().unwrap_or_else(|| text_of(function, "arguments"));
        draft.call(index, text_of(call, "id"), text_of(function, "name"), arguments)?;
    }
    Ok(())
}

fn read_rest(value: &Value, choice: &Value, draft: &mut Draft<'_>) {
    draft.model(text_of(value, "model"));
    if text_of(choice, "finish_reason") == "content_filter" {
        draft.refused();
    }
    let logprobs = choice.get("logprobs").and_then(|logprobs| logprobs.get("content")).and_then(Value::as_array);
    draft.logprobs(logprobs.into_iter().flatten().filter_map(|token| token.get("logprob")?.as_f64()));
    if let Some(usage) = value.get("usage").filter(|usage| usage.is_object()) {
        *draft.usage() = read_usage(usage);
    }
}

fn read_usage(usage: &Value) -> AnswerUsage {
    let number = |name: &str| usage.get(name).and_then(Value::as_u64);
    let detail = |group: &str, name: &str| usage.get(group)?.get(name)?.as_u64();
    AnswerUsage {
        input_tokens: number("prompt_tokens"),
        cache_read_tokens: detail("prompt_tokens_details", "cached_tokens"),
        cache_write_tokens: detail("prompt_tokens_details", "cache_write_tokens"),
        output_tokens: number("completion_tokens"),
        reasoning_tokens: detail("completion_tokens_details", "reasoning_tokens"),
        cost: None,
    }
}

/// Reads embeddings of so many texts, in their order.
pub(super) fn read_embeddings(value: &Value, count: usize) -> Result<Embeddings, String> {
    let data = value.get("data").and_then(Value::as_array).ok_or("the answer has no embeddings")?;
    let mut vectors = vec![Vec::new(); count];
    for (place, one) in data.iter().enumerate() {
        let index = one.get("index").and_then(Value::as_u64).and_then(|index| usize::try_from(index).ok());
        let numbers = one.get("embedding").and_then(Value::as_array).into_iter().flatten();
        let numbers: Option<Vec<f64>> = numbers.map(Value::as_f64).collect();
        if let (Some(embedding), Some(numbers)) = (vectors.get_mut(index.unwrap_or(place)), numbers) {
            *embedding = numbers;
        }
    }
    let length = vectors.first().map_or(0, Vec::len);
    if vectors.iter().any(|embedding| embedding.is_empty() || embedding.len() != length) {
        return Err(format!("the answer does not have {count} embeddings of the same length"));
    }
    let usage = value.get("usage").map(read_usage).unwrap_or_default();
    let model =
        value.get("model").and_then(Value::as_str).map(|name| name.chars().take(MODEL_CHARACTERS_MAX).collect());
    Ok(Embeddings { vectors, model, usage })
}

//! Messages as Anthropic speaks them.

use serde_json::{Map, Value, json};

use super::ChatRequest;
use super::draft::{Draft, DraftError, text_of};
use super::translate::{anthropic_messages, anthropic_tool};

/// The version of the API.
pub(super) const VERSION: &str = "2023-06-01";
/// The limit that the API requires, where the version has none.
const MAX_TOKENS_DEFAULT: u64 = 4_096;

/// The body of a request. Parameters that only OpenAI has are translated where Anthropic has the same; what is unknown is
/// passed on, so that the provider says so.
pub(super) fn body(model: &str, request: &ChatRequest) -> Value {
    let mut body = request.parameters.clone();
    let limits = ["max_tokens", "max_completion_tokens", "max_output_tokens"].map(|name| body.remove(name));
    let limit = limits.into_iter().flatten().find(|limit| !limit.is_null());
    body.insert("max_tokens".to_owned(), limit.unwrap_or_else(|| MAX_TOKENS_DEFAULT.into()));
    if let Some(stop) = body.remove("stop").filter(|stop| !stop.is_null()) {
        body.entry("stop_sequences").or_insert(if stop.is_array() { stop } else { Value::Array(vec![stop]) });
    }
    body.remove("stream_options");
    translate_choice(&mut body);
    let format = body.remove("response_format");
    let named = format.as_ref().and_then(|format| format.get("json_schema")?.get("schema"));
    if let Some(schema) = request.response_schema.as_ref().or(named) {
        body.entry("output_config").or_insert_with(|| json!({ "format": { "type": "json_schema", "schema": schema } }));
    }
    if !request.tools.is_empty() {
        body.insert("tools".to_owned(), request.tools.iter().map(anthropic_tool).collect());
    }
    let (system, messages) = anthropic_messages(&request.messages);
    if let Some(system) = system {
        body.insert("system".to_owned(), system);
    }
    body.insert("model".to_owned(), model.into());
    body.insert("messages".to_owned(), messages.into());
    if body.get("stream") != Some(&Value::Bool(false)) {
        body.insert("stream".to_owned(), true.into());
    }
    Value::Object(body)
}

/// `tool_choice` and `parallel_tool_calls` in Anthropic's words.
fn translate_choice(body: &mut Map<String, Value>) {
    let choice = body.remove("tool_choice").filter(|choice| !choice.is_null());
    let parallel = body.remove("parallel_tool_calls");
    let named = |choice: &Value| choice.get("function").and_then(|function| function.get("name")).cloned();
    let mut choice = choice.map(|choice| match choice.as_str() {
        Some("required") => json!({ "type": "any" }),
        Some(word) => json!({ "type": word }),
        None => named(&choice).map_or(choice, |name| json!({ "type": "tool", "name": name })),
    });
    if parallel == Some(Value::Bool(false)) {
        let fields = choice.get_or_insert_with(|| json!({ "type": "auto" }));
        if let Some(fields) = fields.as_object_mut().filter(|fields| fields.get("type") != Some(&"none".into())) {
            fields.insert("disable_parallel_tool_use".to_owned(), true.into());
        }
    }
    if let Some(choice) = choice {
        body.insert("tool_choice".to_owned(), choice);
    }
}

/// Reads an answer that came as one JSON object.
pub(super) fn read_whole(value: &Value, draft: &mut Draft<'_>) -> Result<(), DraftError> {
    let content = value.get("content").and_then(Value::as_array).ok_or(DraftError::NoMessage)?;
    for (index, block) in (0_u64..).zip(content) {
        start_block(index, block, draft)?;
        if let Some(input) = block.get("input").filter(|input| input.is_object()) {
            draft.arguments(index, &input.to_string())?;
        }
    }
    read_message(value, draft);
    read_end(value, draft);
    Ok(())
}

/// Reads one event of a stream.
pub(super) fn read_event(value: &Value, draft: &mut Draft<'_>) -> Result<(), DraftError> {
    let null = Value::Null;
    let index = value.get("index").and_then(Value::as_u64).unwrap_or(0);
    let field = |name: &str| value.get(name).unwrap_or(&null);
    match text_of(value, "type") {
        "message_start" => read_message(field("message"), draft),
        "content_block_start" => start_block(index, field("content_block"), draft)?,
        "content_block_delta" => {
            let delta = field("delta");
            match text_of(delta, "type") {
                "text_delta" => draft.text(text_of(delta, "text"))?,
                "input_json_delta" => draft.arguments(index, text_of(delta, "partial_json"))?,
                _ => {}
            }
        }
        "message_delta" => {
            read_usage(field("usage"), draft);
            read_end(field("delta"), draft);
        }
        // `ping`, ends of blocks, and what may be added.
        _ => {}
    }
    Ok(())
}

fn start_block(index: u64, block: &Value, draft: &mut Draft<'_>) -> Result<(), DraftError> {
    match text_of(block, "type") {
        "text" => draft.text(text_of(block, "text")),
        "tool_use" => draft.call(index, text_of(block, "id"), text_of(block, "name"), ""),
        _ => Ok(()),
    }
}

fn read_message(message: &Value, draft: &mut Draft<'_>) {
    draft.model(text_of(message, "model"));
    if let Some(usage) = message.get("usage") {
        read_usage(usage, draft);
    }
}

/// Reads why the answer ended, in OpenAI's words.
fn read_end(value: &Value, draft: &mut Draft<'_>) {
    let reason = match text_of(value, "stop_reason") {
        "" => return,
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => {
            draft.refused();
            "content_filter"
        }
        other => other,
    };
    draft.finish_reason(reason);
}

/// Reads tokens. Anthropic counts what was read from a cache or written to one apart; here all of it is input. Counts of
/// later events replace earlier ones.
fn read_usage(usage: &Value, draft: &mut Draft<'_>) {
    let number = |name: &str| usage.get(name).and_then(Value::as_u64);
    let (read, write) = (number("cache_read_input_tokens"), number("cache_creation_input_tokens"));
    let total = draft.usage();
    if let Some(input) = number("input_tokens") {
        let cached = read.unwrap_or(0).saturating_add(write.unwrap_or(0));
        total.input_tokens = Some(input.saturating_add(cached));
    }
    total.cache_read_tokens = read.or(total.cache_read_tokens);
    total.cache_write_tokens = write.or(total.cache_write_tokens);
    total.output_tokens = number("output_tokens").or(total.output_tokens);
    let thinking = usage.get("output_tokens_details").and_then(|details| details.get("thinking_tokens"));
    total.reasoning_tokens = thinking.and_then(Value::as_u64).or(total.reasoning_tokens);
}

//! What was sent to a model and what it answered, in every form that is recorded.

use serde_json::{Map, Value as Json, json};

use super::BODY_BYTES_MAX;
use super::attributes::{Attributes, ListPart};
use super::names::{Field, List, Part};
use super::value::Value;
use crate::event::{Body, cut};
use crate::system_text::SystemText;

/// Messages of one conversation that are looked at.
const MESSAGES_MAX: usize = 2_048;
/// Longest text of one message that is kept when the whole is too long, in bytes.
const TEXT_BYTES_MAX: usize = 8_192;

/// The system text in the input of a call, which is JSON in one of the forms that are in use: a list of messages, or the
/// body of a request to one of the large providers.
#[must_use]
pub fn system_text_of_input(input: &Json) -> Option<SystemText> {
    system_text(&messages_of_json(input, "user"))
}

fn system_text(messages: &[Message]) -> Option<SystemText> {
    SystemText::of(messages.iter().filter(|message| message.is_system()).map(|message| message.text.as_str()))
}

/// One message of a conversation.
#[derive(Clone, Debug, Default, PartialEq)]
struct Message {
    role: String,
    text: String,
    /// Parts that are no text: calls of tools, images.
    others: Vec<Json>,
}

impl Message {
    fn is_system(&self) -> bool {
        matches!(self.role.as_str(), "system" | "developer")
    }

    fn to_json(&self) -> Json {
        let mut object = Map::new();
        object.insert("role".to_owned(), Json::String(self.role.clone()));
        object.insert("content".to_owned(), Json::String(self.text.clone()));
        if !self.others.is_empty() {
            object.insert("parts".to_owned(), Json::Array(self.others.clone()));
        }
        Json::Object(object)
    }
}

/// What a span says about a conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    system: Vec<Message>,
    input: Vec<Message>,
    output: Vec<Message>,
}

impl Conversation {
    /// Reads the conversation of a span; what was answered only if it is kept.
    pub(super) fn of(attributes: &Attributes<'_>, with_output: bool) -> Self {
        let mut conversation = Self::default();
        if let Some(instructions) = attributes.value(Field::SystemInstructions) {
            conversation.system = instructions_of(instructions);
        }
        conversation.input = flattened(attributes, List::Input);
        if conversation.input.is_empty() && (with_output || conversation.system.is_empty()) {
            conversation.input =
                attributes.value(Field::InputMessages).map(|value| messages_of(value, "user")).unwrap_or_default();
        }
        if with_output {
            conversation.output = flattened(attributes, List::Output);
            if conversation.output.is_empty() {
                conversation.output = attributes
                    .value(Field::OutputMessages)
                    .map(|value| messages_of(value, "assistant"))
                    .unwrap_or_default();
            }
        }
        conversation
    }

    /// Adds what an event of a span says, as older instrumentations record it: `gen_ai.system.message`,
    /// `gen_ai.user.message`, `gen_ai.content.prompt` and others.
    pub(super) fn add_event(&mut self, name: &str, attributes: &Attributes<'_>) {
        let role = match name {
            "gen_ai.system.message" => "system",
            "gen_ai.user.message" => "user",
            "gen_ai.assistant.message" => "assistant",
            "gen_ai.tool.message" => "tool",
            "gen_ai.content.prompt" | "gen_ai.content.completion" | "gen_ai.client.inference.operation.details" => {
                let of_event = Self::of(attributes, true);
                self.system.extend(of_event.system);
                self.input.extend(of_event.input);
                self.output.extend(of_event.output);
                return;
            }
            _ => return,
        };
        if let Some(text) = attributes.text(Field::Content) {
            self.input.push(Message { role: role.to_owned(), text: text.into_owned(), others: Vec::new() });
        }
    }

    /// Adds the body of a log record with a system text.
    pub(super) fn add_system(&mut self, body: &Json) {
        self.system.push(Message { role: "system".to_owned(), ..message_of(body, "system") });
    }

    /// The system text, if there is one.
    pub(super) fn system_text(&self) -> Option<SystemText> {
        // What was sent as instructions counts; the messages say it once more, or say nothing of it.
        system_text(if self.system.is_empty() { &self.input } else { &self.system })
    }

    /// What is kept of it.
    pub(super) fn body(self) -> Option<Box<Body>> {
        let input_has_system = self.input.iter().any(Message::is_system);
        let mut input = if input_has_system { Vec::new() } else { self.system };
        input.extend(self.input);
        let body = Body { input: kept(input), output: kept(self.output) };
        (body != Body::default()).then(|| Box::new(body))
    }
}

/// JSON of messages, within the limit: long texts are cut first, then those behind the system text are left out.
fn kept(mut messages: Vec<Message>) -> Option<String> {
    if messages.is_empty() {
        return None;
    }
    let write = |messages: &[Message]| Json::Array(messages.iter().map(Message::to_json).collect()).to_string();
    let whole = write(&messages);
    if whole.len() <= BODY_BYTES_MAX {
        return Some(whole);
    }
    for message in &mut messages {
        message.text = cut(std::mem::take(&mut message.text), TEXT_BYTES_MAX);
        message.others.clear();
    }
    let sizes: Vec<_> = messages.iter().map(|message| message.to_json().to_string().len() + 1).collect();
    let mut size: usize = sizes.iter().sum::<usize>() + 2;
    let systems = messages.iter().take_while(|message| message.is_system()).count();
    // From the oldest behind the system text; if that alone is too long, the last of all go too.
    let oldest_first = (systems..messages.len()).chain((0..systems).rev());
    let mut left_out = vec![false; messages.len()];
    for index in oldest_first {
        if size <= BODY_BYTES_MAX {
            break;
        }
        size -= sizes.get(index).copied().unwrap_or(0);
        if let Some(left_out) = left_out.get_mut(index) {
            *left_out = true;
        }
    }
    let mut left_out = left_out.into_iter();
    messages.retain(|_| !left_out.next().unwrap_or(false));
    Some(write(&messages))
}

fn flattened(attributes: &Attributes<'_>, list: List) -> Vec<Message> {
    let mut messages: Vec<(u16, Message)> = Vec::new();
    for ListPart { index, part, value } in attributes.list(list) {
        if messages.last().is_none_or(|(last, _)| *last != index) {
            if messages.len() == MESSAGES_MAX {
                break;
            }
            messages.push((index, Message::default()));
        }
        let Some((_, message)) = messages.last_mut() else { break };
        match part {
            Part::Role => message.role = value.text().unwrap_or_default().into_owned(),
            Part::Text => {
                // A content may itself be a list of parts, as JSON in a text.
                let parts = value.text().filter(|text| text.starts_with("[{")).and_then(|_| value.json());
                match parts.as_deref().and_then(Json::as_array) {
                    Some(parts) => add_parts(message, parts),
                    None => add_text(message, &value.text().unwrap_or_default()),
                }
            }
            Part::Name | Part::Number | Part::Label | Part::Explanation | Part::Evaluator | Part::Id => {}
        }
    }
    messages.into_iter().map(|(_, message)| message).collect()
}

/// Messages of a value: JSON in one of the forms that are in use, or a text.
fn messages_of(value: &Value<'_>, role: &str) -> Vec<Message> {
    let looks_like_json = value.text().is_none_or(|text| text.starts_with(['[', '{']));
    let json = if looks_like_json { value.json() } else { None };
    if let Some(json) = json.as_deref() {
        return messages_of_json(json, role);
    }
    let text = value.text().unwrap_or_default().into_owned();
    if text.is_empty() { Vec::new() } else { vec![Message { role: role.to_owned(), text, others: Vec::new() }] }
}

/// Messages in JSON: a list of them, or the body of a request or an answer.
fn messages_of_json(json: &Json, role: &str) -> Vec<Message> {
    match json {
        Json::Array(list) => list.iter().take(MESSAGES_MAX).map(|message| message_of(message, role)).collect(),
        Json::Object(object) => messages_of_object(object, role),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => Vec::new(),
    }
}

/// Messages of the body of a request or an answer, in the forms of the large providers.
fn messages_of_object(object: &Map<String, Json>, role: &str) -> Vec<Message> {
    let mut messages = Vec::new();
    for key in ["system", "instructions"] {
        if let Some(system) = object.get(key) {
            let mut message = Message { role: "system".to_owned(), ..Message::default() };
            add_content(&mut message, system);
            messages.push(message);
        }
    }
    for key in ["messages", "input", "choices", "output"] {
        match object.get(key) {
            Some(Json::Array(list)) => {
                messages.extend(list.iter().take(MESSAGES_MAX).map(|message| {
                    let inner = message.get("message").unwrap_or(message);
                    message_of(inner, role)
                }));
            }
            Some(text @ Json::String(_)) => messages.push(message_of(text, role)),
            _ => {}
        }
    }
    let is_message = object.contains_key("role") || object.contains_key("content") || object.contains_key("prompt");
    if messages.is_empty() && is_message {
        messages.push(message_of(&Json::Object(object.clone()), role));
    }
    messages
}

fn message_of(message: &Json, role: &str) -> Message {
    let role = message.get("role").and_then(Json::as_str).unwrap_or(role);
    let mut read = Message { role: role.to_owned(), ..Message::default() };
    if let Json::String(text) = message {
        add_text(&mut read, text);
        return read;
    }
    for key in ["content", "parts", "prompt", "text"] {
        if let Some(content) = message.get(key) {
            add_content(&mut read, content);
        }
    }
    if let Some(calls) = message.get("tool_calls").filter(|calls| !calls.is_null()) {
        read.others.push(json!({ "tool_calls": calls }));
    }
    read
}

fn add_content(message: &mut Message, content: &Json) {
    match content {
        Json::String(text) => add_text(message, text),
        Json::Array(parts) => add_parts(message, parts),
        Json::Object(_) => add_parts(message, std::slice::from_ref(content)),
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
}

/// Adds the parts of a content: texts are joined, all else stays as it is.
fn add_parts(message: &mut Message, parts: &[Json]) {
    for part in parts.iter().take(MESSAGES_MAX) {
        let text = part.as_str().or_else(|| part.get("text")?.as_str()).or_else(|| part.get("content")?.as_str());
        let kind = part.get("type").and_then(Json::as_str).unwrap_or("text");
        match text {
            Some(text) if matches!(kind, "text" | "input_text" | "output_text") => add_text(message, text),
            _ => message.others.push(part.clone()),
        }
    }
}

fn add_text(message: &mut Message, text: &str) {
    if !message.text.is_empty() && !text.is_empty() {
        message.text.push('\n');
    }
    message.text.push_str(text);
}

/// Instructions that were sent beside the messages: a text, or a list of parts, each of which is a system text.
fn instructions_of(value: &Value<'_>) -> Vec<Message> {
    let mut messages = messages_of(value, "system");
    for message in &mut messages {
        "system".clone_into(&mut message.role);
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn system_of(json: &str) -> Option<String> {
        let messages = messages_of(&Value::Text(json.into()), "user");
        system_text(&messages).and_then(|found| found.text.text().map(str::to_owned))
    }

    #[test]
    fn system_text_is_found_in_every_form() {
        let forms = [
            r#"[{"role":"system","content":"Be kind."},{"role":"user","content":"Hi"}]"#,
            r#"[{"role":"system","parts":[{"type":"text","content":"Be kind."}]}]"#,
            r#"[{"role":"developer","content":[{"type":"input_text","text":"Be kind."}]}]"#,
            r#"{"model":"m","messages":[{"role":"system","content":"Be kind."}]}"#,
            r#"{"system":"Be kind.","messages":[{"role":"user","content":"Hi"}]}"#,
            r#"{"system":[{"type":"text","text":"Be kind.","cache_control":{}}],"messages":[]}"#,
            r#"{"instructions":"Be kind.","input":"Hi"}"#,
        ];
        for form in forms {
            assert_eq!(system_of(form).as_deref(), Some("Be kind."), "{form}");
        }
        for other in [r#"[{"role":"user","content":"Hi"}]"#, "Hi", "[1,2", "{}", "[]", r#"[null,1,"x"]"#] {
            assert_eq!(system_of(other), None, "{other}");
        }
    }

    #[test]
    fn long_conversation_keeps_its_system_text_and_end() {
        let message =
            |role: &str, text: &str| Message { role: role.to_owned(), text: text.to_owned(), others: Vec::new() };
        let mut messages = vec![message("system", "Be kind.")];
        messages.extend((0..100).map(|index| message("user", &format!("{index} {}", "x".repeat(2_000)))));
        let json = kept(messages).unwrap();
        assert!(json.len() <= BODY_BYTES_MAX, "{}", json.len());
        let list: Vec<Json> = serde_json::from_str(&json).unwrap();
        assert_eq!(list[0]["content"], "Be kind.");
        assert!(list.last().unwrap()["content"].as_str().unwrap().starts_with("99 "));
        assert!(list.len() > 20, "{}", list.len());

        let json = kept(vec![message("user", &"é".repeat(100_000))]).unwrap();
        assert!(json.len() <= BODY_BYTES_MAX && json.contains('é'), "{}", json.len());
    }
}

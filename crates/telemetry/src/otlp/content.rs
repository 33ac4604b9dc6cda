//! What was sent to a model and what it answered, in every form that is recorded.
//!
//! What is too long is cut so that its beginning and its end stay, and says itself how much was left out.

use serde_json::{Map, Value as Json, json};

use super::BODY_BYTES_MAX;
use super::attributes::{Attributes, ListPart};
use super::names::{Field, List, Part};
use super::value::Value;
use crate::event::Body;
use crate::system_text::SystemText;

/// Messages of one conversation that are looked at.
const MESSAGES_MAX: usize = 2_048;
/// Longest texts of one message that are tried when the whole is too long, in bytes.
const TEXT_BYTES_TRIED: [usize; 3] = [49_152, 24_576, 8_192];
/// How far before or behind the place of a cut a space is looked for, in bytes: half a word can be part of an address.
const CUT_SEARCH_BYTES: usize = 128;
/// The role of a message that stands for those that were left out.
const LEFT_OUT: &str = "left_out";

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

    fn shortened(&self, bytes_max: usize) -> Self {
        Self { role: self.role.clone(), text: shortened(&self.text, bytes_max), others: self.others.clone() }
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

/// What is recorded of an input (`user`) or an output (`assistant`) that was reported as JSON.
#[must_use]
pub fn recorded_content(content: &Json, role: &str) -> String {
    let whole = content.to_string();
    if whole.len() <= BODY_BYTES_MAX {
        return whole;
    }
    let messages = messages_of_json(content, role);
    let are_messages = |message: &Message| !message.text.is_empty() || !message.others.is_empty();
    if !messages.is_empty() && messages.iter().all(are_messages) {
        return kept(messages).unwrap_or_default();
    }
    // Another form: the same with its texts cut, or its beginning and end as a text.
    let with_cut_texts = TEXT_BYTES_TRIED.iter().map(|bytes_max| with_cut_texts(content, *bytes_max).to_string());
    let in_parts = TEXT_BYTES_TRIED.iter().map(|bytes_max| Json::String(shortened(&whole, *bytes_max)).to_string());
    let mut forms = with_cut_texts.chain(in_parts);
    forms.find(|form| form.len() <= BODY_BYTES_MAX).unwrap_or_else(|| Json::from(omission(whole.len())).to_string())
}

fn with_cut_texts(json: &Json, bytes_max: usize) -> Json {
    match json {
        Json::String(text) => Json::String(shortened(text, bytes_max)),
        Json::Array(items) => items.iter().map(|item| with_cut_texts(item, bytes_max)).collect(),
        Json::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), with_cut_texts(value, bytes_max))).collect()
        }
        other => other.clone(),
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
        if !message.others.is_empty() {
            let others = std::mem::take(&mut message.others).len();
            add_text(message, &format!("[… {others} parts left out: not text …]"));
        }
    }
    for bytes_max in TEXT_BYTES_TRIED {
        let cut: Vec<Message> = messages.iter().map(|message| message.shortened(bytes_max)).collect();
        let json = write(&cut);
        if json.len() <= BODY_BYTES_MAX {
            return Some(json);
        }
        messages = cut;
    }
    let sizes: Vec<_> = messages.iter().map(|message| message.to_json().to_string().len() + 1).collect();
    let room = BODY_BYTES_MAX.saturating_sub(gap(messages.len()).to_json().to_string().len() + 3);
    let mut size: usize = sizes.iter().sum();
    let systems = messages.iter().take_while(|message| message.is_system()).count();
    // From the oldest behind the system text; if that alone is too long, the last of all go too.
    let oldest_first = (systems..messages.len()).chain((0..systems).rev());
    let mut left_out = vec![false; messages.len()];
    for index in oldest_first {
        if size <= room {
            break;
        }
        size -= sizes.get(index).copied().unwrap_or(0);
        if let Some(left_out) = left_out.get_mut(index) {
            *left_out = true;
        }
    }
    let count = left_out.iter().filter(|left_out| **left_out).count();
    let at = left_out.iter().position(|left_out| *left_out).unwrap_or(0);
    let mut left_out = left_out.into_iter();
    messages.retain(|_| !left_out.next().unwrap_or(false));
    if count > 0 {
        messages.insert(at.min(messages.len()), gap(count));
    }
    Some(write(&messages))
}

/// What stands for messages that were left out.
fn gap(messages: usize) -> Message {
    let text = format!("[… messages left out: {messages} …]");
    Message { role: LEFT_OUT.to_owned(), text, others: Vec::new() }
}

/// What stands for a part of a text that was left out.
fn omission(bytes: usize) -> String {
    format!(" [… {bytes} bytes left out …] ")
}

/// A text of at most so many bytes: its beginning and its end, and between them how much was left out.
fn shortened(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let room = bytes_max.saturating_sub(omission(text.len()).len());
    let (mut start, mut end) = (room / 4 * 3, text.len() - room / 4);
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    while !text.is_char_boundary(end) {
        end += 1;
    }
    let (mut head, mut tail) = (text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default());
    if let Some((whole_words, _)) = head.rsplit_once(char::is_whitespace)
        && head.len() - whole_words.len() <= CUT_SEARCH_BYTES
    {
        head = whole_words;
    }
    if let Some((_, whole_words)) = tail.split_once(char::is_whitespace)
        && tail.len() - whole_words.len() <= CUT_SEARCH_BYTES
    {
        tail = whole_words;
    }
    format!("{head}{}{tail}", omission(text.len() - head.len() - tail.len()))
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

    fn message(role: &str, text: &str) -> Message {
        Message { role: role.to_owned(), text: text.to_owned(), others: Vec::new() }
    }

    fn read(json: &str) -> Vec<Json> {
        assert!(json.len() <= BODY_BYTES_MAX, "{}", json.len());
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn long_conversation_keeps_its_system_text_and_end() {
        let mut messages = vec![message("system", "Be kind.")];
        messages.extend((0..100).map(|index| message("user", &format!("{index} {}", "x".repeat(2_000)))));
        let list = read(&kept(messages).unwrap());
        assert_eq!(list[0]["content"], "Be kind.");
        assert!(list.last().unwrap()["content"].as_str().unwrap().starts_with("99 "));
        assert!(list.len() > 20, "{}", list.len());
        let left_out = 101 - (list.len() - 1);
        let said = format!("[… messages left out: {left_out} …]");
        assert_eq!(list[1], json!({"role": "left_out", "content": said}));

        let list = read(&kept(vec![message("user", &"é".repeat(100_000))]).unwrap());
        assert!(list[0]["content"].as_str().unwrap().contains("bytes left out …] é"), "{list:?}");
    }

    #[test]
    fn long_text_keeps_its_beginning_and_end_and_says_how_much_is_left_out() {
        let text = format!("Question: {} What is it?", "word ".repeat(20_000));
        let others =
            Message { others: vec![json!({"type": "image", "data": "A".repeat(70_000)})], ..message("user", "Look.") };
        let list = read(&kept(vec![message("system", "Be kind."), message("user", &text)]).unwrap());
        let content = list[1]["content"].as_str().unwrap();
        assert_eq!(list[0]["content"], "Be kind.");
        assert!(content.starts_with("Question: word") && content.ends_with("word  What is it?"), "{content}");
        let left_out: usize = content.split("[… ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert_eq!(content.len() - omission(left_out).len() + left_out, text.len());
        assert!(content.len() > 45_000, "{}", content.len());
        for words in 18_405..18_430 {
            let mail = format!("{}anna@example.com{}", "x ".repeat(words), " y".repeat(40_000));
            let cut = shortened(&mail, 49_152);
            assert!(!cut.contains("ann") && !cut.contains(".com") || cut.contains(" anna@example.com "), "cut in two");
        }
        let list = read(&kept(vec![others]).unwrap());
        assert_eq!(list[0]["content"], "Look.\n[… 1 parts left out: not text …]");
    }

    #[test]
    fn reported_content_that_is_too_long_keeps_its_form() {
        let long = "word ".repeat(20_000);
        let said = |content: &Json| -> Json {
            let recorded = recorded_content(content, "user");
            assert!(recorded.len() <= BODY_BYTES_MAX, "{}", recorded.len());
            serde_json::from_str(&recorded).unwrap()
        };
        let chat = json!([{"role": "system", "content": "Be kind."}, {"role": "user", "content": long}]);
        let recorded = said(&chat);
        assert_eq!(recorded[0], chat[0]);
        assert!(recorded[1]["content"].as_str().unwrap().contains("bytes left out"));
        let recorded = said(&json!(long));
        assert!(recorded.as_str().unwrap().starts_with("word word"), "{recorded}");
        let recorded = said(&json!({"a": [long], "b": 7}));
        assert_eq!(recorded["b"], 7);
        assert!(recorded["a"][0].as_str().unwrap().contains("bytes left out"), "{recorded}");
        let recorded = said(&json!({"a": (0..40_000).collect::<Vec<_>>()}));
        assert!(recorded.as_str().unwrap().starts_with("{\"a\":[0,1,"), "{recorded}");
        let recorded = said(&json!("\u{1}".repeat(70_000)));
        assert!(recorded.as_str().unwrap().contains("bytes left out"));
        let short = json!({"anything": [1, null]});
        assert_eq!(said(&short), short);
    }
}

//! One entry of a chat prompt, in the shapes of current chat APIs.
//!
//! The fields that this program reads are typed: the role, and the text or parts. All other fields, and parts that are
//! not text or an image URL, are passed on unchanged, because providers add fields faster than any list of them. Roles
//! are a closed list, because a misspelt role reaches no model.

use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::schema::schema_of;
use crate::json;

/// One entry of a chat prompt.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub enum Message {
    /// A message of one role.
    Said(RoleMessage),
    /// A placeholder for a list of messages from the caller, such as the history.
    Placeholder {
        /// The name of the placeholder.
        name: String,
    },
}

/// A message of one role.
#[derive(Clone, Debug)]
pub struct RoleMessage {
    /// The role of the message.
    pub role: Role,
    /// The content of the message.
    pub content: MessageContent,
    /// All other fields, unchanged and in their order: `name`, `tool_calls`, `tool_call_id`, `refusal`,
    /// `cache_control`, …
    pub fields: Map<String, Value>,
}

/// The role of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the roles of today's chat interfaces")]
pub enum Role {
    System,
    Developer,
    User,
    Assistant,
    Model,
    Tool,
    Function,
}

/// The content of a message.
#[derive(Clone, Debug, PartialEq)]
pub enum MessageContent {
    /// One text.
    Text(String),
    /// A list of parts: text, images and anything else that a provider accepts.
    Parts(Vec<Part>),
    /// `null`, beside tool calls or another field with content.
    Null,
    /// Absent, under the same condition.
    Absent,
}

/// One part of a message: an object with a `type`, stored unchanged.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub struct Part(Map<String, Value>);

/// Why a JSON value is not a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum MessageError {
    #[error("a message must have `role` and `content`, or be {{\"type\":\"placeholder\",\"name\":…}}; this one {0}")]
    Form(&'static str),
    #[error("unknown message role `{0}`: use system, developer, user, assistant, model, tool or function")]
    Role(String),
    #[error("the field `{field}` of a message is not {expected}")]
    Field { field: &'static str, expected: &'static str },
    #[error(
        "the content of a message must be a string, null with tool calls, or a list of parts; a part must be an object with `type`"
    )]
    Content,
    #[error("a part of type `{kind}` must have {expected}")]
    Part { kind: String, expected: &'static str },
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] =
        [Self::System, Self::Developer, Self::User, Self::Assistant, Self::Model, Self::Tool, Self::Function];

    /// The role as chat APIs write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Model => "model",
            Self::Tool => "tool",
            Self::Function => "function",
        }
    }

    /// The role with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == name)
    }

    /// Whether it speaks for the operator of the application.
    #[must_use]
    pub const fn is_system(self) -> bool {
        matches!(self, Self::System | Self::Developer)
    }

    /// Whether it is the role of a model.
    #[must_use]
    pub const fn is_model(self) -> bool {
        matches!(self, Self::Assistant | Self::Model)
    }
}

impl RoleMessage {
    /// A message with only a role and a text.
    #[must_use]
    pub fn new(role: Role, content: MessageContent) -> Self {
        Self { role, content, fields: Map::new() }
    }

    /// The speaker's name, in APIs that have one.
    pub fn name(&self) -> Option<&str> {
        self.fields.get("name").and_then(Value::as_str)
    }

    /// Its tool calls.
    pub fn tool_calls(&self) -> &[Value] {
        self.fields.get("tool_calls").and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// The tool call that it answers.
    pub fn tool_call_id(&self) -> Option<&str> {
        self.fields.get("tool_call_id").and_then(Value::as_str)
    }

    /// All other fields, in their order.
    pub fn other_fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter().filter(|(key, value)| match key.as_str() {
            "name" | "tool_call_id" => !value.is_string(),
            "tool_calls" => !value.is_array(),
            _ => true,
        })
    }
}

impl PartialEq for RoleMessage {
    fn eq(&self, other: &Self) -> bool {
        self.role == other.role && self.content == other.content && json::same_fields(&self.fields, &other.fields)
    }
}

impl Part {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of("text", "text", text.into())
    }

    /// The address of an image.
    #[must_use]
    pub fn image(url: impl Into<String>) -> Self {
        Self::of("image", "url", url.into())
    }

    fn of(kind: &str, key: &str, value: String) -> Self {
        let fields = [("type", Value::from(kind)), (key, Value::String(value))];
        Self(fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The type of the part, in the provider's terms.
    pub fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// The whole part.
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The text, if the part is `{"type":"text","text":…}` and nothing else.
    pub fn only_text(&self) -> Option<&str> {
        self.only("text", "text")
    }

    /// The URL, if the part is `{"type":"image","url":…}` and nothing else.
    pub fn only_image(&self) -> Option<&str> {
        self.only("image", "url")
    }

    fn only(&self, kind: &str, key: &str) -> Option<&str> {
        let first = self.0.keys().next().is_some_and(|first| first == "type");
        if first && self.0.len() == 2 && self.kind() == kind { self.0.get(key)?.as_str() } else { None }
    }

    /// Whether the template is an image URL.
    #[must_use]
    pub fn is_image(&self) -> bool {
        matches!(self.kind(), "image" | "image_url" | "input_image")
    }

    /// A string that can contain variables: a text, or an image URL. Everything else is passed on unchanged.
    pub fn template(&self) -> Option<&str> {
        let (key, inner) = template_place(self.kind())?;
        match self.0.get(key)? {
            Value::String(text) => Some(text),
            value => value.get(inner?)?.as_str(),
        }
    }

    fn template_mut(&mut self) -> Option<&mut String> {
        let (key, inner) = template_place(self.kind())?;
        let value = match self.0.get_mut(key)? {
            Value::Object(fields) => fields.get_mut(inner?)?,
            value => value,
        };
        if let Value::String(text) = value { Some(text) } else { None }
    }
}

/// For a part type, the field that can contain variables, and the nested field inside it.
fn template_place(kind: &str) -> Option<(&'static str, Option<&'static str>)> {
    match kind {
        "text" | "input_text" | "output_text" => Some(("text", None)),
        "image" => Some(("url", None)),
        "image_url" => Some(("image_url", Some("url"))),
        "input_image" => Some(("image_url", None)),
        _ => None,
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        json::same_fields(&self.0, &other.0)
    }
}

impl TryFrom<Map<String, Value>> for Part {
    type Error = MessageError;

    fn try_from(fields: Map<String, Value>) -> Result<Self, Self::Error> {
        let Some(kind) = fields.get("type").and_then(Value::as_str) else { return Err(MessageError::Content) };
        let text = |value: Option<&Value>| value.is_some_and(Value::is_string);
        let expected = match kind {
            "text" | "input_text" | "output_text" => (!text(fields.get("text"))).then_some("`text`, a string"),
            // Anthropic uses this name too, with the URL in `source`.
            "image" => (!text(fields.get("url")) && !fields.get("source").is_some_and(Value::is_object))
                .then_some("`url`, a string, or `source`"),
            "image_url" => {
                let place = fields.get("image_url");
                let inner = place.and_then(|place| place.get("url"));
                (!text(place) && !text(inner)).then_some("`image_url`, with the URL of an image in `url`")
            }
            _ => None,
        };
        match expected {
            Some(expected) => Err(MessageError::Part { kind: kind.to_owned(), expected }),
            None => Ok(Self(fields)),
        }
    }
}

impl Serialize for Part {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Message {
    /// The strings that can contain variables, in order: the text, or those of its parts.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        let (text, parts) = match self {
            Self::Said(RoleMessage { content: MessageContent::Text(text), .. }) => (Some(text.as_str()), [].as_slice()),
            Self::Said(RoleMessage { content: MessageContent::Parts(parts), .. }) => (None, parts.as_slice()),
            Self::Said(_) | Self::Placeholder { .. } => (None, [].as_slice()),
        };
        text.into_iter().chain(parts.iter().filter_map(Part::template))
    }

    /// Replaces each of [`Message::templates`] with the result of `change`.
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn try_map_templates<E>(&mut self, mut change: impl FnMut(&str) -> Result<String, E>) -> Result<(), E> {
        let Self::Said(said) = self else { return Ok(()) };
        match &mut said.content {
            MessageContent::Text(text) => *text = change(text)?,
            MessageContent::Parts(parts) => {
                for text in parts.iter_mut().filter_map(Part::template_mut) {
                    *text = change(text)?;
                }
            }
            MessageContent::Null | MessageContent::Absent => {}
        }
        Ok(())
    }
}

impl TryFrom<Map<String, Value>> for Message {
    type Error = MessageError;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, Self::Error> {
        let kind = fields.get("type").and_then(Value::as_str);
        if kind == Some("placeholder") {
            return match fields.get("name").and_then(Value::as_str) {
                Some(name) if fields.len() == 2 => Ok(Self::Placeholder { name: name.to_owned() }),
                _ => Err(MessageError::Form("is a placeholder with fields other than `name`")),
            };
        }
        // Newer APIs use this `type` for messages; any other `type` is a different kind of item.
        if fields.get("type").is_some_and(|_| kind != Some("message")) {
            return Err(MessageError::Form("has an unsupported `type`"));
        }
        let role = match fields.shift_remove("role") {
            None => return Err(MessageError::Form("has no `role`")),
            Some(Value::String(name)) => Role::named(&name).ok_or_else(|| {
                MessageError::Role(name.chars().take(60).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect())
            })?,
            Some(_) => return Err(MessageError::Field { field: "role", expected: "a string" }),
        };
        let content = match fields.shift_remove("content") {
            None => MessageContent::Absent,
            Some(Value::Null) => MessageContent::Null,
            Some(Value::String(text)) => MessageContent::Text(text),
            Some(Value::Array(parts)) => {
                let part = |part| match part {
                    Value::Object(fields) => Part::try_from(fields),
                    _ => Err(MessageError::Content),
                };
                MessageContent::Parts(parts.into_iter().map(part).collect::<Result<_, _>>()?)
            }
            Some(_) => return Err(MessageError::Content),
        };
        let fits = |field: &'static str, expected, fits: fn(&Value) -> bool| match fields.get(field) {
            Some(value) if !value.is_null() && !fits(value) => Err(MessageError::Field { field, expected }),
            _ => Ok(()),
        };
        fits("name", "a string", Value::is_string)?;
        fits("tool_call_id", "a string", Value::is_string)?;
        fits("tool_calls", "a list", Value::is_array)?;
        let says = |(key, value): (&String, &Value)| {
            let empty = value.is_null() || value.as_array().is_some_and(Vec::is_empty);
            !empty && !matches!(key.as_str(), "type" | "name" | "tool_call_id")
        };
        match content {
            MessageContent::Absent if !fields.iter().any(says) => Err(MessageError::Form("has no `content`")),
            MessageContent::Null if !fields.iter().any(says) => {
                Err(MessageError::Form("has a null `content` and neither `tool_calls` nor another field with content"))
            }
            content => Ok(Self::Said(RoleMessage { role, content, fields })),
        }
    }
}

impl Serialize for MessageContent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Parts(parts) => parts.serialize(serializer),
            Self::Null | Self::Absent => serializer.serialize_unit(),
        }
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Placeholder { name } => {
                map.serialize_entry("type", "placeholder")?;
                map.serialize_entry("name", name)?;
            }
            Self::Said(said) => {
                map.serialize_entry("role", said.role.as_str())?;
                if said.content != MessageContent::Absent {
                    map.serialize_entry("content", &said.content)?;
                }
                for (key, value) in &said.fields {
                    map.serialize_entry(key, value)?;
                }
            }
        }
        map.end()
    }
}

/// One entry of a chat prompt: a message, or a placeholder (`{"type":"placeholder","name":…}`) for messages of the
/// caller. Other fields of a message are passed on unchanged.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct MessageForm {
    /// `placeholder`, or `message`, which is the default.
    #[schema(rename = "type", nullable = false)]
    kind: Option<String>,
    #[schema(nullable = false)]
    role: Option<Role>,
    content: Option<MessageContent>,
    name: Option<String>,
    tool_calls: Option<Vec<Value>>,
    tool_call_id: Option<String>,
}

/// A text, or parts.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[allow(dead_code, reason = "only its schema is used")]
enum SaidForm {
    Text(String),
    Parts(Vec<Part>),
}

/// One part of a message; other fields are passed on unchanged.
#[derive(ToSchema)]
#[allow(dead_code, reason = "only its schema is used")]
struct PartForm {
    /// `text` and `image` are Bookholder's own; any other is the provider's.
    #[schema(rename = "type")]
    kind: String,
    /// The text; can contain variables.
    #[schema(nullable = false)]
    text: Option<String>,
    /// The URL of an image; can contain variables.
    #[schema(nullable = false)]
    url: Option<String>,
}

schema_of!(Message = MessageForm);
schema_of!(MessageContent = SaidForm);
schema_of!(Part = PartForm);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_of_chat_interfaces_come_back_to_the_letter() {
        for json in [
            r#"{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}}]}"#,
            r#"{"role":"assistant","tool_calls":[{"id":"c"}]}"#,
            r#"{"role":"assistant","content":"x","tool_calls":[]}"#,
            r#"{"role":"assistant","content":null,"refusal":"no"}"#,
            r#"{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}}"#,
            r#"{"role":"assistant","content":"x","refusal":null,"annotations":[],"audio":null,"name":null}"#,
            r#"{"role":"developer","content":"x","name":"n"}"#,
            r#"{"role":"function","content":"1","name":"f"}"#,
            r#"{"role":"model","content":"x"}"#,
            r#"{"role":"tool","content":"42","tool_call_id":"c"}"#,
            r#"{"role":"user","content":"x","type":"message","cache_control":{"type":"ephemeral"}}"#,
            r#"{"role":"user","content":[{"text":"x","type":"text","cache_control":{"ttl":"5m","type":"ephemeral"}}]}"#,
            r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"u","detail":"low"}},{"type":"image_url","image_url":"u"}]}"#,
            r#"{"role":"user","content":[{"type":"input_image","image_url":"u"},{"type":"input_image","file_id":"f"},{"type":"input_text","text":"t"}]}"#,
            r#"{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}},{"type":"file","file":{"file_id":"f"}}]}"#,
            r#"{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AA=="}},{"type":"document","source":{"z":1,"a":2}}]}"#,
            r#"{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"s"},{"type":"tool_use","id":"t","name":"n","input":{"b":1,"a":1.0}},{"type":"refusal","refusal":"no"}]}"#,
            r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"1"}],"is_error":false}]}"#,
            r#"{"role":"user","content":[]}"#,
            r#"{"type":"placeholder","name":"history"}"#,
        ] {
            let message: Message = json::read(json.as_bytes()).expect(json);
            assert_eq!(String::from_utf8_lossy(&json::encode(&message).expect("JSON")), json);
        }
    }

    #[test]
    fn invalid_messages_are_refused_with_the_reason() {
        for (json, part) in [
            (r#"{"role":"user"}"#, "has no `content`"),
            (r#"{"role":"user","content":null}"#, "null `content`"),
            (r#"{"role":"user","content":null,"tool_calls":[]}"#, "null `content`"),
            (r#"{"role":"user","content":null,"name":"x"}"#, "null `content`"),
            (r#"{"content":"x"}"#, "has no `role`"),
            (r#"{"role":"wizard","content":"x"}"#, "unknown message role `wizard`: use system, developer"),
            (r#"{"role":"User","content":"x"}"#, "unknown message role `User`"),
            (r#"{"role":7,"content":"x"}"#, "`role` of a message is not a string"),
            (r#"{"role":"user","content":3}"#, "a list of parts"),
            (r#"{"role":"user","content":["x"]}"#, "a part must be an object with `type`"),
            (r#"{"role":"user","content":[{"text":"x"}]}"#, "a part must be an object with `type`"),
            (r#"{"role":"user","content":[{"type":"text"}]}"#, "`text` must have `text`"),
            (r#"{"role":"user","content":[{"type":"image"}]}"#, "`image` must have `url`"),
            (r#"{"role":"user","content":[{"type":"image_url","image_url":{}}]}"#, "`image_url`"),
            (r#"{"role":"user","content":"x","name":3}"#, "`name` of a message is not a string"),
            (r#"{"role":"user","content":"x","tool_calls":{}}"#, "`tool_calls` of a message is not a list"),
            (r#"{"type":"function_call_output","output":"x"}"#, "unsupported `type`"),
            (r#"{"type":"placeholder","name":"h","role":"user"}"#, "fields other than `name`"),
        ] {
            let message = json::read::<Message>(json.as_bytes()).expect_err(json).to_string();
            assert!(message.contains(part), "{json}: {message}");
        }
    }

    #[test]
    fn variables_are_filled_in_where_a_model_reads_text_or_an_image() {
        let json = r#"{"role":"user","content":[{"type":"text","text":"a","cache_control":{"type":"b"}},{"type":"image_url","image_url":{"url":"c","detail":"d"}},{"type":"image","url":"e"},{"type":"input_image","image_url":"f"},{"type":"tool_result","content":"g"}]}"#;
        let mut message: Message = json::read(json.as_bytes()).expect(json);
        assert_eq!(message.templates().collect::<Vec<_>>(), ["a", "c", "e", "f"]);
        message.try_map_templates(|text| Ok::<_, ()>(text.to_uppercase())).expect("no error");
        assert_eq!(message.templates().collect::<Vec<_>>(), ["A", "C", "E", "F"]);
        assert!(String::from_utf8_lossy(&json::encode(&message).expect("JSON")).contains(r#""content":"g""#));
    }
}

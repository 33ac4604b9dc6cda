//! The content of a version: what is said, to which model, with which variables.
//!
//! A content is kept, hashed and served as its canonical JSON (RFC 8785), so its id can be checked
//! by anyone with the bytes. Values of this type hold the shape; which texts are valid templates is
//! the business of `template`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::schema::schema_of;

/// Largest canonical form of a content, in bytes.
pub const CONTENT_BYTES_MAX: usize = 1024 * 1024;
/// Most variables of one content.
pub const VARIABLES_MAX: usize = 256;
/// Most messages of one content.
pub const MESSAGES_MAX: usize = 1_000;
/// Longest name of a variable or placeholder, in bytes.
pub const VARIABLE_BYTES_MAX: usize = 100;
/// Largest integer that every JSON reader keeps exactly: 2^53 - 1.
const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Everything that one version says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ContentForm", into = "ContentForm")]
pub struct Content {
    /// How variables are written in the texts.
    pub syntax: Syntax,
    /// One text, or a conversation.
    pub body: Body,
    /// What a caller fills in, sorted by name.
    pub variables: Vec<Variable>,
    /// Which model this is meant for, and its parameters.
    pub model: Option<Model>,
    /// Tool definitions, passed on as they are.
    pub tools: Vec<Value>,
    /// JSON Schema of the response, passed on as it is.
    pub response_schema: Option<Value>,
    /// Anything else the application wants to version with the prompt.
    pub config: Map<String, Value>,
}

/// One text, or a conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A text prompt.
    Text(String),
    /// A chat prompt.
    Messages(Vec<Message>),
}

/// How variables are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// `{{name}}`, and nothing else: every other brace is literal.
    #[default]
    Mustache,
    /// Jinja templates, bounded in work, depth and output.
    Jinja,
    /// No variables: the text is the text.
    Plain,
}

/// One entry of a chat prompt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "MessageForm", into = "MessageForm")]
pub enum Message {
    /// Something said by one role.
    Said(Said),
    /// A gap that the caller fills with a list of messages, such as the history.
    Placeholder {
        /// What the caller calls the list.
        name: String,
    },
}

/// Something said by one role.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: MessageContent,
    /// Who exactly, where a model's interface has names.
    pub name: Option<String>,
    /// Calls of tools that an assistant's example message makes, passed on as they are.
    pub tool_calls: Vec<Value>,
    /// Which call a tool's message answers.
    pub tool_call_id: Option<String>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the four roles of every chat interface")]
pub enum Role {
    System,
    User,
    Assistant,
    Tool,
}

/// A message's text, or its parts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(
    untagged,
    expecting = "a message's content is a text, or a list of parts {type: text, text} and {type: image, url}"
)]
pub enum MessageContent {
    /// One text.
    Text(String),
    /// Texts and images in order.
    Parts(Vec<Part>),
}

/// One part of a message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Part {
    /// A text.
    Text {
        /// What it says; may hold variables.
        text: String,
    },
    /// A reference to an image.
    Image {
        /// Where the image is; may hold variables.
        url: String,
    },
}

/// One thing that a caller fills in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name in the text.
    pub name: String,
    /// Whether rendering without it is an error.
    #[serde(default)]
    pub required: bool,
    /// Which values fit.
    #[serde(default, rename = "type", skip_serializing_if = "VariableType::is_any")]
    pub kind: VariableType,
    /// What is filled in when the caller gives nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Which values fit a variable.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the types of JSON")]
pub enum VariableType {
    #[default]
    Any,
    String,
    Number,
    Boolean,
    Array,
    Object,
}

/// A model and its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The model's name, as its provider writes it.
    pub name: String,
    /// Temperature and its like, passed on as they are.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
}

/// Why a JSON value is no content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ContentError {
    #[error("a content has either `text` or `messages`; this one has {0}")]
    Body(&'static str),
    #[error("a message has `role` and `content`, or is {{\"type\":\"placeholder\",\"name\":…}}; this one {0}")]
    Message(&'static str),
    #[error("the content is {bytes} bytes long as canonical JSON; the limit is {CONTENT_BYTES_MAX} bytes")]
    TooLong { bytes: usize },
    #[error("the content has {count} {what}; the limit is {max}")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("the number {0} is beyond 2^53 - 1, where JSON readers disagree; write it as a string")]
    Number(String),
    #[error(
        "`{name}` is no name for a variable or placeholder; use a letter or _ and then letters, digits, _ (at most {VARIABLE_BYTES_MAX} bytes)"
    )]
    Variable { name: String },
    #[error("the variable `{name}` is declared twice")]
    Twice { name: String },
    #[error("these bytes are no content: {reason}")]
    Decode { reason: String },
}

impl Content {
    /// A text prompt with nothing else.
    #[must_use]
    pub fn text(syntax: Syntax, text: impl Into<String>) -> Self {
        Self {
            syntax,
            body: Body::Text(text.into()),
            variables: Vec::new(),
            model: None,
            tools: Vec::new(),
            response_schema: None,
            config: Map::new(),
        }
    }

    /// Checks the limits and returns the canonical JSON bytes (RFC 8785), whose hash is the content id.
    ///
    /// # Errors
    /// A limit that is passed, a number that JSON readers would not agree on, or a name that no
    /// variable may have.
    pub fn to_canonical(&self) -> Result<Vec<u8>, ContentError> {
        let count = |what, count: usize, max: usize| {
            if count > max { Err(ContentError::TooMany { what, count, max }) } else { Ok(()) }
        };
        count("variables", self.variables.len(), VARIABLES_MAX)?;
        if let Body::Messages(messages) = &self.body {
            count("messages", messages.len(), MESSAGES_MAX)?;
            for message in messages {
                if let Message::Placeholder { name } = message {
                    check_variable(name)?;
                }
            }
        }
        let mut previous: Option<&str> = None;
        for variable in &self.variables {
            check_variable(&variable.name)?;
            if previous == Some(&variable.name) {
                return Err(ContentError::Twice { name: variable.name.clone() });
            }
            previous = Some(&variable.name);
        }
        let value = serde_json::to_value(self).map_err(|error| ContentError::Decode { reason: error.to_string() })?;
        check_numbers(&value)?;
        let bytes = serde_json_canonicalizer::to_vec(&value)
            .map_err(|error| ContentError::Decode { reason: error.to_string() })?;
        if bytes.len() > CONTENT_BYTES_MAX {
            return Err(ContentError::TooLong { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a content back from its JSON bytes.
    ///
    /// # Errors
    /// The bytes are no JSON of a content.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ContentError> {
        serde_json::from_slice(bytes).map_err(|error| ContentError::Decode { reason: error.to_string() })
    }

    /// The content id: the hash of the canonical bytes.
    ///
    /// # Errors
    /// As [`Content::to_canonical`].
    pub fn id(&self) -> Result<ContentId, ContentError> {
        self.to_canonical().map(|bytes| ContentId::of(&bytes))
    }

    /// Every template text in the content, in order: the text, or each message's texts and image addresses.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let (text, messages) = match &self.body {
            Body::Text(text) => (Some(text.as_str()), [].as_slice()),
            Body::Messages(messages) => (None, messages.as_slice()),
        };
        text.into_iter().chain(messages.iter().flat_map(Message::texts))
    }

    /// Replaces every template text by what `change` makes of it, in the order of [`Content::texts`].
    ///
    /// # Errors
    /// The first error of `change`.
    pub fn try_map_texts<E>(&mut self, mut change: impl FnMut(&str) -> Result<String, E>) -> Result<(), E> {
        let said = match &mut self.body {
            Body::Text(text) => {
                *text = change(text)?;
                return Ok(());
            }
            Body::Messages(messages) => messages.iter_mut(),
        };
        for message in said {
            let Message::Said(said) = message else { continue };
            match &mut said.content {
                MessageContent::Text(text) => *text = change(text)?,
                MessageContent::Parts(parts) => {
                    for part in parts {
                        let (Part::Text { text } | Part::Image { url: text }) = part;
                        *text = change(text)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The names of the message lists that a caller may fill in, in order.
    pub fn placeholders(&self) -> impl Iterator<Item = &str> {
        let messages = match &self.body {
            Body::Text(_) => [].as_slice(),
            Body::Messages(messages) => messages.as_slice(),
        };
        messages.iter().filter_map(|message| match message {
            Message::Placeholder { name } => Some(name.as_str()),
            Message::Said(_) => None,
        })
    }
}

impl Message {
    fn texts(&self) -> impl Iterator<Item = &str> {
        let (text, parts) = match self {
            Self::Said(Said { content: MessageContent::Text(text), .. }) => (Some(text.as_str()), [].as_slice()),
            Self::Said(Said { content: MessageContent::Parts(parts), .. }) => (None, parts.as_slice()),
            Self::Placeholder { .. } => (None, [].as_slice()),
        };
        text.into_iter().chain(parts.iter().map(|part| {
            let (Part::Text { text } | Part::Image { url: text }) = part;
            text.as_str()
        }))
    }
}

impl VariableType {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

fn check_variable(name: &str) -> Result<(), ContentError> {
    let letter = |c: char| c == '_' || c.is_alphabetic();
    let mut characters = name.chars();
    let fits = name.len() <= VARIABLE_BYTES_MAX
        && characters.next().is_some_and(letter)
        && characters.all(|c| letter(c) || c.is_alphanumeric() || c == '.' || c == '-');
    if fits { Ok(()) } else { Err(ContentError::Variable { name: name.chars().take(VARIABLE_BYTES_MAX).collect() }) }
}

fn check_numbers(value: &Value) -> Result<(), ContentError> {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude > INTEGER_MAX => Err(ContentError::Number(number.to_string())),
                _ => Ok(()),
            }
        }
        Value::Array(items) => items.iter().try_for_each(check_numbers),
        Value::Object(fields) => fields.values().try_for_each(check_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => Ok(()),
    }
}

/// The JSON form of a content.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ContentForm {
    #[serde(default)]
    syntax: Syntax,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    variables: Vec<Variable>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<Model>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    config: Map<String, Value>,
}

impl TryFrom<ContentForm> for Content {
    type Error = ContentError;

    fn try_from(form: ContentForm) -> Result<Self, Self::Error> {
        let body = match (form.text, form.messages) {
            (Some(text), None) => Body::Text(text),
            (None, Some(messages)) => Body::Messages(messages),
            (Some(_), Some(_)) => return Err(ContentError::Body("both")),
            (None, None) => return Err(ContentError::Body("neither")),
        };
        let mut variables = form.variables;
        variables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            syntax: form.syntax,
            body,
            variables,
            model: form.model,
            tools: form.tools,
            response_schema: form.response_schema,
            config: form.config,
        })
    }
}

impl From<Content> for ContentForm {
    fn from(content: Content) -> Self {
        let (text, messages) = match content.body {
            Body::Text(text) => (Some(text), None),
            Body::Messages(messages) => (None, Some(messages)),
        };
        Self {
            syntax: content.syntax,
            text,
            messages,
            variables: content.variables,
            model: content.model,
            tools: content.tools,
            response_schema: content.response_schema,
            config: content.config,
        }
    }
}

/// The JSON form of a message.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct MessageForm {
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<MessageContent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<String>,
}

impl TryFrom<MessageForm> for Message {
    type Error = ContentError;

    fn try_from(form: MessageForm) -> Result<Self, Self::Error> {
        match (form.kind.as_deref(), form.role, form.content, form.name) {
            (Some("placeholder"), None, None, Some(name)) => Ok(Self::Placeholder { name }),
            (Some("placeholder"), ..) => Err(ContentError::Message("is a placeholder with something else than a name")),
            (Some(_), ..) => Err(ContentError::Message("has another `type`")),
            (None, None, ..) => Err(ContentError::Message("has no `role`")),
            (None, Some(_), None, _) => Err(ContentError::Message("has no `content`")),
            (None, Some(role), Some(content), name) => Ok(Self::Said(Said {
                role,
                content,
                name,
                tool_calls: form.tool_calls,
                tool_call_id: form.tool_call_id,
            })),
        }
    }
}

impl From<Message> for MessageForm {
    fn from(message: Message) -> Self {
        match message {
            Message::Placeholder { name } => Self {
                kind: Some("placeholder".to_owned()),
                role: None,
                content: None,
                name: Some(name),
                tool_calls: Vec::new(),
                tool_call_id: None,
            },
            Message::Said(said) => Self {
                kind: None,
                role: Some(said.role),
                content: Some(said.content),
                name: said.name,
                tool_calls: said.tool_calls,
                tool_call_id: said.tool_call_id,
            },
        }
    }
}

schema_of!(Content = ContentForm);
schema_of!(Message = MessageForm);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Content, ContentError> {
        Content::from_json(json.as_bytes())
    }

    #[test]
    fn equal_contents_have_equal_bytes_whatever_the_order_of_their_json() {
        let a = parse(r#"{"text":"Hi {{who}}","syntax":"mustache","config":{"b":1.0,"a":"é"}}"#).expect("a content");
        let b = parse(r#"{"config":{"a":"\u00e9","b":1},"text":"Hi {{who}}"}"#).expect("a content");
        let bytes = a.to_canonical().expect("within limits");
        assert_eq!(bytes, b.to_canonical().expect("within limits"));
        assert_eq!(
            String::from_utf8_lossy(&bytes),
            r#"{"config":{"a":"é","b":1},"syntax":"mustache","text":"Hi {{who}}"}"#
        );
        assert_eq!(Content::from_json(&bytes), parse(&String::from_utf8_lossy(&bytes)));
    }

    #[test]
    fn a_conversation_reads_back() {
        let json = r#"{"messages":[{"content":"Be kind","role":"system"},{"name":"history","type":"placeholder"},{"content":[{"text":"{{q}}","type":"text"},{"type":"image","url":"{{u}}"}],"role":"user"}],"syntax":"mustache"}"#;
        let content = parse(json).expect("a content");
        assert_eq!(String::from_utf8_lossy(&content.to_canonical().expect("within limits")), json);
        assert_eq!(content.placeholders().collect::<Vec<_>>(), ["history"]);
        assert_eq!(content.texts().collect::<Vec<_>>(), ["Be kind", "{{q}}", "{{u}}"]);
    }

    #[test]
    fn a_refused_content_says_why() {
        let check = |json: &str, part: &str| {
            let error = parse(json).and_then(|content| content.to_canonical()).expect_err(json).to_string();
            assert!(error.contains(part), "{json}: {error}");
        };
        check("{}", "neither");
        check(r#"{"text":"a","messages":[]}"#, "both");
        check(r#"{"text":"a","colour":1}"#, "unknown field `colour`");
        check(r#"{"messages":[{"role":"user"}]}"#, "no `content`");
        check(r#"{"messages":[{"content":"x"}]}"#, "no `role`");
        check(r#"{"messages":[{"role":"wizard","content":"x"}]}"#, "unknown variant `wizard`");
        check(r#"{"messages":[{"type":"message","role":"user","content":"x"}]}"#, "another `type`");
        check(r#"{"messages":[{"role":"user","content":3}]}"#, "a text, or a list of parts");
        check(r#"{"text":"a","config":{"n":9007199254740993}}"#, "2^53 - 1");
        check(r#"{"text":"a","variables":[{"name":"a b"}]}"#, "no name for a variable");
        check(r#"{"text":"a","variables":[{"name":"a"},{"name":"a"}]}"#, "declared twice");
        check(&format!(r#"{{"text":"{}"}}"#, "x".repeat(CONTENT_BYTES_MAX)), "the limit is 1048576 bytes");
        check(
            &format!(r#"{{"text":"a","config":{{"d":{}1{}}}}}"#, "[".repeat(500), "]".repeat(500)),
            "recursion limit",
        );
    }
}

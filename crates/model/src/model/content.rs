//! The content of a version: its text or messages, variables and model.
//!
//! A content is stored, hashed and served in one encoding (docs/architecture/storage.md, "The encoding of a content"),
//! so its id can be checked by anyone with the bytes. In it the fields of the format have a fixed order, and everything
//! that an author writes as JSON (tools, schema, parameters, configuration, parts of messages) has the author's order
//! of keys: models answer in the order of a schema. This type checks the shape; `template` checks whether texts are
//! valid templates. Contents are equal when their encodings are.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::name::composed;
use super::schema::schema_of;
use crate::json;

pub use super::message::{Message, MessageContent, MessageError, Part, Role, RoleMessage};

/// Largest encoding of a content, in bytes.
pub const CONTENT_BYTES_MAX: usize = 1024 * 1024;
/// Most variables of one content.
pub const VARIABLES_MAX: usize = 256;
/// Most messages of one content.
pub const MESSAGES_MAX: usize = 1_000;
/// Longest name of a variable or placeholder, in bytes.
pub const VARIABLE_BYTES_MAX: usize = 100;

/// The content of one version.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "ContentForm", into = "ContentForm")]
pub struct Content {
    /// The syntax of the texts.
    pub syntax: Syntax,
    /// A text, or a list of messages.
    pub body: Body,
    /// The variables, sorted by name.
    pub variables: Vec<Variable>,
    /// The model this is written for, and its parameters.
    pub model: Option<Model>,
    /// Tool definitions, passed on unchanged.
    pub tools: Vec<Value>,
    /// JSON Schema of the response, passed on unchanged.
    pub response_schema: Option<Value>,
    /// Anything else the application wants to version with the prompt.
    pub config: Map<String, Value>,
}

/// A text, or a list of messages.
#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// A text prompt.
    Text(String),
    /// A chat prompt.
    Messages(Vec<Message>),
}

/// How variables are written in texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Syntax {
    /// `{{name}}`, and nothing else: every other brace is literal.
    #[default]
    Mustache,
    /// Jinja templates with limits on work, depth and output.
    Jinja,
    /// Plain text without variables.
    Plain,
}

/// A variable that callers set.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// Its name in the text.
    pub name: String,
    /// Whether rendering without it is an error.
    #[serde(default)]
    pub required: bool,
    /// The type of its values.
    #[serde(default, rename = "type", skip_serializing_if = "VariableType::is_any")]
    pub kind: VariableType,
    /// The value if the caller does not set one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// The description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// The type of a variable's values.
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
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// The model's name, as its provider writes it.
    pub name: String,
    /// Parameters such as the temperature, passed on unchanged.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
}

/// Why a JSON value is not a valid content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ContentError {
    #[error("a prompt must have either `text` or `messages`; this one has {0}")]
    Body(&'static str),
    #[error("the encoded content is {bytes} bytes long; the limit is {CONTENT_BYTES_MAX} bytes")]
    TooLong { bytes: usize },
    #[error("the content has {count} {what}; the limit is {max}")]
    TooMany { what: &'static str, count: usize, max: usize },
    #[error("the number {0} is beyond 2^53 - 1, where JSON readers disagree; write it as a string")]
    Number(String),
    #[error(
        "invalid name `{name}` for a variable or placeholder: use a letter or _, then letters, digits, _ (at most {VARIABLE_BYTES_MAX} bytes)"
    )]
    Variable { name: String },
    #[error(
        "the variable or placeholder `{name}` is not in Unicode normalization form C, so it could be mistaken for another one; write it as `{composed}`"
    )]
    NotComposed { name: String, composed: String },
    #[error("the variable `{name}` is declared twice")]
    Twice { name: String },
    #[error("invalid content: {reason}")]
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

    /// Checks the limits and returns the encoding, whose hash is the content id.
    ///
    /// # Errors
    /// A limit is exceeded, a number is not portable across JSON parsers, or a variable has an invalid name.
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
        self.values().try_for_each(check_numbers)?;
        let bytes = json::encode(self).map_err(|error| ContentError::Decode { reason: error.to_string() })?;
        if bytes.len() > CONTENT_BYTES_MAX {
            return Err(ContentError::TooLong { bytes: bytes.len() });
        }
        Ok(bytes)
    }

    /// Reads a content back from its JSON bytes.
    ///
    /// # Errors
    /// The bytes are not a content in JSON.
    pub fn from_json(bytes: &[u8]) -> Result<Self, ContentError> {
        json::read(bytes).map_err(|error| ContentError::Decode { reason: error.to_string() })
    }

    /// Every JSON value that an author wrote.
    fn values(&self) -> impl Iterator<Item = &Value> {
        let messages = match &self.body {
            Body::Text(_) => [].as_slice(),
            Body::Messages(messages) => messages.as_slice(),
        };
        let said = messages.iter().filter_map(|message| match message {
            Message::Said(said) => Some(said),
            Message::Placeholder { .. } => None,
        });
        let in_messages = said.flat_map(|said| {
            let parts = match &said.content {
                MessageContent::Parts(parts) => parts.as_slice(),
                _ => &[],
            };
            said.fields.values().chain(parts.iter().flat_map(|part| part.fields().values()))
        });
        in_messages
            .chain(self.variables.iter().filter_map(|variable| variable.default.as_ref()))
            .chain(self.model.iter().flat_map(|model| model.parameters.values()))
            .chain(&self.tools)
            .chain(&self.response_schema)
            .chain(self.config.values())
    }

    /// The content id: the hash of the encoding.
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
        text.into_iter().chain(messages.iter().flat_map(Message::templates))
    }

    /// Replaces every template text with the result of `change`, in the order of [`Content::texts`].
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
            message.try_map_templates(&mut change)?;
        }
        Ok(())
    }

    /// The names of the placeholders, in order.
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

impl PartialEq for Content {
    fn eq(&self, other: &Self) -> bool {
        self.syntax == other.syntax
            && self.body == other.body
            && self.variables == other.variables
            && self.model == other.model
            && json::same_list(&self.tools, &other.tools)
            && json::same_option(self.response_schema.as_ref(), other.response_schema.as_ref())
            && json::same_fields(&self.config, &other.config)
    }
}

impl PartialEq for Model {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && json::same_fields(&self.parameters, &other.parameters)
    }
}

impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
            && self.required == other.required
            && self.kind == other.kind
            && json::same_option(self.default.as_ref(), other.default.as_ref())
            && self.description == other.description
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
    if !fits {
        return Err(ContentError::Variable { name: name.chars().take(VARIABLE_BYTES_MAX).collect() });
    }
    match composed(name) {
        None => Ok(()),
        Some(composed) => Err(ContentError::NotComposed { name: name.to_owned(), composed }),
    }
}

fn check_numbers(value: &Value) -> Result<(), ContentError> {
    match value {
        Value::Number(number) => {
            let magnitude = number.as_u64().or_else(|| number.as_i64().map(i64::unsigned_abs));
            match magnitude {
                Some(magnitude) if magnitude > json::INTEGER_MAX => Err(ContentError::Number(number.to_string())),
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

schema_of!(Content = ContentForm);

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Result<Content, ContentError> {
        Content::from_json(json.as_bytes())
    }

    fn encoded(json: &str) -> String {
        let bytes = parse(json).and_then(|content| content.to_canonical()).expect(json);
        String::from_utf8(bytes).expect("UTF-8")
    }

    #[test]
    fn fields_of_the_format_have_one_order_and_escapes_one_form() {
        let expected = r#"{"syntax":"mustache","text":"Hi {{who}}","config":{"a":"é","b":1}}"#;
        assert_eq!(encoded(r#"{"text":"Hi {{who}}","config":{"a":"\u00e9","b":1},"syntax":"mustache"}"#), expected);
        assert_eq!(encoded(r#"{"config":{"a":"é","b":1}, "text":"Hi {{who}}"}"#), expected);
        assert_eq!(encoded(expected), expected);
    }

    #[test]
    fn author_values_keep_key_order_and_numbers() {
        let json = r#"{"syntax":"mustache","messages":[{"role":"user","content":"x","z":1,"a":2}],"model":{"name":"m","parameters":{"top_p":1.0,"seed":1,"b":{"z":0.5,"a":1e+21}}},"tools":[{"type":"function","function":{"name":"f","parameters":{"z":{},"a":{}}}}],"response_schema":{"type":"object","properties":{"reasoning":{"type":"string"},"answer":{"type":"string"}}},"config":{"z":1,"a":2}}"#;
        assert_eq!(encoded(json), json);
        let content = parse(json).expect("a content");
        for (before, after) in [
            (r#""z":1,"a":2}]"#, r#""a":2,"z":1}]"#),
            (r#""top_p":1.0,"seed":1"#, r#""seed":1,"top_p":1.0"#),
            ("1.0", "1"),
            (r#""z":{},"a":{}"#, r#""a":{},"z":{}"#),
            (r#"{"z":1,"a":2}}"#, r#"{"a":2,"z":1}}"#),
        ] {
            let other = parse(&json.replacen(before, after, 1)).expect(after);
            assert_ne!(content, other, "{before}");
            assert_ne!(content.id(), other.id(), "{before}");
        }
    }

    #[test]
    fn conversation_reads_back() {
        let json = r#"{"syntax":"mustache","messages":[{"role":"system","content":"Be kind"},{"type":"placeholder","name":"history"},{"role":"user","content":[{"text":"{{q}}","type":"text"},{"type":"image","url":"{{u}}"}]}]}"#;
        assert_eq!(encoded(json), json);
        let content = parse(json).expect("a content");
        assert_eq!(content.placeholders().collect::<Vec<_>>(), ["history"]);
        assert_eq!(content.texts().collect::<Vec<_>>(), ["Be kind", "{{q}}", "{{u}}"]);
    }

    #[test]
    fn invalid_content_gives_the_reason() {
        let check = |json: &str, part: &str| {
            let error = parse(json).and_then(|content| content.to_canonical()).expect_err(json).to_string();
            assert!(error.contains(part), "{json}: {error}");
        };
        check("{}", "neither");
        check(r#"{"text":"a","messages":[]}"#, "both");
        check(r#"{"text":"a","colour":1}"#, "unknown field `colour`");
        check(r#"{"messages":[{"role":"user"}]}"#, "no `content`");
        check(r#"{"messages":[{"content":"x"}]}"#, "no `role`");
        check(r#"{"messages":[{"role":"wizard","content":"x"}]}"#, "unknown message role `wizard`");
        check(r#"{"messages":[{"type":"item","role":"user","content":"x"}]}"#, "unsupported `type`");
        check(r#"{"messages":[{"role":"user","content":3}]}"#, "a list of parts");
        check(r#"{"text":"a","config":{"n":9007199254740993}}"#, "2^53 - 1");
        check(r#"{"text":"a","variables":[{"name":"a b"}]}"#, "for a variable or placeholder");
        check(r#"{"text":"a","variables":[{"name":"\u212b"}]}"#, "write it as `\u{c5}`");
        check(r#"{"text":"a","variables":[{"name":"a"},{"name":"a"}]}"#, "declared twice");
        check(&format!(r#"{{"text":"{}"}}"#, "x".repeat(CONTENT_BYTES_MAX)), "the limit is 1048576 bytes");
        check(
            &format!(r#"{{"text":"a","config":{{"d":{}1{}}}}}"#, "[".repeat(500), "]".repeat(500)),
            "recursion limit",
        );
    }
}

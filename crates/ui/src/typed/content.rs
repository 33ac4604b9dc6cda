//! A content as form fields, and the conversion in both directions.
//!
//! Browsers send line breaks as CR LF and cannot represent some characters; an unedited text is still preserved
//! exactly. Input is kept as typed, even if it is not a valid content yet: then [`TypedContent::content`] lists the
//! invalid fields.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::Fields;
use crate::json;
use crate::model::content::{
    Body, Content, Message, MessageContent, Model, Part, Role, RoleMessage, Syntax, VARIABLES_MAX, Variable,
    VariableType,
};
use crate::template::include::find;
use crate::template::variables::derive;

/// A content as typed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedContent {
    /// The template syntax.
    pub syntax: Syntax,
    /// A text, or messages.
    pub body: TypedBody,
    /// Declarations of variables, by name.
    pub variables: BTreeMap<String, TypedVariable>,
    /// The model's name.
    pub model: String,
    /// Its parameters, as a JSON object.
    pub parameters: String,
    /// Tools, as a JSON array.
    pub tools: String,
    /// The response schema, as JSON.
    pub response_schema: String,
    /// The configuration, as a JSON object.
    pub config: String,
}

/// A text, or messages.
#[derive(Clone, Debug, PartialEq)]
pub enum TypedBody {
    /// One text.
    Text(String),
    /// Messages in order.
    Messages(Vec<TypedMessage>),
}

/// One message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedMessage {
    /// The role; absent for a placeholder.
    pub role: Option<Role>,
    /// The speaker's name, or the name of the placeholder.
    pub name: String,
    /// The texts and other parts; several if it has images, and none if it has other fields instead.
    pub parts: Vec<TypedPart>,
    /// Whether it is written as a list of parts even for a single text.
    pub listed: bool,
    /// Tool calls, as a JSON array.
    pub calls: String,
    /// The call that it answers.
    pub answers: String,
    /// Its other fields, as a JSON object.
    pub rest: String,
    /// The names of all its fields in their order, as a JSON array.
    pub order: String,
    /// Without content: whether it is null or absent.
    pub unsaid: Option<EmptyMessageForm>,
}

/// The form of an empty content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum EmptyMessageForm {
    Null,
    Absent,
}

/// A part of a message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedPart {
    /// Its kind.
    pub kind: TypedPartKind,
    /// The input.
    pub text: String,
}

/// The kind of a message part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TypedPartKind {
    /// A text.
    #[default]
    Text,
    /// An image URL.
    Image,
    /// Anything else, as a JSON object.
    Other,
}

impl TypedPart {
    /// Whether it can contain variables, so that it counts as a text of the content.
    #[must_use]
    pub fn is_template(&self) -> bool {
        match self.kind {
            TypedPartKind::Text | TypedPartKind::Image => true,
            TypedPartKind::Other => {
                json::read::<Part>(self.text.as_bytes()).is_ok_and(|part| part.template().is_some())
            }
        }
    }
}

/// The declaration of one variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TypedVariable {
    /// Whether the content declared it before.
    pub declared: bool,
    /// Whether rendering without it is an error.
    pub required: bool,
    /// The type.
    pub kind: VariableType,
    /// The default value; see [`value`].
    pub default: String,
    /// The description.
    pub description: String,
    /// Whether the texts use it.
    pub used: bool,
}

impl TypedBody {
    /// The single text of a conversation, if it has nothing else.
    pub fn only_text(&self) -> Option<&str> {
        let Self::Messages(messages) = self else { return None };
        match messages.as_slice() {
            [] => Some(""),
            [TypedMessage { role: Some(_), name, parts, listed: false, calls, answers, rest, unsaid: None, .. }]
                if [name, calls, answers, rest].iter().all(|field| field.is_empty()) =>
            {
                match parts.as_slice() {
                    [TypedPart { kind: TypedPartKind::Text, text }] => Some(text),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

impl Default for TypedBody {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// The value of a field that is not text.
pub const TYPES: [(&str, VariableType); 6] = [
    ("any", VariableType::Any),
    ("string", VariableType::String),
    ("number", VariableType::Number),
    ("boolean", VariableType::Boolean),
    ("array", VariableType::Array),
    ("object", VariableType::Object),
];
/// The name of a template syntax in a form.
pub const SYNTAXES: [(&str, Syntax); 3] =
    [("mustache", Syntax::Mustache), ("jinja", Syntax::Jinja), ("plain", Syntax::Plain)];
/// The name of a role in a form; empty for a placeholder.
pub const ROLES: [(&str, Option<Role>); 8] = [
    ("system", Some(Role::System)),
    ("developer", Some(Role::Developer)),
    ("user", Some(Role::User)),
    ("assistant", Some(Role::Assistant)),
    ("model", Some(Role::Model)),
    ("tool", Some(Role::Tool)),
    ("function", Some(Role::Function)),
    ("placeholder", None),
];

impl TypedContent {
    /// Converts a content to form fields.
    #[must_use]
    pub fn of(content: &Content) -> Self {
        let body = match &content.body {
            Body::Text(text) => TypedBody::Text(text.clone()),
            Body::Messages(messages) => TypedBody::Messages(messages.iter().map(typed_message).collect()),
        };
        let variables = content.variables.iter().map(|variable| (variable.name.clone(), typed_variable(variable)));
        let mut typed = Self {
            syntax: content.syntax,
            body,
            variables: variables.collect(),
            model: content.model.as_ref().map(|model| model.name.clone()).unwrap_or_default(),
            parameters: content.model.as_ref().map(|model| pretty(&model.parameters)).unwrap_or_default(),
            tools: pretty(&content.tools),
            response_schema: content.response_schema.as_ref().map(whole).unwrap_or_default(),
            config: pretty(&content.config),
        };
        typed.look_for_variables(content);
        typed
    }

    /// Reads a form; texts that equal those of `before`, except for what browsers cannot represent, are unchanged.
    #[must_use]
    pub fn sent(fields: &Fields, before: &[&Content]) -> Self {
        let originals: BTreeMap<String, &str> = before
            .iter()
            .flat_map(|content| content.texts())
            .map(|text| (held(text), text))
            .filter(|(held, text)| held != text)
            .collect();
        let text = |name: &str| {
            let typed = held(fields.get(name).map_or("", String::as_str));
            originals.get(&typed).map_or(typed, |text| (*text).to_owned())
        };
        let field = |name: &str| held(fields.get(name).map_or("", String::as_str));
        let body = if fields.contains_key("text") {
            TypedBody::Text(text("text"))
        } else {
            let numbered = (0_usize..).take_while(|number| fields.contains_key(&format!("m{number}.role")));
            TypedBody::Messages(numbered.map(|number| sent_message(fields, number, &text, &field)).collect())
        };
        let variables = (0_usize..).map_while(|number| {
            let name = fields.get(&format!("v{number}.name"))?;
            let field = |part: &str| fields.get(&format!("v{number}.{part}")).map(|text| held(text));
            let variable = TypedVariable {
                declared: field("declared").is_some(),
                required: field("required").is_some(),
                kind: chosen(&TYPES, &field("type").unwrap_or_default()).unwrap_or_default(),
                default: field("default").unwrap_or_default(),
                description: field("description").unwrap_or_default(),
                used: false,
            };
            Some((name.clone(), variable))
        });
        let mut typed = Self {
            syntax: chosen(&SYNTAXES, &field("syntax")).unwrap_or_default(),
            body,
            variables: variables.collect(),
            model: field("model"),
            parameters: field("parameters"),
            tools: field("tools"),
            response_schema: field("response_schema"),
            config: field("config"),
        };
        if let Ok(content) = typed.content() {
            typed.look_for_variables(&content);
        }
        typed
    }

    /// Adds the variables that the texts use, and marks unused ones.
    fn look_for_variables(&mut self, content: &Content) {
        let Some(found) = derive(content).ok().filter(|found| found.len() <= VARIABLES_MAX) else {
            // An invalid template has no known variables, and with too many nothing can be published; declarations are
            // kept in both cases.
            self.variables.values_mut().for_each(|variable| variable.used = true);
            return;
        };
        // Included texts use variables too, which are not known here.
        let includes = content.texts().any(|text| find(text, content.syntax).is_ok_and(|found| !found.is_empty()));
        let said = |variable: &TypedVariable| {
            let words = !variable.default.is_empty() || !variable.description.is_empty();
            words || (includes && (variable.declared || variable.kind != VariableType::Any))
        };
        for (name, variable) in &mut self.variables {
            variable.used = found.contains_key(name) || (includes && said(variable));
        }
        self.variables.retain(|_, variable| variable.used || said(variable));
        for (name, found) in found {
            let new = || TypedVariable { required: !found.optional, used: true, ..TypedVariable::default() };
            self.variables.entry(name).or_insert_with(new);
        }
    }

    /// Adds the variables of included texts.
    pub fn add_included(&mut self, served: &Content) {
        for variable in &served.variables {
            let new = || TypedVariable { declared: false, ..typed_variable(variable) };
            self.variables.entry(variable.name.clone()).or_insert_with(new);
        }
    }

    /// Converts the fields to a content.
    ///
    /// # Errors
    /// The invalid fields, by name, with reasons.
    pub fn content(&self) -> Result<Content, Fields> {
        let mut wrong = Fields::new();
        let body = match &self.body {
            TypedBody::Text(text) => Body::Text(text.clone()),
            TypedBody::Messages(messages) => {
                let numbered = messages.iter().enumerate();
                Body::Messages(numbered.map(|(number, one)| one.message(number, &mut wrong)).collect())
            }
        };
        let parameters = typed_json(&mut wrong, "parameters", &self.parameters).unwrap_or_default();
        if self.model.is_empty() && !self.parameters.trim().is_empty() {
            wrong.insert("model".to_owned(), "parameters need a model; name one above".to_owned());
        }
        let content = Content {
            syntax: self.syntax,
            body,
            variables: self.variables.iter().filter_map(|(name, one)| one.variable(name)).collect(),
            model: (!self.model.is_empty()).then(|| Model { name: self.model.clone(), parameters }),
            tools: typed_json(&mut wrong, "tools", &self.tools).unwrap_or_default(),
            response_schema: typed_json(&mut wrong, "response_schema", &self.response_schema),
            config: typed_json(&mut wrong, "config", &self.config).unwrap_or_default(),
        };
        if wrong.is_empty() { Ok(content) } else { Err(wrong) }
    }

    /// Executes a button of the form; returns whether it exists.
    pub fn act(&mut self, action: &str) -> bool {
        let (verb, of) = action.split_once('-').unwrap_or((action, ""));
        match (verb, &mut self.body) {
            ("forget", _) => return self.variables.remove(of).is_some(),
            ("chat", TypedBody::Text(text)) => {
                let message = TypedMessage::said(Role::System, std::mem::take(text));
                self.body = TypedBody::Messages(vec![message]);
            }
            ("text", TypedBody::Messages(_)) => match self.body.only_text().map(str::to_owned) {
                Some(text) => self.body = TypedBody::Text(text),
                None => return false,
            },
            ("example", TypedBody::Messages(messages)) => {
                messages.extend([Role::User, Role::Assistant].map(|role| TypedMessage::said(role, String::new())));
            }
            ("add", TypedBody::Messages(messages)) => match chosen(&ROLES, of) {
                Some(Some(role)) => messages.push(TypedMessage::said(role, String::new())),
                Some(None) => messages.push(TypedMessage { name: "history".to_owned(), ..TypedMessage::default() }),
                None => return false,
            },
            (_, TypedBody::Messages(messages)) => return reorder(messages, verb, of),
            _ => return false,
        }
        true
    }

    /// The names of the placeholders, without duplicates.
    pub fn placeholders(&self) -> BTreeSet<&str> {
        match &self.body {
            TypedBody::Text(_) => BTreeSet::new(),
            TypedBody::Messages(messages) => {
                messages.iter().filter(|one| one.role.is_none()).map(|one| one.name.as_str()).collect()
            }
        }
    }
}

/// Moves a message up or down, or removes it.
fn reorder(messages: &mut Vec<TypedMessage>, verb: &str, number: &str) -> bool {
    let Some(at) = number.parse::<usize>().ok().filter(|at| *at < messages.len()) else { return false };
    match verb {
        "up" if at > 0 => messages.swap(at, at - 1),
        "down" if at + 1 < messages.len() => messages.swap(at, at + 1),
        "up" | "down" => {}
        "remove" => drop(messages.remove(at)),
        _ => return false,
    }
    true
}

impl TypedMessage {
    fn said(role: Role, text: String) -> Self {
        Self { role: Some(role), parts: vec![TypedPart { kind: TypedPartKind::Text, text }], ..Self::default() }
    }

    fn message(&self, number: usize, wrong: &mut Fields) -> Message {
        let Some(role) = self.role else { return Message::Placeholder { name: self.name.trim().to_owned() } };
        let place = |end: &str| format!("m{number}.{end}");
        let content = match (self.parts.as_slice(), self.unsaid) {
            ([], Some(EmptyMessageForm::Null)) => Some(Value::Null),
            ([], Some(EmptyMessageForm::Absent)) => None,
            ([TypedPart { kind: TypedPartKind::Text, text }], _) if !self.listed => Some(Value::String(text.clone())),
            (parts, _) => Some(
                parts
                    .iter()
                    .enumerate()
                    .filter_map(|(index, part)| match part.kind {
                        TypedPartKind::Text => Some(Part::text(&part.text)),
                        TypedPartKind::Image => Some(Part::image(&part.text)),
                        TypedPartKind::Other => typed_json(wrong, &place(&format!("p{index}.json")), &part.text),
                    })
                    .map(|part| Value::Object(part.fields().clone()))
                    .collect(),
            ),
        };
        let mut fields = Map::new();
        fields.insert("role".to_owned(), role.as_str().into());
        fields.extend(content.map(|content| ("content".to_owned(), content)));
        fields.extend(self.fields(number, wrong));
        Message::try_from(fields).unwrap_or_else(|error| {
            wrong.entry(place("rest")).or_insert_with(|| error.to_string());
            Message::Said(RoleMessage::new(role, MessageContent::Text(String::new())))
        })
    }

    /// The message's fields besides role and content, in order.
    fn fields(&self, number: usize, wrong: &mut Fields) -> Map<String, Value> {
        let mut all: Map<String, Value> = Map::new();
        let calls: Option<Vec<Value>> = typed_json(wrong, &format!("m{number}.calls"), &self.calls);
        let given = |text: &String| (!text.is_empty()).then(|| Value::String(text.clone()));
        let named = [
            ("name", given(&self.name)),
            ("tool_calls", calls.map(Value::Array)),
            ("tool_call_id", given(&self.answers)),
        ];
        all.extend(named.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        let rest: Map<String, Value> = typed_json(wrong, &format!("m{number}.rest"), &self.rest).unwrap_or_default();
        for (key, value) in rest {
            if matches!(key.as_str(), "role" | "content") || all.contains_key(&key) {
                wrong.insert(format!("m{number}.rest"), format!("`{key}` has a field of its own"));
            } else {
                all.insert(key, value);
            }
        }
        let order: Vec<String> = json::read(self.order.as_bytes()).unwrap_or_default();
        let mut fields: Map<String, Value> = order.iter().filter_map(|key| all.shift_remove_entry(key)).collect();
        fields.extend(all);
        fields
    }
}

impl TypedVariable {
    /// The declaration of a content; absent if it adds nothing to what the texts say.
    fn variable(&self, name: &str) -> Option<Variable> {
        let default = value(self.kind, &self.default);
        let description = (!self.description.is_empty()).then(|| self.description.clone());
        let silent = default.is_none() && description.is_none() && self.kind == VariableType::Any;
        if silent && !self.declared && self.required {
            return None;
        }
        let required = self.required && default.is_none();
        Some(Variable { name: name.to_owned(), required, kind: self.kind, default, description })
    }
}

/// Parses a typed value: JSON if it is JSON of the type, otherwise the text itself; absent if empty.
pub fn value(kind: VariableType, typed: &str) -> Option<Value> {
    if typed.is_empty() {
        return None;
    }
    let parsed = json::read::<Value>(typed.as_bytes()).ok();
    let fits = parsed.filter(|value| kind != VariableType::String || value.is_string());
    Some(fits.unwrap_or_else(|| Value::String(typed.to_owned())))
}

/// Formats a value for a field.
pub fn shown(kind: VariableType, said: &Value) -> String {
    match said {
        Value::String(text) if value(kind, text).as_ref() == Some(said) && held(text) == *text => text.clone(),
        other => other.to_string(),
    }
}

/// One of several choices, by name.
pub fn chosen<T: Copy>(choices: &[(&str, T)], name: &str) -> Option<T> {
    choices.iter().find(|(known, _)| *known == name).map(|(_, choice)| *choice)
}

/// The name of a choice.
pub fn named<T: PartialEq>(choices: &[(&'static str, T)], choice: &T) -> &'static str {
    choices.iter().find(|(_, known)| known == choice).map_or("", |(name, _)| name)
}

/// Normalizes a text as a browser's field does.
fn held(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}")
}

/// Parses a field as JSON; absent if empty, and an error if it is invalid.
fn typed_json<T: DeserializeOwned>(wrong: &mut Fields, name: &str, typed: &str) -> Option<T> {
    if typed.trim().is_empty() {
        return None;
    }
    match json::read(typed.as_bytes()) {
        Ok(value) => Some(value),
        Err(error) => {
            wrong.insert(name.to_owned(), format!("this is not the JSON that belongs here: {error}"));
            None
        }
    }
}

/// Formats JSON for editing.
fn whole<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The same; empty if there is nothing.
fn pretty<T: serde::Serialize>(value: &T) -> String {
    let text = whole(value);
    if matches!(text.as_str(), "{}" | "[]") { String::new() } else { text }
}

fn typed_message(message: &Message) -> TypedMessage {
    let said = match message {
        Message::Placeholder { name } => return TypedMessage { name: name.clone(), ..TypedMessage::default() },
        Message::Said(said) => said,
    };
    let part = |part: &Part| match (part.only_text(), part.only_image()) {
        (Some(text), _) => TypedPart { kind: TypedPartKind::Text, text: text.to_owned() },
        (_, Some(url)) => TypedPart { kind: TypedPartKind::Image, text: url.to_owned() },
        _ => TypedPart { kind: TypedPartKind::Other, text: whole(part) },
    };
    let (listed, parts, unsaid) = match &said.content {
        MessageContent::Text(text) => (false, vec![TypedPart { kind: TypedPartKind::Text, text: text.clone() }], None),
        MessageContent::Parts(parts) => (true, parts.iter().map(part).collect(), None),
        MessageContent::Null => (false, Vec::new(), Some(EmptyMessageForm::Null)),
        MessageContent::Absent => (false, Vec::new(), Some(EmptyMessageForm::Absent)),
    };
    // A name that a field cannot represent is edited as JSON.
    let mut rest = said.fields.clone();
    let mut named = |key: &str| {
        let text = rest.get(key).and_then(Value::as_str).filter(|text| !text.is_empty() && held(text) == *text);
        let text = text.map(str::to_owned);
        if text.is_some() {
            rest.shift_remove(key);
        }
        text.unwrap_or_default()
    };
    let (name, answers) = (named("name"), named("tool_call_id"));
    let calls = said.tool_calls();
    if !calls.is_empty() {
        rest.shift_remove("tool_calls");
    }
    let order =
        if said.fields.is_empty() { String::new() } else { json!(said.fields.keys().collect::<Vec<_>>()).to_string() };
    TypedMessage {
        role: Some(said.role),
        name,
        parts,
        listed,
        calls: pretty(&calls),
        answers,
        rest: pretty(&rest),
        order,
        unsaid,
    }
}

fn typed_variable(variable: &Variable) -> TypedVariable {
    TypedVariable {
        declared: true,
        required: variable.required,
        kind: variable.kind,
        default: variable.default.as_ref().map(|value| shown(variable.kind, value)).unwrap_or_default(),
        description: variable.description.clone().unwrap_or_default(),
        used: true,
    }
}

fn sent_message(
    fields: &Fields,
    number: usize,
    text: &dyn Fn(&str) -> String,
    field: &dyn Fn(&str) -> String,
) -> TypedMessage {
    let role = chosen(&ROLES, &field(&format!("m{number}.role"))).unwrap_or(Some(Role::User));
    let part = |index: usize| {
        let typed = |kind, end: &str| {
            let name = format!("m{number}.p{index}.{end}");
            fields.contains_key(&name).then(|| TypedPart { kind, text: text(&name) })
        };
        typed(TypedPartKind::Text, "text")
            .or_else(|| typed(TypedPartKind::Image, "url"))
            .or_else(|| typed(TypedPartKind::Other, "json"))
    };
    let mut parts: Vec<TypedPart> = (0_usize..).map_while(part).collect();
    let listed = fields.contains_key(&format!("m{number}.listed"));
    let unsaid = match field(&format!("m{number}.unsaid")).as_str() {
        "null" => Some(EmptyMessageForm::Null),
        "absent" => Some(EmptyMessageForm::Absent),
        _ => None,
    };
    if parts.is_empty() && role.is_some() && !listed && unsaid.is_none() {
        // A placeholder that was changed to a message.
        parts.push(TypedPart::default());
    }
    TypedMessage {
        role,
        name: field(&format!("m{number}.name")),
        parts,
        listed,
        calls: field(&format!("m{number}.calls")),
        answers: field(&format!("m{number}.answers")),
        rest: field(&format!("m{number}.rest")),
        order: field(&format!("m{number}.order")),
        unsaid,
    }
}

#[cfg(test)]
#[path = "content_tests.rs"]
mod tests;

//! The front matter of a prompt file: its YAML keys, and which of them a content needs.
//!
//! It does not handle the body. The YAML parser visits all open brackets for each token, so long input and input with
//! many brackets is parsed differently: as one `key: JSON` per line, which is valid YAML too. Invariant: `parse` reads
//! the output of `write` as the same value.

use std::fmt::Write;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::json::{self, JsonError, plain_reason};
use crate::model::content::{Message, Model, Syntax, Variable, VariableType};
use crate::model::name::Label;
use crate::yaml;

/// Longest front matter that is read as any YAML, in bytes.
const YAML_BYTES_MAX: usize = 64 * 1024;
/// Most opening brackets in it, quoted or not: only the parser could tell which ones count.
const YAML_BRACKETS_MAX: usize = 2_048;

/// All keys of front matter.
#[derive(Clone, Debug, Default)]
pub(super) struct FrontMatter {
    pub syntax: Syntax,
    pub model: Option<Model>,
    pub variables: Vec<Variable>,
    pub tools: Vec<Value>,
    pub response_schema: Option<Value>,
    pub config: Map<String, Value>,
    pub labels: Vec<Label>,
    pub messages: Option<Vec<Message>>,
}

impl PartialEq for FrontMatter {
    fn eq(&self, other: &Self) -> bool {
        json::same_option(self.response_schema.as_ref(), other.response_schema.as_ref())
            && self.syntax == other.syntax
            && self.model == other.model
            && self.variables == other.variables
            && json::same_list(&self.tools, &other.tools)
            && json::same_fields(&self.config, &other.config)
            && self.labels == other.labels
            && self.messages == other.messages
    }
}

/// Parses front matter; an error names the key and the line of the file.
pub(super) fn parse(yaml: &str) -> Result<FrontMatter, String> {
    let form = if is_small(yaml) {
        // The first line of the file is the opening `---`.
        form_of(yaml::read(yaml, 2, "front matter")?)?
    } else {
        parse_lines(yaml)?
    };
    let model = match (form.model, form.parameters) {
        (None, None) => None,
        (None, Some(_)) => return Err("`parameters` need a model; add `model`".to_owned()),
        (Some(ModelForm::Name(name)), parameters) => Some(Model { name, parameters: parameters.unwrap_or_default() }),
        (Some(ModelForm::Whole(model)), None) => Some(model),
        (Some(ModelForm::Whole(_)), Some(_)) => {
            return Err("`model` is a map and `parameters` is outside it; move the parameters into the map".to_owned());
        }
    };
    let mut variables = form.variables.0;
    variables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(FrontMatter {
        syntax: form.syntax,
        model,
        variables,
        tools: form.tools,
        response_schema: form.response_schema,
        config: form.config,
        labels: form.labels,
        messages: form.messages,
    })
}

/// Writes front matter without its `---` lines; empty when every key has its default.
pub(super) fn write(front: &FrontMatter) -> String {
    let (model, parameters) = match front.model.clone() {
        None => (None, None),
        Some(Model { name, parameters }) => {
            (Some(ModelForm::Name(name)), Some(parameters).filter(|parameters| !parameters.is_empty()))
        }
    };
    let form = Form {
        syntax: front.syntax,
        model,
        parameters,
        variables: Variables(front.variables.clone()),
        tools: front.tools.clone(),
        response_schema: front.response_schema.clone(),
        config: front.config.clone(),
        labels: front.labels.clone(),
        messages: front.messages.clone(),
    };
    if *front == FrontMatter::default() {
        return String::new();
    }
    let Ok(Value::Object(fields)) = serde_json::to_value(&form) else { return String::new() };
    let yaml = yaml::write(&fields);
    // What does not read back exactly is written in the JSON subset of YAML.
    let stands = yaml.ends_with('\n') && !yaml.split('\n').any(is_fence);
    if stands && is_small(&yaml) && parse(&yaml).as_ref() == Ok(front) {
        return yaml;
    }
    let escaped = json_lines(&fields);
    if is_small(&escaped) { escaped } else { plain_lines(&fields) }
}

/// Whether a line begins or ends front matter.
pub(super) fn is_fence(line: &str) -> bool {
    line.trim_end_matches([' ', '\t', '\r', '\n']) == "---"
}

/// Whether the YAML parser reads a text in bounded time.
fn is_small(yaml: &str) -> bool {
    let brackets = yaml.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    yaml.len() <= YAML_BYTES_MAX && brackets <= YAML_BRACKETS_MAX
}

/// Interprets the values; an error names the key and its line.
fn form_of(read: yaml::Read) -> Result<Form, String> {
    let yaml::Read { fields, lines } = read;
    let whole = serde_json::from_value(Value::Object(fields.clone()));
    whole.map_err(|error: serde_json::Error| {
        let plain = |error: &serde_json::Error| plain_reason(&error.to_string(), "a map");
        let wrong = fields.into_iter().find_map(|(key, value)| {
            let alone = Map::from_iter([(key.clone(), value)]);
            Some((key, serde_json::from_value::<Form>(Value::Object(alone)).err()?))
        });
        match wrong {
            Some((key, error)) => match lines.get(&key) {
                Some(line) => format!("line {line}: `{key}`: {}", plain(&error)),
                None => format!("`{key}`: {}", plain(&error)),
            },
            None => plain(&error),
        }
    })
}

/// Parses front matter with one `key: JSON` per line.
fn parse_lines(text: &str) -> Result<Form, String> {
    let mut read = yaml::Read::default();
    // The first line of the file is the opening `---`.
    for (number, line) in (2_usize..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let (key, text) = line.split_once(": ").unwrap_or((line, ""));
        let value = match json::read(text.as_bytes()) {
            Ok(value) => value,
            Err(error @ (JsonError::Twice { .. } | JsonError::Number { .. })) => {
                return Err(format!("line {number}: in `{key}`: {error}"));
            }
            Err(JsonError::Form { .. }) => {
                return Err(format!(
                    "front matter with more than {YAML_BYTES_MAX} bytes or {YAML_BRACKETS_MAX} brackets must have \
                        one `key: JSON` per line, and line {number} does not; make it smaller or write its value as \
                        JSON"
                ));
            }
        };
        read.lines.insert(key.to_owned(), number);
        if read.fields.insert(key.to_owned(), value).is_some() {
            return Err(format!("line {number}: the key `{key}` appears twice; remove one"));
        }
    }
    form_of(read)
}

/// Writes one `key: JSON` per line, as [`parse_lines`] reads it.
fn plain_lines(fields: &Map<String, Value>) -> String {
    fields.iter().map(|(key, value)| format!("{key}: {value}\n")).collect()
}

/// The same, with every character outside ASCII escaped.
fn json_lines(fields: &Map<String, Value>) -> String {
    let line = |(key, value): (&String, &Value)| {
        let mut line = format!("{key}: ");
        for character in value.to_string().chars() {
            match u32::from(character) {
                0x20..0x7f => line.push(character),
                code @ ..=0xffff => {
                    let _ = write!(line, "\\u{code:04x}");
                }
                code => {
                    let _ = write!(line, "\\U{code:08x}");
                }
            }
        }
        line + "\n"
    };
    fields.iter().map(line).collect()
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default, skip_serializing_if = "is_default")]
    syntax: Syntax,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    model: Option<ModelForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parameters: Option<Map<String, Value>>,
    #[serde(default, skip_serializing_if = "is_default")]
    variables: Variables,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response_schema: Option<Value>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    config: Map<String, Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    labels: Vec<Label>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    messages: Option<Vec<Message>>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "`model` is a name, or a map of `name` and `parameters`")]
enum ModelForm {
    Name(String),
    Whole(Model),
}

/// Variables as a map from name to declaration.
#[derive(Default, PartialEq)]
struct Variables(Vec<Variable>);

#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a map of `type`, `required`, `default` and `description`, or nothing")]
struct VariableForm {
    #[serde(default, rename = "type", skip_serializing_if = "is_default")]
    kind: VariableType,
    #[serde(default, skip_serializing_if = "is_default")]
    required: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    default: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl Serialize for Variables {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().cloned().map(|variable| {
            let form = VariableForm {
                kind: variable.kind,
                required: variable.required,
                default: variable.default,
                description: variable.description,
            };
            (variable.name, (form != VariableForm::default()).then_some(form))
        }))
    }
}

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Variables;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map from each variable's name to its type, required, default and description")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut variables = Vec::new();
                while let Some((name, form)) = map.next_entry::<String, Option<VariableForm>>()? {
                    if variables.iter().any(|known: &Variable| known.name == name) {
                        let message = format!("the variable `{name}` is declared twice; remove one");
                        return Err(serde::de::Error::custom(message));
                    }
                    let VariableForm { kind, required, default, description } = form.unwrap_or_default();
                    variables.push(Variable { name, required, kind, default, description });
                    if variables.len() > crate::model::content::VARIABLES_MAX {
                        return Err(serde::de::Error::custom("there are too many variables; the limit is 256"));
                    }
                }
                Ok(Variables(variables))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

//! Renders a content with the variables and messages of a caller.
//!
//! Expects a content whose list of variables is complete (see `variables::complete`), and validates the caller's values
//! against that list before it renders: one error names every variable that is missing or has another type. Values for
//! unknown variables are ignored and a placeholder without messages is empty, both with a [`Remark`], so that a version
//! that drops a variable does not break its callers. A value is never read as a template.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::Cancellation;
use crate::model::content::{Body, Content, Message, Syntax, Variable};
use crate::model::rendered::{Remark, RemarkCode, Rendered};

use super::error::{Place, TemplateError, excerpt, list};
use super::jinja::{self, Failure};
use super::mustache::{self, Kind};
use super::variables::{expected, fits, kind_name};

/// Longest output of a rendering, in bytes.
pub const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most bytes of the values of one rendering, and of its placeholders' messages.
pub const INPUT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most names that are listed under one heading.
const NAMES_MAX: usize = 256;

/// The values and messages of a caller.
#[derive(Clone, Copy, Debug)]
pub struct RenderInput<'g> {
    /// Values of variables.
    pub variables: &'g Map<String, Value>,
    /// Lists of messages for placeholders.
    pub messages: &'g BTreeMap<String, Vec<Value>>,
    /// Whether remarks are errors.
    pub strict: bool,
}

/// A rendered content with its warnings.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderedContent {
    /// The rendered content.
    pub rendered: Rendered,
    /// What was ignored or left empty.
    pub remarks: Vec<Remark>,
}

/// All mismatches between a caller's values and a content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problems {
    /// Required variables without a value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Values for variables that the content does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Values of another type than their variable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong_type: Vec<WrongType>,
    /// Placeholders without a list of messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_placeholders: Vec<String>,
    /// Lists of messages for placeholders that the content does not have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_placeholders: Vec<String>,
    /// Invalid messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wrong_messages: Vec<WrongMessage>,
}

/// A value of another type than its variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the names say it")]
pub struct WrongType {
    pub name: String,
    pub expected: String,
    pub found: String,
}

/// An element of a placeholder's list that is not a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongMessage {
    /// Which placeholder.
    pub name: String,
    /// The index of the element, from 0.
    pub index: usize,
    /// What is missing.
    pub reason: String,
}

/// Why a content could not be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum RenderError {
    #[error("{0}")]
    Variables(Box<Problems>),
    #[error("{}: {message}", Place { text: *text, line: *line, column: *column })]
    Template { text: usize, line: usize, column: usize, message: String },
    #[error("the values and messages exceed the limit of {INPUT_BYTES_MAX} bytes")]
    InputTooLong,
    #[error("the result exceeds the limit of {OUTPUT_BYTES_MAX} bytes")]
    TooLong,
    #[error("rendering took too long and was stopped; use a smaller template or smaller values")]
    Stopped,
}

/// Renders a content: `variables` by name, and for each placeholder a list of messages. Stops when `stop` is due.
///
/// # Errors
/// A required variable is missing, a value or message has another type, a Jinja text fails, or a limit is exceeded.
/// With `strict`, also everything that would be a remark.
pub fn render(content: &Content, given: RenderInput<'_>, stop: &Cancellation) -> Result<RenderedContent, RenderError> {
    let mut problems = check(content, given.variables, given.messages);
    let mut fatal = problems.clone();
    let remarks = fatal.take_remarks();
    if fatal != Problems::default() || given.strict && !remarks.is_empty() {
        // Unknown names are always listed: one may be a missing variable, misspelt.
        if !given.strict {
            problems.missing_placeholders.clear();
        }
        return Err(RenderError::Variables(Box::new(problems)));
    }
    let rendered = fill(content, given.variables, given.messages, stop)?;
    Ok(RenderedContent { rendered, remarks })
}

/// Renders validated input.
fn fill(
    content: &Content,
    variables: &Map<String, Value>,
    messages: &BTreeMap<String, Vec<Value>>,
    stop: &Cancellation,
) -> Result<Rendered, RenderError> {
    let given = variables.values().chain(messages.values().flatten());
    let input = given.fold(0_usize, |bytes, value| bytes.saturating_add(weight(value)));
    if input > INPUT_BYTES_MAX {
        return Err(RenderError::InputTooLong);
    }
    let defaults = content.variables.iter().filter_map(|variable| {
        let value = variables.get(&variable.name).or(variable.default.as_ref())?;
        Some((variable.name.as_str(), value))
    });
    let texts = content.texts().fold(0_usize, |bytes, text| bytes.saturating_add(text.len()));
    let mut filler = match content.syntax {
        Syntax::Plain => Renderer::Plain,
        Syntax::Mustache => Renderer::Mustache(defaults.collect()),
        Syntax::Jinja => Renderer::Jinja {
            engine: Box::new(jinja::Engine::new(texts.saturating_add(input), stop)),
            values: minijinja::Value::from_pairs(
                defaults.map(|(name, value)| (name, minijinja::Value::from(minijinja::value::Serde(value)))),
            ),
        },
    };
    let mut left = OUTPUT_BYTES_MAX;
    let mut index = 0_usize;
    let mut copy = content.clone();
    copy.try_map_texts(|text| {
        if stop.is_due() {
            return Err(RenderError::Stopped);
        }
        let output = filler.fill(text, left, index)?;
        index = index.saturating_add(1);
        left = left.checked_sub(output.len()).ok_or(RenderError::TooLong)?;
        Ok(output)
    })?;
    match copy.body {
        Body::Text(text) => Ok(Rendered::Text(text)),
        Body::Messages(said) => insert_messages(said, messages, left).map(Rendered::Messages),
    }
}

/// Inserts the given messages for placeholders.
fn insert_messages(
    said: Vec<Message>,
    messages: &BTreeMap<String, Vec<Value>>,
    mut left: usize,
) -> Result<Vec<Value>, RenderError> {
    let mut all = Vec::with_capacity(said.len());
    for message in said {
        match message {
            Message::Placeholder { name } => {
                for message in messages.get(&name).into_iter().flatten() {
                    left = left.checked_sub(weight(message)).ok_or(RenderError::TooLong)?;
                    all.push(message.clone());
                }
            }
            said @ Message::Said(_) => {
                let value = serde_json::to_value(said).map_err(|error| RenderError::Template {
                    text: 1,
                    line: 1,
                    column: 1,
                    message: excerpt(&error.to_string()),
                })?;
                all.push(value);
            }
        }
    }
    Ok(all)
}

/// Renders the texts in order.
enum Renderer<'v> {
    Plain,
    Mustache(BTreeMap<&'v str, &'v Value>),
    Jinja { engine: Box<jinja::Engine>, values: minijinja::Value },
}

impl Renderer<'_> {
    fn fill(&mut self, text: &str, left: usize, index: usize) -> Result<String, RenderError> {
        match self {
            Self::Plain if text.len() > left => Err(RenderError::TooLong),
            Self::Plain => Ok(text.to_owned()),
            Self::Mustache(values) => fill_mustache(text, values, left, index),
            Self::Jinja { engine, values } => engine.render(text, values, left).map_err(|failure| match failure {
                Failure::TooLong => RenderError::TooLong,
                Failure::Stopped => RenderError::Stopped,
                Failure::Template(error) => template_error(error.in_text(index)),
            }),
        }
    }
}

fn fill_mustache(
    text: &str,
    values: &BTreeMap<&str, &Value>,
    left: usize,
    index: usize,
) -> Result<String, RenderError> {
    let mut output = String::with_capacity(text.len());
    for segment in mustache::segments(text) {
        match segment.kind {
            Kind::Text(literal) => output.push_str(literal),
            Kind::Variable(name) => match values.get(name) {
                Some(Value::String(value)) => output.push_str(value),
                Some(value) => output.push_str(&value.to_string()),
                None => {}
            },
            Kind::Include(reference) => {
                let message = format!("the include of `{}` was not replaced by its text", excerpt(reference));
                return Err(template_error(TemplateError::at(text, segment.span.start, message).in_text(index)));
            }
        }
        if output.len() > left {
            return Err(RenderError::TooLong);
        }
    }
    Ok(output)
}

fn template_error(error: TemplateError) -> RenderError {
    match error {
        TemplateError::Syntax { place: Place { text, line, column }, message } => {
            RenderError::Template { text, line, column, message }
        }
        other => RenderError::Template { text: 1, line: 1, column: 1, message: other.to_string() },
    }
}

/// Compares the given values with the content.
fn check(content: &Content, variables: &Map<String, Value>, messages: &BTreeMap<String, Vec<Value>>) -> Problems {
    let declared: BTreeMap<&str, &Variable> =
        content.variables.iter().map(|variable| (variable.name.as_str(), variable)).collect();
    let placeholders: BTreeSet<&str> = content.placeholders().collect();
    let mut wrong_type = Vec::new();
    for (name, value) in variables {
        let Some(variable) = declared.get(name.as_str()) else { continue };
        if !fits(variable.kind, content.syntax, value) && wrong_type.len() < NAMES_MAX {
            wrong_type.push(WrongType {
                name: name.clone(),
                expected: expected(variable.kind, content.syntax).to_owned(),
                found: kind_name(value).to_owned(),
            });
        }
    }
    let wrong_messages =
        messages.iter().filter(|(name, _)| placeholders.contains(name.as_str())).flat_map(|(name, given)| {
            given.iter().enumerate().filter_map(move |(index, message)| {
                let reason = message_problem(message)?;
                Some(WrongMessage { name: name.clone(), index, reason })
            })
        });
    Problems {
        missing: names(
            content.variables.iter().filter(|variable| variable.required).map(|variable| variable.name.as_str()),
            |name| !variables.contains_key(name),
        ),
        unknown: names(variables.keys().map(String::as_str), |name| !declared.contains_key(name)),
        wrong_type,
        missing_placeholders: names(placeholders.iter().copied(), |name| !messages.contains_key(name)),
        unknown_placeholders: names(messages.keys().map(String::as_str), |name| !placeholders.contains(name)),
        wrong_messages: wrong_messages.take(NAMES_MAX).collect(),
    }
}

/// Names that are short and few enough for an error message.
fn names<'n>(all: impl Iterator<Item = &'n str>, fits: impl Fn(&str) -> bool) -> Vec<String> {
    all.filter(|name| fits(name)).take(NAMES_MAX).map(excerpt).collect()
}

/// What is missing in a placeholder's message, which must be a message of a content.
fn message_problem(message: &Value) -> Option<String> {
    let Some(fields) = message.as_object() else {
        return Some("is not an object with `role` and `content`".to_owned());
    };
    match Message::try_from(fields.clone()) {
        Ok(Message::Said(_)) => None,
        Ok(Message::Placeholder { .. }) => Some("is a placeholder; pass the messages themselves".to_owned()),
        Err(error) => Some(format!("is not a message: {error}")),
    }
}

/// The approximate size of a value as JSON, in bytes.
fn weight(value: &Value) -> usize {
    let sum = |sizes: &mut dyn Iterator<Item = usize>| sizes.fold(2_usize, usize::saturating_add);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len().saturating_add(2),
        Value::Array(items) => sum(&mut items.iter().map(weight)),
        Value::Object(fields) => {
            sum(&mut fields.iter().map(|(key, value)| weight(value).saturating_add(key.len()).saturating_add(4)))
        }
    }
}

impl Problems {
    /// Removes what a rendering can ignore.
    fn take_remarks(&mut self) -> Vec<Remark> {
        [
            (RemarkCode::UnknownVariables, &mut self.unknown, "ignored, as this version has no such variable:"),
            (
                RemarkCode::UnknownPlaceholders,
                &mut self.unknown_placeholders,
                "messages ignored, as this version has no such placeholder:",
            ),
            (
                RemarkCode::MissingPlaceholders,
                &mut self.missing_placeholders,
                "left empty, as no messages were given for the placeholder:",
            ),
        ]
        .into_iter()
        .filter(|(_, names, _)| !names.is_empty())
        .map(|(code, names, what)| {
            let names = std::mem::take(names);
            Remark { code, message: format!("{what} {}", list(&names)), names }
        })
        .collect()
    }
}

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut parts: Vec<String> = Vec::new();
        let mut say = |what: &str, names: &[String]| {
            if !names.is_empty() {
                parts.push(format!("{what} {}", list(names)));
            }
        };
        say("missing variables:", &self.missing);
        say("unknown variables:", &self.unknown);
        say("missing placeholders:", &self.missing_placeholders);
        say("unknown placeholders:", &self.unknown_placeholders);
        for WrongType { name, expected, found } in self.wrong_type.iter().take(LINES_MAX) {
            parts.push(format!("`{}` must have type {expected}, not {found}", excerpt(name)));
        }
        for WrongMessage { name, index, reason } in self.wrong_messages.iter().take(LINES_MAX) {
            parts.push(format!("message {index} for `{}` {reason}", excerpt(name)));
        }
        f.write_str(&parts.join("; "))
    }
}

/// Most values and messages in one error message.
const LINES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(content: &Value, variables: &Value, messages: &Value) -> Result<String, RenderError> {
        let content: Content = serde_json::from_value(content.clone()).expect("a content");
        let variables = variables.as_object().expect("an object");
        let messages = serde_json::from_value(messages.clone()).expect("lists by name");
        let given = RenderInput { variables, messages: &messages, strict: false };
        render(&content, given, &Cancellation::never())
            .map(|filled| serde_json::to_string(&filled.rendered).expect("JSON"))
    }

    #[test]
    fn unused_values_are_remarks_and_errors_when_strict() {
        let content = json!({
            "messages": [{"type": "placeholder", "name": "h"}, {"role": "user", "content": "{{a}}"}],
            "variables": [{"name": "a", "required": true}],
        });
        let content: Content = serde_json::from_value(content).expect("a content");
        let variables = json!({"a": "x", "old": 1, "older": [2]});
        let variables = variables.as_object().expect("an object");
        let messages = BTreeMap::from([("gone".to_owned(), vec![json!("no message at all")])]);
        let given = RenderInput { variables, messages: &messages, strict: false };
        let filled = render(&content, given, &Cancellation::never()).expect("rendered");
        assert_eq!(filled.rendered, Rendered::Messages(vec![json!({"role": "user", "content": "x"})]));
        let remarks = serde_json::to_value(&filled.remarks).expect("JSON");
        assert_eq!(
            remarks,
            json!([
                {"code": "unknown_variables", "names": ["old", "older"],
                 "message": "ignored, as this version has no such variable: `old`, `older`"},
                {"code": "unknown_placeholders", "names": ["gone"],
                 "message": "messages ignored, as this version has no such placeholder: `gone`"},
                {"code": "missing_placeholders", "names": ["h"],
                 "message": "left empty, as no messages were given for the placeholder: `h`"},
            ])
        );
        let strict =
            render(&content, RenderInput { strict: true, ..given }, &Cancellation::never()).expect_err("strict");
        assert_eq!(
            strict.to_string(),
            "unknown variables: `old`, `older`; missing placeholders: `h`; unknown placeholders: `gone`"
        );
    }

    #[test]
    fn contents_are_rendered() {
        let v = |name: &str| json!({"name": name, "required": true});
        for (content, variables, messages, expected) in [
            (
                json!({"text": "Hi {{a}}{{b}}{{ c }}", "variables": [v("a"), v("b"), v("c")]}),
                json!({"a": "{{b}}", "b": 1.0, "c": true}),
                json!({}),
                json!({"text": "Hi {{b}}1.0true"}),
            ),
            (
                json!({"text": "{{a}}|{{b}}", "variables": [{"name": "a"}, {"name": "b", "default": "d"}]}),
                json!({}),
                json!({}),
                json!({"text": "|d"}),
            ),
            (
                json!({"text": "{{a}} {% x %}", "syntax": "plain"}),
                json!({}),
                json!({}),
                json!({"text": "{{a}} {% x %}"}),
            ),
            (
                json!({"text": "{{ a.b }} {{ c }}\n", "syntax": "jinja", "variables": [v("a"), v("c")]}),
                json!({"a": {"b": "{{ c }}"}, "c": null}),
                json!({}),
                json!({"text": "{{ c }} None\n"}),
            ),
            (
                json!({"messages": [{"role": "system", "content": "{{a}}"}, {"type": "placeholder", "name": "h"},
                {"role": "user", "content": [{"type": "text", "text": "{{a}}"}, {"type": "image", "url": "{{a}}"}]}],
                "variables": [v("a")]}),
                json!({"a": "x"}),
                json!({"h": [{"role": "user", "content": "{{a}}", "extra": 1}, {"role": "assistant", "tool_calls": [{}]}]}),
                json!({"messages": [{"role": "system", "content": "x"}, {"role": "user", "content": "{{a}}", "extra": 1},
                {"role": "assistant", "tool_calls": [{}]},
                {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image", "url": "x"}]}]}),
            ),
            (
                json!({"messages": [{"type": "placeholder", "name": "h"}]}),
                json!({}),
                json!({"h": []}),
                json!({"messages": []}),
            ),
        ] {
            let rendered = run(&content, &variables, &messages).expect("fits");
            let rendered: Value = serde_json::from_str(&rendered).expect("JSON");
            assert_eq!(rendered, expected, "{content}");
        }
    }

    #[test]
    fn one_error_names_every_invalid_variable_and_placeholder() {
        let content = json!({
            "messages": [{"role": "user", "content": "{{a}}{{b}}{{c}}{{d}}"}, {"type": "placeholder", "name": "h"},
                {"type": "placeholder", "name": "i"}],
            "variables": [{"name": "a", "required": true}, {"name": "b", "required": true},
                {"name": "c", "type": "number"}, {"name": "d"}],
        });
        let messages = json!({"x": [], "i": [3, {"role": "wizard", "content": ""}, {"role": "user"}]});
        let content: Content = serde_json::from_value(content).expect("a content");
        let variables = json!({"c": "x", "d": [], "e": 1});
        let messages = serde_json::from_value(messages).expect("lists by name");
        let variables = variables.as_object().expect("an object");
        let given = RenderInput { variables, messages: &messages, strict: true };
        let error = render(&content, given, &Cancellation::never()).expect_err("nothing fits");
        assert_eq!(
            error.to_string(),
            "missing variables: `a`, `b`; unknown variables: `e`; missing placeholders: `h`; unknown placeholders: \
                `x`; `c` must have type number, not string; `d` must have type string, number or boolean, not array; message 0 for `i` is \
                not an object with `role` and `content`; message 1 for `i` is not a message: unknown \
                message role `wizard`: use system, developer, user, assistant, model, tool or function; message 2 for \
                `i` is not a message: a message must have `role` and `content`, or be \
                {\"type\":\"placeholder\",\"name\":…}; this one has no `content`"
        );
    }

    #[test]
    fn text_failures_have_a_place() {
        let check = |content: Value, variables: Value, part: &str| {
            let message = run(&content, &variables, &json!({})).expect_err("fails").to_string();
            assert!(message.contains(part), "{content}: {message}");
        };
        check(json!({"text": "a\n {{> b}}"}), json!({}), "line 2, column 2: the include of `b` was not replaced");
        let list = json!([{"name": "a"}]);
        check(json!({"text": "{{ a }}", "syntax": "jinja", "variables": list}), json!({}), "`a` is undefined");
        let said = json!([{"role": "user", "content": "x"}, {"role": "user", "content": "{{ a.b.c }}"}]);
        check(
            json!({"messages": said, "syntax": "jinja", "variables": list}),
            json!({"a": {}}),
            "text 2, line 1, column 5: `a.b` is undefined",
        );
    }

    #[test]
    fn output_and_input_are_limited() {
        let big = "x".repeat(1 << 20);
        let variables = json!([{"name": "a"}]);
        for syntax in ["mustache", "jinja"] {
            let content = json!({"text": "{{a}}".repeat(100), "syntax": syntax, "variables": variables});
            assert_eq!(run(&content, &json!({"a": big}), &json!({})), Err(RenderError::TooLong), "{syntax}");
            let said = vec![json!({"role": "user", "content": "{{a}}"}); 100];
            let content = json!({"messages": said, "syntax": syntax, "variables": variables});
            assert_eq!(run(&content, &json!({"a": big}), &json!({})), Err(RenderError::TooLong), "{syntax}");
            let content = json!({"text": "{{a}}", "syntax": syntax, "variables": variables});
            assert_eq!(run(&content, &json!({"a": big.repeat(5)}), &json!({})), Err(RenderError::InputTooLong));
        }
        let content = json!({"messages": vec![json!({"type": "placeholder", "name": "h"}); 10]});
        let messages = json!({"h": [{"role": "user", "content": big}]});
        assert_eq!(run(&content, &json!({}), &messages), Err(RenderError::TooLong));
    }
}

//! The texts of a content that rules search, each with its name in findings.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::content::{Body, Content, Message, MessageContent, Role, Syntax};

/// Longest name of a place, in bytes; the name of deeper JSON is truncated.
const TARGET_BYTES_MAX: usize = 200;
/// Longest key of a JSON object that is part of a name, in bytes.
const SHOWN_KEY_BYTES_MAX: usize = 40;
/// Most digits in such a key: a key with more may itself be secret.
const SHOWN_KEY_DIGITS_MAX: usize = 3;

/// The texts that a rule searches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Scope {
    /// The text, or the messages.
    Template,
    /// Defaults and descriptions of variables.
    Variable,
    /// User and assistant messages after the first system message.
    FewShot,
    /// Everything, including model parameters, tools, response schema and config.
    Whole,
}

/// Which rules search a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Only {
    /// All.
    All,
    /// Those for secrets: the place is a value of JSON preceded by its key, as `password: …`.
    Secrets,
    /// All others: the place is the value alone.
    Others,
}

/// One text, and its place.
#[derive(Clone, Debug)]
pub(super) struct Place<'c> {
    /// Its name in findings.
    pub target: String,
    /// The text to search.
    pub text: Cow<'c, str>,
    /// Number of bytes in `text` before the text itself.
    pub offset: usize,
    /// Which rules search it.
    pub only: Only,
    /// Further scopes, besides the whole content.
    pub scopes: &'static [Scope],
    /// In a system message.
    pub system: bool,
    /// Its template syntax.
    pub syntax: Syntax,
    /// Whether it is what people and models said, not what an author of prompts wrote.
    pub is_record: bool,
}

impl<'c> Place<'c> {
    /// A text of its own.
    pub fn text(target: &str, text: &'c str) -> Self {
        Self {
            target: target.chars().take(TARGET_BYTES_MAX).collect(),
            text: Cow::Borrowed(text),
            offset: 0,
            only: Only::All,
            scopes: &[Scope::Template],
            system: false,
            syntax: Syntax::Mustache,
            is_record: false,
        }
    }

    /// A text for all rules.
    pub fn test(text: &'c str) -> Self {
        Self { scopes: &[Scope::Template, Scope::Variable, Scope::FewShot], system: true, ..Self::text("text", text) }
    }

    /// Whether a rule with these scopes searches it.
    pub fn is_in(&self, targets: &[Scope]) -> bool {
        targets.iter().any(|target| *target == Scope::Whole || self.scopes.contains(target))
    }
}

/// Visits every place of a content, in order.
pub(super) fn visit_places(content: &Content, visit: &mut dyn FnMut(&Place<'_>)) {
    match &content.body {
        Body::Text(text) => visit(&Place { syntax: content.syntax, ..Place::text("text", text) }),
        Body::Messages(messages) => visit_messages(messages, content.syntax, visit),
    }
    for (index, variable) in content.variables.iter().enumerate() {
        let mut name = String::from("variables");
        push_key(&mut name, &variable.name, index);
        let scopes: &'static [Scope] = &[Scope::Variable];
        if let Some(value) = &variable.default {
            visit_json(&mut format!("{name}.default"), Some(&variable.name), value, scopes, visit);
        }
        if let Some(text) = &variable.description {
            visit(&Place { scopes, ..Place::text(&format!("{name}.description"), text) });
        }
    }
    let plain: &'static [Scope] = &[];
    if let Some(model) = &content.model {
        visit(&Place { scopes: plain, ..Place::text("model.name", &model.name) });
        for (index, (key, value)) in model.parameters.iter().enumerate() {
            visit_entry(&mut "model.parameters".to_owned(), (index, key, value), plain, visit);
        }
    }
    for (index, tool) in content.tools.iter().enumerate() {
        visit_json(&mut format!("tools[{index}]"), None, tool, plain, visit);
    }
    if let Some(schema) = &content.response_schema {
        visit_json(&mut "response_schema".to_owned(), None, schema, plain, visit);
    }
    for (index, (key, value)) in content.config.iter().enumerate() {
        visit_entry(&mut "config".to_owned(), (index, key, value), plain, visit);
    }
}

fn visit_messages(messages: &[Message], syntax: Syntax, visit: &mut dyn FnMut(&Place<'_>)) {
    let mut system_seen = false;
    for (index, message) in messages.iter().enumerate() {
        let Message::Said(said) = message else { continue };
        let scopes: &'static [Scope] = match said.role {
            Role::User | Role::Assistant | Role::Model if system_seen => &[Scope::Template, Scope::FewShot],
            _ => &[Scope::Template],
        };
        let system = said.role.is_system();
        system_seen |= system;
        let place = |target: &str, text| Place { scopes, system, syntax, ..Place::text(target, text) };
        match &said.content {
            MessageContent::Text(text) => visit(&place(&format!("messages[{index}]"), text)),
            MessageContent::Parts(parts) => {
                for (part_index, part) in parts.iter().enumerate() {
                    let target = format!("messages[{index}].content[{part_index}]");
                    let template = part.template();
                    if let Some(text) = template {
                        visit(&place(&target, text));
                    }
                    let rest = part.fields().iter().enumerate().filter(|(_, (key, value))| {
                        key.as_str() != "type" && (template.is_none() || value.as_str() != template)
                    });
                    for (at, (key, value)) in rest {
                        visit_entry(&mut target.clone(), (at, key, value), scopes, visit);
                    }
                }
            }
            MessageContent::Null | MessageContent::Absent => {}
        }
        for (at, (key, value)) in said.fields.iter().enumerate() {
            visit_entry(&mut format!("messages[{index}]"), (at, key, value), &[], visit);
        }
    }
}

/// Visits every string of a JSON value. The depth was limited when the content was parsed.
fn visit_json(
    target: &mut String,
    key: Option<&str>,
    value: &Value,
    scopes: &'static [Scope],
    visit: &mut dyn FnMut(&Place<'_>),
) {
    match value {
        Value::String(text) => match key {
            None => visit(&Place { scopes, ..Place::text(target, text) }),
            Some(key) => {
                visit(&Place { scopes, only: Only::Others, ..Place::text(target, text) });
                let pair = Cow::Owned(format!("{key}: {text}"));
                let place = Place { scopes, only: Only::Secrets, ..Place::text(target, "") };
                visit(&Place { text: pair, offset: key.len() + 2, ..place });
            }
        },
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                within(target, |target| {
                    let _ = write!(target, "[{index}]");
                    visit_json(target, None, item, scopes, visit);
                });
            }
        }
        Value::Object(fields) => {
            for (index, (key, value)) in fields.iter().enumerate() {
                visit_entry(target, (index, key, value), scopes, visit);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn visit_entry(
    target: &mut String,
    (index, key, value): (usize, &str, &Value),
    scopes: &'static [Scope],
    visit: &mut dyn FnMut(&Place<'_>),
) {
    within(target, |target| {
        push_key(target, key, index);
        let length = target.len();
        target.push_str(" (key)");
        visit(&Place { scopes, ..Place::text(target, key) });
        target.truncate(length);
        visit_json(target, Some(key), value, scopes, visit);
    });
}

/// Runs `inner` with a longer name, then restores it.
fn within(target: &mut String, inner: impl FnOnce(&mut String)) {
    let length = target.len();
    inner(target);
    target.truncate(length);
}

/// Adds `.key` if the key looks like a word, else `[index]`: a finding must not show a possible secret.
fn push_key(target: &mut String, key: &str, index: usize) {
    let word = (1..=SHOWN_KEY_BYTES_MAX).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        && key.bytes().filter(u8::is_ascii_digit).count() <= SHOWN_KEY_DIGITS_MAX;
    if target.len() > TARGET_BYTES_MAX {
        return;
    }
    // Writing to a String cannot fail.
    let _ = if word { write!(target, ".{key}") } else { write!(target, "[{index}]") };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_of_a_content_is_a_place_with_a_name() {
        let json = r#"{"messages":[{"role":"user","content":"a"},
            {"role":"system","content":[{"type":"text","text":"b"}]},
            {"role":"assistant","content":"c","name":"n","tool_calls":[{"f":["d"]}]}],
            "variables":[{"name":"v","default":{"k":"e"},"description":"f"}],
            "model":{"name":"m","parameters":{"stop":["g"]}},
            "tools":[{"description":"h"}],"response_schema":{"title":"i"},"config":{"key12345":{"x y":"j"},"n":1}}"#;
        let content = Content::from_json(json.as_bytes()).expect("a content");
        let mut seen = Vec::new();
        visit_places(&content, &mut |place| {
            if place.only != Only::Secrets && !place.target.ends_with("(key)") {
                seen.push(format!("{}={}{}", place.target, place.text, if place.system { "!" } else { "" }));
            }
        });
        assert_eq!(
            seen,
            [
                "messages[0]=a",
                "messages[1].content[0]=b!",
                "messages[2]=c",
                "messages[2].name=n",
                "messages[2].tool_calls[0].f[0]=d",
                "variables.v.default.k=e",
                "variables.v.description=f",
                "model.name=m",
                "model.parameters.stop[0]=g",
                "tools[0].description=h",
                "response_schema.title=i",
                "config[0][0]=j",
            ]
        );
    }

    #[test]
    fn value_is_searched_for_secrets_with_its_key() {
        let content = Content::from_json(br#"{"text":"","config":{"password":"x"}}"#).expect("a content");
        let mut seen = Vec::new();
        visit_places(&content, &mut |place| {
            if place.only == Only::Secrets {
                seen.push((place.text.to_string(), place.offset));
            }
        });
        assert_eq!(seen, [("password: x".to_owned(), 10)]);
    }
}

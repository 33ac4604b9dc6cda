//! Finds the values of variables in texts that were rendered from templates, and what was said besides.
//!
//! A text does not say what each variable was: this reads what it can mean, and what it reads renders to the text again.
//! A template with statements, filters or two variables without text between them is not read.

use std::collections::BTreeMap;

use serde_json::Value;

use super::marks::{Mark, marks};
use crate::model::content::{Body, Content, Message, MessageContent, Role, Syntax};

/// Longest text that is read, in bytes: matching takes time that grows with its length.
const TEXT_BYTES_MAX: usize = 256 * 1024;
/// Most texts that are compared with templates: each own message may be compared with each that was sent.
const COMPARED_MAX: usize = 2_000;

/// What messages say beside the texts of a content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Extracted {
    /// The values of its variables, as texts; those that were found.
    pub variables: BTreeMap<String, String>,
    /// The messages in the places of its placeholders.
    pub placeholders: BTreeMap<String, Vec<Value>>,
    /// The messages after its own, without system messages.
    pub messages: Vec<Value>,
}

/// Reads messages that were sent with a content. Where one of its own is not among them, as many as it has are taken for
/// its own.
#[must_use]
pub fn extract(content: &Content, sent: &[Value]) -> Extracted {
    let mut extracted = Extracted::default();
    let own: &[Message] = match &content.body {
        Body::Messages(messages) => messages,
        Body::Text(template) => {
            let first = sent.first().and_then(text_of).and_then(|text| values(content.syntax, template, &text));
            let behind = usize::from(first.is_some());
            extracted.variables = first.unwrap_or_default();
            extracted.messages = said(sent.get(behind..).unwrap_or_default());
            return extracted;
        }
    };
    let (mut at, mut placeholder, mut is_complete) = (0_usize, None, true);
    let mut compared = 0_usize;
    for message in own {
        let one = match message {
            Message::Placeholder { name } => {
                placeholder = Some(name);
                continue;
            }
            Message::Said(one) => one,
        };
        let mut read = |message: &Value| {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            let fits = role == one.role.as_str() || one.role == Role::System && is_system(message);
            compared = compared.saturating_add(1);
            match &one.content {
                _ if !fits || compared > COMPARED_MAX => None,
                MessageContent::Text(template) => values(content.syntax, template, &text_of(message)?),
                _ => Some(BTreeMap::new()),
            }
        };
        let mut rest = sent.iter().enumerate().skip(at);
        let found = rest.find_map(|(place, message)| Some((place, read(message)?)));
        let Some((place, variables)) = found else {
            is_complete = false;
            continue;
        };
        let before = said(sent.get(at..place).unwrap_or_default());
        match placeholder.take() {
            Some(name) if !before.is_empty() => {
                extracted.placeholders.insert(name.clone(), before);
            }
            _ => is_complete &= before.is_empty(),
        }
        for (name, value) in variables {
            is_complete &= extracted.variables.get(&name).is_none_or(|other| *other == value);
            extracted.variables.entry(name).or_insert(value);
        }
        at = place.saturating_add(1);
    }
    if is_complete {
        extracted.messages = said(sent.get(at..).unwrap_or_default());
    } else {
        let is_own = |message: &&Message| matches!(message, Message::Said(said) if said.role != Role::System);
        extracted.placeholders.clear();
        extracted.messages = said(sent).into_iter().skip(own.iter().filter(is_own).count()).collect();
    }
    extracted
}

fn is_system(message: &Value) -> bool {
    matches!(message.get("role").and_then(Value::as_str), Some("system" | "developer"))
}

/// The messages that are not of the system.
fn said(messages: &[Value]) -> Vec<Value> {
    messages.iter().filter(|message| !is_system(message)).cloned().collect()
}

/// The text of a message that has nothing else.
fn text_of(message: &Value) -> Option<String> {
    match message.get("content")? {
        Value::String(text) => Some(text.clone()),
        Value::Array(parts) => parts.iter().map(|part| part.get("text")?.as_str()).collect(),
        _ => None,
    }
}

/// The values of the variables in a text, by name; `None` if it was not rendered from the template, or if the template
/// is one that is not read. Each value ends where the text behind it is found first.
fn values(syntax: Syntax, template: &str, text: &str) -> Option<BTreeMap<String, String>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    // Jinja removes a line break at the end of a template.
    let is_cut = syntax == Syntax::Jinja && template.ends_with('\n');
    let cut = |text: &'_ str| if is_cut { text.strip_suffix('\n').unwrap_or(text).to_owned() } else { text.to_owned() };
    let (template, text) = (cut(template), cut(text));
    // The text before the first variable, and each variable with the text behind it.
    let mut front = String::new();
    let mut parts: Vec<(&str, String)> = Vec::new();
    for mark in marks(syntax, &template) {
        match mark {
            Mark::Text(literal) => parts.last_mut().map_or(&mut front, |(_, behind)| behind).push_str(literal),
            Mark::Variable(written) if parts.last().is_none_or(|(_, behind)| !behind.is_empty()) => {
                parts.push((name(written)?, String::new()));
            }
            Mark::Variable(_) | Mark::Include(_) | Mark::Logic(_) => return None,
        }
    }
    let mut rest = text.strip_prefix(front.as_str())?;
    if parts.is_empty() {
        return rest.is_empty().then(BTreeMap::new);
    }
    let mut values = BTreeMap::new();
    let last = parts.len() - 1;
    for (at, (name, behind)) in parts.iter().enumerate() {
        let (value, after) =
            if at == last { (rest.strip_suffix(behind.as_str())?, "") } else { rest.split_once(behind.as_str())? };
        rest = after;
        // A variable that is written twice has one value.
        if values.insert((*name).to_owned(), value.to_owned()).is_some_and(|other| other != value) {
            return None;
        }
    }
    Some(values)
}

/// The name of a variable that is written with nothing else.
fn name(written: &str) -> Option<&str> {
    let name = written.strip_prefix("{{")?.strip_suffix("}}")?.trim();
    let mut characters = name.chars();
    let starts = characters.next().is_some_and(|first| first == '_' || first.is_alphabetic());
    (starts && characters.all(|character| character == '_' || character.is_alphanumeric())).then_some(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_are_told_apart_from_those_of_the_content() {
        let check = |content: Value, sent: Value, expected: Value| {
            let content: Content = serde_json::from_value(content).expect("a content");
            let found = extract(&content, sent.as_array().expect("messages"));
            let found = json!([found.variables, found.placeholders, found.messages]);
            assert_eq!(found, expected, "{sent}");
        };
        let message = |role: &str, text: &str| json!({ "role": role, "content": text });
        let text = json!({ "text": "You sell for {{shop}}." });
        let question = message("user", "Is it open?");
        check(
            text.clone(),
            json!([message("system", "You sell for Globe."), question]),
            json!([{ "shop": "Globe" }, {}, [question]]),
        );
        check(text.clone(), json!([message("user", "You sell for Globe.")]), json!([{ "shop": "Globe" }, {}, []]));
        check(text, json!([message("system", "Other"), question]), json!([{}, {}, [question]]));
        let chat = json!({ "messages": [
            { "role": "system", "content": "Be {{tone}}." }, { "type": "placeholder", "name": "history" },
            { "role": "user", "content": "{{question}}" },
        ] });
        let parts = json!({ "role": "developer", "content": [{ "type": "text", "text": "Be kind." }] });
        let (before, answer) = (message("user", "Hello"), message("assistant", "Hi"));
        check(
            chat.clone(),
            json!([parts, answer, question]),
            json!([{ "tone": "kind", "question": "Is it open?" }, { "history": [answer] }, []]),
        );
        // What is not there: as many messages as the content has are its own.
        check(
            chat,
            json!([message("system", "Other"), before, answer, question]),
            json!([{ "question": "Hello" }, {}, [answer, question]]),
        );
    }

    #[test]
    fn values_are_read_from_texts_of_a_template() {
        use Syntax::{Jinja, Mustache, Plain};
        for (syntax, template, text, expected) in [
            (Mustache, "You sell for {{ shop }}.", "You sell for Globe & Co.", Some(&[("shop", "Globe & Co")][..])),
            (Mustache, "{{a}}: {{b}}", "one: two: three\n", Some(&[("a", "one"), ("b", "two: three\n")])),
            (Mustache, "{{a}} and {{a}}", "x and x", Some(&[("a", "x")])),
            (Mustache, "{{a}} and {{a}}", "x and y", None),
            (Mustache, "{{a}}{{b}}", "xy", None),
            (Mustache, "Hello (all)", "Hello (all)", Some(&[])),
            (Mustache, "Hello {{a}}", "Goodbye", None),
            (Mustache, "Hello {{a}}", "Hello ", Some(&[("a", "")])),
            (Jinja, "Hi {{ name }}!\n", "Hi Ann!", Some(&[("name", "Ann")])),
            (Jinja, "Hi {{ name|upper }}", "Hi ANN", None),
            (Jinja, "Hi {%- if a %}x{% endif %}", "Hix", None),
            (Jinja, "Hi {{- name }}", "HiAnn", None),
            (Plain, "Hi {{name}}", "Hi {{name}}", Some(&[])),
        ] {
            let expected =
                expected.map(|pairs| pairs.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect());
            assert_eq!(values(syntax, template, text), expected, "{template} from {text}");
        }
        assert_eq!(values(Mustache, "{{a}}", &"x".repeat(TEXT_BYTES_MAX + 1)), None);
    }
}

//! The value that a scorer compares with: its own with the variables of the case filled in, or the expected answer.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::javascript::{joined, string};
use super::{ScoreError, Scoring, excerpt};
use crate::clock::Cancellation;
use crate::model::content::{Body, Content, Syntax};
use crate::model::rendered::Rendered;
use crate::model::suite::{CheckKind, Scorer};
use crate::template::render::{RenderInput, render};
use crate::template::variables::complete;

/// Most expressions of one text that are filled in without a template engine.
const EXPRESSIONS_MAX: usize = 10_000;

/// The value of a scorer: texts, and texts of a list, have the variables of the case. A scorer that compares with a
/// value and has none compares with the expected answer of the case, which is taken as it is.
pub(super) fn value(scorer: &Scorer, scoring: Scoring<'_>) -> Result<Option<Value>, ScoreError> {
    let fill = |text: &str| fill(text, scoring.variables);
    match &scorer.value {
        Some(Value::String(text)) => Ok(Some(Value::String(fill(text)?))),
        Some(Value::Array(items)) => {
            let item = |item: &Value| match item {
                Value::String(text) => fill(text).map(Value::String),
                other => Ok(other.clone()),
            };
            items.iter().map(item).collect::<Result<_, _>>().map(|items| Some(Value::Array(items)))
        }
        Some(other) => Ok(Some(other.clone())),
        None if compares(scorer.check.kind) => Ok(scoring.case.expected.clone()),
        None => Ok(None),
    }
}

/// Whether a scorer compares the answer with a text that may as well be the expected answer.
const fn compares(kind: CheckKind) -> bool {
    matches!(
        kind,
        CheckKind::Equals
            | CheckKind::Contains
            | CheckKind::Icontains
            | CheckKind::ContainsAll
            | CheckKind::ContainsAny
            | CheckKind::IcontainsAll
            | CheckKind::IcontainsAny
            | CheckKind::StartsWith
            | CheckKind::Levenshtein
            | CheckKind::RougeN
            | CheckKind::Bleu
            | CheckKind::Gleu
            | CheckKind::Meteor
            | CheckKind::ToolCallF1
    )
}

/// Whether variables may be filled into a text.
#[must_use]
pub fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// Fills variables into a text. References such as `{{name}}` and `{{user.name}}` print values as Nunjucks does, and
/// nothing if there is no value; a text with anything more is rendered as Jinja.
///
/// # Errors
/// The text is not a valid template, or fails with these variables.
pub fn fill(text: &str, variables: &Map<String, Value>) -> Result<String, ScoreError> {
    if !is_template(text) {
        return Ok(text.to_owned());
    }
    if let Some(filled) = fill_references(text, variables) {
        return Ok(filled);
    }
    let failed = |error: String| ScoreError(format!("the value of the scorer is not a valid template: {error}"));
    let mut content = Content {
        syntax: Syntax::Jinja,
        body: Body::Text(text.to_owned()),
        variables: Vec::new(),
        model: None,
        tools: Vec::new(),
        response_schema: None,
        config: Map::new(),
    };
    complete(&mut content).map_err(|error| failed(error.to_string()))?;
    for variable in &mut content.variables {
        if !variables.contains_key(&variable.name) {
            variable.required = false;
            variable.default = Some(Value::String(String::new()));
        }
    }
    let messages = BTreeMap::new();
    let input = RenderInput { variables, messages: &messages, strict: false };
    match render(&content, input, &Cancellation::never()) {
        Ok(rendered) => match rendered.rendered {
            Rendered::Text(text) => Ok(text),
            Rendered::Messages(_) => Err(failed("it has no text".to_owned())),
        },
        Err(error) => Err(failed(excerpt(&error.to_string()))),
    }
}

/// Fills a text that has nothing but references to variables; `None` if it has anything else.
fn fill_references(text: &str, variables: &Map<String, Value>) -> Option<String> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    for _ in 0..EXPRESSIONS_MAX {
        let at = ["{{", "{%", "{#"].iter().filter_map(|mark| rest.find(mark)).min();
        let Some(at) = at else {
            filled.push_str(rest);
            return Some(filled);
        };
        let (before, tag) = rest.split_at(at);
        let (inside, after) = tag.strip_prefix("{{")?.split_once("}}")?;
        filled.push_str(before);
        filled.push_str(&reference(inside.trim(), variables)?);
        rest = after;
    }
    None
}

/// What a reference such as `user.name` prints; `None` if it is another expression.
fn reference(path: &str, variables: &Map<String, Value>) -> Option<String> {
    let is_name = |name: &str| {
        let mut characters = name.chars();
        characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
            && characters.all(|character| character.is_ascii_alphanumeric() || character == '_')
    };
    let keyword = ["true", "false", "none", "null", "not", "True", "False", "None"].contains(&path);
    if keyword || !path.split('.').all(|name| is_name(name) || name.parse::<u32>().is_ok()) {
        return None;
    }
    let mut names = path.split('.');
    let first = names.next().filter(|name| is_name(name))?;
    let mut found = variables.get(first);
    for name in names {
        found = match found {
            Some(Value::Object(fields)) => fields.get(name),
            Some(Value::Array(items)) if name == "length" => return Some(items.len().to_string()),
            Some(Value::String(text)) if name == "length" => return Some(text.encode_utf16().count().to_string()),
            Some(Value::Array(items)) => name.parse().ok().and_then(|index: usize| items.get(index)),
            _ => None,
        };
    }
    Some(match found {
        None | Some(Value::Null) => String::new(),
        Some(Value::Array(items)) => joined(items, ","),
        Some(value) => string(value).into_owned(),
    })
}

/// The values of a list: those of an array, or of a text with commas, where quotes keep a comma.
pub(super) fn list(value: &Value) -> Result<Vec<String>, ScoreError> {
    match value {
        Value::Array(items) => Ok(items.iter().map(|item| string(item).into_owned()).collect()),
        Value::String(text) => separated(text),
        _ => Err(ScoreError("the value must be a list, or a text with commas".to_owned())),
    }
}

/// The fields of a text with commas. A field in quotes may have commas, and quotes that are doubled or escaped.
fn separated(text: &str) -> Result<Vec<String>, ScoreError> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|character| character == ',' || super::javascript::is_space(character));
        if rest.is_empty() {
            return Ok(fields);
        }
        let Some(quoted) = rest.strip_prefix('"') else {
            let (field, after) = rest.split_at(rest.find(',').unwrap_or(rest.len()));
            fields.push(super::javascript::trim(field).to_owned());
            rest = after;
            continue;
        };
        let (field, after) = quoted_field(quoted)
            .ok_or_else(|| ScoreError("the value has a quoted field that does not end; add `\"`".to_owned()))?;
        fields.push(field);
        rest = after.trim_start_matches(super::javascript::is_space);
        if !rest.is_empty() && !rest.starts_with(',') {
            return Err(ScoreError("the value has text after a quoted field; separate fields with a comma".to_owned()));
        }
    }
}

/// A field after its opening quote, and what follows its closing one.
fn quoted_field(text: &str) -> Option<(String, &str)> {
    let mut field = String::new();
    let mut rest = text;
    loop {
        let at = rest.find(['"', '\\'])?;
        let (before, marked) = rest.split_at(at);
        field.push_str(before);
        let mut characters = marked.chars();
        let mark = characters.next()?;
        let next = characters.next();
        match (mark, next) {
            ('\\', Some(escaped @ ('"' | '\\'))) | ('"', Some(escaped @ '"')) => {
                field.push(escaped);
                rest = characters.as_str();
            }
            ('"', _) => return Some((field, marked.strip_prefix('"')?)),
            _ => {
                field.push(mark);
                rest = marked.strip_prefix(mark)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_print_values_as_nunjucks_and_nothing_for_unknown_ones() {
        let variables = json!({"name": "Ann", "n": 1.0, "list": [1, "b"], "user": {"city": "Rome"}, "on": true});
        let variables = variables.as_object().expect("a map");
        for (text, expected) in [
            ("plain {text}", "plain {text}"),
            ("{{ name }} {{n}} {{on}}", "Ann 1 true"),
            ("{{unknown}}!{{user.country}}!{{unknown.deep.er}}!", "!!!"),
            ("{{user.city}} {{list}} {{list.1}} {{list.length}}", "Rome 1,b b 2"),
            ("{% if on %}yes{% else %}no{% endif %}", "yes"),
            ("{{ name | upper }}{{ missing | upper }}\n", "ANN\n"),
        ] {
            assert_eq!(fill(text, variables).as_deref(), Ok(expected), "{text}");
        }
        assert!(fill("{{ name", variables).expect_err("not closed").0.contains("not a valid template"));
    }

    #[test]
    fn lists_are_separated_by_commas_outside_of_quotes() {
        let list = |text: &str| list(&json!(text));
        assert_eq!(list(r#"a, "b, c" ,, "d""e" , "f\"g" ,"#).expect("a list"), ["a", "b, c", "d\"e", "f\"g"]);
        assert_eq!(list("").expect("a list"), [""; 0]);
        assert!(list(r#""a"#).expect_err("open").0.contains("does not end"));
        assert!(list(r#""a" b"#).expect_err("text").0.contains("comma"));
    }
}

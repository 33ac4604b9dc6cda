//! Which variables a content uses, and completing its list of variables when it is published.
//!
//! After [`complete`] a content's list names exactly what its texts use, so a caller can be told what is missing and
//! what is unknown without parsing a template. Changes only that list.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::model::content::{Content, Syntax, Variable, VariableType};

pub use super::error::TemplateError;
use super::error::type_name;
use super::{jinja, mustache};

/// What the texts alone say about a variable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VariableUsage {
    /// Every use handles its absence (Jinja's `default` and `is defined`).
    pub optional: bool,
}

/// The variables that the texts of a content use, by name.
///
/// # Errors
/// A text is not a valid template; the error has the text, line and column.
pub fn derive(content: &Content) -> Result<BTreeMap<String, VariableUsage>, TemplateError> {
    let mut found: BTreeMap<String, VariableUsage> = BTreeMap::new();
    for (index, text) in content.texts().enumerate() {
        let names: BTreeMap<&str, bool> = match content.syntax {
            Syntax::Plain => BTreeMap::new(),
            Syntax::Jinja => jinja::names(text)
                .and_then(|names| jinja::check_methods(text, &content.variables).map(|()| names))
                .map_err(|error| error.in_text(index))?,
            Syntax::Mustache => mustache::segments(text)
                .filter_map(|segment| match segment.kind {
                    mustache::Kind::Variable(name) => Some((name, false)),
                    mustache::Kind::Text(_) | mustache::Kind::Include(_) => None,
                })
                .collect(),
        };
        for (name, optional) in names {
            found
                .entry(name.to_owned())
                .and_modify(|found| found.optional = found.optional && optional)
                .or_insert(VariableUsage { optional });
        }
    }
    Ok(found)
}

/// Completes and sorts the list of variables: undeclared variables are added, required and of any type; optional if
/// [`VariableUsage::optional`].
///
/// # Errors
/// A text is not a valid template; a declared variable is not used, has an invalid default, is both required and has a
/// default, cannot be printed, or is also a placeholder; a plain content declares variables.
pub fn complete(content: &mut Content) -> Result<(), TemplateError> {
    let found = derive(content)?;
    if content.syntax == Syntax::Plain && !content.variables.is_empty() {
        let names = content.variables.iter().map(|variable| variable.name.clone()).collect();
        return Err(TemplateError::Plain { names });
    }
    let declared: BTreeSet<&str> = content.variables.iter().map(|variable| variable.name.as_str()).collect();
    let unused: Vec<String> =
        declared.iter().filter(|name| !found.contains_key(**name)).map(|name| (*name).to_owned()).collect();
    if !unused.is_empty() {
        let is_printed = |text: &str| ["{{#", "{{^", "{{&", "{{{"].iter().any(|tag| text.contains(tag));
        let hint = if content.syntax == Syntax::Mustache && content.texts().any(is_printed) {
            "; mustache has no sections here and prints `{{#…}}` unchanged: use `syntax: jinja` for loops and \
                conditions"
        } else {
            ""
        };
        return Err(TemplateError::Unused { names: unused, hint });
    }
    let placeholders: BTreeSet<&str> = content.placeholders().collect();
    let shared: Vec<String> = found.keys().filter(|name| placeholders.contains(name.as_str())).cloned().collect();
    if !shared.is_empty() {
        return Err(TemplateError::Shared { names: shared });
    }
    content.variables.iter().try_for_each(|variable| check(variable, content.syntax))?;
    let added: Vec<Variable> = found
        .iter()
        .filter(|(name, _)| !declared.contains(name.as_str()))
        .map(|(name, found)| Variable {
            name: name.clone(),
            required: !found.optional,
            kind: VariableType::Any,
            default: None,
            description: None,
        })
        .collect();
    content.variables.extend(added);
    content.variables.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(())
}

fn check(variable: &Variable, syntax: Syntax) -> Result<(), TemplateError> {
    let name = || variable.name.clone();
    if syntax == Syntax::Mustache && matches!(variable.kind, VariableType::Array | VariableType::Object) {
        return Err(TemplateError::Unprintable { name: name(), kind: type_name(variable.kind) });
    }
    match &variable.default {
        Some(_) if variable.required => Err(TemplateError::RequiredDefault { name: name() }),
        Some(default) if !fits(variable.kind, syntax, default) => Err(TemplateError::DefaultType {
            name: name(),
            expected: expected(variable.kind, syntax),
            found: kind_name(default),
        }),
        _ => Ok(()),
    }
}

/// Whether a value is valid for a variable of this type in this syntax.
pub(super) fn fits(kind: VariableType, syntax: Syntax, value: &Value) -> bool {
    let printable = matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    match kind {
        VariableType::Any => printable || matches!(syntax, Syntax::Jinja),
        VariableType::String => value.is_string(),
        VariableType::Number => value.is_number(),
        VariableType::Boolean => value.is_boolean(),
        VariableType::Array => value.is_array() && matches!(syntax, Syntax::Jinja),
        VariableType::Object => value.is_object() && matches!(syntax, Syntax::Jinja),
    }
}

/// The requirement of [`fits`], as text.
pub(super) const fn expected(kind: VariableType, syntax: Syntax) -> &'static str {
    match (kind, syntax) {
        (VariableType::Any, Syntax::Mustache) => "string, number or boolean",
        _ => type_name(kind),
    }
}

/// The name of a JSON value's type.
pub(super) const fn kind_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(json: &str) -> Result<String, String> {
        let mut content = Content::from_json(json.as_bytes()).expect(json);
        complete(&mut content).map_err(|error| error.to_string())?;
        Ok(serde_json::to_string(&content.variables).expect("variables are JSON"))
    }

    #[test]
    fn variables_are_completed_and_sorted() {
        for (json, expected) in [
            (r#"{"text":"no"}"#, "[]"),
            (r#"{"text":"{{b}} {{a}} {{b}}"}"#, r#"[{"name":"a","required":true},{"name":"b","required":true}]"#),
            (
                r#"{"text":"{{b}} {{a}}","variables":[{"name":"b","type":"number","default":3}]}"#,
                r#"[{"name":"a","required":true},{"name":"b","required":false,"type":"number","default":3}]"#,
            ),
            (
                r#"{"messages":[{"role":"system","content":"{{ a|default(1) }}"},{"role":"user","content":[{"type":"image","url":"{{ b }}"}]}],"syntax":"jinja"}"#,
                r#"[{"name":"a","required":false},{"name":"b","required":true}]"#,
            ),
            (
                r#"{"messages":[{"role":"system","content":"{{ a|default(1) }}"},{"role":"user","content":"{{ a }}"}],"syntax":"jinja"}"#,
                r#"[{"name":"a","required":true}]"#,
            ),
            (
                r#"{"text":"{{ a }}","syntax":"jinja","variables":[{"name":"a","type":"array","default":[]}]}"#,
                r#"[{"name":"a","required":false,"type":"array","default":[]}]"#,
            ),
            (r#"{"text":"{{a}} {% b %}","syntax":"plain"}"#, "[]"),
            (
                r#"{"text":"{% for a in a.values() %}{{ a.strip() }}{% endfor %}{{ a.get('k').strip() }}","syntax":"jinja","variables":[{"name":"a","type":"object"}]}"#,
                r#"[{"name":"a","required":false,"type":"object"}]"#,
            ),
        ] {
            assert_eq!(run(json), Ok(expected.to_owned()), "{json}");
        }
    }

    #[test]
    fn wrong_variable_lists_are_refused() {
        let check = |json: &str, part: &str| {
            let message = run(json).expect_err(json);
            assert!(message.contains(part), "{json}: {message}");
        };
        check(r#"{"text":"{{a}}","variables":[{"name":"b"},{"name":"c"}]}"#, "declared but not used: `b`, `c`");
        check(
            r#"{"messages":[{"type":"placeholder","name":"a"},{"role":"user","content":"{{a}}"}]}"#,
            "`a` cannot be both a variable and a placeholder",
        );
        check(r#"{"text":"a","syntax":"plain","variables":[{"name":"a"}]}"#, "the syntax is plain");
        check(
            r#"{"text":"{{a}}","variables":[{"name":"a","required":true,"default":"x"}]}"#,
            "`a` is required and has a default",
        );
        check(
            r#"{"text":"{{a}}","variables":[{"name":"a","type":"number","default":"x"}]}"#,
            "the default of the variable `a` is string, but its type is number",
        );
        check(r#"{"text":"{{a}}","variables":[{"name":"a","default":[]}]}"#, "its type is string, number or boolean");
        check(r#"{"text":"{{a}}","variables":[{"name":"a","type":"object"}]}"#, "mustache cannot print");
        for (text, kind, part) in [
            ("x\\n{{ a.strip() }}", "number", "line 2, column 6: a value of type number has no method `strip`"),
            ("{{ a.items() }}", "string", "a value of type string has no method `items`"),
            ("{% for k, v in a.items() %}{{ k }}{% endfor %}", "array", "type array has no method `items`"),
            ("{{ a % 2 }}", "string", "column 6: use `x|format(y)` for a pattern in a variable"),
            ("{% set p = '%s' %}{{ p % a }}", "any", "for a pattern in a variable"),
            ("{{ a }}{{ 'x'.keys() }}", "any", "this string has no method `keys`"),
        ] {
            let content =
                format!(r#"{{"text":"{text}","syntax":"jinja","variables":[{{"name":"a","type":"{kind}"}}]}}"#);
            check(&content, part);
        }
        check(
            r#"{"messages":[{"role":"user","content":"{{ a }}"},{"role":"user","content":"x\n{% if %}"}],"syntax":"jinja"}"#,
            "text 2, line 2",
        );
    }
}

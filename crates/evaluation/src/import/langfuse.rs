//! Items of a dataset of Langfuse, as its API and its export write them.

use serde_json::{Map, Value};

use super::promptfoo::{Builder, Files};
use super::{Findings, ImportError, Imported, within_limit};
use crate::json;
use crate::model::suite::{CASES_MAX, Case, CheckKind, Scorer, Suite};

/// Reads the items of a dataset: a list, or an object with `data` or `items`. An input is variables if it is an object,
/// messages if it is a list of them, and else the message of the user. The expected output is compared with `equals`.
///
/// # Errors
/// It is not JSON, has no items, or exceeds a limit.
pub fn langfuse(text: &str, file: &str) -> Result<Imported, ImportError> {
    within_limit(text, file)?;
    let value: Value = json::read(text.as_bytes()).map_err(|error| ImportError::invalid(file, error.to_string()))?;
    let (items, name) = items(value).ok_or_else(|| {
        ImportError::invalid(file, "has no items; export the items of a dataset as a list, or as an object with `data`")
    })?;
    let nothing = |_: &str| Err(std::io::Error::other("a dataset names no other files"));
    let files = Files::new(&nothing);
    let mut builder = Builder::new(&files, Findings::default(), super::ImportOptions::default());
    for (number, item) in items.into_iter().enumerate() {
        let place = format!("items[{number}]");
        if builder.count() >= CASES_MAX {
            return Err(ImportError::TooMany { place });
        }
        let Value::Object(mut item) = item else {
            return Err(ImportError::invalid(place, "is not an item; use an object with `input`"));
        };
        if item.get("status").and_then(Value::as_str) == Some("ARCHIVED") {
            builder.findings().remark(&place, "the item is archived, so it is left out");
            continue;
        }
        let mut case = case_of(item.shift_remove("input").unwrap_or_default());
        case.expected = first(&mut item, &["expectedOutput", "expected_output"]).filter(|value| !value.is_null());
        if case.expected.is_some() {
            case.scorers.push(equals(None));
        }
        if let Some(Value::Object(metadata)) = item.shift_remove("metadata") {
            case.metadata = metadata;
        }
        for key in ["id", "sourceTraceId"] {
            if let Some(id @ Value::String(_)) = item.shift_remove(key) {
                case.metadata.insert(format!("langfuse_{key}"), id);
            }
        }
        builder.add_case(case);
    }
    builder.findings().remark(
        "items",
        "items have no scorers: what is expected is compared with `equals`; others may fit better, for example \
         factuality or similar",
    );
    Ok(builder.finish(Suite { repeats: 1, ..Suite::default() }, name))
}

fn items(value: Value) -> Option<(Vec<Value>, Option<String>)> {
    match value {
        Value::Array(items) => Some((items, None)),
        Value::Object(mut fields) => {
            let name = fields.get("name").and_then(Value::as_str).map(str::to_owned);
            match first(&mut fields, &["data", "items"]) {
                Some(Value::Array(items)) => Some((items, name)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn first(fields: &mut Map<String, Value>, keys: &[&str]) -> Option<Value> {
    keys.iter().find_map(|key| fields.shift_remove(*key))
}

/// A scorer that compares with a value, or with what the case expects.
pub(super) fn equals(value: Option<Value>) -> Scorer {
    Scorer::new(CheckKind::Equals, value)
}

/// A case with an input: variables, messages, or what the user says.
pub(super) fn case_of(input: Value) -> Case {
    let mut case = Case { weight: 1.0, ..Case::default() };
    match input {
        Value::Null => {}
        Value::Array(messages) if is_messages(&messages) => case.messages = messages,
        Value::Object(mut fields) => {
            match fields.get("messages") {
                Some(Value::Array(messages)) if is_messages(messages) => {
                    if let Some(Value::Array(messages)) = fields.shift_remove("messages") {
                        case.messages = messages;
                    }
                }
                _ => {}
            }
            case.variables = fields;
        }
        Value::String(text) => case.messages = vec![user(&text)],
        other => case.messages = vec![user(&other.to_string())],
    }
    case
}

fn user(text: &str) -> Value {
    serde_json::json!({"role": "user", "content": text})
}

fn is_messages(list: &[Value]) -> bool {
    !list.is_empty() && list.iter().all(|item| item.get("role").is_some_and(Value::is_string))
}

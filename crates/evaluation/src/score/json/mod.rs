//! `is-json` and `contains-json`, with a JSON Schema or without.

mod schema;
mod yaml;

use serde::de::IgnoredAny;
use serde_json::Value;

pub(super) use self::schema::Schema;
use super::javascript::is_truthy;
use super::{Input, Score, ScoreError, excerpt};

/// Longest part of an answer that is read as one object, in UTF-16 units.
const OBJECT_UNITS_MAX: usize = 100_000;
/// Most characters that are read to find objects, each as often as it is read: braces that match nothing are tried from
/// each to the end.
const WORK_CHARACTERS_MAX: usize = 20_000_000;

/// The schema of a scorer: JSON, or YAML in a text.
pub(super) fn schema(input: &Input<'_>) -> Result<Option<Schema>, ScoreError> {
    let Some(value) = input.value.as_ref().filter(|value| is_truthy(value)) else { return Ok(None) };
    let value = match value {
        Value::String(text) => {
            yaml::read(text).map_err(|error| ScoreError(format!("the schema is not valid YAML: {error}")))?
        }
        Value::Object(_) | Value::Array(_) => value.clone(),
        _ => return Err(super::needs("a JSON Schema as its value")),
    };
    Schema::compile(&value).map(Some)
}

pub(super) fn is_json(input: &Input<'_>) -> Result<Score, ScoreError> {
    if let Err(error) = serde_json::from_str::<IgnoredAny>(&input.text) {
        return Ok(input.decide(false, |_| format!("the answer is not JSON: {error}")));
    }
    let Some(schema) = schema(input)? else {
        return Ok(input.decide(true, |_| "the answer is JSON".to_owned()));
    };
    let value = serde_json::from_str(&input.text)
        .map_err(|error| ScoreError(format!("the answer is JSON that cannot be checked by a schema: {error}")))?;
    let checked = schema.check(&value);
    Ok(input.decide(checked.is_ok(), |_| match checked {
        Ok(()) => "the answer is JSON that matches the schema".to_owned(),
        Err(why) => format!("the answer does not match the schema: {}", excerpt(&why)),
    }))
}

pub(super) fn contains_json(input: &Input<'_>) -> Result<Score, ScoreError> {
    let objects = objects(&input.text)?;
    let schema = if objects.is_empty() { None } else { schema(input)? };
    let mut why = "the answer contains no JSON".to_owned();
    let mut found = false;
    for object in &objects {
        match schema.as_ref().map_or(Ok(()), |schema| schema.check(object)) {
            Ok(()) => {
                found = true;
                break;
            }
            Err(error) => why = format!("JSON in the answer does not match the schema: {}", excerpt(&error)),
        }
    }
    Ok(input.decide(found, |_| if found { "the answer contains such JSON".to_owned() } else { why }))
}

/// The objects in a text. As in promptfoo, text in braces is an object if it is a map in YAML, which `{name}` is, and
/// one that is cut off at the end is completed.
fn objects(text: &str) -> Result<Vec<Value>, ScoreError> {
    let mut objects = Vec::new();
    let mut work = 0_usize;
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find('{')) {
        let start = from + at;
        from = start + 1;
        let Some((end, open)) = end_of_object(text, start) else { continue };
        work += 2 * (end - start) + open;
        if work > WORK_CHARACTERS_MAX {
            return Err(ScoreError("the answer has too many braces to find JSON in it".to_owned()));
        }
        let candidate = text.get(start..end).unwrap_or("");
        let completed =
            if open == 0 { candidate.into() } else { std::borrow::Cow::from(candidate.to_owned() + &"}".repeat(open)) };
        let read = serde_json::from_str(&completed).map_err(drop);
        if let Ok(object) = read.or_else(|()| yaml::read(&yaml::comments(&completed)).map_err(drop)) {
            objects.push(object);
            from = end;
        }
    }
    Ok(objects)
}

/// Where an object ends that begins at a brace, and how many braces are open there; `None` for a brace at the very end.
fn end_of_object(text: &str, start: usize) -> Option<(usize, usize)> {
    let mut open = 1_usize;
    let mut units = 1_usize;
    let mut end = None;
    for (at, character) in text.get(start + 1..)?.char_indices() {
        units += character.len_utf16();
        match character {
            '{' => open += 1,
            '}' => open -= 1,
            _ => {}
        }
        end = Some((start + 1 + at + character.len_utf8(), open));
        if open == 0 || units >= OBJECT_UNITS_MAX {
            break;
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_are_found_in_text_and_completed_at_its_end() {
        for (text, expected) in [
            (r#"Sure: {"a": 1} and {"b": {"c": "\ud83d\ude00"}}."#, json!([{"a": 1}, {"b": {"c": "😀"}}])),
            ("{name}", json!([{"name": null}])),
            (r#"{"a": [1, 2"#, json!([])),
            (r#"{"a": {"b": 2"#, json!([{"a": {"b": 2}}])),
            ("{a: 1, // one\n b: 'x'}", json!([{"a": 1, "b": "x"}])),
            ("{ {\"a\": 1}", json!([{"[object Object]": null}])),
            ("no braces {", json!([])),
        ] {
            assert_eq!(json!(objects(text).expect("objects")), expected, "{text}");
        }
        let braces = "{".repeat(200_000);
        assert!(objects(&braces).expect_err("too many").0.contains("too many braces"));
    }
}

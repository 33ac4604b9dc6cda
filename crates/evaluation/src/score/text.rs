//! Scorers that compare texts: `equals`, the family of `contains`, `starts-with`, `word-count` and `finish-reason`.

use serde_json::Value;

use super::javascript::{deep_equal, is_space, number, parse_number, string};
use super::value::list;
use super::{Input, Score, ScoreError, excerpt, needs};

pub(super) fn equals(input: &Input<'_>) -> Result<Score, ScoreError> {
    let value = input.value.as_ref().ok_or_else(|| needs("a value or an expected answer of the case"))?;
    let equal = match value {
        Value::Array(_) | Value::Object(_) => {
            serde_json::from_str(&input.text).is_ok_and(|answer: Value| deep_equal(value, &answer))
        }
        _ => string(value) == input.text,
    };
    Ok(input.decide(equal, |not| {
        let value = if value.is_string() { string(value) } else { value.to_string().into() };
        format!("expected the answer {not}to equal `{}`", excerpt(&value))
    }))
}

/// The value of `contains`: a text or a number.
fn needle(input: &Input<'_>) -> Result<String, ScoreError> {
    match &input.value {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(value @ Value::Number(_)) => Ok(string(value).into_owned()),
        _ => Err(needs("a text or a number as its value")),
    }
}

pub(super) fn contains(input: &Input<'_>, ignore_case: bool) -> Result<Score, ScoreError> {
    let value = needle(input)?;
    let found = if ignore_case { input.lower().contains(&value.to_lowercase()) } else { input.text.contains(&value) };
    Ok(input.decide(found, |not| format!("expected the answer {not}to contain `{}`", excerpt(&value))))
}

pub(super) fn contains_list(input: &Input<'_>, all: bool, ignore_case: bool) -> Result<Score, ScoreError> {
    let value = input.value.as_ref().filter(|value| super::javascript::is_truthy(value));
    let values = list(value.ok_or_else(|| needs("a list as its value"))?)?;
    let text = if ignore_case { input.lower().into() } else { std::borrow::Cow::Borrowed(&*input.text) };
    let has = |value: &String| if ignore_case { text.contains(&value.to_lowercase()) } else { text.contains(value) };
    let found = if all { values.iter().all(has) } else { values.iter().any(has) };
    Ok(input.decide(found, |not| {
        let missing: Vec<&str> = values.iter().filter(|value| !has(value)).map(String::as_str).collect();
        let which = if all { "all" } else { "one" };
        let missing =
            if all && !missing.is_empty() { format!("; missing: {}", missing.join(", ")) } else { String::new() };
        format!("expected the answer {not}to contain {which} of {}{}", excerpt(&values.join(", ")), excerpt(&missing))
    }))
}

pub(super) fn starts_with(input: &Input<'_>) -> Result<Score, ScoreError> {
    let value = input.text_value()?;
    if value.is_empty() {
        return Err(needs("a text as its value"));
    }
    let starts = input.text.starts_with(value);
    Ok(input.decide(starts, |not| format!("expected the answer {not}to start with `{}`", excerpt(value))))
}

/// The number of words, which white space separates.
fn words(text: &str) -> usize {
    text.split(is_space).filter(|word| !word.is_empty()).count()
}

pub(super) fn word_count(input: &Input<'_>) -> Result<Score, ScoreError> {
    #[allow(clippy::cast_precision_loss, reason = "an answer has far fewer words than a float counts exactly")]
    let count = words(&input.text) as f64;
    let bound = |value: &Value| match value {
        Value::Number(value) => Ok(number(value)),
        Value::String(text) => parse_number(text).ok_or_else(|| needs("numbers as `min` and `max`")),
        _ => Err(needs("numbers as `min` and `max`")),
    };
    let (fits, expected) = match &input.value {
        Some(Value::Object(limits)) => {
            let limit = |name: &str| limits.get(name).map(bound).transpose();
            let (min, max) = (limit("min")?, limit("max")?);
            let expected = match (min, max) {
                (None, None) => return Err(needs("`min` or `max` in its value")),
                (Some(min), Some(max)) if min > max => {
                    return Err(ScoreError(format!("min ({min}) is greater than max ({max})")));
                }
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, Some(max)) => format!("at most {max}"),
            };
            (min.is_none_or(|min| count >= min) && max.is_none_or(|max| count <= max), expected)
        }
        Some(value @ (Value::Number(_) | Value::String(_))) => {
            let exact = match value {
                Value::String(text) => parse_number(text),
                _ => bound(value).ok(),
            };
            let exact = exact.ok_or_else(|| needs("a number, or `min` and `max`, as its value"))?;
            (exact.total_cmp(&count).is_eq(), exact.to_string())
        }
        _ => return Err(needs("a number, or `min` and `max`, as its value")),
    };
    Ok(input.decide(fits, |not| format!("expected {not}{expected} words, found {count}")))
}

pub(super) fn finish_reason(input: &Input<'_>) -> Result<Score, ScoreError> {
    let value = input.text_value()?;
    let reason = input.scoring.answer.finish_reason.as_deref().filter(|reason| !reason.is_empty());
    let same = reason.is_some_and(|reason| reason.to_lowercase() == value.to_lowercase());
    Ok(input.decide(same, |not| match reason {
        Some(reason) => format!("expected {not}the finish reason `{}`, found `{}`", excerpt(value), excerpt(reason)),
        None => "the provider gave no finish reason".to_owned(),
    }))
}

//! Scorers that compare texts: `equals`, the family of `contains`, `starts-with`, `word-count` and `finish-reason`.

use serde_json::Value;

use super::javascript::{deep_equal, is_space, number, parse_number, string};
use super::value::list;
use super::{Input, Score, ScoreError, excerpt, needs};

/// The value of `equals`.
pub(super) fn equal<'i>(input: &'i Input<'_>) -> Result<&'i Value, ScoreError> {
    input.value.as_ref().ok_or_else(|| needs("a value, or the case an expected answer"))
}

pub(super) fn equals(input: &Input<'_>) -> Result<Score, ScoreError> {
    let value = equal(input)?;
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
pub(super) fn needle(input: &Input<'_>) -> Result<String, ScoreError> {
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

/// The values of `contains-all` and `contains-any`.
pub(super) fn needles(input: &Input<'_>) -> Result<Vec<String>, ScoreError> {
    let value = input.value.as_ref().filter(|value| super::javascript::is_truthy(value));
    list(value.ok_or_else(|| needs("a list as its value"))?)
}

pub(super) fn contains_list(input: &Input<'_>, all: bool, ignore_case: bool) -> Result<Score, ScoreError> {
    let values = needles(input)?;
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

/// The value of `starts-with`.
pub(super) fn start<'i>(input: &'i Input<'_>) -> Result<&'i str, ScoreError> {
    input.text_value().ok().filter(|text| !text.is_empty()).ok_or_else(|| needs("a text as its value"))
}

pub(super) fn starts_with(input: &Input<'_>) -> Result<Score, ScoreError> {
    let value = start(input)?;
    let starts = input.text.starts_with(value);
    Ok(input.decide(starts, |not| format!("expected the answer {not}to start with `{}`", excerpt(value))))
}

/// The number of words, which white space separates.
fn words(text: &str) -> usize {
    text.split(is_space).filter(|word| !word.is_empty()).count()
}

/// How many words `word-count` accepts.
pub(super) enum Words {
    Exactly(f64),
    Between { min: Option<f64>, max: Option<f64> },
}

/// The value of `word-count`.
pub(super) fn words_expected(input: &Input<'_>) -> Result<Words, ScoreError> {
    let bound = |value: &Value| match value {
        Value::Number(value) => Ok(number(value)),
        Value::String(text) => parse_number(text).ok_or_else(|| needs("numbers as `min` and `max`")),
        _ => Err(needs("numbers as `min` and `max`")),
    };
    match &input.value {
        Some(Value::Object(limits)) => {
            let limit = |name: &str| limits.get(name).map(bound).transpose();
            match (limit("min")?, limit("max")?) {
                (None, None) => Err(needs("`min` or `max` in its value")),
                (Some(min), Some(max)) if min > max => {
                    Err(ScoreError(format!("min ({min}) is greater than max ({max})")))
                }
                (min, max) => Ok(Words::Between { min, max }),
            }
        }
        Some(value @ (Value::Number(_) | Value::String(_))) => {
            let exact = match value {
                Value::String(text) => parse_number(text),
                _ => bound(value).ok(),
            };
            exact.map(Words::Exactly).ok_or_else(|| needs("a number, or `min` and `max`, as its value"))
        }
        _ => Err(needs("a number, or `min` and `max`, as its value")),
    }
}

pub(super) fn word_count(input: &Input<'_>) -> Result<Score, ScoreError> {
    #[allow(clippy::cast_precision_loss, reason = "an answer has far fewer words than a float counts exactly")]
    let count = words(&input.text) as f64;
    let (fits, expected) = match words_expected(input)? {
        Words::Exactly(exact) => (exact.total_cmp(&count).is_eq(), exact.to_string()),
        Words::Between { min, max } => {
            let expected = match (min, max) {
                (Some(min), Some(max)) => format!("{min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, max) => format!("at most {}", max.unwrap_or(f64::INFINITY)),
            };
            (min.is_none_or(|min| count >= min) && max.is_none_or(|max| count <= max), expected)
        }
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

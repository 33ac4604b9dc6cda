//! What scorers that ask compare with: their value with the variables of the case, or the expected answer.

use serde_json::Value;

use super::JudgeError;
use crate::model::suite::Scorer;
use crate::score::{Scoring, fill};

/// The value of a scorer as one text, with the variables of the case.
pub(super) fn text(scorer: &Scorer, scoring: Scoring<'_>) -> Result<String, JudgeError> {
    let mut texts = texts(scorer, scoring)?;
    match (texts.pop(), texts.is_empty()) {
        (Some(text), true) => Ok(text),
        _ => Err(JudgeError::failed("the scorer needs one text as its value")),
    }
}

/// The values of a scorer, with the variables of the case; without one, the expected answer.
pub(super) fn texts(scorer: &Scorer, scoring: Scoring<'_>) -> Result<Vec<String>, JudgeError> {
    let as_text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let filled = |value: &Value| match value {
        Value::String(text) => fill(text, scoring.variables),
        other => Ok(other.to_string()),
    };
    let texts = match (&scorer.value, &scoring.case.expected) {
        (Some(Value::Array(values)), _) => values.iter().map(filled).collect::<Result<Vec<_>, _>>()?,
        (Some(value), _) => vec![filled(value)?],
        (None, Some(expected)) => vec![as_text(expected)],
        (None, None) => Vec::new(),
    };
    if texts.is_empty() || texts.iter().any(|text| text.trim().is_empty()) {
        return Err(JudgeError::failed("the scorer needs a value, or the case an expected answer"));
    }
    Ok(texts)
}

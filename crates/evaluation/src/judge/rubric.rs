//! One answer by criteria: `llm-rubric`, `model-graded-closedqa`, `factuality`.

use serde_json::{Value, json};

use super::asking::{Fields, number, reason, truth};
use super::prompts::{CLOSED_QA, FACTUALITY, RUBRIC, messages, schema};
use super::{Asking, JudgeError};
use crate::model::suite::Scorer;
use crate::provider::Ask;
use crate::score::Score;

/// The names that promptfoo has for the scores of the categories A to E, and what they are by default.
const FACTUALITY_SCORES: [(&str, &str, f64, &str); 5] = [
    ("A", "subset", 1.0, "states a part of the expected facts"),
    ("B", "superset", 1.0, "states the expected facts and more"),
    ("C", "agree", 1.0, "states the expected facts"),
    ("D", "disagree", 0.0, "contradicts the expected facts"),
    ("E", "differButFactual", 1.0, "differs, but not in facts that matter"),
];

pub(super) async fn rubric<A: Ask>(scorer: &Scorer, asking: &Asking<'_, A>) -> Result<Score, JudgeError> {
    let criteria = asking.text(scorer)?;
    let messages = messages(RUBRIC, &[("criteria", &criteria), ("output", &asking.output())]);
    let fields = [
        ("reason", json!({ "type": "string" })),
        ("score", json!({ "type": "number" })),
        ("pass", json!({ "type": "boolean" })),
    ];
    asking.object(scorer, messages, schema(&fields), |fields| read_rubric(fields, scorer.threshold)).await
}

/// Reads a verdict. A judge that names no score gives 1 or 0; one that does not say whether the answer passes leaves it
/// to the threshold, and without a threshold nothing is decided.
fn read_rubric(fields: &Fields, threshold: Option<f64>) -> Result<Score, String> {
    let (pass, score) = (truth(fields, "pass")?, number(fields, "score", 1.0)?);
    let score = match (pass, score) {
        (_, Some(score)) => score,
        (Some(pass), None) => f64::from(u8::from(pass)),
        (None, None) => return Err("`pass` and `score` are missing".to_owned()),
    };
    let pass = match (pass, threshold) {
        (Some(pass), threshold) => pass && threshold.is_none_or(|threshold| score >= threshold),
        (None, Some(threshold)) => score >= threshold,
        (None, None) => return Err("`pass` is missing".to_owned()),
    };
    Ok(Score { pass, score, reason: reason(fields) })
}

pub(super) async fn closed_qa<A: Ask>(scorer: &Scorer, asking: &Asking<'_, A>) -> Result<Score, JudgeError> {
    let criteria = asking.text(scorer)?;
    let input = asking.input()?;
    let texts = [("criteria", criteria.as_str()), ("input", &input), ("output", &asking.output())];
    let fields = [("reason", json!({ "type": "string" })), ("pass", json!({ "type": "boolean" }))];
    let read = |fields: &Fields| {
        let pass = truth(fields, "pass")?.ok_or("`pass` is missing")?;
        Ok(Score { pass, score: f64::from(u8::from(pass)), reason: reason(fields) })
    };
    asking.object(scorer, messages(CLOSED_QA, &texts), schema(&fields), read).await
}

pub(super) async fn factuality<A: Ask>(scorer: &Scorer, asking: &Asking<'_, A>) -> Result<Score, JudgeError> {
    let expected = asking.text(scorer)?;
    let input = asking.input()?;
    let texts = [("input", input.as_str()), ("expected", &expected), ("output", &asking.output())];
    let category = json!({ "type": "string", "enum": ["A", "B", "C", "D", "E"] });
    let fields = [("reason", json!({ "type": "string" })), ("category", category)];
    let read = |fields: &Fields| {
        let named = fields.get("category").and_then(Value::as_str).unwrap_or_default().trim().to_ascii_uppercase();
        let found = FACTUALITY_SCORES.iter().find(|(letter, ..)| *letter == named);
        let (letter, name, default, meaning) = found.ok_or("`category` is not one of A, B, C, D and E")?;
        let set = scorer.config.get(*name).and_then(Value::as_f64).filter(|score| (0.0..=1.0).contains(score));
        let score = set.unwrap_or(*default);
        let why = reason(fields);
        let reason =
            if why.is_empty() { format!("{letter}: the answer {meaning}") } else { format!("{letter}: {why}") };
        Ok(Score { pass: score > 0.0, score, reason })
    };
    asking.object(scorer, messages(FACTUALITY, &texts), schema(&fields), read).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_needs_pass_or_a_threshold() {
        let read = |value: Value, threshold| {
            let score = read_rubric(value.as_object().expect("fields"), threshold);
            score.map(|score| (score.pass, score.score))
        };
        assert_eq!(read(json!({ "pass": true, "score": 0.4 }), None), Ok((true, 0.4)));
        assert_eq!(read(json!({ "pass": true, "score": 0.4 }), Some(0.5)), Ok((false, 0.4)));
        assert_eq!(read(json!({ "pass": false, "score": 0.9 }), Some(0.5)), Ok((false, 0.9)));
        assert_eq!(read(json!({ "score": 0.9 }), Some(0.5)), Ok((true, 0.9)));
        assert_eq!(read(json!({ "pass": true }), None), Ok((true, 1.0)));
        assert_eq!(read(json!({ "score": 0.9 }), None), Err("`pass` is missing".to_owned()));
        assert_eq!(read(json!({ "reason": "good" }), Some(0.5)), Err("`pass` and `score` are missing".to_owned()));
        assert_eq!(
            read(json!({ "pass": true, "score": 9 }), None),
            Err("`score` is not a number from 0 to 1".to_owned())
        );
    }
}

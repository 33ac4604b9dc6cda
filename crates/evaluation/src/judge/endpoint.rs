//! `webhook`: an endpoint of the users judges.
//!
//! It gets `output`, `variables`, `case`, `expected` and `config`, and answers `pass` and, if it likes, `score` and
//! `reason`.

use ipnet::{Ipv4Net, Ipv6Net};
use serde_json::{Value, json};

use super::asking::{number, reason};
use super::{Asking, JudgeError};
use crate::model::suite::Scorer;
use crate::provider::Ask;
use crate::rules::governance::webhook_url::check_url;
use crate::score::{Score, Scoring, fill};

pub(super) async fn score<A: Ask>(scorer: &Scorer, asking: &Asking<'_, A>) -> Result<Score, JudgeError> {
    let url = url(scorer, asking.scoring)?;
    let mut body = json!({
        "output": asking.scoring.answer.text,
        "variables": asking.scoring.variables,
        "case": asking.scoring.case.name,
        "expected": asking.scoring.case.expected,
        "config": scorer.config,
    });
    let calls = &asking.scoring.answer.tool_calls;
    if let Some(fields) = body.as_object_mut().filter(|_| !calls.is_empty()) {
        fields.insert("tool_calls".to_owned(), calls.clone().into());
    }
    let answer = asking.ask.post(&url, &body).await?;
    read(&answer, scorer.threshold).map_err(|fault| JudgeError::Failed(format!("the endpoint's answer: {fault}")))
}

/// The URL of an endpoint. Which networks it may be in is known when it is asked.
pub(super) fn url(scorer: &Scorer, scoring: Scoring<'_>) -> Result<String, JudgeError> {
    let Some(Value::String(url)) = &scorer.value else {
        return Err(JudgeError::failed("the scorer needs the URL of an endpoint as its value"));
    };
    let url = fill(url, scoring.variables)?;
    let everywhere = [Ipv4Net::default().into(), Ipv6Net::default().into()];
    check_url(&url, &everywhere).map_err(|error| JudgeError::Failed(error.to_string()))?;
    Ok(url)
}

fn read(answer: &Value, threshold: Option<f64>) -> Result<Score, String> {
    let fields = answer.as_object().ok_or("it is not a JSON object")?;
    let pass = fields.get("pass").and_then(Value::as_bool).ok_or("`pass` is neither true nor false")?;
    let score = number(fields, "score", 1.0)?.unwrap_or(f64::from(u8::from(pass)));
    let pass = pass && threshold.is_none_or(|threshold| score >= threshold);
    Ok(Score { pass, score, reason: reason(fields) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answer_needs_a_verdict_and_a_score_in_range() {
        let read = |value: Value, threshold| read(&value, threshold).map(|score| (score.pass, score.score));
        assert_eq!(read(json!({ "pass": true }), None), Ok((true, 1.0)));
        assert_eq!(read(json!({ "pass": true, "score": 0.5 }), Some(0.6)), Ok((false, 0.5)));
        assert!(read(json!({ "pass": "yes" }), None).is_err());
        assert!(read(json!({ "pass": true, "score": 2 }), None).is_err());
        assert!(read(json!([true]), None).is_err());
    }
}

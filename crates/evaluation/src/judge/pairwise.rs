//! `select-best`: this answer beside that of the baseline, in both orders.

use serde_json::{Value, json};

use super::asking::{Fields, model, reason};
use super::prompts::{PAIRWISE, messages, schema};
use super::{Asking, JudgeError};
use crate::model::suite::Scorer;
use crate::provider::Ask;
use crate::score::Score;

/// The score of a tie.
const TIE: f64 = 0.5;

/// What a judge chose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Choice {
    First,
    Second,
    Tie,
}

/// 1 if this answer is chosen in both orders, 0 if the baseline's is. Anything else is a tie, which passes: judges tend
/// to prefer a place. Answers that are the same are a tie that nobody is asked about.
pub(super) async fn score<A: Ask>(scorer: &Scorer, asking: &Asking<'_, A>) -> Result<Score, JudgeError> {
    model(scorer)?;
    let criteria = asking.text(scorer)?;
    let output = asking.output();
    let Some(baseline) = asking.baseline else {
        return Err(JudgeError::failed("there is no answer of a baseline to compare with; run against one"));
    };
    let (score, reason) = if baseline.trim() == output.trim() {
        (TIE, "the answers are the same".to_owned())
    } else {
        let (one, reason) = choose(scorer, asking, &criteria, &output, baseline).await?;
        let (other, reason_other) = choose(scorer, asking, &criteria, baseline, &output).await?;
        match (one, other) {
            (Choice::First, Choice::Second) => (1.0, format!("better than the baseline: {reason}")),
            (Choice::Second, Choice::First) => (0.0, format!("worse than the baseline: {reason}")),
            (Choice::Tie, Choice::Tie) => (TIE, format!("as good as the baseline: {reason}")),
            _ => (TIE, format!("a tie, because the judge decides by the order: {reason} / {reason_other}")),
        }
    };
    Ok(Score { pass: score >= scorer.threshold.unwrap_or(TIE), score, reason })
}

async fn choose<A: Ask>(
    scorer: &Scorer,
    asking: &Asking<'_, A>,
    criteria: &str,
    first: &str,
    second: &str,
) -> Result<(Choice, String), JudgeError> {
    let texts = [("criteria", criteria), ("first", first), ("second", second)];
    let choice = json!({ "type": "string", "enum": ["first", "second", "tie"] });
    let fields = [("reason", json!({ "type": "string" })), ("choice", choice)];
    let read = |fields: &Fields| {
        let choice = fields.get("choice").and_then(Value::as_str).unwrap_or_default().trim().to_ascii_lowercase();
        let choice = match choice.as_str() {
            "first" => Choice::First,
            "second" => Choice::Second,
            "tie" => Choice::Tie,
            _ => return Err("`choice` is not first, second or tie".to_owned()),
        };
        Ok((choice, reason(fields)))
    };
    asking.object(scorer, messages(PAIRWISE, &texts), schema(&fields), read).await
}

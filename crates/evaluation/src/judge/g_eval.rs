//! `g-eval`: criteria become steps once, and the steps a score from 0 to 10.

use serde_json::{Value, json};

use super::asking::{Fields, number, reason};
use super::prompts::{G_EVAL, STEPS, messages, schema};
use super::{Asking, JudgeError};
use crate::model::suite::Scorer;
use crate::provider::Ask;
use crate::score::Score;

/// The threshold of promptfoo.
const THRESHOLD_DEFAULT: f64 = 0.7;
/// The best score that a judge can give.
const SCORE_MAX: f64 = 10.0;
/// Most steps, and the longest one in characters.
const STEPS_MAX: usize = 20;
const STEP_CHARACTERS_MAX: usize = 2_000;

/// The mean over all criteria.
pub(super) async fn score<A: Ask>(scorer: &Scorer, asking: &Asking<'_, A>) -> Result<Score, JudgeError> {
    let (mut sum, mut count, mut reasons) = (0.0, 0.0, Vec::new());
    for criteria in asking.texts(scorer)? {
        let (score, reason) = by_criteria(scorer, asking, &criteria).await?;
        sum += score;
        count += 1.0;
        reasons.push(reason);
    }
    let score = sum / count;
    let pass = score >= scorer.threshold.unwrap_or(THRESHOLD_DEFAULT);
    Ok(Score { pass, score, reason: reasons.join("\n\n") })
}

async fn by_criteria<A: Ask>(
    scorer: &Scorer,
    asking: &Asking<'_, A>,
    criteria: &str,
) -> Result<(f64, String), JudgeError> {
    let steps = match given_steps(scorer)? {
        Some(steps) => steps,
        None => derive_steps(scorer, asking, criteria).await?,
    };
    let input = asking.input()?;
    let steps = steps.iter().map(|step| format!("- {step}")).collect::<Vec<_>>().join("\n");
    let texts = [("criteria", criteria), ("steps", &steps), ("input", &input), ("output", &asking.output())];
    let fields = [("reason", json!({ "type": "string" })), ("score", json!({ "type": "integer" }))];
    let read = |fields: &Fields| {
        let score = number(fields, "score", SCORE_MAX)?.ok_or("`score` is missing")?;
        match reason(fields) {
            reason if reason.is_empty() => Err("`reason` is missing".to_owned()),
            reason => Ok((score / SCORE_MAX, reason)),
        }
    };
    asking.object(scorer, messages(G_EVAL, &texts), schema(&fields), read).await
}

/// The steps in the options of a scorer.
pub(super) fn given_steps(scorer: &Scorer) -> Result<Option<Vec<String>>, JudgeError> {
    let steps = scorer.config.get("steps").map(read_steps).transpose();
    steps.map_err(|fault| JudgeError::Failed(format!("config.steps: {fault}")))
}

/// Asks for the steps. The question depends on the criteria alone, so a run asks it once for each
/// model, and later runs have the same steps as long as answers are kept.
async fn derive_steps<A: Ask>(
    scorer: &Scorer,
    asking: &Asking<'_, A>,
    criteria: &str,
) -> Result<Vec<String>, JudgeError> {
    let steps = json!({ "type": "array", "items": { "type": "string" } });
    let read = |fields: &Fields| read_steps(fields.get("steps").unwrap_or(&Value::Null));
    asking.object_once(scorer, messages(STEPS, &[("criteria", criteria)]), schema(&[("steps", steps)]), read).await
}

fn read_steps(value: &Value) -> Result<Vec<String>, String> {
    let steps: Option<Vec<String>> = value.as_array().and_then(|steps| {
        let step = |step: &Value| step.as_str().map(str::trim).filter(|step| !step.is_empty()).map(str::to_owned);
        steps.iter().map(step).collect()
    });
    let fits = |steps: &Vec<String>| {
        (1..=STEPS_MAX).contains(&steps.len()) && steps.iter().all(|step| step.chars().count() <= STEP_CHARACTERS_MAX)
    };
    steps.filter(fits).ok_or_else(|| format!("`steps` is not a list of 1 to {STEPS_MAX} texts"))
}

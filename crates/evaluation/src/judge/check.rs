//! Whether a scorer that asks can ask, with what it itself reads from its model, its value and its options.

use super::asking::model;
use super::value::{text, texts};
use super::{JudgeError, endpoint, g_eval, set};
use crate::model::suite::{CheckKind, Scorer};
use crate::score::{ScoreError, Scoring};

/// Checks that a scorer that asks can be used in a case, whatever the answer is; others are not looked at, and neither
/// are the scorers of a set.
///
/// # Errors
/// It has no model, no value or no endpoint, or an option is invalid.
pub fn check(scorer: &Scorer, scoring: Scoring<'_>) -> Result<(), ScoreError> {
    let checked = match scorer.check.kind {
        CheckKind::LlmRubric | CheckKind::Factuality | CheckKind::ClosedQa | CheckKind::SelectBest => {
            text(scorer, scoring).map(drop)
        }
        CheckKind::Similar | CheckKind::GEval => texts(scorer, scoring).map(drop),
        CheckKind::Webhook => endpoint::url(scorer, scoring).map(drop),
        _ => Ok(()),
    };
    check_model(scorer)?;
    checked.map_err(without_kind)
}

/// The same for what does not depend on the case: the model, the options, and whether a set has scorers.
///
/// # Errors
/// It has no model, an option is invalid, or the set is empty.
pub fn check_model(scorer: &Scorer) -> Result<(), ScoreError> {
    let checked = match scorer.check.kind {
        CheckKind::AssertSet => set(scorer).map(drop),
        CheckKind::Similar
        | CheckKind::LlmRubric
        | CheckKind::Factuality
        | CheckKind::ClosedQa
        | CheckKind::SelectBest => model(scorer).map(drop),
        CheckKind::GEval => model(scorer).and_then(|_| g_eval::given_steps(scorer)).map(drop),
        _ => Ok(()),
    };
    checked.map_err(without_kind)
}

fn without_kind(error: JudgeError) -> ScoreError {
    match error {
        JudgeError::Scorer(error) => error,
        other => ScoreError(other.to_string()),
    }
}

//! The risk rules of the registry, applied to an answer.

use std::sync::LazyLock;

use bookholder_rules::governance::risk::Classifier;

use super::{Input, Score, ScoreError, excerpt, needs};
use crate::model::finding::Severity;

/// The built-in rules.
static RULES: LazyLock<Option<Classifier>> = LazyLock::new(|| Classifier::new(true, &[]).ok());

/// The severity from which findings count, `medium` by default.
pub(super) fn lowest(input: &Input<'_>) -> Result<Severity, ScoreError> {
    match &input.value {
        None => Ok(Severity::Medium),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| needs("a severity as its value: low, medium, high or critical")),
    }
}

/// Passes if no rule of this severity or of a higher one finds anything in the answer.
pub(super) fn risk(input: &Input<'_>) -> Result<Score, ScoreError> {
    let lowest = lowest(input)?;
    let rules = RULES.as_ref().ok_or_else(|| ScoreError("the risk rules cannot be read".to_owned()))?;
    let findings = rules.classify_text("answer", &input.text, &[0; 32]);
    let mut found: Vec<&str> =
        findings.iter().filter(|finding| finding.severity >= lowest).map(|finding| finding.rule.as_str()).collect();
    found.dedup();
    Ok(input.decide(found.is_empty(), |_| {
        if found.is_empty() {
            "the risk rules find nothing in the answer".to_owned()
        } else {
            format!("the risk rules find {}", excerpt(&found.join(", ")))
        }
    }))
}

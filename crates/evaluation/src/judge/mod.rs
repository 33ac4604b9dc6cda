//! Scores answers by asking: models that judge, embeddings, and endpoints.

use crate::model::evaluation::ScorerResult;
use crate::model::suite::Scorer;
use crate::provider::Ask;
use crate::score::Scoring;

/// Scores an answer by every scorer, deterministic ones and those that ask. `baseline` is the text of the baseline's
/// answer to the same case, for scorers that compare two.
pub async fn score_all<A: Ask>(
    _scorers: &[&Scorer],
    _scoring: Scoring<'_>,
    _baseline: Option<&str>,
    _ask: &A,
) -> Vec<ScorerResult> {
    Vec::new()
}

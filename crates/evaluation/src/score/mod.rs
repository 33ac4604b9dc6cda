//! Scores answers without asking anybody: the same answer always has the same score.

use serde_json::{Map, Value};

use crate::model::content::Content;
use crate::model::evaluation::Answer;
use crate::model::suite::{Case, Scorer};

/// What a scorer looks at.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a> {
    /// The version that was run: its tools and response schema.
    pub content: &'a Content,
    /// The case.
    pub case: &'a Case,
    /// The values of the variables: the case's, and the suite's where it sets none.
    pub variables: &'a Map<String, Value>,
    /// The answer.
    pub answer: &'a Answer,
}

/// The score of an answer by one scorer.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Whether it passed.
    pub pass: bool,
    /// From 0 to 1.
    pub score: f64,
    /// Why, for people.
    pub reason: String,
}

/// Why an answer has no score: it is neither passed nor failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ScoreError(pub String);

/// Scores an answer by one deterministic scorer; `None` if the scorer asks a model or an endpoint.
///
/// # Errors
/// The scorer cannot be applied: its value or threshold is missing or invalid.
pub fn score(_scorer: &Scorer, _scoring: Scoring<'_>) -> Option<Result<Score, ScoreError>> {
    None
}

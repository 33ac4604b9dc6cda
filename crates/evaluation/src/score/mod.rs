//! Scores answers without asking anybody: the same answer always has the same score.
//!
//! The scorers are those of promptfoo and mean exactly what they mean there; `tests/promptfoo` runs the same assertions
//! through promptfoo, and a test compares each verdict and score. Texts of answers are untrusted: no scorer panics on
//! one, and each takes time that grows with its length, or has a limit.

mod aggregate;
mod check;
mod javascript;
mod json;
mod markup;
mod refusal;
mod regex;
mod risk;
mod similarity;
mod text;
mod tools;
mod usage;
mod value;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use serde_json::{Map, Value, json};

pub use self::aggregate::{aggregate, case_verdict};
pub use self::check::check;
pub use self::value::{fill, is_template};
use crate::model::content::Content;
use crate::model::evaluation::Answer;
use crate::model::suite::{Case, CheckKind, Scorer};

/// Longest part of a value or an answer in a reason, in characters.
const EXCERPT_CHARACTERS_MAX: usize = 200;

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
pub fn score(scorer: &Scorer, scoring: Scoring<'_>) -> Option<Result<Score, ScoreError>> {
    let scored = match scorer.check.kind {
        CheckKind::AssertSet
        | CheckKind::Similar
        | CheckKind::LlmRubric
        | CheckKind::GEval
        | CheckKind::Factuality
        | CheckKind::ClosedQa
        | CheckKind::SelectBest
        | CheckKind::Webhook => return None,
        kind => Input::new(scorer, scoring).and_then(|input| apply(kind, &input)),
    };
    Some(scored.map(|score| Score { pass: score.pass || scorer.weight == 0.0, ..score }))
}

fn apply(kind: CheckKind, input: &Input<'_>) -> Result<Score, ScoreError> {
    match kind {
        CheckKind::Equals => text::equals(input),
        CheckKind::Contains => text::contains(input, false),
        CheckKind::Icontains => text::contains(input, true),
        CheckKind::ContainsAll => text::contains_list(input, true, false),
        CheckKind::ContainsAny => text::contains_list(input, false, false),
        CheckKind::IcontainsAll => text::contains_list(input, true, true),
        CheckKind::IcontainsAny => text::contains_list(input, false, true),
        CheckKind::StartsWith => text::starts_with(input),
        CheckKind::Regex => regex::regex(input),
        CheckKind::IsJson => json::is_json(input),
        CheckKind::ContainsJson => json::contains_json(input),
        CheckKind::IsRefusal => Ok(refusal::is_refusal(input)),
        CheckKind::WordCount => text::word_count(input),
        CheckKind::Levenshtein => similarity::levenshtein(input),
        CheckKind::RougeN => similarity::rouge_n(input),
        CheckKind::Bleu => similarity::bleu(input),
        CheckKind::Gleu => similarity::gleu(input),
        CheckKind::Meteor => similarity::meteor(input),
        CheckKind::Latency => usage::latency(input),
        CheckKind::Cost => usage::cost(input),
        CheckKind::FinishReason => text::finish_reason(input),
        CheckKind::Perplexity => usage::perplexity(input),
        CheckKind::Risk => risk::risk(input),
        CheckKind::IsXml => markup::is_xml(input),
        CheckKind::ContainsXml => markup::contains_xml(input),
        CheckKind::IsValidFunctionCall | CheckKind::IsValidOpenaiFunctionCall => {
            Ok(tools::is_valid_function_call(input))
        }
        CheckKind::IsValidOpenaiToolsCall => Ok(tools::is_valid_tools_call(input)),
        CheckKind::ToolCallF1 => tools::tool_call_f1(input),
        CheckKind::IsHtml => markup::is_html(input),
        CheckKind::ContainsHtml => Ok(markup::contains_html(input)),
        _ => Err(ScoreError(format!("{} asks a model", kind.as_str()))),
    }
}

/// A scorer, its value with the variables filled in, and the answer as it sees it.
struct Input<'a> {
    scorer: &'a Scorer,
    scoring: Scoring<'a>,
    value: Option<Value>,
    /// What the model answered: a text, its calls of tools, or a message with both.
    output: Cow<'a, Value>,
    /// The same as a text.
    text: Cow<'a, str>,
}

impl<'a> Input<'a> {
    fn new(scorer: &'a Scorer, scoring: Scoring<'a>) -> Result<Self, ScoreError> {
        let Answer { text, tool_calls, .. } = scoring.answer;
        let output = match (tool_calls.is_empty(), text.is_empty()) {
            (true, _) => Value::Null,
            (false, true) => Value::Array(tool_calls.clone()),
            (false, false) => json!({ "role": "assistant", "content": text, "tool_calls": tool_calls }),
        };
        let text = if output.is_null() { Cow::Borrowed(text.as_str()) } else { Cow::Owned(output.to_string()) };
        Ok(Self { scorer, scoring, value: value::value(scorer, scoring)?, output: Cow::Owned(output), text })
    }

    /// The answer in lower case.
    fn lower(&self) -> String {
        self.text.to_lowercase()
    }

    /// The value, which must be a text.
    fn text_value(&self) -> Result<&str, ScoreError> {
        match &self.value {
            Some(Value::String(text)) => Ok(text),
            _ => Err(needs("a text as its value")),
        }
    }

    /// The texts to compare with: the value is one, or a list of them.
    fn references(&self) -> Result<Vec<&str>, ScoreError> {
        let texts = match &self.value {
            Some(Value::String(text)) => Some(vec![text.as_str()]),
            Some(Value::Array(items)) => items.iter().map(Value::as_str).collect(),
            _ => None,
        };
        texts.filter(|texts| !texts.is_empty()).ok_or_else(|| needs("a text, or a list of texts, as its value"))
    }

    /// Passes if the check holds, or if it does not and the scorer is a `not-` one. The reason is given `"not "` or
    /// nothing, for its sentence.
    fn decide(&self, holds: bool, reason: impl FnOnce(&'static str) -> String) -> Score {
        let not = self.scorer.check.not;
        let pass = holds != not;
        let reason = if pass { "passed".to_owned() } else { reason(if not { "not " } else { "" }) };
        Score { pass, score: f64::from(u8::from(pass)), reason }
    }

    /// Passes from the threshold on; the score is how similar the answer is, or how different by a `not-` scorer.
    fn graded(&self, what: &str, similarity: f64, default_threshold: f64) -> Score {
        let threshold = self.scorer.threshold.unwrap_or(default_threshold);
        let reached = similarity >= threshold;
        let compared = if reached { "reaches" } else { "is below" };
        Score {
            pass: reached != self.scorer.check.not,
            score: if self.scorer.check.not { 1.0 - similarity } else { similarity },
            reason: format!("{what} {similarity:.4} {compared} the threshold {threshold}"),
        }
    }
}

/// An error about what a scorer lacks.
fn needs(what: &str) -> ScoreError {
    ScoreError(format!("the scorer needs {what}"))
}

/// The beginning of a text, for a reason.
fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(EXCERPT_CHARACTERS_MAX).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

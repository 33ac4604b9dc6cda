//! Whether a scorer can score any answer, with what it itself reads from its value and its threshold.

use super::{Input, ScoreError, Scoring, json, markup, regex, risk, text, tools, usage};
use crate::model::suite::{CheckKind, Scorer};

/// Checks that a deterministic scorer can be applied in a case, whatever the answer is; others are not looked at.
///
/// # Errors
/// Its value or threshold is missing or invalid.
pub fn check(scorer: &Scorer, scoring: Scoring<'_>) -> Result<(), ScoreError> {
    let input = Input::new(scorer, scoring)?;
    let input = &input;
    match scorer.check.kind {
        CheckKind::Equals => text::equal(input).map(drop),
        CheckKind::Contains | CheckKind::Icontains => text::needle(input).map(drop),
        CheckKind::ContainsAll | CheckKind::ContainsAny | CheckKind::IcontainsAll | CheckKind::IcontainsAny => {
            text::needles(input).map(drop)
        }
        CheckKind::StartsWith => text::start(input).map(drop),
        CheckKind::Regex => regex::check(input),
        CheckKind::IsJson | CheckKind::ContainsJson => json::schema(input).map(drop),
        CheckKind::IsXml | CheckKind::ContainsXml => markup::required(input).map(drop),
        CheckKind::WordCount => text::words_expected(input).map(drop),
        CheckKind::Levenshtein | CheckKind::RougeN | CheckKind::FinishReason => input.text_value().map(drop),
        CheckKind::Bleu | CheckKind::Gleu | CheckKind::Meteor => input.references().map(drop),
        CheckKind::Latency => usage::milliseconds(input).map(drop),
        CheckKind::Cost => usage::dollars(input).map(drop),
        CheckKind::ToolCallF1 => tools::expected_tools(input).map(drop),
        CheckKind::Risk => risk::lowest(input).map(drop),
        CheckKind::IsHtml
        | CheckKind::ContainsHtml
        | CheckKind::IsRefusal
        | CheckKind::Perplexity
        | CheckKind::IsValidFunctionCall
        | CheckKind::IsValidOpenaiFunctionCall
        | CheckKind::IsValidOpenaiToolsCall
        | CheckKind::AssertSet
        | CheckKind::Similar
        | CheckKind::LlmRubric
        | CheckKind::GEval
        | CheckKind::Factuality
        | CheckKind::ClosedQa
        | CheckKind::SelectBest
        | CheckKind::Webhook => Ok(()),
    }
}

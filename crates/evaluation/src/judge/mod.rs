//! Scores answers by asking: models that judge, embeddings, and endpoints.
//!
//! A judge gives its reason before its score, as JSON. The texts that it sees are fenced, because they are untrusted: an
//! answer may ask to be graded well. A judge that cannot be understood is asked once more; then the answer has no
//! verdict, which is neither passed nor failed. What is sent depends on nothing but the texts, so that the same question
//! is found again among the answers that a run remembers.

mod asking;
mod check;
mod endpoint;
mod g_eval;
mod pairwise;
mod prompts;
mod rubric;
mod similar;
mod value;

use std::borrow::Cow;

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};

pub use self::check::{check, check_model};
pub use self::prompts::PROMPTS_VERSION;
use crate::clock::Cancellation;
use crate::model::evaluation::{Answer, CaseVerdict, ScorerResult};
use crate::model::rendered::Rendered;
use crate::model::suite::{CheckKind, Scorer};
use crate::provider::{Ask, CallError};
use crate::score::{Score, ScoreError, Scoring, aggregate, score};
use crate::template::render::{RenderInput, render};

/// Scorers of one answer that ask at the same time.
const ASKING_AT_ONCE: usize = 4;
/// Longest reason that is kept, in characters.
const REASON_CHARACTERS_MAX: usize = 2_000;

/// Scores an answer by every scorer, deterministic ones and those that ask. `baseline` is the text of the baseline's
/// answer to the same case, for scorers that compare two.
pub async fn score_all<A: Ask>(
    scorers: &[&Scorer],
    scoring: Scoring<'_>,
    baseline: Option<&str>,
    ask: &A,
) -> Vec<ScorerResult> {
    let asking = Asking { scoring, baseline, ask };
    asking.all(scorers.to_vec()).await
}

/// Why an answer has no verdict.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
enum JudgeError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Scorer(#[from] ScoreError),
    #[error("{0}")]
    Failed(String),
}

impl JudgeError {
    fn failed(reason: impl Into<String>) -> Self {
        Self::Failed(reason.into())
    }
}

/// What scorers look at, and whom they ask.
struct Asking<'a, A> {
    scoring: Scoring<'a>,
    baseline: Option<&'a str>,
    ask: &'a A,
}

impl<A: Ask> Asking<'_, A> {
    async fn all<'s>(&'s self, scorers: Vec<&'s Scorer>) -> Vec<ScorerResult> {
        let scored: Vec<BoxFuture<'s, ScorerResult>> = scorers.into_iter().map(|scorer| self.one(scorer)).collect();
        stream::iter(scored).buffered(ASKING_AT_ONCE).collect().await
    }

    fn one<'s>(&'s self, scorer: &'s Scorer) -> BoxFuture<'s, ScorerResult> {
        let result = |verdict, score: f64, reason: &str| ScorerResult {
            scorer: scorer.check.to_string(),
            metric: scorer.metric.clone(),
            weight: scorer.weight,
            verdict,
            score,
            reason: shortened(reason),
        };
        // Boxed, because a set of scorers may have sets.
        Box::pin(async move {
            match self.scored(scorer).await {
                Ok(Score { pass, score, reason }) => {
                    let passes = pass || scorer.weight == 0.0;
                    result(if passes { CaseVerdict::Passed } else { CaseVerdict::Failed }, score, &reason)
                }
                Err(error) => result(CaseVerdict::Error, 0.0, &error.to_string()),
            }
        })
    }

    async fn scored(&self, scorer: &Scorer) -> Result<Score, JudgeError> {
        if let Some(scored) = score(scorer, self.scoring) {
            return Ok(scored?);
        }
        // `similar` itself knows the opposite: a list of texts must all be far.
        let judged = match scorer.check.kind {
            CheckKind::AssertSet => self.set(scorer).await?,
            CheckKind::Similar => return similar::score(scorer, self).await,
            CheckKind::LlmRubric => rubric::rubric(scorer, self).await?,
            CheckKind::ClosedQa => rubric::closed_qa(scorer, self).await?,
            CheckKind::Factuality => rubric::factuality(scorer, self).await?,
            CheckKind::GEval => g_eval::score(scorer, self).await?,
            CheckKind::SelectBest => pairwise::score(scorer, self).await?,
            CheckKind::Webhook => endpoint::score(scorer, self).await?,
            other => return Err(JudgeError::Failed(format!("{} is not supported", other.as_str()))),
        };
        Ok(if scorer.check.not {
            Score { pass: !judged.pass, score: 1.0 - judged.score, reason: judged.reason }
        } else {
            judged
        })
    }

    /// Scorers as one. One of them without a verdict leaves the set without one, unless another decides it.
    async fn set(&self, scorer: &Scorer) -> Result<Score, JudgeError> {
        let results = self.all(set(scorer)?.iter().collect()).await;
        let (verdict, score, reason) = aggregate(&results, scorer.threshold);
        match verdict {
            CaseVerdict::Error => Err(JudgeError::Failed(reason)),
            verdict => Ok(Score { pass: verdict == CaseVerdict::Passed, score, reason }),
        }
    }

    /// The answer as a judge reads it: its text, or a message if it calls tools.
    fn output(&self) -> Cow<'_, str> {
        let Answer { text, tool_calls, .. } = self.scoring.answer;
        match (tool_calls.is_empty(), text.is_empty()) {
            (true, _) => Cow::Borrowed(text),
            (false, true) => Cow::Owned(Value::Array(tool_calls.clone()).to_string()),
            (false, false) => {
                Cow::Owned(json!({ "role": "assistant", "content": text, "tool_calls": tool_calls }).to_string())
            }
        }
    }

    /// What the model was asked, as a judge reads it: each message with its role.
    fn input(&self) -> Result<String, JudgeError> {
        let Scoring { content, case, variables, .. } = self.scoring;
        let input = RenderInput { variables, messages: &case.placeholders, strict: false };
        let rendered = render(content, input, &Cancellation::never())
            .map_err(|error| JudgeError::Failed(format!("the input cannot be rendered: {error}")))?;
        let mut messages = match rendered.rendered {
            Rendered::Text(text) if case.messages.is_empty() => return Ok(text),
            Rendered::Text(text) => vec![json!({ "role": "system", "content": text })],
            Rendered::Messages(messages) => messages,
        };
        messages.extend(case.messages.iter().cloned());
        let line = |message: &Value| {
            let role = message.get("role").and_then(Value::as_str).unwrap_or_default();
            match message.get("content") {
                Some(Value::String(text)) => format!("{role}: {text}"),
                _ => message.to_string(),
            }
        };
        Ok(messages.iter().map(line).collect::<Vec<_>>().join("\n\n"))
    }

    /// The value of a scorer as one text, with the variables of the case.
    fn text(&self, scorer: &Scorer) -> Result<String, JudgeError> {
        value::text(scorer, self.scoring)
    }

    /// The values of a scorer, with the variables of the case; without one, the expected answer.
    fn texts(&self, scorer: &Scorer) -> Result<Vec<String>, JudgeError> {
        value::texts(scorer, self.scoring)
    }
}

/// The scorers of a set.
fn set(scorer: &Scorer) -> Result<&[Scorer], JudgeError> {
    if scorer.scorers.is_empty() {
        return Err(JudgeError::failed("the set has no scorers; add some to its `scorers`"));
    }
    Ok(&scorer.scorers)
}

fn shortened(reason: &str) -> String {
    match reason.char_indices().nth(REASON_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", reason.get(..end).unwrap_or_default()),
        None => reason.to_owned(),
    }
}

#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;

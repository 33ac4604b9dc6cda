//! Evaluations: what a run asked, what came back, and what it means for a gate.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::content_id::ContentId;
use super::name::PromptName;
use super::suite::{Budget, GateRule, ModelName};
use super::time::Timestamp;
use super::usd::Usd;
use crate::json;

/// What a run evaluates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Evaluated {
    /// The prompt.
    pub prompt: PromptName,
    /// The number of the version; absent for text that was not published.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub version: Option<u64>,
    /// What exactly was run.
    pub content_id: ContentId,
}

/// A version of a suite, as a run used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SuiteRef {
    /// Its name.
    pub name: String,
    /// The number of its version.
    #[serde(deserialize_with = "json::whole")]
    pub number: u64,
    /// The hash of its encoding: cases, scorers and what the gate requires.
    pub id: ContentId,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = RunState)]
pub enum RunState {
    /// It waits for its turn.
    Queued,
    /// Cases are being run.
    Running,
    /// All cases have a result.
    Finished,
    /// It was canceled.
    Canceled,
    /// It ended early: a limit of its budget, or too many errors.
    Stopped,
}

impl RunState {
    /// Whether nothing more will come.
    #[must_use]
    pub const fn is_over(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Canceled => "canceled",
            Self::Stopped => "stopped",
        }
    }
}

impl fmt::Display for RunState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a gate says. Only a gate that passed meets a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GateState {
    /// Everything required was reached.
    Passed,
    /// Something required was not reached.
    Failed,
    /// Nobody can tell: the run did not end, or too many of its calls failed.
    Inconclusive,
}

impl GateState {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Inconclusive => "inconclusive",
        }
    }
}

impl fmt::Display for GateState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether one answer passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CaseVerdict {
    /// It did.
    Passed,
    /// It did not.
    Failed,
    /// It could not be judged: the model or a judge did not answer.
    Error,
}

impl CaseVerdict {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for CaseVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text is not one of a few words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use {0}")]
pub struct WordError(&'static str);

impl FromStr for CaseVerdict {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let all = [Self::Passed, Self::Failed, Self::Error];
        all.into_iter().find(|verdict| verdict.as_str() == text).ok_or(WordError("passed, failed or error"))
    }
}

impl FromStr for Side {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "candidate" => Ok(Self::Candidate),
            "baseline" => Ok(Self::Baseline),
            _ => Err(WordError("candidate or baseline")),
        }
    }
}

/// Which of the two versions of a run answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The one that is evaluated.
    #[default]
    Candidate,
    /// The one that it is compared with.
    Baseline,
}

impl Side {
    /// Its name in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Baseline => "baseline",
        }
    }
}

/// What a model answered, as scorers see it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Calls of tools, as the OpenAI API writes them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Value>,
    /// Why the model stopped, for example `stop` or `length`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_reason: Option<String>,
    /// Whether the provider marked the answer as a refusal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refused: bool,
    /// The model that answered, as the provider names it: often a snapshot of the one that was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Log probabilities of the tokens, if the version asks for them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<f64>,
    /// What was used.
    #[serde(default)]
    pub usage: AnswerUsage,
    /// Milliseconds until the whole answer was there; of an answer of an earlier run, what it took then.
    #[serde(default, deserialize_with = "json::whole")]
    pub latency_ms: u64,
    /// Milliseconds until its first token was there; absent if it did not stream.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub first_token_ms: Option<u64>,
    /// Whether it is of an earlier run, and nothing was called.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

/// The tokens of an answer, and what they cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AnswerUsage {
    /// Tokens that were read; absent if the provider does not say.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub input_tokens: Option<u64>,
    /// Of them, tokens that were read from a cache.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub cache_read_tokens: Option<u64>,
    /// Tokens that were written to a cache.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub cache_write_tokens: Option<u64>,
    /// Tokens that were written.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub output_tokens: Option<u64>,
    /// Of them, tokens of reasoning.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub reasoning_tokens: Option<u64>,
    /// What it cost; absent if no price is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<Usd>,
}

/// What one scorer says of one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScorerResult {
    /// The scorer, for example `contains`.
    pub scorer: String,
    /// The metric that it counts towards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Its weight in the score of the case.
    pub weight: f64,
    /// Whether the answer passed; `error` if that is not known.
    pub verdict: CaseVerdict,
    /// From 0 to 1.
    pub score: f64,
    /// Why.
    pub reason: String,
}

/// The result of one case on one model, once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct CaseResult {
    /// The case.
    pub case: String,
    /// The model that was asked.
    pub model: ModelName,
    /// Which repeat, from 0.
    #[serde(deserialize_with = "json::whole")]
    pub repeat: u32,
    /// Whose answer it is.
    #[serde(default)]
    pub side: Side,
    /// Whether it passed.
    pub verdict: CaseVerdict,
    /// Its score, from 0 to 1.
    pub score: f64,
    /// What went wrong, if it is an error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The answer; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// What each scorer says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scorers: Vec<ScorerResult>,
    /// What judging it cost.
    #[serde(default)]
    pub judging: Usd,
    /// The models that judged it, also from answers that were kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judges: Vec<JudgeUse>,
}

/// What a model was asked to judge a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct JudgeUse {
    /// The model that was asked.
    pub model: ModelName,
    /// The one that answered, as the provider names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered: Option<String>,
    /// Number of answers.
    #[serde(deserialize_with = "json::whole")]
    pub calls: u64,
    /// Of them, those that were remembered.
    #[serde(default, deserialize_with = "json::whole")]
    pub cached: u64,
    /// The tokens of all of them, and what they cost, also if that was paid for earlier.
    #[serde(default)]
    pub usage: AnswerUsage,
}

impl AnswerUsage {
    /// Both together; what only one of them says is not lost.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let sum = |one: Option<u64>, other: Option<u64>| match (one, other) {
            (Some(one), Some(other)) => Some(one.saturating_add(other)),
            (one, other) => one.or(other),
        };
        Self {
            input_tokens: sum(self.input_tokens, other.input_tokens),
            cache_read_tokens: sum(self.cache_read_tokens, other.cache_read_tokens),
            cache_write_tokens: sum(self.cache_write_tokens, other.cache_write_tokens),
            output_tokens: sum(self.output_tokens, other.output_tokens),
            reasoning_tokens: sum(self.reasoning_tokens, other.reasoning_tokens),
            cost: match (self.cost, other.cost) {
                (Some(one), Some(other)) => Some(one.plus(other)),
                (one, other) => one.or(other),
            },
        }
    }
}

/// One condition of a gate, and whether it was met.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateCheck {
    /// What was required and what was reached, in words.
    pub says: String,
    /// Whether it was met.
    pub state: GateState,
}

/// The verdict of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateVerdict {
    /// The verdict.
    pub state: GateState,
    /// Every condition.
    pub checks: Vec<GateCheck>,
}

/// What a run decided about a content, as the registry records it: with it a policy lets a version through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateResult {
    /// What was evaluated.
    pub candidate: Evaluated,
    /// The version of the suite, with the hash of its cases, scorers and conditions.
    pub suite: SuiteRef,
    /// The verdict.
    pub state: GateState,
    /// Every condition.
    pub checks: Vec<GateCheck>,
    /// The run.
    #[serde(deserialize_with = "json::whole")]
    pub run: u64,
    /// What it was compared with, if the suite has a margin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Evaluated>,
    /// What each include of it that does not name a version meant then, by how it is written.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub includes: BTreeMap<String, u64>,
    /// The latest version then of each prompt that feeds it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstream: BTreeMap<PromptName, u64>,
    /// The models that were asked, and the snapshots that answered, as providers name them.
    pub models: BTreeMap<String, BTreeSet<String>>,
    /// The same of the models that judged.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub judges: BTreeMap<String, BTreeSet<String>>,
    /// The hash of all results: cases, answers and scores.
    pub results: ContentId,
    /// The version of the program that decided.
    pub decided_by: String,
    /// Who sent the results, if another tool produced them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_by: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Why it should be decided again; absent while it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// Counts and sums of a run, so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunSummary {
    /// Results to come in all.
    #[serde(deserialize_with = "json::whole")]
    pub planned: u64,
    /// Answers that passed.
    #[serde(deserialize_with = "json::whole")]
    pub passed: u64,
    /// Answers that failed.
    #[serde(deserialize_with = "json::whole")]
    pub failed: u64,
    /// Cases without a verdict.
    #[serde(deserialize_with = "json::whole")]
    pub errors: u64,
    /// Weighted mean of the scores; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Mean of each metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
    /// Share of cases whose repeats all have the same verdict; absent without repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consistency: Option<f64>,
    /// Cases whose repeats differ.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flaky: Vec<String>,
    /// Calls that were made: models and judges, without what was kept from earlier runs.
    #[serde(deserialize_with = "json::whole")]
    pub calls: u64,
    /// What they cost.
    pub cost: Usd,
    /// Median latency in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub latency_p50_ms: Option<u64>,
    /// 95th percentile of it.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub latency_p95_ms: Option<u64>,
}

/// How the candidate compares with the baseline on the same cases.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunComparison)]
pub struct Comparison {
    /// The baseline.
    pub baseline: Evaluated,
    /// Cases that both have a verdict for.
    #[serde(deserialize_with = "json::whole")]
    pub pairs: u64,
    /// Cases that passed and now fail.
    pub worse: Vec<String>,
    /// Cases that failed and now pass.
    pub better: Vec<String>,
    /// Two-sided exact McNemar test of these two counts.
    pub mcnemar_p: f64,
    /// Mean difference of the scores, candidate minus baseline.
    pub difference: f64,
    /// The end of the one-sided 95% interval of it: with 95% confidence it is not lower.
    pub lower_bound: f64,
    /// Cases with the same verdict and a lower score, those that lost most first; the first 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lower: Vec<ScoreChange>,
    /// The mean of each metric of the baseline.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, f64>,
}

/// The score of a case before and after.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ScoreChange {
    /// The case.
    pub case: String,
    /// Its score with the baseline.
    pub before: f64,
    /// Its score with the candidate.
    pub after: f64,
}

/// One run of a suite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = EvaluationRun)]
pub struct Run {
    /// Its number.
    #[serde(deserialize_with = "json::whole")]
    pub id: u64,
    /// What is evaluated.
    pub candidate: Evaluated,
    /// What it is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Evaluated>,
    /// The suite.
    pub suite: SuiteRef,
    /// The models.
    pub models: Vec<ModelName>,
    /// How often each case is run on each model.
    #[serde(deserialize_with = "json::whole")]
    pub repeats: u32,
    /// Its limits.
    #[serde(default)]
    pub budget: Budget,
    /// What it must reach.
    #[serde(default)]
    pub gate: GateRule,
    /// Who started it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// How far it is.
    pub state: RunState,
    /// Whether its verdict counts for policies: all cases of the latest suite, on its models, as often as it says.
    #[serde(default)]
    pub decides_gate: bool,
    /// The change request that deploys the version as soon as everything that policies require is met.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "json::whole_option")]
    pub change_request: Option<u64>,
    /// Why it ended early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Counts and sums of the candidate.
    pub summary: RunSummary,
    /// How it compares with the baseline, when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
    /// What the gate says, when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<GateVerdict>,
    /// The tool that ran it, if its results were imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported_from: Option<String>,
    /// When its results were removed, because they were older than they are kept for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub results_removed: Option<Timestamp>,
    /// Why what its gate decided should be decided again; absent while it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

//! Counts of what models answered: calls, cost, latency, errors and scores, in total and over time.
//!
//! A field names its unit. Costs are decimal strings, exact to 1e-12 dollars; a call whose cost is not known is in
//! `calls` and not in `priced_calls`, and never counted as free. Quantiles are within one percent.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::completeness::Completeness;
use crate::model::deployment::Deployment;
use crate::model::name::PromptName;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;

/// Most groups of one answer; the smallest of more are counted together as [`OTHER_GROUP`].
pub const GROUPS_MAX: usize = 50;
/// The group of what is beyond [`GROUPS_MAX`].
pub const OTHER_GROUP: &str = "_other";
/// Most deployments in one answer; the newest of more.
pub const STATS_DEPLOYMENTS_MAX: usize = 500;
/// Most prompts in one answer.
pub const USAGE_PROMPTS_MAX: usize = 1_000;
/// Prompts of one answer whose own text and versions are looked at: the most expensive ones.
pub const TEXT_PROMPTS_MAX: usize = 25;
/// Versions of such a prompt that are looked at: the newest ones with calls in the period.
pub const TEXT_VERSIONS_MAX: usize = 5;
/// Prompts in one answer, unless the request says otherwise.
pub const USAGE_PROMPTS_DEFAULT: usize = 100;

/// What the calls of a prompt are grouped by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum StatsBy {
    /// The version that produced the response.
    #[default]
    Version,
    /// The model that answered, or was requested.
    Model,
    /// The label that was requested.
    Label,
    /// The rule that chose the version, and the version.
    Arm,
    /// Where the application runs.
    Environment,
}

/// The text is not the name of a grouping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use version, model, label, arm or environment")]
pub struct StatsByError;

impl StatsBy {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Version, Self::Model, Self::Label, Self::Arm, Self::Environment];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Model => "model",
            Self::Label => "label",
            Self::Arm => "arm",
            Self::Environment => "environment",
        }
    }
}

impl fmt::Display for StatsBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for StatsBy {
    type Err = StatsByError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|by| by.as_str() == text).ok_or(StatsByError)
    }
}

/// What was counted for one prompt in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptStats {
    /// The prompt.
    pub name: PromptName,
    /// The start of the period, which is the start of a minute, an hour or a day.
    pub since: Timestamp,
    /// The end of the period.
    pub until: Timestamp,
    /// The length of a point in time of `series`, in seconds.
    pub bucket_s: u64,
    /// The time of the newest recorded report. Reports from replicas that have not sent theirs yet are missing.
    pub newest: Option<Timestamp>,
    /// Up to when the numbers are complete.
    #[serde(default)]
    pub completeness: Completeness,
    /// What the groups differ in.
    pub by: StatsBy,
    /// All groups together.
    pub total: StatsCounts,
    /// The groups: versions from the newest, others by number of calls. At most 50; the smallest of more are together in
    /// a group `_other` at the end.
    pub groups: Vec<StatsGroup>,
    /// Deployments of the prompt in the period, oldest first; the newest 500.
    pub deployments: Vec<Deployment>,
    /// Prompts that it may feed, as the newest traces suggest, and that it is not said to feed; at most 5.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub followed_by: Vec<FollowingPrompt>,
}

/// A prompt that is called after another one in the same traces.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FollowingPrompt {
    /// The prompt.
    pub name: PromptName,
    /// In how many of the newest traces.
    pub traces: u64,
}

/// What was counted of one group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsGroup {
    /// The version, model, label, arm or environment; absent where the application did not say.
    pub key: Option<String>,
    /// In the whole period.
    pub counts: StatsCounts,
    /// Over time; points without calls and scores are left out.
    pub series: Vec<StatsPoint>,
}

/// Counts and distributions of calls and their scores.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsCounts {
    /// Calls of models.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls with a known cost.
    pub priced_calls: u64,
    /// The cost of the calls with a known cost.
    pub cost_usd: Usd,
    /// Calls with a known number of input tokens.
    pub input_counted_calls: u64,
    /// Calls with a known number of output tokens.
    pub output_counted_calls: u64,
    /// Tokens, by kind.
    pub tokens: StatsTokens,
    /// How long calls took; absent if no call says.
    pub latency_ms: Option<StatsQuantiles>,
    /// How long the first token took; absent if no call says.
    pub first_token_ms: Option<StatsQuantiles>,
    /// Scores, by name.
    pub scores: Vec<StatsScore>,
}

impl StatsCounts {
    /// The share of calls with a known cost; none without calls.
    pub fn cost_coverage(&self) -> Option<f64> {
        share(self.priced_calls, self.calls)
    }

    /// The mean cost of a call with a known cost.
    pub fn cost_per_call(&self) -> Option<Usd> {
        self.cost_usd.per(self.priced_calls)
    }

    /// The share of calls that failed; none without calls.
    pub fn error_rate(&self) -> Option<f64> {
        share(self.errors, self.calls)
    }

    /// The share of input tokens that came from a cache; none without input.
    pub fn cached_share(&self) -> Option<f64> {
        // A call can report what was cached and no input.
        share(self.tokens.cache_read.min(self.tokens.input), self.tokens.input)
    }
}

/// A part of a whole, from 0 to 1; none of nothing.
#[allow(clippy::cast_precision_loss, reason = "for display, where 53 bits are enough")]
pub fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Tokens, by kind; the parts are included in input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsTokens {
    /// Tokens that models read.
    pub input: u64,
    /// Input tokens that came from a cache.
    pub cache_read: u64,
    /// Input tokens that were written to a cache.
    pub cache_write: u64,
    /// Tokens that models wrote.
    pub output: u64,
    /// Output tokens that were reasoning.
    pub reasoning: u64,
}

/// Quantiles of durations in milliseconds, by the nearest rank, each within one percent: of fewer than 100 calls, the 99th
/// percentile is the longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsQuantiles {
    /// Calls that say how long they took.
    pub n: u64,
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
}

/// What was counted of one score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsScore {
    /// What is scored, for example `helpfulness`.
    pub name: String,
    /// Scores that are numbers. Where all are `true` or `false`, these count as 1 and 0; beside numbers they are
    /// categories alone.
    pub n: u64,
    /// Their mean; absent if no score is a number.
    pub mean: Option<f64>,
    /// The lowest; absent where numbers and `true` or `false` were reported under the same name.
    pub min: Option<f64>,
    /// The highest; absent as the lowest is.
    pub max: Option<f64>,
    /// How often each category was given; `true` and `false` are two of them.
    pub categories: BTreeMap<String, u64>,
}

/// What was counted in a part of the period.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsPoint {
    /// Its start; that of the first point can be before the start of the period.
    pub at: Timestamp,
    /// Calls of models.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls with a known cost.
    pub priced_calls: u64,
    /// The cost of the calls with a known cost.
    pub cost_usd: Usd,
    /// Tokens that models read.
    pub input_tokens: u64,
    /// Tokens that models wrote.
    pub output_tokens: u64,
    /// The median of how long calls took, in milliseconds.
    pub latency_p50_ms: Option<f64>,
    /// The 95th percentile of how long calls took, in milliseconds.
    pub latency_p95_ms: Option<f64>,
    /// Median time to the first token, in milliseconds; absent if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_p50_ms: Option<f64>,
    /// 95th percentile of it; absent if it is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_p95_ms: Option<f64>,
    /// Means of scores that are numbers, by name.
    pub scores: Vec<StatsPointScore>,
}

/// The mean of one score in a part of the period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsPointScore {
    /// What is scored.
    pub name: String,
    /// Scores that are numbers.
    pub n: u64,
    /// Their mean.
    pub mean: f64,
}

/// What was counted for all prompts that the caller can read, in a period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UsageStats {
    /// The start of the period, which is the start of a minute, an hour or a day.
    pub since: Timestamp,
    /// The end of the period.
    pub until: Timestamp,
    /// The start of the period before, of the same length, for comparison.
    pub previous_since: Timestamp,
    /// The length of a point in time of `series`, in seconds.
    pub bucket_s: u64,
    /// The time of the newest recorded report. Reports from replicas that have not sent theirs yet are missing.
    pub newest: Option<Timestamp>,
    /// Up to when the numbers are complete.
    #[serde(default)]
    pub completeness: Completeness,
    /// Everything that the caller can read, together.
    pub total: StatsCounts,
    /// The share of calls with a known cost, from 0 to 1; absent without calls.
    pub cost_coverage: Option<f64>,
    /// The same in the period before.
    pub previous: SpendCounts,
    /// What belongs to no known version; only for callers who can read every prompt.
    pub unattributed: Option<UnattributedUsage>,
    /// Over time; points without calls are left out.
    pub series: Vec<SpendPoint>,
    /// Prompts with calls in either period, the most expensive first.
    pub prompts: Vec<PromptUsage>,
    /// Prompts beyond the limit, which are part of the total.
    pub more_prompts: u64,
}

/// What one prompt used.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PromptUsage {
    /// The prompt.
    pub name: PromptName,
    /// In the period.
    pub counts: StatsCounts,
    /// In the period before.
    pub previous: SpendCounts,
    /// What its own text costs; absent if that is unknown, and after the 25 most expensive prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<TextUsage>,
    /// How the cost per call changed with its newest version; absent without two versions with calls in the period, and
    /// after the 25 most expensive prompts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_change: Option<VersionChange>,
    /// Over time; points without calls are left out.
    pub series: Vec<SpendPoint>,
}

/// What a prompt's own text costs. An estimate: models report the number of tokens, not where each came from.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TextUsage {
    /// Average tokens of the text in a call: one for every four bytes, without the values of variables.
    pub tokens_per_call: u64,
    /// What the text costs: the price of the average call with it, minus the price without it. Input tokens that
    /// came from a cache count as tokens of the text first, because it comes first.
    pub cost_usd: Usd,
    /// The part of the prompt's spend that this is an estimate for: calls of its five newest versions with calls in the
    /// period, with known tokens, of models with a price.
    pub of_cost_usd: Usd,
    /// The share of that spend that is the text, from 0 to 1.
    pub share: f64,
    /// What a text one tenth shorter would have saved.
    pub tenth_shorter_saves_usd: Usd,
}

/// How the cost per call changed with the newest version of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct VersionChange {
    /// The newest version with calls of known cost.
    pub version: u64,
    /// The one before it with such calls.
    pub before: u64,
    /// Average cost of a call of `version`.
    pub cost_per_call_usd: Usd,
    /// Average cost of a call of `before`.
    pub cost_per_call_before_usd: Usd,
}

/// Calls and their cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpendCounts {
    /// Calls of models.
    pub calls: u64,
    /// Calls with a known cost.
    pub priced_calls: u64,
    /// The cost of the calls with a known cost.
    pub cost_usd: Usd,
}

/// Calls and their cost in a part of the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpendPoint {
    /// Its start; that of the first point can be before the start of the period.
    pub at: Timestamp,
    /// Calls of models.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// The cost of the calls with a known cost.
    pub cost_usd: Usd,
}

/// Calls that belong to no known version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnattributedUsage {
    /// All of them.
    pub counts: SpendCounts,
    /// By the reason.
    pub reasons: Vec<UnattributedReason>,
}

/// Calls that belong to no known version for one reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnattributedReason {
    /// `no_prompt`: the application named no prompt; `unknown_prompt`: there is no prompt of that name;
    /// `unknown_version`: the prompt has no such version, label or content; `ambiguous_split`: the label serves several
    /// versions, and nothing says which one this was.
    pub reason: String,
    /// The calls.
    pub counts: SpendCounts,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_nothing_are_absent_and_unknown_costs_are_not_free() {
        let counts = StatsCounts {
            calls: 4,
            errors: 1,
            priced_calls: 2,
            cost_usd: Usd::from_pico(10),
            ..StatsCounts::default()
        };
        assert_eq!((counts.cost_coverage(), counts.error_rate()), (Some(0.5), Some(0.25)));
        assert_eq!((counts.cost_per_call(), counts.cached_share()), (Some(Usd::from_pico(5)), None));
        assert_eq!(StatsCounts::default().cost_per_call(), None);
        assert_eq!("arm".parse(), Ok(StatsBy::Arm));
        assert!("x".parse::<StatsBy>().is_err());
    }
}

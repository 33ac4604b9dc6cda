//! Calibration: what people say about answers that judges scored, and how far the judges agree with them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::suite::ModelName;
use super::time::Timestamp;
use crate::json;

/// Fewer labels than this say little about a judge.
pub const LABELS_MIN: u64 = 20;
/// Cohen's kappa below this says that a judge is no substitute for people: 0.61 begins "substantial" agreement.
pub const KAPPA_MIN: f64 = 0.6;
/// Most labels of people that a suite can have.
pub const LABELS_MAX: usize = 10_000;

/// A judge: a scorer that asks a model or an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
pub struct Judge {
    /// The scorer, for example `llm-rubric`.
    pub scorer: String,
    /// The model that judges; absent if it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<ModelName>,
    /// The metric that it counts towards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
}

/// What a person says about an answer that a judge scored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HumanLabel {
    /// The run.
    #[serde(deserialize_with = "json::whole")]
    pub run: u64,
    /// The place of the result in the run.
    #[serde(deserialize_with = "json::whole")]
    pub place: u32,
    /// Which of the scorers of the result is the judge, from 0.
    #[serde(deserialize_with = "json::whole")]
    pub scorer: u32,
    /// The case.
    pub case: String,
    /// The judge.
    pub judge: Judge,
    /// Whether the answer passed by the judge.
    pub judged: bool,
    /// Whether it passes by the person.
    pub passed: bool,
    /// The person.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// How far a judge agrees with people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Calibration {
    /// The judge.
    pub judge: Judge,
    /// Answers that people labeled.
    #[serde(deserialize_with = "json::whole")]
    pub labels: u64,
    /// The share of them on which the judge and the person agree.
    pub agreement: f64,
    /// Cohen's kappa: the agreement beyond what chance would give; absent if both always say the same, because then
    /// chance explains all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kappa: Option<f64>,
    /// Why its verdicts should not be relied on; absent if they can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

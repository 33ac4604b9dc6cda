//! Observed prompts: system texts that belong to no version, grouped, and what calls with them cost.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::name::PromptName;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;

/// Observed prompts in one answer, unless the request says otherwise.
pub const OBSERVED_ROWS_DEFAULT: usize = 100;
/// Most observed prompts in one answer.
pub const OBSERVED_ROWS_MAX: usize = 1_000;
/// Characters of a text in a list.
pub const OBSERVED_START_CHARACTERS: usize = 300;

/// Observed prompts, and whether more are observed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObservedPrompts {
    /// Whether this node records content: without it, nothing is observed.
    pub recording: bool,
    /// The prompts, those with the most calls first. Texts are cut to 300 characters.
    pub prompts: Vec<ObservedPrompt>,
    /// How many more there are.
    pub more: u64,
    /// Calls whose text is too long, or that came when there was no more room; absent if there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other: Option<ObservedUse>,
}

/// A system message that applications sent and that belongs to no version, or several that differ in a few places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObservedPrompt {
    /// The ID: 16 hex digits.
    pub id: String,
    /// The text, with `{{var1}}` and so on where texts differ.
    pub text: String,
    /// The length of the whole text, in bytes.
    pub text_bytes: u64,
    /// How many variables it has.
    pub variables: u64,
    /// What was counted.
    #[serde(flatten)]
    pub counts: ObservedUse,
    /// The version that it became; absent if it was not adopted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<AdoptedVersion>,
}

/// What was counted of the calls with a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ObservedUse {
    /// Calls.
    pub calls: u64,
    /// Calls that failed.
    pub errors: u64,
    /// Calls whose cost is known.
    pub priced_calls: u64,
    /// What those cost.
    pub cost_usd: Usd,
    /// Tokens that models read.
    pub input_tokens: u64,
    /// Tokens that models wrote.
    pub output_tokens: u64,
    /// The models, those with the most calls first; further ones, and calls that name none, are `_other`.
    pub models: Vec<ObservedModel>,
    /// When the first call ended.
    pub first_seen: Timestamp,
    /// When the last call ended.
    pub last_seen: Timestamp,
}

/// A model, and its calls with a text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObservedModel {
    /// The model that answered, or was requested.
    pub model: String,
    /// Its calls.
    pub calls: u64,
}

/// The version that an observed prompt became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AdoptedVersion {
    /// The prompt.
    pub prompt: PromptName,
    /// The version.
    pub version: u64,
}

/// Which prompt an observed prompt becomes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AdoptRequest {
    /// The prompt, which is created if it does not exist.
    pub name: PromptName,
}

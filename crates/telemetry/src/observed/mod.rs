//! Observed prompts: system texts that belong to no version, grouped.
//!
//! A text is of the group with exactly this text, or of one whose template it fills in; or it is so much like a group
//! that both become one template, with variables where they differ; or it begins a group. Texts that are not alike are
//! grouped the same in every order. What exceeds a limit is counted in [`OTHER`].

mod align;
mod groups;
#[cfg(test)]
mod groups_tests;
mod merge;
mod signature;
mod tokens;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use groups::Groups;

use crate::event::Response;
use crate::model::name::PromptName;
use crate::text_pattern::TextPattern;

/// Groups that are kept.
pub const OBSERVED_MAX: usize = 2_000;
/// Bytes of their texts.
pub const OBSERVED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Models that the calls of a group are counted by; further ones are counted together.
pub const MODELS_MAX: usize = 16;
/// The model that stands for further ones, and for calls that name none.
pub const OTHER_MODEL: &str = "_other";
/// The number of what exceeds a limit.
pub const OTHER: u64 = 0;

/// What was counted of the calls of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObservedCounts {
    /// Calls.
    pub calls: u64,
    /// Those that failed.
    pub errors: u64,
    /// Those whose cost is known.
    pub priced: u64,
    /// What they cost, in pico-dollars.
    pub cost_pico_usd: u128,
    /// Tokens that were read.
    pub input_tokens: u64,
    /// Tokens that were written.
    pub output_tokens: u64,
    /// Calls by model.
    pub models: BTreeMap<String, u64>,
    /// When the first one ended.
    pub first_ms: i64,
    /// When the last one ended.
    pub last_ms: i64,
    /// Calls whose content was erased since.
    pub erased: u64,
    /// The version that the group became.
    pub adopted: Option<Adopted>,
}

/// The version that a group became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adopted {
    /// The prompt.
    pub prompt: PromptName,
    /// The version.
    pub version: u64,
}

/// A group of calls with the same text, or with texts that differ in a few places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPrompt {
    /// Its number: that of its first text.
    pub id: u64,
    /// The text, with variables where the texts differ.
    pub pattern: TextPattern,
    /// What was counted.
    pub counts: ObservedCounts,
}

impl ObservedCounts {
    /// Counts a call.
    pub fn add(&mut self, response: &Response) {
        let is_first = self.calls == 0;
        self.calls = self.calls.saturating_add(1);
        self.errors = self.errors.saturating_add(response.error.is_some().into());
        if let Some(cost) = response.cost {
            self.priced = self.priced.saturating_add(1);
            self.cost_pico_usd = self.cost_pico_usd.saturating_add(cost.pico_usd.into());
        }
        self.input_tokens = self.input_tokens.saturating_add(response.tokens.input.unwrap_or(0));
        self.output_tokens = self.output_tokens.saturating_add(response.tokens.output.unwrap_or(0));
        let model = response.model_used.as_ref().or(response.model_requested.as_ref());
        let model = model.map_or(OTHER_MODEL, String::as_str);
        let is_known = self.models.contains_key(model) || self.models.len() < MODELS_MAX;
        let calls = self.models.entry(if is_known { model } else { OTHER_MODEL }.to_owned()).or_default();
        *calls = calls.saturating_add(1);
        self.first_ms = if is_first { response.ended_ms } else { self.first_ms.min(response.ended_ms) };
        self.last_ms = if is_first { response.ended_ms } else { self.last_ms.max(response.ended_ms) };
    }
}

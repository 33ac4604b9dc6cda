//! What is counted of responses and scores, by version, model and time.
//!
//! A [`Rollup`] is a sum: of two of them it does not matter which came first, and adding events one by one or in parts
//! gives the same bytes. So a node that saw each event once and a primary that collected them from many nodes agree.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Attributed, Attribution, Event, Response, ScoreValue, Unattributed, cut};
use crate::model::name::PromptName;
use crate::moments::{Millionths, Moments};
use crate::sketch::Sketch;

/// Most scores with different names in one rollup; more are counted as [`OTHER`].
pub const SCORE_NAMES_MAX: usize = 32;
/// Most categories of one score in one rollup; more are counted as [`OTHER`].
pub const CATEGORIES_MAX: usize = 32;
/// What exceeds a limit is counted under this name.
pub const OTHER: &str = "_other";
/// The same for rules: no policy has so many.
pub const OTHER_RULE: u16 = u16::MAX;

/// What is counted apart from the rest.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Series {
    /// Whose responses.
    pub of: SeriesOf,
    /// The model that answered, or was asked for; empty if neither is known.
    pub model: String,
    /// Where the application ran; empty if it did not say.
    pub environment: String,
    /// The label that was asked for; empty if the application did not say.
    pub label: String,
    /// Index of the rule that chose the version, from 0; none for the default, and [`OTHER_RULE`] for all others.
    pub rule: Option<u16>,
}

/// Whose responses are counted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum SeriesOf {
    /// Those that belong to no known version, by the reason.
    Unattributed(Unattributed),
    /// Those of one version.
    Version {
        /// The prompt.
        prompt: PromptName,
        /// The version.
        version: u64,
    },
}

impl Series {
    /// Where a response is counted.
    #[must_use]
    pub fn of(response: &Response) -> Self {
        let (of, label, rule) = match &response.attribution {
            Attribution::Version(Attributed { prompt, version, label, arm, .. }) => (
                SeriesOf::Version { prompt: prompt.clone(), version: *version },
                label.as_ref().map(ToString::to_string).unwrap_or_default(),
                arm.and_then(|arm| arm.rule),
            ),
            Attribution::Unattributed(reason) => (SeriesOf::Unattributed(*reason), String::new(), None),
            Attribution::Pending => (SeriesOf::Unattributed(Unattributed::NoPrompt), String::new(), None),
        };
        let model = response.model_used.as_ref().or(response.model_requested.as_ref()).cloned().unwrap_or_default();
        Self { of, model, environment: response.environment.clone().unwrap_or_default(), label, rule }
    }

    /// The series that counts what exceeds the limit of series: each version has its own.
    #[must_use]
    pub fn other(&self) -> Self {
        let other = || OTHER.to_owned();
        Self { of: self.of.clone(), model: other(), environment: other(), label: other(), rule: Some(OTHER_RULE) }
    }
}

/// What is counted over all versions, models, environments, labels and rules: each sum is that of its series.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Total {
    /// That of everything.
    All,
    /// That of responses that belong to no known version, by the reason.
    Unattributed(Unattributed),
    /// That of a prompt.
    Prompt(PromptName),
}

impl Total {
    /// The total that a series is part of, besides that of everything.
    #[must_use]
    pub fn of(series: &SeriesOf) -> Self {
        match series {
            SeriesOf::Unattributed(reason) => Self::Unattributed(*reason),
            SeriesOf::Version { prompt, .. } => Self::Prompt(prompt.clone()),
        }
    }
}

/// How many responses there were, and what they cost: the part of a [`Rollup`] that is read much faster than the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spend {
    /// Responses.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// Of these, those with a known cost.
    pub priced: u64,
    /// Cost of those with a known one, in pico-dollars.
    pub cost_pico_usd: u128,
}

/// Calls, cost and tokens: the part of a [`Rollup`] that is read without its distributions and scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Calls and cost.
    pub spend: Spend,
    /// Responses with a known number of input tokens.
    pub counted_input: u64,
    /// Responses with a known number of output tokens.
    pub counted_output: u64,
    /// Tokens.
    pub tokens: TokenSums,
}

impl Volume {
    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        let Spend { calls, errors, priced, cost_pico_usd } = other.spend;
        bump(&mut self.spend.calls, calls);
        bump(&mut self.spend.errors, errors);
        bump(&mut self.spend.priced, priced);
        self.spend.cost_pico_usd = self.spend.cost_pico_usd.saturating_add(cost_pico_usd);
        bump(&mut self.counted_input, other.counted_input);
        bump(&mut self.counted_output, other.counted_output);
        self.tokens.merge(&other.tokens);
    }
}

/// Counts, sums and distributions of some responses, and of scores of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollup {
    /// Responses.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// Of these, those with a known cost.
    pub priced: u64,
    /// Cost of those with a known one, in pico-dollars.
    pub cost_pico_usd: u128,
    /// Of these, those with a known number of input tokens.
    pub counted_input: u64,
    /// Of these, those with a known number of output tokens.
    pub counted_output: u64,
    /// Tokens.
    pub tokens: TokenSums,
    /// Durations, in microseconds.
    pub latency_us: Sketch,
    /// Times to the first token, in microseconds.
    pub first_token_us: Sketch,
    /// Scores, by name.
    pub scores: BTreeMap<String, ScoreRollup>,
}

/// Sums of tokens by kind; the parts are included in input and output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenSums {
    /// All that was read.
    pub input: u64,
    /// Of these, what came from a cache.
    pub cache_read: u64,
    /// Of these, what went into a cache.
    pub cache_write: u64,
    /// All that was written.
    pub output: u64,
    /// Of these, what was reasoning.
    pub reasoning: u64,
}

impl TokenSums {
    fn merge(&mut self, other: &Self) {
        bump(&mut self.input, other.input);
        bump(&mut self.cache_read, other.cache_read);
        bump(&mut self.cache_write, other.cache_write);
        bump(&mut self.output, other.output);
        bump(&mut self.reasoning, other.reasoning);
    }
}

/// What is counted of one score.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ScoreRollup {
    /// Of numbers; `true` counts as 1 and `false` as 0.
    pub moments: Moments,
    /// How often each category was given; `true` and `false` are two of them.
    pub categories: BTreeMap<String, u64>,
}

impl Rollup {
    /// Counts an event; a response with its own cost and tokens, a score by its value.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::Response(response) => self.add_response(response),
            Event::Score(score) => {
                let entry = bounded(&mut self.scores, &score.name, SCORE_NAMES_MAX);
                match &score.value {
                    ScoreValue::Number(number) => entry.moments.add(*number),
                    ScoreValue::Boolean(passed) => {
                        entry.moments.add(if *passed { Millionths::ONE } else { Millionths::default() });
                        bump(bounded(&mut entry.categories, if *passed { "true" } else { "false" }, CATEGORIES_MAX), 1);
                    }
                    ScoreValue::Category(name) => bump(bounded(&mut entry.categories, name, CATEGORIES_MAX), 1),
                }
            }
        }
    }

    fn add_response(&mut self, response: &Response) {
        bump(&mut self.calls, 1);
        bump(&mut self.errors, u64::from(response.error.is_some()));
        if let Some(cost) = response.cost {
            bump(&mut self.priced, 1);
            self.cost_pico_usd = self.cost_pico_usd.saturating_add(u128::from(cost.pico_usd));
        }
        let tokens = &response.tokens;
        bump(&mut self.counted_input, u64::from(tokens.input.is_some()));
        bump(&mut self.counted_output, u64::from(tokens.output.is_some()));
        let written = tokens.cache_write.unwrap_or(0).saturating_add(tokens.cache_write_1h.unwrap_or(0));
        bump(&mut self.tokens.input, tokens.input.unwrap_or(0));
        bump(&mut self.tokens.cache_read, tokens.cache_read.unwrap_or(0));
        bump(&mut self.tokens.cache_write, written);
        bump(&mut self.tokens.output, tokens.output.unwrap_or(0));
        bump(&mut self.tokens.reasoning, tokens.reasoning.unwrap_or(0));
        if let Some(latency) = response.latency_us {
            self.latency_us.add(latency);
        }
        if let Some(first) = response.first_token_us {
            self.first_token_us.add(first);
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        bump(&mut self.calls, other.calls);
        bump(&mut self.errors, other.errors);
        bump(&mut self.priced, other.priced);
        self.cost_pico_usd = self.cost_pico_usd.saturating_add(other.cost_pico_usd);
        bump(&mut self.counted_input, other.counted_input);
        bump(&mut self.counted_output, other.counted_output);
        self.tokens.merge(&other.tokens);
        self.latency_us.merge(&other.latency_us);
        self.first_token_us.merge(&other.first_token_us);
        for (name, score) in &other.scores {
            let entry = bounded(&mut self.scores, name, SCORE_NAMES_MAX);
            entry.moments.merge(&score.moments);
            for (category, count) in &score.categories {
                bump(bounded(&mut entry.categories, category, CATEGORIES_MAX), *count);
            }
        }
    }
}

/// The entry of a name, or of [`OTHER`] where there are too many names.
fn bounded<'m, V: Default>(map: &'m mut BTreeMap<String, V>, name: &str, most: usize) -> &'m mut V {
    let name = if map.contains_key(name) || map.len() < most { name } else { OTHER };
    map.entry(cut(name.to_owned(), crate::event::NAME_BYTES_MAX)).or_default()
}

fn bump(count: &mut u64, by: u64) {
    *count = count.saturating_add(by);
}

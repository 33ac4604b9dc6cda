//! What a table of prices is: models, times, conditions and rates.

use serde::{Deserialize, Serialize};

use super::hours::Hours;
use crate::model::time::Timestamp;

/// Prices of models, each for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PriceTable {
    pub(super) schema: u64,
    pub(super) updated: String,
    pub(super) currency: String,
    pub(super) unit: String,
    pub(super) models: Vec<ModelPrice>,
}

/// What one model costs, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelPrice {
    /// What the price is called; where a name is that of several providers, the one with this id is meant.
    pub id: String,
    /// Who runs the model, as OpenTelemetry spells it, for example `aws.bedrock`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Names of the model; upper and lower case are the same.
    #[serde(rename = "match")]
    pub names: Vec<String>,
    /// Patterns of names, where `*` stands for any text; the one with most other letters counts.
    #[serde(rename = "match_glob", skip_serializing_if = "Vec::is_empty")]
    pub globs: Vec<String>,
    /// The first moment at which this is the price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// The first moment at which it no longer is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// Where the price is published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Rates by condition: a whole response is billed at the first that fits it. The last has no condition.
    pub tiers: Vec<Tier>,
}

/// Rates, and which responses they are for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tier {
    /// What has to hold for a response.
    pub when: When,
    /// What its tokens cost.
    pub rate: Rate,
}

/// What has to hold for a response; without conditions, any response fits.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct When {
    /// It read more tokens than this, with those of caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens_gt: Option<u64>,
    /// This service tier answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// It ended at one of these times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub utc: Vec<Hours>,
}

/// What tokens cost, in pico-dollars each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rate {
    /// Input.
    pub input: u64,
    /// Output; none if there is never any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<u64>,
    /// Input that was read from a cache; as input if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<u64>,
    /// Input that was written to a cache; as input if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<u64>,
    /// Input that was written to a cache for an hour; as for five minutes if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<u64>,
    /// Output that was reasoning; as output if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<u64>,
}

impl PriceTable {
    /// The date as of which the prices were right.
    #[must_use]
    pub fn updated(&self) -> &str {
        &self.updated
    }

    /// The prices, in the order in which they are written.
    #[must_use]
    pub fn models(&self) -> &[ModelPrice] {
        &self.models
    }

    /// The BLAKE3 hash of the table as canonical JSON (RFC 8785).
    #[must_use]
    pub fn id(&self) -> [u8; 32] {
        // A table has no number that is not whole or above 2^53, and no key but texts: it always is JSON.
        *blake3::hash(&serde_json_canonicalizer::to_vec(self).unwrap_or_default()).as_bytes()
    }
}

impl ModelPrice {
    /// The rates for a response with this much input, caches included, from this service tier, that ended at a moment, in
    /// milliseconds since 1970.
    #[must_use]
    pub fn rate(&self, input_tokens: u64, service_tier: Option<&str>, ended_ms: i64) -> Option<&Rate> {
        let fits = |tier: &&Tier| tier.when.fits(input_tokens, service_tier, ended_ms);
        self.tiers.iter().find(fits).map(|tier| &tier.rate)
    }

    /// Whether this is the price at a moment, in milliseconds since 1970.
    #[must_use]
    pub fn valid_at(&self, ms: i64) -> bool {
        self.valid_from.is_none_or(|from| from.ms() <= ms) && self.valid_to.is_none_or(|to| ms < to.ms())
    }
}

impl When {
    fn fits(&self, input_tokens: u64, service_tier: Option<&str>, ended_ms: i64) -> bool {
        let is = |tier: &str| service_tier.is_some_and(|service_tier| service_tier.eq_ignore_ascii_case(tier));
        self.input_tokens_gt.is_none_or(|more_than| input_tokens > more_than)
            && self.service_tier.as_deref().is_none_or(is)
            && (self.utc.is_empty() || self.utc.iter().any(|hours| hours.contain(ended_ms)))
    }

    /// Whether all responses that fit another condition fit this one.
    pub(super) fn covers(&self, other: &Self) -> bool {
        self.input_tokens_gt.is_none_or(|more_than| other.input_tokens_gt.is_some_and(|other| other >= more_than))
            && (self.service_tier.is_none() || self.service_tier == other.service_tier)
            && (self.utc.is_empty() || self.utc == other.utc)
    }
}

impl Rate {
    /// Input that was read from a cache.
    #[must_use]
    pub fn cache_read(&self) -> u64 {
        self.cache_read.unwrap_or(self.input)
    }

    /// Input that was written to a cache, for five minutes or for a time that is not known.
    #[must_use]
    pub fn cache_write_5m(&self) -> u64 {
        self.cache_write_5m.unwrap_or(self.input)
    }

    /// Input that was written to a cache for an hour.
    #[must_use]
    pub fn cache_write_1h(&self) -> u64 {
        self.cache_write_1h.unwrap_or(self.cache_write_5m())
    }

    /// Output that was reasoning.
    #[must_use]
    pub fn reasoning(&self) -> Option<u64> {
        self.reasoning.or(self.output)
    }
}

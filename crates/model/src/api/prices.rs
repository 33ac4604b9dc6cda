//! Tables of prices as JSON, the prices that are in force, and pricing recorded calls again.
//!
//! Rates are whole pico-dollars (1e-12 US dollars) per token. What has to hold in a table is checked where it is used.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Number;
use utoipa::ToSchema;

use super::stats::SpendCounts;
use crate::model::name::PromptName;
use crate::model::time::Timestamp;

/// Where a price comes from; later ones override earlier ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PriceSource {
    /// The table that the program comes with.
    Embedded,
    /// The table that was imported from another tool.
    Imported,
    /// The file of the setting `prices` of the primary.
    File,
    /// The table of overrides.
    Overrides,
}

impl PriceSource {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Embedded => "embedded",
            Self::Imported => "imported",
            Self::File => "file",
            Self::Overrides => "overrides",
        }
    }
}

impl fmt::Display for PriceSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A table of prices that a registry keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeptTable {
    /// What was imported from another tool.
    Imported,
    /// What overrides all other tables.
    Overrides,
}

/// The text is not the name of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use imported or overrides")]
pub struct KeptTableError;

impl KeptTable {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Imported, Self::Overrides];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.source().as_str()
    }

    /// What its prices come from.
    #[must_use]
    pub const fn source(self) -> PriceSource {
        match self {
            Self::Imported => PriceSource::Imported,
            Self::Overrides => PriceSource::Overrides,
        }
    }
}

impl fmt::Display for KeptTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeptTable {
    type Err = KeptTableError;

    fn from_str(text: &str) -> Result<Self, KeptTableError> {
        Self::ALL.into_iter().find(|table| table.as_str() == text).ok_or(KeptTableError)
    }
}

/// A table of prices.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceTableBody {
    /// 1.
    #[serde(deserialize_with = "crate::json::whole")]
    pub schema: u64,
    /// The date as of which the prices are right, such as `2026-11-20`.
    pub updated: String,
    /// `USD`.
    pub currency: String,
    /// `pico_usd_per_token`.
    pub unit: String,
    /// The models.
    #[serde(deserialize_with = "crate::json::objects")]
    pub models: Vec<ModelPriceBody>,
}

/// What one model costs, for a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModelPriceBody {
    /// What the price is called; its name, if it names none.
    pub id: String,
    /// Who runs the model, as OpenTelemetry spells it, for example `aws.bedrock`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Names of the model; upper and lower case are the same.
    #[serde(rename = "match", default, skip_serializing_if = "Vec::is_empty")]
    pub names: Vec<String>,
    /// Patterns of names, where `*` stands for any text.
    #[serde(rename = "match_glob", default, skip_serializing_if = "Vec::is_empty")]
    pub globs: Vec<String>,
    /// The first moment at which this is the price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_from: Option<Timestamp>,
    /// The first moment at which it no longer is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Timestamp>,
    /// Where the price is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Rates by condition: a whole response is billed at the first that fits it. The last has no condition.
    #[serde(deserialize_with = "crate::json::objects")]
    pub tiers: Vec<PriceTierBody>,
}

/// Rates, and which responses they are for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceTierBody {
    /// What has to hold for a response; empty for all others.
    #[serde(deserialize_with = "crate::json::object")]
    pub when: PriceWhenBody,
    /// Pico-dollars per token by kind: `input`, `output`, `cache_read`, `cache_write_5m`, `cache_write_1h`, `reasoning`.
    #[schema(value_type = BTreeMap<String, u64>)]
    pub rate: BTreeMap<String, Number>,
}

/// What has to hold for a response.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceWhenBody {
    /// It read more tokens than this, with those of caches.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::whole_option")]
    pub input_tokens_gt: Option<u64>,
    /// This service tier answered, for example `priority`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_tier: Option<String>,
    /// It ended at one of these times.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "crate::json::objects")]
    pub utc: Vec<PriceHoursBody>,
}

/// The same hours of some days of every week, in UTC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PriceHoursBody {
    /// Days of the week, from 1 for Monday to 7 for Sunday.
    #[serde(deserialize_with = "crate::json::whole_list")]
    pub days: Vec<u8>,
    /// When they begin, for example `04:00`.
    pub from: String,
    /// When they have ended: later on the same day, at most `24:00`.
    pub to: String,
}

/// The prices that are in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PricesInForce {
    /// What recorded costs name as their `price_table` if they were computed now.
    pub price_table: String,
    /// The tables, the most important one last.
    pub tables: Vec<PriceTableView>,
    /// The prices that count now, by ID; those that another table overrides are left out.
    pub prices: Vec<PriceInForce>,
}

/// A table that prices come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PriceTableView {
    /// Where it comes from.
    pub source: PriceSource,
    /// The date as of which its prices are right.
    pub updated: String,
    /// Number of models.
    pub models: u64,
}

/// A price that is in force.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PriceInForce {
    /// Where it comes from.
    pub from: PriceSource,
    /// The price.
    pub price: ModelPriceBody,
}

/// Which recorded calls to price again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RecostRequest {
    /// Only calls that ended at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Only calls of this prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<PromptName>,
    /// Where to go on: `next` of the answer before; absent to begin.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "crate::json::whole_option")]
    pub cursor: Option<u64>,
    /// Whether to compute the totals without changing anything.
    #[serde(default)]
    pub dry_run: bool,
}

/// Some recorded calls that were priced again. One request does a part of all: send `next` as `cursor` until it is
/// absent, and add up the totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RecostAnswer {
    /// Calls whose cost is another one now, or known or unknown now.
    pub changed_calls: u64,
    /// The calls of this part, at their costs before.
    pub before: SpendCounts,
    /// The same calls, at their costs now.
    pub after: SpendCounts,
    /// How many parts of the recorded calls were looked at, of `all`.
    pub done: u64,
    /// The number of parts.
    pub all: u64,
    /// Where to go on; absent at the end.
    pub next: Option<u64>,
}

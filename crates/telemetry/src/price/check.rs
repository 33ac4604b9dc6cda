//! What has to hold in a table of prices, and the error where it does not.
//!
//! Invariant: a [`PriceTable`] is within its limits, no price in it is negative or hidden by another of the same name
//! and time, and each model has a rate for every response.

use std::collections::{BTreeMap, HashMap};

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Number;

use super::hours::Hours;
use super::table::{ModelPrice, PriceTable, Rate, Tier, When};
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;

/// Longest table, in bytes of JSON.
pub const TABLE_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most models of a table: twice as many as the largest public list has.
pub const MODELS_MAX: usize = 10_000;
/// Most names of a model, exact ones and globs together.
pub const NAMES_PER_MODEL_MAX: usize = 64;
/// Most globs of a table: they are tried one by one for each model that has no exact name.
pub const GLOBS_MAX: usize = 512;
/// Most tiers of a model.
pub const TIERS_PER_MODEL_MAX: usize = 32;
/// Most times of the week of a tier.
pub const HOURS_PER_TIER_MAX: usize = 32;
/// Highest price of a token, in pico-dollars: one dollar.
pub const PRICE_MAX: u64 = 1_000_000_000_000;
/// Longest name of a model, provider or service tier, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 200;
/// Longest address of where a price is published, in bytes.
const SOURCE_BYTES_MAX: usize = 1_024;
/// Most input tokens that a tier can begin at: a number that every reader of JSON keeps.
const THRESHOLD_MAX: u64 = 1_000_000_000_000;
const SCHEMA: u64 = 1;
const CURRENCY: &str = "USD";
const UNIT: &str = "pico_usd_per_token";
const RATES: [&str; 6] = ["input", "output", "cache_read", "cache_write_5m", "cache_write_1h", "reasoning"];

/// Why a table of prices is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum PriceError {
    #[error("the price table is {bytes} bytes long: use at most {TABLE_BYTES_MAX}")]
    Long { bytes: usize },
    #[error("invalid price table: {0}")]
    Json(String),
    #[error("unknown schema {0} of a price table: use {SCHEMA}")]
    Schema(u64),
    #[error("unknown currency \"{0}\" of a price table: use {CURRENCY}")]
    Currency(String),
    #[error("unknown unit \"{0}\" of a price table: use {UNIT}")]
    Unit(String),
    #[error("invalid date \"{0}\" of a price table: use a date such as 2026-11-20")]
    Updated(String),
    #[error("too many models in a price table, {0}: use at most {MODELS_MAX}")]
    Models(usize),
    #[error("too many globs in a price table, {0}: use at most {GLOBS_MAX}, and exact names for the rest")]
    Globs(usize),
    #[error("invalid price of \"{model}\": {fault}")]
    Model { model: String, fault: PriceFault },
}

/// What is wrong with the price of one model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum PriceFault {
    #[error("{what} is {bytes} bytes long: use 1 to {max}")]
    Length { what: &'static str, bytes: usize, max: usize },
    #[error("it has {0} names: use 1 to {NAMES_PER_MODEL_MAX}")]
    Names(usize),
    #[error("invalid glob \"{0}\": use letters and `*`")]
    Glob(String),
    #[error("it has {0} tiers: use 1 to {TIERS_PER_MODEL_MAX}")]
    Tiers(usize),
    #[error("its last tier has a condition: add one with an empty `when` for all other responses")]
    NoDefault,
    #[error("tier {0} comes after one that fits every response of it: put the narrower one first")]
    Unreachable(usize),
    #[error("`input_tokens_gt` is {0}: use at most {THRESHOLD_MAX}")]
    Threshold(u64),
    #[error("it has {0} times of the week in one tier: use at most {HOURS_PER_TIER_MAX}")]
    ManyHours(usize),
    #[error(
        "it has a time of the week without a day from 1 to 7, or that ends before it begins: begin at 00:00 after midnight"
    )]
    Hours,
    #[error("unknown rate \"{0}\": use {rates}", rates = RATES.join(", "))]
    UnknownRate(String),
    #[error("it has no rate for input")]
    NoInput,
    #[error("the rate of {rate} is negative, {value}")]
    Negative { rate: String, value: Number },
    #[error("the rate of {rate} is {value}: use a whole number of pico-dollars per token, from 0 to {PRICE_MAX}")]
    NotWhole { rate: String, value: Number },
    #[error("`valid_from` is not before `valid_to`")]
    Empty,
    #[error("another price of \"{0}\" is valid at the same time: let one end where the other begins")]
    Overlap(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTable {
    schema: u64,
    updated: String,
    currency: String,
    unit: String,
    models: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawModel {
    id: String,
    #[serde(default)]
    provider: Option<String>,
    #[serde(rename = "match", default)]
    names: Vec<String>,
    #[serde(rename = "match_glob", default)]
    globs: Vec<String>,
    #[serde(default)]
    valid_from: Option<Timestamp>,
    #[serde(default)]
    valid_to: Option<Timestamp>,
    #[serde(default)]
    source: Option<String>,
    tiers: Vec<RawTier>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    when: When,
    rate: BTreeMap<String, Number>,
}

impl PriceTable {
    /// A table of these models, as of a date such as `2026-11-20`.
    ///
    /// # Errors
    /// Something in it is over a limit, or there twice.
    pub fn new(updated: &str, models: Vec<ModelPrice>) -> Result<Self, PriceError> {
        let owned = str::to_owned;
        Self { schema: SCHEMA, updated: owned(updated), currency: owned(CURRENCY), unit: owned(UNIT), models }.checked()
    }

    fn checked(self) -> Result<Self, PriceError> {
        if self.schema != SCHEMA {
            return Err(PriceError::Schema(self.schema));
        }
        if self.currency != CURRENCY {
            return Err(PriceError::Currency(excerpt(&self.currency)));
        }
        if self.unit != UNIT {
            return Err(PriceError::Unit(excerpt(&self.unit)));
        }
        if self.updated.len() != 10 || format!("{}T00:00:00Z", self.updated).parse::<Timestamp>().is_err() {
            return Err(PriceError::Updated(excerpt(&self.updated)));
        }
        if self.models.len() > MODELS_MAX {
            return Err(PriceError::Models(self.models.len()));
        }
        let globs = self.models.iter().map(|model| model.globs.len()).sum();
        if globs > GLOBS_MAX {
            return Err(PriceError::Globs(globs));
        }
        for model in &self.models {
            model.check().map_err(|fault| fault.of(&model.id))?;
        }
        check_overlaps(&self.models)?;
        Ok(self)
    }
}

impl PriceTable {
    /// Reads a table.
    ///
    /// # Errors
    /// The bytes are not a table of this schema, or something in it is over a limit, negative, or there twice.
    pub fn read(json: &[u8]) -> Result<Self, PriceError> {
        if json.len() > TABLE_BYTES_MAX {
            return Err(PriceError::Long { bytes: json.len() });
        }
        let raw: RawTable = crate::json::read(json).map_err(|error| PriceError::Json(error.to_string()))?;
        raw.try_into()
    }
}

impl<'de> Deserialize<'de> for PriceTable {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        RawTable::deserialize(from)?.try_into().map_err(D::Error::custom)
    }
}

impl TryFrom<RawTable> for PriceTable {
    type Error = PriceError;

    fn try_from(RawTable { schema, updated, currency, unit, models }: RawTable) -> Result<Self, Self::Error> {
        let models = models.into_iter().map(ModelPrice::try_from).collect::<Result<_, _>>()?;
        Self { schema, updated, currency, unit, models }.checked()
    }
}

impl TryFrom<RawModel> for ModelPrice {
    type Error = PriceError;

    fn try_from(raw: RawModel) -> Result<Self, Self::Error> {
        let RawModel { id, provider, mut names, globs, valid_from, valid_to, source, tiers } = raw;
        if names.is_empty() && globs.is_empty() {
            names.push(id.clone());
        }
        let tier = |RawTier { when, rate }| Ok(Tier { when, rate: Rate::try_from(rate)? });
        let tiers = tiers.into_iter().map(tier).collect::<Result<_, PriceFault>>().map_err(|fault| fault.of(&id))?;
        Ok(Self { id, provider, names, globs, valid_from, valid_to, source, tiers })
    }
}

impl TryFrom<BTreeMap<String, Number>> for Rate {
    type Error = PriceFault;

    fn try_from(mut rates: BTreeMap<String, Number>) -> Result<Self, PriceFault> {
        if let Some(unknown) = rates.keys().find(|rate| !RATES.contains(&rate.as_str())) {
            return Err(PriceFault::UnknownRate(excerpt(unknown)));
        }
        let mut take = |rate: &str| {
            let Some(value) = rates.remove(rate) else { return Ok(None) };
            match value.as_u64().filter(|price| *price <= PRICE_MAX) {
                Some(price) => Ok(Some(price)),
                None if value.as_f64().is_some_and(|number| number < 0.0) => {
                    Err(PriceFault::Negative { rate: rate.to_owned(), value })
                }
                None => Err(PriceFault::NotWhole { rate: rate.to_owned(), value }),
            }
        };
        Ok(Self {
            input: take("input")?.ok_or(PriceFault::NoInput)?,
            output: take("output")?,
            cache_read: take("cache_read")?,
            cache_write_5m: take("cache_write_5m")?,
            cache_write_1h: take("cache_write_1h")?,
            reasoning: take("reasoning")?,
        })
    }
}

impl PriceFault {
    fn of(self, model: &str) -> PriceError {
        PriceError::Model { model: excerpt(model), fault: self }
    }
}

impl ModelPrice {
    fn check(&self) -> Result<(), PriceFault> {
        length("the id", &self.id, NAME_BYTES_MAX)?;
        if let Some(provider) = &self.provider {
            length("the provider", provider, NAME_BYTES_MAX)?;
        }
        if let Some(source) = &self.source {
            length("the source", source, SOURCE_BYTES_MAX)?;
        }
        let names = self.names.len() + self.globs.len();
        if !(1..=NAMES_PER_MODEL_MAX).contains(&names) {
            return Err(PriceFault::Names(names));
        }
        for name in self.names.iter().chain(&self.globs) {
            length("a name", name, NAME_BYTES_MAX)?;
        }
        for glob in &self.globs {
            pattern(glob).ok_or_else(|| PriceFault::Glob(excerpt(glob)))?;
        }
        if let (Some(from), Some(to)) = (self.valid_from, self.valid_to)
            && from >= to
        {
            return Err(PriceFault::Empty);
        }
        self.check_tiers()
    }

    fn check_tiers(&self) -> Result<(), PriceFault> {
        if !(1..=TIERS_PER_MODEL_MAX).contains(&self.tiers.len()) {
            return Err(PriceFault::Tiers(self.tiers.len()));
        }
        if self.tiers.last().is_some_and(|tier| tier.when != When::default()) {
            return Err(PriceFault::NoDefault);
        }
        let mut before: Vec<&When> = Vec::new();
        for (tier, number) in self.tiers.iter().zip(1..) {
            if let Some(tokens) = tier.when.input_tokens_gt.filter(|tokens| *tokens > THRESHOLD_MAX) {
                return Err(PriceFault::Threshold(tokens));
            }
            if let Some(service_tier) = &tier.when.service_tier {
                length("a service tier", service_tier, NAME_BYTES_MAX)?;
            }
            if tier.when.utc.len() > HOURS_PER_TIER_MAX {
                return Err(PriceFault::ManyHours(tier.when.utc.len()));
            }
            if !tier.when.utc.iter().all(Hours::are_valid) {
                return Err(PriceFault::Hours);
            }
            if before.iter().any(|when| when.covers(&tier.when)) {
                return Err(PriceFault::Unreachable(number));
            }
            before.push(&tier.when);
        }
        Ok(())
    }
}

/// A glob as a pattern on names, where `**` stands for any text; none if it is not one.
pub(super) fn pattern(glob: &str) -> Option<Pattern> {
    let mut pattern = String::new();
    for part in glob.to_ascii_lowercase().split_inclusive('*') {
        pattern.push_str(part);
        if part.ends_with('*') {
            pattern.push('*');
        }
    }
    pattern.parse().ok()
}

/// That no name of a provider has two prices at the same time.
fn check_overlaps(models: &[ModelPrice]) -> Result<(), PriceError> {
    let mut times: HashMap<_, Vec<(i64, i64)>> = HashMap::new();
    for model in models {
        let from = model.valid_from.map_or(i64::MIN, Timestamp::ms);
        let to = model.valid_to.map_or(i64::MAX, Timestamp::ms);
        let provider = model.provider.as_deref().map(super::provider_name);
        for name in model.names.iter().chain(&model.globs) {
            let taken = times.entry((provider.clone(), name.to_ascii_lowercase())).or_default();
            if taken.iter().any(|(start, end)| from < *end && *start < to) {
                return Err(PriceFault::Overlap(excerpt(name)).of(&model.id));
            }
            taken.push((from, to));
        }
    }
    Ok(())
}

fn length(what: &'static str, text: &str, max: usize) -> Result<(), PriceFault> {
    let bytes = text.len();
    if (1..=max).contains(&bytes) { Ok(()) } else { Err(PriceFault::Length { what, bytes, max }) }
}

fn excerpt(text: &str) -> String {
    text.chars().take(80).collect()
}

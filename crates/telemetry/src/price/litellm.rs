//! Turns `LiteLLM`'s `model_prices_and_context_window.json` into a table of prices.
//!
//! It takes models that are priced by token, and says of all others, and of all prices that it cannot express, that
//! and why they are left out. Prices of zero are left out too: that file has them for models whose price is unknown.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value};

use super::check::{NAME_BYTES_MAX, PRICE_MAX, PriceError, TABLE_BYTES_MAX};
use super::hours::{Hours, TimeOfDay};
use super::provider_name;
use super::table::{ModelPrice, PriceTable, Rate, Tier, When};

/// Pico-dollars in a dollar.
const PICO: f64 = 1e12;
/// Kinds of calls whose price depends on tokens alone.
const MODES: [&str; 4] = ["chat", "completion", "responses", "embedding"];
/// Service tiers: how the file ends their keys, and what providers call them.
const SERVICE_TIERS: [(&str, &str); 5] = [
    ("_priority", "priority"),
    ("_flex", "flex"),
    ("_batches", "batch"),
    ("_ultrafast", "ultrafast"),
    ("_balanced", "balanced"),
];
const INPUT: &str = "input_cost_per_token";
const OUTPUT: &str = "output_cost_per_token";
const CACHE_READ: &str = "cache_read_input_token_cost";
const CACHE_WRITE_5M: &str = "cache_creation_input_token_cost";
const CACHE_WRITE_1H: &str = "cache_creation_input_token_cost_above_1hr";
const REASONING: &str = "output_cost_per_reasoning_token";

/// A table, and what is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Import {
    /// What could be expressed.
    pub table: PriceTable,
    /// What could not, in the order of the models' names.
    pub left_out: Vec<LeftOut>,
}

/// A model, or some of its prices, that an import left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The model's key in the file.
    pub model: String,
    /// The keys of the prices that were left out; none if the whole model was.
    pub keys: Vec<String>,
    /// Why.
    pub reason: String,
}

/// Converts a file as of a date such as `2026-11-20`.
///
/// # Errors
/// The file is too long or not a JSON object, or the table would be over a limit.
pub fn convert(json: &[u8], updated: &str) -> Result<Import, PriceError> {
    if json.len() > TABLE_BYTES_MAX {
        return Err(PriceError::Long { bytes: json.len() });
    }
    let file: Map<String, Value> =
        serde_json::from_slice(json).map_err(|error| PriceError::Json(format!("not a file of LiteLLM: {error}")))?;
    let mut entries: Vec<_> = file.iter().filter(|(key, _)| *key != "sample_spec").collect();
    // Makers of models before those who resell them: the first keeps a name that both have.
    entries.sort_by_key(|(key, _)| (key.contains('/'), *key));
    let (mut models, mut left_out, mut taken) = (Vec::new(), Vec::new(), HashSet::new());
    for (key, value) in entries {
        let mut leave_out =
            |keys: Vec<String>, reason: String| left_out.push(LeftOut { model: key.clone(), keys, reason });
        match model(key, value, &mut taken) {
            Ok((model, ignored)) => {
                models.push(model);
                if !ignored.is_empty() {
                    leave_out(ignored, "a table has no rate for these".to_owned());
                }
            }
            Err(reason) => leave_out(Vec::new(), reason),
        }
    }
    left_out.sort_by(|one, other| one.model.cmp(&other.model));
    Ok(Import { table: PriceTable::new(updated, models)?, left_out })
}

/// The price of one model, and the keys of prices that are not in it.
fn model(key: &str, value: &Value, taken: &mut HashSet<(String, String)>) -> Result<(ModelPrice, Vec<String>), String> {
    let entry = value.as_object().ok_or("it is not an object")?;
    let text = |name: &str| entry.get(name).and_then(Value::as_str);
    let mode = text("mode").ok_or("it has no mode")?;
    if !MODES.contains(&mode) {
        return Err(format!("calls of mode {mode} are not priced by token"));
    }
    if key.is_empty() || key.len() > NAME_BYTES_MAX {
        return Err(format!("its name is not 1 to {NAME_BYTES_MAX} bytes long"));
    }
    let litellm_provider = text("litellm_provider").ok_or("it has no provider")?;
    let provider = provider_name(litellm_provider);
    let mut prices = Prices { entry, used: BTreeSet::new() };
    let tiers = prices.tiers(mode == "embedding")?;
    let ignored = prices.ignored();
    let short = key.strip_prefix(litellm_provider).and_then(|rest| rest.strip_prefix('/'));
    let mut names = Vec::new();
    for name in [Some(key), short].into_iter().flatten() {
        if taken.insert((provider.clone(), name.to_ascii_lowercase())) {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        return Err("another model has its name".to_owned());
    }
    let source = text("source").filter(|source| source.starts_with("https://") && source.len() <= 1_024);
    let (valid_from, valid_to) = (None, None);
    let (id, globs, source) = (key.to_owned(), Vec::new(), source.map(str::to_owned));
    Ok((ModelPrice { id, provider: Some(provider), names, globs, valid_from, valid_to, source, tiers }, ignored))
}

/// The fields of one model, and which of them were used.
struct Prices<'e> {
    entry: &'e Map<String, Value>,
    used: BTreeSet<String>,
}

impl Prices<'_> {
    /// All tiers, the narrowest first. Service tiers and long inputs fall back to what the model costs without them.
    fn tiers(&mut self, embedding: bool) -> Result<Vec<Tier>, String> {
        if self.entry.contains_key("tiered_pricing") {
            return Err("its price changes by steps (tiered_pricing)".to_owned());
        }
        let mut thresholds: Vec<u64> = self.entry.keys().filter_map(|key| threshold(key)).collect();
        thresholds.sort_unstable_by(|one, other| other.cmp(one));
        thresholds.dedup();
        let offered = |(suffix, _): &&(&str, &str)| {
            [INPUT, OUTPUT].iter().any(|key| self.entry.contains_key(&format!("{key}{suffix}")))
        };
        let offered: Vec<_> = SERVICE_TIERS.iter().filter(offered).collect();
        let mut tiers = Vec::new();
        for service_tier in offered.into_iter().map(Some).chain([None]) {
            for thousands in thresholds.iter().map(Some).chain([None]) {
                let suffix = service_tier.map_or("", |(suffix, _)| suffix);
                let rate = self.rate(thousands.copied(), suffix, embedding)?;
                let when = When {
                    input_tokens_gt: thousands.and_then(|thousands| thousands.checked_mul(1_000)),
                    service_tier: service_tier.map(|(_, name)| (*name).to_owned()),
                    utc: Vec::new(),
                };
                tiers.push(Tier { when, rate });
            }
        }
        if let [Tier { rate, .. }] = *tiers.as_slice()
            && let Some(cheap) = self.off_peak(rate)
        {
            tiers.insert(0, cheap);
        }
        if tiers.iter().any(|tier| tier.rate.input == 0 && tier.rate.output.is_none_or(|output| output == 0)) {
            return Err("its prices are 0, as are those of models whose price is unknown".to_owned());
        }
        Ok(tiers)
    }

    fn rate(&mut self, thousands: Option<u64>, suffix: &str, embedding: bool) -> Result<Rate, String> {
        let input = self.price(INPUT, thousands, suffix)?.ok_or(format!("it has no {INPUT}"))?;
        let output = self.price(OUTPUT, thousands, suffix)?;
        let output = if embedding { output.filter(|price| *price > 0) } else { output };
        if output.is_none() && !embedding {
            return Err(format!("it has no {OUTPUT}"));
        }
        // A detail for nothing would hide what it is part of.
        let mut detail = |key| Ok::<_, String>(self.price(key, thousands, suffix)?.filter(|price| *price > 0));
        let (cache_read, cache_write_5m) = (detail(CACHE_READ)?, detail(CACHE_WRITE_5M)?);
        let (cache_write_1h, reasoning) = (detail(CACHE_WRITE_1H)?, detail(REASONING)?);
        // That of a standard response is written beside its output, and does not rise with that of other tiers.
        let standard = self.price(OUTPUT, None, "")?;
        let reasoning = reasoning.filter(|price| Some(*price) != standard && Some(*price) != output);
        Ok(Rate { input, output, cache_read, cache_write_5m, cache_write_1h, reasoning })
    }

    /// The tier of cheap hours beside a standard rate; none if there are none, or none that a table can express.
    fn off_peak(&mut self, standard: Rate) -> Option<Tier> {
        const KEY: &str = "off_peak_pricing";
        let entry = self.entry.get(KEY)?.as_object()?;
        let mut utc = Vec::new();
        let mut rate = standard;
        for (key, value) in entry {
            match key.as_str() {
                INPUT => rate.input = pico(value)?,
                OUTPUT => rate.output = Some(pico(value)?),
                CACHE_READ => rate.cache_read = Some(pico(value)?),
                "windows" => {
                    for window in value.as_array()? {
                        utc.extend(hours(window)?);
                    }
                }
                _ => return None,
            }
        }
        if utc.is_empty() {
            return None;
        }
        self.used.insert(KEY.to_owned());
        Some(Tier { when: When { utc, ..When::default() }, rate })
    }

    /// A price in pico-dollars, for long inputs and a service tier if there is one for them.
    fn price(&mut self, key: &str, thousands: Option<u64>, suffix: &str) -> Result<Option<u64>, String> {
        let long = thousands.map(|thousands| format!("{key}_above_{thousands}k_tokens"));
        let keys = [
            long.as_ref().map(|long| format!("{long}{suffix}")),
            long,
            Some(format!("{key}{suffix}")),
            Some(key.to_owned()),
        ];
        let mut found = None;
        for key in keys.into_iter().flatten() {
            let Some(value) = self.entry.get(&key).filter(|value| !value.is_null()) else { continue };
            let price = pico(value).ok_or_else(|| format!("{key} is {value}, which is not a price"))?;
            self.used.insert(key);
            found = found.or(Some(price));
        }
        Ok(found)
    }

    /// The keys of prices that were not used.
    fn ignored(&self) -> Vec<String> {
        let price = |key: &&String| {
            (key.contains("cost") || key.contains("pricing") || key.contains("uplift")) && !self.used.contains(*key)
        };
        self.entry.keys().filter(price).cloned().collect()
    }
}

/// The `200` of `input_cost_per_token_above_200k_tokens`, and of the same for a service tier.
fn threshold(key: &str) -> Option<u64> {
    let rest = key.strip_prefix(INPUT)?.strip_prefix("_above_")?;
    let (thousands, rest) = rest.split_once("k_tokens")?;
    let known = rest.is_empty() || SERVICE_TIERS.iter().any(|(suffix, _)| *suffix == rest);
    thousands.parse().ok().filter(|thousands| known && (1..=1_000_000).contains(thousands))
}

/// The hours of `{ "hours_utc": ["04:00-06:00"], "weekdays": [1, 2] }`, where none go past midnight.
fn hours(window: &Value) -> Option<Vec<Hours>> {
    let window = window.as_object()?;
    let days = match window.get("weekdays") {
        None => (1..=7).collect(),
        Some(days) => serde_json::from_value::<Vec<u8>>(days.clone()).ok()?,
    };
    let texts = match window.get("hours_utc")? {
        Value::String(text) => vec![text.as_str()],
        texts => texts.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?,
    };
    let hours = texts.into_iter().map(|text| {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (from.parse().ok()?, to.parse().ok()?);
        // Until midnight is written as until the first minute.
        let to = if to == TimeOfDay::START { TimeOfDay::END } else { to };
        Some(Hours { days: days.clone(), from, to }).filter(Hours::are_valid)
    });
    hours.collect()
}

/// Dollars as pico-dollars, to the nearest.
fn pico(value: &Value) -> Option<u64> {
    let dollars = value.as_f64()?;
    #[allow(clippy::cast_precision_loss, reason = "a power of ten that is exact")]
    let most = PRICE_MAX as f64;
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "from 0 to the highest price, and whole"
    )]
    (0.0..=most).contains(&(dollars * PICO)).then(|| (dollars * PICO).round() as u64)
}

#[cfg(test)]
#[path = "litellm_tests.rs"]
mod tests;

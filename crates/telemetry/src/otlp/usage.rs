//! Numbers of tokens and costs, as they are reported.

use serde_json::Value as Json;

use super::COST_USD_MAX;
use super::attributes::Attributes;
use super::names::Field;
use super::reason::{Reason, Reasons};
use super::value::whole;
use crate::event::{Cost, CostSource, TOKENS_MAX, Tokens};

/// Pico-dollars of a dollar.
const PICO: f64 = 1e12;

/// Keys of the object that Langfuse reports usage in: its own, and those of the answers of providers, flattened.
const INPUT_KEYS: &[&str] = &["input", "prompt_tokens", "input_tokens", "promptTokens", "inputTokens"];
const OUTPUT_KEYS: &[&str] = &["output", "completion_tokens", "output_tokens", "completionTokens", "outputTokens"];
const CACHE_READ_KEYS: &[&str] = &[
    "cache_read_input_tokens",
    "input_cached_tokens",
    "input_cache_read",
    "prompt_tokens_details.cached_tokens",
    "input_tokens_details.cached_tokens",
];
const CACHE_WRITE_KEYS: &[&str] = &["cache_creation_input_tokens", "input_cache_creation", "input_cache_write"];
const REASONING_KEYS: &[&str] = &[
    "output_reasoning_tokens",
    "output_reasoning",
    "reasoning_tokens",
    "completion_tokens_details.reasoning_tokens",
    "output_tokens_details.reasoning_tokens",
];

/// Parts of the input and of the output in that object, which Langfuse keeps apart from `input` and `output`.
const INPUT_PARTS: &[&str] = &["input_cached_tokens", "input_cache_read", "cache_read_input_tokens"];
const OUTPUT_PARTS: &[&str] = &["output_reasoning_tokens", "output_reasoning"];

/// Numbers of tokens of a span.
pub(super) fn tokens(attributes: &Attributes<'_>, reasons: &mut Reasons) -> Tokens {
    let object = attributes.json(Field::UsageObject);
    let object = object.as_deref().unwrap_or(&Json::Null);
    let mut count = |number: Option<f64>| {
        let number = number?;
        let count = whole(number, TOKENS_MAX).filter(|_| number.fract() == 0.0);
        if count.is_none() {
            reasons.add(Reason::BadTokens, 1);
        }
        count
    };
    let number = |field, keys| attributes.number(field).or_else(|| first(object, keys));
    let mut tokens = Tokens {
        input: count(number(Field::Input, INPUT_KEYS)),
        output: count(number(Field::Output, OUTPUT_KEYS)),
        cache_read: count(number(Field::CacheRead, CACHE_READ_KEYS)),
        cache_write: count(number(Field::CacheWrite, CACHE_WRITE_KEYS)),
        cache_write_1h: count(number(Field::CacheWrite1h, &[])),
        reasoning: count(number(Field::Reasoning, REASONING_KEYS)),
        input_was_exclusive: false,
    };
    // Some say the part that is kept for an hour beside the total of all that was written.
    if let (Some(all), Some(hour)) = (tokens.cache_write, tokens.cache_write_1h)
        && all >= hour
    {
        tokens.cache_write = Some(all - hour);
    }
    if !attributes.has(Field::Input) && is_disjoint(object) {
        include_parts(&mut tokens, object);
    }
    tokens.with_cached_input()
}

/// Whether the parts in the object of Langfuse are not in its `input` and `output`: their sum is then less than the total.
fn is_disjoint(object: &Json) -> bool {
    let of = |key: &str| object.get(key).and_then(Json::as_f64);
    let Some(input) = of("input") else { return false };
    of("total").is_none_or(|total| input + of("output").unwrap_or_default() < total)
}

/// Adds the parts to the numbers that leave them out.
fn include_parts(tokens: &mut Tokens, object: &Json) {
    let part = |keys| first(object, keys).and_then(|number| whole(number, TOKENS_MAX)).unwrap_or_default();
    let cached = part(INPUT_PARTS) + part(CACHE_WRITE_KEYS);
    if let Some(input) = tokens.input.filter(|_| cached > 0) {
        tokens.input = Some(input + cached);
        tokens.input_was_exclusive = true;
    }
    tokens.output = tokens.output.map(|output| output + part(OUTPUT_PARTS));
}

/// The first number under one of these keys.
fn first(object: &Json, keys: &[&str]) -> Option<f64> {
    keys.iter().find_map(|key| at(object, key)?.as_f64())
}

/// Whether a span reports any usage.
pub(super) fn has_usage(attributes: &Attributes<'_>) -> bool {
    [Field::Input, Field::Output, Field::UsageObject].into_iter().any(|field| attributes.has(field))
}

/// The value at a path of keys; a key with dots in it counts too, as flattened objects have.
fn at<'a>(object: &'a Json, path: &str) -> Option<&'a Json> {
    object.get(path).or_else(|| {
        let (key, rest) = path.split_once('.')?;
        object.get(key)?.get(rest)
    })
}

/// The cost that a span reports, if that is in US dollars.
pub(super) fn cost(attributes: &Attributes<'_>, reasons: &mut Reasons) -> Option<Cost> {
    let total = || attributes.json(Field::CostObject)?.get("total")?.as_f64();
    let usd = attributes.number(Field::Cost).or_else(total)?;
    if attributes.text(Field::CostCurrency).is_some_and(|currency| !currency.eq_ignore_ascii_case("USD")) {
        reasons.add(Reason::ForeignCurrency, 1);
        return None;
    }
    let cost = reported_cost(usd);
    if cost.is_none() {
        reasons.add(Reason::BadCost, 1);
    }
    cost
}

/// A cost in dollars that a caller gave; none if it is negative, not finite or too large.
pub(super) fn reported_cost(usd: f64) -> Option<Cost> {
    if !(0.0..=COST_USD_MAX).contains(&usd) {
        return None;
    }
    let pico_usd = whole(usd * PICO, 1_000_000_000_000_000_000)?;
    Some(Cost { pico_usd, source: CostSource::Reported })
}

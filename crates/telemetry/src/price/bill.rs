//! What the parts of one response cost, at the rates of one model.
//!
//! Providers report overlapping numbers: what was read from a cache is part of the input, and reasoning part of the
//! output. Each token is billed once, at the rate of the part that it belongs to.

use serde::{Deserialize, Serialize};

use super::table::Rate;
use crate::event::{Operation, Tokens};

/// Costs of the parts of a response, in pico-dollars. No token is in two parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bill {
    /// Input that no cache had a part in.
    pub input: u64,
    /// Input read from a cache.
    pub cache_read: u64,
    /// Input written to a cache, for any time.
    pub cache_write: u64,
    /// Output but for reasoning.
    pub output: u64,
    /// Reasoning.
    pub reasoning: u64,
}

/// Why the cost of a response is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Unpriced {
    /// Nothing says which model answered.
    #[error("no model is named")]
    NoModel,
    /// No table has a price for the model at that time.
    #[error("no price is known for the model")]
    UnknownModel,
    /// The number of tokens that were read or written is unknown.
    #[error("the number of tokens is unknown")]
    NoTokens,
    /// The price has no rate for what was used.
    #[error("the price of the model has no rate for what was used")]
    NoRate,
    /// The cost is over `u64::MAX` pico-dollars, about 18 million dollars.
    #[error("the cost is too large")]
    TooLarge,
}

impl Bill {
    /// Bills tokens at a rate. Details that are larger than what they are part of are cut to it.
    pub(super) fn new(tokens: &Tokens, operation: Operation, rate: &Rate) -> Result<Self, Unpriced> {
        let mut plain = tokens.input.ok_or(Unpriced::NoTokens)?;
        let mut part = |detail: Option<u64>| {
            let taken = detail.unwrap_or_default().min(plain);
            plain -= taken;
            taken
        };
        let cache_read = part(tokens.cache_read);
        let cache_write_1h = part(tokens.cache_write_1h);
        let cache_write = part(tokens.cache_write);
        let output = match (tokens.output, operation) {
            (Some(output), _) => output,
            (None, Operation::Embeddings) => 0,
            (None, Operation::Chat | Operation::TextCompletion) => return Err(Unpriced::NoTokens),
        };
        let reasoning = tokens.reasoning.unwrap_or_default().min(output);
        let written = output - reasoning;
        let bill = Self {
            input: times(plain, Some(rate.input))?,
            cache_read: times(cache_read, Some(rate.cache_read()))?,
            cache_write: times(cache_write, Some(rate.cache_write_5m()))?
                .checked_add(times(cache_write_1h, Some(rate.cache_write_1h()))?)
                .ok_or(Unpriced::TooLarge)?,
            output: times(written, rate.output)?,
            reasoning: times(reasoning, rate.reasoning())?,
        };
        bill.sum().map(|_| bill).ok_or(Unpriced::TooLarge)
    }

    /// The cost of the whole response, in pico-dollars.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.sum().unwrap_or(u64::MAX)
    }

    fn sum(&self) -> Option<u64> {
        let Self { input, cache_read, cache_write, output, reasoning } = *self;
        [cache_read, cache_write, output, reasoning].into_iter().try_fold(input, u64::checked_add)
    }
}

/// Tokens at a rate, which only nothing can do without.
fn times(tokens: u64, rate: Option<u64>) -> Result<u64, Unpriced> {
    match rate {
        _ if tokens == 0 => Ok(0),
        Some(rate) => tokens.checked_mul(rate).ok_or(Unpriced::TooLarge),
        None => Err(Unpriced::NoRate),
    }
}

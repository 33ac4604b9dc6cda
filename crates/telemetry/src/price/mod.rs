//! What responses cost, in pico-dollars, from tables of prices.
//!
//! A [`PriceBook`] has several [`PriceTable`]s, of which the later ones override the earlier: the embedded one, what was
//! imported, the operator's file, and overrides. A response is priced by the model that answered, as of when it
//! ended. What no table knows has no cost: unknown is never zero.
//!
//! Prices of requests, searches, images, seconds and discounts of a contract are not known here; an application that knows the cost
//! of a response reports it, and that is the cost.
//!
//! Invariant: the same response and the same tables give the same cost on every machine, and the id of the book, a hash
//! of the tables and of these rules, says which tables they were.

mod bill;
mod body;
mod check;
mod hours;
pub mod litellm;
mod lookup;
mod table;

use std::sync::LazyLock;

use crate::api::prices::PriceSource;
use crate::event::{Cost, CostSource, Response};

pub use bill::{Bill, Unpriced};
pub use check::{
    GLOBS_MAX, HOURS_PER_TIER_MAX, MODELS_MAX, NAMES_PER_MODEL_MAX, PRICE_MAX, PriceError, PriceFault, TABLE_BYTES_MAX,
    TIERS_PER_MODEL_MAX,
};
pub use hours::{Hours, TimeOfDay, TimeOfDayError};
pub use lookup::provider_name;
pub use table::{ModelPrice, PriceTable, Rate, Tier, When};

/// Goes into every id of a book; raise the number when the same tables would give another cost than before.
const RULES: &[u8] = b"bookholder prices, rules 1\n";

/// Bytes of an ID that are recorded with a cost.
const RECORDED_BYTES: usize = 8;

/// The table that is embedded.
static EMBEDDED: LazyLock<PriceTable> = LazyLock::new(|| {
    PriceTable::read(include_bytes!("prices.json")).expect("a test reads this table, which never changes at run time")
});

/// Several tables of prices, of which the later ones override the earlier.
#[derive(Debug)]
pub struct PriceBook {
    layers: Vec<Layer>,
    id: [u8; 32],
}

#[derive(Debug)]
struct Layer {
    source: PriceSource,
    table: PriceTable,
    index: lookup::Index,
}

impl PriceBook {
    /// A book of these tables, the most important one last.
    #[must_use]
    pub fn new(tables: impl IntoIterator<Item = (PriceSource, PriceTable)>) -> Self {
        let layer = |(source, table)| Layer { source, index: lookup::Index::new(&table), table };
        let layers: Vec<_> = tables.into_iter().map(layer).collect();
        let mut hash = blake3::Hasher::new();
        hash.update(RULES);
        for layer in &layers {
            hash.update(&layer.table.id());
        }
        Self { layers, id: *hash.finalize().as_bytes() }
    }

    /// A book of the embedded table alone.
    #[must_use]
    pub fn embedded() -> Self {
        Self::new([(PriceSource::Embedded, PriceTable::embedded().clone())])
    }

    /// The tables, the most important one last.
    pub fn tables(&self) -> impl Iterator<Item = (PriceSource, &PriceTable)> {
        self.layers.iter().map(|layer| (layer.source, &layer.table))
    }

    /// The prices that count at a time, those of the most important table first: each is found by one of its names, or
    /// has patterns alone.
    #[must_use]
    pub fn in_force(&self, at_ms: i64) -> Vec<(PriceSource, &ModelPrice)> {
        let counts = |price: &ModelPrice| {
            let is_found = |name: &String| {
                let wanted = lookup::Wanted::new(name, price.provider.as_deref(), at_ms);
                self.find(&wanted).is_some_and(|found| std::ptr::eq(found, price))
            };
            price.valid_at(at_ms) && (price.names.is_empty() || price.names.iter().any(is_found))
        };
        let all = self.layers.iter().rev();
        let all = all.flat_map(|layer| layer.table.models().iter().map(|price| (layer.source, price)));
        all.filter(|(_, price)| counts(price)).collect()
    }

    /// The BLAKE3 hash of all tables, in their order, and of the rules.
    #[must_use]
    pub const fn id(&self) -> &[u8; 32] {
        &self.id
    }

    /// What is recorded of it with each cost: the start of its ID in hexadecimal digits.
    #[must_use]
    pub fn short_id(&self) -> String {
        self.id.iter().take(RECORDED_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    /// What a cost from this book says about where it comes from.
    #[must_use]
    pub fn source(&self) -> CostSource {
        CostSource::Table(self.id.first_chunk().copied().unwrap_or_default())
    }

    /// The price of the model that answered, at the time when it did; none if no table knows it.
    ///
    /// The model that was asked for counts only where nothing says which one answered.
    #[must_use]
    pub fn price(&self, response: &Response) -> Option<&ModelPrice> {
        let model = response.model_used.as_deref().or(response.model_requested.as_deref())?;
        let wanted = lookup::Wanted::new(model, response.provider.as_deref(), response.ended_ms);
        self.find(&wanted)
    }

    fn find(&self, wanted: &lookup::Wanted) -> Option<&ModelPrice> {
        self.layers.iter().rev().find_map(|layer| layer.index.find(&layer.table, wanted))
    }

    /// What each part of a response costs.
    ///
    /// # Errors
    /// Nothing is known about the cost, or not all of it.
    pub fn bill(&self, response: &Response) -> Result<Bill, Unpriced> {
        if response.model_used.is_none() && response.model_requested.is_none() {
            return Err(Unpriced::NoModel);
        }
        let price = self.price(response).ok_or(Unpriced::UnknownModel)?;
        let input = response.tokens.input.ok_or(Unpriced::NoTokens)?;
        let rate = price.rate(input, response.service_tier.as_deref(), response.ended_ms).ok_or(Unpriced::NoRate)?;
        Bill::new(&response.tokens, response.operation, rate)
    }

    /// What a response costs: the cost that was reported with it, or else what the tables say.
    ///
    /// None if it is unknown; [`Self::bill`] says why.
    #[must_use]
    pub fn cost(&self, response: &Response) -> Option<Cost> {
        match response.cost {
            Some(cost @ Cost { source: CostSource::Reported, .. }) => Some(cost),
            _ => Some(Cost { pico_usd: self.bill(response).ok()?.total(), source: self.source() }),
        }
    }
}

impl PriceTable {
    /// The table that this program comes with.
    #[must_use]
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }
}

#[cfg(test)]
#[path = "price_tests.rs"]
mod tests;

//! The prices in force: the embedded table, what was imported, the operator's file and overrides, in this order.
//!
//! A node prices what it records with its own tables, and a primary again what replicas send: so the tables of the
//! primary count for everything, and replicas need none of them.

use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use super::{IngestError, Recorder};
use crate::api::prices::{KeptTable, ModelPriceBody, PriceInForce, PriceSource, PriceTableView, PricesInForce};
use crate::api::prices::{RecostAnswer, RecostRequest};
use crate::api::stats::SpendCounts;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::telemetry::price::{ModelPrice, PriceBook, PriceTable};
use crate::telemetry::store::{Recost, Recosted, Spent};

/// The tables of a registry.
pub type KeptTables = Vec<(KeptTable, PriceTable)>;

/// The prices of a node.
pub(super) struct Prices {
    file: Option<PriceTable>,
    book: ArcSwap<PriceBook>,
    /// Held while tables are read and put in force, so that the newest ones are in force in the end.
    changing: Mutex<()>,
}

impl Prices {
    /// Those of the program, and of the operator's file.
    pub(super) fn new(file: Option<PriceTable>) -> Self {
        let book = ArcSwap::from_pointee(book(file.clone(), Vec::new()));
        Self { file, book, changing: Mutex::new(()) }
    }

    pub(super) fn book(&self) -> Arc<PriceBook> {
        self.book.load_full()
    }
}

fn book(file: Option<PriceTable>, kept: KeptTables) -> PriceBook {
    let mut tables = vec![(PriceSource::Embedded, PriceTable::embedded().clone())];
    tables.extend(file.map(|file| (PriceSource::File, file)));
    tables.extend(kept.into_iter().map(|(table, prices)| (table.source(), prices)));
    tables.sort_by_key(|(source, _)| *source);
    PriceBook::new(tables)
}

impl Recorder {
    /// Puts the tables of the registry in force, as `read` finds them. Blocks.
    ///
    /// # Errors
    /// They cannot be read; then those before stay in force.
    pub fn put_prices_in_force<E>(&self, read: impl FnOnce() -> Result<KeptTables, E>) -> Result<(), E> {
        let prices = &self.0.prices;
        let _one_by_one = prices.changing.lock().unwrap_or_else(PoisonError::into_inner);
        prices.book.store(Arc::new(book(prices.file.clone(), read()?)));
        Ok(())
    }

    /// The prices that count now.
    #[must_use]
    pub fn price_book(&self) -> Arc<PriceBook> {
        self.0.prices.book()
    }

    /// The prices that count now, of models whose ID or names contain a text. Blocks.
    #[must_use]
    pub fn prices_in_force(&self, text: &str) -> PricesInForce {
        let book = self.0.prices.book();
        let text = text.to_ascii_lowercase();
        let is_named = |price: &ModelPrice| {
            let mut names = std::iter::once(&price.id).chain(&price.names).chain(&price.globs);
            names.any(|name| name.to_ascii_lowercase().contains(&text))
        };
        let found = book.in_force(self.now_ms()).into_iter().filter(|(_, price)| is_named(price));
        let mut prices: Vec<_> =
            found.map(|(from, price)| PriceInForce { from, price: ModelPriceBody::from(price) }).collect();
        prices.sort_by(|one, other| one.price.id.cmp(&other.price.id).then(one.from.cmp(&other.from)));
        let table = |(source, table): (PriceSource, &PriceTable)| PriceTableView {
            source,
            updated: table.updated().to_owned(),
            models: u64::try_from(table.models().len()).unwrap_or(u64::MAX),
        };
        PricesInForce { price_table: book.short_id(), tables: book.tables().map(table).collect(), prices }
    }

    /// Prices some of the recorded calls again.
    ///
    /// # Errors
    /// The disk does not take it.
    pub async fn recost(&self, request: RecostRequest) -> Result<RecostAnswer, IngestError> {
        let RecostRequest { since, prompt, cursor, dry_run } = request;
        let (book, from_block) = (self.0.prices.book(), cursor.unwrap_or_default());
        let task = Recost { book, from_block, since_ms: since.map(Timestamp::ms), prompt, dry_run };
        let Recosted { changed, before, after, done, all, next } = self.store().recost(task).await?;
        let (before, after) = (spend(before), spend(after));
        Ok(RecostAnswer { changed_calls: changed, before, after, done, all, next })
    }
}

fn spend(Spent { calls, priced, pico_usd }: Spent) -> SpendCounts {
    SpendCounts { calls, priced_calls: priced, cost_usd: Usd::from_pico(pico_usd) }
}

//! Calls for prices: one per route.

use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::prices::{KeptTable, PriceTableBody, PricesInForce, RecostAnswer, RecostRequest};

impl Client {
    /// The prices that count now, of models whose ID or names contain a text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn prices(&self, model: &str) -> Result<PricesInForce, ClientError> {
        self.call(self.request(Method::GET, "/v1/prices").query(&[("model", model)])).await
    }

    /// A table that the registry keeps.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn price_table(&self, table: KeptTable) -> Result<PriceTableBody, ClientError> {
        self.call(self.request(Method::GET, &paths::price_table(table))).await
    }

    /// Stores a table.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn put_price_table(&self, table: KeptTable, prices: &PriceTableBody) -> Result<(), ClientError> {
        self.done(self.request(Method::PUT, &paths::price_table(table)).json(prices)).await
    }

    /// Removes a table.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn remove_price_table(&self, table: KeptTable) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::price_table(table))).await
    }

    /// Prices some recorded calls again.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn recost(&self, request: &RecostRequest) -> Result<RecostAnswer, ClientError> {
        self.post("/v1/prices/recost", request).await
    }
}

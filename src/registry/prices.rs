//! Tables of prices that a registry keeps: what was imported, and overrides.
//!
//! They are not replicated: a primary prices what replicas send.

use super::command::{Attempt, SettingsChange};
use super::{Actor, Registry, RegistryError};
use crate::api::prices::KeptTable;
use crate::model::audit::{Command, Subject};
use crate::store::StoreError;
use crate::store::documents::{Documents, KeptPrices};
use crate::telemetry::price::PriceTable;

impl Registry {
    /// All tables that are kept.
    ///
    /// # Errors
    /// The store fails, or a table is not as it was stored.
    pub fn price_tables(&self) -> Result<Vec<(KeptTable, PriceTable)>, RegistryError> {
        let txn = self.0.store.read()?;
        let mut found = Vec::new();
        for table in KeptTable::ALL {
            if let Some(KeptPrices(json)) = txn.get::<KeptPrices>(table.as_str())? {
                let fault = |error: crate::telemetry::price::PriceError| error.to_string();
                let prices = PriceTable::read(json.as_bytes())
                    .map_err(|error| StoreError::Record { kind: "document", reason: fault(error) })?;
                found.push((table, prices));
            }
        }
        Ok(found)
    }

    /// One table.
    ///
    /// # Errors
    /// It is not kept, or the store fails.
    pub fn price_table(&self, table: KeptTable) -> Result<PriceTable, RegistryError> {
        let found = self.price_tables()?.into_iter().find(|(kept, _)| *kept == table);
        found.map(|(_, prices)| prices).ok_or_else(|| absent(table))
    }

    /// Stores a table, in the place of the one before.
    ///
    /// # Errors
    /// The actor lacks permission, a price is invalid, or the store fails.
    pub async fn put_price_table(&self, actor: &Actor, table: KeptTable, json: Vec<u8>) -> Result<(), RegistryError> {
        // Who may not is told so first, and recorded; the table is read here, not on the writer thread.
        self.command(actor, about(Command::PutPrices, table), |_, _, _| Ok(())).await?;
        let read = move || {
            let prices = PriceTable::read(&json).map_err(|error| RegistryError::Unfit(error.to_string()))?;
            let json = serde_json::to_string(&prices).map_err(|error| RegistryError::Unfit(error.to_string()))?;
            Ok::<_, RegistryError>((summary(&prices), json))
        };
        let read = tokio::task::spawn_blocking(read).await;
        let (after, json) = read.map_err(|error| StoreError::from(std::io::Error::other(error)))??;
        self.command(actor, about(Command::PutPrices, table), move |txn, ctx, granted| {
            let before = txn.get::<KeptPrices>(table.as_str())?.and_then(|KeptPrices(json)| summary_of(&json));
            txn.put::<KeptPrices>(table.as_str(), &KeptPrices(json))?;
            let change = SettingsChange { before: before.as_ref(), after: Some(&after) };
            Ok(ctx.record_settings(txn, granted, Command::PutPrices, subject(table), change)?)
        })
        .await
    }

    /// Removes a table: the prices below it are in force.
    ///
    /// # Errors
    /// The actor lacks permission, it is not kept, or the store fails.
    pub async fn remove_price_table(&self, actor: &Actor, table: KeptTable) -> Result<(), RegistryError> {
        self.command(actor, about(Command::RemovePrices, table), move |txn, ctx, granted| {
            let Some(KeptPrices(before)) = txn.get::<KeptPrices>(table.as_str())? else { return Err(absent(table)) };
            txn.remove::<KeptPrices>(table.as_str())?;
            let before = summary_of(&before);
            let change = SettingsChange { before: before.as_ref(), after: None };
            Ok(ctx.record_settings(txn, granted, Command::RemovePrices, subject(table), change)?)
        })
        .await
    }
}

fn subject(table: KeptTable) -> Subject {
    Subject::Prices { table: table.to_string() }
}

fn about(command: Command, table: KeptTable) -> Attempt {
    Attempt::new(command, [subject(table)], "")
}

fn absent(table: KeptTable) -> RegistryError {
    RegistryError::NotFound { what: "price table", name: table.to_string() }
}

/// The audit log's description of a table.
fn summary(prices: &PriceTable) -> serde_json::Value {
    let id: String = prices.id().iter().map(|byte| format!("{byte:02x}")).collect();
    serde_json::json!({ "models": prices.models().len(), "updated": prices.updated(), "blake3": id })
}

fn summary_of(json: &str) -> Option<serde_json::Value> {
    PriceTable::read(json.as_bytes()).ok().as_ref().map(summary)
}

//! Tables and prices as the API writes them.

use std::collections::BTreeMap;

use serde_json::Number;

use super::hours::Hours;
use super::table::{ModelPrice, PriceTable, Rate, Tier, When};
use crate::api::prices::{ModelPriceBody, PriceHoursBody, PriceTableBody, PriceTierBody, PriceWhenBody};

impl From<&PriceTable> for PriceTableBody {
    fn from(table: &PriceTable) -> Self {
        let PriceTable { schema, updated, currency, unit, models } = table.clone();
        Self { schema, updated, currency, unit, models: models.iter().map(ModelPriceBody::from).collect() }
    }
}

impl From<&ModelPrice> for ModelPriceBody {
    fn from(price: &ModelPrice) -> Self {
        let ModelPrice { id, provider, names, globs, valid_from, valid_to, source, tiers } = price.clone();
        let tiers = tiers.into_iter().map(|Tier { when, rate }| PriceTierBody { when: when.into(), rate: rates(rate) });
        Self { id, provider, names, globs, valid_from, valid_to, source, tiers: tiers.collect() }
    }
}

impl From<When> for PriceWhenBody {
    fn from(When { input_tokens_gt, service_tier, utc }: When) -> Self {
        let hours =
            |Hours { days, from, to }: Hours| PriceHoursBody { days, from: from.to_string(), to: to.to_string() };
        Self { input_tokens_gt, service_tier, utc: utc.into_iter().map(hours).collect() }
    }
}

fn rates(rate: Rate) -> BTreeMap<String, Number> {
    let Rate { input, output, cache_read, cache_write_5m, cache_write_1h, reasoning } = rate;
    let kinds = [
        ("input", Some(input)),
        ("output", output),
        ("cache_read", cache_read),
        ("cache_write_5m", cache_write_5m),
        ("cache_write_1h", cache_write_1h),
        ("reasoning", reasoning),
    ];
    kinds.into_iter().filter_map(|(kind, rate)| Some((kind.to_owned(), rate?.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn body_of_a_table_is_the_json_of_the_table() {
        let table = PriceTable::embedded();
        let json = serde_json::to_value(table).expect("JSON");
        let body = PriceTableBody::from(table);
        assert_eq!(serde_json::to_value(&body).expect("JSON"), json);
        let again = PriceTable::read(serde_json::to_string(&body).expect("JSON").as_bytes());
        assert_eq!(again.as_ref(), Ok(table));
    }
}

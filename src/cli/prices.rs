//! `prices`: what models cost, and where each price comes from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Number, json};

use super::Verdict;
use super::args::values::YesArgs;
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Output, STRONG, Table, WARN, one_line, paint};
use crate::api::prices::{KeptTable, PriceInForce, PriceTableBody, PriceTierBody, PricesInForce};
use crate::clock::{Clock, SystemClock};
use crate::model::count::count;
use crate::model::time::Timestamp;
use crate::telemetry::price::litellm::{Import, LeftOut, convert};

const EXAMPLES: &str = "\
Examples:
  bookholder prices --model gpt-5
  bookholder prices import --litellm prices.json --dry-run
  bookholder prices set our-prices.json
  bookholder prices show overrides

If several tables have a model, the last in this order applies: embedded,
imported, the file of `serve --prices`, overrides. Prices are in US dollars per
million tokens. New prices apply to calls recorded from now on; `bookholder
recost` prices the rest.";

/// Dollars per million tokens in a pico-dollar per token.
const PER_MILLION: f64 = 1e-6;
/// Models that are named for each reason why an import leaves some out.
const NAMED_MAX: usize = 3;

/// `prices`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct PricesArgs {
    /// Only models whose ID or names contain this text
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    model: String,
    #[command(subcommand)]
    command: Option<PricesCommand>,
}

#[derive(Clone, Debug, Subcommand)]
enum PricesCommand {
    /// Import the price file of another tool
    Import(ImportArgs),
    /// Replace the table of overrides with a file
    Set {
        /// Price table (JSON)
        file: PathBuf,
    },
    /// Print a table as a file
    Show {
        /// imported or overrides
        table: KeptTable,
    },
    /// Remove a table; earlier tables apply again
    Remove {
        /// imported or overrides
        table: KeptTable,
        #[command(flatten)]
        yes: YesArgs,
    },
}

#[derive(Clone, Debug, Args)]
struct ImportArgs {
    /// The price table of another tool
    #[arg(long, value_name = "FILE", help = "LiteLLM's model_prices_and_context_window.json")]
    litellm: PathBuf,
    /// Print what would be imported and change nothing
    #[arg(long)]
    dry_run: bool,
    /// List every model that is left out
    #[arg(long)]
    all: bool,
}

pub async fn run(args: PricesArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        None => {
            let prices = client.prices(&args.model).await?;
            if output.json { output.json(&prices)? } else { print(output, &prices)? }
        }
        Some(PricesCommand::Import(args)) => import(&args, &context).await?,
        Some(PricesCommand::Set { file }) => {
            let bytes = read(&file)?;
            let table: PriceTableBody = crate::json::read(&bytes)
                .map_err(|error| CliError::usage(format!("{} is not a price table: {error}", file.display())))?;
            client.put_price_table(KeptTable::Overrides, &table).await?;
            let models = count(table.models.len(), "model");
            said(output, "overrides", &json!({"table": "overrides", "models": table.models.len()}), &models)?;
        }
        Some(PricesCommand::Show { table }) => {
            let table = client.price_table(table).await?;
            let text = serde_json::to_string_pretty(&table).map_err(|error| CliError::no(error.to_string()))?;
            output.exactly(&format!("{text}\n"))?;
        }
        Some(PricesCommand::Remove { table, yes }) => {
            confirm(output, yes.yes, &format!("Remove the table of {table} prices?"), Vec::new())?;
            client.remove_price_table(table).await?;
            if output.json {
                output.json(&json!({ "removed": table }))?;
            } else {
                output.line(format!("{} removed {}", paint(GOOD, "✓"), paint(ACCENT, table)))?;
            }
        }
    }
    Ok(Verdict::Done)
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(file).map_err(|error| CliError::file("read", file, &error))
}

/// Says that a table is in force.
fn said(output: Output, table: &str, answer: &serde_json::Value, models: &str) -> Result<(), CliError> {
    if output.json {
        return output.json(answer);
    }
    output.line(format!("{} {} {models} in force", paint(GOOD, "✓"), paint(ACCENT, table)))?;
    output.note("price recorded calls again with `bookholder recost`");
    Ok(())
}

async fn import(args: &ImportArgs, context: &Context) -> Result<(), CliError> {
    let output = context.output;
    let today = Timestamp::from_ms(SystemClock::new().now_ms()).to_string();
    let today = today.get(..10).unwrap_or_default().to_owned();
    let bytes = read(&args.litellm)?;
    let Import { table, left_out } = convert(&bytes, &today).map_err(|error| CliError::usage(error.to_string()))?;
    let body = PriceTableBody::from(&table);
    if !args.dry_run {
        context.client.put_price_table(KeptTable::Imported, &body).await?;
    }
    let models: Vec<&LeftOut> = left_out.iter().filter(|one| one.keys.is_empty()).collect();
    let answer = json!({
        "table": "imported", "dry_run": args.dry_run, "models": body.models.len(),
        "left_out": left_out.iter().map(|one| json!({"model": one.model, "prices": one.keys, "reason": one.reason})).collect::<Vec<_>>(),
    });
    if output.json {
        return output.json(&answer);
    }
    output.line(format!("{} taken, {} left out", count(body.models.len(), "model"), models.len()))?;
    for line in reasons(&left_out, args.all) {
        output.line(line)?;
    }
    if args.dry_run {
        output.line(paint(WARN, "nothing was changed (--dry-run)"))
    } else {
        said(output, "imported", &answer, &count(body.models.len(), "model"))
    }
}

/// Why what was left out, the most frequent reason first.
fn reasons(left_out: &[LeftOut], all: bool) -> Vec<String> {
    let mut by_reason: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for LeftOut { model, keys, reason } in left_out {
        let what = if keys.is_empty() { model.clone() } else { format!("{model}: {}", keys.join(", ")) };
        let of = if keys.is_empty() { "models" } else { "prices of models" };
        by_reason.entry(format!("{of}: {reason}")).or_default().push(what);
    }
    let mut ranked: Vec<_> = by_reason.into_iter().collect();
    ranked.sort_by_key(|(_, models)| std::cmp::Reverse(models.len()));
    let line = |(reason, models): (String, Vec<String>)| {
        let most = if all { models.len() } else { NAMED_MAX };
        let named: Vec<&str> = models.iter().take(most).map(String::as_str).collect();
        let more = if models.len() > named.len() { ", …" } else { "" };
        format!(
            "{:>6}  {} {}",
            models.len(),
            one_line(&reason),
            paint(DIM, one_line(&format!("({}{more})", named.join(", "))))
        )
    };
    ranked.into_iter().map(line).collect()
}

fn print(output: Output, prices: &PricesInForce) -> Result<(), CliError> {
    for table in &prices.tables {
        let models = count(table.models, "model");
        let updated = paint(DIM, format!("as of {}", one_line(&table.updated)));
        output.line(format!("{} {models} {updated}", paint(STRONG, format!("{:<10}", table.source.as_str()))))?;
    }
    output.line("")?;
    output.table(&table(&prices.prices), "no prices of such a model")
}

/// Dollars per million tokens.
fn table(prices: &[PriceInForce]) -> Table {
    let mut table = Table::new(&["MODEL", "PROVIDER", "INPUT", "CACHED", "OUTPUT", "TIERS", "FROM"]);
    for PriceInForce { from, price } in prices {
        // The last tier is the one of all other responses.
        let usual = price.tiers.last();
        let rate = |kind: &str| usual.map_or_else(String::new, |tier| rate(tier, kind));
        table.row([
            Cell::new(ACCENT, &price.id),
            Cell::new(DIM, price.provider.clone().unwrap_or_default()),
            rate("input").into(),
            rate("cache_read").into(),
            rate("output").into(),
            price.tiers.len().into(),
            Cell::new(DIM, from),
        ]);
    }
    table
}

fn rate(tier: &PriceTierBody, kind: &str) -> String {
    let dollars = tier.rate.get(kind).and_then(Number::as_f64).map(|pico| pico * PER_MILLION);
    let text = |dollars: f64| format!("{dollars:.6}").trim_end_matches('0').trim_end_matches('.').to_owned();
    dollars.map_or_else(String::new, |dollars| format!("${}", text(dollars)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_shown_in_dollars_per_million_tokens_with_their_source() {
        let prices: Vec<PriceInForce> = serde_json::from_value(json!([
            {"from": "embedded", "price": {"id": "gpt-5", "provider": "openai", "tiers": [
                {"when": {"service_tier": "flex"}, "rate": {"input": 1}},
                {"when": {}, "rate": {"input": 1_250_000, "cache_read": 125_000, "output": 10_000_000}}]}},
            {"from": "overrides", "price": {"id": "ours", "tiers": [{"when": {}, "rate": {"input": 50}}]}},
        ]))
        .expect("prices");
        let expected = "\
MODEL  PROVIDER  INPUT     CACHED  OUTPUT  TIERS  FROM
gpt-5  openai    $1.25     $0.125  $10     2      embedded
ours             $0.00005                  1      overrides
";
        assert_eq!(table(&prices).render(false, None), expected);
    }

    #[test]
    fn reasons_of_an_import_are_counted_with_examples() {
        let left_out = |model: &str, keys: &[&str], reason: &str| LeftOut {
            model: model.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            reason: reason.to_owned(),
        };
        let mut all: Vec<_> = (0..5).map(|n| left_out(&format!("image-{n}"), &[], "not by token")).collect();
        all.push(left_out("gpt-5", &["web_search"], "no rate for these"));
        let lines = reasons(&all, false);
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(lines[0].contains("5  models: not by token") && lines[0].contains("(image-0, image-1, image-2, …)"));
        assert!(lines[1].contains("prices of models: no rate for these") && lines[1].contains("gpt-5: web_search"));
        assert!(reasons(&all, true)[0].contains("image-4"));
    }
}

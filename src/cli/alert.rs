//! `alert`: limits on spend, errors, latency and unattributed calls.

use clap::{Args, Subcommand};

use super::Verdict;
use super::args::values::YesArgs;
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Table, WARN, moment, one_line, paint};
use crate::api::alerts::AlertView;
use crate::model::alert::{AlertMetric, AlertRule, AlertState, MIN_CALLS_DEFAULT};
use crate::model::pattern::Pattern;
use crate::model::since::Since;

const EXAMPLES: &str = "\
Examples:
  bookholder alert set spend --prompt 'support/**' --spend-over 20 --per 1d
  bookholder alert set any-prompt --each-prompt --spend-over 5 --per 1d
  bookholder alert set growth --spend-growth-over 50%
  bookholder alert set errors --error-rate-over 5% --per 1h
  bookholder alert set slow --prompt support/agent --p95-over 3s
  bookholder alert set unattributed --unattributed-over 10%

An alert fires while its value is over the limit. Webhooks get alert.firing when
it begins to fire, and alert.resolved when it no longer does.";

/// Seconds of a day, and of an hour.
const DAY_S: u64 = 86_400;
const HOUR_S: u64 = 3_600;

/// `alert`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct AlertArgs {
    #[command(subcommand)]
    command: AlertCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum AlertCommand {
    /// Create or replace an alert
    Set(SetArgs),
    /// List alerts with their values
    List,
    /// Remove an alert
    Remove {
        /// Name of the alert
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
}

#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
struct SetArgs {
    /// Name of the alert: a-z 0-9 . _ - @
    name: String,
    #[command(flatten)]
    limit: LimitArgs,
    /// Only calls of these prompts
    #[arg(long, value_name = "PATTERN", default_value = "**")]
    prompt: Pattern,
    /// Apply the limit to each prompt separately, instead of to all together
    #[arg(long)]
    each_prompt: bool,
    /// Period to look back over, such as 1h or 7d [default: 1d for spend, 1h for others]
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    per: Option<u64>,
    /// Minimum number of calls; with fewer, the state is unknown
    #[arg(long, value_name = "N", default_value_t = MIN_CALLS_DEFAULT)]
    min_calls: u64,
}

/// What is watched; exactly one of these.
#[derive(Clone, Debug, Args)]
#[group(required = true, multiple = false)]
#[allow(clippy::struct_field_names, reason = "the names of the options")]
struct LimitArgs {
    /// Known cost of the calls, in US dollars
    #[arg(long, value_name = "USD", value_parser = dollars)]
    spend_over: Option<f64>,
    /// Increase in cost over the average of the week before, such as 50%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    spend_growth_over: Option<f64>,
    /// Share of calls that failed, such as 5%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    error_rate_over: Option<f64>,
    /// 95th percentile of latency, such as 3s or 800ms
    #[arg(long, value_name = "DURATION", value_parser = milliseconds)]
    p95_over: Option<f64>,
    /// Share of calls that belong to no known version, such as 10%
    #[arg(long, value_name = "SHARE", value_parser = share)]
    unattributed_over: Option<f64>,
}

impl SetArgs {
    fn rule(&self) -> Option<AlertRule> {
        let LimitArgs { spend_over, spend_growth_over, error_rate_over, p95_over, unattributed_over } = self.limit;
        let limits = [
            (AlertMetric::Spend, spend_over),
            (AlertMetric::SpendGrowth, spend_growth_over),
            (AlertMetric::ErrorRate, error_rate_over),
            (AlertMetric::LatencyP95, p95_over),
            (AlertMetric::UnattributedShare, unattributed_over),
        ];
        let (metric, threshold) = limits.into_iter().find_map(|(metric, limit)| Some((metric, limit?)))?;
        let costs = matches!(metric, AlertMetric::Spend | AlertMetric::SpendGrowth);
        Some(AlertRule {
            metric,
            threshold,
            prompts: self.prompt.clone(),
            each_prompt: self.each_prompt,
            per_s: self.per.unwrap_or(if costs { DAY_S } else { HOUR_S }),
            min_calls: self.min_calls,
        })
    }
}

pub async fn run(args: AlertArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        AlertCommand::Set(args) => {
            let rule = args.rule().ok_or_else(|| CliError::usage("name a limit, such as --spend-over 20"))?;
            let alert = client.put_alert(&args.name, &rule).await?;
            if output.json {
                output.json(&alert)?;
            } else {
                let state = paint(style(alert.state), alert.state.as_str());
                output.line(format!("{} {} is set: {state}", paint(GOOD, "✓"), paint(ACCENT, &alert.name)))?;
                output.line(paint(DIM, one_line(&alert.summary)))?;
            }
        }
        AlertCommand::List => {
            let alerts = client.alerts().await?;
            if output.json {
                output.json(&serde_json::json!({ "items": alerts }))?;
            } else {
                output.table(&table(&alerts), "no alerts; create one with `bookholder alert set`")?;
            }
        }
        AlertCommand::Remove { name, yes } => {
            confirm(output, yes.yes, &format!("Remove the alert {name}?"), Vec::new())?;
            client.remove_alert(&name).await?;
            if output.json {
                output.json(&serde_json::json!({ "removed": name }))?;
            } else {
                output.line(format!("{} removed {}", paint(GOOD, "✓"), paint(ACCENT, name)))?;
            }
        }
    }
    Ok(Verdict::Done)
}

const fn style(state: AlertState) -> anstyle::Style {
    match state {
        AlertState::Ok => GOOD,
        AlertState::Firing => BAD,
        AlertState::Unknown => WARN,
    }
}

fn table(alerts: &[AlertView]) -> Table {
    let mut table = Table::new(&["NAME", "STATE", "SINCE (ZONE)", "VALUE"]);
    for alert in alerts {
        table.row([
            Cell::new(ACCENT, &alert.name),
            Cell::new(style(alert.state), alert.state.as_str()),
            Cell::new(DIM, moment(alert.since)),
            one_line(&alert.summary).into(),
        ]);
    }
    table
}

/// An amount such as `20` or `$0.50`.
fn dollars(text: &str) -> Result<f64, String> {
    let amount = text.strip_prefix('$').unwrap_or(text).parse::<f64>().ok().filter(|amount| amount.is_finite());
    amount.ok_or_else(|| "use US dollars, such as 20 or 0.50".to_owned())
}

/// A share such as `5%`.
fn share(text: &str) -> Result<f64, String> {
    let percent = text.strip_suffix('%').and_then(|number| number.trim().parse::<f64>().ok());
    percent
        .filter(|percent| percent.is_finite())
        .map(|percent| percent / 100.0)
        .ok_or("use a percentage, such as 5%".to_owned())
}

/// A duration such as `3s` or `800ms`, in milliseconds.
fn milliseconds(text: &str) -> Result<f64, String> {
    let wrong = || "use a duration, such as 3s or 800ms".to_owned();
    let number = |text: &str, unit_ms: f64| {
        text.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * unit_ms).ok_or_else(wrong)
    };
    match (text.strip_suffix("ms"), text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(ms), _, _) => number(ms, 1.0),
        (_, Some(seconds), _) => number(seconds, 1_000.0),
        (_, _, Some(minutes)) => number(minutes, 60_000.0),
        _ => Err(wrong()),
    }
}

/// A length of time such as `1d`, in seconds.
fn seconds(text: &str) -> Result<u64, String> {
    match text.parse::<Since>() {
        Ok(Since::Ago(ms)) if ms >= 1_000 => u64::try_from(ms / 1_000).map_err(|error| error.to_string()),
        _ => Err("use a duration, such as 1h or 7d".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SetArgs,
    }

    fn rule(line: &str) -> Result<AlertRule, String> {
        let parsed = Line::try_parse_from(std::iter::once("set").chain(line.split(' ')));
        parsed.map(|line| line.args.rule().expect("a limit")).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_read_with_their_units() {
        for (line, metric, threshold, per_s) in [
            ("a --spend-over 20", AlertMetric::Spend, 20.0, DAY_S),
            ("a --spend-over $0.5 --per 1h", AlertMetric::Spend, 0.5, HOUR_S),
            ("a --spend-growth-over 150% --per 7d", AlertMetric::SpendGrowth, 1.5, 7 * DAY_S),
            ("a --error-rate-over 5%", AlertMetric::ErrorRate, 0.05, HOUR_S),
            ("a --p95-over 3s", AlertMetric::LatencyP95, 3_000.0, HOUR_S),
            ("a --p95-over 800ms", AlertMetric::LatencyP95, 800.0, HOUR_S),
            ("a --unattributed-over 10%", AlertMetric::UnattributedShare, 0.1, HOUR_S),
        ] {
            let rule = rule(line).expect(line);
            assert_eq!((rule.metric, rule.threshold, rule.per_s), (metric, threshold, per_s), "{line}");
        }
    }

    #[test]
    fn invalid_limits_are_usage_errors_that_say_what_to_write() {
        for (line, part) in [
            ("a", "--spend-over"),
            ("a --spend-over 20 --p95-over 3s", "cannot be used with"),
            ("a --error-rate-over 5", "such as 5%"),
            ("a --spend-over much", "such as 20"),
            ("a --p95-over 3", "such as 3s"),
            ("a --spend-over 20 --per 1", "such as 1h"),
        ] {
            let error = rule(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}

//! `webhook`: manages webhooks and their deliveries. A new secret is printed once.

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::Verdict;
use super::args::values::YesArgs;
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Table, WARN, moment, paint};
use crate::api::webhooks::{SuspensionRequest, WebhookRequest, WebhookRotation, WebhookView};
use crate::governance::event::{NAMED_EVENTS, plain_events};
use crate::model::pattern::Pattern;
use crate::model::webhook::{Delivery, DeliveryState, WebhookFormat};

const EXAMPLES: &str = "\
Examples:
  bookholder webhook add deploy-bot https://bot.example.com/bookholder \\
      --event 'prompt.label.*' --prompts 'support/**'
  bookholder webhook add team $SLACK_WEBHOOK_URL --slack
  bookholder webhook test deploy-bot
  bookholder webhook deliveries deploy-bot --failed
  bookholder webhook redeliver deploy-bot 17
  bookholder webhook rotate deploy-bot --overlap-hours 24";

/// Width of the lists in the help.
const HELP_COLUMNS: usize = 80;

/// Every event, for the help after the options.
fn events() -> String {
    let mut help = "Events, one for each effect of an audit entry:\n".to_owned();
    let width = NAMED_EVENTS.iter().map(|(event, _)| event.len()).max().unwrap_or_default();
    for (event, means) in NAMED_EVENTS {
        help.extend([format!("  {event:<width$}  {means}\n")]);
    }
    help.push_str("Other commands send COMMAND.granted or COMMAND.denied, e.g. propose.granted for\n");
    help.push_str("a change request that was opened. COMMAND is one of:\n");
    let mut commands: Vec<String> =
        plain_events().filter_map(|event| Some(event.split_once('.')?.0.to_owned())).collect();
    commands.dedup();
    let mut line = String::new();
    for command in commands {
        if line.len() + command.len() + 1 > HELP_COLUMNS {
            help.extend([std::mem::take(&mut line).as_str(), "\n"]);
        }
        line.extend([if line.is_empty() { "  " } else { " " }, command.as_str()]);
    }
    help + &line + "\nDeliveries are signed according to Standard Webhooks."
}

/// Seconds of an hour.
const HOUR_S: u64 = 3_600;
/// Deliveries listed by default.
const ROWS: usize = 20;

/// `webhook`
#[derive(Clone, Debug, Args)]
#[command(after_help = format!("{EXAMPLES}\n\n{}", events()))]
pub struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum WebhookCommand {
    /// Create or replace a webhook; a new secret is shown once
    #[command(after_help = events())]
    Add(AddArgs),
    /// List webhooks
    List,
    /// Remove a webhook and its deliveries
    Remove {
        /// Name of the webhook
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
    /// Replace a webhook's secret (shown once)
    Rotate {
        /// Name of the webhook
        name: String,
        /// How long deliveries are also signed with the old secret
        #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u64).range(0..=720))]
        overlap_hours: u64,
    },
    /// Send a webhook.test event
    Test {
        /// Name of the webhook
        name: String,
    },
    /// Pause deliveries; events while paused are not sent
    Disable {
        /// Name of the webhook
        name: String,
        /// Message
        #[arg(short, long, value_name = "WHY", default_value = "", hide_default_value = true)]
        message: String,
    },
    /// Resume deliveries, including pending ones
    Enable {
        /// Name of the webhook
        name: String,
    },
    /// List deliveries, newest first
    Deliveries {
        /// Name of the webhook
        name: String,
        /// Failed deliveries only
        #[arg(long)]
        failed: bool,
        /// Maximum number of results
        #[arg(long, value_name = "N", default_value_t = ROWS)]
        limit: usize,
    },
    /// Resend an event with the same ID
    Redeliver {
        /// Name of the webhook
        name: String,
        /// Number of the audit entry
        #[arg(value_name = "EVENT")]
        seq: u64,
    },
}

#[derive(Clone, Debug, Args)]
struct AddArgs {
    /// Name of the webhook: a-z 0-9 . _ - @
    name: String,
    /// URL to post events to
    url: String,
    /// Events: a type, a prefix such as prompt.*, or * [default: *]
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
    /// Only events about these prompts
    #[arg(long, value_name = "PATTERN", default_value = "**")]
    prompts: Pattern,
    /// Send Slack-formatted messages
    #[arg(long)]
    slack: bool,
}

pub async fn run(args: WebhookArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        WebhookCommand::Add(AddArgs { name, url, events, prompts, slack }) => {
            let events = if events.is_empty() { vec!["*".to_owned()] } else { events };
            let format = if slack { WebhookFormat::Slack } else { WebhookFormat::Standard };
            let kept = client.put_webhook(&name, &WebhookRequest { url, events, prompts, format }).await?;
            show(&context, &kept, "is saved")
        }
        WebhookCommand::List => list(&context).await,
        WebhookCommand::Remove { name, yes } => {
            confirm(context.output, yes.yes, &format!("Remove the webhook {name} and its deliveries?"), Vec::new())?;
            client.remove_webhook(&name).await?;
            output.show(&serde_json::json!({ "removed": name }), || {
                output.line(format!("{} removed {}", paint(GOOD, "✓"), paint(ACCENT, name)))
            })?;
            Ok(Verdict::Done)
        }
        WebhookCommand::Rotate { name, overlap_hours } => {
            let how = WebhookRotation { overlap_s: overlap_hours * HOUR_S };
            show(&context, &client.rotate_webhook(&name, &how).await?, "has a new secret")
        }
        WebhookCommand::Test { name } => {
            let test = client.test_webhook(&name).await?;
            if output.json {
                output.json(&test)?;
            } else {
                output.line(format!(
                    "{} event {} is on its way to {}",
                    paint(GOOD, "✓"),
                    test.seq,
                    paint(ACCENT, &name)
                ))?;
                output.note(format!("check the result with `bookholder webhook deliveries {name}`"));
            }
            Ok(Verdict::Done)
        }
        WebhookCommand::Disable { name, message } => {
            show(&context, &client.disable_webhook(&name, &SuspensionRequest { message }).await?, "is disabled")
        }
        WebhookCommand::Enable { name } => show(&context, &client.enable_webhook(&name).await?, "is enabled"),
        WebhookCommand::Deliveries { name, failed, limit } => deliveries(&context, &name, failed, limit).await,
        WebhookCommand::Redeliver { name, seq } => {
            let deliveries = client.redeliver(&name, seq).await?;
            if output.json {
                output.json(&serde_json::json!({ "items": deliveries }))?;
                return Ok(Verdict::Done);
            }
            for delivery in deliveries {
                let what = format!("event {seq} ({}) is on its way to {}", delivery.event_type, paint(ACCENT, &name));
                output.line(format!("{} {what}", paint(GOOD, "✓")))?;
            }
            Ok(Verdict::Done)
        }
    }
}

/// Prints the state of a webhook, and a new secret.
fn show(context: &Context, webhook: &WebhookView, what: &str) -> Result<Verdict, CliError> {
    let output = context.output;
    if output.json {
        output.json(webhook)?;
        return Ok(Verdict::Done);
    }
    let said = format!("{} {} {what}", paint(GOOD, "✓"), paint(ACCENT, &webhook.name));
    match &webhook.secret {
        Some(secret) => {
            output.note(format!("{said}; copy its secret now: it is not shown again"));
            output.exactly(&format!("{secret}\n"))?;
        }
        None => output.line(said)?,
    }
    Ok(Verdict::Done)
}

async fn list(context: &Context) -> Result<Verdict, CliError> {
    let (webhooks, output) = (context.client.webhooks().await?, context.output);
    if output.json {
        output.json(&serde_json::json!({ "items": webhooks }))?;
        return Ok(Verdict::Done);
    }
    let mut table = Table::new(&["NAME", "URL", "EVENTS", "PROMPTS", "FORMAT", "STATE"]);
    for webhook in &webhooks {
        table.row([
            Cell::new(ACCENT, &webhook.name),
            webhook.url.as_str().into(),
            webhook.events.join(" ").into(),
            webhook.prompts.as_str().into(),
            webhook.format.as_str().into(),
            state(webhook),
        ]);
    }
    output.table(&table, "no webhooks")?;
    Ok(Verdict::Done)
}

fn state(webhook: &WebhookView) -> Cell {
    match (&webhook.disabled, webhook.failing_since) {
        (Some(disabled), _) => Cell::new(BAD, format!("disabled {}: {}", moment(disabled.at), disabled.why)),
        (None, Some(since)) => Cell::new(WARN, format!("failing since {}, {} pending", moment(since), webhook.pending)),
        (None, None) if webhook.pending > 0 => format!("{} pending", webhook.pending).into(),
        (None, None) => Cell::new(GOOD, "good"),
    }
}

async fn deliveries(context: &Context, name: &str, failed: bool, limit: usize) -> Result<Verdict, CliError> {
    let output = context.output;
    let mut stream = context.client.deliveries(name, limit);
    let mut rows: Vec<Delivery> = Vec::new();
    while rows.len() < limit
        && let Some(delivery) = stream.try_next().await?
    {
        if !failed || delivery.state == DeliveryState::Failed {
            rows.push(delivery);
        }
    }
    if output.json {
        output.json(&serde_json::json!({ "items": rows }))?;
        return Ok(Verdict::Done);
    }
    let mut table = Table::new(&["EVENT", "TYPE", "STATE", "ATTEMPTS", "LAST (ZONE)", "ANSWER"]);
    for delivery in &rows {
        let style = match delivery.state {
            DeliveryState::Pending => WARN,
            DeliveryState::Delivered => GOOD,
            DeliveryState::Failed => BAD,
        };
        let last = delivery.attempts.last();
        let answer = last.and_then(|last| last.error.clone().or_else(|| last.status.map(|status| status.to_string())));
        table.row([
            Cell::new(ACCENT, delivery.seq),
            delivery.event_type.as_str().into(),
            Cell::new(style, delivery.state.as_str()),
            delivery.tried.into(),
            Cell::new(DIM, last.map(|last| moment(last.at)).unwrap_or_default()),
            answer.unwrap_or_default().into(),
        ]);
    }
    output.table(&table, if failed { "no failed deliveries" } else { "no deliveries" })?;
    Ok(Verdict::Done)
}

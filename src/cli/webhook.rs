//! `webhook`: who is told of what happens, and what became of telling them. A secret is printed when it is made.

use clap::{Args, Subcommand};
use futures_util::TryStreamExt;

use super::Verdict;
use super::args::values::YesArgs;
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, BAD, Cell, DIM, GOOD, Table, WARN, moment, paint};
use crate::api::webhooks::{SuspensionRequest, WebhookRequest, WebhookRotation, WebhookView};
use crate::model::pattern::Pattern;
use crate::model::webhook::{Delivery, DeliveryState, WebhookFormat};

const EXAMPLES: &str = "\
Examples:
  bookholder webhook add deploy-bot https://bot.example.com/bookholder --event 'prompt.label.*' --prompts 'support/**'
  bookholder webhook add team $SLACK_WEBHOOK_URL --slack --event prompt.label.moved
  bookholder webhook test deploy-bot
  bookholder webhook deliveries deploy-bot --failed
  bookholder webhook redeliver deploy-bot 17
  bookholder webhook rotate deploy-bot --overlap-hours 24

Events, one for each effect of what the audit log records:
  prompt.label.moved      a label serves something else: by deploy, publish, rollback, unlabel, remove, import, apply
  prompt.version.created  a prompt has a new version
  prompt.removed          a prompt was removed
  prompt.label.blocked    a deployment was refused
  propose.granted         somebody asks for a review
  and COMMAND.granted or COMMAND.denied for the rest, such as approve.granted or create_token.granted
Receivers check them as Standard Webhooks does: there are libraries for most languages.";

/// Seconds of an hour.
const HOUR_S: u64 = 3_600;
/// Deliveries that are listed when nobody says.
const ROWS: usize = 20;

/// `webhook`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WebhookArgs {
    #[command(subcommand)]
    command: WebhookCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum WebhookCommand {
    /// Keep a webhook; the secret of a new one is shown once and never again
    Add(AddArgs),
    /// List webhooks
    List,
    /// Take a webhook away, with its deliveries
    Remove {
        /// Which
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
    /// Give a webhook another secret, which is shown once
    Rotate {
        /// Which
        name: String,
        /// How long the old secret signs as well, so that the receiver can change
        #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u64).range(0..=720))]
        overlap_hours: u64,
    },
    /// Send an event of type webhook.test
    Test {
        /// Which
        name: String,
    },
    /// Send nothing until it is enabled; what happens meanwhile passes it by
    Disable {
        /// Which
        name: String,
        /// Why
        #[arg(short, long, value_name = "WHY", default_value = "", hide_default_value = true)]
        message: String,
    },
    /// Send what is pending, and what happens from now on
    Enable {
        /// Which
        name: String,
    },
    /// List what became of its events, newest first
    Deliveries {
        /// Which
        name: String,
        /// Only what was given up
        #[arg(long)]
        failed: bool,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = ROWS)]
        limit: usize,
    },
    /// Send an event that its filters let pass again, under the same id
    Redeliver {
        /// Which
        name: String,
        /// The number of the audit entry that the event is
        #[arg(value_name = "EVENT")]
        seq: u64,
    },
}

#[derive(Clone, Debug, Args)]
struct AddArgs {
    /// What to call it; of a-z 0-9 . _ - @
    name: String,
    /// Where events are posted to
    url: String,
    /// Which events: a type, a beginning such as prompt.*, or * [default: *]
    #[arg(long = "event", value_name = "TYPE")]
    events: Vec<String>,
    /// Which prompts
    #[arg(long, value_name = "PATTERN", default_value = "**")]
    prompts: Pattern,
    /// Say it as Slack's incoming webhooks read it
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
            show(&context, &kept, "is kept")
        }
        WebhookCommand::List => list(&context).await,
        WebhookCommand::Remove { name, yes } => {
            confirm(context.output, yes.yes, &format!("Remove the webhook {name}, with its deliveries?"), Vec::new())?;
            client.remove_webhook(&name).await?;
            if output.json {
                output.json(&serde_json::json!({ "removed": name }))?;
            } else {
                output.line(format!("{} {} is gone", paint(GOOD, "✓"), paint(ACCENT, name)))?;
            }
            Ok(Verdict::Done)
        }
        WebhookCommand::Rotate { name, overlap_hours } => {
            let how = WebhookRotation { overlap_s: overlap_hours * HOUR_S };
            show(&context, &client.rotate_webhook(&name, &how).await?, "has another secret")
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
                output.note(format!("`bookholder webhook deliveries {name}` says what became of it"));
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
                output.json(&deliveries)?;
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

/// Says what a webhook is now, and prints its secret where there is a new one.
fn show(context: &Context, webhook: &WebhookView, what: &str) -> Result<Verdict, CliError> {
    let output = context.output;
    if output.json {
        output.json(webhook)?;
        return Ok(Verdict::Done);
    }
    let said = format!("{} {} {what}", paint(GOOD, "✓"), paint(ACCENT, &webhook.name));
    match &webhook.secret {
        Some(secret) => {
            output.note(format!("{said}; its secret stands here and nowhere else: keep it now"));
            output.exactly(&format!("{secret}\n"))?;
        }
        None => output.line(said)?,
    }
    Ok(Verdict::Done)
}

async fn list(context: &Context) -> Result<Verdict, CliError> {
    let (webhooks, output) = (context.client.webhooks().await?, context.output);
    if output.json {
        output.json(&webhooks)?;
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
        output.json(&rows)?;
        return Ok(Verdict::Done);
    }
    let mut table = Table::new(&["EVENT", "TYPE", "STATE", "ATTEMPTS", "LAST (UTC)", "ANSWER"]);
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

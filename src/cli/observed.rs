//! `observed`: prompts that are in applications and not in the registry yet.

use clap::{Args, Subcommand};

use super::Verdict;
use super::changed::published;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Output, STRONG, Table, WARN, harmless, moment, one_line, paint, zoned};
use crate::api::observed::{AdoptedVersion, OBSERVED_ROWS_MAX, ObservedPrompt, ObservedPrompts, ObservedUse};
use crate::model::count::count;
use crate::model::name::PromptName;
use crate::web::figures::UNKNOWN;

/// Characters of a text in the table.
const TEXT_CHARACTERS: usize = 60;
/// Models in the table.
const MODELS: usize = 2;

const EXAMPLES: &str = "\
Examples:
  bookholder observed                         most calls first
  bookholder observed show 4f2a9c0d1e3b5a67   whole text, models, cost
  bookholder observed adopt 4f2a9c0d1e3b5a67 support/agent

An observed prompt is a system message that applications sent and that belongs
to no version. Messages that differ in a few places are one prompt with
variables.
Prompts are observed only while the node records content (--record-content).
Once adopted, calls with that message belong to the new version.";

/// `observed`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct ObservedArgs {
    #[command(subcommand)]
    command: Option<ObservedCommand>,
    /// Maximum number of prompts
    #[arg(long, value_name = "N", default_value_t = 30)]
    limit: usize,
}

#[derive(Clone, Debug, Subcommand)]
enum ObservedCommand {
    /// Show an observed prompt with its whole text
    Show {
        /// ID of the observed prompt
        id: String,
    },
    /// Publish an observed prompt as a version of a prompt
    Adopt {
        /// ID of the observed prompt
        id: String,
        /// Name of the prompt; it is created if it does not exist
        name: PromptName,
    },
}

pub async fn run(args: ObservedArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        None => {
            let observed = client.observed(args.limit.clamp(1, OBSERVED_ROWS_MAX)).await?;
            if output.json { output.json(&observed)? } else { list(output, &observed)? }
        }
        Some(ObservedCommand::Show { id }) => {
            let prompt = client.observed_prompt(&id).await?;
            if output.json { output.json(&prompt)? } else { show(output, &prompt)? }
        }
        Some(ObservedCommand::Adopt { id, name }) => {
            let done = client.adopt(&id, &name).await?;
            published(output, &done)?;
            if !output.json {
                output.line(paint(DIM, "calls with this text belong to this version from now on"))?;
            }
        }
    }
    Ok(Verdict::Done)
}

fn list(output: Output, observed: &ObservedPrompts) -> Result<(), CliError> {
    if !observed.recording {
        output.note("this node does not record content, so no prompts are observed: start it with --record-content");
    }
    output.table(&table(&observed.prompts), "no observed prompts")?;
    if observed.more > 0 {
        output.line(paint(DIM, format!("{} more; show them with --limit", observed.more)))?;
    }
    if let Some(other) = &observed.other {
        let calls = other.calls;
        let line = format!("calls left out, as their text was too long or there was no more room: {calls}");
        output.line(paint(WARN, line))?;
    }
    Ok(())
}

fn table(prompts: &[ObservedPrompt]) -> Table {
    let mut table = Table::new(&["ID", "CALLS", "COST", "MODELS", "LAST SEEN (ZONE)", "TEXT"]);
    for prompt in prompts {
        let counts = &prompt.counts;
        let text = match &prompt.adopted {
            Some(adopted) => Cell::new(GOOD, format!("adopted as {}", reference(adopted))),
            None => start(&prompt.text).into(),
        };
        table.row([
            Cell::new(ACCENT, &prompt.id),
            counts.calls.into(),
            cost(counts).into(),
            models(counts).into(),
            Cell::new(DIM, moment(counts.last_seen)),
            text,
        ]);
    }
    table
}

fn show(output: Output, prompt: &ObservedPrompt) -> Result<(), CliError> {
    let counts = &prompt.counts;
    output.line(format!("{}  {}  {}", paint(STRONG, &prompt.id), count(counts.calls, "call"), cost(counts)))?;
    let (first, last) = (moment(counts.first_seen), zoned(counts.last_seen));
    output.line(paint(DIM, format!("first {first}, last {last}")))?;
    let input = count(counts.input_tokens, "token");
    output.line(format!("{} failed · {input} in · {} out", counts.errors, counts.output_tokens))?;
    for one in &counts.models {
        output.line(format!("  {:>8}  {}", one.calls, one_line(&one.model)))?;
    }
    if let Some(adopted) = &prompt.adopted {
        output.line(format!("{} adopted as {}", paint(GOOD, "✓"), paint(ACCENT, reference(adopted))))?;
    }
    output.line("")?;
    output.text(&harmless(&prompt.text))
}

fn reference(adopted: &AdoptedVersion) -> String {
    format!("{}@{}", adopted.prompt, adopted.version)
}

fn cost(counts: &ObservedUse) -> String {
    if counts.priced_calls == 0 { UNKNOWN.to_owned() } else { counts.cost_usd.short() }
}

fn models(counts: &ObservedUse) -> String {
    let named: Vec<String> = counts.models.iter().take(MODELS).map(|one| one_line(&one.model)).collect();
    let more = counts.models.len().saturating_sub(MODELS);
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

/// The start of a text, on one line.
fn start(text: &str) -> String {
    let line = one_line(text);
    match line.char_indices().nth(TEXT_CHARACTERS) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt(id: &str, text: &str, adopted: bool) -> ObservedPrompt {
        let version = json!({"prompt": "support/agent", "version": 3});
        serde_json::from_value(json!({
            "id": id, "text": text, "text_bytes": text.len(), "variables": 0, "calls": 1200, "errors": 3,
            "priced_calls": 1000, "cost_usd": "1.5", "input_tokens": 10, "output_tokens": 5,
            "models": [{"model": "gpt-5", "calls": 1000}, {"model": "a\u{1b}[2J", "calls": 100}, {"model": "_other", "calls": 100}],
            "first_seen": "2026-11-01T10:00:00Z", "last_seen": "2026-11-29T10:00:00Z",
            "adopted": adopted.then_some(version),
        }))
        .expect("an observed prompt")
    }

    #[test]
    fn table_has_a_line_for_each_prompt_without_control_characters() {
        let long = format!("You are\nkind. {}", "x".repeat(100));
        let rows = [prompt("00000000000000aa", &long, false), prompt("00000000000000bb", "x", true)];
        let expected = "\
ID                CALLS  COST   MODELS                  LAST SEEN (UTC)      TEXT
00000000000000aa  1200   $1.50  gpt-5, a�[2J and 1 more  2026-11-29 10:00:00  You are kind. xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
00000000000000bb  1200   $1.50  gpt-5, a�[2J and 1 more  2026-11-29 10:00:00  adopted as support/agent@3
";
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(words(&table(&rows).render(false, None)), words(expected));
    }
}

//! `context`: lists, chooses and removes saved servers.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Verdict;
use super::args::values::YesArgs;
use super::confirm::confirm;
use super::context_file::{ContextFile, Contexts};
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Output, Table, paint};

const EXAMPLES: &str = "\
Examples:
  bookholder context list
  bookholder context use prod
  bookholder context remove staging
  bookholder list --context staging          one command with another context

Flags take precedence over environment variables, and those over the context in
use. --context selects a whole context: BOOKHOLDER_SERVER, BOOKHOLDER_TOKEN and
BOOKHOLDER_CA_FILE have no effect then. The token of a context is sent to the
server of that context only.";

/// `context`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ContextArgs {
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum ContextCommand {
    /// List saved servers; * marks the one in use
    List,
    /// Use a context from now on
    Use {
        /// Name of the context
        #[arg(value_name = "CONTEXT")]
        name: String,
    },
    /// Forget a server and its access token
    Remove {
        /// Name of the context
        #[arg(value_name = "CONTEXT")]
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
}

/// A context as it is listed, without its access token.
#[derive(Debug, Serialize)]
struct Row<'a> {
    name: &'a str,
    server: &'a str,
    current: bool,
    has_token: bool,
}

pub fn run(args: &ContextArgs, output: Output) -> Result<Verdict, CliError> {
    let file = ContextFile::of_user();
    let mut contexts = file.as_ref().map_or_else(|| Ok(Contexts::default()), ContextFile::read)?;
    match &args.command {
        ContextCommand::List => {
            let rows = rows(&contexts);
            output.list(&rows, || output.table(&table(&rows), "no contexts; add one with `bookholder login URL`"))?;
        }
        ContextCommand::Use { name } => {
            let server = contexts.get(name)?.server.clone();
            contexts.current = Some(name.clone());
            save(file.as_ref(), &contexts)?;
            output.show(&serde_json::json!({ "context": name, "server": server }), || {
                output.line(format!("{} using {} {}", paint(GOOD, "✓"), paint(ACCENT, name), paint(DIM, &server)))
            })?;
        }
        ContextCommand::Remove { name, yes } => {
            let server = contexts.get(name)?.server.clone();
            confirm(output, yes.yes, &format!("Forget {server} and its access token?"), Vec::new())?;
            contexts.remove(name)?;
            save(file.as_ref(), &contexts)?;
            output.show(&serde_json::json!({ "removed": name }), || {
                output.line(format!("{} removed context {}", paint(GOOD, "✓"), paint(ACCENT, name)))
            })?;
        }
    }
    Ok(Verdict::Done)
}

fn save(file: Option<&ContextFile>, contexts: &Contexts) -> Result<(), CliError> {
    file.map_or(Ok(()), |file| file.write(contexts))
}

fn rows(contexts: &Contexts) -> Vec<Row<'_>> {
    contexts
        .contexts
        .iter()
        .map(|(name, saved)| Row {
            name,
            server: &saved.server,
            current: contexts.current.as_ref() == Some(name),
            has_token: saved.token.is_some(),
        })
        .collect()
}

fn table(rows: &[Row<'_>]) -> Table {
    let mut table = Table::new(&["", "NAME", "SERVER", "TOKEN"]);
    for row in rows {
        table.row([
            Cell::new(GOOD, if row.current { "*" } else { "" }),
            Cell::new(ACCENT, row.name),
            row.server.into(),
            Cell::new(DIM, if row.has_token { "saved" } else { "none" }),
        ]);
    }
    table
}

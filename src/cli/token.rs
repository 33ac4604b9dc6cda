//! `token`: makes, lists and revokes access tokens. Making one is the only verb that prints one.

use clap::{Args, Subcommand};

use super::Verdict;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Table, moment, paint};
use crate::api::govern::TokenRequest;

const EXAMPLES: &str = "\
Examples:
  bookholder token create ci --role admin
  bookholder token create edge-7 --role replica > edge-7.token
  bookholder token list
  bookholder token revoke ci";

/// `token`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum TokenCommand {
    /// Make an access token; it is shown once and never again
    Create {
        /// What it is for, such as edge-7; unique
        name: String,
        /// What it may do
        #[arg(long)]
        role: String,
    },
    /// List access tokens, without the tokens themselves
    List,
    /// Make an access token worthless from now on
    Revoke {
        /// What it is for
        name: String,
    },
}

pub async fn run(args: TokenArgs, context: Context) -> Result<Verdict, CliError> {
    let output = context.output;
    match args.command {
        TokenCommand::Create { name, role } => {
            let made = context
                .client
                .create_token(&TokenRequest { name, role: Some(role), ..TokenRequest::default() })
                .await?;
            if output.json {
                output.json(&made)?;
            } else {
                output.note(format!("{} keep it now: it is not shown again", paint(GOOD, "✓")));
                let token = made.token.ok_or_else(|| CliError::server("the answer holds no access token"))?;
                output.exactly(&format!("{token}\n"))?;
            }
        }
        TokenCommand::List => {
            let tokens = context.client.tokens().await?;
            if output.json {
                output.json(&tokens)?;
                return Ok(Verdict::Done);
            }
            let mut table = Table::new(&["NAME", "PRINCIPAL", "CREATED (UTC)"]);
            for token in &tokens {
                table.row([
                    Cell::new(ACCENT, &token.name),
                    token.principal.as_str().into(),
                    Cell::new(DIM, moment(token.created)),
                ]);
            }
            output.table(&table, "no access tokens")?;
        }
        TokenCommand::Revoke { name } => {
            context.client.revoke_token(&name).await?;
            if output.json {
                output.json(&serde_json::json!({ "revoked": name }))?;
            } else {
                output.line(format!("{} {} is worthless now", paint(GOOD, "✓"), paint(ACCENT, name)))?;
            }
        }
    }
    Ok(Verdict::Done)
}

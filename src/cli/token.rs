//! `token`: makes, rotates, lists and revokes access tokens. Making and rotating are the only verbs that print one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};

use super::args::values::{YesArgs, duration, handle, lifetime};
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Output, Table, moment, paint};
use super::serve::runtime;
use super::{Verdict, disk};
use crate::api::govern::{RotationRequest, TokenRequest, TokenView};
use crate::clock::SystemClock;
use crate::model::pattern::Pattern;
use crate::server::repair::create_token;

const EXAMPLES: &str = "\
Examples:
  bookholder token create ann-laptop --for ann --expires 90d
  bookholder token create ci --role admin
  bookholder token create edge-7 --role replica --view support --out edge-7.token
  bookholder token create shop --role reader --prompts 'shop/**'
  bookholder token rotate ci --overlap 24h --expires 90d    the old one is good for one more day
  bookholder token list
  bookholder token revoke ci
  bookholder token create rescue --role admin --data /var/lib/bookholder    with the node stopped, if all tokens are lost";

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
    #[command(group(ArgGroup::new("whose").required(true).args(["role", "principal"])))]
    Create {
        /// What it is for, such as edge-7; unique
        name: String,
        /// Make a service of this name with this role, everywhere
        #[arg(long)]
        role: Option<String>,
        /// Make it for a principal that exists
        #[arg(long = "for", value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// How long it is good, such as 90d or 24h [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<u64>,
        /// Bind it to these prompts, whatever its principal may
        #[arg(long, value_name = "PATTERN")]
        prompts: Option<Pattern>,
        /// Bind it to following this view; may be repeated
        #[arg(long, value_name = "NAME", value_parser = handle)]
        view: Vec<String>,
        /// Make it in this data directory, which no node runs on, without an access token
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Write the token into this new file, which only you can read, instead of printing it
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Replace an access token by a new one of the same name; it is shown once and never again
    Rotate {
        /// What it is for
        name: String,
        /// How long the old one is still good, such as 24h
        #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s")]
        overlap: u64,
        /// How long the new one is good, such as 90d [default: for ever]
        #[arg(long, value_name = "TIME", value_parser = lifetime)]
        expires: Option<u64>,
    },
    /// List access tokens, without the tokens themselves
    List,
    /// Make an access token worthless from now on; change requests of its principal no longer apply automatically
    Revoke {
        /// What it is for
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
}

impl TokenArgs {
    /// Whether no node shall be asked.
    pub const fn is_offline(&self) -> bool {
        matches!(&self.command, TokenCommand::Create { data: Some(_), .. })
    }
}

/// Makes an access token in a data directory that no node runs on.
pub fn offline(args: TokenArgs, output: Output) -> Result<Verdict, CliError> {
    let TokenCommand::Create { name, role, principal, expires, prompts, view, data: Some(data), out } = args.command
    else {
        return Err(CliError::usage("only `token create` works on a data directory"));
    };
    let request = TokenRequest { name, principal, role, expires_s: expires, prompts, views: view };
    check_new(out.as_deref())?;
    let made = runtime()?.block_on(create_token(&data, request, Arc::new(SystemClock::new())))?;
    print_once(output, &made, out.as_deref())?;
    Ok(Verdict::Done)
}

pub async fn run(args: TokenArgs, context: Context) -> Result<Verdict, CliError> {
    let (client, output) = (&context.client, context.output);
    match args.command {
        TokenCommand::Create { name, role, principal, expires, prompts, view, data: _, out } => {
            check_new(out.as_deref())?;
            let request = TokenRequest { name, principal, role, expires_s: expires, prompts, views: view };
            print_once(output, &client.create_token(&request).await?, out.as_deref())?;
        }
        TokenCommand::Rotate { name, overlap, expires } => {
            let request = RotationRequest { overlap_s: overlap, expires_s: expires };
            let made = client.rotate_token(&name, &request).await?;
            let old = match made.previous_until {
                Some(until) => format!("good until {} UTC", moment(until)),
                None => "worthless now".to_owned(),
            };
            output.note(format!("{} the old one is {old}", paint(GOOD, "✓")));
            print_once(output, &made, None)?;
        }
        TokenCommand::List => {
            let tokens = client.tokens().await?;
            if output.json {
                output.json(&tokens)?;
            } else {
                output.table(&table(&tokens), "no access tokens")?;
            }
        }
        TokenCommand::Revoke { name, yes } => {
            confirm(
                output,
                yes.yes,
                &format!("Revoke the access token {name}? Whoever uses it is refused at once."),
                Vec::new(),
            )?;
            client.revoke_token(&name).await?;
            if output.json {
                output.json(&serde_json::json!({ "revoked": name }))?;
            } else {
                output.line(format!("{} {} is worthless now", paint(GOOD, "✓"), paint(ACCENT, name)))?;
            }
        }
    }
    Ok(Verdict::Done)
}

/// Checks that a file can be made, before a token is that would be lost.
fn check_new(out: Option<&Path>) -> Result<(), CliError> {
    let Some(out) = out else { return Ok(()) };
    if out.symlink_metadata().is_ok() {
        return Err(CliError::usage(format!("{} exists", out.display())).hint("choose another file"));
    }
    disk::check_folder(out)
}

/// Prints a new access token: alone on the standard output, so that it can go into a file; or writes it into one.
fn print_once(output: Output, made: &TokenView, out: Option<&Path>) -> Result<(), CliError> {
    if let (Some(out), Some(token)) = (out, &made.token) {
        disk::write_private(out, format!("{token}\n").as_bytes())?;
        if output.json {
            return output.json(&TokenView { token: None, ..made.clone() });
        }
        return output.line(format!("{} {} is in {}", paint(GOOD, "✓"), made.name, paint(ACCENT, out.display())));
    }
    if output.json {
        return output.json(made);
    }
    output.note(format!("{} keep it now: it is not shown again", paint(GOOD, "✓")));
    let token = made.token.as_ref().ok_or_else(|| CliError::server("the answer holds no access token"))?;
    output.exactly(&format!("{token}\n"))
}

fn table(tokens: &[TokenView]) -> Table {
    let mut table = Table::new(&["NAME", "PRINCIPAL", "CREATED (UTC)", "EXPIRES", "LAST USED", "BOUND TO"]);
    for token in tokens {
        let mut bound: Vec<String> = token.prompts.iter().map(ToString::to_string).collect();
        bound.extend(token.views.iter().map(|view| format!("view {view}")));
        table.row([
            Cell::new(ACCENT, &token.name),
            Cell::from(&token.principal),
            Cell::new(DIM, moment(token.created)),
            Cell::new(DIM, token.expires.map_or_else(|| "never".to_owned(), moment)),
            Cell::new(DIM, token.last_used.map_or_else(|| "never".to_owned(), moment)),
            Cell::from(if bound.is_empty() { "—".to_owned() } else { bound.join(", ") }),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_row_that_never_shows_it() {
        let json = r#"[{"name":"ci","principal":"ci","created":"2026-01-02T03:04:05Z"},
            {"name":"shop","principal":"ann","created":"2026-01-02T03:04:05Z","expires":"2026-04-02T03:04:05Z",
            "last_used":"2026-02-02T03:04:00Z","prompts":"shop/**","views":["eu"],"token":"bh_secret"}]"#;
        let tokens: Vec<TokenView> = serde_json::from_str(json).expect("two tokens");
        let expected = "\
NAME  PRINCIPAL  CREATED (UTC)        EXPIRES              LAST USED            BOUND TO
ci    ci         2026-01-02 03:04:05  never                never                —
shop  ann        2026-01-02 03:04:05  2026-04-02 03:04:05  2026-02-02 03:04:00  shop/**, view eu
";
        assert_eq!(table(&tokens).render(false, None), expected);
    }
}

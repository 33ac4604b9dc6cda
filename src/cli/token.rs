//! `token`: manages access tokens. Only creating and rotating print one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgGroup, Args, Subcommand};

use super::args::values::{YesArgs, duration, handle, lifetime};
use super::confirm::confirm;
use super::context::Context;
use super::error::CliError;
use super::output::{ACCENT, Cell, DIM, GOOD, Output, Table, WARN, moment, paint, zoned};
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
  bookholder token create edge-7 --role replica --out edge-7.token
  bookholder token create shop --role reader --prompts 'shop/**'
  bookholder token rotate ci --overlap 24h --expires 90d
  bookholder token list
  bookholder token revoke ci
  bookholder token create rescue --role admin --expires 7d --data DIR

If all tokens are lost, stop the node and use --data.";

/// `token`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Clone, Debug, Subcommand)]
enum TokenCommand {
    /// Create an access token (shown once)
    #[command(group(ArgGroup::new("whose").required(true).args(["role", "principal"])))]
    Create {
        /// Unique name of the token, e.g. edge-7
        name: String,
        /// Create a service with the token's name and grant it this role everywhere
        #[arg(long)]
        role: Option<String>,
        /// Create it for this existing principal
        #[arg(long = "for", value_name = "PRINCIPAL")]
        principal: Option<String>,
        /// Lifetime, e.g. 90d or 24h [default: no expiry]
        #[arg(long, value_name = "DURATION", value_parser = lifetime)]
        expires: Option<u64>,
        /// Limit the token to these prompts
        #[arg(long, value_name = "PATTERN")]
        prompts: Option<Pattern>,
        /// Limit the token to following this view; repeatable
        #[arg(long, value_name = "NAME", value_parser = handle)]
        view: Vec<String>,
        /// Create it directly in this data directory; stop its node first
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Write the token to this new file, readable only by you, instead of printing it
        #[arg(short, long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Replace an access token with a new one of the same name (shown once)
    Rotate {
        /// Name of the token
        name: String,
        /// How long the old token remains valid, e.g. 24h
        #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
        overlap: u64,
        /// Lifetime of the new token, e.g. 90d [default: expires as before]
        #[arg(long, value_name = "DURATION", value_parser = lifetime)]
        expires: Option<u64>,
    },
    /// List access tokens (without their secrets)
    List,
    /// Revoke an access token; its principal's change requests are no longer deployed automatically
    Revoke {
        /// Name of the token
        name: String,
        #[command(flatten)]
        yes: YesArgs,
    },
}

impl TokenArgs {
    /// Whether the command works without a node.
    pub const fn is_offline(&self) -> bool {
        matches!(&self.command, TokenCommand::Create { data: Some(_), .. })
    }
}

/// Creates an access token in the data directory of a stopped node.
pub fn offline(args: TokenArgs, output: Output) -> Result<Verdict, CliError> {
    let TokenCommand::Create { name, role, principal, expires, prompts, view, data: Some(data), out } = args.command
    else {
        return Err(CliError::usage("only `token create` accepts --data"));
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
                Some(until) => format!("valid until {}", zoned(until)),
                None => "revoked".to_owned(),
            };
            output.note(format!("{} the old token is {old}", paint(GOOD, "✓")));
            print_once(output, &made, None)?;
        }
        TokenCommand::List => {
            let tokens = client.tokens().await?;
            output.list(&tokens, || output.table(&table(&tokens), "no access tokens"))?;
        }
        TokenCommand::Revoke { name, yes } => {
            confirm(
                output,
                yes.yes,
                &format!("Revoke the access token {name}? Requests that use it are rejected immediately."),
                Vec::new(),
            )?;
            client.revoke_token(&name).await?;
            output.show(&serde_json::json!({ "revoked": name }), || {
                output.line(format!("{} revoked {}", paint(GOOD, "✓"), paint(ACCENT, name)))
            })?;
        }
    }
    Ok(Verdict::Done)
}

/// Checks that the file can be created, before a token is created that would be lost.
fn check_new(out: Option<&Path>) -> Result<(), CliError> {
    let Some(out) = out else { return Ok(()) };
    if out.symlink_metadata().is_ok() {
        return Err(CliError::usage(format!("{} already exists", out.display())).hint("choose another file"));
    }
    disk::check_folder(out)
}

/// Prints when a new access token expires, or that it never does.
fn note_expiry(output: Output, made: &TokenView) {
    output.note(match made.expires {
        Some(expires) => paint(DIM, format!("{} expires {}", made.name, zoned(expires))),
        None => format!(
            "{}: {} never expires; to limit its lifetime, pass --expires, e.g. --expires 90d",
            paint(WARN, "note"),
            made.name
        ),
    });
}

/// Prints a new access token: alone on standard output, so that it can be redirected to a file; or writes it to one.
fn print_once(output: Output, made: &TokenView, out: Option<&Path>) -> Result<(), CliError> {
    note_expiry(output, made);
    if let (Some(out), Some(token)) = (out, &made.token) {
        disk::write_private(out, format!("{token}\n").as_bytes())?;
        if output.json {
            return output.json(&TokenView { token: None, ..made.clone() });
        }
        return output.line(format!("{} wrote {} to {}", paint(GOOD, "✓"), made.name, paint(ACCENT, out.display())));
    }
    if output.json {
        return output.json(made);
    }
    output.note(format!("{} copy it now: it is not shown again", paint(GOOD, "✓")));
    let token = made.token.as_ref().ok_or_else(|| CliError::server("the response has no access token"))?;
    output.exactly(&format!("{token}\n"))
}

fn table(tokens: &[TokenView]) -> Table {
    let mut table = Table::new(&["NAME", "PRINCIPAL", "CREATED (ZONE)", "EXPIRES", "LAST USED", "LIMITED TO"]);
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
    fn token_is_shown_as_one_row_without_its_secret() {
        let json = r#"[{"name":"ci","principal":"ci","created":"2026-01-02T03:04:05Z"},
            {"name":"shop","principal":"ann","created":"2026-01-02T03:04:05Z","expires":"2026-04-02T03:04:05Z",
            "last_used":"2026-02-02T03:04:00Z","prompts":"shop/**","views":["eu"],"token":"bh_secret"}]"#;
        let tokens: Vec<TokenView> = serde_json::from_str(json).expect("two tokens");
        let expected = "\
NAME  PRINCIPAL  CREATED (UTC)        EXPIRES              LAST USED            LIMITED TO
ci    ci         2026-01-02 03:04:05  never                never                —
shop  ann        2026-01-02 03:04:05  2026-04-02 03:04:05  2026-02-02 03:04:00  shop/**, view eu
";
        assert_eq!(table(&tokens).render(false, None), expected);
    }
}

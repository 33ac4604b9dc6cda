//! `login`: saves a server and an access token as a context, after the server has accepted the token.
//!
//! Invariant: the token is never printed, and nothing is saved before it was checked.

use std::io::IsTerminal;
use std::path::Path;

use clap::Args;

use super::Verdict;
use super::context::{Target, TokenSource, client, parse_token, token_in_file};
use super::context_file::{ContextFile, Contexts, SavedContext, SavedToken};
use super::error::CliError;
use super::globals::{CONTEXT_ENV, Globals, SERVER_ENV, TOKEN_ENV};
use super::output::{ACCENT, DIM, GOOD, Output, WARN, one_line, paint};
use super::secret_prompt::ask;
use crate::api::problem::ErrorCode;
use crate::client::{Client, ClientError};
use crate::crypto::secret::AccessToken;
use crate::model::handle::is_handle;

const EXAMPLES: &str = "\
Examples:
  bookholder login https://prompts.example.com
  bookholder login https://prompts.example.com --context prod
  bookholder login https://10.1.2.3:7070 --ca-file ca.pem --token-file ann.token
  bookholder login http://127.0.0.1:7070 --token-file - < primary/admin-token
  bookholder login unix:/run/bookholder/bookholder.sock --no-token

The token is asked for, and not shown while you type; without a terminal it is
read from standard input. It is saved in bookholder/contexts.toml in your
configuration directory ($XDG_CONFIG_HOME or ~/.config), which only you can
read. Later commands use the context that you signed in to last; choose another
with `bookholder context use NAME`, or for one command with --context NAME.";

/// `login`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LoginArgs {
    /// Address of the node, or unix:PATH for a socket [default: that of the context]
    #[arg(value_name = "URL")]
    url: Option<String>,
    /// Save no access token: for a node that answers without one
    #[arg(long, conflicts_with = "token_file")]
    no_token: bool,
}

pub fn run(args: &LoginArgs, globals: &Globals, output: Output) -> Result<Verdict, CliError> {
    let file = ContextFile::of_user().ok_or_else(|| {
        CliError::usage("there is no configuration directory: HOME is not set").hint("set HOME or XDG_CONFIG_HOME")
    })?;
    let mut contexts = file.read()?;
    let (name, saved) = place(args, globals, &contexts)?;
    let token = token(args, globals, &saved.server)?;
    let target = Target {
        context: None,
        server: saved.server.clone(),
        token: token.clone().map_or(TokenSource::Absent, TokenSource::Context),
        ca_file: saved.ca_file.clone(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let who = runtime.block_on(check(&client(target)?, token.is_some()))?;
    contexts.put(&name, SavedContext { token: token.map(SavedToken), ..saved.clone() })?;
    file.write(&contexts)?;
    let answer = serde_json::json!({ "context": name, "server": saved.server, "principal": who });
    output.show(&answer, || {
        let who = who.as_deref().map(|who| format!(" as {}", one_line(who))).unwrap_or_default();
        output.line(format!("{} signed in to {}{who}", paint(GOOD, "✓"), one_line(&saved.server)))?;
        output.line(paint(DIM, format!("context {name}, saved in {}", file.path().display())))
    })?;
    for warning in warnings(&saved.server, |name| std::env::var_os(name).is_some_and(|value| !value.is_empty())) {
        output.note(format!("{}: {warning}", paint(WARN.bold(), "warning")));
    }
    Ok(Verdict::Done)
}

/// The name of the context, and its server: those of the command line, or of the context to sign in to again.
fn place(args: &LoginArgs, globals: &Globals, contexts: &Contexts) -> Result<(String, SavedContext), CliError> {
    let ca_file = globals.ca_file.as_deref().map(std::path::absolute).transpose()?;
    let url = args.url.clone().or_else(|| globals.server.clone());
    let Some(server) = url else {
        let name = globals.context.clone().or_else(|| contexts.current.clone());
        let name = name.ok_or_else(|| {
            CliError::usage("name the server to sign in to")
                .hint("for example: bookholder login https://prompts.example.com")
        })?;
        let mut saved = contexts.get(&name)?.clone();
        saved.ca_file = ca_file.or(saved.ca_file);
        return Ok((name, saved));
    };
    let server = server.trim_end_matches('/').to_owned();
    let name = match &globals.context {
        Some(name) if is_handle(name) => name.clone(),
        Some(name) => {
            return Err(CliError::usage(format!(
                "invalid context `{}`: use 1 to 64 characters from a-z 0-9 . _ - @",
                one_line(name)
            )));
        }
        None => name_of(&server),
    };
    match contexts.contexts.get(&name) {
        Some(other) if other.server != server => {
            let message = format!("the context {name} is for {}", one_line(&other.server));
            let hint = format!("choose another name with --context, or first run `bookholder context remove {name}`");
            Err(CliError::usage(message).hint(hint))
        }
        before => {
            let ca_file = ca_file.or_else(|| before.and_then(|before| before.ca_file.clone()));
            Ok((name, SavedContext { server, token: None, ca_file }))
        }
    }
}

/// A name for a context: the host and an unusual port, or the file name of a socket.
fn name_of(server: &str) -> String {
    let rest = server.strip_prefix("unix:").map(|path| path.rsplit('/').next().unwrap_or(path).to_owned());
    let rest = rest.unwrap_or_else(|| {
        let address = server.split_once("://").map_or(server, |(_, address)| address);
        address.split('/').next().unwrap_or_default().to_owned()
    });
    let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c.to_ascii_lowercase() } else { '-' };
    let name: String = rest.chars().map(plain).take(64).collect();
    let name = name.trim_matches('-');
    if is_handle(name) { name.to_owned() } else { "server".to_owned() }
}

/// The access token: of a file, typed on the terminal, or from standard input.
fn token(args: &LoginArgs, globals: &Globals, server: &str) -> Result<Option<AccessToken>, CliError> {
    if args.no_token {
        return Ok(None);
    }
    if let Some(path) = &globals.token_file {
        return token_in_file(path).map(Some);
    }
    if !std::io::stdin().is_terminal() {
        return token_in_file(Path::new("-")).map(Some);
    }
    parse_token(ask(&format!("Access token for {server}:"))?.trim(), "the access token").map(Some)
}

/// Whom the server takes the caller for; absent on a node without principals.
async fn check(client: &Client, has_token: bool) -> Result<Option<String>, CliError> {
    if has_token {
        match client.whoami().await {
            // A replica knows no principals, but refuses an unknown token.
            Err(ClientError::Problem(problem)) if problem.code == ErrorCode::PrimaryOnly => {}
            Err(ClientError::Problem(problem)) if problem.code == ErrorCode::Unauthorized => {
                let message = format!("{} does not accept this access token", client.server());
                return Err(CliError { code: Some(problem.code), ..CliError::usage(message) }
                    .hint("it may be mistyped, expired or revoked; nothing was saved"));
            }
            answer => return Ok(Some(answer?.name)),
        }
    }
    client.status().await?;
    Ok(None)
}

/// What makes a new context useless or unsafe.
fn warnings(server: &str, is_set: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found: Vec<String> = [SERVER_ENV, TOKEN_ENV, CONTEXT_ENV]
        .into_iter()
        .filter(|name| is_set(name))
        .map(|name| format!("{} is set and takes precedence over this context; unset it", paint(ACCENT, name)))
        .collect();
    let host = server.strip_prefix("http://").map(|rest| rest.rsplit_once(':').map_or(rest, |(host, _)| host));
    let is_local = |host: &str| {
        let host = host.trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    if host.is_some_and(|host| !is_local(host)) {
        found.push("the access token goes to this server unencrypted; use https:// where you can".to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_named_after_the_host_and_an_unusual_port() {
        for (server, name) in [
            ("https://prompts.example.com", "prompts.example.com"),
            ("https://Prompts.example.com/books", "prompts.example.com"),
            ("http://127.0.0.1:7070", "127.0.0.1-7070"),
            ("http://[::1]:7070", "1--7070"),
            ("unix:/run/bookholder/bookholder.sock", "bookholder.sock"),
            ("unix:", "server"),
        ] {
            assert_eq!(name_of(server), name, "{server}");
            assert!(is_handle(&name_of(server)), "{server}");
        }
    }

    #[test]
    fn a_context_is_never_pointed_at_another_server() {
        let mut contexts = Contexts::default();
        let saved = SavedContext { server: "https://a".to_owned(), token: None, ca_file: None };
        contexts.put("a", saved).expect("room");
        let args = |url: Option<&str>| LoginArgs { url: url.map(str::to_owned), no_token: true };
        let globals = |name: Option<&str>| Globals { context: name.map(str::to_owned), ..Globals::default() };
        let named = |url, name| place(&args(url), &globals(name), &contexts).map(|(name, saved)| (name, saved.server));
        let ok = |name: &str, server: &str| Ok((name.to_owned(), server.to_owned()));
        assert_eq!(named(None, None), ok("a", "https://a"));
        assert_eq!(named(Some("https://a/"), None), ok("a", "https://a"));
        assert_eq!(named(Some("https://b"), Some("prod")), ok("prod", "https://b"));
        assert!(named(Some("https://b"), Some("a")).expect_err("another").message.contains("is for https://a"));
        assert!(named(Some("https://b"), Some("A b")).expect_err("no name").message.contains("invalid context"));
        assert!(place(&args(None), &globals(None), &Contexts::default()).is_err());
    }

    #[test]
    fn plain_http_and_variables_that_take_precedence_are_warned_of() {
        let none = |_: &str| false;
        assert!(warnings("https://a", none).is_empty() && warnings("http://127.0.0.1:7070", none).is_empty());
        assert!(warnings("http://[::1]:7070", none).is_empty() && warnings("unix:/s", none).is_empty());
        assert!(warnings("http://a:7070", none).concat().contains("unencrypted"));
        assert!(warnings("https://a", |name| name == TOKEN_ENV).concat().contains("BOOKHOLDER_TOKEN"));
    }
}

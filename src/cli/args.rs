//! The tree of verbs and flags: what can be said on the command line.
//!
//! Each verb of a client keeps its flags in its own file; those of a node stand in [`node`]. Nothing here acts.
//! Invariant: an access token is never a flag, because flags are seen by every process of the machine.

pub mod node;
pub mod values;

use std::path::PathBuf;

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use clap::{Args, Parser, Subcommand};

use super::{
    archive, audit, backup, bundle, can, completions, deploy, describe, diff, draft, get, history, import, list, log,
    policy, principal, prompt_file, publish, pull, push, remove, report, request, retire, role, rollback, rules, show,
    status, token, unlabel, webhook, whoami,
};

/// Where a node listens when nobody says otherwise.
pub const SERVER_DEFAULT: &str = "http://127.0.0.1:7070";
/// The environment variable that holds the access token.
pub const TOKEN_ENV: &str = "BOOKHOLDER_TOKEN";

const EXAMPLES: &str = "\
Examples:
  bookholder serve                                          start a registry on this machine
  bookholder publish support/agent --file agent.prompt -m 'Answer in the language of the question'
  bookholder deploy support/agent@7 --to production -m 'Reviewed by Ada'
  bookholder get support/agent                              what production says now
  bookholder rollback support/agent --label production -m 'Too many refusals'

Exit codes: 0 done, 1 no, 2 usage or configuration, 3 the server cannot be reached or trusted.";

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::BrightBlack.on_default())
    .error(AnsiColor::Red.on_default().bold());

/// Keeps every version of every prompt, and whispers the right one to the application beside it.
#[derive(Debug, Parser)]
#[command(name = "bookholder", version, after_help = EXAMPLES, styles = STYLES, max_term_width = 110)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// What every verb understands.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every verb understands.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Globals {
    /// Print the server's answer as JSON
    #[arg(long, global = true)]
    pub json: bool,
    /// The node to talk to: an address, or unix: and the path of a socket
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "BOOKHOLDER_SERVER",
        default_value = SERVER_DEFAULT,
        hide_env_values = true
    )]
    pub server: String,
    /// A file with the access token; otherwise it is taken from `$BOOKHOLDER_TOKEN`
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust besides the public authorities
    #[arg(long, global = true, value_name = "FILE", env = "BOOKHOLDER_CA_FILE", hide_env_values = true)]
    pub ca_file: Option<PathBuf>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a registry: the one node that accepts changes
    Serve(node::ServeArgs),
    /// Run a replica: follow a registry and answer from here
    Replica(node::ReplicaArgs),
    /// See it work: a primary, a replica and sample prompts in one terminal
    Demo(node::DemoArgs),
    /// Publish a new version of a prompt
    Publish(publish::PublishArgs),
    /// Let a label serve a version, a split, or rules
    Deploy(deploy::DeployArgs),
    /// Let a label serve again what it served before
    Rollback(rollback::RollbackArgs),
    /// Take a label away from a prompt
    Unlabel(unlabel::UnlabelArgs),
    /// Remove a prompt; its history stays
    Remove(remove::RemoveArgs),
    /// Keep a version from being deployed, or allow it again
    Retire(retire::RetireArgs),
    /// Say who answers for a prompt, its tags, and what it is for
    Describe(describe::DescribeArgs),
    /// Keep working copies of a prompt, merge and publish them
    Draft(draft::DraftArgs),
    /// Propose, review and apply changes that others have to look at
    Request(request::RequestArgs),
    /// Print what a reference says, with its variables filled in if you give some
    Get(get::GetArgs),
    /// List prompts and what their labels serve
    List(list::ListArgs),
    /// List the versions of a prompt
    Log(log::LogArgs),
    /// Compare two versions of a prompt
    Diff(diff::DiffArgs),
    /// List what labels served when, and why
    History(history::HistoryArgs),
    /// Show a prompt, or one of its versions
    Show(show::ShowArgs),
    /// Publish the prompt files of a folder that differ
    Push(push::PushArgs),
    /// Write what a label serves into a folder of prompt files
    Pull(pull::PullArgs),
    /// Bring another library's history, or a folder
    Import(import::ImportArgs),
    /// Show how a node is
    Status(status::StatusArgs),
    /// Show whose access token this is, and what it allows
    Whoami(whoami::WhoamiArgs),
    /// Say whether somebody could do something, and the rules behind it
    Can(can::CanArgs),
    /// Keep people and services, and what they are granted
    Principal(principal::PrincipalArgs),
    /// Keep roles: named sets of permissions
    Role(role::RoleArgs),
    /// Make, rotate, list and revoke access tokens
    Token(token::TokenArgs),
    /// Tell others what happens here
    Webhook(webhook::WebhookArgs),
    /// Keep what labels demand before they serve something new
    Policy(policy::PolicyArgs),
    /// Keep risk rules, and see what they find
    Rules(rules::RulesArgs),
    /// Read the audit log, and prove that it is whole
    Audit(audit::AuditArgs),
    /// Report who changed what and what was live when, signed; or verify such a report
    Report(report::ReportArgs),
    /// Drop what old versions said that nobody needs any more
    Archive(archive::ArchiveArgs),
    /// Save everything that a registry holds into a file
    Backup(backup::BackupArgs),
    /// Make a data directory from a backup
    Restore(node::RestoreArgs),
    /// Bring dates that a wrong clock made into order
    RepairDates(node::RepairDatesArgs),
    /// Carry a registry's state across an air gap
    Bundle(bundle::BundleArgs),
    /// Prove that a data directory is what was signed
    Verify(node::VerifyArgs),
    /// Give unused space of a stopped node's database back to the disk
    Compact(node::CompactArgs),
    /// Show the keys of a data directory
    Keys(node::KeysArgs),
    /// Print the completions of a shell
    Completions(completions::CompletionsArgs),
    /// Print the reference of the prompt file format
    PromptFile(prompt_file::PromptFileArgs),
}

#[cfg(test)]
mod tests;

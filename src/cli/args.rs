//! The tree of verbs and flags of the command line.
//!
//! The flags of each client verb are in its own file; those of nodes are in [`node`]. Nothing here acts. Invariant: an
//! access token is never a flag, because flags are visible to every process of the machine.

pub mod node;
pub mod times;
pub mod values;

use anstyle::{AnsiColor, Style};
use clap::builder::Styles;
use clap::{CommandFactory, Parser, Subcommand};

use super::globals::Globals;
use super::{
    alert, archive, audit, backup, bundle, can, completions, contexts, costs, deploy, describe, diff, draft, edit,
    eval, get, history, import, list, log, login, logout, man, observed, policy, prices, principal, promote,
    prompt_file, publish, pull, push, recost, remove, report, request, retire, role, rollback, rules, show, stats,
    status, telemetry, token, trace, types, unlabel, webhook, whoami,
};

const EXAMPLES: &str = "\
Examples:
  bookholder serve                     start a registry on this machine
  bookholder publish support/agent --file agent.prompt -m 'Shorter answers'
  bookholder deploy support/agent@7 --to production -m 'Reviewed by Ada'
  bookholder get support/agent         what production serves
  bookholder rollback support/agent --label production -m 'Too many refusals'

Exit codes: 0 success, 1 refused, 2 usage or configuration error, 3 server
unreachable or untrusted.";

const STYLES: Styles = Styles::styled()
    .header(Style::new().bold())
    .usage(Style::new().bold())
    .literal(AnsiColor::Cyan.on_default())
    .placeholder(AnsiColor::BrightBlack.on_default())
    .error(AnsiColor::Red.on_default().bold());

/// Versioned prompts for AI applications: publish, review, deploy and roll back.
#[derive(Debug, Parser)]
#[command(name = "bookholder", version, after_help = EXAMPLES, styles = STYLES, max_term_width = 110)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a registry: the node that accepts changes
    Serve(node::ServeArgs),
    /// Run a replica: follow a registry and serve its prompts locally
    Replica(node::ReplicaArgs),
    /// Try a primary and a replica with sample prompts
    Demo(node::DemoArgs),
    /// Publish a new version of a prompt
    Publish(publish::PublishArgs),
    /// Edit a prompt in your editor and publish it
    Edit(edit::EditArgs),
    /// Deploy a version, a split or rules to a label
    Deploy(deploy::DeployArgs),
    /// Deploy what one label serves to another, for many prompts
    Promote(promote::PromoteArgs),
    /// Roll a label back to what it served before
    Rollback(rollback::RollbackArgs),
    /// Remove a label from a prompt
    Unlabel(unlabel::UnlabelArgs),
    /// Remove a prompt and keep its history
    Remove(remove::RemoveArgs),
    /// Retire a version so that it cannot be deployed, or reinstate it
    Retire(retire::RetireArgs),
    /// Set the owner, tags and description of a prompt
    Describe(describe::DescribeArgs),
    /// Save, merge and publish drafts
    Draft(draft::DraftArgs),
    /// Open, review and deploy change requests
    Request(request::RequestArgs),
    /// Fetch a prompt, optionally rendered with variables
    Get(get::GetArgs),
    /// List prompts and what their labels serve
    #[command(alias = "ls")]
    List(list::ListArgs),
    /// List the versions of a prompt
    Log(log::LogArgs),
    /// Compare two versions of a prompt
    Diff(diff::DiffArgs),
    /// Show deployment history
    History(history::HistoryArgs),
    /// Show a prompt, or one of its versions
    Show(show::ShowArgs),
    /// Publish changed prompt files from a folder
    Push(push::PushArgs),
    /// Download the versions that a label serves, as files in a folder
    Pull(pull::PullArgs),
    /// Generate Python or TypeScript types for prompts
    Types(types::TypesArgs),
    /// Import a folder, or version history from another tool
    Import(import::ImportArgs),
    /// Show calls, cost, latency and scores of a prompt
    Stats(stats::StatsArgs),
    /// Show which version produced a response, its cost and scores
    Trace(trace::TraceArgs),
    /// Show which prompts cost most
    Costs(costs::CostsArgs),
    /// Find prompts in applications that are not in the registry yet
    Observed(observed::ObservedArgs),
    /// Evaluate versions with suites of cases
    Eval(eval::EvalArgs),
    /// Set limits on spend, errors and latency
    Alert(alert::AlertArgs),
    /// Show, import and override prices of models
    Prices(prices::PricesArgs),
    /// Price recorded calls again
    Recost(recost::RecostArgs),
    /// Carry telemetry across an air gap, and erase it
    Telemetry(telemetry::TelemetryArgs),
    /// Show node status
    Status(status::StatusArgs),
    /// Sign in to a server, and save it as a context
    Login(login::LoginArgs),
    /// Forget the access token of a context
    Logout(logout::LogoutArgs),
    /// List, choose and remove saved servers
    Context(contexts::ContextArgs),
    /// Show who you are signed in as, and what you are allowed to do
    Whoami(whoami::WhoamiArgs),
    /// Check whether someone can do something, and why
    Can(can::CanArgs),
    /// Manage people, services and their grants
    Principal(principal::PrincipalArgs),
    /// Manage roles
    Role(role::RoleArgs),
    /// Create, rotate, list and revoke access tokens
    Token(token::TokenArgs),
    /// Manage webhooks
    Webhook(webhook::WebhookArgs),
    /// Manage deployment policies
    Policy(policy::PolicyArgs),
    /// Manage risk rules and check prompts against them
    Rules(rules::RulesArgs),
    /// Read and verify the audit log
    Audit(audit::AuditArgs),
    /// Create or verify a signed change report
    Report(report::ReportArgs),
    /// Delete the content of unused old versions
    Archive(archive::ArchiveArgs),
    /// Back up a registry to a file
    Backup(backup::BackupArgs),
    /// Restore a backup into a new data directory
    Restore(node::RestoreArgs),
    /// Correct dates recorded while the clock was wrong
    RepairDates(node::RepairDatesArgs),
    /// Export or import registry state across an air gap
    Bundle(bundle::BundleArgs),
    /// Verify a data directory against its signatures
    Verify(node::VerifyArgs),
    /// Shrink the database of a stopped node
    Compact(node::CompactArgs),
    /// Show, create and rotate signing keys
    Keys(node::KeysArgs),
    /// Generate shell completions
    Completions(completions::CompletionsArgs),
    /// Write manual pages
    Man(man::ManArgs),
    /// Print the prompt file format reference
    PromptFile(prompt_file::PromptFileArgs),
}

impl Command {
    /// Whether it prints a history, a list or a text that can be longer than a screen.
    pub const fn can_be_long(&self) -> bool {
        match self {
            Self::Diff(_) | Self::Log(_) | Self::History(_) | Self::Show(_) => true,
            Self::Audit(args) => args.is_log(),
            _ => false,
        }
    }
}

/// The commands in the help, by task; every command is in one group.
const GROUPS: [(&str, &[&str]); 7] = [
    ("Run a node", &["serve", "replica", "status", "demo"]),
    ("Read prompts", &["get", "list", "show", "log", "diff", "history", "types"]),
    ("Change prompts", &["publish", "edit", "draft", "describe", "retire", "remove", "push", "pull", "import"]),
    ("Deploy and review", &["deploy", "promote", "rollback", "unlabel", "request", "policy", "rules"]),
    ("Measure", &["eval", "trace", "stats", "costs", "observed", "alert", "prices", "recost", "telemetry"]),
    (
        "Access and audit",
        &["login", "logout", "context", "whoami", "can", "principal", "role", "token", "webhook", "audit", "report"],
    ),
    (
        "Maintenance",
        &[
            "backup",
            "restore",
            "verify",
            "bundle",
            "archive",
            "compact",
            "repair-dates",
            "keys",
            "completions",
            "man",
            "prompt-file",
        ],
    ),
];

/// Hides the options of every command in the help of one, and says where they are.
fn without_globals(command: clap::Command, globals: &[clap::Arg]) -> clap::Command {
    let command = command.mut_subcommands(|inner| without_globals(inner, globals));
    command.args(globals.iter().cloned().map(|global| global.hide(true))).help_template(
        "{before-help}{about-with-newline}\n{usage-heading} {usage}\n\n{all-args}\n\nGlobal options are in `bookholder \
         --help`.{after-help}",
    )
}

/// The command line with its commands in groups, and options of every command listed once: clap alone prints one list
/// of commands, and those options in the help of each.
pub fn grouped() -> clap::Command {
    let command = Cli::command();
    let globals: Vec<clap::Arg> = command.get_arguments().filter(|arg| arg.is_global_set()).cloned().collect();
    let command = command.mut_subcommands(|verb| without_globals(verb, &globals));
    let mut list = String::new();
    for (group, names) in GROUPS {
        let header = STYLES.get_header();
        list.extend([format!("{header}{group}:{header:#}\n")]);
        for verb in names.iter().filter_map(|name| command.find_subcommand(name)) {
            let literal = STYLES.get_literal();
            let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
            list.extend([format!("  {literal}{:<12}{literal:#}  {about}\n", verb.get_name())]);
        }
        list.push('\n');
    }
    command.mut_subcommands(|verb| verb.hide(true)).override_usage("bookholder [OPTIONS] <COMMAND>").help_template(
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{list}{{all-args}}{{after-help}}"),
    )
}

#[cfg(test)]
mod tests;

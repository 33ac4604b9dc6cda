//! The command line: one file per verb, each a thin layer over `client` or `server`.
//!
//! It parses, calls, and prints; the server decides what is allowed. Invariant: every run ends in an exit code: 0 done,
//! 1 refused, 2 usage or configuration, 3 server unreachable or not trusted.

mod alert;
mod archive;
pub mod args;
mod audit;
mod backup;
mod batches;
mod bundle;
mod can;
mod changed;
mod compact;
mod completions;
mod confirm;
mod context;
mod context_file;
mod contexts;
mod costs;
mod demo;
mod deploy;
mod describe;
mod diff;
mod disk;
mod draft;
mod edit;
mod editor;
pub mod error;
mod eval;
mod figures;
mod findings;
mod folder;
mod get;
mod globals;
mod history;
mod import;
mod keys;
mod list;
mod log;
mod login;
mod logout;
mod man;
mod observed;
pub mod output;
mod pager;
mod policy;
mod prices;
mod principal;
mod progress;
mod promote;
mod prompt_file;
mod publish;
mod pull;
mod push;
mod recost;
mod remove;
mod repair_dates;
mod replica;
mod report;
mod request;
mod requirements;
mod restore;
mod retire;
mod role;
mod rollback;
mod rules;
mod secret_prompt;
mod serve;
mod show;
mod stats;
mod status;
mod suggest;
mod telemetry;
mod token;
mod trace;
mod types;
mod unlabel;
mod verify;
mod webhook;
mod whoami;
mod why;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use self::args::{Cli, Command};
use self::context::{Context, Target};
use self::error::{CliError, Kind};
use self::globals::Globals;
use self::output::Output;
use self::pager::Pager;

/// Unpacks a bundle from a node; for the targets in `fuzz/`.
///
/// # Errors
/// It is not an archive of regular files and folders that are all below its folder.
#[cfg(fuzzing)]
pub fn unpack_bundle(archive: &[u8], folder: &std::path::Path) -> Result<usize, CliError> {
    bundle::unpack(archive, folder)
}

/// The result of a verb without an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Success: exit code 0.
    Done,
    /// A negative result, explained in the output: exit code 1.
    No,
}

/// Runs one command line and returns its exit code; the first argument is the program's name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut args: Vec<OsString> = args.into_iter().collect();
    // Other programs have these words, and clap has only the flags.
    let flag = match args.get(1..).unwrap_or_default() {
        [verb] if verb == "version" => Some("--version"),
        [verb, flag] if verb == "help" && (flag == "--help" || flag == "-h") => Some("--help"),
        _ => None,
    };
    if let Some(flag) = flag {
        args.truncate(1);
        args.push(flag.into());
    }
    if completions::answer(Cli::command, &args) {
        return ExitCode::SUCCESS;
    }
    let mut tree = args::grouped();
    let parsed = tree.try_get_matches_from_mut(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed.map_err(|error| error.format(&mut tree)) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to standard output with code 0, a usage error to standard error with code 2.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(Kind::Usage.code()).into();
        }
    };
    let output = Output { headings: !cli.globals.no_headers, ..Output::stdout(cli.globals.json) };
    let pager =
        if cli.command.can_be_long() && !cli.globals.json && !cli.globals.no_pager { Pager::start() } else { None };
    let done = dispatch(cli.command, &cli.globals, output);
    drop(pager);
    match done {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::No) => Kind::No.code().into(),
        Err(error) => {
            output.error(&error);
            error.exit_code()
        }
    }
}

fn dispatch(command: Command, globals: &Globals, output: Output) -> Result<Verdict, CliError> {
    match command {
        Command::Serve(args) => serve::run(args, output),
        Command::Replica(args) => replica::run(args),
        Command::Demo(args) => demo::run(&args, output),
        Command::Verify(args) => verify::run(&args, output),
        Command::Compact(args) => compact::run(&args, output),
        Command::RepairDates(args) => repair_dates::run(&args, output),
        Command::Token(args) if args.is_offline() => token::offline(args, output),
        Command::Restore(args) => restore::run(&args, output),
        Command::Keys(args) => keys::run(args, output),
        Command::Audit(args) if args.is_offline() => audit::offline(&args, output),
        Command::Bundle(bundle::BundleArgs { command: bundle::BundleCommand::Import(args) }) => {
            bundle::import(&args, output)
        }
        Command::Bundle(args) => ask(globals, output, |context| bundle::run(args, context)),
        Command::Login(args) => login::run(&args, globals, output),
        Command::Logout(_) => logout::run(globals, output),
        Command::Context(args) => contexts::run(&args, output),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args, Cli::command(), output),
        Command::PromptFile(_) => prompt_file::run(),
        Command::Publish(args) => ask(globals, output, |context| publish::run(args, context)),
        Command::Edit(args) => ask(globals, output, |context| edit::run(args, context)),
        Command::Deploy(args) => ask(globals, output, |context| deploy::run(args, context)),
        Command::Promote(args) => ask(globals, output, |context| promote::run(args, context)),
        Command::Rollback(args) => ask(globals, output, |context| rollback::run(args, context)),
        Command::Unlabel(args) => ask(globals, output, |context| unlabel::run(args, context)),
        Command::Remove(args) => ask(globals, output, |context| remove::run(args, context)),
        Command::Retire(args) => ask(globals, output, |context| retire::run(args, context)),
        Command::Describe(args) => ask(globals, output, |context| describe::run(args, context)),
        Command::Draft(args) => ask(globals, output, |context| draft::run(args, context)),
        Command::Request(args) => ask(globals, output, |context| request::run(args, context)),
        Command::Get(args) => ask(globals, output, |context| get::run(args, context)),
        Command::List(args) => ask(globals, output, |context| list::run(args, context)),
        Command::Log(args) => ask(globals, output, |context| log::run(args, context)),
        Command::Diff(args) => ask(globals, output, |context| diff::run(args, context)),
        Command::History(args) => ask(globals, output, |context| history::run(args, context)),
        Command::Show(args) => ask(globals, output, |context| show::run(args, context)),
        Command::Push(args) => ask(globals, output, |context| push::run(args, context)),
        Command::Pull(args) => ask(globals, output, |context| pull::run(args, context)),
        Command::Types(args) => ask(globals, output, |context| types::run(args, context)),
        Command::Import(args) => ask(globals, output, |context| import::run(args, context)),
        Command::Stats(args) => ask(globals, output, |context| stats::run(args, context)),
        Command::Telemetry(telemetry::TelemetryArgs { command: telemetry::TelemetryCommand::Export(args) }) => {
            telemetry::export(&args, globals, output)
        }
        Command::Telemetry(args) => ask(globals, output, |context| telemetry::run(args, context)),
        Command::Trace(args) => ask(globals, output, |context| trace::run(args, context)),
        Command::Costs(args) => ask(globals, output, |context| costs::run(args, context)),
        Command::Observed(args) => ask(globals, output, |context| observed::run(args, context)),
        Command::Eval(args) => ask(globals, output, |context| eval::run(args, context)),
        Command::Alert(args) => ask(globals, output, |context| alert::run(args, context)),
        Command::Prices(args) => ask(globals, output, |context| prices::run(args, context)),
        Command::Recost(args) => ask(globals, output, |context| recost::run(args, context)),
        Command::Status(args) => ask(globals, output, |context| status::run(args, context)),
        Command::Whoami(_) => ask(globals, output, whoami::run),
        Command::Can(args) => ask(globals, output, |context| can::run(args, context)),
        Command::Principal(args) => ask(globals, output, |context| principal::run(args, context)),
        Command::Role(args) => ask(globals, output, |context| role::run(args, context)),
        Command::Token(args) => ask(globals, output, |context| token::run(args, context)),
        Command::Webhook(args) => ask(globals, output, |context| webhook::run(args, context)),
        Command::Report(args) if args.is_offline() => report::offline(&args, output),
        Command::Report(args) => ask(globals, output, |context| report::run(args, context)),
        Command::Policy(args) => ask(globals, output, |context| policy::run(args, context)),
        Command::Rules(args) => ask(globals, output, |context| rules::run(args, context)),
        Command::Audit(args) => ask(globals, output, |context| audit::run(args, context)),
        Command::Archive(args) => ask(globals, output, |context| archive::run(args, context)),
        Command::Backup(args) => ask(globals, output, |context| backup::run(args, context)),
    }
}

/// Runs a client verb, on a single-threaded runtime.
fn ask<F: Future<Output = Result<Verdict, CliError>>>(
    globals: &Globals,
    output: Output,
    verb: impl FnOnce(Context) -> F,
) -> Result<Verdict, CliError> {
    let target = Target::of(globals)?;
    let context = Context::new(target.clone(), output)?;
    let client = context.client.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match verb(context).await {
            Ok(verdict) => Ok(verdict),
            Err(error) => Err(target.explain(suggest::add(error, &client).await)),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_matches_the_error_kind() {
        let nobody = tempfile::tempdir().expect("a folder");
        let socket = format!("unix:{}", nobody.path().join("s").display());
        for (line, code) in [
            (vec!["bookholder", "--version"], 0),
            (vec!["bookholder", "version"], 0),
            (vec!["bookholder", "help", "--help"], 0),
            (vec!["bookholder", "nope"], 2),
            (vec!["bookholder", "status", "--server", "ftp://x"], 2),
            (vec!["bookholder", "status", "--server", &socket], 3),
            (vec!["bookholder", "publish", "a", "--file", "/nowhere/a.prompt", "-m", "why"], 2),
        ] {
            let found = run(line.iter().map(OsString::from));
            assert_eq!(found, ExitCode::from(code), "{line:?}");
        }
    }
}

//! The command line: one file per verb, each a thin layer over `client` or `server`.
//!
//! It parses, calls, and prints; the server decides what is allowed. Invariant: every run ends in an exit code: 0 done,
//! 1 refused, 2 usage or configuration, 3 server unreachable or not trusted.

mod alert;
mod archive;
pub mod args;
mod audit;
mod backup;
mod bundle;
mod can;
mod changed;
mod compact;
mod completions;
mod confirm;
mod context;
mod costs;
mod demo;
mod deploy;
mod describe;
mod diff;
mod disk;
mod draft;
pub mod error;
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
mod observed;
pub mod output;
mod policy;
mod prices;
mod principal;
mod progress;
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
mod serve;
mod show;
mod stats;
mod status;
mod telemetry;
mod token;
mod trace;
mod unlabel;
mod verify;
mod webhook;
mod whoami;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use self::args::{Cli, Command};
use self::context::Context;
use self::error::{CliError, Kind};
use self::globals::Globals;
use self::output::Output;

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
    let output = Output::stdout(cli.globals.json);
    match dispatch(cli.command, &cli.globals) {
        Ok(Verdict::Done) => ExitCode::SUCCESS,
        Ok(Verdict::No) => Kind::No.code().into(),
        Err(error) => {
            output.error(&error);
            error.exit_code()
        }
    }
}

fn dispatch(command: Command, globals: &Globals) -> Result<Verdict, CliError> {
    match command {
        Command::Serve(args) => serve::run(args, Output::stdout(globals.json)),
        Command::Replica(args) => replica::run(args),
        Command::Demo(args) => demo::run(&args, Output::stdout(globals.json)),
        Command::Verify(args) => verify::run(&args, Output::stdout(globals.json)),
        Command::Compact(args) => compact::run(&args, Output::stdout(globals.json)),
        Command::RepairDates(args) => repair_dates::run(&args, Output::stdout(globals.json)),
        Command::Token(args) if args.is_offline() => token::offline(args, Output::stdout(globals.json)),
        Command::Restore(args) => restore::run(&args, Output::stdout(globals.json)),
        Command::Keys(args) => keys::run(args, Output::stdout(globals.json)),
        Command::Audit(args) if args.is_offline() => audit::offline(&args, Output::stdout(globals.json)),
        Command::Bundle(bundle::BundleArgs { command: bundle::BundleCommand::Import(args) }) => {
            bundle::import(&args, Output::stdout(globals.json))
        }
        Command::Bundle(args) => ask(globals, |context| bundle::run(args, context)),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::PromptFile(_) => prompt_file::run(),
        Command::Publish(args) => ask(globals, |context| publish::run(args, context)),
        Command::Deploy(args) => ask(globals, |context| deploy::run(args, context)),
        Command::Rollback(args) => ask(globals, |context| rollback::run(args, context)),
        Command::Unlabel(args) => ask(globals, |context| unlabel::run(args, context)),
        Command::Remove(args) => ask(globals, |context| remove::run(args, context)),
        Command::Retire(args) => ask(globals, |context| retire::run(args, context)),
        Command::Describe(args) => ask(globals, |context| describe::run(args, context)),
        Command::Draft(args) => ask(globals, |context| draft::run(args, context)),
        Command::Request(args) => ask(globals, |context| request::run(args, context)),
        Command::Get(args) => ask(globals, |context| get::run(args, context)),
        Command::List(args) => ask(globals, |context| list::run(args, context)),
        Command::Log(args) => ask(globals, |context| log::run(args, context)),
        Command::Diff(args) => ask(globals, |context| diff::run(args, context)),
        Command::History(args) => ask(globals, |context| history::run(args, context)),
        Command::Show(args) => ask(globals, |context| show::run(args, context)),
        Command::Push(args) => ask(globals, |context| push::run(args, context)),
        Command::Pull(args) => ask(globals, |context| pull::run(args, context)),
        Command::Import(args) => ask(globals, |context| import::run(args, context)),
        Command::Stats(args) => ask(globals, |context| stats::run(args, context)),
        Command::Telemetry(telemetry::TelemetryArgs { command: telemetry::TelemetryCommand::Export(args) }) => {
            telemetry::export(&args, globals, Output::stdout(globals.json))
        }
        Command::Telemetry(args) => ask(globals, |context| telemetry::run(args, context)),
        Command::Trace(args) => ask(globals, |context| trace::run(args, context)),
        Command::Costs(args) => ask(globals, |context| costs::run(args, context)),
        Command::Observed(args) => ask(globals, |context| observed::run(args, context)),
        Command::Alert(args) => ask(globals, |context| alert::run(args, context)),
        Command::Prices(args) => ask(globals, |context| prices::run(args, context)),
        Command::Recost(args) => ask(globals, |context| recost::run(args, context)),
        Command::Status(args) => ask(globals, |context| status::run(args, context)),
        Command::Whoami(_) => ask(globals, whoami::run),
        Command::Can(args) => ask(globals, |context| can::run(args, context)),
        Command::Principal(args) => ask(globals, |context| principal::run(args, context)),
        Command::Role(args) => ask(globals, |context| role::run(args, context)),
        Command::Token(args) => ask(globals, |context| token::run(args, context)),
        Command::Webhook(args) => ask(globals, |context| webhook::run(args, context)),
        Command::Report(args) if args.is_offline() => report::offline(&args, Output::stdout(globals.json)),
        Command::Report(args) => ask(globals, |context| report::run(args, context)),
        Command::Policy(args) => ask(globals, |context| policy::run(args, context)),
        Command::Rules(args) => ask(globals, |context| rules::run(args, context)),
        Command::Audit(args) => ask(globals, |context| audit::run(args, context)),
        Command::Archive(args) => ask(globals, |context| archive::run(args, context)),
        Command::Backup(args) => ask(globals, |context| backup::run(args, context)),
    }
}

/// Runs a client verb, on a single-threaded runtime.
fn ask<F: Future<Output = Result<Verdict, CliError>>>(
    globals: &Globals,
    verb: impl FnOnce(Context) -> F,
) -> Result<Verdict, CliError> {
    let context = Context::new(globals)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(verb(context))
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

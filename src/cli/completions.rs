//! `completions`: what a shell needs to complete verbs and flags.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Verdict;
use super::args::Cli;
use super::error::CliError;
use super::output::Output;

const EXAMPLES: &str = "\
Examples:
  bookholder completions bash > /etc/bash_completion.d/bookholder
  bookholder completions fish > ~/.config/fish/completions/bookholder.fish";

/// `completions`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// Shell to generate completions for
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(args: &CompletionsArgs) -> Result<Verdict, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "bookholder", &mut script);
    Output::stdout(false).exactly(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Done)
}

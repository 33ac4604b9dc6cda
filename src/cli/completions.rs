//! `completions`: prints shell completions.

use clap::{Args, Command};
use clap_complete::Shell;

use super::Verdict;
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

/// Prints the completion script of a shell.
pub fn run(args: &CompletionsArgs, mut command_line: Command) -> Result<Verdict, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command_line, "bookholder", &mut script);
    Output::stdout(false).exactly(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Done)
}

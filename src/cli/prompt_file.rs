//! `prompt-file`: prints the reference of the prompt file format, as does `bookholder help prompt-file`.

use clap::Args;

use super::Verdict;
use super::error::CliError;
use super::output::Output;

/// The reference.
const REFERENCE: &str = include_str!("../../docs/reference/prompt-files.md");

const EXAMPLES: &str = "\
Examples:
  bookholder prompt-file | less
  bookholder prompt-file > prompt-files.md";

/// `prompt-file`
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = REFERENCE)]
pub struct PromptFileArgs {}

pub fn run() -> Result<Verdict, CliError> {
    Output::stdout(false).exactly(REFERENCE)?;
    Ok(Verdict::Done)
}

//! Confirmation before something is removed.
//!
//! Only a person at a terminal is asked. Scripts without a terminal continue; `--yes` is for experienced users, and for
//! programs with a terminal.

use std::future::Future;
use std::io::{BufRead, IsTerminal, Write};

use super::args::values::OverrideArgs;
use super::error::CliError;
use super::output::{Output, WARN, harmless, one_line, paint};
use crate::api::problem::ErrorCode;
use crate::client::ClientError;

/// Most items listed above the question.
const LISTED_MAX: usize = 20;

/// Asks whether to continue; any answer other than `y` or `yes` cancels.
///
/// # Errors
/// The user declined.
pub fn confirm(output: Output, yes: bool, question: &str, mut details: Vec<String>) -> Result<(), CliError> {
    if yes || !is_interactive() {
        return Ok(());
    }
    let more = details.len().saturating_sub(LISTED_MAX);
    details.truncate(LISTED_MAX);
    if more > 0 {
        details.push(format!("… and {more} more"));
    }
    let mut stderr = anstream::stderr();
    for detail in details {
        writeln!(stderr, "  {} {}", paint(WARN, "•"), harmless(&detail))?;
    }
    write!(stderr, "{} [y/N] ", one_line(question))?;
    stderr.flush()?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    if !answer.ends_with('\n') {
        output.note("");
    }
    Err(CliError::no("nothing was changed").hint("answer y, or use --yes"))
}

/// Moves labels, and on a terminal asks for confirmation if callers break.
///
/// # Errors
/// The server refused, or the user declined.
pub async fn deploying<T, F: Future<Output = Result<T, ClientError>>>(
    output: Output,
    overrides: &OverrideArgs,
    deploy: impl Fn(bool) -> F,
) -> Result<T, CliError> {
    match deploy(overrides.allow_major).await {
        Err(ClientError::Problem(problem))
            if problem.code == ErrorCode::BreaksCallers && !overrides.allow_major && is_interactive() =>
        {
            output.note(format!("{}: {}", paint(WARN.bold(), "warning"), one_line(&problem.detail)));
            output.note(problem.hint.as_deref().map(one_line).unwrap_or_default());
            confirm(output, overrides.yes, "Deploy even though this breaks current callers?", problem.errors)?;
            Ok(deploy(true).await?)
        }
        deployed => Ok(deployed?),
    }
}

/// Whether a terminal can show the question and read the answer.
#[must_use]
pub fn is_interactive() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

//! The message of a change: given with `-m`, or written in an editor on a terminal.

use super::args::values::WhyArgs;
use super::confirm::is_interactive;
use super::editor;
use super::error::CliError;

/// The message of a change; `what` describes the change to the author of the message.
///
/// # Errors
/// There is none, and no terminal to ask on; or the author wrote none.
pub fn message(why: WhyArgs, what: &str) -> Result<String, CliError> {
    match why.message {
        Some(message) => Ok(message),
        None if is_interactive() => editor::message(what),
        None => Err(CliError::usage("a message is required").hint("give the reason for this change with --message")),
    }
}

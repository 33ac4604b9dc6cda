//! Opens the user's editor.
//!
//! It is `$VISUAL`, `$EDITOR` or `vi`, and a shell reads it, as with git: it can have arguments.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use super::disk;
use super::error::CliError;

/// Largest message that is read back, in bytes; the server's limit is lower.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// What is used if no editor is set.
const EDITOR_DEFAULT: &str = if cfg!(windows) { "notepad" } else { "vi" };

/// Opens a file in the editor, and waits until it is closed.
///
/// # Errors
/// The editor cannot be started, or failed.
pub fn open(path: &Path) -> Result<(), CliError> {
    let editor = name(|name| std::env::var(name).ok());
    let ended = command(&editor, &[path]).status();
    let status = ended.map_err(|error| CliError::usage(format!("cannot start the editor `{editor}`: {error}")))?;
    if status.success() {
        return Ok(());
    }
    Err(CliError::no(format!("the editor `{editor}` failed: {status}"))
        .hint("set VISUAL or EDITOR to another one, such as nano or `code --wait`"))
}

/// Asks for the message of a change, like git for that of a commit: lines that begin with `#` do not count.
///
/// # Errors
/// The message is empty, or the editor failed.
pub fn message(what: &str) -> Result<String, CliError> {
    let folder = tempfile::Builder::new().prefix("bookholder-").tempdir()?;
    let path = folder.path().join("MESSAGE");
    let template = format!(
        "\n# Why? The message is shown in the history, like a commit message.\n\
         # Lines that start with # are ignored, and an empty message cancels.\n#\n# {what}\n"
    );
    disk::write_private(&path, template.as_bytes())?;
    open(&path)?;
    let message = without_comments(&disk::read_text(&path, MESSAGE_BYTES_MAX)?);
    if message.is_empty() {
        return Err(CliError::no("the message is empty; nothing was changed").hint("pass it with -m"));
    }
    Ok(message)
}

/// The name of the editor.
fn name(variable: impl Fn(&str) -> Option<String>) -> String {
    let set = ["VISUAL", "EDITOR"].into_iter().filter_map(variable).find(|editor| !editor.trim().is_empty());
    set.unwrap_or_else(|| EDITOR_DEFAULT.to_owned())
}

/// A program with files; it can have arguments of its own, which a shell reads.
#[cfg(not(windows))]
pub fn command(program: &str, paths: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(format!("{program} \"$@\"")).arg(program).args(paths);
    command
}

/// A program with files; it can have arguments of its own.
#[cfg(windows)]
pub fn command(program: &str, paths: &[impl AsRef<OsStr>]) -> Command {
    let mut words = program.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or(EDITOR_DEFAULT));
    command.args(words).args(paths);
    command
}

fn without_comments(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).map(str::trim_end).collect();
    lines.join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editor_is_visual_then_editor_then_the_default() {
        let named =
            |visual: &str, editor: &str| name(|name| Some(if name == "VISUAL" { visual } else { editor }.to_owned()));
        assert_eq!(named("code --wait", "nano"), "code --wait");
        assert_eq!(named("", "nano"), "nano");
        assert_eq!((named(" ", ""), name(|_| None)), (EDITOR_DEFAULT.to_owned(), EDITOR_DEFAULT.to_owned()));
    }

    #[test]
    fn message_is_what_remains_without_comments() {
        assert_eq!(without_comments("\nShorter  \n\n# a\nFewer words\n#b\n"), "Shorter\n\nFewer words");
        assert_eq!(without_comments("\n# only\n  \n"), "");
    }
}

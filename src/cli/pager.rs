//! A pager for long output on a terminal.
//!
//! It is `$PAGER`, or `less` with options as git has them: it ends by itself if the output fits on the screen.

use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// The width of the terminal in columns, while standard output leads to a pager.
static WIDTH: OnceLock<u16> = OnceLock::new();

/// The pager that shows what is printed until this is dropped.
pub struct Pager(Child);

/// The width of the terminal behind the pager, if there is one.
pub fn width() -> Option<u16> {
    WIDTH.get().copied()
}

/// The command of the pager, and whether it is the default one; absent if none is wanted.
fn command(pager: Option<&str>) -> Option<(&str, bool)> {
    match pager.map(str::trim) {
        None => Some(("less", true)),
        Some("" | "cat") => None,
        Some(pager) => Some((pager, false)),
    }
}

#[cfg(unix)]
impl Pager {
    /// Sends standard output to a pager; absent if it is no terminal, or if there is no pager.
    pub fn start() -> Option<Self> {
        use std::io::IsTerminal;
        if !std::io::stdout().is_terminal() {
            return None;
        }
        let set = std::env::var("PAGER").ok();
        let (line, is_default) = command(set.as_deref())?;
        // Colours are decided while the terminal can be seen.
        let choice = anstream::AutoStream::choice(&std::io::stdout());
        let columns = rustix::termios::tcgetwinsize(std::io::stdout()).map_or(0, |size| size.ws_col);
        let mut pager = Command::new("sh");
        pager.arg("-c").arg(line).stdin(Stdio::piped());
        if std::env::var_os("LESS").is_none() {
            pager.env("LESS", "FRX");
        }
        if is_default && !has_less() {
            return None;
        }
        let mut child = pager.spawn().ok()?;
        let input = child.stdin.take()?;
        rustix::stdio::dup2_stdout(&input).ok()?;
        choice.write_global();
        let _first = WIDTH.set(columns);
        Some(Self(child))
    }
}

#[cfg(not(unix))]
impl Pager {
    /// There are no pagers on this system.
    pub const fn start() -> Option<Self> {
        None
    }
}

/// Whether `less` is installed: a shell that does not find it would lose the output.
#[cfg(unix)]
fn has_less() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("less").is_file())
}

impl Drop for Pager {
    fn drop(&mut self) {
        // The pager ends once its input does.
        #[cfg(unix)]
        if let Ok(nowhere) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
            let _ = rustix::stdio::dup2_stdout(&nowhere);
        }
        let _ = self.0.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pager_is_the_one_that_is_set_and_cat_is_none() {
        assert_eq!(command(None), Some(("less", true)));
        assert_eq!(command(Some("most -s")), Some(("most -s", false)));
        assert_eq!((command(Some("")), command(Some(" cat "))), (None, None));
    }
}

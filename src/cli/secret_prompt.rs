//! Asks for a secret on a terminal, without showing what is typed.
//!
//! Invariant: the terminal has its old settings again when this returns, also after Ctrl-C, which is read as a key here
//! so that it cannot end the process in between.

use super::error::CliError;

/// Longest answer, in bytes.
#[cfg(unix)]
const ANSWER_BYTES_MAX: usize = 4 * 1024;

/// What a key does to an answer.
#[cfg(unix)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Key {
    /// The answer goes on.
    Typed,
    /// The answer is complete.
    Entered,
    /// The user gave up.
    Cancelled,
}

/// Asks on the terminal that is standard input.
#[cfg(unix)]
pub fn ask(question: &str) -> Result<String, CliError> {
    use std::io::{Read, Write};

    let stdin = std::io::stdin();
    let mut stderr = anstream::stderr();
    let mut answer = Vec::new();
    // Before the question: who has seen it can type.
    let hidden = Hidden::new()?;
    write!(stderr, "{} ", super::output::one_line(question))?;
    stderr.flush()?;
    let mut bytes = stdin.lock().bytes();
    let end = loop {
        let Some(byte) = bytes.next().transpose()? else { break Key::Entered };
        match press(&mut answer, byte) {
            Key::Typed if answer.len() <= ANSWER_BYTES_MAX => {}
            Key::Typed => break Key::Cancelled,
            end => break end,
        }
    };
    drop(hidden);
    writeln!(stderr)?;
    if end == Key::Cancelled {
        return Err(CliError::no("cancelled; nothing was saved"));
    }
    String::from_utf8(answer).map_err(|_| CliError::usage("the answer is not UTF-8 text"))
}

/// Asks on the terminal that is standard input.
#[cfg(not(unix))]
pub fn ask(_: &str) -> Result<String, CliError> {
    Err(CliError::usage("this system cannot read a token without showing it").hint("pass it with --token-file FILE"))
}

/// Applies a key: a character, Enter, Backspace, Ctrl-U, Ctrl-C or Ctrl-D.
#[cfg(unix)]
fn press(answer: &mut Vec<u8>, byte: u8) -> Key {
    match byte {
        b'\n' | b'\r' => return Key::Entered,
        0x03 | 0x04 => return Key::Cancelled,
        0x08 | 0x7f => drop(answer.pop()),
        0x15 => answer.clear(),
        byte => answer.push(byte),
    }
    Key::Typed
}

/// A terminal that shows nothing of what is typed, until it is dropped.
#[cfg(unix)]
struct Hidden(rustix::termios::Termios);

#[cfg(unix)]
impl Hidden {
    fn new() -> Result<Self, CliError> {
        use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, tcgetattr, tcsetattr};
        let fail = |error: rustix::io::Errno| CliError::usage(format!("cannot use this terminal: {error}"));
        let before = tcgetattr(std::io::stdin()).map_err(fail)?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        hidden.special_codes[SpecialCodeIndex::VMIN] = 1;
        hidden.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(std::io::stdin(), OptionalActions::Now, &hidden).map_err(fail)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Hidden {
    fn drop(&mut self) {
        // There is nothing to do about a terminal that is gone.
        let _ = rustix::termios::tcsetattr(std::io::stdin(), rustix::termios::OptionalActions::Now, &self.0);
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn keys_edit_finish_or_cancel_the_answer() {
        let typed = |keys: &[u8]| {
            let mut answer = Vec::new();
            let end = keys.iter().map(|key| press(&mut answer, *key)).last().expect("a key");
            (String::from_utf8(answer).expect("text"), end)
        };
        for (keys, answer, end) in [
            (b"ab\n".as_slice(), "ab", Key::Entered),
            (b"ab\x7fc\r", "ac", Key::Entered),
            (b"\x7fab\x15c", "c", Key::Typed),
            (b"ab\x03", "ab", Key::Cancelled),
            (b"\x04", "", Key::Cancelled),
        ] {
            assert_eq!(typed(keys), (answer.to_owned(), end), "{keys:?}");
        }
    }
}

//! The engine's errors, as people read them.

use minijinja::{Error, ErrorKind};

use super::error::excerpt;
use super::sandbox::{ENTER, KEEP, NUMBER, PERCENT, PUT, SEARCHED, TEXT, WALKED, WEIGH};

/// The engine's error, without the guards in the text.
pub(super) fn error_text(error: &Error) -> String {
    let kind = error.kind();
    if kind == ErrorKind::OutOfFuel {
        return "the template takes too many steps; use fewer or shorter loops".to_owned();
    }
    let detail = error.detail().unwrap_or_default();
    let mut message = if detail.is_empty() { kind.to_string() } else { detail.to_owned() };
    for guard in [KEEP, PUT, ENTER, TEXT, NUMBER, PERCENT, WEIGH, SEARCHED, WALKED] {
        message = message.replace(&format!("|{guard}"), "").replace(guard, "");
    }
    excerpt(&message)
}

//! Writes a run for people and for other tools: JSON, `JUnit` XML, a page of HTML, and Markdown for comments.
//!
//! Answers, reasons and names are the words of others: each form escapes them, and cuts what would make it too long.
//! The figures are those of the run; nothing is decided here.

mod html;
mod junit;
mod markdown;
mod text;

use std::io::{self, Write};

pub use self::html::html;
pub use self::junit::junit;
pub use self::markdown::{MARKDOWN_CHARACTERS_MAX, markdown};

use crate::model::evaluation::{CaseResult, Run};

/// Writes a run and its results as JSON: an object with `run` and `results`.
///
/// # Errors
/// They cannot be written.
pub fn json(run: &Run, results: impl IntoIterator<Item = CaseResult>, out: &mut dyn Write) -> io::Result<()> {
    out.write_all(b"{\"run\":")?;
    serde_json::to_writer(&mut *out, run)?;
    out.write_all(b",\"results\":[")?;
    for (number, result) in results.into_iter().enumerate() {
        out.write_all(if number == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut *out, &result)?;
    }
    out.write_all(b"\n]}\n")
}

#[cfg(test)]
mod tests;

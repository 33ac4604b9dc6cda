//! Reads suites and results that other tools wrote, and suites of our own in YAML.
//!
//! Nothing is guessed: what has no counterpart here is listed with its place, and a case that would then mean something
//! else, or pass without being checked, is left out. Every input has a limit, and files are read by the caller.

mod csv;
mod jsonl;
mod langfuse;
mod names;
mod openai;
mod promptfoo;
mod results;
mod suite;
mod table;
mod types;

pub use self::csv::csv;
pub use self::jsonl::jsonl;
pub use self::langfuse::langfuse;
pub use self::openai::openai_evals;
pub use self::promptfoo::promptfoo;
pub use self::results::{ImportedResults, RESULTS_BYTES_MAX, promptfoo_results};
pub use self::suite::suite_file;

use std::fmt;

use crate::check::UnusableScorer;
use crate::model::suite::{CASES_MAX, ModelName, Suite, SuiteError};

/// Largest file that is imported, in bytes; also the most bytes of all files of one import.
pub const IMPORT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most entries in the list of what is not supported; the rest is counted.
const UNSUPPORTED_MAX: usize = 1_000;

/// Why a file cannot be imported.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ImportError {
    #[error("{file} is longer than {max} bytes; split it")]
    TooLong { file: String, max: usize },
    #[error("{place}: {reason}")]
    Invalid { place: String, reason: String },
    #[error("cannot read {file}, which {place} names: {cause}")]
    Read { file: String, place: String, cause: std::io::Error },
    #[error("{place}: the file has more than {CASES_MAX} cases; split it")]
    TooMany { place: String },
    #[error("{place}: {source}")]
    Suite { place: String, source: SuiteError },
    #[error("{place}: {source}")]
    Scorer { place: String, source: UnusableScorer },
}

impl ImportError {
    fn invalid(place: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::Invalid { place: place.into(), reason: reason.into() }
    }
}

/// What is done with cases that need something that is not supported.
#[derive(Clone, Copy, Debug, Default)]
pub struct ImportOptions<'a> {
    /// Keeps such cases without the scorers that are not supported, as long as another one of the case is left.
    pub allow_unsupported: bool,
    /// The model that judges, where a file names none.
    pub judge: Option<&'a ModelName>,
    /// The model that computes embeddings, where a file names none.
    pub embeddings: Option<&'a ModelName>,
}

/// What became of a part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// The suite means the same without it, or the remark says what differs.
    Remark,
    /// A scorer is missing.
    ScorerLeftOut,
    /// A case is missing, or all that the part is for.
    CaseLeftOut,
}

/// A part of a file that is not imported as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// Where it is, for example `tests[3].assert[0]`.
    pub place: String,
    /// What it is, and what to do.
    pub what: String,
    /// What became of it.
    pub effect: Effect,
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = match self.effect {
            Effect::Remark => "",
            Effect::ScorerLeftOut => " (the scorer is left out)",
            Effect::CaseLeftOut => " (the case is left out)",
        };
        write!(f, "{}: {}{effect}", self.place, self.what)
    }
}

/// A suite that was imported. It has no cases if all were left out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Imported {
    /// The suite.
    pub suite: Suite,
    /// The name that the file gives it.
    pub name: Option<String>,
    /// How many cases are not in the suite.
    pub left_out: usize,
    /// What is not imported as it is.
    pub unsupported: Vec<Unsupported>,
}

/// The list of what is not supported, within its limit.
#[derive(Debug, Default)]
struct Findings {
    list: Vec<Unsupported>,
    more: usize,
}

impl Findings {
    fn push(&mut self, place: impl Into<String>, what: impl Into<String>, effect: Effect) {
        if self.list.len() >= UNSUPPORTED_MAX {
            self.more = self.more.saturating_add(1);
            return;
        }
        self.list.push(Unsupported { place: place.into(), what: what.into(), effect });
    }

    fn remark(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.push(place, what, Effect::Remark);
    }

    /// A remark that is made once, however often it applies.
    fn remark_once(&mut self, place: &str, what: &str) {
        if !self.list.iter().any(|finding| finding.what == what) {
            self.remark(place, what);
        }
    }

    fn into_list(mut self) -> Vec<Unsupported> {
        if self.more > 0 {
            let what = format!("{} more are not listed", self.more);
            self.list.push(Unsupported { place: "file".to_owned(), what, effect: Effect::Remark });
        }
        self.list
    }
}

/// Refuses a file that is too long.
fn within_limit(text: &str, file: &str) -> Result<(), ImportError> {
    if text.len() > IMPORT_BYTES_MAX {
        return Err(ImportError::TooLong { file: file.to_owned(), max: IMPORT_BYTES_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests;

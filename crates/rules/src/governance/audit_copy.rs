//! Verifies the chain of audit entries in an exported copy, using only the copy.
//!
//! It reads the lines of a JSONL report, or bare audit entries, one per line. A report leaves out unrelated entries, so
//! gaps are counted and are not errors; but nothing between consecutive entries can be missing or altered. The log
//! itself has no gaps: an entry that names its predecessor has the next number. The chain covers only the entries; the
//! manifest covers the rest of a report.

use std::io::{self, BufRead, Read};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::report::jsonl::{EVENT, SERVED};
use crate::json::plain_reason;
use crate::model::audit::{Link, LinkError};

/// Longest line of a copy, in bytes: an entry of a command on thousands of labels.
pub const COPY_LINE_BYTES_MAX: usize = 4 * 1_024 * 1_024;

/// Why a copy cannot be verified.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum CopyError {
    #[error("cannot read the copy")]
    Read(#[from] io::Error),
    #[error("line {line} is longer than {COPY_LINE_BYTES_MAX} bytes; export the copy again")]
    TooLong { line: u64 },
    #[error("line {line} is not an audit entry: {reason}; use a jsonl report, or one audit entry per line")]
    Syntax { line: u64, reason: String },
    #[error("line {line} has {error}")]
    Newer { line: u64, error: LinkError },
}

/// The result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CopyVerification {
    /// Number of verified entries.
    pub entries: u64,
    /// Number of lines about what was live when, which no chain covers.
    pub served: u64,
    /// Gaps between entries that are not consecutive.
    pub gaps: u64,
    /// Number and hash of the first entry.
    pub first: Option<(u64, String)>,
    /// Number and hash of the last.
    pub last: Option<(u64, String)>,
    /// The first entry that does not match its hash, its line, or the previous entry, or is not a valid entry.
    pub broken_at: Option<u64>,
}

impl CopyVerification {
    /// Whether nothing is altered, and nothing is missing between consecutive entries.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.broken_at.is_none()
    }
}

/// One line of a report, with the fields for the chain; a bare entry has none of them.
#[derive(Deserialize)]
struct ReportLine<'a> {
    #[serde(default)]
    record: Option<String>,
    #[serde(default, borrow)]
    entry: Option<&'a RawValue>,
    #[serde(default)]
    seq: Option<u64>,
    #[serde(default)]
    hash: Option<String>,
    #[serde(default)]
    prev_hash: Option<String>,
}

/// Verifies the entries of a copy against themselves and each other.
///
/// # Errors
/// The copy cannot be read, or contains something else.
pub fn verify_copy(mut lines: impl BufRead) -> Result<CopyVerification, CopyError> {
    let mut verdict = CopyVerification::default();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let limit = COPY_LINE_BYTES_MAX as u64 + 1;
        if (&mut lines).take(limit).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if bytes.len() > COPY_LINE_BYTES_MAX {
            return Err(CopyError::TooLong { line });
        }
        if bytes.trim_ascii().is_empty() {
            continue;
        }
        let syntax = |error: serde_json::Error| CopyError::Syntax {
            line,
            reason: plain_reason(&error.to_string(), "an object"),
        };
        let outer: ReportLine<'_> = serde_json::from_slice(&bytes).map_err(syntax)?;
        if outer.record.as_deref() == Some(SERVED) && outer.entry.is_none() {
            verdict.served += 1;
            continue;
        }
        let raw = outer.entry.map_or(bytes.as_slice(), |raw| raw.get().as_bytes());
        let link = Link::read(raw).map_err(|error| match error {
            LinkError::Newer(_) => CopyError::Newer { line, error },
            error => CopyError::Syntax { line, reason: error.to_string() },
        })?;
        let is_event = outer.record.is_none_or(|record| record == EVENT);
        let says_the_same = outer.seq.is_none_or(|seq| seq == link.seq)
            && outer.hash.is_none_or(|hash| hash == link.hash)
            && outer.prev_hash.is_none_or(|previous| previous == link.previous);
        verdict.take(link, says_the_same && is_event);
    }
    Ok(verdict)
}

impl CopyVerification {
    fn take(&mut self, link: Link, line_fits: bool) {
        let fits = match &self.last {
            None => true,
            Some((seq, hash)) if *hash == link.previous => Some(link.seq) == seq.checked_add(1),
            Some((seq, _)) => {
                self.gaps += 1;
                // A consecutive entry must name its predecessor, and none is repeated or out of order.
                link.seq > seq.saturating_add(1)
            }
        };
        if !fits || !line_fits || !link.holds {
            self.broken_at.get_or_insert(link.seq);
        }
        self.entries += 1;
        let end = (link.seq, link.hash);
        self.first.get_or_insert_with(|| end.clone());
        self.last = Some(end);
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::{SystemInfo, jsonl, samples};
    use super::*;

    fn copy() -> String {
        let mut bytes = Vec::new();
        jsonl::write_jsonl(&samples::incident().report(), &SystemInfo::default(), &mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    fn bare() -> String {
        let lines = samples::log().into_iter().map(|entry| String::from_utf8(entry.to_canonical()).unwrap() + "\n");
        lines.collect()
    }

    #[test]
    fn audit_copy_verifies_and_counts_gaps() {
        let verdict = verify_copy(copy().as_bytes()).unwrap();
        assert_eq!((verdict.entries, verdict.served, verdict.gaps, verdict.broken_at), (6, 3, 1, None));
        assert_eq!(verdict.first.map(|(seq, _)| seq), Some(1));
        assert_eq!(verdict.last, Some((7, samples::log()[6].hash.clone())));
        let whole = verify_copy(format!("\n{}", bare()).as_bytes()).unwrap();
        assert_eq!((whole.entries, whole.gaps, whole.is_whole()), (7, 0, true));
        assert_eq!(verify_copy(&b""[..]).unwrap(), CopyVerification::default());
    }

    /// A log with a missing number, in which each entry names the previous one.
    fn skipping_a_number() -> String {
        let mut entries = samples::log();
        for entry in entries.iter_mut().skip(2) {
            entry.seq += 1;
        }
        let lines = samples::chained(entries).into_iter().map(|entry| String::from_utf8(entry.to_canonical()).unwrap());
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn altered_entry_is_reported_with_its_line() {
        let (copy, bare) = (copy(), bare());
        let without_third: String =
            bare.lines().filter(|line| !line.contains("\"seq\":3")).fold(String::new(), |s, l| s + l + "\n");
        let reversed: String = bare.lines().rev().fold(String::new(), |s, l| s + l + "\n");
        for (text, broken_at) in [
            (copy.replace("Ticket 12", "Ticket 13"), Some(5)),
            (copy.replacen("\"seq\":2,\"event_id\"", "\"seq\":9,\"event_id\"", 1), Some(2)),
            (bare.replace("\"decision\":\"denied\"", "\"decision\":\"granted\""), Some(3)),
            (bare.replacen("\"seq\":6", "\"seq\":8", 1), Some(8)),
            (without_third, None),
            (reversed, Some(6)),
            (format!("{bare}{}", bare.lines().last().unwrap()), Some(7)),
            (copy.replacen("\"record\":\"event\",\"seq\":3", "\"record\":\"served\",\"seq\":3", 1), Some(3)),
            (copy.replacen("\"record\":\"event\",\"seq\":3", "\"record\":\"other\",\"seq\":3", 1), Some(3)),
            (copy.replacen("\"entry\":{", "\"entry\":{\"approved\":\"by nobody\",", 1), Some(1)),
            (bare.replacen('{', "{\"extra\":1,", 1), Some(1)),
            (bare.replacen('{', "{ ", 1), None),
            (skipping_a_number(), Some(4)),
        ] {
            let verdict = verify_copy(text.as_bytes()).unwrap();
            assert_eq!(verdict.broken_at, broken_at, "{text}");
        }
    }

    #[test]
    fn invalid_copy_names_the_line() {
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(COPY_LINE_BYTES_MAX));
        for (text, part) in [
            ("no json", "line 1 is not an audit entry"),
            ("\n{}", "line 2 is not an audit entry"),
            (long.as_str(), "line 1 is longer"),
            (&bare().replace("\"format\":1", "\"format\":2"), "format 2, which is newer"),
        ] {
            let message = verify_copy(text.as_bytes()).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}

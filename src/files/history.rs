//! A history file: one change of another library per line, as JSON, oldest first.
//!
//! It does not read files or send anything. Invariant: the same lines in the same order give the same changes with the
//! same IDs, so a repeated import adds nothing.

use std::collections::HashMap;

use serde::{Deserialize, Deserializer};

use super::mapping::NameMapper;
use crate::api::write::ImportChange;
use crate::model::time::Timestamp;

/// Longest line of a history, in bytes: a text at the limit of a content, escaped as JSON.
pub const LINE_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Longest name in a history, in bytes; invalid prompt names are mapped.
pub const NAME_BYTES_MAX: usize = 64 * 1024;
/// Most changes of one history file; each costs about 50 bytes of memory while it is read.
pub const CHANGES_MAX: usize = 5_000_000;
/// BLAKE3 derive-key context of an import ID.
const ID_CONTEXT: &str = "bookholder import id v1";
/// Hex digits of an import id.
const ID_DIGITS: usize = 32;

/// Why a line is not a change; lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum HistoryError {
    #[error("line {line}: {reason}; each line is {{\"at\", \"author\", \"message\", \"name\", \"text\"}} as JSON")]
    Line { line: u64, reason: String },
    #[error("line {line} is longer than {LINE_BYTES_MAX} bytes; shorten the text, or leave it out")]
    TooLong { line: u64 },
    #[error("line {line}: the history has more than {CHANGES_MAX} changes; import it in parts")]
    TooMany { line: u64 },
}

/// One change, and the original name of its prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryChange {
    /// The change for the registry.
    pub change: ImportChange,
    /// The original name, if the mapping changed it.
    pub renamed_from: Option<String>,
}

/// Reads one history, line after line.
#[derive(Debug, Default)]
pub struct HistoryReader {
    mapper: NameMapper,
    occurrences: HashMap<[u8; 32], u64>,
    changes: usize,
    line: u64,
}

impl HistoryReader {
    /// A reader at the start of a history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Parses the next line, with or without its line break; `None` for a blank one.
    ///
    /// # Errors
    /// The line is not a change, or over a limit.
    pub fn read(&mut self, text: &[u8]) -> Result<Option<HistoryChange>, HistoryError> {
        self.line = self.line.saturating_add(1);
        let line = self.line;
        if text.len() > LINE_BYTES_MAX {
            return Err(HistoryError::TooLong { line });
        }
        let text = crate::json::without_mark(text);
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        if self.changes >= CHANGES_MAX {
            return Err(HistoryError::TooMany { line });
        }
        let form: Line =
            crate::json::read(text).map_err(|error| HistoryError::Line { line, reason: error.to_string() })?;
        if form.name.len() > NAME_BYTES_MAX {
            let reason = format!("the name is longer than {NAME_BYTES_MAX} bytes");
            return Err(HistoryError::Line { line, reason });
        }
        self.changes += 1;
        let occurrence = self.occurrences.entry(*form.hasher().finalize().as_bytes()).or_insert(0);
        let id = form.id(*occurrence);
        *occurrence += 1;
        let mapped = self.mapper.map(&form.name);
        let original = mapped.changed.then_some(form.name);
        Ok(Some(HistoryChange {
            renamed_from: original.clone(),
            change: ImportChange {
                original,
                id,
                at: form.at,
                author: form.author,
                message: form.message,
                name: mapped.name,
                text: form.text,
            },
        }))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    at: Timestamp,
    author: String,
    message: String,
    name: String,
    /// Null if the prompt was removed; never absent, so that a forgotten text removes nothing.
    #[serde(deserialize_with = "present")]
    text: Option<String>,
}

impl Line {
    fn hasher(&self) -> blake3::Hasher {
        let mut hasher = blake3::Hasher::new_derive_key(ID_CONTEXT);
        hasher.update(&self.at.ms().to_le_bytes());
        for field in [&self.author, &self.message, &self.name] {
            hasher.update(&(field.len() as u64).to_le_bytes());
            hasher.update(field.as_bytes());
        }
        match &self.text {
            None => hasher.update(&[0]),
            Some(text) => hasher.update(&[1]).update(&(text.len() as u64).to_le_bytes()).update(text.as_bytes()),
        };
        hasher
    }

    /// Identifies this line among all lines, and among identical ones by how many precede it.
    fn id(&self, occurrence: u64) -> String {
        let hash = self.hasher().update(&occurrence.to_le_bytes()).finalize();
        hash.to_hex().chars().take(ID_DIGITS).collect()
    }
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(deserializer)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"at":"2022-12-14T00:44:50Z","author":"ada","message":"why","name":"a | b","text":"Hi"}"#;

    #[test]
    fn history_line_gives_a_change_with_a_stable_id() {
        let read = || {
            let mut reader = HistoryReader::new();
            [LINE, "", LINE].map(|line| reader.read(line.as_bytes()).expect("a change"))
        };
        let [first, blank, second] = read();
        assert_eq!((read()[0].clone(), blank), (first.clone(), None));
        let (first, second) = (first.expect("a change"), second.expect("a change"));
        assert_eq!(first.change.id.len(), ID_DIGITS);
        assert_ne!(first.change.id, second.change.id, "the second of two identical lines");
        assert!(first.change.name.as_str().starts_with("a-b-"), "{}", first.change.name);
        assert_eq!(first.renamed_from.as_deref(), Some("a | b"));
        assert_eq!(first.change.id, "27612cb9838c3910196606205fd01646", "pinned, because registries remember it");
    }

    #[test]
    fn error_names_the_bad_line() {
        for (line, part) in [
            ("{", "line 2"),
            (r#"{"at":"2022-12-14T00:44:50Z","author":"a","message":"m","name":"n"}"#, "missing field `text`"),
            (r#"{"at":"yesterday","author":"a","message":"m","name":"n","text":null}"#, "RFC 3339"),
            (r#"{"at":"2022-12-14T00:44:50Z","author":"a","message":"m","name":"n","text":null,"x":1}"#, "`x`"),
            ("[]", "line 2"),
            (&LINE.replace("a | b", &"n".repeat(NAME_BYTES_MAX + 1)), "name is longer than 65536 bytes"),
        ] {
            let mut reader = HistoryReader::new();
            reader.read(b"\n").expect("a blank line");
            let message = reader.read(line.as_bytes()).expect_err(line).to_string();
            assert!(message.contains("line 2") && message.contains(part), "{line}: {message}");
        }
        let latin: Vec<u8> =
            LINE.replace("Hi", "?").bytes().map(|byte| if byte == b'?' { 0xe9 } else { byte }).collect();
        assert!(HistoryReader::new().read(&latin).is_err(), "no UTF-8 text is never guessed at");
    }

    #[test]
    fn byte_order_mark_of_a_history_is_ignored() {
        let plain = HistoryReader::new().read(LINE.as_bytes()).expect("a change");
        let marked = HistoryReader::new().read(format!("\u{feff}{LINE}\r\n").as_bytes()).expect("a change");
        assert_eq!(marked, plain);
        assert_eq!(HistoryReader::new().read("\u{feff}\r\n".as_bytes()).expect("a blank line"), None);
    }

    #[test]
    fn real_history_is_read_whole_and_ids_are_unique() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/history/prompts-chat.jsonl.zst");
        let file = std::fs::read(path).expect("the history of the fixtures");
        let history = String::from_utf8(zstd::decode_all(file.as_slice()).expect("zstd")).expect("UTF-8");
        let mut reader = HistoryReader::new();
        let changes: Vec<_> = history
            .lines()
            .filter_map(|line| reader.read(line.as_bytes()).expect("a change"))
            .map(|read| read.change)
            .collect();
        let ids: std::collections::HashSet<_> = changes.iter().map(|change| &change.id).collect();
        assert_eq!((changes.len(), ids.len()), (4_529, 4_529));
        assert_eq!(changes.iter().filter(|change| change.text.is_none()).count(), 1_048);
    }
}

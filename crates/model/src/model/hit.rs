//! Search words and the places where they are found.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Number of characters shown before a match.
const BEFORE: usize = 40;
/// Number of characters shown after it.
const AFTER: usize = 80;

/// A word to search for, ignoring case.
#[derive(Clone, Debug)]
pub struct Word {
    folded: String,
    /// Finds the word if it is ASCII, by comparing bytes.
    ascii: Option<AhoCorasick>,
    /// Finds its first character that is not ASCII, in every case: texts without it need no slow search.
    rare: Option<AhoCorasick>,
}

/// Characters that map to this one in lower case.
static OTHER_CASES: LazyLock<HashMap<char, Vec<char>>> = LazyLock::new(|| {
    let mut cases: HashMap<char, Vec<char>> = HashMap::new();
    // All cased characters are in the first two planes of Unicode.
    for c in ('\u{80}'..='\u{1ffff}').filter(|c| fold(*c).next() != Some(*c)) {
        for folded in fold(c) {
            cases.entry(folded).or_default().push(c);
        }
    }
    cases
});

/// A place where a search word was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The field.
    pub place: Place,
    /// The word as written there.
    pub word: String,
    /// The text around it.
    pub excerpt: String,
}

/// The fields that are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each says what it is; the numbers are those of the version or the change request")]
pub enum Place {
    Name,
    Owner,
    Tag,
    Description,
    Text(u64),
    Message(u64),
    Author(u64),
    Request(u64),
}

impl Word {
    /// The word to search for; an empty one matches everywhere.
    #[must_use]
    pub fn new(word: &str) -> Self {
        let folded: String = word.chars().flat_map(fold).collect();
        // One word is a small automaton, so the fastest kind is affordable: a search reads megabytes.
        let kind = Some(AhoCorasickKind::DFA);
        let builder = || AhoCorasick::builder().kind(kind).ascii_case_insensitive(true).build([folded.as_str()]).ok();
        let ascii = if folded.is_ascii() { builder() } else { None };
        let rare = folded.chars().find(|c| !c.is_ascii()).and_then(|c| {
            let others = OTHER_CASES.get(&c).into_iter().flatten();
            AhoCorasick::new([&c].into_iter().chain(others).map(char::to_string)).ok()
        });
        Self { folded, ascii, rare }
    }

    /// The byte offset of the first match in a text.
    pub fn find(&self, text: &str) -> Option<Range<usize>> {
        if let Some(ascii) = &self.ascii {
            return ascii.find(text).map(|found| found.range());
        }
        if self.rare.as_ref().is_some_and(|rare| !rare.is_match(text)) {
            return None;
        }
        text.char_indices().find_map(|(at, _)| Some(at..at + self.begins(text.get(at..)?)?))
    }

    /// Whether a text in JSON form may contain it: a quick check without parsing, with false positives only.
    #[must_use]
    pub fn may_be_in(&self, json: &[u8]) -> bool {
        let as_written = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        match &self.ascii {
            Some(ascii) if self.folded.bytes().all(as_written) => ascii.is_match(json),
            Some(_) => true,
            // Stored JSON escapes only ASCII characters.
            None => self.rare.as_ref().is_none_or(|rare| rare.is_match(json)),
        }
    }

    /// The first match in a text with its surroundings, if any.
    pub fn hit(&self, place: Place, text: &str) -> Option<Hit> {
        let range = self.find(text)?;
        let (before, after) = (text.get(..range.start)?, text.get(range.end..)?);
        let begin = before.char_indices().rev().nth(BEFORE - 1).map_or(0, |(at, _)| at);
        let end = after.char_indices().nth(AFTER).map_or(text.len(), |(at, _)| range.end + at);
        let mut excerpt = text.get(begin..end)?.to_owned();
        if begin > 0 {
            excerpt.insert(0, '…');
        }
        if end < text.len() {
            excerpt.push('…');
        }
        Some(Hit { place, word: text.get(range)?.to_owned(), excerpt })
    }

    /// Length in bytes of the match at the start of a text.
    fn begins(&self, text: &str) -> Option<usize> {
        let (mut left, mut length) = (self.folded.chars(), 0);
        for c in text.chars() {
            if left.as_str().is_empty() {
                break;
            }
            if !fold(c).all(|folded| left.next() == Some(folded)) {
                return None;
            }
            length += c.len_utf8();
        }
        left.as_str().is_empty().then_some(length)
    }
}

/// A character in lower case; both lower-case forms of sigma are treated as one.
fn fold(c: char) -> impl Iterator<Item = char> {
    c.to_lowercase().map(|c| if c == 'ς' { 'σ' } else { c })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_ignores_case() {
        let check = |word: &str, text: &str, expected: Option<&str>| {
            let found = Word::new(word).find(text).and_then(|range| text.get(range));
            assert_eq!(found, expected, "{word} in {text}");
        };
        check("LINUX", "a Linux box", Some("Linux"));
        check("ÄRGER", "kein ärger", Some("ärger"));
        check("ärger", "KEIN ÄRGER", Some("ÄRGER"));
        check("λόγος", "ΛΌΓΟΣ", Some("ΛΌΓΟΣ"));
        check("i̇x", "AİX", Some("İX"));
        check("日本", "は日本語", Some("日本"));
        check("linux", "a unix box", None);
        check("ärger", "ärge", None);
    }

    #[test]
    fn search_finds_every_cased_character_in_each_case() {
        for c in ('\u{80}'..=char::MAX).filter(|c| fold(*c).next() != Some(*c)) {
            let folded: String = fold(c).collect();
            let word = Word::new(&folded);
            let text = format!("a{c}");
            assert!(folded.is_ascii() || word.find(&text).is_some() && word.may_be_in(text.as_bytes()), "{c} {folded}");
        }
    }

    #[test]
    fn json_prefilter_has_no_false_negatives() {
        for (word, text) in
            [("linux", "Linux"), ("say", "\nSAY"), ("\"a", "\"A\""), ("a\\b", "a\\b"), ("é", "É"), ("</x>", "</X>")]
        {
            let json = serde_json::to_vec(text).expect("JSON");
            assert!(Word::new(word).may_be_in(&json), "{word} in {text}");
        }
        assert!(!Word::new("linux").may_be_in(br#""a unix box""#));
    }

    #[test]
    fn excerpt_contains_the_match_and_is_cut_at_character_boundaries() {
        let text = format!("{}Word{}", "ä".repeat(41), "ö".repeat(81));
        let hit = Word::new("word").hit(Place::Text(3), &text).expect("a hit");
        assert_eq!(hit.word, "Word");
        assert_eq!(hit.excerpt, format!("…{}Word{}…", "ä".repeat(40), "ö".repeat(80)));
        let hit = Word::new("word").hit(Place::Name, "a word").expect("a hit");
        assert_eq!(hit.excerpt, "a word");
        assert_eq!(Word::new("x").hit(Place::Name, "a word"), None);
    }
}

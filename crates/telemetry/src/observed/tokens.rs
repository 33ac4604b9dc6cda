//! Cuts a text into tokens, so that values differ in whole ones: a date, a number, a name.

/// The first character that is a token of its own, because its scripts have no spaces between words.
const UNSPACED: char = '\u{2e80}';

/// The tokens of a text; put together, they are the text.
pub(super) fn tokens(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, behind) = rest.split_at(length(rest, first).min(rest.len()));
        found.push(token);
        rest = behind;
    }
    found
}

/// Whether a token is a word or a number.
pub(super) fn is_word(token: &str) -> bool {
    token.chars().any(char::is_alphanumeric)
}

/// The bytes of the first token.
fn length(text: &str, first: char) -> usize {
    if first.is_whitespace() {
        return text.find(|character: char| !character.is_whitespace()).unwrap_or(text.len());
    }
    if stands_alone(first) || ends_sentence(first) {
        return first.len_utf8();
    }
    let end = text.find(|character: char| character.is_whitespace() || stands_alone(character)).unwrap_or(text.len());
    // What ends a sentence is not part of its last word; within a word, such as a number, it is.
    let word = text.get(..end).unwrap_or(text);
    let trimmed = word.trim_end_matches(ends_sentence);
    trimmed.len()
}

fn stands_alone(character: char) -> bool {
    character >= UNSPACED || "\"'`()[]{}<>,;:=|*".contains(character)
}

fn ends_sentence(character: char) -> bool {
    matches!(character, '.' | '!' | '?')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_whole_tokens_and_nothing_is_lost() {
        for (text, expected) in [
            ("", vec![]),
            ("Hi Ann.", vec!["Hi", " ", "Ann", "."]),
            ("On 2026-11-29, 3.5 €!", vec!["On", " ", "2026-11-29", ",", " ", "3.5", " ", "€", "!"]),
            ("a\n\n b", vec!["a", "\n\n ", "b"]),
            (r#"{"id":7}"#, vec!["{", "\"", "id", "\"", ":", "7", "}"]),
            ("...", vec![".", ".", "."]),
            ("你好a.", vec!["你", "好", "a", "."]),
            ("x=1.2.?", vec!["x", "=", "1.2", ".", "?"]),
        ] {
            let found = tokens(text);
            assert_eq!(found, expected, "{text}");
            assert_eq!(found.concat(), text);
        }
    }
}

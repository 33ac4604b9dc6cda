//! A text with variables, as what stays the same in it: recognizes the texts that it was filled in to.
//!
//! Only literal text recognizes anything, so a pattern needs enough of it ([`WEIGHT_MIN`]). Whether a text fits is found
//! in time linear in its length.

use serde::{Deserialize, Serialize};

/// Fewest bytes of letters and digits that a pattern must have outside its variables to recognize a text.
pub const WEIGHT_MIN: usize = 20;

/// A text with variables: its literal parts, with one variable between two of them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TextPattern {
    /// At least one; those between the first and the last are not empty.
    literals: Vec<String>,
}

impl TextPattern {
    /// A pattern of these literal parts, with a variable between each two. Variables without anything between them are
    /// one.
    #[must_use]
    pub fn new(literals: impl IntoIterator<Item = String>) -> Self {
        let mut literals: Vec<String> = literals.into_iter().collect();
        let last = literals.len().saturating_sub(1);
        let mut index = 0;
        literals.retain(|literal| {
            let is_edge = index == 0 || index == last;
            index += 1;
            is_edge || !literal.is_empty()
        });
        if literals.is_empty() {
            literals.push(String::new());
        }
        Self { literals }
    }

    /// A text without variables.
    #[must_use]
    pub fn exact(text: String) -> Self {
        Self { literals: vec![text] }
    }

    /// The literal parts.
    #[must_use]
    pub fn literals(&self) -> &[String] {
        &self.literals
    }

    /// How many variables it has.
    #[must_use]
    pub fn variables(&self) -> usize {
        self.literals.len().saturating_sub(1)
    }

    /// Bytes of its literal parts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.literals.iter().map(String::len).sum()
    }

    /// How much of it recognizes a text: the bytes of letters and digits in its literal parts.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.literals.iter().map(|literal| weight(literal)).sum()
    }

    /// Whether a text is this one with something, or nothing, in the place of each variable.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        let Some((first, rest)) = self.literals.split_first() else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let within = text.strip_prefix(first.as_str()).and_then(|text| text.strip_suffix(last.as_str()));
        let Some(mut within) = within else { return false };
        for literal in middle {
            // The first place leaves the most for what follows.
            let Some((_, behind)) = within.split_once(literal.as_str()) else { return false };
            within = behind;
        }
        true
    }

    /// As a template, with the names of its variables.
    #[must_use]
    pub fn template(&self, names: &[String]) -> String {
        let mut text = String::new();
        for (index, literal) in self.literals.iter().enumerate() {
            if let Some(name) = index.checked_sub(1).and_then(|index| names.get(index)) {
                text.push_str("{{");
                text.push_str(name);
                text.push_str("}}");
            }
            text.push_str(literal);
        }
        text
    }
}

/// Bytes of letters and digits.
#[must_use]
pub fn weight(text: &str) -> usize {
    text.chars().filter(|character| character.is_alphanumeric()).map(char::len_utf8).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(literals: &[&str]) -> TextPattern {
        TextPattern::new(literals.iter().map(|literal| (*literal).to_owned()))
    }

    #[test]
    fn text_fits_if_the_literal_parts_are_in_it_in_order() {
        for (literals, text, expected) in [
            (&["Be kind."][..], "Be kind.", true),
            (&["Be kind."], "Be kind. ", false),
            (&["Hi ", "!"], "Hi Ann!", true),
            (&["Hi ", "!"], "Hi !", true),
            (&["Hi ", "!"], "Hi", false),
            (&["ab", "bc"], "abc", false),
            (&["a", "b", "c"], "abbc", true),
            (&["a", "b", "b"], "ab", false),
            (&["a", "b", "b"], "abb", true),
            (&["", " of ", ""], "one of two of three", true),
            (&["", ""], "", true),
            (&["é", "ü"], "éxü", true),
        ] {
            assert_eq!(pattern(literals).matches(text), expected, "{literals:?} {text}");
        }
    }

    #[test]
    fn variables_with_nothing_between_them_are_one() {
        let found = pattern(&["a", "", "", "b"]);
        assert_eq!((found.literals(), found.variables()), (&["a".to_owned(), "b".to_owned()][..], 1));
        assert_eq!(pattern(&["", "", ""]).literals(), ["", ""]);
        assert_eq!(found.template(&["x".to_owned()]), "a{{x}}b");
        assert_eq!(pattern(&["a 1", "-ü"]).weight(), 4);
    }
}

//! Detects negated phrases: "never give legal advice" is not legal advice.

/// How far before a match a negation counts, in bytes: about eight words.
const REACH_BYTES: usize = 56;
/// Words that reverse a negation; "rather" is for "rather than".
const NEGATIONS: [&str; 17] = [
    "not",
    "never",
    "cannot",
    "cant",
    "dont",
    "avoid",
    "avoids",
    "avoiding",
    "without",
    "no",
    "nor",
    "refuse",
    "refrain",
    "decline",
    "neither",
    "prohibited",
    "rather",
];

/// Whether a negation precedes `start` in the same sentence.
pub(super) fn negated(text: &str, start: usize) -> bool {
    let mut from = start.saturating_sub(REACH_BYTES);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let before = text.get(from..start).unwrap_or("");
    let sentence = before.rsplit(['.', '!', '?', ';', '\n']).next().unwrap_or("");
    sentence.split(|c: char| !c.is_alphanumeric() && c != '\'' && c != '’').any(|word| {
        let word = word.to_ascii_lowercase().replace('’', "'");
        word.ends_with("n't") || NEGATIONS.contains(&word.as_str())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negation_applies_to_its_own_sentence() {
        let check = |text: &str, expected: bool| {
            let start = text.find('^').expect("a mark");
            assert_eq!(negated(&text.replace('^', ""), start), expected, "{text}");
        };
        check("Never ^give legal advice", true);
        check("You must not, ever, ^give legal advice", true);
        check("Don’t ^give legal advice", true);
        check("You can't ^give legal advice", true);
        check("Do not joke. ^Give legal advice", false);
        check("This is nothing: ^give legal advice", false);
        check("^give", false);
        check("Never äöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöüäöü ^give", false);
    }
}

//! `regex`: a regular expression in the syntax of JavaScript, without flags, run by an engine that takes linear time.
//!
//! JavaScript sees a text as UTF-16 units, and only letters of ASCII as parts of words. So each unit beyond ASCII is
//! replaced by a private character, in the expression and in the text. What the engine does not have (look-around,
//! back-references) is an error, never another meaning.

mod translate;

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};

use self::translate::PatternError::{Invalid, Unsupported};
use self::translate::{translate, unit};
use super::{Input, Score, ScoreError, excerpt, needs};

/// Largest compiled expression, in bytes.
const COMPILED_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest expression, in bytes.
const PATTERN_BYTES_MAX: usize = 64 * 1024;

/// Why an expression cannot be run.
enum Fault {
    /// JavaScript does not accept it either; the reason.
    Invalid(String),
    /// It is not run here.
    Scorer(ScoreError),
}

/// The expression of a scorer.
fn compiled(input: &Input<'_>) -> Result<Regex, Fault> {
    let fault = |reason: String| Fault::Scorer(ScoreError(reason));
    let pattern = input.text_value().map_err(Fault::Scorer)?;
    if pattern.is_empty() {
        return Err(Fault::Scorer(needs("a regular expression as its value")));
    }
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(fault(format!("the regular expression is longer than {PATTERN_BYTES_MAX} bytes")));
    }
    let translated = translate(pattern).map_err(|error| match error {
        Invalid(why) => Fault::Invalid(format!("invalid regular expression `{}`: {why}", excerpt(pattern))),
        Unsupported(what) => fault(format!("unsupported in the regular expression `{}`: {what}", excerpt(pattern))),
    })?;
    let mut builder = RegexBuilder::new(&translated);
    let compiled = builder.size_limit(COMPILED_BYTES_MAX).dfa_size_limit(COMPILED_BYTES_MAX).build();
    compiled
        .map_err(|_| fault(format!("the regular expression `{}` is too large or nested too deeply", excerpt(pattern))))
}

/// Checks that the expression can be run.
pub(super) fn check(input: &Input<'_>) -> Result<(), ScoreError> {
    match compiled(input) {
        Ok(_) => Ok(()),
        Err(Fault::Invalid(reason)) => Err(ScoreError(reason)),
        Err(Fault::Scorer(error)) => Err(error),
    }
}

pub(super) fn regex(input: &Input<'_>) -> Result<Score, ScoreError> {
    let compiled = match compiled(input) {
        Ok(compiled) => compiled,
        // promptfoo fails such an assertion, and its opposite, too.
        Err(Fault::Invalid(reason)) => return Ok(Score { pass: false, score: 0.0, reason }),
        Err(Fault::Scorer(error)) => return Err(error),
    };
    let found = compiled.is_match(&units(&input.text));
    let pattern = input.text_value()?;
    Ok(input.decide(found, |not| format!("expected the answer {not}to match `{}`", excerpt(pattern))))
}

/// A text whose characters are UTF-16 units.
fn units(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.encode_utf16().map(unit).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        let translated = translate(pattern).expect(pattern);
        RegexBuilder::new(&translated).build().expect(pattern).is_match(&units(text))
    }

    #[test]
    fn expressions_mean_what_they_mean_in_javascript() {
        for (pattern, text, expected) in [
            (r"\d{3}-\d{4}", "call 555-1234", true),
            (r"^\d+$", "٣", false),
            (r"^\w+$", "é", false),
            (r"a\sb", "a\u{feff}b", true),
            (r"\bcafé\b", "café", false),
            ("a.c", "a\rc", false),
            (r"^n\B|\Bp", "nép", false),
            (r"n\bé\bp", "nép", true),
            ("^..$", "😀", true),
            ("^.$", "😀", false),
            ("[😀]", "😁", true),
            (r"\ud83d\ude00", "😀", true),
            ("^😀+$", "😀😀", false),
            (r"[\u0000-\uffff]", "😀", true),
            ("[[]", "[", true),
            ("[a&&b]", "&", true),
            (r"[\w-.]", "-", true),
            (r"\p{L}", "p{L}", true),
            (r"\u{61}", "a", false),
            ("a{,5}", "a{,5}", true),
            ("{x}", "{x}", true),
            ("x{1", "x{1", true),
            ("[^]", "\n", true),
            ("[]", "a", false),
            (r"\/\-\_\<\>", "/-_<>", true),
            ("(?<year>[0-9]{4})", "in 2024", true),
            ("a$", "a\n", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} on {text}");
        }
    }

    #[test]
    fn invalid_expressions_and_unsupported_ones_are_told_apart() {
        for pattern in
            ["(", ")", "[a", "a**", "*a", "^*", "(?i)a", "(?P<a>b)", "[z-a]", "a{2,1}", "\\", "a++", "(?<1>a)"]
        {
            assert!(matches!(translate(pattern), Err(Invalid(_))), "{pattern}");
        }
        for pattern in ["a(?=b)", "(?<!a)b", r"(a)\1", r"(?<x>a)\k<x>", r"\01", r"\c1"] {
            assert!(matches!(translate(pattern), Err(Unsupported(_))), "{pattern}");
        }
    }
}

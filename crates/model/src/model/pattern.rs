//! Patterns on names: `*` stands for any text within a segment, `**` for any text at all.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::name::NAME_BYTES_MAX;
use super::schema::{built_schema, format, text};

/// A pattern for names of prompts or labels, for example `support/**`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(String);

built_schema!(
    Pattern = text(
        "A pattern for names: `*` stands for any text between slashes, `**` for any text. At most 200 bytes of UTF-8.",
        "support/**",
    )
    .min_length(Some(1))
    .max_length(Some(NAME_BYTES_MAX))
    .format(format("name-pattern"))
    .pattern(Some(r"^[^\u0000-\u001f\u007f-\u009f]+$"))
);

/// A text is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pattern `{0}`: use 1 to 200 bytes, with `*` for any text between slashes and `**` for any text")]
pub struct PatternError(String);

impl Pattern {
    /// The pattern that matches everything.
    #[must_use]
    pub fn everything() -> Self {
        Self("**".to_owned())
    }

    /// The pattern as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether every name matches.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0 == "**"
    }

    /// What every matching name begins with.
    #[must_use]
    pub fn literal_prefix(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// Whether a name can match both patterns; false only if none can.
    #[must_use]
    pub fn may_overlap(&self, other: &Self) -> bool {
        let literal = |pattern: &Self| !pattern.0.contains('*');
        let begin = |pattern: &Self| pattern.0.find('*').unwrap_or(pattern.0.len());
        if literal(self) || literal(other) {
            return if literal(self) { other.matches(&self.0) } else { self.matches(&other.0) };
        }
        let (one, two) = (self.0.bytes().take(begin(self)), other.0.bytes().take(begin(other)));
        one.zip(two).all(|(a, b)| a == b)
    }

    /// Whether a name matches; takes time of at most the product of both lengths.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        fits(self.0.as_bytes(), name.as_bytes())
    }
}

/// Walks name and pattern once; on a mismatch the last `**` takes one more byte, or a `*` behind it does.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    let mut stars: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(p..).unwrap_or_default();
        if let Some(behind) = rest.strip_prefix(b"**") {
            p = pattern.len() - behind.len();
            (stars, star) = (Some((p, n)), None);
            continue;
        }
        if rest.first() == Some(&b'*') {
            p += 1;
            star = Some((p, n));
            continue;
        }
        match (rest.first(), name.get(n)) {
            (None, None) => return true,
            (Some(expected), Some(found)) if expected == found => {
                (p, n) = (p + 1, n + 1);
                continue;
            }
            _ => {}
        }
        if let Some((behind, from)) = star.filter(|(_, from)| name.get(*from).is_some_and(|byte| *byte != b'/')) {
            star = Some((behind, from + 1));
            (p, n) = (behind, from + 1);
        } else if let Some((behind, from)) = stars.filter(|(_, from)| *from < name.len()) {
            (stars, star) = (Some((behind, from + 1)), None);
            (p, n) = (behind, from + 1);
        } else {
            return false;
        }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=NAME_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.to_owned())) } else { Err(PatternError(text.chars().take(NAME_BYTES_MAX).collect())) }
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_overlap_unless_their_beginnings_differ() {
        let check = |one: &str, other: &str, expected| {
            let [one, other] = [one, other].map(|text| text.parse::<Pattern>().expect(text));
            assert_eq!(one.may_overlap(&other), expected, "{one} {other}");
            assert_eq!(other.may_overlap(&one), expected, "{other} {one}");
        };
        check("support/**", "**", true);
        check("support/**", "support/agent", true);
        check("support/**", "secret/plan", false);
        check("support/**", "secret/**", false);
        check("support/**", "su*/agent", true);
        check("support/**", "*/agent", true);
        check("support/agent", "support/agent", true);
        check("support/agent", "support/agents", false);
    }

    #[test]
    fn one_star_stays_within_a_segment_and_two_do_not() {
        let check = |pattern: &str, name: &str, expected| {
            assert_eq!(pattern.parse::<Pattern>().expect(pattern).matches(name), expected, "{pattern} {name}");
        };
        check("**", "support/agent", true);
        check("support/**", "support/agent", true);
        check("support/**", "support/de/agent", true);
        check("support/**", "supporter/agent", false);
        check("support/*", "support/agent", true);
        check("support/*", "support/de/agent", false);
        check("*/agent", "support/agent", true);
        check("**/agent", "a/b/agent", true);
        check("prod*", "production", true);
        check("prod*", "pro", false);
        check("support/agent", "support/agent", true);
        check("support/agent", "support/agent2", false);
        check("**/x*/y", "a/x1/xz/y", true);
        for wrong in ["", "a\nb"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn patterns_match_like_a_naive_implementation(pattern in "[ab/*]{0,7}", name in "[ab/]{0,8}") {
            fn slow(pattern: &[u8], name: &[u8]) -> bool {
                match (pattern, name) {
                    ([], []) => true,
                    ([b'*', b'*', rest @ ..], _) => {
                        slow(rest, name) || name.split_first().is_some_and(|(_, name)| slow(pattern, name))
                    }
                    ([b'*', rest @ ..], _) => {
                        slow(rest, name) || name.split_first().is_some_and(|(c, name)| *c != b'/' && slow(pattern, name))
                    }
                    ([p, rest @ ..], [n, name @ ..]) => p == n && slow(rest, name),
                    _ => false,
                }
            }
            prop_assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), slow(pattern.as_bytes(), name.as_bytes()));
        }
    }
}

//! Types of assertions, and words of files in messages.

use crate::model::suite::Check;

/// The check that a type of promptfoo means.
pub(super) fn check(name: &str) -> Option<Check> {
    let (not, base) = name.strip_prefix("not-").map_or((false, name), |base| (true, base));
    let base = match base {
        "similar:cosine" => "similar",
        "model-graded-factuality" => "factuality",
        other => other,
    };
    base.parse().ok().filter(|check: &Check| !check.not).map(|check: Check| Check { not, ..check })
}

/// The start of a text, for a message.
pub(super) fn short(text: &str) -> String {
    text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

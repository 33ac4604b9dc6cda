//! Numbers of things in words.

use std::fmt::Display;

/// `1 prompt`, `2 prompts`, `3 entries`, `4 batches`.
pub fn count<N: Copy + Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    if number == N::from(1) {
        return format!("1 {noun}");
    }
    match noun.strip_suffix('y').filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        Some(stem) => format!("{number} {stem}ies"),
        None if noun.ends_with("ch") => format!("{number} {noun}es"),
        None => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_is_singular_and_no_or_more_things_are_plural() {
        for (number, noun, words) in [
            (0_u64, "prompt", "0 prompts"),
            (1, "prompt", "1 prompt"),
            (2, "prompt", "2 prompts"),
            (1, "entry", "1 entry"),
            (2, "entry", "2 entries"),
            (2, "day", "2 days"),
            (2, "batch", "2 batches"),
        ] {
            assert_eq!(count(number, noun), words);
        }
    }
}

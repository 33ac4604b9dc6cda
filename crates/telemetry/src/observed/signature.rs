//! How much alike two texts are, from a few numbers of each: the least hashes of the triples of their words (`MinHash`).
//!
//! The share of equal numbers is about the share of triples that both have. It only decides which groups are compared
//! with a text, so a text that was made to look like others costs a comparison, and nothing else.

use super::tokens::is_word;

/// Numbers of a text.
const SLOTS: usize = 32;
/// Words that are hashed together.
const WORDS: usize = 3;

/// Numbers that are alike if texts are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signature([u32; SLOTS]);

impl Signature {
    /// The signature of a text whose parts have these tokens; triples do not cross parts.
    pub(super) fn of<'t>(parts: impl IntoIterator<Item = Vec<&'t str>>) -> Self {
        let mut least = [u32::MAX; SLOTS];
        for part in parts {
            let words: Vec<u64> = part.into_iter().filter(|token| is_word(token)).map(hash).collect();
            let length = WORDS.min(words.len().max(1));
            for window in words.windows(length) {
                let together = window.iter().fold(0, |hash, word| mix(hash ^ *word));
                let mut next = together;
                for slot in &mut least {
                    next = mix(next);
                    let [a, b, c, d, ..] = next.to_le_bytes();
                    *slot = (*slot).min(u32::from_le_bytes([a, b, c, d]));
                }
            }
        }
        Self(least)
    }

    /// How many of the numbers are equal, of 32.
    pub(super) fn alike(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).filter(|(a, b)| a == b && **a != u32::MAX).count()
    }
}

/// FNV-1a: the same on every machine and in every version of the program.
fn hash(word: &str) -> u64 {
    word.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The finalizer of `SplitMix64`, with its step.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn alike(a: &str, b: &str) -> usize {
        Signature::of([tokens(a)]).alike(&Signature::of([tokens(b)]))
    }

    #[test]
    fn texts_that_share_most_words_are_alike_and_others_are_not() {
        let text = "You are the support agent of Globe. Answer in one sentence, and never promise a refund.";
        assert_eq!(alike(text, text), SLOTS);
        assert!(alike(text, &text.replace("Globe", "Atlas")) >= 12);
        assert!(alike(text, "Translate what follows into French, word by word, without a comment.") <= 2);
        assert_eq!(alike("", ""), 0, "nothing is like nothing");
    }
}

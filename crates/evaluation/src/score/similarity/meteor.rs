//! METEOR (Banerjee and Lavie 2005): words that are equal or have the same stem, and how well they keep their order.
//!
//! The third stage of promptfoo, synonyms of `WordNet`, is left out: its dictionary is larger than this program.

use std::collections::HashMap;

use super::super::javascript::split_spaces;
use super::stemmer::stem;

/// The weight of precision against recall.
const ALPHA: f64 = 0.9;
/// How much the penalty grows with the number of chunks.
const BETA: i32 = 3;
/// The greatest penalty.
const GAMMA: f64 = 0.5;

/// The places of words, each with what it is compared by.
type Places = Vec<(usize, String)>;

fn words(text: &str) -> Places {
    let words = split_spaces(text).into_iter().map(|word| word.trim_end_matches('.').to_lowercase());
    words.enumerate().collect()
}

/// Pairs equal words from the last to the first, and keeps the others.
fn pair(answer: Places, reference: Places, pairs: &mut Vec<(usize, usize)>) -> (Places, Places) {
    let mut free: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, word) in &reference {
        free.entry(word.clone()).or_default().push(*at);
    }
    let mut taken = std::collections::HashSet::new();
    let mut left = Vec::new();
    for (at, word) in answer.into_iter().rev() {
        match free.get_mut(&word).and_then(Vec::pop) {
            Some(other) => {
                pairs.push((at, other));
                taken.insert(other);
            }
            None => left.push((at, word)),
        }
    }
    left.reverse();
    (left, reference.into_iter().filter(|(at, _)| !taken.contains(at)).collect())
}

/// The score of an answer by one reference.
pub(super) fn meteor(answer: &str, reference: &str) -> f64 {
    if answer.is_empty() {
        return 0.0;
    }
    let (answer, reference) = (words(answer), words(reference));
    let (answer_words, reference_words) = (answer.len(), reference.len());
    let mut pairs = Vec::new();
    let (answer, reference) = pair(answer, reference, &mut pairs);
    let stems = |places: Places| places.into_iter().map(|(at, word)| (at, stem(&word))).collect::<Places>();
    pair(stems(answer), stems(reference), &mut pairs);
    if pairs.is_empty() {
        return 0.0;
    }
    pairs.sort_unstable();
    let follows = |pair: &&[(usize, usize)]| match pair {
        [(a, b), (c, d)] => *c == a + 1 && *d == b + 1,
        _ => false,
    };
    let chunks = pairs.len() - pairs.windows(2).filter(follows).count();
    let precision = ratio(pairs.len(), answer_words);
    let recall = ratio(pairs.len(), reference_words);
    let mean = precision * recall / (ALPHA * precision + (1.0 - ALPHA) * recall);
    (1.0 - GAMMA * ratio(chunks, pairs.len()).powi(BETA)) * mean
}

#[allow(clippy::cast_precision_loss, reason = "counts of words of texts within a limit")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

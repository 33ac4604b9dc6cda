//! Overlap of runs of words: BLEU (Papineni et al. 2002), GLEU (Wu et al. 2016) and ROUGE-N (Lin 2004).

use std::collections::HashMap;

use super::super::javascript::{split_spaces, trim};

/// Longest run of words that BLEU and GLEU count.
const RUN_MAX: usize = 4;
/// What BLEU takes in place of a precision of 0.
const SMALLEST_PRECISION: f64 = 1e-7;

/// How often each run of `length` words is in a text.
fn counts<'w, 't>(words: &'w [&'t str], length: usize) -> HashMap<&'w [&'t str], usize> {
    let mut counts = HashMap::new();
    for run in words.windows(length) {
        *counts.entry(run).or_insert(0) += 1;
    }
    counts
}

/// How many runs of the first text are in the second one, each as often as there at most.
fn overlap(first: &HashMap<&[&str], usize>, second: &HashMap<&[&str], usize>) -> usize {
    first.iter().map(|(run, count)| *count.min(second.get(run).unwrap_or(&0))).sum()
}

/// The number of runs of `length` words.
const fn runs(words: usize, length: usize) -> usize {
    (words + 1).saturating_sub(length)
}

#[allow(clippy::cast_precision_loss, reason = "counts of words of texts within a limit")]
const fn float(count: usize) -> f64 {
    count as f64
}

fn ratio(part: usize, whole: usize) -> f64 {
    float(part) / float(whole)
}

/// BLEU with equal weights of the runs that the answer is long enough for.
pub(super) fn bleu(answer: &str, references: &[&str]) -> f64 {
    if trim(answer).is_empty() {
        return 0.0;
    }
    let answer = answer.to_lowercase();
    let answer = split_spaces(trim(&answer));
    let references: Vec<String> = references.iter().map(|text| text.to_lowercase()).collect();
    let references: Vec<Vec<&str>> = references.iter().map(|text| split_spaces(trim(text))).collect();
    let lengths = references.iter().map(Vec::len);
    let closest = lengths.min_by_key(|length| (length.abs_diff(answer.len()), *length)).unwrap_or(0);
    let mut logarithms = Vec::new();
    for length in 1..=RUN_MAX.min(answer.len()) {
        let found = counts(&answer, length);
        let best = references.iter().map(|words| overlap(&found, &counts(words, length))).max().unwrap_or(0);
        let precision = ratio(best, runs(answer.len(), length));
        logarithms.push(if best == 0 { SMALLEST_PRECISION } else { precision }.ln());
    }
    let brevity = if answer.len() > closest { 1.0 } else { (1.0 - ratio(closest, answer.len())).exp() };
    brevity * (logarithms.iter().sum::<f64>() / float(logarithms.len())).exp()
}

/// The words that GLEU compares: without full stops at their ends.
fn gleu_words(text: &str) -> Vec<&str> {
    let words: Vec<&str> = split_spaces(trim(text)).into_iter().map(|word| word.trim_end_matches('.')).collect();
    if words.iter().all(|word| word.is_empty()) { Vec::new() } else { words }
}

/// GLEU: the best of the references.
pub(super) fn gleu(answer: &str, references: &[&str]) -> f64 {
    let answer = answer.to_lowercase();
    let answer = gleu_words(&answer);
    let scores = references.iter().map(|reference| {
        let reference = reference.to_lowercase();
        gleu_of(&answer, &gleu_words(&reference))
    });
    scores.fold(0.0, f64::max)
}

fn gleu_of(answer: &[&str], reference: &[&str]) -> f64 {
    if answer.is_empty() || reference.is_empty() {
        return 0.0;
    }
    let mut matches = 0;
    let mut totals = (0, 0);
    for length in 1..=RUN_MAX {
        matches += overlap(&counts(answer, length), &counts(reference, length));
        totals.0 += runs(answer.len(), length);
        totals.1 += runs(reference.len(), length);
    }
    ratio(matches, totals.0).min(ratio(matches, totals.1))
}

/// ROUGE-1: the harmonic mean of precision and recall of words.
pub(super) fn rouge(answer: &[String], reference: &[String]) -> f64 {
    fn words(tokens: &[String]) -> Vec<&str> {
        tokens.iter().map(String::as_str).collect()
    }
    let (answer, reference) = (words(answer), words(reference));
    let matches = overlap(&counts(&answer, 1), &counts(&reference, 1));
    if matches == 0 {
        return 0.0;
    }
    float(2 * matches) / float(answer.len() + reference.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_counted_as_often_as_they_are_in_both_texts() {
        assert!((gleu("the the the", &["the cat"]) - 1.0 / 6.0).abs() < 1e-12);
        assert!((gleu("A b. c", &["a b c."]) - 1.0).abs() < f64::EPSILON);
        assert!(gleu("...", &["..."]).abs() < f64::EPSILON, "no words");
        assert!((bleu("the cat", &["The  cat"]) - 1.0).abs() < 1e-12, "shorter runs have all of the weight");
        assert!((bleu("the", &["the cat sat"]) - (-2.0_f64).exp()).abs() < 1e-12, "too short");
    }
}

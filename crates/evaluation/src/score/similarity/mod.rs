//! Scorers that measure how similar the answer is to a text: `levenshtein`, `rouge-n`, `bleu`, `gleu` and `meteor`.

mod meteor;
mod ngrams;
mod stemmer;
mod treebank;

use super::{Input, Score, ScoreError};

/// Longest text whose edit distance is computed, in UTF-16 units: it takes time that grows with both lengths.
const DISTANCE_UNITS_MAX: usize = 100_000;
/// Longest text whose words are compared, in bytes.
const WORDS_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The greatest edit distance that passes without a threshold.
const DISTANCE_DEFAULT: f64 = 5.0;
/// The score of ROUGE-N from which an answer passes without a threshold.
const ROUGE_DEFAULT: f64 = 0.75;
/// The score of the other metrics from which an answer passes without a threshold.
const OVERLAP_DEFAULT: f64 = 0.5;

pub(super) fn levenshtein(input: &Input<'_>) -> Result<Score, ScoreError> {
    let units = |text: &str| text.encode_utf16().collect::<Vec<u16>>();
    let (answer, value) = (units(&input.text), units(input.text_value()?));
    if answer.len().max(value.len()) > DISTANCE_UNITS_MAX {
        return Err(ScoreError(format!(
            "the edit distance is computed for texts of up to {DISTANCE_UNITS_MAX} characters; the answer has {}, the \
             value {}",
            answer.len(),
            value.len()
        )));
    }
    #[allow(clippy::cast_precision_loss, reason = "at most the longest length")]
    let distance = rapidfuzz::distance::levenshtein::distance(answer, value) as f64;
    let threshold = input.scorer.threshold.unwrap_or(DISTANCE_DEFAULT);
    Ok(input.decide(distance <= threshold, |not| {
        format!("expected an edit distance of {not}at most {threshold}, found {distance}")
    }))
}

/// Checks that texts are not too long to compare.
fn check_length(input: &Input<'_>, references: &[&str]) -> Result<(), ScoreError> {
    let bytes = references.iter().map(|text| text.len()).sum::<usize>().max(input.text.len());
    if bytes > WORDS_BYTES_MAX {
        return Err(ScoreError(format!("the texts are {bytes} bytes long; the limit is {WORDS_BYTES_MAX} bytes")));
    }
    Ok(())
}

pub(super) fn rouge_n(input: &Input<'_>) -> Result<Score, ScoreError> {
    let reference = input.text_value()?;
    check_length(input, &[reference])?;
    let tokens = |text: &str| treebank::tokens(&text.to_lowercase());
    let score = ngrams::rouge(&tokens(&input.text), &tokens(reference));
    Ok(input.graded("ROUGE-N", score, ROUGE_DEFAULT))
}

pub(super) fn bleu(input: &Input<'_>) -> Result<Score, ScoreError> {
    let references = input.references()?;
    check_length(input, &references)?;
    Ok(input.graded("BLEU", ngrams::bleu(&input.text, &references), OVERLAP_DEFAULT))
}

pub(super) fn gleu(input: &Input<'_>) -> Result<Score, ScoreError> {
    let references = input.references()?;
    check_length(input, &references)?;
    Ok(input.graded("GLEU", ngrams::gleu(&input.text, &references), OVERLAP_DEFAULT))
}

pub(super) fn meteor(input: &Input<'_>) -> Result<Score, ScoreError> {
    let references = input.references()?;
    check_length(input, &references)?;
    let scores = references.iter().map(|reference| meteor::meteor(&input.text, reference));
    Ok(input.graded("METEOR", scores.fold(0.0, f64::max), OVERLAP_DEFAULT))
}

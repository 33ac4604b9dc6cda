//! `similar`: the cosine of embeddings.

use super::asking::model;
use super::{Asking, JudgeError};
use crate::model::suite::Scorer;
use crate::provider::Ask;
use crate::score::Score;

/// The threshold of promptfoo.
const THRESHOLD_DEFAULT: f64 = 0.75;

/// With a list, one text must be near enough; for the opposite, all must be far enough.
pub(super) async fn score<A: Ask>(scorer: &Scorer, asking: &Asking<'_, A>) -> Result<Score, JudgeError> {
    let model = model(scorer)?;
    let mut texts = vec![asking.output().into_owned()];
    texts.extend(asking.texts(scorer)?);
    let embeddings = asking.ask.embed(model, &texts).await?.vectors;
    let threshold = scorer.threshold.unwrap_or(THRESHOLD_DEFAULT);
    let Some((output, values)) = embeddings.split_first().filter(|_| embeddings.len() == texts.len()) else {
        return Err(JudgeError::failed("there are not as many embeddings as texts"));
    };
    let mut found: Option<Score> = None;
    for value in values {
        let similarity = cosine(output, value)
            .ok_or_else(|| JudgeError::failed("the embeddings have no direction or different lengths"))?;
        let one = compared(similarity, threshold, scorer.check.not);
        // The first that decides; otherwise the nearest.
        let decides = one.pass != scorer.check.not;
        let nearer = found.as_ref().is_none_or(|best| (one.score > best.score) != scorer.check.not);
        if decides {
            return Ok(one);
        }
        if nearer {
            found = Some(one);
        }
    }
    found.ok_or_else(|| JudgeError::failed("there is nothing to compare with"))
}

fn compared(similarity: f64, threshold: f64, not: bool) -> Score {
    let near = similarity >= threshold - f64::EPSILON;
    let far = similarity <= threshold + f64::EPSILON;
    let score = similarity.clamp(0.0, 1.0);
    let reason = format!("similarity {similarity:.2}, threshold {threshold}");
    if not { Score { pass: far, score: 1.0 - score, reason } } else { Score { pass: near, score, reason } }
}

/// The cosine of the angle between two vectors; `None` if one has no direction or they do not fit.
fn cosine(left: &[f64], right: &[f64]) -> Option<f64> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let norms = product(left, left).sqrt() * product(right, right).sqrt();
    let cosine = product(left, right) / norms;
    (left.len() == right.len() && cosine.is_finite()).then_some(cosine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_is_of_directions_and_not_of_lengths() {
        let near = |found: Option<f64>, expected: f64| found.is_some_and(|found| (found - expected).abs() < 1e-12);
        assert!(near(cosine(&[1.0, 0.0], &[5.0, 0.0]), 1.0));
        assert!(near(cosine(&[1.0, 0.0], &[0.0, 2.0]), 0.0));
        assert!(near(cosine(&[1.0, 1.0], &[1.0, 0.0]), 0.5_f64.sqrt()));
        assert!(near(cosine(&[1.0], &[-1.0]), -1.0));
        assert_eq!(cosine(&[0.0], &[1.0]), None);
        assert_eq!(cosine(&[1.0], &[1.0, 2.0]), None);
        assert_eq!(cosine(&[], &[]), None);
        let opposite = compared(-0.5, 0.75, true);
        assert!(opposite.pass && (opposite.score - 1.0).abs() < f64::EPSILON);
        assert!(compared(0.75, 0.75, false).pass && compared(0.75, 0.75, true).pass);
    }
}

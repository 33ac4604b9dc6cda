//! Scorers of what an answer took: `latency`, `cost` and `perplexity`.

use super::{Input, Score, ScoreError, needs};

/// The threshold of `latency`.
pub(super) fn milliseconds(input: &Input<'_>) -> Result<f64, ScoreError> {
    input.scorer.threshold.ok_or_else(|| needs("a threshold, in milliseconds"))
}

/// The threshold of `cost`.
pub(super) fn dollars(input: &Input<'_>) -> Result<f64, ScoreError> {
    input.scorer.threshold.ok_or_else(|| needs("a threshold, in US dollars"))
}

pub(super) fn latency(input: &Input<'_>) -> Result<Score, ScoreError> {
    let threshold = milliseconds(input)?;
    let answer = input.scoring.answer;
    if answer.cached {
        return Err(ScoreError(
            "the answer is of an earlier run, which this scorer does not score; ask again with --no-cache, or use \
             `latency_p95_ms` of the gate"
                .to_owned(),
        ));
    }
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of one answer")]
    let latency = answer.latency_ms as f64;
    Ok(input.decide(latency <= threshold, |not| format!("expected {not}at most {threshold} ms, took {latency} ms")))
}

pub(super) fn cost(input: &Input<'_>) -> Result<Score, ScoreError> {
    let threshold = dollars(input)?;
    let cost = input.scoring.answer.usage.cost;
    let cost = cost.ok_or_else(|| ScoreError("no price of the model is known, so neither is the cost".to_owned()))?;
    let dollars = cost.dollars();
    Ok(input.decide(dollars <= threshold, |not| format!("expected {not}at most ${threshold}, cost ${dollars}")))
}

pub(super) fn perplexity(input: &Input<'_>) -> Result<Score, ScoreError> {
    let logprobs = &input.scoring.answer.logprobs;
    if logprobs.is_empty() {
        return Err(ScoreError(
            "the answer has no log probabilities; set the parameter `logprobs` of the version".to_owned(),
        ));
    }
    #[allow(clippy::cast_precision_loss, reason = "an answer has far fewer tokens than a float counts exactly")]
    let mean = logprobs.iter().sum::<f64>() / logprobs.len() as f64;
    let perplexity = (-mean).exp();
    let Some(threshold) = input.scorer.threshold else {
        return Ok(Score { pass: true, score: 1.0, reason: format!("the perplexity is {perplexity:.2}") });
    };
    let fits = perplexity <= threshold;
    Ok(input.decide(fits, |not| format!("expected a perplexity of {not}at most {threshold}, found {perplexity:.2}")))
}

//! What was counted of calls since this process started, as series of `/metrics`.

use super::Recorder;
use crate::metrics::calls::{KindOfTokens, Latencies, PromptCalls};
use crate::model::name::Label;
use crate::model::usd::Usd;
use crate::resolve::ReadScope;
use crate::telemetry::rollup::OTHER;
use crate::telemetry::tally::{CallTallies, CallTally, LATENCY_ENDS_US, UNATTRIBUTED};

impl Recorder {
    /// The calls of the prompts that a scope can read; sums of other prompts only for those who can read all of them.
    #[must_use]
    pub fn calls_by_prompt(&self, scope: &ReadScope) -> Vec<PromptCalls> {
        let Some(CallTallies { each, others, unattributed }) = self.store().call_tallies() else { return Vec::new() };
        let readable = each.into_iter().filter(|(of, _)| scope.reads(of.prompt.as_str()));
        let mut series: Vec<PromptCalls> = readable
            .map(|(of, tally)| series(of.prompt.as_str(), of.label.as_ref().map_or("", Label::as_str), &tally))
            .collect();
        if scope.reads_everything() {
            series.extend([self::series(OTHER, "", &others), self::series(UNATTRIBUTED, "", &unattributed)]);
        }
        series
    }
}

fn series(prompt: &str, label: &str, tally: &CallTally) -> PromptCalls {
    let of = |kind, tokens| KindOfTokens { kind, tokens };
    let tokens = &tally.tokens;
    PromptCalls {
        prompt: prompt.to_owned(),
        label: label.to_owned(),
        calls: tally.calls,
        errors: tally.errors,
        unpriced: tally.unpriced,
        cost_usd: Usd::from_pico(tally.cost_pico_usd).dollars(),
        tokens: [
            of("input", tokens.input),
            of("cache_read", tokens.cache_read),
            of("cache_write", tokens.cache_write),
            of("output", tokens.output),
            of("reasoning", tokens.reasoning),
        ],
        latency: latencies(tally),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a monitoring system reads 53 bits")]
fn latencies(tally: &CallTally) -> Latencies {
    let ends = LATENCY_ENDS_US.into_iter().map(|end_us| end_us as f64 / 1e6).chain([f64::MAX]);
    Latencies { sum_s: tally.latency_sum_us as f64 / 1e6, buckets: ends.zip(tally.latencies).collect() }
}

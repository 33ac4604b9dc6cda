//! What is counted of calls of models by prompt and label: read elsewhere at each scrape, because their number and who
//! may see them are decided there.

use std::fmt::{self, Write};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeLabelSet, LabelSetEncoder, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;

/// The counters of one prompt and label.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PromptCalls {
    /// The prompt.
    pub prompt: String,
    /// The label that callers asked for; empty without one.
    pub label: String,
    /// Calls.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// Of these, those whose cost is unknown.
    pub unpriced: u64,
    /// Cost of the others, in US dollars.
    pub cost_usd: f64,
    /// Tokens by kind.
    pub tokens: [KindOfTokens; 5],
    /// Durations.
    pub latency: Latencies,
}

/// Tokens of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindOfTokens {
    /// The kind.
    pub kind: &'static str,
    /// How many.
    pub tokens: u64,
}

/// Durations of calls.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Latencies {
    /// Their sum, in seconds.
    pub sum_s: f64,
    /// Calls in each bucket, by its upper end in seconds; the last end is `f64::MAX`.
    pub buckets: Vec<(f64, u64)>,
}

/// The series of one family.
type Encode = fn(&PromptCalls, &mut MetricEncoder<'_>) -> fmt::Result;

/// A family: what `docs/reference/metrics.md` says about it, and how it is encoded.
pub(super) struct Family {
    pub(super) name: &'static str,
    pub(super) help: &'static str,
    pub(super) kind: MetricType,
    encode: Encode,
}

/// All families.
#[rustfmt::skip]
pub(super) const FAMILIES: [Family; 6] = [
    Family { name: "prompt_calls", help: "Recorded calls of models by prompt and label", kind: MetricType::Counter,
        encode: |one, out| count(one, out, &one.calls) },
    Family { name: "prompt_errors", help: "Recorded calls that failed, by prompt and label", kind: MetricType::Counter,
        encode: |one, out| count(one, out, &one.errors) },
    Family { name: "prompt_cost_usd", help: "Cost of recorded calls in US dollars, as far as it is known, by prompt and label",
        kind: MetricType::Counter, encode: |one, out| count(one, out, &one.cost_usd) },
    Family { name: "prompt_unpriced_calls", help: "Recorded calls whose cost is unknown, by prompt and label",
        kind: MetricType::Counter, encode: |one, out| count(one, out, &one.unpriced) },
    Family { name: "prompt_tokens", help: "Tokens of recorded calls by prompt, label and kind: input, cache_read, cache_write, \
        output, reasoning; each token has one kind", kind: MetricType::Counter, encode: tokens },
    Family { name: "prompt_latency_seconds", help: "Duration of recorded calls by prompt and label, where it was reported",
        kind: MetricType::Histogram, encode: latency },
];

/// Series for one scrape.
#[derive(Debug)]
pub(super) struct CallSeries(pub(super) Vec<PromptCalls>);

impl Collector for CallSeries {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, kind, encode } in FAMILIES {
            let mut out = encoder.encode_descriptor(name, help, None, kind)?;
            for one in &self.0 {
                encode(one, &mut out)?;
            }
        }
        Ok(())
    }
}

fn count(one: &PromptCalls, out: &mut MetricEncoder<'_>, value: &impl EncodeCounterValue) -> fmt::Result {
    out.encode_family(&Labels::of(one))?.encode_counter::<NoLabelSet, _, u64>(value, None)
}

fn tokens(one: &PromptCalls, out: &mut MetricEncoder<'_>) -> fmt::Result {
    for KindOfTokens { kind, tokens } in one.tokens {
        let labels = Labels { kind: Some(kind), ..Labels::of(one) };
        out.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&tokens, None)?;
    }
    Ok(())
}

fn latency(one: &PromptCalls, out: &mut MetricEncoder<'_>) -> fmt::Result {
    let Latencies { sum_s, buckets } = &one.latency;
    let number = buckets.iter().map(|(_, calls)| calls).sum();
    out.encode_family(&Labels::of(one))?.encode_histogram::<NoLabelSet>(*sum_s, number, buckets, None)
}

/// The labels of a series. A prompt's name can have quotes, which the encoder writes as they are.
#[derive(Debug)]
struct Labels<'c> {
    prompt: &'c str,
    label: &'c str,
    kind: Option<&'static str>,
}

impl<'c> Labels<'c> {
    fn of(one: &'c PromptCalls) -> Self {
        Self { prompt: &one.prompt, label: &one.label, kind: None }
    }
}

impl EncodeLabelSet for Labels<'_> {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> fmt::Result {
        let all = [("prompt", Some(self.prompt)), ("label", Some(self.label)), ("kind", self.kind)];
        for (name, value) in all.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            let mut label = encoder.encode_label();
            let mut key = label.encode_label_key()?;
            key.write_str(name)?;
            let mut out = key.encode_label_value()?;
            for character in value.chars() {
                match character {
                    '\n' => out.write_str("\\n")?,
                    '"' | '\\' => write!(out, "\\{character}")?,
                    other => out.write_char(other)?,
                }
            }
            out.finish()?;
        }
        Ok(())
    }
}

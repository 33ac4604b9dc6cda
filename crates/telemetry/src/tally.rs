//! What is counted of calls since a process started, by prompt and label: counters for a monitoring system.
//!
//! They are sums of what was recorded, in memory alone: a monitoring system keeps the history, and notices that a
//! counter starts again. Invariant: each call is in exactly one tally, so that the tallies add up to all calls.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::event::Response;
use crate::model::name::{Label, PromptName};
use crate::rollup::{OTHER, Series, SeriesOf};

/// The upper ends of the buckets of durations, in microseconds: those that the semantic conventions of OpenTelemetry
/// recommend for calls of models.
pub const LATENCY_ENDS_US: [u64; 14] = [
    10_000, 20_000, 40_000, 80_000, 160_000, 320_000, 640_000, 1_280_000, 2_560_000, 5_120_000, 10_240_000, 20_480_000,
    40_960_000, 81_920_000,
];
/// What calls without a known version are counted under.
pub const UNATTRIBUTED: &str = "_unattributed";

/// A prompt, and the label that its callers asked for, if they asked for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PromptLabel {
    /// The prompt.
    pub prompt: PromptName,
    /// The label.
    pub label: Option<Label>,
}

impl PromptLabel {
    /// That of a series; none for calls without a known version.
    #[must_use]
    pub fn of(series: Series) -> Option<Self> {
        match series.of {
            SeriesOf::Version { prompt, .. } => Some(Self { prompt, label: series.label.parse().ok() }),
            SeriesOf::Unattributed(_) => None,
        }
    }

    /// Whether its name is that of a sum of others.
    fn is_reserved(&self) -> bool {
        [OTHER, UNATTRIBUTED].contains(&self.prompt.as_str())
    }
}

/// Counts of some calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTally {
    /// Calls.
    pub calls: u64,
    /// Of these, those that failed.
    pub errors: u64,
    /// Of these, those whose cost is unknown.
    pub unpriced: u64,
    /// Cost of the others, in pico-dollars.
    pub cost_pico_usd: u128,
    /// Tokens, each in one kind.
    pub tokens: TokenTally,
    /// Calls with a known duration, by bucket: one for each of [`LATENCY_ENDS_US`], and one for longer ones.
    pub latencies: [u64; LATENCY_ENDS_US.len() + 1],
    /// The sum of these durations, in microseconds.
    pub latency_sum_us: u128,
}

/// Numbers of tokens: each token is in one of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TokenTally {
    /// What was read, and is in no other kind.
    pub input: u64,
    /// What was read from a cache.
    pub cache_read: u64,
    /// What was read, and written to a cache.
    pub cache_write: u64,
    /// What was written, without reasoning.
    pub output: u64,
    /// Reasoning.
    pub reasoning: u64,
}

impl TokenTally {
    /// Those of a response, whose parts are included in its input and output.
    fn of(response: &Response) -> Self {
        let tokens = &response.tokens;
        let cache_read = tokens.cache_read.unwrap_or(0);
        let cache_write = tokens.cache_write.unwrap_or(0).saturating_add(tokens.cache_write_1h.unwrap_or(0));
        let reasoning = tokens.reasoning.unwrap_or(0);
        Self {
            input: tokens.input.unwrap_or(0).saturating_sub(cache_read).saturating_sub(cache_write),
            cache_read,
            cache_write,
            output: tokens.output.unwrap_or(0).saturating_sub(reasoning),
            reasoning,
        }
    }

    fn merge(&mut self, other: &Self) {
        bump(&mut self.input, other.input);
        bump(&mut self.cache_read, other.cache_read);
        bump(&mut self.cache_write, other.cache_write);
        bump(&mut self.output, other.output);
        bump(&mut self.reasoning, other.reasoning);
    }
}

impl CallTally {
    /// Counts a call.
    pub fn add(&mut self, response: &Response) {
        bump(&mut self.calls, 1);
        bump(&mut self.errors, u64::from(response.error.is_some()));
        match response.cost {
            Some(cost) => self.cost_pico_usd = self.cost_pico_usd.saturating_add(u128::from(cost.pico_usd)),
            None => bump(&mut self.unpriced, 1),
        }
        self.tokens.merge(&TokenTally::of(response));
        if let Some(latency_us) = response.latency_us {
            let bucket = LATENCY_ENDS_US.partition_point(|end| *end < latency_us);
            if let Some(count) = self.latencies.get_mut(bucket) {
                bump(count, 1);
            }
            self.latency_sum_us = self.latency_sum_us.saturating_add(u128::from(latency_us));
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        bump(&mut self.calls, other.calls);
        bump(&mut self.errors, other.errors);
        bump(&mut self.unpriced, other.unpriced);
        self.cost_pico_usd = self.cost_pico_usd.saturating_add(other.cost_pico_usd);
        self.tokens.merge(&other.tokens);
        for (count, more) in self.latencies.iter_mut().zip(other.latencies) {
            bump(count, more);
        }
        self.latency_sum_us = self.latency_sum_us.saturating_add(other.latency_sum_us);
    }
}

fn bump(count: &mut u64, by: u64) {
    *count = count.saturating_add(by);
}

/// The tallies of the calls of one transaction.
pub type FreshCalls = HashMap<Option<PromptLabel>, CallTally>;

/// All tallies of a process: those of some prompts and labels, and two sums of all others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallTallies {
    /// Those of prompts and labels.
    pub each: BTreeMap<PromptLabel, CallTally>,
    /// Those of all other prompts and labels.
    pub others: CallTally,
    /// Those of calls without a known version.
    pub unattributed: CallTally,
}

/// The tallies, as the writer adds to them and others read them.
#[derive(Debug)]
pub(crate) struct SharedTallies {
    each_max: usize,
    tallies: Mutex<CallTallies>,
}

impl SharedTallies {
    /// Without calls: of those prompts and labels with the most calls so far, and of at most so many.
    pub(crate) fn new(each_max: usize, so_far: HashMap<PromptLabel, u64>) -> Self {
        let mut ranked: Vec<(PromptLabel, u64)> = so_far.into_iter().filter(|(one, _)| !one.is_reserved()).collect();
        ranked.sort_unstable_by(|(a, calls), (b, others)| others.cmp(calls).then_with(|| a.cmp(b)));
        let each = ranked.into_iter().take(each_max).map(|(one, _)| (one, CallTally::default())).collect();
        Self { each_max, tallies: Mutex::new(CallTallies { each, ..CallTallies::default() }) }
    }

    /// Adds the calls of a transaction.
    pub(crate) fn add(&self, fresh: FreshCalls) {
        if fresh.is_empty() {
            return;
        }
        let mut tallies = self.lock();
        for (one, tally) in fresh {
            let room = tallies.each.len() < self.each_max;
            let total = match one {
                None => &mut tallies.unattributed,
                Some(one) if tallies.each.contains_key(&one) || (room && !one.is_reserved()) => {
                    tallies.each.entry(one).or_default()
                }
                Some(_) => &mut tallies.others,
            };
            total.merge(&tally);
        }
    }

    /// The tallies now.
    pub(crate) fn read(&self) -> CallTallies {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, CallTallies> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Cost, CostSource, Tokens};

    fn of(prompt: &str, label: Option<&str>) -> PromptLabel {
        PromptLabel {
            prompt: prompt.parse().expect("a name"),
            label: label.map(|label| label.parse().expect("a label")),
        }
    }

    fn calls(number: u64) -> CallTally {
        CallTally { calls: number, ..CallTally::default() }
    }

    #[test]
    fn call_is_counted_with_each_token_in_one_kind_and_its_duration_in_one_bucket() {
        let response = Response {
            tokens: Tokens {
                input: Some(100),
                cache_read: Some(60),
                cache_write: Some(20),
                cache_write_1h: Some(5),
                output: Some(50),
                reasoning: Some(40),
                ..Tokens::default()
            },
            latency_us: Some(10_000),
            cost: Some(Cost { pico_usd: 7, source: CostSource::Reported }),
            ..Response::default()
        };
        let failed = Response {
            error: Some("timeout".to_owned()),
            // More was read from a cache than was read at all: the parts count as they were reported.
            tokens: Tokens { input: Some(1), cache_read: Some(2), ..Tokens::default() },
            latency_us: Some(100_000_000),
            ..Response::default()
        };
        let mut tally = CallTally::default();
        tally.add(&response);
        tally.add(&failed);
        let mut latencies = [0; LATENCY_ENDS_US.len() + 1];
        latencies[0] = 1;
        latencies[LATENCY_ENDS_US.len()] = 1;
        let tokens = TokenTally { input: 15, cache_read: 62, cache_write: 25, output: 10, reasoning: 40 };
        let expected = CallTally {
            calls: 2,
            errors: 1,
            unpriced: 1,
            cost_pico_usd: 7,
            tokens,
            latencies,
            latency_sum_us: 100_010_000,
        };
        assert_eq!(tally, expected);
        let mut twice = tally.clone();
        twice.merge(&tally);
        assert_eq!(
            (twice.calls, twice.tokens.input, twice.latencies[0], twice.latency_sum_us),
            (4, 30, 2, 200_020_000)
        );
    }

    #[test]
    fn prompts_beyond_the_limit_are_counted_together_and_the_sum_is_right() {
        let so_far = [(of("rare", None), 1), (of("busy", Some("production")), 9), (of("busy", None), 5)];
        let tallies = SharedTallies::new(2, so_far.into());
        let expected = BTreeMap::from([(of("busy", None), calls(0)), (of("busy", Some("production")), calls(0))]);
        assert_eq!(tallies.read().each, expected, "the busiest begin at zero");
        let fresh = [
            (Some(of("busy", None)), calls(2)),
            (Some(of("new", None)), calls(4)),
            (Some(of(OTHER, None)), calls(8)),
            (None, calls(16)),
        ];
        tallies.add(fresh.into());
        let read = tallies.read();
        assert_eq!(read.each.get(&of("busy", None)), Some(&calls(2)));
        assert_eq!((read.others, read.unattributed), (calls(12), calls(16)));
        assert_eq!(read.each.len(), 2);
    }

    #[test]
    fn new_prompt_gets_a_tally_while_there_is_room_but_never_one_with_the_name_of_a_sum() {
        let tallies = SharedTallies::new(2, HashMap::from([(of(UNATTRIBUTED, None), 9)]));
        for prompt in [OTHER, UNATTRIBUTED, "a", "b", "c"] {
            tallies.add([(Some(of(prompt, None)), calls(1))].into());
        }
        let read = tallies.read();
        assert_eq!(read.each.keys().map(|one| one.prompt.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(read.others, calls(3));
    }
}

//! From counts to statistics: which buckets a period needs, and what groups of them add up to.
//!
//! It decides nothing about who may read what. Invariant: a period is read from buckets that cover it once, so that a
//! total is the sum of the points over time.

use std::collections::{BTreeMap, BTreeSet};

use super::store::{Level, Retention, Stretch};
use crate::api::stats::{
    GROUPS_MAX, OTHER_GROUP, SpendCounts, SpendPoint, StatsBy, StatsCounts, StatsGroup, StatsPoint, StatsPointScore,
    StatsQuantiles, StatsScore, StatsTokens,
};
use crate::event::Unattributed;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::rollup::{OTHER, OTHER_RULE, Rollup, ScoreRollup, Series, SeriesOf, Spend};
use crate::sketch::Sketch;

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;

/// How a period is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The start of the first bucket.
    pub from_ms: i64,
    /// The end of the period.
    pub to_ms: i64,
    /// The length of a point over time.
    pub bucket: Level,
    /// The buckets that cover it: of one level, or of days with hours at both ends.
    pub stretches: Vec<Stretch>,
    kept: Retention,
}

impl Plan {
    /// The buckets for a period, by their length and by what is still kept of them at this time.
    #[must_use]
    pub fn new(from_ms: i64, to_ms: i64, kept: Retention, now_ms: i64) -> Self {
        let Retention { minutes_days, hours_days, .. } = kept;
        let is_kept = |at_ms: i64, days: u16| at_ms >= now_ms.saturating_sub(i64::from(days).saturating_mul(DAY_MS));
        let level = match Level::for_range(to_ms.saturating_sub(from_ms)) {
            Level::Minute if is_kept(from_ms, minutes_days) => Level::Minute,
            Level::Minute | Level::Hour if is_kept(from_ms, hours_days) => Level::Hour,
            _ => Level::Day,
        };
        if level != Level::Day {
            let from_ms = floor(from_ms, level);
            return Self { from_ms, to_ms, bucket: level, stretches: vec![Stretch { level, from_ms, to_ms }], kept };
        }
        // Whole days, and hours at the ends while they are kept.
        let from_ms = floor(from_ms, if is_kept(from_ms, hours_days) { Level::Hour } else { Level::Day });
        let (first_day, last_day) = (ceil_day(from_ms), floor(to_ms, Level::Day));
        let last_day = if is_kept(last_day, hours_days) { last_day } else { ceil_day(to_ms) }.max(first_day);
        let stretches = days_and_hours(from_ms, first_day, last_day, to_ms);
        Self { from_ms, to_ms, bucket: Level::Day, stretches, kept }
    }

    /// The fewest buckets that add up to the period, without its points.
    #[must_use]
    pub fn summed(&self) -> Vec<Stretch> {
        let (first_day, last_day) = (ceil_day(self.from_ms), floor(self.to_ms, Level::Day));
        if self.bucket == Level::Hour && first_day < last_day {
            days_and_hours(self.from_ms, first_day, last_day, self.to_ms)
        } else {
            self.stretches.clone()
        }
    }

    /// The period of the same length that ends where this one begins.
    #[must_use]
    pub fn previous(&self, now_ms: i64) -> Self {
        let from_ms = self.from_ms.saturating_sub(self.to_ms.saturating_sub(self.from_ms));
        Self::new(from_ms, self.from_ms, self.kept, now_ms)
    }

    /// The start of the point that a bucket belongs to.
    #[must_use]
    pub fn point_ms(&self, at_ms: i64) -> i64 {
        floor(at_ms, self.bucket)
    }

    /// The length of a point, in seconds.
    #[must_use]
    pub fn bucket_s(&self) -> u64 {
        u64::try_from(self.bucket.ms() / 1_000).unwrap_or_default()
    }
}

/// The start of the bucket of a moment.
fn floor(ms: i64, level: Level) -> i64 {
    ms.saturating_sub(ms.rem_euclid(level.ms()))
}

/// The start of a day, if it is one, or of the next.
fn ceil_day(ms: i64) -> i64 {
    floor(ms.saturating_add(DAY_MS - 1), Level::Day)
}

/// Whole days, and hours before and after them.
fn days_and_hours(from_ms: i64, first_day: i64, last_day: i64, to_ms: i64) -> Vec<Stretch> {
    let ends = [(Level::Hour, from_ms, first_day), (Level::Day, first_day, last_day), (Level::Hour, last_day, to_ms)];
    let ends = ends.into_iter().filter(|(_, from_ms, to_ms)| from_ms < to_ms);
    ends.map(|(level, from_ms, to_ms)| Stretch { level, from_ms, to_ms }).collect()
}

/// What was counted of one group: in total and over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Folded {
    /// In total.
    pub total: Rollup,
    points: BTreeMap<i64, Rollup>,
}

impl Folded {
    /// Adds a bucket to the total and to its point.
    pub fn add(&mut self, plan: &Plan, at_ms: i64, rollup: &Rollup) {
        self.total.merge(rollup);
        self.points.entry(plan.point_ms(at_ms)).or_default().merge(rollup);
    }

    /// The points that have something to show.
    #[must_use]
    pub fn series(&self) -> Vec<StatsPoint> {
        self.points.iter().map(|(at_ms, rollup)| point(*at_ms, rollup)).collect()
    }
}

/// The calls of one prompt, by what they are grouped by.
#[derive(Clone, Debug)]
pub struct Groups {
    by: StatsBy,
    /// The groups that are told apart, where there are too many.
    chosen: Option<BTreeSet<Option<String>>>,
    folded: BTreeMap<Option<String>, Folded>,
}

impl Groups {
    /// Without calls.
    #[must_use]
    pub const fn new(by: StatsBy) -> Self {
        Self { by, chosen: None, folded: BTreeMap::new() }
    }

    /// The same, with only these groups told apart: the largest, by their numbers of calls.
    #[must_use]
    pub fn with_largest(mut self, calls: &BTreeMap<Option<String>, u64>) -> Self {
        if calls.len() > GROUPS_MAX {
            let mut ranked: Vec<_> = calls.iter().collect();
            ranked.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
            self.chosen = Some(ranked.into_iter().take(GROUPS_MAX - 1).map(|(key, _)| key.clone()).collect());
        }
        self
    }

    /// Adds a bucket of a series.
    pub fn add(&mut self, plan: &Plan, series: &Series, at_ms: i64, rollup: &Rollup) {
        let key = key_of(series, self.by);
        let known = self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&key));
        let key = if known { key } else { Some(OTHER_GROUP.to_owned()) };
        self.folded.entry(key).or_default().add(plan, at_ms, rollup);
    }

    /// All groups together.
    #[must_use]
    pub fn total(&self) -> StatsCounts {
        let mut total = Rollup::default();
        self.folded.values().for_each(|group| total.merge(&group.total));
        counts(&total)
    }

    /// Versions from the newest, others by number of calls; what is not told apart is at the end.
    #[must_use]
    pub fn into_groups(self) -> Vec<StatsGroup> {
        let by = self.by;
        let mut groups: Vec<_> = self.folded.into_iter().collect();
        groups.sort_by(|(a, one), (b, other)| {
            let is_rest = |key: &Option<String>| key.as_deref() == Some(OTHER_GROUP);
            let number = |key: &Option<String>| key.as_ref().and_then(|key| key.parse::<u64>().ok());
            let ranked = match by {
                StatsBy::Version => number(b).cmp(&number(a)),
                _ => other.total.calls.cmp(&one.total.calls),
            };
            is_rest(a).cmp(&is_rest(b)).then(ranked).then_with(|| a.cmp(b))
        });
        let group = |(key, folded): (Option<String>, Folded)| StatsGroup {
            key,
            counts: counts(&folded.total),
            series: folded.series(),
        };
        groups.into_iter().map(group).collect()
    }
}

/// The group of a series; none where the application did not say.
#[must_use]
pub fn key_of(series: &Series, by: StatsBy) -> Option<String> {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let SeriesOf::Version { version, .. } = &series.of else { return None };
    match by {
        StatsBy::Version => Some(version.to_string()),
        StatsBy::Model => known(&series.model),
        StatsBy::Label => known(&series.label),
        StatsBy::Arm => Some(match series.rule {
            None => format!("default: v{version}"),
            Some(OTHER_RULE) => format!("{OTHER}: v{version}"),
            Some(rule) => format!("rule {rule}: v{version}"),
        }),
        StatsBy::Environment => known(&series.environment),
    }
}

/// Calls and cost.
#[must_use]
pub fn spend(spend: Spend) -> SpendCounts {
    SpendCounts { calls: spend.calls, priced_calls: spend.priced, cost_usd: Usd::from_pico(spend.cost_pico_usd) }
}

/// Calls and cost of a point.
#[must_use]
pub fn spend_point(at_ms: i64, spend: Spend) -> SpendPoint {
    SpendPoint {
        at: Timestamp::from_ms(at_ms),
        calls: spend.calls,
        errors: spend.errors,
        cost_usd: Usd::from_pico(spend.cost_pico_usd),
    }
}

/// Two sums of calls and cost, together.
#[must_use]
pub const fn plus(one: SpendCounts, other: SpendCounts) -> SpendCounts {
    SpendCounts {
        calls: one.calls.saturating_add(other.calls),
        priced_calls: one.priced_calls.saturating_add(other.priced_calls),
        cost_usd: one.cost_usd.plus(other.cost_usd),
    }
}

/// What a rollup says, as statistics.
#[must_use]
pub fn counts(rollup: &Rollup) -> StatsCounts {
    let score = |(name, score): (&String, &ScoreRollup)| {
        let (n, mean) = numbers(score);
        let has_flags_beside = n < score.moments.count();
        let extremes = [score.moments.min(), score.moments.max()];
        let [min, max] = extremes.map(|extreme| extreme.filter(|_| !has_flags_beside));
        StatsScore { name: name.clone(), n, mean, min, max, categories: score.categories.clone() }
    };
    StatsCounts {
        calls: rollup.calls,
        errors: rollup.errors,
        priced_calls: rollup.priced,
        cost_usd: Usd::from_pico(rollup.cost_pico_usd),
        input_counted_calls: rollup.counted_input,
        output_counted_calls: rollup.counted_output,
        tokens: StatsTokens {
            input: rollup.tokens.input,
            cache_read: rollup.tokens.cache_read,
            cache_write: rollup.tokens.cache_write,
            output: rollup.tokens.output,
            reasoning: rollup.tokens.reasoning,
        },
        latency_ms: quantiles(&rollup.latency_us),
        first_token_ms: quantiles(&rollup.first_token_us),
        scores: rollup.scores.iter().map(score).collect(),
    }
}

/// The number and mean of the scores that are numbers; `true` and `false` are not averaged with others.
fn numbers(score: &ScoreRollup) -> (u64, Option<f64>) {
    let flags = |name| score.categories.get(name).copied().unwrap_or_default();
    let (passed, failed) = (flags("true"), flags("false"));
    if passed.saturating_add(failed) < score.moments.count() {
        return score.moments.besides_flags(passed, failed);
    }
    (score.moments.count(), score.moments.mean())
}

fn point(at_ms: i64, rollup: &Rollup) -> StatsPoint {
    let score = |(name, score): (&String, &ScoreRollup)| {
        let (n, mean) = numbers(score);
        Some(StatsPointScore { name: name.clone(), n, mean: mean? })
    };
    StatsPoint {
        at: Timestamp::from_ms(at_ms),
        calls: rollup.calls,
        errors: rollup.errors,
        priced_calls: rollup.priced,
        cost_usd: Usd::from_pico(rollup.cost_pico_usd),
        input_tokens: rollup.tokens.input,
        output_tokens: rollup.tokens.output,
        latency_p50_ms: quantile_ms(&rollup.latency_us, 0.5),
        latency_p95_ms: quantile_ms(&rollup.latency_us, 0.95),
        first_token_p50_ms: quantile_ms(&rollup.first_token_us, 0.5),
        first_token_p95_ms: quantile_ms(&rollup.first_token_us, 0.95),
        scores: rollup.scores.iter().filter_map(score).collect(),
    }
}

fn quantiles(sketch: &Sketch) -> Option<StatsQuantiles> {
    Some(StatsQuantiles {
        n: sketch.count(),
        p50: quantile_ms(sketch, 0.5)?,
        p90: quantile_ms(sketch, 0.9)?,
        p95: quantile_ms(sketch, 0.95)?,
        p99: quantile_ms(sketch, 0.99)?,
    })
}

/// A quantile in milliseconds, to the microsecond.
fn quantile_ms(sketch: &Sketch, q: f64) -> Option<f64> {
    sketch.quantile(q).map(|us| us.round() / 1_000.0)
}

/// The word for a reason in the API.
#[must_use]
pub const fn reason(reason: Unattributed) -> &'static str {
    match reason {
        Unattributed::NoPrompt => "no_prompt",
        Unattributed::UnknownPrompt => "unknown_prompt",
        Unattributed::UnknownVersion => "unknown_version",
        Unattributed::AmbiguousSplit => "ambiguous_split",
    }
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;

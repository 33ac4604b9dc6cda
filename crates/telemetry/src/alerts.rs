//! What alerts watch, as it is counted now.
//!
//! Alerts with the same period are read together, in one pass over the totals. It decides nothing about what follows
//! from a value.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::store::{Level, Retention, TelemetryError, TelemetryStore};
use crate::model::alert::{AlertMetric, AlertReading, AlertRule};
use crate::model::count::count;
use crate::model::name::PromptName;
use crate::model::time::Timestamp;
use crate::model::usd::Usd;
use crate::rollup::{Rollup, Spend, Total};
use crate::sketch::Sketch;
use crate::stats::Plan;

/// The time before a period that its spend is compared with, in milliseconds: a week.
const WEEK_MS: i64 = 7 * 86_400_000;
/// How late the calls of that week may begin, in milliseconds: a day. Less of a week is no average.
const WEEK_BEGINS_MS: i64 = 86_400_000;

/// What is counted of the calls that one value is of.
#[derive(Clone, Debug, Default)]
struct Tally {
    calls: u64,
    errors: u64,
    priced: u64,
    unattributed: u64,
    cost_pico_usd: u128,
    latency_us: Sketch,
    before: Before,
}

/// What is counted of the week before.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    calls: u64,
    cost_pico_usd: u128,
    first_ms: Option<i64>,
}

/// A value, or why it is not known.
type Value = Result<f64, String>;

/// The values of alerts at a time, in their order. Blocks.
///
/// # Errors
/// The file cannot be read.
pub fn read(
    store: &TelemetryStore,
    rules: &[&AlertRule],
    kept: Retention,
    now_ms: i64,
) -> Result<Vec<AlertReading>, TelemetryError> {
    let mut periods: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (at, rule) in rules.iter().enumerate() {
        periods.entry(rule.per_s).or_default().push(at);
    }
    let mut readings = vec![AlertReading::default(); rules.len()];
    for (per_s, places) in periods {
        let of_period: Vec<&AlertRule> = places.iter().filter_map(|at| rules.get(*at).copied()).collect();
        let found = read_period(store, &of_period, per_s, kept, now_ms)?;
        for (at, reading) in places.into_iter().zip(found) {
            if let Some(place) = readings.get_mut(at) {
                *place = reading;
            }
        }
    }
    Ok(readings)
}

fn read_period(
    store: &TelemetryStore,
    rules: &[&AlertRule],
    per_s: u64,
    kept: Retention,
    now_ms: i64,
) -> Result<Vec<AlertReading>, TelemetryError> {
    let per_ms = i64::try_from(per_s).unwrap_or(i64::MAX).saturating_mul(1_000);
    let plan = Plan::new(now_ms.saturating_sub(per_ms), now_ms, kept, now_ms);
    let mut tallies: Vec<BTreeMap<Option<PromptName>, Tally>> = vec![BTreeMap::new(); rules.len()];
    // The alerts that each total is part of.
    let watching: RefCell<HashMap<Total, Vec<usize>>> = RefCell::default();
    let wanted = |growth: bool| {
        let watching = &watching;
        move |total: &Total| {
            let watches = |(at, rule): (usize, &&AlertRule)| {
                ((!growth || rule.metric == AlertMetric::SpendGrowth) && watches(rule, total)).then_some(at)
            };
            let found: Vec<usize> = rules.iter().enumerate().filter_map(watches).collect();
            let is_watched = !found.is_empty();
            watching.borrow_mut().insert(total.clone(), found);
            is_watched
        }
    };
    let mut add = |total: &Total, add: &dyn Fn(&AlertRule, &mut Tally)| {
        for at in watching.borrow().get(total).into_iter().flatten() {
            if let (Some(rule), Some(tallies)) = (rules.get(*at), tallies.get_mut(*at)) {
                add(rule, tallies.entry(key(rule, total)).or_default());
            }
        }
    };
    let _all = store.visit_totals(&plan.summed(), wanted(false), |total, _, rollup| {
        add(total, &|rule, tally| tally.add(rule, total, &rollup));
        ControlFlow::Continue(())
    })?;
    // Whole hours, so that nothing counts for the period and for the week.
    let week_ends_ms = plan.from_ms.saturating_sub(plan.from_ms.rem_euclid(Level::Hour.ms()));
    let week = Plan::new(week_ends_ms.saturating_sub(WEEK_MS), week_ends_ms, kept, now_ms);
    if rules.iter().any(|rule| rule.metric == AlertMetric::SpendGrowth) {
        let _all = store.visit_spend(&week.stretches, wanted(true), |total, at_ms, spend| {
            add(total, &|_, tally| tally.before.add(at_ms, spend));
            ControlFlow::Continue(())
        })?;
    }
    let lengths = Lengths { period_ms: now_ms.saturating_sub(plan.from_ms), week };
    Ok(rules.iter().zip(tallies).map(|(rule, tallies)| lengths.reading(rule, &tallies, now_ms)).collect())
}

/// Whether an alert has one value, of all calls.
fn is_of_all(rule: &AlertRule) -> bool {
    rule.prompts.is_everything() && !rule.each_prompt
}

/// Whether what was counted in a total is part of the value of an alert.
fn watches(rule: &AlertRule, total: &Total) -> bool {
    match total {
        Total::All => is_of_all(rule),
        Total::Unattributed(_) => is_of_all(rule) && rule.metric == AlertMetric::UnattributedShare,
        Total::Prompt(prompt) => !is_of_all(rule) && rule.prompts.matches(prompt.as_str()),
    }
}

/// What a total is counted under: its prompt, where each prompt has a value.
fn key(rule: &AlertRule, total: &Total) -> Option<PromptName> {
    match total {
        Total::Prompt(prompt) if rule.each_prompt => Some(prompt.clone()),
        _ => None,
    }
}

impl Tally {
    fn add(&mut self, rule: &AlertRule, total: &Total, rollup: &Rollup) {
        if let Total::Unattributed(_) = total {
            // They are calls of the total of everything as well.
            self.unattributed = self.unattributed.saturating_add(rollup.calls);
            return;
        }
        self.calls = self.calls.saturating_add(rollup.calls);
        self.errors = self.errors.saturating_add(rollup.errors);
        self.priced = self.priced.saturating_add(rollup.priced);
        self.cost_pico_usd = self.cost_pico_usd.saturating_add(rollup.cost_pico_usd);
        if rule.metric == AlertMetric::LatencyP95 {
            self.latency_us.merge(&rollup.latency_us);
        }
    }
}

impl Before {
    fn add(&mut self, at_ms: i64, spend: Spend) {
        if spend.calls == 0 {
            return;
        }
        self.calls = self.calls.saturating_add(spend.calls);
        self.cost_pico_usd = self.cost_pico_usd.saturating_add(spend.cost_pico_usd);
        self.first_ms = Some(self.first_ms.map_or(at_ms, |first_ms| first_ms.min(at_ms)));
    }
}

/// The times that are compared: both begin with a whole bucket.
struct Lengths {
    period_ms: i64,
    week: Plan,
}

impl Lengths {
    fn reading(&self, rule: &AlertRule, tallies: &BTreeMap<Option<PromptName>, Tally>, now_ms: i64) -> AlertReading {
        let nothing = Tally::default();
        let values = tallies.iter().map(|(prompt, tally)| (prompt, tally, self.value(rule, tally)));
        let rank = |value: &Value| value.as_ref().map_or(f64::NEG_INFINITY, |value| *value);
        let highest = values.max_by(|(_, _, one), (_, _, other)| rank(one).total_cmp(&rank(other)));
        let (prompt, tally, value) = match highest {
            Some((prompt, tally, value)) => (prompt.clone(), tally, value),
            None => (None, &nothing, self.value(rule, &nothing)),
        };
        AlertReading {
            at: Timestamp::from_ms(now_ms),
            prompt: prompt.filter(|_| value.is_ok()),
            calls: tally.calls,
            priced_calls: tally.priced,
            why: value.as_ref().err().cloned(),
            value: value.ok(),
        }
    }

    fn value(&self, rule: &AlertRule, tally: &Tally) -> Value {
        let enough = |calls: u64| {
            if calls >= rule.min_calls {
                return Ok(float(calls));
            }
            Err(format!("{}, of the {} that it needs", count(calls, "call"), rule.min_calls))
        };
        match rule.metric {
            AlertMetric::Spend => Ok(Usd::from_pico(tally.cost_pico_usd).dollars()),
            AlertMetric::SpendGrowth => self.growth(rule, tally),
            AlertMetric::ErrorRate => enough(tally.calls).map(|calls| float(tally.errors) / calls),
            AlertMetric::UnattributedShare => enough(tally.calls).map(|calls| float(tally.unattributed) / calls),
            AlertMetric::LatencyP95 => {
                let timed = tally.latency_us.count();
                let slow_us = enough(timed).map(|_| tally.latency_us.quantile(0.95).unwrap_or_default());
                slow_us
                    .map_err(|_| {
                        format!("{} with a duration, of the {} that it needs", count(timed, "call"), rule.min_calls)
                    })
                    .map(|us| us.round() / 1_000.0)
            }
        }
    }

    /// How much more the calls cost than in the same time of the week before.
    fn growth(&self, rule: &AlertRule, tally: &Tally) -> Value {
        let Before { calls, cost_pico_usd, first_ms } = tally.before;
        let is_week = first_ms.is_some_and(|first_ms| first_ms < self.week.from_ms.saturating_add(WEEK_BEGINS_MS));
        if !is_week {
            return Err("there are no calls from a whole week before to compare with".to_owned());
        }
        if calls < rule.min_calls {
            return Err(format!(
                "{} in the week before, of the {} that it needs",
                count(calls, "call"),
                rule.min_calls
            ));
        }
        if cost_pico_usd == 0 {
            return Err("no cost of the week before is known".to_owned());
        }
        let week_ms = self.week.to_ms.saturating_sub(self.week.from_ms);
        let usual = Usd::from_pico(cost_pico_usd).dollars() * length(self.period_ms) / length(week_ms).max(1.0);
        Ok(Usd::from_pico(tally.cost_pico_usd).dollars() / usual - 1.0)
    }
}

#[allow(clippy::cast_precision_loss, reason = "for a comparison, where 53 bits are enough")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[allow(clippy::cast_precision_loss, reason = "for a comparison, where 53 bits are enough")]
const fn length(ms: i64) -> f64 {
    ms as f64
}

#[cfg(test)]
#[path = "alerts_tests.rs"]
mod tests;

//! Sums of the results of a run, by case.
//!
//! Results are added one by one and not held, so a run of a million results needs the memory of its cases. Sums follow
//! the order in which results are added: added in the order of the suite, the same results have the same sums to the
//! last bit.

use std::collections::{BTreeMap, HashMap};

use super::{CONFIDENCE, as_float, as_whole, count, whole};
use crate::model::evaluation::{CaseResult, CaseVerdict, Comparison, Evaluated, RunSummary, ScoreChange, Side};
use crate::model::suite::{Case, ModelName};
use crate::model::usd::Usd;
use crate::statistics::{bootstrap_lower_bound, mcnemar_exact, quantile};

/// Most cases with a lower score that a comparison names.
const LOWER_MAX: usize = 50;
/// What a score must have lost at least to be named.
const LOWER_MIN: f64 = 0.005;

/// What the results of a run add up to.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    candidate: BTreeMap<String, CaseTotal>,
    baseline: BTreeMap<String, CaseTotal>,
    /// The models in the order in which they came.
    models: Vec<ModelName>,
    /// Sum and count of each metric of the candidate, and of the baseline.
    metrics: Metrics,
    baseline_metrics: Metrics,
    /// Milliseconds of the candidate's answers; those of an earlier run with the time that they took then.
    latencies: Vec<f64>,
    /// Answers, without those that were kept, and what they and their judges cost.
    calls: u64,
    cost: Usd,
    pub(super) answers: AnswerCosts,
}

/// Sums and counts by metric.
type Metrics = BTreeMap<String, (f64, f64)>;

/// What the candidate's answers cost, wherever they came from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct AnswerCosts {
    pub(super) sum: Usd,
    pub(super) priced: u64,
    pub(super) unpriced: u64,
}

/// The results of one case on one side: its models and repeats together.
#[derive(Clone, Debug, Default)]
pub(super) struct CaseTotal {
    pub(super) passed: u32,
    pub(super) failed: u32,
    pub(super) errors: u32,
    scores: f64,
    /// How often the case passed and failed on each model.
    by_model: Vec<(u32, u32)>,
}

impl CaseTotal {
    /// Results with a verdict.
    pub(super) const fn judged(&self) -> u32 {
        self.passed + self.failed
    }

    pub(super) const fn has_passed(&self) -> bool {
        self.passed > 0 && self.failed == 0
    }

    fn score(&self) -> Option<f64> {
        (self.judged() > 0).then(|| self.scores / f64::from(self.judged()))
    }

    fn add(&mut self, model: usize, result: &CaseResult) {
        if self.by_model.len() <= model {
            self.by_model.resize(model + 1, (0, 0));
        }
        let (passed, failed) = match result.verdict {
            CaseVerdict::Passed => (1, 0),
            CaseVerdict::Failed => (0, 1),
            CaseVerdict::Error => {
                self.errors += 1;
                return;
            }
        };
        self.passed += passed;
        self.failed += failed;
        if let Some(repeats) = self.by_model.get_mut(model) {
            *repeats = (repeats.0 + passed, repeats.1 + failed);
        }
        self.scores += result.score;
    }

    fn has_repeats(&self) -> bool {
        self.by_model.iter().any(|(passed, failed)| passed + failed > 1)
    }

    fn is_flaky(&self) -> bool {
        self.by_model.iter().any(|(passed, failed)| *passed > 0 && *failed > 0)
    }
}

impl<'a> FromIterator<&'a CaseResult> for Tally {
    fn from_iter<I: IntoIterator<Item = &'a CaseResult>>(results: I) -> Self {
        let mut tally = Self::default();
        results.into_iter().for_each(|result| tally.add(result));
        tally
    }
}

impl Tally {
    /// Adds one result.
    pub fn add(&mut self, result: &CaseResult) {
        let model = self.models.iter().position(|model| *model == result.model).unwrap_or_else(|| {
            self.models.push(result.model.clone());
            self.models.len() - 1
        });
        let answered = result.answer.as_ref().filter(|answer| !answer.cached);
        self.calls += u64::from(answered.is_some());
        let cost = answered.and_then(|answer| answer.usage.cost).unwrap_or_default();
        self.cost = self.cost.plus(result.judging).plus(cost);
        let (side, metrics) = match result.side {
            Side::Candidate => (&mut self.candidate, &mut self.metrics),
            Side::Baseline => (&mut self.baseline, &mut self.baseline_metrics),
        };
        add_metrics(metrics, result);
        match side.get_mut(&result.case) {
            Some(total) => total.add(model, result),
            None => side.entry(result.case.clone()).or_default().add(model, result),
        }
        if result.side == Side::Candidate {
            self.add_to_candidate(result);
        }
    }

    fn add_to_candidate(&mut self, result: &CaseResult) {
        if let Some(answer) = &result.answer {
            // What another tool kept has no time of its own.
            if !answer.cached || answer.latency_ms > 0 {
                self.latencies.push(as_float(answer.latency_ms));
            }
            match answer.usage.cost {
                Some(cost) => {
                    self.answers.sum = self.answers.sum.plus(cost);
                    self.answers.priced += 1;
                }
                None => self.answers.unpriced += 1,
            }
        }
    }

    /// What a case of the candidate adds up to.
    pub(super) fn case(&self, name: &str) -> Option<&CaseTotal> {
        self.candidate.get(name)
    }

    /// Whether there are results of a baseline.
    pub(super) fn has_baseline(&self) -> bool {
        !self.baseline.is_empty()
    }

    /// Counts and sums of the candidate. `planned` is how many results there will be.
    #[must_use]
    pub fn summarize(&self, cases: &[Case], planned: u64) -> RunSummary {
        let weights = weights(cases);
        let mut summary = RunSummary { planned, calls: self.calls, cost: self.cost, ..RunSummary::default() };
        let (mut scores, mut weight_sum) = (0.0, 0.0);
        for (name, total) in &self.candidate {
            summary.passed += u64::from(total.passed);
            summary.failed += u64::from(total.failed);
            summary.errors += u64::from(total.errors);
            let weight = weights.get(name.as_str()).copied().unwrap_or(1.0);
            scores += weight * total.scores;
            weight_sum += weight * f64::from(total.judged());
        }
        summary.score = (weight_sum > 0.0).then(|| scores / weight_sum);
        summary.metrics = means(&self.metrics);
        let mut latencies = self.latencies.clone();
        latencies.sort_by(f64::total_cmp);
        summary.latency_p50_ms = quantile(&latencies, 0.5).map(as_whole);
        summary.latency_p95_ms = quantile(&latencies, 0.95).map(as_whole);
        let repeated: Vec<_> = self.candidate.iter().filter(|(_, total)| total.has_repeats()).collect();
        let flaky = repeated.iter().filter(|(_, total)| total.is_flaky());
        summary.flaky = flaky.map(|(name, _)| (*name).clone()).collect();
        summary.consistency = (!repeated.is_empty()).then(|| 1.0 - count(summary.flaky.len()) / count(repeated.len()));
        summary
    }

    /// Compares both sides case by case, with the weights of the cases; `None` if no case that counts has a verdict on
    /// both. One with the weight 0 counts in no score, but is listed if its verdict changed.
    #[must_use]
    pub fn compare(&self, cases: &[Case], baseline: &Evaluated) -> Option<Comparison> {
        let weights = weights(cases);
        let (mut worse, mut better, mut lower) = (Vec::new(), Vec::new(), Vec::new());
        let mut differences = Vec::new();
        for (name, after) in &self.candidate {
            let Some(before) = self.baseline.get(name) else { continue };
            let (Some(new), Some(old)) = (after.score(), before.score()) else { continue };
            let weight = weights.get(name.as_str()).copied().unwrap_or(1.0);
            if weight > 0.0 {
                differences.push((new - old, weight));
            }
            match (before.has_passed(), after.has_passed()) {
                (true, false) => worse.push(name.clone()),
                (false, true) => better.push(name.clone()),
                _ if new < old - LOWER_MIN => lower.push(ScoreChange { case: name.clone(), before: old, after: new }),
                _ => {}
            }
        }
        lower.sort_by(|one, other| (one.after - one.before).total_cmp(&(other.after - other.before)));
        lower.truncate(LOWER_MAX);
        let (difference, lower_bound) = bootstrap_lower_bound(&differences, CONFIDENCE)?;
        Some(Comparison {
            baseline: baseline.clone(),
            pairs: whole(differences.len()),
            mcnemar_p: mcnemar_exact(whole(worse.len()), whole(better.len())),
            worse,
            better,
            difference,
            lower_bound,
            lower,
            metrics: means(&self.baseline_metrics),
        })
    }
}

fn add_metrics(metrics: &mut Metrics, result: &CaseResult) {
    if result.verdict == CaseVerdict::Error {
        return;
    }
    for scorer in result.scorers.iter().filter(|scorer| scorer.verdict != CaseVerdict::Error) {
        let Some(metric) = &scorer.metric else { continue };
        if !metrics.contains_key(metric) {
            metrics.insert(metric.clone(), (0.0, 0.0));
        }
        if let Some((sum, count)) = metrics.get_mut(metric) {
            *sum += scorer.score;
            *count += 1.0;
        }
    }
}

fn means(metrics: &Metrics) -> BTreeMap<String, f64> {
    metrics.iter().map(|(metric, (sum, count))| (metric.clone(), sum / count)).collect()
}

fn weights(cases: &[Case]) -> HashMap<&str, f64> {
    cases.iter().map(|case| (case.name.as_str(), case.weight)).collect()
}

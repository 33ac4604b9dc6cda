//! Answers questions about what was counted, for a reader: of one prompt, and of all that they can read.
//!
//! Invariant: nothing of a prompt that the reader cannot read is in an answer, also not in a total.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::completeness::completeness;
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::stats::{
    FollowingPrompt, GROUPS_MAX, PromptStats, PromptUsage, STATS_DEPLOYMENTS_MAX, SpendCounts, SpendPoint, StatsBy,
    UnattributedReason, UnattributedUsage, UsageStats,
};
use crate::clock::Cancellation;
use crate::model::deployment::Deployment;
use crate::model::name::PromptName;
use crate::model::since::Since;
use crate::model::time::Timestamp;
use crate::resolve::{CatalogueView, ResolveError};
use crate::store::StoreError;
use crate::telemetry::event::Unattributed;
use crate::telemetry::rollup::{Rollup, Series, SeriesOf};
use crate::telemetry::stats::{Groups, Plan, counts, key_of, plus, reason, spend, spend_point};
use crate::telemetry::store::{TelemetryError, TelemetryStore, Which};

/// Most prompts that an answer suggests.
const FOLLOWING_MAX: usize = 5;
/// The period of a question that names none: a week.
pub const PERIOD_DEFAULT: Since = Since::days(7);

/// Why a question is not answered.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum StatsError {
    #[error("the period ends at {until}, before it begins at {since}")]
    Period { since: Timestamp, until: Timestamp },
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    #[error(transparent)]
    Telemetry(#[from] TelemetryError),
}

/// The buckets of a period; it ends now at the latest.
///
/// # Errors
/// It ends before it begins.
pub fn plan(since: Since, until: Option<Since>, now_ms: i64) -> Result<Plan, StatsError> {
    let now = Timestamp::from_ms(now_ms);
    let until = until.map_or(now, |until| until.end(now).min(now));
    let since = since.start(now);
    if since >= until {
        return Err(StatsError::Period { since, until });
    }
    Ok(Plan::new(since.ms(), until.ms(), now_ms))
}

/// What was counted for one prompt.
///
/// # Errors
/// The reader cannot read it, it does not exist, or a file cannot be read.
pub fn prompt_stats(
    store: &TelemetryStore,
    view: &CatalogueView,
    name: &PromptName,
    by: StatsBy,
    plan: &Plan,
    now_ms: i64,
    stop: &Cancellation,
) -> Result<PromptStats, StatsError> {
    let deployments = deployments(view, name, plan)?;
    let which = Which::Prompt(name.as_str());
    let mut calls: BTreeMap<_, u64> = store.series(which)?.iter().map(|series| (key_of(series, by), 0)).collect();
    if calls.len() > GROUPS_MAX {
        visit(
            store,
            which,
            plan,
            stop,
            |_| true,
            |series, _, rollup| {
                let entry = calls.entry(key_of(series, by)).or_default();
                *entry = entry.saturating_add(rollup.calls);
            },
        )?;
    }
    let mut groups = Groups::new(by).with_largest(&calls);
    visit(store, which, plan, stop, |_| true, |series, at_ms, rollup| groups.add(plan, series, at_ms, rollup))?;
    Ok(PromptStats {
        name: name.clone(),
        since: Timestamp::from_ms(plan.from_ms),
        until: Timestamp::from_ms(plan.to_ms),
        bucket_s: plan.bucket_s(),
        newest: newest(store)?,
        completeness: completeness(store, now_ms),
        by,
        total: groups.total(),
        groups: groups.into_groups(),
        deployments,
        followed_by: followed_by(store, view, name)?,
    })
}

/// The prompts that traces suggest this one feeds, the most frequent first.
fn followed_by(
    store: &TelemetryStore,
    view: &CatalogueView,
    name: &PromptName,
) -> Result<Vec<FollowingPrompt>, StatsError> {
    let known = view.prompt(name)?.about.map(|about| about.feeds).unwrap_or_default();
    let found = store.followed_by(name)?.into_iter();
    let new = found.filter(|(other, _)| !known.contains(other) && view.scope().reads(other.as_str()));
    let mut found: Vec<_> = new.map(|(name, traces)| FollowingPrompt { name, traces }).collect();
    found.sort_by_key(|one| std::cmp::Reverse(one.traces));
    found.truncate(FOLLOWING_MAX);
    Ok(found)
}

/// What was counted for all prompts that the reader can read, the most expensive first.
///
/// # Errors
/// A file cannot be read.
pub fn usage_stats(
    store: &TelemetryStore,
    view: &CatalogueView,
    plan: &Plan,
    limit: usize,
    now_ms: i64,
    stop: &Cancellation,
) -> Result<UsageStats, StatsError> {
    let scope = view.scope();
    let everything = scope.reads_everything();
    let previous = plan.previous(now_ms);
    let mut fold = UsageFold::default();
    let mut both = previous.clone();
    both.stretches.extend(plan.stretches.iter().copied());
    let wanted = |series: &Series| match &series.of {
        SeriesOf::Unattributed(_) => everything,
        SeriesOf::Version { prompt, .. } => scope.reads(prompt.as_str()),
    };
    visit(store, Which::All, &both, stop, wanted, |series, at_ms, rollup| fold.add(plan, series, at_ms, rollup))?;
    let UsageFold { total, before, series, prompts, unattributed } = fold;
    let total = counts(&total);
    let usage = |(name, fold): (PromptName, PromptFold)| PromptUsage {
        name,
        counts: counts(&fold.total),
        previous: fold.before,
        series: fold.points.into_values().collect(),
    };
    let mut prompts: Vec<PromptUsage> = prompts.into_iter().map(usage).collect();
    prompts.sort_by(|a, b| {
        let rank = |one: &PromptUsage| (one.counts.cost_usd, one.counts.calls);
        rank(b).cmp(&rank(a)).then_with(|| a.name.cmp(&b.name))
    });
    let more = prompts.len().saturating_sub(limit);
    prompts.truncate(limit);
    Ok(UsageStats {
        since: Timestamp::from_ms(plan.from_ms),
        until: Timestamp::from_ms(plan.to_ms),
        previous_since: Timestamp::from_ms(previous.from_ms),
        bucket_s: plan.bucket_s(),
        newest: newest(store)?,
        completeness: completeness(store, now_ms),
        cost_coverage: total.cost_coverage(),
        total,
        previous: before,
        unattributed: everything.then(|| told(&unattributed)),
        series: series.into_values().collect(),
        prompts,
        more_prompts: u64::try_from(more).unwrap_or(u64::MAX),
    })
}

/// Sums while buckets are visited.
#[derive(Default)]
struct UsageFold {
    total: Rollup,
    before: SpendCounts,
    series: BTreeMap<i64, SpendPoint>,
    prompts: BTreeMap<PromptName, PromptFold>,
    unattributed: BTreeMap<Unattributed, SpendCounts>,
}

#[derive(Default)]
struct PromptFold {
    total: Rollup,
    before: SpendCounts,
    points: BTreeMap<i64, SpendPoint>,
}

impl UsageFold {
    fn add(&mut self, plan: &Plan, series: &Series, at_ms: i64, rollup: &Rollup) {
        let is_before = at_ms < plan.from_ms;
        let prompt = match &series.of {
            SeriesOf::Version { prompt, .. } => Some(self.prompts.entry(prompt.clone()).or_default()),
            SeriesOf::Unattributed(reason) => {
                if !is_before {
                    let sum = self.unattributed.entry(*reason).or_default();
                    *sum = plus(*sum, spend(rollup));
                }
                None
            }
        };
        if is_before {
            self.before = plus(self.before, spend(rollup));
            if let Some(prompt) = prompt {
                prompt.before = plus(prompt.before, spend(rollup));
            }
            return;
        }
        let point = spend_point(plan.point_ms(at_ms), rollup);
        self.total.merge(rollup);
        add_point(&mut self.series, point);
        if let Some(prompt) = prompt {
            prompt.total.merge(rollup);
            add_point(&mut prompt.points, point);
        }
    }
}

fn add_point(points: &mut BTreeMap<i64, SpendPoint>, point: SpendPoint) {
    if point.calls == 0 {
        return;
    }
    let sum = points.entry(point.at.ms()).or_insert(SpendPoint { at: point.at, ..SpendPoint::default() });
    sum.calls = sum.calls.saturating_add(point.calls);
    sum.errors = sum.errors.saturating_add(point.errors);
    sum.cost_usd = sum.cost_usd.plus(point.cost_usd);
}

fn told(reasons: &BTreeMap<Unattributed, SpendCounts>) -> UnattributedUsage {
    let one = |(why, counts): (&Unattributed, &SpendCounts)| UnattributedReason {
        reason: reason(*why).to_owned(),
        counts: *counts,
    };
    UnattributedUsage {
        counts: reasons.values().fold(SpendCounts::default(), |sum, counts| plus(sum, *counts)),
        reasons: reasons.iter().filter(|(_, counts)| counts.calls > 0).map(one).collect(),
    }
}

/// Visits the buckets of a period until the work is no longer wanted.
fn visit(
    store: &TelemetryStore,
    which: Which<'_>,
    plan: &Plan,
    stop: &Cancellation,
    wanted: impl FnMut(&Series) -> bool,
    mut add: impl FnMut(&Series, i64, &Rollup),
) -> Result<(), StatsError> {
    let visited = store.visit_counts(which, &plan.stretches, wanted, |series, at_ms, rollup| {
        if stop.is_due() {
            return ControlFlow::Break(());
        }
        add(series, at_ms, &rollup);
        ControlFlow::Continue(())
    })?;
    if visited.is_break() { Err(ResolveError::Store(StoreError::Busy).into()) } else { Ok(()) }
}

fn newest(store: &TelemetryStore) -> Result<Option<Timestamp>, StatsError> {
    Ok(store.newest_report_ms()?.map(Timestamp::from_ms))
}

/// Deployments of a prompt in a period, oldest first.
fn deployments(view: &CatalogueView, name: &PromptName, plan: &Plan) -> Result<Vec<Deployment>, StatsError> {
    let mut found = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = view.deployments(name, None, cursor.as_deref(), PAGE_ROWS_MAX)?;
        let is_over = page.items.iter().any(|one| one.at.ms() < plan.from_ms);
        let within = |one: &Deployment| (plan.from_ms..plan.to_ms).contains(&one.at.ms());
        found.extend(page.items.into_iter().filter(within));
        cursor = page.next;
        if cursor.is_none() || is_over || found.len() >= STATS_DEPLOYMENTS_MAX {
            break;
        }
    }
    found.truncate(STATS_DEPLOYMENTS_MAX);
    found.reverse();
    Ok(found)
}

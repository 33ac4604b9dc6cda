//! Answers questions about what was counted, for a reader: of one prompt, and of all that they can read.
//!
//! Invariant: nothing of a prompt that the reader cannot read is in an answer, also not in a total.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::ControlFlow;

use super::completeness::completeness;
use super::text_cost::Volumes;
use crate::api::limits::PAGE_ROWS_MAX;
use crate::api::stats::{
    FollowingPrompt, GROUPS_MAX, PromptStats, PromptUsage, STATS_DEPLOYMENTS_MAX, SpendCounts, SpendPoint, StatsBy,
    TEXT_PROMPTS_MAX, TEXT_VERSIONS_MAX, UnattributedReason, UnattributedUsage, UsageStats,
};
use crate::clock::Cancellation;
use crate::model::deployment::Deployment;
use crate::model::name::PromptName;
use crate::model::since::Since;
use crate::model::time::Timestamp;
use crate::resolve::{CatalogueView, ResolveError};
use crate::store::StoreError;
use crate::telemetry::event::Unattributed;
use crate::telemetry::price::PriceBook;
use crate::telemetry::rollup::{Rollup, Series, Spend, Total};
use crate::telemetry::stats::{Groups, Plan, counts, key_of, plus, reason, spend, spend_point};
use crate::telemetry::store::{Retention, TelemetryError, TelemetryStore, Which};

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
pub fn plan(since: Since, until: Option<Since>, kept: Retention, now_ms: i64) -> Result<Plan, StatsError> {
    let now = Timestamp::from_ms(now_ms);
    let until = until.map_or(now, |until| until.end(now).min(now));
    let since = since.start(now);
    if since >= until {
        return Err(StatsError::Period { since, until });
    }
    Ok(Plan::new(since.ms(), until.ms(), kept, now_ms))
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
        visit(store, which, plan, stop, |series, _, rollup| {
            let entry = calls.entry(key_of(series, by)).or_default();
            *entry = entry.saturating_add(rollup.calls);
        })?;
    }
    let mut groups = Groups::new(by).with_largest(&calls);
    visit(store, which, plan, stop, |series, at_ms, rollup| groups.add(plan, series, at_ms, rollup))?;
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

/// What was counted for all prompts that the reader can read, the most expensive first; and all that had calls.
///
/// It reads totals: of each prompt its spend, and the rest of those in the answer. A reader of everything reads the total
/// of everything, others add up what they can read. Only of the most expensive prompts, the newest versions are read.
///
/// # Errors
/// A file cannot be read.
pub fn usage_stats(
    store: &TelemetryStore,
    view: &CatalogueView,
    book: &PriceBook,
    plan: &Plan,
    limit: usize,
    now_ms: i64,
    stop: &Cancellation,
) -> Result<(UsageStats, BTreeSet<PromptName>), StatsError> {
    let scope = view.scope();
    let everything = scope.reads_everything();
    let previous = plan.previous(now_ms);
    let mut spent = SpendFold::default();
    let apart = |total: &Total| match total {
        Total::All => false,
        Total::Unattributed(_) => everything,
        Total::Prompt(prompt) => scope.reads(prompt.as_str()),
    };
    let both = [previous.summed(), plan.summed()].concat();
    until(stop, |go_on| {
        store.visit_spend(&both, apart, |total, at_ms, spend| {
            spent.add(total, at_ms < plan.from_ms, spend);
            go_on()
        })
    })?;
    let called = spent.prompts.iter().filter(|(_, spent)| spent.now.calls > 0).map(|(name, _)| name.clone()).collect();
    let mut ranked: Vec<(PromptName, PromptSpend)> = spent.prompts.into_iter().collect();
    ranked.sort_by(|(a, one), (b, other)| {
        let rank = |spent: &PromptSpend| (spent.now.cost_usd, spent.now.calls);
        rank(other).cmp(&rank(one)).then_with(|| a.cmp(b))
    });
    let more = ranked.len().saturating_sub(limit);
    ranked.truncate(limit);
    let mut prompts: BTreeMap<&PromptName, PromptFold> =
        ranked.iter().map(|(name, _)| (name, PromptFold::default())).collect();
    let mut all = PromptFold::default();
    let summed = |total: &Total| if everything { *total == Total::All } else { apart(total) };
    let names: HashSet<&PromptName> = ranked.iter().map(|(name, _)| name).collect();
    let wanted = |total: &Total| summed(total) || matches!(total, Total::Prompt(prompt) if names.contains(prompt));
    until(stop, |go_on| {
        store.visit_totals(&plan.summed(), wanted, |total, _, rollup| {
            if summed(total) {
                all.total.merge(&rollup);
            }
            if let Some(fold) = fold_of(&mut prompts, total) {
                fold.total.merge(&rollup);
            }
            go_on()
        })
    })?;
    until(stop, |go_on| {
        store.visit_spend(&plan.stretches, wanted, |total, at_ms, spend| {
            let point = spend_point(plan.point_ms(at_ms), spend);
            if summed(total) {
                add_point(&mut all.points, point);
            }
            if let Some(fold) = fold_of(&mut prompts, total) {
                add_point(&mut fold.points, point);
            }
            go_on()
        })
    })?;
    let usage = |(name, spent): &(PromptName, PromptSpend)| {
        let PromptFold { total, points } = prompts.remove(name).unwrap_or_default();
        let series = points.into_values().collect();
        let (text, version_change) = (None, None);
        PromptUsage { name: name.clone(), counts: counts(&total), previous: spent.before, text, version_change, series }
    };
    let mut prompts: Vec<PromptUsage> = ranked.iter().map(usage).collect();
    for prompt in prompts.iter_mut().take(TEXT_PROMPTS_MAX).filter(|prompt| prompt.counts.priced_calls > 0) {
        let mut volumes = Volumes::default();
        until(stop, |go_on| {
            store.visit_newest_versions(&prompt.name, TEXT_VERSIONS_MAX, &plan.summed(), |version, model, volume| {
                volumes.add(version, model, &volume);
                go_on()
            })
        })?;
        prompt.text = volumes.text_usage(view, &prompt.name, book, plan.to_ms)?;
        prompt.version_change = volumes.version_change();
    }
    let total = counts(&all.total);
    let usage = UsageStats {
        since: Timestamp::from_ms(plan.from_ms),
        until: Timestamp::from_ms(plan.to_ms),
        previous_since: Timestamp::from_ms(previous.from_ms),
        bucket_s: plan.bucket_s(),
        newest: newest(store)?,
        completeness: completeness(store, now_ms),
        cost_coverage: total.cost_coverage(),
        total,
        previous: spent.before,
        unattributed: everything.then(|| told(&spent.unattributed)),
        series: all.points.into_values().collect(),
        prompts,
        more_prompts: u64::try_from(more).unwrap_or(u64::MAX),
    };
    Ok((usage, called))
}

/// Calls and cost in both periods, while buckets are visited.
#[derive(Default)]
struct SpendFold {
    before: SpendCounts,
    prompts: BTreeMap<PromptName, PromptSpend>,
    unattributed: BTreeMap<Unattributed, SpendCounts>,
}

#[derive(Default)]
struct PromptSpend {
    before: SpendCounts,
    now: SpendCounts,
}

/// What was counted in the period, while buckets are visited.
#[derive(Default)]
struct PromptFold {
    total: Rollup,
    points: BTreeMap<i64, SpendPoint>,
}

impl SpendFold {
    #[allow(clippy::map_entry, reason = "a name is copied once, and not for each bucket")]
    fn add(&mut self, total: &Total, is_before: bool, spent: Spend) {
        let counts = spend(spent);
        if is_before {
            self.before = plus(self.before, counts);
        }
        let sum = match total {
            Total::All => return,
            Total::Unattributed(_) if is_before => return,
            Total::Unattributed(reason) => self.unattributed.entry(*reason).or_default(),
            Total::Prompt(prompt) => {
                if !self.prompts.contains_key(prompt) {
                    self.prompts.insert(prompt.clone(), PromptSpend::default());
                }
                let Some(of_prompt) = self.prompts.get_mut(prompt) else { return };
                if is_before { &mut of_prompt.before } else { &mut of_prompt.now }
            }
        };
        *sum = plus(*sum, counts);
    }
}

fn fold_of<'f>(prompts: &'f mut BTreeMap<&PromptName, PromptFold>, total: &Total) -> Option<&'f mut PromptFold> {
    match total {
        Total::Prompt(prompt) => prompts.get_mut(prompt),
        Total::All | Total::Unattributed(_) => None,
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

/// Visits the buckets of a prompt until the work is no longer wanted.
fn visit(
    store: &TelemetryStore,
    which: Which<'_>,
    plan: &Plan,
    stop: &Cancellation,
    mut add: impl FnMut(&Series, i64, &Rollup),
) -> Result<(), StatsError> {
    until(stop, |go_on| {
        store.visit_counts(
            which,
            &plan.stretches,
            |_| true,
            |series, at_ms, rollup| {
                add(series, at_ms, &rollup);
                go_on()
            },
        )
    })
}

/// Visits something until the work is no longer wanted.
fn until(
    stop: &Cancellation,
    visit: impl FnOnce(&dyn Fn() -> ControlFlow<()>) -> Result<ControlFlow<()>, TelemetryError>,
) -> Result<(), StatsError> {
    let visited = visit(&|| if stop.is_due() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })?;
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

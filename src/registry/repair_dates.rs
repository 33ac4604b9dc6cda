//! Corrects the dates that a wrong clock left, with an audit entry: dates in the future, or out of the order of their
//! commits.
//!
//! The audit log has every commit in its true order, with the time that the clock showed. The longest series of entries
//! whose times fit that order and are not in the future is trusted; every other commit is moved to the nearest time
//! between its neighbours in that series. So the fewest dates change, and no version appears to have been served before
//! an earlier commit. The audit log itself cannot be changed: it keeps the times that the clock showed, and the entry
//! of the repair lists the old and new dates.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::ORDER_SLACK_MS;
use super::epochs::{BootstrapError, by_operator};
use crate::model::audit::{AuditChange, AuditEntry, Command, Subject};
use crate::model::count::count;
use crate::model::deployment::{Action, Deployment};
use crate::model::name::PromptName;
use crate::model::prompt::Prompt;
use crate::model::time::Timestamp;
use crate::model::version::{Retired, Version};
use crate::signing::primary_clock::{BACK_MS_MAX, ClockState, PrimaryClock};
use crate::store::query::Queries;
use crate::store::read::ReadTxn;
use crate::store::write::Change;
use crate::store::{Store, StoreError};

/// Number of changed dates and prompts that the audit entry of a repair lists; it also has the total.
const NAMED_MAX: usize = 1_000;

/// A date that changes.
pub type DateChange = AuditChange;

/// Computes which dates would change, with the current clock.
pub fn plan(store: &Store, now: Timestamp) -> Result<Vec<DateChange>, StoreError> {
    Ok(Plan::of(&store.read()?, now)?.redated)
}

/// Changes the dates, and accepts the clock from now on. The store must have a signer, and `clock` must be confirmed.
pub fn apply(store: &Store, clock: &PrimaryClock, message: &str) -> Result<Vec<DateChange>, BootstrapError> {
    let was_trusted = PrimaryClock::open(store, clock.source(), false)?.standing() == ClockState::Trusted;
    let now = Timestamp::from_ms(clock.commit_ms()?);
    let Plan { redated, changes, prompts } = Plan::of(&store.read()?, now)?;
    if redated.is_empty() && was_trusted {
        return Ok(redated);
    }
    let said = format!(
        "{message} ({} of {}, by the clock at {now})",
        count(redated.len(), "date"),
        count(prompts.len(), "prompt")
    );
    let named = redated.iter().take(NAMED_MAX).cloned().collect();
    let subjects = prompts.into_iter().take(NAMED_MAX).collect();
    let audit = AuditEntry { changes: named, ..by_operator(Command::RepairDates, subjects, said) };
    store.write_blocking(move |txn| -> Result<(), StoreError> { txn.commit(now, changes, audit).map(|_| ()) })?;
    Ok(redated)
}

/// What changes.
#[derive(Default)]
struct Plan {
    redated: Vec<DateChange>,
    changes: Vec<Change>,
    prompts: Vec<Subject>,
}

impl Plan {
    fn of(txn: &ReadTxn, now: Timestamp) -> Result<Self, StoreError> {
        let times = CommitTimes::read(txn, now)?;
        let mut plan = Self::default();
        for namespace in txn.namespace_names()? {
            let mut prompts = Vec::new();
            txn.visit_prompts(&namespace, "", &mut |prompt| {
                prompts.push(prompt);
                Ok(ControlFlow::Continue(()))
            })?;
            for prompt in &prompts {
                plan.prompt(txn, &times, prompt)?;
            }
        }
        Ok(plan)
    }

    fn prompt(&mut self, txn: &ReadTxn, times: &CommitTimes, prompt: &Prompt) -> Result<(), StoreError> {
        let name = &prompt.name;
        let mut versions: Vec<Version> = Vec::new();
        txn.visit_versions(name, u64::MAX, &mut |version| {
            versions.push(version);
            Ok(ControlFlow::Continue(()))
        })?;
        let deployments = txn.deployments(name)?;
        let dated = versions.iter().map(|one| (one.commit, one.created));
        let dated: BTreeMap<u64, Timestamp> = dated.chain(deployments.iter().map(|one| (one.id, one.at))).collect();
        let mended = times.repair_dates_of(&dated);
        let before = self.changes.len();
        let at = |seq: u64, old: Timestamp| mended.get(&seq).copied().unwrap_or(old);
        for version in versions.iter().rev() {
            self.version(times.now, name, version, at(version.commit, version.created));
        }
        for deployment in deployments.iter().rev() {
            self.deployment(deployment, at(deployment.id, deployment.at));
        }
        for state in txn.labels(name)? {
            let since = at(state.deployment, state.since).min(times.now);
            if since != state.since {
                self.changes.push(Change::Label(name.clone(), crate::model::prompt::LabelState { since, ..state }));
            }
        }
        let removal = deployments.iter().find(|one| one.action == Action::Remove).map(|one| at(one.id, one.at));
        let first = dated.first_key_value().and_then(|(seq, old)| (*old == prompt.created).then(|| at(*seq, *old)));
        let last = mended.values().next_back().copied();
        let changed = if self.changes.len() == before { prompt.changed } else { last.unwrap_or(prompt.changed) };
        let whole = Prompt {
            created: first.unwrap_or(prompt.created).min(times.now),
            changed: changed.min(times.now),
            removed: prompt.removed.map(|removed| removal.unwrap_or(removed).min(times.now)),
            ..prompt.clone()
        };
        if whole != *prompt {
            self.changes.push(Change::Prompt(whole));
        }
        if self.changes.len() != before {
            self.prompts.push(Subject::of_prompt(&prompt.name));
        }
        Ok(())
    }

    fn version(&mut self, now: Timestamp, name: &PromptName, version: &Version, created: Timestamp) {
        let retired = version.retired.clone().map(|retired| Retired { at: retired.at.min(now), ..retired });
        let whole = Version { created, retired, archived: version.archived.map(|at| at.min(now)), ..version.clone() };
        if whole == *version {
            return;
        }
        self.redate(Subject::of_version(name, version.number), version.created, created);
        self.changes.push(Change::Version(name.clone(), whole));
    }

    fn deployment(&mut self, deployment: &Deployment, at: Timestamp) {
        if at != deployment.at {
            let Deployment { name, label, id, .. } = deployment;
            let (prompt, label) = (name.to_string(), label.to_string());
            self.redate(Subject::Deployment { prompt, label, deployment: *id }, deployment.at, at);
            self.changes.push(Change::Deployment(Deployment { at, ..deployment.clone() }));
        }
    }

    fn redate(&mut self, subject: Subject, before: Timestamp, after: Timestamp) {
        self.redated.push(AuditChange::Date { subject, before, after });
    }
}

/// The time of each commit: as in the audit log, and as corrected.
struct CommitTimes {
    now: Timestamp,
    /// By the number of a commit with an implausible time: that time, and the corrected one.
    wrong: BTreeMap<u64, (Timestamp, Timestamp)>,
}

impl CommitTimes {
    fn read(txn: &ReadTxn, now: Timestamp) -> Result<Self, StoreError> {
        let mut log = Vec::new();
        txn.visit_audit_before(u64::MAX, &mut |entry| {
            log.push((entry.seq, entry.at.ms()));
            ControlFlow::Continue(())
        })?;
        log.reverse();
        let times = smooth_times(log.iter().map(|(_, at_ms)| *at_ms));
        let mended = repair_times(&times, now.ms());
        let wrong = log.iter().zip(&times).zip(&mended).filter(|((_, time), mended)| time != mended);
        let at = Timestamp::from_ms;
        let wrong = wrong.map(|(((seq, at_ms), _), mended)| (*seq, (at(*at_ms), at(*mended)))).collect();
        Ok(Self { now, wrong })
    }

    /// The dates of a prompt's commits, in order, none in the future. Imported changes keep their own time.
    fn repair_dates_of(&self, dated: &BTreeMap<u64, Timestamp>) -> BTreeMap<u64, Timestamp> {
        let mut last = Timestamp::from_ms(i64::MIN);
        let mend = |(seq, old): (&u64, &Timestamp)| {
            let wrong = self.wrong.get(seq).filter(|(logged, _)| {
                *old > self.now || old.ms().abs_diff(logged.ms()) <= ORDER_SLACK_MS.unsigned_abs()
            });
            last = wrong.map_or(*old, |(_, right)| *right).min(self.now).max(last);
            (*seq, last)
        };
        dated.iter().map(mend).collect()
    }
}

/// Times without small steps back: concurrent commands can be committed out of order, and time synchronization sets
/// clocks back a little.
fn smooth_times(times: impl Iterator<Item = i64>) -> Vec<i64> {
    let mut last = i64::MIN;
    let smooth = |time: i64| {
        let small = last > time && last.saturating_sub(time) <= BACK_MS_MAX;
        last = if small { last } else { time };
        last
    };
    times.map(smooth).collect()
}

/// The times, with each implausible one moved between its neighbours.
fn repair_times(times: &[i64], now_ms: i64) -> Vec<i64> {
    let trusted = longest_in_order(times, now_ms);
    let next: Vec<i64> = {
        let mut next = now_ms;
        let seen = times.iter().zip(&trusted).rev().map(|(time, trusted)| {
            let after = next;
            next = if *trusted { *time } else { next };
            after
        });
        let mut seen: Vec<i64> = seen.collect();
        seen.reverse();
        seen
    };
    let mut previous = i64::MIN;
    let mend = |((time, trusted), next): ((&i64, &bool), i64)| {
        if *trusted {
            previous = *time;
            *time
        } else {
            (*time).min(next).max(previous)
        }
    };
    times.iter().zip(&trusted).zip(next).map(mend).collect()
}

/// Which times belong to the longest series that never goes back and does not exceed `now_ms`. Of two equally long, the
/// one with the earlier entries: corrected times then move forward, so nothing appears to have existed too early.
fn longest_in_order(times: &[i64], now_ms: i64) -> Vec<bool> {
    // From the end: for each length, the latest possible start of a series of that length; and the successor of each
    // time.
    let mut ends: Vec<usize> = Vec::new();
    let mut following: Vec<Option<usize>> = vec![None; times.len()];
    let time = |index: usize| times.get(index).copied().unwrap_or(i64::MIN);
    for index in (0..times.len()).rev().filter(|index| time(*index) <= now_ms) {
        let length = ends.partition_point(|end| time(*end) >= time(index));
        if let Some(follows) = following.get_mut(index) {
            *follows = length.checked_sub(1).and_then(|before| ends.get(before).copied());
        }
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let mut trusted = vec![false; times.len()];
    let mut next = ends.last().copied();
    while let Some(index) = next {
        if let Some(one) = trusted.get_mut(index) {
            *one = true;
        }
        next = following.get(index).copied().flatten();
    }
    trusted
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: i64 = 1_000 * 3_600_000;

    /// In hours; now is hour 1,000.
    fn check(times: &[i64], expected: &[i64]) {
        let hours = |hours: &[i64]| hours.iter().map(|hour| hour * 3_600_000).collect::<Vec<_>>();
        assert_eq!(repair_times(&smooth_times(hours(times).into_iter()), NOW_MS), hours(expected), "{times:?}");
    }

    #[test]
    fn dates_in_order_stay() {
        check(&[], &[]);
        check(&[1, 2, 2, 1_000], &[1, 2, 2, 1_000]);
    }

    #[test]
    fn future_date_moves_back_to_the_next_commit_or_now() {
        check(&[1, 100_000, 5], &[1, 5, 5]);
        check(&[1, 100_000], &[1, 1_000]);
        check(&[100_000, 200_000, 5, 6], &[5, 5, 5, 6]);
    }

    #[test]
    fn one_date_out_of_order_is_the_one_that_moves() {
        check(&[10, 20, 1, 30, 40], &[10, 20, 20, 30, 40]);
        check(&[10, 900, 20, 30, 40], &[10, 20, 20, 30, 40]);
        check(&[10, 20, 1], &[10, 20, 20]);
    }

    #[test]
    fn small_steps_back_change_no_dates() {
        let times = smooth_times([10_000, 9_000, 11_000, 10_999].into_iter());
        assert_eq!(repair_times(&times, NOW_MS), times);
        assert_eq!(times, [10_000, 10_000, 11_000, 11_000]);
    }

    #[test]
    fn repaired_dates_are_in_order_and_not_in_the_future() {
        // A small deterministic random number generator.
        let mut state = 7_u64;
        let mut number = move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            i64::try_from(state >> 53).expect("small")
        };
        for _ in 0..200 {
            let times: Vec<i64> = (0..30).map(|_| number() * 3_600_000).collect();
            let dated = times.iter().zip(0..).map(|(at, seq)| (seq, Timestamp::from_ms(*at))).collect();
            let mended = repair_times(&times, NOW_MS);
            let wrong = times.iter().zip(&mended).zip(0..).filter(|((time, mended), _)| time != mended);
            let at = |ms: &i64| Timestamp::from_ms(*ms);
            let wrong = wrong.map(|((time, mended), seq)| (seq, (at(time), at(mended)))).collect();
            let now = Timestamp::from_ms(NOW_MS);
            let dates: Vec<Timestamp> = CommitTimes { now, wrong }.repair_dates_of(&dated).into_values().collect();
            assert!(dates.is_sorted() && dates.iter().all(|date| *date <= now), "{times:?}");
        }
    }
}

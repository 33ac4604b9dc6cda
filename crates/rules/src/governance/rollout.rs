//! Finds the versions that new subjects get when a serving changes.
//!
//! Rules are tried in order, so when a rule is removed, narrowed or moved, its subjects fall through to later rules.
//! Therefore every place that subjects can be in before (a rule, or the default) is compared with every place after,
//! unless no subject can be in both.
//!
//! Invariant: if any subject newly gets a version, that version grows. The reverse is exact for servings whose
//! conditions are not covered by several earlier rules together, and exact to the slot for splits with one salt; with
//! different salts, every version of the new split counts, because any subject may get it.

use std::collections::{BTreeMap, BTreeSet};

use crate::experiment::assignment::matches;
use crate::model::serving::{SLOTS, Serving, Slots, Split, Target};

/// Share of each rule and of the default that counts as deployed, in slots of 10,000: a tenth.
const TRIED_SLOTS: u16 = SLOTS / 10;

/// A version that new subjects get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Which version.
    pub version: u64,
    /// What those got before; empty if the label served nothing.
    pub instead_of: BTreeSet<u64>,
}

/// The versions that new subjects get through `to`, compared with `from`, ascending.
pub fn versions_gaining_traffic(from: Option<&Serving>, to: &Serving) -> Vec<Growth> {
    let Some(from) = from else {
        return to.versions().into_iter().map(|version| Growth { version, instead_of: BTreeSet::new() }).collect();
    };
    let places = Regions::new(from, to);
    let mut grown: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    for (now, target) in targets(to).enumerate() {
        for (before, had) in targets(from).enumerate() {
            if target == had {
                continue;
            }
            let gained = gained_versions(had, target);
            if !gained.is_empty() && places.share_subjects(before, now) {
                for (version, instead_of) in gained {
                    grown.entry(version).or_default().insert(instead_of);
                }
            }
        }
    }
    grown.into_iter().map(|(version, instead_of)| Growth { version, instead_of }).collect()
}

/// Whether a serving gives a version to enough subjects to count as deployed: in the default and in each rule, because
/// a rule can match all subjects.
#[must_use]
pub fn serves_share(serving: &Serving, version: u64) -> bool {
    targets(serving).all(|target| share(target, version) >= TRIED_SLOTS)
}

/// The target of each rule, in order, then the default's.
fn targets(serving: &Serving) -> impl Iterator<Item = &Target> {
    serving.rules.iter().map(|rule| &rule.target).chain([&serving.default])
}

fn share(target: &Target, version: u64) -> u16 {
    match target {
        Target::Version(number) if *number == version => SLOTS,
        Target::Version(_) => 0,
        Target::Split(split) => split.weights().get(&version).copied().unwrap_or_default(),
    }
}

/// Each version of `now` that a subject gets instead of a version of `had`, with the latter.
fn gained_versions(had: &Target, now: &Target) -> BTreeSet<(u64, u64)> {
    if let (Target::Split(had), Target::Split(now)) = (had, now)
        && had.salt == now.salt
    {
        return moved_slots(had, now);
    }
    let versions = |target: &Target| -> BTreeSet<u64> {
        match target {
            Target::Version(number) => [*number].into(),
            Target::Split(split) => split.slots.iter().map(|run| run.version).collect(),
        }
    };
    let had = versions(had);
    let pairs = versions(now).into_iter().flat_map(|now| had.iter().map(move |had| (now, *had)));
    pairs.filter(|(now, had)| now != had).collect()
}

/// Subjects keep their slots while the salt is the same: only slots with a different version are gained.
fn moved_slots(had: &Split, now: &Split) -> BTreeSet<(u64, u64)> {
    // In an incomplete split, the last run is used for missing slots.
    let at = |split: &Split, slot: u16| {
        let run = split.slots.iter().find(|run| run.to > slot);
        run.or(split.slots.last()).map(|run| Slots { to: if run.to > slot { run.to } else { SLOTS }, ..*run })
    };
    let (mut moved, mut slot) = (BTreeSet::new(), 0);
    while slot < SLOTS {
        let (Some(had), Some(now)) = (at(had, slot), at(now, slot)) else { break };
        if had.version != now.version {
            moved.insert((now.version, had.version));
        }
        slot = had.to.min(now.to);
    }
    moved
}

/// The conditions of a rule: attribute to pattern.
type RuleConditions = BTreeMap<String, String>;

/// The places that subjects can be in, before and after: rules by index, then the default.
struct Regions<'s> {
    from: Vec<&'s RuleConditions>,
    to: Vec<&'s RuleConditions>,
    /// For each rule of `from`, then of `to`: which of its conditions each rule implies, as bits.
    settled: Vec<(Option<u64>, Vec<u64>)>,
}

impl<'s> Regions<'s> {
    fn new(from: &'s Serving, to: &'s Serving) -> Self {
        let whens =
            |serving: &'s Serving| -> Vec<&'s RuleConditions> { serving.rules.iter().map(|rule| &rule.when).collect() };
        let (from, to) = (whens(from), whens(to));
        let all = || from.iter().chain(&to);
        let settled = all().map(|of| (every(of), all().map(|by| settled(by, of)).collect())).collect();
        Self { from, to, settled }
    }

    /// Whether a subject can be in one place before and in the other after; false only if that is impossible.
    fn share_subjects(&self, before: usize, now: usize) -> bool {
        let (when_before, when_now) = (self.from.get(before), self.to.get(now));
        if when_before.zip(when_now).is_some_and(|(before, now)| exclude(before, now)) {
            return false;
        }
        // Subjects that meet both conditions, and so those of an earlier rule, belong to the earlier rule.
        let offset = self.from.len();
        let met = |(every, by): &(Option<u64>, Vec<u64>)| {
            let bits = |rule: Option<usize>| rule.and_then(|rule| by.get(rule)).copied().unwrap_or_default();
            let settled = bits(when_before.map(|_| before)) | bits(when_now.map(|_| offset.saturating_add(now)));
            *every == Some(settled)
        };
        let earlier_before = self.settled.iter().take(offset).take(before);
        let earlier_after = self.settled.iter().skip(offset).take(now);
        !earlier_before.chain(earlier_after).any(met)
    }
}

/// A bit for each condition of a rule; absent if there are too many.
fn every(of: &RuleConditions) -> Option<u64> {
    Some(1_u64.checked_shl(u32::try_from(of.len()).ok()?)?.wrapping_sub(1))
}

/// The conditions of a rule that all subjects of another meet, judged by single conditions.
fn settled(by: &RuleConditions, of: &RuleConditions) -> u64 {
    let holds = |name: &String, pattern: &String| by.get(name).is_some_and(|narrower| contains(pattern, narrower));
    let bits = (0..u64::BITS).zip(of).filter(|(_, (name, pattern))| holds(name, pattern));
    bits.fold(0, |bits, (bit, _)| bits | 1 << bit)
}

/// Whether everything that matches `narrower` matches `pattern`: a star of the former can only match itself within a
/// star of the latter, and then so can any text.
fn contains(pattern: &str, narrower: &str) -> bool {
    matches(pattern, narrower)
}

/// Whether no subject can meet the conditions of both rules.
fn exclude(one: &RuleConditions, other: &RuleConditions) -> bool {
    one.iter().any(|(name, pattern)| other.get(name).is_some_and(|other| disjoint(pattern, other)))
}

/// Whether no text matches both patterns, judged by their starts and ends.
fn disjoint(one: &str, other: &str) -> bool {
    let ends = |pattern: &str| Some((pattern.find('*')?, pattern.rfind('*')?.saturating_add(1)));
    match (ends(one), ends(other)) {
        (None, _) => !matches(other, one),
        (_, None) => !matches(one, other),
        (Some((one_begin, one_end)), Some((other_begin, other_end))) => {
            let begin = one.bytes().take(one_begin).zip(other.bytes().take(other_begin)).any(|(a, b)| a != b);
            let tail = |text: &str, end: usize| text.len().saturating_sub(end);
            let backwards = |text: &str, end| text.bytes().rev().take(tail(text, end)).collect::<Vec<_>>();
            begin || backwards(one, one_end).iter().zip(backwards(other, other_end)).any(|(a, b)| *a != b)
        }
    }
}

#[cfg(test)]
#[path = "reach_tests.rs"]
mod tests;

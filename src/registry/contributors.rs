//! The contributors to a move, who cannot approve it.
//!
//! A new version contains most of the text of its predecessors, so its contributors are those of every version
//! published since the one that its subjects have now, and likewise of what these include.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::label_move::LabelMove;
use crate::governance::rollout::Growth;
use crate::model::change_request::{ChangeRequest, EventKind};
use crate::model::deployment::Action;
use crate::model::name::{Label, PromptName};
use crate::model::reference::VersionRef;
use crate::model::serving::Serving;
use crate::model::version::Version;
use crate::store::StoreError;
use crate::store::documents::{self, Documents};
use crate::store::query::Queries;

/// All authors of one version: its author, who published or imported it, who saved its draft, and the authors of its
/// includes.
pub(super) fn makers_of<Q: Queries + Documents>(
    txn: &Q,
    name: &PromptName,
    version: &Version,
) -> Result<BTreeSet<String>, StoreError> {
    let mut found = ContributorSearch::new(txn, None);
    found.add(name, version)?;
    Ok(found.finish()?.into_keys().collect())
}

/// All contributors to a move, compared with what its subjects have now, with the latest version of each.
pub(super) fn makers_of_move<Q: Queries + Documents>(
    txn: &Q,
    wanted: &LabelMove<'_>,
) -> Result<BTreeMap<String, VersionRef>, StoreError> {
    let mut all = BTreeMap::new();
    for growth in &wanted.grows {
        let base = base(txn, wanted.name, wanted.label, growth)?;
        let mut found = ContributorSearch::new(txn, Some(included(txn, wanted.name, &base.versions)?));
        found.note_range(wanted.name, base.after, growth.version);
        if let Some(fresh) = wanted.fresh.filter(|fresh| fresh.version.number == growth.version) {
            // Its commit does not exist yet: its author is the caller.
            let version = VersionRef::new(wanted.name, growth.version);
            all.extend(fresh.makers.iter().map(|maker| (maker.clone(), version.clone())));
            found.add(wanted.name, &Version { commit: u64::MAX, ..fresh.version.clone() })?;
        }
        all.extend(found.finish()?);
    }
    Ok(all)
}

/// The proposers of a change request: its author, and everyone who amended it.
pub(super) fn proposers(request: &ChangeRequest) -> BTreeSet<String> {
    let amended = request.events.iter().filter(|event| event.kind == EventKind::Amend).map(|event| event.by.clone());
    amended.chain([request.author.clone()]).collect()
}

/// The versions that the new subjects of a version have now.
struct Base {
    /// Every later version, up to the new one, has contributors to it.
    after: u64,
    /// The previous versions; none if everything is new.
    versions: BTreeSet<u64>,
}

/// The previous version of a version: the lowest that its new subjects have now. If they have none, or only newer ones,
/// the newest one below it that the whole label served until it was replaced, and that was not stopped.
fn base<Q: Queries>(txn: &Q, name: &PromptName, label: &Label, growth: &Growth) -> Result<Base, StoreError> {
    if let Some(lowest) = growth.instead_of.first().filter(|lowest| **lowest < growth.version) {
        return Ok(Base { after: *lowest, versions: growth.instead_of.clone() });
    }
    let mut replaced: BTreeMap<u64, bool> = BTreeMap::new();
    txn.visit_deployments(name, label, u64::MAX, &mut |deployment| {
        if let Some(number) = deployment.from.as_ref().and_then(Serving::fixed) {
            replaced.entry(number).or_insert(deployment.action == Action::Deploy);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let mut accepted = replaced.range(..=growth.version).rev().filter(|(_, replaced)| **replaced);
    Ok(match accepted.next() {
        // What the label served was approved as it is; the authors of that one version still count.
        Some((number, _)) => {
            Base { after: (*number).min(growth.version.saturating_sub(1)), versions: BTreeSet::from([*number]) }
        }
        None => Base { after: 0, versions: BTreeSet::new() },
    })
}

/// The lowest version of each prompt that all of these versions include, directly or indirectly.
fn included<Q: Queries>(
    txn: &Q,
    name: &PromptName,
    versions: &BTreeSet<u64>,
) -> Result<BTreeMap<PromptName, u64>, StoreError> {
    let mut known: Option<BTreeMap<PromptName, u64>> = None;
    for number in versions {
        let one = included_in(txn, name, *number)?;
        known = Some(match known {
            None => one,
            Some(known) => {
                let both = known.into_iter().filter_map(|(name, lowest)| {
                    let other = *one.get(&name)?;
                    Some((name, lowest.min(other)))
                });
                both.collect()
            }
        });
    }
    Ok(known.unwrap_or_default())
}

/// The lowest version of each prompt that one version includes, directly or indirectly.
fn included_in<Q: Queries>(txn: &Q, name: &PromptName, number: u64) -> Result<BTreeMap<PromptName, u64>, StoreError> {
    let mut known: BTreeMap<PromptName, u64> = BTreeMap::new();
    let (mut seen, mut pending) = (BTreeSet::new(), vec![VersionRef::new(name, number)]);
    while let Some(VersionRef { name, version }) = pending.pop() {
        for include in txn.version(&name, version)?.map(|version| version.includes).unwrap_or_default() {
            let lowest = known.entry(include.name.clone()).or_insert(include.version);
            *lowest = include.version.min(*lowest);
            let include = VersionRef { name: include.name, version: include.version };
            if seen.insert(include.clone()) {
                pending.push(include);
            }
        }
    }
    Ok(known)
}

/// Collects contributors; visits each version once.
struct ContributorSearch<'t, Q> {
    txn: &'t Q,
    /// What subjects already have of each included prompt; without it, only the contributors to the included version
    /// itself count.
    known: Option<BTreeMap<PromptName, u64>>,
    seen: BTreeSet<VersionRef>,
    /// Versions to visit. A list instead of recursion, because authors control the depth of includes.
    pending: Vec<VersionRef>,
    /// The contributor, and the version.
    found: BTreeMap<String, VersionRef>,
}

impl<'t, Q: Queries + Documents> ContributorSearch<'t, Q> {
    const fn new(txn: &'t Q, known: Option<BTreeMap<PromptName, u64>>) -> Self {
        Self { txn, known, seen: BTreeSet::new(), pending: Vec::new(), found: BTreeMap::new() }
    }

    /// Adds every version after one, up to another.
    fn note_range(&mut self, name: &PromptName, after: u64, last: u64) {
        for number in after.min(last)..last {
            let version = VersionRef::new(name, number.saturating_add(1));
            if self.seen.insert(version.clone()) {
                self.pending.push(version);
            }
        }
    }

    fn add(&mut self, name: &PromptName, version: &Version) -> Result<(), StoreError> {
        let documents::Contributors(savers) = self.txn.get((name, version.number))?.unwrap_or_default();
        let publisher = self.txn.audit_entry(version.commit)?.map(|entry| entry.actor);
        for maker in savers.into_iter().chain(publisher).chain([version.author.clone()]) {
            self.found.entry(maker).or_insert_with(|| VersionRef::new(name, version.number));
        }
        for include in &version.includes {
            let alone = include.version.saturating_sub(1);
            let known = self.known.as_ref().map_or(alone, |known| known.get(&include.name).copied().unwrap_or(0));
            self.note_range(&include.name, known.min(alone), include.version);
        }
        Ok(())
    }

    /// Visits the added versions, and those that they lead to.
    fn finish(mut self) -> Result<BTreeMap<String, VersionRef>, StoreError> {
        while let Some(VersionRef { name, version }) = self.pending.pop() {
            if let Some(version) = self.txn.version(&name, version)? {
                self.add(&name, &version)?;
            }
        }
        Ok(self.found)
    }
}

//! Chains: prompts whose output feeds others, and what a result depends on besides its content.
//!
//! A result knows what the includes of its version meant when its run began, and which versions its upstream prompts had.
//! Version numbers only grow, so neither clocks nor the order of deployments matter: a result covers every upstream version
//! that existed, and becomes stale when a label serves a later one beside it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::ControlFlow;

use super::{Registry, RegistryError};
use crate::model::about::About;
use crate::model::content::Content;
use crate::model::evaluation::{Evaluated, GateResult};
use crate::model::name::{Label, PromptName};
use crate::model::reference::{Reference, Selector};
use crate::resolve::CatalogueView;
use crate::store::StoreError;
use crate::store::documents::{Documents, Scan};
use crate::store::query::Queries;
use crate::template::include::find;

/// Most prompts on one side of a chain.
pub const CHAIN_PROMPTS_MAX: usize = 50;

/// The prompts on one side of a chain, nearest first. A circle ends where it began.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) prompts: Vec<PromptName>,
    /// Whether there are more.
    pub(super) is_cut: bool,
}

/// What a result depends on besides its content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Basis {
    /// What each include that does not name a version means, by how it is written.
    pub includes: BTreeMap<String, u64>,
    /// The latest version of each prompt that feeds this one.
    pub upstream: BTreeMap<PromptName, u64>,
}

impl Registry {
    /// What a result depends on now. `written` is a content that is not published, as it was written.
    ///
    /// # Errors
    /// The store fails.
    pub fn basis_of(
        &self,
        view: &CatalogueView,
        Evaluated { prompt, version, .. }: &Evaluated,
        written: Option<&Content>,
    ) -> Result<Basis, RegistryError> {
        let txn = view.txn();
        let source = match (written, version) {
            (Some(written), _) => Some(written.clone()),
            (None, Some(number)) => source(txn, prompt, *number)?,
            (None, None) => None,
        };
        let mut basis = Basis::default();
        let texts = source.iter().flat_map(|written| written.texts().map(|text| (text, written.syntax)));
        for include in texts.filter_map(|(text, syntax)| find(text, syntax).ok()).flatten() {
            if let Some(number) = named(txn, &include.reference)? {
                basis.includes.insert(include.reference, number);
            }
        }
        for name in upstream(txn, prompt)?.prompts {
            if let Some(prompt) = txn.prompt(&name)?.filter(|prompt| prompt.removed.is_none()) {
                basis.upstream.insert(name, prompt.latest);
            }
        }
        Ok(basis)
    }
}

/// The content of a version as it was written, if it has includes and was not archived.
fn source<Q: Queries>(txn: &Q, name: &PromptName, number: u64) -> Result<Option<Content>, RegistryError> {
    let Some(id) = txn.version(name, number)?.and_then(|version| version.source_id) else { return Ok(None) };
    let entry = txn.content_in(name.namespace(), &id)?;
    Ok(entry.map(|entry| Content::from_json(&entry.value)).transpose()?)
}

/// The version that an include means now, if it does not name one itself.
fn named<Q: Queries>(txn: &Q, reference: &str) -> Result<Option<u64>, StoreError> {
    let Ok(Reference { name, selector: Selector::Label(label), .. }) = reference.parse::<Reference>() else {
        return Ok(None);
    };
    if label.is_latest() {
        return Ok(txn.prompt(&name)?.filter(|prompt| prompt.removed.is_none()).map(|prompt| prompt.latest));
    }
    Ok(txn.label(&name, &label)?.and_then(|state| state.serving.fixed()))
}

/// Why a result does not hold any more although its content and its suite are the same. With a label, it is about what
/// that label would serve.
pub(super) fn changed_around<Q: Queries>(
    txn: &Q,
    gate: &GateResult,
    place: Option<&Label>,
) -> Result<Option<String>, StoreError> {
    for (reference, known) in &gate.includes {
        if named(txn, reference)?.is_some_and(|number| number != *known) {
            // Not which one: who can read this prompt may not be able to read the other one.
            return Ok(Some(format!("the include `{reference}` means another version now")));
        }
    }
    if gate.upstream.is_empty() {
        return Ok(None);
    }
    let labels = match place {
        Some(label) => vec![label.clone()],
        None => labels_with(txn, gate)?,
    };
    for label in &labels {
        for (name, known) in &gate.upstream {
            let serves = txn.label(name, label)?.map(|state| state.serving.versions()).unwrap_or_default();
            if serves.iter().any(|number| number > known) {
                // Without its name, for the same reason.
                return Ok(Some(format!("a prompt that feeds it serves a later version on {label}")));
            }
        }
    }
    Ok(None)
}

/// The labels that serve the content of a result.
fn labels_with<Q: Queries>(txn: &Q, gate: &GateResult) -> Result<Vec<Label>, StoreError> {
    let prompt = &gate.candidate.prompt;
    let mut labels = Vec::new();
    for state in txn.labels(prompt)? {
        for number in state.serving.versions() {
            if txn.version(prompt, number)?.is_some_and(|version| version.content_id == gate.candidate.content_id) {
                labels.push(state.label.clone());
                break;
            }
        }
    }
    Ok(labels)
}

/// The prompts that get the output of one, directly or through others.
pub(super) fn downstream<D: Documents>(txn: &D, name: &PromptName) -> Result<Chain, StoreError> {
    follow(name, |one| Ok(txn.get::<About>(one)?.map(|about| about.feeds).unwrap_or_default()))
}

/// The prompts whose output one gets, directly or through others.
fn upstream<D: Documents>(txn: &D, name: &PromptName) -> Result<Chain, StoreError> {
    let mut feeding: BTreeMap<PromptName, BTreeSet<PromptName>> = BTreeMap::new();
    txn.visit_documents(&Scan::<About>::all(), &mut |found| {
        let feeds = found.read()?.feeds;
        if !feeds.is_empty()
            && let Ok(from) = found.key()?.parse::<PromptName>()
        {
            for to in feeds {
                feeding.entry(to).or_default().insert(from.clone());
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    follow(name, |one| Ok(feeding.remove(one).unwrap_or_default()))
}

fn follow(
    start: &PromptName,
    mut next: impl FnMut(&PromptName) -> Result<BTreeSet<PromptName>, StoreError>,
) -> Result<Chain, StoreError> {
    let mut seen = BTreeSet::from([start.clone()]);
    let mut waiting = VecDeque::from([start.clone()]);
    let mut chain = Chain::default();
    while let Some(one) = waiting.pop_front() {
        for other in next(&one)? {
            if !seen.insert(other.clone()) {
                continue;
            }
            if chain.prompts.len() == CHAIN_PROMPTS_MAX {
                chain.is_cut = true;
                return Ok(chain);
            }
            chain.prompts.push(other.clone());
            waiting.push_back(other);
        }
    }
    Ok(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> PromptName {
        text.parse().expect("a name")
    }

    fn chain(feeds: &[(&str, &[&str])], start: &str) -> Chain {
        let next = |one: &PromptName| {
            let found = feeds.iter().find(|(from, _)| one.as_str() == *from);
            Ok(found.iter().flat_map(|(_, to)| to.iter().map(|to| name(to))).collect())
        };
        follow(&name(start), next).expect("no store fails")
    }

    #[test]
    fn chain_has_each_prompt_once_and_circles_end() {
        let circle: &[(&str, &[&str])] =
            &[("a/1", &["a/2", "a/3"]), ("a/2", &["a/3", "a/1"]), ("a/3", &["a/3", "a/4"])];
        let found = chain(circle, "a/1");
        assert_eq!(found.prompts, ["a/2", "a/3", "a/4"].map(name));
        assert!(!found.is_cut && chain(circle, "a/4").prompts.is_empty());
    }

    #[test]
    fn chain_that_is_too_long_is_cut_and_says_so() {
        let next = |one: &PromptName| {
            let number: usize = one.as_str().trim_start_matches("a/").parse().expect("a number");
            Ok([name(&format!("a/{}", number + 1))].into())
        };
        let long = follow(&name("a/0"), next).expect("no store fails");
        assert!(long.is_cut && long.prompts.len() == CHAIN_PROMPTS_MAX);
    }
}

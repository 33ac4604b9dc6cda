//! A change to what a label serves: what it is, how it is asked for, and its form in a change request.

use std::collections::BTreeMap;

use super::RegistryError;
use crate::governance::rollout::{Growth, versions_gaining_traffic};
use crate::model::change_request::ProposedMove;
use crate::model::content::Content;
use crate::model::finding::Finding;
use crate::model::name::{Label, PromptName};
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::model::version::Version;
use crate::store::query::Queries;

/// How a move is requested.
#[allow(clippy::struct_excessive_bools, reason = "each is asked for by itself")]
#[derive(Clone, Debug, Default)]
pub(super) struct MoveOptions {
    /// Why.
    pub(super) message: String,
    /// Whether to deploy even if callers break.
    pub(super) allow_major: bool,
    /// The reason for overriding unmet requirements.
    pub(super) break_glass: Option<String>,
    /// Whether it removes a label or undoes its latest deployment: everyone allowed to deploy can stop harm at once.
    pub(super) stops: bool,
    /// It was deployed elsewhere earlier, so callers cannot break now.
    pub(super) history: bool,
    /// The change request that it applies.
    pub(super) applies: Option<u64>,
    /// A return to an earlier deployment; a refusal then says how to stop what is served now.
    pub(super) rollback: bool,
}

impl MoveOptions {
    pub(super) fn of(message: &str) -> Self {
        Self { message: message.to_owned(), ..Self::default() }
    }
}

/// A label, and what it will serve.
#[derive(Clone, Debug)]
pub(super) struct PlannedMove {
    pub(super) name: PromptName,
    pub(super) label: Label,
    pub(super) serving: Serving,
}

impl PlannedMove {
    /// The move that a change request proposes.
    pub(super) fn of_proposal(one: &ProposedMove) -> Self {
        Self { name: one.name.clone(), label: one.label.clone(), serving: one.serving.clone() }
    }

    const fn place(&self) -> (&PromptName, &Label) {
        (&self.name, &self.label)
    }

    /// Sorts moves by place; a place that two of them have is refused.
    pub(super) fn sort(moves: &mut [Self]) -> Result<(), RegistryError> {
        moves.sort_by(|a, b| a.place().cmp(&b.place()));
        let twice = moves.windows(2).find_map(|pair| match pair {
            [a, b] if a.place() == b.place() => Some(a),
            _ => None,
        });
        twice.map_or(Ok(()), |one| Err(RegistryError::MovedTwice { name: one.name.clone(), label: one.label.clone() }))
    }
}

/// Who would deploy, by their roles, with which message, and when; and which prompts may be named to whoever asks.
pub(super) struct DeployAttempt<'a> {
    pub(super) now: Timestamp,
    pub(super) message: &'a str,
    pub(super) roles: Vec<String>,
    pub(super) reads: &'a dyn Fn(&str) -> bool,
}

/// A version that the same commit publishes: known before it can be read.
#[derive(Clone, Copy)]
pub(super) struct PendingVersion<'a> {
    pub(super) version: &'a Version,
    pub(super) makers: &'a [String],
    pub(super) content: &'a Content,
    pub(super) findings: &'a [Finding],
}

/// A change to what one label serves.
pub(super) struct LabelMove<'a> {
    pub(super) name: &'a PromptName,
    pub(super) label: &'a Label,
    /// What it serves now.
    pub(super) from: Option<&'a Serving>,
    /// What it will serve; absent if it is removed.
    pub(super) to: Option<&'a Serving>,
    pub(super) fresh: Option<PendingVersion<'a>>,
    /// The versions that new subjects get.
    pub(super) grows: Vec<Growth>,
}

impl<'a> LabelMove<'a> {
    pub(super) fn new(
        (name, label): (&'a PromptName, &'a Label),
        from: Option<&'a Serving>,
        to: Option<&'a Serving>,
    ) -> Self {
        let grows = to.map(|to| versions_gaining_traffic(from, to)).unwrap_or_default();
        Self { name, label, from, to, fresh: None, grows }
    }

    /// The move that a change request proposes, from what its label serves now.
    pub(super) fn of_proposal(one: &'a ProposedMove, from: Option<&'a Serving>) -> Self {
        Self::new((&one.name, &one.label), from, Some(&one.serving))
    }

    /// The versions that gain traffic, ascending.
    pub(super) fn new_versions(&self) -> Vec<u64> {
        self.grows.iter().map(|growth| growth.version).collect()
    }
}

/// A move, bound to the exact contents of its versions.
pub(super) fn proposed<Q: Queries>(
    txn: &Q,
    name: &PromptName,
    label: &Label,
    serving: &Serving,
    fresh: Option<PendingVersion<'_>>,
) -> Result<ProposedMove, RegistryError> {
    let mut contents = BTreeMap::new();
    for number in serving.versions() {
        let id = if let Some(fresh) = fresh.filter(|fresh| fresh.version.number == number) {
            fresh.version.content_id
        } else if let Some(version) = txn.version(name, number)? {
            version.content_id
        } else {
            let latest = txn.prompt(name)?.map_or(0, |prompt| prompt.latest);
            return Err(RegistryError::VersionNotFound { name: name.clone(), number, latest });
        };
        contents.insert(number, id);
    }
    Ok(ProposedMove::new(name.clone(), label.clone(), serving.clone(), contents))
}

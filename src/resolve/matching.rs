//! What a label serves in all prompts that match a pattern, page by page, from one state.
//!
//! A cursor has the position of the first page. What a label served then follows from its deployments and versions,
//! which stay as they are: so no page sees what was deployed after the first one. A page visits the names that begin
//! like the pattern, and looks into those that match.

use std::ops::ControlFlow;
use std::str::FromStr;

use super::answer::SharedAnswer;
use super::catalogue::CatalogueView;
use super::error::ResolveError;
use super::resolver::{Query, serve_label};
use crate::api::limits::{BATCH_BYTES_MAX, MATCHED_NAMES_MAX, PAGE_ROWS_MAX};
use crate::clock::Cancellation;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::position::Position;
use crate::model::prompt::Prompt;
use crate::model::serving::Serving;
use crate::model::time::Timestamp;
use crate::store::StoreError;
use crate::store::query::Queries;
use crate::store::read::{ReadTxn, Visit};

/// Longest part of an invalid cursor that an error repeats, in characters.
const SHOWN_CHARACTERS: usize = 64;

/// A label, the prompts, and the caller.
#[derive(Clone, Debug)]
pub struct Matching {
    /// The label; prompts without it are left out.
    pub label: Label,
    /// The names.
    pub pattern: Pattern,
    /// The subject, its attributes, and the time to read.
    pub query: Query,
}

/// The answer for one prompt.
pub type Matched = (PromptName, Result<SharedAnswer, ResolveError>);

/// One page of answers.
#[derive(Debug)]
pub struct MatchingPage {
    /// The position of the state that it is of.
    pub position: Position,
    /// The answers, by namespace and then by name.
    pub answers: Vec<Matched>,
    /// The cursor of the next page.
    pub next: Option<String>,
}

/// Where a page begins, and the state that it is of.
#[derive(Debug, PartialEq, Eq)]
struct PageStart {
    position: Position,
    after: PromptName,
}

impl FromStr for PageStart {
    type Err = ResolveError;

    fn from_str(text: &str) -> Result<Self, ResolveError> {
        let parts = text
            .split_once(':')
            .and_then(|(position, after)| Some(Self { position: position.parse().ok()?, after: after.parse().ok()? }));
        parts.ok_or_else(|| ResolveError::Cursor(text.chars().take(SHOWN_CHARACTERS).collect()))
    }
}

impl CatalogueView {
    /// What a label serves in the readable prompts that match a pattern. A page ends after `limit` answers, 16 MiB, many
    /// names, or once `stop` is due.
    ///
    /// # Errors
    /// The cursor is not of this list, or of a state that this node does not have; a limit of the query; or the store
    /// fails. A prompt whose version cannot be read fails alone.
    pub fn matching(
        &self,
        wanted: &Matching,
        cursor: Option<&str>,
        limit: usize,
        stop: &Cancellation,
    ) -> Result<MatchingPage, ResolveError> {
        wanted.query.check()?;
        let start: Option<PageStart> = cursor.map(str::parse).transpose()?;
        let here = self.txn().head()?.position;
        let position = start.as_ref().map_or(here, |start| start.position);
        // The commits of an earlier epoch may have been lost, and later ones are not here yet.
        if position.epoch != here.epoch || position.seq > here.seq {
            return Err(ResolveError::CursorExpired { position, here });
        }
        let mut page = PageInProgress {
            txn: self.txn(),
            wanted,
            moment: Moment { seq: position.seq, at: wanted.query.at },
            limit: limit.clamp(1, PAGE_ROWS_MAX),
            stop,
            answers: Vec::new(),
            bytes: 0,
            looked: 0,
            last: None,
            is_full: false,
        };
        let (namespaces, after) = (self.txn().namespace_names()?, start.as_ref().map(|start| &start.after));
        visit_matching(self.txn(), &namespaces, &wanted.pattern, after, &mut |prompt| {
            if self.scope().reads(prompt.name.as_str()) {
                page.look(prompt.name)
            } else {
                Ok(ControlFlow::Continue(()))
            }
        })?;
        let PageInProgress { answers, last, is_full, .. } = page;
        let next = last.filter(|_| is_full).map(|last| format!("{position}:{last}"));
        Ok(MatchingPage { position, answers, next })
    }
}

/// Visits the prompts whose names match a pattern, removed or not, by namespace and then by name, after one of them.
pub(crate) fn visit_matching(
    txn: &impl Queries,
    namespaces: &[String],
    pattern: &Pattern,
    after: Option<&PromptName>,
    visitor: &mut dyn FnMut(Prompt) -> Visit,
) -> Result<(), StoreError> {
    let prefix = pattern.literal_prefix();
    let mut is_over = false;
    for namespace in namespaces {
        let resumes = after.filter(|after| after.namespace() == namespace);
        let passed = after.is_some_and(|after| namespace.as_str() < after.namespace());
        if is_over || passed || !PromptName::may_be_in(prefix, namespace) {
            continue;
        }
        let from = resumes.map_or(prefix, |after| after.as_str().max(prefix));
        txn.visit_prompts(namespace, from, &mut |prompt| {
            let name = prompt.name.as_str();
            if !name.starts_with(prefix) {
                return Ok(ControlFlow::Break(()));
            }
            if resumes.is_some_and(|after| prompt.name <= *after) || !pattern.matches(name) {
                return Ok(ControlFlow::Continue(()));
            }
            let visit = visitor(prompt)?;
            is_over = visit.is_break();
            Ok(visit)
        })?;
    }
    Ok(())
}

/// A page while it is filled.
struct PageInProgress<'a> {
    txn: &'a ReadTxn,
    wanted: &'a Matching,
    moment: Moment,
    limit: usize,
    stop: &'a Cancellation,
    answers: Vec<Matched>,
    bytes: usize,
    /// Number of names that were looked into.
    looked: usize,
    /// The last of them, where the next page continues.
    last: Option<PromptName>,
    is_full: bool,
}

impl PageInProgress<'_> {
    /// Adds the answer of one prompt, or ends the page before it.
    fn look(&mut self, name: PromptName) -> Result<ControlFlow<()>, StoreError> {
        if self.looked >= MATCHED_NAMES_MAX || (self.looked > 0 && self.stop.is_due()) {
            return Ok(self.end());
        }
        if let Some(serving) = self.moment.serving(self.txn, &name, &self.wanted.label)? {
            if self.answers.len() >= self.limit {
                return Ok(self.end());
            }
            let answer = serve_label(self.txn, &name, &self.wanted.label, serving)
                .and_then(|served| served.answer(&self.wanted.query));
            match &answer {
                Ok(answer) => {
                    let bytes = self.bytes.saturating_add(answer.body().len());
                    if bytes > BATCH_BYTES_MAX && !self.answers.is_empty() {
                        return Ok(self.end());
                    }
                    self.bytes = bytes;
                }
                Err(ResolveError::Store(StoreError::Interrupted)) => return Err(StoreError::Interrupted),
                Err(_) => {}
            }
            self.answers.push((name.clone(), answer));
        }
        self.looked += 1;
        self.last = Some(name);
        Ok(ControlFlow::Continue(()))
    }

    const fn end(&mut self) -> ControlFlow<()> {
        self.is_full = true;
        ControlFlow::Break(())
    }
}

/// A state, and a time in its history.
#[derive(Clone, Copy)]
struct Moment {
    /// The last commit of the state.
    seq: u64,
    /// The time to read; the end of its history if absent.
    at: Option<Timestamp>,
}

impl Moment {
    /// What a label served.
    fn serving(self, txn: &ReadTxn, name: &PromptName, label: &Label) -> Result<Option<Serving>, StoreError> {
        let deployment = self.deployment(txn, name, label)?;
        if !label.is_latest() {
            return Ok(deployment.and_then(|deployment| deployment.to));
        }
        let newest = txn.find_version(name, &mut |version| {
            version.commit <= self.seq && self.at.is_none_or(|at| version.created <= at)
        })?;
        // The label `latest` has deployments only for removals.
        let is_removed = |commit: u64| deployment.as_ref().is_some_and(|removal| removal.id > commit);
        Ok(newest.filter(|version| !is_removed(version.commit)).map(|version| Serving::version(version.number)))
    }

    /// The last deployment of a label.
    fn deployment(self, txn: &ReadTxn, name: &PromptName, label: &Label) -> Result<Option<Deployment>, StoreError> {
        let before = self.seq.saturating_add(1);
        txn.find_deployment(name, label, before, &mut |deployment| self.at.is_none_or(|at| deployment.at <= at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursor_is_a_position_and_a_name() {
        let start: PageStart = "1.4529:support/a:b".parse().expect("a cursor");
        assert_eq!(start.position, Position { epoch: 1, seq: 4_529 });
        assert_eq!(start.after.as_str(), "support/a:b");
        for wrong in ["", "support/agent", "1.4529", "1.4529:", "x:support/agent", "1.4529:a@b", "01.2:a"] {
            assert!(matches!(wrong.parse::<PageStart>(), Err(ResolveError::Cursor(_))), "{wrong}");
        }
    }
}

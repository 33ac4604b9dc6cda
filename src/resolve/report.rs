//! Reads a report from one consistent state of the store, entry by entry.

use std::io;
use std::ops::ControlFlow;

use super::catalogue::CatalogueView;
use super::error::ResolveError;
use crate::clock::Cancellation;
use crate::governance::report::{ReportedVersion, Source};
use crate::model::audit::AuditEntry;
use crate::model::change_request::ChangeRequest;
use crate::model::deployment::Deployment;
use crate::model::name::{Label, PromptName};
use crate::model::pattern::Pattern;
use crate::model::prompt::Prompt;
use crate::store::StoreError;
use crate::store::documents::{Documents, Findings};
use crate::store::query::Queries;
use crate::store::read::ReadTxn;

/// Number of audit entries read at once; one can be hundreds of kilobytes long.
const PAGE_ENTRIES: usize = 50;

/// Why a report cannot be read from the store, or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum ReadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot write the report")]
    Write(#[from] io::Error),
    #[error("the client of the report disconnected")]
    Abandoned,
}

/// The snapshot of a report, and a cancellation. Its manifest signs the same state.
///
/// Only a primary has an audit log; a report of a replica has no rows.
pub struct ReportSource {
    /// The state.
    pub txn: ReadTxn,
    stop: Cancellation,
}

impl CatalogueView {
    /// The snapshot for a report.
    ///
    /// # Errors
    /// The audit log cannot be read.
    pub fn into_report_source(self, stop: Cancellation) -> Result<ReportSource, ResolveError> {
        self.scope().check_audit()?;
        Ok(ReportSource { txn: self.into_txn(), stop })
    }
}

impl ReportSource {
    fn go_on(&self) -> Result<(), ReadError> {
        if self.stop.is_due() { Err(ReadError::Abandoned) } else { Ok(()) }
    }

    /// Passes an item of the store to a visitor with its own error type.
    fn visit<T>(
        &self,
        visit: impl FnOnce(&mut dyn FnMut(T) -> Result<ControlFlow<()>, StoreError>) -> Result<(), StoreError>,
        visitor: &mut dyn FnMut(T) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        let mut shown = Ok(());
        visit(&mut |one| {
            shown = self.go_on().and_then(|()| visitor(one));
            Ok(if shown.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        shown
    }
}

impl Source for ReportSource {
    type Error = ReadError;

    fn entries(&self, visitor: &mut dyn FnMut(AuditEntry) -> Result<(), ReadError>) -> Result<(), ReadError> {
        let mut from = 0;
        loop {
            let page = self.txn.audit_from(from, PAGE_ENTRIES)?;
            let Some(last) = page.last() else { return Ok(()) };
            from = last.seq.saturating_add(1);
            for entry in page {
                self.go_on()?;
                visitor(entry)?;
            }
        }
    }

    fn entry(&self, seq: u64) -> Result<Option<AuditEntry>, ReadError> {
        Ok(self.txn.audit_entry(seq)?)
    }

    fn prompts(
        &self,
        prompts: &Pattern,
        visitor: &mut dyn FnMut(PromptName) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        for namespace in self.txn.namespace_names()? {
            self.visit(|show| self.txn.visit_prompts(&namespace, "", show), &mut |prompt: Prompt| {
                if prompts.matches(prompt.name.as_str()) { visitor(prompt.name) } else { Ok(()) }
            })?;
        }
        Ok(())
    }

    fn deployments(
        &self,
        name: &PromptName,
        visitor: &mut dyn FnMut(Deployment) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.visit(|show| self.txn.visit_deployments_of(name, show), visitor)
    }

    fn deployment(
        &self,
        name: &PromptName,
        label: &Label,
        commit: u64,
    ) -> Result<Option<(Deployment, Option<Deployment>)>, ReadError> {
        let mut found: Vec<Deployment> = Vec::with_capacity(2);
        self.txn.visit_deployments(name, label, commit.saturating_add(1), &mut |deployment| {
            found.push(deployment);
            let wanted = found.first().is_some_and(|first| first.id == commit) && found.len() < 2;
            Ok(if wanted { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        let mut found = found.into_iter();
        Ok(found.next().filter(|first| first.id == commit).map(|first| (first, found.next())))
    }

    fn version(&self, name: &PromptName, number: u64) -> Result<Option<ReportedVersion>, ReadError> {
        let Some(version) = self.txn.version(name, number)? else { return Ok(None) };
        let mut parent = None;
        self.txn.visit_versions(name, number, &mut |before| {
            parent = Some(before);
            Ok(ControlFlow::Break(()))
        })?;
        let Findings(findings) = self.txn.get((name, number))?.unwrap_or_default();
        let risk = findings.iter().map(|finding| finding.severity).max();
        Ok(Some(ReportedVersion::new(name.clone(), version, parent.as_ref(), risk)))
    }

    fn request_concerns(&self, number: u64, prompts: &Pattern) -> Result<bool, ReadError> {
        let request = self.txn.get::<ChangeRequest>(number)?;
        let moves = request.iter().flat_map(|request| &request.moves);
        Ok(moves.into_iter().any(|proposed| prompts.matches(proposed.name.as_str())))
    }
}

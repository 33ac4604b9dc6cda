//! Gathers a report from one consistent state: audit entries, and the histories of the prompts that fit.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::catalogue::Catalogue;
use super::error::ResolveError;
use crate::governance::report::{Gathering, Heading, PromptHistory, Question, REPORT_ROWS_MAX, Report};
use crate::model::change_request::ChangeRequest;
use crate::model::finding::{Finding, Severity};
use crate::model::name::PromptName;
use crate::store::document::{Documents, Shelf, read};
use crate::store::query::Queries;
use crate::store::read::ReadTxn;

/// Audit entries that are read at once.
const PAGE_ENTRIES: usize = 1_000;

impl Catalogue {
    /// Who changed what in which time, and what was live when; and the state that it was read from, so that its
    /// manifest is signed over the same.
    ///
    /// Only a primary has an audit log; a report of a replica has no rows.
    ///
    /// # Errors
    /// More rows than one report holds, or the store fails.
    pub fn report(&self, question: &Question, heading: Heading) -> Result<(Report, ReadTxn), ResolveError> {
        let txn = self.store().read()?;
        let report = gather(&txn, question, heading)?;
        Ok((report, txn))
    }
}

fn gather(txn: &ReadTxn, question: &Question, heading: Heading) -> Result<Report, ResolveError> {
    let histories = histories(txn, question)?;
    let mut gathering = Gathering::new(question.clone(), &histories, requests(txn, question)?);
    let mut from = 0;
    loop {
        let page = txn.audit_from(from, PAGE_ENTRIES)?;
        let Some(last) = page.last() else { break };
        from = last.seq.saturating_add(1);
        for entry in page {
            let number = gathering.offer(entry);
            if number > REPORT_ROWS_MAX {
                return Err(ResolveError::Limit { what: "row of the report", number, max: REPORT_ROWS_MAX });
            }
        }
    }
    Ok(gathering.finish(heading))
}

/// The histories of every prompt that fits, removed ones too.
fn histories(txn: &ReadTxn, question: &Question) -> Result<Vec<PromptHistory>, ResolveError> {
    let mut names: Vec<PromptName> = Vec::new();
    for namespace in txn.namespace_names()? {
        txn.visit_prompts(&namespace, "", &mut |prompt| {
            if question.prompts.matches(prompt.name.as_str()) {
                names.push(prompt.name);
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let mut risks = risks(txn, question)?;
    let mut histories = Vec::with_capacity(names.len());
    for name in names {
        let mut versions = Vec::new();
        txn.visit_versions(&name, u64::MAX, &mut |version| {
            versions.push(version);
            Ok(ControlFlow::Continue(()))
        })?;
        let deployments = txn.deployments(&name)?;
        let risks = risks.remove(name.as_str()).unwrap_or_default();
        histories.push(PromptHistory::new(name, versions, deployments, risks));
    }
    Ok(histories)
}

/// The worst finding of each version that has one, by prompt; one walk over the shelf, whose keys are prompt and
/// version.
fn risks(txn: &ReadTxn, question: &Question) -> Result<BTreeMap<String, BTreeMap<u64, Severity>>, ResolveError> {
    let mut risks: BTreeMap<String, BTreeMap<u64, Severity>> = BTreeMap::new();
    txn.visit_documents(Shelf::Findings, "", "", false, &mut |key, bytes| {
        let target = key.split_once('\0').and_then(|(name, number)| Some((name, number.parse::<u64>().ok()?)));
        if let Some((name, number)) = target.filter(|(name, _)| question.prompts.matches(name)) {
            let findings: Vec<Finding> = read(bytes)?;
            if let Some(worst) = findings.iter().map(|finding| finding.severity).max() {
                risks.entry(name.to_owned()).or_default().insert(number, worst);
            }
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(risks)
}

/// The numbers of the change requests about prompts that fit.
fn requests(txn: &ReadTxn, question: &Question) -> Result<BTreeSet<u64>, ResolveError> {
    let mut found = BTreeSet::new();
    txn.visit_documents(Shelf::ChangeRequest, "", "", false, &mut |_, bytes| {
        let request: ChangeRequest = read(bytes)?;
        if request.moves.iter().any(|proposed| question.prompts.matches(proposed.name.as_str())) {
            found.insert(request.id);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(found)
}

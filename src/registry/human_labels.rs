//! What people say about answers that judges scored.
//!
//! A label has what the judge said, too, so a calibration needs no results of runs.

use std::ops::ControlFlow;

use super::command::Attempt;
use super::{Actor, Registry, RegistryError};
use crate::model::audit::{AuditChange, Command, Subject};
use crate::model::calibration::{HumanLabel, LABELS_MAX};
use crate::model::name::PromptName;
use crate::model::principal::Permission;
use crate::store::StoreError;
use crate::store::documents::{Documents, HumanLabelKey, Scan};
use crate::store::write::WriteTxn;

impl Registry {
    /// Stores what the actor says about an answer, in place of what was said before.
    ///
    /// # Errors
    /// The actor may not run evaluations of the prompt, there are too many labels, or the store fails.
    pub async fn label_result(
        &self,
        actor: &Actor,
        prompt: &PromptName,
        suite: &str,
        label: HumanLabel,
    ) -> Result<HumanLabel, RegistryError> {
        let (prompt, suite) = (prompt.clone(), suite.to_owned());
        let about = Subject::Suite { name: suite.clone() };
        let subjects = vec![Subject::of_prompt(&prompt), about.clone(), Subject::Run { number: label.run }];
        let attempt = Attempt::new(Command::LabelResult, subjects.clone(), "");
        self.command(actor, attempt, move |txn, ctx, _| {
            let granted = ctx.authorise(Permission::Run, Some(&prompt), None)?;
            let label = HumanLabel { by: ctx.actor.name.clone(), at: ctx.now, ..label };
            let key =
                HumanLabelKey { suite: &suite, run: label.run, place: label.place.into(), scorer: label.scorer.into() };
            let before = txn.get::<HumanLabel>(key)?;
            if before.is_none() {
                let count = keys(txn, &suite)?.len() + 1;
                if count > LABELS_MAX {
                    return Err(RegistryError::TooMany { what: "labels of a suite", count, max: LABELS_MAX });
                }
            }
            txn.put::<HumanLabel>(key, &label)?;
            let change = AuditChange::settings(about, before.as_ref(), Some(&label));
            let audit = ctx.audit(granted, Command::LabelResult, subjects, String::new(), vec![change]);
            txn.commit(ctx.now, Vec::new(), audit)?;
            Ok(label)
        })
        .await
    }

    /// What people say about results of a suite, of one run or of all.
    ///
    /// # Errors
    /// The store fails.
    pub fn human_labels(&self, suite: &str, run: Option<u64>) -> Result<Vec<HumanLabel>, RegistryError> {
        let mut labels = Vec::new();
        self.0.store.read()?.visit_documents::<HumanLabel>(&Scan::under(suite), &mut |found| {
            if run.is_none_or(|run| found.key().is_ok_and(|key| key.run == run)) {
                labels.push(found.read()?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(labels)
    }
}

/// Removes all labels of a suite.
pub(super) fn remove_labels(txn: &mut WriteTxn<'_>, suite: &str) -> Result<(), StoreError> {
    for (run, place, scorer) in keys(txn, suite)? {
        txn.remove::<HumanLabel>(HumanLabelKey { suite, run, place, scorer })?;
    }
    Ok(())
}

/// The keys of all labels of a suite: run, place and scorer.
fn keys<D: Documents>(txn: &D, suite: &str) -> Result<Vec<(u64, u64, u64)>, StoreError> {
    let mut keys = Vec::new();
    txn.visit_documents::<HumanLabel>(&Scan::under(suite), &mut |found| {
        let key = found.key()?;
        keys.push((key.run, key.place, key.scorer));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(keys)
}

//! What people say about answers that judges scored, and how far the judges agree.

use super::{EvaluationError, Evaluations};
use crate::api::evaluations::LabelRequest;
use crate::evaluation::calibration::calibrate;
use crate::model::calibration::{Calibration, HumanLabel, Judge};
use crate::model::evaluation::{CaseResult, CaseVerdict, Run, ScorerResult};
use crate::model::name::PromptName;
use crate::model::suite::{Check, ModelName};
use crate::registry::Actor;
use crate::resolve::ReadScope;

impl Evaluations {
    /// Stores what a person says about an answer, beside what a judge said.
    ///
    /// # Errors
    /// The run or the result does not exist, no judge scored it, the actor may not run evaluations of its prompt, or a
    /// store fails.
    pub async fn label(
        &self,
        actor: &Actor,
        scope: &ReadScope,
        (run, place): (u64, u32),
        request: LabelRequest,
    ) -> Result<HumanLabel, EvaluationError> {
        let (here, scope) = (self.clone(), scope.clone());
        let find = move || here.labeled(&scope, (run, place), request);
        let found = tokio::task::spawn_blocking(find).await.map_err(|_| EvaluationError::NoThread)?;
        let (prompt, suite, label) = found?;
        Ok(self.0.registry.label_result(actor, &prompt, &suite, label).await?)
    }

    /// How far the judges of a suite agree with people.
    ///
    /// # Errors
    /// The suite does not exist, or the store fails.
    pub fn calibration(&self, suite: &str) -> Result<Vec<Calibration>, EvaluationError> {
        let registry = &self.0.registry;
        registry.suite_versions(suite)?;
        Ok(calibrate(&registry.human_labels(suite, None)?))
    }

    /// The label of a request, with what the judge said; its author and time are not known yet.
    fn labeled(
        &self,
        scope: &ReadScope,
        (id, place): (u64, u32),
        request: LabelRequest,
    ) -> Result<(PromptName, String, HumanLabel), EvaluationError> {
        let run = self.run(scope, id)?;
        let result = self.0.store.result(id, place)?.ok_or(EvaluationError::NoResult { run: id, place })?;
        let (index, scorer) = judge_of(&result, request.scorer)?;
        let judged = match scorer.verdict {
            _ if scorer.weight == 0.0 => {
                let why = "a scorer of weight 0 always passes, so it cannot be compared with people";
                return Err(EvaluationError::Unfit(why.to_owned()));
            }
            CaseVerdict::Passed => true,
            CaseVerdict::Failed => false,
            CaseVerdict::Error => {
                return Err(EvaluationError::Unfit(format!("the judge gave no verdict: {}", scorer.reason)));
            }
        };
        let judge = Judge {
            scorer: scorer.scorer.clone(),
            model: self.model_of(&run, &result.case, index, &scorer.scorer),
            metric: scorer.metric.clone(),
        };
        let scorer = u32::try_from(index).unwrap_or(u32::MAX);
        let (by, at) = (String::new(), self.now());
        let label = HumanLabel {
            run: id,
            place,
            scorer,
            case: result.case.clone(),
            judge,
            judged,
            passed: request.passed,
            by,
            at,
        };
        Ok((run.candidate.prompt, run.suite.name, label))
    }

    /// The model that judges, as the suite of the run says; scorers of a case follow those of the suite.
    fn model_of(&self, run: &Run, case: &str, index: usize, scorer: &str) -> Option<ModelName> {
        let (_, suite) = self.0.registry.suite(&run.suite.name, Some(run.suite.number)).ok()?;
        let case = suite.cases.iter().find(|one| one.name == case)?;
        let judge = suite.scorers.iter().chain(&case.scorers).nth(index)?;
        judge.model.clone().filter(|_| judge.check.to_string() == scorer)
    }
}

/// The judge that a label is about: the one that is named, or the only one.
fn judge_of(result: &CaseResult, named: Option<u32>) -> Result<(usize, &ScorerResult), EvaluationError> {
    let is_judge = |scorer: &ScorerResult| scorer.scorer.parse::<Check>().is_ok_and(|check| check.kind.is_judge());
    let mut judges = result.scorers.iter().enumerate().filter(|(_, scorer)| is_judge(scorer));
    if let Some(named) = named {
        let found = judges.find(|(index, _)| u32::try_from(*index) == Ok(named));
        return found.ok_or_else(|| EvaluationError::Unfit(format!("the scorer {named} of the result is not a judge")));
    }
    let first = judges.next();
    let first = first.ok_or_else(|| EvaluationError::Unfit("no judge scored this result".to_owned()))?;
    let others: Vec<String> = judges.map(|(index, scorer)| format!("{index} ({})", scorer.scorer)).collect();
    if others.is_empty() {
        return Ok(first);
    }
    Err(EvaluationError::Unfit(format!(
        "several judges scored this result; name one as `scorer`: {} ({}), {}",
        first.0,
        first.1.scorer,
        others.join(", ")
    )))
}

//! Results that another tool produced, as a run: promptfoo, with assertions in JavaScript and Python.
//!
//! The node did not see these answers. The run and its gate say who sent them, and the gate counts like any other, but not
//! for who sent them and made the change, unless the policy allows approving one's own work.

use super::start::{subject_of, version_of};
use super::{EvaluationError, Evaluations};
use std::collections::HashSet;

use crate::api::evaluations::ImportRunRequest;
use crate::evaluation::gate::Tally;
use crate::evaluation::run::{Plan, RESULTS_MAX, finish};
use crate::evaluation::store::Change;
use crate::model::audit::{Command, Subject};
use crate::model::count::count;
use crate::model::evaluation::{CaseResult, Run, RunState, RunSummary, Side, SuiteRef};
use crate::model::suite::{REPEATS_MAX, Suite, WEIGHT_MAX};
use crate::registry::{Actor, Basis};
use crate::resolve::{ReadScope, ResolveError};

/// Results of one transaction.
const CHANGES_AT_ONCE: usize = 1_000;

impl Evaluations {
    /// Stores results as a run that is over, and records what its gate decides.
    ///
    /// # Errors
    /// The actor may not run evaluations of the prompt; a name or a version is unknown; a case of the suite has no
    /// result; or a store fails.
    pub async fn import(
        &self,
        actor: &Actor,
        scope: &ReadScope,
        request: ImportRunRequest,
    ) -> Result<Run, EvaluationError> {
        self.check_run(actor, Command::StartRun, &request.prompt, &request.suite).await?;
        let (here, by, scope) = (self.clone(), actor.name.clone(), scope.clone());
        let read = move || here.imported(by, &scope, request);
        let read = move || {
            read().map(|((plan, results), message)| {
                let mut run = plan.run.clone();
                finish(&mut run, &plan, &results.iter().collect::<Tally>());
                (plan, run, results, message)
            })
        };
        let read = tokio::task::spawn_blocking(read).await.map_err(|_| EvaluationError::NoThread)?;
        let (plan, run, results, message) = read?;
        let subjects = vec![
            subject_of(&run.candidate),
            Subject::Suite { name: run.suite.name.clone() },
            Subject::Run { number: run.id },
        ];
        let prompt = run.candidate.prompt.clone();
        self.0.registry.permit_run(actor, Command::StartRun, &prompt, subjects, &message).await?;
        let mut changes = vec![Change::Run(Box::new(run.clone()))];
        for (place, result) in (0_u32..).step_by(2).zip(results) {
            changes.push(Change::Result { run: run.id, place, result: Box::new(result) });
            if changes.len() >= CHANGES_AT_ONCE {
                self.0.store.apply(std::mem::take(&mut changes)).await?;
            }
        }
        self.0.store.apply(changes).await?;
        self.conclude(&plan, &run).await;
        Ok(run)
    }

    #[allow(clippy::type_complexity, reason = "the plan with its results, and the message")]
    fn imported(
        &self,
        by: String,
        scope: &ReadScope,
        request: ImportRunRequest,
    ) -> Result<((Plan, Vec<CaseResult>), String), EvaluationError> {
        let (version, suite) = self.0.registry.suite(&request.suite, None)?;
        let view = self.0.catalogue.as_reader(scope).map_err(ResolveError::from)?;
        let (candidate, content) = version_of(&view, &request.prompt, request.at.as_deref())?;
        let Basis { includes, upstream } = self.0.registry.basis_of(&view, &candidate, None)?;
        let results = request.results;
        if results.len() > usize::try_from(RESULTS_MAX).unwrap_or(usize::MAX) {
            return Err(EvaluationError::Unfit(format!("{} results; the limit is {RESULTS_MAX}", results.len())));
        }
        let known: HashSet<&str> = suite.cases.iter().map(|case| case.name.as_str()).collect();
        if let Some(other) = results.iter().find(|result| !known.contains(result.case.as_str())) {
            return Err(EvaluationError::Unfit(format!(
                "the suite `{}` has no case `{}`; add a case of this name to the suite, or leave the test out of the results",
                request.suite, other.case
            )));
        }
        let mut models: Vec<_> = results.iter().map(|result| result.model.clone()).collect();
        models.sort();
        models.dedup();
        let repeats = results.iter().map(|result| result.repeat.saturating_add(1)).max().unwrap_or(1);
        check_results(&suite, &results, models.len(), repeats)?;
        let results: Vec<_> =
            results.into_iter().map(|result| CaseResult { side: Side::Candidate, ..result }).collect();
        let planned = u64::try_from(results.len()).unwrap_or(u64::MAX);
        let has_models = if suite.models.is_empty() {
            let own = content.model.as_ref().map(|model| model.name.as_str());
            models.iter().all(|model| Some(model.model.as_str()) == own)
        } else {
            suite.models.iter().all(|one| models.contains(one))
        };
        let decides_gate = repeats >= suite.repeats && has_models && suite.gate.margin.is_none();
        let now = self.now();
        let run = Run {
            id: self.0.store.next_run(),
            candidate,
            baseline: None,
            suite: SuiteRef { name: version.name, number: version.number, id: version.id },
            models,
            repeats,
            budget: suite.budget.clone(),
            gate: suite.gate.clone(),
            by,
            at: now,
            ended: Some(now),
            state: RunState::Finished,
            decides_gate,
            change_request: None,
            reason: None,
            summary: RunSummary { planned, ..RunSummary::default() },
            comparison: None,
            verdict: None,
            imported_from: Some(request.tool.chars().take(100).collect()),
            results_removed: None,
            stale: None,
        };
        let plan = Plan { run, suite, candidate: content, baseline: None, no_cache: false, includes, upstream };
        Ok(((plan, results), request.message))
    }
}

/// Each case has one result for each model and repeat, and each number is one that a run could have.
fn check_results(suite: &Suite, results: &[CaseResult], models: usize, repeats: u32) -> Result<(), EvaluationError> {
    let unfit = |reason: String| Err(EvaluationError::Unfit(reason));
    if repeats > REPEATS_MAX {
        return unfit(format!("results of {repeats} repeats; the limit is {REPEATS_MAX}"));
    }
    let mut seen = HashSet::new();
    for result in results {
        let named = || format!("the result of `{}` on {}", result.case, result.model);
        if !seen.insert((result.case.as_str(), &result.model, result.repeat)) {
            return unfit(format!("{} is there twice", named()));
        }
        let is_share = |score: f64| (0.0..=1.0).contains(&score);
        let is_weight = |weight: f64| (0.0..=f64::from(WEIGHT_MAX)).contains(&weight);
        if !is_share(result.score) || result.scorers.iter().any(|it| !is_share(it.score) || !is_weight(it.weight)) {
            return unfit(format!("{} has a score that is not from 0 to 1, or an invalid weight", named()));
        }
    }
    let expected =
        suite.cases.len().saturating_mul(models).saturating_mul(usize::try_from(repeats).unwrap_or(usize::MAX));
    if results.len() != expected {
        return unfit(format!(
            "{}; with each case on each model, as often, there would be {expected}",
            count(results.len(), "result")
        ));
    }
    Ok(())
}

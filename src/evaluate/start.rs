//! Starts and cancels runs.

use super::{EvaluationError, Evaluations};
use crate::api::evaluations::{StartRunRequest, WhenPassed};
use crate::api::govern::ProposeRequest;
use crate::api::write::{Move, ServingRequest};
use crate::evaluation::run::{Plan, RESULTS_MAX, planned};
use crate::evaluation::store::Change;
use crate::model::audit::{Command, Subject};
use crate::model::content::Content;
use crate::model::content_id::ContentId;
use crate::model::evaluation::{Evaluated, Run, RunState, RunSummary, SuiteRef};
use crate::model::name::PromptName;
use crate::model::reference::{Reference, Selector};
use crate::model::suite::{Budget, ModelName, REPEATS_MAX, Suite};
use crate::registry::{Actor, Basis};
use crate::resolve::{CatalogueView, ReadScope, ResolveError};

impl Evaluations {
    /// Starts a run: it is recorded, and runs when it is its turn.
    ///
    /// # Errors
    /// The actor may not run evaluations of the prompt; a name, a version or a model is unknown; there are too many
    /// results or runs; or a store fails.
    pub async fn start(
        &self,
        actor: &Actor,
        scope: &ReadScope,
        request: StartRunRequest,
    ) -> Result<Run, EvaluationError> {
        let registry = &self.0.registry;
        self.check_run(actor, Command::StartRun, &request.prompt, &request.suite).await?;
        self.check_room()?;
        let (prepared, actor_of, scope) = (self.clone(), actor.clone(), scope.clone());
        let plan = move || {
            let plan = prepared.plan(&actor_of, &scope, &request)?;
            let when_passed = request.when_passed.as_ref();
            let then = when_passed.map(|when| prepared.deployment_of(&plan, when)).transpose()?;
            Ok::<_, EvaluationError>((plan, then, request.message))
        };
        let planned = tokio::task::spawn_blocking(plan).await.map_err(|_| EvaluationError::NoThread)?;
        let (mut plan, then, message) = planned?;
        let subjects = vec![
            subject_of(&plan.run.candidate),
            Subject::Suite { name: plan.run.suite.name.clone() },
            Subject::Run { number: plan.run.id },
        ];
        registry.permit_run(actor, Command::StartRun, &plan.run.candidate.prompt, subjects, &message).await?;
        plan.run.change_request = match then {
            None => None,
            Some(Deployment::Requested(id)) => Some(id),
            Some(Deployment::Request(request)) => Some(registry.propose(actor, *request).await?.id),
        };
        let stored = serde_json::to_vec(&plan).map_err(|error| EvaluationError::Unfit(error.to_string()))?;
        let run = plan.run.clone();
        let changes = vec![Change::Run(Box::new(run.clone())), Change::Plan { run: run.id, plan: stored }];
        self.0.store.apply(changes).await?;
        self.launch(plan);
        Ok(run)
    }

    /// The request for each version that it means: a label can serve a split, and a run evaluates one version.
    ///
    /// # Errors
    /// The prompt or the label cannot be read, or a split is to be deployed.
    pub fn each_version(
        &self,
        scope: &ReadScope,
        request: StartRunRequest,
    ) -> Result<Vec<StartRunRequest>, EvaluationError> {
        let view = self.0.catalogue.as_reader(scope).map_err(ResolveError::from)?;
        let versions = match &request.at {
            Some(at) => split_of(&view, &request.prompt, &selector(&request.prompt, at)?)?,
            None => Vec::new(),
        };
        if versions.is_empty() {
            return Ok(vec![request]);
        }
        if request.when_passed.is_some() {
            return Err(EvaluationError::Unfit(
                "a split is not deployed by runs; name one version to deploy when its run passed".to_owned(),
            ));
        }
        let of = |version: u64| StartRunRequest { at: Some(format!("@{version}")), ..request.clone() };
        Ok(versions.into_iter().map(of).collect())
    }

    /// Refuses who may not run evaluations of a prompt, and records that.
    pub(super) async fn check_run(
        &self,
        actor: &Actor,
        command: Command,
        prompt: &PromptName,
        suite: &str,
    ) -> Result<(), EvaluationError> {
        let registry = &self.0.registry;
        if registry.may_run(actor, prompt).is_ok() {
            return Ok(());
        }
        let subjects = vec![Subject::of_prompt(prompt), Subject::Suite { name: suite.to_owned() }];
        Ok(registry.permit_run(actor, command, prompt, subjects, "").await?)
    }

    /// Cancels a run: its results stay, and its gate decides nothing.
    ///
    /// # Errors
    /// The run does not exist or is over, the actor may not run evaluations of its prompt, or a store fails.
    pub async fn cancel(&self, actor: &Actor, scope: &ReadScope, id: u64) -> Result<Run, EvaluationError> {
        let run = self.run(scope, id)?;
        if run.state.is_over() {
            return Err(EvaluationError::Over(id));
        }
        let subjects = vec![subject_of(&run.candidate), Subject::Run { number: id }];
        self.0.registry.permit_run(actor, Command::CancelRun, &run.candidate.prompt, subjects, "").await?;
        if !self.cancel_running(id) {
            // It could not go on, and waits for the next start of the node.
            let ended = Some(self.now());
            let canceled = Run { state: RunState::Canceled, ended, ..run };
            self.0.store.apply(vec![Change::Run(Box::new(canceled)), Change::DropPlan(id)]).await?;
        }
        self.run(scope, id)
    }

    /// Everything that the run needs. Reads databases.
    fn plan(&self, actor: &Actor, scope: &ReadScope, request: &StartRunRequest) -> Result<Plan, EvaluationError> {
        let registry = &self.0.registry;
        let (version, mut suite) = registry.suite(&request.suite, request.suite_version)?;
        let view = self.0.catalogue.as_reader(scope).map_err(ResolveError::from)?;
        let (candidate, content) = match &request.content {
            Some(written) if request.at.is_none() => {
                let content = registry.evaluated_content(&view, actor, &request.prompt, written)?;
                (unpublished(&request.prompt, &content)?, content)
            }
            Some(_) => return Err(EvaluationError::Unfit("name either a version or a content, not both".to_owned())),
            None => version_of(&view, &request.prompt, request.at.as_deref())?,
        };
        let Basis { includes, upstream } = registry.basis_of(&view, &candidate, request.content.as_ref())?;
        let baseline =
            request.against.as_deref().map(|at| baseline_of(&view, &request.prompt, at, &candidate)).transpose()?;
        let is_default = request.models.is_empty();
        let models = self.models(&request.models, &suite, &content)?;
        let filtered = !request.tags.is_empty();
        if filtered {
            suite.cases.retain(|case| request.tags.iter().any(|tag| case.tags.contains(tag)));
            if suite.cases.is_empty() {
                let tags = request.tags.join(", ");
                return Err(EvaluationError::Unfit(format!(
                    "no case of `{}` has one of the tags {tags}",
                    request.suite
                )));
            }
        }
        // A judge that cannot be asked would leave every case without a verdict.
        for model in models.iter().chain(asked_by_scorers(&suite)) {
            self.0.backend.check(model)?;
        }
        let repeats = request.repeats.unwrap_or(suite.repeats);
        if !(1..=REPEATS_MAX).contains(&repeats) {
            return Err(EvaluationError::Unfit(format!("repeats is {repeats}; use 1 to {REPEATS_MAX}")));
        }
        let sides = 1 + u32::from(baseline.is_some());
        let results = planned(&suite, models.len(), repeats, sides);
        if results > u64::from(RESULTS_MAX) {
            return Err(EvaluationError::Unfit(format!(
                "the run would have {results} results; the limit is {RESULTS_MAX}"
            )));
        }
        let is_latest = request
            .suite_version
            .is_none_or(|_| registry.suite(&request.suite, None).is_ok_and(|(latest, _)| latest.id == version.id));
        let decides_gate = is_default && !filtered && is_latest && repeats >= suite.repeats;
        if request.when_passed.is_some() && !decides_gate {
            return Err(EvaluationError::Unfit(
                "a run with other models, some cases, fewer repeats or an older suite decides no gate; leave these out to \
                 deploy when it passed"
                    .to_owned(),
            ));
        }
        // Answers of the snapshot that made a gate stale would make it fresh again.
        let gates = registry.gates_of(&candidate.content_id)?;
        let was_stale = gates.iter().any(|gate| gate.suite.name == version.name && gate.stale.is_some());
        let run = Run {
            id: self.0.store.next_run(),
            candidate,
            baseline: baseline.as_ref().map(|(evaluated, _)| evaluated.clone()),
            suite: SuiteRef { name: version.name, number: version.number, id: version.id },
            models,
            repeats,
            budget: smaller(&suite.budget, request.budget.as_ref()),
            gate: suite.gate.clone(),
            by: actor.name.clone(),
            at: self.now(),
            ended: None,
            state: RunState::Queued,
            decides_gate,
            change_request: None,
            reason: None,
            summary: RunSummary { planned: planned(&suite, 1, repeats, 1), ..RunSummary::default() },
            comparison: None,
            verdict: None,
            imported_from: None,
            results_removed: None,
            stale: None,
        };
        let run = Run { summary: RunSummary { planned: results / u64::from(sides), ..run.summary }, ..run };
        Ok(Plan {
            run,
            suite,
            candidate: content,
            baseline: baseline.map(|(_, content)| content),
            no_cache: request.no_cache || was_stale,
            includes,
            upstream,
        })
    }

    /// The models of a run: those that were asked for, those of the suite, or the one that the version names.
    fn models(&self, asked: &[ModelName], suite: &Suite, content: &Content) -> Result<Vec<ModelName>, EvaluationError> {
        let backend = &self.0.backend;
        let models = if asked.is_empty() { &suite.models } else { asked };
        if models.is_empty() {
            let Some(model) = &content.model else {
                return Err(EvaluationError::Unfit(
                    "neither the suite nor the version names a model; name one, as PROVIDER:MODEL".to_owned(),
                ));
            };
            return backend.provider_of(&model.name).map(|model| vec![model]).ok_or_else(|| {
                let named = ModelName { provider: "PROVIDER".to_owned(), model: model.name.clone() };
                EvaluationError::NoProvider { model: named, known: backend.names() }
            });
        }
        Ok(models.to_vec())
    }

    /// The change request that deploys the version as soon as its gate, and everything else, is met.
    fn deployment_of(&self, plan: &Plan, when: &WhenPassed) -> Result<Deployment, EvaluationError> {
        let Evaluated { prompt, version, .. } = &plan.run.candidate;
        let (label, suite) = (&when.deploy, &plan.run.suite.name);
        let Some(version) = version else {
            return Err(EvaluationError::Unfit(
                "only a published version can be deployed; publish it first".to_owned(),
            ));
        };
        if !self.0.registry.demands_gate(prompt, label, suite) {
            return Err(EvaluationError::Unfit(format!(
                "no policy of `{prompt}@{label}` demands the gate `{suite}`, so nothing would wait for it; add it to a \
                 policy first"
            )));
        }
        match self.0.registry.open_request_for(prompt, label, *version)? {
            Some(open) if open.automatic => return Ok(Deployment::Requested(open.id)),
            Some(open) => {
                return Err(EvaluationError::Unfit(format!(
                    "change request {} for {prompt}@{version} on {label} is open and does not deploy by itself; deploy it \
                     when the run passed, or withdraw it first",
                    open.id
                )));
            }
            None => {}
        }
        let serving = ServingRequest { version: Some(*version), ..ServingRequest::default() };
        let one = Move { name: prompt.clone(), label: label.clone(), serving, expected_deployment: None };
        Ok(Deployment::Request(Box::new(ProposeRequest {
            message: when.message.clone(),
            publish: None,
            moves: vec![one],
            automatic: true,
            expires_days: None,
            reviewers: Vec::new(),
        })))
    }
}

/// How a version is deployed when its run passed.
enum Deployment {
    /// By this change request, which is open already.
    Requested(u64),
    /// By this one, which is to be opened.
    Request(Box<ProposeRequest>),
}

/// The models that the scorers of a suite ask.
fn asked_by_scorers(suite: &Suite) -> impl Iterator<Item = &ModelName> {
    let scorers = suite.scorers.iter().chain(suite.cases.iter().flat_map(|case| &case.scorers));
    scorers.flat_map(|scorer| scorer.scorers.iter().chain([scorer])).filter_map(|scorer| scorer.model.as_ref())
}

/// The smaller one of each limit.
fn smaller(suite: &Budget, asked: Option<&Budget>) -> Budget {
    fn least<T: Ord + Copy>(one: Option<T>, other: Option<T>) -> Option<T> {
        one.into_iter().chain(other).min()
    }
    let asked = asked.cloned().unwrap_or_default();
    Budget {
        max_cost_usd: least(suite.max_cost_usd, asked.max_cost_usd),
        max_calls: least(suite.max_calls, asked.max_calls),
    }
}

pub(super) fn subject_of(evaluated: &Evaluated) -> Subject {
    match evaluated.version {
        Some(version) => Subject::of_version(&evaluated.prompt, version),
        None => Subject::of_prompt(&evaluated.prompt),
    }
}

fn unpublished(prompt: &PromptName, content: &Content) -> Result<Evaluated, EvaluationError> {
    let bytes = content.to_canonical().map_err(|error| EvaluationError::Unfit(error.to_string()))?;
    Ok(Evaluated { prompt: prompt.clone(), version: None, content_id: ContentId::of(&bytes) })
}

fn selector(prompt: &PromptName, at: &str) -> Result<Selector, EvaluationError> {
    let reference = format!("{prompt}@{}", at.strip_prefix('@').unwrap_or(at));
    Ok(reference.parse::<Reference>().map_err(ResolveError::from)?.selector)
}

/// The versions of a label that serves several; else none.
fn split_of(view: &CatalogueView, prompt: &PromptName, selector: &Selector) -> Result<Vec<u64>, EvaluationError> {
    let Selector::Label(label) = selector else { return Ok(Vec::new()) };
    let versions = if label.is_latest() { Vec::new() } else { view.label(prompt, label)?.serving.versions() };
    Ok(if versions.len() > 1 { versions } else { Vec::new() })
}

/// What a run compares with; of a label that serves a split, the version with the largest share that is not the candidate.
fn baseline_of(
    view: &CatalogueView,
    prompt: &PromptName,
    at: &str,
    candidate: &Evaluated,
) -> Result<(Evaluated, Content), EvaluationError> {
    let selector = selector(prompt, at)?;
    let versions = split_of(view, prompt, &selector)?;
    let Selector::Label(label) = &selector else { return version_of(view, prompt, Some(at)) };
    if versions.is_empty() {
        return version_of(view, prompt, Some(at));
    }
    let mut found = Err(EvaluationError::Split { prompt: prompt.clone(), label: label.clone(), versions });
    for number in view.label(prompt, label)?.serving.main_versions() {
        found = version_of(view, prompt, Some(&format!("@{number}")));
        if found.as_ref().is_ok_and(|(one, _)| one.content_id != candidate.content_id) {
            break;
        }
    }
    found
}

/// A version of a prompt: `@LABEL`, `@7`, `@b3:…`, or the latest. A label that serves a split has no one version.
pub(super) fn version_of(
    view: &CatalogueView,
    prompt: &PromptName,
    at: Option<&str>,
) -> Result<(Evaluated, Content), EvaluationError> {
    let selector = match at {
        None => Selector::Label("latest".parse().map_err(|_| EvaluationError::NoThread)?),
        Some(at) => selector(prompt, at)?,
    };
    let versions = split_of(view, prompt, &selector)?;
    if let (Selector::Label(label), false) = (&selector, versions.is_empty()) {
        return Err(EvaluationError::Split { prompt: prompt.clone(), label: label.clone(), versions });
    }
    let version = view.version(prompt, &selector)?;
    let evaluated = Evaluated {
        prompt: prompt.clone(),
        version: Some(version.version.number),
        content_id: version.version.content_id,
    };
    Ok((evaluated, version.content))
}

//! The playground: asks models once with a version and values, within a limit for each person and day.
//!
//! Nothing is stored but what it cost. An answer that is worth keeping becomes a case of a suite.

use std::collections::BTreeMap;
use std::sync::{MutexGuard, PoisonError};

use serde_json::{Map, Value};

use super::stale::Snapshots;
use super::{DAY_MS, EvaluationError, Evaluations};
use crate::evaluation::provider::ChatRequest;
use crate::evaluation::run::{Backend as _, request};
use crate::evaluation::store::Change;
use crate::model::audit::{Command, Subject};
use crate::model::content::Content;
use crate::model::evaluation::Answer;
use crate::model::name::PromptName;
use crate::model::suite::{Case, ModelName, Suite};
use crate::model::usd::Usd;
use crate::registry::Actor;

/// One question of the playground.
#[derive(Clone, Debug)]
pub struct Question {
    /// The prompt, whose `run` permission it needs.
    pub prompt: PromptName,
    /// What is asked.
    pub content: Content,
    /// Values of its variables.
    pub variables: Map<String, Value>,
    /// What the user says after the prompt's messages; empty for nothing.
    pub message: String,
    /// The model.
    pub model: ModelName,
}

impl Evaluations {
    /// The models that a version can be asked on: its own first, then those that the settings name.
    #[must_use]
    pub fn models_for(&self, content: &Content) -> Vec<ModelName> {
        let backend = &self.0.backend;
        let own = content.model.as_ref().and_then(|model| backend.provider_of(&model.name));
        let named = backend.models.iter().flat_map(|(provider, models)| {
            let is_name = |model: &&String| !model.contains('*');
            models.iter().filter(is_name).map(|model| ModelName { provider: provider.clone(), model: model.clone() })
        });
        let mut models: Vec<ModelName> = Vec::new();
        for model in own.into_iter().chain(named) {
            if !models.contains(&model) {
                models.push(model);
            }
        }
        models
    }

    /// What a person can still spend in the playground today.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn allowance(&self, actor: &Actor) -> Result<Usd, EvaluationError> {
        let spent = self.0.store.spent(&actor.name, self.today())?;
        Ok(Usd::from_pico(self.0.spending.per_day.pico().saturating_sub(spent.pico())))
    }

    /// Takes the most that a question can cost from what a person may spend today, before it is sent: what is not answered
    /// may have been paid for all the same. Waits for their other questions, which mostly cost less than they could.
    async fn charge(&self, actor: &Actor, question: &Question, at_most: Usd) -> Result<OnItsWay, EvaluationError> {
        loop {
            // From here on no notice is missed.
            let settled = self.0.settled.notified();
            let paying = self.0.paying.lock().await;
            let left = self.allowance(actor)?;
            let back_at_most = self.on_its_way().get(&actor.name).copied().unwrap_or_default();
            if at_most > left.plus(back_at_most) {
                return Err(EvaluationError::Unfit(format!(
                    "this can cost {}, and {} of your {} for today are left; ask for fewer tokens, or tomorrow",
                    at_most.short(),
                    left.short(),
                    self.0.spending.per_day.short()
                )));
            }
            if at_most <= left {
                let subjects = vec![Subject::of_prompt(&question.prompt)];
                let asking = format!("Ask {}", question.model);
                self.0.registry.permit_run(actor, Command::AskModel, &question.prompt, subjects, &asking).await?;
                let day = self.today();
                let spend = Change::Spend { principal: actor.name.clone(), day, cost: at_most };
                self.0.store.apply(vec![spend]).await?;
                let mut sums = self.on_its_way();
                let sum = sums.entry(actor.name.clone()).or_default();
                *sum = sum.plus(at_most);
                return Ok(OnItsWay { here: self.clone(), who: actor.name.clone(), day, at_most });
            }
            drop(paying);
            settled.await;
        }
    }

    fn on_its_way(&self) -> MutexGuard<'_, BTreeMap<String, Usd>> {
        self.0.on_its_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a model, and passes on each part of the text as soon as it is there.
    ///
    /// # Errors
    /// The actor may not run evaluations of the prompt, the limit of the day is reached, the version cannot be rendered
    /// with these values, or the model does not answer.
    pub async fn ask(
        &self,
        actor: &Actor,
        question: &Question,
        on_text: impl FnMut(&str) + Send,
    ) -> Result<Answer, EvaluationError> {
        let backend = &self.0.backend;
        backend.check(&question.model)?;
        let request = asked(question)?;
        let at_most = backend.price_at_most(&question.model, &request).ok_or_else(|| {
            EvaluationError::Unfit(format!(
                "the price of {} is unknown, so your limit for today cannot be held; set one with `bookholder prices \
                 set`",
                question.model
            ))
        })?;
        let on_its_way = self.charge(actor, question, at_most).await?;
        let mut key = [0_u8; 16];
        getrandom::fill(&mut key).map_err(|_| EvaluationError::NoThread)?;
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let answered = backend.providers.chat_stream(&question.model, &request, &key, on_text).await;
        let refund = |cost: Usd| {
            let back = Usd::from_pico(at_most.pico().saturating_sub(cost.pico()));
            Change::Refund { principal: actor.name.clone(), day: on_its_way.day, cost: back }
        };
        let mut answer = match answered {
            Ok(answer) => answer,
            Err(error) => {
                if !error.may_cost() {
                    self.0.store.apply(vec![refund(Usd::default())]).await?;
                }
                return Err(EvaluationError::Unfit(error.to_string()));
            }
        };
        answer.usage.cost = backend.price(&question.model, &answer);
        self.0.store.apply(vec![refund(answer.usage.cost.unwrap_or(at_most))]).await?;
        if let Some(snapshot) = &answer.model {
            let seen = Snapshots::from([(question.model.to_string(), [snapshot.clone()].into())]);
            self.mark_stale_before(self.now(), seen).await;
        }
        Ok(answer)
    }

    /// Adds a case to the latest version of a suite, or creates the suite.
    ///
    /// # Errors
    /// The actor may not change suites, the name of the case is taken, or the store fails.
    pub async fn keep_case(&self, actor: &Actor, suite: String, case: Case) -> Result<u64, EvaluationError> {
        let registry = &self.0.registry;
        let message = format!("Add the case {}", case.name);
        let (number, mut now) = match registry.suite(&suite, None) {
            Ok((version, suite)) => (version.number, suite),
            Err(crate::registry::RegistryError::NotFound { .. }) => (0, Suite { repeats: 1, ..Suite::default() }),
            Err(error) => return Err(error.into()),
        };
        now.cases.push(case);
        Ok(registry.push_suite(actor, suite, now, &message, Some(number)).await?.0.number)
    }

    fn today(&self) -> u32 {
        u32::try_from(self.0.backend.clock.now_ms().div_euclid(DAY_MS)).unwrap_or_default()
    }
}

/// A question that was charged and not answered yet.
struct OnItsWay {
    here: Evaluations,
    who: String,
    /// The day that it was charged to.
    day: u32,
    at_most: Usd,
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let mut sums = self.here.on_its_way();
        if let Some(sum) = sums.get_mut(&self.who) {
            *sum = Usd::from_pico(sum.pico().saturating_sub(self.at_most.pico()));
        }
        sums.retain(|_, sum| sum.pico() > 0);
        drop(sums);
        self.here.0.settled.notify_waiters();
    }
}

/// The request of a question.
fn asked(question: &Question) -> Result<ChatRequest, EvaluationError> {
    let mut case = Case { variables: question.variables.clone(), ..Case::default() };
    if !question.message.is_empty() {
        case.messages.push(serde_json::json!({ "role": "user", "content": question.message }));
    }
    request(&question.content, &Suite::default(), &case).map_err(|error| EvaluationError::Unfit(error.to_string()))
}

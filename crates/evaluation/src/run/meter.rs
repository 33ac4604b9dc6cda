//! Asks for a run: remembers answers, counts calls, and keeps within the budget.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

use super::{Backend, Plan};
use crate::model::evaluation::{Answer, AnswerUsage, JudgeUse, Run};
use crate::model::suite::{Budget, ModelName};
use crate::model::usd::Usd;
use crate::provider::{Ask, CallError, ChatRequest, Embeddings};
use crate::store::{Change, EvaluationStore};

/// The key of an answer: where it was asked, what exactly, and which repeat it is.
#[must_use]
pub fn cache_key(endpoint: &str, model: &ModelName, request: &ChatRequest, repeat: u32, run: Option<u64>) -> [u8; 32] {
    let parts = json!([endpoint, model, request, repeat, run]);
    Sha256::digest(parts.to_string().as_bytes()).into()
}

/// Calls that were paid for, and what they cost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) calls: u64,
    pub(super) cost: Usd,
}

/// What a run has used so far.
#[derive(Debug)]
pub(super) struct Metered {
    budget: Budget,
    began_ms: i64,
    totals: Mutex<Totals>,
    /// Told when a call on its way has come back.
    settled: Notify,
    /// Held while something is asked that all cases share, so that only the first one asks.
    shared: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Totals {
    used: Used,
    /// The most that calls on their way can cost.
    reserved: Usd,
    /// Keys that this process asked for.
    asked: HashSet<[u8; 32]>,
}

impl Metered {
    pub(super) fn new(run: &Run, calls: u64, cost: Usd) -> Self {
        let totals = Totals { used: Used { calls, cost }, ..Totals::default() };
        Self {
            budget: run.budget.clone(),
            began_ms: run.at.ms(),
            totals: Mutex::new(totals),
            settled: Notify::new(),
            shared: tokio::sync::Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes one call that can cost this much at most; waits for calls on their way, which mostly cost less than they could.
    async fn reserve(&self, model: &ModelName, at_most: Option<Usd>) -> Result<Usd, CallError> {
        loop {
            // From here on no notice is missed.
            let settled = self.settled.notified();
            if let Some(reserved) = self.try_reserve(model, at_most)? {
                return Ok(reserved);
            }
            settled.await;
        }
    }

    /// Takes one call, if it fits beside those on their way.
    fn try_reserve(&self, model: &ModelName, at_most: Option<Usd>) -> Result<Option<Usd>, CallError> {
        let mut totals = self.lock();
        if let Some(most) = self.budget.max_calls.filter(|most| totals.used.calls >= *most) {
            return Err(CallError::OverBudget(format!("all {most} calls of `max_calls` were made")));
        }
        let mut reserve = Usd::default();
        if let Some(most) = self.budget.max_cost_usd {
            let Some(at_most) = at_most else {
                return Err(CallError::OverBudget(format!(
                    "the price of {model} is unknown, so `max_cost_usd` of {} cannot be held; add a price with `bookholder \
                     prices set`",
                    most.short()
                )));
            };
            let spent = totals.used.cost;
            if spent.plus(at_most) > most {
                return Err(CallError::OverBudget(format!(
                    "the next call could cost {} and exceed `max_cost_usd` of {}, of which {} are used",
                    at_most.short(),
                    most.short(),
                    spent.short()
                )));
            }
            if spent.plus(totals.reserved).plus(at_most) > most {
                return Ok(None);
            }
            reserve = at_most;
        }
        totals.used.calls += 1;
        totals.reserved = totals.reserved.plus(reserve);
        Ok(Some(reserve))
    }

    fn settle(&self, reserved: Usd, cost: Option<Usd>) {
        let mut totals = self.lock();
        totals.reserved = Usd::from_pico(totals.reserved.pico().saturating_sub(reserved.pico()));
        totals.used.cost = totals.used.cost.plus(cost.unwrap_or_default());
        drop(totals);
        self.settled.notify_waiters();
    }
}

/// Asks for one unit of a run.
pub(super) struct Meter<'a, B> {
    pub(super) store: &'a EvaluationStore,
    pub(super) backend: &'a B,
    pub(super) plan: &'a Plan,
    pub(super) metered: &'a Metered,
    pub(super) repeat: u32,
    /// What this unit has used.
    pub(super) used: Mutex<Used>,
}

/// Asks for the scorers of one answer, and remembers what that took.
pub(super) struct Judge<'a, B> {
    meter: &'a Meter<'a, B>,
    told: Mutex<Told>,
}

/// Answers of a judge, those of them that were remembered, and what all used.
#[derive(Debug, Default)]
struct Judged {
    calls: u64,
    cached: u64,
    usage: AnswerUsage,
}

#[derive(Debug, Default)]
struct Told {
    /// What was paid.
    spent: Usd,
    /// Number and use of answers, by the model that was asked and the one that answered.
    judges: BTreeMap<(ModelName, Option<String>), Judged>,
    /// Why the run must stop.
    over_budget: Option<String>,
}

impl<'a, B: Backend> Meter<'a, B> {
    pub(super) fn judge(&'a self) -> Judge<'a, B> {
        Judge { meter: self, told: Mutex::default() }
    }

    /// What the unit has used so far, with what it had used before the run was interrupted.
    pub(super) fn used(&self) -> Used {
        *self.lock()
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn reserve(&self, model: &ModelName, at_most: Option<Usd>) -> Result<Usd, CallError> {
        let reserved = self.metered.reserve(model, at_most).await?;
        self.lock().calls += 1;
        Ok(reserved)
    }

    fn settle(&self, reserved: Usd, cost: Option<Usd>) {
        self.metered.settle(reserved, cost);
        let mut used = self.lock();
        used.cost = used.cost.plus(cost.unwrap_or_default());
    }

    /// Counts a call whose answer was stored, but not yet the result that it belongs to.
    fn count_again(&self, cost: Option<Usd>) {
        let cost = cost.unwrap_or_default();
        let add = |used: &mut Used| {
            used.calls = used.calls.saturating_add(1);
            used.cost = used.cost.plus(cost);
        };
        add(&mut self.lock());
        add(&mut self.metered.lock().used);
    }
}

impl<B: Backend> Meter<'_, B> {
    fn key(&self, model: &ModelName, request: &ChatRequest) -> [u8; 32] {
        let run = self.plan.no_cache.then_some(self.plan.run.id);
        cache_key(&self.backend.endpoint(model), model, request, self.repeat, run)
    }

    /// The key of what all cases, repeats and runs share.
    fn shared_key(&self, model: &ModelName, request: &ChatRequest) -> [u8; 32] {
        cache_key(&self.backend.endpoint(model), model, request, 0, None)
    }

    /// The answer with a key. One that is shared belongs to no case, so it counts only where it was asked for.
    async fn answer(
        &self,
        model: &ModelName,
        request: &ChatRequest,
        key: [u8; 32],
        is_shared: bool,
    ) -> Result<Answer, CallError> {
        let failed = |error: crate::store::EvaluationStoreError| CallError::Failed(error.to_string());
        let asked = !self.metered.lock().asked.insert(key);
        let now_ms = self.backend.now_ms();
        if let Some((at_ms, answer)) = self.store.answer(&key, now_ms).map_err(failed)? {
            // An answer that this run asked for before it was interrupted is its own.
            let own = at_ms >= self.metered.began_ms && !asked && !is_shared;
            if own {
                self.count_again(answer.usage.cost);
            }
            return Ok(Answer { cached: !own, ..answer });
        }
        let reserved = self.reserve(model, self.backend.price_at_most(model, request)).await?;
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let answered = self.backend.chat(model, request, &hex).await;
        let cost = answered.as_ref().ok().and_then(|answer| self.backend.price(model, answer));
        // What was sent and not answered may have been charged all the same.
        let charged = if answered.as_ref().is_err_and(CallError::may_cost) { Some(reserved) } else { cost };
        self.settle(reserved, charged);
        let mut answer = answered?;
        answer.usage.cost = cost;
        let change = Change::Answer { key, at_ms: self.backend.now_ms(), answer: Box::new(answer.clone()) };
        self.store.apply(vec![change]).await.map_err(failed)?;
        Ok(answer)
    }
}

impl<B: Backend> Ask for Meter<'_, B> {
    async fn chat(&self, model: &ModelName, request: &ChatRequest) -> Result<Answer, CallError> {
        self.answer(model, request, self.key(model, request), false).await
    }

    async fn chat_once(&self, model: &ModelName, request: &ChatRequest) -> Result<Answer, CallError> {
        let _first = self.metered.shared.lock().await;
        self.answer(model, request, self.shared_key(model, request), true).await
    }

    async fn forget(&self, model: &ModelName, requests: &[ChatRequest]) {
        let keys = requests.iter().flat_map(|request| [self.key(model, request), self.shared_key(model, request)]);
        let changes = keys.map(|key| Change::Forget { key }).collect();
        if let Err(error) = self.store.apply(changes).await {
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot forget an answer of a judge");
        }
    }

    async fn embed(&self, model: &ModelName, texts: &[String]) -> Result<Embeddings, CallError> {
        let reserved = self.reserve(model, self.backend.embedding_price_at_most(model, texts)).await?;
        let answered = self.backend.embed(model, texts).await;
        let cost = answered.as_ref().ok().and_then(|embeddings| embeddings.usage.cost);
        let charged = if answered.as_ref().is_err_and(CallError::may_cost) { Some(reserved) } else { cost };
        self.settle(reserved, charged);
        answered
    }

    async fn post(&self, url: &str, body: &Value) -> Result<Value, CallError> {
        self.backend.post(url, body).await
    }
}

impl<B: Backend> Judge<'_, B> {
    /// What the scorers cost, and which models judged.
    pub(super) fn spent(&self) -> (Usd, Vec<JudgeUse>) {
        let told = self.lock();
        let uses = told.judges.iter().map(|((model, answered), judged)| JudgeUse {
            model: model.clone(),
            answered: answered.clone(),
            calls: judged.calls,
            cached: judged.cached,
            usage: judged.usage,
        });
        (told.spent, uses.collect())
    }

    /// Why the run must stop, if the budget did not suffice.
    pub(super) fn over_budget(&self) -> Option<String> {
        self.lock().over_budget.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note<T>(&self, result: Result<T, CallError>) -> Result<T, CallError> {
        if let Err(CallError::OverBudget(reason)) = &result {
            self.lock().over_budget = Some(reason.clone());
        }
        result
    }

    fn count(&self, model: &ModelName, answered: Option<&String>, usage: AnswerUsage, cached: bool) {
        let mut told = self.lock();
        let judged = told.judges.entry((model.clone(), answered.cloned())).or_default();
        judged.calls = judged.calls.saturating_add(1);
        judged.cached = judged.cached.saturating_add(u64::from(cached));
        judged.usage = judged.usage.plus(usage);
        if !cached {
            told.spent = told.spent.plus(usage.cost.unwrap_or_default());
        }
    }
}

impl<B: Backend> Ask for Judge<'_, B> {
    async fn chat(&self, model: &ModelName, request: &ChatRequest) -> Result<Answer, CallError> {
        let answer = self.note(self.meter.chat(model, request).await)?;
        self.count(model, answer.model.as_ref(), answer.usage, answer.cached);
        Ok(answer)
    }

    async fn chat_once(&self, model: &ModelName, request: &ChatRequest) -> Result<Answer, CallError> {
        let answer = self.note(self.meter.chat_once(model, request).await)?;
        self.count(model, answer.model.as_ref(), answer.usage, answer.cached);
        Ok(answer)
    }

    async fn forget(&self, model: &ModelName, requests: &[ChatRequest]) {
        self.meter.forget(model, requests).await;
    }

    async fn embed(&self, model: &ModelName, texts: &[String]) -> Result<Embeddings, CallError> {
        let embeddings = self.note(self.meter.embed(model, texts).await)?;
        self.count(model, embeddings.model.as_ref(), embeddings.usage, false);
        Ok(embeddings)
    }

    async fn post(&self, url: &str, body: &Value) -> Result<Value, CallError> {
        self.note(self.meter.post(url, body).await)
    }
}

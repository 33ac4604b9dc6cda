//! What answers the calls of runs: the providers of the settings, with the prices of the registry.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::error::EvaluationError;
use crate::api::evaluations::ProviderView;
use crate::clock::Clock;
use crate::evaluation::provider::{CallError, ChatRequest, Embeddings, Providers};
use crate::evaluation::run::Backend;
use crate::ingest::Recorder;
use crate::model::evaluation::{Answer, AnswerUsage};
use crate::model::pattern::Pattern;
use crate::model::suite::ModelName;
use crate::model::usd::Usd;
use crate::telemetry::event::{Operation, Response, Tokens};

/// Tokens that an answer can have if its version sets no limit.
const OUTPUT_TOKENS_MAX_DEFAULT: u64 = 4_096;
/// Fewest bytes of a token, to estimate the most that an input can cost.
const TOKEN_BYTES_MIN: u64 = 2;
/// Parameters that limit an answer, in tokens.
const OUTPUT_LIMITS: [&str; 3] = ["max_tokens", "max_completion_tokens", "max_output_tokens"];

/// What a person may spend in the playground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spending {
    /// Most US dollars of a person on a day, 1 by default.
    pub per_day: Usd,
}

impl Default for Spending {
    fn default() -> Self {
        Self { per_day: Usd::from_pico(1_000_000_000_000) }
    }
}

pub(super) struct NodeBackend {
    pub(super) providers: Providers,
    pub(super) models: BTreeMap<String, Vec<String>>,
    pub(super) recorder: Option<Recorder>,
    pub(super) clock: Arc<dyn Clock>,
}

impl NodeBackend {
    pub(super) fn views(&self) -> Vec<ProviderView> {
        let view = |name: &str| ProviderView {
            name: name.to_owned(),
            endpoint: self.providers.endpoint(&ModelName { provider: name.to_owned(), model: String::new() }),
            models: self.models.get(name).cloned().unwrap_or_default(),
            missing_key: self.providers.missing_key(name).map(str::to_owned),
        };
        self.providers.names().map(view).collect()
    }

    /// The provider of a model as a version names it: `PROVIDER:MODEL`, or a model that the settings give to a
    /// provider, or the only provider that there is.
    pub(super) fn provider_of(&self, model: &str) -> Option<ModelName> {
        if let Ok(named) = model.parse::<ModelName>()
            && self.providers.names().any(|name| name == named.provider)
        {
            return Some(named);
        }
        let fits = |pattern: &String| {
            pattern == model || pattern.parse::<Pattern>().is_ok_and(|pattern| pattern.matches(model))
        };
        let given = self.models.iter().find(|(_, patterns)| patterns.iter().any(fits)).map(|(name, _)| name.as_str());
        let mut names = self.providers.names();
        let only = names.next().filter(|_| names.next().is_none());
        let provider = given.or(only)?.to_owned();
        Some(ModelName { provider, model: model.to_owned() })
    }

    /// Refuses a model that cannot be asked: there is no such provider, or it has no key.
    pub(super) fn check(&self, model: &ModelName) -> Result<(), EvaluationError> {
        if !self.providers.names().any(|name| name == model.provider) {
            return Err(EvaluationError::NoProvider { model: model.clone(), known: self.names() });
        }
        match self.providers.missing_key(&model.provider) {
            Some(variable) => {
                Err(EvaluationError::NoKey { provider: model.provider.clone(), variable: variable.to_owned() })
            }
            None => Ok(()),
        }
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.providers.names().map(str::to_owned).collect()
    }

    fn cost(&self, model: &ModelName, used: Option<&str>, tokens: Tokens, operation: Operation) -> Option<Usd> {
        let response = Response {
            ended_ms: self.clock.now_ms(),
            model_requested: Some(model.model.clone()),
            model_used: used.map(str::to_owned),
            operation,
            tokens,
            ..Response::default()
        };
        let cost = self.recorder.as_ref()?.price_book().cost(&response)?;
        Some(Usd::from_pico(cost.pico_usd.into()))
    }

    fn usage_cost(
        &self,
        model: &ModelName,
        used: Option<&str>,
        usage: &AnswerUsage,
        operation: Operation,
    ) -> Option<Usd> {
        let tokens = Tokens {
            input: usage.input_tokens,
            cache_read: usage.cache_read_tokens,
            cache_write: usage.cache_write_tokens,
            output: usage.output_tokens,
            reasoning: usage.reasoning_tokens,
            ..Tokens::default()
        };
        let asked = || self.cost(model, None, tokens, operation);
        used.and_then(|used| self.cost(model, Some(used), tokens, operation)).or_else(asked)
    }

    /// The most that a call with so many bytes can cost. Where no key is sent, nobody is charged unless a price says so.
    fn cost_at_most(&self, model: &ModelName, bytes: usize, output: u64, operation: Operation) -> Option<Usd> {
        let input = u64::try_from(bytes).unwrap_or(u64::MAX) / TOKEN_BYTES_MIN;
        let tokens = Tokens { input: Some(input), output: Some(output), ..Tokens::default() };
        let free = || self.providers.is_free(&model.provider).then(Usd::default);
        self.cost(model, None, tokens, operation).or_else(free)
    }
}

impl Backend for NodeBackend {
    async fn chat(&self, model: &ModelName, request: &ChatRequest, idempotency_key: &str) -> Result<Answer, CallError> {
        self.providers.chat(model, request, idempotency_key).await
    }

    async fn embed(&self, model: &ModelName, texts: &[String]) -> Result<Embeddings, CallError> {
        let mut embeddings = self.providers.embed(model, texts).await?;
        embeddings.usage.cost =
            self.usage_cost(model, embeddings.model.as_deref(), &embeddings.usage, Operation::Embeddings);
        Ok(embeddings)
    }

    async fn post(&self, url: &str, body: &Value) -> Result<Value, CallError> {
        self.providers.post(url, body).await
    }

    fn concurrency_max(&self, model: &ModelName) -> usize {
        self.providers.concurrency_max(&model.provider)
    }

    fn endpoint(&self, model: &ModelName) -> String {
        self.providers.endpoint(model)
    }

    fn price(&self, model: &ModelName, answer: &Answer) -> Option<Usd> {
        self.usage_cost(model, answer.model.as_deref(), &answer.usage, Operation::default())
    }

    fn price_at_most(&self, model: &ModelName, request: &ChatRequest) -> Option<Usd> {
        let bytes = serde_json::to_vec(request).map_or(0, |json| json.len());
        let limit = OUTPUT_LIMITS.iter().find_map(|name| request.parameters.get(*name)?.as_u64());
        self.cost_at_most(model, bytes, limit.unwrap_or(OUTPUT_TOKENS_MAX_DEFAULT), Operation::default())
    }

    fn embedding_price_at_most(&self, model: &ModelName, texts: &[String]) -> Option<Usd> {
        self.cost_at_most(model, texts.iter().map(String::len).sum(), 0, Operation::Embeddings)
    }

    fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }
}

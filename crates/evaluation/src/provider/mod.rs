//! Calls of models: what a run asks, and [`Providers`], which ask it.
//!
//! It does not know prices, budgets or what was asked before: a run does. Invariants: a key is sent to the base URL of its
//! provider and nowhere else, and no error has it; whatever a server answers, a call ends within its time and its
//! memory.

mod address_guard;
mod anthropic;
mod draft;
mod fault;
mod http;
mod limits;
mod openai;
mod providers;
mod retry;
mod settings;
mod sse;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod translate;

use std::future::Future;

use serde::Serialize;
use serde_json::{Map, Value};

pub use self::address_guard::guarded;
pub use self::providers::Providers;
pub use self::settings::{ProviderError, ProviderKind, ProviderSettings};
use crate::model::evaluation::{Answer, AnswerUsage};
use crate::model::suite::ModelName;

/// One request for a chat completion, in the words of the OpenAI API.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChatRequest {
    /// Messages with `role` and `content`.
    pub messages: Vec<Value>,
    /// Parameters of the version, such as `temperature`, passed on unchanged.
    pub parameters: Map<String, Value>,
    /// Tool definitions of the version, passed on unchanged.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<Value>,
    /// JSON Schema of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_schema: Option<Value>,
}

/// Vectors of texts, in their order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Embeddings {
    /// One vector for each text, all of the same length.
    pub vectors: Vec<Vec<f64>>,
    /// The model that answered, as the provider names it.
    pub model: Option<String>,
    /// What was used.
    pub usage: AnswerUsage,
}

/// Why a call has no answer. The text is shown beside the case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum CallError {
    /// The request was sent, so a model may have worked for it.
    #[error("{0}")]
    Failed(String),
    /// No model worked for it: it was not sent, no connection was there, or the provider refused each try.
    #[error("{0}")]
    Unpaid(String),
    #[error("{reason}")]
    Refused { status: u16, reason: String },
    #[error("the budget of the run is used up: {0}")]
    OverBudget(String),
    #[error("the run was canceled")]
    Canceled,
}

impl CallError {
    /// Whether the call may be charged although it has no answer.
    #[must_use]
    pub const fn may_cost(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

/// Who answers requests: a run, which counts, limits and remembers calls of providers; in tests a table.
pub trait Ask: Sync {
    /// Asks a model.
    fn chat(&self, model: &ModelName, request: &ChatRequest) -> impl Future<Output = Result<Answer, CallError>> + Send;

    /// Asks a model what all cases and repeats share: once, where answers are remembered.
    fn chat_once(
        &self,
        model: &ModelName,
        request: &ChatRequest,
    ) -> impl Future<Output = Result<Answer, CallError>> + Send {
        self.chat(model, request)
    }

    /// Forgets answers that could not be understood, so that they are asked for again next time, not remembered.
    fn forget(&self, model: &ModelName, requests: &[ChatRequest]) -> impl Future<Output = ()> + Send;

    /// Computes the embedding of each text.
    fn embed(&self, model: &ModelName, texts: &[String]) -> impl Future<Output = Result<Embeddings, CallError>> + Send;

    /// Posts a JSON body to a URL and returns the JSON answer.
    fn post(&self, url: &str, body: &Value) -> impl Future<Output = Result<Value, CallError>> + Send;
}

#[cfg(test)]
mod tests;

//! Observed prompts: system texts that belong to no version.

use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::observed::{AdoptRequest, ObservedPrompt, ObservedPrompts};
use crate::api::write::Published;
use crate::model::name::PromptName;

impl Client {
    /// The observed prompts with the most calls.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn observed(&self, limit: usize) -> Result<ObservedPrompts, ClientError> {
        self.call(self.request(Method::GET, "/v1/observed").query(&[("limit", limit)])).await
    }

    /// One observed prompt with its whole text.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn observed_prompt(&self, id: &str) -> Result<ObservedPrompt, ClientError> {
        self.call(self.request(Method::GET, &paths::below("/v1/observed", id))).await
    }

    /// Publishes an observed prompt as a version of a prompt.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn adopt(&self, id: &str, name: &PromptName) -> Result<Published, ClientError> {
        let path = format!("{}/adopt", paths::below("/v1/observed", id));
        self.call(self.request(Method::POST, &path).json(&AdoptRequest { name: name.clone() })).await
    }
}

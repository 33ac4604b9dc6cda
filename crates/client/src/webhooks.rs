//! Calls for webhooks: one per route.

use futures_util::stream::Stream;
use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::webhooks::{SuspensionRequest, TestAnswer, WebhookRequest, WebhookRotation, WebhookView};
use crate::model::webhook::Delivery;

impl Client {
    /// Every webhook, without its secret.
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, ClientError> {
        self.call(self.request(Method::GET, "/v1/webhooks")).await
    }

    /// Creates or replaces a webhook; a new secret is only in this answer.
    pub async fn put_webhook(&self, name: &str, what: &WebhookRequest) -> Result<WebhookView, ClientError> {
        self.call(self.request(Method::PUT, &paths::webhook(name)).json(what)).await
    }

    /// Removes a webhook.
    pub async fn remove_webhook(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::webhook(name))).await
    }

    /// Rotates the secret of a webhook; the new one is in the answer.
    pub async fn rotate_webhook(&self, name: &str, how: &WebhookRotation) -> Result<WebhookView, ClientError> {
        self.post(&format!("{}/rotation", paths::webhook(name)), how).await
    }

    /// Sends a test event.
    pub async fn test_webhook(&self, name: &str) -> Result<TestAnswer, ClientError> {
        self.call(self.request(Method::POST, &format!("{}/test", paths::webhook(name)))).await
    }

    /// Disables a webhook until it is enabled.
    pub async fn disable_webhook(&self, name: &str, why: &SuspensionRequest) -> Result<WebhookView, ClientError> {
        self.post(&format!("{}/suspension", paths::webhook(name)), why).await
    }

    /// Enables a webhook: pending and future events are sent.
    pub async fn enable_webhook(&self, name: &str) -> Result<WebhookView, ClientError> {
        self.call(self.request(Method::DELETE, &format!("{}/suspension", paths::webhook(name)))).await
    }

    /// Deliveries of a webhook, newest first; at most `rows` per request.
    pub fn deliveries(
        &self,
        name: &str,
        rows: usize,
    ) -> impl Stream<Item = Result<Delivery, ClientError>> + Send + Unpin {
        self.rows(format!("{}/deliveries", paths::webhook(name)), Vec::new(), rows)
    }

    /// Sends the events of an audit entry to a webhook again.
    pub async fn redeliver(&self, name: &str, seq: u64) -> Result<Vec<Delivery>, ClientError> {
        let path = format!("{}/deliveries/{seq}/redelivery", paths::webhook(name));
        self.call(self.request(Method::POST, &path)).await
    }
}

//! Calls for webhooks: one per route.

use futures_util::stream::Stream;
use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::webhooks::{SuspensionRequest, TestAnswer, WebhookRequest, WebhookRotation, WebhookView};
use crate::model::webhook::Delivery;

impl Client {
    /// Every webhook, without its secret.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn webhooks(&self) -> Result<Vec<WebhookView>, ClientError> {
        self.call(self.request(Method::GET, "/v1/webhooks")).await
    }

    /// Keeps a webhook; the answer that makes one is the only one that holds its secret.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn put_webhook(&self, name: &str, what: &WebhookRequest) -> Result<WebhookView, ClientError> {
        self.call(self.request(Method::PUT, &paths::webhook(name)).json(what)).await
    }

    /// Takes a webhook away.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn remove_webhook(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::webhook(name))).await
    }

    /// Gives a webhook another secret, which is in the answer.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn rotate_webhook(&self, name: &str, how: &WebhookRotation) -> Result<WebhookView, ClientError> {
        self.post(&format!("{}/rotation", paths::webhook(name)), how).await
    }

    /// Sends a webhook a test.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn test_webhook(&self, name: &str) -> Result<TestAnswer, ClientError> {
        self.call(self.request(Method::POST, &format!("{}/test", paths::webhook(name)))).await
    }

    /// Sends a webhook nothing until it is enabled.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn disable_webhook(&self, name: &str, why: &SuspensionRequest) -> Result<WebhookView, ClientError> {
        self.post(&format!("{}/suspension", paths::webhook(name)), why).await
    }

    /// Sends a webhook what is pending, and what happens from now on.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn enable_webhook(&self, name: &str) -> Result<WebhookView, ClientError> {
        self.call(self.request(Method::DELETE, &format!("{}/suspension", paths::webhook(name)))).await
    }

    /// Deliveries of a webhook, newest first; at most `rows` a request.
    pub fn deliveries(
        &self,
        name: &str,
        rows: usize,
    ) -> impl Stream<Item = Result<Delivery, ClientError>> + Send + Unpin {
        self.rows(format!("{}/deliveries", paths::webhook(name)), Vec::new(), rows)
    }

    /// Sends a webhook the events of an audit entry again.
    ///
    /// # Errors
    /// As every call: [`ClientError`].
    pub async fn redeliver(&self, name: &str, seq: u64) -> Result<Vec<Delivery>, ClientError> {
        let path = format!("{}/deliveries/{seq}/redelivery", paths::webhook(name));
        self.call(self.request(Method::POST, &path)).await
    }
}

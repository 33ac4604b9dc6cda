//! Recorded responses of models.

use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::telemetry::RecordedResponses;

impl Client {
    /// The response with an ID and the others of its trace, or those of a trace.
    pub async fn response(&self, id: &str) -> Result<RecordedResponses, ClientError> {
        self.call(self.request(Method::GET, &paths::below("/v1/responses", id))).await
    }

    /// The newest responses of a session, oldest first.
    pub async fn session(&self, id: &str) -> Result<RecordedResponses, ClientError> {
        self.call(self.request(Method::GET, &paths::below("/v1/sessions", id))).await
    }
}

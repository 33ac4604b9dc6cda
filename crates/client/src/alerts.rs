//! Calls for alerts: one per route.

use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::alerts::AlertView;
use crate::model::alert::AlertRule;

impl Client {
    /// The alerts that can be seen, by name.
    pub async fn alerts(&self) -> Result<Vec<AlertView>, ClientError> {
        self.call(self.request(Method::GET, "/v1/alerts")).await
    }

    /// Creates or replaces an alert; the answer has its value.
    pub async fn put_alert(&self, name: &str, rule: &AlertRule) -> Result<AlertView, ClientError> {
        self.call(self.request(Method::PUT, &paths::alert(name)).json(rule)).await
    }

    /// Removes an alert.
    pub async fn remove_alert(&self, name: &str) -> Result<(), ClientError> {
        self.done(self.request(Method::DELETE, &paths::alert(name))).await
    }
}

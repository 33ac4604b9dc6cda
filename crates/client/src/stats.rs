//! What was counted of the responses of models.

use reqwest::Method;

use super::{Client, ClientError, paths};
use crate::api::stats::{PromptStats, StatsBy, UsageStats};
use crate::model::name::PromptName;
use crate::model::since::Since;

impl Client {
    /// What was counted for one prompt.
    pub async fn prompt_stats(
        &self,
        name: &PromptName,
        by: StatsBy,
        since: Since,
        until: Option<Since>,
    ) -> Result<PromptStats, ClientError> {
        let mut query = vec![("by", by.to_string()), ("since", since.to_string())];
        query.extend(until.map(|until| ("until", until.to_string())));
        self.call(self.request(Method::GET, &paths::stats(name)).query(&query)).await
    }

    /// What was counted for all prompts, the most expensive first.
    pub async fn usage_stats(
        &self,
        since: Since,
        until: Option<Since>,
        limit: usize,
    ) -> Result<UsageStats, ClientError> {
        let mut query = vec![("since", since.to_string()), ("limit", limit.to_string())];
        query.extend(until.map(|until| ("until", until.to_string())));
        self.call(self.request(Method::GET, "/v1/stats").query(&query)).await
    }
}

//! Promoting between labels.

use reqwest::Method;

use super::{Client, ClientError};
use crate::api::promote::{PromoteRequest, Promotion, PromotionPlan};
use crate::api::write::Deployed;

impl Client {
    /// What a promotion would do now.
    pub async fn plan_promotion(&self, wanted: &Promotion, message: &str) -> Result<PromotionPlan, ClientError> {
        let mut query = vec![
            ("pattern", wanted.pattern.to_string()),
            ("from", wanted.from.to_string()),
            ("to", wanted.to.to_string()),
        ];
        query.extend((!message.is_empty()).then(|| ("message", message.to_owned())));
        self.call(self.request(Method::GET, "/v1/promotions").query(&query)).await
    }

    /// Deploys what one label serves to another, for every matching prompt.
    pub async fn promote(&self, what: &PromoteRequest) -> Result<Deployed, ClientError> {
        self.post("/v1/promotions", what).await
    }
}

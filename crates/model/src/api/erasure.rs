//! Erasing what could identify somebody from recorded telemetry.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Whose inputs, outputs, sessions and users to erase. Exactly one of `response`, `session` and `user` says of what.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EraseTelemetryRequest {
    /// The ID of a response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// The ID of a session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// The ID of a user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
}

/// What was erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErasedTelemetry {
    /// Number of responses. Counts of calls, cost and scores are unchanged.
    pub responses: u64,
}

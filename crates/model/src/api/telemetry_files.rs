//! Telemetry that is carried in files, and what the primary has of it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The key that signs the telemetry files of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TelemetryKeyRequest {
    /// The public key, as `bookholder telemetry export` prints it.
    pub key: String,
}

/// What the primary has of the telemetry of a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TelemetryProgress {
    /// The key that signs its files, if one is trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Its spools of which something is merged: one for each start of the replica.
    pub spools: Vec<MergedSpool>,
}

/// How far a spool is merged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MergedSpool {
    /// The spool, as `node.epoch`.
    pub spool: String,
    /// Its last batch that is merged; all before it are, too.
    pub merged: u64,
}

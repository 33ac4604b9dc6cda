//! Up to when numbers are complete, and what a node keeps of telemetry.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::time::Timestamp;

/// How long a reported call may wait for the spans around it before it is recorded, in milliseconds: what is recorded
/// is complete up to that long ago.
pub const SETTLING_MS: i64 = 10_000;
/// Most replicas that are named as behind.
pub const BEHIND_MAX: usize = 20;

/// Up to when everything that was recorded anywhere is counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Completeness {
    /// Everything that was recorded before this moment, here and at every known replica, is counted.
    pub complete_until: Timestamp,
    /// Replicas whose telemetry is more than two minutes behind, furthest behind first; at most 20.
    pub behind: Vec<ReplicaBehind>,
    /// How many more there are.
    pub more_behind: u64,
}

/// A replica whose telemetry is not all here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplicaBehind {
    /// Its ID.
    pub replica: String,
    /// Everything that it recorded before this moment is counted.
    pub complete_until: Timestamp,
    /// When it last reported or sent anything.
    pub heard: Timestamp,
}

/// What a replica reports of its telemetry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaTelemetry {
    /// The primary has everything that it recorded before this moment.
    pub complete_until: Timestamp,
    /// Whether it records nothing any more, because it is being stopped and has sent everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
}

/// What a node keeps of telemetry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TelemetryStatus {
    /// Whether inputs and outputs are recorded, and of how many calls of 1,000.
    pub content_per_mille: u16,
    /// Why nothing is recorded now; absent if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<TelemetryPause>,
    /// Up to when the numbers are complete; only on a primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completeness: Option<Completeness>,
    /// Single events, inputs and outputs, in bytes; only on a primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long it is kept; only on a primary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention: Option<TelemetryRetention>,
    /// What waits for the primary; only on a replica.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spool: Option<SpoolStatus>,
    /// Where a primary sends what it records on to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exports: Vec<ExportStatus>,
}

/// Why a node records no telemetry now; it begins again by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TelemetryPause {
    /// `disk_full` (what is recorded can be read) or `disk_failed`.
    pub reason: String,
    /// What is wrong.
    pub detail: String,
    /// When that was noticed.
    pub since: Timestamp,
}

/// Whether recorded telemetry is sent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportStatus {
    /// The destination: `otlp` or `parquet`.
    pub destination: String,
    /// Blocks of up to 256 events that wait.
    pub waiting_blocks: u64,
    /// Why it fails now; absent if the last attempt succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ExportFailure>,
}

/// Why telemetry is not sent on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ExportFailure {
    /// What went wrong at the last attempt.
    pub reason: String,
    /// When the first of these attempts failed.
    pub since: Timestamp,
    /// Attempts that failed one after the other.
    pub attempts: u64,
}

/// How long telemetry is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TelemetryRetention {
    /// Single responses and scores, in days.
    pub events_days: u16,
    /// Recorded inputs and outputs, in days.
    pub content_days: u16,
    /// Counts by minute, in days.
    pub minutes_days: u16,
    /// Counts by hour, in days.
    pub hours_days: u16,
    /// Counts by day, in days.
    pub days_days: u16,
    /// Single responses and scores with inputs and outputs, in bytes; beyond it, the oldest go first.
    pub events_bytes_max: u64,
}

/// What waits at a replica for its primary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SpoolStatus {
    /// Number of batches.
    pub batches: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// When the oldest was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Timestamp>,
    /// Inputs and outputs that were left out because the spool was more than half full.
    pub content_dropped: u64,
}

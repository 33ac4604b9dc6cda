//! The status of a node: its state, how fresh that is, and since when.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::completeness::{ReplicaTelemetry, TelemetryStatus};
use crate::model::position::Position;
use crate::model::time::Timestamp;

/// The role of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Accepts changes.
    Primary,
    /// Follows a primary.
    Replica,
}

/// How fresh the state of a node is. A primary is `fresh`, or `stale` while it is older than the state that it published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// No verified state yet; nothing is served.
    Empty,
    /// Verified, and in contact.
    Fresh,
    /// Verified, but out of contact: the last poll failed, or the last verified contact is more than 40 s ago. A replica
    /// without an upstream is never `fresh`.
    Stale,
    /// Verified, but the checkpoint has expired. The node still serves its state.
    Expired,
}

/// `GET /v1/status`.
#[allow(clippy::struct_excessive_bools, reason = "each is a fact of its own, and a field of the answer")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// The role of this node.
    pub role: NodeRole,
    /// The name of the registry.
    pub registry: String,
    /// Version of this program.
    pub version: String,
    /// The position of this node.
    pub position: Position,
    /// Hash of the whole state (base64), as signed; nodes at the same position have the same hash.
    pub state: String,
    /// Number of entries in the signed state: prompts, versions, contents, labels and deployments.
    pub entries: u64,
    /// How fresh the state is.
    pub freshness: Freshness,
    /// Whether `freshness` is anything but `fresh`.
    pub stale: bool,
    /// Since when: for `fresh`, contact is uninterrupted since then; for `stale`, that was the last verified contact, or
    /// when the state was signed if that is later; for `expired`, when the checkpoint expired; for `empty` and on a
    /// primary, when the process started.
    pub since: Timestamp,
    /// Seconds since the last verified contact with the upstream, or since the state was signed if that is later (state
    /// from a bundle); kept across restarts. 0 on a primary.
    pub age_s: u64,
    /// When the checkpoint was signed.
    pub issued: Option<Timestamp>,
    /// When the checkpoint expires.
    pub expires: Option<Timestamp>,
    /// Whether the local clock contradicts signed times and is not trusted.
    pub clock_untrusted: bool,
    /// Whether the operator holds this replica at its position.
    pub held: bool,
    /// Whether this primary does nothing by itself (`hold_automation`): it deploys and expires no change requests, sends
    /// no webhooks, lets no alert fire, archives nothing and watches no folder.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub automation_held: bool,
    /// The latest problem while following the upstream, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// The problem with the disk or data of this node, if any: `closed` (nothing can be read), `damaged` (stored data
    /// is damaged and not served) or `disk_failed` (nothing can be written).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Trouble>,
    /// Why bundles in the inbox of this replica are not imported, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<Trouble>,
    /// The folder that this primary publishes from, if it watches one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchStatus>,
    /// Alerts that fire, of those that the caller can see; on a primary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alerts: Vec<super::alerts::FiringAlert>,
    /// What this node keeps of telemetry; absent if it records none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<TelemetryStatus>,
    /// Replicas that reported here recently.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaReport>,
}

/// A folder of prompt files that a primary publishes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchStatus {
    /// Its path.
    pub folder: String,
    /// Prompt files in it.
    pub files: usize,
    /// Number of files and links that were skipped.
    pub skipped_count: usize,
    /// The first 100 skipped files.
    pub skipped: Vec<SkippedFile>,
}

/// A skipped file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedFile {
    /// Its path in the folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// A problem of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// A stable code, for example `rollback`, `bad_signature`, `unreachable`.
    pub reason: String,
    /// What happened.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
    /// How often it has happened since.
    pub times: u64,
}

/// The status that a replica reports to its upstream (optional).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaReport {
    /// The replica's own id.
    pub replica: String,
    /// Its position.
    pub position: Position,
    /// How fresh the state is.
    pub freshness: Freshness,
    /// Version of its program.
    pub version: String,
    /// Versions used there since its last report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<super::govern::VersionUse>,
    /// Up to when its telemetry was sent; absent if it records none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<ReplicaTelemetry>,
    /// When the report arrived; set by the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

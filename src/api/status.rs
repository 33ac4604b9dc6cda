//! How a node is: what it holds, how fresh that is, and since when.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::position::Position;
use crate::model::time::Timestamp;

/// What a node is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// Accepts changes.
    Primary,
    /// Follows a primary.
    Replica,
}

/// How fresh the state of a replica is. A primary's is always fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// No verified state yet; nothing is answered.
    Empty,
    /// Verified, and in contact.
    Fresh,
    /// Verified, but not in contact for longer than it should be.
    Stale,
    /// Verified, but the checkpoint's lifetime has passed. Answers go on.
    Expired,
}

/// `GET /v1/status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// What this node is for.
    pub role: NodeRole,
    /// The name of the registry.
    pub registry: String,
    /// Version of this program.
    pub version: String,
    /// What this node holds.
    pub position: Position,
    /// Hash of all it holds (base64), as signed; two nodes at one position have the same.
    pub state: String,
    /// Number of entries it holds.
    pub entries: u64,
    /// How fresh that is.
    pub freshness: Freshness,
    /// Whether that is less fresh than it should be.
    pub stale: bool,
    /// Since when `freshness` is what it is.
    pub since: Timestamp,
    /// Seconds since the last verified contact with the upstream, or since the held state was signed if that is later, as
    /// it is for state from a bundle; kept across restarts. 0 on a primary.
    pub age_s: u64,
    /// When the checkpoint was signed.
    pub issued: Option<Timestamp>,
    /// When the checkpoint's lifetime ends.
    pub expires: Option<Timestamp>,
    /// The local clock is far from the times that were signed, and is not trusted.
    pub clock_untrusted: bool,
    /// The operator froze this replica at its position.
    pub held: bool,
    /// The last thing that was refused or failed while following, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Trouble>,
    /// What is wrong with the disk or the data of this node itself, if anything is: `closed` (nothing can be read),
    /// `damaged` (stored data is not what was stored, and is not served) or `disk_failed` (nothing can be written).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<Trouble>,
    /// What keeps the bundles in the inbox of this replica from being taken, and since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbox: Option<Trouble>,
    /// The folder that this primary publishes from, if it watches one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<WatchStatus>,
    /// Replicas that reported here lately.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaReport>,
}

/// A folder of prompt files that a primary publishes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WatchStatus {
    /// Where it lies.
    pub folder: String,
    /// Prompt files in it.
    pub files: usize,
    /// Files and links that are left out, or that change nothing.
    pub skipped_count: usize,
    /// The first 100 of them.
    pub skipped: Vec<SkippedFile>,
}

/// A file that changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SkippedFile {
    /// Where it lies, in the folder.
    pub path: String,
    /// Why.
    pub reason: String,
}

/// What keeps a replica from following.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Trouble {
    /// A stable word for it, for example `rollback`, `bad_signature`, `unreachable`.
    pub reason: String,
    /// What happened.
    pub detail: String,
    /// Since when it is so.
    pub since: Timestamp,
    /// How often it happened since.
    pub times: u64,
}

/// What a replica tells its upstream about itself, if it likes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicaReport {
    /// The replica's own id.
    pub replica: String,
    /// What it holds.
    pub position: Position,
    /// How fresh that is.
    pub freshness: Freshness,
    /// Version of its program.
    pub version: String,
    /// Which versions were used there since its last report.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<super::govern::VersionUse>,
    /// When the report arrived; set by the receiver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

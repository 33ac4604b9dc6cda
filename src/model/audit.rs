//! The audit log: one entry a commit, each bound to the one before.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Timestamp;

/// BLAKE3 derive-key context of an audit entry's hash.
const AUDIT_CONTEXT: &str = "bookholder audit entry v1";

/// Who did what to what, and why; chained to the entry before by hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// The commit this entry belongs to.
    pub seq: u64,
    /// When the registry did it (never an imported time).
    #[schema(value_type = String)]
    pub at: Timestamp,
    /// Who asked.
    pub actor: String,
    /// Which command, for example `publish`.
    pub command: String,
    /// What it was done to, for example `support/agent@7`.
    pub subjects: Vec<String>,
    /// Why, in the actor's words.
    pub message: String,
    /// Hash of the entry before, as hex; zeros before the first.
    pub previous: String,
    /// Hash of this entry, as hex.
    pub hash: String,
}

impl AuditEntry {
    /// Computes the hash over every other field, each with its length, so that no two entries share one.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key(AUDIT_CONTEXT);
        hasher.update(&self.seq.to_le_bytes());
        hasher.update(&self.at.ms().to_le_bytes());
        hasher.update(&(self.subjects.len() as u64).to_le_bytes());
        let texts = [&self.actor, &self.command, &self.message, &self.previous];
        for text in texts.into_iter().chain(&self.subjects) {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// What `previous` is before the first entry.
    #[must_use]
    pub fn genesis() -> String {
        "0".repeat(64)
    }
}

/// Whether the audit log is whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether every entry's hash fits itself and the entry before.
    pub whole: bool,
    /// How many entries were checked.
    pub entries: u64,
    /// The hash of the newest.
    pub head: String,
    /// The first entry that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
}

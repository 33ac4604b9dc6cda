//! The audit log: one entry for each command that was decided, each bound to the one before.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::finding::Severity;
use super::principal::PrincipalKind;
use super::time::Timestamp;

/// BLAKE3 derive-key contexts of an audit entry's hash, by its format.
const AUDIT_CONTEXT_1: &str = "bookholder audit entry v1";
const AUDIT_CONTEXT_2: &str = "bookholder audit entry v2";
/// The format that is written today.
pub const AUDIT_FORMAT: u8 = 2;

/// What was decided about one command, who asked, and why; chained to the entry before by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditEntry {
    /// How the hash is made: 1 for entries from before there were decisions, 2 for today's.
    #[serde(default = "first_format", skip_serializing_if = "is_first_format")]
    pub format: u8,
    /// The commit this entry belongs to.
    pub seq: u64,
    /// When the registry did it (never an imported time).
    pub at: Timestamp,
    /// Who asked.
    pub actor: String,
    /// Whose change it was elsewhere, where an import brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// When it happened elsewhere, where an import brought it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred: Option<Timestamp>,
    /// Person, service or system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_kind: Option<PrincipalKind>,
    /// How they proved who they are, for example `access token ci-2026`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The request that asked, as its answer and the log name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The address that the request came from, as trusted proxies say it; none for what came over the Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    pub client: Option<IpAddr>,
    /// Which command, for example `publish`.
    pub command: String,
    /// Whether it was done.
    #[serde(default)]
    pub decision: Decision,
    /// The rule behind the decision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it was done to, for example `support/agent@7`.
    pub subjects: Vec<String>,
    /// Why, in the actor's words.
    pub message: String,
    /// What changed, before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AuditChange>,
    /// The change request behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_request: Option<u64>,
    /// Who had approved it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// The worst risk that the rules found in what it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Severity>,
    /// What an admin overrode, and with which reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrode: Vec<String>,
    /// Refused commands before this one that were too many to be recorded one by one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: u64,
    /// Hash of the entry before, as hex; zeros before the first.
    pub previous: String,
    /// Hash of this entry, as hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

/// Whether a command was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// It was.
    #[default]
    Granted,
    /// It was refused, and nothing was changed.
    Denied,
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Granted => "granted",
            Self::Denied => "denied",
        })
    }
}

/// What one thing was before a command, and what it is after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditChange {
    /// What changed, for example `support/agent@production`.
    pub subject: String,
    /// What it was; none when it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What it is; none when it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

const fn first_format() -> u8 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_first_format(format: &u8) -> bool {
    *format == 1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AuditEntry {
    /// Computes the hash over every other field: of format 2 over the canonical JSON (RFC 8785) of
    /// the entry without `hash`, of format 1 over its fields, each with its length.
    #[must_use]
    pub fn digest(&self) -> String {
        if self.format == 1 {
            return self.digest_of_fields();
        }
        let bytes = Self { hash: String::new(), ..self.clone() }.to_canonical();
        blake3::Hasher::new_derive_key(AUDIT_CONTEXT_2).update(&bytes).finalize().to_hex().to_string()
    }

    /// The canonical JSON of the entry, as it is stored and exported.
    #[must_use]
    pub fn to_canonical(&self) -> Vec<u8> {
        // Only maps with keys that are no texts fail, and there is none in here.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    fn digest_of_fields(&self) -> String {
        let mut hasher = blake3::Hasher::new_derive_key(AUDIT_CONTEXT_1);
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
    /// Whether every entry's hash fits itself and the entry before, and the newest is the one that was signed.
    pub whole: bool,
    /// How many entries were checked.
    pub entries: u64,
    /// The hash of the newest.
    pub head: String,
    /// The first entry that does not fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// Whether the newest entry is the one that the signed checkpoint names; none where no checkpoint names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchored: Option<bool>,
}

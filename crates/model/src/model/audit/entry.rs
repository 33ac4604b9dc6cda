//! An entry of the audit log, and the hash chain between entries.
//!
//! An entry is stored as its canonical JSON (RFC 8785). Its hash is BLAKE3 in key-derivation mode over that JSON
//! without `hash`, so [`Link`] can verify it from the bytes alone, even if the command was written by a newer program,
//! which [`AuditEntry`] refuses to read.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::change::AuditChange;
use super::command::Command;
use super::decision::Decision;
use super::subject::Subject;
use crate::json::{self, JsonError};
use crate::model::finding::Severity;
use crate::model::principal::PrincipalKind;
use crate::model::time::Timestamp;

/// BLAKE3 derive-key context of an entry's hash.
pub const AUDIT_CONTEXT: &str = "bookholder audit entry v1";
/// How entries are encoded and hashed.
pub const AUDIT_FORMAT: u8 = 1;

/// The decision about one command: who asked, the outcome and why; linked to the previous entry by its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditEntry {
    /// How the entry is encoded and hashed.
    pub format: u8,
    /// The commit this entry belongs to.
    pub seq: u64,
    /// When the registry executed it (never an imported time).
    pub at: Timestamp,
    /// Who asked.
    pub actor: String,
    /// The original author, if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_of: Option<String>,
    /// The original time, if it was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred: Option<Timestamp>,
    /// Person, service, automation or system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor_kind: Option<PrincipalKind>,
    /// How the actor authenticated, for example `access token ci-2026`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// The ID of the request, as in its answer and in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// The client's address, as reported by trusted proxies; absent for requests over the Unix socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "192.0.2.7")]
    pub client: Option<IpAddr>,
    /// Which command.
    pub command: Command,
    /// Whether it was granted or denied.
    pub decision: Decision,
    /// The rule behind the decision.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What it was about.
    pub subjects: Vec<Subject>,
    /// The message that the actor gave.
    pub message: String,
    /// What changed, before and after.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<AuditChange>,
    /// The change request that caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_request: Option<u64>,
    /// Its approvers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub approved_by: Vec<String>,
    /// The highest risk of the findings in its subjects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub risk: Option<Severity>,
    /// What an admin overrode, and the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overrode: Vec<String>,
    /// Number of denied commands before this one that were not recorded one by one because there were too many.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unrecorded: u64,
    /// Hash of the previous entry, as hex; zeros for the first.
    pub previous: String,
    /// Hash of this entry, as hex.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl AuditEntry {
    /// An entry that only records that a command was granted.
    #[must_use]
    pub fn of(command: Command) -> Self {
        Self {
            format: AUDIT_FORMAT,
            seq: 0,
            at: Timestamp::default(),
            actor: String::new(),
            on_behalf_of: None,
            occurred: None,
            actor_kind: None,
            method: String::new(),
            request_id: None,
            client: None,
            command,
            decision: Decision::Granted,
            reason: String::new(),
            subjects: Vec::new(),
            message: String::new(),
            changes: Vec::new(),
            change_request: None,
            approved_by: Vec::new(),
            risk: None,
            overrode: Vec::new(),
            unrecorded: 0,
            previous: Self::genesis(),
            hash: String::new(),
        }
    }

    /// The event of this entry, for example `prompt.label.moved` or `create_token.granted`.
    pub fn event_type(&self) -> String {
        self.command.event_type(self.decision)
    }

    /// Whether it is about a prompt that matches the pattern.
    pub fn names_prompt(&self, fits: impl Fn(&str) -> bool) -> bool {
        self.subjects.iter().filter_map(Subject::prompt).any(fits)
    }

    /// Its subjects, for display.
    pub fn subject_texts(&self) -> Vec<String> {
        self.subjects.iter().map(ToString::to_string).collect()
    }

    /// Computes the hash over all other fields.
    pub fn digest(&self) -> String {
        digest(&Self { hash: String::new(), ..self.clone() }.to_canonical())
    }

    /// The canonical JSON of the entry, as it is stored and exported.
    pub fn to_canonical(&self) -> Vec<u8> {
        // Only a map with keys that are not strings could fail, and it contains none.
        serde_json_canonicalizer::to_vec(self).unwrap_or_default()
    }

    /// The value of `previous` in the first entry.
    pub fn genesis() -> String {
        "0".repeat(64)
    }
}

fn digest(canonical: &[u8]) -> String {
    blake3::Hasher::new_derive_key(AUDIT_CONTEXT).update(canonical).finalize().to_hex().to_string()
}

/// An entry as a link of the hash chain, independent of its content: its number, the previous hash, and its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The commit it belongs to.
    pub seq: u64,
    /// Hash of the previous entry, as hex.
    pub previous: String,
    /// Its own hash, as hex, as stored in it.
    pub hash: String,
    /// Whether the stored hash matches the content.
    pub holds: bool,
}

/// Why JSON is not a link of the chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each message says what its variant means")]
pub enum LinkError {
    #[error(transparent)]
    Json(#[from] JsonError),
    #[error("missing field `{0}`")]
    Missing(&'static str),
    #[error("an audit entry of format {0}, which is newer than this program; upgrade bookholder")]
    Newer(u64),
}

impl Link {
    /// Reads the JSON of an entry with all its fields, including unknown ones.
    ///
    /// # Errors
    /// It is not JSON with unique keys, or lacks the fields of the hash chain.
    pub fn read(entry: &[u8]) -> Result<Self, LinkError> {
        let mut fields: Map<String, Value> = json::read(entry)?;
        let number = |name: &'static str| fields.get(name).and_then(Value::as_u64).ok_or(LinkError::Missing(name));
        let text = |name: &'static str| {
            fields.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(LinkError::Missing(name))
        };
        match number("format")? {
            format if format == u64::from(AUDIT_FORMAT) => {}
            format => return Err(LinkError::Newer(format)),
        }
        let (seq, previous, hash) = (number("seq")?, text("previous")?, text("hash")?);
        fields.remove("hash");
        let holds = serde_json_canonicalizer::to_vec(&fields).is_ok_and(|canonical| digest(&canonical) == hash);
        Ok(Self { seq, previous, hash, holds })
    }
}

/// The result of verifying the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuditVerdict {
    /// Whether every entry's hash matches its content and the previous entry, and the newest is the one that was
    /// signed.
    pub whole: bool,
    /// Number of verified entries.
    pub entries: u64,
    /// The hash of the newest entry.
    pub head: String,
    /// The first entry that does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub broken_at: Option<u64>,
    /// Whether the newest entry is the one in the signed checkpoint; absent if no checkpoint names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub anchored: Option<bool>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::serving::Serving;

    fn bound(entry: AuditEntry) -> AuditEntry {
        AuditEntry { hash: entry.digest(), ..entry }
    }

    fn sample() -> AuditEntry {
        let (prompt, label) = ("support/agent".parse().expect("a name"), "production".parse().expect("a label"));
        let to = Serving::version(7);
        bound(AuditEntry {
            seq: 12,
            actor: "ann".to_owned(),
            message: "Ticket 12".to_owned(),
            subjects: vec![Subject::of_label(&prompt, &label, Some(to.clone()))],
            changes: vec![AuditChange::Label { prompt, label, from: None, to: Some(to) }],
            ..AuditEntry::of(Command::Deploy)
        })
    }

    #[test]
    fn audit_entry_is_pinned_canonical_json_and_reads_back() {
        let entry = sample();
        let json = String::from_utf8(entry.to_canonical()).expect("text");
        let expected = format!(
            "{{\"actor\":\"ann\",\"at\":\"1970-01-01T00:00:00Z\",\"changes\":[{{\"kind\":\"label\",\"label\":\"production\",\
             \"prompt\":\"support/agent\",\"to\":{{\"version\":7}}}}],\"command\":\"deploy\",\"decision\":\"granted\",\
             \"format\":1,\"hash\":\"{}\",\"message\":\"Ticket 12\",\"previous\":\"{}\",\"seq\":12,\"subjects\":[{{\
             \"kind\":\"label\",\"label\":\"production\",\"prompt\":\"support/agent\",\"to\":{{\"version\":7}}}}]}}",
            entry.hash,
            AuditEntry::genesis()
        );
        assert_eq!(json, expected);
        assert_eq!(serde_json::from_str::<AuditEntry>(&json).expect("an entry"), entry);
    }

    #[test]
    fn link_verifies_unknown_entries_and_rejects_altered_ones() {
        let written = |change: &dyn Fn(&mut Value)| {
            let mut entry: Value = serde_json::from_slice(&sample().to_canonical()).expect("JSON");
            change(&mut entry);
            entry
        };
        let bind = |entry: &mut Value| {
            entry.as_object_mut().expect("fields").remove("hash");
            entry["hash"] = digest(&serde_json_canonicalizer::to_vec(entry).expect("JSON")).into();
        };
        let newer: [&dyn Fn(&mut Value); 4] = [
            &|entry| entry["command"] = json!("dance"),
            &|entry| entry["subjects"][0]["kind"] = json!("planet"),
            &|entry| entry["changes"][0]["kind"] = json!("orbit"),
            &|entry| entry["speed"] = json!(3),
        ];
        for change in newer {
            let altered = written(change);
            let link = Link::read(altered.to_string().as_bytes()).expect("a link");
            assert!(!link.holds, "{altered}");
            let newer = written(&|entry| {
                change(entry);
                bind(entry);
            });
            assert!(Link::read(newer.to_string().as_bytes()).expect("a link").holds, "{newer}");
            let error = serde_json::from_value::<AuditEntry>(newer).expect_err("not known").to_string();
            assert!(error.contains("unknown "), "{error}");
        }
        assert_eq!(
            Link::read(written(&|entry| entry["format"] = json!(2)).to_string().as_bytes()),
            Err(LinkError::Newer(2))
        );
        let twice = String::from_utf8(sample().to_canonical()).expect("text").replacen('{', "{\"seq\":3,", 1);
        assert!(matches!(Link::read(twice.as_bytes()), Err(LinkError::Json(JsonError::Twice { .. }))));
    }
}
